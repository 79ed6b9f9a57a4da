"""Dropout of whole channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet._kernels.templates import global_pooling, random_bits
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.layers.images import ImageLayer
from fastnet.layers.regularization import Dropout


class _SpatialDropout(Dropout, ImageLayer):
    """The mask is that of `Dropout` with ones in noise_shape for the axes in space; a channel is drawn once."""

    _supplied = ("noise_shape",)

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None, **more: Any):
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **more)

    def sample_output_shape(self, input_shape):
        self.check_rank(input_shape)
        return input_shape

    def _draw(self, plan: Plan, x: View, draws: dict[str, Any]) -> View:
        channels = x.shape[-1]
        keep = plan.buffer((channels,), "uint8")
        index = Variable(np.arange(channels, dtype=np.int32), "index", trainable=False)
        threshold = min(round(self.rate * 2**32), 2**32 - 1)
        plan.call(
            random_bits.draw_shared_mask, keep=keep, index=index, threshold=threshold, row_draws=channels, **draws
        )
        return keep

    def _act(self, plan: Plan, x: View, noise: View, y: View, backward: bool) -> None:
        plan.call(
            global_pooling.keep_channels, x=plan.reshaped(x, (x.width,)), keep=noise, y=y.flat,
            factor=1 / (1 - self.rate),
        )  # fmt: skip


class SpatialDropout1D(_SpatialDropout):
    """Sets a share of a sample's features to 0 at all steps in training, and divides the others by (1 - rate).

    Tompson et al. 2015, arXiv:1411.4280. The mask is that of `Dropout` with ``noise_shape=(None, 1, None)``.

    Args:
        rate: the share, 0 <= rate < 1.
        seed: of its mask, which then does not follow from the model's seed.
        name, dtype: as for every layer.
        **more: ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: rate is outside [0, 1), or samples are not (steps, features).

    Example:
        >>> layers.SpatialDropout1D(0.2)([[[1.0, 2.0]]]).tolist()  # without training=True: as it is
        [[[1.0, 2.0]]]
    """

    rank = 1


class SpatialDropout2D(_SpatialDropout):
    """Sets a share of a sample's channels to 0 in training, and divides the others by (1 - rate).

    Tompson et al. 2015, arXiv:1411.4280. The mask is that of `Dropout` with ``noise_shape=(None, 1, 1, None)``.

    Args:
        rate: the share, 0 <= rate < 1.
        data_format: None or "channels_last".
        seed: of its mask, which then does not follow from the model's seed.
        name, dtype: as for every layer.
        **more: ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: rate is outside [0, 1), or samples are not (height, width, channels).

    Example:
        >>> layers.SpatialDropout2D(0.2)([[[[1.0, 2.0]]]]).tolist()  # without training=True: as it is
        [[[[1.0, 2.0]]]]
    """

    rank = 2
    _fixed = ("seed", "data_format")

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, name: str | None = None,
        dtype: Any = None, **more: Any,
    ):  # fmt: skip
        super().__init__(rate, seed, name, dtype, **more)
        self.data_format = data_format


class SpatialDropout3D(_SpatialDropout):
    """Sets a share of a volume's channels to 0 in training, and divides the others by (1 - rate).

    Tompson et al. 2015, arXiv:1411.4280. The mask is that of `Dropout` with ``noise_shape=(None, 1, 1, 1, None)``.

    Args:
        rate: the share, 0 <= rate < 1.
        data_format: None or "channels_last".
        seed: of its mask, which then does not follow from the model's seed.
        name, dtype: as for every layer.
        **more: ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: rate is outside [0, 1), or samples are not (depth, height, width, channels).

    Example:
        >>> layers.SpatialDropout3D(0.2)(np.ones((1, 1, 1, 1, 2))).ravel().tolist()  # without training=True: as it is
        [1.0, 1.0]
    """

    rank = 3
    _fixed = ("seed", "data_format")

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, name: str | None = None,
        dtype: Any = None, **more: Any,
    ):  # fmt: skip
        super().__init__(rate, seed, name, dtype, **more)
        self.data_format = data_format
