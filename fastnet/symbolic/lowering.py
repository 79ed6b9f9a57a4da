"""Formulas as launches of a plan: one loop where it can be, and several where results must be in memory first."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnet._kernels.templates import elementwise
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.symbolic.array import ShapeError, SymbolicArray
from fastnet.symbolic.boundaries import sample_shape
from fastnet.symbolic.folds import Fold
from fastnet.symbolic.launches import launch, launch_elements, part_of
from fastnet.symbolic.order import ordered
from fastnet.symbolic.reshape import FLAT, RESHAPE
from fastnet.symbolic.rows import Scheduler, drops_axes
from fastnet.symbolic.slices import SLICE

Known = dict[int, tuple[SymbolicArray, View]]  # results that are in memory, by their ids


class Lowering:
    """Adds the launches of formulas to a plan.

    Args:
        plan: gets them.
        name: of their kernels.
        given: the views and weights of leaves, by the ids of these.
        known: results of formulas that are in memory.
        row_weight: the argument that by default is 1 over the number of rows, or None.
        joins: whether a formula of elements gets a launch of its own, which joins with others (`fuse`).
        per_row: False for formulas of weights, which are computed once.
    """

    def __init__(
        self, plan: Plan, name: str, given: Mapping[int, Any], known: Known | None = None,
        row_weight: SymbolicArray | None = None, joins: bool = False, per_row: bool = True,
    ):  # fmt: skip
        self.plan, self.name, self.given, self.known = plan, name, given, dict(known or {})
        self.row_weight, self.joins, self.per_row = row_weight, joins, per_row

    def add(self, roots: Sequence[SymbolicArray], results: Sequence[View], keep: Container[int] = ()) -> None:
        """Add the launches that write the results of formulas.

        Args:
            roots: the formulas.
            results: where each is written.
            keep: ids of folds, numbers of rows, that become known too, where one loop does all.
        """
        self._add_boundaries(roots)
        others = []
        for root, result in zip(roots, results, strict=True):
            if not (self.joins and launch_elements(self.plan, self.name, root, result, self._views, self.known)):
                others.append((root, result))
        if others:
            self._add_loops([root for root, _ in others], [result for _, result in others], keep)

    def view(self, x: SymbolicArray) -> View:
        """Where a result is: a leaf, a slice of what is in memory, or a new buffer with its launches."""
        if id(x) in self.known:
            return self.known[id(x)][1]
        if x.operation is None:
            return self.given[id(x)]
        if x.operation is SLICE:
            return part_of(self.view(x.inputs[0]), x)
        if x.operation is RESHAPE:
            return self.plan.reshaped(self.view(x.inputs[0]), sample_shape(x))
        self._add_boundaries([x])
        if id(x) not in self.known:
            result = self.buffer(x)
            self._add_loops([x], [result])
            self.known[id(x)] = x, result
        return self.known[id(x)][1]

    def buffer(self, x: SymbolicArray) -> View:
        """New memory for a result."""
        return self.plan.buffer(sample_shape(x), self.plan.dtype, self.per_row)

    def weight(self, x: SymbolicArray) -> Any:
        """The weight of a leaf, under any shape; a constant as a weight that is not trained."""
        while x.operation is FLAT:
            (x,) = x.inputs
        return self._views[id(x)] if x.value is None else constant_weight(x, self.plan.dtype)

    @property
    def _views(self) -> dict[int, Any]:
        return {**self.given, **{key: view for key, (_, view) in self.known.items()}}

    def _add_boundaries(self, roots: Iterable[SymbolicArray]) -> None:
        for x in ordered(roots, leaves=self.known):
            if x.operation is not None and x.operation.is_boundary and id(x) not in self.known:
                self.known[id(x)] = x, x.operation.launch(self, x)  # type: ignore[attr-defined]

    def _add_loops(self, roots: list[SymbolicArray], results: list[View], keep: Container[int] = ()) -> None:
        """One loop for all formulas; where their shapes do not allow it, what changes the number of axes is computed
        first, or each formula alone."""
        folds = [x for x in ordered(roots, leaves=self.known) if id(x) in keep and _is_fold(x)]
        folds = [x for x in folds if id(x) not in self.known and not any(x is root for root in roots)]
        try:
            lowered = Scheduler(self.name, [*roots, *folds], self.row_weight, self._known_arrays()).lowered()
        except ShapeError:
            self._add_apart(roots, results, bool(folds))
            return
        kept = [self.buffer(x) for x in folds]
        launch(self.plan, lowered, self._views, [*results, *kept], self.plan.dtype)
        self.known |= {id(x): (x, view) for x, view in zip(folds, kept, strict=True)}

    def _add_apart(self, roots: list[SymbolicArray], results: list[View], kept_folds: bool) -> None:
        changing = (x for x in ordered(roots, leaves=self.known) if _changes_axes(x) and id(x) not in self.known)
        first = next((x for x in changing if not any(x is root for root in roots)), None)
        if kept_folds:
            self._add_loops(roots, results)
        elif first is not None:
            self.known[id(first)] = first, self.view(first)
            self._add_loops(roots, results)
        elif len(roots) > 1:
            for root, result in zip(roots, results, strict=True):
                self._add_loops([root], [result])
        elif roots[0].operation is RESHAPE:
            self.plan.call(elementwise.copy, x=self.view(roots[0]), y=results[0])
        else:
            Scheduler(self.name, roots, self.row_weight, self._known_arrays()).lowered()  # raises what does not fit

    def _known_arrays(self) -> list[SymbolicArray]:
        return [x for x, _ in self.known.values()]


def _is_fold(x: SymbolicArray) -> bool:
    return isinstance(x.operation, Fold) and not drops_axes(x)


def _changes_axes(x: SymbolicArray) -> bool:
    """Whether an operation gives another number of axes than it reads."""
    return x.per_row and (isinstance(x.operation, Fold) or x.operation is RESHAPE) and x.ndim != x.inputs[0].ndim


def constant_weight(x: SymbolicArray, dtype: str) -> Variable:
    """A constant as a weight that is not trained."""
    assert x.value is not None
    return Variable(np.ascontiguousarray(x.value, dtype), "constant", trainable=False)
