"""Losses of two predictions for each target, and losses of a whole row, that users register."""

import math

import numpy as np
import pytest

import fastnet
from fastnet import extend, layers, losses, testing


def gaussian(y_true, mean, log_variance, floor=0.0):
    return 0.5 * (log_variance + (y_true - mean) ** 2 * math.exp(-log_variance)) - floor


def larger(largest, x, t):
    return largest if x < largest else x


def add(total, inner, x, t, largest):
    return total + math.exp(x - largest), inner + t * (x - largest)


def crossentropy(largest, total, inner):
    return math.log(total) - inner


def slope(x, t, largest, total, inner):
    return math.exp(x - largest) / total - t


def register():
    fastnet.register_loss("normal", gaussian, outputs=2)
    passes = (extend.Pass((-math.inf,), larger), extend.Pass((0.0, 0.0), add))
    fastnet.register_row_loss("softmax_of_mine", extend.RowRule(passes, slope, crossentropy), targets="sparse")


def test_values_are_those_of_numpy():
    register()
    rng = np.random.default_rng(0)
    t, x = rng.normal(size=(5, 3)), rng.normal(size=(5, 6))
    expected = 0.5 * (x[:, 3:] + (t - x[:, :3]) ** 2 * np.exp(-x[:, 3:]))
    loss = losses.get("normal")
    np.testing.assert_allclose(loss.per_row(t, x), expected.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(loss(t, x, np.arange(5.0)), (expected.mean(axis=1) * np.arange(5)).sum() / 5, rtol=1e-12)
    labels = np.array([0, 1, 2, 5, 3])
    own = losses.SparseCategoricalCrossentropy(from_logits=True)
    np.testing.assert_allclose(losses.get("softmax_of_mine").per_row(labels, x), own.per_row(labels, x), rtol=1e-12)


@pytest.mark.slow
def test_both_are_proved():
    register()
    testing.check_loss("normal")
    testing.check_loss("softmax_of_mine")


@pytest.mark.parametrize("shape", [(40,), (40, 1)])
def test_a_model_learns_mean_and_deviation(shape):
    register()
    fastnet.utils.set_random_seed(0)
    x = np.linspace(-1, 1, 40)[:, None]
    y = 2 * x + 0.1 * np.where(np.arange(40)[:, None] % 2, 1, -1)
    model = fastnet.Sequential([layers.Input((1,)), layers.Dense(2)])
    model.compile(fastnet.optimizers.Adam(0.05), "normal")
    model.fit(x, y.reshape(shape), epochs=300, batch_size=40, verbose=0)
    mean, log_variance = model.predict(x).T
    np.testing.assert_allclose(mean, 2 * x[:, 0], atol=0.05)
    np.testing.assert_allclose(np.exp(0.5 * log_variance), 0.1, rtol=0.2)


def test_weights_of_rows_in_the_gradient():
    register()
    rng = np.random.default_rng(1)
    x, y, weights = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), rng.uniform(size=6)
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(4, dtype="float64", name="out")])
    model.compile("sgd", "normal")
    found = model.gradients(x, y, sample_weight=weights)["out"]["bias"]
    start, h = model.layers[0].bias.numpy(), 1e-6
    for k in range(4):
        values = []
        for step in (h, -h):
            model.layers[0].bias.assign(start + step * (np.arange(4) == k))
            values.append(model.evaluate(x, y, sample_weight=weights, verbose=0))
        np.testing.assert_allclose(found[k], (values[0] - values[1]) / (2 * h), rtol=1e-6, atol=1e-9)


def add_element(total, x, t):
    return total + x


def total(total):
    return total


def one(x, t, total):
    return 1.0


def test_sums_of_long_rows_are_exact():
    """In one run the float32 sum of 100,003 times 0.1 is off by 1e-4. In parts of 64, each of which is rounded 64 times
    and then added to a pair, it is off by less than 1e-6."""
    x = np.full((3, 100_003), 0.1, "f")
    for name, sums, least, most in (("alone", (), 1e-5, 1e-3), ("in_parts", (0,), 0, 1e-6)):
        fastnet.register_row_loss(name, extend.RowRule((extend.Pass((0.0,), add_element, sums=sums),), one, total))
        loss = fastnet.losses.get(name)
        loss.reduction = "none"
        error = np.abs(loss(0 * x, x) / x.sum(-1, dtype="float64") - 1).max()
        assert least <= error <= most, (name, error)


def two(x, t):
    return x, t


def by_power(total, x, t, power):
    return total + x**power


def by_powers(total, power, factor):
    return total


def unsound(passes, element=one, value=total, **parameters):
    return lambda: fastnet.register_row_loss("unsound", extend.RowRule(passes, element, value), **parameters)


def test_misuse_is_told():
    register()
    x = np.ones((4, 2))
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(3)])
    model.compile("sgd", "normal")
    with pytest.raises(ValueError, match="must be a multiple of 2"):
        model.fit(x, np.ones((4, 1)), verbose=0)
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(2)])
    model.compile("sgd", "normal")
    with pytest.raises(ValueError, match=r"needs targets of shape \(n, 1\) for predictions of shape \(n, 2\)"):
        model.fit(x, np.ones((4, 3)), verbose=0)
    model.compile("sgd", "normal", metrics=["mae"])
    with pytest.raises(ValueError, match="2 predictions for each target; leave the metric out"):
        model.fit(x, np.ones((4, 1)), verbose=0)
    for wrong, told in (
        (lambda: fastnet.register_loss("unsound", gaussian, outputs=0), "outputs must be at least 1"),
        (lambda: fastnet.register_loss("unsound", larger, outputs=3), "must take at least 4 arguments"),
        (lambda: fastnet.register_row_loss("unsound", two), "takes an extend.RowRule"),
        (lambda: fastnet.register_row_loss("unsound", extend.RowRule((), two, two), "label"), "targets must be"),
        (
            lambda: fastnet.register_row_loss(
                "unsound", extend.RowRule((extend.Pass((0.0,), add),), slope, crossentropy)
            ),
            "'add' must take 3 arguments|must return 1 number",
        ),
        (unsound(()), r"passes must be a tuple of at least one extend.Pass, received \(\)"),
        (
            unsound(extend.Pass((0.0,), add_element)),
            "passes must be a tuple of at least one extend.Pass, received Pass",
        ),
        (unsound((extend.Pass((), add_element),)), r"the start of a pass must be a tuple .*, received \(\)"),
        (unsound((extend.Pass(0.0, add_element),)), "the start of a pass must be a tuple .*, received 0.0"),
        (
            unsound((extend.Pass((0.0,), add_element, sums=(1,)),)),
            r"positions of its accumulators, from 0 to 0, .* \(1,\)",
        ),
        (unsound((extend.Pass((0.0,), add_element, sums=(0, 0)),)), "each once"),
        (unsound((extend.Pass((0.0,), add_element),), power="2"), "power must be a number, received '2'"),
        (
            unsound((extend.Pass((0.0,), add_element),), power=2.0),
            r"must take 4 arguments, of which the last .* \(power\)",
        ),
        (unsound((extend.Pass((0.0,), by_power),), by_power, total, power=2.0), "'total' must take 2 arguments"),
        (
            unsound((extend.Pass((0.0,), by_power),), by_power, by_powers, factor=1.0, power=2.0),
            r"'by_power' must take 5 arguments, .* \(factor, power\); it takes \(total, x, t, power\)",
        ),
    ):
        with pytest.raises(ValueError, match=told):
            wrong()
