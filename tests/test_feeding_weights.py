"""Weights of rows and of classes in batches, small integers as data, and what validates a training."""

import numpy as np
import pytest

import fastnet
from fastnet import layers

from .given_streams import SOURCES, Dataset, Iterable, X, Y, bits, generator, model, pieces, trained

pytestmark = pytest.mark.usefixtures("no_thread_is_left", "pulled")

W = np.random.default_rng(1).uniform(0, 3, len(X)).astype(np.float32)
W[[3, 17]] = 0
PIXELS = np.random.default_rng(2).integers(0, 256, (29, 3), np.uint8)
LABELS = np.arange(29) % 4


def weighted(size=8, x=X, y=Y, w=W):
    return [(x[k : k + size], y[k : k + size], w[k : k + size]) for k in range(0, len(x), size)]


def classifier():
    """One layer of logits, four classes."""
    fastnet.utils.set_random_seed(3)
    net = fastnet.Sequential([layers.Input((3,), dtype="float64"), layers.Dense(4, dtype="float64")])
    net.compile(fastnet.optimizers.SGD(0.5), fastnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    return net


def descended(w, b, x, labels, weights, size, rate=0.5):
    """The layer after a pass of gradient descent on sum weight * crossentropy / rows, in float64; (w, b, mean loss)."""
    total = 0.0
    for k in range(0, len(x), size):
        rows, t, own = x[k : k + size], np.eye(4)[labels[k : k + size]], weights[k : k + size, None]
        logits = rows @ w + b
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        total -= (own[:, 0] * np.log((p * t).sum(1))).sum()
        slope = own * (p - t) / len(rows)
        w, b = w - rate * rows.T @ slope, b - rate * slope.sum(0)
    return w, b, total / len(x)


# ---- weights of rows

KINDS = [kind for kind in SOURCES if kind not in ("columns first", "float64 and float16")]  # these make pairs


@pytest.mark.parametrize("size", [1, 8, 30])
@pytest.mark.parametrize("kind", KINDS)
def test_weighted_batches_train_as_weighted_rows_do(kind, size):
    got = trained(SOURCES[kind](weighted(size)), epochs=3, steps_per_epoch=-(-29 // size))
    assert got == trained(X, Y, sample_weight=W, epochs=3, batch_size=size)
    assert got[0] != trained(X, Y, epochs=3, batch_size=size)[0]


@pytest.mark.parametrize("source", [generator, list, Dataset])
def test_weighted_batches_descend_as_they_should(source):
    net = classifier()
    expected = descended(*net.get_weights(), X.astype(float), LABELS, W.astype(float), 8)
    history = net.fit(source(weighted(y=LABELS)), shuffle=False, verbose=0).history
    for got, want in zip([*net.get_weights(), history["loss"]], expected, strict=True):
        np.testing.assert_allclose(got, want if np.ndim(want) else [want], rtol=1e-12)


def test_weighted_batches_of_any_sizes():
    """Batches that grow and shrink keep their own weights, in the larger plan too."""
    ends = np.cumsum([2, 3, 11, 1, 12])
    batches = [(X[a:b], Y[a:b], W[a:b]) for a, b in zip([0, *ends], ends)]
    net, by_hand = model(), model()
    net.fit(generator(batches), verbose=0)
    for batch in batches:
        by_hand.train_on_batch(*batch)
    assert bits(net) == bits(by_hand)


def test_weights_as_a_column_and_as_whole_numbers():
    want = trained(weighted(w=np.round(W).astype(np.float32)))
    assert trained(weighted(w=np.round(W).astype(np.int64))) == want
    assert trained(weighted(w=np.round(W)[:, None])) == want


def test_arrays_with_weights_that_are_used_again():
    def reusing():
        x, y, w = np.empty((7, 3), np.float32), np.empty((7, 2), np.float32), np.empty(7, np.float32)
        for k in range(0, 28, 7):
            x[...], y[...], w[...] = X[k : k + 7], Y[k : k + 7], W[k : k + 7]
            yield x, y, w
            w[...] = np.nan  # whoever reads it late is found out

    assert trained(reusing()) == trained(X[:28], Y[:28], sample_weight=W[:28], batch_size=7)


def test_evaluation_by_weighted_batches():
    """sum weight * error / rows: a weight of 0 leaves a row out of the sum, and not out of the rows."""
    net = model()
    loss = (W[:, None] * (net.predict(X, verbose=0) - Y).astype(float) ** 2).sum() / Y.size
    assert net.evaluate(X, Y, sample_weight=W, verbose=0) == pytest.approx(loss, rel=1e-5)
    for source in (generator, list, Iterable, Dataset):
        assert net.evaluate(source(weighted()), verbose=0) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ((X[:8], Y[:8]), "sample_weight must be like the first batch's, float32 of shape .n,.; received none"),
        ((X[:8], Y[:8], W[:7]), "one weight for each of the 8 samples"),
        ((X[:8], Y[:8], np.full(8, np.nan, np.float32)), "sample_weight must be finite; it is nan in row 0"),
    ],
)
def test_weights_that_do_not_fit(second, message):
    net = model()
    with pytest.raises(ValueError, match="Batch 2 of the generator: .*" + message):
        net.fit(generator([weighted()[0], second]), verbose=0)
    with pytest.raises(ValueError, match="yields the sample weights too"):
        net.fit(weighted(), sample_weight=W, verbose=0)
    net.fit(generator(weighted()), verbose=0)


# ---- weights of classes

CLASSES = {0: 2.0, 2: 0.25, 3: 0}  # class 1 is not named: 1


@pytest.mark.parametrize("kind", KINDS)
def test_class_weights_of_batches(kind):
    of_rows = np.array([2.0, 1.0, 0.25, 0.0])[LABELS]
    net, by_rows = classifier(), classifier()
    expected = descended(*net.get_weights(), X.astype(float), LABELS, of_rows, 8)
    batches = pieces(y=LABELS)
    history = net.fit(SOURCES[kind](batches), class_weight=CLASSES, steps_per_epoch=4, shuffle=False, verbose=0).history
    for got, want in zip([*net.get_weights(), history["loss"]], expected, strict=True):
        np.testing.assert_allclose(got, want if np.ndim(want) else [want], rtol=1e-12)
    by_rows.fit(X, LABELS, 8, class_weight=CLASSES, shuffle=False, verbose=0)
    assert bits(net) == bits(by_rows)


def test_a_class_that_no_label_has():
    """It is told when all targets were read; a batch may lack a class. Beyond the model's classes it is an error."""
    few, told = LABELS % 2, r"classes that no target read so far has: \[2\]. The targets have: \[0, 1\]"
    with pytest.warns(UserWarning, match=told):
        classifier().fit(X, few, class_weight={0: 2.0, 2: 1.0}, verbose=0)
    classifier().train_on_batch(X, few, class_weight={2: 1.0})
    with pytest.raises(ValueError, match="names the class 4; the model has the classes 0 to 3"):
        classifier().fit(X, few, class_weight={4: 1.0}, verbose=0)


def test_a_class_that_no_label_of_batches_has():
    """It is told once: behind the first epoch, or behind the training where steps_per_epoch divides the batches."""
    few, told = LABELS % 2, r"classes that no target read so far has: \[2\]. The targets have: \[0, 1\]"
    epochs = []
    look = fastnet.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(len(caught)))
    with pytest.warns(UserWarning, match=told) as caught:
        classifier().fit(pieces(y=few), class_weight={0: 2.0, 2: 1.0}, epochs=3, callbacks=[look], verbose=0)
    assert len(caught) == 1 and epochs == [0, 1, 1]
    with pytest.warns(UserWarning, match=told) as caught:
        classifier().fit(
            generator(pieces(y=few) * 3),
            class_weight={2: 1.0},
            epochs=3,
            steps_per_epoch=2,
            callbacks=[look],
            verbose=0,
        )
    assert len(caught) == 1 and epochs[3:] == [0, 0, 0]
    classifier().fit(generator(pieces(y=few)), class_weight={2: 1.0}, epochs=0, steps_per_epoch=2, verbose=0)
    rare = np.where(np.arange(29) < 25, few, 2)  # the last batch alone has it
    classifier().fit(generator(pieces(y=rare)), class_weight={2: 1.0}, verbose=0)

    class Stop(fastnet.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    classifier().fit(generator(pieces(y=rare)), class_weight={2: 1.0}, callbacks=[Stop()], verbose=0)


def test_a_class_of_labels_that_were_read_before_a_resume(tmp_path):
    """The batches that are done are not read again: nothing tells which classes they had."""
    labels = np.where(np.arange(29) // 8 == 1, 2, LABELS % 2)  # only the second batch has the class

    def batches(fails):
        seen = []

        class Fail(fastnet.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                seen.append(batch)
                backup._writer.wait()
                if batch == 2 and fails:
                    raise KeyboardInterrupt

        backup = fastnet.callbacks.BackupAndRestore(tmp_path / "b", save_freq=1)
        classifier().fit(pieces(y=labels), class_weight={2: 1.0}, callbacks=[backup, Fail()], verbose=0)
        return seen

    with pytest.raises(KeyboardInterrupt):
        batches(True)
    assert batches(False) == [2, 3]


def test_targets_that_are_no_classes():
    """Probabilities are rounded with a warning; other numbers have no class."""
    net = fastnet.Sequential([layers.Input((3,)), layers.Dense(1, activation="sigmoid")])
    smoothed = np.where(LABELS % 2, 0.9, 0.1)
    net.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"needs whole numbers as classes; a target is 0\.[19] .*Give sample_weight"):
        net.fit(X, smoothed, class_weight={0: 2.0, 1: 1.0}, verbose=0)
    net.compile("sgd", "binary_crossentropy")
    with pytest.warns(UserWarning, match="Probabilities are rounded"):
        net.fit(X, smoothed, class_weight={0: 2.0, 1: 1.0}, verbose=0)


def test_classes_of_targets_in_rows():
    """A row's class is where its largest target stands; of a single column it is the number itself."""
    for targets, loss in ((np.eye(2, dtype=np.float32)[LABELS % 2], "mse"), (LABELS[:, None] % 2, "mae")):
        results = []
        for weights in ({"class_weight": {0: 3.0, 1: 0.5}}, {"sample_weight": np.array([3.0, 0.5])[LABELS % 2]}):
            fastnet.utils.set_random_seed(3)
            net = fastnet.Sequential([layers.Input((3,)), layers.Dense(targets.shape[1])])
            net.compile("sgd", loss)
            net.fit(X, targets, 8, shuffle=False, verbose=0, **weights)
            results.append(bits(net))
        assert results[0] == results[1]


def test_classes_may_be_floats_that_are_whole():
    results = []
    for weights in ({0: 3.0, 2: 0.5}, {0.0: 3.0, np.float64(2): 0.5}):
        net = classifier()
        net.fit(X, LABELS, 8, class_weight=weights, shuffle=False, verbose=0)
        results.append(bits(net))
    assert results[0] == results[1]
    for wrong in (0.5, np.inf, np.nan):
        with pytest.raises(ValueError, match=f"whole numbers as classes, received {wrong}"):
            classifier().fit(X, LABELS, class_weight={wrong: 1.0}, verbose=0)


@pytest.mark.parametrize("last", [(), (1,)], ids=["labels", "column"])
def test_labels_of_steps_are_no_class_of_a_row(last):
    """Not the step with the largest label, either."""
    net = fastnet.Sequential([layers.Input((5, 3)), layers.Dense(4)])
    net.compile("sgd", fastnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.ones((6, 5, 3)), np.arange(30).reshape(6, 5, *last) % 4
    with pytest.raises(ValueError, match="needs one class for each row.*give sample_weight"):
        net.fit(x, y, class_weight={0: 2.0}, verbose=0)
    assert net.optimizer.iterations == 0
    one = fastnet.Sequential([layers.Input((1, 3)), layers.Dense(4)])
    one.compile("sgd", fastnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    heavy, plain = (one.train_on_batch(x[:, :1], np.zeros((6, 1)), class_weight=w) for w in ({0: 0.0}, None))
    assert heavy == 0 and plain > 0


def test_class_weights_do_not_reach_the_validation():
    net = classifier()
    history = net.fit(
        generator(pieces(y=LABELS)), class_weight={0: 100.0}, validation_data=generator(pieces(y=LABELS)), verbose=0
    ).history
    assert history["val_loss"] == [pytest.approx(net.evaluate(X, LABELS, verbose=0), rel=1e-12)]


def test_weights_of_both_kinds_are_refused_in_batches_too():
    with pytest.raises(ValueError, match="Batch 1 of the generator: .*cannot be given both"):
        classifier().fit(generator(weighted(y=LABELS)), class_weight=CLASSES, verbose=0)


# ---- small integers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", [np.uint8, np.int8, np.int64])
def test_bytes_in_batches(kind, labels):
    """Pixels and labels as bytes give the bits of the same numbers in arrays, and as floats."""
    results = []
    for x, y, batch_size in (
        (SOURCES[kind](pieces(7, PIXELS, LABELS.astype(labels))), None, None),
        (PIXELS, LABELS.astype(labels), 7),
        (PIXELS.astype(np.float32), LABELS, 7),
    ):
        net = classifier()
        net.optimizer.learning_rate = 1e-4
        history = net.fit(x, y, batch_size, 3, steps_per_epoch=5, shuffle=False, verbose=0).history
        results.append((bits(net), history))
    assert results[0] == results[1] == results[2]


# ---- validation


@pytest.mark.parametrize("source", [list, Dataset, Iterable, lambda batches: generator(batches * 2)])
def test_validation_by_weighted_batches(source):
    """Weights and labels as in arrays: the mean over rows of each, with its weight."""
    given = {"epochs": 2, "batch_size": 4, "validation_steps": 3}
    held_out = weighted(4, X[:9], Y[:9], W[:9])
    want = trained(X, Y, validation_data=(X[:9], Y[:9], W[:9]), **given)
    assert trained(X, Y, validation_data=source(held_out), **given) == want
    assert want[1]["val_loss"] != trained(X, Y, validation_data=(X[:9], Y[:9]), **given)[1]["val_loss"]


def test_a_validation_by_a_generator_takes_its_steps_and_no_more():
    taken = []

    def endless():
        while True:
            for k in range(0, 24, 8):
                taken.append(k)
                yield X[k : k + 8], Y[k : k + 8]

    net = model()
    net.fit(generator(pieces() * 3), epochs=3, steps_per_epoch=4, validation_data=endless(), validation_steps=2,
            validation_freq=[1, 3], verbose=0)  # fmt: skip
    assert taken == [0, 8, 16, 0]


def test_what_a_validation_by_a_generator_sees():
    """The weights behind the epoch, the batches one after the other."""
    seen = []

    class Look(fastnet.callbacks.Callback):
        def on_test_begin(self, logs=None):
            seen.append(self.model.get_weights())

    net, batches = model(), pieces(8, X[:16], Y[:16])
    history = net.fit(X, Y, 8, 2, validation_data=generator(batches), validation_steps=1, callbacks=[Look()],
                      verbose=0).history  # fmt: skip
    for weights, (x, y), loss in zip(seen, batches, history["val_loss"], strict=True):
        w0, b0, w1, b1 = (w.astype(float) for w in weights)
        predicted = np.tanh(x @ w0 + b0) @ w1 + b1
        assert loss == pytest.approx(((predicted - y) ** 2).mean(), rel=1e-5)
