"""Layers that change the shape or the scale of a sample."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.rules.activation_rules import affine
from fastnet._kernels.templates import elementwise, indexed
from fastnet.engine.index_map import IndexMap
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers import spatial
from fastnet.layers.layer import Layer


class Flatten(Layer):
    """A sample's elements in one row: (a, b, c) → (a·b·c,). Costs nothing at run time.

    Args:
        data_format: None or "channels_last": the order of the elements does not change.
        **more: ``name``, ``dtype``, ``input_shape``.

    Raises:
        ValueError: data_format has another value.

    Example:
        >>> layers.Flatten()(np.zeros((2, 3, 4))).shape
        (2, 12)
    """

    keeps_values = True
    _fixed = ("data_format",)

    def __init__(self, data_format: str | None = None, **more: Any):
        super().__init__(**more)
        self.data_format = spatial.channels_last(self._owner, data_format)

    def sample_output_shape(self, input_shape):
        return (math.prod(input_shape),)

    def forward(self, plan: Plan, x: View) -> View:
        return plan.reshaped(x, (x.width,))

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        return plan.reshaped(dy, x.shape)


class Reshape(Layer):
    """A sample's elements under another shape, in the same order. Costs nothing at run time.

    Args:
        target_shape: the new shape; one size may be -1 and follows from the others.
        **more: ``name``, ``dtype``, ``input_shape``.

    Raises:
        ValueError: more than one size is -1, or the shape has another number of elements.

    Example:
        >>> layers.Reshape((-1, 2))(np.zeros((5, 6))).shape
        (5, 3, 2)
    """

    keeps_values = True
    _fixed = ("target_shape",)

    def __init__(self, target_shape: Any, **more: Any):
        super().__init__(**more)
        given = [target_shape] if checks.is_integer(target_shape) else target_shape
        sizes: list[Any] = [None] if isinstance(given, str) or not np.iterable(given) else list(given)
        if not all(checks.is_integer(size) and (size > 0 or size == -1) for size in sizes):
            raise ValueError(
                f"{self._owner}: target_shape must be a tuple of positive sizes such as (4, 3), of which one may be "
                f"-1; received {quoted(target_shape)}."
            )
        if sizes.count(-1) > 1:
            raise ValueError(f"{self._owner}: at most one size may be -1, received {quoted(target_shape)}.")
        self.target_shape = tuple(map(int, sizes))

    def sample_output_shape(self, input_shape):
        count, known = math.prod(input_shape), math.prod(s for s in self.target_shape if s != -1)
        fits = count % known == 0 if -1 in self.target_shape else count == known
        if not fits:
            raise ValueError(
                f"{self._owner} cannot give samples of shape {input_shape} ({count} elements) the shape "
                f"{self.target_shape}."
            )
        return tuple(count // known if s == -1 else s for s in self.target_shape)

    def forward(self, plan: Plan, x: View) -> View:
        return plan.reshaped(x, self.sample_output_shape(x.shape))

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        return plan.reshaped(dy, x.shape)


class _Rearranged(Layer):
    """A layer whose results are elements of the sample, each used equally often."""

    keeps_values = True

    def _index(self, shape: tuple[int, ...]) -> np.ndarray:
        """The index in the sample of each element of the result, in the shape of the result."""
        raise NotImplementedError

    def sample_output_shape(self, input_shape):
        return self._index(input_shape).shape

    def forward(self, plan: Plan, x: View) -> View:
        index = self._index(x.shape)
        index_map = IndexMap.of(index, x.width)
        plan.save(index_map=index_map)
        y = plan.buffer(index.shape, self.dtype)
        plan.call(indexed.take, x=plan.reshaped(x, (x.width,)), index=index_map.index, y=y.flat)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        dx = plan.like(x)
        plan.call(
            indexed.sum_members, x=plan.reshaped(dy, (dy.width,)), members=plan.saved("index_map").members, y=dx.flat
        )
        return dx


class Permute(_Rearranged):
    """A sample's axes in another order.

    Args:
        dims: the axes' numbers from 1, in the new order: ``(2, 1)`` exchanges two.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: the numbers are not 1 to the number of the sample's axes.

    Example:
        >>> layers.Permute((2, 1))(np.zeros((2, 3, 4))).shape
        (2, 4, 3)
    """

    _fixed = ("dims",)

    def __init__(self, dims: Any, **more: Any):
        super().__init__(**more)
        given = checks.integers(f"{self._owner}: dims", dims)
        self.dims = tuple(given) if isinstance(given, list) else (given,)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"{self._owner}: dims must hold each number from 1 to the number of axes once, received {quoted(dims)}."
            )

    def _index(self, shape):
        if len(shape) != len(self.dims):
            raise ValueError(f"{self._owner} orders {len(self.dims)} axes; received samples of shape {shape}.")
        return np.arange(math.prod(shape)).reshape(shape).transpose([d - 1 for d in self.dims])


class RepeatVector(_Rearranged):
    """A vector n times: (features,) → (n, features).

    Args:
        n: the number of repetitions.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: n is not a positive integer, or samples are not vectors.

    Example:
        >>> layers.RepeatVector(2)([[1.0, 2.0]]).tolist()
        [[[1.0, 2.0], [1.0, 2.0]]]
    """

    _fixed = ("n",)

    def __init__(self, n: int, **more: Any):
        super().__init__(**more)
        self.n = checks.integer(f"{self._owner}: n", n)

    def _index(self, shape):
        if len(shape) != 1:
            raise ValueError(f"{self._owner} repeats vectors; received samples of shape {shape}.")
        return np.tile(np.arange(shape[0]), (self.n, 1))


class Rescaling(Layer):
    """y = scale · x + offset.

    Args:
        scale: a number.
        offset: a number.
        **more: ``name``, ``dtype``, ``input_shape``.

    Raises:
        ValueError: scale or offset is not a finite number.

    Example:
        >>> layers.Rescaling(1 / 255)([[0.0, 255.0]]).tolist()
        [[0.0, 1.0]]
    """

    supports_masking = True
    _ranges: ClassVar = {"scale": checks.FINITE, "offset": checks.FINITE}

    def __init__(self, scale: float, offset: float = 0.0, **more: Any):
        super().__init__(**more)
        self.scale, self.offset = scale, offset

    def forward(self, plan: Plan, x: View) -> View:
        y = plan.like(x)
        plan.call(elementwise.apply, f=affine, x=x, y=y, p=[self.scale, self.offset])
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        dx = plan.like(x)
        plan.call(elementwise.scale, x=dy, y=dx, factor=self.scale)
        return dx
