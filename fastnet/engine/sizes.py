"""Sizes that follow from the rows of the batch, and computations with them.

A size is an integer; in a batch of ``rows``, ``-n`` is ``n * rows``. Kernels read it in this form too.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType


@dataclass(frozen=True)
class Extent:
    """The length of a parallel axis: times * ceil(rows * per_row / unit) + fixed."""

    per_row: int = 0
    unit: int = 1
    times: int = 1
    fixed: int = 0

    def at(self, rows: int) -> int:
        """The length for a batch of ``rows``."""
        return self.times * -(-rows * self.per_row // self.unit) + self.fixed

    def __mul__(self, factor: int) -> Extent:
        if isinstance(factor, Extent):
            raise ValueError("it has the rows of the batch in it twice")
        if self.unit == 1:
            return Extent(self.per_row * factor, 1, self.times, self.fixed * factor)
        return Extent(self.per_row, self.unit, self.times * factor, self.fixed * factor)

    __rmul__ = __mul__

    def __str__(self) -> str:
        if not self.per_row:
            return str(self.fixed)
        text = f"{self.per_row}·rows" if self.per_row > 1 else "rows"
        text = text if self.unit == 1 else f"⌈{text}/{self.unit}⌉"
        return text if self.times == 1 else f"{self.times}·{text}"


def size_at(size: int, rows: int) -> int:
    """A size for a batch of ``rows``."""
    return -size * rows if size < 0 else size


def extent_of(size: int) -> Extent:
    """A size as the length of an axis."""
    return Extent(per_row=-size) if size < 0 else Extent(fixed=size)


def chunks(length: int | Extent, unit: int) -> int | Extent:
    """The number of chunks of ``unit`` in a length.

    Raises:
        ValueError: the number does not have the form of an extent.
    """
    if isinstance(unit, Extent):
        raise ValueError("chunks are of a fixed size")
    if isinstance(length, int):
        return -(-length // unit)
    if length.times != 1 or length.fixed:
        raise ValueError("the chunks of a product or a sum of chunks do not follow from the rows of the batch")
    return Extent(length.per_row, length.unit * unit)


@functools.cache
def _compiled(expression: str) -> CodeType:
    return compile(expression, "<size>", "eval")


def axis_extent(expression: str, sizes: Mapping[str, int]) -> Extent:
    """The extent that a template's axis has."""
    if expression in sizes:
        return extent_of(sizes[expression])
    if expression.isdigit():
        return Extent(fixed=int(expression))
    names = {name: Extent(per_row=-size) if size < 0 else size for name, size in sizes.items()}
    value = eval(_compiled(expression), {"__builtins__": {}, "chunks": chunks}, names)
    return value if isinstance(value, Extent) else Extent(fixed=value)


def cost_of(expression: str, sizes: Mapping[str, int], rows: int) -> int:
    """The value of a template's cost for a batch of ``rows``."""
    if expression.isdigit():
        return int(expression)
    names = {name: size_at(size, rows) for name, size in sizes.items()}
    return int(eval(_compiled(expression), {"__builtins__": {}, "min": min, "max": max}, names))
