"""The operands of launches: buffers, views of them, and slots of the step block."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastnet._kernels import abi
from fastnet.engine.sizes import Extent
from fastnet.engine.variable import Variable

SIZES = {"float32": 4, "float64": 8, "int32": 4, "int64": 8, "uint8": 1}
#: slots of the step block that the runner and all plans share, by name
_HEADER = {
    getattr(abi, name): name.lower() for name in ("ORDER", "FIRST", "ITERATION", "SEED", "NONFINITE", "LOSS", "RATE")
}
BATCH, ONCE = Extent(per_row=1), Extent(fixed=1)


@dataclass(eq=False)
class Buffer:
    """Memory a plan needs while it runs.

    Args:
        width: elements in one entry.
        dtype: of the elements.
        entries: the number of entries: one for each row of the batch, or one.
    """

    width: int
    dtype: str
    entries: Extent = BATCH

    def size(self, rows: int) -> int:
        """Bytes for a batch of ``rows``."""
        return self.width * SIZES[self.dtype] * self.entries.at(rows)


@dataclass(eq=False)
class View:
    """Elements of a buffer: an offset, a shape and strides.

    Attributes:
        buffer: the memory.
        shape: of one entry, which is a row of the batch where ``per_row``.
        offset: elements of an entry before the first one.
        strides: elements between neighbours along each axis.
        needs_gradient: whether its gradient is needed: it depends on a trained weight.
        mask: 1 for each step (an index of every axis but the last) that counts, 0 for each that is left out; None if
            all count.
        weights: the weight of each element, of targets; None where they have none.
        rectified: of a result, whether ReLU gave it; of a gradient, whether it was already multiplied by the derivative
            of the ReLU that gave the result.

    Example:
        >>> x = extend.Plan(training=False, dtype="float32").buffer((4, 3))
        >>> x.slice(0, 1, 3).shape, x.flat.shape
        ((2, 3), (12,))
    """

    buffer: Buffer
    shape: tuple[int, ...]
    offset: int = 0
    strides: tuple[int, ...] = ()
    needs_gradient: bool = False
    mask: View | None = None
    weights: View | None = None
    rectified: bool = False

    @classmethod
    def of(cls, shape: Sequence[int], dtype: str, entries: Extent) -> View:
        """A view of all of a new buffer.

        Raises:
            ValueError: a size is negative, or kernels do not know the dtype.
        """
        shape = tuple(shape)
        if dtype not in SIZES or any(size < 0 for size in shape):
            raise ValueError(f"There is no buffer of shape {shape} and dtype {dtype!r}; dtypes are {', '.join(SIZES)}.")
        return cls(Buffer(math.prod(shape), dtype, entries), shape, 0, row_major(shape))

    @property
    def dtype(self) -> str:
        return self.buffer.dtype

    @property
    def per_row(self) -> bool:
        """Whether there is an entry for each row of the batch."""
        return self.buffer.entries.per_row > 0

    @functools.cached_property
    def width(self) -> int:
        """Elements in an entry of the view."""
        return math.prod(self.shape)

    @functools.cached_property
    def packed(self) -> bool:
        """Whether its elements lie back to back."""
        return self.strides == row_major(self.shape) and (self.width == self.buffer.width or not self.per_row)

    @property
    def as_rows(self) -> View:
        """The same elements, of which the last axis is a row; a number is a row of one."""
        return self if self.shape else self.view((1,))

    @property
    def row_count(self) -> int:
        """Rows in an entry, each as long as the last axis."""
        return math.prod(self.shape[:-1])

    @property
    def flat(self) -> View:
        """The same elements, those of an entry in one row."""
        return self.view((self.width,))

    def view(self, shape: Sequence[int]) -> View:
        """The same elements under another shape.

        Raises:
            ValueError: its rows lie apart, and the shape cuts across them.
        """
        shape, strides = tuple(shape), row_major(tuple(shape))
        if shape == (*self.shape, 1):
            strides = (*self.strides, 1)
        elif self.strides != row_major(self.shape):
            if self.shape[-1:] != shape[-1:]:
                raise ValueError(f"A view of shape {self.shape} whose rows lie apart cannot have the shape {shape}.")
            distance = merged(self.shape[:-1], self.strides[:-1])
            strides = (*(s * distance for s in row_major(shape[:-1])), self.strides[-1])
        return View(self.buffer, shape, self.offset, strides, self.needs_gradient)

    def slice(self, axis: int, start: int, stop: int) -> View:
        """The elements ``start`` to ``stop`` along an axis of an entry.

        Raises:
            ValueError: there is no such axis, or the elements are not all in it; both count from its beginning.
        """
        if not (-len(self.shape) <= axis < len(self.shape) and 0 <= start <= stop <= self.shape[axis]):
            raise ValueError(f"A view of shape {self.shape} has no elements {start} to {stop} along axis {axis}.")
        axis %= len(self.shape)
        shape = (*self.shape[:axis], stop - start, *self.shape[axis + 1 :])
        offset = self.offset + start * self.strides[axis]
        return View(self.buffer, shape, offset, self.strides, self.needs_gradient)

    @functools.cached_property
    def axes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Sizes and strides of all axes, that of its entries first."""
        entries = self.buffer.entries
        lead = -entries.per_row if entries.per_row else entries.fixed
        if lead == 1:
            return self.shape, self.strides
        return (lead, *self.shape), (self.buffer.width, *self.strides)

    def span(self) -> tuple[int, int]:
        """The elements of an entry, from the first one it touches to behind the last one."""
        last = sum((size - 1) * stride for size, stride in zip(self.shape, self.strides))
        return self.offset, self.offset + (last + 1 if self.width else 0)

    def __repr__(self) -> str:
        return f"<view {describe(self)}>"


@dataclass(frozen=True)
class Slot:
    """Numbers in the step block.

    Attributes:
        index: of the first one.
    """

    index: int


Operand = View | Variable | Slot


@functools.cache
def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of elements that lie back to back."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def merged(shape: Sequence[int], strides: Sequence[int]) -> int:
    """The stride of several axes seen as one.

    Raises:
        ValueError: their elements lie at uneven distances.
    """
    axes = [(size, stride) for size, stride in zip(shape, strides) if size != 1]
    for (_, outer_stride), (size, inner_stride) in itertools.pairwise(axes):
        if outer_stride != size * inner_stride:
            raise ValueError("rows at uneven distances")
    return axes[-1][1] if axes else 0


def storage(operand: Any) -> Any:
    """The object that identifies an operand's memory."""
    return operand.buffer if isinstance(operand, View) else operand


def axes_of(operand: View | Variable) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sizes and strides of all axes of an operand, that of its entries first."""
    return (operand.shape, row_major(operand.shape)) if isinstance(operand, Variable) else operand.axes


def collapsed(operand: View | Variable, count: int) -> tuple[tuple[int, ...], int]:
    """An operand as ``count`` dimensions: the last axes, and before them all others as one.

    Returns:
        (sizes, distance of the rows); a view of one dimension has the distance 1.

    Raises:
        ValueError: the operand has fewer axes, or its elements lie otherwise.
    """
    return _collapsed(*axes_of(operand), count)


@functools.lru_cache(4096)
def _collapsed(sizes: tuple[int, ...], strides: tuple[int, ...], count: int) -> tuple[tuple[int, ...], int]:
    while len(sizes) < count:
        sizes, strides = (1, *sizes), (sizes[0] * strides[0] if sizes else 1, *strides)
    head = len(sizes) - count + 1
    shape = (math.prod(sizes[:head]), *sizes[head:])
    if count == 1 or count > 2:
        if not contiguous(sizes, strides):
            raise ValueError("its rows lie apart")
        return shape, 1
    if strides[-1] != 1 and sizes[-1] != 1:
        raise ValueError("the elements of a row lie apart")
    return shape, merged(sizes[:head], strides[:head]) or sizes[-1]


def contiguous(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether elements lie back to back."""
    step = 1
    for size, stride in zip(reversed(sizes), reversed(strides)):
        if size != 1 and stride != step:
            return False
        step *= abs(size)
    return True


def describe(operand: Any) -> str:
    """An operand as text: shape, offset and row distance, "in 6"; of rows at uneven distances that of entries too."""
    if isinstance(operand, Variable):
        return f"{operand.path}{_shape(operand.shape)}"
    if isinstance(operand, Slot):
        return f"step[{_HEADER.get(operand.index, operand.index)}]"
    entries = operand.buffer.entries
    text = _shape(operand.shape if entries == ONCE else (entries, *operand.shape))
    if operand.dtype not in ("float32", "float64"):
        text += f" {operand.dtype}"
    if operand.offset:
        text += f" +{operand.offset}"
    if not operand.packed:
        try:
            text += f" in {collapsed(operand, 2)[1]}"
        except ValueError:
            text += f" in {operand.strides[-2]} of {operand.buffer.width}"
    return text


def _shape(sizes: Sequence[int | Extent]) -> str:
    return f"[{'×'.join(map(str, sizes))}]"
