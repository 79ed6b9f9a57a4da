"""Input, Identity and Dense."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnet import checks, config
from fastnet._kernels.templates import folds
from fastnet.activations import RELU, output_shape
from fastnet.arrays import READABLE
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers import open_shapes
from fastnet.layers.layer import Layer
from fastnet.layers.refused_arguments import refuse


class InputLayer(Layer):
    """Declares the shape of a sample; passes data on unchanged.

    Args:
        shape: of one sample, without the batch: ``(784,)``. A size that differs from batch to batch is None:
            ``(None, 3)``. Layers must not need such a size, as ``Dense`` behind ``Flatten`` does. A plan is made for
            each shape that comes, and the last ones are kept.
        batch_size: the first entry of ``batch_shape``; without another effect, since batches may have any size.
        dtype: of the data, also "uint8", "int32" and the like. Data keep the dtype that they have until the layer
            behind reads them.
        sparse: accepted, without effect: sparse matrices and dense arrays are both data.
        ragged, input_tensor, optional: must be left at their defaults.
        batch_shape: instead of ``shape``, with the batch first: ``(None, 784)``.
        name: of the layer.
        trainable: accepted, without effect: the layer has no weights.

    Raises:
        ValueError: a shape is not a tuple of positive sizes, or both or neither of the two are given.

    Example:
        >>> fastnet.Sequential([layers.InputLayer((8, 8)), layers.Flatten()]).output_shape
        (None, 64)
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Any = None,
        input_tensor: None = None,
        optional: bool = False,
        name: str | None = None,
        trainable: bool = True,
    ):
        declared = np.dtype(dtype) if _is_data_dtype(dtype) else None
        super().__init__(name=name, dtype=None if declared else dtype, trainable=trainable)
        self.data_dtype = declared.name if declared else self.dtype
        refuse(self._owner, ragged=ragged, input_tensor=input_tensor, optional=optional)
        if batch_size is not None:
            batch_size = checks.integer(f"{self._owner}: batch_size", batch_size)
        if (shape is None) == (batch_shape is None):
            raise ValueError(f"{self._owner}: give either shape=(784,) or batch_shape=(None, 784).")
        if batch_shape is None:
            self.given_input_shape = checks.sample_shape(f"{self._owner}: shape", shape, may_be_open=True)
        else:
            self.given_input_shape = checks.batch_shape(f"{self._owner}: batch_shape", batch_shape)
            if (batch_size := next(iter(batch_shape))) is not None:
                batch_size = checks.integer(f"{self._owner}: the batch of batch_shape", batch_size)
        self.batch_shape = (batch_size, *self.given_input_shape)
        self.sparse = checks.flag(f"{self._owner}: sparse", bool(sparse) if sparse is None else sparse)

    keeps_values = True
    _fixed = ("batch_shape",)

    def sample_output_shape(self, input_shape):
        if not open_shapes.fits(input_shape, self.given_input_shape):
            raise ValueError(f"{self._owner} is for samples of shape {self.given_input_shape}; received {input_shape}.")
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """``batch_shape``, ``dtype``, ``name``, and ``sparse`` where it is True."""
        config = {"batch_shape": self.batch_shape, "dtype": self.data_dtype, "name": self.name}
        return config | ({"sparse": True} if self.sparse else {})

    def forward(self, plan: Plan, x: View) -> View:
        return x

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        return dy


def _is_data_dtype(dtype: Any) -> bool:
    """Whether data may have a dtype that weights cannot have."""
    try:
        return dtype is not None and np.dtype(dtype) in READABLE and np.dtype(dtype).name not in config.FLOATS
    except TypeError:
        return False


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: None = None,
    optional: bool = False,
) -> InputLayer:
    """The first entry of a `Sequential`: the shape of one sample. See `InputLayer`.

    Example:
        >>> fastnet.Sequential([layers.Input((8, 8)), layers.Flatten()]).output_shape
        (None, 64)
    """
    return InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name)


class Identity(Layer):
    """y = x.

    Args:
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Example:
        >>> layers.Identity()([[1.0, 2.0]]).tolist()
        [[1.0, 2.0]]
    """

    supports_masking = True
    keeps_values = True

    def forward(self, plan: Plan, x: View) -> View:
        return x

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        return dy


class Dense(Layer):
    """y = activation(x · kernel + bias), over the last axis.

    Args:
        units: size of the result's last axis.
        activation: a name or one of `fastnet.activations`; None for the identity.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: initial values.
        kernel_regularizer, bias_regularizer: penalties on the weights; see `fastnet.regularizers`.
        activity_regularizer: penalty on the result, divided by the rows of the batch.
        kernel_constraint, bias_constraint: change the weights after an update; see `fastnet.constraints`.
        lora_rank, lora_alpha, quantization_config: must be None.
        **more: ``name``, ``dtype``, ``trainable``, ``input_shape``, as for every layer.

    Weights: ``kernel`` (inputs, units), ``bias`` (units,).

    Raises:
        ValueError: units is not a positive integer, a name is unknown, or samples are single numbers.

    Example:
        >>> from fastnet import Sequential, layers
        >>> model = Sequential([layers.Input((3,)), layers.Dense(2, activation="relu")])
        >>> model.output_shape
        (None, 2)
    """

    supports_masking = True
    _fixed = ("units", "use_bias", "lora_rank", "lora_alpha", "quantization_config")

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: None = None,
        lora_alpha: None = None,
        quantization_config: None = None,
        **more: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **more)
        refuse(self._owner, lora_rank=lora_rank, lora_alpha=lora_alpha, quantization_config=quantization_config)
        self.lora_rank = self.lora_alpha = self.quantization_config = None
        self.units = checks.integer(f"{self._owner}: units", units)
        self.activation = activation
        self.use_bias = checks.flag(f"{self._owner}: use_bias", use_bias)
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.kernel_regularizer = kernel_regularizer
        self.bias_regularizer = bias_regularizer
        self.kernel_constraint = kernel_constraint
        self.bias_constraint = bias_constraint
        self.kernel: Any = None
        self.bias: Any = None

    def sample_output_shape(self, input_shape):
        if not input_shape:
            raise ValueError(f"{self._owner} needs samples with at least one axis; received numbers.")
        if self.kernel is not None and input_shape[-1] != self.kernel.shape[0]:
            raise ValueError(
                f"{self._owner} was built for {self.kernel.shape[0]} inputs on the last axis; received "
                f"samples of shape {input_shape}."
            )
        return output_shape(self.activation, (*input_shape[:-1], self.units))

    def make_weights(self, input_shape):
        self.kernel = self.add_named_weight("kernel", (input_shape[-1], self.units))
        if self.use_bias:
            self.bias = self.add_named_weight("bias", (self.units,))

    def multiply_adds(self, input_shape):
        return math.prod(input_shape[:-1]) * self.kernel.size

    @property
    def _gives_relu(self) -> bool:
        """Whether the product itself applies the activation; a user's function may have any name."""
        return getattr(self.activation, "row", None) is RELU

    def forward(self, plan: Plan, x: View) -> View:
        z = plan.buffer((*x.shape[:-1], self.units), self.dtype)
        plan.product(x, self.kernel, z, self.bias, relu=self._gives_relu)
        if self._gives_relu:
            return z
        plan.save(z=z)
        return self.activation.forward(plan, z)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        dz = self.activation.backward(plan, dy, y if self._gives_relu else plan.saved("z"), y)
        # dx before dw: the update of the kernel can then follow its gradient tile by tile.
        dx = None
        if x.needs_gradient:
            dx = plan.buffer(x.shape, self.dtype)
            plan.product(dz, self.kernel, dx, transpose_b=True)
        if self.use_bias and (dbias := plan.gradient(self.bias)) is not None:
            plan.call(folds.sum_rows, x=dz, total=dbias)
        if (dkernel := plan.gradient(self.kernel)) is not None:
            plan.product(x, dz, dkernel, transpose_a=True)
        return dx
