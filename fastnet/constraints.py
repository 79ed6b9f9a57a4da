"""Constraints, which change a weight after each update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnet import checks, config, hooks
from fastnet._kernels.errors import quoted
from fastnet._kernels.rules import penalties as rules
from fastnet._kernels.templates import weight_penalties as loops
from fastnet.descriptions import Family, OfElements, OfFunction
from fastnet.engine.bind import bind
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.symbolic.array import SymbolicArray
from fastnet.symbolic.functions import FUNCTIONS
from fastnet.symbolic.penalties import project
from fastnet.symbolic.rule_formulas import of_rule


class Constraint(OfElements):
    """A weight becomes a function of it, after each update.

    A subclass defines ``__call__(self, w)``, array code that gives an array of the weight's shape, or ``project``, a
    rule of one element (docs/extending.md). ``project`` is a static method; its first argument is the element, the
    further ones are the object's attributes of the same names. ``Constraint()`` itself leaves a weight as it is.

    Raises:
        TypeError: when a subclass is defined that has both, or whose ``project`` is not a static method.

    Example:
        >>> from fastnet import constraints, layers, ops
        >>> class Centered(constraints.Constraint):
        ...     def __call__(self, w):
        ...         return w - ops.mean(w, axis=0, keepdims=True)
        >>> Centered()(np.array([[1.0], [3.0]])).tolist()
        [[-1.0], [1.0]]
        >>> class AtMost(constraints.Constraint):
        ...     def __init__(self, limit):
        ...         self.limit = limit
        ...     @staticmethod
        ...     def project(w, limit):
        ...         return limit if w > limit else w
        >>> layer = layers.Dense(4, kernel_constraint=AtMost(0.5))
    """

    _rule = "project"
    project: Callable[..., Any] = staticmethod(rules.same)

    def __call__(self, w: Any) -> Any:
        """The array after the constraint; in the array code of a subclass ``super().__call__(w)`` is its parent's."""
        if isinstance(w, SymbolicArray):
            return self._of_symbols(w)
        if self.is_array_code:
            return hooks.as_parent(self, self.__getstate__())(w)
        w = np.asarray(w)
        variable = Variable(w if w.dtype == np.float64 else w.astype(np.float32), "w")
        plan = Plan(False, variable.dtype, 1)
        self.launch(plan, variable)
        bind(plan).run(0, 1, 1, 1, 0.0)
        return variable.numpy()

    def _of_symbols(self, w: SymbolicArray) -> SymbolicArray:
        return of_rule(self._formula, (w,), tuple(self._scalars()))

    def launch(self, plan: Plan, variable: Variable) -> None:
        """Add the launches that change a weight."""
        if self.is_array_code:
            project(plan, self, self._label, variable)
            return
        plan.call(loops.project, f=self._formula, w=variable, p=self._scalars())


class FunctionConstraint(OfFunction, Constraint):
    """A constraint that is a function of a weight, array code; a layer makes one of a function.

    Args:
        fn: ``fn(w)``, which gives an array of the weight's shape.

    Raises:
        TypeError: fn is not a function.

    Example:
        >>> from fastnet import ops
        >>> constraints.FunctionConstraint(lambda w: w * ops.cast(w >= 0, w.dtype))(np.array([-1.0, 2.0])).tolist()
        [-0.0, 2.0]
    """

    _noun = "constraint"


class NonNeg(Constraint):
    """Negative elements become 0.

    Example:
        >>> constraints.NonNeg()([-1.0, 2.0]).tolist()
        [0.0, 2.0]
    """

    project = staticmethod(rules.non_negative)


class _OfNorms(Constraint):
    """Multiplies the elements that share a norm by a function of it; ``project`` is that function."""

    axis: int | Sequence[int]

    @property
    def epsilon(self) -> float:
        """The number that is added to a norm, which may be 0."""
        return config.epsilon()

    def launch(self, plan: Plan, variable: Variable) -> None:
        if self.is_array_code:  # of a subclass
            super().launch(plan, variable)
            return
        outer, reduced, width = self._parts(variable)
        sizes = {"outer": outer, "reduced": reduced, "width": width}
        plan.call(loops.project_norms, f=self._formula, w=variable, p=self._scalars(), **sizes)

    def _of_symbols(self, w: SymbolicArray) -> SymbolicArray:
        norm = FUNCTIONS["norm"](w, axis=self.axis, keepdims=True)
        return FUNCTIONS["multiply"](w, of_rule(self._formula, (norm,), tuple(self._scalars())))

    def _parts(self, variable: Variable) -> tuple[int, int, int]:
        """Sizes before, along and behind the axes of the norm."""
        shape, given = variable.shape, [self.axis] if isinstance(self.axis, int) else list(self.axis)
        axes = sorted(a + len(shape) if a < 0 else a for a in given)
        if not axes or axes != list(range(axes[0], axes[0] + len(axes))) or axes[0] < 0 or axes[-1] >= len(shape):
            raise ValueError(
                f"{type(self).__name__}: axis must name neighbouring axes of the weight {variable.name!r} of shape "
                f"{shape}, received {quoted(self.axis)}."
            )
        first, last = axes[0], axes[-1] + 1
        return math.prod(shape[:first]), math.prod(shape[first:last]), math.prod(shape[last:])


class MaxNorm(_OfNorms):
    """w ← w · min(|w|, max_value) / (|w| + 1e-7), with |w| the norm over ``axis``; Srivastava et al. 2014, section 5.1.

    Args:
        max_value: the largest norm.
        axis: the axis, or neighbouring axes, of the norm: 0 for the weights into each unit of a Dense layer.

    Raises:
        ValueError: the norm is negative; when used, the weight lacks the axes.

    Example:
        >>> from fastnet import constraints
        >>> constraints.MaxNorm(1.0)([[3.0], [4.0]]).round(3).tolist()
        [[0.6], [0.8]]
    """

    project = staticmethod(rules.max_norm)

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0):
        self.max_value, self.axis = _norm(max_value, "max_value", "MaxNorm"), _axis(axis, "MaxNorm")


class UnitNorm(_OfNorms):
    """w ← w / (|w| + 1e-7), with |w| the norm over ``axis`` (see `MaxNorm`).

    Example:
        >>> constraints.UnitNorm()([[3.0], [4.0]]).round(3).tolist()
        [[0.6], [0.8]]
    """

    project = staticmethod(rules.unit_norm)

    def __init__(self, axis: int | Sequence[int] = 0):
        self.axis = _axis(axis, "UnitNorm")


class MinMaxNorm(_OfNorms):
    """w ← w · (rate · clip(|w|, min_value, max_value) + (1 - rate) |w|) / (|w| + 1e-7).

    Args:
        min_value, max_value: bounds of the norm.
        rate: the part of the way to the bounds in each step, from 0 to 1.
        axis: of the norm; see `MaxNorm`.

    Raises:
        ValueError: a norm is negative, min_value is above max_value, or rate is outside [0, 1].

    Example:
        >>> constraints.MinMaxNorm(1.0, 2.0)([[3.0], [4.0]]).round(3).tolist()
        [[1.2], [1.6]]
    """

    project = staticmethod(rules.min_max_norm)

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | Sequence[int] = 0
    ):
        self.min_value = _norm(min_value, "min_value", "MinMaxNorm")
        self.max_value = _norm(max_value, "max_value", "MinMaxNorm")
        if self.min_value > self.max_value:
            raise ValueError(f"MinMaxNorm: min_value {min_value} must not be above max_value {max_value}.")
        self.rate = checks.number("MinMaxNorm: rate", rate, checks.CLOSED_UNIT)
        self.axis = _axis(axis, "MinMaxNorm")


def _norm(value: Any, name: str, owner: str) -> float:
    number = checks.number(f"{owner}: {name}", value, checks.AT_LEAST_0)
    return value if isinstance(value, int) else number


def _axis(value: Any, owner: str) -> int | list[int]:
    return checks.integers(f"{owner}: axis", value)


_family = Family("a constraint", Constraint, (MaxNorm, MinMaxNorm, NonNeg, UnitNorm), of_function=FunctionConstraint)
max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
serialize, deserialize = _family.serialize, _family.deserialize


def get(identifier: Any) -> Any:
    """The constraint of a name, a description, a class, an object or a function of an array; None for None.

    Raises:
        ValueError: the name is unknown, or the object is not a constraint.

    Example:
        >>> from fastnet import constraints
        >>> constraints.get("max_norm")
        MaxNorm(max_value=2, axis=0)
    """
    return _family.get(identifier)
