"""Formulas of whole arrays, a weight or a batch: their launches, and the numbers and arrays in between."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnet._kernels.rules import penalties as rules
from fastnet._kernels.templates import elementwise, folds
from fastnet._kernels.templates import whole_formulas as loops
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View
from fastnet.symbolic import formulas
from fastnet.symbolic.array import Shape, ShapeError, SymbolicArray, shown
from fastnet.symbolic.combinations import Terms, linear_combination
from fastnet.symbolic.folds import Fold, total
from fastnet.symbolic.formulas import Formula
from fastnet.symbolic.launches import launch, part_of
from fastnet.symbolic.leaves import argument, whole_arrays
from fastnet.symbolic.lowering import constant_weight
from fastnet.symbolic.order import ordered
from fastnet.symbolic.rearrange import repeated
from fastnet.symbolic.reshape import unflattened
from fastnet.symbolic.rows import Scheduler, drops_axes, element_rule, fold_rule
from fastnet.symbolic.slices import SLICE
from fastnet.symbolic.trace import traced


class WholeFormula:
    """A function of whole arrays, traced.

    Args:
        function: of arrays.
        shapes: of its arguments; the rows of a batch are None.
        what: it is, for errors.

    Attributes:
        arguments, result: the formula.
        rows: stands for the rows of the batch.

    Raises:
        TracingError: the function cannot be compiled.
    """

    def __init__(self, function: Callable[..., Any], shapes: Sequence[Shape], what: str):
        self.what, self.rows = what, argument(())
        with whole_arrays(self.rows):
            self.arguments, result, _ = traced(function, shapes, what)
        self.result = unflattened(result)

    def element(self) -> SymbolicArray | None:
        """The formula of an element of the one argument whose sum over all elements the result is; None if it is
        something else."""
        terms = linear_combination(self.result, self._sum_of_all)
        if not terms:
            return None
        scaled = (x if factor == 1.0 else formulas.multiply(x, factor) for factor, x in terms)
        found: SymbolicArray = functools.reduce(formulas.add, scaled)
        return found if self.is_of_elements(found) else None

    def _sum_of_all(self, y: SymbolicArray) -> Terms[SymbolicArray] | None:
        """What a number sums over all elements of an array of the argument's shape."""
        if y.operation is not total or y.inputs[0].shape != self.arguments[0].shape:
            return None
        return [(1.0, y.inputs[0])] if len(y.settings[0]) == y.inputs[0].ndim else None

    def is_of_elements(self, x: SymbolicArray) -> bool:
        """Whether an array is a formula of one element of the one argument, and of its shape."""
        for node in ordered([x]):
            is_leaf = node is self.arguments[0] or (node.value is not None and node.value.size == 1)
            if not (is_leaf or isinstance(node.operation, Formula)):
                return False
        return x.shape == self.arguments[0].shape


class WholeLowering:
    """Adds formulas of whole arrays to a plan: a launch for each fold, and one for each formula that a fold reads.

    Args:
        plan: gets the launches.
        form: the formula, with ``rows`` and ``what`` as `WholeFormula` has them.
        name: of its kernels.
        places: the views, weights and slots of its arguments, by the ids of these.
        dtype: of the arrays.
    """

    def __init__(self, plan: Plan, form: Any, name: str, places: Mapping[int, Any], dtype: str):
        self.plan, self.form, self.dtype = plan, form, dtype
        self.name = name if name.isidentifier() else "formula"
        self.places: dict[int, View | Variable | Slot] = dict(places)
        self.made: list[SymbolicArray] = []  # arrays of its own, whose ids stay theirs

    def place(self, root: SymbolicArray) -> View | Variable | Slot:
        """The view of an array, or the slot of a number, computed once."""
        self._compute_cuts(root)
        if id(root) not in self.places:
            self.places[id(root)] = self._computed(root)
        return self.places[id(root)]

    def number(self, root: SymbolicArray) -> Slot:
        """The slot of a number; it is float64."""
        place = self.place(root)
        if not isinstance(place, Slot):  # a view of one element
            place = self.places[id(root)] = self._total(rules.same, place)
        return place

    def sums(self, root: SymbolicArray) -> tuple[View, int]:
        """A number as the sum of one chunk, and the number of elements, as templates that add chunks take them."""
        sums = self.plan.chunk_sums(1)
        self.store_number(root, sums)
        return sums, 1

    def store(self, root: SymbolicArray, y: View) -> None:
        """Compute an array where the view says."""
        nodes = self._with_folds(root)
        names, operands = self._operands(nodes, root)
        parameters = self._parameters(nodes, names)
        rule = element_rule(self.name, root, names)
        self.plan.call(loops.whole_formula, f=rule, **operands, p=parameters, y=y)

    def add_numbers(self, root: SymbolicArray, total: Slot) -> None:
        """Add an array without a batch to the numbers from a slot on."""
        place = self.place(root)
        if isinstance(place, Slot):
            place = self._buffer(root.shape)
            self.store(root, place)
        self.plan.call(loops.add_to_numbers, x=place, total=total)

    def store_number(self, root: SymbolicArray, y: View | Slot) -> None:
        """Compute a number where the slot or the sum of a chunk is; it is float64."""
        nodes = self._with_folds(root)
        leaves = [x for x in nodes if self._is_leaf(x)]
        names = {id(x): f"s{i}" for i, x in enumerate(leaves)}
        slots, parameters = [self.number(x) for x in leaves], self._parameters(nodes, names)
        rule = element_rule(self.name, root, names)
        self.plan.call(loops.formula_of_numbers, f=rule, s=slots, p=parameters, y=y, dtype="float64")

    def _parameters(self, nodes: Sequence[SymbolicArray], names: dict[int, str]) -> list[float]:
        """The constants that are arguments of a rule, to whose names they are added; here they are its text."""
        return []

    def _compute_cuts(self, root: SymbolicArray) -> None:
        """Compute what cuts a formula into loops: folds, and arrays under other shapes."""
        for x in self._order(root):
            if id(x) in self.places:
                continue
            if drops_axes(x):
                place = self.place(x.inputs[0])
                self.places[id(x)] = place if isinstance(place, Slot) else self._reshaped(place, x.shape)
            elif isinstance(x.operation, Fold):
                self.places[id(x)] = self._folded(x)
            elif x.operation is not None and x.operation.is_boundary:
                self.places[id(x)] = self._launched(x)

    def _order(self, root: SymbolicArray) -> list[SymbolicArray]:
        """What a formula is made of, as far as it has not been computed."""
        return ordered([root], self.places, self.places)

    def _with_folds(self, root: SymbolicArray) -> list[SymbolicArray]:
        """What a formula is made of, of which the folds have been computed."""
        self._compute_cuts(root)
        return ordered([root], leaves={*self.places, *self._slices(root)})

    def _slices(self, root: SymbolicArray) -> list[int]:
        return [id(x) for x in ordered([root]) if x.operation is SLICE]

    def _is_leaf(self, x: SymbolicArray) -> bool:
        """Whether a part of a formula is an operand of its loop."""
        if x is self.form.rows and id(x) not in self.places:
            slot = self.places[id(x)] = self.plan.slot()
            self.plan.call(loops.row_count, y=slot, rows=-1)
        if x.operation is SLICE and id(x) not in self.places:
            whole = self.places[id(x.inputs[0])]
            assert isinstance(whole, View)
            self.places[id(x)] = part_of(whole, x)
        if x.value is not None and x.value.size != 1:
            value = np.ascontiguousarray(x.value.reshape(-1), self.dtype)
            self.places.setdefault(id(x), Variable(value, "constant", trainable=False))
        return id(x) in self.places

    # ---- what operations with launches of their own (`boundaries`) take

    def view(self, x: SymbolicArray) -> View | Variable:
        """Where an array is."""
        place = self.place(x)
        if isinstance(place, Slot):
            place = self.buffer(x)
            self.store(x, place)
        return place

    def buffer(self, x: SymbolicArray) -> View:
        """New memory for an array."""
        return self._buffer(x.shape)

    def weight(self, x: SymbolicArray) -> Any:
        """A constant as a weight that is not trained."""
        return constant_weight(x, self.dtype)

    def _launched(self, x: SymbolicArray) -> View:
        if not (x.per_row and all(each.per_row or each.value is not None for each in x.inputs)):
            name = getattr(x.operation, "name", "")
            raise ShapeError(f"{self.form.what}: {name} of arrays without the batch is not there: fold and multiply.")
        return x.operation.launch(self, x)  # type: ignore[union-attr]

    def _reshaped(self, place: View | Variable, shape: Shape) -> View:
        """The same elements under another shape."""
        sizes = [size for size in shape if size is not None]
        if isinstance(place, Variable):
            copied = self._buffer(place.shape)
            self.plan.call(elementwise.copy, x=place, y=copied)
            place = copied
        return self.plan.reshaped(place, sizes)

    def _computed(self, root: SymbolicArray) -> View | Slot:
        if is_number(root):
            slot = self.plan.slot()
            self.store_number(root, slot)
            return slot
        y = self._buffer(root.shape)
        self.store(root, y)
        return y

    def _buffer(self, shape: Shape) -> View:
        sizes = [size for size in shape if size is not None]
        return self.plan.buffer(sizes, self.dtype, per_row=shape[:1] == (None,))

    # ---- operands of formulas of elements

    def _operands(self, nodes: Sequence[SymbolicArray], root: SymbolicArray) -> tuple[dict[int, str], dict[str, list]]:
        """The names of the operands of a formula, and the operands by kind: of elements, of rows, of columns, numbers.

        Raises:
            ShapeError: arrays of other shapes meet.
        """
        leaves = [x for x in nodes if self._is_leaf(x)]
        shape = root.shape
        numbers = [x for x in leaves if is_number(x)]
        arrays = [x for x in leaves if not is_number(x)]
        shapes = [(1,) * (len(shape) - x.ndim) + x.shape for x in arrays]
        loops_over = (_kinds(shapes, shape, axis) for axis in range(len(shape), -1, -1))
        kinds = min(loops_over, key=lambda each: each.count(""))
        found: dict[str, list[SymbolicArray]] = {"x": [], "r": [], "c": [], "s": numbers}
        places = dict(self.places)
        for x, given, kind in zip(arrays, shapes, kinds, strict=True):
            if not kind:
                places[id(x)] = self._repeated(x, given, arrays, shape)
            found[kind or "x"].append(x)
        names = {id(x): f"{kind}{i}" for kind, members in found.items() for i, x in enumerate(members)}
        operands = {kind: [places[id(x)] for x in members] for kind, members in found.items() if kind != "s"}
        return names, {**operands, "s": [self.number(x) for x in numbers]}

    def _repeated(self, x: SymbolicArray, given: Shape, others: Sequence[SymbolicArray], shape: Shape) -> View:
        """An array in the shape of a formula, whose loop cannot read it in its own.

        Raises:
            ShapeError: there is no such launch.
        """
        if shape[:1] != (None,):
            shapes = " and ".join(shown(each.shape) for each in others)
            raise ShapeError(
                f"{self.form.what}: arrays of shapes {shapes} meet in a formula; there one may have the first axes or "
                "the last ones of the others, and no other part."
            )
        source = argument((None, *given[1:]))
        self.places[id(source)] = self._of_batch(x, source.shape)
        y = repeated(source, shape)
        self.made += [source, y]
        view = self.view(y)
        assert isinstance(view, View)
        return view

    def _of_batch(self, x: SymbolicArray, shape: Shape) -> View:
        """An array with as many axes as a shape, of which the batch is the first."""
        place = self.places[id(x)]
        assert not isinstance(place, Slot)
        if x.per_row:
            return self._reshaped(place, shape)
        y = self._buffer(shape)
        self.plan.call(loops.whole_formula, f=rules.same, x=[], r=[], c=[place], s=[], p=[], y=y)
        return y

    # ---- folds

    def _folded(self, x: SymbolicArray) -> View | Slot:
        """The launches of a fold."""
        operation, source = x.operation, x.inputs[0]
        assert isinstance(operation, Fold)
        shape, axes = source.shape, [a for a in x.settings[0] if source.shape[a] != 1]
        kept = [a for a in range(source.ndim) if a not in axes and shape[a] != 1]
        if operation is total and not kept:
            return self._sum_of_all(source)
        if not kept and None not in shape:
            of_rows = self._last_axes(operation, self.view(source), shape, source.ndim - 1)
            return self._last_axes(operation, of_rows, shape[:-1], 0)
        if operation is not total and shape[0] is None and 0 in axes:
            return self._over_rows(operation, self.view(source), [shape[a] or 0 for a in kept])
        if kept and max(kept) < min(axes):
            return self._last_axes(operation, self.view(source), shape, min(axes))
        if operation is total and kept and min(kept) > max(axes):
            y = self.plan.buffer([shape[a] or 0 for a in kept], self.dtype, per_row=False)
            self.plan.call(folds.sum_rows, x=self.view(source), total=y)
            return y
        return self._other_axes(x, axes, kept)

    def _other_axes(self, x: SymbolicArray, axes: list[int], kept: list[int]) -> View:
        """The fold of axes that are not the last ones, of an array without a batch.

        Raises:
            ShapeError: there is no such launch.
        """
        assert isinstance(x.operation, Fold)
        if kept and max(axes) < min(kept):
            return self._over_rows(x.operation, self.view(x.inputs[0]), [x.inputs[0].shape[a] or 0 for a in kept])
        raise ShapeError(
            f"{self.form.what}: ops.{x.operation.name} over the axes {x.settings[0]} of an array of shape "
            f"{shown(x.inputs[0].shape)}: fold the first axes, the last ones, or all."
        )

    def _sum_of_all(self, x: SymbolicArray) -> Slot:
        """The sum over everything; a formula of one array is computed within the fold."""
        nodes = self._with_folds(x)
        leaves = [each for each in nodes if self._is_leaf(each)]
        if len(leaves) == 1 and leaves[0].shape == x.shape and id(x) not in self.places and not is_number(x):
            place = self.places[id(leaves[0])]
            assert not isinstance(place, Slot)
            names = {id(leaves[0]): "x"}
            parameters = self._parameters(nodes, names)
            return self._total(element_rule(self.name, x, names), place, parameters)
        return self._total(rules.same, self.view(x))

    def _total(self, rule: Callable, x: View | Variable, parameters: Sequence[float] = ()) -> Slot:
        slot = self.plan.slot()
        sums, count = self.plan.sums(folds.sum_rule, f=rule, x=x, p=list(parameters))
        self.plan.call(folds.total_of, f=rules.same, chunk_sums=sums, result=slot, count=count, p=[], dtype="float64")
        return slot

    def _over_rows(self, operation: Fold, x: View | Variable, sizes: list[int]) -> View:
        """The fold of the first axes, and of the batch, but for the last axes, of these sizes."""
        width, y = math.prod(sizes), self.plan.buffer(sizes, self.dtype, per_row=False)
        rows = self._reshaped(x, ((x.flat.width if isinstance(x, View) else x.size) // (width or 1), width))
        self.plan.call(loops.fold_rows, f=fold_rule(operation), x=rows, y=y.flat, start=operation.start)
        return y

    def _last_axes(self, operation: Fold, x: View | Variable, shape: Shape, axis: int) -> View:
        """The fold of the axes from one on, of an array of a shape."""
        rows, width = shape[:axis], math.prod(size or 0 for size in shape[axis:])
        data, y = self._reshaped(x, (*rows, width)), self._buffer((*rows, 1))
        source = argument((None, width))
        folded = SymbolicArray(operation, (source,), (None, 1), settings=((1,), True))
        lowered = Scheduler(f"{self.name}_{operation.name}", [folded]).lowered()
        launch(self.plan, lowered, {id(source): data}, [y], self.dtype)
        return self._reshaped(y, rows)


def _kinds(shapes: Sequence[Shape], shape: Shape, axis: int) -> list[str]:
    """What arrays are in a loop over a shape whose columns are the axes from one on: "x" of elements, "r" a number of
    each row, "c" one of each column, "" something else."""
    row = (*shape[:axis], *(1 for _ in shape[axis:]))
    column = (*(1 for _ in shape[:axis]), *shape[axis:])
    return ["x" if s == shape else "r" if s == row else "c" if s == column else "" for s in shapes]


def is_number(x: SymbolicArray) -> bool:
    """Whether an array without a batch is one number."""
    return not x.per_row and math.prod(size or 1 for size in x.shape) == 1
