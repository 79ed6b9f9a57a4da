"""The interface of Sequential: what a user calls, in which order things happen, and what comes back."""

import copy
import pickle

import numpy as np
import pytest

import fastnet
from fastnet import layers

from .oracles import same


def data(n=70, inputs=5, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, inputs)).astype(np.float32)
    return x, rng.integers(0, classes, n)


def classifier(inputs=5, classes=3, units=8, dropout=0.0, dtype=None, **arguments):
    model = fastnet.Sequential(
        [
            layers.Input((inputs,), dtype=dtype),
            layers.Dense(units, activation="tanh", dtype=dtype),
            layers.Dropout(dropout, dtype=dtype),
            layers.Dense(classes, dtype=dtype),
        ]
    )
    loss = fastnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(**{"optimizer": "adam", "loss": loss, "metrics": ["accuracy"], **arguments})
    return model


def forward(model, x):
    """The classifier in float64."""
    w, b, v, c = (value.astype(np.float64) for value in model.get_weights())
    return np.tanh(x @ w + b) @ v + c


def cross_entropy(logits, y):
    shifted = logits - logits.max(-1, keepdims=True)
    return np.log(np.exp(shifted).sum(-1)) - shifted[np.arange(len(y)), y]


# ---- what the calls return


def test_predict_evaluate_and_the_batch_calls_agree_with_float64():
    x, y = data()
    model = classifier()
    logits = forward(model, x)
    loss, accuracy = cross_entropy(logits, y).mean(), (logits.argmax(-1) == y).mean()
    # float32 with sums of a few terms
    np.testing.assert_allclose(model.predict(x), logits, atol=1e-5)
    np.testing.assert_allclose(model(x[:3]), logits[:3], atol=1e-5)
    for batch_size in (1, 7, 32, 70, 1000, None):
        assert np.array_equal(model.predict(x, batch_size=batch_size), model.predict_on_batch(x))
        assert model.evaluate(x, y, batch_size, verbose=0) == pytest.approx([loss, accuracy], abs=1e-5)
    assert model.test_on_batch(x, y) == pytest.approx([loss, accuracy], abs=1e-5)
    named = model.evaluate(x, y, return_dict=True)
    assert named == pytest.approx({"loss": loss, "accuracy": accuracy}, abs=1e-5)
    classifier_without_metrics = classifier(metrics=None)
    assert isinstance(classifier_without_metrics.evaluate(x, y), float)


def test_train_on_batch_is_one_step_and_tells_the_loss_before_it():
    x, y = data(9)
    model, other = classifier(), classifier()
    other.set_weights(model.get_weights())
    logits = forward(model, x)
    expected = [cross_entropy(logits, y).mean(), (logits.argmax(-1) == y).mean()]
    assert model.train_on_batch(x, y) == pytest.approx(expected, abs=1e-5)
    assert model.optimizer.iterations == 1
    other.fit(x, y, epochs=1, batch_size=100, shuffle=False, verbose=0)
    assert same(model.get_weights(), other.get_weights())
    assert set(model.train_on_batch(x, y, return_dict=True)) == {"loss", "accuracy"}


def test_sgd_by_hand_with_a_short_last_batch():
    # y = w x with batches of 2 and 1 rows: the mean of an epoch weighs a batch by its rows.
    model = fastnet.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(optimizer=fastnet.optimizers.SGD(0.1), loss="mse")
    x, y = np.array([[1.0], [2.0], [3.0]]), np.array([0.0, 0.0, 0.0])
    history = model.fit(x, y, epochs=1, batch_size=2, shuffle=False, verbose=0)
    first, w = (1 + 4) / 2, 1 - 0.1 * (2 * 1 + 2 * 4) / 2
    last = (3 * w) ** 2
    w -= 0.1 * 2 * 9 * w
    assert history.history["loss"] == [pytest.approx((2 * first + last) / 3, rel=1e-6)]
    assert model.get_weights()[0].item() == pytest.approx(w, rel=1e-5)


@pytest.mark.parametrize("n", [1, 2, 31, 33])
@pytest.mark.parametrize("batch_size", [1, 2, 32, 10**6])
def test_any_number_of_rows_and_any_batch_size(n, batch_size):
    x, y = data(n)
    model = classifier(metrics=None)
    history = model.fit(x, y, epochs=2, batch_size=batch_size, verbose=0)
    assert model.optimizer.iterations == 2 * -(-n // batch_size)
    assert len(history.history["loss"]) == 2 and np.isfinite(history.history["loss"]).all()
    assert model.predict(x, batch_size=batch_size).shape == (n, 3)


def test_no_rows():
    model = classifier()
    assert model.predict(np.zeros((0, 5))).shape == (0, 3)


def test_no_epochs():
    model = classifier()
    before = model.get_weights()
    history = model.fit(*data(), epochs=0, verbose=0)
    assert history.history == {} and history.epoch == []
    assert same(model.get_weights(), before)


# ---- History and callbacks


class Log(fastnet.callbacks.Callback):
    """Writes down each hook with its position and the names in its logs."""

    def __init__(self):
        self.calls = []

    def __getattribute__(self, name):
        value = object.__getattribute__(self, name)
        if not name.startswith("on_") or name in ("on_progress", "on_batch_begin", "on_batch_end"):
            return value

        def hook(*arguments, **more):
            arguments = [*arguments, *more.values()]
            logs = sorted(arguments.pop()) if arguments and not isinstance(arguments[-1], int) else []
            self.calls.append((name, *arguments, *logs))

        return hook


def test_hooks_come_in_the_order_of_keras():
    log = Log()
    x, y = data(10)
    classifier().fit(x, y, batch_size=6, epochs=2, validation_split=0.2, verbose=0, callbacks=[log])
    epoch = [
        ("on_train_batch_begin", 0),
        ("on_train_batch_end", 0, "accuracy", "loss"),
        ("on_train_batch_begin", 1),
        ("on_train_batch_end", 1, "accuracy", "loss"),
        ("on_test_begin",),
        ("on_test_batch_begin", 0),
        ("on_test_batch_end", 0, "accuracy", "loss"),
        ("on_test_end", "accuracy", "loss"),
    ]
    names = ("accuracy", "loss", "val_accuracy", "val_loss")
    expected = [("on_train_begin",)]
    for number in range(2):
        expected += [("on_epoch_begin", number), *epoch, ("on_epoch_end", number, *names)]
    assert log.calls == [*expected, ("on_train_end", *names)]


def test_hooks_of_evaluate_and_predict():
    log, model = Log(), classifier()
    x, y = data(5)
    model.evaluate(x, y, batch_size=3, callbacks=[log])
    assert [call[0] for call in log.calls] == [
        "on_test_begin",
        *["on_test_batch_begin", "on_test_batch_end"] * 2,
        "on_test_end",
    ]
    log.calls.clear()
    model.predict(x, batch_size=3, callbacks=[log])
    assert log.calls == [
        ("on_predict_begin",),
        ("on_predict_batch_begin", 0),
        ("on_predict_batch_end", 0, "outputs"),
        ("on_predict_batch_begin", 1),
        ("on_predict_batch_end", 1, "outputs"),
        ("on_predict_end",),
    ]


def test_predict_hooks_see_the_outputs():
    class Collect(fastnet.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            parts.append(logs["outputs"].copy())

    parts, model = [], classifier()
    result = model.predict(data(7)[0], batch_size=3, callbacks=[Collect()])
    assert [len(part) for part in parts] == [3, 3, 1]
    assert np.array_equal(np.concatenate(parts), result)


def test_batch_hooks_change_no_number():
    class Watch(fastnet.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(logs["loss"])

    losses, results = [], []
    for callbacks in ([], [Watch()]):
        fastnet.utils.set_random_seed(3)
        model = classifier(dropout=0.3)
        history = model.fit(*data(), epochs=2, batch_size=16, verbose=0, callbacks=callbacks)
        results.append((model.get_weights(), history.history))
    assert same(results[0][0], results[1][0]) and results[0][1] == results[1][1]
    assert len(losses) == 10
    assert [losses[4], losses[9]] == results[0][1]["loss"]  # the means over the epoch so far


def test_stop_training_after_an_epoch_and_within_one():
    class Stop(fastnet.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 2

    class StopAtOnce(fastnet.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    model = classifier()
    history = model.fit(*data(), epochs=9, verbose=0, callbacks=[Stop()])
    assert history.epoch == [0, 1, 2] == list(range(len(history.history["loss"])))
    assert model.history is history
    model = classifier()
    history = model.fit(*data(), epochs=9, batch_size=10, verbose=0, callbacks=[StopAtOnce()])
    assert model.optimizer.iterations == 2 and history.epoch == [0]
    model.fit(*data(), epochs=1, batch_size=10, verbose=0)
    assert model.optimizer.iterations == 9  # a stop holds for one fit


def test_epochs_are_numbered_from_initial_epoch():
    history = classifier().fit(*data(), epochs=5, initial_epoch=3, verbose=0)
    assert history.epoch == [3, 4] and len(history.history["loss"]) == 2


def test_a_callback_sets_the_learning_rate():
    class Freeze(fastnet.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.0 if epoch else 0.01
            weights.append(self.model.get_weights())

    weights, model = [], classifier()
    model.fit(*data(), epochs=2, verbose=0, callbacks=[Freeze()])
    assert not same(*weights) and same(weights[1], model.get_weights())


# ---- validation


def test_validation_split_takes_the_last_rows_before_shuffling():
    x, y = data(20)
    model, other = classifier(), classifier()
    other.set_weights(model.get_weights())
    history = model.fit(x, y, epochs=2, validation_split=0.25, shuffle=False, verbose=0).history
    mirror = other.fit(x[:15], y[:15], epochs=2, validation_data=(x[15:], y[15:]), shuffle=False, verbose=0).history
    assert history == mirror and set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert same(model.get_weights(), other.get_weights())
    logits = forward(model, x[15:])
    assert history["val_loss"][-1] == pytest.approx(cross_entropy(logits, y[15:]).mean(), abs=1e-5)


def test_validation_freq():
    x, y = data(20)
    history = classifier().fit(x, y, epochs=5, validation_data=(x, y), validation_freq=2, verbose=0).history
    assert len(history["loss"]) == 5 and len(history["val_loss"]) == 2


def test_validation_moves_nothing():
    results = []
    for validation in (None, data(9, seed=1)):
        fastnet.utils.set_random_seed(4)
        model = fastnet.Sequential(
            [layers.Input((5,)), layers.Dense(6), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(3)]
        )
        model.compile("adam", fastnet.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(*data(), epochs=3, validation_data=validation, verbose=0)
        results.append(model.get_weights())
    assert same(*results)


# ---- seeds and shuffling


def test_a_seed_decides_everything():
    results = []
    for seed in (1, 1, 2):
        fastnet.utils.set_random_seed(seed)
        model = classifier(dropout=0.4)
        history = model.fit(*data(), epochs=3, batch_size=8, verbose=0)
        results.append((model.get_weights(), history.history))
    assert same(results[0][0], results[1][0]) and results[0][1] == results[1][1]
    assert not same(results[0][0], results[2][0])


def test_shuffle_sees_every_row_once_in_a_new_order_each_epoch():
    # With w = 0 and a learning rate of 0 the loss of a batch of one row is that row's y².
    class Order(fastnet.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            means.append(logs["loss"] * (batch + 1))

    def orders(shuffle):
        means.clear()
        model = fastnet.Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="zeros")])
        model.compile(fastnet.optimizers.SGD(0.0), "mse")
        model.fit(np.ones((12, 1)), np.arange(12.0), 1, 3, 0, [Order()], shuffle=shuffle)
        squares = np.diff(np.reshape(means, (3, 12)), axis=1, prepend=0)
        return np.sqrt(np.maximum(squares, 0)).round().astype(int).tolist()

    means = []
    assert orders(False) == [list(range(12))] * 3
    shuffled = orders(True)
    assert all(sorted(order) == list(range(12)) for order in shuffled)
    assert len({tuple(order) for order in [*shuffled, range(12)]}) == 4


# ---- the network


def test_add_and_pop_while_in_use():
    x, y = data()
    model = fastnet.Sequential([layers.Input((5,))])
    assert np.array_equal(model.predict(x), x)
    model.add(layers.Dense(4, activation="relu"))
    assert model.predict(x).shape == (70, 4)
    model.add(layers.Dense(3))
    model.compile("sgd", fastnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, verbose=0)
    kept = model.layers[0].get_weights()
    last = model.pop()
    assert last.units == 3 and model.output_shape == (None, 4) and same(model.get_weights(), kept)
    np.testing.assert_allclose(model.predict(x), np.maximum(x @ kept[0] + kept[1], 0), atol=1e-5)
    model.add(layers.Dense(2))
    assert model.predict(x).shape == (70, 2) and model.count_params() == 5 * 4 + 4 + 4 * 2 + 2


def test_deferred_build():
    model = fastnet.Sequential([layers.Dense(4, activation="relu"), layers.Dense(3)])
    assert not model.built and model.weights == []
    model.compile("adam", fastnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(*data(), verbose=0)
    assert model.built and model.input_shape == (None, 5) and model.count_params() == 39
    fresh = fastnet.Sequential([layers.Dense(4)])
    fresh.build((None, 7))
    assert fresh.output_shape == (None, 4) and [w.shape for w in fresh.get_weights()] == [(7, 4), (4,)]


def test_summary_has_layers_shapes_and_numbers():
    lines = []
    model = classifier()
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert "(None, 8)" in text and "(None, 3)" in text and model.layers[0].name in text
    assert "48" in text and "27" in text and "Total params: 75 (300.00 B)" in text and text.isascii()
    deferred = []
    fastnet.Sequential([layers.Dense(2)]).summary(print_fn=deferred.append)
    assert "not built" in deferred[0].lower()


def test_get_layer_and_frozen_layers():
    x, y = data()
    model = classifier()
    first = model.get_layer(index=0)
    assert model.get_layer(first.name) is first
    frozen, other = first.get_weights(), model.layers[-1].get_weights()
    first.trainable = False
    model.fit(x, y, verbose=0)
    assert same(first.get_weights(), frozen) and not same(model.layers[-1].get_weights(), other)
    assert len(model.trainable_weights) == 2
    model.trainable = False
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    assert same(model.get_weights(), before) and model.trainable_weights == []


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.append(layers.Dense(1)), lambda found: found.insert(0, layers.Dense(1)),
        lambda found: found.pop(), lambda found: found.clear(), lambda found: found.extend([]),
        lambda found: found.__setitem__(0, layers.Dense(1)), lambda found: found.__delitem__(0),
        lambda found: found.__iadd__([layers.Dense(1)]), lambda found: found.reverse(),
    ],
)  # fmt: skip
def test_the_list_of_layers_refuses_changes(change):
    """They would change a copy, in silence, also in a callback."""
    model = classifier()
    before = list(model.layers)
    with pytest.raises(TypeError, match=r"would not change the model\. model\.add\(layer\)"):
        change(model.layers)
    assert model.layers == before
    with pytest.raises(AttributeError, match=r"layers cannot be set; use model\.add"):
        model.layers = []
    for copied in (copy.copy(model.layers), model.layers[:], [*model.layers], model.layers + []):
        copied.pop()
        assert type(copied) is list
    assert type(copy.deepcopy(model.layers)) is list and len(pickle.loads(pickle.dumps(model.layers))) == len(before)


def test_weights_set_by_hand_are_seen_everywhere():
    x, _ = data()
    model, other = classifier(), classifier()
    model.predict(x)
    model.set_weights(other.get_weights())
    assert np.array_equal(model.predict(x), other.predict(x))
    kernel = np.zeros((5, 8))
    model.layers[0].set_weights([kernel, np.zeros(8)])
    assert np.array_equal(model.predict(x)[0], model.get_weights()[-1])
    model.get_weights()[0][...] = 7  # a copy
    assert not model.get_weights()[0].any()


# ---- dtypes of models


def test_float64_models_compute_in_float64():
    x, y = data()
    model = classifier(dtype="float64")
    result = model.predict(x)
    assert result.dtype == np.float64 and all(w.dtype == np.float64 for w in model.get_weights())
    # 16 digits, sums of a few terms
    np.testing.assert_allclose(result, forward(model, x), atol=1e-14)
    assert model.evaluate(x, y, verbose=0)[0] == pytest.approx(cross_entropy(forward(model, x), y).mean(), rel=1e-13)
    model.fit(x, y, epochs=2, verbose=0)


def test_floatx_and_layers_of_mixed_dtype():
    fastnet.config.set_floatx("float64")
    try:
        assert layers.Dense(1).dtype == "float64"
    finally:
        fastnet.config.set_floatx("float32")
    x, y = data()
    mixed = [layers.Dense(8, "tanh", dtype="float64"), layers.Dense(3, dtype="float32")]
    model = fastnet.Sequential([layers.Input((5,)), *mixed])
    model.compile("adam", fastnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert [w.dtype.name for w in model.get_weights()] == ["float64"] * 2 + ["float32"] * 2
    result = model.predict(x)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, forward(model, x), atol=1e-5)
    history = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]


# ---- profile


def test_profile_has_every_layer_and_adds_up():
    model = classifier(units=32)
    profile = model.profile(*data(), batch_size=16, seconds=0.05)
    assert {layer.name for layer in model.layers if layer.variables} <= {row.layer for row in profile.rows}
    assert sum(row.share for row in profile.rows) == pytest.approx(1)
    assert sum(row.microseconds for row in profile.rows) == pytest.approx(profile.microseconds)
    assert profile.steps > 0 and model.optimizer.iterations == 0
    text = str(profile)
    assert model.layers[0].name in text and "GF/s" in text and "backward" in text
