"""What `fit`, `evaluate` and `predict` do with each argument, told by batches one can recognise."""

import numpy as np
import pytest

import fastnet
from fastnet import layers

ROWS = 10
X = np.arange(ROWS, dtype=np.float64)[:, None]  # row k is k: the loss of a frozen model says which rows it saw
Y = np.zeros(ROWS)


def frozen():
    """y = x, and it stays so: the loss over rows is the mean of their squares."""
    net = fastnet.Sequential([layers.Input((1,), dtype="float64"), layers.Dense(1, use_bias=False, dtype="float64")])
    net.compile(fastnet.optimizers.SGD(0.0), "mse")
    net.set_weights([np.ones((1, 1))])
    return net


class Steps(fastnet.callbacks.Callback):
    """The rows of each step by their mean square, epoch by epoch; of validations too."""

    def __init__(self):
        super().__init__()
        self.train, self.test, self.epochs = [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)
        self.train.append([])

    def on_test_begin(self, logs=None):
        self.test.append([])

    def on_train_batch_end(self, batch, logs=None):
        self.train[-1].append(logs["loss"])

    def on_test_batch_end(self, batch, logs=None):
        self.test[-1].append(logs["loss"])


def fit(x=X, y=Y, **options):
    steps = Steps()
    options = {"shuffle": False, **options}
    history = frozen().fit(x, y, verbose=0, callbacks=[steps], **options)
    return steps, history


def running(*batches):
    """Means so far over batches of rows."""
    return [pytest.approx(np.square(np.concatenate(batches[: k + 1])).mean()) for k in range(len(batches))]


def rows(first, last):
    return np.arange(first, last)


def test_batch_size_and_the_short_last_batch():
    steps, _ = fit(batch_size=4, epochs=2)
    assert steps.train == [running(rows(0, 4), rows(4, 8), rows(8, 10))] * 2
    assert fit()[0].train == [running(rows(0, 10))]
    assert len(fit(batch_size=1)[0].train[0]) == 10
    assert fit(batch_size=1000)[0].train == [running(rows(0, 10))]


def test_initial_epoch():
    steps, history = fit(epochs=5, initial_epoch=3)
    assert steps.epochs == history.epoch == [3, 4]
    assert len(history.history["loss"]) == 2
    steps, history = fit(epochs=2, initial_epoch=2)
    assert steps.epochs == [] and history.history == {}


@pytest.mark.parametrize(
    ("batch_size", "steps", "expected"),
    [
        (5, 1, [[(0, 5)], [(5, 10)], [(0, 5)]]),
        (5, 2, [[(0, 5), (5, 10)]] * 3),
        (4, 3, [[(0, 4), (4, 8), (8, 10)]] * 3),
        (None, 2, [[(0, 5), (5, 10)]] * 3),  # the rows are shared out over the steps
        (None, 3, [[(0, 4), (4, 8), (8, 10)]] * 3),
        (None, 10, [[(k, k + 1) for k in range(10)]] * 3),
    ],
)
def test_steps_per_epoch(batch_size, steps, expected):
    seen, _ = fit(batch_size=batch_size, steps_per_epoch=steps, epochs=3)
    assert seen.train == [running(*(rows(*b) for b in epoch)) for epoch in expected]


@pytest.mark.parametrize(
    ("batch_size", "steps", "expected"),
    [
        (2, 2, [[(0, 2), (2, 4)], [(4, 6), (6, 8)], [(8, 10)], [(0, 2), (2, 4)]]),
        (5, 7, [[(0, 5), (5, 10)]] * 4),
        (4, 2, [[(0, 4), (4, 8)], [(8, 10)]] * 2),
    ],
)
def test_steps_that_run_out_warn(batch_size, steps, expected):
    with pytest.warns(UserWarning, match="The data ran out"):
        seen, _ = fit(batch_size=batch_size, steps_per_epoch=steps, epochs=4)
    assert seen.train == [running(*(rows(*b) for b in epoch)) for epoch in expected]


def test_shuffled_rows_go_on_in_the_next_epoch():
    """With steps an order lasts until all rows were seen: each of them once."""
    seen = []

    class Rows(fastnet.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(logs["loss"] * 5)

    frozen().fit(X, Y, batch_size=5, epochs=6, steps_per_epoch=1, shuffle=True, verbose=0, callbacks=[Rows()])
    assert [a + b for a, b in zip(seen[::2], seen[1::2])] == [pytest.approx(285.0)] * 3  # Σk² below 10
    assert len(set(np.round(seen[::2], 9))) > 1


def test_shuffle():
    history = fit(batch_size=1, epochs=4, shuffle=True)[0].train
    assert all(epoch[-1] == pytest.approx(28.5) for epoch in history)
    assert len({epoch[0] for epoch in history}) > 1
    again = fit(batch_size=1, epochs=4, shuffle=True)[0].train
    assert history != again  # each model has a seed of its own
    # "batch": every batch has its rows, in another order
    assert fit(batch_size=4, shuffle="batch")[0].train == [running(rows(0, 4), rows(4, 8), rows(8, 10))]
    net = fastnet.Sequential([layers.Input((1,)), layers.Dense(1)])
    net.compile("sgd", "mse")
    order = net._trainer.order(10)
    from fastnet.training.samples import shuffled_within_batches

    inside = shuffled_within_batches(lambda n: order, 4, 10)
    assert [sorted(inside[k : k + 4]) for k in (0, 4, 8)] == [list(range(4)), list(range(4, 8)), [8, 9]]
    assert inside.tolist() != list(range(10))


def test_validation_split_is_the_end():
    steps, _ = fit(validation_split=0.3, batch_size=4)
    assert steps.train == [running(rows(0, 4), rows(4, 7))]
    assert steps.test == [running(rows(7, 10))]


WEIGHTS = np.array([2.0, 0, 1, 1, 3, 1, 1, 0, 5, 1])


def test_weights_come_as_an_argument_or_beside_the_data():
    """The loss of a batch is Σ weight · x² / rows, with the weights of its own rows."""
    for given in ({"sample_weight": WEIGHTS}, {"x": (X, Y, WEIGHTS), "y": None}):
        steps, _ = fit(batch_size=5, **given)
        first, both = (WEIGHTS * np.arange(ROWS) ** 2)[:5].sum() / 5, (WEIGHTS * np.arange(ROWS) ** 2).sum() / 10
        assert steps.train == [[pytest.approx(first), pytest.approx(both)]]
    assert frozen().evaluate((X, Y, WEIGHTS), verbose=0) == pytest.approx(both)


def test_a_split_divides_the_weights_too():
    steps, history = fit(sample_weight=WEIGHTS, validation_split=0.3)
    squares = WEIGHTS * np.arange(ROWS) ** 2
    assert steps.train == [[pytest.approx(squares[:7].sum() / 7)]]
    assert history.history["val_loss"] == [pytest.approx(squares[7:].sum() / 3)]
    given = {"validation_data": (X, Y, WEIGHTS)}
    assert fit(**given)[1].history["val_loss"] == [pytest.approx(squares.sum() / 10)]


def test_validation_batch_size_and_steps():
    given = {"validation_data": (X, Y), "batch_size": 5, "epochs": 2}
    assert fit(**given)[0].test == [running(rows(0, 5), rows(5, 10))] * 2
    assert fit(**given, validation_batch_size=8)[0].test == [running(rows(0, 8), rows(8, 10))] * 2
    assert fit(**given, validation_steps=1)[0].test == [running(rows(0, 5))] * 2  # each from the beginning
    assert fit(**given, validation_steps=1, validation_batch_size=3)[0].test == [running(rows(0, 3))] * 2


@pytest.mark.parametrize(
    ("freq", "expected"),
    [(1, [0, 1, 2, 3, 4]), (2, [1, 3]), (9, []), ([1, 4], [0, 3]), ((5,), [4]), ({2, 77}, [1]), ([], [])],
)
def test_validation_freq(freq, expected):
    validated = []

    class Watch(fastnet.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if "val_loss" in logs:
                validated.append(epoch)

    _, history = fit(validation_data=(X, Y), epochs=5, validation_freq=freq)
    frozen().fit(X, Y, validation_data=(X, Y), epochs=5, validation_freq=freq, verbose=0, callbacks=[Watch()])
    assert validated == expected
    assert len(history.history.get("val_loss", [])) == len(expected)


def test_steps_of_evaluate_and_predict():
    net = frozen()
    assert net.evaluate(X, Y, batch_size=2, steps=2, verbose=0) == pytest.approx(np.square(rows(0, 4)).mean())
    assert net.evaluate(X, Y, steps=5, verbose=0) == pytest.approx(28.5)
    assert np.array_equal(net.predict(X, batch_size=2, steps=2, verbose=0), X[:4])
    assert np.array_equal(net.predict(X, steps=3, verbose=0), X)
    assert net.predict(X[:0], verbose=0).shape == (0, 1)


@pytest.mark.parametrize("verbose", [0, 1, 2, "auto"])
def test_verbose(verbose, capsys):
    net = frozen()
    net.fit(X, Y, epochs=2, verbose=verbose)
    net.evaluate(X, Y, verbose=verbose)
    net.predict(X, verbose=verbose)
    lines = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    # Standard output is no terminal here: two lines an epoch for 1 and 2, nothing for 0 and "auto".
    assert lines == (["Epoch", "1/1", "Epoch", "1/1", "1/1", "1/1"] if verbose in (1, 2) else [])


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"steps_per_epoch": 0}, ["steps_per_epoch", "at least 1", "0"]),
        ({"steps_per_epoch": 1.5}, ["steps_per_epoch", "1.5"]),
        ({"validation_steps": -1}, ["validation_steps", "-1"]),
        ({"validation_batch_size": 0}, ["validation_batch_size", "0"]),
        ({"validation_freq": [0]}, ["validation_freq", "at least 1", "0"]),
        ({"validation_freq": "often"}, ["validation_freq", "'often'"]),
        ({"validation_freq": True}, ["validation_freq", "True"]),
        ({"shuffle": "yes"}, ["shuffle", "'batch'", "'yes'"]),
        ({"shuffle": None}, ["shuffle", "None"]),
    ],
)
def test_bad_arguments_of_fit(arguments, parts):
    net = frozen()
    with pytest.raises(ValueError) as caught:
        net.fit(X, Y, verbose=0, **arguments)
    assert all(part in str(caught.value) for part in parts)
    assert net.optimizer.iterations == 0


def test_bad_steps():
    for call in (lambda: frozen().evaluate(X, Y, steps=0), lambda: frozen().predict(X, steps=True)):
        with pytest.raises(ValueError, match="steps must be an integer of at least 1"):
            call()
