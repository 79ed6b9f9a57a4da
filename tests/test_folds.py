"""Sums over rows and over everything: accuracy, threads, odd sizes, NaN."""

import functools

import numpy as np
import pytest

from fastnet import layers, losses
from fastnet._kernels.chunks import CHUNK_ELEMENTS, CHUNK_ROWS
from fastnet._kernels.templates import folds
from fastnet.engine.bind import bind
from fastnet.engine.plan import Plan
from fastnet.testing.running import Run, threads

SIZES = [(1, 1), (255, 1), (256, 3), (257, 65), (1, 65), (513, 64), (CHUNK_ROWS * 4, 2), (1025, 7)]


def square(x):
    return x * x


def column_sums(x):
    """The sums of the columns, and how many launches were shared by two threads."""
    plan = Plan(True, x.dtype.name, len(x))
    source, total = plan.buffer(x.shape[1:]), plan.buffer(x.shape[1:], per_row=False)
    plan.call(folds.sum_rows, x=source, total=total)
    run = Run(plan, len(x), [source, total])
    run.set(source, x)
    run.steps(3)
    return run.get(total), run.shared(2), len(plan.launches)


def bias_gradient(x, n):
    """A bias's gradient, as a Dense layer adds it up, and how many launches were shared."""
    with threads(n):
        plan = Plan(True, "float32", len(x))
        layer = layers.Dense(x.shape[1])
        layer.connect((1,))
        plan.trained = frozenset([layer.bias])
        source = plan.buffer((1,))
        y = plan.apply(layer, source)
        dy = plan.like(y)
        plan.tape.backward(y, dy, source)
        gradient = plan.total_gradient(layer.bias)
        plan.launches[:] = [launch for launch in plan.launches if launch.name in ("sum_rows", "add_chunks")]
        bound = bind(plan, len(x), pinned=[dy, gradient])
        bound.read(dy, len(x))[...] = x
        bound.execution.run(0, len(x) * 3, len(x), 3, float("inf"))
        parts = [parts for *_, parts, _ in bound.execution.schedule(len(x), n)]
        return bound.read(gradient, len(x)).copy(), parts


@functools.cache
def million(width):
    return np.random.default_rng(0).uniform(0, 1, (1_000_000, width)).astype("float32")


@pytest.mark.parametrize("width", [1, 10])
def test_a_bias_gradient_over_a_million_rows(width):
    """Added one after the other float32 is off by 1e-4 and more."""
    x = million(width)
    wanted = x.sum(0, dtype=np.float64)
    one, alone = bias_gradient(x, 1)
    two, parts = bias_gradient(x, 2)
    assert np.abs(one / wanted - 1).max() <= 1e-6
    assert one.tobytes() == two.tobytes()
    assert set(alone) == {1} and parts[0] == 2  # the columns are few, but their chunks are many


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_that_cancel(sign):
    """Large numbers of both signs, whose sum is that of the small ones among them."""
    x = np.ones((10_001, 3), "float32")
    x[::2] = 3e7 * sign
    x[1::2] = -3e7 * sign
    x[-1] = 1.0
    assert column_sums(x)[0].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sums_of_any_size_on_any_number_of_threads(size, dtype):
    x = np.random.default_rng(size[0]).standard_normal(size).astype(dtype)
    results = []
    for n in (1, 2):
        with threads(n):
            results.append(column_sums(x)[0])
    # 64 rows are added in order: the rounding of 64 numbers.
    np.testing.assert_allclose(
        results[0], x.sum(0, dtype=np.longdouble), rtol=0, atol=64 * np.finfo(dtype).eps * size[0]
    )
    assert results[0].tobytes() == results[1].tobytes()


def test_rows_are_shared_out_by_chunks_and_columns_by_lanes():
    for shape, chunks in [((CHUNK_ROWS, 64), 1), ((CHUNK_ROWS + 1, 64), 2), ((1, 65), 2), ((3 * CHUNK_ROWS, 65), 6)]:
        plan = Plan(True, "float32", shape[0])
        plan.call(folds.sum_rows, x=plan.buffer(shape[1:]), total=plan.buffer(shape[1:], per_row=False))
        assert plan.launches[0].extent.at(shape[0]) == chunks
        # Sums of several chunks are added by a launch of its own.
        assert [launch.name for launch in plan.launches[1:]] == ["add_chunks"] * (shape[0] > CHUNK_ROWS)


def test_a_plan_for_many_rows_runs_for_few():
    """Sums of chunks that a small batch does not have are not added."""
    plan = Plan(True, "float64", 2000)
    x, total = plan.buffer((3,)), plan.buffer((3,), per_row=False)
    plan.call(folds.sum_rows, x=x, total=total)
    run, values = Run(plan, 2000, [x, total]), np.random.default_rng(0).random((2000, 3))
    run.set(x, values)
    for rows in (2000, 1, 255, 256, 257, 1999):
        run.bound.execution.run(0, rows, rows, 1, 0.0)
        np.testing.assert_allclose(run.get(total), values[:rows].sum(0), rtol=1e-13)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [3, 300, 1000])
def test_a_number_that_is_not_finite_reaches_its_own_column(rows, value):
    x = np.ones((rows, 65), "float32")
    x[rows // 2, 64] = value
    got = column_sums(x)[0]
    assert (got[:64] == rows).all()
    # What an infinite sum rounds away is NaN: not finite stays not finite.
    assert np.isnan(got[64]) if np.isnan(value) else not np.isfinite(got[64])


# ---- sums over everything


def total_of(x, weight=None, n=1):
    with threads(n):
        plan = Plan(True, x.dtype.name, len(x))
        source = plan.buffer(x.shape[1:])
        width = int(np.prod(x.shape[1:], dtype=int))
        sums = plan.chunk_sums(-width)
        given = {} if weight is None else {"weight": plan.buffer(x.shape[1:])}
        template = folds.sum_rule if weight is None else folds.sum_weighted
        operands = {"f": square, "x": source} if weight is None else {"values": source}
        plan.call(template, total=sums, **operands, **given)
        run = Run(plan, len(x), [source, sums, *given.values()])
        run.set(source, x)
        if weight is not None:
            run.set(given["weight"], weight)
        run.steps(64)
        return run.get(sums), run.shared(2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [(1,), (4095,), (4096,), (4097,), (63, 65), (64, 64), (300, 41), (1, 1)], ids=str)
def test_a_sum_over_all_elements(size, dtype):
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal(size).astype(dtype), rng.random(size).astype(dtype)
    for given, numbers in [(None, x.astype(float) ** 2), (weight, x.astype(float) * weight)]:
        (one, _), (two, _) = total_of(x, given), total_of(x, given, n=2)
        assert one.dtype == np.float64 and len(one) == -(-x.size // CHUNK_ELEMENTS)
        assert one.tobytes() == two.tobytes()
        # 64 lanes of 64 elements each are added in the dtype, and the lanes in float64.
        assert abs(one.sum() - numbers.sum()) <= 64 * np.finfo(dtype).eps * np.abs(numbers).sum()


def test_a_sum_over_everything_uses_both_threads():
    x = np.ones((400, 1000), "float32")
    sums, shared = total_of(x, n=2)
    assert sums.sum() == 400_000 and shared == 1


def test_nan_reaches_the_sum_of_its_chunk():
    x = np.ones((3, CHUNK_ELEMENTS), "float32")
    x[1, 77] = np.nan
    sums, _ = total_of(x)
    assert np.isnan(sums).tolist() == [False, True, False]


def test_a_loss_over_many_rows_is_exact():
    """400,000 rows of float32, added by chunks in float64."""
    rng = np.random.default_rng(2)
    y, x = rng.random((400_000, 1)).astype("float32"), rng.random((400_000, 1)).astype("float32")
    got = losses.MeanSquaredError()(y, x)
    assert got == pytest.approx(((x.astype(float) - y) ** 2).mean(), rel=1e-7)
