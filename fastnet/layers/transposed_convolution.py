"""Transposed convolutions: the gradient of a convolution's images as a layer."""

from __future__ import annotations

import math
from typing import Any

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.window import Window
from fastnet.engine.convolution import convolve, kernel_gradient, scatter
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers import spatial
from fastnet.layers.moving_kernel import MovingKernel


class TransposedConvolution(MovingKernel):
    """A transposed convolution of images of any rank; see `Conv2DTranspose`."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
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
        self.output_padding = self._checked_output_padding(output_padding)
        self._keep_bias(activation, use_bias, bias_initializer, bias_regularizer, bias_constraint)
        self.kernel_initializer, self.kernel_regularizer = kernel_initializer, kernel_regularizer
        self.kernel_constraint = kernel_constraint
        self.kernel: Any = None

    def _checked_output_padding(self, value: Any) -> tuple[int, ...] | None:
        if value is None:
            return None
        sizes = self.sizes("output_padding", value, 0)
        if any(size >= stride for size, stride in zip(sizes, self.strides)):
            raise ValueError(
                f"{self._owner}: output_padding must be less than strides along each axis, received output_padding="
                f"{quoted(value)}, strides={self.strides}."
            )
        return sizes

    def make_weights(self, input_shape):
        self.kernel = self.add_named_weight("kernel", (*self.kernel_size, self.filters, input_shape[-1]))
        self._make_bias(self.filters)

    def sample_output_shape(self, input_shape):
        self._check_samples(input_shape, self.kernel, 0 if self.kernel is None else self.kernel.shape[-1])
        image = self._window_over_result(input_shape).image
        if min(image) < 1:
            raise ValueError(
                f"{self._owner}: its result for samples of shape {input_shape} would have no pixels; take a larger "
                f"output_padding than {self.output_padding}, or None."
            )
        return self._shape_of(image, self.filters)

    def multiply_adds(self, input_shape):
        return math.prod(input_shape[:-1]) * self.kernel.size  # each pixel is spread over a window

    def _window_over_result(self, shape: tuple[int, ...]) -> Window:
        """The window of the convolution that this layer transposes: over its result, for samples of a shape."""
        image, before = zip(*(self._axis(axis, shape[axis]) for axis in range(self.rank)))
        three = spatial.in_three
        return Window(
            three(image), three(shape[:-1]), three(self.kernel_size), self.filters, three(self.strides),
            three(self.dilation_rate), three(before, 0),
        )  # fmt: skip

    def _axis(self, axis: int, size: int) -> tuple[int, int]:
        """(pixels of the result, pixels by which the window begins in front of it) along an axis; as in Keras.

        Without a loss at the edges the result has (size - 1) stride + extent pixels. "valid" adds pixels behind them;
        "same" cuts both sides, where more is cut in front.
        """
        extent, stride = self._extent[axis], self.strides[axis]
        more = None if self.output_padding is None else self.output_padding[axis]
        if self.padding == "valid":
            more = max(stride - extent, 0) if more is None else more
            return (size - 1) * stride + extent + more, 0
        image = size * stride if more is None else (size - 1) * stride + extent % 2 + more
        padded = image - (size - 1) * stride + extent - 2  # of the samples, with stride - 1 zeros between their pixels
        return image, extent - 1 - min(padded - padded // 2, extent - 1)

    def forward(self, plan: Plan, x: View) -> View:
        window = self._window_over_result(x.shape)
        z = plan.buffer((*window.image[3 - self.rank :], self.filters), self.dtype)
        scatter(plan, x, self.kernel, z, window, self.bias, self._gives_relu)
        plan.save(z=z, window=window)
        return self._activated(plan, z)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        window = plan.saved("window")
        dz = self.activation.backward(plan, dy, plan.saved("z"), y)
        dx = None
        if x.needs_gradient:
            dx = plan.buffer(x.shape, self.dtype)
            convolve(plan, dz, self.kernel, dx, window)
        self._bias_gradient(plan, dz)
        if (dkernel := plan.gradient(self.kernel)) is not None:
            kernel_gradient(plan, dz, x, dkernel, window)
        return dx


class Conv1DTranspose(TransposedConvolution):
    """A transposed convolution over steps; see `Conv2DTranspose`.

    Args:
        filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate, activation, use_bias, and
            the initializers, regularizers and constraints: as those of `Conv2DTranspose`, for one axis.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``, as for every layer.

    Weights: ``kernel`` (kernel_size, filters, channels), ``bias`` (filters,).

    Raises:
        ValueError: as of `Conv2DTranspose`.

    Example:
        >>> layer = layers.Conv1DTranspose(1, 2, strides=2, kernel_initializer="ones")
        >>> layer([[[1.0], [2.0]]]).tolist()
        [[[1.0], [1.0], [2.0], [2.0]]]
    """

    rank = 1


class Conv2DTranspose(TransposedConvolution):
    """A transposed convolution, which enlarges images: each pixel times the kernel is added to a window of the result.

    y[p s + i d - b, q s + j d - b, f] is the sum over c of x[p, q, c] kernel[i, j, f, c], for all pixels (p, q) and
    taps (i, j) that meet there, plus bias[f]; the activation is applied to it. s are the strides and d the dilation.
    This is the gradient of the images of a `Conv2D`; Dumoulin and Visin 2016, arXiv:1603.07285, chapter 4.

    With a window of k pixels, n pixels along an axis become n s with "same" padding, and (n - 1) s + max(k, s) with
    "valid". Where ``output_padding`` is given, they become (n - 1) s + k + output_padding with "valid", and
    (n - 1) s + (k mod 2) + output_padding with "same", as in Keras.

    Args:
        filters: channels of the result.
        kernel_size: pixels of the window, one number for both axes or two.
        strides: pixels of the result from one window to the next.
        padding: "valid" or "same".
        output_padding: of the result's size, as above, less than the strides; None for the size that follows from
            padding.
        data_format: "channels_last"; other images get a `Permute` in front.
        dilation_rate: pixels from one tap of the window to the next; not together with strides above 1.
        activation: a name or one of `fastnet.activations`; None for the identity.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: initial values.
        kernel_regularizer, bias_regularizer: penalties on the weights; see `fastnet.regularizers`.
        activity_regularizer: penalty on the result, divided by the rows of the batch.
        kernel_constraint, bias_constraint: change the weights after an update; see `fastnet.constraints`.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``, as for every layer.

    Weights: ``kernel`` (height, width, filters, channels), ``bias`` (filters,).

    Raises:
        ValueError: an argument is out of range; strides and dilation_rate are above 1 together; output_padding is not
            less than strides; samples have another rank, or their result no pixels; channels come first.

    Example:
        >>> model = fastnet.Sequential([layers.Input((7, 7, 16)), layers.Conv2DTranspose(8, 3, 2, padding="same")])
        >>> model.output_shape, model.layers[0].kernel.shape
        ((None, 14, 14, 8), (3, 3, 8, 16))
    """

    rank = 2


class Conv3DTranspose(TransposedConvolution):
    """A transposed convolution over volumes (depth, height, width, channels); see `Conv2DTranspose`.

    Args:
        filters, kernel_size, strides, padding, data_format, output_padding, dilation_rate, activation, use_bias, and
            the initializers, regularizers and constraints: as those of `Conv2DTranspose`, for three axes.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``, as for every layer.

    Weights: ``kernel`` (depth, height, width, filters, channels), ``bias`` (filters,).

    Raises:
        ValueError: as of `Conv2DTranspose`.

    Example:
        >>> layers.Conv3DTranspose(4, 2, strides=2)(np.ones((1, 1, 2, 3, 5))).shape
        (1, 2, 4, 6, 4)
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,  # before output_padding, in Keras's order
        output_padding: Any = None,
        dilation_rate: Any = 1,
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
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate, activation, use_bias,
            kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint, **more,
        )  # fmt: skip
