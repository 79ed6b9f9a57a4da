"""Loops over rows by warps: each thread folds a row, in the CPU's order.

Threads that have a row each would read elements that lie a row apart, a sector of memory for each. The 32 threads of a
warp therefore copy 64 bytes of each of their rows at a time to memory that they share, with neighbouring accesses, and
results the other way. Rows of up to 64 bytes are copied once for all passes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache

import numpy as np

from fastnet._kernels.cuda.entry import WARP
from fastnet._kernels.templates.rows import RowTemplate, RowText

PIECE = 64  # bytes of a row that are copied at a time


def columns_of(dtype: str) -> int:
    """Elements of a row that are copied at a time."""
    return PIECE // np.dtype(dtype).itemsize


@dataclass(frozen=True)
class WarpRows(RowTemplate):
    """The loop of a `RowTemplate` on a GPU, for one dtype."""

    dtype: str = "float32"

    @classmethod
    def of(cls, template: RowTemplate, dtype: str) -> WarpRows:
        """The form of a template."""
        return cls(**{each.name: getattr(template, each.name) for each in dataclasses.fields(template)}, dtype=dtype)

    @property
    def arrays(self) -> int:
        """Operands that are copied: x, and dense targets."""
        return 1 + (self.targets in ("raw", "dense"))

    @property
    def shared_bytes(self) -> int:
        """Bytes of memory that the threads of a warp share."""
        return self.arrays * WARP * (columns_of(self.dtype) + 1) * np.dtype(self.dtype).itemsize

    @property
    def file(self) -> str:
        return __file__

    @property
    def identity(self) -> str:
        return _text(self)

    def text(self) -> str:
        """The template's source."""
        return _text(self)


@cache
def _text(template: WarpRows) -> str:
    return _WarpText(template).written()


class _WarpText(RowText):
    """Writes it: ``first + k`` is the thread's row, which is ``live`` if there is one."""

    template: WarpRows
    stacks, depth = 1, 4

    def head(self) -> None:
        columns, arrays = columns_of(self.template.dtype), self.template.arrays
        self.columns, self.apart = columns, columns + 1  # elements between rows: an odd number, so that banks differ
        self.is_copied = False
        self.out += [
            f"    tile, lane, k = shared({self.template.dtype!r}, 0), thread() % {WARP}, 0",
            f"    warp, column, rows = thread() // {WARP} * {arrays * WARP * self.apart}, lane % {columns}, hi - lo",
            f"    first, live, own = lo + lane, lane < rows, warp + lane * {self.apart}",
        ]

    def lanes(self, *statements: str, indent: int = 0) -> None:
        """See `RowText.lanes`."""
        self.add(indent, "if live:", *(f"    {statement}" for statement in statements))

    def elements(self, statement: str, store: str = "", begin: str = "0", end: str = "width", indent: int = 0) -> None:
        """See `RowText.elements`."""
        target = self.target(f"tile[own + {WARP * self.apart} + j - piece]")
        lines = [
            f"for piece in range({begin}, {end}, {self.columns}):",
            *(f"    {line}" for line in self._copied()),
            "    if live:",
            f"        for j in range(piece, min(piece + {self.columns}, {end})):",
            "            v[k] = tile[own + j - piece]",
            *([f"            u[k] = {target}"] if target else []),
            f"            {statement}",
        ]
        if store:
            lines += ["            tile[own + j - piece] = v[k]", "    warp_barrier()"]
            lines += [f"    {line}" for line in self._each(f"{store}[lo + row, piece + column] = tile[ELEMENT]")]
        self.add(indent, *lines)

    def _copied(self) -> list[str]:
        """Lines that copy a piece of each row, unless it is the same as before."""
        copies = ["tile[ELEMENT] = x[lo + row, piece + column]"]
        if self.template.arrays == 2:
            copies.append(f"tile[ELEMENT + {WARP * self.apart}] = t[lo + row, piece + column]")
        lines = ["warp_barrier()", *self._each(*copies), "warp_barrier()"]
        if not self.is_copied:
            self.is_copied = True
            return lines
        return [f"if width > {self.columns}:", *(f"    {line}" for line in lines)]

    def _each(self, *statements: str) -> list[str]:
        """Lines for the elements of a piece, of which neighbouring threads have neighbouring ones."""
        element = f"warp + row * {self.apart} + column"
        return [
            "if piece + column < width:",
            f"    for row in range(lane // {self.columns}, rows, {WARP // self.columns}):",
            *(f"        {statement.replace('ELEMENT', element)}" for statement in statements),
        ]
