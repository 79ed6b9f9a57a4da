"""Sizes of the matrix product's blocks, named as BLIS names them and said once.

========  =============================================================================================================
MR x NR   the tile: sums in registers; MR rows, VECTORS vectors of columns (`Tile`, measured on each machine: `tuning`)
KC        steps of k summed in a row. The last block has KC/2 + 1 to 3 KC/2. It decides the bits (`chunks`)
MC        rows of a panel of A that stays in the second-level cache beside a block of B
NC        columns of a block of B in the second-level cache
MB x NB   the block of C that is one unit of the parallel axis (`gemm.blocks`)
========  =============================================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

from fastnet._kernels.chunks import KC
from fastnet._kernels.cpu.processor import SIZES, Target, cache

KC_LAST = KC * 3 // 2  # steps of the last block, at most
VECTORS = 2  # of a tile's row
MC_BYTES = 192  # of a column of A
MC_TRANSPOSED = 512  # bytes of a column of C whose transpose is in scratch at once
SCRATCH_ROWS = 320  # rows of C in scratch at once, at most


@dataclass(frozen=True)
class Tile:
    """The tile of a processor.

    Args:
        width: bytes of a vector.
        rows: MR, rows of a tile.
        single_rows: rows of a tile whose columns are one vector: more, where that keeps as many sums in flight.
    """

    width: int
    rows: int
    single_rows: int

    def lanes(self, dtype: str) -> int:
        """Elements of a vector."""
        return self.width // SIZES[dtype]


def candidates(target: Target) -> tuple[Tile, ...]:
    """The tiles worth measuring on a processor, those that compile fastest first.

    Rows that lie a multiple of 4 KiB apart share one set of the first-level cache, which holds 8 to 12 lines: fewer
    rows than registers allow may be faster (1024^3 on Zen 4: 84 GF/s with 14 rows in place, 107 with 8). Vectors of 512
    bits are not faster than of 256 where multiply-adds of 512 are issued in halves.
    """
    if target.width == 64:
        return Tile(64, 8, 8), Tile(32, 6, 12), Tile(64, 14, 14)
    if target.accumulators > 12:
        return Tile(target.width, 8, 12), Tile(target.width, 12, 12)
    return (Tile(target.width, 6, 12),)


def transposed_columns(target: Target) -> int:
    """Columns of a tile of the transposed C, at most: the registers also hold a block that is being transposed."""
    return min(12, target.accumulators - 2)


def nc_bytes(packs_a: bool) -> int:
    """NC in bytes, at most three quarters of the second-level cache for a block of B.

    Wider blocks pack A^T less often, but leave less room: on Zen 4 (1 MiB) in float64 against OpenBLAS 1024^3 with A^T
    0.95 with 2048 and 0.89 with 1024, 256x1024x1040 with A in place 0.96 and 1.01.
    """
    columns = 2048 if packs_a else 1024
    while columns > 256 and columns * KC > cache(2).bytes * 3 // 4:
        columns //= 2
    return columns
