"""Formulas between products and layers, as operations of a network's tape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fastnet._kernels.templates import elementwise, folds
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.symbolic.array import SymbolicArray
from fastnet.symbolic.boundaries import sample_shape
from fastnet.symbolic.folds import Fold
from fastnet.symbolic.gradient import Parts, gradients
from fastnet.symbolic.launches import add_parts, part_results
from fastnet.symbolic.leaves import Weights, argument
from fastnet.symbolic.lowering import Known, Lowering
from fastnet.symbolic.order import ordered
from fastnet.symbolic.rearrange import add_rows_at, rows_at
from fastnet.symbolic.reshape import RESHAPE_ALL
from fastnet.symbolic.slices import SLICE


@dataclass(frozen=True, eq=False)
class MatMul:
    """y = x @ w.

    Args:
        weight: w, a weight or a constant; None where it is the second input, which is computed once.
        shape: under which it is read, of two axes.
        is_turned: whether these are exchanged.
    """

    weight: Variable | None
    shape: tuple[int, int]
    is_turned: bool = False

    @property
    def variables(self) -> list[Variable]:
        """The weights that it reads."""
        return [] if self.weight is None else [self.weight]

    def forward(self, plan: Plan, x: View, *w: View) -> View:
        y = plan.buffer((*x.shape[:-1], self.shape[not self.is_turned]), x.dtype, x.per_row)
        plan.product(x, self._factor(w), y, transpose_b=self.is_turned)
        return y

    def backward(self, plan: Plan, dy: View, x: View, *others: View) -> tuple[View | None, ...]:
        *w, _ = others
        dx = None
        if x.needs_gradient:
            dx = plan.buffer(x.shape, x.dtype, x.per_row)
            plan.product(dy, self._factor(w), dx, transpose_b=not self.is_turned)
        if self.weight is not None:
            dw = plan.gradient(self.weight)
        else:
            dw = plan.like(w[0]) if w[0].needs_gradient else None
        if dw is not None:
            factors = (dy, x) if self.is_turned else (x, dy)
            plan.product(*factors, dw.view(self.shape), transpose_a=True)
        return (dx,) if self.weight is not None else (dx, dw)

    def _factor(self, w: Sequence[View]) -> View | Variable:
        return w[0] if self.weight is None else self.weight


@dataclass(frozen=True, eq=False)
class TakeRows:
    """The rows of a weight at indices.

    Args:
        weight: a weight or a constant; None where it is the second input, which is computed once.
    """

    weight: Variable | None

    @property
    def variables(self) -> list[Variable]:
        """The weights that it reads."""
        return [] if self.weight is None else [self.weight]

    def forward(self, plan: Plan, index: View, *w: View) -> View:
        return rows_at(plan, index, w[0] if self.weight is None else self.weight)

    def backward(self, plan: Plan, dy: View, index: View, *others: View) -> tuple[View | None, ...]:
        *w, _ = others
        if self.weight is not None:
            dw = plan.gradient(self.weight)
        else:
            dw = plan.like(w[0]) if w[0].needs_gradient else None
        if dw is not None:
            add_rows_at(plan, index, dy, dw)
        return (None,) if self.weight is not None else (None, dw)


@dataclass(frozen=True, eq=False)
class Load:
    """A weight as a result, which formulas of weights alone read."""

    variable: Variable
    keeps_values = True

    @property
    def variables(self) -> list[Variable]:
        """The weight."""
        return [self.variable]

    def forward(self, plan: Plan) -> View:
        y = plan.buffer(self.variable.shape, self.variable.dtype, per_row=False)
        plan.call(elementwise.copy, x=self.variable, y=y)
        return y

    def backward(self, plan: Plan, dy: View, y: View) -> tuple[()]:
        dw = plan.gradient(self.variable)
        if dw is not None:
            plan.call(elementwise.copy, x=dy, y=dw)
        return ()


@dataclass(frozen=True, eq=False)
class Reshaped:
    """The same elements under another shape."""

    shape: tuple[int, ...]
    keeps_values = True

    def forward(self, plan: Plan, x: View) -> View:
        return plan.reshaped(x, self.shape)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        return plan.reshaped(dy, x.shape)


class WithMask:
    """The same elements, with a mask: a number for each step, 0 where it does not count."""

    keeps_values = True

    def forward(self, plan: Plan, x: View, mask: View) -> View:
        y = x.view(x.shape)
        y.mask = mask
        return y

    def backward(self, plan: Plan, dy: View, x: View, mask: View, y: View) -> tuple[View, None]:
        return dy, None


@dataclass(frozen=True, eq=False)
class Segment:
    """A formula of results of a network and of weights.

    Args:
        name: of its kernels.
        root: the result.
        leaves: the results that it reads, in the order of its inputs.
        weights: those that it reads.
        known: results in front of these, which its gradient may read.
        per_row: False for a formula of weights alone.
    """

    name: str
    root: SymbolicArray
    leaves: Sequence[SymbolicArray]
    weights: Weights
    known: Known = field(default_factory=dict)
    per_row: bool = True

    @property
    def variables(self) -> list[Variable]:
        """The weights that it reads."""
        used = {id(x) for x in ordered([self.root], leaves={id(x) for x in self.leaves})}
        return [variable for variable, leaf in self.weights.values() if id(leaf) in used]

    def forward(self, plan: Plan, *inputs: View) -> View:
        y = plan.buffer(sample_shape(self.root), plan.dtype, per_row=self.per_row)
        lowering = Lowering(plan, self.name, self._weights, self._known(inputs), joins=True, per_row=y.per_row)
        lowering.add([self.root], [y], keep=self._read_by_gradient(plan, inputs) if plan.training else ())
        if plan.training:
            plan.save(**{self._saved: lowering.known})
        return y

    def backward(self, plan: Plan, dy: View, *inputs: View) -> tuple[View | None, ...]:
        *inputs, y = inputs  # type: ignore[assignment]
        slope = argument(self.root.shape)
        trained = self._trained(plan)
        parts = self._gradients(plan, slope, inputs)
        written: list[tuple[SymbolicArray, View]] = []  # formulas, and where they are written
        parts_of = [_parts_of(x, parts) for x in self.leaves]
        shared = {id(x): plan.like(v) for x, v in zip(self.leaves, inputs) if v.needs_gradient and not x.per_row}
        found = [
            (shared.get(id(x)), []) if not x.per_row or not view.needs_gradient
            else _place(plan, view, own, slope, dy, written)
            for x, view, own in zip(self.leaves, inputs, parts_of, strict=True)
        ]  # fmt: skip
        once = [part for part, _ in parts if id(part) in trained or id(part) in shared]
        rows = [(part, _rows(plan, g, slope, dy, written)) for part, g in parts if any(part is x for x in once)]
        known = self.known | plan.saved(self._saved) | {id(self.root): (self.root, y)}
        given = self._weights | {id(slope): dy}
        lowering = Lowering(plan, f"{self.name}_gradient", given, known, joins=True, per_row=dy.per_row)
        lowering.add([root for root, _ in written], [view for _, view in written])
        for x, (dx, places), own in zip(self.leaves, found, parts_of, strict=True):
            if dx is not None and dx is not dy and x.per_row:
                add_parts(plan, dx, own, places)
                if not own:
                    plan.tape.zeros[id(dx)] = dx
        for part, view in rows:
            total = shared[id(part)] if id(part) in shared else plan.gradient(trained[id(part)])
            assert total is not None
            shape = (total.width,) if view.width == total.width else (*view.shape[:-1], total.width)
            plan.call(folds.sum_rows, x=plan.reshaped(view, shape), total=total.flat)
        self._add_missing(plan, parts, trained, shared)
        return tuple(dx for dx, _ in found)

    def _trained(self, plan: Plan) -> dict[int, Variable]:
        """The weights whose gradients are wanted, by the ids of their leaves."""
        return {id(leaf): variable for variable, leaf in self.weights.values() if plan.trains(variable)}

    def _gradients(self, plan: Plan, slope: SymbolicArray, inputs: Sequence[View]) -> Parts:
        """The gradients of inputs and weights that are wanted."""
        trained = self._trained(plan)
        wanted = [x for x, view in zip(self.leaves, inputs, strict=True) if view.needs_gradient]
        leaves = [leaf for _, leaf in self.weights.values() if id(leaf) in trained]
        return gradients(self.root, slope, [*wanted, *leaves], {id(x) for x in self.leaves})

    def _read_by_gradient(self, plan: Plan, inputs: Sequence[View]) -> set[int]:
        """The ids of the folds that the gradient reads, beside the result."""
        known = {id(x) for x in (self.root, *self.leaves)}
        found = {id(x) for x in ordered([self.root], leaves=known - {id(self.root)}) if isinstance(x.operation, Fold)}
        if not found:
            return found
        parts = self._gradients(plan, argument(self.root.shape), inputs)
        return found & {id(x) for x in ordered([g for _, g in parts], leaves=known | found)}

    def _add_missing(self, plan: Plan, parts: Parts, trained: dict[int, Variable], shared: dict[int, View]) -> None:
        """A gradient of 0 for weights through which none flows."""
        found = {id(part) for part, _ in parts}
        for leaf, view in shared.items():
            if leaf not in found:
                plan.call(elementwise.fill, y=view, number=0.0)
                plan.tape.zeros[id(view)] = view
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
    view = plan.buffer(sample_shape(g), dy.dtype, dy.per_row)
    written.append((g, view))
    return view
