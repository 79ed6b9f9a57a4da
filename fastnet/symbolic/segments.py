"""Formulas between products and layers, as operations of a network's tape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastnet._kernels.templates import elementwise, folds
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.symbolic.array import SymbolicArray
from fastnet.symbolic.boundaries import sample_shape
from fastnet.symbolic.gradient import Parts, gradients
from fastnet.symbolic.launches import add_parts, part_results
from fastnet.symbolic.leaves import Weights, argument
from fastnet.symbolic.lowering import Known, Lowering
from fastnet.symbolic.order import ordered
from fastnet.symbolic.reshape import RESHAPE_ALL
from fastnet.symbolic.slices import SLICE


@dataclass(frozen=True, eq=False)
class MatMul:
    """y = x @ w.

    Args:
        weight: w, a weight or a constant.
        shape: under which it is read, of two axes.
        is_turned: whether these are exchanged.
    """

    weight: Variable
    shape: tuple[int, int]
    is_turned: bool = False

    @property
    def variables(self) -> list[Variable]:
        """The weights that it reads."""
        return [self.weight]

    def forward(self, plan: Plan, x: View) -> View:
        y = plan.buffer((*x.shape[:-1], self.shape[not self.is_turned]), x.dtype)
        plan.product(x, self.weight, y, transpose_b=self.is_turned)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        dx = None
        if x.needs_gradient:
            dx = plan.buffer(x.shape, x.dtype)
            plan.product(dy, self.weight, dx, transpose_b=not self.is_turned)
        if (dw := plan.gradient(self.weight)) is not None:
            factors = (dy, x) if self.is_turned else (x, dy)
            plan.product(*factors, dw.view(self.shape), transpose_a=True)
        return dx


@dataclass(frozen=True, eq=False)
class Reshaped:
    """The same elements under another shape."""

    shape: tuple[int, ...]
    keeps_values = True

    def forward(self, plan: Plan, x: View) -> View:
        return plan.reshaped(x, self.shape)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        return plan.reshaped(dy, x.shape)


@dataclass(frozen=True, eq=False)
class Segment:
    """A formula of results of a network and of weights.

    Args:
        name: of its kernels.
        root: the result.
        leaves: the results that it reads, in the order of its inputs.
        weights: those that it reads.
    """

    name: str
    root: SymbolicArray
    leaves: Sequence[SymbolicArray]
    weights: Weights

    @property
    def variables(self) -> list[Variable]:
        """The weights that it reads."""
        used = {id(x) for x in ordered([self.root], leaves={id(x) for x in self.leaves})}
        return [variable for variable, leaf in self.weights.values() if id(leaf) in used]

    def forward(self, plan: Plan, *inputs: View) -> View:
        y = plan.buffer(sample_shape(self.root), plan.dtype)
        lowering = Lowering(plan, self.name, self._weights, self._known(inputs), joins=True)
        lowering.add([self.root], [y], keep_folds=plan.training)
        if plan.training:
            plan.save(**{self._saved: lowering.known})
        return y

    def backward(self, plan: Plan, dy: View, *inputs: View) -> tuple[View | None, ...]:
        *inputs, y = inputs  # type: ignore[assignment]
        slope = argument(self.root.shape)
        wanted = [x for x, view in zip(self.leaves, inputs, strict=True) if view.needs_gradient]
        trained = {id(leaf): variable for variable, leaf in self.weights.values() if plan.trains(variable)}
        leaves = [leaf for _, leaf in self.weights.values() if id(leaf) in trained]
        parts = gradients(self.root, slope, [*wanted, *leaves], {id(x) for x in self.leaves})
        written: list[tuple[SymbolicArray, View]] = []  # formulas, and where they are written
        parts_of = [_parts_of(x, parts) for x in self.leaves]
        found = [
            _place(plan, view, own, slope, dy, written) if view.needs_gradient else (None, [])
            for view, own in zip(inputs, parts_of, strict=True)
        ]
        rows = [(trained[id(part)], _rows(plan, g, slope, dy, written)) for part, g in parts if id(part) in trained]
        known = plan.saved(self._saved) | {id(self.root): (self.root, y)}
        given = self._weights | {id(slope): dy}
        lowering = Lowering(plan, f"{self.name}_gradient", given, known, joins=True)
        lowering.add([root for root, _ in written], [view for _, view in written])
        for (dx, places), own in zip(found, parts_of, strict=True):
            if dx is not None and dx is not dy:
                add_parts(plan, dx, own, places)
        for variable, view in rows:
            total = plan.gradient(variable)
            assert total is not None
            shape = (variable.size,) if view.width == variable.size else (*view.shape[:-1], variable.size)
            plan.call(folds.sum_rows, x=plan.reshaped(view, shape), total=total.flat)
        self._add_missing(plan, parts, trained)
        return tuple(dx for dx, _ in found)

    def _add_missing(self, plan: Plan, parts: Parts, trained: dict[int, Variable]) -> None:
        """A gradient of 0 for weights through which none flows."""
        found = {id(part) for part, _ in parts}
        used = {id(variable) for variable in self.variables}
        for leaf, variable in trained.items():
            if leaf not in found and id(variable) in used and (total := plan.gradient(variable)) is not None:
                plan.call(elementwise.fill, y=total, number=0.0)

    @property
    def _saved(self) -> str:
        return f"results of {self.name}"

    @property
    def _weights(self) -> dict[int, Any]:
        return {id(leaf): variable for variable, leaf in self.weights.values()}

    def _known(self, inputs: Sequence[View]) -> Known:
        return {id(x): (x, view) for x, view in zip(self.leaves, inputs, strict=True)}


def _parts_of(x: SymbolicArray, parts: Parts) -> Parts:
    """The entries of an argument: of itself, and of its slices."""
    return [(part, g) for part, g in parts if (part.inputs[0] if part.operation is SLICE else part) is x]


def _place(
    plan: Plan, view: View, own: Parts, slope: SymbolicArray, dy: View, written: list[tuple[SymbolicArray, View]]
) -> tuple[View, list[View]]:
    """The gradient of an input, and where those of its parts are written; that of the result, where it is the same."""
    if len(own) == 1 and own[0][1] is slope and own[0][0].operation is not SLICE:
        return dy, []
    dx = plan.like(view)
    places = part_results(plan, dx, own)
    written += zip((g for _, g in own), places, strict=True)
    return dx, places


def _rows(
    plan: Plan, g: SymbolicArray, slope: SymbolicArray, dy: View, written: list[tuple[SymbolicArray, View]]
) -> View:
    """The gradient of a weight by rows, under any shape; that of the result, where it is the same."""
    while g.operation is RESHAPE_ALL:
        (g,) = g.inputs
    if g is slope:
        return dy
    view = plan.buffer(sample_shape(g), dy.dtype)
    written.append((g, view))
    return view
