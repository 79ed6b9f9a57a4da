"""Users' optimizers with scalars of the step, and with sums over a weight and over all weights."""

import math

import numpy as np
import pytest

import fastnet
from fastnet import layers, optimizers, testing


def adam_scalars(rate, t, beta_1=0.9, beta_2=0.999):
    return rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t), 1 - beta_1, 1 - beta_2


def adam(w, g, m, v, alpha, one_minus_beta_1, one_minus_beta_2):
    m = m + (g - m) * one_minus_beta_1
    v = v + (g * g - v) * one_minus_beta_2
    return w - m * alpha / (math.sqrt(v) + 1e-7), m, v


def weight_square(w, g, m, rate, beta):
    return w * w


def gradient_square(w, g, m, rate, beta):
    return g * g


def agreement(w, g, m, rate, beta):
    return g * m


def trusting(w, g, m, rate, beta, ww, gg, gm):
    """A step as long as the weight, whose momentum ends where all weights together turn around."""
    ratio = math.sqrt(ww / gg) if gg > 0 else 1
    m = beta * m + ratio * g if gm >= 0 else ratio * g
    return w - rate * m, m


def register():
    fastnet.register_optimizer("of_scalars", adam, states=("m", "v"), scalars=adam_scalars, learning_rate=0.001)
    fastnet.register_optimizer(
        "of_sums", trusting, states=("m",), beta=0.5,
        sums={"ww": weight_square, "gg": gradient_square}, total_sums={"gm": agreement},
    )  # fmt: skip


def test_scalars_are_those_of_the_step_in_double():
    """After 100,000 steps 1 - beta ** t in float32 would be wrong; the bits are those of fastnet's own Adam."""
    register()
    mine, own = np.full(5, 2.0, "float32"), np.full(5, 2.0, "float32")
    ours, theirs = optimizers.Optimizer("of_scalars", beta_2=0.99999), optimizers.Adam(beta_2=0.99999)
    for step in (0, 1, 2, 100_000, 100_001):
        ours.iterations = theirs.iterations = step
        ours.apply([mine * step], [mine])
        theirs.apply([own * step], [own])
        np.testing.assert_array_equal(mine, own)
    assert ours.get_config()["beta_1"] == 0.9


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2, "weight_decay": 0.25, "clipvalue": 0.5}])
def test_sums_over_a_weight_and_over_all(options):
    register()
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) for shape in ((3,), (70, 80), (1, 1))]
    expected, momenta = [w.copy() for w in weights], [np.zeros_like(w) for w in weights]
    optimizer, every = optimizers.Optimizer("of_sums", 0.1, **options), options.get("gradient_accumulation_steps", 1)
    for _ in range(4):
        several = [[rng.normal(size=w.shape) for w in weights] for _ in range(every)]
        for gradients in several:
            optimizer.apply(gradients, weights)
        gradients = [np.mean(each, axis=0) for each in zip(*several, strict=True)]
        if "clipvalue" in options:
            gradients = [np.clip(g, -0.5, 0.5) for g in gradients]
            expected = [w * (1 - 0.1 * 0.25) for w in expected]
        together = sum((g * m).sum() for g, m in zip(gradients, momenta, strict=True))
        for k, g in enumerate(gradients):
            scaled = np.linalg.norm(expected[k]) / np.linalg.norm(g) * g
            momenta[k] = 0.5 * momenta[k] + scaled if together >= 0 else scaled
            expected[k] = expected[k] - 0.1 * momenta[k]
    for w, right in zip(weights, expected, strict=True):
        np.testing.assert_allclose(w, right, rtol=1e-12)


@pytest.mark.slow
def test_in_a_model_and_proved():
    register()
    x, y = np.linspace(-1, 1, 64)[:, None], np.linspace(-1, 1, 64)[:, None] ** 2
    for name in ("of_scalars", "of_sums"):
        testing.check_optimizer(name)
        model = fastnet.Sequential([layers.Input((1,)), layers.Dense(8, activation="tanh"), layers.Dense(1)])
        model.compile(name, "mse")
        losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
        assert losses[-1] < losses[0]


def two(w, g, rate):
    return rate, rate


def of_t(rate, t, beta):
    return rate, beta


def of_three(rate, t):
    return rate, rate, rate


def test_wrong_declarations_are_told():
    def plain(w, g, rate):
        return w - rate * g

    def with_sum(w, g, rate, total):
        return w - rate * g * total

    def short(w, g):
        return w

    for arguments, told in (
        ({"scalars": of_t}, "each with its default"),
        ({"scalars": of_three}, "'of_three' returns 3 numbers, and 'plain' takes 1"),
        ({"scalars": adam_scalars, "beta_1": 0.5}, "are given, but the parameters"),
        ({"sums": {"total": short}}, r"the sum 'total' must take \(w, g, rate\)"),
        ({"sums": {"total": two}}, "must return 1 number"),
        ({"sums": {"total": plain}}, r"must take \(w, g, rate, total\), it takes \(w, g, rate\)"),
    ):
        with pytest.raises(ValueError, match=told):
            fastnet.register_optimizer("unsound", plain, **arguments)
    with pytest.raises(ValueError, match=r"must take \(w, g, rate, other\)"):
        fastnet.register_optimizer("unsound", with_sum, total_sums={"other": plain})
    with pytest.raises(ValueError, match="Unknown optimizer"):
        optimizers.get("unsound")
