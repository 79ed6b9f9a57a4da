"""The thread that pulls batches: how far ahead it is, when it ends, what it lets go."""

import _thread
import gc
import threading
import time

import numpy as np
import pytest

import fastnet
from fastnet.engine import feeding
from fastnet.engine.prefetch import Prefetch

from .streams import Oops, X, Y, model, pieces

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_batches_that_come_at_once_are_pulled_one_by_one():
    """No thread is started, and none is ahead of the callback that uses a batch."""
    lead, threads, made = [], set(), 0

    def ready():
        nonlocal made
        for _ in range(40):
            made += 1
            threads.add(threading.current_thread())
            yield X, Y

    class Slow(fastnet.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.005)
            lead.append(made - batch - 1)

    model().fit(ready(), callbacks=[Slow()], verbose=0)
    assert lead == [0] * 40
    assert threads == {threading.main_thread()}


def test_batches_that_take_long_are_made_while_others_are_used():
    """The thread is ahead of the callback that uses a batch, and never by more than it may."""
    lead = []
    made = 0

    def counting():
        nonlocal made
        for k in range(60):
            time.sleep(0.001)
            made = k + 1
            yield X, Y

    class Slow(fastnet.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.002)
            lead.append(made - batch - 1)

    model().fit(counting(), callbacks=[Slow()], verbose=0)
    assert max(lead[:40]) > 2
    assert max(lead) <= feeding._DEPTH + 2  # those that wait, the one in hand, the one being made


def test_large_batches_are_few():
    big = np.zeros((4, 2**23), np.float32)  # 128 MiB
    feed = feeding.StreamFeed([(big, None)], lambda arrays: arrays)
    assert feed.depth == 2
    assert feeding.StreamFeed([(X, Y)], lambda arrays: arrays).depth == feeding._DEPTH


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
