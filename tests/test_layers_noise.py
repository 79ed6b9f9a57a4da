"""Layers that draw: moments, what shares a draw, and what comes back."""

import math

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.testing.plans import LayerRun


def is_standard_normal(values):
    """Kolmogorov and Smirnov's test: the distance of the distribution functions, times the root of n, lies above 2.23
    once in ten thousand times."""
    values = np.sort(values)
    expected = np.array([math.erf(v / math.sqrt(2)) for v in values]) / 2 + 0.5
    steps = np.arange(values.size + 1) / values.size
    distance = max((steps[1:] - expected).max(), (expected - steps[:-1]).max())
    return math.sqrt(values.size) * distance < 2.23


def test_the_test_of_normality():
    draws = np.random.default_rng(3).normal(size=10_000)
    assert is_standard_normal(draws)
    assert not is_standard_normal(draws + 0.05)
    assert not is_standard_normal(draws * 1.1)


def noisy(factory, x, dtype="float64", step=0):
    """(y, dx) of a step of training, with dy = 1."""
    run = LayerRun(factory, dtype, x.shape[1:], len(x))
    run.run.set(run.x, x)
    run.run.set(run.dy, 1.0)
    run.run.steps(1, first=step)
    return run.run.get(run.y), run.run.get(run.dx)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(211, 103), (1, 1), (3, 5)])
def test_gaussian_noise(shape, dtype):
    x = np.full(shape, 2.0)
    y, dx = noisy(lambda: layers.GaussianNoise(0.5), x, dtype)
    assert (dx == 1).all()
    if y.size > 1000:
        noise = ((y - 2) / 0.5).astype(float).ravel()
        assert is_standard_normal(noise)
        assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 5 / math.sqrt(noise.size)
        assert len(np.unique(noise)) > 0.99 * noise.size


def test_gaussian_dropout_multiplies_and_draws_the_same_again():
    x = np.random.default_rng(0).uniform(1, 2, (97, 131))
    y, dx = noisy(lambda: layers.GaussianDropout(0.2), x)
    np.testing.assert_allclose(y, x * dx, rtol=1e-14)
    assert is_standard_normal(((dx - 1) / 0.5).ravel())


def test_noise_follows_from_step_seed_and_element_alone():
    def make(seed=None):
        return lambda: layers.GaussianNoise(0.5, seed=seed)

    whole = noisy(make(), np.zeros((64, 33)))[0]
    np.testing.assert_array_equal(noisy(make(), np.zeros((17, 33)))[0], whole[:17])
    assert not np.isclose(noisy(make(), np.zeros((64, 33)), step=1)[0], whole).any()
    np.testing.assert_array_equal(noisy(make(3), np.zeros((4, 4)))[0], noisy(make(3), np.zeros((4, 4)))[0])


@pytest.mark.parametrize("kind", [layers.GaussianNoise, layers.Dropout, layers.AlphaDropout])
def test_noise_with_a_seed_of_its_own_does_not_follow_from_the_models(kind):
    x, y = np.ones((8, 40), "float32"), np.zeros((8, 1), "float32")

    def losses(own, seed):
        fastnet.utils.set_random_seed(seed)
        model = fastnet.Sequential(
            [layers.Input((40,)), kind(0.5, seed=own), layers.Dense(1, kernel_initializer="ones")]
        )
        model.compile(fastnet.optimizers.SGD(0.0), "mse")
        return [model.train_on_batch(x, y) for _ in range(3)]

    own = losses(5, 1)
    assert losses(5, 2) == own and losses(6, 1) != own and losses(None, 1) != losses(None, 2)
    assert len(set(own)) == 3  # of every step its own


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(rate):
    x = np.random.default_rng(1).standard_normal((400, 250))
    y, dx = noisy(lambda: layers.AlphaDropout(rate), x)
    assert abs(y.mean()) < 0.01 and y.var() == pytest.approx(1, abs=0.02)
    lowest = -1.6732632423543772 * 1.0507009873554805
    a = ((1 - rate) * (1 + rate * lowest**2)) ** -0.5
    kept = dx != 0
    assert kept.mean() == pytest.approx(1 - rate, abs=0.01)
    np.testing.assert_allclose(dx[kept], a)
    np.testing.assert_allclose(y[kept], a * x[kept] - a * lowest * rate)
    np.testing.assert_allclose(y[~kept], a * lowest - a * lowest * rate)


@pytest.mark.parametrize("shape", [(None, 1, 7), (None, 5, 1), (1, 5, 7), (1, 1, None), (13, 1, 1)])
def test_a_shape_of_noise_says_what_shares_a_draw(shape):
    x = np.ones((13, 5, 7))
    y, dx = noisy(lambda: layers.Dropout(0.5, noise_shape=shape), x)
    np.testing.assert_array_equal(y, dx)
    np.testing.assert_array_equal(np.unique(y), [0.0, 2.0])
    drawn = y[tuple(slice(0, 1) if size == 1 else slice(None) for size in shape)]
    np.testing.assert_array_equal(y, np.broadcast_to(drawn, y.shape))
    assert 0.2 < (drawn == 0).mean() < 0.8
    if shape[0] != 1:
        assert not (y == y[:1]).all()


def test_a_rate_next_to_one_drops_all_that_share_draws():
    """Its share of 2**32 rounds to all of them, which are one more than 32 bits hold."""
    y, dx = noisy(lambda: layers.Dropout(1 - 1e-11, noise_shape=(None, 1, 5)), np.ones((7, 3, 5)))
    assert (y == 0).all() and (dx == 0).all()


def test_nothing_is_drawn_in_inference():
    x = np.random.default_rng(2).standard_normal((5, 4)).astype("f")
    for layer in (layers.GaussianNoise(0.5), layers.GaussianDropout(0.5), layers.AlphaDropout(0.5)):
        np.testing.assert_array_equal(layer(x), x)
        model = fastnet.Sequential([layers.Input((4,)), layer])
        np.testing.assert_array_equal(model.predict(x, verbose=0), x)
