"""What every layer is."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from typing import Any

import numpy as np

from fastnet import config, initializers
from fastnet.engine.plan import Buffer, Plan
from fastnet.engine.variable import Variable

_counters: defaultdict[str, itertools.count] = defaultdict(itertools.count)


class Layer:
    """A step of a network. Subclasses define what they need of `build`, `compute_output_shape`, `forward`, `backward`.

    Args:
        name: unique in a model; by default the class's name with a number.
        dtype: "float32" or "float64"; by default `fastnet.config.floatx()`.
        trainable: whether an optimizer changes its weights.
        input_shape: shape of one sample, instead of an `Input` before the first layer.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        dtype: str | None = None,
        trainable: bool = True,
        input_shape: tuple[int, ...] | None = None,
    ):
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ValueError(f"The name of a layer is a string without '/', received {name!r}.")
        self.name = name or _new_name(type(self).__name__)
        self.dtype = config.floatx() if dtype is None else config.check_dtype(dtype, f"layer {self.name!r}")
        self.trainable = trainable
        self.given_input_shape = None if input_shape is None else check_shape(input_shape, f"layer {self.name!r}")
        self.input_shape: tuple[int, ...] | None = None
        self.output_shape: tuple[int, ...] | None = None
        self.variables: list[Variable] = []
        self.built = False

    def connect(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Build for samples of this shape, once; the shape of the result.

        Raises:
            ValueError: the shape does not fit; nothing has changed then.
        """
        output_shape = self.compute_output_shape(input_shape)
        if not self.built:
            self.build(input_shape)
            self.built = True
        self.input_shape, self.output_shape = input_shape, output_shape
        return output_shape

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Make the weights for samples of this shape."""

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one sample's result."""
        return input_shape

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        """Add the launches that compute y from x."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward(plan, x).")

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer | None:
        """Add the launches that compute the gradients of the weights and, where ``x.needs_gradient``, of x."""
        raise NotImplementedError(f"{type(self).__name__} defines no backward(plan, dy, x, y).")

    def add_weight(self, name: str, shape: tuple[int, ...], initializer: Any, trainable: bool = True) -> Variable:
        """A new weight, initialised."""
        value = np.asarray(initializers.get(initializer)(shape, self.dtype), self.dtype)
        if value.shape != tuple(shape):
            raise ValueError(
                f"Layer {self.name!r}: the initializer of {name!r} gave shape {value.shape} instead of {tuple(shape)}."
            )
        variable = Variable(value, name, trainable)
        self.variables.append(variable)
        return variable

    @property
    def weights(self) -> list[Variable]:
        """All weights: the trainable ones first, as Keras orders them."""
        return sorted(self.variables, key=lambda v: not v.trainable)

    @property
    def trainable_weights(self) -> list[Variable]:
        """What an optimizer changes: empty where ``trainable`` is False."""
        return [v for v in self.variables if v.trainable] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """What no optimizer changes."""
        trainable = set(map(id, self.trainable_weights))
        return [v for v in self.weights if id(v) not in trainable]

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights' values."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        """Set the weights' values.

        Raises:
            ValueError: another number of arrays, or other shapes; nothing has changed then.
        """
        assign_all(self.weights, weights, f"layer {self.name!r}")

    def count_params(self) -> int:
        """How many numbers its weights hold."""
        return sum(v.size for v in self.variables)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{' ' + str(self.output_shape) if self.built else ''}>"


def assign_all(variables: list[Variable], values: list[Any], owner: str) -> None:
    """Set several weights, or none where one does not fit."""
    values = [np.asarray(v) for v in values]
    if len(values) != len(variables):
        raise ValueError(
            f"{owner} has {len(variables)} weights ({', '.join(v.name for v in variables)}); "
            f"received {len(values)} arrays."
        )
    for place, (variable, value) in enumerate(zip(variables, values, strict=True)):
        if value.shape != variable.shape:
            raise ValueError(
                f"{owner}: weight {place} ({variable.name!r}) has shape {variable.shape}; received shape {value.shape}."
            )
        if value.dtype.kind not in "fiub":
            raise ValueError(f"{owner}: weight {place} ({variable.name!r}) needs real numbers; received {value.dtype}.")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def check_shape(shape: Any, owner: str) -> tuple[int, ...]:
    """``shape`` as a tuple of positive sizes."""
    try:
        sizes = tuple(shape)
    except TypeError:
        raise ValueError(f"{owner}: a shape is a tuple of sizes such as (784,), received {shape!r}.") from None
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
            raise ValueError(f"{owner}: every size of a shape is a positive integer, received {shape!r}.")
    return tuple(int(s) for s in sizes)


def check_positive(value: Any, argument: str, owner: str) -> int:
    """``value`` as a positive integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{owner}: {argument} must be a positive integer, received {value!r}.")
    return int(value)


def _new_name(cls: str) -> str:
    base = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls).lower()
    number = next(_counters[base])
    return f"{base}_{number}" if number else base
