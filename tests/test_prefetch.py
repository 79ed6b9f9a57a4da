"""The thread that pulls batches: how far ahead it is, when it ends, what it lets go."""

import _thread
import contextlib
import gc
import threading
import time

import numpy as np
import pytest

import fastnet
from fastnet.training import streams
from fastnet.training.prefetch import Prefetch

from .given_streams import Oops, X, Y, model, pieces

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.fixture
def clock(monkeypatch):
    """The time by which it is decided who pulls: only the test lets it pass."""
    passed = [0.0]
    monkeypatch.setattr(streams, "perf_counter", lambda: passed[0])
    return passed


class Uses(fastnet.callbacks.Callback):
    """Uses a second for each batch, and tells how many more there were by then."""

    def __init__(self, clock, made):
        self.clock, self.made, self.lead = clock, made, []

    def on_train_batch_end(self, batch, logs=None):
        self.clock[0] += 1
        self.lead.append(len(self.made) - batch - 1)


def test_batches_that_come_at_once_are_pulled_one_by_one(clock):
    """No thread is started, and none is ahead of the callback that uses a batch."""
    made = []

    def ready():
        for _ in range(40):
            clock[0] += 0.1  # a tenth of what is used: not more than a tenth of all
            made.append(threading.current_thread())
            yield X, Y

    uses = Uses(clock, made)
    model().fit(ready(), callbacks=[uses], verbose=0)
    assert uses.lead == [0] * 40
    assert set(made) == {threading.main_thread()}


def test_batches_that_become_slow_are_pulled_ahead_from_then_on(clock):
    """What counts is the share of the last few steps, however long all went well before."""
    made = []

    def ready():
        for k in range(60):
            clock[0] += 0.5 if 40 <= k < 44 else 0
            made.append(threading.current_thread())
            yield X, Y

    model().fit(ready(), callbacks=[Uses(clock, made)], verbose=0)
    assert set(made[:44]) == {threading.main_thread()}
    assert threading.main_thread() not in made[44:] and len(made) == 60


def test_batches_that_take_long_are_made_while_others_are_used(clock):
    """The thread is ahead of the callback that uses a batch, and never by more than it may."""
    made, four_more = [], threading.Event()

    def counting():
        for k in range(60):
            clock[0] += 0.5
            made.append(k)
            if k == 24:
                four_more.set()
            yield X, Y

    class Waits(Uses):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 20:
                assert four_more.wait(60)
            super().on_train_batch_end(batch, logs)

    uses = Waits(clock, made)
    model().fit(counting(), callbacks=[uses], verbose=0)
    assert uses.lead[20] >= 4
    assert max(uses.lead) <= streams._DEPTH + 2  # those that wait, the one in hand, the one being made


def test_large_batches_are_few():
    big = np.zeros((4, 2**23), np.float32)  # 128 MiB
    feed = streams.StreamSamples([(big, None)], lambda arrays: arrays)
    assert feed.depth == 2
    assert streams.StreamSamples([(X, Y)], lambda arrays: arrays).depth == streams._DEPTH


def test_a_pass_that_is_ended_early_waits_for_the_iterator():
    """The next pass may use the same one; where an error ends the pass, nobody waits for an iterator that hangs."""
    asked, may_go_on = threading.Event(), threading.Event()

    def items(wait):
        yield 0
        asked.set()
        wait()
        yield 1

    def passing(wait):
        with Prefetch(items(wait), 1) as queue:
            while taken := queue.take(1):
                yield taken

    def feeds():
        return [t for t in threading.enumerate() if t.name.startswith("fastnet-feed")]

    ended = passing(lambda: time.sleep(1.5))
    next(ended)
    asked.wait()
    ended.close()
    assert not feeds()

    asked.clear()
    failed = passing(may_go_on.wait)
    with pytest.raises(Oops), contextlib.closing(failed):
        next(failed)
        asked.wait()
        raise Oops
    assert len(feeds()) == 1
    may_go_on.set()
    feeds()[0].join()


def test_ctrl_c_ends_the_thread_and_the_model_stays():
    def waiting():
        yield from pieces()
        _thread.interrupt_main()
        time.sleep(0.3)
        yield X, Y
        time.sleep(0.3)
        yield from pieces() * 1000

    net = model()
    with pytest.raises(KeyboardInterrupt):
        net.fit(waiting(), verbose=0)
    net.fit(X, Y, verbose=0)


def test_an_iterator_that_hangs_does_not_keep_an_error_back():
    go_on = threading.Event()

    def hanging():
        yield from pieces()
        yield from pieces()
        go_on.wait()

    class Fails(fastnet.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 7:
                raise Oops

    with pytest.raises(Oops):
        model().fit(hanging(), callbacks=[Fails()], verbose=0)
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "fastnet-feed":
            thread.join()


def test_prefetch_gives_everything_in_order_and_then_the_error():
    def items():
        yield from range(1000)
        raise Oops

    with Prefetch(items(), 5) as queue:
        got = []
        with pytest.raises(Oops):
            while taken := queue.take(3):
                assert 1 <= len(taken) <= 3
                got += taken
    assert got == list(range(1000))
    with Prefetch(iter(()), 5) as queue:
        assert queue.take(9) == [] == queue.take(9)


def test_data_are_let_go():
    class Watched(np.ndarray):
        alive = 0

        def __del__(self):
            Watched.alive -= 1

    def watched():
        for x, y in pieces() * 5:
            Watched.alive += 1
            yield x.view(Watched), y

    net = model()
    net.fit(watched(), verbose=0)
    gc.collect()
    assert Watched.alive <= 0
