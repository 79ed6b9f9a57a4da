"""The matrix product against sums in float64 and longdouble, and the promises about its bits and its bounds."""

from __future__ import annotations

import ctypes
import itertools

import numpy as np
import pytest

from fastnet._kernels import chunks
from fastnet._kernels import compile as compiler
from fastnet._kernels.cpu import blocking, gemm, processor

I64 = ctypes.c_int64
KERNEL = ctypes.CFUNCTYPE(None, *[I64] * 5)
EPILOGUE = ctypes.CFUNCTYPE(None, *[I64] * 8)
DTYPES = ["float32", "float64"]
TRANSPOSITIONS = list(itertools.product([False, True], repeat=2))
SIZES = [1, 2, 3, 5, 7, 13, 17, 31, 64, 97, 128, 257]
GUARD = 12345.0


def at(array: np.ndarray) -> int:
    """The kernel argument that names an array."""
    return array.ctypes.data << 3


def guarded(rows: int, columns: int, dtype: str, ld: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A matrix inside a larger one full of guard values: (memory, matrix)."""
    ld = ld or columns
    memory = np.full(rows * ld + 128, GUARD, dtype)
    return memory, np.lib.stride_tricks.as_strided(
        memory[64:], (rows, columns), (ld * memory.itemsize, memory.itemsize)
    )


def run(a, b, c, trans_a=False, trans_b=False, parts=(), rows_are=None, tile=None, **options) -> None:
    """c = op(a) @ op(b), in the given parts of the parallel axis (fractions), from the buffers as they lie."""
    (k, m) = a.shape if trans_a else a.shape[::-1]
    n = c.shape[1]
    size = c.itemsize
    sizes = {"m": m, "n": n, "k": k}
    rows = 0 if rows_are is None else sizes[rows_are]
    if rows_are:
        sizes[rows_are] = gemm.ROWS
    args = gemm.arguments(
        at(a), at(b), at(c), **sizes, dtype=c.dtype.name, lda=a.strides[0] // size, ldb=b.strides[0] // size,
        ldc=c.strides[0] // size, trans_a=trans_a, trans_b=trans_b, **options,
    )  # fmt: skip
    per_row, unit, times, fixed = gemm.extent(args)
    extent = times * -(-rows * per_row // unit) + fixed
    block = np.array(args, np.int64)
    kernel = KERNEL(compiler.load(gemm.source(c.dtype.name, tile)))
    scratch = np.full(gemm.scratch_bytes() + 64, 171, np.uint8)
    bases = np.array([0, 0, 0, scratch.ctypes.data], np.int64)
    edges = [0, *(round(extent * p) for p in parts), extent]
    for lo, hi in itertools.pairwise(edges):
        kernel(bases.ctypes.data, block.ctypes.data, rows, lo, hi)
    assert (scratch[-64:] == 171).all()


def operands(m, n, k, dtype, trans_a, trans_b, seed=0, pad=0):
    random = np.random.default_rng(seed)
    shapes = ((k, m) if trans_a else (m, k)), ((n, k) if trans_b else (k, n))
    out = []
    for rows, columns in shapes:
        _, matrix = guarded(rows, columns, dtype, max(1, columns + pad))
        matrix[:] = random.standard_normal((rows, columns))
        out.append(matrix)
    return out


def product(a, b, trans_a, trans_b, dtype):
    """The oracle: numpy's own sum in a wider type."""
    wide = np.float64 if dtype == "float32" else np.longdouble
    a, b = a.astype(wide), b.astype(wide)
    return (a.T if trans_a else a) @ (b.T if trans_b else b)


def tolerance(a, b, trans_a, trans_b, dtype):
    """A sum of K products is off by at most K roundings of the sum of magnitudes; blocks and luck make it far less."""
    k = a.shape[0] if trans_a else a.shape[1]
    return (k + 4) * np.finfo(dtype).eps * (product(abs(a), abs(b), trans_a, trans_b, dtype) + 1)


def check(c, expected, allowed):
    error = np.abs(c.astype(np.longdouble) - expected)
    assert (error <= allowed).all(), f"error {error.max()}, allowed {np.max(allowed)}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (4, 64), (17, 385), (97, 1000)])
def test_row_alone_has_the_bits_of_a_row_among_others(n, k, dtype):
    a, b = operands(5, n, k, dtype, False, False, pad=3)
    _, together = guarded(5, n, dtype)
    run(a, b, together)
    for row in range(5):
        memory, alone = guarded(1, n, dtype)
        run(a[row : row + 1], b, alone)
        np.testing.assert_array_equal(alone[0], together[row])
        assert (memory[:64] == GUARD).all() and (memory[64 + n :] == GUARD).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSITIONS)
def test_one_row_in_any_parts(dtype, trans_a, trans_b):
    """Sizes around its eight rows of B at once, its vectors, its 64 bytes of lanes and the blocks of k."""
    sizes = {(n, k) for n in (1, 2, 3, 4, 5, 8, 9, 16, 33) for k in (1, 7, 8, 9, 15, 16, 17, 31, 40)}
    for (n, k), pad in itertools.product(sorted(sizes | {(259, 385), (131, 961), (1030, 576)}), (0, 3)):
        a, b = operands(1, n, k, dtype, trans_a, trans_b, pad=pad)
        memory, c = guarded(1, n, dtype)
        run(a, b, c, trans_a, trans_b)
        check(c, product(a, b, trans_a, trans_b, dtype), tolerance(a, b, trans_a, trans_b, dtype))
        assert (memory[:64] == GUARD).all() and (memory[64 + n :] == GUARD).all()
        for block, parts in ((None, [0.2, 0.5, 0.7]), ((1, 16), [0.4]), ((3, 5), []), ((1, 1), [0.5])):
            memory, again = guarded(1, n, dtype)
            run(a, b, again, trans_a, trans_b, parts=parts, block=block)
            np.testing.assert_array_equal(again, c)
            assert (memory[:64] == GUARD).all() and (memory[64 + n :] == GUARD).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_of_a_row_times_a_transposed_matrix(dtype):
    """64 bytes of lanes, of which the upper half is added to the lower one until one is left, block of k by block;
    products are exact here."""
    lanes = 64 // np.dtype(dtype).itemsize
    for k in (1, lanes - 1, lanes, lanes + 1, 100, 384, 577, 961):
        random = np.random.default_rng(k)
        a = np.exp2(random.integers(-8, 8, (1, k))).astype(dtype)
        b = random.standard_normal((11, k)).astype(dtype)
        _, c = guarded(1, 11, dtype)
        run(a, b, c, trans_b=True)
        edges = [*range(0, k - 192, 384), k] if k > 576 else [0, k]
        expected = np.zeros(11, dtype)
        for lo, hi in itertools.pairwise(edges):
            sums = np.zeros((11, lanes), dtype)
            for first in range(lo, hi, lanes):
                part = (a * b)[:, first : min(first + lanes, hi)]
                sums[:, : part.shape[1]] += part
            while sums.shape[1] > 1:
                sums = sums[:, : sums.shape[1] // 2] + sums[:, sums.shape[1] // 2 :]
            expected = expected + sums[:, 0] if lo else sums[:, 0]
        np.testing.assert_array_equal(c[0], expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("trans_b", [False, True])
def test_nan_and_inf_in_one_row(dtype, trans_b):
    """Each stays in its column, also behind the tile's product with 1."""
    a, b = operands(1, 37, 40, dtype, False, trans_b)
    columns = b if trans_b else b.T
    columns[3, 5], columns[20, 39], columns[36, 0] = np.nan, np.inf, -np.inf
    _, c = guarded(1, 37, dtype)
    run(a, b, c, trans_b=trans_b)
    expected = product(a, b, False, trans_b, dtype)
    assert np.flatnonzero(~np.isfinite(c[0])).tolist() == [3, 20, 36]
    np.testing.assert_array_equal(c[0, [3, 20, 36]], expected[0, [3, 20, 36]].astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSITIONS)
@pytest.mark.parametrize(
    ("pack", "few_columns"),
    [((False, False), False), ((True, False), False), ((False, True), False), ((True, True), False), (None, None),
     ((False, False), True), ((True, True), True)],
)  # fmt: skip
def test_every_shape(dtype, trans_a, trans_b, pack, few_columns):
    """All triples would be 1728 products; each size meets each position, and neighbours of many kinds."""
    shapes = {(SIZES[i], SIZES[(i * 5 + s) % 12], SIZES[(i * 7 + 3 * s) % 12]) for i in range(12) for s in range(12)}
    for m, n, k in sorted(shapes):
        a, b = operands(m, n, k, dtype, trans_a, trans_b)
        memory, c = guarded(m, n, dtype)
        run(a, b, c, trans_a, trans_b, pack=pack, few_columns=few_columns)
        check(c, product(a, b, trans_a, trans_b, dtype), tolerance(a, b, trans_a, trans_b, dtype))
        assert (memory[:64] == GUARD).all() and (memory[64 + m * n :] == GUARD).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSITIONS)
@pytest.mark.parametrize("k", [383, 384, 385, 575, 576, 577, 960, 961, 1200])
def test_blocks_of_k(dtype, trans_a, trans_b, k):
    a, b = operands(37, 45, k, dtype, trans_a, trans_b)
    _, c = guarded(37, 45, dtype)
    run(a, b, c, trans_a, trans_b)
    check(c, product(a, b, trans_a, trans_b, dtype), tolerance(a, b, trans_a, trans_b, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "n", "k"), [(1, 64, 577), (5, 97, 784), (32, 128, 784), (33, 70, 1024), (3, 1, 385)])
@pytest.mark.parametrize("cut", [(), (0.3,), (0.5,)])
def test_k_blocks_side_by_side(dtype, m, n, k, cut):
    """Each is the product of its block alone, and their sum in order has the bits of the whole product."""
    a, b = operands(m, n, k, dtype, False, False)
    count = chunks.k_blocks(k)
    memory, sums = guarded(m, count * n, dtype)
    run(a, b, sums[:, :n], split=True, parts=cut)
    assert (memory[64 + sums.size :] == GUARD).all() and (memory[:64] == GUARD).all()
    whole, total = np.zeros((m, n), dtype), 0
    run(a, b, whole)
    for block in range(count):
        first, last = block * chunks.KC, (block + 1) * chunks.KC if block < count - 1 else k
        alone = np.zeros((m, n), dtype)
        run(np.ascontiguousarray(a[:, first:last]), np.ascontiguousarray(b[first:last]), alone, few_columns=False)
        np.testing.assert_array_equal(sums[:, block * n : (block + 1) * n], alone)
        total = total + alone
    np.testing.assert_array_equal(total, whole)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (1, 37, 700), (13, 10, 7), (32, 64, 400), (150, 300, 70)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("few_columns", [False, True])
def test_what_follows_the_sum(dtype, m, n, k, bias, relu, few_columns):
    a, b = operands(m, n, k, dtype, False, False)
    memory, c = guarded(m, n, dtype, ld=n + 3)
    random = np.random.default_rng(1)
    c[:] = random.standard_normal((m, n))
    shift = random.standard_normal(n).astype(dtype)
    expected = product(a, b, False, False, dtype) + (shift if bias else 0)
    run(a, b, c, bias=at(shift) if bias else None, relu=relu, few_columns=few_columns)
    check(c, np.maximum(expected, 0) if relu else expected, tolerance(a, b, False, False, dtype))
    between = memory[64 : 64 + m * (n + 3)].reshape(m, n + 3)[:, n:]
    assert (between == GUARD).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSITIONS)
def test_rows_apart(dtype, trans_a, trans_b):
    a, b = operands(70, 83, 65, dtype, trans_a, trans_b, pad=5)
    memory, c = guarded(70, 83, dtype, ld=96)
    run(a, b, c, trans_a, trans_b)
    check(c, product(a, b, trans_a, trans_b, dtype), tolerance(a, b, trans_a, trans_b, dtype))
    assert (memory[64 : 64 + 70 * 96].reshape(70, 96)[:, 83:] == GUARD).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_sum_gives_the_bias(dtype):
    shift = np.arange(20, dtype=dtype) - 10
    _, c = guarded(9, 20, dtype)
    run(np.zeros((9, 0), dtype), np.zeros((0, 20), dtype), c, bias=at(shift), relu=True)
    np.testing.assert_array_equal(c, np.broadcast_to(np.maximum(shift, 0), (9, 20)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_rows(dtype):
    """A batch of none: the forward product has no blocks, the weight gradient is zero."""
    args = gemm.arguments(0, 0, 0, m=gemm.ROWS, n=20, k=9, dtype=dtype)
    per_row, unit, times, fixed = gemm.extent(args)
    assert times * -(-0 * per_row // unit) + fixed == 0
    memory, dw = guarded(9, 20, dtype)
    run(np.zeros((0, 9), dtype), np.zeros((0, 20), dtype), dw, trans_a=True, rows_are="k", rows=32)
    np.testing.assert_array_equal(dw, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 7, 32, 50])
def test_rows_of_the_call(dtype, rows):
    """One argument block, bound for batches of 32, serves the short last batch and a larger one."""
    x, w = operands(rows, 70, 90, dtype, False, False)
    _, y = guarded(rows, 70, dtype)
    run(x, w, y, rows_are="m", rows=32)
    check(y, product(x, w, False, False, dtype), tolerance(x, w, False, False, dtype))
    _, dw = guarded(90, 70, dtype)
    run(x, y, dw, trans_a=True, rows_are="k", rows=32)
    check(dw, product(x, y, True, False, dtype), tolerance(x, y, True, False, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("few_columns", [False, True])
def test_nan_and_inf_go_where_they_belong(dtype, value, relu, few_columns):
    a, b = operands(20, 37, 40, dtype, False, False)
    a[3, 5] = value
    b[7, 11] = value
    _, c = guarded(20, 37, dtype)
    run(a, b, c, relu=relu, few_columns=few_columns)
    with np.errstate(invalid="ignore"):
        expected = product(a, b, False, False, dtype)
    if relu:
        expected = np.where(expected < 0, 0, expected)
    np.testing.assert_array_equal(np.isnan(c), np.isnan(expected))
    np.testing.assert_array_equal(np.isposinf(c), np.isposinf(expected))
    np.testing.assert_array_equal(np.isneginf(c), np.isneginf(expected))
    assert np.isfinite(np.delete(np.delete(c, 3, 0), 11, 1)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSITIONS)
def test_bits_do_not_depend_on_blocks_or_threads(dtype, trans_a, trans_b):
    m, n, k = 131, 203, 700
    a, b = operands(m, n, k, dtype, trans_a, trans_b)
    _, reference = guarded(m, n, dtype)
    run(a, b, reference, trans_a, trans_b, block=(m, 128))
    random = np.random.default_rng(3)
    for block in [(1, 1), (2, 3), (7, 16), (13, 17), (64, 64), (131, 100), (200, 128), None]:
        for pack in [(False, False), (True, True)]:
            _, c = guarded(m, n, dtype)
            parts = np.sort(random.random(6))
            run(a, b, c, trans_a, trans_b, parts=parts, block=block, pack=pack)
            np.testing.assert_array_equal(c, reference)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSITIONS)
def test_bits_do_not_depend_on_tile_or_copies(dtype, trans_a, trans_b):
    """Every tile a processor may choose, operands in place or copied, and the transposed product."""
    size = np.dtype(dtype).itemsize
    for m, n, k in [(37, 10, 1200), (70, 83, 580), (16, 4, 64), (3, 5, 7), (100, 40, 4096 // size)]:
        a, b = operands(m, n, k, dtype, trans_a, trans_b)
        shift = np.random.default_rng(1).standard_normal(n).astype(dtype)
        _, reference = guarded(m, n, dtype)
        run(a, b, reference, trans_a, trans_b, pack=(False, False), few_columns=False, bias=at(shift), relu=True)
        for tile in blocking.candidates(processor.target()):
            for pack, few in itertools.product([(False, False), (True, True)], [False, True]):
                memory, c = guarded(m, n, dtype)
                run(a, b, c, trans_a, trans_b, tile=tile, pack=pack, few_columns=few, bias=at(shift), relu=True)
                np.testing.assert_array_equal(c, reference)
                assert (memory[:64] == GUARD).all() and (memory[64 + m * n :] == GUARD).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_are_sums_in_the_order_promised(dtype):
    """Blocks of 384 (the last 193 to 576), each from zero in order of k; products are exact here, so that a processor
    without fused multiply-add gives the same."""
    m, n = 9, 21
    for k in (1, 100, 384, 576, 577, 960, 961):
        random = np.random.default_rng(k)
        a = np.exp2(random.integers(-8, 8, (m, k))).astype(dtype)
        b = random.standard_normal((k, n)).astype(dtype)
        _, c = guarded(m, n, dtype)
        run(a, b, c)
        edges = [*range(0, k - 192, 384), k] if k > 576 else [0, k]
        expected = np.zeros((m, n), dtype)
        for lo, hi in itertools.pairwise(edges):
            part = np.zeros((m, n), dtype)
            for i in range(lo, hi):
                part += a[:, i, None] * b[i]
            expected = expected + part if lo else part
        np.testing.assert_array_equal(c, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_the_blocks_asked_for_are_written(dtype):
    m, n, k, block = 50, 90, 33, (20, 32)
    a, b = operands(m, n, k, dtype, False, False)
    expected = np.full((m, n), GUARD, dtype)
    run(a, b, expected, block=block)
    args = gemm.arguments(at(a), at(b), 0, m=m, n=n, k=k, dtype=dtype, block=block, lda=k, ldb=n)
    kernel = KERNEL(compiler.load(gemm.source(dtype)))
    scratch = np.zeros(gemm.scratch_bytes(), np.uint8)
    bases = np.array([0, 0, 0, scratch.ctypes.data], np.int64)
    down, across = 3, 3
    assert gemm.extent(args) == (0, 1, 0, down * across)
    for lo, hi in itertools.combinations_with_replacement(range(down * across + 1), 2):
        c = np.full((m, n), GUARD, dtype)
        args[gemm.C] = at(c)
        block_of = np.array(args, np.int64)
        kernel(bases.ctypes.data, block_of.ctypes.data, 0, lo, hi)
        for index in range(down * across):
            part = np.s_[index % down * 20 : index % down * 20 + 20, index // down * 32 : index // down * 32 + 32]
            np.testing.assert_array_equal(c[part], expected[part] if lo <= index < hi else GUARD)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("in_scratch", [False, True])
@pytest.mark.parametrize(("m", "n", "k"), [(5, 6, 7), (1, 300, 600), (200, 300, 64), (200, 300, 600), (97, 31, 1)])
@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("few_columns", [False, True])
def test_epilogue_sees_every_element_once(dtype, in_scratch, m, n, k, trans_a, few_columns):
    a, b = operands(m, n, k, dtype, trans_a, False)
    memory, c = guarded(m, n, dtype)
    seen, count = np.zeros((m, n), dtype), np.zeros((m, n), int)
    own = np.array([7, 8], np.int64)
    kind = ctypes.c_float if dtype == "float32" else ctypes.c_double
    problems = []

    def note(bases, args, tile, ld, i0, i1, j0, j1):
        if args != own.ctypes.data or not bases:
            problems.append((bases, args))
        for i in range(i0, i1):
            row = (kind * (j1 - j0)).from_address(tile + (i - i0) * ld * c.itemsize)
            seen[i, j0:j1] = row
            count[i, j0:j1] += 1
            row[:] = [0.0] * (j1 - j0)

    note = EPILOGUE(note)
    address = ctypes.cast(note, ctypes.c_void_p).value
    run(
        a,
        b,
        c,
        trans_a,
        in_scratch=in_scratch,
        few_columns=few_columns,
        epilogue=address,
        epilogue_args=own.ctypes.data,
        parts=[0.3, 0.6],
    )
    assert not problems
    assert (count == 1).all()
    check(seen, product(a, b, trans_a, False, dtype), tolerance(a, b, trans_a, False, dtype))
    assert (c == (GUARD if in_scratch else 0)).all()
    assert (memory[:64] == GUARD).all() and (memory[64 + m * n :] == GUARD).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_fit_their_scratch(dtype):
    size = np.dtype(dtype).itemsize
    for m, n, k in itertools.product([0, 1, 10, 128, 784, 4096], repeat=3):
        for trans_a, in_scratch in itertools.product([False, True], repeat=2):
            mb, nb = gemm.blocks(m, n, k, dtype, trans_a, in_scratch)
            assert mb >= 1 and 1 <= nb * size <= gemm.NC_BYTES
            assert not in_scratch or mb <= gemm.SCRATCH_ROWS


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="both ROWS"):
        gemm.arguments(0, 0, 0, m=gemm.ROWS, n=2, k=gemm.ROWS, dtype="float32")
    with pytest.raises(ValueError, match="lda or ldb"):
        gemm.arguments(0, 0, 0, m=2, n=2, k=gemm.ROWS, dtype="float32")
    with pytest.raises(ValueError, match="needs an epilogue"):
        gemm.arguments(0, 0, 0, m=2, n=2, k=2, dtype="float32", in_scratch=True)
    with pytest.raises(ValueError, match="does not fit"):
        gemm.arguments(0, 0, 0, m=2, n=999, k=2, dtype="float32", block=(2, 999))
