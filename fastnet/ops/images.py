"""Convolution and pooling, by the layers that have their kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet import config, layers
from fastnet.engine.convolution import convolve, kernel_gradient, scatter
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.ops.elements import convert_to_tensor
from fastnet.symbolic.array import ShapeError, SymbolicArray, refusal, shown
from fastnet.symbolic.boundaries import IMAGE, sample_shape
from fastnet.symbolic.leaves import constant

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
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

    def on_tape(self, dtype: str, kernel: Variable | None) -> Any:
        """What applies it in a plan."""
        return self.layer(dtype) if kernel is None else _Convolved(self.layer(dtype), kernel)


@dataclass(frozen=True, eq=False)
class _Convolved:
    """A convolution with a weight that is not the layer's."""

    layer: Any
    kernel: Variable

    @property
    def variables(self) -> list[Variable]:
        """The weights that it reads."""
        return [self.kernel]

    def forward(self, plan: Plan, x: View) -> View:
        window = self.layer._window_over(x.shape)
        y = plan.buffer((*window.positions[3 - self.layer.rank :], self.layer.filters), x.dtype)
        convolve(plan, x, self.kernel, y, window)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        window, dx = self.layer._window_over(x.shape), None
        if x.needs_gradient:
            dx = plan.buffer(x.shape, x.dtype)
            scatter(plan, dy, self.kernel, dx, window)
        if (dkernel := plan.gradient(self.kernel)) is not None:
            kernel_gradient(plan, x, dy, dkernel, window)
        return dx


def conv(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: None = None, dilation_rate: Any = 1
) -> Any:  # fmt: skip
    """The convolution of images (n, ..., channels) with a kernel (..., channels of a group, filters).

    Example:
        >>> ops.conv(np.ones((1, 4, 1)), np.ones((2, 1, 3))).shape
        (1, 3, 3)
    """
    rank = _rank("conv", inputs)
    if not isinstance(inputs, SymbolicArray) and not isinstance(kernel, SymbolicArray):
        x, kernel = convert_to_tensor(inputs), convert_to_tensor(kernel)
        layer = _convolution(x.shape[1:], kernel.shape, rank, strides, padding, dilation_rate).layer(config.floatx())
        layer.build(x.shape)
        layer.kernel.assign(kernel)
        return layer(x)
    x, kernel = constant(inputs), constant(kernel)
    if not x.per_row or kernel.per_row or kernel.operation is not None or kernel.ndim != rank + 2:
        raise refusal(
            f"ops.conv of arrays of shape {shown(x.shape)} and {shown(kernel.shape)}",
            "give images (n, ..., channels), and a weight or an array (..., channels, filters) as it is",
            ShapeError,
        )
    operation = _convolution(sample_shape(x), kernel.shape, rank, strides, padding, dilation_rate)
    window = operation.layer("float32")._window_over(sample_shape(x))
    shape = (None, *window.positions[3 - rank :], kernel.shape[-1])
    return SymbolicArray(IMAGE, (x, kernel), shape, settings=(operation,))


def max_pool(inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: None = None) -> Any:
    """The largest element of each window, channel by channel.

    Example:
        >>> ops.max_pool(np.array([[[1.0], [3.0], [2.0], [0.0]]]), 2).tolist()
        [[[3.0], [2.0]]]
    """
    return _pooled("max_pool", _LARGEST, inputs, pool_size, strides, padding)


def average_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: None = None
) -> Any:
    """The mean of each window, channel by channel.

    Example:
        >>> ops.average_pool(np.array([[[1.0], [3.0], [2.0], [0.0]]]), 2).tolist()
        [[[2.0], [1.0]]]
    """
    return _pooled("average_pool", _AVERAGES, inputs, pool_size, strides, padding)


def _pooled(name: str, classes: tuple, inputs: Any, pool_size: Any, strides: Any, padding: str) -> Any:
    arguments = {"pool_size": pool_size, "strides": strides, "padding": padding}
    operation = _operation(classes[_rank(name, inputs) - 1], arguments)
    if not isinstance(inputs, SymbolicArray):
        return operation.layer(config.floatx())(convert_to_tensor(inputs))
    shape = operation.layer("float32").sample_output_shape(sample_shape(inputs))
    return SymbolicArray(IMAGE, (inputs,), (None, *shape), settings=(operation,))


def _convolution(
    images: tuple[int, ...], kernel: Any, rank: int, strides: Any, padding: str, dilation_rate: Any
) -> ImageOperation:
    *sizes, channels, filters = kernel
    if channels <= 0 or images[-1] % channels:
        raise refusal(
            f"ops.conv: images of {images[-1]} channels, a kernel of {channels}", "give as many, or those of a group",
            ShapeError,
        )  # fmt: skip
    arguments = {
        "filters": filters, "kernel_size": tuple(sizes), "strides": strides, "padding": padding,
        "dilation_rate": dilation_rate, "groups": images[-1] // channels, "use_bias": False,
    }  # fmt: skip
    return _operation(_CONVOLUTIONS[rank - 1], arguments)


def _operation(cls: Any, arguments: dict[str, Any]) -> ImageOperation:
    fixed = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    return ImageOperation(cls, tuple(fixed.items()))


def _rank(name: str, x: Any) -> int:
    """The number of axes of an image without the channels."""
    rank = (x.ndim if isinstance(x, SymbolicArray) else np.ndim(x)) - 2
    if rank not in (1, 2, 3) or (isinstance(x, SymbolicArray) and not x.per_row):
        raise refusal(f"ops.{name} of {x!r}", "give images (n, ..., channels) of 1 to 3 axes", ShapeError)
    return rank


FUNCTIONS = {f.__name__: f for f in (conv, max_pool, average_pool)}
