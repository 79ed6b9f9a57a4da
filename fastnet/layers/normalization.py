"""Batch normalization."""

from __future__ import annotations

from typing import Any, ClassVar

from fastnet import checks
from fastnet._kernels.rules import scalars
from fastnet._kernels.templates import channel_statistics, folds
from fastnet.engine.plan import Plan
from fastnet.engine.view import Slot, View
from fastnet.layers.affine import Affine
from fastnet.layers.along_axes import AlongAxes
from fastnet.layers.refused_arguments import refuse


class BatchNormalization(AlongAxes, Affine):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, over every axis but one, that of the channels.

    In training mean and variance are the batch's, over the steps that a mask (`Masking`) keeps. They also move the
    averages that are used otherwise: moving = moving · momentum + batch · (1 - momentum). Ioffe and Szegedy 2015,
    arXiv:1502.03167.

    Args:
        axis: the axis of the channels; the batch is axis 0. The last one needs no permutation.
        momentum: of the moving averages.
        epsilon: added to the variance.
        center: whether beta is added.
        scale: whether gamma multiplies.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: initial values.
        beta_regularizer, gamma_regularizer: penalties; see `fastnet.regularizers`.
        beta_constraint, gamma_constraint: see `fastnet.constraints`.
        renorm, renorm_clipping: must be left at their defaults.
        renorm_momentum: accepted, without effect.
        synchronized: accepted, without effect: there is one batch.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``. If ``trainable`` is False, the layer behaves as in
            inference, also during training, as in Keras.

    Weights: ``gamma``, ``beta``, ``moving_mean``, ``moving_variance``, each (channels,).

    Raises:
        ValueError: momentum is outside [0, 1], epsilon is not positive, samples lack the axis, or they have a mask and
            the axis is not the last one.

    Example:
        >>> model = fastnet.Sequential([layers.Input((1,)), layers.BatchNormalization()])
        >>> [weight.name for weight in model.weights]
        ['gamma', 'beta', 'moving_mean', 'moving_variance']
    """

    supports_masking = True
    _fixed = ("axis", "center", "scale", "renorm", "renorm_clipping")
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
        self.axis = checks.integer(f"{self._owner}: axis", axis, None)
        self.momentum, self.epsilon = momentum, epsilon
        self._keep_affine(
            center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
            gamma_constraint,
        )  # fmt: skip
        self.moving_mean_initializer = moving_mean_initializer
        self.moving_variance_initializer = moving_variance_initializer

    @property
    def updates_own_weights(self) -> bool:  # type: ignore[override]
        """Whether it moves its averages."""
        return self.trainable

    def sample_output_shape(self, input_shape):
        channels = self.sizes_along(input_shape)
        if self.built and channels != self.moving_mean.shape:
            raise ValueError(
                f"{self._owner} was built for {self.moving_mean.shape[0]} channels; received samples of shape "
                f"{input_shape}."
            )
        return input_shape

    def make_weights(self, input_shape):
        shape = self.sizes_along(input_shape)
        self._make_affine(shape)
        self.moving_mean = self.add_weight("moving_mean", shape, self.moving_mean_initializer, trainable=False)
        self.moving_variance = self.add_weight(
            "moving_variance", shape, self.moving_variance_initializer, trainable=False
        )

    def forward(self, plan: Plan, x: View) -> View:
        if x.mask is not None and self.axes_of(x.shape) != [len(x.shape) - 1]:
            raise ValueError(
                f"{self._owner}: with a mask, axis must be the last one, since the mask says which steps count, and a "
                f"channel of axis {self.axis} has a part of them; received samples of shape {x.shape}. Put the "
                "channels last: layers.Permute before layers.Masking."
            )
        return super().forward(plan, x)

    def forward_along(self, plan: Plan, x: View) -> View:
        channels, count = (x.shape[-1],), -(x.width // x.shape[-1])
        scale = plan.buffer(channels, per_row=False)
        if plan.training and self.trainable:
            mean, variance, total, squares = (plan.buffer(channels, per_row=False) for _ in range(4))
            rows = {"count": count, **self._counted(plan, x, count)}
            plan.call(channel_statistics.sum_masked, x=x, mask=x.mask, total=total)
            plan.call(channel_statistics.mean_of_sum, total=total, mean=mean, **rows)
            plan.call(channel_statistics.sum_squared_deviations, x=x, mean=mean, mask=x.mask, total=squares)
            plan.call(channel_statistics.mean_of_sum, total=squares, mean=variance, **rows)
            plan.save(variance=variance, rows=rows)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        plan.call(channel_statistics.inverse_deviation, variance=variance, scale=scale, epsilon=self.epsilon)
        y = plan.like(x)
        plan.call(channel_statistics.normalize, x=x, mean=mean, scale=scale, gamma=self.gamma, beta=self.beta, y=y)
        plan.save(mean=mean, scale=scale)
        return y

    def _counted(self, plan: Plan, x: View, count: int) -> dict[str, Slot]:
        """Add the launches of 1 / the number of rows that a mask keeps, to which Keras adds 1e-7."""
        if x.mask is None:
            return {}
        inverse_count, (chunk_sums, _) = plan.slot(), plan.sums(folds.sum_weighted, values=x.mask)
        plan.call(
            folds.total_of, f=scalars.inverse_count, chunk_sums=chunk_sums, count=count, result=inverse_count, p=[]
        )
        return {"inverse_count": inverse_count}

    def backward_along(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        mean, scale = plan.saved("mean"), plan.saved("scale")
        if not self.trainable:
            if not x.needs_gradient:
                return None
            dx = plan.like(x)  # mean and variance do not depend on x
            plan.call(channel_statistics.normalize, x=dy, scale=scale, gamma=self.gamma, y=dx)
            return dx
        # Here and not in forward: a batch whose loss is not finite must not change the averages.
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, plan.saved("variance"))):
            plan.tape.defer(channel_statistics.move_average, moving=moving, batch=batch, momentum=self.momentum)
        dgamma, dbeta = (plan.gradient_or_buffer(v, (x.shape[-1],)) for v in (self.gamma, self.beta))
        sums = {"dgamma": dgamma, "dbeta": dbeta}
        plan.call(channel_statistics.sum_gradients, x=x, dy=dy, mean=mean, scale=scale, **sums)
        if not x.needs_gradient:
            return None
        dx, rows = plan.like(x), dict(plan.saved("rows"))
        if x.mask is not None:
            rows |= {"mask": x.mask, "epsilon": scalars.EPSILON}
        plan.call(
            channel_statistics.gradient, x=x, dy=dy, mean=mean, scale=scale, gamma=self.gamma, dx=dx, **sums, **rows
        )
        return dx
