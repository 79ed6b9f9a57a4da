"""Metrics written as array code: what `update_state` assigns to variables, counted in the compiled step."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet._kernels.templates import whole_formulas as loops
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable, tracing
from fastnet.engine.view import Slot, View
from fastnet.symbolic import formulas
from fastnet.symbolic.array import Shape, SymbolicArray
from fastnet.symbolic.leaves import argument, constant, tracing_weights, whole_arrays
from fastnet.symbolic.order import ordered
from fastnet.symbolic.trace import signature
from fastnet.symbolic.whole import WholeLowering


@dataclass(frozen=True)
class TracedUpdate:
    """What a batch does to the variables of a metric.

    Attributes:
        what: the metric, for errors.
        arguments: targets, predictions, and sample weights where there are any.
        rows: stands for the number of rows of the batch.
        leaves: stand for the variables before the batch.
        values: the variables after it; None for one that stays.
    """

    what: str
    arguments: list[SymbolicArray]
    rows: SymbolicArray
    leaves: list[SymbolicArray]
    values: list[SymbolicArray | None]

    @property
    def is_countable(self) -> bool:
        """Whether each variable becomes a formula of itself and the batch: one number, or several to which a sum of the
        batch is added."""
        found = {id(leaf) for leaf in self.leaves}
        for leaf, value in zip(self.leaves, self.values, strict=True):
            if value is None:
                continue
            if any(id(x) in found and x is not leaf for x in ordered([value])):
                return False
            if _size(value) != 1 if _size(leaf) == 1 else added(leaf, value) is None:
                return False
        return any(value is not None for value in self.values)


def added(leaf: SymbolicArray, value: SymbolicArray) -> SymbolicArray | None:
    """What is added to a variable of several numbers; None if it becomes something else."""
    if value.operation is not formulas.add or leaf not in value.inputs:
        return None
    others = [x for x in value.inputs if x is not leaf]
    if len(others) != 1 or others[0].shape != leaf.shape or any(x is leaf for x in ordered(others)):
        return None
    return others[0]


def traced_update(metric: Any, shapes: list[Shape], more: Mapping[str, Any]) -> TracedUpdate | None:
    """What `update_state` of a metric does, where it is array code that assigns to the metric's variables alone.

    Whatever it raises for symbolic arrays, it is then called with the arrays of each batch.

    Args:
        metric: it stays as it is: a copy is traced.
        shapes: of targets and predictions, and of sample weights where there are any.
        more: further arguments.
    """
    found, graphs = None, []
    for _ in range(2):
        try:
            found = _traced(copy.deepcopy(metric), shapes, more)
        except Exception:
            return None
        if found is None or not found.is_countable:
            return None
        inputs = [*found.arguments, found.rows, *found.leaves]
        graphs.append([None if value is None else signature(inputs, value) for value in found.values])
    return found if graphs[0] == graphs[1] else None


def _traced(metric: Any, shapes: list[Shape], more: Mapping[str, Any]) -> TracedUpdate | None:
    before = fingerprint(vars(metric))
    arguments, rows = [argument(shape) for shape in shapes], argument(())
    given = {**more, "sample_weight": arguments[2]} if len(arguments) > 2 else more
    with whole_arrays(rows), _assigning(metric._added) as (leaves, values):
        metric.update_state(*arguments[:2], **given)
    if fingerprint(vars(metric)) != before:  # it counts in attributes
        return None
    new = [None if value is leaf else value for leaf, value in zip(leaves, values, strict=True)]
    return TracedUpdate(f"The metric {metric.name!r}", arguments, rows, leaves, new)


@contextlib.contextmanager
def _assigning(variables: list[Variable]) -> Iterator[tuple[list[SymbolicArray], list[SymbolicArray]]]:
    """A context in which the variables of a metric are symbolic arrays, to which others may be assigned; gives what
    they are before and after it."""
    leaves = [argument(variable.shape) for variable in variables]
    values, numbers = list(leaves), {id(variable): i for i, variable in enumerate(variables)}
    with tracing_weights(take_part=False):
        refused = tracing.leaf

        def leaf(variable: Variable) -> Any:
            return values[numbers[id(variable)]] if id(variable) in numbers else refused(variable)  # type: ignore[misc]

        def assign(variable: Variable, value: Any) -> None:
            value, present = constant(value), leaf(variable)
            values[numbers[id(variable)]] = value if value.shape == present.shape else formulas.like(value, present)

        tracing.leaf, tracing.assign = leaf, assign
        yield leaves, values


def fingerprint(value: Any) -> Any:
    """What is equal where nothing in a value has changed, as far as numbers, arrays and containers go."""
    if isinstance(value, dict):
        return [(key, fingerprint(each)) for key, each in value.items()]
    if isinstance(value, (list, tuple, set)):
        return [fingerprint(each) for each in value]
    if isinstance(value, Variable):
        return value.current.tobytes()
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes()
    return value if isinstance(value, (int, float, str)) else id(value)


def count(update: TracedUpdate, plan: Plan, views: list[View], state: Slot, dtype: str) -> None:
    """Add the launches that count a batch.

    Args:
        update: what a batch does.
        plan: gets the launches.
        views: targets, predictions, and sample weights where there are any.
        state: the numbers of the variables, one after the other; behind them the rows of the last batch.
        dtype: of the views.
    """
    firsts = np.cumsum([0, *map(_size, update.leaves)]).tolist()
    places: dict[int, Any] = {id(x): view for x, view in zip(update.arguments, views, strict=True)}
    places |= {id(x): Slot(state.index + first) for x, first in zip(update.leaves, firsts)}
    places[id(update.rows)] = rows = Slot(state.index + firsts[-1])
    plan.call(loops.row_count, y=rows, rows=-1)
    lowering = WholeLowering(plan, update, "metric", places, dtype)
    for leaf, value, first in zip(update.leaves, update.values, firsts):
        slot = Slot(state.index + first)
        if value is not None and _size(leaf) == 1:
            lowering.store_number(value, slot)
        elif value is not None and (sums := added(leaf, value)) is not None:
            lowering.add_numbers(sums, slot)


def _size(x: SymbolicArray) -> int:
    return math.prod(size or 1 for size in x.shape)
