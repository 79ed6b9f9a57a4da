"""Activations: by name, with arguments, or applied to an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels import registry
from fastnet._kernels.generate import Kernel
from fastnet._kernels.rules import activations as rules
from fastnet._kernels.templates import elementwise, rows
from fastnet.engine.plan import Buffer, Plan

_FORWARD_COST, _BACKWARD_COST = 400, 300  # picoseconds an element, of a middling one: relu takes 90, gelu 1,240


class Activation:
    """An elementwise activation y = f(x) with its arguments.

    Args:
        row: its row of the registry.
        parameters: values of its arguments; the row's defaults where not named.
    """

    def __init__(self, row: registry.Activation, **parameters: float):
        unknown = set(parameters) - set(row.parameters)
        if unknown:
            raise TypeError(f"The activation {row.name!r} takes {list(row.parameters)}, received {sorted(unknown)}.")
        self.row = row
        owner = f"The activation {row.name!r}"
        given = {name: checks.number(f"{owner}: {name}", value, checks.NO_NAN) for name, value in parameters.items()}
        self.parameters = {**row.parameters, **given}
        self.__name__ = row.name

    @property
    def name(self) -> str:
        return self.row.name

    def __call__(self, x: Any, **parameters: float) -> np.ndarray:
        """Apply to an array of any shape.

        Args:
            x: numbers; float64 stays, everything else becomes float32.
            parameters: other values for the arguments.

        Returns:
            An array of the same shape.
        """
        changed = type(self)(self.row, **{**self.parameters, **parameters})
        return _apply(changed, x)

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        """Add the launch of y = f(x)."""
        if self.name == "linear":
            return x
        y = plan.buffer(x.shape, x.dtype, needs_gradient=x.needs_gradient)
        values = list(self.parameters.values())
        kernel = Kernel(elementwise.forward, (("f", self.row.f),), x.dtype, (("p", len(values)),))
        plan.elements(kernel, x, _FORWARD_COST, x=x, y=y, p=values)
        return y

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer:
        """Add the launch of dx = dy f'."""
        if self.name == "linear":
            return dy
        dx = plan.buffer(x.shape, x.dtype)
        values = list(self.parameters.values())
        kernel = Kernel(elementwise.backward, (("df", self.row.df),), x.dtype, (("p", len(values)),))
        kept = x if self.row.keeps == "x" else y
        plan.elements(kernel, x, _BACKWARD_COST, kept=kept, dy=dy, dx=dx, p=values)
        return dx

    def as_config(self) -> Any:
        """Its name; with arguments that are not the defaults, ``{"name": name, "arguments": {...}}``."""
        changed = {k: v for k, v in self.parameters.items() if v != self.row.parameters[k]}
        return {"name": self.name, "arguments": changed} if changed else self.name

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.parameters.items())
        return f"<activation {self.name}({arguments})>"


class RowActivation:
    """An activation of a whole row, over the last axis.

    Args:
        name: the string a user gives.
        value: its rule.
        gradient: the rule of dx, which reads dy as the row and y as its target.
    """

    def __init__(self, name: str, value: registry.RowRule, gradient: registry.RowRule):
        self.name = self.__name__ = name
        self._forward = rows.RowTemplate(name, value)
        self._backward = rows.RowTemplate(f"{name}_gradient", gradient, targets="raw")

    def __call__(self, x: Any, axis: int = -1) -> np.ndarray:
        """Apply to an array, over ``axis``."""
        x = np.asarray(x)
        if x.ndim == 0:
            raise ValueError(f"{self.name} needs an array with at least one axis, received a number.")
        if not checks.is_whole(axis) or not -x.ndim <= axis < x.ndim:
            raise ValueError(f"{self.name}: axis must be one of the {x.ndim} axes of x, received {axis!r}.")
        return np.moveaxis(_apply(self, np.moveaxis(x, axis, -1)), -1, axis)

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        """Add the launch of y = f(x)."""
        y = plan.buffer(x.shape, x.dtype, needs_gradient=x.needs_gradient)
        width = x.shape[-1] if x.shape else 1
        kernel = Kernel(self._forward, self._forward.rules(), x.dtype)
        plan.rows(kernel, x.width // width, 2000 * width, x=x, y=y, width=width)
        return y

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer:
        """Add the launch of dx."""
        dx = plan.buffer(x.shape, x.dtype)
        width = x.shape[-1] if x.shape else 1
        kernel = Kernel(self._backward, self._backward.rules(), x.dtype)
        plan.rows(kernel, x.width // width, 500 * width, x=dy, t=y, y=dx, width=width)
        return dx

    def as_config(self) -> str:
        """Its name."""
        return self.name

    def __repr__(self) -> str:
        return f"<activation {self.name}>"


def _apply(activation, x: Any) -> np.ndarray:
    from fastnet.engine.cpu import run_once

    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"The activation {activation.name!r} needs real numbers, received an array of {x.dtype}.")
    x = np.asarray(x, x.dtype if x.dtype == np.float64 else np.float32, order="C")
    if x.size == 0:
        return x.copy()
    plan = Plan(False, x.dtype.name)
    source = plan.buffer(x.shape, per_row=True)
    result = activation.forward(plan, source)
    return run_once(plan, {source: x[None]}, result)[0] if result is not source else x.copy()


def get(identifier: Any):
    """The activation of a name, a function of this module, or None (linear).

    Raises:
        ValueError: an unknown name; offers the nearest known ones.

    Example:
        >>> import fastnet
        >>> fastnet.activations.get("relu")([-1.0, 2.0]).tolist()
        [0.0, 2.0]
    """
    if identifier is None:
        return linear
    if isinstance(identifier, (Activation, RowActivation)):
        return identifier
    if isinstance(identifier, dict) and "name" in identifier:
        return Activation(registry.activations.find(identifier["name"]), **identifier.get("arguments", {}))
    if identifier is relu or identifier is gelu:
        return get(identifier.__name__)
    if isinstance(identifier, str):
        if identifier in _ROWS:
            return _ROWS[identifier]
        if identifier not in registry.activations:
            raise ValueError(registry.unknown("activation", identifier, [*registry.activations, *_ROWS]))
        return Activation(registry.activations[identifier])
    raise ValueError(
        f"An activation is a name, or one of fastnet.activations, received {identifier!r}. To use a function of your "
        "own, register it: fastnet.register_activation(name, function)."
    )


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> np.ndarray:
    """max(x, 0); with its arguments: x where x >= threshold, negative_slope (x - threshold) below, at most max_value.

    Args:
        x: numbers, any shape.
        negative_slope: slope below the threshold.
        max_value: largest result; None for no limit.
        threshold: where the slope changes.
    """
    return relu_with(negative_slope, max_value, threshold)(x)


def relu_with(negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Activation:
    """relu with these arguments as an activation: the plain one where they are the defaults."""
    if negative_slope == 0 and max_value is None and threshold == 0:
        return get("relu")
    return Activation(
        registry.activations.find("clipped_relu"),
        negative_slope=negative_slope,
        max_value=np.inf if max_value is None else max_value,
        threshold=threshold,
    )


def gelu(x: Any, approximate: bool = False) -> np.ndarray:
    """x Φ(x), or its tanh form; Hendrycks and Gimpel 2016, arXiv:1606.08415."""
    return get("approximate_gelu" if approximate else "gelu")(x)


def serialize(activation: Any) -> Any:
    """The name of an activation, or ``{"name": ..., "arguments": ...}`` where it has arguments of its own."""
    return get(activation).as_config()


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The activation of what `serialize` gave; ``custom_objects`` maps further names to activations."""
    return get((custom_objects or {}).get(config, config) if isinstance(config, str) else config)


linear = Activation(registry.activations.find("linear"))
leaky_relu = Activation(registry.activations.find("leaky_relu"))
relu6 = Activation(registry.activations.find("relu6"))
elu = Activation(registry.activations.find("elu"))
celu = Activation(registry.activations.find("celu"))
selu = Activation(registry.activations.find("selu"))
sigmoid = Activation(registry.activations.find("sigmoid"))
hard_sigmoid = Activation(registry.activations.find("hard_sigmoid"))
log_sigmoid = Activation(registry.activations.find("log_sigmoid"))
tanh = Activation(registry.activations.find("tanh"))
hard_tanh = Activation(registry.activations.find("hard_tanh"))
silu = swish = Activation(registry.activations.find("silu"))
hard_silu = hard_swish = Activation(registry.activations.find("hard_silu"))
mish = Activation(registry.activations.find("mish"))
exponential = Activation(registry.activations.find("exponential"))
softplus = Activation(registry.activations.find("softplus"))
softsign = Activation(registry.activations.find("softsign"))
softmax = RowActivation("softmax", rules.softmax, rules.softmax_gradient)
log_softmax = RowActivation("log_softmax", rules.log_softmax, rules.log_softmax_gradient)
_ROWS = {"softmax": softmax, "log_softmax": log_softmax}
