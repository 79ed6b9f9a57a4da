"""What a layer's call adds to the loss: sums and means of formulas over the batch, and penalties of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastnet._kernels.rules import penalties as rules
from fastnet._kernels.templates import elementwise, folds
from fastnet.engine.operations import Penalty
from fastnet.engine.plan import Plan
from fastnet.engine.variable import tracing
from fastnet.engine.view import View
from fastnet.symbolic import formulas
from fastnet.symbolic.array import SymbolicArray, TracingError
from fastnet.symbolic.combinations import Terms, linear_combination
from fastnet.symbolic.leaves import constant
from fastnet.symbolic.order import ordered
from fastnet.symbolic.reshape import GROUND
from fastnet.symbolic.weight_formulas import ASSIGNED, BATCH_SUM, ROWS, grounded, lifted


@dataclass(frozen=True)
class Term:
    """A part of what is added.

    Attributes:
        factor: of the sum, or of the mean.
        rows: a number of each row of the batch, or one of weights.
        is_mean: whether it is their mean.
    """

    factor: float
    rows: SymbolicArray
    is_mean: bool


class Added:
    """Collects what calls of a function add to the loss while they are traced."""

    def __init__(self) -> None:
        self.calls: list[list[SymbolicArray]] = []

    def begin(self) -> None:
        """A call begins: in this thread `add_loss` is heard, and the batch may be folded."""
        found: list[SymbolicArray] = []
        self.calls.append(found)
        tracing.add_loss, tracing.rows = lambda value: found.append(constant(value)), SymbolicArray(ROWS, (), ())

    def terms(self, owner: str) -> list[Term]:
        """The parts of the sum of all that the first call added.

        Raises:
            TracingError: it is not made of sums and means, or calls added different things.
        """
        first, *others = self.calls
        if any(len(one) != len(first) for one in others):
            raise TracingError(f"{owner}: call adds other losses when it is called again.")
        return [term for value in first for term in _terms_of(owner, value)]


def check_samples(owner: str, result: SymbolicArray) -> None:
    """Check that a result reads no fold over the batch but those that were assigned to weights.

    Raises:
        TracingError: it does.
    """
    every = ordered([result])
    for x in ordered([result], leaves={id(x) for x in every if x.operation is ASSIGNED}):
        if x.operation is BATCH_SUM:
            raise TracingError(
                f"{owner} cannot be compiled: a sum over the batch (axis 0) mixes samples{x.settings[0]}: fold along "
                "axis=-1. Only what add_loss gets, what is assigned to a weight, and the mean that is a loss's result, "
                "may fold the batch."
            )


def _terms_of(owner: str, value: SymbolicArray) -> list[Term]:
    """The parts of what is added once."""
    terms = linear_combination(value, parts_of_batch)
    if terms is None and not value.per_row and value.value is None:  # a formula of sums, as assigned weights get them
        terms = [(1.0, (grounded(lifted(value)), False))]
    if terms is None or any(size != 1 for size in value.shape):
        received = repr(value)
        if value.value is not None:
            received = f"{value.value.tolist()}, on which no weight depends" if value.ndim == 0 else "constants"
        raise TracingError(
            f"{owner}: add_loss takes one number, a formula of weights and of sums and means over the batch, such as "
            f"ops.mean(ops.square(x)); received {received}."
        )
    return [Term(factor, *part) for factor, part in terms]


def parts_of_batch(y: SymbolicArray) -> Terms[tuple[SymbolicArray, bool]] | None:
    """``rows`` and ``is_mean`` of the `Term` of a sum over the batch, its mean, or a number of weights."""
    if y.operation is BATCH_SUM:
        return [(1.0, (y.inputs[0], False))]
    if not any(x.operation is BATCH_SUM for x in ordered([y])):
        return None if y.per_row or y.value is not None else [(1.0, (_as_weight(y), False))]
    if y.operation is not None and y.operation.name == "reshape":
        return linear_combination(y.inputs[0], parts_of_batch)
    if y.operation is formulas.divide and y.inputs[1].operation is ROWS:
        found = linear_combination(y.inputs[0], parts_of_batch)
        return None if found is None else [(factor, (rows, True)) for factor, (rows, _) in found]
    return None


def _as_weight(y: SymbolicArray) -> SymbolicArray:
    return y if y.operation in (None, GROUND) else grounded(lifted(y))


class AddLosses:
    """A result, of which numbers of rows are added to the loss, as an operation of a network's tape.

    Args:
        name: of the layer.
        terms: the numbers, which follow the result among the inputs.
    """

    keeps_values = adds_gradient = True

    def __init__(self, name: str, terms: list[Term]):
        self.name, self.terms = name, terms

    def forward(self, plan: Plan, y: View, *rows: View) -> View:
        for term, view in zip(self.terms, rows, strict=True):
            plan.penalized.append(Penalty(self.name, _Multiple(term.factor), view, term.is_mean))
        return y

    def backward(self, plan: Plan, dy: View, *views: View) -> tuple[View | None, ...]:
        _, *rows, _ = views
        found: list[View | None] = [dy]
        for term, view in zip(self.terms, rows, strict=True):
            found.append(plan.like(view) if view.needs_gradient else None)
            if (dx := found[-1]) is None:
                continue
            if term.is_mean:
                plan.call(elementwise.fill_share, y=dx, number=term.factor, batch=-1)
            else:
                plan.call(elementwise.fill, y=dx, number=term.factor)
        return tuple(found)


@dataclass(frozen=True)
class _Multiple:
    """A penalty: a multiple of the sum of numbers."""

    factor: float

    def __call__(self, x: Any) -> float:
        return self.factor * float(x.sum())

    def activity_penalty(self, plan: Plan, y: View) -> tuple[View, int]:
        """Add the launch of the sums of chunks whose sum is the penalty; these, and how many elements were summed."""
        return plan.sums(folds.sum_rule, f=rules.multiple, x=y, p=[self.factor])
