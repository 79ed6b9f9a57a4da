"""Updates of optimizers written as array code: a call with symbolic arrays, of which rows of the registry are made."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastnet.engine.variable import Variable, tracing
from fastnet.symbolic import formulas
from fastnet.symbolic.array import ShapeError, SymbolicArray, TracingError, refusal, shown
from fastnet.symbolic.leaves import argument, constant
from fastnet.symbolic.order import signature
from fastnet.symbolic.trace import compiling


class StepLeaves:
    """The arguments that the updates of all weights share.

    Attributes:
        rate: the learning rate.
        t: the number of the update, from 1.
        iterations: t - 1.
        rate_of_updates: the learning rate that updates are given.
        shared: values of numbers that all updates may read, by the ids of these.
        memory: numbers that are handed on from step to step: each as it is found, and as it is left.
    """

    def __init__(self) -> None:
        self.rate, self.t = argument(()), argument(())
        self.iterations = formulas.subtract(self.t, 1.0)
        self.rate_of_updates = self.rate
        self.shared: dict[int, SymbolicArray] = {}
        self.memory: list[tuple[SymbolicArray, SymbolicArray]] = []

    @property
    def leaves(self) -> list[SymbolicArray]:
        """What all numbers of a step are made of."""
        return [self.rate, self.t, *(leaf for leaf, _ in self.memory)]


@dataclass
class TracedUpdate:
    """What an update does with a weight.

    Attributes:
        w, g: the weight and its gradient, as it finds them.
        states, numbers: the states of the weight's shape and those of one number, as it finds them.
        results: what it leaves, the weight first, then the states, then the numbers.
        used: ids of the states that it reads or assigns.
    """

    w: SymbolicArray
    g: SymbolicArray
    states: list[SymbolicArray]
    numbers: list[SymbolicArray]
    results: list[SymbolicArray]
    used: set[int]

    @property
    def arguments(self) -> list[SymbolicArray]:
        """All that it finds."""
        return [self.g, self.w, *self.states, *self.numbers]

    def of_states(self, kept: Sequence[bool]) -> TracedUpdate:
        """The same with some of the states and numbers; others are not used."""
        count = len(self.states)
        first, *results = self.results
        return TracedUpdate(
            self.w,
            self.g,
            list(itertools.compress(self.states, kept[:count])),
            list(itertools.compress(self.numbers, kept[count:])),
            [first, *itertools.compress(results, kept)],
            self.used,
        )


class _Values:
    """The values of a weight and of its states within an update.

    Args:
        weight: the weight that is updated.
        states: of this weight.
        shared: the values of numbers that all updates may read.
        others: the name of each other weight and of its states, by their ids.
    """

    def __init__(
        self, weight: Variable, states: Sequence[Variable], shared: dict[int, SymbolicArray], others: dict[int, str]
    ):
        self.weight, self.shared, self.others = weight, shared, others
        self.current = {id(v): argument(v.shape) for v in (weight, *states)}
        self.used: set[int] = set()

    def leaf(self, variable: Variable) -> SymbolicArray:
        """The present value of the weight, of a state, or of a number that all updates share."""
        if id(variable) in self.shared:
            return self.shared[id(variable)]
        return self.current[self._known(variable, "read")]

    def assign(self, variable: Variable, value: Any) -> None:
        """Give the weight or a state another value."""
        key, given = self._known(variable, "assigned"), constant(value)
        if given.shape != variable.shape:
            raise refusal(
                f"{variable.name!r} has shape {variable.shape}, and is assigned an array of shape {shown(given.shape)}",
                "assign one of the same shape",
                ShapeError,
            )
        self.current[key] = given

    def refuse(self, variable: Variable) -> None:
        """Refuse to show elements."""
        raise refusal(
            f"the elements of {variable.name!r} are read in an update",
            "use it as it is, with operators and functions of fastnet.ops",
        )

    def _known(self, variable: Variable, what: str) -> int:
        if id(variable) in self.current:
            self.used.add(id(variable))
            return id(variable)
        if id(variable) in self.shared:
            raise refusal(
                f"{variable.name!r}, a number that all weights share, is {what} in the update of {self.weight.path!r}",
                "assign it in _backend_update_step alone, or make one for each weight",
            )
        name = self.others.get(id(variable), f"{variable.name!r}, not a variable of this optimizer")
        raise refusal(
            f"{name}, is {what} in the update of {self.weight.path!r}",
            "an update has its own weight, and states that build makes for each weight, a list of which it takes "
            "states[self._get_variable_index(variable)]",
        )

    def traced(self, is_whole: bool) -> contextlib.AbstractContextManager[None]:
        """A context in which variables of this thread stand for these values."""
        check = None if is_whole else _check_fold
        values = {"leaf": self.leaf, "refuse": self.refuse, "assign": self.assign, "check_fold": check}
        return tracing.within(**values, is_whole=is_whole, is_update=is_whole)


def _check_fold(name: str, x: SymbolicArray, axes: tuple[int, ...]) -> None:
    """Check that a fold of a weight is a sum of all its elements."""
    sizes = [size or 1 for size in x.shape]
    others = math.prod(size for axis, size in enumerate(sizes) if axis not in axes)
    if math.prod(sizes) != 1 and (name != "sum" or others != 1):
        raise refusal(
            f"{name} over the axes {axes} of an array of shape {shown(x.shape)} in an update",
            "an update sums a whole weight: ops.sum, ops.mean or ops.norm without an axis",
            ShapeError,
        )


def traced_update(
    update: Callable[[SymbolicArray, Variable, SymbolicArray], Any], step: StepLeaves, weight: Variable,
    states: Sequence[Variable], numbers: Sequence[Variable], others: dict[int, str], what: str, is_whole: bool = False,
) -> TracedUpdate:  # fmt: skip
    """What an update does with a weight.

    Args:
        update: ``(gradient, variable, learning_rate)``; it is called twice, and does the same each time.
        step: the arguments that all updates share.
        weight: the weight.
        states, numbers: its states, of its shape and of one number.
        others: names of the other weights and their states, by their ids.
        what: it is, for errors.
        is_whole: whether it may fold along axes and multiply, and its states have any shapes (`whole_updates`).

    Raises:
        TracingError: it does what cannot be compiled, or something else when it is called again.
    """
    calls, known = [], (weight, *states, *numbers)
    for _ in range(2):
        values, g = _Values(weight, known[1:], step.shared, others), argument(weight.shape)
        w, *found = (values.current[id(v)] for v in known)
        with compiling(what), values.traced(is_whole):
            if update(g, weight, step.rate_of_updates) is not None:
                raise TracingError(
                    "it returns a value, which nothing reads: assign it, self.assign(variable, value), and return None."
                )
        results, count = [values.current[id(v)] for v in known], len(states)
        calls.append(TracedUpdate(w, g, found[:count], found[count:], results, values.used))
    first, second = (_signature(step, each) for each in calls)
    if first != second:
        raise TracingError(
            f"{what} does something else when it is called again: a counter or random numbers of NumPy would be fixed "
            "in the compiled update. Use self.iterations, and states made by add_variable_from_reference."
        )
    return calls[0]


def _signature(step: StepLeaves, update: TracedUpdate) -> list[Any]:
    arguments = [*step.leaves, step.iterations, *update.arguments]
    return [signature(arguments, result) for result in update.results]
