"""The base of every optimizer: an update rule with its parameters, the state of each weight, and the learning rate."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastnet import hooks, settable
from fastnet._kernels import abi, registry
from fastnet._kernels.errors import quoted
from fastnet._kernels.rules import updates as rules  # noqa: F401  (fills the table)
from fastnet.checks import flag, integer, number
from fastnet.default_names import numbered
from fastnet.descriptions import snake_case
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View
from fastnet.optimizers import common_arguments, lowering
from fastnet.optimizers.array_form import ARRAY_CODE
from fastnet.optimizers.direct import AppliesGradients
from fastnet.optimizers.keras_form import KerasForm, form_of
from fastnet.optimizers.keras_scalars import Count, Rate
from fastnet.optimizers.named_state import NamedState
from fastnet.optimizers.schedules import LearningRateSchedule
from fastnet.optimizers.schedules.rates import schedule_rates
from fastnet.optimizers.shared_stages import SharedStages
from fastnet.serialization import arguments, deserialize_keras_object, serialize_part

#: Attributes that training changes, and a name; all others that can be set are arguments.
_STATE = ("iterations", "states", "memory", "undecayed", "name", "learning_rate")


class Optimizer(
    KerasForm, AppliesGradients, NamedState, SharedStages, settable.SettableArguments, metaclass=settable.Completed
):
    """Changes each weight by its gradient: by a rule of the registry, with the stages that all optimizers share.

    In each step, in Keras's order: the gradient is clipped, the weight decays, ``w -= lr · weight_decay · w``, the rule
    updates it, its moving average follows, its constraint is applied. All but the last is one pass over the weight;
    ``clipnorm``, ``global_clipnorm`` and ``gradient_accumulation_steps`` need the whole gradient first, and some rules
    the norms of the whole weight (`Lamb`, `Adafactor`, `Muon`).

    Args:
        row: its row of the registry, or the row's name. A subclass with `update_step` has none, and gives the learning
            rate first, as in Keras.
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
        name: as shown; by default the class's in snake case, with a number from the second one on.
        parameters: values of the rule's parameters.

    Attributes:
        iterations: steps done, also those that only accumulated. (Keras's counts updates; schedules, there as here,
            are asked for the step.)
        learning_rate: the number of the coming step; may be set at any time, unless a `LearningRateSchedule` was given.
            So may every other argument, which counts from the next step on, unless other states would go with it.
        states: weight → its state: the rule's states by name, then "moving average" and "gradient sum".
        memory: numbers that the rule hands on from step to step (Nadam's product).

    Training changes ``iterations``, ``states``, ``memory`` and a learning rate that was set. `state` gives all of them
    as named arrays, `load_state` takes them back; with `get_config` they make an optimizer that goes on with the same
    bits.

    Raises:
        ValueError: an argument out of its range, two ways of clipping.
        TypeError: a parameter the rule does not have, or a rule whose parameter has the name of one of these arguments.

    Example:
        >>> import fastnet
        >>> optimizer = fastnet.optimizers.Adam(1e-3, weight_decay=1e-4, clipvalue=1.0)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
        >>> optimizer.learning_rate = 5e-4
    """

    _supplied = ("row",)

    def __init_subclass__(cls, **more: Any):
        super().__init_subclass__(**more)
        in_array_code = cls.update_step is not KerasForm.update_step
        hooks.refuse(cls, "optimizer", allowed=("_backend_update_step", "_apply_weight_decay") * in_array_code)
        hooks.check_parameters(cls, build="self, variables", update_step="self, gradient, variable, learning_rate")

    def __init__(
        self,
        row: Any = None,
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
        self._form = form_of(self, Optimizer)
        if self._form is not None and not isinstance(row, (registry.Update, str)):
            if row is not None and learning_rate != 0.001:  # Keras's second argument is another one
                raise TypeError(f"{type(self).__name__}: give super().__init__ what follows the learning rate by name.")
            row, learning_rate = _IN_ARRAY_CODE, learning_rate if row is None else row
        row = registry.updates.find(row) if isinstance(row, str) else row
        if not isinstance(row, registry.Update):
            raise TypeError(
                f"{type(self).__name__}: an optimizer's class defines update_step(self, gradient, variable, "
                f"learning_rate), or gives a row of the registry or its name as row; received {quoted(row)}."
            )
        taken = set(row.parameters) & set(settable.argument_names(Optimizer))
        if taken:
            raise TypeError(
                f"The optimizer {row.name!r}: {sorted(taken)} mean something in every optimizer; rename them."
            )
        if unknown := [name for name in parameters if name not in row.parameters]:
            known = self._arguments if type(self) is not Optimizer else [*self._arguments, *row.parameters]
            raise TypeError(settable.unknown_argument(type(self).__name__, unknown[0], known, common_arguments.INSTEAD))
        self.row = row
        self.name = name or numbered(self.label)
        self._parameters = {**row.parameters, **parameters}
        for parameter, allowed in row.ranges.items():
            number(f"{type(self).__name__}: {parameter}", self.parameters[parameter], allowed)
        self.weight_decay, self.clipnorm, self.clipvalue = weight_decay, clipnorm, clipvalue
        self.global_clipnorm, self.loss_scale_factor = global_clipnorm, loss_scale_factor
        self.use_ema, self.ema_momentum = flag(f"{type(self).__name__}: use_ema", use_ema), ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.gradient_accumulation_steps = gradient_accumulation_steps
        common_arguments.check(self)
        self.learning_rate = learning_rate
        self.iterations = 0
        self.states: dict[Variable, list[Variable]] = {}
        self.memory = self._first_memory()
        self.undecayed: tuple[Sequence[Variable], str | None] = ((), None)  # weights, and a pattern of names

    def completed(self) -> None:
        """From now on attributes that are set are arguments, or training's."""
        self.__dict__["_completed"] = True

    def __getattr__(self, name: str) -> Any:
        """The rule's parameters, ``optimizer.beta_1``."""
        if "_parameters" not in vars(self) and not name.startswith("__"):
            raise hooks.unmade(type(self))
        try:
            return self.__dict__["_parameters"][name]
        except KeyError:
            instead = common_arguments.INSTEAD.get(name)
            absent = f"attribute {name!r}." if instead is None else f"{name}: {instead}."
            raise AttributeError(f"{type(self).__name__} has no {absent}") from None

    @property
    def parameters(self) -> dict[str, float]:
        """The values of the rule's parameters, to be read; set them as attributes."""
        return settable.ReadOnly(self._parameters)

    def is_argument(self, name: str) -> bool:
        """Whether an attribute is an argument: on fastnet's own classes all but training's and private ones."""
        if "_completed" not in self.__dict__ or name in _STATE or name.startswith("_"):
            return False
        if type(self).__module__.startswith("fastnet.") or name in self.parameters:
            return True
        return name in settable.settable_names(type(self))

    def set_argument(self, name: str, value: Any) -> None:
        """Check an argument by making another optimizer with it; used from the next step on.

        Raises:
            AttributeError: the argument does not exist, or the states of the weights would change.
            ValueError: the value is out of its range.
        """
        owner, cls = type(self).__name__, type(self)
        if name not in self.arguments():  # a user's class need not take what its parent takes
            cls = hooks.nearest_own(cls)
        arguments = self.arguments(cls)
        if name not in arguments:
            raise AttributeError(settable.unknown_argument(owner, name, arguments, common_arguments.INSTEAD))
        new = cls(**{**arguments, name: value})
        if new.row.declared and new.row.declared == self.row.declared:
            new.__dict__["row"] = self.row  # the user's rule as it was read first
        if not self.states:
            self.memory = new.memory
        elif name in self.row.starts.values() or not self._has_states_of(new):
            raise AttributeError(self._begun_with(name, arguments[name], value))
        changed = {key: item for key, item in vars(new).items() if key in (*arguments, "row", "_parameters")}
        changed["changes"] = self.changes + 1
        if self._form is None:
            self.__dict__.update(changed)
        else:
            changed |= self._form.derived(cls(**arguments), new)
            self._form.change(self, changed, self._begun_with(name, arguments[name], value))

    def _begun_with(self, name: str, before: Any, value: Any) -> str:
        owner = type(self).__name__
        return (
            f"{owner}: {name} cannot be changed to {quoted(value)} any more: the states of the weights began with "
            f"{name}={before!r}. Make another one, {owner}({name}={quoted(value)}), and compile with it."
        )

    def _has_states_of(self, new: Optimizer) -> bool:
        if self._form is not None:
            return new.extra_names == self.extra_names
        return new.row is self.row and all(
            new.row_of(v) is self.row_of(v) and new.state_names(v) == self.state_names(v) for v in self.states
        )

    @property
    def _arguments(self) -> list[str]:
        return [name for name in settable.argument_names(type(self)) if name != "row"]

    def arguments(self, cls: type | None = None) -> dict[str, Any]:
        """The arguments that make another one like it as it is now: of its class, or of a parent."""
        of_rule = {"row": self.row, **self.parameters} if (cls or type(self)) is Optimizer else {}
        names = [name for name in settable.argument_names(cls or type(self)) if name != "row"]
        if self._form is not None:  # its class may keep an argument under another name, and add it to `get_config`
            names = [name for name in names if hasattr(self, name)]
        given = {name: getattr(self, name) for name in names}
        if "learning_rate" in given:
            given["learning_rate"] = self._schedule if self.scheduled else self._rate
        return given | of_rule

    def row_of(self, variable: Variable) -> registry.Update:
        """The row that updates a weight; all rows of an optimizer have the same ``scalars``."""
        return self.row if self._form is None else self._form.row_of(self, variable)

    @property
    def step_row(self) -> registry.Update:
        """A row that has the ``scalars`` of all."""
        return self.row if self._form is None else self._form.row_of(self, next(iter(self.states)))

    def state_names(self, variable: Variable | None = None) -> list[str]:
        """The names of a weight's states."""
        row = self.row if variable is None else self.row_of(variable)
        return [*row.states, *row.means, *row.carried, *self.extra_names]

    @property
    def label(self) -> str:
        """The name of its launches in a plan: the class's, or its row's."""
        return self.row.name if type(self) is Optimizer else snake_case(type(self).__name__)

    def _first_memory(self) -> list[Variable]:
        memory = self.row.memory if self._form is None else {}
        return [Variable(np.array(start, float), name) for name, start in memory.items()]

    def anew(self) -> Optimizer:
        """A copy without the states of any weight."""
        other = copy.copy(self)
        other.iterations, other.states, other.memory = 0, {}, other._first_memory()
        if self._form is not None:
            other._form = self._form.anew(other)
        return other

    def without_options(self) -> Optimizer:
        """A copy without states, decay, clips, averages and accumulation: the rule alone."""
        if self._form is None:
            given: dict[str, Any] = self.parameters
            return Optimizer(self.row, self.learning_rate, self.name, **given)
        other, plain = self.anew(), vars(Optimizer(self.row))
        names = set(settable.argument_names(Optimizer)) & set(plain) - {"row", "name"}
        vars(other).update({name: plain[name] for name in names})
        return other

    # ---- the learning rate

    @property
    def learning_rate(self) -> Rate:
        if self._form is not None and self._form.step is not None:
            return self._form.step.rate  # type: ignore[return-value]
        return Rate(self._rate if self._schedule is None else float(self.rates(1)[0]), self)

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
        self._schedule, self._rate = None, common_arguments.rate(type(self).__name__, value)

    @property
    def fixed_rate(self) -> float:
        """The learning rate as a plain number; NaN where it follows a schedule."""
        return self._rate

    @property
    def iterations(self) -> Count:
        if self._form is not None and self._form.step is not None:
            return self._form.step.iterations  # type: ignore[return-value]
        return self._iterations

    @iterations.setter
    def iterations(self, value: int) -> None:
        self._iterations = Count(integer(f"{type(self).__name__}: iterations", value, 0), self)

    def advance(self, steps: int) -> None:
        """Count steps that were done: `iterations` without the checks, which a step need not pay for."""
        self.__dict__["_iterations"] = Count(self._iterations + steps, self)

    @property
    def version(self) -> int:
        """The number of replaced arguments; plans contain the values of arguments."""
        return self.changes

    @property
    def scheduled(self) -> bool:
        """Whether the learning rate follows from the iteration."""
        return self._schedule is not None

    def rates(self, count: int) -> np.ndarray:
        """The learning rates of the next ``count`` iterations, or the one of all of them.

        Raises:
            ValueError: a result of the schedule is not a learning rate.
        """
        if self._schedule is None:
            return np.full(1, self._rate)
        steps = np.arange(self.iterations, self.iterations + count)
        return schedule_rates(type(self).__name__, self._schedule, steps)

    # ---- state

    def build(self, variables: Iterable[Any]) -> None:
        """Make the state of weights, or of arrays (`apply`), that have none yet.

        A subclass in array code makes its own after ``super().build(variables)``: `add_variable_from_reference`.
        """
        if self._form is not None:
            if not self._form.is_building:
                self._form.build(self, Optimizer.build, variables)
            elif self._form.has_rule(self):
                self._form.add_states_of_rule(self)
            return
        for variable in map(self.variable_of, variables):
            if variable not in self.states:
                means, shape, start = self.row_of(variable).means, variable.shape, variable.current
                self.states[variable] = [
                    Variable(np.full(_without(shape, means.get(n)), self.start_of(n, start), variable.dtype), n)
                    for n in self.state_names(variable)
                ]

    def start_of(self, state: str, weight: np.ndarray) -> float | np.ndarray:
        """The first value of a weight's state."""
        start = self.row.starts.get(state, 0.0)
        if start == "weight":
            return weight
        if start == "learning_rate":
            return self.learning_rate
        return self.parameters[start] if isinstance(start, str) else start

    # ---- as plain data

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it, without its state; the learning rate is the present one."""
        config = self.arguments()
        if "learning_rate" in config:
            config["learning_rate"] = serialize_part("learning_rate", config["learning_rate"])
        return config | ({"row": self.row.name} if "row" in config else {})

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
        """An optimizer from the result of `get_config`."""
        return cls(**deserialize_keras_object(arguments(cls, config), custom_objects))

    # ---- in a plan

    def start(self, plan: Plan, rate: Slot | None = None) -> Any:
        """Add the launches that compute the scalars all weights share; their slots. ``rate`` is the learning rate's."""
        return lowering.start(self, plan, Slot(abi.RATE) if rate is None else rate)

    def launch(self, plan: Plan, gradients: Sequence[tuple[str, Variable, View]], scalars: Any) -> None:
        """Add the launches that change weights, each given with its layer's name and its gradient."""
        lowering.launch(self, plan, gradients, scalars)

    def redirect(self, plan: Plan, variable: Variable, direction: View, scalars: lowering.StepScalars) -> View:
        """Add the launches that turn a weight's direction into the one it goes along; a subclass's own."""
        return direction

    def __repr__(self) -> str:
        return f"<optimizer {self.name} learning_rate={self._schedule if self.scheduled else self._rate!r}>"


#: the row of an optimizer whose class defines `update_step`, until rows are made of it
_IN_ARRAY_CODE = dataclasses.replace(registry.updates["sgd"], name=ARRAY_CODE, public="")


def _without(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    return shape if axis is None else (*shape[:axis], *shape[len(shape) + axis + 1 :])
