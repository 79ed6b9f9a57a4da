"""Schedules and functions that give no learning rate: told by name, before a step is done with it."""

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.optimizers import SGD, schedules

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
