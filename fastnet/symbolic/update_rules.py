"""Rules of traced updates: what is a number of the step, a number of a weight, and a formula of its elements."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from fastnet._kernels.registry import Carried, Stage, Update
from fastnet.symbolic.array import Shape, ShapeError, SymbolicArray, TracingError, shown
from fastnet.symbolic.folds import Fold
from fastnet.symbolic.formulas import Formula
from fastnet.symbolic.order import ordered
from fastnet.symbolic.rows import RuleText, is_same
from fastnet.symbolic.updates import StepLeaves, TracedUpdate

STEP, WEIGHT, ELEMENT = range(3)  # levels: a number of the step, one of the weight, one of each element
#: constants that are part of a rule's text; others are its arguments, so that it has one kernel for all their values
_PLAIN = frozenset((0.0, 1.0, 2.0))


def is_plain(x: SymbolicArray) -> bool:
    """Whether an array is a constant that stands in the text of a rule."""
    return x.value is not None and (x.is_bool or abs(float(x.value.reshape(-1)[0])) in _PLAIN)


class Levels:
    """The level of each number of an update, and the folds it lies behind.

    Args:
        update: what is done with a weight.

    Raises:
        TracingError: something is neither a formula of elements nor a sum over the whole weight.
    """

    def __init__(self, update: TracedUpdate):
        self.shape = update.w.shape
        self.nodes = ordered([*update.results, update.g])
        self.level: dict[int, int] = {}
        self.depth: dict[int, int] = {}
        of_elements = {id(x) for x in (update.w, update.g, *update.states)}
        carried = {id(x) for x in update.numbers}
        for x in self.nodes:
            key = id(x)
            if x.operation is None:
                self.level[key] = ELEMENT if key in of_elements else WEIGHT if key in carried else STEP
                self.depth[key] = 0
                self._check_constant(x)
                continue
            self.level[key] = max(self.level[id(y)] for y in x.inputs)
            self.depth[key] = max(self.depth[id(y)] for y in x.inputs)
            if self.is_sum(x):
                self.level[key], self.depth[key] = WEIGHT, self.depth[key] + 1
            self._check(x)

    def is_sum(self, x: SymbolicArray) -> bool:
        """Whether an operation sums all elements of a weight."""
        is_fold = isinstance(x.operation, Fold) and _size(x.shape) == 1
        return is_fold and self.level[id(x.inputs[0])] == ELEMENT

    def _check_constant(self, x: SymbolicArray) -> None:
        if x.value is not None and (x.value != x.value.reshape(-1)[0]).any():
            raise TracingError(
                f"An array of shape {shown(x.shape)} from outside takes part: make it a state, "
                "add_variable_from_reference(variable, initializer=array)."
            )

    def _check(self, x: SymbolicArray) -> None:
        if not (isinstance(x.operation, (Formula, Fold)) or is_same(x)):
            name = getattr(x.operation, "name", "")
            raise TracingError(
                f"ops.{name} takes part: an update is made of formulas of elements and of sums over a weight; "
                "apply(gradients, weights) takes what a program computes."
            )
        if self.level[id(x)] == ELEMENT and _size(x.shape) != _size(self.shape):
            raise ShapeError(f"An array of shape {shown(x.shape)} takes part beside a weight of {shown(self.shape)}.")


class StepNumbers:
    """The numbers of a step that the rules of all weights take: results of one rule.

    Args:
        step: the arguments that all updates share.
    """

    def __init__(self, step: StepLeaves):
        self.step = step
        self.found: dict[Hashable, tuple[int, SymbolicArray]] = {}
        self._keys: dict[int, Hashable] = {id(x): ("leaf", i) for i, x in enumerate(step.leaves)}
        roots = [root for _, root in step.memory]
        self._check(roots)
        self.enter(ordered(roots))

    def _check(self, roots: Sequence[SymbolicArray]) -> None:
        for x in ordered(roots):
            is_leaf = id(x) in self._keys or (x.value is not None and x.value.size == 1)
            if not (is_leaf or isinstance(x.operation, Formula)):
                raise TracingError("A number that all weights share is assigned something that is none of the step.")

    def enter(self, nodes: Iterable[SymbolicArray]) -> None:
        """Tell the constants of a weight's update apart, the same for every weight: by value, and how many were equal.

        Constants that are equal by chance are two, so that a rule's text does not depend on their values.
        """
        counts: dict[str, int] = {}
        for x in nodes:
            if x.value is not None and id(x) not in self._keys:
                text = repr(x.value.reshape(-1)[0])
                counts[text] = counts.get(text, -1) + 1
                self._keys[id(x)] = ("constant", text, 0 if is_plain(x) else counts[text])

    def add(self, x: SymbolicArray) -> None:
        """Count a number among the results."""
        self.found.setdefault(self._key(x), (len(self.found), x))

    def names(self, nodes: Iterable[SymbolicArray]) -> dict[int, str]:
        """The names of those of some numbers that are results, by the ids of their arrays."""
        return {id(x): _named(x, f"s{i}") for x, i in self.positions(nodes)}

    def positions(self, nodes: Iterable[SymbolicArray]) -> list[tuple[SymbolicArray, int]]:
        """Those of some numbers that are results, each with its number among them."""
        known = [x for x in nodes if self._keys.get(id(x)) in self.found]
        return [(x, self.found[self._keys[id(x)]][0]) for x in known]

    @property
    def arguments(self) -> list[str]:
        """The names of all results."""
        return [f"s{i}" for i in range(len(self.found))]

    def rule(self, memory: Sequence[float] = ()) -> Callable:
        """The rule ``(rate, t, *constants, *memory) -> *numbers, *memory``; its defaults are the constants, and what is
        given as the memory."""
        if not self.found:
            self.add(self.step.rate)
        roots = [*(x for _, x in self.found.values()), *(root for _, root in self.step.memory)]
        names = {id(self.step.rate): "rate", id(self.step.t): "t"}
        constants = _constants(ordered(roots), self._keys)
        names |= {key: f"p{i}" for key, (i, _) in constants.items()}
        values = dict(constants.values())
        carried = {id(leaf): f"c{i}" for i, (leaf, _) in enumerate(self.step.memory)}
        rule = rule_of("update_scalars", roots, names | carried)
        return _with_defaults(rule, (*values.values(), *memory), tuple(carried.values()))

    def _key(self, x: SymbolicArray) -> Hashable:
        for node in ordered([x], self._keys):
            inputs = tuple(self._keys[id(y)] for y in node.inputs)
            self._keys[id(node)] = (node.operation, inputs, node.is_bool)
        return self._keys[id(x)]


class WeightRules:
    """The rules of the update of a weight.

    Args:
        update: what is done with it.
        numbers: the numbers of the step, to which it adds those that it needs.
    """

    def __init__(self, update: TracedUpdate, numbers: StepNumbers):
        self.update, self.numbers, self.levels = update, numbers, Levels(update)
        self.carried, count = update.numbers, 1 + len(update.states)
        self.roots, self.carried_roots = update.results[:count], update.results[count:]
        self.sums: list[list[SymbolicArray]] = []  # over the weight, by depth
        self.by_depth: list[list[SymbolicArray]] = []  # numbers of the weight that others are made of
        numbers.enter(self.levels.nodes)
        self._collect()

    def _collect(self) -> None:
        """Find the numbers of the step and of the weight that others are made of."""
        level, depth = self.levels.level, self.levels.depth
        for x in self.carried_roots:
            if level[id(x)] == ELEMENT:
                raise ShapeError("A state of one number is assigned an element of the weight: sum it, ops.sum(x).")
        last = max([depth[id(x)] for x in self.levels.nodes if level[id(x)] == WEIGHT], default=-1)
        self.sums = [[] for _ in range(last + 1)]
        wanted: list[dict[int, SymbolicArray]] = [{} for _ in range(last + 1)]
        used: list[tuple[SymbolicArray, int, int]] = [(x, ELEMENT, last + 1) for x in self.roots]
        used += [(x, WEIGHT, last) for x in self.carried_roots]
        for x in self.levels.nodes:
            if self.levels.is_sum(x):
                self.sums[depth[id(x)]].append(x)
            if level[id(x)] != STEP:
                above = WEIGHT if level[id(x)] == WEIGHT and not self.levels.is_sum(x) else ELEMENT
                used += [(y, above, depth[id(x)]) for y in x.inputs]
        for x, above, at in used:
            if level[id(x)] == STEP and not is_plain(x) and (above == ELEMENT or x.value is None):
                self.numbers.add(x)
            elif level[id(x)] == WEIGHT and (above == ELEMENT or 0 < depth[id(x)] < at):  # those of depth 0 need no sum
                wanted[depth[id(x)]][id(x)] = x
        self.by_depth = [list(each.values()) for each in wanted]

    def row(self, name: str, scalars: Callable, states: tuple[str, ...], carried: tuple[str, ...]) -> Update:
        """The row of the registry, once the numbers of the step are known of all weights.

        Args:
            name: of the row.
            scalars: the rule of the numbers of the step.
            states, carried: names of the states of the weight's shape, and of those of one number.
        """
        operands = self._elements()
        step, scalar_names = self.numbers.names(self.levels.nodes), self.numbers.arguments
        known, arguments, stages = dict(step), [*scalar_names], []
        carried_names = {id(x): f"c{i}" for i, x in enumerate(self.carried)}
        for at, (sums, results) in enumerate(zip(self.sums, self.by_depth, strict=True)):
            rules = tuple(
                rule_of("update_sum", [x.inputs[0]], operands | known, [*operands.values(), *arguments]) for x in sums
            )
            results = [*results, *(self.carried_roots if at == len(self.sums) - 1 else ())]
            if not results:
                continue
            inside = self._within(results, known)
            constants = _constants(inside, {id(x): id(x) for x in inside})
            values = dict(constants.values())
            names = {key: f"p{i}" for key, (i, _) in constants.items()}
            totals = {id(x): f"t{i}" for i, x in enumerate(sums)}
            taken = [*(f"p{i}" for i in values), *arguments, *totals.values(), *carried_names.values()]
            f = rule_of("update_numbers", results, names | known | totals | carried_names, taken)
            stages.append(Stage(f, len(results), tuple(values.values()), rules))
            for x in self.by_depth[at]:
                arguments.append(f"n{len(arguments) - len(scalar_names)}")
                known[id(x)] = _named(x, arguments[-1])
        f = rule_of("update", self.roots, operands | known, [*operands.values(), *arguments])
        return Update(name, f, scalars, states, stages=tuple(stages), carried=carried)

    def _elements(self) -> dict[int, str]:
        states = {id(x): f"m{i}" for i, x in enumerate(self.update.states)}
        return {id(self.update.w): "w", id(self.update.g): "g"} | states

    def _within(self, results: Sequence[SymbolicArray], known: dict[int, str]) -> list[SymbolicArray]:
        """What numbers of a weight are made of at their depth."""
        sums = {id(x) for x in self.levels.nodes if self.levels.is_sum(x)}
        return ordered(results, known, sums)


def _size(shape: Shape) -> int:
    return math.prod(size or 1 for size in shape)


def _named(x: SymbolicArray, name: str) -> str:
    """The text of a number that has a name; truth values are 0 and 1 there."""
    return f"({name} != 0.0)" if x.is_bool else name


def _constants(nodes: Iterable[SymbolicArray], keys: Mapping[int, Hashable]) -> dict[int, tuple[int, float]]:
    """The constants that are arguments of a rule: each one's number and value; those of one key are one argument."""
    numbers: dict[Hashable, int] = {}
    given = [x for x in nodes if x.value is not None and not is_plain(x)]
    return {
        id(x): (numbers.setdefault(keys[id(x)], len(numbers)), float(x.value.reshape(-1)[0]))  # type: ignore[union-attr]
        for x in given
    }


def rule_of(
    name: str, roots: Sequence[SymbolicArray], names: dict[int, str], arguments: Sequence[str] | None = None
) -> Callable:
    """The rule of some results.

    Args:
        name: of the function.
        roots: the results.
        names: of what is known, by the ids of their arrays.
        arguments: of the function; by default all names.
    """
    text = RuleText(names)
    results = [text.number(x) for x in roots]
    text.used = dict.fromkeys(arguments if arguments is not None else names.values())
    return text.rule(name, [], results)


@functools.lru_cache(maxsize=256)
def _with_defaults(rule: Any, defaults: tuple[float, ...], carried: tuple[str, ...]) -> Callable:
    """A rule with defaults of its last arguments, some of them carried to the next step; the same one each time."""
    copy: Any = types.FunctionType(rule.__code__, rule.__globals__, rule.__name__, defaults, rule.__closure__)
    copy.source, copy.__module__ = rule.source, rule.__module__
    copy.__annotations__ = dict.fromkeys(carried, Carried)
    return copy
