"""Convolution and pooling, by the layers that have their kernels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet import config, layers
from fastnet.engine.convolution import convolve, kernel_gradient, scatter
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.ops.elements import convert_to_tensor
from fastnet.symbolic.array import ShapeError, SymbolicArray, refusal, shown, user_line
from fastnet.symbolic.boundaries import IMAGE, sample_shape
from fastnet.symbolic.leaves import constant
from fastnet.symbolic.reshape import GROUND
from fastnet.symbolic.weight_formulas import grounded, lifted


class _Conv1D(layers.Conv1D):
    strides_may_dilate = True  # in Keras in its function, not in its layers


class _Conv2D(layers.Conv2D):
    strides_may_dilate = True


class _Conv3D(layers.Conv3D):
    strides_may_dilate = True


_CONVOLUTIONS = (_Conv1D, _Conv2D, _Conv3D)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_LARGEST = (layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D)
_AVERAGES = (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D)


@dataclass(frozen=True)
class ImageOperation:
    """A layer without weights of its own, as an operation of a formula.

    Attributes:
        cls: the layer's class.
        arguments: of the layer, with their names.
    """

    cls: Any
    arguments: tuple[tuple[str, Any], ...]

    def layer(self, dtype: str) -> Any:
        """The layer."""
        return self.cls(**dict(self.arguments), dtype=dtype, name="ops")  # whose name no counter gives

    def on_tape(self, dtype: str, kernel: Variable | None, has_kernel: bool) -> Any:
        """What applies it in a plan.

        Args:
            dtype: of the layer.
            kernel: the weight that is its kernel; None where there is none, or where it is computed.
            has_kernel: whether there is one.
        """
        layer = self.layer(dtype)
        if not has_kernel:
            return layer
        return (_Depthwise if self.cls in _DEPTHWISE else _Convolved)(layer, kernel)


@dataclass(frozen=True, eq=False)
class _Convolved:
    """A convolution with a kernel that is not the layer's.

    Attributes:
        layer: has the window.
        kernel: a weight; None where it is the second input, which is computed once.
    """

    layer: Any
    kernel: Variable | None

    @property
    def variables(self) -> list[Variable]:
        """The weights that it reads."""
        return [] if self.kernel is None else [self.kernel]

    def forward(self, plan: Plan, x: View, *computed: View) -> View:
        return self._sums(plan, x, computed[0] if self.kernel is None else self.kernel)

    def backward(self, plan: Plan, dy: View, x: View, *others: View) -> tuple[View | None, ...]:
        if self.kernel is not None:
            return (self._gradient(plan, dy, x, self.kernel, plan.gradient(self.kernel)),)
        kernel, _ = others
        dkernel = plan.like(kernel) if kernel.needs_gradient else None
        return self._gradient(plan, dy, x, kernel, dkernel), dkernel

    def _sums(self, plan: Plan, x: View, kernel: Any) -> View:
        window = self.layer._window_over(x.shape)
        y = plan.buffer((*window.positions[3 - self.layer.rank :], self.layer.filters), x.dtype)
        convolve(plan, x, kernel, y, window)
        return y

    def _gradient(self, plan: Plan, dy: View, x: View, kernel: Any, dkernel: View | None) -> View | None:
        """The gradient of the images, where it is wanted; that of the kernel is written."""
        window, dx = self.layer._window_over(x.shape), None
        if x.needs_gradient:
            dx = plan.buffer(x.shape, x.dtype)
            scatter(plan, dy, kernel, dx, window)
        if dkernel is not None:
            kernel_gradient(plan, x, dy, dkernel, window)
        return dx


class _Depthwise(_Convolved):
    """The same of a depthwise convolution."""

    def _sums(self, plan: Plan, x: View, kernel: Any) -> View:
        return self.layer._depthwise(plan, x, kernel)

    def _gradient(self, plan: Plan, dy: View, x: View, kernel: Any, dkernel: View | None) -> View | None:
        return self.layer._depthwise_backward(plan, dy, x, kernel, dkernel)


def conv(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:  # fmt: skip
    """The convolution of images (n, ..., channels) with a kernel (..., channels of a group, filters).

    Args:
        inputs: images with one to three axes in space; in a formula data.
        kernel: in a formula a weight, a formula of weights, or an array.
        strides, dilation_rate: of each axis in space, or one number for all.
        padding: "valid" or "same".
        data_format: "channels_last", which None stands for.

    Example:
        >>> ops.conv(np.ones((1, 4, 1)), np.ones((2, 1, 3))).shape
        (1, 3, 3)
    """
    _check_format("conv", data_format)
    window = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate}
    return _with_kernel("conv", _CONVOLUTIONS, inputs, kernel, window)


def depthwise_conv(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:  # fmt: skip
    """The convolution of each channel by itself: images (n, ..., channels) and a kernel (..., channels, multiplier).

    The result has the filters of a channel side by side: channel c, filter m is channel c · multiplier + m.

    Args:
        inputs: images with one or two axes in space; in a formula data.
        kernel, strides, padding, data_format, dilation_rate: as those of `conv`.

    Example:
        >>> ops.depthwise_conv(np.array([[[1.0, 10.0], [2.0, 20.0]]]), np.ones((2, 2, 1))).tolist()
        [[[3.0, 30.0]]]
    """
    _check_format("depthwise_conv", data_format)
    window = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate}
    return _with_kernel("depthwise_conv", _DEPTHWISE, inputs, kernel, window)


def separable_conv(
    inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any, strides: Any = 1, padding: str = "valid",
    data_format: str | None = None, dilation_rate: Any = 1,
) -> Any:  # fmt: skip
    """`depthwise_conv`, then a `conv` of windows of one pixel (1, ..., channels · multiplier, filters).

    Example:
        >>> ops.separable_conv(np.array([[[1.0, 10.0], [2.0, 20.0]]]), np.ones((2, 2, 1)), np.ones((1, 2, 1))).tolist()
        [[[33.0]]]
    """
    _check_format("separable_conv", data_format)
    channels = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(channels, pointwise_kernel)


def max_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Any:
    """The largest element of each window, channel by channel.

    Args:
        inputs: images (n, ..., channels) with one to three axes in space; in a formula data.
        pool_size: of each axis in space, or one number for all.
        strides: the same; None for the pool's size.
        padding: "valid" or "same".
        data_format: "channels_last", which None stands for.

    Example:
        >>> ops.max_pool(np.array([[[1.0], [3.0], [2.0], [0.0]]]), 2).tolist()
        [[[3.0], [2.0]]]
    """
    return _pooled("max_pool", _LARGEST, inputs, pool_size, strides, padding, data_format)


def average_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Any:
    """The mean of each window, channel by channel; its arguments are those of `max_pool`.

    Example:
        >>> ops.average_pool(np.array([[[1.0], [3.0], [2.0], [0.0]]]), 2).tolist()
        [[[2.0], [1.0]]]
    """
    return _pooled("average_pool", _AVERAGES, inputs, pool_size, strides, padding, data_format)


def _pooled(
    name: str, classes: tuple, inputs: Any, pool_size: Any, strides: Any, padding: str, data_format: str | None
) -> Any:
    _check_format(name, data_format)
    arguments = {"pool_size": pool_size, "strides": strides, "padding": padding}
    operation = _operation(classes[_rank(name, classes, inputs) - 1], arguments)
    with _as_error_of(name):
        if not isinstance(inputs, SymbolicArray):
            return operation.layer(config.floatx())(convert_to_tensor(inputs))
        shape = operation.layer("float32").sample_output_shape(sample_shape(inputs))
    return SymbolicArray(IMAGE, (inputs,), (None, *shape), settings=(operation,))


def _with_kernel(name: str, classes: tuple, inputs: Any, kernel: Any, window: dict[str, Any]) -> Any:
    """A convolution, of arrays or in a formula."""
    rank = _rank(name, classes, inputs)
    is_symbolic = isinstance(inputs, SymbolicArray) or isinstance(kernel, SymbolicArray)
    x, kernel = (constant(each) if is_symbolic else convert_to_tensor(each) for each in (inputs, kernel))
    if kernel.ndim != rank + 2 or (is_symbolic and (not x.per_row or kernel.per_row)):
        raise refusal(
            f"ops.{name} of arrays of shape {shown(x.shape)} and {shown(kernel.shape)}",
            "give images (n, ..., channels), and a kernel of as many axes: a weight or an array",
            ShapeError,
        )
    arguments = _kernel_arguments(name, classes is _DEPTHWISE, x.shape[-1], kernel.shape)
    operation = _operation(classes[rank - 1], {**arguments, **window, "use_bias": False})
    with _as_error_of(name):
        if not is_symbolic:
            layer = operation.layer(config.floatx())
            layer.build(x.shape)
            layer.kernel.assign(kernel)
            return layer(x)
        shape = operation.layer("float32").sample_output_shape(sample_shape(x))
    if kernel.value is None and kernel.operation not in (None, GROUND):
        kernel = grounded(lifted(kernel))
    return SymbolicArray(IMAGE, (x, kernel), (None, *shape), settings=(operation,))


def _kernel_arguments(name: str, is_depthwise: bool, channels: Any, kernel: tuple[Any, ...]) -> dict[str, Any]:
    """The arguments of a layer that has a kernel of this shape.

    Raises:
        ShapeError: it does not fit the channels.
    """
    *sizes, of_kernel, filters = kernel
    if of_kernel <= 0 or (channels != of_kernel if is_depthwise else channels % of_kernel):
        raise refusal(
            f"ops.{name}: images of {channels} channels, a kernel of {of_kernel}",
            "give as many" if is_depthwise else "give as many, or those of a group", ShapeError,
        )  # fmt: skip
    if is_depthwise:
        return {"kernel_size": tuple(sizes), "depth_multiplier": filters}
    return {"kernel_size": tuple(sizes), "filters": filters, "groups": channels // of_kernel}


def _operation(cls: Any, arguments: dict[str, Any]) -> ImageOperation:
    fixed = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    return ImageOperation(cls, tuple(fixed.items()))


def _check_format(name: str, data_format: Any) -> None:
    """Check that channels come last.

    Raises:
        TracingError: they do not.
    """
    if data_format not in (None, "channels_last"):
        raise refusal(
            f"ops.{name}: data_format={data_format!r}",
            "channels are the last axis; of images ops.transpose(x, (0, 2, 3, 1)) puts them there",
        )


@contextlib.contextmanager
def _as_error_of(name: str) -> Iterator[None]:
    """A context in which what a layer refuses is an error of the function."""
    try:
        yield
    except ValueError as error:
        raise ShapeError(f"ops.{name}{user_line()}: {str(error).partition(': ')[2]}") from None


def _rank(name: str, classes: tuple, x: Any) -> int:
    """The number of axes of an image without the channels."""
    rank = (x.ndim if isinstance(x, SymbolicArray) else np.ndim(x)) - 2
    if not 1 <= rank <= len(classes) or (isinstance(x, SymbolicArray) and not x.per_row):
        what = repr(x) if isinstance(x, SymbolicArray) else f"an array of {rank + 2} axes"
        raise refusal(
            f"ops.{name} of {what}", f"give images (n, ..., channels) of 1 to {len(classes)} axes", ShapeError
        )
    return rank


FUNCTIONS = {f.__name__: f for f in (conv, depthwise_conv, separable_conv, max_pool, average_pool)}
