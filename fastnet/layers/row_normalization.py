"""Layers that normalize each row by itself."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from fastnet import checks
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import row_normalization as loops
from fastnet.engine.plan import Buffer, Plan
from fastnet.layers.base import Layer, refuse
from fastnet.layers.normalization import constant


class _RowNormalization(Layer):
    """y = (x - center mean) s gamma + beta over the last axes; s is the inverse root of a mean or a sum of squares."""

    _fixed: ClassVar[tuple[str, ...]] = ("axis",)
    _ranges: ClassVar = {"epsilon": checks.POSITIVE}
    axis: Any
    centered = 0.0  # 1 where the mean is taken away
    averaged = True  # whether s follows from the mean of the squares, or from their sum
    limit = math.inf  # the largest s
    epsilon = 0.0  # added to the mean of the squares
    gamma_weight: Any = None
    beta_weight: Any = None

    def _check_axis(self, axis: Any) -> Any:
        if (axes := checks.wholes(f"{self._owner}: axis", axis)) == []:
            raise ValueError(f"{self._owner}: axis must name at least one axis, received {axis!r}.")
        return axes

    def _row_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The part of a sample's shape that is normalized together."""
        given = self.axis if isinstance(self.axis, list) else [self.axis]
        axes = sorted(a + len(shape) + 1 if a < 0 else a for a in given)  # the batch is axis 0, as in Keras
        if axes != list(range(len(shape) + 1 - len(axes), len(shape) + 1)) or axes[0] < 1:
            raise ValueError(
                f"{self._owner} works on the last axes (-1, or [-2, -1] ...); received "
                f"axis={self.axis} for samples of shape {shape}. Put the axes last with Permute."
            )
        return tuple(shape[a - 1] for a in axes)

    def sample_output_shape(self, input_shape):
        row = self._row_shape(input_shape)
        known = next((v.shape for v in (self.gamma_weight, self.beta_weight) if v is not None), row)
        if row != known:
            raise ValueError(
                f"{self._owner} was built for rows of shape {known}; received samples of shape {input_shape}."
            )
        return input_shape

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        width, numbers = math.prod(self._row_shape(x.shape)), self._numbers(x)
        inner = x.width // width
        gamma = constant(plan, self.gamma_weight, width, 1.0, self.dtype)
        beta = constant(plan, self.beta_weight, width, 0.0, self.dtype)
        mean, scale = (plan.buffer((inner,), self.dtype) for _ in range(2))
        trained = self.trainable and bool(self.variables)
        y = plan.buffer(x.shape, self.dtype, needs_gradient=x.needs_gradient or trained)
        kernel = Kernel(loops.normalize_rows, dtype=self.dtype)
        plan.rows(
            kernel, inner, 1000 * width, x=x, gamma=gamma, beta=beta, mean=mean, scale=scale, y=y,
            epsilon=self.epsilon, width=width, **numbers,
        )  # fmt: skip
        plan.keep(self, gamma=gamma, mean=mean, scale=scale)
        return y

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer | None:
        width, numbers = math.prod(self._row_shape(x.shape)), self._numbers(x)
        inner = x.width // width
        gamma, mean, scale = (plan.recall(self, name) for name in ("gamma", "mean", "scale"))
        if self.trainable and self.variables:
            dgamma, dbeta = (
                plan.buffer((width,), self.dtype, per_row=False) if v is None else plan.gradient(v)
                for v in (self.gamma_weight, self.beta_weight)
            )
            plan.columns(
                Kernel(loops.row_parameter_gradients, dtype=self.dtype), width, 400 * inner * plan.typical_rows, x=x,
                dy=dy, mean=mean, scale=scale, dgamma=dgamma, dbeta=dbeta, width=width, inner=inner,
            )  # fmt: skip
        if not x.needs_gradient:
            return None
        dx = plan.buffer(x.shape, self.dtype)
        plan.rows(
            Kernel(loops.normalized_gradient, dtype=self.dtype), inner, 1000 * width, x=x, dy=dy, gamma=gamma,
            mean=mean, scale=scale, dx=dx, width=width, **numbers,
        )  # fmt: skip
        return dx

    def _numbers(self, x: Buffer) -> dict[str, float]:
        share = 1 / math.prod(self._row_shape(x.shape)) if self.averaged else 1.0
        return {"center": self.centered, "share": share, "limit": self.limit}


class LayerNormalization(_RowNormalization):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, over the last axes; Ba et al. 2016, arXiv:1607.06450.

    Args:
        axis: the last axis (-1), or a list of the last axes.
        epsilon: added to the variance.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer, gamma_initializer: start values.
        beta_regularizer, gamma_regularizer: penalties; see `fastnet.regularizers`.
        beta_constraint, gamma_constraint: see `fastnet.constraints`.
        rms_scaling: must be False; see `RMSNormalization`.
        **more: ``name``, ``dtype``, ``trainable``, ``activity_regularizer``, ``input_shape``.

    Weights: ``gamma``, ``beta``, each of the shape of the axes.

    Raises:
        ValueError: axes that are not the last, an epsilon that is not positive.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.LayerNormalization()])
        >>> print(model.predict([[1.0, 3.0]], verbose=0).round(2))
        [[-1.  1.]]
    """

    centered = 1.0

    _fixed = ("axis", "center", "scale", "rms_scaling")
    gamma: Any
    beta: Any

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        rms_scaling: bool = False,
        **more: Any,
    ):
        super().__init__(**more)
        self.gamma = self.beta = None
        refuse(self._owner, rms_scaling=rms_scaling)
        self.axis, self.epsilon, self.rms_scaling = self._check_axis(axis), epsilon, False
        self.center = checks.flag(f"{self._owner}: center", center)
        self.scale = checks.flag(f"{self._owner}: scale", scale)
        self.beta_initializer = beta_initializer
        self.gamma_initializer = gamma_initializer
        self.beta_regularizer = beta_regularizer
        self.gamma_regularizer = gamma_regularizer
        self.beta_constraint = beta_constraint
        self.gamma_constraint = gamma_constraint

    def make_weights(self, input_shape):
        shape = self._row_shape(input_shape)
        if self.scale:
            self.gamma = self.gamma_weight = self.add_weight(
                "gamma", shape, self.gamma_initializer,
                regularizer=self.gamma_regularizer, constraint=self.gamma_constraint,
            )  # fmt: skip
        if self.center:
            self.beta = self.beta_weight = self.add_weight(
                "beta", shape, self.beta_initializer,
                regularizer=self.beta_regularizer, constraint=self.beta_constraint,
            )  # fmt: skip


class RMSNormalization(_RowNormalization):
    """y = scale x / sqrt(mean of x² + epsilon), over the last axes; Zhang and Sennrich 2019, arXiv:1910.07467.

    Args:
        axis: the last axis (-1), or a list of the last axes.
        epsilon: added to the mean of the squares.
        **more: ``name``, ``dtype``, ``trainable``, ``activity_regularizer``, ``input_shape``.

    Weights: ``scale``, of the shape of the axes.

    Raises:
        ValueError: axes that are not the last, an epsilon that is not positive.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.RMSNormalization()])
        >>> print(model.predict([[1.0, 7.0]], verbose=0).round(2))  # by sqrt((1² + 7²) / 2) = 5
        [[0.2 1.4]]
    """

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **more: Any):
        super().__init__(**more)
        self.axis, self.epsilon = self._check_axis(axis), epsilon

    def make_weights(self, input_shape):
        self.scale = self.gamma_weight = self.add_weight("scale", self._row_shape(input_shape), "ones")


class UnitNormalization(_RowNormalization):
    """y = x / max(|x|, 1e-12), with |x| the Euclidean norm over the last axes.

    Args:
        axis: the last axis (-1), or a list of the last axes.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: axes that are not the last.

    Example:
        >>> print(layers.UnitNormalization()([[3.0, 4.0]]).round(3))
        [[0.6 0.8]]
    """

    averaged = False
    limit = 1e12

    def __init__(self, axis: Any = -1, **more: Any):
        super().__init__(**more)
        self.axis = self._check_axis(axis)
