"""Loops over rows by warps: each thread folds a row, in the CPU's order.

Threads that have a row each would read elements that lie a row apart, a sector of memory for each. The 32 threads of a
warp therefore copy 64 bytes of each of their rows at a time to memory that they share, with neighbouring accesses, and
results the other way. Rows of up to 64 bytes are copied once for all passes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from fastnet._kernels.cuda.entry import WARP
from fastnet._kernels.kinds import Kind
from fastnet._kernels.template import Template
from fastnet._kernels.templates.row_statistics import normalize_rows, normalized_gradient
from fastnet._kernels.templates.rows import RowLoop, RowTemplate, RowText, mean_of_row

PIECE = 64  # bytes of a row that are copied at a time


def columns_of(dtype: str) -> int:
    """Elements of a row that are copied at a time."""
    return PIECE // np.dtype(dtype).itemsize


def shared_bytes(copied: Sequence[str], dtype: str) -> int:
    """Bytes of memory for a piece of each row of a warp."""
    return len(copied) * WARP * (columns_of(dtype) + 1) * np.dtype(dtype).itemsize


@dataclass(frozen=True)
class WarpRows(RowTemplate):
    """The loop of a `RowTemplate` on a GPU, for one dtype."""

    dtype: str = "float32"

    @classmethod
    def of(cls, template: RowTemplate, dtype: str) -> WarpRows:
        """The form of a template."""
        return cls(**{each.name: getattr(template, each.name) for each in dataclasses.fields(template)}, dtype=dtype)

    @property
    def copied(self) -> tuple[str, ...]:
        """Operands that are copied."""
        return ("x", "t") if self.targets in ("raw", "dense") else ("x",)

    @property
    def shared_bytes(self) -> int:
        """Bytes of memory that the threads of a warp share."""
        return shared_bytes(self.copied, self.dtype)

    @property
    def file(self) -> str:
        return __file__

    @property
    def identity(self) -> str:
        return _text(self)

    def text(self) -> str:
        """The template's source."""
        return _text(self)


@dataclass(frozen=True)
class WarpLoop(RowLoop):
    """The loop of one of the templates in `LOOPS` on a GPU, for one dtype; it stands for the template in a kernel.

    Args:
        template: the template.
        dtype: of its operands.
    """

    template: Template
    dtype: str

    @property
    def name(self) -> str:
        """That of the template."""
        return self.template.name

    @property
    def parameters(self) -> dict[str, Kind]:
        """Those of the template."""
        return self.template.parameters

    @property
    def copied(self) -> tuple[str, ...]:
        """Operands that are copied."""
        return LOOPS[self.template].copied

    @property
    def shared_bytes(self) -> int:
        """Bytes of memory that the threads of a warp share."""
        return shared_bytes(self.copied, self.dtype)

    @property
    def file(self) -> str:
        return __file__

    @property
    def identity(self) -> str:
        return self.text()

    def text(self) -> str:
        """The template's source."""
        return LOOPS[self.template](self).written()


@cache
def _text(template: WarpRows) -> str:
    return _RowRule(template).written()


class _Warp:
    """Writes lines for a warp: ``first + k`` is a thread's row, which is ``live`` if there is one."""

    out: list[str]
    width = "width"  # elements of a row
    depth = 4

    def start(self, copied: Sequence[str], dtype: str) -> None:
        """Lines in front of the rows' statements."""
        self.columns, self.apart = columns_of(dtype), columns_of(dtype) + 1  # an odd distance of rows: banks differ
        self.names, self.is_copied = copied, False
        self.out += [
            f"    tile, lane, k = shared({dtype!r}, 0), thread() % {WARP}, 0",
            f"    warp, column = thread() // {WARP} * {len(copied) * WARP * self.apart}, lane % {self.columns}",
            f"    rows, first, own = hi - lo, lo + lane, warp + lane * {self.apart}",
            "    live = lane < rows",
        ]

    def add(self, indent: int, *lines: str) -> None:
        """Append lines."""
        self.out.extend(" " * (self.depth + indent) + line for line in lines)

    def lanes(self, *statements: str, indent: int = 0) -> None:
        """Statements for each row."""
        self.add(indent, "if live:", *(f"    {statement}" for statement in statements))

    def copy_of(self, number: int) -> str:
        """The element ``j`` of the row in an operand that was copied."""
        return f"tile[own + {number * WARP * self.apart} + j - piece]"

    def pieces(
        self, statements: Sequence[str], store: str = "", begin: str = "0", end: str = "width", indent: int = 0
    ) -> None:
        """Statements for the elements ``j`` of each row, whose result may be stored."""
        lines = [
            f"for piece in range({begin}, {end}, {self.columns}):",
            *(f"    {line}" for line in self._copied()),
            "    if live:",
            f"        for j in range(piece, min(piece + {self.columns}, {end})):",
            *(f"            {statement}" for statement in statements),
        ]
        if store:
            lines += [f"            {self.copy_of(0)} = v[k]", "    warp_barrier()"]
            lines += [f"    {line}" for line in self._each(f"{self.element_of(store)} = tile[ELEMENT]")]
        self.add(indent, *lines)

    def element_of(self, name: str) -> str:
        """An element of an operand, where rows may lie apart."""
        return f"{name}[lo + row, piece + column]"

    def _copied(self) -> list[str]:
        """Lines that copy a piece of each row, unless it is the same as before."""
        places = [f"tile[ELEMENT + {number * WARP * self.apart}]" for number in range(len(self.names))]
        copies = [f"{place} = {self.element_of(name)}" for place, name in zip(places, self.names, strict=True)]
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


class _RowRule(_Warp, RowText):
    """The text of a `WarpRows`."""

    template: WarpRows
    stacks = 1
    value, target_value = "v[k]", "u[k]"

    def element_stacks(self) -> list[str]:
        return ["    v, u = stack(1), stack(1)"]

    def head(self) -> None:
        self.start(self.template.copied, self.template.dtype)

    def elements(self, statement: str, store: str = "", begin: str = "0", end: str = "width", indent: int = 0) -> None:
        """See `RowText.elements`."""
        target = self.target(self.copy_of(1))
        loads = [f"v[k] = {self.copy_of(0)}", *([f"u[k] = {target}"] if target else [])]
        self.pieces([*loads, statement], store, begin, end, indent)


class _Loop(_Warp):
    """The text of a `WarpLoop`: sums in parts of 64 columns, in the template's order.

    Attributes:
        copied: operands that are copied.
        stacks: variables of a row.
    """

    copied: tuple[str, ...] = ("x",)
    stacks = "m, s, v, high, low"

    def __init__(self, loop: WarpLoop):
        self.loop = loop

    def written(self) -> str:
        """The function that is the template's source."""
        count = self.stacks.count(",") + 1
        self.out = [f"def {self.loop.name}():", f"    {self.stacks} = {', '.join(['stack(1)'] * count)}"]
        self.start(self.copied, self.loop.dtype)
        self.rows()
        return "\n".join(self.out) + "\n"

    def rows(self) -> None:
        """The statements for all rows."""
        raise NotImplementedError

    def element_of(self, name: str) -> str:
        return f"{name}[(lo + row) * width + piece + column]"

    def summed(self, statements: Sequence[str], sums: dict[str, str], indent: int = 0) -> None:
        """Sums over a row: name → the pair to which parts of 64 columns are added, and what is left at the end."""
        saved = [f"{pair} = added({pair}, {total}); {total} = 0.0" for total, pair in sums.items()]
        self.add(indent, "for left in range(0, width, 64):")
        self.pieces(statements, begin="left", end="min(left + 64, width)", indent=indent + 4)
        self.add(indent + 4, "if left + 64 <= width:")
        self.lanes(*saved, indent=indent + 8)
        self.lanes(*(f"{pair} = added({pair}, {total})" for total, pair in sums.items()), indent=indent)


class _Normalized(_Loop):
    """`normalize_rows` of rows in one piece."""

    stacks = "m, s, v, high, low, c"

    def rows(self) -> None:
        self.lanes("m[k], s[k], high[k], low[k], c[k] = 0.0, 0.0, 0.0, 0.0, 0.0")
        self.add(0, "if center != 0.0:")
        self.summed([f"m[k] = m[k] + {self.copy_of(0)}"], {"m[k]": "high[k], low[k]"}, indent=4)
        self.lanes("m[k] = sum_of_pair(high[k], low[k]) / T(runs * width)", "high[k], low[k] = 0.0, 0.0", indent=4)
        self.is_copied = False  # there may have been no pass before
        statements = [f"d = {self.copy_of(0)} - m[k]", "c[k] = c[k] + d", "s[k] = s[k] + d * d"]
        self.summed(statements, {"s[k]": "high[k], low[k]"})
        self.lanes(
            "c[k] = c[k] * (center / T(runs * width))",
            "squares = sum_of_pair(high[k], low[k]) - c[k] * c[k] * T(runs * width)",
            "squares = 0.0 if squares < 0.0 else squares",
            "root = 1.0 / sqrt(squares * sum_scale + epsilon)",
            "s[k] = limit if root > limit else root",
            "mean[first + k], rest[first + k], scale[first + k] = m[k], c[k], s[k]",
        )
        self.pieces([f"v[k] = ({self.copy_of(0)} - m[k] - c[k]) * s[k] * gamma[j] + beta[j]"], "y")


class _NormalizedGradient(_Loop):
    """`normalized_gradient` of rows in one piece."""

    copied = ("x", "dy")
    stacks = "m, c, s, v, a, b, a_high, a_low, b_high, b_low"

    def rows(self) -> None:
        x, dy = (self.copy_of(number) for number in range(2))
        self.lanes(
            "a[k], b[k], a_high[k], a_low[k], b_high[k], b_low[k] = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0",
            "m[k], c[k], s[k] = mean[first + k], rest[first + k], scale[first + k]",
        )
        statements = [f"g = {dy} * gamma[j]", "a[k] = a[k] + g", f"b[k] = b[k] + g * ({x} - m[k] - c[k])"]
        self.summed(statements, {"a[k]": "a_high[k], a_low[k]", "b[k]": "b_high[k], b_low[k]"})
        self.lanes(
            "a[k] = sum_of_pair(a_high[k], a_low[k]) * (center / T(runs * width))",
            "b[k] = sum_of_pair(b_high[k], b_low[k])",
            "b[k] = 0.0 if s[k] >= limit else b[k] * sum_scale * s[k]",
        )
        self.pieces([f"g = {dy} * gamma[j]", f"v[k] = s[k] * (g - a[k] - ({x} - m[k] - c[k]) * s[k] * b[k])"], "dx")


class _Mean(_Loop):
    """`mean_of_row`. Weights are rare, and a third operand would not fit into the memory that a block shares."""

    copied = ("y_true", "y_pred")
    stacks = "total, high, low"

    def rows(self) -> None:
        t, v = (self.copy_of(number) for number in range(2))
        self.lanes("high[k], low[k] = 0.0, 0.0")
        self.add(0, "for left in range(0, width, 64):")
        self.lanes("total[k] = 0.0", indent=4)
        statement = f"total[k] = total[k] + f({t}, {v}, *p) * weights[first + k, j]"
        self.pieces([statement], begin="left", end="min(left + 64, width)", indent=4)
        self.lanes("high[k], low[k] = added(high[k], low[k], total[k])", indent=4)
        self.lanes("loss[first + k] = sum_of_pair(high[k], low[k]) / T(width)")

    def element_of(self, name: str) -> str:
        return _Warp.element_of(self, name)


#: templates → what writes their loop for warps
LOOPS: dict[Template, type[_Loop]] = {
    mean_of_row: _Mean, normalize_rows: _Normalized, normalized_gradient: _NormalizedGradient,
}  # fmt: skip


def by_warps(template: Any, dtype: str, operands: Mapping[str, Any]) -> WarpRows | WarpLoop | None:
    """The form of a template whose rows a warp copies; None where there is none, or rows lie in pieces."""
    if isinstance(template, RowTemplate):
        return WarpRows.of(template, dtype)
    in_one_piece = operands.get("groups", 1) == operands.get("runs", 1) == 1
    return WarpLoop(template, dtype) if template in LOOPS and in_one_piece else None
