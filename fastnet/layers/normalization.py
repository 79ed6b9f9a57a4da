"""Batch normalization."""

from __future__ import annotations

from typing import Any, ClassVar

from fastnet import checks
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import normalization
from fastnet.engine.plan import Buffer, Plan
from fastnet.engine.variable import Variable
from fastnet.layers.affine import Affine
from fastnet.layers.base import refuse


class BatchNormalization(Affine):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, over every axis but the last.

    In training mean and variance are the batch's, of the steps that a mask (`Masking`) keeps; they also move the
    averages that are used otherwise: moving = moving · momentum + batch · (1 - momentum).  Ioffe and Szegedy 2015,
    arXiv:1502.03167.

    Args:
        axis: the axis of the channels: the last one (-1).
        momentum: of the moving averages.
        epsilon: added to the variance.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: start values.
        beta_regularizer, gamma_regularizer: penalties; see `fastnet.regularizers`.
        beta_constraint, gamma_constraint: see `fastnet.constraints`.
        renorm, renorm_clipping: must be left at their defaults.
        renorm_momentum: accepted, and of no use without renorm.
        synchronized: accepted: there is one batch.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``. Where ``trainable`` is False the layer behaves as
            in inference, also while training, as in Keras.

    Weights: ``gamma``, ``beta``, ``moving_mean``, ``moving_variance``, each (channels,).

    Raises:
        ValueError: a momentum outside [0, 1], an epsilon that is not positive, an axis that is not the last.

    Example:
        >>> model = fastnet.Sequential([layers.Input((1,)), layers.BatchNormalization()])
        >>> [weight.name for weight in model.weights]
        ['gamma', 'beta', 'moving_mean', 'moving_variance']
    """

    supports_masking = True
    _fixed = ("axis", "center", "scale")
    _ranges: ClassVar = {"momentum": checks.CLOSED_UNIT, "epsilon": checks.POSITIVE}

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **more: Any,
    ):
        super().__init__(**more)
        refuse(self._owner, renorm=renorm, renorm_clipping=renorm_clipping)
        self.renorm, self.renorm_clipping, self.renorm_momentum = False, None, renorm_momentum
        self.synchronized = synchronized
        # Keras keeps the axis of a built layer in a list.
        axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
        self.axis = checks.whole(f"{self._owner}: axis", axis, None)
        self.momentum, self.epsilon = momentum, epsilon
        self._keep_affine(
            *(center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer),
            *(beta_constraint, gamma_constraint),
        )
        self.moving_mean_initializer = moving_mean_initializer
        self.moving_variance_initializer = moving_variance_initializer

    def sample_output_shape(self, input_shape):
        if not input_shape or self.axis not in (-1, len(input_shape)):
            raise ValueError(
                f"{self._owner} works on the last axis (-1); received axis={self.axis} for "
                f"samples of shape {input_shape}."
            )
        if self.built and input_shape[-1] != self.moving_mean.shape[0]:
            raise ValueError(
                f"{self._owner} was built for {self.moving_mean.shape[0]} channels; received samples of shape "
                f"{input_shape}."
            )
        return input_shape

    def make_weights(self, input_shape):
        shape = (input_shape[-1],)
        self._make_affine(shape)
        self.moving_mean = self.add_weight("moving_mean", shape, self.moving_mean_initializer, trainable=False)
        self.moving_variance = self.add_weight(
            "moving_variance", shape, self.moving_variance_initializer, trainable=False
        )

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        width, inner = x.shape[-1], x.width // x.shape[-1]
        deviation = self._columns(plan, width)
        if plan.training and self.trainable:
            mean, variance = self._columns(plan, width), self._columns(plan, width)
            masked = {} if x.mask is None else {"kept": x.mask, "share": self._columns(plan, width)}
            template = normalization.kept_statistics if masked else normalization.statistics
            plan.columns(
                self._kernel(template), width, 400 * inner * plan.typical_rows, x=x, mean=mean, variance=variance,
                scale=deviation, epsilon=self.epsilon, width=width, inner=inner, **masked,
            )  # fmt: skip
            plan.keep(self, variance=variance, masked=masked)
        else:
            mean = self.moving_mean
            plan.columns(
                self._kernel(normalization.inverse_deviation), width, 2000, variance=self.moving_variance,
                scale=deviation, epsilon=self.epsilon,
            )  # fmt: skip
        y = plan.buffer(x.shape, self.dtype, needs_gradient=x.needs_gradient or self.trainable)
        gamma, beta = self._constant(plan, self.gamma, width, 1.0), self._constant(plan, self.beta, width, 0.0)
        plan.rows(
            self._kernel(normalization.normalize), inner, 300 * width, x=x, mean=mean, scale=deviation, gamma=gamma,
            beta=beta, y=y, width=width,
        )  # fmt: skip
        plan.keep(self, mean=mean, deviation=deviation, gamma=gamma)
        return y

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer | None:
        width, inner = x.shape[-1], x.width // x.shape[-1]
        mean, deviation, gamma = (plan.recall(self, name) for name in ("mean", "deviation", "gamma"))
        if not self.trainable:
            return self._inference_gradient(plan, dy, x, deviation, gamma) if x.needs_gradient else None
        # Here and not in forward: a batch whose loss is not finite must leave the averages as they are.
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, plan.recall(self, "variance"))):
            kernel = self._kernel(normalization.move_average)
            plan.columns(kernel, width, 300, moving=moving, value=value, momentum=self.momentum)
        dgamma = plan.gradient(self.gamma) if self.scale else self._columns(plan, width)
        dbeta = plan.gradient(self.beta) if self.center else self._columns(plan, width)
        plan.columns(
            self._kernel(normalization.gradient_sums), width, 400 * inner * plan.typical_rows, x=x, dy=dy, mean=mean,
            scale=deviation, dgamma=dgamma, dbeta=dbeta, width=width, inner=inner,
        )  # fmt: skip
        if not x.needs_gradient:
            return None
        dx, masked = plan.buffer(x.shape, self.dtype), plan.recall(self, "masked")
        template = normalization.kept_gradient if masked else normalization.gradient
        plan.rows(
            self._kernel(template), inner, 500 * width, x=x, dy=dy, mean=mean, scale=deviation, gamma=gamma,
            dgamma=dgamma, dbeta=dbeta, dx=dx, width=width, inner=inner, **masked,
        )  # fmt: skip
        return dx

    def _inference_gradient(self, plan: Plan, dy: Buffer, x: Buffer, deviation: Buffer, gamma) -> Buffer:
        """dx = dy gamma / sqrt(moving variance + epsilon): mean and variance do not depend on x."""
        mean, beta = (self._constant(plan, None, x.shape[-1], 0.0) for _ in range(2))
        dx = plan.buffer(x.shape, self.dtype)
        plan.rows(
            self._kernel(normalization.normalize), x.width // x.shape[-1], 300 * x.shape[-1], x=dy, mean=mean,
            scale=deviation, gamma=gamma, beta=beta, y=dx, width=x.shape[-1],
        )  # fmt: skip
        return dx

    def _kernel(self, template) -> Kernel:
        return Kernel(template, dtype=self.dtype)

    def _columns(self, plan: Plan, width: int) -> Buffer:
        return plan.buffer((width,), self.dtype, per_row=False)

    def _constant(self, plan: Plan, variable, width: int, value: float):
        return constant(plan, variable, width, value, self.dtype)


def constant(plan: Plan, variable: Variable | None, width: int, value: float, dtype: str) -> Variable | Buffer:
    """``variable``, or where a layer has none a buffer filled with its neutral value."""
    if variable is not None:
        return variable
    buffer = plan.buffer((width,), dtype, per_row=False)
    plan.columns(Kernel(normalization.fill, dtype=dtype), width, 100, y=buffer, number=value)
    return buffer
