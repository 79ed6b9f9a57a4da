"""What a layer's call assigns to its weights: formulas of weights, and of sums over the batch.

Within a call a weight that was assigned has its new value; in memory it gets it at the end of the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fastnet._kernels.templates import elementwise, folds
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable, tracing
from fastnet.engine.view import View
from fastnet.symbolic import formulas
from fastnet.symbolic.array import ShapeError, SymbolicArray, TracingError, refusal, shown
from fastnet.symbolic.leaves import constant
from fastnet.symbolic.trace import signature
from fastnet.symbolic.weight_formulas import ASSIGNED, grounded, lifted


class Assigned:
    """Collects what calls of a function assign to weights while they are traced.

    Args:
        owner: the layer, for errors.
        own: its weights, the only ones that it may assign.
        earlier: the weights that were assigned in front of the layer, in this step.

    Attributes:
        calls: what each call assigned.
    """

    def __init__(self, owner: str, own: Sequence[Variable], earlier: Iterable[Variable]):
        self.owner, self.own, self._earlier = owner, own, list(earlier)
        self.calls: list[dict[Variable, SymbolicArray]] = []
        self._given: list[dict[Variable, SymbolicArray]] = []  # what stands for weights that were assigned earlier

    def begin(self) -> None:
        """A call begins: in this thread the weights may be assigned, and have their new values."""
        values: dict[Variable, SymbolicArray] = {}
        given = {variable: SymbolicArray(ASSIGNED, (), variable.shape) for variable in self._earlier}
        current = {variable: grounded(lifted(x)) for variable, x in given.items()}
        self.calls.append(values)
        self._given.append(given)
        from_memory = tracing.leaf
        assert from_memory is not None

        def leaf(variable: Variable) -> SymbolicArray:
            return current[variable] if variable in current else from_memory(variable)

        def assign(variable: Variable, value: Any) -> None:
            values[variable] = SymbolicArray(ASSIGNED, (self._checked(variable, constant(value)),), variable.shape)
            current[variable] = grounded(lifted(values[variable]))

        tracing.leaf, tracing.assign = leaf, assign

    def _checked(self, variable: Variable, value: SymbolicArray) -> SymbolicArray:
        """A value as a formula that is computed once a step, or as a constant.

        Raises:
            TracingError: the weight cannot be assigned, or not this value.
        """
        name = repr(variable.path)
        if not any(variable is one for one in self.own):
            raise refusal(
                f"{name} is assigned, and is no weight of this layer", "assign what its own self.add_weight made"
            )
        if variable.trainable:
            raise refusal(
                f"the weight {name} is assigned, and belongs to the optimizer",
                "read the new value instead, or make the weight with trainable=False",
            )
        if value.per_row:
            raise refusal(
                f"the weight {name} of shape {variable.shape} is assigned an array of the batch, {shown(value.shape)}",
                "fold the batch: ops.mean(x, axis=0)", ShapeError,
            )  # fmt: skip
        if value.shape != variable.shape:
            raise refusal(
                f"the weight {name} of shape {variable.shape} is assigned an array of shape {shown(value.shape)}",
                "assign one of the same shape", ShapeError,
            )  # fmt: skip
        if value.is_bool:
            value = formulas.where(value, 1.0, 0.0)
        return value if value.value is not None else grounded(lifted(value))

    def known(self, plan: Plan) -> dict[int, tuple[SymbolicArray, View]]:
        """The values of weights that were assigned in front of the layer."""
        return {id(x): (x, plan.assigned[variable]) for variable, x in self._given[0].items()}

    def values(self) -> dict[Variable, SymbolicArray]:
        """The weights that the first call assigned, and their last values.

        Raises:
            TracingError: the second call assigned something else.
        """
        first, again = ({id(v): signature([], x) for v, x in call.items()} for call in self.calls)
        if first != again:
            raise TracingError(f"{self.owner}: call assigns something else when it is called again.")
        return self.calls[0]


@dataclass(frozen=True, eq=False)
class SumOverBatch:
    """The sum of the rows of a batch, as an operation of a network's tape.

    Args:
        shape: of the sum.
    """

    shape: tuple[int, ...]

    def forward(self, plan: Plan, x: View) -> View:
        y = plan.buffer(self.shape, x.dtype, per_row=False)
        plan.call(folds.sum_rows, x=x, total=y.flat)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        dx = plan.like(x)
        plan.call(elementwise.repeat_row, row=dy.flat, y=dx)
        return dx


class RowCount:
    """The number of rows of the batch, as an operation of a network's tape, which no gradient reaches."""

    def forward(self, plan: Plan) -> View:
        y = plan.buffer((), per_row=False)
        plan.call(elementwise.fill_size, y=y, batch=-1)
        return y
