"""Batches as they come train as their rows do: generators, PyDatasets, iterables."""

import time

import numpy as np
import pytest

import fastnet
from fastnet.engine.bind import bind
from fastnet.engine.plan import Plan
from fastnet.engine.sources import Batches, Inlet, Source
from fastnet.training import streams

from .given_streams import SOURCES, Iterable, X, Y, bits, generator, model, pieces, trained

pytestmark = pytest.mark.usefixtures("no_thread_is_left", "pulled")


@pytest.mark.parametrize("size", [1, 7, 8, 29, 30])
@pytest.mark.parametrize("kind", SOURCES)
def test_batches_train_as_their_rows_do(kind, size):
    y = Y.astype(np.float16).astype(np.float32)  # the same numbers in every dtype
    got = trained(SOURCES[kind](pieces(size, y=y)), epochs=3, steps_per_epoch=-(-29 // size))
    want = trained(X, y, epochs=3, batch_size=size)
    assert got[0] == want[0]
    assert got[1] == want[1]


@pytest.mark.parametrize("kind", SOURCES)
def test_evaluate_and_predict(kind):
    net = model()
    assert net.evaluate(SOURCES[kind](pieces()), steps=4, verbose=0) == pytest.approx(
        net.evaluate(X, np.float32(Y), verbose=0), rel=1e-3 if "float16" in kind else 1e-6
    )
    assert np.array_equal(net.predict(SOURCES[kind](pieces()), steps=4, verbose=0), net.predict(X, verbose=0))


def test_predict_takes_x_alone():
    net, want = model(), model().predict(X)
    for batches in ([x for x, _ in pieces()], [(x,) for x, _ in pieces()], [(x, y, None) for x, y in pieces()]):
        assert np.array_equal(net.predict(generator(batches)), want)


def test_a_pair_is_x_and_y():
    assert trained((X, Y), epochs=2) == trained(X, Y, epochs=2)
    assert model().evaluate((X, Y), verbose=0) == model().evaluate(X, Y, verbose=0)


@pytest.mark.parametrize("sizes", [(2, 3, 5, 7, 11, 1), (11, 7, 5, 3, 2, 1), (4, 9, 4, 9, 3), (1, 1, 1, 26), (29,)])
@pytest.mark.parametrize("hooked", [False, True])
def test_batches_of_any_sizes(sizes, hooked):
    """The loss is the mean over rows, and each batch is one step with the mean of its rows: as train_on_batch."""
    ends = np.cumsum(sizes)
    batches = [(X[a:b], Y[a:b]) for a, b in zip([0, *ends], ends)]
    seen = []

    class Hooked(fastnet.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_train_batch_end(self, batch, logs=None):
            seen.append(("end", batch))

    net, by_hand = model(), model()
    history = net.fit(generator(batches), callbacks=[Hooked()] if hooked else None, verbose=0)
    losses = [by_hand.train_on_batch(*batch) for batch in batches]
    assert bits(net) == bits(by_hand)
    assert history.history["loss"] == [pytest.approx(np.dot(losses, sizes) / 29, rel=1e-6)]
    assert seen == [(what, k) for k in range(len(sizes)) for what in ("begin", "end")] * hooked
    assert np.array_equal(model().predict(generator(batches)), model().predict(X))


def test_predict_hooks_get_each_batch():
    seen = []

    class Hooked(fastnet.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            seen.append(logs["outputs"].copy())

    result = model().predict(generator(pieces(5) + pieces(9)), callbacks=[Hooked()], verbose=0)
    assert [len(rows) for rows in seen] == [5, 5, 5, 5, 5, 4, 9, 9, 9, 2]
    assert np.array_equal(np.concatenate(seen), result)


def test_validation_takes_what_training_takes():
    want = trained(X, Y, epochs=2, validation_data=(X[:9], Y[:9]), batch_size=4)[1]
    for kind in ("list", "PyDataset", "iterable"):
        got = trained(X, Y, epochs=2, validation_data=SOURCES[kind](pieces(4, X[:9], Y[:9])), batch_size=4)[1]
        assert got == want
    twice = generator(pieces(4, X[:9], Y[:9]) * 2)
    assert trained(X, Y, epochs=2, validation_data=twice, validation_steps=3, batch_size=4)[1] == want


def test_a_validation_without_a_batch_says_nothing():
    with pytest.warns(UserWarning, match="this pass had 0 batches"):
        _, history = trained(X, Y, epochs=2, validation_data=generator(pieces()))
    assert len(history["loss"]) == 2 and len(history["val_loss"]) == 1


def test_something_iterable_that_becomes_empty():
    source = Iterable(pieces())

    class Empty(fastnet.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            source.batches = []

    with pytest.warns(UserWarning, match="this pass had 0 batches"):
        _, history = trained(source, epochs=2, callbacks=[Empty()])
    assert history["loss"][1] == history["loss"][0]


def test_a_generator_may_use_its_arrays_again():
    def reusing():
        x, y = np.empty((7, 3), np.float32), np.empty((7, 2), np.float32)
        for k in range(0, 28, 7):
            x[...], y[...] = X[k : k + 7], Y[k : k + 7]
            yield x, y
            x[...] = np.nan  # whoever reads it late is found out

    assert trained(reusing()) == trained(X[:28], Y[:28], batch_size=7)


def test_a_gather_from_several_arrays():
    """Batches, strided rows and a short last one, read by the compiled gather."""
    arrays = [np.arange(12.0).reshape(4, 3) + 100 * k for k in range(3)]
    arrays[1] = np.lib.stride_tricks.as_strided(np.repeat(arrays[1], 2, 0), (4, 3), (48, 8))
    arrays[2] = arrays[2][:2]
    source = Batches(arrays)
    plan = Plan(False, "float32")
    buffer = plan.buffer((3,))
    inlet = Inlet(plan, source.signature, buffer)
    bound = bind(plan, 4, pinned=[buffer])
    bound.connect(inlet, source)
    seen = []
    for first in (0, 4, 8):
        bound.execution.run(first, source.rows, 4, 1, 0.0)
        seen.append(bound.read(buffer, min(4, source.rows - first)).copy())
    assert source.rows == 10 and np.array_equal(np.concatenate(seen), np.concatenate(arrays))
    bound.connect(inlet, Source(arrays[0]))  # and one array again
    bound.execution.run(0, 4, 4, 1, 0.0)
    assert np.array_equal(bound.read(buffer, 4), arrays[0])


def test_pytorchs_loader():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    want = trained(X, Y, epochs=2, batch_size=8)
    assert trained(torch.utils.data.DataLoader(data, batch_size=8), epochs=2) == want
    net = model()
    assert np.array_equal(net.predict(torch.utils.data.DataLoader(data, batch_size=8)), net.predict(X))


def test_what_only_speaks_dlpack():
    class Tensor:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__()

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    batches = [(Tensor(x.copy()), Tensor(y.copy())) for x, y in pieces()]
    assert trained(batches) == trained(X, Y, batch_size=8)
    assert trained(Tensor(X.copy()), Tensor(Y.copy())) == trained(X, Y)


@pytest.mark.parametrize("seed", range(6))
def test_segments_hold_batches_of_one_size_and_a_shorter_last_one(seed):
    """All rows, in order, in steps that are the batches: as the runner goes through a segment."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice([1, 2, 4, 4, 4, 9], 40)
    ends = np.cumsum(sizes)
    rows = np.arange(ends[-1] * 2.0).reshape(-1, 2)
    batches = [(rows[a:b], None, None) for a, b in zip([0, *ends], ends)]
    steps, segments = [], list(streams._segments(batches))
    for segment in segments:
        (source,) = segment.sources
        arrays = source.arrays
        assert segment.total == sum(map(len, arrays)) and segment.first == 0 and not segment.repeatable
        for number, first in enumerate(range(0, segment.total, segment.batch_size)):
            step = arrays[number]
            assert len(step) == min(segment.batch_size, segment.total - first)
            alone = segment.batch_at(first)
            assert alone.sources[0].array is step and alone.first == 0 and alone.total == len(step)
            steps.append(step)
    assert all(a is b[0] for a, b in zip(steps, batches, strict=True))
    assert len(segments) < len(batches)


@pytest.mark.parametrize("source", [generator, list])
def test_what_a_thread_pulled_is_not_what_came_later(source):
    """Batches of which several wait hold their own rows, also where an array is filled again."""

    def reusing():
        x, y = np.empty((7, 3), np.float32), np.empty((7, 2), np.float32)
        for k in range(0, 28, 7):
            x[...], y[...] = X[k : k + 7], Y[k : k + 7]
            yield x, y
            x[...] = np.nan

    class Slow(fastnet.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.01)

    data = reusing() if source is generator else [(X[k : k + 7], Y[k : k + 7]) for k in range(0, 28, 7)]
    assert trained(data, callbacks=[Slow()]) == trained(X[:28], Y[:28], batch_size=7)
