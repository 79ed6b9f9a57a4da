"""The products of a convolution on the CPU, seen from a plan: argument block and parallel axis are those of `cpu.gemm`.

    forward          y = P(x) @ w             M = pixels of y
    input gradient   dx = P(dy) @ w, flipped  M = pixels of x, which the stride may divide into several products
    weight gradient  dw = P(x)^T @ dy         K = pixels of y

P is the matrix of an image's patches (`fastnet._kernels.window`), which is nowhere in memory: what a part of it holds
is copied to scratch (`cpu.patches`). Every element is summed in the order of `cpu.gemm`; the bits are those of the
product of an explicit matrix.

Where the weight gradient has fewer columns than a vector has lanes, the kernel computes its transpose.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path

from fastnet._kernels.compile import Source
from fastnet._kernels.cpu import gemm, tuning
from fastnet._kernels.cpu.blocking import KC_LAST, VECTORS, Tile
from fastnet._kernels.cpu.processor import LINE, target

# Where lines of the image are copied, and not patches:
LEAST_POSITIONS = 4  # of a line of results, which tiles do not cross
RUN_BYTES = 1280  # that a row of taps reads, its run, at most: longer runs are copied for fewer columns

CHUNK_BYTES = 384  # of a column of patches: where lines of results are divided, positions of a part
FETCHED_BYTES = 4096  # of a line of the image that is fetched ahead, at most
LINES_BYTES = 48 << 10  # of lines in scratch at once, unless one line of results reads more
SHARED_LINES_BYTES = 256 << 10  # of lines that all rows of taps share in a weight gradient, at most
MOST_SWAPPED = 2048  # rows of a weight gradient of few columns in scratch at once
TABLE = 4096  # bytes of the table of segments: 24 for each line of results, or of taps, behind two ranges
# The steps of a K-block, of which each has a run or less, and the pixels beside each line.
SCRATCH_A = KC_LAST * RUN_BYTES + (KC_LAST // LEAST_POSITIONS + 2) * (RUN_BYTES + LINE) + 64 * LINE
SCRATCH_TRANSPOSED = LINE * MOST_SWAPPED + 64 * 2 * LINE
_NAMES = (
    "convolution_kernel.py", "convolution.py", "patches.py", "lines.py", "gemm.py", "gemm_intrinsics.py",
    "micro_kernel.py", "packing.py", "blocking.py", "emit.py", "processor.py", "../window.py",
)  # fmt: skip
_FILES = tuple(str((Path(__file__).parent / name).resolve()) for name in _NAMES)


def tile(dtype: str) -> Tile:
    """The tile: vectors as wide as those of the product, and as many rows as the registers hold.

    Copied rows do not lie a multiple of 4 KiB apart, for which the product's tile has fewer (`blocking.candidates`). On
    Sapphire Rapids 14 rows are 0 to 8 % faster than 8 forward, and 9 to 13 % for the weight gradient. A tile of one
    vector reads an element for each multiply-add; more than 16 rows are not faster.
    """
    most = target().accumulators
    return Tile(tuning.tile(dtype).width, most // VECTORS, min(16, most))


@lru_cache(maxsize=2)
def source(dtype: str) -> Source:
    """The kernel of a dtype, "float32" or "float64"."""
    bound = f'DTYPE = "{dtype}"\nTILE = {dataclasses.astuple(tile(dtype))}\n'
    return Source(f"convolution_{dtype}", bound, lambda: bound + Path(_FILES[0]).read_text(encoding="utf-8"), _FILES)


def scratch_bytes() -> int:
    """Bytes of thread-private scratch a call needs, for any shape and dtype."""
    return LINE + TABLE + gemm.SCRATCH_C + SCRATCH_A + gemm.SCRATCH_B + SCRATCH_TRANSPOSED


def swaps(rows: int, columns: int, lanes: int) -> bool:
    """Whether the transpose of a weight gradient is computed: its vectors are elements of patches."""
    return columns <= lanes < rows <= MOST_SWAPPED
