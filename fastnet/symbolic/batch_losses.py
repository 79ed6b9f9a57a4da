"""Losses that read the whole batch: one number for it, or numbers of rows that follow from all rows.

Their formulas are of whole arrays, as those of penalties and metrics are (`whole`): a launch for each fold, and one for
each formula that a fold reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastnet._kernels.errors import RuleError
from fastnet._kernels.templates import folds as templates
from fastnet.engine.plan import Plan
from fastnet.engine.variable import tracing
from fastnet.engine.view import View, axes_of
from fastnet.symbolic import folds, formulas
from fastnet.symbolic.array import Shape, SymbolicArray
from fastnet.symbolic.boundaries import sample_shape
from fastnet.symbolic.gradient import gradients
from fastnet.symbolic.launches import add_parts, part_results
from fastnet.symbolic.leaves import argument, constant, whole_arrays
from fastnet.symbolic.loss_results import check_rows, numbers_of_a_row, of_rows
from fastnet.symbolic.reshape import reshaped
from fastnet.symbolic.whole import WholeFormula, WholeLowering


class BatchLoss:
    """A loss of whole arrays, for targets and predictions of one shape.

    Args:
        function: ``(y_true, y_pred) -> loss``: a number, numbers of rows or of elements, or others, whose mean it is.
        true_shape, shape: of the arguments, the rows of the batch None.
        what: it is, for errors.

    Attributes:
        objects: the values of loss objects that take part.
        y: a number, or a number for each row.
        numbers: how many numbers the function gives for a row, or for the batch.

    Raises:
        TracingError: the function cannot be compiled.
    """

    def __init__(self, function: Callable[..., Any], true_shape: Shape, shape: Shape, what: str):
        self.what, self.objects = what, list[Any]()
        with tracing.within(joining=self.objects):
            self.form = WholeFormula(function, [true_shape, shape], what)
        self.rows, y = shape[:-1], self.form.result
        with whole_arrays(self.form.rows):
            if y.per_row:
                self.numbers, self.y = numbers_of_a_row(y, self.rows), of_rows(y, self.rows)
                check_rows(what, self.y, true_shape, shape)
            else:
                self.numbers = math.prod(size or 1 for size in y.shape)
                self.y = y if self.numbers == 1 else formulas.divide(folds.total(y), float(self.numbers))

    @property
    def is_one(self) -> bool:
        """Whether it is one number of the batch."""
        return not self.y.per_row

    def launch(
        self, plan: Plan, name: str, y_pred: View, y_true: View, gradient: bool, row_weight: View | None
    ) -> tuple[View, View | None]:
        """Add the launches of the number of each row, that of the batch for all of them, and of the gradient of their
        weighted sum by ``y_pred``; without weights that of their mean."""
        if self.objects and y_pred.mask is not None:
            raise RuleError(
                f"{self.what} reads the whole batch, and loss objects in it would count masked steps: give them the "
                "weights of steps, as in losses.MeanSquaredError()(y_true, y_pred, sample_weight=...), and no mask."
            )
        values = plan.buffer((y_pred.row_count,), y_pred.dtype)
        weight = argument(self.rows)
        if gradient and row_weight is None and not self.is_one:
            row_weight = plan.like(values)
            plan.call(templates.divide_by_count, y=row_weight, factor=1.0, count=math.prod(axes_of(values)[0]))
        places = {id(x): view for x, view in zip(self.form.arguments, (y_true, y_pred), strict=True)}
        if row_weight is not None:
            places[id(weight)] = plan.reshaped(row_weight, sample_shape(weight))
        lowering = WholeLowering(plan, self.form, name, places, y_pred.dtype)
        if self.is_one:
            plan.call(templates.filled, y=values, number=lowering.number(self.y))
        else:
            lowering.store(self.y, plan.reshaped(values, sample_shape(self.y)))
        return values, self._gradient(lowering, y_pred, weight, row_weight) if gradient else None

    def _gradient(self, lowering: WholeLowering, y_pred: View, weight: SymbolicArray, row_weight: View | None) -> View:
        with whole_arrays(self.form.rows):
            if self.is_one:
                sum_of_weights = constant(1.0) if row_weight is None else folds.total(weight)
                weight = reshaped(sum_of_weights, (1,) * self.y.ndim)
            parts = gradients(self.y, weight, self.form.arguments[1:])
        dy = lowering.plan.like(y_pred)
        results = part_results(lowering.plan, dy, parts)
        for (_, slope), result in zip(parts, results, strict=True):
            lowering.store(slope, result)
        add_parts(lowering.plan, dy, parts, results)
        return dy
