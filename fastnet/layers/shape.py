"""Layers that change the shape or the scale of a sample."""

from __future__ import annotations

import math
from typing import Any

from fastnet._kernels.generate import Kernel
from fastnet._kernels.rules.activations import affine
from fastnet._kernels.templates import elementwise
from fastnet.engine.plan import Buffer, Plan
from fastnet.layers.base import Layer, check_positive


class Flatten(Layer):
    """A sample's elements in one row: (a, b, c) → (a·b·c,). Costs nothing at run time.

    Args:
        data_format: None or "channels_last": the elements' order stays.
        **more: ``name``, ``dtype``, ``input_shape``.

    Raises:
        ValueError: another data_format.
    """

    def __init__(self, data_format: str | None = None, **more: Any):
        super().__init__(**more)
        if data_format not in (None, "channels_last"):
            raise ValueError(
                f"Layer {self.name!r} (Flatten): data_format must be None or 'channels_last', received {data_format!r}."
            )
        self.data_format = data_format

    def compute_output_shape(self, input_shape):
        return (math.prod(input_shape),)

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        return x.view((x.width,))

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer:
        return dy.view(x.shape)


class Reshape(Layer):
    """A sample's elements under another shape, in the same order. Costs nothing at run time.

    Args:
        target_shape: the new shape; one size may be -1 and follows from the others.
        **more: ``name``, ``dtype``, ``input_shape``.

    Raises:
        ValueError: more than one -1, or a shape with another number of elements.
    """

    def __init__(self, target_shape: Any, **more: Any):
        super().__init__(**more)
        owner = f"layer {self.name!r} (Reshape)"
        sizes = (target_shape,) if isinstance(target_shape, int) else tuple(target_shape)
        if sum(size == -1 for size in sizes) > 1:
            raise ValueError(f"{owner}: at most one size may be -1, received {target_shape!r}.")
        self.target_shape = tuple(
            s if s == -1 else check_positive(s, "every size of target_shape", owner) for s in sizes
        )

    def compute_output_shape(self, input_shape):
        count, known = math.prod(input_shape), math.prod(s for s in self.target_shape if s != -1)
        fits = count % known == 0 if -1 in self.target_shape else count == known
        if not fits:
            raise ValueError(
                f"Layer {self.name!r} (Reshape) cannot give samples of shape {input_shape} ({count} elements) the "
                "shape "
                f"{self.target_shape}."
            )
        return tuple(count // known if s == -1 else s for s in self.target_shape)

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        return x.view(self.compute_output_shape(x.shape))

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer:
        return dy.view(x.shape)


class Rescaling(Layer):
    """y = scale · x + offset.

    Args:
        scale: a number.
        offset: a number.
        **more: ``name``, ``dtype``, ``input_shape``.
    """

    def __init__(self, scale: float, offset: float = 0.0, **more: Any):
        super().__init__(**more)
        for argument, value in (("scale", scale), ("offset", offset)):
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ValueError(f"Layer {self.name!r} (Rescaling): {argument} must be a number, received {value!r}.")
        self.scale, self.offset = float(scale), float(offset)

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        y = plan.buffer(x.shape, self.dtype, needs_gradient=x.needs_gradient)
        plan.elements(self._kernel(), x, 150, x=x, y=y, p=[self.scale, self.offset])
        return y

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer | None:
        if not x.needs_gradient:
            return None
        dx = plan.buffer(x.shape, self.dtype)
        plan.elements(self._kernel(), x, 150, x=dy, y=dx, p=[self.scale, 0.0])
        return dx

    def _kernel(self) -> Kernel:
        return Kernel(elementwise.forward, (("f", affine),), self.dtype, (("p", 2),))
