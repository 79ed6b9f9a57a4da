"""Images of another size: pixels repeated or interpolated, and the middle of an image."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.engine import resampling
from fastnet.engine.axis_windows import AxisWindows, ImageWindows
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.borders import with_borders
from fastnet.layers.images import ImageLayer
from fastnet.layers.pooling import Windowed, window_sums

INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")


def resized_axis(inputs: int, outputs: int, interpolation: str, antialias: bool = False) -> AxisWindows:
    """The windows and weights of an axis of another size (`engine.resampling`).

    Args:
        inputs, outputs: the sizes.
        interpolation: one of `INTERPOLATIONS`.
        antialias: whether the kernel is as wide as a pixel of a smaller result.
    """
    if inputs == outputs:
        return AxisWindows.of_single(np.arange(inputs), inputs)
    if interpolation == "nearest":
        return AxisWindows.of_single(resampling.nearest(inputs, outputs), inputs)
    start, stop, weights = resampling.interpolated(inputs, outputs, interpolation, antialias)
    return AxisWindows(start, stop, inputs, weights)


class _Resampled(Windowed):
    """A layer whose pixels are sums of pixels of the image, times weights."""

    def forward(self, plan: Plan, x: View) -> View:
        windows = self.windows(x.shape[:-1])
        plan.save(windows=windows)
        return window_sums(plan, x, windows, plan.buffer(self.sample_output_shape(x.shape), x.dtype))

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        return window_sums(plan, dy, plan.saved("windows").transposed, plan.like(x))


class _UpSampling(_Resampled):
    _fixed: ClassVar[tuple[str, ...]] = ("size", "data_format", "interpolation")
    size: Any
    interpolation = "nearest"

    def windows(self, sizes: tuple[int, ...]) -> ImageWindows:
        factors = (self.size,) if self.rank == 1 else self.size
        if self.interpolation == "nearest":
            axes = [AxisWindows.of_single(np.arange(n * factor) // factor, n) for n, factor in zip(sizes, factors)]
        else:
            axes = [resized_axis(n, n * factor, self.interpolation) for n, factor in zip(sizes, factors)]
        return ImageWindows(axes)


class UpSampling1D(_UpSampling):
    """Each step ``size`` times.

    Args:
        size: a positive integer.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: size is not a positive integer, or samples have another number of axes.

    Example:
        >>> layers.UpSampling1D(2)([[[1.0], [2.0]]]).ravel().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    rank = 1
    keeps_values = True

    def __init__(self, size: int = 2, **more: Any):
        super().__init__(**more)
        self.size = checks.integer(f"{self._owner}: size", size)


class UpSampling2D(_UpSampling):
    """Each row and each column several times, or an image as many times larger, interpolated.

    Args:
        size: the factors of rows and columns; one integer for both.
        data_format: None or "channels_last".
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5"; see `Resizing`.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a factor is not a positive integer, or samples have another number of axes.

    Example:
        >>> layers.UpSampling2D((1, 2))([[[[1.0], [2.0]]]]).ravel().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    rank = 2

    def __init__(self, size: Any = (2, 2), data_format: str | None = None, interpolation: str = "nearest", **more: Any):
        super().__init__(**more)
        self.size = self.sizes("size", size)
        self.data_format = data_format
        self.interpolation = checks.one_of(f"{self._owner}: interpolation", interpolation, *INTERPOLATIONS)


class UpSampling3D(_UpSampling):
    """Each element of a volume several times along each axis.

    Args:
        size: the factors of depth, height and width; one integer for all.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a factor is not a positive integer, or samples have another number of axes.

    Example:
        >>> layers.UpSampling3D((1, 2, 3))(np.zeros((1, 4, 4, 4, 2))).shape
        (1, 4, 8, 12, 2)
    """

    rank = 3
    keeps_values = True

    def __init__(self, size: Any = (2, 2, 2), data_format: str | None = None, **more: Any):
        super().__init__(**more)
        self.size = self.sizes("size", size)
        self.data_format = data_format


def cropped_to_ratio(sizes: tuple[int, ...], target: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The largest window in the middle of an image that has the ratio of ``target``: (begin, size)."""
    height, width = sizes
    size = (
        max(min(height, int(width * target[0] / target[1])), 1),
        max(min(width, int(height * target[1] / target[0])), 1),
    )
    return ((height - size[0]) // 2, (width - size[1]) // 2), size


def padded_to_ratio(sizes: tuple[int, ...], target: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """An image with as many rows above as below, or columns beside it, that has the ratio of ``target``.

    As in Keras both sides get the same number, and only one axis is padded.
    """
    height, width = sizes
    rows = (max(height, int(width * target[0] / target[1])) - height) // 2
    columns = (max(width, int(height * target[1] / target[0])) - width) // 2
    columns = 0 if rows else columns
    return (-rows, -columns), (height + 2 * rows, width + 2 * columns)


class Resizing(ImageLayer):
    """An image of another height and width, from pixels between which it is interpolated.

    The middle of pixel o of a result of m pixels lies at (o + 1/2) n / m - 1/2 of n. Around it "nearest" takes one
    pixel of each axis, "bilinear" two, "bicubic" four (Keys 1981, a = -1/2), "lanczos3" six and "lanczos5" ten. The
    gradient is the transposed sum.

    Args:
        height, width: of the result.
        interpolation: one of these names.
        crop_to_aspect_ratio: whether the middle of the image that has the result's ratio is resized.
        pad_to_aspect_ratio: whether the image is padded to the result's ratio first.
        fill_mode: "constant".
        fill_value: what padding holds.
        antialias: whether a smaller result is smoothed: the kernel is as wide as its pixels.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Images are numbers of the layer's dtype: those of bytes are not rounded to bytes again.

    Raises:
        ValueError: a size is not a positive integer, a name is unknown, both ratios are asked for, or samples are not
            (height, width, channels).

    Example:
        >>> layers.Resizing(1, 4)([[[[0.0], [4.0]]]]).ravel().tolist()
        [0.0, 1.0, 3.0, 4.0]
    """

    rank = 2
    _fixed = (
        "height", "width", "interpolation", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "fill_mode", "antialias",
        "data_format",
    )  # fmt: skip
    _ranges: ClassVar = {"fill_value": checks.FINITE}

    def __init__(
        self, height: int, width: int, interpolation: str = "bilinear", crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False, fill_mode: str = "constant", fill_value: float = 0.0,
        antialias: bool = False, data_format: str | None = None, **more: Any,
    ):  # fmt: skip
        super().__init__(**more)
        owner = self._owner
        self.height = checks.integer(f"{owner}: height", height)
        self.width = checks.integer(f"{owner}: width", width)
        self.interpolation = checks.one_of(f"{owner}: interpolation", interpolation, *INTERPOLATIONS)
        self.crop_to_aspect_ratio = checks.flag(f"{owner}: crop_to_aspect_ratio", crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = checks.flag(f"{owner}: pad_to_aspect_ratio", pad_to_aspect_ratio)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(f"{owner}: crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other; choose one.")
        if fill_mode != "constant":
            raise ValueError(f"{owner}: fill_mode must be 'constant', received {quoted(fill_mode)}.")
        self.fill_mode, self.fill_value = fill_mode, fill_value
        self.antialias = checks.flag(f"{owner}: antialias", antialias)
        self.data_format = data_format

    def sample_output_shape(self, input_shape):
        self.check_rank(input_shape)
        return (self.height, self.width, input_shape[-1])

    def _framed(self, sizes: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
        """What of an image is resized: (the first index of each axis, which may be negative; the sizes)."""
        target = (self.height, self.width)
        if self.crop_to_aspect_ratio:
            return cropped_to_ratio(sizes, target)
        return padded_to_ratio(sizes, target) if self.pad_to_aspect_ratio else ((0, 0), (sizes[0], sizes[1]))

    def forward(self, plan: Plan, x: View) -> View:
        begin, sizes = self._framed(x.shape[:-1])
        framed = x
        if sizes != x.shape[:-1]:
            framed = with_borders(plan, x, plan.buffer((*sizes, x.shape[-1]), x.dtype), begin, self.fill_value)
        windows = ImageWindows(
            [resized_axis(n, m, self.interpolation, self.antialias) for n, m in zip(sizes, (self.height, self.width))]
        )
        plan.save(windows=windows, begin=begin, framed=framed)
        return window_sums(plan, framed, windows, plan.buffer((self.height, self.width, x.shape[-1]), x.dtype))

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        framed, (top, left) = plan.saved("framed"), plan.saved("begin")
        gradient = window_sums(plan, dy, plan.saved("windows").transposed, plan.like(framed))
        if framed is x:
            return gradient
        return with_borders(plan, gradient, plan.like(x), (-top, -left))


class CenterCrop(ImageLayer):
    """The middle of an image; a smaller image is cropped to the result's ratio and enlarged, as by `Resizing`.

    Args:
        height, width: of the result.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a size is not a positive integer, or samples are not (height, width, channels).

    Example:
        >>> layers.CenterCrop(1, 2)([[[[1.0], [2.0], [3.0], [4.0]]]]).ravel().tolist()
        [2.0, 3.0]
    """

    rank = 2
    _fixed = ("height", "width", "data_format")

    def __init__(self, height: int, width: int, data_format: str | None = None, **more: Any):
        super().__init__(**more)
        self.height = checks.integer(f"{self._owner}: height", height)
        self.width = checks.integer(f"{self._owner}: width", width)
        self.data_format = data_format

    def sample_output_shape(self, input_shape):
        self.check_rank(input_shape)
        return (self.height, self.width, input_shape[-1])

    def _resizing(self) -> Resizing:
        return Resizing(self.height, self.width, crop_to_aspect_ratio=True, dtype=self.dtype, name=self.name)

    def _begin(self, x: View) -> tuple[int, int]:
        """The first row and column of the middle; one is negative where the image is smaller."""
        return (x.shape[0] - self.height) // 2, (x.shape[1] - self.width) // 2

    def forward(self, plan: Plan, x: View) -> View:
        begin = self._begin(x)
        if min(begin) < 0:
            return self._resizing().forward(plan, x)
        return with_borders(plan, x, plan.buffer(self.sample_output_shape(x.shape), x.dtype), begin)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        top, left = self._begin(x)
        if min(top, left) < 0:
            return self._resizing().backward(plan, dy, x, y)
        return with_borders(plan, dy, plan.like(x), (-top, -left))
