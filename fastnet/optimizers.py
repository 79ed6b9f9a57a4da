"""Optimizers, with Keras's definitions: an update rule, its numbers, and what it keeps for each weight."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet._kernels import abi, registry
from fastnet._kernels.generate import Kernel
from fastnet._kernels.rules import updates as rules  # noqa: F401  (fills the table)
from fastnet._kernels.templates import elementwise, reduce
from fastnet.engine.plan import Buffer, Extent, Plan, Slot
from fastnet.engine.variable import Variable


class Optimizer:
    """Changes each weight by its gradient.

    Args:
        row: its row of the registry.
        learning_rate: a positive number, or a function of the iteration (from 0) that gives one.
        name: as shown.
        parameters: values of the rule's numbers.

    Attributes:
        iterations: steps done.
        learning_rate: may be read and set at any time.
    """

    def __init__(
        self,
        row: registry.Update,
        learning_rate: float | Callable[[int], float] = 0.001,
        name: str | None = None,
        **parameters: float,
    ):
        unknown = set(parameters) - set(row.parameters)
        if unknown:
            raise TypeError(f"The optimizer {row.name!r} takes {list(row.parameters)}, received {sorted(unknown)}.")
        self.row, self.name = row, name or row.name
        self.learning_rate = learning_rate
        self.parameters = {**row.parameters, **parameters}
        self.parameters.pop("learning_rate", None)
        self.iterations = 0
        self.states: dict[Variable, list[Variable]] = {}

    @property
    def learning_rate(self) -> float | Callable[[int], float]:
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float | Callable[[int], float]) -> None:
        if not callable(value):
            number = isinstance(value, (int, float, np.floating, np.integer)) and not isinstance(value, bool)
            if not number or not (value >= 0 and math.isfinite(value)):
                raise ValueError(
                    f"{type(self).__name__}: learning_rate must be a number that is not negative, or a function of the "
                    f"iteration; received {value!r}."
                )
            value = float(value)
        self._learning_rate = value

    def rates(self, count: int) -> np.ndarray:
        """The learning rates of the next ``count`` iterations."""
        if callable(self._learning_rate):
            return np.array([float(self._learning_rate(self.iterations + i)) for i in range(count)])
        return np.full(1, self._learning_rate)

    def build(self, variables: list[Variable]) -> None:
        """Make the state of weights that have none yet."""
        for variable in variables:
            if variable not in self.states:
                self.states[variable] = [
                    Variable(np.full(variable.shape, self.row.starts.get(name, 0.0), variable.dtype), name)
                    for name in self.row.states
                ]

    def start(self, plan: Plan) -> list[Slot]:
        """Add the launch that computes the numbers all weights share; where they will be."""
        slots = [plan.slot() for _ in range(self.row.scalar_count)]
        numbers = list(self.parameters.values())
        counts = (("p", len(numbers)), ("s", len(slots)))
        kernel = Kernel(reduce.step_scalars, (("f", self.row.scalars),), "float64", counts)
        plan.once(kernel, rate=Slot(abi.RATE), iteration=Slot(abi.ITERATION), p=numbers, s=slots)
        return slots

    def update(self, plan: Plan, variable: Variable, gradient: Buffer, slots: list[Slot]) -> None:
        """Add the launch that changes one weight."""
        states = self.states[variable]
        kernel = Kernel(
            elementwise.update_weights,
            (("f", self.row.f),),
            variable.dtype,
            (("states", len(states)), ("s", len(slots))),
        )
        cost = 300 + 200 * len(states)
        arguments = {"w": variable, "g": gradient, "states": states, "s": slots}
        plan.launch(kernel, arguments, Extent(fixed=variable.size), 1024, cost)

    def __repr__(self) -> str:
        return f"<optimizer {self.name} learning_rate={self.learning_rate!r}>"


def _check_unit(cls: str, **values: float) -> None:
    for argument, value in values.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1:
            raise ValueError(f"{cls}: {argument} must be at least 0 and below 1, received {value!r}.")


def _check_epsilon(cls: str, value: float) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
        raise ValueError(f"{cls}: epsilon must be positive, received {value!r}.")


class SGD(Optimizer):
    """Gradient descent: w -= lr g; with momentum m: v = m v - lr g, w += v; Nesterov's: w += m v - lr g.

    Args:
        learning_rate: lr.
        momentum: m, from 0 to 1.
        nesterov: whether the gradient is looked at where momentum leads.
        name: as shown.

    Raises:
        ValueError: a momentum outside [0, 1].

    Example:
        >>> import fastnet
        >>> fastnet.optimizers.SGD(0.1, momentum=0.9).parameters
        {'momentum': 0.9}
    """

    def __init__(self, learning_rate=0.01, momentum: float = 0.0, nesterov: bool = False, name: str | None = None):
        if isinstance(momentum, bool) or not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ValueError(f"SGD: momentum must lie in [0, 1], received {momentum!r}.")
        self.momentum, self.nesterov = float(momentum), bool(nesterov)
        if momentum == 0:
            super().__init__(registry.updates["sgd"], learning_rate, name or "SGD")
        else:
            row = registry.updates["nesterov" if nesterov else "momentum"]
            super().__init__(row, learning_rate, name or "SGD", momentum=momentum)


class RMSprop(Optimizer):
    """v = rho v + (1 - rho) g²; w -= lr g / sqrt(v + epsilon).  Tieleman and Hinton 2012.

    Args:
        learning_rate: lr.
        rho: decay of the squares' average.
        momentum: of the increments; 0 for none.
        epsilon: inside the square root, as in Keras.
        centered: whether the squared average gradient is taken from v.
        name: as shown.

    Raises:
        ValueError: rho or momentum outside [0, 1), an epsilon that is not positive.
    """

    def __init__(
        self,
        learning_rate=0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        name: str | None = None,
    ):
        _check_unit("RMSprop", rho=rho, momentum=momentum)
        _check_epsilon("RMSprop", epsilon)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, bool(centered)
        row = registry.updates["rmsprop" + "_centered" * bool(centered) + "_momentum" * (momentum > 0)]
        more = {"momentum": momentum} if momentum > 0 else {}
        super().__init__(row, learning_rate, name or "rmsprop", rho=rho, epsilon=epsilon, **more)


class Adam(Optimizer):
    """Gradients' averages: m += (1 - beta_1)(g - m); v += (1 - beta_2)(g² - v); w -= alpha m / (sqrt(v) + epsilon).

    With alpha = lr sqrt(1 - beta_2ᵗ) / (1 - beta_1ᵗ), t the number of the step from 1.

    Kingma and Ba 2014, arXiv:1412.6980.

    Args:
        learning_rate: lr.
        beta_1: decay of the gradients' average.
        beta_2: decay of the squares' average.
        epsilon: Keras's: added to the square root of the uncorrected v.
        amsgrad: whether v's maximum over time is used; Reddi et al. 2018, arXiv:1904.09237.
        name: as shown.

    Raises:
        ValueError: a beta outside [0, 1), an epsilon that is not positive.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        name: str | None = None,
    ):
        _check_unit("Adam", beta_1=beta_1, beta_2=beta_2)
        _check_epsilon("Adam", epsilon)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, bool(amsgrad)
        row = registry.updates["amsgrad" if amsgrad else "adam"]
        super().__init__(row, learning_rate, name or "adam", beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


_CLASSES = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam}


def get(identifier: Any) -> Optimizer:
    """The optimizer of a name (upper or lower case), a class, or an optimizer itself.

    Raises:
        ValueError: an unknown name; offers the nearest known ones.

    Example:
        >>> import fastnet
        >>> fastnet.optimizers.get("adam").learning_rate
        0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        made: Callable[[], Optimizer] = identifier
        return made()
    if isinstance(identifier, str):
        if identifier.lower() in _CLASSES:
            return _CLASSES[identifier.lower()]()
        if identifier in registry.updates:
            row = registry.updates[identifier]
            return Optimizer(row, row.parameters.get("learning_rate", 0.01))
        raise ValueError(registry.unknown("optimizer", identifier, {**_CLASSES, **registry.updates}))
    raise ValueError(f"An optimizer is a name or one of fastnet.optimizers, received {identifier!r}.")
