"""Depthwise convolutions, which keep channels apart, and separable ones: a depthwise and a 1×1 convolution."""

from __future__ import annotations

import math
from typing import Any

from fastnet import checks
from fastnet._kernels.template import Template
from fastnet._kernels.templates import depthwise as loops
from fastnet._kernels.window import Window
from fastnet.engine import elements
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.layers.moving_kernel import MovingKernel


class _Depthwise(MovingKernel):
    """A layer with a depthwise kernel."""

    strides_may_dilate = True
    depth_multiplier: int

    def _kernel_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*self.kernel_size, shape[-1], self.depth_multiplier)

    def multiply_adds(self, input_shape):
        kernels = [weight for weight in self.weights if weight is not self.bias]
        positions = self._window(input_shape, input_shape[-1]).positions
        return math.prod(positions) * sum(kernel.size for kernel in kernels)

    def _numbers(self, window: Window) -> dict[str, int]:
        """The numbers of the loops, along the last two axes."""
        given = {"taps": window.taps, "stride": window.strides, "step": window.dilations, "before": window.before}
        along = {f"{name}_{axis}": numbers[1 + k] for name, numbers in given.items() for k, axis in enumerate("yx")}
        return along

    def _as_images(self, plan: Plan, x: View) -> View:
        """The view with two axes of pixels, and elements that lie back to back."""
        x = plan.packed(x)
        return x if self.rank == 2 else x.view((1, *x.shape))

    def _repeated(self, plan: Plan, x: View) -> View:
        """The images with each channel as often as it has filters."""
        if self.depth_multiplier == 1:
            return x
        y = plan.buffer((*x.shape[:-1], x.shape[-1] * self.depth_multiplier), self.dtype)
        repeat = loops.repeat_channels.having(MULTIPLIER=self.depth_multiplier)
        plan.call(repeat, x=_pixels(plan, x), y=_pixels(plan, y))
        return y

    def _repetitions_added(self, plan: Plan, dx: View) -> View:
        """The gradient of the images, from that of their repeated channels."""
        if self.depth_multiplier == 1:
            return dx
        total = plan.buffer((*dx.shape[:-1], dx.shape[-1] // self.depth_multiplier), self.dtype)
        add = loops.add_repetitions.having(MULTIPLIER=self.depth_multiplier)
        plan.call(add, dy=_pixels(plan, dx), dx=_pixels(plan, total))
        return total

    def _depthwise(
        self, plan: Plan, x: View, kernel: Variable | View, bias: Variable | None = None, lowest: float = -math.inf
    ) -> View:
        """Add the launch of the sums over windows, plus the bias, and at least ``lowest``; the result."""
        window = self._window(x.shape, x.shape[-1])
        y = plan.buffer((*window.positions[3 - self.rank :], x.shape[-1] * self.depth_multiplier), self.dtype)
        images, results = self._as_images(plan, self._repeated(plan, x)), self._as_images(plan, y)
        self._window_sums(plan, images, kernel, bias, results, lowest, self._numbers(window))
        plan.save(window=window, images=images)
        return y

    def _depthwise_backward(
        self, plan: Plan, dy: View, x: View, kernel: Variable | View, dkernel: View | None
    ) -> View | None:
        """Add the launches of the gradients of ``x``, which is the result if it is wanted, and of the kernel."""
        window, images, dx = plan.saved("window"), plan.saved("images"), None
        numbers, gradient = self._numbers(window), self._as_images(plan, dy)
        if x.needs_gradient:
            dx = plan.buffer((*x.shape[:-1], images.shape[-1]), self.dtype)
            self._input_gradient(plan, gradient, kernel, self._as_images(plan, dx), numbers)
            dx = self._repetitions_added(plan, dx)
        if dkernel is not None:
            sums, results = {"dkernel": dkernel.flat}, -window.rows
            chunk_sums = elements.sums_of_chunks(plan, sums, math.prod(kernel.shape), results)
            plan.call(_kernel_gradient(images, numbers), x=images, dy=gradient, **chunk_sums, **numbers)
            elements.add_chunks(plan, chunk_sums, sums, results)
        return dx

    def _input_gradient(self, plan: Plan, dy: View, kernel: Variable | View, dx: View, numbers: dict[str, int]) -> None:
        """Add the launch of the gradient of the images.

        Without strides it is a depthwise convolution of ``dy`` with the kernel turned.
        """
        if max(self.strides) > 1:
            plan.call(loops.depthwise_input_gradient, dy=dy, kernel=kernel, dx=dx, **numbers)
            return
        before = {
            f"before_{axis}": (numbers[f"taps_{axis}"] - 1) * numbers[f"step_{axis}"] - numbers[f"before_{axis}"]
            for axis in "yx"
        }
        self._window_sums(plan, dy, kernel, None, dx, -math.inf, numbers | before, turned=1)

    def _window_sums(
        self, plan: Plan, x: View, kernel: Variable | View, bias: Variable | None, y: View, lowest: float,
        numbers: dict[str, int], turned: int = 0,
    ) -> None:  # fmt: skip
        """Add the launch of the sums over the windows of images."""
        operands = {"x": x, "kernel": kernel, "bias": bias, "y": y, "lowest": lowest, "turned": turned} | numbers
        if x.shape[-1] % loops.LANES:
            plan.call(loops.depthwise, **operands)
            return
        constants = {"JOINED": _joined_taps(numbers), "STREAMED": plan.streams(x, y)}
        plan.call(loops.depthwise_vectors.having(**constants), **operands)


def _kernel_gradient(images: View, numbers: dict[str, int]) -> Template:
    """The loops of the gradient of the kernel."""
    if images.shape[-1] % loops.LANES:
        return loops.depthwise_kernel_gradient
    joined = _joined_taps(numbers) if numbers["taps_y"] * numbers["taps_x"] <= loops.TAPS else 0
    return loops.depthwise_kernel_gradient_vectors.having(JOINED=joined)


def _joined_taps(numbers: dict[str, int]) -> int:
    """The number of taps of a row, if they lie side by side as the windows do; else 0.

    From 2 to 7: the weights of more would not fit the registers, and their code grows with the square.
    """
    return numbers["taps_x"] if numbers["stride_x"] == numbers["step_x"] == 1 and 2 <= numbers["taps_x"] <= 7 else 0


def _pixels(plan: Plan, x: View) -> View:
    """A view as pixels and their channels."""
    return plan.reshaped(x, (math.prod(x.shape[:-1]), x.shape[-1]))


class DepthwiseConvolution(_Depthwise):
    """A depthwise convolution of images of any rank; see `DepthwiseConv2D`."""

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **more: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **more)
        self._keep_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = checks.integer(f"{self._owner}: depth_multiplier", depth_multiplier)
        self._keep_bias(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)
        self.depthwise_initializer, self.depthwise_regularizer = depthwise_initializer, depthwise_regularizer
        self.depthwise_constraint = depthwise_constraint
        self.kernel: Any = None

    def make_weights(self, input_shape):
        self.kernel = self.add_weight(
            "kernel", self._kernel_shape(input_shape), self.depthwise_initializer,
            regularizer=self.depthwise_regularizer, constraint=self.depthwise_constraint,
        )  # fmt: skip
        self._make_bias(input_shape[-1] * self.depth_multiplier)

    def sample_output_shape(self, input_shape):
        self._check_samples(input_shape, self.kernel, 0 if self.kernel is None else self.kernel.shape[-2])
        window = self._window(input_shape, input_shape[-1])
        return self._shape_of(window.positions, input_shape[-1] * self.depth_multiplier)

    def forward(self, plan: Plan, x: View) -> View:
        z = self._depthwise(plan, x, self.kernel, self.bias, 0.0 if self._gives_relu else -math.inf)
        plan.save(z=z)
        return self._activated(plan, z)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        dz = self.activation.backward(plan, dy, plan.saved("z"), y)
        self._bias_gradient(plan, dz)
        return self._depthwise_backward(plan, dz, x, self.kernel, plan.gradient(self.kernel))


class SeparableConvolution(_Depthwise):
    """A separable convolution of images of any rank; see `SeparableConv2D`."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **more: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **more)
        self.filters = checks.integer(f"{self._owner}: filters", filters)
        self._keep_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = checks.integer(f"{self._owner}: depth_multiplier", depth_multiplier)
        self._keep_bias(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)
        self.depthwise_initializer, self.depthwise_regularizer = depthwise_initializer, depthwise_regularizer
        self.pointwise_initializer, self.pointwise_regularizer = pointwise_initializer, pointwise_regularizer
        self.depthwise_constraint, self.pointwise_constraint = depthwise_constraint, pointwise_constraint
        self.depthwise_kernel: Any = None
        self.pointwise_kernel: Any = None

    def make_weights(self, input_shape):
        self.depthwise_kernel = self.add_weight(
            "depthwise_kernel", self._kernel_shape(input_shape), self.depthwise_initializer,
            regularizer=self.depthwise_regularizer, constraint=self.depthwise_constraint,
        )  # fmt: skip
        channels = input_shape[-1] * self.depth_multiplier
        self.pointwise_kernel = self.add_weight(
            "pointwise_kernel", (*[1] * self.rank, channels, self.filters), self.pointwise_initializer,
            regularizer=self.pointwise_regularizer, constraint=self.pointwise_constraint,
        )  # fmt: skip
        self._make_bias(self.filters)

    def sample_output_shape(self, input_shape):
        kernel = self.depthwise_kernel
        self._check_samples(input_shape, kernel, 0 if kernel is None else kernel.shape[-2])
        return self._shape_of(self._window(input_shape, input_shape[-1]).positions, self.filters)

    def forward(self, plan: Plan, x: View) -> View:
        channels = self._depthwise(plan, x, self.depthwise_kernel)
        z = plan.buffer((*channels.shape[:-1], self.filters), self.dtype)
        plan.product(channels, self.pointwise_kernel, z, self.bias, relu=self._gives_relu)
        plan.save(channels=channels, z=z)
        return self._activated(plan, z)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        channels = plan.saved("channels")
        dz = self.activation.backward(plan, dy, plan.saved("z"), y)
        dchannels = None
        if x.needs_gradient or plan.trains(self.depthwise_kernel):
            dchannels = plan.like(channels)
            plan.product(dz, self.pointwise_kernel, dchannels, transpose_b=True)
        self._bias_gradient(plan, dz)
        if (dkernel := plan.gradient(self.pointwise_kernel)) is not None:
            plan.product(channels, dz, dkernel, transpose_a=True)
        if dchannels is None:
            return None
        kernel = self.depthwise_kernel
        return self._depthwise_backward(plan, dchannels, x, kernel, plan.gradient(kernel))


class DepthwiseConv1D(DepthwiseConvolution):
    """A depthwise convolution over steps; see `DepthwiseConv2D`.

    Args:
        kernel_size, strides, padding, depth_multiplier, data_format, dilation_rate, activation, use_bias, and the
            initializers, regularizers and constraints: as those of `DepthwiseConv2D`, for one axis.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``, as for every layer.

    Weights: ``kernel`` (kernel_size, channels, depth_multiplier), ``bias`` (channels · depth_multiplier,).

    Raises:
        ValueError: as of `DepthwiseConv2D`.

    Example:
        >>> layer = layers.DepthwiseConv1D(2, depthwise_initializer="ones")
        >>> layer([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]]).tolist()
        [[[3.0, 30.0], [5.0, 50.0]]]
    """

    rank = 1


class DepthwiseConv2D(DepthwiseConvolution):
    """A convolution of each channel by itself, with ``depth_multiplier`` filters for each.

    y[p, q, c M + m] = activation(sum over i, j of x[p s + i d - b, q s + j d - b, c] kernel[i, j, c, m] + bias[c M +
    m]) with M = depth_multiplier, the strides s and the dilation d; the paddings are those of `Conv2D`.

    Args:
        kernel_size: pixels of the window, one number for both axes or two.
        strides: pixels from one position of the window to the next.
        padding: "valid" or "same".
        depth_multiplier: filters for each channel.
        data_format: "channels_last"; other images get a `Permute` in front.
        dilation_rate: pixels from one tap of the window to the next.
        activation: a name or one of `fastnet.activations`; None for the identity.
        use_bias: whether a bias is added.
        depthwise_initializer, bias_initializer: initial values.
        depthwise_regularizer, bias_regularizer: penalties on the weights; see `fastnet.regularizers`.
        activity_regularizer: penalty on the result, divided by the rows of the batch.
        depthwise_constraint, bias_constraint: change the weights after an update; see `fastnet.constraints`.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``, as for every layer.

    Weights: ``kernel`` (height, width, channels, depth_multiplier), ``bias`` (channels · depth_multiplier,).

    Raises:
        ValueError: an argument is out of range; samples have another rank, or are smaller than the window with "valid"
            padding; channels come first.

    Example:
        >>> layer = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)
        >>> layer(np.ones((1, 5, 5, 4))).shape, layer.kernel.shape
        ((1, 5, 5, 8), (3, 3, 4, 2))
    """

    rank = 2


class SeparableConv1D(SeparableConvolution):
    """A separable convolution over steps; see `SeparableConv2D`.

    Args:
        filters, kernel_size, strides, padding, data_format, dilation_rate, depth_multiplier, activation, use_bias, and
            the initializers, regularizers and constraints: as those of `SeparableConv2D`, for one axis.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``, as for every layer.

    Weights: ``depthwise_kernel`` (kernel_size, channels, depth_multiplier), ``pointwise_kernel``
    (1, channels · depth_multiplier, filters), ``bias`` (filters,).

    Raises:
        ValueError: as of `SeparableConv2D`.

    Example:
        >>> layer = layers.SeparableConv1D(1, 2, depthwise_initializer="ones", pointwise_initializer="ones")
        >>> layer([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]]).tolist()
        [[[33.0], [55.0]]]
    """

    rank = 1


class SeparableConv2D(SeparableConvolution):
    """A depthwise convolution, then a 1×1 convolution that mixes the channels; Chollet 2017, arXiv:1610.02357.

    y = activation(z · pointwise_kernel + bias), where z is the result of a `DepthwiseConv2D` without a bias.

    Args:
        filters: channels of the result.
        kernel_size: pixels of the depthwise window, one number for both axes or two.
        strides: pixels from one position of the window to the next.
        padding: "valid" or "same".
        data_format: "channels_last"; other images get a `Permute` in front.
        dilation_rate: pixels from one tap of the window to the next.
        depth_multiplier: depthwise filters for each channel.
        activation: a name or one of `fastnet.activations`; None for the identity.
        use_bias: whether a bias is added.
        depthwise_initializer, pointwise_initializer, bias_initializer: initial values.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: penalties; see `fastnet.regularizers`.
        activity_regularizer: penalty on the result, divided by the rows of the batch.
        depthwise_constraint, pointwise_constraint, bias_constraint: see `fastnet.constraints`.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``, as for every layer.

    Weights: ``depthwise_kernel`` (height, width, channels, depth_multiplier), ``pointwise_kernel``
    (1, 1, channels · depth_multiplier, filters), ``bias`` (filters,).

    Raises:
        ValueError: as of `DepthwiseConv2D`.

    Example:
        >>> model = fastnet.Sequential([layers.Input((8, 8, 4)), layers.SeparableConv2D(16, 3)])
        >>> model.output_shape, model.count_params()  # 3·3·4 + 4·16 + 16
        ((None, 6, 6, 16), 116)
    """

    rank = 2
