"""The runner against slow oracles: which parts run, in which order, and what a step leaves in the step block."""

import functools
import gc
import os
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from numba import cfunc, types
from numba.extending import intrinsic

from fastnet._kernels import abi
from fastnet.engine import _runner
from fastnet.engine.threads import cgroup_quota, default_num_threads, get_num_threads, set_num_threads

HUGE = 10**9  # picoseconds: a launch of this cost is worth every thread
FOREVER = float("inf")
TIMEOUT = 120  # seconds until a hang counts as one

INTS = types.CPointer(types.int64)


@intrinsic
def at(typingctx, address):
    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(INTS))

    return INTS(types.int64), generate


@functools.cache
def compiled(function):
    return cfunc(types.void(INTS, INTS, types.int64, types.int64, types.int64))(function)


def count(bases, args, rows, lo, hi):
    # args: counts (extent), grain, errors (1), extent
    counts = at(args[0])
    if lo % args[1] or (hi % args[1] and hi != args[3]):
        at(args[2])[0] += 1
    for i in range(lo, hi):
        counts[i] += 1


def record(bases, args, rows, lo, hi):
    # args: log of four int64 a call, its length so far
    step = at(bases[abi.STEP])
    log, length = at(args[0]), at(args[1])
    o = 4 * length[0]
    log[o], log[o + 1], log[o + 2], log[o + 3] = rows, step[abi.FIRST], step[abi.ITERATION], step[abi.RATE]
    length[0] += 1


def produce(bases, args, rows, lo, hi):
    # args: p (extent), delay: p[i] = ITERATION, written late by a part that changes from step to step
    iteration = at(bases[abi.STEP])[abi.ITERATION]
    p = at(args[0])
    for i in range(lo, hi):
        if (i + iteration) % 7 == 0:
            for _ in range(args[1]):
                p[i] = -1 - p[i]
        p[i] = iteration


def consume(bases, args, rows, lo, hi):
    # args: p (extent), errors (extent), extent: what the other end's thread wrote must be there
    iteration = at(bases[abi.STEP])[abi.ITERATION]
    p, errors, extent = at(args[0]), at(args[1]), args[2]
    for i in range(lo, hi):
        if p[extent - 1 - i] != iteration:
            errors[i] += 1


def overwrite(bases, args, rows, lo, hi):
    p = at(args[0])
    for i in range(lo, hi):
        p[i] = -5


def spoil(bases, args, rows, lo, hi):
    # args: the iteration whose loss is not finite
    step = at(bases[abi.STEP])
    if step[abi.ITERATION] == args[0] and lo == 0:
        step[abi.NONFINITE] = 1


def use_scratch(bases, args, rows, lo, hi):
    # args: addresses (extent), bytes / 8: fills the thread's scratch and says where it was
    scratch = at(bases[abi.SCRATCH])
    for i in range(lo, hi):
        at(args[0])[i] = bases[abi.SCRATCH]
        for j in range(args[1]):
            scratch[j] = i


def work(bases, args, rows, lo, hi):
    # args: out (extent), rounds
    out = at(args[0])
    for i in range(lo, hi):
        for _ in range(args[1]):
            out[i] = out[i] * 3 + 1


def launch(function, *args, per_row=0, unit=1, times=1, fixed=0, grain=1, cost=HUGE, flags=0, period=1):
    return function, args, (per_row, unit, times, fixed, grain, cost, flags, period)


class Bound:
    """A launch table in memory; args may be arrays (their address is passed) or numbers."""

    def __init__(self, *launches, scratch=0):
        self.table = np.zeros((len(launches), abi.COLUMNS), np.int64)
        self.step = np.zeros(abi.HEADER + 4, np.int64)
        keep = [launches]
        for row, (function, args, numbers) in zip(self.table, launches, strict=True):
            block = np.array([a.ctypes.data if isinstance(a, np.ndarray) else a for a in args] or [0], np.int64)
            keep.append(block)
            row[:] = compiled(function).address, block.ctypes.data, *numbers
        self.execution = _runner.Execution(self.table, [0, 0, self.step.ctypes.data, 0], self.step, scratch, keep)

    def run(self, first=0, total=1, batch=1, max_steps=10**9, seconds=FOREVER, times=None):
        return self.execution.run(first, total, batch, max_steps, seconds, times)


@pytest.fixture(autouse=True)
def two_threads():
    set_num_threads(2)
    yield
    set_num_threads(2)


def zeros(n=1):
    return np.zeros(n, np.int64)


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
    bound = Bound(
        launch(work, zeros(8), 20, fixed=8),
        launch(work, zeros(8), 200_000, fixed=8, flags=abi.BARRIER),
        launch(work, zeros(8), 20, fixed=0),
        launch(work, zeros(8), 20, fixed=8, flags=abi.BARRIER),
    )
    start = time.perf_counter()
    assert bound.run(total=5, times=times) == (5, _runner.OK)
    elapsed = time.perf_counter() - start
    assert times[2] == 0
    assert (times[[0, 1, 3]] > 0).all()
    assert times.sum() <= elapsed
    if threads == 1:  # several may have to wait for a core in a short launch, too
        assert times[1] > 10 * (times[0] + times[3])
    once = times.copy()
    bound.run(total=5, times=times)
    assert (times[[0, 1, 3]] > once[[0, 1, 3]]).all()


# --- threads ---


def ordered(extent):
    p, errors = zeros(extent), zeros(extent)
    launches = (
        launch(produce, p, 40, fixed=extent, flags=abi.BARRIER),
        launch(consume, p, errors, extent, fixed=extent, flags=abi.BARRIER),
        launch(overwrite, p, fixed=extent, flags=abi.BARRIER),
        # One thread's work between two parallel ones: its barrier is left out, and must come later.
        launch(produce, p, 40, fixed=extent, cost=1, flags=abi.BARRIER),
        launch(work, zeros(), 1, fixed=1, flags=abi.BARRIER),
        launch(consume, p, errors, extent, fixed=extent),
    )
    return Bound(*launches), errors


@pytest.mark.parametrize(("threads", "steps"), [(1, 100), (2, 5000), (3, 1000), (5, 500)])
def test_barriers_order_producer_and_consumer(threads, steps):
    set_num_threads(threads)
    bound, errors = ordered(40)
    assert bound.run(total=steps) == (steps, _runner.OK)
    assert errors.sum() == 0


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_short_runs_one_after_another(threads):
    # A thread that was off its core finds the next run begun where it waited for the end of the last.
    set_num_threads(threads)
    counts = [zeros(15), zeros(15)]
    bounds = [Bound(launch(count, c, 1, zeros(), 15, fixed=15), launch(spoil, -1, fixed=1)) for c in counts]
    for number in range(1, 1001):
        for bound, c in zip(bounds, counts, strict=True):
            assert bound.run() == (1, _runner.OK)
            np.testing.assert_array_equal(c, number)


def test_two_python_threads_at_once():
    bounds = [ordered(40) for _ in range(4)]
    failures = []

    def go(bound):
        try:
            for _ in range(40):
                assert bound.run(total=50) == (50, _runner.OK)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=go, args=(bound,)) for bound, _ in bounds]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(TIMEOUT)
        assert not worker.is_alive()
    assert not failures
    assert all(errors.sum() == 0 for _, errors in bounds)


def running(bound, **options):
    """A thread in which ``bound`` runs until :func:`stop`, and has begun to."""
    thread = threading.Thread(target=bound.run, kwargs={"total": 2**60}, **options)
    thread.start()
    while not bound.step[abi.ITERATION]:
        time.sleep(0.001)
    return thread


def stop(bound, thread):
    assert thread.is_alive()
    deadline = time.monotonic() + TIMEOUT
    while thread.is_alive() and time.monotonic() < deadline:
        bound.step[abi.NONFINITE] = 1  # the next step clears it, unless this one sees it
        thread.join(0.0001)
    assert not thread.is_alive()


def test_one_execution_runs_once_at_a_time():
    bound, _ = ordered(40)
    thread = running(bound)
    with pytest.raises(RuntimeError, match="one execution for each thread"):
        bound.run()
    stop(bound, thread)
    assert bound.run() == (1, _runner.OK)


def test_the_gil_is_free_during_a_run():
    bound, _ = ordered(40)
    thread = running(bound)
    seen = bound.step[abi.ITERATION]
    while bound.step[abi.ITERATION] == seen:
        time.sleep(0.001)
    stop(bound, thread)


def team():
    return sum(thread.name.startswith("fastnet-") for thread in threading.enumerate())


def test_the_team_grows_when_needed_and_shrinks():
    out = zeros(12)
    bound = Bound(launch(work, out, 1, fixed=12))
    expected = zeros(12)
    before = team()
    for threads in (1, 4, 2, 7, 1, 3):
        set_num_threads(threads)
        assert get_num_threads() == threads
        assert {width for *_, width, _ in bound.execution.schedule(1)} == {threads if threads != 7 else 6}
        bound.run(total=3)
        for _ in range(3):
            expected = expected * 3 + 1
        np.testing.assert_array_equal(out, expected)
    assert team() == max(before, 5)  # 12 units on 7 threads are 6 parts of 2


def test_executions_leave_nothing_behind():
    resource = pytest.importorskip("resource")

    def thousand():
        for _ in range(1000):
            bound = Bound(launch(use_scratch, zeros(4), 8, fixed=4), scratch=100_000)
            bound.run(total=2)
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    thousand()
    threads = threading.active_count()
    peak = thousand()
    assert thousand() - peak < 4_000 * (1024 if sys.platform == "darwin" else 1)  # leaked scratch would be 200 MB
    assert threading.active_count() == threads


def test_memory_lives_as_long_as_its_execution():
    class Kept:
        pass

    kept = Kept()
    step = np.zeros(abi.HEADER, np.int64)
    before = sys.getrefcount(kept)
    execution = _runner.Execution(zeros((0, abi.COLUMNS)), [0, 0, step.ctypes.data, 0], step, 0, kept)
    assert sys.getrefcount(kept) == before + 1
    assert execution.run(0, 4, 2, 10, FOREVER) == (2, _runner.OK)
    del execution
    assert sys.getrefcount(kept) == before


# --- processes ---


def in_process(function, **environment):
    folder = os.path.dirname(os.path.abspath(__file__))
    code = f"import sys; sys.path.insert(0, {folder!r}); import test_runner; test_runner.{function.__name__}()"
    root = os.path.dirname(folder)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, **environment}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, timeout=TIMEOUT, capture_output=True, text=True, env=environment)


def succeed(function, **environment):
    done = in_process(function, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fork_and_run(bounds):
    child = os.fork()
    if child == 0:
        good = all(bound.run(first=0, total=50) == (50, 0) for bound, _ in bounds)
        good = good and sum(errors.sum() for _, errors in bounds) == 0 and team() == 2
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0


def child_fork_idle():
    set_num_threads(3)
    bound = ordered(40)
    bound[0].run(total=50)
    time.sleep(0.01)
    for _ in range(5):
        fork_and_run([bound])
    assert bound[0].run(total=50) == (50, 0)


def child_fork_while_running():
    set_num_threads(3)
    busy, fresh = ordered(40), ordered(40)
    thread = running(busy[0])
    for _ in range(5):
        fork_and_run([fresh, busy])
    stop(busy[0], thread)
    assert busy[1].sum() == 0


def child_exit_parked():
    set_num_threads(4)
    ordered(40)[0].run(total=50)
    time.sleep(0.2)


def child_exit_spinning():
    set_num_threads(4)
    ordered(40)[0].run(total=50)


def child_exit_while_running():
    set_num_threads(3)
    running(ordered(40)[0], daemon=True)


def child_run_as_workers_fall_asleep():
    # Pauses around the time after which a worker parks: it spins, is about to sleep, or sleeps.
    set_num_threads(3)
    counts, generator = zeros(9), random.Random(5)
    bound = Bound(launch(count, counts, 1, zeros(), 9, fixed=9))
    for number in range(1, 5001):
        until = time.perf_counter() + generator.uniform(30e-6, 90e-6)
        while time.perf_counter() < until:
            pass
        assert bound.run() == (1, _runner.OK)
        np.testing.assert_array_equal(counts, number)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")


@needs_fork
@pytest.mark.parametrize("function", [child_fork_idle, child_fork_while_running])
def test_fork(function):
    succeed(function)


def test_no_wake_up_is_lost():
    succeed(child_run_as_workers_fall_asleep)


@pytest.mark.parametrize("function", [child_exit_parked, child_exit_spinning, child_exit_while_running])
def test_exit(function):
    succeed(function)


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


@pytest.mark.parametrize("bad", [0, -1, 2.0, "2", None, True, 2**31])
def test_set_num_threads_refuses(bad):
    with pytest.raises(ValueError, match="integer of at least 1"):
        set_num_threads(bad)
    assert get_num_threads() == 2


@pytest.fixture
def environment(monkeypatch):
    def put(**variables):
        for name in ("FASTNET_NUM_THREADS", "OMP_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def test_number_of_threads_from_the_environment(environment):
    environment(FASTNET_NUM_THREADS="3", OMP_NUM_THREADS="5")
    assert default_num_threads() == 3
    environment(OMP_NUM_THREADS=" 4 ,2")
    assert default_num_threads() == 4
    environment(FASTNET_NUM_THREADS="", OMP_NUM_THREADS="7")
    assert default_num_threads() == 7
    environment()
    assert 1 <= default_num_threads() <= os.cpu_count()


@pytest.mark.parametrize("name", ["FASTNET_NUM_THREADS", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("bad", ["0", "-2", "two", "1.5", "²", "99999999999"])
def test_bad_environment_is_named(environment, name, bad):
    environment(**{name: bad})
    with pytest.raises(ValueError, match=f"{name}.*at least 1"):
        default_num_threads()


def child_print_threads():
    print(get_num_threads())


def test_a_process_takes_its_number_from_the_environment():
    assert succeed(child_print_threads, FASTNET_NUM_THREADS="6").strip() == "6"
    done = in_process(child_print_threads, FASTNET_NUM_THREADS="six")
    assert "FASTNET_NUM_THREADS must be an integer of at least 1, got 'six'" in done.stderr


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, 10.0**9),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 10.0**9),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "9 1\n", "sys/fs/cgroup/cpu.max": "2 1\n"}, 2.0),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5),
        (
            {
                "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/docker/1\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            10.0**9,
        ),
    ],
)
def test_control_group_quota(tmp_path, files, quota):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert cgroup_quota(tmp_path) == quota
