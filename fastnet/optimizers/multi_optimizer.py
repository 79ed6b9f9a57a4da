"""Several optimizers for one model, and the optimizer with a loss scale."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from fastnet import checks, serialization
from fastnet._kernels import abi
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import step_scalars
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View
from fastnet.optimizers.keras_scalars import Count
from fastnet.optimizers.optimizer import Optimizer
from fastnet.settable import unknown_argument


class OptimizerMap(MutableMapping):
    """The optimizer of each weight, by its path "dense/kernel".

    Args:
        default_optimizer: that of all weights whose path matches nothing.
        optimizer_map: a path, or a regular expression that matches all of it → an optimizer.

    Raises:
        ValueError: something is not an optimizer, or an entry exists.

    Example:
        >>> chosen = optimizers.OptimizerMap(optimizers.Adam(), {"head/.*": optimizers.SGD(0.1)})
        >>> [type(chosen[path]).__name__ for path in ("head/kernel", "dense/kernel")]
        ['SGD', 'Adam']
    """

    def __init__(self, default_optimizer: Optimizer, optimizer_map: Mapping[str, Optimizer] | None = None):
        self.default_optimizer = _one(default_optimizer)
        self._entries: dict[str, Optimizer] = {}
        for path, optimizer in (optimizer_map or {}).items():
            self[path] = optimizer

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._entries:
            return self._entries[key]
        found = [pattern for pattern in self._entries if re.fullmatch(pattern, key)]
        if len(found) > 1:
            raise ValueError(f"OptimizerMap: the weight {quoted(key)} matches {found}; make them exclude each other.")
        return self._entries[found[0]] if found else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if not isinstance(key, str) or key in self._entries:
            raise ValueError(f"OptimizerMap: a key is a new path or regular expression, received {quoted(key)}.")
        self._entries[key] = _one(optimizer)

    def __delitem__(self, key: str) -> None:
        del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Any:
        return iter(self._entries)

    def __call__(self, variable: Variable) -> Optimizer:
        """The optimizer of a weight."""
        return self[variable.path]

    def get_config(self) -> dict[str, Any]:
        """The optimizers that make another one like it, as plain data."""
        serialize = serialization.serialize_keras_object
        entries = {path: serialize(optimizer) for path, optimizer in self._entries.items()}
        return {"default_optimizer": serialize(self.default_optimizer), "optimizer_map": entries}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> OptimizerMap:
        """A map from the result of `get_config`."""
        from fastnet.optimizers import deserialize  # the package reads this module

        entries = {path: deserialize(each, custom_objects) for path, each in (config["optimizer_map"] or {}).items()}
        return cls(deserialize(config["default_optimizer"], custom_objects), entries)


class MultiOptimizer(Optimizer):
    """Several optimizers: each weight has the one that a map gives for its path; learning rates by layer, for instance.

    Each has its own learning rate or schedule, clips, decay and state; ``global_clipnorm`` is over the weights of one.
    The optimizers are those of this model alone. `learning_rate` is that of each of ``optimizers``.

    Args:
        optimizer_map: an `OptimizerMap`, or a function of a weight that gives its optimizer.
        loss_scale_factor: as for every `Optimizer`.
        name: as shown.

    Raises:
        ValueError: an optimizer is itself a MultiOptimizer, or has been used; the map is neither.

    Example:
        >>> slow, fast = optimizers.Adam(1e-4), optimizers.Adam(1e-2)
        >>> optimizer = optimizers.MultiOptimizer(optimizers.OptimizerMap(fast, {"first/.*": slow}))
        >>> [each.learning_rate for each in optimizer.optimizers]
        [0.0001, 0.01]
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ):
        if not callable(optimizer_map):
            raise ValueError(
                f"{type(self).__name__}: optimizer_map must be an OptimizerMap or a function of a weight, received "
                f"{quoted(optimizer_map)}."
            )
        self.optimizer_map = optimizer_map
        self.optimizers: list[Optimizer] = []
        self._chosen: dict[Variable, Optimizer] = {}
        self._excluded: list[tuple[Any, Any]] = []  # the calls of `exclude_from_weight_decay`
        super().__init__("sgd", 0.0, name, loss_scale_factor=loss_scale_factor)
        if isinstance(optimizer_map, OptimizerMap):
            for optimizer in (*optimizer_map.values(), optimizer_map.default_optimizer):
                self._include(optimizer)

    def _include(self, optimizer: Any) -> Optimizer:
        """An optimizer that is, from now on, one of these."""
        if not any(optimizer is each for each in self.optimizers):
            if _one(optimizer).states:
                raise ValueError(f"{type(self).__name__}: {optimizer!r} has changed other weights; make a new one.")
            optimizer.iterations = self.iterations
            for excluded in self._excluded:
                optimizer.exclude_from_weight_decay(*excluded)
            self.optimizers.append(optimizer)
        return optimizer

    def __getattr__(self, name: str) -> Any:
        if name == "learning_rate":
            raise AttributeError(f"{type(self).__name__} has no learning_rate: each of its .optimizers has one.")
        return super().__getattr__(name)

    @property
    def learning_rate(self) -> Any:  # type: ignore[override]
        raise AttributeError  # `__getattr__` says why

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if "_completed" in vars(self):
            raise AttributeError(f"{type(self).__name__} has no learning_rate: set that of one of its .optimizers.")
        self._schedule, self._rate = None, float(value)

    def set_argument(self, name: str, value: Any) -> None:
        """Refuse: its arguments are those of its optimizers."""
        raise AttributeError(
            f"{type(self).__name__}: {name} cannot be changed; set that of one of its .optimizers, or make a new one."
        )

    def arguments(self, cls: type | None = None) -> dict[str, Any]:
        """The arguments that make another one like it."""
        return {name: getattr(self, name) for name in self._arguments}

    def anew(self) -> MultiOptimizer:
        """One of the same kind, with copies of the optimizers, without the states of any weight."""
        copies: dict[int, Optimizer] = {}

        def copied(variable: Variable) -> Optimizer:
            chosen = self.optimizer_map(variable)
            if id(chosen) not in copies:
                copies[id(chosen)] = chosen.anew()
            return copies[id(chosen)]

        return MultiOptimizer(copied, self.loss_scale_factor, self.name)

    # ---- what all of them have

    @property
    def states(self) -> dict[Variable, list[Variable]]:  # type: ignore[override]
        return {v: optimizer.states[v] for v, optimizer in self._chosen.items()}

    @states.setter
    def states(self, value: Any) -> None:
        """It has no states of its own; its optimizers have them."""

    @property
    def memory(self) -> list[Variable]:  # type: ignore[override]
        return [v for optimizer in self.optimizers for v in optimizer.memory]

    @memory.setter
    def memory(self, value: Any) -> None:
        """There is none of its own."""

    @property
    def iterations(self) -> Any:
        return self._iterations

    @iterations.setter
    def iterations(self, value: int) -> None:
        self._iterations = Count(checks.integer(f"{type(self).__name__}: iterations", value, 0), self)
        for optimizer in self.optimizers:
            optimizer.iterations = value

    def advance(self, steps: int) -> None:
        """Count steps that were done."""
        super().advance(steps)
        for optimizer in self._used:
            optimizer.advance(steps)

    @property
    def _used(self) -> list[Optimizer]:
        """Those that have weights, which count the steps."""
        return list({id(optimizer): optimizer for optimizer in self._chosen.values()}.values())

    @property
    def version(self) -> Any:  # type: ignore[override]
        """The number of replaced arguments of each."""
        return tuple([optimizer.version for optimizer in self.optimizers])

    @property
    def scheduled(self) -> bool:
        """Always: the rates of a step are read from a table."""
        return True

    def rates(self, count: int) -> np.ndarray:
        """The numbers of the next ``count`` steps, and the learning rates of each optimizer: columns of a table."""
        table = np.empty((count, 1 + len(self.optimizers)), order="F")
        table[:, 0] = np.arange(count)
        for column, optimizer in enumerate(self.optimizers, 1):
            table[:, column] = optimizer.rates(count)
        return table

    def build(self, variables: Iterable[Any]) -> None:
        """Make the state of weights that have none yet."""
        new = [v for v in map(self.variable_of, variables) if v not in self._chosen]
        found = {v: self._include(self.optimizer_map(v)) for v in new}
        used = self._used
        for optimizer in self.optimizers:
            if (mine := [v for v, chosen in found.items() if chosen is optimizer]) and optimizer not in used:
                optimizer.iterations = self.iterations
            optimizer.build(mine)
        self._chosen |= found

    def finalize_variable_values(self, variables: Iterable[Variable]) -> None:
        """Give weights the values of their moving averages."""
        for variable in variables:
            if variable in self._chosen:
                self._chosen[variable].finalize_variable_values([variable])

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Keep weights from decaying; to be called before training."""
        for optimizer in self.optimizers:
            optimizer.exclude_from_weight_decay(var_list, var_names)
        self._excluded.append((var_list, var_names))

    def state(self, variables: Sequence[Variable] | None = None) -> dict[str, np.ndarray]:
        """Copies of all that training changes; see `Optimizer.state`."""
        rates = {f"learning_rate_{i}": o.fixed_rate for i, o in enumerate(self.optimizers) if not o.scheduled}
        return super().state(variables) | {name: np.array(rate) for name, rate in rates.items()}

    def load_state(self, state: Mapping[str, Any], variables: Sequence[Variable] | None = None) -> None:
        """Take back the arrays of `state`; see `Optimizer.load_state`."""
        super().load_state({k: v for k, v in state.items() if not k.startswith("learning_rate_")}, variables)
        for i, optimizer in enumerate(self.optimizers):
            if f"learning_rate_{i}" in state and not optimizer.scheduled:
                optimizer.learning_rate = float(state[f"learning_rate_{i}"])

    def _named(self, variables: Sequence[Variable] | None) -> dict[str, Variable]:
        states = {name: v for name, v in super()._named(variables).items() if "/" in name}
        return states | {f"{v.name}_{i}": v for i, v in enumerate(self.memory)}

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it, as plain data."""
        described = self.optimizer_map
        if isinstance(described, OptimizerMap):
            chosen: Any = {"class_name": "OptimizerMap", "config": described.get_config()}
        else:
            chosen = serialization.serialize_part("optimizer_map", described)
        return {"optimizer_map": chosen, "loss_scale_factor": self.loss_scale_factor, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """An optimizer from the result of `get_config`, or of Keras's method of this name."""
        config = dict(config)
        given = config["optimizer_map"]
        if isinstance(given, dict) and given.get("class_name") == "OptimizerMap":
            config["optimizer_map"] = OptimizerMap.from_config(given["config"], custom_objects)
        else:
            config["optimizer_map"] = serialization.deserialize_keras_object(given, custom_objects)
        return cls(**config)

    # ---- in a plan

    def start(self, plan: Plan, rate: Slot | None = None) -> list[Any]:
        """Add the launches of the scalars of each optimizer; their slots."""
        found, table = [], {"step": Slot(abi.RATE), "address": Slot(abi.RATES), "stride": Slot(abi.RATES_COUNT)}
        for column, optimizer in enumerate(self.optimizers, 1):
            each = plan.slot()
            plan.call(step_scalars.rate_of_step, **table, column=column, rate=each, dtype="float64")
            found.append(optimizer.start(plan, each))
        return found

    def launch(self, plan: Plan, gradients: Sequence[tuple[str, Variable, View]], scalars: Any) -> None:
        """Add the launches of each optimizer, for its weights."""
        for optimizer, found in zip(self.optimizers, scalars, strict=True):
            chosen = [each for each in gradients if self._chosen[each[1]] is optimizer]
            if chosen:
                optimizer.launch(plan, chosen, found)

    def __repr__(self) -> str:
        return f"<optimizer {self.name} of {self.optimizers!r}>"


#: arguments of other optimizers → their defaults, which alone are accepted
_OF_INNER: dict[str, Any] = {
    "dynamic": True, "weight_decay": None, "clipnorm": None, "clipvalue": None, "global_clipnorm": None,
    "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None, "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}  # fmt: skip


class LossScaleOptimizer(MultiOptimizer):
    """An optimizer as it is, for programs that scale their loss: `scale_loss` multiplies, and `apply` divides.

    In `fit` nothing is scaled: weights and gradients are float32 or float64, where multiplying and dividing by a power
    of two leaves every number as it was, and a step that is not finite raises `fastnet.NonFiniteError`. `apply` leaves
    out a step whose gradients are not finite, and halves the scale, as in Keras.

    Args:
        inner_optimizer: the optimizer.
        initial_scale: the scale of `scale_loss` and `apply` at first.
        dynamic_growth_steps: after so many steps of `apply` with finite gradients the scale is doubled.
        name: as shown.
        **more: arguments of other optimizers, which belong to ``inner_optimizer``: only their defaults are accepted.

    Raises:
        ValueError: a scale that is not positive, an optimizer that has been used, or an argument of it.

    Example:
        >>> optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.5))
        >>> optimizer.scale_loss(2.0)
        65536.0
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **more: Any,
    ):
        for argument, value in more.items():  # which Keras accepts for files of its earlier versions
            if argument not in _OF_INNER:
                raise TypeError(unknown_argument("LossScaleOptimizer", argument, self._arguments))
            if value != _OF_INNER[argument]:
                given = f"{argument}={quoted(value)}"
                raise ValueError(f"LossScaleOptimizer: {given} is an argument of inner_optimizer: set it there.")
        self.inner_optimizer, self.initial_scale = _one(inner_optimizer), initial_scale
        self.dynamic_growth_steps = checks.integer("LossScaleOptimizer: dynamic_growth_steps", dynamic_growth_steps)
        super().__init__(OptimizerMap(inner_optimizer), initial_scale, name)
        self._finite_steps = 0  # since the scale has changed

    @property
    def _arguments(self) -> list[str]:
        return ["inner_optimizer", "initial_scale", "dynamic_growth_steps", "name"]

    def _apply(self, variables: Sequence[Variable], gradients: Sequence[np.ndarray]) -> None:
        if not all(np.isfinite(gradient).all() for gradient in gradients):
            self._rescale(0.5)
            return
        super()._apply(variables, gradients)
        self._finite_steps += 1
        if self._finite_steps == self.dynamic_growth_steps:
            self._rescale(2.0)

    def _rescale(self, factor: float) -> None:
        """Change the scale, of which no plan knows."""
        vars(self).update(loss_scale_factor=self.loss_scale_factor * factor, _finite_steps=0)

    @property
    def learning_rate(self) -> Any:  # type: ignore[override]
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if "_completed" in vars(self):
            self.inner_optimizer.learning_rate = value
        else:
            self._schedule, self._rate = None, float(value)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it, as plain data."""
        described = serialization.serialize_keras_object(self.inner_optimizer)
        return {name: getattr(self, name) for name in self._arguments} | {"inner_optimizer": described}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """An optimizer from the result of `get_config`, or of Keras's method of this name."""
        from fastnet.optimizers import deserialize  # the package reads this module

        optimizer = deserialize(config["inner_optimizer"], custom_objects)
        return cls(**{**config, "inner_optimizer": optimizer})


def _one(optimizer: Any) -> Optimizer:
    """An optimizer that is not several."""
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, MultiOptimizer):
        raise ValueError(f"Each optimizer of several must be one of fastnet.optimizers, received {quoted(optimizer)}.")
    return optimizer
