"""`fit`, `evaluate`, `predict` with Keras's arguments and kinds of data: the same weights, logs and callbacks."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest

import fastnet

keras = pytest.importorskip("keras")

ROWS, FEATURES = 22, 5
X = np.random.default_rng(3).normal(size=(ROWS, FEATURES))
Y = np.random.default_rng(4).normal(size=(ROWS, 2))
W = np.random.default_rng(5).uniform(0.2, 2, ROWS)
KERNEL = np.random.default_rng(6).normal(size=(FEATURES, 2)) / 3


def pieces(size, weighted=False, sizes=None):
    ends = np.cumsum(sizes) if sizes else [*range(size, ROWS, size), ROWS]
    columns = (X, Y, W) if weighted else (X, Y)
    return [tuple(c[a:b] for c in columns) for a, b in zip([0, *ends], ends)]


def generator(batches):
    yield from batches


def dataset(lib, batches, **options):
    class Dataset(lib.utils.PyDataset):
        def __len__(self):
            return len(batches)

        def __getitem__(self, index):
            return batches[index]

    return Dataset(**options)


def loader(batch_size):
    torch = pytest.importorskip("torch")
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size)


@dataclass(frozen=True)
class Case:
    """One call of fit: `data(lib)` gives x and y, `options(lib)` and `given` the rest."""

    name: str
    data: object = lambda lib: (X, Y)
    options: object = lambda lib: {}
    epochs: int = 3
    given: dict = field(default_factory=dict)


CASES = [
    Case("nothing else"),
    Case("batch_size", given={"batch_size": 5}),
    Case("batch_size 1", given={"batch_size": 1}),
    Case("all rows", given={"batch_size": ROWS}),
    Case("initial_epoch", given={"batch_size": 5, "initial_epoch": 1}),
    Case("initial_epoch at the end", given={"initial_epoch": 3}),
    Case("steps_per_epoch", given={"batch_size": 4, "steps_per_epoch": 2}, epochs=5),
    Case("steps_per_epoch that divide the rows", given={"batch_size": 11, "steps_per_epoch": 1}, epochs=5),
    Case("steps_per_epoch alone", given={"steps_per_epoch": 3}),
    Case("more steps_per_epoch than batches", given={"batch_size": 8, "steps_per_epoch": 9}),
    Case("validation_split", given={"batch_size": 5, "validation_split": 0.3}),
    Case("validation_data", given={"batch_size": 5, "validation_data": (X[:9], Y[:9])}),
    Case("validation_batch_size", given={"validation_data": (X, Y), "validation_batch_size": 7, "batch_size": 5}),
    Case("validation_steps", given={"validation_data": (X, Y), "validation_steps": 2, "batch_size": 5}),
    Case("validation_freq", given={"validation_data": (X, Y), "validation_freq": 2}, epochs=5),
    Case("validation_freq as a list", given={"validation_data": (X, Y), "validation_freq": [1, 4]}, epochs=5),
    Case("sample_weight", given={"batch_size": 5, "sample_weight": W}),
    Case("generator", lambda lib: (generator(pieces(5) * 3), None), given={"steps_per_epoch": 5}),
    Case("generator of weights", lambda lib: (generator(pieces(5, True) * 3), None), given={"steps_per_epoch": 5}),
    Case("generator of many sizes", lambda lib: (generator(pieces(0, sizes=[3, 4, 1, 9, 5])), None), epochs=1),
    # One epoch more and Keras takes the first two batches again, which it had looked at: docs/keras.md.
    Case("generator that ends early", lambda lib: (generator(pieces(4)), None), given={"steps_per_epoch": 4}, epochs=2),
    Case("generator, one epoch, no steps", lambda lib: (generator(pieces(4)), None), epochs=1),
    Case("PyDataset", lambda lib: (dataset(lib, pieces(5)), None)),
    Case("PyDataset of weights", lambda lib: (dataset(lib, pieces(5, True)), None)),
    # With two workers Keras begins each epoch with the second batch and ends it with the first.
    Case("PyDataset, workers", lambda lib: (dataset(lib, pieces(5), workers=1 if lib is keras else 2), None)),
    Case("PyDataset with steps", lambda lib: (dataset(lib, pieces(5)), None), given={"steps_per_epoch": 2}, epochs=5),
    Case("PyDataset to validate", options=lambda lib: {"validation_data": dataset(lib, pieces(5))}),
    Case(
        "PyDataset to validate, some steps",
        options=lambda lib: {"validation_data": dataset(lib, pieces(5)), "validation_steps": 2},
    ),
    Case("DataLoader", lambda lib: (loader(5), None)),
    Case("DataLoader with steps", lambda lib: (loader(5), None), given={"steps_per_epoch": 2}, epochs=5),
]


def watch(lib, seen):
    class Watch(lib.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append(("train", self.params["epochs"], self.params["steps"]))

        def on_epoch_begin(self, epoch, logs=None):
            seen.append(("begin", epoch))

        def on_train_batch_end(self, batch, logs=None):
            seen.append(("batch", batch, sorted(logs)))

        def on_test_begin(self, logs=None):
            seen.append(("test",))

        def on_epoch_end(self, epoch, logs=None):
            seen.append(("end", epoch, sorted(logs)))

        def on_train_end(self, logs=None):
            seen.append(("over", sorted(logs)))

    return Watch()


def build(lib):
    net = lib.Sequential([lib.layers.Input((FEATURES,)), lib.layers.Dense(2, activation="tanh")])
    net.compile(optimizer=lib.optimizers.Adam(0.05), loss="mse", metrics=["mae"])
    net.set_weights([KERNEL, np.zeros(2)])
    return net


def train(lib, case):
    net, seen = build(lib), []
    x, y = case.data(lib)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = net.fit(
            x, y, epochs=case.epochs, shuffle=False, verbose=0, callbacks=[watch(lib, seen)],
            **{**case.given, **case.options(lib)},
        )  # fmt: skip
    short = sum("ran out" in str(w.message) for w in caught)
    return net.get_weights(), history, seen, short


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fit(case, floatx):
    want, got = train(keras, case), train(fastnet, case)
    for a, b in zip(got[0], want[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)
    assert sorted(got[1].history) == sorted(want[1].history)
    for name, values in want[1].history.items():  # Keras's means are float32
        np.testing.assert_allclose(got[1].history[name], values, rtol=2e-6, err_msg=name)
    assert got[1].epoch == want[1].epoch
    assert got[2] == want[2]
    if "no steps" not in case.name and "many sizes" not in case.name:  # where Keras warns of every generator's end
        assert got[3] == want[3]


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("steps", [None, 1, 3])
@pytest.mark.parametrize("kind", ["arrays", "generator", "PyDataset", "DataLoader"])
def test_evaluate_and_predict(kind, steps, floatx):
    made = {
        "arrays": lambda lib: (X, Y),
        "generator": lambda lib: (generator(pieces(5)), None),
        "PyDataset": lambda lib: (dataset(lib, pieces(5)), None),
        "DataLoader": lambda lib: (loader(5), None),
    }[kind]
    size = {"batch_size": 5} if kind == "arrays" else {}
    results = []
    for lib in (keras, fastnet):
        net = build(lib)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Keras, where a generator ends
            x, y = made(lib)
            scores = net.evaluate(x, y, steps=steps, verbose=0, return_dict=True, **size)
            x, _ = made(lib)
            results.append((scores, net.predict(x, steps=steps, verbose=0, **size)))
    (want, rows), (got, ours) = results
    assert sorted(got) == sorted(want)
    assert all(got[name] == pytest.approx(want[name], rel=2e-6) for name in want)
    np.testing.assert_allclose(ours, rows, rtol=0, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_normalize(order):
    for shape in ((3, 4), (2, 3, 4)):
        x = np.random.default_rng(0).normal(size=shape)
        x[0] = 0
        np.testing.assert_allclose(
            fastnet.utils.normalize(x, -1, order), keras.utils.normalize(x, -1, order), rtol=1e-14
        )


def test_pad_sequences():
    sequences = [[1], [2, 3], [4, 5, 6], []]
    for maxlen in (None, 1, 2, 5):
        for padding in ("pre", "post"):
            for truncating in ("pre", "post"):
                given = {"maxlen": maxlen, "padding": padding, "truncating": truncating, "value": 9}
                want = keras.utils.pad_sequences(sequences, **given)
                got = fastnet.utils.pad_sequences(sequences, **given)
                assert np.array_equal(got, want) and got.dtype == want.dtype


def test_pack_and_unpack():
    for items in [(1,), (1, 2), (1, 2, 3), ([1, 2],), ((1, 2), 3)]:
        want = keras.utils.pack_x_y_sample_weight(*items)
        assert fastnet.utils.pack_x_y_sample_weight(*items) == want
        assert fastnet.utils.unpack_x_y_sample_weight(want) == keras.utils.unpack_x_y_sample_weight(want)


def test_progbar_means():
    bars = [lib.utils.Progbar(5, verbose=0, stateful_metrics=["b"]) for lib in (keras, fastnet)]
    for bar in bars:
        bar.update(1, [("a", 1.0), ("b", 2.0)])
        bar.update(3, [("a", 4.0), ("b", 3.0)])
        bar.add(1, [("a", 2.0)])
    means = {name: total / count for name, (total, count) in bars[0]._values.items()}
    assert bars[1].means() == pytest.approx(means)
