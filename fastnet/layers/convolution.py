"""Convolutions: products of the patches of images and a kernel."""

from __future__ import annotations

from typing import Any, ClassVar

from fastnet import checks
from fastnet._kernels.templates import folds
from fastnet._kernels.window import Window
from fastnet.activations import RELU, output_shape
from fastnet.engine.convolution import convolve, input_gradient, kernel_gradient
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers import spatial
from fastnet.layers.layer import Layer


class _Convolution(Layer):
    """A layer with a kernel that moves over images, a bias and an activation."""

    rank: ClassVar[int]
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    _fixed = ("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups", "use_bias")

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **more: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **more)
        self.filters = checks.integer(f"{self._owner}: filters", filters)
        self.kernel_size = spatial.sizes(f"{self._owner}: kernel_size", kernel_size, self.rank)
        self.strides = spatial.sizes(f"{self._owner}: strides", strides, self.rank)
        padding = padding.lower() if isinstance(padding, str) else padding
        self.padding = checks.one_of(f"{self._owner}: padding", padding, *self.paddings)
        self.data_format = spatial.channels_last(f"{self._owner}: data_format", data_format)
        self.dilation_rate = spatial.sizes(f"{self._owner}: dilation_rate", dilation_rate, self.rank)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{self._owner}: strides and dilation_rate above 1 together are not supported, received strides="
                f"{self.strides}, dilation_rate={self.dilation_rate}."
            )
        self.groups = checks.integer(f"{self._owner}: groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"{self._owner}: filters must be a multiple of groups, received filters={filters}, groups={groups}."
            )
        self.activation = activation
        self.use_bias = checks.flag(f"{self._owner}: use_bias", use_bias)
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer
        self.kernel_regularizer, self.bias_regularizer = kernel_regularizer, bias_regularizer
        self.kernel_constraint, self.bias_constraint = kernel_constraint, bias_constraint
        self.kernel: Any = None
        self.bias: Any = None

    def make_weights(self, input_shape):
        self.kernel = self.add_named_weight("kernel", self._kernel_shape(input_shape))
        if self.use_bias:
            self.bias = self.add_named_weight("bias", (self.filters,))

    def _kernel_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*self.kernel_size, input_shape[-1] // self.groups, self.filters)

    def _window(self, shape: tuple[int, ...]) -> Window:
        """The window over samples of a shape."""
        extent = tuple((taps - 1) * step + 1 for taps, step in zip(self.kernel_size, self.dilation_rate))
        positions, before = spatial.positions(self._owner, shape[:-1], extent, self.strides, self.padding)
        three = spatial.in_three
        return Window(
            three(shape[:-1]), three(positions), three(self.kernel_size), shape[-1] // self.groups,
            three(self.strides), three(self.dilation_rate), three(before, 0), self.groups,
        )  # fmt: skip

    def sample_output_shape(self, input_shape):
        spatial.check_rank(self._owner, input_shape, self.rank)
        if input_shape[-1] % self.groups:
            raise ValueError(
                f"{self._owner}: the channels of its samples must be a multiple of groups={self.groups}, received "
                f"samples of shape {input_shape}."
            )
        if self.kernel is not None and self._kernel_shape(input_shape) != self.kernel.shape:
            raise ValueError(
                f"{self._owner} was built for {self.kernel.shape[-2] * self.groups} channels; received samples of "
                f"shape {input_shape}."
            )
        positions = self._window(input_shape).positions[3 - self.rank :]
        return output_shape(self.activation, (*positions, self.filters))

    @property
    def _gives_relu(self) -> bool:
        """Whether the product itself applies the activation; a user's function may have any name."""
        return getattr(self.activation, "row", None) is RELU

    def forward(self, plan: Plan, x: View) -> View:
        window = self._window(x.shape)
        z = plan.buffer((*window.positions[3 - self.rank :], self.filters), self.dtype)
        convolve(plan, x, self.kernel, z, window, self.bias, self._gives_relu)
        plan.save(z=z, window=window)
        return z if self._gives_relu else self.activation.forward(plan, z)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        window = plan.saved("window")
        dz = self.activation.backward(plan, dy, y if self._gives_relu else plan.saved("z"), y)
        dx = None
        if x.needs_gradient:
            dx = plan.buffer(x.shape, self.dtype)
            input_gradient(plan, dz, self.kernel, dx, window)
        if self.use_bias and (dbias := plan.gradient(self.bias)) is not None:
            plan.call(folds.sum_rows, x=dz, total=dbias)
        if (dkernel := plan.gradient(self.kernel)) is not None:
            kernel_gradient(plan, x, dz, dkernel, window)
        return dx


class Conv1D(_Convolution):
    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2D(_Convolution):
    rank = 2


class Conv3D(_Convolution):
    rank = 3
