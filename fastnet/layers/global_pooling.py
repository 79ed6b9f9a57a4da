"""Pooling of whole images, and to a number of windows: global and adaptive pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.templates import global_pooling
from fastnet.engine.axis_windows import AxisWindows, ImageWindows
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.images import ImageLayer
from fastnet.layers.pooling import Averaged, Windowed, gradient_of_largest, largest


class _Global(ImageLayer):
    """A number for each channel."""

    _fixed = ("data_format", "keepdims")

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **more: Any):
        super().__init__(**more)
        self.data_format = data_format
        self.keepdims = checks.flag(f"{self._owner}: keepdims", keepdims)

    def sample_output_shape(self, input_shape):
        self.check_rank(input_shape)
        return (*(1,) * (self.rank * self.keepdims), input_shape[-1])


class _GlobalAverage(_Global, Averaged):
    def windows(self, sizes: tuple[int, ...]) -> ImageWindows:
        return ImageWindows([AxisWindows(np.zeros(1, int), np.full(1, size), size) for size in sizes])


class _GlobalMax(_Global):
    def forward(self, plan: Plan, x: View) -> View:
        y = plan.buffer(self.sample_output_shape(x.shape), x.dtype)
        count = plan.like(y) if plan.training else None
        plan.save(count=count)
        plan.call(global_pooling.largest_pixel, x=plan.reshaped(x, (x.width,)), y=y.flat, count=count and count.flat)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        dx, channels = plan.like(x), (y.width,)
        views = {"x": plan.reshaped(x, (x.width,)), "y": plan.reshaped(y, channels), "dy": plan.reshaped(dy, channels)}
        plan.call(global_pooling.largest_pixel_gradient, count=plan.saved("count").flat, dx=dx.flat, **views)
        return dx


class GlobalAveragePooling1D(_GlobalAverage):
    """The mean of each feature over all steps: (steps, features) → (features,).

    Args:
        data_format: None or "channels_last".
        keepdims: True for the shape (1, features).
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Steps that a mask leaves out do not count. If it leaves out all, the mean is NaN, as in Keras.

    Raises:
        ValueError: samples have another number of axes.

    Example:
        >>> layers.GlobalAveragePooling1D()([[[1.0, 5.0], [3.0, 7.0]]]).tolist()
        [[2.0, 6.0]]
    """

    rank = 1
    supports_masking = True

    def forward(self, plan: Plan, x: View) -> View:
        plan.save(mask=x.mask)
        if x.mask is None:
            return super().forward(plan, x)
        y, count = plan.buffer(self.sample_output_shape(x.shape), x.dtype), plan.buffer((), x.dtype)
        plan.save(count=count)
        plan.call(
            global_pooling.mean_of_steps, x=plan.reshaped(x, (x.width,)), mask=x.mask, y=y.view((x.shape[-1],)),
            count=count,
        )  # fmt: skip
        return y

    def compute_mask(self, plan: Any, x: Any = None, y: View | None = None) -> None:
        return None

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        mask = plan.saved("mask")
        if mask is None or not x.needs_gradient:
            return super().backward(plan, dy, x, y)
        dx = plan.like(x)
        plan.call(
            global_pooling.mean_of_steps_gradient, dy=plan.reshaped(dy, (x.shape[-1],)), mask=mask,
            count=plan.saved("count"), dx=dx.flat,
        )  # fmt: skip
        return dx


class GlobalAveragePooling2D(_GlobalAverage):
    """The mean of each channel over the image: (height, width, channels) → (channels,).

    Args:
        data_format: None or "channels_last".
        keepdims: True for the shape (1, 1, channels).
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: samples have another number of axes.

    Example:
        >>> layers.GlobalAveragePooling2D()([[[[1.0], [3.0]], [[5.0], [7.0]]]]).tolist()
        [[4.0]]
    """

    rank = 2


class GlobalAveragePooling3D(_GlobalAverage):
    """The mean of each channel over the volume: (depth, height, width, channels) → (channels,).

    Args:
        data_format: None or "channels_last".
        keepdims: True for the shape (1, 1, 1, channels).
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: samples have another number of axes.

    Example:
        >>> layers.GlobalAveragePooling3D()(np.ones((1, 2, 3, 4, 5))).tolist()
        [[1.0, 1.0, 1.0, 1.0, 1.0]]
    """

    rank = 3


class GlobalMaxPooling1D(_GlobalMax):
    """The largest element of each feature over all steps: (steps, features) → (features,).

    Equal elements share the gradient. A NaN makes the result NaN.

    Args:
        data_format: None or "channels_last".
        keepdims: True for the shape (1, features).
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: samples have another number of axes.

    Example:
        >>> layers.GlobalMaxPooling1D()([[[1.0, 7.0], [3.0, 5.0]]]).tolist()
        [[3.0, 7.0]]
    """

    rank = 1


class GlobalMaxPooling2D(_GlobalMax):
    """The largest element of each channel over the image: (height, width, channels) → (channels,).

    Equal elements share the gradient. A NaN makes the result NaN.

    Args:
        data_format: None or "channels_last".
        keepdims: True for the shape (1, 1, channels).
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: samples have another number of axes.

    Example:
        >>> layers.GlobalMaxPooling2D(keepdims=True)([[[[1.0], [3.0]], [[5.0], [7.0]]]]).tolist()
        [[[[7.0]]]]
    """

    rank = 2


class GlobalMaxPooling3D(_GlobalMax):
    """The largest element of each channel over the volume: (depth, height, width, channels) → (channels,).

    Equal elements share the gradient. A NaN makes the result NaN.

    Args:
        data_format: None or "channels_last".
        keepdims: True for the shape (1, 1, 1, channels).
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: samples have another number of axes.

    Example:
        >>> layers.GlobalMaxPooling3D()(np.ones((1, 2, 3, 4, 2))).tolist()
        [[1.0, 1.0]]
    """

    rank = 3


class _Adaptive(Windowed):
    """Windows of nearly one size, as many as asked for."""

    _fixed = ("output_size", "data_format")

    def __init__(self, output_size: Any, data_format: str | None = None, **more: Any):
        super().__init__(**more)
        self.output_size = self.sizes("output_size", output_size)
        self.data_format = data_format

    def windows(self, sizes: tuple[int, ...]) -> ImageWindows:
        return ImageWindows([AxisWindows.adaptive(n, count) for n, count in zip(sizes, self.output_size)])


class _AdaptiveMax(_Adaptive):
    """One axis after the other, as in Keras: this decides which one of equal elements gets the gradient."""

    def forward(self, plan: Plan, x: View) -> View:
        sizes, passes = list(x.shape[:-1]), []
        y = x
        for axis, windows in enumerate(self.windows(x.shape[:-1]).axes[-self.rank :]):
            along = [AxisWindows.of_single(np.arange(size), size) for size in sizes]
            along[axis] = windows
            pooled, sizes[axis] = ImageWindows(along), windows.outputs
            result = plan.buffer((*sizes, x.shape[-1]), x.dtype)
            passes.append((pooled, largest(plan, y, pooled, result), y))
            y = result
        plan.save(passes=passes)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        for windows, places, source in reversed(plan.saved("passes")):
            dy = gradient_of_largest(plan, dy, windows, places, plan.like(source))
        return dy


class AdaptiveAveragePooling1D(_Adaptive, Averaged):
    """The means of ``output_size`` windows of steps, feature by feature.

    Window i of m reads the steps ⌊i n / m⌋ to ⌈(i + 1) n / m⌉ of n.

    Args:
        output_size: the number of windows.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: output_size is not a positive integer, or samples have another number of axes.

    Example:
        >>> layers.AdaptiveAveragePooling1D(2)([[[1.0], [3.0], [5.0]]]).tolist()
        [[[2.0], [4.0]]]
    """

    rank = 1


class AdaptiveAveragePooling2D(_Adaptive, Averaged):
    """The means of so many windows that cover an image, channel by channel; see `AdaptiveAveragePooling1D`.

    Args:
        output_size: windows along height and width; one integer for both.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: output_size is not a positive integer, or samples have another number of axes.

    Example:
        >>> layers.AdaptiveAveragePooling2D((2, 3))(np.zeros((1, 7, 7, 4))).shape
        (1, 2, 3, 4)
    """

    rank = 2


class AdaptiveAveragePooling3D(_Adaptive, Averaged):
    """The means of so many windows that cover a volume, channel by channel; see `AdaptiveAveragePooling1D`.

    Args:
        output_size: windows along depth, height and width; one integer for all.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: output_size is not a positive integer, or samples have another number of axes.

    Example:
        >>> layers.AdaptiveAveragePooling3D(2)(np.zeros((1, 5, 6, 7, 4))).shape
        (1, 2, 2, 2, 4)
    """

    rank = 3


class AdaptiveMaxPooling1D(_AdaptiveMax):
    """The largest elements of ``output_size`` windows of steps, feature by feature.

    Args:
        output_size: the number of windows; see `AdaptiveAveragePooling1D`.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: output_size is not a positive integer, or samples have another number of axes.

    Example:
        >>> layers.AdaptiveMaxPooling1D(2)([[[1.0], [3.0], [5.0]]]).tolist()
        [[[3.0], [5.0]]]
    """

    rank = 1


class AdaptiveMaxPooling2D(_AdaptiveMax):
    """The largest elements of so many windows that cover an image, channel by channel.

    Args:
        output_size: windows along height and width, one integer for both; see `AdaptiveAveragePooling1D`.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: output_size is not a positive integer, or samples have another number of axes.

    Example:
        >>> layers.AdaptiveMaxPooling2D((2, 3))(np.zeros((1, 7, 7, 4))).shape
        (1, 2, 3, 4)
    """

    rank = 2


class AdaptiveMaxPooling3D(_AdaptiveMax):
    """The largest elements of so many windows that cover a volume, channel by channel.

    Args:
        output_size: windows along depth, height and width, one integer for all; see `AdaptiveAveragePooling1D`.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: output_size is not a positive integer, or samples have another number of axes.

    Example:
        >>> layers.AdaptiveMaxPooling3D(2)(np.zeros((1, 5, 6, 7, 4))).shape
        (1, 2, 2, 2, 4)
    """

    rank = 3
