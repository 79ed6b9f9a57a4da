"""Every update rule of the table, step by step against float64 oracles; schedules, state and bad arguments."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, optimizers, testing
from fastnet._kernels import registry
from fastnet.testing.plans import update

from . import oracles

ROWS = registry.updates.unique()
NAMES = [row.name for row in ROWS]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_ten_steps_follow_the_paper(name, dtype):
    row = registry.updates[name]
    rng = np.random.default_rng(5)
    start, gradients = rng.standard_normal(37).astype(dtype), rng.standard_normal((10, 37)).astype(dtype)
    gradients[:, 0] = 0  # a weight nothing depends on
    optimizer = optimizers.Optimizer(row, 0.01)
    got = update(optimizer, dtype, start, gradients)
    w, states = start.astype(float), [np.zeros(37) for _ in row.states]
    for t, g in enumerate(gradients.astype(float), 1):
        w = oracles.UPDATES[name](t, w, g, states, 0.01, **row.parameters)
    # Ten roundings; a state near 0 keeps the absolute error of the numbers that cancelled in it.
    tolerance = 2e-6 if dtype == "float32" else 2e-14
    for mine, right in zip(got, [w, *states], strict=True):
        np.testing.assert_allclose(mine, right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_check_optimizer_proves_every_row(name):
    report = str(testing.check_optimizer(name))
    assert "the same bits on 1 and 2" in report
    assert "no double instruction" in report


def model_of(optimizer):
    model = fastnet.Sequential(
        [layers.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="zeros", dtype="float64")]
    )
    model.compile(optimizer, "mse")
    return model


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


def test_state_is_kept_between_calls():
    x, y = np.linspace(-1, 1, 8)[:, None], np.linspace(2, 3, 8)[:, None]
    whole, parts = model_of("adam"), model_of("adam")
    whole.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    for _ in range(3):
        parts.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(whole.get_weights()[0], parts.get_weights()[0])


def test_names_and_arguments():
    assert optimizers.get("SGD").learning_rate == 0.01
    assert optimizers.get("nesterov").row.name == "nesterov"
    assert optimizers.SGD(momentum=0.9, nesterov=True).row.name == "nesterov"
    assert optimizers.RMSprop(centered=True, momentum=0.1).row.name == "rmsprop_centered_momentum"
    assert optimizers.Adam(amsgrad=True).row.name == "amsgrad"
    with pytest.raises(ValueError, match="Unknown optimizer 'adamm'. Did you mean 'adam'"):
        optimizers.get("adamm")
    for make, message in [
        (lambda: optimizers.SGD(-1.0), "learning_rate"),
        (lambda: optimizers.SGD(float("nan")), "learning_rate"),
        (lambda: optimizers.SGD(momentum=1.5), "momentum"),
        (lambda: optimizers.Adam(beta_1=1.0), "beta_1"),
        (lambda: optimizers.Adam(epsilon=0.0), "epsilon"),
        (lambda: optimizers.RMSprop(rho=-0.1), "rho"),
        (lambda: optimizers.get(3), "An optimizer is a name"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()


def test_an_update_in_the_wrong_direction_is_found():
    def uphill(w, g, rate):
        return w + rate * g

    def scalars(rate, t):
        return rate

    with pytest.raises(AssertionError, match="raise ½"):
        testing.check_optimizer(registry.Update("uphill", uphill, scalars, 1))
