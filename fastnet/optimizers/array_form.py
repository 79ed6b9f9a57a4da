"""Optimizers in Keras's form: a class with `build` and `update_step`, in array code, of which rows are made."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastnet import initializers
from fastnet._kernels.registry import Update
from fastnet.checks import warn
from fastnet.descriptions import snake_case
from fastnet.engine.variable import Variable
from fastnet.optimizers.shared_stages import AVERAGE, SUM
from fastnet.symbolic.array import TracingError, refusal
from fastnet.symbolic.rule_formulas import of_rule, result_of
from fastnet.symbolic.shared_numbers import SharedStep, traced_shared_step
from fastnet.symbolic.trace import compiling
from fastnet.symbolic.update_rules import StepNumbers, WeightRules
from fastnet.symbolic.updates import StepLeaves, traced_update
from fastnet.symbolic.whole_updates import WholeUpdate

#: attributes that do not change an update
OUTSIDE = frozenset(
    "iterations states memory undecayed name learning_rate row changes "
    "_iterations _schedule _rate _form _parameters".split()
)
ARRAY_CODE = "array_code"  # the name of the row of an optimizer that has no rule


class ArrayForm:
    """What is known of an optimizer whose class defines `update_step`.

    Attributes:
        indices: weight → its number in the lists that `build` makes.
        is_building: whether `build` runs.
        step: the arguments of the update that is traced; None where none is.
        shared_step: the call of `_backend_update_step` that is traced; None where none is.
    """

    def __init__(self) -> None:
        self.indices: dict[Variable, int] = {}
        self.is_building = False
        self.step: StepLeaves | None = None
        self.shared_step: SharedStep | None = None
        self._of_weight: dict[Variable, list[Variable]] = {}
        self._of_rule: dict[Variable, list[Variable]] = {}  # the states of a built-in class's rule
        self._others: dict[Variable, None] = {}  # states that `add_variable` made, of which the weight is not known
        self._numbers: dict[Variable, None] = {}  # states of one number
        self._first: dict[str, Any] | None = None  # lists and dictionaries of the optimizer before `build`
        self._rows: dict[Variable, Update] = {}
        self._changes = -1  # those of the optimizer when its updates were traced
        self._assigned = 0  # weights that an update assigned then

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_rows": {}, "_changes": -1}  # rules are made of text

    def row_of(self, optimizer: Any, variable: Variable) -> Update:
        """The row of a weight, for the optimizer's present attributes."""
        if self._changes != optimizer.changes or variable not in self._rows:
            self._trace(optimizer)
        return self._rows[variable]

    # ---- states

    def build(self, optimizer: Any, build: Callable[[Any, list[Variable]], Any], variables: Iterable[Any]) -> None:
        """Make the states of weights that have none yet, and trace the update of each weight.

        Where some have states, `build` is called again with all of them, and their states keep the values.
        """
        given = list(map(optimizer.variable_of, variables))
        if all(v in optimizer.states for v in given):
            return
        before = dict(vars(optimizer)), dict(vars(self))
        old = optimizer.states
        everything = list(dict.fromkeys([*old, *given]))
        try:
            self._restore_lists(optimizer)
            self.indices = {v: i for i, v in enumerate(everything)}
            self._of_weight, self._others, self._numbers = {v: [] for v in everything}, {}, {}
            self._of_rule = {}
            self.is_building, optimizer.states = True, {}
            build(optimizer, everything)
            self.is_building = False
            optimizer.states = {v: [*states, *optimizer.extra_states(v)] for v, states in self._of_weight.items()}
            self._trace(optimizer)
        except BaseException:
            for owner, attributes in zip((optimizer, self), before, strict=True):
                vars(owner).clear()
                vars(owner).update(attributes)
            raise
        _keep_values(old, optimizer.states)
        _keep_values({None: before[0]["memory"]}, {None: optimizer.memory})
        optimizer.__dict__["changes"] = self._changes = optimizer.changes + bool(old)

    def _restore_lists(self, optimizer: Any) -> None:
        """Lists that `__init__` made are as they were before the first `build`, which may have appended to them."""
        if self._first is None:
            self._first = {k: v for k, v in _containers(optimizer).items() if k not in OUTSIDE}
        vars(optimizer).update({name: type(value)(value) for name, value in self._first.items()})

    def anew(self, optimizer: Any) -> ArrayForm:
        """That of a copy of the optimizer without states; gives it the lists from before `build`."""
        form = ArrayForm()
        form._first = self._first
        if self._first is not None:
            form._restore_lists(optimizer)
        return form

    def change(self, optimizer: Any, changed: dict[str, Any], problem: str) -> None:
        """Give attributes other values.

        Raises:
            AttributeError: ``problem``: the update goes on with other states; nothing has changed then.
        """
        before = dict(vars(optimizer))
        vars(optimizer).update(changed)
        if not optimizer.states:
            return
        try:
            self._trace(optimizer)
        except Exception as error:
            vars(optimizer).clear()
            vars(optimizer).update(before)
            raise AttributeError(problem) from error

    def derived(self, before: Any, after: Any) -> dict[str, Any]:
        """The numbers in which two new optimizers differ, since an argument does."""
        plain = (int, float, str, bool, type(None))
        found, other = vars(after), vars(before)
        changed = {k: v for k, v in found.items() if isinstance(v, plain) and k not in OUTSIDE}
        return {k: v for k, v in changed.items() if k not in other or other[k] != v}

    def add(
        self, owner: str, shape: tuple[int, ...], initializer: Any, name: str, of: Variable | None, dtype: Any = None
    ) -> Variable:
        """A new state.

        Args:
            owner: the class, for errors.
            shape: its shape; one without axes is one number.
            initializer: of its first value.
            name: its name.
            of: the weight whose state it is, or None where the update that uses it tells that.
            dtype: of an array, where weights have several dtypes and none has its shape.

        Raises:
            ValueError: `build` does not run, or the weight is none of those that it was given.
        """
        if not self.is_building:
            raise ValueError(f"{owner}: the state {name!r} must be made in build(self, variables).")
        if of is not None and of not in self._of_weight:
            raise ValueError(f"{owner}: the state {name!r} is of {of!r}, which is not among the variables of build.")
        if of is not None:
            dtype = of.dtype
        else:
            dtype = self._dtype_of(shape, dtype) if shape else "float64"
        state = Variable(np.asarray(initializers.get(initializer)(shape, dtype)), name, trainable=False)
        if of is not None:
            self._of_weight[of].append(state)
            return state
        self._others[state] = None
        if not shape:
            self._numbers[state] = None
        return state

    def own(self, owner: str, variable: Variable, attribute: str) -> Variable:
        """A variable that `build` makes an attribute, as a state; a layer's weight stays, and what is a state."""
        known = (*self.indices, *self._others, *(s for states in self._of_weight.values() for s in states))
        if "/" in variable.path or any(variable is each for each in known):
            return variable
        return self.add(owner, variable.shape, variable.numpy(), attribute.strip("_"), None, variable.dtype)

    def _dtype_of(self, shape: tuple[int, ...], dtype: Any) -> str:
        """The dtype of an array: that of the weights, or of the first of its shape, or the given one."""
        dtypes = [v.dtype for v in self.indices]
        dtypes = [v.dtype for v in self.indices if v.shape == shape] or dtypes
        return dtypes[0] if len(set(dtypes)) == 1 or dtype is None else np.dtype(dtype).name

    def has_rule(self, optimizer: Any) -> bool:
        """Whether the class is made of a built-in one."""
        return optimizer.row.name != ARRAY_CODE

    def add_states_of_rule(self, optimizer: Any) -> None:
        """The states of the built-in rule that `apply_rule` uses."""
        for v in self.indices if not self._of_rule else ():
            firsts = {n: np.full(v.shape, optimizer.start_of(n, v.current), v.dtype) for n in optimizer.row.states}
            self._of_rule[v] = [self.add("", v.shape, first, n, v) for n, first in firsts.items()]

    def apply_rule(self, optimizer: Any, gradient: Any, variable: Variable, rate: Any) -> None:
        """Change a weight and its states by the built-in rule, in an update."""
        row, states, parameters = optimizer.row, self._of_rule[variable], tuple(optimizer.parameters.values())
        if row.direction or row.means or row.memory or row.sums or row.total_sums or self.step is None:
            raise refusal(
                f"the update of the rule {row.name!r} is of more than the elements of a weight",
                "write it in array code, in a subclass of optimizers.Optimizer",
            )
        count = row.scalar_count
        scalars = [of_rule(result_of(row.scalars, i, count), (rate, self.step.t), parameters) for i in range(count)]
        known = [variable, gradient, *states, *scalars]
        results = [of_rule(result_of(row.f, i, 1 + len(states)), tuple(known)) for i in range(1 + len(states))]
        for v, result in zip((variable, *states), results, strict=True):
            v.assign(result)

    # ---- rows

    def _trace(self, optimizer: Any) -> None:
        """Make the rows of all weights, and put their states in the order of the rows."""
        owner, self.step = type(optimizer).__name__, StepLeaves()
        rules: dict[Variable, WeightRules | WholeUpdate] = {}
        self._assigned = 0
        names = {id(v): f"the weight {v.path!r}" for v in self.indices}
        for v, states in self._of_weight.items():
            names |= {id(each): f"{each.name!r}, a state of {v.path!r}" for each in states}
        try:
            memory = self._shared_numbers(optimizer, f"{owner}._backend_update_step")
            with compiling(f"{owner}._backend_update_step"):
                numbers = StepNumbers(self.step)
            for v in self.indices:
                with contextlib.suppress(TracingError):  # it is of more than elements, or the next call says what it is
                    rules[v] = self._rules(optimizer, v, numbers, names, is_whole=False)
                if v not in rules:
                    rules[v] = self._rules(optimizer, v, numbers, names, is_whole=True)
        finally:
            self.step = self.shared_step = None
        if self.indices and not self._assigned:
            warn(
                f"{owner}.update_step assigns no weight, so it trains nothing: "
                "self.assign_sub(variable, learning_rate * gradient)."
            )
        scalars, name = numbers.rule([float(v) for v in memory]), snake_case(owner)
        optimizer.memory = memory
        self._rows = {v: self._row(optimizer, v, each, name, scalars) for v, each in rules.items()}
        self._changes = optimizer.changes

    def _shared_numbers(self, optimizer: Any, what: str) -> list[Variable]:
        """The numbers that `_backend_update_step` assigns, where the class defines it.

        Raises:
            TracingError: it does what cannot be compiled.
        """
        step = self.step
        assert step is not None
        if not optimizer._has_shared_step:
            return []

        def begin(call: SharedStep) -> None:
            self.shared_step = call

        with compiling(what):
            candidates = [s for s in self._others if s in self._numbers]
            call = traced_shared_step(optimizer, candidates, step.rate, [*step.leaves, step.iterations], begin)
        changed = [v for v in call.variables if call.current[id(v)] is not call.leaves[id(v)]]
        step.memory = [(call.leaves[id(v)], call.current[id(v)]) for v in changed]
        assert call.at_updates is not None
        step.shared = {id(v): call.at_updates[id(v)] for v in changed}
        step.rate_of_updates = call.rate
        _name_apart(changed, ())
        return changed

    def _rules(
        self, optimizer: Any, v: Variable, numbers: StepNumbers, names: dict[int, str], is_whole: bool
    ) -> WeightRules | WholeUpdate:
        """What an update does with a weight: formulas of elements and sums, or of whole arrays.

        Raises:
            TracingError: it does something else.
        """
        step = self.step
        assert step is not None
        free = [s for s in self._others if id(s) not in step.shared]
        states, single = self._states([*self._of_weight[v], *free])
        if not is_whole:
            states = [s for s in states if s.shape == v.shape]
        others = {key: name for key, name in names.items() if key not in map(id, (v, *states, *single))}
        what = f"{type(optimizer).__name__}.update_step for {v.path!r} of shape {v.shape}"
        update = traced_update(optimizer._decay_and_update, step, v, states, single, others, what, is_whole)
        self._assigned += update.results[0] is not update.w
        owned = dict.fromkeys(self._of_weight[v])
        update = update.of_states([s in owned or id(s) in update.used for s in (*states, *single)])
        for state in states:
            if id(state) in update.used and state.dtype != v.dtype:
                raise TracingError(
                    f"{what}: its state {state.name!r} is {state.dtype}, and the weight {v.dtype}; give "
                    "add_variable(..., dtype=variable.dtype)."
                )
        with compiling(what):
            found = WholeUpdate(update, numbers, what) if is_whole else WeightRules(update, numbers)
        self._adopt(v, update.used, names)
        return found

    def _adopt(self, v: Variable, used: set[int], names: dict[int, str]) -> None:
        """Count the states that `add_variable` made, and the update of a weight uses, among its states."""
        for each in [each for each in self._others if id(each) in used]:
            del self._others[each]
            self._of_weight[v].append(each)
            names[id(each)] = f"{each.name!r}, a state that the update of {v.path!r} uses"

    def _states(self, candidates: Iterable[Variable]) -> tuple[list[Variable], list[Variable]]:
        """Of some states the arrays, and those of one number."""
        given = list(candidates)
        return [s for s in given if s not in self._numbers], [s for s in given if s in self._numbers]

    def _row(
        self, optimizer: Any, v: Variable, rules: WeightRules | WholeUpdate, name: str, scalars: Callable[..., Any]
    ) -> Update:
        """The row of a weight, whose states get names that differ."""
        states, single = self._states(self._of_weight[v])
        _name_apart([*states, *single], (AVERAGE, SUM))
        extras = [s for s in optimizer.states[v] if s.name in (AVERAGE, SUM)]
        optimizer.states[v] = [*states, *single, *extras]
        return rules.row(name, scalars, tuple(s.name for s in states), tuple(s.name for s in single))


def _name_apart(states: Iterable[Variable], others: Iterable[str]) -> None:
    """Give states names that differ, also from others."""
    taken = list(others)
    for state in states:
        free = (f"{state.name}_{i}" if i else state.name for i in itertools.count())
        state.name = next(each for each in free if each not in taken)
        taken.append(state.name)


def _containers(optimizer: Any) -> dict[str, Any]:
    """Copies of the lists and dictionaries that are attributes."""
    return {key: type(value)(value) for key, value in vars(optimizer).items() if type(value) in (list, dict)}


def _keep_values(old: dict[Any, list[Variable]], new: dict[Any, list[Variable]]) -> None:
    """Give new states of weights that had states the values of these, by name."""
    for v, states in old.items():
        values = {s.name: s.current for s in states}
        for state in new[v]:
            if state.name in values and values[state.name].shape == state.shape:
                state.array[...] = values[state.name]
