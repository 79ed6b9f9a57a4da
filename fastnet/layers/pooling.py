"""Pooling: the largest element or the mean of each window of an image."""

from __future__ import annotations

from typing import Any

from fastnet._kernels.templates import pooling
from fastnet.activations import RELU, Activation
from fastnet.engine.axis_windows import MOST_WRITTEN_OUT, AxisWindows, ImageWindows, channels_of
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers import spatial
from fastnet.layers.images import ImageLayer

_RELU = Activation(RELU)


def window_sums(plan: Plan, x: View, windows: ImageWindows, y: View, averaged: bool = False) -> View:
    """Add the launch of y, the sums of the windows of x, or their means; y."""
    plan.call(
        windows.written_out(pooling.window_sums, AVERAGED=int(averaged)),
        x=windows.rows_of_input(plan, x),
        y=windows.rows_of_output(plan, y),
        depth=windows.inputs[0],
        height=windows.inputs[1],
        channels=channels_of(x, windows.inputs),
        taps=windows.pixels,
        **windows.tables,
        **windows.weight_tables(x.dtype),
    )
    return y


def largest(plan: Plan, x: View, windows: ImageWindows, y: View) -> View | None:
    """Add the launch of y, the largest elements of the windows of x; in training, their places in the windows."""
    places, dtype = None, "uint8" if windows.pixels <= 256 else "int32"
    if plan.training:
        places = plan.buffer(y.shape, dtype)
    name = "place" if dtype == "uint8" else "far_place"
    plan.call(
        windows.written_out(pooling.max_pooling),
        x=windows.rows_of_input(plan, x),
        y=windows.rows_of_output(plan, y),
        depth=windows.inputs[0],
        height=windows.inputs[1],
        channels=channels_of(x, windows.inputs),
        window_height=windows.longest[1],
        window_width=windows.longest[2],
        taps=windows.pixels,
        **windows.tables,
        **({} if places is None else {name: windows.rows_of_output(plan, places)}),
    )
    return places


def gradient_of_largest(plan: Plan, dy: View, windows: ImageWindows, places: View, dx: View) -> View:
    """Add the launch of dx: each element gets the gradients of the windows of which it is the largest; dx."""
    readers: dict[str, Any] = {f"{name[:-1]}_readers": table for name, table in windows.transposed.tables.items()}
    name = "place" if places.dtype == "uint8" else "far_place"
    channels, width = channels_of(dx, windows.inputs), windows.longest[2]
    constants = {"WIDTH": width if name == "place" and width <= MOST_WRITTEN_OUT else 0}
    if windows.tiled:
        constants["STREAMED"] = plan.streams(dx, dy) if width * channels <= pooling.PIECE else 0
        template = pooling.tiled_max_pooling_gradient
    else:
        template, readers["readers"] = pooling.max_pooling_gradient, windows.transposed.pixels
    plan.call(
        template.having(**constants),
        dy=windows.rows_of_output(plan, dy),
        dx=windows.rows_of_input(plan, dx),
        channels=channels,
        window_height=windows.longest[1],
        window_width=windows.longest[2],
        **windows.tables,
        **readers,
        **{name: windows.rows_of_output(plan, places)},
    )
    return dx


class Windowed(ImageLayer):
    """A layer whose results follow from windows of the image, channel by channel."""

    def windows(self, sizes: tuple[int, ...]) -> ImageWindows:
        """The windows of images of these sizes, without the channels."""
        raise NotImplementedError

    def sample_output_shape(self, input_shape):
        self.check_rank(input_shape)
        return (*self.windows(input_shape[:-1]).outputs[-self.rank :], input_shape[-1])


class Averaged(Windowed):
    """A layer that gives the mean of each window."""

    def forward(self, plan: Plan, x: View) -> View:
        windows = self.windows(x.shape[:-1])
        plan.save(windows=windows)
        return window_sums(plan, x, windows, plan.buffer(self.sample_output_shape(x.shape), x.dtype), averaged=True)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        return window_sums(plan, dy, plan.saved("windows").averaging.transposed, plan.like(x))


class _Largest(Windowed):
    """A layer that gives the largest element of each window."""

    def forward(self, plan: Plan, x: View) -> View:
        windows = self.windows(x.shape[:-1])
        y = plan.buffer(self.sample_output_shape(x.shape), x.dtype)
        plan.save(windows=windows, places=largest(plan, x, windows, y))
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        if x.rectified:  # ReLU's derivative at the place of the largest element is that at the element: fewer of them
            dy = _RELU.backward(plan, dy, y, y)
        dx = gradient_of_largest(plan, dy, plan.saved("windows"), plan.saved("places"), plan.like(x))
        dx.rectified = x.rectified
        return dx


class _Pooling(Windowed):
    """Windows of one size at even distances."""

    _fixed = ("pool_size", "strides", "padding", "data_format")

    def __init__(
        self, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None,
        name: str | None = None, **more: Any,
    ):  # fmt: skip
        super().__init__(name=name, **more)
        self.pool_size = self.sizes("pool_size", pool_size)
        self.strides = self.pool_size if strides is None else self.sizes("strides", strides)
        self.padding = self.padding_of(padding, ("valid", "same"))
        self.data_format = data_format

    def windows(self, sizes: tuple[int, ...]) -> ImageWindows:
        same = self.padding == "same"
        axes = [
            AxisWindows.of_pool(n, window, stride, same)
            for n, window, stride in zip(sizes, self.pool_size, self.strides)
        ]
        return ImageWindows(axes)

    def sample_output_shape(self, input_shape):
        shape = super().sample_output_shape(input_shape)
        if not all(shape[:-1]):
            raise ValueError(
                f"{self._owner}: its windows of {self.pool_size} do not fit in images of {tuple(input_shape[:-1])}. "
                "padding='same' pools what there is; else make the windows smaller, or pool less before."
                f"{spatial.channels_hint(input_shape)}"
            )
        return shape


class MaxPooling1D(_Largest, _Pooling):
    """y[i] = the largest of x[i · strides], …, x[i · strides + pool_size - 1], feature by feature.

    Args:
        pool_size: steps of a window.
        strides: steps between windows; by default ``pool_size``.
        padding: "valid" for whole windows, "same" for ⌈steps / strides⌉ windows, of which those at the ends are cut.
        data_format: None or "channels_last".
        name: unique in a model; by default the class's name with a number.
        **more: ``dtype``, ``activity_regularizer``, ``input_shape``.

    (steps, features) → (windows, features). The gradient goes to the first one of equal elements; NaN is the largest.

    Raises:
        ValueError: a size is not a positive integer, or no window fits in the samples.

    Example:
        >>> layers.MaxPooling1D(2)([[[1.0], [3.0], [2.0], [0.0]]]).tolist()
        [[[3.0], [2.0]]]
    """

    rank = 1

    def __init__(
        self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = None,
        name: str | None = None, **more: Any,
    ):  # fmt: skip
        super().__init__(pool_size, strides, padding, data_format, name, **more)


class MaxPooling2D(_Largest, _Pooling):
    """The largest element of each window of an image, channel by channel.

    Args:
        pool_size: height and width of a window; one integer for both.
        strides: rows and columns between windows; by default ``pool_size``.
        padding: "valid" for whole windows, "same" for ⌈size / strides⌉ windows along an axis, cut at the edges.
        data_format: None or "channels_last".
        name: unique in a model; by default the class's name with a number.
        **more: ``dtype``, ``activity_regularizer``, ``input_shape``.

    (height, width, channels) → (windows, windows, channels). The gradient goes to the first one of equal elements, row
    by row; NaN is the largest.

    Raises:
        ValueError: a size is not a positive integer, or no window fits in the samples.

    Example:
        >>> layers.MaxPooling2D((1, 2))([[[[1.0], [3.0]], [[2.0], [0.0]]]]).tolist()
        [[[[3.0]], [[2.0]]]]
    """

    rank = 2

    def __init__(
        self, pool_size: Any = (2, 2), strides: Any = None, padding: str = "valid", data_format: str | None = None,
        name: str | None = None, **more: Any,
    ):  # fmt: skip
        super().__init__(pool_size, strides, padding, data_format, name, **more)


class MaxPooling3D(_Largest, _Pooling):
    """The largest element of each window of a volume, channel by channel.

    Args:
        pool_size: depth, height and width of a window; one integer for all.
        strides, padding, data_format, name: see `MaxPooling2D`.
        **more: ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a size is not a positive integer, or no window fits in the samples.

    Example:
        >>> layers.MaxPooling3D(2)(np.zeros((1, 4, 6, 2, 3))).shape
        (1, 2, 3, 1, 3)
    """

    rank = 3

    def __init__(
        self, pool_size: Any = (2, 2, 2), strides: Any = None, padding: str = "valid", data_format: str | None = None,
        name: str | None = None, **more: Any,
    ):  # fmt: skip
        super().__init__(pool_size, strides, padding, data_format, name, **more)


class AveragePooling1D(Averaged, _Pooling):
    """The mean of each window of steps, feature by feature.

    Args:
        pool_size: steps of a window.
        strides, padding, data_format, name: see `MaxPooling1D`. Means are over the steps in a window: padding does not
            count.
        **more: ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a size is not a positive integer, or no window fits in the samples.

    Example:
        >>> layers.AveragePooling1D(2)([[[1.0], [3.0], [2.0], [0.0]]]).tolist()
        [[[2.0], [1.0]]]
    """

    rank = 1


class AveragePooling2D(Averaged, _Pooling):
    """The mean of each window of an image, channel by channel.

    Args:
        pool_size: height and width of a window; one integer for both.
        strides, padding, data_format, name: see `MaxPooling2D`. Means are over the pixels in a window: padding does not
            count.
        **more: ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a size is not a positive integer, or no window fits in the samples.

    Example:
        >>> layers.AveragePooling2D((1, 2))([[[[1.0], [3.0]], [[2.0], [0.0]]]]).tolist()
        [[[[2.0]], [[1.0]]]]
    """

    rank = 2


class AveragePooling3D(Averaged, _Pooling):
    """The mean of each window of a volume, channel by channel.

    Args:
        pool_size: depth, height and width of a window; one integer for all.
        strides, padding, data_format, name: see `AveragePooling2D`.
        **more: ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a size is not a positive integer, or no window fits in the samples.

    Example:
        >>> layers.AveragePooling3D(2)(np.zeros((1, 4, 6, 2, 3))).shape
        (1, 2, 3, 1, 3)
    """

    rank = 3
