"""Input, Dense and the layers that apply an activation."""

from __future__ import annotations

from typing import Any

from fastnet import activations, initializers
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import reduce
from fastnet.engine.plan import ROWS, Buffer, Plan, Product
from fastnet.layers.base import Layer, check_positive, check_shape


class InputLayer(Layer):
    """Says the shape of a sample; passes data on as it is.

    Args:
        shape: of one sample, without the batch: ``(784,)``.
        batch_size: accepted and not needed: batches of any size are trained.
        dtype: "float32" or "float64".
        name: of the layer.

    Raises:
        ValueError: a shape that is not a tuple of positive sizes.
    """

    def __init__(self, shape, batch_size: int | None = None, dtype: str | None = None, name: str | None = None):
        super().__init__(name=name, dtype=dtype)
        if batch_size is not None:
            check_positive(batch_size, "batch_size", f"layer {self.name!r}")
        self.given_input_shape = check_shape(shape, f"layer {self.name!r}")

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        return x

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer:
        return dy


def Input(shape, batch_size: int | None = None, dtype: str | None = None, name: str | None = None) -> InputLayer:
    """The first entry of a `Sequential`: the shape of one sample. See `InputLayer`."""
    return InputLayer(shape, batch_size, dtype, name)


class Dense(Layer):
    """y = activation(x · kernel + bias), over the last axis.

    Args:
        units: size of the result's last axis.
        activation: a name or one of `fastnet.activations`; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: start values.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``, as for every layer.

    Weights: ``kernel`` (inputs, units), ``bias`` (units,).

    Raises:
        ValueError: units that are no positive integer, an unknown activation or initializer, a scalar sample.

    Example:
        >>> from fastnet import Sequential, layers
        >>> model = Sequential([layers.Input((3,)), layers.Dense(2, activation="relu")])
        >>> model.output_shape
        (None, 2)
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **more: Any,
    ):
        super().__init__(**more)
        self.units = check_positive(units, "units", f"layer {self.name!r} (Dense)")
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel: Any = None
        self.bias: Any = None

    def compute_output_shape(self, input_shape):
        if not input_shape:
            raise ValueError(f"Layer {self.name!r} (Dense) needs samples with at least one axis; received numbers.")
        if self.kernel is not None and input_shape[-1] != self.kernel.shape[0]:
            raise ValueError(
                f"Layer {self.name!r} (Dense) was built for {self.kernel.shape[0]} inputs on the last axis; received "
                f"samples of shape {input_shape}."
            )
        return (*input_shape[:-1], self.units)

    def build(self, input_shape):
        self.kernel = self.add_weight("kernel", (input_shape[-1], self.units), self.kernel_initializer)
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.units,), self.bias_initializer)

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        inner, inputs = x.width // x.shape[-1], x.shape[-1]
        relu = self.activation.name == "relu"
        z = plan.buffer((*x.shape[:-1], self.units), self.dtype, needs_gradient=x.needs_gradient or self.trainable)
        product = Product(self.dtype, ROWS, self.units, inputs, inner, bias=self.use_bias, relu=relu)
        plan.product(product, x, self.kernel, z, self.bias)
        if relu:
            return z
        plan.keep(self, z=z)
        return self.activation.forward(plan, z)

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer | None:
        inner, inputs = x.width // x.shape[-1], x.shape[-1]
        z = y if self.activation.name == "relu" else plan.recall(self, "z")
        dz = self.activation.backward(plan, dy, z, y)
        # dx before dw: the update of the kernel can then follow its gradient tile by tile.
        dx = None
        if x.needs_gradient:
            dx = plan.buffer(x.shape, self.dtype)
            plan.product(Product(self.dtype, ROWS, inputs, self.units, inner, transpose_b=True), dz, self.kernel, dx)
        if self.trainable:
            if self.use_bias:
                sums = Kernel(reduce.sum_rows, dtype=self.dtype)
                cost = 100 * inner * plan.typical_rows
                plan.columns(sums, self.units, cost, x=dz, y=plan.gradient(self.bias), width=self.units, inner=inner)
            product = Product(self.dtype, inputs, self.units, ROWS, inner, transpose_a=True)
            plan.product(product, x, dz, plan.gradient(self.kernel))
        return dx


class Activation(Layer):
    """y = activation(x).

    Args:
        activation: a name or one of `fastnet.activations`.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``.
    """

    def __init__(self, activation: Any, **more: Any):
        super().__init__(**more)
        self.activation = activations.get(activation)

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        return self.activation.forward(plan, x)

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer:
        return self.activation.backward(plan, dy, x, y)


class ReLU(Layer):
    """max(x, 0), with Keras's arguments.

    Args:
        max_value: largest result; None for no limit.
        negative_slope: slope below the threshold.
        threshold: where the slope changes.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``.

    Raises:
        ValueError: a negative argument.
    """

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **more: Any
    ):
        super().__init__(**more)
        given = {"max_value": max_value, "negative_slope": negative_slope, "threshold": threshold}
        for argument, value in given.items():
            if (value is None and argument != "max_value") or (value is not None and not value >= 0):
                raise ValueError(f"Layer {self.name!r} (ReLU): {argument} must not be negative, received {value!r}.")
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold
        self.activation = activations.relu_with(negative_slope, max_value, threshold)

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        return self.activation.forward(plan, x)

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer:
        return self.activation.backward(plan, dy, x, y)


class Softmax(Layer):
    """Softmax over the last axis.

    Args:
        axis: -1, or the number of the last axis.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``.
    """

    def __init__(self, axis: int = -1, **more: Any):
        super().__init__(**more)
        self.axis = axis
        self.activation = activations.softmax

    def compute_output_shape(self, input_shape):
        if self.axis not in (-1, len(input_shape)):
            raise ValueError(
                f"Layer {self.name!r} (Softmax) works on the last axis (-1); received axis={self.axis} for samples of "
                f"shape {input_shape}. Put the axis last with Reshape."
            )
        return input_shape

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        return self.activation.forward(plan, x)

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer:
        return self.activation.backward(plan, dy, x, y)
