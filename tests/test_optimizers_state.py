"""What an optimizer keeps from step to step, and optimizers as plain data."""

import _thread
import inspect
import threading

import numpy as np
import pytest

import fastnet
from fastnet import layers, optimizers

from .updates import CLASSES, a_step, model_of

EVERYTHING = {"use_ema": True, "gradient_accumulation_steps": 2, "weight_decay": 0.01}


def test_state_is_kept_between_calls():
    x, y = np.linspace(-1, 1, 8)[:, None], np.linspace(2, 3, 8)[:, None]
    whole, parts = model_of("adam"), model_of("adam")
    whole.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    for _ in range(3):
        parts.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(whole.get_weights()[0], parts.get_weights()[0])


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["alone", "everything"])
def test_a_restored_optimizer_goes_on_with_the_same_bits(cls, options):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    model = model_of(cls(0.02, **options), 2, 3)

    def train(model):
        for first in range(0, 9, 3):
            model.train_on_batch(x[first : first + 3], y[first : first + 3])

    train(model)
    config, state, weights = model.optimizer.get_config(), model.optimizer.state(model.weights), model.get_weights()
    other = model_of(cls.from_config(config), 2, 3)
    other.set_weights(weights)
    other.optimizer.load_state(state, other.weights)
    train(model)
    train(other)
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])
    for name, array in model.optimizer.state(model.weights).items():
        np.testing.assert_array_equal(other.optimizer.state(other.weights)[name], array, err_msg=name)


def test_names_of_the_state():
    model = model_of(optimizers.Nadam(0.5, **EVERYTHING))
    model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
    state = model.optimizer.state()
    names = [
        "0/gradient sum",
        "0/momentum",
        "0/moving average",
        "0/velocity",
        "iterations",
        "learning_rate",
        "u_product",
    ]
    assert sorted(state) == names
    assert (state["iterations"], state["learning_rate"]) == (1, 0.5)


def test_a_state_of_another_optimizer_is_refused_whole():
    model = model_of("adam")
    model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
    before = model.optimizer.state()
    with pytest.raises(ValueError, match=r"missing \['0/momentum', '0/velocity'\], unknown \['0/other'\]"):
        model.optimizer.load_state({"iterations": 5, "0/other": np.ones((1, 1))})
    with pytest.raises(ValueError, match=r"'0/velocity' has shape \(1, 1\); received \(2,\)"):
        model.optimizer.load_state({"iterations": 5, "0/momentum": np.ones((1, 1)), "0/velocity": np.ones(2)})
    for name, array in model.optimizer.state().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_every_class_as_plain_data(cls):
    optimizer = cls(optimizers.schedules.CosineDecay(0.3, 10), clipnorm=0.5, name="mine")
    described = optimizers.serialize(optimizer)
    assert described["class_name"] == cls.__name__
    again = optimizers.deserialize(described)
    assert type(again) is cls
    assert again.get_config() == optimizer.get_config()
    assert again.rates(3).tolist() == optimizer.rates(3).tolist()
    assert set(again.get_config()) == set(inspect.signature(cls).parameters)
    assert type(optimizers.get({"class_name": cls.__name__.lower(), "config": {"learning_rate": 0.5}})) is cls


def test_a_rule_of_a_users_own_has_everything():
    def downhill(w, g, v, rate, share):
        v = share * v + g
        return w - rate * v, v

    row = fastnet.register_optimizer("downhill", downhill, states=("v",), learning_rate=0.5, share=0.5)
    optimizer = optimizers.Optimizer(row, 0.5, share=0.25, weight_decay=0.5, clipvalue=1.0, use_ema=True)
    w, v, mean = a_step(optimizer, np.array([3.0]), start=8.0, steps=2)
    first = 8 - 8 * 0.25 - 0.5
    second = first - first * 0.25 - 0.5 * 1.25
    np.testing.assert_allclose([w[0], v[0], mean[0]], [second, 1.25, 0.99 * first + 0.01 * second])
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert (again.row, again.share, again.weight_decay) == (row, 0.25, 0.5)
    assert optimizers.get("downhill").learning_rate == 0.5


def test_a_number_of_a_rule_cannot_take_a_common_name():
    def shrink(w, g, rate, weight_decay):
        return w - rate * g - weight_decay * w

    row = fastnet.register_optimizer("shrink", shrink, weight_decay=0.1)
    with pytest.raises(TypeError, match=r"'shrink'.*\['weight_decay'\]"):
        optimizers.Optimizer(row)


def test_a_step_that_does_not_happen_leaves_everything(recwarn):
    """The third batch has a NaN: weights, averages, sums and Nadam's product are those after two steps."""
    x, y = np.linspace(-1, 1, 6)[:, None], np.ones((6, 1))
    spoilt = x.copy()
    spoilt[4] = np.nan
    options = {"use_ema": True, "clipnorm": 1.0}
    whole, broken = model_of(optimizers.Nadam(0.1, **options)), model_of(optimizers.Nadam(0.1, **options))
    for first in (0, 2):
        whole.train_on_batch(x[first : first + 2], y[first : first + 2])
    with pytest.raises(fastnet.NonFiniteError):
        broken.fit(spoilt, y, batch_size=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(whole.get_weights()[0], broken.get_weights()[0])
    for name, array in whole.optimizer.state().items():
        np.testing.assert_array_equal(broken.optimizer.state()[name], array, err_msg=name)


def test_another_optimizer_of_a_trained_model_is_the_one_that_trains():
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    x, y = np.ones((8, 3), "float32"), np.zeros((8, 2), "float32")
    model.fit(x, y, verbose=0)
    before = model.get_weights()[0]
    model.optimizer = fastnet.optimizers.SGD(0.0)
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before)
    model.optimizer = fastnet.optimizers.Adam(0.5)
    model.fit(x, y, verbose=0)
    np.testing.assert_allclose(np.abs(model.get_weights()[0] - before), 0.5, rtol=1e-4)  # Adam's first step


def test_another_loss_of_a_trained_model_is_the_one_it_is_trained_by():
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2, kernel_initializer="ones")])
    model.compile(fastnet.optimizers.SGD(0.0), "mse", loss_weights=2)
    x, y = np.ones((8, 3), "float32"), np.zeros((8, 2), "float32")
    assert model.train_on_batch(x, y) == 18.0
    model.loss = "mae"
    assert model.train_on_batch(x, y) == 3.0 and model.evaluate(x, y, verbose=0) == 3.0
    assert "loss_weights" not in model.get_compile_config()
    with pytest.raises(ValueError, match="'mean_absolute_eror'.*mean_absolute_error"):
        model.loss = "mean_absolute_eror"
    assert model.loss.name == "mean_absolute_error"


@pytest.mark.parametrize("rate", [1.0, lambda step: 1.0], ids=["number", "schedule"])
def test_steps_that_ctrl_c_ends_are_counted(rate):
    """The slope of |1e9 - w| is -1, so that w is the number of updates."""
    model = fastnet.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(fastnet.optimizers.SGD(rate), "mae")
    x, y = np.ones((10**5, 1)), np.full((10**5, 1), 1e9)
    model.fit(x[:1], y[:1], batch_size=1, verbose=0)
    for _ in range(3):
        threading.Timer(0.15, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, batch_size=1, epochs=10**6, verbose=0)
        assert model.optimizer.iterations == model.get_weights()[0].item() > 1


def test_the_number_of_steps_and_the_rate_are_assigned():
    optimizer = optimizers.SGD(0.1)
    optimizer.iterations = 7
    assert optimizer.iterations.assign(2) == 2 == optimizer.iterations
    assert optimizer.learning_rate.assign(0.5) == 0.5 == optimizer.learning_rate
    assert optimizer.variables[0].assign(3) is not None and optimizer.iterations == 3


def test_the_step_count_and_the_rate_are_numbers():
    """``optimizer.variables[0] == 1`` was False after a step."""
    optimizer = optimizers.SGD(0.5)
    optimizer.apply([np.ones(2)], [np.zeros(2)])
    count, rate = optimizer.variables
    assert count == 1 and not count != 1 and count + 1 == 2 and 1 - count == 0 and count < 2 and rate == 0.5
    assert np.sqrt(2 * rate) == 1 and (count * np.ones(3)).tolist() == [1, 1, 1] and -rate == -0.5 and rate == rate
    assert len({count, rate}) == 2 and bool(count) is True
