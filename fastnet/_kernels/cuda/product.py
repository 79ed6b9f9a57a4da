"""The matrix product on a GPU: C = op(A) op(B) (+ bias), ReLU, and the chain behind it, element by element.

Each element is summed in the CPU's order (`cpu.gemm`): K-blocks (`chunks.k_blocks`), each from zero in order of k, are
added in order; then the bias. Tiles and threads never show in the bits. Where A is one row and B is transposed, the
elements of a block are summed in 64 bytes of lanes, as there.

A block of 256 threads computes a tile of C: each thread ``size`` x ``size`` elements, in registers. Slabs of A and B
pass through shared memory, 16 steps of k at a time. The columns of a thread lie 16 apart, so that neighbouring threads
read neighbouring words of shared memory, and write neighbouring elements of C.
"""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

from fastnet._kernels.chain_text import Writer
from fastnet._kernels.chunks import KC, k_blocks
from fastnet._kernels.compile import Source
from fastnet._kernels.generate import Kernel, decoded, module
from fastnet._kernels.kinds import Kind, parse
from fastnet._kernels.pasting import paste

SIDE = 16  # threads in a row and in a column of a block
SLAB = 16  # steps of k in shared memory
THREADS = SIDE * SIDE
LANES = {"float32": 16, "float64": 8}  # in which a row's products with B are summed (`cpu.one_row`)
SIZES = (8, 4, 2, 1)  # rows and columns of C that a thread computes
_IMPORTS = "from fastnet._kernels.cuda.intrinsics import *\n"
_INTEGER, _SIZE, _READ, _WRITE = (parse(kind) for kind in ("integer", "size", "read", "write"))


@dataclass(frozen=True)
class ProductKernel:
    """A product's kernel.

    Args:
        dtype: of all operands.
        transpose_a, transpose_b: whether A is stored as (K, M), and B as (N, K).
        is_stored: whether C is written to memory.
        has_bias, relu: what follows the sums.
        split: whether the sums of the K-blocks are written side by side, N elements apart, and not added.
        size: rows and columns of C that a thread computes, one of `SIZES`; 0 where A is one row and B is transposed.
        epilogue: the chain behind it, or None.
    """

    dtype: str
    transpose_a: bool = False
    transpose_b: bool = False
    is_stored: bool = True
    has_bias: bool = False
    relu: bool = False
    split: bool = False
    size: int = 4
    epilogue: Kernel | None = None

    @property
    def tile(self) -> int:
        """Rows and columns of C that a block computes."""
        return self.size * SIDE

    def blocks(self, m: int, n: int, k: int) -> int:
        """The number of blocks of threads for these sizes."""
        tiles = -(-m // self.tile) * -(-n // self.tile) if self.size else -(-n // SIDE)
        return tiles * (k_blocks(k) if self.split else 1)

    @property
    def parameters(self) -> tuple[tuple[str, Kind], ...]:
        """(name, kind) of the arguments, in order; those of the chain behind it last."""
        views = [("a", _READ), ("b", _READ)]
        views += [("c", _WRITE)] * self.is_stored + [("bias", _READ)] * self.has_bias
        sizes = [("m", _SIZE), ("n", _SIZE), ("k", _SIZE), ("lda", _INTEGER), ("ldb", _INTEGER), ("ldc", _INTEGER)]
        behind = () if self.epilogue is None else self.epilogue.parameters
        return *views, *sizes, *((f"then_{name}", kind) for name, kind in behind)

    def source(self) -> Source:
        """The kernel as a complete module."""
        return _source(self)


@functools.cache
def _source(kernel: ProductKernel) -> Source:
    own = Path(__file__)
    name, files = f"product_{kernel.dtype}", (str(own),)
    if kernel.epilogue is None:
        return Source(name, repr(kernel), lambda: _text(kernel), files)
    behind = kernel.epilogue.source()
    flags = (kernel.dtype, kernel.transpose_a, kernel.transpose_b, kernel.is_stored, kernel.has_bias, kernel.relu)
    identity = repr((*flags, kernel.split, kernel.size, behind.identity))
    return Source(f"{name}_{behind.name}", identity, lambda: _text(kernel), (*files, *behind.files))


def _text(kernel: ProductKernel) -> str:
    parameters, cell = list(kernel.parameters), ""
    pasted: dict[str, str] = {}
    behind: list[str] = []
    if kernel.epilogue is not None:
        names = {name: paste(rule, kernel.dtype, pasted) for name, rule in kernel.epilogue.rules}
        function = Writer(kernel.epilogue.template, kernel.epilogue, names, pasted).cell()
        behind = [argument.arg for argument in function.args.args[3:]]
        cell = ast.unparse(function)
    own = [f"{name}_at" if kind.access else name for name, kind in parameters if not name.startswith("then_")]
    lines = (_tiled if kernel.size else _one_row)(kernel, behind)
    body = "\n".join([f"@body\ndef body({', '.join([*own, *behind])}):", *(f"    {line}" for line in lines)])
    texts = [*pasted.values(), *([cell] if cell else [])]
    arguments = decoded(tuple(parameters), kernel.dtype, "rows")
    return module("product", kernel.dtype, texts, body, arguments, "bases, args, rows, lo, hi", _IMPORTS)


def _tiled(kernel: ProductKernel, behind: list[str]) -> list[str]:
    """Lines of a product by tiles."""
    size, tile = kernel.size, kernel.tile
    cells = [(r, c) for r in range(size) for c in range(size)]
    return [
        f"a_slab = shared({kernel.dtype!r}, {SLAB * (tile + 1)})",
        f"b_slab = shared({kernel.dtype!r}, {SLAB * (tile + 1)})",
        f"across, tx, ty = (n + {tile - 1}) // {tile}, thread() % {SIDE}, thread() // {SIDE}",
        *_parts(kernel),
        f"i0, j0 = number // across * {tile}, number % across * {tile}",
        *(f"total_{r}_{c} = T(0)" for r, c in cells),
        "for part in range(first, last):",
        *(f"    sum_{r}_{c} = T(0)" for r, c in cells),
        _SPAN,
        f"    for k0 in range(start, end, {SLAB}):",
        f"        steps = min({SLAB}, end - k0)",
        "        barrier()",
        *_load("a", "i0", "m", tile, along_k=not kernel.transpose_a),
        *_load("b", "j0", "n", tile, along_k=kernel.transpose_b),
        "        barrier()",
        "        for step in range(steps):",
        *(f"            a{r} = a_slab[step * {tile + 1} + ty * {size} + {r}]" for r in range(size)),
        *(f"            b{c} = b_slab[step * {tile + 1} + tx + {SIDE * c}]" for c in range(size)),
        *(f"            sum_{r}_{c} = fma(a{r}, b{c}, sum_{r}_{c})" for r, c in cells),
        *(f"    total_{r}_{c} = sum_{r}_{c} if part == first else total_{r}_{c} + sum_{r}_{c}" for r, c in cells),
        *(line for r, c in cells for line in _placed(kernel, r, c, behind)),
    ]


def _one_row(kernel: ProductKernel, behind: list[str]) -> list[str]:
    """Lines of a row times a transposed B: of 16 threads that share a column, each is a lane."""
    lanes = LANES[kernel.dtype]
    halves = [lanes >> shift for shift in range(1, lanes.bit_length())]
    add = ["    barrier()", "    if lane < {half}:", "        sums[at] = sums[at] + sums[at + {half}]"]
    return [
        f"sums, at = shared({kernel.dtype!r}, {THREADS}), thread()",
        *_parts(kernel),
        f"lane, i, j = at % {SIDE}, 0, number * {SIDE} + at // {SIDE}",
        "value = T(0)",
        "for part in range(first, last):",
        _SPAN,
        "    summed = T(0)",
        f"    if lane < {lanes} and j < n:",
        f"        for step in range(start + lane, end, {lanes}):",
        "            summed = fma(a_at[step], b_at[j * ldb + step], summed)",
        "    barrier()",
        "    sums[at] = summed",
        *(line.format(half=half) for half in halves for line in add),
        "    value = sums[at] if part == first else value + sums[at]",
        "if lane == 0 and j < n:",
        *_finish(kernel, behind),
    ]


_SPAN = f"    start, end = part * {KC}, k if part == parts - 1 else part * {KC} + {KC}"


def _parts(kernel: ProductKernel) -> list[str]:
    """Lines for the K-blocks of this block of threads, and its number among those that have the same ones."""
    parts = f"parts = max(1, (k + {KC // 2 - 1}) // {KC})"
    if kernel.split:
        return [parts, "number, first = block() // parts, block() % parts", "last = first + 1"]
    return [parts, "number, first, last = block(), 0, parts"]


def _load(name: str, first: str, limit: str, tile: int, along_k: bool) -> list[str]:
    """Lines that load a slab of an operand: neighbouring threads read neighbouring elements."""
    step, entry = (f"e % {SLAB}", f"e // {SLAB}") if along_k else (f"e // {tile}", f"e % {tile}")
    index = f"entry * ld{name} + k0 + step" if along_k else f"(k0 + step) * ld{name} + entry"
    return [
        f"        for turn in range({SLAB * tile // THREADS}):",
        f"            e = thread() + turn * {THREADS}",
        f"            step, entry = {step}, {first} + {entry}",
        f"            inside = entry < {limit} and step < steps",
        f"            {name}_slab[step * {tile + 1} + entry - {first}] = {name}_at[{index}] if inside else T(0)",
    ]


def _placed(kernel: ProductKernel, r: int, c: int, behind: list[str]) -> list[str]:
    """Lines for one of a thread's elements of C."""
    place = [f"i, j = i0 + ty * {kernel.size} + {r}, j0 + tx + {SIDE * c}", "if i < m and j < n:"]
    return [*place, f"    value = total_{r}_{c}", *_finish(kernel, behind)]


def _finish(kernel: ProductKernel, behind: list[str]) -> list[str]:
    """Lines for one element of C, when its sum is known."""
    lines = []
    if kernel.has_bias:
        lines.append("value = value + bias_at[j]")
    if kernel.relu:
        lines.append("value = T(0) if value < T(0) else value")
    if kernel.is_stored:
        lines.append(f"c_at[i * ldc + {'first * n + ' if kernel.split else ''}j] = value")
    if behind:
        lines.append(f"cell(value, i, j, {', '.join(behind)})")
    return [f"    {line}" for line in lines]
