"""Activations of whole rows, over the last axis: softmax and the like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels import registry
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import elementwise, rows
from fastnet.engine.bind import run_once
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.symbolic.array import SymbolicArray, TracingError
from fastnet.symbolic.functions import FUNCTIONS

_OVER_SEVERAL = ("softmax", "log_softmax")  # axes together


class RowActivation:
    """An activation of a whole row, over the last axis.

    Args:
        name: the string a user gives.
        value: its rule, or a template of x and y.
        gradient: the rule of dx, which reads dy as the row and y as its target.
    """

    def __init__(self, name: str, value: Any, gradient: registry.RowRule):
        self.name = self.__name__ = name
        is_rule = isinstance(value, registry.RowRule)
        self._forward = rows.RowTemplate(name, value) if is_rule else value
        self._rules = self._forward.rules() if is_rule else {}
        self._backward = rows.RowTemplate(f"{name}_gradient", gradient, targets="raw")

    def __call__(self, x: Any, axis: int | Sequence[int] = -1) -> np.ndarray:
        """Apply to an array, over ``axis``; softmax and log_softmax also over several axes together."""
        if isinstance(x, SymbolicArray):
            return self._of_symbolic(x, axis)
        x = np.asarray(x)
        if x.ndim == 0:
            raise ValueError(f"{self.name} needs an array with at least one axis, received a number.")
        axes: Any = list(axis) if isinstance(axis, (list, tuple)) and self.name in _OVER_SEVERAL else [axis]
        if not axes or not all(checks.is_integer(one) and -x.ndim <= one < x.ndim for one in axes):
            raise ValueError(f"{self.name}: axis must be one of the {x.ndim} axes of x, received {quoted(axis)}.")
        if len(axes) == 1:
            return np.moveaxis(applied(self, np.moveaxis(x, axes[0], -1)), -1, axes[0])
        moved = np.moveaxis(x, axes, range(-len(axes), 0))  # an error names an axis that is given twice
        rows = moved.reshape(*moved.shape[: -len(axes)], math.prod(moved.shape[-len(axes) :]))
        return np.moveaxis(applied(self, rows).reshape(moved.shape), range(-len(axes), 0), axes)

    def _of_symbolic(self, x: SymbolicArray, axis: Any) -> Any:
        """Its formula of arrays."""
        formula = FUNCTIONS.get(self.name)
        if formula is None:
            raise TracingError(f"The activation {self.name!r} is not there in formulas; ops has softmax.")
        return formula(x, axis)

    def forward(self, plan: Plan, x: View) -> View:
        """Add the launch of y = f(x)."""
        y = plan.like(x)
        plan.call(self._forward, **self._rules, x=x.as_rows, y=y.as_rows)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        """Add the launch of dx."""
        dx = plan.like(x)
        self._backward.call(plan, x=dy.as_rows, t=y.as_rows, y=dx.as_rows)
        return dx

    def as_config(self) -> str:
        """Its name."""
        return self.name

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, RowActivation) and self.name == other.name  # also of a copy

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<activation {self.name}>"


class GatedActivation(RowActivation):
    """a σ(b) of the halves a and b of the last axis; Dauphin et al. 2016, arXiv:1612.08083."""

    def __init__(self, name: str):
        self.name = self.__name__ = name

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape with half of the last axis.

        Raises:
            ValueError: the last axis is of odd size.
        """
        if not shape or shape[-1] % 2:
            received = shape[-1] if shape else "samples of one number"
            raise ValueError(f"{self.name} halves an axis, whose size must be even; received {received}.")
        return (*shape[:-1], shape[-1] // 2)

    def forward(self, plan: Plan, x: View) -> View:
        """Add the launch of y = a σ(b)."""
        y = plan.buffer(self.output_shape(x.shape), x.dtype)
        a, b = self._halves(x)
        plan.call(elementwise.gate, a=a, b=b, y=y)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        """Add the launch of the gradients of both halves."""
        dx = plan.like(x)
        (a, b), (da, db) = self._halves(x), self._halves(dx)
        plan.call(elementwise.gate_gradient, a=a, b=b, dy=dy, da=da, db=db)
        return dx

    def _halves(self, x: View) -> tuple[View, View]:
        half = x.shape[-1] // 2
        return x.slice(-1, 0, half), x.slice(-1, half, 2 * half)


def output_shape(activation: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a result of data of this shape: the same, but for those that know it.

    Raises:
        ValueError: the data do not fit.
    """
    return activation.output_shape(shape) if hasattr(activation, "output_shape") else shape


def applied(activation: Any, x: Any) -> np.ndarray:
    """The result of an activation for an array of any shape.

    Raises:
        TypeError: the array has other than real numbers.
    """
    x = np.asarray(x)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"The activation {activation.name!r} needs real numbers, received an array of {x.dtype}.")
    x = np.asarray(x, x.dtype if x.dtype == np.float64 else np.float32, order="C")
    if x.size == 0:
        return np.zeros(output_shape(activation, x.shape), x.dtype)
    plan = Plan(False, x.dtype.name, 1)
    source = plan.buffer(x.shape)
    result = activation.forward(plan, source)
    return run_once(plan, {source: x[None]}, result)[0] if result is not source else x.copy()
