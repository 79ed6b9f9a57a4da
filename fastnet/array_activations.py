"""Activations written as array code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from fastnet import serialization
from fastnet._kernels import registration
from fastnet.arrays import as_array
from fastnet.engine.bind import run_once
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.symbolic.activations import TracedActivation
from fastnet.symbolic.array import SymbolicArray


class ArrayActivation:
    """An activation written as array code (`fastnet.ops`), which reads whole rows.

    Args:
        function: ``x -> y``, of arrays whose first axis is the batch.
        arguments: values of its further arguments.
        keeps_axes: whether the result must have the axes of x, but for the size of the last one.

    Example:
        >>> from fastnet import ops
        >>> activations.ArrayActivation(lambda x: x - ops.mean(x, axis=-1, keepdims=True))([[1.0, 3.0]]).tolist()
        [[-1.0, 1.0]]
    """

    def __init__(self, function: Callable[..., Any], arguments: dict[str, Any] | None = None, keeps_axes: bool = True):
        self.function, self.arguments, self.name = function, arguments or {}, registration.name_of(function)
        self.__name__, self.__doc__ = self.name, function.__doc__
        self.traced = TracedActivation(functools.partial(function, **self.arguments), self.name, keeps_axes)

    def __call__(self, x: Any) -> Any:
        """Apply to an array (n, ...)."""
        return self.traced.function(x) if isinstance(x, SymbolicArray) else _apply_to_rows(self, x)

    def __eq__(self, other: Any) -> bool:
        """Whether the other one is this activation, or the function that it was made of."""
        return self is other or (other is self.function and not self.arguments)

    def __hash__(self) -> int:
        return hash(self.function if isinstance(self.function, Hashable) else self.name)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a result for samples of this shape."""
        return self.traced.output_shape(shape)

    def forward(self, plan: Plan, x: View) -> View:
        """Add the launch of y."""
        return self.traced.forward(plan, x)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        """Add the launches of dx."""
        return self.traced.backward(plan, dy, x, y)

    def as_config(self) -> Any:
        """Its function's description."""
        return serialization.serialize_keras_object(self.function)

    def __repr__(self) -> str:
        return f"<activation {self.name}>"


def _apply_to_rows(activation: ArrayActivation, x: Any) -> np.ndarray:
    x = as_array(x, f"{activation.name}: x")
    plan = Plan(False, x.dtype.name, max(len(x), 1))
    source = plan.buffer(x.shape[1:])
    return run_once(plan, {source: x}, activation.forward(plan, source))
