"""Winograd's convolution of the CPU (`rules.winograd`), seen from a plan: argument block, parallel axis, scratch, cost.

The taps come transformed: (36 points, panels, channels, 32) for panels of 32 results. A unit of the parallel axis is
up to TILES tiles of 4 by 4 results: their pixels are brought to the points, 36 matrix products follow, and their
results are brought back, with bias, ReLU and epilogue, all in scratch that stays in the second-level cache.

The channels are summed as k is in every product (`cpu.gemm`). Tiles and threads never show in the bits.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from fastnet._kernels.compile import Source
from fastnet._kernels.cpu import gemm, tuning
from fastnet._kernels.cpu.processor import LINE, SIZES
from fastnet._kernels.window import CHANNELS, GRADIENT_TILES, POSITIONS, TapGroups, Window

TILES = 24  # of a unit, at most: pixels and products of 64 channels take 450 KB
_NAMES = (
    "winograd_kernel.py", "winograd_gradient_kernel.py", "winograd.py", "winograd_tiles.py", "winograd_intrinsics.py",
    "gemm.py", "gemm_intrinsics.py", "micro_kernel.py", "packing.py", "blocking.py", "emit.py", "processor.py",
    "../window.py", "../rules/winograd.py",
)  # fmt: skip
_FILES = tuple(str((Path(__file__).parent / name).resolve()) for name in _NAMES)


def source(dtype: str) -> Source:
    """The kernel of a dtype."""
    return _source(f"winograd_{dtype}", dtype, _FILES[0])


def tap_source(dtype: str) -> Source:
    """The kernel of the products from which the gradient of the taps follows."""
    return _source(f"tap_products_{dtype}", dtype, _FILES[1])


def _source(name: str, dtype: str, file: str) -> Source:
    bound = f'DTYPE = "{dtype}"\nTILE = {dataclasses.astuple(tuning.tile(dtype))}\n'
    return Source(name, bound, lambda: bound + Path(file).read_text(encoding="utf-8"), _FILES)


def scratch_bytes(args: list[int], dtype: str) -> int:
    """Bytes of thread-private scratch a call needs."""
    channels, columns = args[gemm.WINDOW + CHANNELS], args[gemm.N]
    planes = 36 * (args[gemm.MB] * (channels + columns) * SIZES[dtype] + 2 * LINE)
    return planes + 36 * max(channels, columns) * SIZES[dtype] + 5 * LINE


def _tiles(args: list[int]) -> int:
    """Tiles of an image."""
    height, width = args[gemm.WINDOW + POSITIONS + 1 : gemm.WINDOW + POSITIONS + 3]
    return -(-height // 4) * -(-width // 4)


def extent(args: list[int]) -> tuple[int, int, int, int]:
    """``(per_row, unit, times, fixed)`` of the launch, as `gemm.extent`."""
    return _tiles(args), args[gemm.MB], 1, 0


def unit(window: Window, rows: int) -> int:
    """Tiles of a unit: at least 16 units for small batches, so that threads have about the same to do."""
    return max(8, min(TILES, -(-rows * window.tiles // 16)))


def cost(args: list[int]) -> int:
    """Estimated picoseconds of a unit, its epilogue not counted: 80 GF/s, and as long for the transforms as for 20
    channels."""
    channels, columns = args[gemm.WINDOW + CHANNELS], args[gemm.N]
    return 72 * args[gemm.MB] * (channels * columns + 20 * (channels + columns)) * 12


def tap_arguments(a: int, b: int, c: int, lda: int, ldb: int, window: Window, groups: TapGroups) -> list[int]:
    """The argument block of the products from which the gradient of the taps follows, laid out as a product's.

    Args:
        a, b, c: references to images, gradient and products.
        lda, ldb: elements from one pixel to the next.
        window: over the images.
        groups: the parts, which are the units of the parallel axis.
    """
    sizes = [groups.down, groups.across, groups.chunk_count]
    return [a, b, c, lda, ldb, 0, *sizes, -1, 0, 0, 0, groups.channels, groups.columns, 1, *window.numbers()]


def tap_scratch_bytes(groups: TapGroups, dtype: str) -> int:
    """Bytes of thread-private scratch a call needs."""
    both = groups.channels + groups.columns
    return 36 * (GRADIENT_TILES * both * SIZES[dtype] + 2 * LINE) + 36 * both * SIZES[dtype] + 5 * LINE


def tap_cost(groups: TapGroups, tiles: int) -> int:
    """Estimated picoseconds of a part of so many tiles."""
    of_part = -(-tiles // groups.chunk_count)
    return 72 * of_part * (groups.channels * groups.columns + 20 * (groups.channels + groups.columns)) * 12
