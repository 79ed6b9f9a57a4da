"""Regularizers: their values, what they add to the loss, and the gradient that training follows."""

import math

import numpy as np
import pytest

import fastnet
from fastnet import layers, regularizers


class Smooth(regularizers.Regularizer):
    """A user's own: strength · Σ (sqrt(1 + w²) - 1)."""

    def __init__(self, strength=0.01):
        self.strength = strength

    @staticmethod
    def penalty(w, strength):
        return strength * (math.sqrt(1 + w * w) - 1)


class Shifted(regularizers.Regularizer):
    """Σ (w - l1)²: an argument may be 0, and may have any name."""

    def __init__(self, l1=0.0):
        self.l1 = l1

    @staticmethod
    def penalty(w, l1):
        return (w - l1) * (w - l1)


def orthogonal(w, factor, columns):
    """factor · mean |cos| over pairs of rows."""
    v = w.T if columns else w
    u = v / np.linalg.norm(v, axis=1, keepdims=True)
    pairs = [abs(u[i] @ u[j]) for i in range(len(u)) for j in range(i)]
    return factor * np.mean(pairs) if pairs else 0.0


CASES = {  # name: (regularizer, its value by numpy, whether activities may have it)
    "l1": (regularizers.L1(0.3), lambda w: 0.3 * np.abs(w).sum(), True),
    "l2": (regularizers.L2(0.2), lambda w: 0.2 * np.square(w).sum(), True),
    "l1_l2": (regularizers.L1L2(0.3, 0.2), lambda w: 0.3 * np.abs(w).sum() + 0.2 * np.square(w).sum(), True),
    "own": (Smooth(0.4), lambda w: 0.4 * (np.sqrt(1 + w * w) - 1).sum(), True),
    "an argument of 0": (Shifted(), lambda w: np.square(w).sum(), True),
    "an argument named l1": (Shifted(0.25), lambda w: np.square(w - 0.25).sum(), True),
    "rows": (regularizers.OrthogonalRegularizer(0.5), lambda w: orthogonal(w, 0.5, False), False),
    "columns": (regularizers.OrthogonalRegularizer(0.5, "columns"), lambda w: orthogonal(w, 0.5, True), False),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 64), (97, 131)])
@pytest.mark.parametrize("name", CASES)
def test_the_value_of_an_array(name, shape, dtype):
    regularizer, value, _ = CASES[name]
    w = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    assert regularizer(w) == pytest.approx(value(w.astype(float)), rel=2e-6 if dtype == "float32" else 1e-12, abs=1e-9)


def test_of_odd_numbers():
    assert regularizers.L2(1.0)(np.zeros(0)) == 0.0
    assert regularizers.L1(1.0)(-2.0) == 2.0
    assert math.isnan(regularizers.L1L2(1.0, 1.0)([1.0, np.nan]))
    assert regularizers.L2(1.0)(np.array([1e200])) == math.inf


def model_with(units=3, **arguments):
    dense = layers.Dense(units, activation="tanh", dtype="float64", **arguments)
    model = fastnet.Sequential([layers.Input((4,), dtype="float64"), dense])
    model.compile(fastnet.optimizers.SGD(0.125), "mse")
    return model


DATA = np.random.default_rng(3).standard_normal((11, 4)), np.random.default_rng(4).standard_normal((11, 3))


def loss_of(model, weights):
    model.set_weights(weights)
    return model.evaluate(*DATA, batch_size=11, verbose=0)


@pytest.mark.parametrize("where", ["kernel_regularizer", "activity_regularizer"])
@pytest.mark.parametrize("name", CASES)
def test_training_follows_the_gradient_of_the_reported_loss(name, where):
    regularizer, value, for_activities = CASES[name]
    if where == "activity_regularizer" and not for_activities:
        with pytest.raises(ValueError, match="for weights"):
            model_with(activity_regularizer=regularizer).fit(*DATA, verbose=0)
        return
    plain, model = model_with(), model_with(**{where: regularizer})
    weights = [np.random.default_rng(5).standard_normal(w.shape) for w in model.get_weights()]
    loss = loss_of(model, weights)
    plain.set_weights(weights)
    penalty = value(weights[0]) if where == "kernel_regularizer" else value(plain.predict(DATA[0], verbose=0)) / 11
    assert loss == pytest.approx(loss_of(plain, weights) + penalty, rel=1e-13)
    model.set_weights(weights)
    reported = model.train_on_batch(*DATA)
    assert reported == pytest.approx(loss, rel=1e-14)
    got = [(before - after) / 0.125 for before, after in zip(weights, model.get_weights())]
    for k, gradient in enumerate(got):
        for place in np.ndindex(gradient.shape):
            ends = []
            for h in (1e-5, -1e-5):
                moved = [w.copy() for w in weights]
                moved[k][place] += h
                ends.append(loss_of(model, moved))
            assert gradient[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=2e-8), (k, place)


def test_the_loss_of_an_epoch_counts_rows():
    x, y = DATA
    model = model_with(activity_regularizer="l2", kernel_regularizer=regularizers.L1(0.1))
    model.compile(fastnet.optimizers.SGD(0.0), "mse")
    y_pred = model.predict(x, verbose=0)
    batches = [(slice(0, 4), 4), (slice(4, 8), 4), (slice(8, 11), 3)]  # the penalty of each is divided by its own rows
    losses = [((y_pred[s] - y[s]) ** 2).mean() + 0.01 * (y_pred[s] ** 2).sum() / n for s, n in batches]
    wanted = np.average(losses, weights=[4, 4, 3]) + 0.1 * np.abs(model.get_weights()[0]).sum()
    history = model.fit(x, y, batch_size=4, shuffle=False, verbose=0).history
    assert history["loss"][0] == pytest.approx(wanted, rel=1e-13)
    assert model.evaluate(x, y, batch_size=4, verbose=0) == pytest.approx(wanted, rel=1e-13)


def test_what_is_not_trained_has_no_penalty():
    model = model_with(kernel_regularizer="l2", trainable=False)
    assert model.evaluate(*DATA, verbose=0) == model_with_weights_of(model).evaluate(*DATA, verbose=0)


def model_with_weights_of(other):
    model = model_with()
    model.set_weights(other.get_weights())
    return model


def test_the_same_bits_on_any_number_of_threads():
    x = np.random.default_rng(0).standard_normal((64, 200)).astype("f")
    results = []
    before = fastnet.get_num_threads()
    for threads in (1, 2):
        fastnet.random.set_seed(1)
        fastnet.set_num_threads(threads)
        try:
            dense = layers.Dense(300, kernel_regularizer=regularizers.L1L2(1e-3, 1e-3), activity_regularizer="l1")
            model = fastnet.Sequential([layers.Input((200,)), dense])
            model.compile("adam", "mse")
            history = model.fit(x, np.zeros((64, 300)), epochs=3, batch_size=16, verbose=0).history["loss"]
            results.append((history, model.get_weights()[0].tobytes()))
        finally:
            fastnet.set_num_threads(before)
    assert results[0] == results[1]


def test_a_penalty_that_overflows_is_found():
    model = model_with(kernel_regularizer="l2")
    model.set_weights([np.full((4, 3), 1e200), np.zeros(3)])
    with pytest.raises(fastnet.NonFiniteError):
        model.fit(*DATA, verbose=0)


def test_names_and_bad_arguments():
    assert repr(regularizers.get("l1")) == "L1(l1=0.01)" and repr(regularizers.get("L1L2")) == "L1L2(l1=0.0, l2=0.0)"
    for wrong in (-1.0, math.nan, math.inf, "1", True):
        with pytest.raises(ValueError, match="l2 must be a number that is finite and not negative"):
            regularizers.L2(wrong)
    with pytest.raises(ValueError, match="Unknown regularizer 'l22'"):
        regularizers.get("l22")
    with pytest.raises(ValueError, match="A regularizer is a name, a Regularizer, a function of an array or None"):
        regularizers.get(0.1)
    with pytest.raises(ValueError, match="OrthogonalRegularizer: mode must be 'rows' or 'columns'"):
        regularizers.OrthogonalRegularizer(mode="row")
    with pytest.raises(ValueError, match="for matrices"):
        layers_with_bias = layers.Dense(2, bias_regularizer=regularizers.OrthogonalRegularizer())
        model = fastnet.Sequential([layers.Input((2,)), layers_with_bias])
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 2)), np.ones((4, 2)), verbose=0)


def test_a_subclass_is_looked_at_when_it_is_defined():
    with pytest.raises(TypeError, match="Wrong.penalty must be a @staticmethod"):

        class Wrong(regularizers.Regularizer):
            def penalty(self, w):
                return w

    with pytest.raises(fastnet.RuleError, match="loses NaN"):

        class Lossy(regularizers.Regularizer):
            @staticmethod
            def penalty(w):
                return max(w, 0)


@pytest.mark.parametrize("base", [regularizers.OrthogonalRegularizer, regularizers.L1L2])
def test_a_subclass_may_be_array_code(base):
    """The ``__call__`` of a subclass of `OrthogonalRegularizer` was ignored in training."""

    class Sums(base):
        def __call__(self, x):
            return 3.0 * fastnet.ops.sum(x)

    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2, kernel_regularizer=Sums(), dtype="float64")])
    model.compile("sgd", "mse")
    x = np.ones((4, 3))
    y = model.predict(x, verbose=0)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), 3 * model.get_weights()[0].sum(), rtol=1e-12)
    np.testing.assert_allclose(model.gradients(x, y)[model.layers[0].name]["kernel"], 3.0, rtol=1e-12)
