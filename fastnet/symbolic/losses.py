"""Losses written as array code: a number for each row of targets and predictions, and its gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastnet._kernels import registry
from fastnet._kernels.errors import RuleError
from fastnet.engine.plan import Plan
from fastnet.engine.variable import tracing
from fastnet.engine.view import View
from fastnet.symbolic import folds, formulas
from fastnet.symbolic.added_losses import check_samples
from fastnet.symbolic.array import Shape, ShapeError, SymbolicArray, TracingError
from fastnet.symbolic.batch_losses import BatchLoss
from fastnet.symbolic.boundaries import sample_shape
from fastnet.symbolic.combinations import Terms, linear_combination
from fastnet.symbolic.folds import Fold
from fastnet.symbolic.gradient import gradients, with_gradient
from fastnet.symbolic.launches import add_parts, part_results
from fastnet.symbolic.leaves import argument, constant
from fastnet.symbolic.loss_results import check_rows, is_linear, mean_of_batch, numbers_of_a_row, of_rows
from fastnet.symbolic.lowering import Lowering
from fastnet.symbolic.order import ordered
from fastnet.symbolic.rows import ELEMENT, ROW, Scheduler, element_rule, is_number, level_of
from fastnet.symbolic.trace import check_arguments, traced
from fastnet.symbolic.weight_formulas import ROWS


@dataclass(frozen=True)
class TracedForm:
    """A loss for targets and predictions of one shape.

    Attributes:
        y_true, y_pred, y: the arguments and the result, one number a row.
        row: of the registry, where it is the mean of a formula of a target and a prediction; else None.
        numbers: how many numbers the function gives for a row.
        is_mean: whether it is a mean over the batch, that of these numbers.
        batch: the loss, where it reads the whole batch; else None.
    """

    y_true: SymbolicArray
    y_pred: SymbolicArray
    y: SymbolicArray
    row: registry.Loss | None
    numbers: int
    is_mean: bool = False
    batch: BatchLoss | None = None

    @property
    def is_one(self) -> bool:
        """Whether it is one number of the batch."""
        return self.batch is not None and self.batch.is_one

    @property
    def reads_predictions(self) -> bool:
        """Whether a gradient reaches the predictions."""
        return id(self.y_pred) in with_gradient([self.y])


class TracedLoss:
    """A loss written as array code.

    Args:
        function: ``(y_true, y_pred) -> loss`` of each row, or of each element, whose mean is that of the row.
        name: of the loss.
        has_gradient: False for a metric.
    """

    def __init__(self, function: Callable[..., Any], name: str, has_gradient: bool = True):
        self.function, self.name, self.has_gradient = function, name, has_gradient
        self.forms: dict[tuple[Shape, Shape], TracedForm] = {}

    @functools.cached_property
    def is_of_elements(self) -> bool:
        """Whether it is the mean of a formula of elements, tried with rows of 3."""
        try:
            return self.form((3,), (3,)).row is not None
        except (RuleError, ValueError):
            return False

    def form(self, true_shape: tuple[int, ...], shape: tuple[int, ...]) -> TracedForm:
        """The loss of samples of these shapes, traced once.

        Raises:
            TracingError: the function cannot be compiled.
        """
        key = true_shape, shape
        if key not in self.forms:
            self.forms[key] = self._form(*key)
        return self.forms[key]

    def _form(self, true_shape: tuple[int, ...], shape: tuple[int, ...]) -> TracedForm:
        """The loss as a formula of rows, or else as one of whole arrays, where something in it joins the batch."""
        what = f"The loss {self.name!r}"
        check_arguments(self.function, 2, what)
        joining: list[Any] = []
        try:
            with tracing.within(joining=joining, is_whole=False):
                return self._of_rows(what, true_shape, shape, joining)
        except TracingError:
            if not (joining and self.has_gradient):
                raise
        batch = BatchLoss(self.function, (None, *true_shape), (None, *shape), what)
        y_true, y_pred = batch.form.arguments
        return TracedForm(y_true, y_pred, batch.y, None, batch.numbers, batch=batch)

    def _of_rows(
        self, what: str, true_shape: tuple[int, ...], shape: tuple[int, ...], joining: list[Any]
    ) -> TracedForm:
        (y_true, y_pred), given, _ = traced(self.of_batch, [(None, *true_shape), (None, *shape)], what)
        rows, y = (None, *shape[:-1]), mean_of_batch(given)
        means = [x for x in joining if x is not None]
        if not is_linear(y, means):
            raise TracingError(f"{what} cannot be compiled: it is no sum of multiples of the losses in it.")
        y = of_rows(y, rows)
        check_samples(what, y)
        check_rows(what, y, y_true.shape, y_pred.shape)
        row = None
        if true_shape == shape and (element := mean_of_elements(y, [y_true, y_pred])) is not None:
            row = self._element_row(y_true, y_pred, element)
        others = ordered([given], known={id(x) for x in means})
        is_mean = not given.per_row or not any(x.per_row and x.operation is None for x in others)
        return TracedForm(y_true, y_pred, y, row, numbers_of_a_row(given, rows), is_mean)

    def of_batch(self, y_true: SymbolicArray, y_pred: SymbolicArray) -> Any:
        """The function, which may give the mean of the batch."""
        tracing.rows = SymbolicArray(ROWS, (), ())
        return self.function(y_true, y_pred)

    def _element_row(
        self, y_true: SymbolicArray, y_pred: SymbolicArray, element: SymbolicArray
    ) -> registry.Loss | None:
        """The row of a formula of elements, which has the kernels of a formula of numbers; None if its slope folds."""
        names = {id(y_true): "y_true", id(y_pred): "y_pred"}
        slopes = [slope for _, slope in gradients(element, constant(1.0), [y_pred])] if self.has_gradient else []
        if any(isinstance(x.operation, Fold) for x in ordered(slopes)):  # of a custom gradient
            return None
        value = element_rule(self.name, element, names)
        return registry.Loss(
            self.name, value, element_rule(f"{self.name}_slope", slopes[0] if slopes else constant(0.0), names)
        )

    def launch(
        self, plan: Plan, y_pred: View, y_true: View, gradient: bool, row_weight: View | None
    ) -> tuple[View, View | None]:
        """Add the launch of the number of each row, and of the gradient of the batch's loss by ``y_pred``."""
        form = self.form(y_true.shape, y_pred.shape)
        if form.batch is not None:
            return form.batch.launch(plan, self.name, y_pred, y_true, gradient, row_weight)
        weight = argument(form.y.shape)
        parts = gradients(form.y, weight, [form.y_pred]) if gradient else []
        given = {id(form.y_true): y_true, id(form.y_pred): y_pred, id(weight): row_weight}
        takes_weights = _takes_weights([form.y, *(slope for _, slope in parts)], weight)
        if gradient and not takes_weights:
            given[id(weight)] = _stored_weights(plan, self.name, sample_shape(form.y), row_weight)
        lowering = Lowering(plan, self.name, given, row_weight=weight if takes_weights else None)
        values = plan.buffer((y_pred.row_count,), y_pred.dtype)
        result = plan.reshaped(values, sample_shape(form.y)) if form.y.ndim > 2 else values
        if not gradient:
            lowering.add([form.y], [result])
            return values, None
        dy = plan.like(y_pred)
        slopes = part_results(plan, dy, parts)
        lowering.add([form.y, *(slope for _, slope in parts)], [result, *slopes])
        add_parts(plan, dy, parts, slopes)
        return values, dy


def _takes_weights(roots: Sequence[SymbolicArray], weight: SymbolicArray) -> bool:
    """Whether one loop does all, whose rows are those that the weights are of; there 1 / n need not be stored."""
    nodes = ordered(roots)
    if any(x.operation is not None and x.operation.is_boundary for x in nodes):
        return False
    if all(x.ndim <= 2 for x in nodes):
        return True
    try:
        scheduler = Scheduler("formula", roots, weight)
        scheduler.lowered()
    except ShapeError:
        return False
    return scheduler.levels.get(id(weight), ROW) == ROW


def _stored_weights(plan: Plan, name: str, shape: tuple[int, ...], row_weight: View | None) -> View:
    """The weight of each row in memory, for loops of other rows; where none is given, 1 / n."""
    if row_weight is not None:
        return plan.reshaped(row_weight, shape)
    each, weights = argument((None, *shape, 1)), plan.buffer((*shape, 1), plan.dtype)
    lowering = Lowering(plan, f"{name}_weights", {id(each): None}, row_weight=each)
    lowering.add([formulas.multiply(each, 1.0)], [weights])
    return plan.reshaped(weights, shape)


def mean_of_elements(y: SymbolicArray, arguments: list[SymbolicArray]) -> SymbolicArray | None:
    """The formula of elements whose mean along the last axis a number of a row is; None if it is something else."""
    terms = linear_combination(y, _sum_of_row)
    if not terms:
        return None
    known = {id(x) for x in arguments}
    axes = arguments[0].ndim
    width = arguments[0].shape[-1]
    total = None
    for factor, element in terms:
        for x in ordered([element]):
            is_leaf = x.operation is None and (id(x) in known or is_number(x))
            if not (is_leaf or isinstance(x.operation, formulas.Formula)):
                return None
        if element.shape[-1] != width or level_of(element, max(2, axes)) != ELEMENT:
            return None
        scale = factor * (width or 1)
        scaled = element if abs(scale - 1.0) < 1e-12 else formulas.multiply(element, scale)
        total = scaled if total is None else formulas.add(total, scaled)
    return total


def _sum_of_row(y: SymbolicArray) -> Terms[SymbolicArray] | None:
    """What a number of a row sums along the last axis."""
    is_sum = y.operation is folds.total and y.settings[0] == (y.inputs[0].ndim - 1,)
    return [(1.0, y.inputs[0])] if is_sum else None
