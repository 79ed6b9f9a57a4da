"""What convolutions share: the arguments of a kernel that moves over images, its bias and its activation."""

from __future__ import annotations

from typing import Any, ClassVar

from fastnet import checks
from fastnet._kernels.templates import folds
from fastnet._kernels.window import Window
from fastnet.activations import RELU, output_shape
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers import spatial
from fastnet.layers.images import ImageLayer


class MovingKernel(ImageLayer):
    """y = activation(z + bias), where z are sums over the windows of images."""

    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    strides_may_dilate: ClassVar[bool] = False  # whether Keras takes strides and dilation_rate above 1 together
    _fixed = (
        *("filters", "kernel_size", "strides", "padding", "output_padding", "data_format", "dilation_rate", "groups"),
        *("depth_multiplier", "use_bias"),
    )
    bias: Any = None

    def _keep_window(self, kernel_size: Any, strides: Any, padding: Any, data_format: Any, dilation_rate: Any) -> None:
        """Check and keep the arguments of the window."""
        self.kernel_size = self.sizes("kernel_size", kernel_size)
        self.strides = self.sizes("strides", strides)
        self.padding = self.padding_of(padding, self.paddings)
        self.data_format = data_format
        self.dilation_rate = self.sizes("dilation_rate", dilation_rate)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1 and not self.strides_may_dilate:
            raise ValueError(
                f"{self._owner}: strides and dilation_rate above 1 together are not supported, received strides="
                f"{self.strides}, dilation_rate={self.dilation_rate}; take one of them."
            )

    def _keep_bias(self, activation: Any, use_bias: Any, initializer: Any, regularizer: Any, constraint: Any) -> None:
        """Check and keep the arguments of the activation and the bias."""
        self.activation = activation
        self.use_bias = checks.flag(f"{self._owner}: use_bias", use_bias)
        self.bias_initializer, self.bias_regularizer, self.bias_constraint = initializer, regularizer, constraint

    @property
    def _extent(self) -> tuple[int, ...]:
        """Pixels from the first tap of the window to behind the last one, along each axis."""
        return tuple((taps - 1) * step + 1 for taps, step in zip(self.kernel_size, self.dilation_rate))

    def _window(self, shape: tuple[int, ...], channels: int, groups: int = 1) -> Window:
        """The window over samples of a shape; its groups have ``channels``."""
        hint = spatial.channels_hint(shape)
        positions, before = spatial.positions(
            self._owner, shape[:-1], self._extent, self.strides, self.padding, hint
        )  # fmt: skip
        three = spatial.in_three
        return Window(
            three(shape[:-1]), three(positions), three(self.kernel_size), channels, three(self.strides),
            three(self.dilation_rate), three(before, 0), groups,
        )  # fmt: skip

    def _check_samples(self, shape: tuple[int, ...], kernel: Any, channels: int) -> None:
        """Check the number of axes, and that of channels if the layer is built.

        Args:
            shape: of samples.
            kernel: the weight, None before the build.
            channels: for which the weight was made.

        Raises:
            ValueError: the samples do not fit.
        """
        self.check_rank(shape)
        if kernel is not None and shape[-1] != channels:
            raise ValueError(
                f"{self._owner} was built for {channels} channels; received samples of shape {shape}, which have "
                f"{shape[-1]}.{spatial.channels_hint(shape)}"
            )

    def _shape_of(self, positions: tuple[int, ...], channels: int) -> tuple[int, ...]:
        """The shape of a sample's result at these positions, along three axes."""
        return output_shape(self.activation, (*positions[3 - self.rank :], channels))

    def _make_bias(self, size: int) -> None:
        """Make the bias, if wanted."""
        if self.use_bias:
            self.bias = self.add_named_weight("bias", (size,))

    @property
    def _gives_relu(self) -> bool:
        """Whether the activation is fastnet's ReLU, which a product applies; a user's function may have any name."""
        return getattr(self.activation, "row", None) is RELU

    def _activated(self, plan: Plan, z: View) -> View:
        """The activation of the sums z, which have ReLU already where that is the activation."""
        if self._gives_relu:
            z.rectified = True
            return z
        return self.activation.forward(plan, z)

    def _bias_gradient(self, plan: Plan, dz: View) -> None:
        if self.use_bias and (dbias := plan.gradient(self.bias)) is not None:
            plan.call(folds.sum_rows, x=dz, total=dbias)
