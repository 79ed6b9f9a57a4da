"""Dense layers whose axes an equation names."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import elementwise, folds
from fastnet.activations import output_shape as activated_shape
from fastnet.engine.axes import inverse, permuted
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.initializers import VarianceScaling
from fastnet.layers.layer import Layer
from fastnet.layers.refused_arguments import refuse

_EXAMPLES = "'abc,cd->abd', '...x,xy->...y' or 'ab...,bc->ac...'"


class _Axes(NamedTuple):
    """An equation's axes in samples of a rank, as labels; the batch is not among them.

    Attributes:
        given, kernel, result: of the sample, of the kernel and of the result.
        kept, summed, new: of the sample only and the result; of the sample and the kernel; of kernel and result.
        transposed: whether the kernel is (new, summed), and not (summed, new).
    """

    given: str
    kernel: str
    result: str
    kept: str
    summed: str
    new: str
    transposed: bool

    @property
    def order(self) -> tuple[int, ...]:
        """The order of the sample's axes that puts those last that are summed, as the kernel has them."""
        return tuple(map(self.given.index, self.kept + self.summed))

    @property
    def result_order(self) -> tuple[int, ...]:
        """The order of the product's axes as the result has them."""
        return tuple(map((self.kept + self.new).index, self.result))


class EinsumDense(Layer):
    """y = activation(einsum(equation, x, kernel) + bias), where the sum is one matrix product.

    The equation names the axes of the data, of the kernel and of the result: ``"abc,cd->abd"`` is `Dense` for data
    (batch, steps, features). The first axis of the data and of the result is the batch. Axes of both data and kernel
    are summed, and must stand together in the kernel, before or behind those that the result gets from it. Where the
    axes that are summed are not the last of the data, or those from the kernel not the last of the result, a sample is
    permuted.

    Args:
        equation: a string of letters; ``...`` at the beginning, or at the end, of data and result stands for further
            axes.
        output_shape: of the result, without the batch and without the axes of ``...``; None for a size that follows
            from the data. An integer for one axis.
        activation: a name or one of `fastnet.activations`; None for the identity.
        bias_axes: the axes of the result that the bias has, in the result's order; None for no bias. Where they are not
            the last ones, the bias also has an axis of size 1 for each other axis behind its first one.
        kernel_initializer, bias_initializer: initial values.
        kernel_regularizer, bias_regularizer: penalties; see `fastnet.regularizers`.
        kernel_constraint, bias_constraint: see `fastnet.constraints`.
        lora_rank, lora_alpha, gptq_unpacked_column_size, quantization_config: must be None.
        **more: ``name``, ``dtype``, ``trainable``, ``activity_regularizer``, ``input_shape``.

    Weights: ``kernel``, ``bias``, with the sizes of their axes.

    Raises:
        ValueError: the equation is not one matrix product, or does not fit samples or ``output_shape``.

    Example:
        >>> layer = layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 4), bias_axes="de")
        >>> layer(np.ones((7, 5, 3))).shape, layer.kernel.shape, layer.bias.shape
        ((7, 5, 2, 4), (3, 2, 4), (2, 4))
    """

    _fixed = ("equation", "bias_axes", "lora_rank", "lora_alpha", "gptq_unpacked_column_size", "quantization_config")

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: None = None,
        lora_alpha: None = None,
        gptq_unpacked_column_size: None = None,
        quantization_config: None = None,
        **more: Any,
    ):
        super().__init__(**more)
        refuse(
            self._owner, lora_rank=lora_rank, lora_alpha=lora_alpha, quantization_config=quantization_config,
            gptq_unpacked_column_size=gptq_unpacked_column_size,
        )  # fmt: skip
        self.lora_rank = self.lora_alpha = self.gptq_unpacked_column_size = self.quantization_config = None
        self.equation, self.bias_axes = self._checked_equation(equation, bias_axes), bias_axes
        sizes = (output_shape,) if checks.is_integer(output_shape) else output_shape
        self.partial_output_shape = checks.sample_shape(f"{self._owner}: output_shape", sizes, may_be_open=True)
        self.activation = activation
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer
        self.kernel_regularizer, self.bias_regularizer = kernel_regularizer, bias_regularizer
        self.kernel_constraint, self.bias_constraint = kernel_constraint, bias_constraint
        self.kernel: Any = None
        self.bias: Any = None

    def is_argument(self, name: str) -> bool:
        """Whether an attribute is an argument; ``output_shape`` is the shape of its result, as of every layer."""
        return name != "output_shape" and super().is_argument(name)

    def get_config(self) -> dict[str, Any]:
        """The arguments; a subclass need not take ``output_shape``."""
        config = super().get_config()
        return config | ({"output_shape": self.partial_output_shape} if "output_shape" in config else {})

    def _checked_equation(self, equation: Any, bias_axes: Any) -> str:
        """The equation, if it is one matrix product; the rest is checked with the first sample."""
        found = re.fullmatch(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?", str(equation))
        if found is None or (found[1], found[3]) != (found[5], found[7]) or (found[1] and found[3]):
            raise ValueError(
                f"{self._owner}: equation must name the axes of data, kernel and result as {_EXAMPLES} does, with "
                f"'...' at one end of data and result or nowhere; received {quoted(equation)}."
            )
        given, kernel, result = found[2], found[4], found[6]
        if any(len(set(labels)) < len(labels) for labels in (given, kernel, result)):
            raise ValueError(f"{self._owner}: equation must name each axis once, received {quoted(equation)}.")
        if not found[1] and (given[0] != result[0] or given[0] in kernel):
            raise ValueError(
                f"{self._owner}: the first axis of data and of the result is the batch, and the kernel lacks it; "
                f"received the equation {quoted(equation)}."
            )
        for label in sorted({*given, *kernel, *result}):
            if sum(label in labels for labels in (given, kernel, result)) != 2:
                raise ValueError(
                    f"{self._owner}: each axis must be in two of data, kernel and result, so that the sum is one "
                    f"matrix product; {label!r} of the equation {quoted(equation)} is not. Give each index of an axis "
                    "its kernel, or sum one factor, by a layer of your own (docs/extending.md)."
                )
        if not set(given) & set(kernel) or not set(result) & set(kernel):
            raise ValueError(
                f"{self._owner}: the kernel must have axes of the data and axes of the result, so that the sum is a "
                f"matrix product; received the equation {quoted(equation)}."
            )
        named = result if found[1] else result[1:]  # those behind the batch
        in_order = isinstance(bias_axes, str) and bias_axes == "".join(label for label in named if label in bias_axes)
        if bias_axes is not None and (not in_order or not bias_axes):
            raise ValueError(
                f"{self._owner}: bias_axes must be axes of the result {result!r} behind the batch, in order; received "
                f"{quoted(bias_axes)}."
            )
        return equation

    def _axes(self, rank: int) -> _Axes:
        """The equation's axes in samples of this rank."""
        given, kernel, result = re.split(",|->", self.equation)
        further = rank + 1 - len(given.replace("...", ""))
        if further < 0 or (further > 0 and "..." not in given) or (given.startswith("...") and not further):
            raise ValueError(
                f"{self._owner}: the equation {self.equation!r} does not name the axes of data of {rank + 1} axes, the "
                "batch being one."
            )
        extra = "".join(chr(0x100 + k) for k in range(further))  # no letters of an equation
        given, result = (labels.replace("...", extra)[1:] for labels in (given, result))
        kept = "".join(label for label in given if label not in kernel)
        summed = "".join(label for label in kernel if label in given)
        new = "".join(label for label in kernel if label not in given)
        if kernel not in (summed + new, new + summed):
            raise ValueError(
                f"{self._owner}: in the kernel's axes {kernel!r} those that are summed, {summed!r}, must stand "
                f"together, before or behind the others: write {summed + new!r}."
            )
        return _Axes(given, kernel, result, kept, summed, new, kernel != summed + new)

    def _sizes(self, shape: tuple[int, ...]) -> dict[str, int]:
        """The size of each axis, for samples of this shape."""
        axes = self._axes(len(shape))
        sizes = dict(zip(axes.given, shape))
        named = [label for label in axes.result if label.isascii()]
        if len(named) != len(self.partial_output_shape):
            raise ValueError(
                f"{self._owner}: output_shape must have the sizes of {len(named)} axes, {''.join(named)!r}, received "
                f"{self.partial_output_shape}."
            )
        for label, size in zip(named, self.partial_output_shape):
            if size is None and label in axes.new:
                raise ValueError(
                    f"{self._owner}: output_shape must have the size of {label!r}, an axis of the kernel; received "
                    f"{self.partial_output_shape}."
                )
            if size is not None and sizes.setdefault(label, size) != size:
                raise ValueError(
                    f"{self._owner}: output_shape gives the axis {label!r} of {self.equation!r} the size {size}; "
                    f"received samples of shape {shape}, where it is {sizes[label]}."
                )
        return sizes

    def _kernel_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        sizes = self._sizes(shape)
        return tuple(sizes[label] for label in self._axes(len(shape)).kernel)

    def _bias_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        axes, sizes, bias_axes = self._axes(len(shape)), self._sizes(shape), self.bias_axes or ""
        behind = axes.result[axes.result.index(bias_axes[0]) :]
        return tuple(sizes[label] if label in bias_axes else 1 for label in behind)

    def _bias_last(self, axes: _Axes) -> tuple[int, ...]:
        """The order of the result's axes that puts those of the bias last."""
        bias_axes = self.bias_axes or ""
        others = "".join(label for label in axes.result if label not in bias_axes)
        return tuple(map(axes.result.index, others + bias_axes))

    def sample_output_shape(self, input_shape):
        sizes = self._sizes(input_shape)
        if self.kernel is not None and self._kernel_shape(input_shape) != self.kernel.shape:
            raise ValueError(
                f"{self._owner} was built for a kernel of shape {self.kernel.shape}; received samples of shape "
                f"{input_shape}, which need {self._kernel_shape(input_shape)}."
            )
        result = tuple(sizes[label] for label in self._axes(len(input_shape)).result)
        if self.bias is not None and self._bias_shape(input_shape) != self.bias.shape:
            raise ValueError(
                f"{self._owner} was built for a bias of shape {self.bias.shape}; received samples of shape "
                f"{input_shape}."
            )
        return activated_shape(self.activation, result)

    def make_weights(self, input_shape):
        axes = self._axes(len(input_shape))
        initializer = self.kernel_initializer
        if isinstance(initializer, VarianceScaling) and initializer.input_axes is None:
            fan = {"input_axes": [axes.kernel.index(label) for label in axes.summed]}
            fan["output_axes"] = [axes.kernel.index(label) for label in axes.new]
            initializer = type(initializer).from_config(initializer.get_config() | fan)
        self.kernel = self.add_weight(
            "kernel", self._kernel_shape(input_shape), initializer, regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )  # fmt: skip
        if self.bias_axes:
            self.bias = self.add_named_weight("bias", self._bias_shape(input_shape))

    def multiply_adds(self, input_shape):
        sizes = self._sizes(input_shape)
        return math.prod(sizes[label] for label in self._axes(len(input_shape)).kept) * self.kernel.size

    def forward(self, plan: Plan, x: View) -> View:
        axes, sizes = self._axes(len(x.shape)), self._sizes(x.shape)
        rows = plan.reshaped(permuted(plan, x, axes.order), self._matrix(axes.kept, axes.summed, sizes))
        product = plan.buffer(self._matrix(axes.kept, axes.new, sizes), self.dtype)
        direct = self.bias_axes == axes.new and axes.result == axes.kept + axes.new  # the product adds the bias
        plan.product(rows, self.kernel, product, self.bias if direct else None, transpose_b=axes.transposed)
        z = permuted(plan, product.view([sizes[label] for label in axes.kept + axes.new]), axes.result_order)
        if self.bias is not None and not direct:
            z = self._with_bias(plan, z, self._bias_last(axes))
        plan.save(rows=rows, z=z)
        return self.activation.forward(plan, z)

    @staticmethod
    def _matrix(kept: str, others: str, sizes: dict[str, int]) -> tuple[int, int]:
        """The shape of a sample's matrix."""
        return math.prod(sizes[label] for label in kept), math.prod(sizes[label] for label in others)

    def _with_bias(self, plan: Plan, z: View, order: tuple[int, ...]) -> View:
        moved = permuted(plan, z, order)
        y, columns = plan.like(moved), (z.width // self.bias.size, self.bias.size)
        plan.call(elementwise.add_row, x=plan.reshaped(moved, columns), row=self.bias, y=y.view(columns))
        return permuted(plan, y, inverse(order))

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        axes, sizes = self._axes(len(x.shape)), self._sizes(x.shape)
        rows, z = plan.saved("rows"), plan.saved("z")
        dz = self.activation.backward(plan, dy, z, y)
        if self.bias is not None and (dbias := plan.gradient(self.bias)) is not None:
            columns = (dz.width // self.bias.size, self.bias.size)
            moved = permuted(plan, dz, self._bias_last(axes))
            plan.call(folds.sum_rows, x=plan.reshaped(moved, columns), total=dbias.view((self.bias.size,)))
        moved = permuted(plan, dz, inverse(axes.result_order))
        dproduct = plan.reshaped(moved, self._matrix(axes.kept, axes.new, sizes))
        dx = None
        if x.needs_gradient:  # before the gradient of the kernel, whose update then follows it tile by tile
            drows = plan.like(rows)
            plan.product(dproduct, self.kernel, drows, transpose_b=not axes.transposed)
            dx = permuted(plan, drows.view([x.shape[axis] for axis in axes.order]), inverse(axes.order))
        if (dkernel := plan.gradient(self.kernel)) is not None:
            a, b = (dproduct, rows) if axes.transposed else (rows, dproduct)
            plan.product(a, b, dkernel.view((a.shape[-1], b.shape[-1])), transpose_a=True)
        return dx
