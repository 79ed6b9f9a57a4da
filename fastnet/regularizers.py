"""Regularizers: penalties on weights, or on the results of layers, that are added to the loss."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet import checks, config, hooks
from fastnet._kernels import differentiate
from fastnet._kernels.rules import penalties as rules
from fastnet._kernels.templates import folds
from fastnet._kernels.templates import weight_penalties as loops
from fastnet.descriptions import Family, OfElements, OfFunction
from fastnet.engine.bind import bind
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.symbolic.array import SymbolicArray, refusal
from fastnet.symbolic.functions import FUNCTIONS
from fastnet.symbolic.penalties import TracedPenalty
from fastnet.symbolic.rule_formulas import of_rule


class Regularizer(OfElements):
    """A penalty: a number for an array, a weight or a layer's result.

    A subclass defines ``__call__(self, x)``, array code that gives the number (docs/extending.md), or ``penalty``, a
    rule of one element, whose sum is the number. ``penalty`` is a static method; its first argument is the element, the
    further ones are the object's attributes of these names. The gradient is found by differentiation.

    Raises:
        ValueError: when one is made that has no attribute for an argument of ``penalty``.
        TypeError: when a subclass is defined that has both, or whose ``penalty`` is not a static method.

    Example:
        >>> import math
        >>> from fastnet import layers, ops, regularizers
        >>> class Spread(regularizers.Regularizer):
        ...     def __init__(self, strength=0.01):
        ...         self.strength = strength
        ...     def __call__(self, x):
        ...         return self.strength * ops.mean(ops.square(x - ops.mean(x)))
        >>> float(Spread(2.0)(np.array([1.0, 3.0])))
        2.0
        >>> class Smooth(regularizers.Regularizer):
        ...     def __init__(self, strength=0.01):
        ...         self.strength = strength
        ...     @staticmethod
        ...     def penalty(w, strength):
        ...         return strength * (math.sqrt(1 + w * w) - 1)
        >>> layer = layers.Dense(4, kernel_regularizer=Smooth(0.1), bias_regularizer=Spread())
    """

    _rule = "penalty"
    penalty: Callable[..., Any]

    def __call__(self, x: Any) -> Any:
        """The penalty of an array; in the array code of a subclass ``super().__call__(x)`` is that of its parent."""
        if isinstance(x, SymbolicArray):
            if not hasattr(type(self), self._rule):
                raise refusal(
                    f"{type(self).__name__}: its parent's penalty has no formula", "write it with fastnet.ops"
                )
            of_elements = of_rule(self._formula, (x,), tuple(self._scalars()), {0: derivative(self._formula)})
            return FUNCTIONS["sum"](of_elements)
        if self.is_array_code:
            return hooks.as_parent(self, self.__getstate__())(x)
        x = np.asarray(x)
        variable = Variable(x if x.dtype == np.float64 else x.astype(np.float32), "x")
        plan = Plan(False, variable.dtype, 1)
        chunk_sums, _ = self.weight_penalty(plan, variable)
        bound = bind(plan, pinned=[chunk_sums])
        bound.run(0, 1, 1, 1, 0.0)
        return float(bound.read(chunk_sums, 1).sum())

    def weight_penalty(self, plan: Plan, variable: Variable) -> tuple[View, int]:
        """Add the launch of the sums of chunks whose sum is the penalty; these, and how many elements were summed."""
        if self.is_array_code:
            return self._traced.of_weight(plan, variable)
        return self._sums(plan, variable)

    def activity_penalty(self, plan: Plan, y: View) -> tuple[View, int]:
        """The same for the result of a layer."""
        if self.is_array_code:
            return self._traced.of_activity(plan, y)
        return self._sums(plan, y)

    def add_gradient(self, plan: Plan, variable: Variable, gradient: View) -> None:
        """Add the launch that adds the penalty's gradient to a weight's, which an optimizer's pass over it includes."""
        if self.is_array_code:
            self._traced.add_gradient(plan, variable, gradient)
            return
        slope = derivative(self._formula)
        plan.call(loops.add_gradient, df=slope, w=variable, g=gradient, p=self._scalars())

    def activity_gradient(self, plan: Plan, dy: View, y: View) -> View:
        """Add the launch of dy + the gradient of the samples' mean penalty."""
        if self.is_array_code:
            return self._traced.activity_gradient(plan, dy, y)
        dx, slope = plan.like(y), derivative(self._formula)
        plan.call(loops.add_activity_gradient, df=slope, y=y, dy=dy, dx=dx, p=self._scalars(), batch=-1)
        return dx

    def _sums(self, plan: Plan, x: Variable | View) -> tuple[View, int]:
        return plan.sums(folds.sum_rule, f=self._formula, x=x, p=self._scalars())

    @property
    def _traced(self) -> TracedPenalty:
        return TracedPenalty(self, self._label)


class FunctionRegularizer(OfFunction, Regularizer):
    """A penalty that is a function of an array, array code; a layer makes one of a function.

    Args:
        fn: ``fn(x)``, which gives a number.

    Raises:
        TypeError: fn is not a function.

    Example:
        >>> from fastnet import ops
        >>> float(regularizers.FunctionRegularizer(lambda w: 0.5 * ops.sum(ops.square(w)))(np.array([1.0, -3.0])))
        5.0
    """

    _noun = "regularizer"


@functools.cache
def derivative(rule: Callable[..., Any]) -> Callable[..., Any]:
    """The derivative of a penalty by its element."""
    if rule is rules.l1_l2:
        return rules.l1_l2_gradient
    return differentiate.derivative_rule(rule, next(iter(inspect.signature(rule).parameters)))


class _L1L2(Regularizer):
    """l1 · Σ|w| + l2 · Σw², of which a subclass may have one factor."""

    penalty = staticmethod(rules.l1_l2)
    l1 = l2 = 0.0

    def add_gradient(self, plan: Plan, variable: Variable, gradient: View) -> None:
        if self.l1 or self.l2 or self.is_array_code:
            super().add_gradient(plan, variable, gradient)


class L1L2(_L1L2):
    """l1 · Σ|w| + l2 · Σw².

    Args:
        l1: factor of the sum of absolute values.
        l2: factor of the sum of squares.

    Raises:
        ValueError: a factor is not a finite number of at least 0.

    Example:
        >>> from fastnet import regularizers
        >>> regularizers.L1L2(0.5, 0.25)([2.0, -4.0])
        8.0
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0):
        self.l1, self.l2 = _factor(0.0 if l1 is None else l1, "l1"), _factor(0.0 if l2 is None else l2, "l2")


class L1(_L1L2):
    """l1 · Σ|w|. Raises ValueError if ``l1`` is not a finite number of at least 0.

    Example:
        >>> regularizers.L1(0.5)([1.0, -3.0])
        2.0
    """

    def __init__(self, l1: float = 0.01):
        self.l1 = _factor(l1, "l1")


class L2(_L1L2):
    """l2 · Σw². Raises ValueError if ``l2`` is not a finite number of at least 0.

    Example:
        >>> regularizers.L2(0.5)([1.0, -3.0])
        5.0
    """

    def __init__(self, l2: float = 0.01):
        self.l2 = _factor(l2, "l2")


class OrthogonalRegularizer(Regularizer):
    """Pulls the rows (or columns) of a matrix apart: factor times the mean of |cos| over all pairs of them.

    Args:
        factor: of the mean.
        mode: "rows" or "columns": the vectors whose angles count.

    Raises:
        ValueError: mode has another value, or factor is not a finite number of at least 0; when used, the weight is
            not a matrix.

    Example:
        >>> regularizers.OrthogonalRegularizer(0.5)([[1.0, 0.0], [0.0, 1.0]])
        0.0
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows"):
        checks.one_of("OrthogonalRegularizer: mode", mode, "rows", "columns")
        self.factor, self.mode = _factor(factor, "factor"), mode

    def weight_penalty(self, plan: Plan, variable: Variable) -> tuple[View, int]:
        if self.is_array_code:  # of a subclass
            return super().weight_penalty(plan, variable)
        n, vectors = self._vectors(variable)
        norms, cosine = (plan.buffer(shape, variable.dtype, per_row=False) for shape in ((n,), (n, n)))
        plan.call(loops.vector_norms, w=variable, norms=norms, epsilon=config.epsilon(), **vectors)
        plan.call(loops.cosines, w=variable, norms=norms, cosine=cosine, **vectors)
        plan.penalty_state[variable] = {"norms": norms, "cosine": cosine}
        return L1(self._scale(n))._sums(plan, cosine)

    def add_gradient(self, plan: Plan, variable: Variable, gradient: View) -> None:
        if self.is_array_code:
            super().add_gradient(plan, variable, gradient)
            return
        n, vectors = self._vectors(variable)
        operands = {"w": variable, "g": gradient, "factor": self._scale(n), **plan.penalty_state[variable], **vectors}
        plan.call(loops.add_orthogonality_gradient, f=rules.sign, **operands)

    def activity_penalty(self, plan: Plan, y: View) -> tuple[View, int]:
        if self.is_array_code:
            return super().activity_penalty(plan, y)
        raise ValueError("OrthogonalRegularizer is for weights; as activity_regularizer use L1, L2 or L1L2.")

    def _scale(self, n: int) -> float:
        return self.factor * 0.5 / max(n * (n - 1.0) / 2.0, 1.0)  # each pair is in the matrix twice

    def _vectors(self, variable: Variable) -> tuple[int, dict[str, int]]:
        if len(variable.shape) != 2:
            raise ValueError(
                f"OrthogonalRegularizer is for matrices; the weight {variable.name!r} has the shape {variable.shape}."
            )
        rows, columns = variable.shape
        if self.mode == "rows":
            return rows, {"length": columns, "vector_stride": columns, "element_stride": 1}
        return columns, {"length": rows, "vector_stride": 1, "element_stride": columns}


def _factor(value: Any, name: str) -> float:
    return checks.number(f"A regularizer's {name}", value, checks.NOT_NEGATIVE)


_family = Family("a regularizer", Regularizer, (L1, L2, L1L2, OrthogonalRegularizer), of_function=FunctionRegularizer)
l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer
serialize, deserialize = _family.serialize, _family.deserialize


def get(identifier: Any) -> Any:
    """The regularizer of a name, a description, a class, an object or a function of an array; None for None.

    Raises:
        ValueError: the name is unknown, or the object is not a regularizer.

    Example:
        >>> from fastnet import regularizers
        >>> regularizers.get("l2")
        L2(l2=0.01)
    """
    return _family.get(identifier)
