"""The matrix product on a GPU: C = op(A) op(B) (+ bias), ReLU, and the chain behind it, element by element.

Each element is summed in the CPU's order (`cpu.gemm`): K-blocks (`chunks.k_blocks`), each from zero in order of k, are
added in order; then the bias. Tiles and threads never show in the bits. Where A is one row and B is transposed, the
elements of a block are summed in 64 bytes of lanes, as there.

A block of 256 threads computes a tile of C: each thread ``size`` x ``size`` elements, in registers. Slabs of A and B
pass through shared memory, 16 steps of k at a time.

Where a lower precision than "highest" was asked for, tensor cores multiply the slabs: of TF32 ("high") or bfloat16
("medium"), summed in float32 in an order that only the card knows. The 8 warps of a block have tiles of their own, two
below and four beside each other.
"""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass

import numpy as np

from fastnet._kernels import neighbours_text
from fastnet._kernels import window as windows
from fastnet._kernels.chain_text import Writer
from fastnet._kernels.chunks import KC, k_blocks
from fastnet._kernels.compile import Source
from fastnet._kernels.cuda import patches, winograd
from fastnet._kernels.generate import CUDA_IMPORTS, Kernel, decoded, module
from fastnet._kernels.kinds import Kind, parse
from fastnet._kernels.pasting import paste
from fastnet._kernels.window import Window

SIDE = 16  # threads in a row and in a column of a block
SLAB = 16  # steps of k in shared memory
WIDE = 4  # columns of a thread that lie side by side
#: elements between rows of a slab. "highest": rows stay on boundaries of 16 bytes, and fewer share a bank. Else four
#: rows that lie 1 ("high") or 2 apart, of which a warp reads 8 neighbours each, have a bank for each lane.
GAP = {"highest": 4, "high": 8, "medium": 4}
THREADS = SIDE * SIDE
LANES = {"float32": 16, "float64": 8}  # in which a row's products with B are summed (`cpu.one_row`)
SIZES = {"float32": (8, 4, 2, 1), "float64": (4, 2, 1)}  # rows and columns of C that a thread computes
WARP_SIZES = (8, 4, 2)  # the same with tensor cores
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
        patches: whether A is the patch matrix of images; the columns of C are then those of all groups.
        scattered: whether the rows of C are pixels that lie apart.
        winograd: whether B are the transformed taps of Winograd's convolution.
        size: rows and columns of C that a thread computes, one of `sizes`; 0 where A is one row and B is transposed.
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
    size: int = 4
    wide: bool = False
    epilogue: Kernel | None = None
    precision: str = "highest"
    is_chunked: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """Those that it may have."""
        return SIZES[self.dtype] if self.precision == "highest" else WARP_SIZES

    @property
    def row(self) -> int:
        """Elements from one row of a slab to the next one."""
        return self.tile + GAP[self.precision]

    @property
    def tile(self) -> int:
        """Rows and columns of C that a block computes."""
        return self.size * SIDE

    @property
    def shared_bytes(self) -> int:
        """Bytes of memory that the threads of a block share."""
        slabs = 2 * SLAB * self.row if self.size else THREADS
        elements = winograd.SHARED if self.winograd else slabs
        return elements * np.dtype(self.dtype).itemsize

    def blocks(self, m: int, n: int, k: int, window: Window | None = None, chunks: int = 1) -> int:
        """The number of blocks of threads for these sizes."""
        if self.winograd and window is not None:
            return winograd.blocks(m, n, window)
        groups = 1 if window is None else window.groups
        tiles = -(-m // self.tile) * -(-n // groups // self.tile) * groups if self.size else -(-n // SIDE)
        return tiles * (k_blocks(k) if self.split else chunks)

    @property
    def parameters(self) -> tuple[tuple[str, Kind], ...]:
        """(name, kind) of the arguments, in order; those of the chain behind it last."""
        views = [("a", _READ), ("b", _READ)]
        views += [("c", _WRITE)] * self.is_stored + [("bias", _READ)] * self.has_bias
        sizes = [("m", _SIZE), ("n", _SIZE), ("k", _SIZE), ("lda", _INTEGER), ("ldb", _INTEGER), ("ldc", _INTEGER)]
        behind = () if self.epilogue is None else self.epilogue.parameters
        sizes += [("chunks", _INTEGER)] * self.is_chunked
        sizes += [(name, _INTEGER) for name in patches.NAMES] if self.patches else []
        return *views, *sizes, *((f"then_{name}", kind) for name, kind in behind)

    def source(self) -> Source:
        """The kernel as a complete module; a unit of its axis is a block of C."""
        return _source(self)


@functools.cache
def _source(kernel: ProductKernel) -> Source:
    name, files = f"product_{kernel.dtype}", (__file__, patches.__file__, winograd.__file__, windows.__file__)
    if kernel.epilogue is None:
        return Source(name, repr(kernel), lambda: _text(kernel), files)
    behind = kernel.epilogue.source()
    flags = (kernel.dtype, kernel.transpose_a, kernel.transpose_b, kernel.is_stored, kernel.has_bias, kernel.relu)
    form = (kernel.split, kernel.patches, kernel.scattered, kernel.winograd, kernel.size, kernel.wide, kernel.precision)
    identity = repr((*flags, *form, behind.identity))
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
            kernel.dtype, pasted, count_of_parts("channels"), span("channels"), _finish(kernel, behind)
        )
    else:
        form = _one_row if not kernel.size else _tiled if kernel.precision == "highest" else _warps
        lines = form(kernel, behind)
    body = "\n".join(
        [f"@body\ndef body({', '.join([*own, *behind, 'lo', 'hi'])}):", *(f"    {line}" for line in lines)]
    )
    texts = [*pasted.values(), *([cell] if cell else []), *(patches.functions() if kernel.patches else [])]
    arguments = [*decoded(tuple(parameters), kernel.dtype, "rows", "cuda"), "lo", "hi"]
    return module("product", kernel.dtype, texts, body, arguments, "bases, args, rows, lo, hi", CUDA_IMPORTS)


def _tiled(kernel: ProductKernel, behind: list[str]) -> list[str]:
    """Lines of a product by tiles. While a slab is multiplied, the next one is on its way from memory to registers."""
    size, row, loads = kernel.size, kernel.row, _loads(kernel)
    stacks = {"sums": size * size, "totals": size * size, "left": size, "right": size}
    wide = min(size, WIDE)  # columns that lie side by side, which are one access to shared memory
    column = f"tx * {wide} + c % {wide} + c // {wide} * {SIDE * wide}"
    return [
        *(f"{name} = stack({kernel.dtype!r}, {length})" for name, length in stacks.items()),
        f"a_slab = shared({kernel.dtype!r}, 0)",
        f"b_slab = shared({kernel.dtype!r}, {kernel.shared_bytes // 2})",
        f"tx, ty = thread() % {SIDE}, thread() // {SIDE}",
        *_tile_of_block(kernel),
        f"    clear(totals, {size * size})",
        "    for part in range(first, last):",
        f"        clear(sums, {size * size})",
        span("k"),
        *(line for load in loads for line in _fetched(kernel, *load, "start", "        ")),
        f"        for k0 in range(start, end, {SLAB}):",
        "            barrier()",
        *(line for name, _, _, along_k in loads for line in _laid_down(name, kernel, along_k)),
        "            barrier()",
        *(line for load in loads for line in _fetched(kernel, *load, f"k0 + {SLAB}", "            ")),
        f"            for step in range(min({SLAB}, end - k0)):",
        f"                take(left, a_slab, step * {row} + ty * {size}, {size}, {size}, 0)",
        f"                take(right, b_slab, step * {row} + tx * {wide}, {size}, {wide}, {SIDE * wide})",
        f"                multiply_add(sums, left, right, {size})",
        f"        add_all(totals, sums, {size * size}, part == first)",
        *(line for part in range(size // wide) for line in _neighbours(kernel, part, behind) if kernel.wide),
        *(
            line
            for r in range(size)
            for line in _row(kernel, r, f"ty * {size} + {r}", column, behind)
            if not kernel.wide
        ),
    ]


def _loads(kernel: ProductKernel) -> list[tuple[str, str, str, bool]]:
    """(name, first row or column, where they end, whether k runs along memory) of both operands."""
    end = "j_end" if kernel.patches else "n"
    return [("a", "i0", "m", not kernel.transpose_a), ("b", "j0", end, kernel.transpose_b)]


def _tile_of_block(kernel: ProductKernel) -> list[str]:
    """Lines of the loop over blocks, and the first row and column of the tile of each."""
    tile = kernel.tile
    if not kernel.patches:
        return [
            f"across = (n + {tile - 1}) // {tile}",
            *_blocks(kernel),
            f"    i0, j0 = number // across * {tile}, number % across * {tile}",
        ]
    return [  # the columns of each group have tiles of their own
        f"columns, across = n // groups, (n // groups + {tile - 1}) // {tile}",
        *_blocks(kernel),
        f"    i0, group = number // (across * groups) * {tile}, number // across % groups",
        f"    j0, j_end = group * columns + number % across * {tile}, group * columns + columns",
    ]


def _warps(kernel: ProductKernel, behind: list[str]) -> list[str]:
    """Lines of a product by tensor cores; slabs as in `_tiled`."""
    size, row, loads = kernel.size, kernel.row, _loads(kernel)
    is_high = kernel.precision == "high"
    steps = f"lane % 4 * {row if is_high else 2 * row}"
    return [
        f"totals = stack('float32', {size * size})",
        "a_slab = shared('float32', 0)",
        f"b_slab = shared('float32', {kernel.shared_bytes // 2})",
        "lane, warp = thread() % 32, thread() // 32",
        f"top, left = warp // 4 * {8 * size} + lane // 4, warp % 4 * {4 * size}",
        *_tile_of_block(kernel),
        f"    clear(totals, {size * size})",
        f"    start, end = first * {KC}, k if last == parts else last * {KC}",
        *(line for load in loads for line in _fetched(kernel, *load, "start", "    ")),
        f"    for k0 in range(start, end, {SLAB}):",
        "        barrier()",
        *(line[4:] for name, _, _, along_k in loads for line in _laid_down(name, kernel, along_k, is_high)),
        "        barrier()",
        *(line for load in loads for line in _fetched(kernel, *load, f"k0 + {SLAB}", "        ")),
        f"        multiply_warps(totals, a_slab, {steps} + top, b_slab, {steps} + left + lane // 4, {size}, {row},"
        f" {kernel.precision!r})",
        *(
            line
            for r in range(size)
            for line in _row(
                kernel, r, f"top + {r // 2 * 16 + r % 2 * 8}", "left + c // 2 * 8 + lane % 4 * 2 + c % 2", behind
            )
        ),
    ]


def _row(kernel: ProductKernel, r: int, row: str, column: str, behind: list[str]) -> list[str]:
    """Lines for a row of a thread's elements of C, which is this row of the tile; number c of it is in ``column``."""
    size = kernel.size
    return [
        f"    i = i0 + {row}",
        f"    for c in range({size}):",
        f"        j = j0 + {column}",
        f"        if i < m and j < {_loads(kernel)[1][2]}:",
        f"            value = pick(totals, {r * size}, 1, {size}, c)",
        *(f"    {line}" for line in _finish(kernel, behind)),
    ]


def _neighbours(kernel: ProductKernel, part: int, behind: list[str]) -> list[str]:
    """Lines for four columns of a thread's elements of C, which lie side by side, row by row."""
    size, values = kernel.size, [f"value_{c}" for c in range(WIDE)]
    row = [f"{value} = pick(totals, {part * WIDE + c}, {size}, {size}, r)" for c, value in enumerate(values)]
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
        f"    j = j0 + tx * {WIDE} + {part * SIDE * WIDE}",
        f"    for r in range({size}):",
        f"        i = i0 + ty * {size} + r",
        f"        if i < m and j < {_loads(kernel)[1][2]}:",
        *(f"            {line}" for line in row),
    ]


def _index_in_c(kernel: ProductKernel) -> str:
    row = f"pixel_of_result(i, {', '.join(patches.NAMES)})" if kernel.scattered else "i"
    row = f"(chunk * m + {row})" if kernel.is_chunked else row
    return f"{row} * ldc + {'first * n + ' if kernel.split else ''}j"


def _place_in_slab(tile: int, along_k: bool, turn: int) -> tuple[str, str]:
    """The step and the entry of the element that a thread moves in a turn: neighbours read neighbouring elements."""
    e = f"(thread() + {turn * THREADS})"
    return (f"{e} % {SLAB}", f"{e} // {SLAB}") if along_k else (f"{e} // {tile}", f"{e} % {tile}")


def _fetched(
    kernel: ProductKernel, name: str, first: str, limit: str, along_k: bool, k0: str, indent: str
) -> list[str]:
    """Lines that bring a thread's elements of a slab to registers; what lies outside of the operand is 0."""
    lines, tile = [], kernel.tile
    for turn in range(SLAB * tile // THREADS):
        step, entry = _place_in_slab(tile, along_k, turn)
        row, column = ("entry", "step") if along_k else ("step", "entry")
        lines.append(f"step, entry = {k0} + {step}, {first} + {entry}")
        index, is_there = f"{row} * ld{name} + {column}", f"entry < {limit} and step < end"
        if name == "a" and kernel.patches:
            place = f"place_in_image({row}, {column}, group, lda, {', '.join(patches.NAMES)})"
            lines.append(f"place = {place} if {is_there} else -1")
            index, is_there = "place", "place >= 0"
        lines.append(f"{name}_next{turn} = {name}_at[{index}] if {is_there} else T(0)")
    return [indent + line for line in lines]


def _laid_down(name: str, kernel: ProductKernel, along_k: bool, is_rounded: bool = False) -> list[str]:
    """Lines that store them to shared memory."""
    lines = []
    for turn in range(SLAB * kernel.tile // THREADS):
        step, entry = _place_in_slab(kernel.tile, along_k, turn)
        value = f"to_tf32({name}_next{turn})" if is_rounded else f"{name}_next{turn}"
        lines.append(f"            {name}_slab[({step}) * {kernel.row} + {entry}] = {value}")
    return lines


def _one_row(kernel: ProductKernel, behind: list[str]) -> list[str]:
    """Lines of a row times a transposed B: of 16 threads that share a column, each is a lane."""
    lanes = LANES[kernel.dtype]
    halves = [lanes >> shift for shift in range(1, lanes.bit_length())]
    add = ["        barrier()", "        if lane < {half}:", "            sums[at] = sums[at] + sums[at + {half}]"]
    return [
        f"sums, at = shared({kernel.dtype!r}, 0), thread()",
        *_blocks(kernel),
        f"    lane, i, j = at % {SIDE}, 0, number * {SIDE} + at // {SIDE}",
        "    value = T(0)",
        "    for part in range(first, last):",
        span("k"),
        "        summed = T(0)",
        f"        if lane < {lanes} and j < n:",
        f"            for step in range(start + lane, end, {lanes}):",
        "                summed = fma(a_at[step], b_at[j * ldb + step], summed)",
        "        barrier()",
        "        sums[at] = summed",
        *(line.format(half=half) for half in halves for line in add),
        "        value = sums[at] if part == first else value + sums[at]",
        "    if lane == 0 and j < n:",
        *_finish(kernel, behind),
    ]


def span(k: str) -> str:
    """The line that gives K-block ``part`` of k steps its first step, and that behind its last one."""
    return f"        start, end = part * {KC}, {k} if part == parts - 1 else part * {KC} + {KC}"


def count_of_parts(k: str) -> str:
    """The line of the number of K-blocks of k steps (`chunks.k_blocks`)."""
    return f"parts = max(1, ({k} + {KC // 2 - 1}) // {KC})"


def _blocks(kernel: ProductKernel) -> list[str]:
    """Lines of the loop over blocks of C, each with its K-blocks."""
    parts = count_of_parts("k")
    if kernel.split:
        return [
            parts,
            "for unit in range(lo, hi):",
            "    number, first = unit // parts, unit % parts",
            "    last = first + 1",
        ]
    if kernel.is_chunked:
        return [
            parts,
            "of_chunk = (parts + chunks - 1) // chunks",
            "for unit in range(lo, hi):",
            "    number, chunk = unit // chunks, unit % chunks",
            "    first, last = min(parts, chunk * of_chunk), min(parts, (chunk + 1) * of_chunk)",
        ]
    return [parts, "for number in range(lo, hi):", "    first, last = 0, parts"]


def _finish(kernel: ProductKernel, behind: list[str]) -> list[str]:
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
    return [f"        {line}" for line in lines]
