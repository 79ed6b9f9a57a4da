"""The runner against slow oracles: which parts run, in which order, and what a step leaves in the step block."""

import ctypes
import random
import time

import numpy as np
import pytest

from fastnet._kernels import abi
from fastnet.engine import _runner
from fastnet.engine.threads import set_num_threads

from .launch_tables import HUGE, Bound, count, launch, record, spoil, use_scratch, work, zeros


@pytest.fixture(autouse=True)
def two_threads():
    set_num_threads(2)
    yield
    set_num_threads(2)


# --- schedules ---


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("rows", [1, 7, 13, 64, 101])
@pytest.mark.parametrize("grain", [1, 4, 16])
def test_every_unit_of_an_extent_is_worked_on_once(threads, rows, grain):
    set_num_threads(threads)
    errors, cases, launches = zeros(), [], []
    for per_row, unit, times, fixed in [(1, 1, 1, 0), (3, 8, 1, 0), (1, 5, 7, 2), (0, 1, 1, 11), (0, 1, 1, 0)]:
        extent = times * -(-rows * per_row // unit) + fixed
        counts = zeros(extent + 64)
        cases.append((extent, counts))
        numbers = {"per_row": per_row, "unit": unit, "times": times, "fixed": fixed, "grain": grain}
        launches.append(launch(count, counts, grain, errors, extent, **numbers, flags=abi.BARRIER))
    assert Bound(*launches).run(total=rows * 3, batch=rows) == (3, _runner.OK)
    for extent, counts in cases:
        np.testing.assert_array_equal(counts[:extent], 3)
        np.testing.assert_array_equal(counts[extent:], 0)
    assert errors[0] == 0


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 64])
@pytest.mark.parametrize("rows", [0, 1, 7, 97])
def test_schedule_tells_the_parts(threads, rows):
    bound = Bound(launch(work, zeros(), 0, per_row=2, grain=8), launch(work, zeros(), 0, fixed=3))
    parts = bound.execution.schedule(rows, threads)
    assert [k for k, *_ in parts] == ([0, 1] if rows else [1])
    for k, extent, chunk, width, _ in parts:
        assert extent == (2 * rows if k == 0 else 3)
        assert chunk % (8 if k == 0 else 1) == 0
        assert (width - 1) * chunk < extent <= width * chunk
        assert width <= threads


def test_small_work_stays_on_one_thread():
    bound = Bound(
        launch(work, zeros(1000), 1, fixed=1000, cost=100),
        launch(work, zeros(1000), 1, fixed=1000, cost=10**5),
    )
    widths = [width for _, _, _, width, _ in bound.execution.schedule(1, 8)]
    assert widths[0] == 1
    assert widths[1] == 8


def test_a_serial_plan_has_no_barriers():
    bound = Bound(*[launch(work, zeros(9), 1, fixed=9, cost=1, flags=abi.BARRIER) for _ in range(9)])
    assert not any(barrier for *_, barrier in bound.execution.schedule(1, 8))


def test_a_first_launch_needs_no_barrier():
    bound = Bound(launch(work, zeros(9), 1, fixed=9, flags=abi.BARRIER), launch(work, zeros(9), 1, fixed=9))
    assert [barrier for *_, barrier in bound.execution.schedule(1, 4)] == [False, False]


def test_barriers_order_what_the_flags_ask_for():
    # Of two launches with a flag behind the first and not behind the second, thread 0 did both, or a barrier stands
    # between them.
    generator = random.Random(3)
    for _ in range(300):
        launches = []
        for _ in range(generator.randrange(1, 12)):
            fixed, flags = generator.choice([0, 1, 1, 5, 5]), generator.choice([0, 0, abi.BARRIER, abi.CHECK])
            launches.append(launch(work, zeros(), 0, fixed=fixed, flags=flags))
        entries = Bound(*launches).execution.schedule(1, 3)
        for b, (later, *_, later_width, _) in enumerate(entries):
            for a, (earlier, *_, earlier_width, _) in enumerate(entries[:b]):
                asked = any(launches[k][2][6] for k in range(earlier + 1, later + 1))
                if asked and max(later_width, earlier_width) > 1:
                    assert any(barrier for *_, barrier in entries[a + 1 : b + 1])


# --- steps ---


def recorder(calls, **numbers):
    log, length = zeros(4 * calls), zeros()
    return launch(record, log, length, fixed=1, **numbers), log.reshape(-1, 4), length


def test_steps_go_through_the_rows_with_a_short_last_batch():
    recording, log, length = recorder(10)
    bound = Bound(recording)
    bound.step[abi.ITERATION] = 40
    assert bound.run(first=3, total=20, batch=8) == (3, _runner.OK)
    np.testing.assert_array_equal(log[: length[0], :3], [[8, 3, 40], [8, 11, 41], [1, 19, 42]])
    assert bound.step[abi.ITERATION] == 43


@pytest.mark.parametrize(("first", "total", "max_steps"), [(0, 0, 5), (7, 7, 5), (9, 7, 5), (0, 7, 0)])
def test_nothing_to_do(first, total, max_steps):
    recording, _, length = recorder(1)
    bound = Bound(recording)
    assert bound.run(first, total, 3, max_steps) == (0, _runner.OK)
    assert length[0] == 0
    assert bound.step.sum() == 0


def test_max_steps_and_going_on():
    recording, log, length = recorder(10)
    bound = Bound(recording)
    assert bound.run(total=10, batch=4, max_steps=2) == (2, _runner.OK)
    assert bound.run(first=8, total=10, batch=4, max_steps=2) == (1, _runner.OK)
    np.testing.assert_array_equal(log[: length[0], :2], [[4, 0], [4, 4], [2, 8]])


def test_a_batch_larger_than_the_data():
    recording, log, _ = recorder(2)
    assert Bound(recording).run(total=5, batch=2**40) == (1, _runner.OK)
    assert log[0, 0] == 5


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_time_ends_a_run_after_one_step(seconds):
    recording, _, length = recorder(5)
    assert Bound(recording).run(total=5, seconds=seconds) == (1, _runner.OK)
    assert length[0] == 1


def test_seconds_end_an_endless_run():
    steps, status = Bound(launch(work, zeros(2), 1000, fixed=2)).run(total=2**60, seconds=0.5)
    assert steps > 1
    assert status == _runner.OK


@pytest.mark.parametrize("threads", [1, 3])
def test_period(threads):
    set_num_threads(threads)
    often, seldom = zeros(6), zeros(6)
    recording, log, length = recorder(10, period=3)
    bound = Bound(
        launch(count, often, 1, zeros(), 6, fixed=6),
        launch(count, seldom, 1, zeros(), 6, fixed=6, period=3, flags=abi.BARRIER),
        recording,
    )
    bound.step[abi.ITERATION] = 1
    bound.run(total=10)
    np.testing.assert_array_equal(often, 10)
    np.testing.assert_array_equal(seldom, 3)
    assert log[: length[0], 2].tolist() == [2, 5, 8]  # the steps behind 3k - 1 others


def test_rates_are_read_from_the_table_of_this_call():
    recording, log, length = recorder(10)
    bound = Bound(recording)
    rates = np.array([0.5, 0.25, 0.125])
    bound.step[abi.RATE] = np.float64(3.0).view(np.int64)
    bound.run(total=1)
    bound.step[abi.RATES], bound.step[abi.RATES_COUNT] = rates.ctypes.data, 3
    bound.run(total=5)
    bound.run(total=1)
    assert log[: length[0], 3].copy().view(np.float64).tolist() == [3.0, 0.5, 0.25, 0.125, 0.125, 0.125, 0.5]


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("cost", [1, HUGE])
@pytest.mark.parametrize("size", [0, 9])
def test_check_stops_before_its_launch(threads, cost, size):
    # The loss comes from one thread or several, and the launch behind it may be empty.
    set_num_threads(threads)
    before, after = zeros(9), zeros(9)
    bound = Bound(
        launch(count, before, 1, zeros(), 9, fixed=9),
        launch(spoil, 5, fixed=9, cost=cost),
        launch(work, zeros(9), 1, fixed=size, cost=cost, flags=abi.CHECK),
        launch(count, after, 1, zeros(), 9, fixed=9),
    )
    assert bound.run(total=100) == (5, _runner.CHECKED)
    np.testing.assert_array_equal(before, 6)
    np.testing.assert_array_equal(after, 5)
    assert bound.step[abi.ITERATION] == 5
    assert bound.step[abi.NONFINITE] == 1
    bound.step[abi.ITERATION] = 6  # past it
    assert bound.run(first=6, total=100) == (94, _runner.OK)
    assert bound.step[abi.NONFINITE] == 0


def test_nonfinite_without_check_ends_the_run_after_the_step():
    bound = Bound(launch(spoil, 5, fixed=9))
    assert bound.run(total=100) == (6, _runner.NONFINITE_STEP)
    assert bound.step[abi.ITERATION] == 6


def test_scratch_is_private_and_aligned():
    set_num_threads(5)
    places = zeros(5)
    bound = Bound(launch(use_scratch, places, 1000, fixed=5), scratch=8000)
    bound.run(total=3)
    assert all(place % 64 == 0 for place in places)
    assert np.diff(np.sort(places)).min() >= 8000 + 64


@pytest.mark.parametrize("threads", [1, 3])
def test_times_of_each_launch(threads):
    set_num_threads(threads)
    times = np.zeros(4)
    kernel = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)(lambda *_: time.sleep(0.02))
    bound = Bound(
        launch(work, zeros(8), 20, fixed=8),
        launch(ctypes.cast(kernel, ctypes.c_void_p).value, fixed=8, flags=abi.BARRIER),
        launch(work, zeros(8), 20, fixed=0),
        launch(work, zeros(8), 20, fixed=8, flags=abi.BARRIER),
    )
    start = time.perf_counter()
    assert bound.run(total=5, times=times) == (5, _runner.OK)
    elapsed = time.perf_counter() - start
    assert times[2] == 0
    assert (times[[0, 1, 3]] > 0).all()
    assert times.sum() <= elapsed
    assert times[1] > 5 * 0.019  # however busy the machine: a sleep is never shorter, but for the grain of its clock
    once = times.copy()
    bound.run(total=5, times=times)
    assert (times[[0, 1, 3]] > once[[0, 1, 3]]).all()


# --- contracts and the number of threads ---


def test_broken_tables_are_refused():
    good = Bound(launch(work, zeros(), 1, fixed=1))
    bases = [0, 0, good.step.ctypes.data, 0]

    def bind(table=good.table, bases=bases, step=good.step):
        return _runner.Execution(table, bases, step)

    bind()
    with pytest.raises(ValueError, match="10 columns, got 9"):
        bind(np.ascontiguousarray(good.table[:, :9]))
    with pytest.raises(ValueError, match="4 memory spaces, got 3"):
        bind(bases=bases[:3])
    with pytest.raises(ValueError, match="16 slots, got 7"):
        bind(step=good.step[:7])
    with pytest.raises(ValueError, match="address of the step block"):
        bind(bases=[0, 0, 8, 0])
    for column, what in [(abi.UNIT, "UNIT"), (abi.GRAIN, "GRAIN"), (abi.PERIOD, "PERIOD"), (abi.FN, "no kernel")]:
        table = good.table.copy()
        table[0, column] = 0
        with pytest.raises(ValueError, match=f"Launch 0.*{what}"):
            bind(table)
    with pytest.raises(ValueError, match="batch must be at least 1"):
        good.run(batch=0)
    with pytest.raises(ValueError, match="times must have 1 elements, got 2"):
        good.run(times=np.zeros(2))
