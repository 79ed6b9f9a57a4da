"""Updates of weights that are more than formulas of elements and sums over a weight: folds along axes, products, moved
elements, states of other shapes.

They are formulas of whole arrays (`whole`), with launches for what these lack: any axes are folded, any shapes meet,
and matrices are multiplied by the kernel of products. No gradient flows through them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnet._kernels.registry import Update
from fastnet._kernels.templates import elementwise, step_scalars
from fastnet._kernels.templates import whole_formulas as loops
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View
from fastnet.symbolic.array import Shape, SymbolicArray, TracingError
from fastnet.symbolic.concatenation import CONCATENATE
from fastnet.symbolic.folds import Fold
from fastnet.symbolic.formulas import Formula
from fastnet.symbolic.lowering import constant_weight
from fastnet.symbolic.order import ordered
from fastnet.symbolic.products import MATMUL, PRODUCT, ROW_PRODUCTS, RUNNING_SUM
from fastnet.symbolic.rearrange import EXPAND, REARRANGE, index_of
from fastnet.symbolic.reshape import OF_SAMPLE, RESHAPE, RESHAPE_ALL, SAMPLE, TURNED
from fastnet.symbolic.slices import SLICE
from fastnet.symbolic.update_rules import StepNumbers, is_plain, rule_of
from fastnet.symbolic.updates import TracedUpdate
from fastnet.symbolic.whole import WholeLowering, is_number

_ALLOWED = frozenset(map(id, (
    RESHAPE, SLICE, RESHAPE_ALL, SAMPLE, OF_SAMPLE, TURNED, PRODUCT, ROW_PRODUCTS, MATMUL, RUNNING_SUM, REARRANGE,
    EXPAND, CONCATENATE,
)))  # fmt: skip


class WholeUpdate:
    """What an update does with a weight, as launches.

    Args:
        update: what it does; its states may have any shapes.
        numbers: the numbers of the step, to which it adds those that it needs.
        what: it is, for errors.

    Raises:
        TracingError: an operation takes part that an update cannot have.
    """

    rows = None  # an update knows no batch

    def __init__(self, update: TracedUpdate, numbers: StepNumbers, what: str):
        self.update, self.what, self._numbers = update, what, numbers
        self._nodes = ordered([*update.results, update.g])
        for x in self._nodes:
            if not (x.operation is None or isinstance(x.operation, (Formula, Fold)) or id(x.operation) in _ALLOWED):
                name = getattr(x.operation, "name", "")
                raise TracingError(
                    f"ops.{name} takes part: an update is made of formulas, folds, products and moved elements of its "
                    "weight and states; apply(gradients, weights) takes what a program computes."
                )
        self._add_numbers()

    def _add_numbers(self) -> None:
        """Count what depends on the step alone among the numbers of the step."""
        of_step = {id(x) for x in self._numbers.step.leaves}
        for x in self._nodes:
            if x.value is not None:
                is_of_step = x.value.size == 1
            else:
                is_of_step = isinstance(x.operation, Formula) and all(id(y) in of_step for y in x.inputs)
            if is_of_step and not x.is_bool:
                of_step.add(id(x))
        self._numbers.enter(x for x in self._nodes if id(x) in of_step)
        read = {id(y) for x in self._nodes if id(x) not in of_step for y in x.inputs}
        read |= {id(x) for x in self.update.results}
        for x in self._nodes:
            if x.value is None and id(x) in of_step and id(x) in read:
                self._numbers.add(x)

    def row(self, name: str, scalars: Callable, states: tuple[str, ...], carried: tuple[str, ...]) -> Update:
        """The row of the registry, as `WeightRules.row` gives it."""
        update, names = self.update, (*states, *carried)
        elements = [update.w, update.g, *update.states, *update.numbers]
        known = {id(x): f"m{i}" for i, x in enumerate(elements)}
        f = rule_of("update", elements[:1], known, [*known.values(), *self._numbers.arguments])
        return Update(name, f, scalars, names, whole=self)

    def launch(
        self, plan: Plan, name: str, variable: Variable, g: View, states: Sequence[Variable], scalars: Sequence[Slot],
        period: int,
    ) -> None:  # fmt: skip
        """Add the launches of the update.

        Args:
            plan: gets them.
            name: of their kernels.
            variable: the weight.
            g: its gradient.
            states: its states, those of one number last.
            scalars: the slots of the numbers of the step.
            period: steps from one update to the next.
        """
        update, first = self.update, len(plan.launches)
        arrays, singles = [variable, *states[: len(update.states)]], states[len(update.states) :]
        places: dict[int, Any] = {id(x): scalars[i] for x, i in self._numbers.positions(self._nodes) if x.value is None}
        places |= {id(x): v for x, v in zip([update.w, *update.states], arrays, strict=True)} | {id(update.g): g}
        if singles:
            slots = [plan.slot() for _ in singles]
            given = {"f": _unchanged(update.numbers), "p": [], "scalars": [], "memory": singles, "numbers": slots}
            plan.call(step_scalars.weight_numbers, **given, dtype="float64")
            places |= {id(x): slot for x, slot in zip(update.numbers, slots, strict=True)}
        lowering = _UpdateLowering(plan, self, name, places, variable.dtype)
        new = list(zip(arrays, [update.w, *update.states], update.results[: len(arrays)], strict=True))
        changed = [(v, lowering.stored(root)) for v, leaf, root in [*new[1:], new[0]] if root is not leaf]
        results = [lowering.number(root) for root in update.results[len(arrays) :]]
        for v, view in changed:  # once all that reads the former values has been computed
            plan.call(elementwise.copy, x=view, y=v)
        if singles:
            plan.call(step_scalars.remember, scalars=results, memory=singles, dtype="float64")
        for launch in plan.launches[first:]:
            launch.period = period


class _UpdateLowering(WholeLowering):
    """Adds formulas of arrays without a batch; arrays of one sample are arrays without their first axis."""

    def stored(self, root: SymbolicArray) -> View:
        """A view of a result, which no variable's memory is."""
        self._compute_cuts(root)
        place = self.places.get(id(root))
        if not isinstance(place, View):
            place = self.buffer(root)
            self.store(root, place)
            if not is_number(root):
                self.places.setdefault(id(root), place)
        return place

    def _order(self, root: SymbolicArray) -> list[SymbolicArray]:
        """Without the transpositions that products alone read, as they are."""
        nodes = super()._order(root)
        read = {id(y) for x in nodes if x.operation is not PRODUCT for y in x.inputs} | {id(root)}
        return [x for x in nodes if x.operation is not TURNED or id(x) in read]

    def _with_folds(self, root: SymbolicArray) -> list[SymbolicArray]:
        """What a formula is made of; numbers that its elements read are computed once, in float64."""
        self._compute_cuts(root)
        nodes = ordered([root], leaves=self.places)
        read = {id(y) for x in nodes if x.is_bool or not is_number(x) for y in x.inputs}
        for x in nodes:
            if x.operation is not None and is_number(x) and not x.is_bool and id(x) in read:
                self.number(x)
        return super()._with_folds(root)

    def _parameters(self, nodes: Sequence[SymbolicArray], names: dict[int, str]) -> list[float]:
        """The constants: another value is no other kernel."""
        given = [x for x in nodes if x.value is not None and x.value.size == 1 and not is_plain(x)]
        names |= {id(x): f"p{i}" for i, x in enumerate(given)}
        return [float(x.value.reshape(-1)[0]) for x in given]  # type: ignore[union-attr]

    # ---- what operations with launches of their own take

    def weight(self, x: SymbolicArray) -> View | Variable:
        """Where an array without a batch is."""
        return self.view(x) if x.value is None else constant_weight(x, self.dtype)

    def factor(self, x: SymbolicArray) -> tuple[View | Variable, bool]:
        """Where a factor of a product is, and whether it is read transposed."""
        if x.operation is TURNED and id(x) not in self.places:
            return self.view(x.inputs[0]), True
        return self.weight(x), False

    def under_shape(self, x: SymbolicArray) -> View:
        """The operand of a reshape under its shape."""
        return self._reshaped(self.view(x.inputs[0]), x.shape)

    def _launched(self, x: SymbolicArray) -> View:
        if x.operation is REARRANGE:
            return self._moved(self.view(x.inputs[0]), index_of(x))
        if x.operation is TURNED:
            return self._moved(self.view(x.inputs[0]), _numbered(x.inputs[0].shape).T)
        if x.operation is ROW_PRODUCTS and x.ndim == 3:
            a, b = x.inputs
            y = self.buffer(x)
            self.plan.product(self.view(a), self.view(b), y)
            return y
        return x.operation.launch(self, x)  # type: ignore[union-attr]

    def _moved(self, source: View | Variable, index: np.ndarray) -> View:
        """The elements at numbers, in an array of their shape."""
        y = self.plan.buffer(index.shape, self.dtype, per_row=False)
        positions = Variable(np.ascontiguousarray(index, np.int32).reshape(-1), "index")
        self.plan.call(loops.elements_at, x=source, index=positions, y=y.flat)
        return y

    def _buffer(self, shape: Shape) -> View:
        return self.plan.buffer([size for size in shape if size is not None], self.dtype, per_row=False)

    def _repeated(self, x: SymbolicArray, given: Shape, others: Sequence[SymbolicArray], shape: Shape) -> View:
        place = self.places[id(x)]
        assert not isinstance(place, Slot)
        return self._moved(place, np.broadcast_to(_numbered(given), _sizes(shape)))

    def _other_axes(self, x: SymbolicArray, axes: list[int], kept: list[int]) -> View:
        """A fold of any axes: they are put behind the others."""
        source, operation = x.inputs[0], x.operation
        assert isinstance(operation, Fold)
        sizes = _sizes(source.shape)
        ones = [a for a in range(source.ndim) if a not in axes and a not in kept]
        shape = tuple(sizes[a] for a in (*kept, *axes))
        index = _numbered(source.shape).transpose([*ones, *kept, *axes]).reshape(shape)
        return self._last_axes(operation, self._moved(self.view(source), index), shape, len(kept))


def _unchanged(numbers: Sequence[SymbolicArray]) -> Callable:
    """The rule that gives its arguments."""
    return rule_of("unchanged", numbers, {id(x): f"c{i}" for i, x in enumerate(numbers)})


def _sizes(shape: Shape) -> tuple[int, ...]:
    """A shape with 1 for the sample."""
    return tuple(1 if size is None else size for size in shape)


def _numbered(shape: Shape) -> np.ndarray:
    """The number of each element of an array."""
    return np.arange(math.prod(_sizes(shape)), dtype=np.int32).reshape(_sizes(shape))
