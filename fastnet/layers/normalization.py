"""Batch normalization."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.rules import scalars
from fastnet._kernels.templates import channel_statistics, folds
from fastnet.engine.plan import Plan
from fastnet.engine.view import Slot, View
from fastnet.layers.affine import Affine
from fastnet.layers.along_axes import AlongAxes

#: of batch renormalization's corrections
_LIMITS = {"rmin": 0.0, "rmax": math.inf, "dmax": math.inf}


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
        renorm: whether training follows batch renormalization, Ioffe 2017, arXiv:1702.03275: the normalized numbers
            become r xhat + d, where r and d, which no gradient passes, make them those of moving averages.
        renorm_clipping: a dictionary of the limits "rmin" and "rmax" of r, and "dmax" of |d|; without limits by
            default.
        renorm_momentum: of the averages by which r and d are computed; only with ``renorm``.
        synchronized: accepted, without effect: there is one batch.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``. If ``trainable`` is False, the layer behaves as in
            inference, also during training, as in Keras.

    Weights: ``gamma``, ``beta``, ``moving_mean``, ``moving_variance``, each (channels,); with ``renorm`` also
    ``moving_stddev``, ``renorm_mean`` and ``renorm_stddev``.

    Raises:
        ValueError: a momentum is outside [0, 1], limits of ``renorm_clipping`` do not fit, epsilon is not positive,
            samples lack the axis, or they have a mask and the axis is not the last one.

    Example:
        >>> model = fastnet.Sequential([layers.Input((1,)), layers.BatchNormalization()])
        >>> [weight.name for weight in model.weights]
        ['gamma', 'beta', 'moving_mean', 'moving_variance']
    """

    supports_masking = True
    _fixed = ("axis", "center", "scale", "renorm", "renorm_clipping")
    _ranges: ClassVar = {
        "momentum": checks.CLOSED_UNIT, "renorm_momentum": checks.CLOSED_UNIT, "epsilon": checks.POSITIVE
    }  # fmt: skip

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
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **more: Any,
    ):
        super().__init__(**more)
        self.renorm = checks.flag(f"{self._owner}: renorm", renorm)
        self.renorm_clipping = self._limits(renorm_clipping)
        self.renorm_momentum = renorm_momentum
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

    def _limits(self, given: Any) -> dict[str, float] | None:
        """The limits of batch renormalization's corrections, checked."""
        if given is None:
            return None
        if not isinstance(given, Mapping) or not set(given) <= _LIMITS.keys():
            raise ValueError(
                f"{self._owner}: renorm_clipping must be a dictionary with entries among 'rmin', 'rmax' and 'dmax', "
                f"received {quoted(given)}."
            )
        limits = {
            name: checks.number(f"{self._owner}: renorm_clipping[{name!r}]", value, checks.AT_LEAST_0)
            for name, value in given.items()
            if value is not None
        }
        if limits.get("rmin", 0.0) > limits.get("rmax", math.inf):
            raise ValueError(f"{self._owner}: renorm_clipping must have rmin <= rmax, received {quoted(given)}.")
        return limits

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
        if self.renorm:
            mean, deviation = self.moving_mean.current, np.sqrt(self.moving_variance.current)
            self.moving_stddev = self.add_weight("moving_stddev", shape, deviation, trainable=False)
            self.renorm_mean = self.add_weight("renorm_mean", shape, mean, trainable=False)
            self.renorm_stddev = self.add_weight("renorm_stddev", shape, deviation, trainable=False)

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
            mean, shift, variance, *sums = (plan.buffer(channels, per_row=False) for _ in range(5))
            rows = {"count": count, **self._counted(plan, x, count)}
            plan.call(channel_statistics.sum_masked, x=x, mask=x.mask, total=sums[0])
            plan.call(channel_statistics.mean_of_sum, total=sums[0], mean=mean, **rows)
            if x.mask is not None:
                rows["epsilon"] = scalars.EPSILON
            sums_of_deviations = dict(zip(("deviations", "squares"), sums, strict=True))
            plan.call(channel_statistics.sum_deviations, x=x, mean=mean, mask=x.mask, **sums_of_deviations)
            plan.call(
                channel_statistics.correct_mean, mean=mean, shift=shift, variance=variance, **sums_of_deviations, **rows
            )
            plan.save(variance=variance, rows=rows)
        else:
            mean, shift, variance = self.moving_mean, None, self.moving_variance
        plan.call(channel_statistics.inverse_deviation, variance=variance, scale=scale, epsilon=self.epsilon)
        gamma, beta = self.gamma, self.beta
        if self.renorm and plan.training and self.trainable:
            gamma, beta = self._corrected(plan, mean, shift, variance)
        y = plan.like(x)
        plan.call(channel_statistics.normalize, x=x, mean=mean, shift=shift, scale=scale, gamma=gamma, beta=beta, y=y)
        plan.save(mean=mean, shift=shift, scale=scale, gamma=gamma)
        return y

    def _corrected(self, plan: Plan, mean: View, shift: View | None, variance: View) -> tuple[View, View]:
        """Add the launches of batch renormalization: what gamma and beta become in this batch."""
        stddev, r, d, gamma, beta = (plan.like(mean) for _ in range(5))
        averages = {"renorm_mean": self.renorm_mean, "renorm_stddev": self.renorm_stddev}
        limits = _LIMITS | (self.renorm_clipping or {})
        plan.call(
            channel_statistics.renorm_correction, mean=mean, shift=shift, variance=variance, stddev=stddev, r=r, d=d,
            epsilon=self.epsilon, **averages, **limits,
        )  # fmt: skip
        plan.call(
            channel_statistics.renorm_affine, r=r, d=d, gamma=self.gamma, beta=self.beta, scale=gamma, offset=beta
        )
        plan.save(stddev=stddev, r=r, d=d)
        return gamma, beta

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
        mean, shift, scale = (plan.saved(name) for name in ("mean", "shift", "scale"))
        if not self.trainable:
            if not x.needs_gradient:
                return None
            dx = plan.like(x)  # mean and variance do not depend on x
            plan.call(channel_statistics.normalize, x=dy, scale=scale, gamma=self.gamma, y=dx)
            return dx
        self._move_averages(plan, mean, shift)
        dbeta = plan.gradient_or_buffer(self.beta, (x.shape[-1],))
        dgamma = plan.like(dbeta) if self.renorm else plan.gradient_or_buffer(self.gamma, (x.shape[-1],))
        sums = {"dgamma": dgamma, "dbeta": dbeta}
        plan.call(channel_statistics.sum_gradients, x=x, dy=dy, mean=mean, shift=shift, scale=scale, **sums)
        if self.renorm and self.gamma is not None and (gradient := plan.gradient(self.gamma)) is not None:
            r, d = plan.saved("r"), plan.saved("d")
            plan.call(channel_statistics.renorm_gamma_gradient, products=dgamma, total=dbeta, r=r, d=d, dgamma=gradient)
        if not x.needs_gradient:
            return None
        dx, rows = plan.like(x), dict(plan.saved("rows"))
        if x.mask is not None:
            rows["mask"] = x.mask
        plan.call(
            channel_statistics.gradient,
            x=x,
            dy=dy,
            mean=mean,
            shift=shift,
            scale=scale,
            gamma=plan.saved("gamma"),
            dx=dx,
            **sums,
            **rows,
        )
        return dx

    def _move_averages(self, plan: Plan, mean: View, shift: View) -> None:
        """Add the launches that move the averages towards the batch's, behind the backward of all layers.

        Not in forward: a batch whose loss is not finite must not change the averages.
        """
        move, momentum = channel_statistics.move_average, self.momentum
        plan.tape.defer(move, moving=self.moving_mean, batch=mean, shift=shift, momentum=momentum)
        if not self.renorm:
            plan.tape.defer(move, moving=self.moving_variance, batch=plan.saved("variance"), momentum=momentum)
            return
        stddev = plan.saved("stddev")
        plan.tape.defer(move, moving=self.renorm_mean, batch=mean, shift=shift, momentum=self.renorm_momentum)
        plan.tape.defer(move, moving=self.renorm_stddev, batch=stddev, momentum=self.renorm_momentum)
        plan.tape.defer(
            channel_statistics.move_deviation, moving=self.moving_stddev, variance=self.moving_variance, batch=stddev,
            momentum=momentum, epsilon=self.epsilon,
        )  # fmt: skip
