"""Text of the tiles of a matrix product on a GPU: slabs of both operands in shared memory, and sums in registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastnet._kernels.cuda import patches
from fastnet._kernels.cuda.entry import WIDEST

if TYPE_CHECKING:
    from fastnet._kernels.cuda.product import ProductKernel

THREADS = 256  # of a block
WIDE = 4  # rows or columns of a thread that lie side by side
DEPTHS = (16, 32, 64)  # steps of k in shared memory
MOST_SHARED = 36 << 10  # bytes of slabs that hold all steps of a product
UNROLLED = 256  # multiply-adds that follow each other, of at most 16 steps


class Tile(NamedTuple):
    """Rows and columns of C that each of 256 threads computes, and how many threads share a column and a row."""

    rows: int
    columns: int
    down: int = 16
    across: int = 16

    @property
    def height(self) -> int:
        """Rows of C of a block."""
        return self.rows * self.down

    @property
    def width(self) -> int:
        """Columns of C of a block."""
        return self.columns * self.across

    def work(self, k: int) -> int:
        """What k steps cost a thread: multiply-adds, loads, and what is done once."""
        return k * (self.rows * self.columns + (self.height + self.width) // 8) + 16 * self.rows * self.columns + 64


SQUARE = Tile(4, 4)
_SMALL = (Tile(2, 4), Tile(4, 1), Tile(1, 4), Tile(2, 2), Tile(1, 1), Tile(1, 1, 64, 4), Tile(1, 1, 4, 64))
TILES = {"float32": (Tile(8, 8), SQUARE, *_SMALL), "float64": (SQUARE, *_SMALL)}


class Slab(NamedTuple):
    """Some steps of a tile's rows of A, or columns of B (its entries), in shared memory.

    Steps lie side by side where they do so in memory, or where a thread has fewer than four entries; else entries do. A
    thread reads 16 bytes of them at a time.

    Args:
        name: of the operand.
        entries: rows or columns of the tile.
        own: those of a thread: up to four side by side, and the next four as many as all threads have further.
        depth: steps.
        itemsize: bytes of an element.
        along_k: whether steps lie side by side in memory.
        together: elements side by side that a thread moves at once, 1 or what 16 bytes hold.
    """

    name: str
    entries: int
    own: int
    depth: int
    itemsize: int
    along_k: bool
    together: int

    @property
    def group(self) -> int:
        """Entries of a thread that lie side by side."""
        return min(self.own, WIDE)

    @property
    def is_by_steps(self) -> bool:
        """Whether steps lie side by side here."""
        return self.along_k or self.group < WIDE

    @property
    def is_kept(self) -> bool:
        """Whether what lies side by side in memory does so here."""
        return self.along_k or not self.is_by_steps

    @property
    def apart(self) -> int:
        """Elements between a thread's first entry and the next thread's. Where a thread reads 16 bytes along k, its
        neighbours' lie an odd number of 16 bytes further, which are other banks."""
        return self.group * self.depth + WIDEST // self.itemsize if self.is_by_steps else self.group

    @property
    def size(self) -> int:
        """Elements."""
        return self.entries // self.group * self.apart if self.is_by_steps else self.entries * self.depth

    @property
    def vector(self) -> int:
        """Elements that a thread moves at once."""
        return min(self.together, max(1, self.entries * self.depth // THREADS))

    @property
    def turns(self) -> int:
        """How often it does so for a slab."""
        return max(1, self.entries * self.depth // (THREADS * self.vector))

    def take(self, step: int, steps: int) -> str:
        """The line that loads a thread's entries at so many steps."""
        if self.is_by_steps:
            distances = 1, self.depth, self.apart * self.entries // self.own
        else:
            distances = self.entries, 1, self.entries * WIDE // self.own
        listed = ", ".join(map(str, (step, self.own, steps, *distances)))
        return f"take({self.name}_own, {self.name}_from, {listed})"

    def advance(self, steps: int) -> str:
        """The line that moves the place of a thread's entries on by so many steps."""
        return f"{self.name}_from = further({self.name}_from, {steps * (1 if self.is_by_steps else self.entries)})"

    def moved(self, turn: int) -> tuple[str, str, str]:
        """The first step and entry that a thread moves in a turn, and their place in the slab."""
        vector = self.vector
        if self.along_k:
            lanes = self.depth // vector
            step, entry = f"thread() % {lanes} * {vector}", f"thread() // {lanes} + {turn * (THREADS // lanes)}"
        elif self.is_by_steps:
            lanes = self.entries
            step = f"thread() // {lanes} * {vector} + {turn * (THREADS // lanes) * vector}"
            entry = f"thread() % {lanes}"
        else:
            lanes = self.entries // vector
            step, entry = f"thread() // {lanes} + {turn * (THREADS // lanes)}", f"thread() % {lanes} * {vector}"
        if not self.is_by_steps:
            return step, entry, f"({step}) * {self.entries} + {entry}"
        if self.group == 1:
            return step, entry, f"({entry}) * {self.apart} + {step}"
        gap = self.apart - self.group * self.depth
        return step, entry, f"({entry}) * {self.depth} + ({entry}) // {self.group} * {gap} + {step}"


def slabs(kernel: ProductKernel) -> tuple[Slab, Slab]:
    """Those of A and of B."""
    tile, itemsize = kernel.tile, np.dtype(kernel.dtype).itemsize
    widest = WIDEST // itemsize
    together = [widest if name in kernel.together else 1 for name in "ab"]
    return (
        Slab("a", tile.height, tile.rows, kernel.depth, itemsize, not kernel.transpose_a, together[0]),
        Slab("b", tile.width, tile.columns, kernel.depth, itemsize, kernel.transpose_b, together[1]),
    )


def depth_of(tile: Tile, k: int, itemsize: int, is_patches: bool) -> tuple[int, bool]:
    """Steps of k in shared memory, and whether these are all."""
    entries = tile.height + tile.width
    for depth in DEPTHS:
        if not is_patches and 0 < k <= depth and entries * (depth + WIDEST // itemsize) * itemsize <= MOST_SHARED:
            return depth, True
    return 16 if is_patches else max(16, min(64, 1024 // max(tile.height, tile.width))), False


def lines(kernel: ProductKernel, head: list[str], span: str, finish: list[str]) -> list[str]:
    """Lines of a product by tiles.

    Args:
        kernel: the product.
        head: the lines that give a block its K-blocks from ``first`` to ``last``, and the first row and column of its
            tile, ``i0`` and ``j0``.
        span: the line that gives K-block ``part`` its ``start`` and ``end``.
        finish: lines for the ``totals`` of a thread, in row ``ty`` and column ``tx`` of threads.
    """
    tile, (a, b) = kernel.tile, slabs(kernel)
    count, unit = tile.rows * tile.columns, WIDEST // a.itemsize
    sizes = {"totals": count, "a_own": unit * a.own, "b_own": unit * b.own}
    sizes |= {} if kernel.is_short else {"sums": count}
    loop = _one_slab(kernel, (a, b)) if kernel.is_short else _slab_after_slab(kernel, (a, b), span)
    return [
        *(f"{name} = stack({kernel.dtype!r}, {size})" for name, size in sizes.items()),
        f"a_slab = shared({kernel.dtype!r}, 0)",
        f"b_slab = shared({kernel.dtype!r}, {a.size * a.itemsize})",
        f"tx, ty = thread() % {tile.across}, thread() // {tile.across}",
        f"a_first, b_first = further(a_slab, ty * {a.apart}), further(b_slab, tx * {b.apart})",
        *head,
        f"clear(totals, {count})",
        *loop,
        *finish,
    ]


def _one_slab(kernel: ProductKernel, both: tuple[Slab, Slab]) -> list[str]:
    """Lines for all steps at once."""
    return [
        *(line for slab in both for line in _fetched(kernel, slab, "0", "k")),
        "barrier()",  # with what these threads did before
        *(line for slab in both for line in _laid_down(slab)),
        "barrier()",
        *_multiplied(kernel, both, "totals", "k"),
    ]


def _slab_after_slab(kernel: ProductKernel, both: tuple[Slab, Slab], span: str) -> list[str]:
    """Lines for K-blocks. While a slab is multiplied, the next one is on its way from memory to registers."""
    tile, depth = kernel.tile, kernel.depth
    count = tile.rows * tile.columns
    return [
        "part = first",
        "while part < last:",
        f"    clear(sums, {count})",
        f"    {span}",
        "    if start < end:",
        *(f"        {line}" for slab in both for line in _fetched(kernel, slab, "start", "end")),
        "    k0 = start",
        "    while k0 < end:",
        "        barrier()",
        *(f"        {line}" for slab in both for line in _laid_down(slab)),
        "        barrier()",
        f"        if k0 + {depth} < end:",
        *(f"            {line}" for slab in both for line in _fetched(kernel, slab, f"k0 + {depth}", "end")),
        f"        steps = min({depth}, end - k0)",
        *(f"        {line}" for line in _multiplied(kernel, both, "sums", "steps")),
        f"        k0 += {depth}",
        f"    add_all(totals, sums, {count}, part == first)",
        "    part += 1",
    ]


def _multiplied(kernel: ProductKernel, both: tuple[Slab, Slab], sums: str, steps: str) -> list[str]:
    """Lines that add the products of a slab's steps: many at a time, then those of one load, then the others."""
    tile = kernel.tile
    shape = f"{tile.rows}, {tile.columns}"

    def some(count: int, at_once: int) -> list[str]:
        parts = [
            [*(slab.take(step, at_once) for slab in both), f"multiply_add({sums}, a_own, b_own, {shape}, {at_once})"]
            for step in range(0, count, at_once)
        ]
        return [*(line for part in parts for line in part), *(slab.advance(count) for slab in both)]

    unit = WIDEST // both[0].itemsize
    lines = [f"left = {steps}", *(f"{slab.name}_from = {slab.name}_first" for slab in both)]
    several = max(1, min(16, UNROLLED // (tile.rows * tile.columns)) // unit) * unit
    for many in dict.fromkeys([several, unit]):
        lines += [f"while left >= {many}:", *(f"    {line}" for line in [*some(many, unit), f"left -= {many}"])]
    lines.append("if left > 0:")
    for few in (2, 1)[unit == 2 :]:
        lines += [f"    if left & {few}:", *(f"        {line}" for line in some(few, few))]
    return lines


def _fetched(kernel: ProductKernel, slab: Slab, k0: str, end: str) -> list[str]:
    """Lines that bring a thread's elements of a slab to registers. What lies outside of the operand is never used:
    the last ones are read instead."""
    lines, name, vector = [], slab.name, slab.vector
    first, limit = ("i0", "m") if name == "a" else ("j0", "j_end" if kernel.patches else "n")
    last_step, last_entry = (vector, 1) if slab.is_by_steps else (1, vector)
    for turn in range(slab.turns):
        step, entry, _ = slab.moved(turn)
        lines.append(f"step = min({k0} + {step}, {end} - {last_step})")
        lines.append(f"entry = min({first} + {entry}, {limit} - {last_entry})")
        row, column = ("entry", "step") if slab.along_k else ("step", "entry")
        target = f"{name}_next{turn}"
        if name == "a" and kernel.patches:
            lines.append(f"place = place_in_image({row}, {column}, group, lda, {', '.join(patches.NAMES)})")
            lines.append(f"{target} = a_at[place] if place >= 0 else T(0)")
            continue
        lines.append(f"place = {row} * ld{name} + {column}")
        if vector == 1:
            lines.append(f"{target} = {name}_at[place]")
        elif slab.is_kept:
            lines.append(f"{target} = neighbours({name}_at, place, {vector})")
        else:
            listed = ", ".join(f"{name}_at[place + {i} * ld{name}]" for i in range(vector))
            lines.append(f"{target} = ({listed})")
    return lines


def _laid_down(slab: Slab) -> list[str]:
    """Lines that store them to shared memory."""
    lines, name = [], slab.name
    for turn in range(slab.turns):
        place, value = slab.moved(turn)[2], f"{name}_next{turn}"
        put = f"put_neighbours({name}_slab, {place}, {value})"
        lines.append(put if slab.vector > 1 else f"{name}_slab[{place}] = {value}")
    if slab.entries * slab.depth < THREADS:
        return [f"if thread() < {slab.entries * slab.depth}:", *(f"    {line}" for line in lines)]
    return lines
