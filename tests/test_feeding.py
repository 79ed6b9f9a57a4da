"""Batches as they come: generators, PyDatasets, iterables; the thread that pulls them, and what may go wrong."""

import _thread
import gc
import itertools
import threading
import time
import traceback
import warnings

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.engine import feeding
from fastnet.engine.cpu import Bound
from fastnet.engine.data import Batches, Inlet, Source
from fastnet.engine.plan import Plan
from fastnet.engine.prefetch import Prefetch

X = np.random.default_rng(0).normal(size=(29, 3)).astype(np.float32)
Y = X @ np.array([[1.0, -1], [0.5, 2], [0, 1]], np.float32)


def model(loss="mse"):
    fastnet.utils.set_random_seed(5)
    net = fastnet.Sequential([layers.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2)])
    net.compile(fastnet.optimizers.Adam(0.05), loss)
    return net


def pieces(size=8, x=X, y=Y):
    return [(x[k : k + size], y[k : k + size]) for k in range(0, len(x), size)]


def generator(batches):
    yield from batches


class Dataset(fastnet.utils.PyDataset):
    """The pieces; `log` tells what was asked."""

    def __init__(self, batches, **options):
        super().__init__(**options)
        self.batches, self.log = batches, []

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        self.log.append(index)
        return self.batches[index]

    def on_epoch_begin(self):
        self.log.append("begin")

    def on_epoch_end(self):
        self.log.append("end")


class Iterable:
    """Can be iterated again and again, and does not know its length."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def bits(net):
    return [w.tobytes() for w in net.get_weights()]


def trained(x, y=None, **options):
    net = model()
    history = net.fit(x, y, verbose=0, shuffle=False, **options).history
    return bits(net), history


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [t for t in threading.enumerate() if t.name.startswith(("fastnet-feed", "fastnet-worker"))]


# ---- the same numbers as arrays


SOURCES = {
    "generator": lambda b: generator(b * 3),
    "iterator": lambda b: iter(b * 3),
    "list": lambda b: b,
    "tuple": lambda b: tuple(b),
    "iterable": Iterable,
    "PyDataset": Dataset,
    "PyDataset, three workers": lambda b: Dataset(b, workers=3),
    "PyDataset, one batch ahead": lambda b: Dataset(b, workers=2, max_queue_size=1),
    "batches as lists": lambda b: [list(pair) for pair in b],
    "columns first": lambda b: [(np.asfortranarray(x), y) for x, y in b],
    "float64 and float16": lambda b: [(x.astype(np.float64), y.astype(np.float16)) for x, y in b],
}


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
    bound = Bound(plan, 4, [buffer])
    inlet.connect(bound.step, source)
    seen = []
    for first in (0, 4, 8):
        bound.execution.run(first, source.rows, 4, 1, 0.0)
        seen.append(bound.read(buffer, min(4, source.rows - first)).copy())
    assert source.rows == 10 and np.array_equal(np.concatenate(seen), np.concatenate(arrays))
    inlet.connect(bound.step, Source(arrays[0]))  # and one array again
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


# ---- epochs


def test_steps_go_on_in_the_next_epoch():
    """Five batches, two steps an epoch: 0 1 | 2 3 | 4, which is short | 0 1."""
    batches = pieces(6)
    expected = [batches[:2], batches[2:4], batches[4:], batches[:2]]
    by_hand = model()
    for epoch in expected:
        for batch in epoch:
            by_hand.train_on_batch(*batch)
    for x, y in ((X, Y), (batches, None), (Dataset(batches), None), (Iterable(batches), None)):
        net = model()
        with pytest.warns(UserWarning, match="ran out: this pass had 1 of the 2 batches"):
            net.fit(x, y, batch_size=6, epochs=4, steps_per_epoch=2, shuffle=False, verbose=0)
        assert bits(net) == bits(by_hand)


def test_a_generator_that_ends_early_warns_and_goes_on():
    seen = []

    class Epochs(fastnet.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, logs["loss"]))

    net = model()
    with pytest.warns(UserWarning, match="ran out: this pass had [01] of the 3 batches") as caught:
        net.fit(generator(pieces()), epochs=3, steps_per_epoch=3, callbacks=[Epochs()], verbose=0)
    assert [w.filename for w in caught] == [__file__] * 2  # the line that called fit
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    assert seen[2][1] == seen[1][1]  # as in Keras: an epoch without a batch repeats the last one's numbers
    net.fit(X, Y, verbose=0)


def test_no_more_is_taken_of_a_generator_than_its_steps():
    taken = []

    def counting():
        for k in itertools.count():
            taken.append(k)
            yield X, Y

    source = counting()
    model().fit(source, epochs=3, steps_per_epoch=2, verbose=0)
    assert taken == list(range(6))
    model().evaluate(source, steps=3, verbose=0)
    assert taken == list(range(9)) and next(source) is not None  # it is the user's still


def test_a_py_dataset_is_told_of_epochs():
    data = Dataset(pieces())
    model().fit(data, epochs=2, shuffle=False, verbose=0)
    epoch = ["begin", 0, 1, 2, 3, "end"]
    assert data.log == epoch * 2
    data.log.clear()
    model().fit(data, epochs=3, shuffle=True, verbose=0)
    orders = [data.log[k + 1 : k + 5] for k in (0, 6, 12)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len(set(map(tuple, orders))) > 1
    data.log.clear()
    model().evaluate(data, verbose=0)
    assert data.log == epoch


def test_a_list_is_never_shuffled():
    assert trained(pieces(4), epochs=2) == trained(X, Y, epochs=2, batch_size=4)
    net = model()
    net.fit(pieces(4), epochs=2, shuffle=True, verbose=0)
    assert bits(net) == trained(X, Y, epochs=2, batch_size=4)[0]


def test_training_that_is_stopped_ends_the_pass():
    class Stop(fastnet.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    data = Dataset(pieces(), workers=2)
    net, by_hand = model(), model()
    net.fit(data, epochs=3, shuffle=False, callbacks=[Stop()], verbose=0)
    for batch in pieces()[:2]:
        by_hand.train_on_batch(*batch)
    assert bits(net) == bits(by_hand)


def test_a_py_dataset_without_end():
    class Endless(fastnet.utils.PyDataset):
        num_batches = None

        def __getitem__(self, index):
            return pieces()[index % 3]

    with pytest.raises(ValueError, match="Endless never ends.*steps_per_epoch"):
        model().fit(Endless(), verbose=0)
    data = Endless(workers=2)
    assert trained(data, epochs=2, steps_per_epoch=3) == trained(X[:24], Y[:24], epochs=2, batch_size=8)
    with pytest.raises(ValueError, match="cycle never ends"):
        model().fit(itertools.cycle(pieces()), verbose=0)


def test_who_seems_to_go_on_for_ever_is_told(monkeypatch):
    monkeypatch.setattr(feeding, "_MANY", 20)
    with pytest.warns(UserWarning, match="has not ended. If it never does.*steps_per_epoch"):
        model().fit(generator(pieces() * 6), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model().fit(generator(pieces() * 6), steps_per_epoch=24, verbose=0)


def test_progress_of_unknown_length(capsys):
    model().fit(generator(pieces()), verbose=2)
    assert "4 steps" in capsys.readouterr().out
    model().fit(generator(pieces()), steps_per_epoch=4, verbose=2)
    assert "steps" not in capsys.readouterr().out.replace("steps/s", "")


# ---- what may be wrong


class Oops(Exception):
    pass


def raising(after):
    yield from pieces()[:after]
    raise Oops("disk on fire")


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("workers", [1, 3])
def test_what_a_generator_raises_reaches_the_user(after, workers):
    class Broken(Dataset):
        def __getitem__(self, index):
            if index == after:
                raise Oops("disk on fire")
            return super().__getitem__(index)

    for data, place in ((raising(after), "in raising"), (Broken(pieces(), workers=workers), "in __getitem__")):
        net, by_hand = model(), model()
        with pytest.raises(Oops, match="disk on fire") as caught:
            net.fit(data, shuffle=False, verbose=0)
        assert place in "".join(traceback.format_exception(caught.value))
        for batch in pieces()[:after]:
            by_hand.train_on_batch(*batch)
        assert bits(net) == bits(by_hand)  # the batches before it were used
        net.fit(X, Y, verbose=0)
        assert np.isfinite(net.predict(raising(3), steps=3, verbose=0)).all()


WRONG = {
    "columns": ((np.ones((8, 4), np.float32), Y[:8]), ["(n, 3)", "(8, 4)"]),
    "targets": ((X[:8], np.ones((8, 5), np.float32)), ["targets of shape", "(n, 5)"]),
    "rows": ((X[:8], Y[:7]), ["8 and 7"]),
    "no rows": ((X[:0], Y[:0]), ["at least one sample"]),
    "a number": ((1.0, Y[:8]), ["a number"]),
    "dtype": (
        (X[:8].astype(np.float64), Y[:8]),
        ["x must be like the first batch's, float32 of shape (n, 3)", "float64"],
    ),
    "dtype of y": ((X[:8], Y[:8].astype(int)), ["y must be like the first batch's", "int64"]),
    "no y": ((X[:8],), ["no y"]),
    "objects": ((np.full((8, 3), None), Y[:8]), ["real numbers", "objects"]),
    "text": (("abc", Y[:8]), ["real numbers"]),
    "four": ((X, Y, None, None), ["4 items"]),
    "none": ((), ["0 items"]),
    "a dictionary": ({"x": X}, ["a dict"]),
}


@pytest.mark.parametrize("place", [1, 2, 4])
@pytest.mark.parametrize("what", WRONG)
def test_a_batch_that_does_not_fit(what, place):
    batch, parts = WRONG[what]
    if place == 1 and what.startswith("dtype"):
        pytest.skip("the first one decides")
    net = model()
    batches = pieces()
    batches.insert(place - 1, batch)
    with pytest.raises(ValueError) as caught:
        net.fit(generator(batches), verbose=0)
    for part in [f"Batch {place} of the generator", *parts]:
        assert part in str(caught.value)
    assert np.isfinite(net.predict(X)).all()
    net.fit(generator(pieces()), verbose=0)


def test_labels_of_every_batch_are_looked_at():
    net = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
    net.compile("sgd", fastnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = [(X[:8], np.zeros(8, int)), (X[:8], np.array([0, 1, 0, 7, 0, 0, 0, 0]))]
    with pytest.raises(ValueError, match="Batch 2 of the generator.*labels from 0 to 1.*received 7.*row 3"):
        net.fit(generator(batches), verbose=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: net.fit(generator([])), "generator yields no batch"),
        (lambda net: net.fit([]), "no y"),
        (lambda net: net.fit(Dataset([])), "Dataset yields no batch"),
        (lambda net: net.fit(generator(pieces()), Y), "x is a generator.*give no y"),
        (lambda net: net.evaluate(Dataset(pieces()), Y), "x is a Dataset.*give no y"),
        (lambda net: net.fit(generator(pieces()), validation_split=0.5), "validation_split needs arrays"),
        (lambda net: net.fit(X, Y, validation_data=generator([])), "generator yields no batch"),
        (lambda net: net.fit(X, Y, validation_data=generator([(X[:, :2], Y)])), "Batch 1 of the generator"),
    ],
)
def test_data_that_cannot_be(call, message):
    net = model()
    with pytest.raises(ValueError, match=message):
        call(net)
    net.fit(X, Y, verbose=0)


def test_a_deferred_model_is_built_by_the_first_batch():
    net = fastnet.Sequential([layers.Dense(2)])
    net.compile("sgd", "mse")
    with pytest.raises(ValueError, match="Batch 1"):
        net.fit(generator([(X, Y[:3])]), verbose=0)
    assert not net.built
    net.fit(generator(pieces()), verbose=0)
    assert net.input_shape == (None, 3)
    later = fastnet.Sequential([layers.Dense(2)])
    assert later.predict(generator(pieces())).shape == (29, 2)


@pytest.mark.parametrize("where", ["x", "y"])
def test_nan_in_a_batch_names_its_row(where):
    x, y = X.copy(), Y.copy()
    (x if where == "x" else y)[19, 1] = np.nan
    net, by_hand = model(), model()
    with pytest.raises(fastnet.NonFiniteError, match=f"Step 3: .*row 3 of {where}"):
        net.fit(pieces(x=x, y=y), verbose=0)
    for batch in pieces()[:2]:
        by_hand.train_on_batch(*batch)
    assert bits(net) == bits(by_hand)


def test_an_overflow_in_batches_gives_finite_weights_back():
    net = model()
    net.optimizer.learning_rate = 1e30
    with pytest.raises(fastnet.NonFiniteError):
        net.fit(generator(pieces() * 50), verbose=0)
    assert np.isfinite(net.predict(X)).all()


# ---- the thread


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
