"""The matrix product on a GPU: C = op(A) op(B) (+ bias), ReLU, and the chain behind it, element by element.

Each element is summed in the CPU's order (`cpu.gemm`): K-blocks (`chunks.k_blocks`), each from zero in order of k, are
added in order; then the bias. Tiles and threads never show in the bits. Where A is one row and B is transposed, the
elements of a block are summed in 64 bytes of lanes, as there.

A block of 256 threads computes a tile of C: each thread some rows and columns, in registers. Slabs of A and B pass
through shared memory (`tiles`); where k is small, one slab of each holds all steps.

Where a lower precision than "highest" was asked for, tensor cores multiply the slabs (`tensor_cores`).
"""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass, replace

import numpy as np

from fastnet._kernels import neighbours_text
from fastnet._kernels import window as windows
from fastnet._kernels.chain_text import Writer
from fastnet._kernels.chunks import KC, k_blocks
from fastnet._kernels.compile import Source
from fastnet._kernels.cuda import patches, tensor_cores, tiles, winograd
from fastnet._kernels.cuda.tiles import SQUARE, THREADS, TILES, WIDE, Tile
from fastnet._kernels.generate import CUDA_IMPORTS, Kernel, decoded, module
from fastnet._kernels.kinds import Kind, parse
from fastnet._kernels.pasting import paste
from fastnet._kernels.window import Window

SIDE = 16  # columns of a block where A is one row, each of as many threads
LANES = {"float32": 16, "float64": 8}  # in which a row's products with B are summed (`cpu.one_row`)
_INTEGER, _READ, _WRITE = (parse(kind) for kind in ("integer", "read", "write"))


@dataclass(frozen=True)
class ProductKernel:
    """A product's kernel.

    Args:
        dtype: of all operands.
        transpose_a, transpose_b: whether A is stored as (K, M), and B as (N, K).
        is_stored: whether C is written to memory.
        has_bias, relu: what follows the sums.
        split: whether the sums of the K-blocks are written side by side, N elements apart, and not added.
        patches: whether A is the patch matrix of images; the columns of C are then those of all groups.
        scattered: whether the rows of C are pixels that lie apart.
        winograd: whether B are the transformed taps of Winograd's convolution.
        in_lanes: whether A is one row and B is transposed, and elements are summed in lanes instead of tiles.
        tile: what a thread computes, one of `sizes`.
        depth: steps of k in shared memory.
        is_short: whether these are all; there is at least one.
        together: the names of the operands of which a thread moves 16 bytes at once: where they lie side by side in
            memory they lie on boundaries of as much, and steps and entries are a multiple of that.
        wide: whether four neighbouring elements of C are finished together: they, the bias and all that the chain
            touches lie on boundaries of their size. A thread must compute as many.
        precision: "highest", or of float32 "high" or "medium".
        is_chunked: whether the sums of chunks of the K-blocks lie one behind the other.
        epilogue: the chain behind it, or None.
    """

    dtype: str
    transpose_a: bool = False
    transpose_b: bool = False
    is_stored: bool = True
    has_bias: bool = False
    relu: bool = False
    split: bool = False
    patches: bool = False
    scattered: bool = False
    winograd: bool = False
    in_lanes: bool = False
    tile: Tile = SQUARE
    depth: int = 16
    is_short: bool = False
    together: str = ""
    wide: bool = False
    epilogue: Kernel | None = None
    precision: str = "highest"
    is_chunked: bool = False

    @property
    def sizes(self) -> tuple[Tile, ...]:
        """The tiles that it may have."""
        return TILES[self.dtype] if self.precision == "highest" else tensor_cores.TILES

    @property
    def shared_bytes(self) -> int:
        """Bytes of memory that the threads of a block share."""
        if self.winograd:
            elements = winograd.SHARED
        elif self.in_lanes:
            elements = THREADS
        elif self.precision == "highest":
            elements = sum(slab.size for slab in tiles.slabs(self))
        else:
            elements = tensor_cores.shared(self)
        return elements * np.dtype(self.dtype).itemsize

    def blocks(self, m: int, n: int, k: int, window: Window | None = None, chunks: int = 1) -> int:
        """The number of blocks of threads for these sizes."""
        if self.winograd and window is not None:
            return winograd.blocks(m, n, window)
        groups = 1 if window is None else window.groups
        if self.in_lanes:
            count = -(-n // SIDE)
        else:
            count = -(-m // self.tile.height) * -(-n // groups // self.tile.width) * groups
        return count * (k_blocks(k) if self.split else chunks)

    @property
    def parameters(self) -> tuple[tuple[str, Kind], ...]:
        """(name, kind) of the arguments, in order; those of the chain behind it last."""
        views = [("a", _READ), ("b", _READ)]
        views += [("c", _WRITE)] * self.is_stored + [("bias", _READ)] * self.has_bias
        sizes = [(name, _INTEGER) for name in ("m", "n", "k", "lda", "ldb", "ldc")]
        behind = () if self.epilogue is None else self.epilogue.parameters
        sizes += [("chunks", _INTEGER)] * self.is_chunked
        sizes += [(name, _INTEGER) for name in patches.NAMES] if self.patches else []
        return *views, *sizes, *((f"then_{name}", kind) for name, kind in behind)

    def source(self) -> Source:
        """The kernel as a complete module; a unit of its axis is a block of C."""
        return _source(self)


_TEXTS = (tiles, tensor_cores, patches, winograd, windows)


@functools.cache
def _source(kernel: ProductKernel) -> Source:
    name, files = f"product_{kernel.dtype}", (__file__, *(str(text.__file__) for text in _TEXTS))
    if kernel.epilogue is None:
        return Source(name, repr(kernel), lambda: _text(kernel), files)
    behind = kernel.epilogue.source()
    identity = repr((replace(kernel, epilogue=None), behind.identity))
    return Source(f"{name}_{behind.name}", identity, lambda: _text(kernel), (*files, *behind.files))


def _text(kernel: ProductKernel) -> str:
    parameters, cell = list(kernel.parameters), ""
    pasted: dict[str, str] = {}
    behind: list[str] = []
    if kernel.epilogue is not None:
        names = {name: paste(rule, kernel.dtype, pasted) for name, rule in kernel.epilogue.rules}
        writer = Writer(kernel.epilogue.template, kernel.epilogue, names, pasted)
        cell = ast.unparse(neighbours_text.cells(writer) if kernel.wide else writer.cell())
        behind = [f"then_{name}" for name in writer.parameters()]
    own = [f"{name}_at" if kind.access else name for name, kind in parameters if not name.startswith("then_")]
    if kernel.winograd:
        lines = winograd.lines(
            kernel.dtype, pasted, count_of_parts("channels"), span("channels"), _finished(kernel, behind)
        )
    else:
        form = _one_row if kernel.in_lanes else _tiled if kernel.precision == "highest" else _warps
        lines = form(kernel, behind)
    body = "\n".join(
        [f"@body\ndef body({', '.join([*own, *behind, 'lo', 'hi'])}):", *(f"    {line}" for line in lines)]
    )
    texts = [*pasted.values(), *([cell] if cell else []), *(patches.functions() if kernel.patches else [])]
    arguments = [*decoded(tuple(parameters), kernel.dtype, "rows", "cuda"), "lo", "hi"]
    return module("product", kernel.dtype, texts, body, arguments, "bases, args, rows, lo, hi", CUDA_IMPORTS)


def _tiled(kernel: ProductKernel, behind: list[str]) -> list[str]:
    """Lines of a product by tiles."""
    tile = kernel.tile
    if kernel.wide:
        finish = [line for part in range(tile.columns // WIDE) for line in _neighbours(kernel, tile, part, behind)]
    else:
        column = _entry("tx", "c", tile.columns, tile.across)
        finish = [
            line
            for r in range(tile.rows)
            for line in _row(kernel, tile, r, _entry("ty", str(r), tile.rows, tile.down), column, behind)
        ]
    return tiles.lines(kernel, [*_blocks(kernel), *_tile_of_block(kernel, tile)], span("k"), finish)


def _entry(thread: str, number: str, own: int, threads: int) -> str:
    """The row or column of a tile which is that number of a thread's own (`tiles.Slab`)."""
    group = min(own, WIDE)
    return f"{thread} * {group} + {number} % {group} + {number} // {group} * {threads * group}"


def _warps(kernel: ProductKernel, behind: list[str]) -> list[str]:
    """Lines of a product by tensor cores."""
    tile = kernel.tile
    finish = [
        line
        for r, (row, column) in enumerate(tensor_cores.places(tile))
        for line in _row(kernel, tile, r, row, column, behind)
    ]
    return tensor_cores.lines(kernel, [*_blocks(kernel), *_tile_of_block(kernel, tile)], finish)


def _tile_of_block(kernel: ProductKernel, tile: Tile) -> list[str]:
    """Lines that give a block the first row and column of its tile."""
    if not kernel.patches:
        return [
            f"across = (n + {tile.width - 1}) // {tile.width}",
            "down = quotient(number, across)",
            f"i0, j0 = down * {tile.height}, (number - down * across) * {tile.width}",
        ]
    return [  # the columns of each group have tiles of their own
        "columns = quotient(n, groups)",
        f"across = (columns + {tile.width - 1}) // {tile.width}",
        "beside = quotient(number, across)",
        "down = quotient(beside, groups)",
        f"i0, group = down * {tile.height}, beside - down * groups",
        f"j0, j_end = group * columns + (number - beside * across) * {tile.width}, group * columns + columns",
    ]


def _row(kernel: ProductKernel, tile: Tile, r: int, row: str, column: str, behind: list[str]) -> list[str]:
    """Lines for a row of a thread's elements of C, which is this row of the tile; number c of it is in ``column``."""
    return [
        f"i = i0 + {row}",
        f"for c in range({tile.columns}):",
        f"    j = j0 + {column}",
        f"    if i < m and j < {_end_of_columns(kernel)}:",
        f"        value = pick(totals, {r * tile.columns}, 1, {tile.columns}, c)",
        *(f"        {line}" for line in _finished(kernel, behind)),
    ]


def _end_of_columns(kernel: ProductKernel) -> str:
    """The column behind the last one of a tile's group."""
    return "j_end" if kernel.patches else "n"


def _neighbours(kernel: ProductKernel, tile: Tile, part: int, behind: list[str]) -> list[str]:
    """Lines for four columns of a thread's elements of C, which lie side by side, row by row."""
    values = [f"value_{c}" for c in range(WIDE)]
    row = [
        f"{value} = pick(totals, {part * WIDE + c}, {tile.columns}, {tile.rows}, r)" for c, value in enumerate(values)
    ]
    if kernel.has_bias:
        biases = [f"bias_{c}" for c in range(WIDE)]
        row.append(f"{', '.join(biases)} = neighbours(bias_at, j, {WIDE})")
        row += [f"{value} = {value} + {bias}" for value, bias in zip(values, biases, strict=True)]
    if kernel.relu:
        row += [f"{value} = T(0) if {value} < T(0) else {value}" for value in values]
    if kernel.is_stored:
        row.append(f"put_neighbours(c_at, {_index_in_c(kernel)}, ({', '.join(values)}))")
    if behind:
        row.append(f"cells({', '.join([*values, 'i', 'j', *behind])})")
    return [
        f"j = j0 + tx * {WIDE} + {part * tile.across * WIDE}",
        f"for r in range({tile.rows}):",
        f"    i = i0 + {_entry('ty', 'r', tile.rows, tile.down)}",
        f"    if i < m and j < {_end_of_columns(kernel)}:",
        *(f"        {line}" for line in row),
    ]


def _index_in_c(kernel: ProductKernel) -> str:
    row = f"pixel_of_result(i, {', '.join(patches.NAMES)})" if kernel.scattered else "i"
    row = f"(chunk * m + {row})" if kernel.is_chunked else row
    return f"{row} * ldc + {'first * n + ' if kernel.split else ''}j"


def _one_row(kernel: ProductKernel, behind: list[str]) -> list[str]:
    """Lines of a row times a transposed B: of 16 threads that share a column, each is a lane."""
    lanes = LANES[kernel.dtype]
    halves = [lanes >> shift for shift in range(1, lanes.bit_length())]
    add = ["    barrier()", "    if lane < {half}:", "        sums[at] = sums[at] + sums[at + {half}]"]
    return [
        f"sums, at = shared({kernel.dtype!r}, 0), thread()",
        *_blocks(kernel),
        f"lane, i, j = at % {SIDE}, 0, number * {SIDE} + at // {SIDE}",
        "value = T(0)",
        "for part in range(first, last):",
        f"    {span('k')}",
        "    summed = T(0)",
        f"    if lane < {lanes} and j < n:",
        f"        for step in range(start + lane, end, {lanes}):",
        "            summed = fma(a_at[step], b_at[j * ldb + step], summed)",
        "    barrier()",
        "    sums[at] = summed",
        *(line.format(half=half) for half in halves for line in add),
        "    value = sums[at] if part == first else value + sums[at]",
        "if lane == 0 and j < n:",
        *(f"    {line}" for line in _finished(kernel, behind)),
    ]


def span(k: str) -> str:
    """The line that gives K-block ``part`` of k steps its first step, and that behind its last one."""
    return f"start, end = part * {KC}, {k} if part == parts - 1 else part * {KC} + {KC}"


def count_of_parts(k: str) -> str:
    """The line of the number of K-blocks of k steps (`chunks.k_blocks`)."""
    return f"parts = max(1, ({k} + {KC // 2 - 1}) // {KC})"


def _blocks(kernel: ProductKernel) -> list[str]:
    """Lines that give a block of threads its number, and its K-blocks."""
    if kernel.is_short:
        return ["number, first = lo, 0"]
    parts = count_of_parts("k")
    if kernel.split:
        return [parts, "number = quotient(lo, parts)", "first = lo - number * parts", "last = first + 1"]
    if kernel.is_chunked:
        return [
            parts,
            "of_chunk, number = quotient(parts + chunks - 1, chunks), quotient(lo, chunks)",
            "chunk = lo - number * chunks",
            "first, last = min(parts, chunk * of_chunk), min(parts, (chunk + 1) * of_chunk)",
        ]
    return [parts, "number, first, last = lo, 0, parts"]


def _finished(kernel: ProductKernel, behind: list[str]) -> list[str]:
    """Lines for one element of C, when its sum is known."""
    lines = []
    if kernel.has_bias:
        lines.append("value = value + bias_at[j]")
    if kernel.relu:
        lines.append("value = T(0) if value < T(0) else value")
    if kernel.is_stored:
        lines.append(f"c_at[{_index_in_c(kernel)}] = value")
    if behind:
        lines.append(f"cell(value, i, j, {', '.join(behind)})")
    return lines
