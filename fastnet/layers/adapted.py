"""Normalization with the mean and variance of a data set."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastnet import checks, config
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import channel_statistics
from fastnet.arrays import as_array
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.layers.along_axes import AlongAxes
from fastnet.layers.undo import unchanged_on_error


class Normalization(AlongAxes):
    """y = (x - mean) / max(sqrt(variance), 1e-7), with given numbers, or numbers found by `adapt`.

    Args:
        axis: the axes with one mean for each index of them, an axis or a list of several; the batch is axis 0. None for
            one mean of everything. The last ones need no permutation.
        mean, variance: both or neither; their shape follows from ``axis``, or is broadcast to that.
        invert: compute mean + x max(sqrt(variance), 1e-7) instead.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Weights, if the mean is not given: ``mean``, ``variance``, ``count`` (which Keras has, but does not use). They are
    not trained.

    Attributes:
        mean, variance: arrays that broadcast with data, for example (1, features); None before the build.
        input_mean, input_variance: the arguments.

    Raises:
        ValueError: samples lack an axis, only one of mean and variance is given, a variance is negative, or
            shapes do not fit.

    Example:
        >>> import numpy as np
        >>> from fastnet import layers
        >>> layer = layers.Normalization()
        >>> layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
        >>> layer([[1.0, 30.0]]).tolist()
        [[-1.0, 1.0]]
    """

    supports_masking = True
    _fixed = ("axis", "invert")

    def __init__(self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **more: Any):
        super().__init__(**more)
        if (mean is None) != (variance is None):
            raise ValueError(
                f"{self._owner}: give mean and variance, or neither; received {quoted(mean)} and {quoted(variance)}."
            )
        if mean is not None:
            mean, variance = (self._finite(name, value) for name, value in (("mean", mean), ("variance", variance)))
            if mean.shape != variance.shape:
                raise ValueError(f"{self._owner}: mean has shape {mean.shape}, variance {variance.shape}.")
            if (variance < 0).any():
                raise ValueError(f"{self._owner}: variance must not be negative, received {quoted(variance)}.")
        self.axis = None if axis is None else checks.integers(f"{self._owner}: axis", axis)
        self.input_mean, self.input_variance = mean, variance
        self.invert = checks.flag(f"{self._owner}: invert", invert)
        self._mean: Any = None
        self._variance: Any = None

    @property
    def mean(self) -> np.ndarray | None:
        return self._broadcastable(self._mean)

    @mean.setter
    def mean(self, value: Any) -> None:
        self._refuse_change("mean")

    @property
    def variance(self) -> np.ndarray | None:
        return self._broadcastable(self._variance)

    @variance.setter
    def variance(self, value: Any) -> None:
        self._refuse_change("variance")

    def _broadcastable(self, statistic: Variable | None) -> np.ndarray | None:
        if statistic is None or self.input_shape is None:
            return None
        kept = self.axes_of(self.input_shape)
        sizes = (size if axis in kept else 1 for axis, size in enumerate(self.input_shape))
        return statistic.numpy().reshape((1, *sizes))

    def _refuse_change(self, argument: str) -> None:
        raise ValueError(f"{self._owner}: {argument} stays as it is; adapt the layer, or make another one.")

    def get_config(self) -> dict[str, Any]:
        """The arguments, with the given ``mean`` and ``variance``."""
        given = {"mean": self.input_mean, "variance": self.input_variance}
        config = super().get_config()  # a subclass need not take them
        return config | {k: None if v is None else np.asarray(v).tolist() for k, v in given.items() if k in config}

    def _finite(self, argument: str, value: Any) -> np.ndarray:
        array = as_array(value, f"{self._owner}: {argument}")
        if not np.isfinite(array).all():
            raise ValueError(f"{self._owner}: {argument} must be finite, received {quoted(value)}.")
        return array

    def axes_of(self, shape):
        return [] if self.axis in (None, []) else super().axes_of(shape)  # Keras describes None as an empty list

    def sample_output_shape(self, input_shape):
        shape = self.sizes_along(input_shape)
        if self.built and shape != self._mean.shape:
            raise ValueError(
                f"{self._owner} has means of shape {self._mean.shape}; received samples of shape {input_shape}."
            )
        if self.input_mean is not None:
            try:
                np.broadcast_to(np.asarray(self.input_mean), shape)
            except ValueError:
                raise ValueError(
                    f"{self._owner}: mean and variance of shape {np.shape(self.input_mean)} do not fit samples of "
                    f"shape {input_shape}, whose means along axis={self.axis} have the shape {shape}."
                ) from None
        return input_shape

    def make_weights(self, input_shape):
        shape = self.sizes_along(input_shape)
        if self.input_mean is None:
            self._mean = self.add_weight("mean", shape, "zeros", trainable=False)
            self._variance = self.add_weight("variance", shape, "ones", trainable=False)
            self.add_weight("count", (), "zeros", trainable=False)
        else:
            self._mean, self._variance = (
                Variable(np.broadcast_to(np.asarray(value, self.dtype), shape), name, trainable=False)
                for name, value in (("mean", self.input_mean), ("variance", self.input_variance))
            )

    def adapt(self, data: Any) -> None:
        """Compute mean and variance from data.

        Args:
            data: an array (n, ...), lists of numbers in lists, or an iterable of such batches; of (x, y) it takes x.

        Raises:
            ValueError: there are no data, data are not finite, batches have different shapes, or the layer was given
                its mean.
        """
        if self.input_mean is not None:
            raise ValueError(f"{self._owner} was given its mean: there is nothing to adapt.")
        with unchanged_on_error([self]):
            mean, variance = self._moments(data)
        self._mean.assign(mean)
        self._variance.assign(variance)

    def _moments(self, data: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the data, for which the layer is built."""
        mean: Any = None
        variance: Any = None
        count = 0
        if isinstance(data, str) or not (hasattr(data, "shape") or np.iterable(data)):
            raise ValueError(
                f"{self._owner}: adapt takes an array, or an iterable of batches; received {quoted(data)}."
            )
        rows = 0
        for batch in [data] if hasattr(data, "shape") or _is_nested(data) else _batches(data):
            x = as_array(batch, f"{self._owner}: adapt: a batch").astype(float)
            if not x.size or x.ndim < 1:
                continue
            self._check_rows(x, rows)
            rows += len(x)
            self.connect(x.shape[1:])
            kept = self.axes_of(x.shape[1:])
            axes = tuple(axis for axis in range(x.ndim) if axis - 1 not in kept)
            number = math.prod(x.shape[a] for a in axes)
            batch_mean, batch_variance = x.mean(axes), x.var(axes)
            if count == 0:
                mean, variance, count = batch_mean, batch_variance, number
                continue
            fraction = number / (count + number)  # Chan et al. 1983: two sets' variance
            variance = (
                variance * (1 - fraction)
                + batch_variance * fraction
                + (batch_mean - mean) ** 2 * fraction * (1 - fraction)
            )
            mean, count = mean + (batch_mean - mean) * fraction, count + number
        if count == 0:
            raise ValueError(f"{self._owner}: adapt received no data.")
        if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
            raise ValueError(f"{self._owner}: adapt received numbers whose squares overflow.")
        return mean, variance

    def _check_rows(self, x: np.ndarray, first_row: int) -> None:
        """Refuse data that are not finite; the error names the row, from 0 over all batches."""
        bad = ~np.isfinite(x.reshape(len(x), -1))
        if bad.any():
            row, element = np.argwhere(bad)[0]
            raise ValueError(
                f"{self._owner}: adapt received {x.reshape(len(x), -1)[row, element]} in row {first_row + row}; "
                f"{bad.any(axis=1).sum()} rows of the {len(x)} given with it are not finite. Leave them out."
            )

    def forward_along(self, plan: Plan, x: View) -> View:
        rows, width = self._by_column(plan, x), self._mean.size
        scale, y = plan.buffer((width,), per_row=False), plan.like(rows)
        root = channel_statistics.bounded_root if self.invert else channel_statistics.inverse_root
        plan.call(root, variance=self._variance, scale=scale, epsilon=config.epsilon())
        plan.save(scale=scale)
        moved = {"beta": self._mean} if self.invert else {"mean": self._mean}
        plan.call(channel_statistics.normalize, x=rows, scale=scale, y=y, **moved)
        return y.view(x.shape)

    def backward_along(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        rows = self._by_column(plan, dy)
        dx = plan.like(rows)
        plan.call(channel_statistics.normalize, x=rows, scale=plan.saved("scale"), y=dx)
        return dx.view(x.shape)

    def _by_column(self, plan: Plan, x: View) -> View:
        """The elements in rows of as many columns as there are means."""
        return plan.reshaped(x, (x.width // self._mean.size, self._mean.size))


def _is_nested(data: Any) -> bool:
    """Whether the data are numbers in lists, which make one array."""
    while isinstance(data, (list, tuple)) and len(data):
        data = data[0]
    return checks.is_number(data)


def _batches(data: Iterable[Any]) -> Iterable[Any]:
    for batch in data:
        yield batch[0] if isinstance(batch, (list, tuple)) else batch
