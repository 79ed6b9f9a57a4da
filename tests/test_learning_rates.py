"""Schedules and functions that give no learning rate: told by name, before a step is done with it."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, optimizers
from fastnet.optimizers import SGD, schedules

from .updates import model_of

X, Y = np.ones((8, 3), np.float32), np.ones((8, 1), np.float32)


class Broken(schedules.LearningRateSchedule):
    def __init__(self, value):
        self.value = value

    def __call__(self, step):
        return self.value


class Short(schedules.LearningRateSchedule):
    def at(self, steps):
        return np.ones(1) if len(steps) != 1 else np.ones(2)


def trained(rate):
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile(SGD(rate), "mse")
    return model


WRONG = {"NaN": np.nan, "negative": -0.5, "infinite": np.inf, "None": None, "text": "0.1", "list": [0.1, 0.2]}
WRONG["truth"] = True


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("kind", ["function of the step", "function of nothing", "schedule"])
def test_what_is_no_rate(kind, value):
    def of_the_step(step):
        return value

    def of_nothing():
        return value

    rate, name = {
        "function of the step": (of_the_step, "of_the_step"),
        "function of nothing": (of_nothing, "of_nothing"),
        "schedule": (Broken(value), "Broken"),
    }[kind]
    model = trained(rate)
    before = model.get_weights()
    for call in (lambda: model.fit(X, Y, verbose=0), lambda: model.train_on_batch(X, Y)):
        with pytest.raises(ValueError, match="SGD") as caught:
            call()
        for part in (name, str(value), "iteration 0", "not negative"):
            assert part in str(caught.value), caught.value
    assert model.optimizer.iterations == 0
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_rate_that_goes_wrong_later():
    def falling(step):
        return 0.2 - 0.1 * step  # below 0 at the fourth step

    model = trained(falling)
    with pytest.raises(ValueError, match=r"falling.*gives -0\.1.* at iteration 3"):
        model.fit(X, Y, batch_size=2, verbose=0)
    assert model.optimizer.iterations <= 3


def test_a_schedule_of_another_length():
    with pytest.raises(ValueError, match=r"SGD.*Short.*one learning rate for each.*shape \(1,\)|shape \(2,\)"):
        trained(Short()).fit(X, Y, batch_size=2, verbose=0)


@pytest.mark.parametrize("value", [np.float32(0.25), np.array(0.25), 0])
def test_what_is_one(value):
    model = trained(lambda: value)
    model.fit(X, Y, verbose=0)
    assert model.optimizer.learning_rate == float(value)


def test_a_schedule_is_asked_for_every_step():
    asked = []

    def rate(iteration):
        asked.append(iteration)
        return 0.1 / (1 + iteration)

    model = model_of(optimizers.SGD(rate))
    x, y = np.ones((6, 1)), np.ones((6, 1))
    model.fit(x, y, batch_size=1, epochs=1, shuffle=False, verbose=0)
    w = 0.0
    for i in range(6):
        w -= 0.1 / (1 + i) * 2 * (w - 1)
    np.testing.assert_allclose(model.get_weights()[0], [[w]], rtol=1e-15)
    assert asked[0] == 0
    assert set(range(6)) <= set(asked)
    assert model.optimizer.iterations == 6


def test_the_rate_may_be_changed_between_steps():
    model = model_of(optimizers.SGD(0.5))
    model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
    np.testing.assert_allclose(model.get_weights()[0], [[1.0]])
    model.optimizer.learning_rate = 0.25
    model.train_on_batch(np.ones((1, 1)), np.zeros((1, 1)))
    np.testing.assert_allclose(model.get_weights()[0], [[0.5]])


def test_a_rate_may_be_a_function_of_nothing():
    assert optimizers.SGD(lambda: 0.25).learning_rate == 0.25
    assert optimizers.SGD(lambda: 0.25).rates(3).tolist() == [0.25] * 3


def test_a_schedule_that_gives_no_rate_is_named_before_anything_runs():
    model = model_of(optimizers.SGD(lambda step: 0.1 if step < 2 else float("nan")))
    with pytest.raises(ValueError, match=r"schedule of the learning rate, gives nan at iteration 2"):
        model.fit(np.ones((6, 1)), np.ones((6, 1)), batch_size=1, verbose=0)
    assert model.optimizer.iterations == 0


def test_a_rate_from_a_schedule_cannot_be_set():
    optimizer = optimizers.Adam(optimizers.schedules.ExponentialDecay(0.5, 10, 0.5))
    assert optimizer.learning_rate == 0.5
    optimizer.iterations = 10
    assert optimizer.learning_rate == 0.25
    with pytest.raises(TypeError, match="is the schedule ExponentialDecay and cannot be set"):
        optimizer.learning_rate = 0.1
    optimizer.learning_rate = optimizers.schedules.CosineDecay(1.0, 20)
    assert optimizer.learning_rate == pytest.approx(0.5)
