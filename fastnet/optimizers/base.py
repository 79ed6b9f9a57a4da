"""What every optimizer is: an update rule, its numbers, what it keeps for each weight, and its learning rate."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from fastnet._kernels import registry
from fastnet._kernels.rules import updates as rules  # noqa: F401  (fills the table)
from fastnet.checks import flag
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.optimizers import changing, checks, updating
from fastnet.optimizers.schedules import LearningRateSchedule

AVERAGE, SUM = "moving average", "gradient sum"  # kept beside the rule's own states, whose names have no spaces


class Common(TypedDict, total=False):
    """The arguments that every optimizer takes; `Optimizer` describes them."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class Optimizer(metaclass=changing.Made):
    """Changes each weight by its gradient: by a rule of the registry, and by what all optimizers share.

    In each step, in Keras's order: the gradient is clipped, the weight decays, ``w -= lr · weight_decay · w``, the rule
    updates it, its moving average follows, its constraint is applied. All but the last is one pass over the weight;
    ``clipnorm``, ``global_clipnorm`` and ``gradient_accumulation_steps`` need the whole gradient first, and some rules
    the norms of the whole weight (`Lamb`, `Adafactor`, `Muon`).

    Args:
        row: its row of the registry, or the row's name.
        learning_rate: a number, an `optimizers.schedules.LearningRateSchedule`, or a function of the iteration (from
            0), or of nothing, that gives one.
        weight_decay: share of a weight that it loses in a step, times the learning rate; None for none.
        clipnorm: largest norm of a weight's gradient, which is scaled down to it.
        clipvalue: largest absolute value of a gradient's element.
        global_clipnorm: largest norm of all gradients together. One of the three may be given.
        use_ema: whether a moving average of each weight is kept; it becomes the weight at the end of `fit`.
        ema_momentum: share of the average that stays in a step.
        ema_overwrite_frequency: updates after which the average becomes the weight, again and again; None or 0 for
            never.
        loss_scale_factor: accepted; the loss is not scaled, since float32 and float64 need no such help.
        gradient_accumulation_steps: steps whose gradients are averaged for one update, at least 2; None or 0 for 1.
        name: as shown.
        parameters: values of the rule's numbers.

    Attributes:
        iterations: steps done, also those that only accumulated. (Keras's counts updates; schedules, there as here,
            are asked for the step.)
        learning_rate: the number of the coming step; may be set at any time, unless a `LearningRateSchedule` was given.
            So may every other argument, which counts from the next step on, unless other states would be kept with it.
        states: weight → what is kept for it: the rule's states by name, then "moving average" and "gradient sum".
        memory: numbers the rule hands on from step to step (Nadam's product).

    What training changes is ``iterations``, ``states``, ``memory`` and a learning rate that was set. `state` gives all
    of it as named arrays, `load_state` takes it back; with `get_config` they make an optimizer that goes on with the
    same bits.

    Raises:
        ValueError: an argument out of its range, two ways of clipping.
        TypeError: a number the rule does not have, or a rule whose number has the name of one of these arguments.

    Example:
        >>> import fastnet
        >>> optimizer = fastnet.optimizers.Adam(1e-3, weight_decay=1e-4, clipvalue=1.0)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
        >>> optimizer.learning_rate = 5e-4
    """

    def __init__(
        self,
        row: registry.Update | str,
        learning_rate: float | LearningRateSchedule | Callable[..., float] = 0.001,
        name: str | None = None,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        **parameters: float,
    ):
        row = registry.updates.find(row) if isinstance(row, str) else row
        taken = set(row.parameters) & {"row", *Common.__annotations__}
        if taken:
            raise TypeError(
                f"The optimizer {row.name!r}: {sorted(taken)} mean something in every optimizer; rename them."
            )
        unknown = set(parameters) - set(row.parameters)
        if unknown:
            raise TypeError(f"The optimizer {row.name!r} takes {list(row.parameters)}, received {sorted(unknown)}.")
        self.row = row
        self.name = name or (row.name if type(self) is Optimizer else type(self).__name__.lower())
        self.parameters = {**row.parameters, **parameters}
        self.parameters.pop("learning_rate", None)
        if row.name in registry.updates.own:
            checks.parameters(type(self).__name__, self.parameters)
        self.weight_decay, self.clipnorm, self.clipvalue = weight_decay, clipnorm, clipvalue
        self.global_clipnorm, self.loss_scale_factor = global_clipnorm, loss_scale_factor
        self.use_ema, self.ema_momentum = flag(f"{type(self).__name__}: use_ema", use_ema), ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.gradient_accumulation_steps = gradient_accumulation_steps
        checks.common(self)
        self.learning_rate = learning_rate
        self.iterations = 0
        self.states: dict[Variable, list[Variable]] = {}
        self.memory = self._first_memory()
        self.undecayed: tuple[Sequence[Variable], str | None] = ((), None)  # by themselves, and a pattern of names
        self._version = 0  # how often an argument was changed, for the plans that have it

    def __getattr__(self, name: str) -> Any:
        """The rule's numbers, ``optimizer.beta_1``."""
        try:
            return self.__dict__["parameters"][name]
        except KeyError:
            owner, instead = type(self).__name__, changing.INSTEAD.get(name)
            told = f" {name}: {instead}." if instead else f" attribute {name!r}."
            raise AttributeError(f"{owner} has no{told}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        """An argument's new value is checked and counts from the next step on; there are no other attributes."""
        if name == "iterations":
            value = changing.count(type(self).__name__, value)
        elif not changing.settable(self, name):
            return changing.change(self, name, value)
        object.__setattr__(self, name, value)
        return None

    def given(self) -> dict[str, Any]:
        """What it was made with, as it is now."""
        names = [n for n in type(self).__signature__.parameters if n not in ("row", "parameters", "learning_rate")]
        own = {"row": self.row, **self.parameters} if type(self) is Optimizer else {}
        rate = self._schedule if self.scheduled else self._rate
        return {"learning_rate": rate, **own, **{name: getattr(self, name) for name in names}}

    def row_of(self, variable: Variable) -> registry.Update:
        """The row that updates a weight; all rows of an optimizer have the same ``scalars``."""
        return self.row

    def kept_names(self, variable: Variable | None = None) -> list[str]:
        """The names of what is kept for a weight."""
        row = self.row if variable is None else self.row_of(variable)
        extras = [AVERAGE] * bool(self.use_ema) + [SUM] * bool(self.gradient_accumulation_steps)
        return [*row.states, *row.means, *extras]

    def _first_memory(self) -> list[Variable]:
        return [Variable(np.array(start, float), name) for name, start in self.row.memory.items()]

    def anew(self) -> Optimizer:
        """A copy that has not met a weight."""
        own = copy.copy(self)
        own.iterations, own.states, own.memory = 0, {}, own._first_memory()
        return own

    # ---- the learning rate

    @property
    def learning_rate(self) -> changing.Rate:
        return changing.Rate(self._rate if self._schedule is None else float(self.rates(1)[0]), self)

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule | Callable[..., float]) -> None:
        if callable(value):
            self._schedule: LearningRateSchedule | Callable[..., float] | None = value
            self._rate = math.nan
            return
        if isinstance(self.__dict__.get("_schedule"), LearningRateSchedule):
            raise TypeError(
                f"{type(self).__name__}: its learning rate is the schedule {type(self._schedule).__name__} and cannot "
                "be set to a number; make the optimizer with a number, or set another schedule."
            )
        self._schedule, self._rate = None, checks.rate(type(self).__name__, value)

    @property
    def fixed_rate(self) -> float:
        """The learning rate as a plain number; NaN where it follows a schedule."""
        return self._rate

    def advance(self, steps: int) -> None:
        """Count steps that were done: `iterations` without the checks, which a step need not pay for."""
        self.__dict__["iterations"] = changing.Count(self.iterations + steps)

    @property
    def version(self) -> int:
        """How often an argument was changed: plans hold their values."""
        return self._version

    @property
    def scheduled(self) -> bool:
        """Whether the learning rate follows from the iteration."""
        return self._schedule is not None

    def rates(self, count: int) -> np.ndarray:
        """The learning rates of the next ``count`` iterations, or the one of all of them.

        Raises:
            ValueError: the schedule gives what is no learning rate.
        """
        if self._schedule is None:
            return np.full(1, self._rate)
        steps = np.arange(self.iterations, self.iterations + count)
        return checks.schedule_rates(type(self).__name__, self._schedule, steps)

    # ---- weight decay and averages

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Keep weights from decaying; to be called before training.

        Args:
            var_list: these weights.
            var_names: weights whose name has one of these in it: ``["bias"]``.

        Raises:
            ValueError: training has begun.
        """
        if self.states:
            raise ValueError(
                f"{type(self).__name__}: exclude_from_weight_decay must be called before the optimizer has met a "
                "weight, that is before fit."
            )
        self.undecayed = (tuple(var_list or ()), "|".join(var_names or ()) or None)

    def decay_of(self, variable: Variable) -> float:
        """The share of a weight, times the learning rate, that it loses in a step in which it decays."""
        return self.weight_decay or 0.0

    def decays(self, variable: Variable) -> bool:
        """Whether a weight decays."""
        variables, pattern = self.undecayed
        if not self.decay_of(variable) or any(variable is v for v in variables):
            return False
        return pattern is None or re.search(pattern, variable.name) is None

    def average(self, variable: Variable) -> Variable | None:
        """The moving average of a weight; None without ``use_ema``, or before its first step."""
        return self._kept(variable, AVERAGE)

    def gradient_sum(self, variable: Variable) -> Variable | None:
        """The sum of the gradients since the last update; None where every step is an update."""
        return self._kept(variable, SUM)

    def _kept(self, variable: Variable, name: str) -> Variable | None:
        return next((v for v in self.states.get(variable, ()) if v.name == name), None)

    def finalize_variable_values(self, variables: Iterable[Variable]) -> None:
        """Give weights the values of their moving averages, as Keras does at the end of `fit`."""
        for variable in variables:
            average = self.average(variable)
            if average is not None:
                variable.assign(average.array)

    # ---- state

    def build(self, variables: Iterable[Variable]) -> None:
        """Make the state of weights that have none yet."""
        for variable in variables:
            if variable not in self.states:
                means, shape, start = self.row_of(variable).means, variable.shape, variable.array
                self.states[variable] = [
                    Variable(np.full(_without(shape, means.get(n)), self.start_of(n, start), variable.dtype), n)
                    for n in self.kept_names(variable)
                ]

    def start_of(self, state: str, weight: np.ndarray) -> float | np.ndarray:
        """What a state of a weight begins with."""
        start = self.row.starts.get(state, 0.0)
        if start == "weight":
            return weight
        if start == "learning_rate":
            return self.learning_rate
        return self.parameters[start] if isinstance(start, str) else start

    @property
    def variables(self) -> list[Variable]:
        """All state but ``iterations``, in order: that of each weight, then the memory."""
        return [*(v for states in self.states.values() for v in states), *self.memory]

    def state(self, variables: Sequence[Variable] | None = None) -> dict[str, np.ndarray]:
        """Copies of all that training changes.

        Args:
            variables: the weights in an order that will be the same when the state is loaded, such as
                ``model.trainable_weights``; by default in the order in which they were met.

        Returns:
            "iterations"; "learning_rate" where it is a number; the names of the memory; "0/momentum" and so on for the
            states of the weights, by their place.
        """
        arrays = {"iterations": np.array(self.iterations)}
        if not self.scheduled:
            arrays["learning_rate"] = np.array(self._rate)
        return arrays | {name: v.numpy() for name, v in self._named(variables).items()}

    def load_state(self, state: Mapping[str, Any], variables: Sequence[Variable] | None = None) -> None:
        """Take back what `state` gave.

        Args:
            state: the named arrays.
            variables: as in `state`; weights without state get theirs first.

        Raises:
            ValueError: names or shapes that do not fit; nothing has changed then.
        """
        places = {name.split("/")[0] for name in state}
        self.build(v for i, v in enumerate(variables or ()) if str(i) in places)
        named = self._named(variables)
        wanted, given = {"iterations", *named}, set(state) - {"learning_rate"}
        if given != wanted:
            raise ValueError(
                f"{type(self).__name__}: the state does not fit; missing {sorted(wanted - given)}, "
                f"unknown {sorted(given - wanted)}."
            )
        for name, variable in named.items():
            if np.shape(state[name]) != variable.shape:
                raise ValueError(
                    f"{type(self).__name__}: {name!r} has shape {variable.shape}; received {np.shape(state[name])}."
                )
        if "learning_rate" in state and not self.scheduled:
            self.learning_rate = float(state["learning_rate"])
        for name, variable in named.items():
            variable.assign(state[name])
        self.iterations = int(state["iterations"])

    def _named(self, variables: Sequence[Variable] | None) -> dict[str, Variable]:
        weights = list(self.states) if variables is None else variables
        named = {f"{i}/{v.name}": v for i, w in enumerate(weights) for v in self.states.get(w, ())}
        return named | {v.name: v for v in self.memory}

    # ---- as plain data

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it, without its state; the learning rate is the present one."""
        from fastnet.saving.serialization import serialize_part

        rate = serialize_part("learning_rate", self._schedule if self.scheduled else self._rate)
        config = {"name": self.name, "learning_rate": rate}
        if type(self) is Optimizer:
            config |= {"row": self.row.name, **self.parameters}
        names = [*type(self).__signature__.parameters, *Common.__annotations__]
        return config | {n: getattr(self, n) for n in names if n not in (*config, "row", "parameters")}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
        """An optimizer from what `get_config` gave."""
        from fastnet.saving.serialization import deserialize_keras_object

        return cls(**deserialize_keras_object(dict(config), custom_objects))

    # ---- in a plan

    def start(self, plan: Plan) -> updating.Scalars:
        """Add the launches that compute the numbers all weights share; where they will be."""
        return updating.start(self, plan)

    def apply(self, plan: Plan, weights: Sequence[tuple[str, Variable]], scalars: updating.Scalars) -> None:
        """Add the launches that change weights, each given with its layer's name, by ``plan.gradients``."""
        updating.apply(self, plan, weights, scalars)

    def redirect(self, plan: Plan, variable: Variable, direction: View, scalars: updating.Scalars) -> View:
        """Add the launches that make of a weight's direction the one it goes along; a subclass's own."""
        return direction

    def __repr__(self) -> str:
        return f"<optimizer {self.name} learning_rate={self._schedule if self.scheduled else self._rate!r}>"


def _without(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    return shape if axis is None else (*shape[:axis], *shape[len(shape) + axis + 1 :])
