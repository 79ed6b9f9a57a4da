"""The matrix product of the CPU, seen from a plan: its argument block, its parallel axis, its scratch and its cost.

    C[M, N] = op(A)[M, K] @ op(B)[K, N] (+ bias[N])      then ReLU, then an epilogue, tile by tile

One kernel for each dtype serves every transposition and shape:

    forward          y (rows, units) = x (rows, inputs) @ w (inputs, units)       M = ROWS
    input gradient   dx (rows, inputs) = dy (rows, units) @ w^T                   M = ROWS, trans_b
    weight gradient  dw (inputs, units) = x^T @ dy                                K = ROWS, trans_a

Every element is summed in one fixed order: k is cut into blocks of KC = 384 (the last has 193 to 576 steps), each is
summed from zero in order of k, and the sums are added in order; then the bias.
Tile, blocks, copies, threads and vector width never show in the bits. One exception: where A is one row and B is
transposed, the elements of a block are summed in 64 bytes of lanes (`one_row`), and the row has other bits than among
other rows.

A may be a matrix of patches of an image: those products have a kernel of their own (`cpu.convolution`).

Where C has few columns, they would fill a part of a vector only. Then the kernel computes the transposed C = op(B)^T
op(A)^T, whose vectors are rows of C, in the same order of k, and transposes it back.

The parallel axis counts blocks of C, MB x NB each, column of blocks by column of blocks.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path

from fastnet._kernels.chunks import k_blocks
from fastnet._kernels.compile import Source
from fastnet._kernels.cpu import tuning
from fastnet._kernels.cpu.blocking import KC_LAST, SCRATCH_ROWS, Tile, nc_bytes
from fastnet._kernels.cpu.processor import LINE, SIZES, cache, shared_set
from fastnet._kernels.window import GROUPS, Window

ROWS = -1  # as M or K: the rows of the call; -2 is twice as many, and so on
# Positions in the argument block.
A, B, C, LDA, LDB, LDC, M, N, K, BIAS, FLAGS, EPILOGUE, EPILOGUE_ARGS, MB, NB, CHUNKS, WINDOW = range(17)
TRANS_A, TRANS_B, RELU, IN_SCRATCH, PACK_A, PACK_B, FEW_COLUMNS, SPLIT_K, PATCHES, SCATTERED = (
    1 << i for i in range(10)
)  # FLAGS

GROUP = 256  # bytes of a row of C between two calls of the epilogue, in blocks too large for the first-level cache
EPILOGUE_BYTES = 16384  # bytes of C the epilogue gets at once

_PADS = 64 * LINE  # between panels
NC_BYTES = max(nc_bytes(False), nc_bytes(True))
SCRATCH_C = SCRATCH_ROWS * NC_BYTES
SCRATCH_A = 512 * KC_LAST + _PADS  # MC_BYTES of a column, rounded up to tiles, and those to full vectors
SCRATCH_B = NC_BYTES * KC_LAST + _PADS
_NAMES = (
    "gemm_kernel.py", "gemm.py", "gemm_intrinsics.py", "micro_kernel.py", "packing.py", "blocking.py", "one_row.py",
    "emit.py", "processor.py",
)  # fmt: skip
_FILES = tuple(str((Path(__file__).parent / name).resolve()) for name in _NAMES)


@lru_cache(maxsize=16)
def source(dtype: str, tile: Tile | None = None) -> Source:
    """The kernel of a dtype, "float32" or "float64"; with another tile than this machine's, for tests."""
    chosen = dataclasses.astuple(tile or tuning.tile(dtype))
    bound = f'DTYPE = "{dtype}"\nTILE = {chosen}\nNC_BYTES = {NC_BYTES}\n'
    return Source(f"gemm_{dtype}", bound, lambda: bound + Path(_FILES[0]).read_text(encoding="utf-8"), _FILES)


def scratch_bytes() -> int:
    """Bytes of thread-private scratch a call needs, for any shape and dtype."""
    in_front = 2 * LINE  # up to the boundary of a line, and a line for the ranges that tiles fetch
    return in_front + SCRATCH_C + SCRATCH_A + SCRATCH_B


def blocks(m: int, n: int, k: int, dtype: str, copies_a: bool = False, in_scratch: bool = False) -> tuple[int, int]:
    """Rows and columns of a block of C: about a million operations each, up to 64 blocks.

    Columns are divided first, because a column of blocks shares a packed panel of B; where A is copied too, rows are
    divided, and a panel of A meets as many columns as fit.
    """
    size = SIZES[dtype]
    m, n = max(1, m), max(1, n)
    wanted = max(1, min(64, 2 * m * n * k * size // 4_000_000))
    columns = nc_bytes(copies_a) // size
    while not copies_a and columns * size > GROUP and -(-n // columns) * -(-m // 48) < min(wanted, 16):
        columns //= 2
    down = min(-(-wanted // -(-n // columns)), -(-m // 24))
    rows = min(-(-m // down), SCRATCH_ROWS) if in_scratch else -(-m // down)
    down = -(-m // rows)
    if down > 1 and down * -(-n // columns) % 2:
        rows = -(-m // (down + 1))  # an even number, so that two threads have the same to do
    return rows, min(columns, n)


def arguments(
    a: int,
    b: int,
    c: int,
    *,
    m: int,
    n: int,
    k: int,
    dtype: str,
    lda: int | None = None,
    ldb: int | None = None,
    ldc: int | None = None,
    trans_a: bool = False,
    trans_b: bool = False,
    bias: int | None = None,
    relu: bool = False,
    in_scratch: bool = False,
    split: bool = False,
    chunks: int = 1,
    epilogue: int = 0,
    epilogue_args: int = 0,
    rows: int = 32,
    block: tuple[int, int] | None = None,
    pack: tuple[bool, bool] | None = None,
    few_columns: bool | None = None,
    window: Window | None = None,
) -> list[int]:
    """The argument block of a product.

    Args:
        a, b, c: references to the first elements; c is not read where ``in_scratch``.
        m, n, k: sizes; one of m and k may be `ROWS`, or a multiple of it.
        lda, ldb, ldc: elements from one stored row to the next; by default rows lie back to back.
        trans_a: A is stored as (K, M).
        trans_b: B is stored as (N, K).
        bias: reference to N elements, added to every row.
        relu: ``0 if c < 0 else c`` last, so NaN stays.
        in_scratch: C is not written to memory: its block lies in scratch, and only the epilogue sees it.
        split: the sums of the K-blocks are written side by side, N elements apart, and not added.
        chunks: of K-blocks; the sums of each lie behind those of the one before.
        epilogue: address of a function with the signature of an epilogue (`fastnet._kernels.abi`), called on finished
            parts of C; its ``ld`` is ldc, or where ``in_scratch`` that of the scratch tile.
        epilogue_args: address of the epilogue's own argument block.
        rows: the batch size expected where m or k is `ROWS`; for choosing blocks only.
        block: rows and columns of a block, instead of `blocks`.
        pack: whether A and B (stored plain) are copied, into packed panels or to other distances, instead of `packs`.
            Transposed B always is.
        few_columns: whether the transposed product is computed, instead of `has_few_columns`.
        window: A is the patch matrix of images whose pixels are lda elements apart. The n columns are those of all its
            groups.

    Raises:
        ValueError: m and k both `ROWS`, or an unknown lda or ldb; in_scratch without epilogue; a block
            beyond the scratch.
    """
    if m < 0 and k < 0:
        raise ValueError("gemm: m and k are both ROWS; one of them must be a size")
    if in_scratch and not epilogue:
        raise ValueError("gemm: in_scratch=True needs an epilogue: C is in scratch only")
    mm, kk = (rows * -size if size < 0 else size for size in (m, k))
    copies_a, groups = trans_a or window is not None, window.groups if window else 1
    depth = kk // (k_blocks(kk) if split else chunks)
    mb, nb = block or blocks(mm, n // groups, depth, dtype, copies_a, in_scratch)
    if nb * SIZES[dtype] > NC_BYTES or (in_scratch and mb > SCRATCH_ROWS):
        raise ValueError(f"gemm: a block of {mb} x {nb} {dtype} does not fit the scratch")
    lda = lda or (m if trans_a else k)
    ldb = ldb or (k if trans_b else n)
    if min(lda, ldb) < 0:
        raise ValueError("gemm: the rows of an operand are ROWS long; give lda or ldb")
    few = not (split or window) and (has_few_columns(mm, n, dtype, trans_a) if few_columns is None else few_columns)
    pack_a, pack_b = pack or packs(mm, n, dtype, lda, trans_a, few)
    flags = (
        TRANS_A * trans_a
        | TRANS_B * trans_b
        | RELU * relu
        | IN_SCRATCH * in_scratch
        | PACK_A * pack_a
        | PACK_B * (pack_b and not trans_b)
        | FEW_COLUMNS * few
        | SPLIT_K * split
        | PATCHES * (window is not None)
        | SCATTERED * (window is not None and window.is_scattered)
    )
    ldc = ldc or n
    numbers = window.numbers() if window else []
    bias = -1 if bias is None else bias
    return [a, b, c, lda, ldb, ldc, m, n, k, bias, flags, epilogue, epilogue_args, mb, nb, chunks, *numbers]


def packs(m: int, n: int, dtype: str, lda: int, trans_a: bool, few: bool) -> tuple[bool, bool]:
    """Whether packing A and B pays.

    Rows of A that share a set of the cache are copied. Else, measured on Zen 3 in GF/s, packed against in place: y
    32x128x784 82 92; 64x512x512 88 85; 128x512x784 87 78; dw 784x128x32 84 85; 512x512x128 91 72 (where columns lie
    2 KiB apart, and share a few cache sets).
    """
    tile = tuning.tile(dtype)
    if trans_a:
        return n >= 256, m >= 48
    rows = tile.lanes(dtype) if few else tile.rows
    return (few or n >= 64) and shared_set(lda * SIZES[dtype], rows) > cache(1).ways, m >= 48


def has_few_columns(m: int, n: int, dtype: str, trans_a: bool) -> bool:
    """Whether the transposed product, whose vectors are rows of C, leaves fewer lanes empty, and by far.

    A tile that transposes A in registers reads an element of B for each multiply-add. Vectors of up to 32 bytes are
    multiplied as fast as two elements are read: 70 GF/s of 120, where vectors of 64 bytes reach 109.
    """
    tile = tuning.tile(dtype)
    lanes = tile.lanes(dtype)
    filled_rows, filled_columns = (-(-size // lanes) * lanes for size in (m, n))
    overhead = 1.1 if trans_a or tile.width > 32 else 1.5
    return n <= 3 * lanes and overhead * filled_rows * n <= m * filled_columns


def parts(args: list[int]) -> int:
    """The number of parts of K whose sums are not added."""
    return k_blocks(args[K]) if args[FLAGS] & SPLIT_K else args[CHUNKS]


def extent(args: list[int]) -> tuple[int, int, int, int]:
    """``(per_row, unit, times, fixed)`` of the launch: blocks = times * ceil(rows * per_row / unit) + fixed."""
    groups = args[WINDOW + GROUPS] if args[FLAGS] & PATCHES else 1
    across = -(-args[N] // groups // args[NB]) * groups * parts(args)
    if args[M] < 0:
        return -args[M], args[MB], across, 0
    return 0, 1, 0, across * -(-args[M] // args[MB])


def cost(args: list[int], dtype: str, rows: int) -> int:
    """Estimated picoseconds of one block, its epilogue not counted: 80 GF/s in float32, and 30 ns to get going."""
    k = (rows * -args[K] if args[K] < 0 else args[K]) // parts(args)
    m = min(rows * -args[M] if args[M] < 0 else args[M], args[MB])
    return 30_000 + 2 * m * min(args[N], args[NB]) * k * (12 if dtype == "float32" else 24)
