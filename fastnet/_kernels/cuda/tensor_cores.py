"""Text of a matrix product on a GPU's tensor cores: of TF32 ("high") or bfloat16 ("medium"), summed in float32 in an
order that only the card knows. The 8 warps of a block have tiles of their own, two below and four beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnet._kernels.chunks import KC
from fastnet._kernels.cuda import patches
from fastnet._kernels.cuda.tiles import THREADS, Tile

if TYPE_CHECKING:
    from fastnet._kernels.cuda.product import ProductKernel

TILES = tuple(Tile(size, size) for size in (8, 4, 2))
SLAB = 16  # steps of k in shared memory
#: elements between rows of a slab: four rows that lie 1 ("high") or 2 apart, of which a warp reads 8 neighbours each,
#: have a bank for each lane
GAP = {"high": 8, "medium": 4}


def shared(kernel: ProductKernel) -> int:
    """Elements of memory that the threads of a block share."""
    return 2 * SLAB * _row(kernel)


def _row(kernel: ProductKernel) -> int:
    """Elements from one row of a slab to the next one."""
    return kernel.tile.width + GAP[kernel.precision]


def places(tile: Tile) -> list[tuple[str, str]]:
    """For each row of a thread's elements which row of the tile it is, and the column of number c of it."""
    return [(f"top + {r // 2 * 16 + r % 2 * 8}", "left + c // 2 * 8 + lane % 4 * 2 + c % 2") for r in range(tile.rows)]


def lines(kernel: ProductKernel, head: list[str], finish: list[str]) -> list[str]:
    """Lines of the product, as `tiles.lines`. While a slab is multiplied, the next one is on its way to registers."""
    size, row, is_high = kernel.tile.rows, _row(kernel), kernel.precision == "high"
    steps = f"lane % 4 * {row if is_high else 2 * row}"
    loads = [
        ("a", "i0", "m", not kernel.transpose_a),
        ("b", "j0", "j_end" if kernel.patches else "n", kernel.transpose_b),
    ]
    return [
        f"totals = stack('float32', {size * size})",
        "a_slab = shared('float32', 0)",
        f"b_slab = shared('float32', {kernel.shared_bytes // 2})",
        "lane, warp = thread() % 32, thread() // 32",
        f"top, left = warp // 4 * {8 * size} + lane // 4, warp % 4 * {4 * size}",
        *head,
        f"clear(totals, {size * size})",
        f"start, end = first * {KC}, k if last == parts else last * {KC}",
        *(line for load in loads for line in _fetched(kernel, *load, "start")),
        f"for k0 in range(start, end, {SLAB}):",
        "    barrier()",
        *(f"    {line}" for name, _, _, along_k in loads for line in _laid_down(name, kernel, along_k)),
        "    barrier()",
        *(f"    {line}" for load in loads for line in _fetched(kernel, *load, f"k0 + {SLAB}")),
        f"    multiply_warps(totals, a_slab, {steps} + top, b_slab, {steps} + left + lane // 4, {size}, {row},"
        f" {kernel.precision!r})",
        *finish,
    ]


def _place_in_slab(tile: int, along_k: bool, turn: int) -> tuple[str, str]:
    """The step and the entry of the element that a thread moves in a turn: neighbours read neighbouring elements."""
    e = f"(thread() + {turn * THREADS})"
    return (f"{e} % {SLAB}", f"{e} // {SLAB}") if along_k else (f"{e} // {tile}", f"{e} % {tile}")


def _fetched(kernel: ProductKernel, name: str, first: str, limit: str, along_k: bool, k0: str) -> list[str]:
    """Lines that bring a thread's elements of a slab to registers; what lies outside of the operand is 0."""
    lines, width = [], kernel.tile.width
    for turn in range(SLAB * width // THREADS):
        step, entry = _place_in_slab(width, along_k, turn)
        row, column = ("entry", "step") if along_k else ("step", "entry")
        lines.append(f"step, entry = {k0} + {step}, {first} + {entry}")
        index, is_there = f"{row} * ld{name} + {column}", f"entry < {limit} and step < end"
        if name == "a" and kernel.patches:
            place = f"place_in_image({row}, {column}, group, lda, {', '.join(patches.NAMES)})"
            lines.append(f"place = {place} if {is_there} else -1")
            index, is_there = "place", "place >= 0"
        lines.append(f"{name}_next{turn} = {name}_at[{index}] if {is_there} else T(0)")
    return lines


def _laid_down(name: str, kernel: ProductKernel, along_k: bool) -> list[str]:
    """Lines that store them to shared memory."""
    lines, width = [], kernel.tile.width
    for turn in range(SLAB * width // THREADS):
        step, entry = _place_in_slab(width, along_k, turn)
        value = f"to_tf32({name}_next{turn})" if kernel.precision == "high" else f"{name}_next{turn}"
        lines.append(f"{name}_slab[({step}) * {_row(kernel)} + {entry}] = {value}")
    return lines
