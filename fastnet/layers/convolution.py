"""Convolutions: products of the patches of images and a kernel."""

from __future__ import annotations

import math
from typing import Any

from fastnet import checks
from fastnet._kernels.window import Window
from fastnet.engine.convolution import convolve, kernel_gradient, scatter
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers import spatial
from fastnet.layers.moving_kernel import MovingKernel


class Convolution(MovingKernel):
    """A convolution of images of any rank; see `Conv2D`."""

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
        self._keep_window(kernel_size, strides, padding, data_format, dilation_rate)
        self.groups = checks.integer(f"{self._owner}: groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"{self._owner}: filters must be a multiple of groups, received filters={filters}, groups={groups}."
            )
        self._keep_bias(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)
        self.kernel_initializer, self.kernel_regularizer = kernel_initializer, kernel_regularizer
        self.kernel_constraint = kernel_constraint
        self.kernel: Any = None

    def make_weights(self, input_shape):
        shape = (*self.kernel_size, input_shape[-1] // self.groups, self.filters)
        self.kernel = self.add_named_weight("kernel", shape)
        self._make_bias(self.filters)

    def sample_output_shape(self, input_shape):
        channels = 0 if self.kernel is None else self.kernel.shape[-2] * self.groups
        self._check_samples(input_shape, self.kernel, channels)
        if input_shape[-1] % self.groups:
            raise ValueError(
                f"{self._owner}: the channels of its samples must be a multiple of groups={self.groups}, received "
                f"samples of shape {input_shape}.{spatial.channels_hint(input_shape)}"
            )
        return self._shape_of(self._window_over(input_shape).positions, self.filters)

    def multiply_adds(self, input_shape):
        return math.prod(self._window_over(input_shape).positions) * self.kernel.size

    def _window_over(self, shape: tuple[int, ...]) -> Window:
        return self._window(shape, shape[-1] // self.groups, self.groups)

    def forward(self, plan: Plan, x: View) -> View:
        window = self._window_over(x.shape)
        z = plan.buffer((*window.positions[3 - self.rank :], self.filters), self.dtype)
        convolve(plan, x, self.kernel, z, window, self.bias, self._gives_relu)
        plan.save(z=z, window=window)
        return self._activated(plan, z)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        window = plan.saved("window")
        dz = self.activation.backward(plan, dy, plan.saved("z"), y)
        # dx before dw: the update of the kernel can then follow its gradient tile by tile.
        dx = None
        if x.needs_gradient:
            dx = plan.buffer(x.shape, self.dtype)
            scatter(plan, dz, self.kernel, dx, window)
        self._bias_gradient(plan, dz)
        if (dkernel := plan.gradient(self.kernel)) is not None:
            kernel_gradient(plan, x, dz, dkernel, window)
        return dx


class Conv1D(Convolution):
    """A convolution over steps (steps, channels); see `Conv2D`.

    y[p, f] = activation(sum over t, c of x[p s + t d - b, c] kernel[t, c, f] + bias[f]) with the stride s and the
    dilation d.

    Args:
        padding: "valid", "same", or "causal": y[p] depends on no step behind x[p strides].
        filters, kernel_size, strides, data_format, dilation_rate, groups, activation, use_bias, and the initializers,
            regularizers and constraints: as those of `Conv2D`, for one axis.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``, as for every layer.

    Weights: ``kernel`` (kernel_size, channels / groups, filters), ``bias`` (filters,).

    Raises:
        ValueError: as of `Conv2D`.

    Example:
        >>> layer = layers.Conv1D(1, 2, padding="causal", kernel_initializer="ones")
        >>> layer([[[1.0], [2.0], [3.0]]]).tolist()
        [[[1.0], [3.0], [5.0]]]
    """

    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2D(Convolution):
    """A convolution over images (height, width, channels): each result is the sum of a window of pixels and a kernel.

    y[p, q, f] = activation(sum over i, j, c of x[p s + i d - b, q s + j d - b, c] kernel[i, j, c, f] + bias[f]) with
    the strides s and the dilation d; x is 0 outside of the image. With "valid" padding the window stays within the
    image, and b is 0. With "same" there are ceil(size / s) results along each axis, and the window protrudes equally on
    both sides, or by one pixel more behind.

    Args:
        filters: channels of the result.
        kernel_size: pixels of the window, one number for both axes or two.
        strides: pixels from one position of the window to the next.
        padding: "valid" or "same".
        data_format: "channels_last"; other images get a `Permute` in front.
        dilation_rate: pixels from one tap of the window to the next; not together with strides above 1.
        groups: of channels; each group of filters reads its own group of channels.
        activation: a name or one of `fastnet.activations`; None for the identity.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: initial values.
        kernel_regularizer, bias_regularizer: penalties on the weights; see `fastnet.regularizers`.
        activity_regularizer: penalty on the result, divided by the rows of the batch.
        kernel_constraint, bias_constraint: change the weights after an update; see `fastnet.constraints`.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``, as for every layer.

    Weights: ``kernel`` (height, width, channels / groups, filters), ``bias`` (filters,).

    Raises:
        ValueError: an argument is out of range; strides and dilation_rate are above 1 together; groups do not divide
            filters or channels; samples have another rank, or are smaller than the window with "valid" padding;
            channels come first.

    Example:
        >>> model = fastnet.Sequential([layers.Input((28, 28, 1)), layers.Conv2D(8, 3, activation="relu")])
        >>> model.output_shape, model.layers[0].kernel.shape
        ((None, 26, 26, 8), (3, 3, 1, 8))
    """

    rank = 2


class Conv3D(Convolution):
    """A convolution over volumes (depth, height, width, channels); see `Conv2D`.

    Args:
        filters, kernel_size, strides, padding, data_format, dilation_rate, groups, activation, use_bias, and the
            initializers, regularizers and constraints: as those of `Conv2D`, for three axes.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``, as for every layer.

    Weights: ``kernel`` (depth, height, width, channels / groups, filters), ``bias`` (filters,).

    Raises:
        ValueError: as of `Conv2D`.

    Example:
        >>> layers.Conv3D(4, 2, strides=2)(np.ones((1, 4, 6, 8, 3))).shape
        (1, 2, 3, 4, 4)
    """

    rank = 3
