"""The runner's team: threads that order, end and fork, and what they leave behind."""

import gc
import os
import random
import sys
import threading
import time

import numpy as np
import pytest

from fastnet._kernels import abi
from fastnet.engine import _runner
from fastnet.engine.threads import get_num_threads, set_num_threads

from .launch_tables import (
    FOREVER,
    TIMEOUT,
    Bound,
    consume,
    count,
    launch,
    overwrite,
    produce,
    spoil,
    succeed,
    use_scratch,
    work,
    work_last,
    zeros,
)


@pytest.fixture(autouse=True)
def two_threads():
    set_num_threads(2)
    yield
    set_num_threads(2)


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


def test_a_team_that_mostly_waits_gives_way_to_one_thread():
    """As on a machine whose cores are busy; here one thread has all the work."""
    places = zeros(2)
    bound = Bound(launch(work_last, places, 100_000, fixed=2, flags=abi.BARRIER), scratch=64)
    bound.run()
    assert places[0] != places[1]
    deadline = time.monotonic() + TIMEOUT
    while places[0] != places[1]:
        assert time.monotonic() < deadline
        assert bound.run(total=100) == (100, _runner.OK)
    set_num_threads(2)  # asks anew
    bound.run()
    assert places[0] != places[1]


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
