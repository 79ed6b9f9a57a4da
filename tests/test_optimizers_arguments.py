"""Arguments of optimizers: names, places, ranges, and what happens when one is changed."""

import copy
import pickle

import numpy as np
import pytest

import fastnet
from fastnet import optimizers

from .updates import model_of


def test_names_and_arguments():
    assert optimizers.get("SGD").learning_rate == 0.01
    assert optimizers.get(None) is None
    for name in ("nesterov", "momentum", "amsgrad", "ftrl_power", "rmsprop_centered"):  # rules, which have classes
        with pytest.raises(ValueError, match=f"Unknown optimizer '{name}'"):
            optimizers.get(name)
    assert optimizers.SGD(momentum=0.9, nesterov=True).row.name == "nesterov"
    assert optimizers.RMSprop(centered=True, momentum=0.1).row.name == "rmsprop_centered_momentum"
    assert optimizers.Adam(amsgrad=True).row.name == "amsgrad"
    assert optimizers.Ftrl().row.name == "ftrl"
    assert optimizers.Ftrl(learning_rate_power=-0.4).row.name == "ftrl_power"
    assert optimizers.Adam(beta_1=0.5).beta_1 == 0.5
    with pytest.raises(AttributeError, match="Adam has no attribute 'rho'"):
        _ = optimizers.Adam().rho
    with pytest.raises(ValueError, match="Unknown optimizer 'adamm'. Did you mean 'adam"):
        optimizers.get("adamm")
    with pytest.raises(TypeError, match="Adam has no argument 'beta_3'. Did you mean 'beta_2' or 'beta_1'"):
        optimizers.Adam(beta_3=0.5)
    with pytest.raises(TypeError, match="Adam has no lr: it is called learning_rate"):
        optimizers.Adam(lr=0.1)
    for name, told in (("lr", "learning_rate"), ("minimize", "compiled into the step"), ("decay", "schedules")):
        with pytest.raises(AttributeError, match=told):
            getattr(optimizers.SGD(), name)


def test_arguments_by_place_are_in_the_order_of_the_signature():
    optimizer = optimizers.SGD(0.01, 0.9, True, 1e-4, None, 2.0)
    assert (optimizer.nesterov, optimizer.weight_decay, optimizer.clipvalue) == (True, 1e-4, 2.0)
    assert optimizers.AdamW(0.1, 0.2, 0.3).beta_1 == 0.3
    with pytest.raises(TypeError, match="too many"):
        optimizers.SGD(*range(14))


class Slow(optimizers.Adam):
    def __init__(self, learning_rate=1e-4, **more):
        super().__init__(learning_rate, **more)
        self.note = 0


def test_a_class_of_ones_own_has_all_arguments_and_attributes():
    optimizer = Slow(beta_1=0.5, use_ema=True)
    optimizer.note, optimizer.beta_1 = 3, 0.25
    again = Slow.from_config(optimizer.get_config())
    assert (again.beta_1, again.use_ema, again.note, optimizer.note) == (0.25, True, 0, 3)
    with pytest.raises(TypeError, match="Slow has no argument 'beta3'"):
        Slow(beta3=1)


ONE, TARGET = np.ones((1, 1)), np.full((1, 1), 1e6)  # a gradient far beyond each limit


def test_a_changed_argument_counts_from_the_next_step_on():
    """With a clipped gradient each step is as long as the limit."""
    model = model_of(optimizers.SGD(1.0, clipvalue=1.0))
    for limit, place in ((1.0, 1.0), (2.0, 3.0), (0.5, 3.5)):
        model.optimizer.clipvalue = limit
        model.train_on_batch(ONE, TARGET)
        assert model.get_weights()[0] == place
        assert model.optimizer.get_config()["clipvalue"] == limit


class Widen(fastnet.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.optimizer.clipvalue = 2.0 + batch


def test_a_changed_argument_counts_within_an_epoch():
    model = model_of(optimizers.SGD(1.0, clipvalue=1.0))
    logs = model.fit(ONE.repeat(4, 0), TARGET.repeat(4, 0), batch_size=1, callbacks=[Widen()], verbose=0).history
    assert model.get_weights()[0] == 1 + 2 + 3 + 4
    want = np.mean([(1e6 - place) ** 2 for place in (0, 1, 3, 6)])
    np.testing.assert_allclose(logs["loss"], [want], rtol=1e-15)  # and the epoch's sums went on


def test_a_changed_number_of_a_rule_is_that_of_the_rule():
    changed = optimizers.Adam(0.1, name="adam")
    made = optimizers.Adam(0.1, beta_1=0.5, epsilon=1e-3, weight_decay=0.1, name="adam")
    changed.beta_1, changed.epsilon, changed.weight_decay = 0.5, 1e-3, 0.1
    assert changed.get_config() == made.get_config()
    weights = []
    for optimizer in (changed, made):
        model = model_of(optimizer)
        for _ in range(3):
            model.train_on_batch(ONE, ONE)
        weights.append(model.get_weights()[0])
    np.testing.assert_array_equal(*weights)


def test_a_change_before_training_may_change_the_rule():
    optimizer = optimizers.SGD(0.1)
    optimizer.momentum = 0.9
    assert (optimizer.row.name, optimizer.parameters) == ("momentum", {"momentum": 0.9})
    optimizer = optimizers.Rprop()
    optimizer.step_sizes = (0.1, 0.2)
    assert optimizer.parameters["step_max"] == 0.2


@pytest.mark.parametrize(
    ("optimizer", "name", "value"),
    [
        (optimizers.SGD(0.1), "momentum", 0.9),
        (optimizers.SGD(0.1), "use_ema", True),
        (optimizers.SGD(0.1), "gradient_accumulation_steps", 2),
        (optimizers.Adam(0.1), "amsgrad", True),
        (optimizers.Adagrad(0.1), "initial_accumulator_value", 0.5),
    ],
)
def test_a_change_of_what_is_kept_is_refused_once_there_is_something(optimizer, name, value):
    model = model_of(optimizer)
    model.train_on_batch(ONE, ONE)
    config, state = optimizer.get_config(), optimizer.state()
    with pytest.raises(AttributeError, match=rf"{name} cannot be changed.*Make another one.*{name}={value}"):
        setattr(optimizer, name, value)
    assert optimizer.get_config() == config
    assert optimizer.state() == state


def test_bad_changes_change_nothing():
    optimizer = optimizers.Adam(0.1)
    config = optimizer.get_config()
    for name, value in (("beta_1", 1.0), ("clipnorm", "1"), ("use_ema", "x"), ("iterations", -1), ("iterations", 0.5)):
        with pytest.raises(ValueError, match=f"Adam: {name} must be"):
            setattr(optimizer, name, value)
    for name in ("beta1", "lr", "row"):
        with pytest.raises(AttributeError, match=f"Adam has no (argument ')?{name}"):
            setattr(optimizer, name, 0.5)
    assert optimizer.get_config() == config


def test_what_is_read_has_the_methods_of_keras():
    optimizer = optimizers.SGD(0.5)
    optimizer.learning_rate.assign(0.25)
    assert optimizer.learning_rate == 0.25 and optimizer.learning_rate.numpy() == np.array(0.25)
    assert optimizer.iterations.numpy() == 0
    model = model_of(optimizer)
    model.train_on_batch(ONE, ONE)
    assert optimizer.iterations == 1 and optimizer.iterations.numpy().shape == ()
    for again in (pickle.loads(pickle.dumps(optimizer.learning_rate)), copy.deepcopy(optimizer.learning_rate)):
        assert type(again) is float and again == 0.25
    with pytest.raises(TypeError, match="is the schedule"):
        optimizers.SGD(optimizers.schedules.CosineDecay(0.5, 10)).learning_rate.assign(0.1)


def test_zero_is_none_as_in_keras():
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_overwrite_frequency=0, gradient_accumulation_steps=0)
    assert optimizer.state_names() == ["moving average"]
    model_of(optimizer).train_on_batch(ONE, ONE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.SGD(-1.0), "SGD: learning_rate must be a number that is finite and not negative.*-1.0"),
        (lambda: optimizers.SGD(float("nan")), "learning_rate"),
        (lambda: optimizers.SGD(momentum=1.5), "SGD: momentum must be a number that is at least 0 and at most 1"),
        (lambda: optimizers.Adam(beta_1=1.0), "Adam: beta_1 must be a number that is at least 0 and below 1"),
        (lambda: optimizers.Adam(epsilon=0.0), "epsilon"),
        (lambda: optimizers.AdamW(weight_decay=None), "AdamW: weight_decay"),
        (lambda: optimizers.Adam(weight_decay=-0.1), "Adam: weight_decay"),
        (lambda: optimizers.RMSprop(rho=-0.1), "rho"),
        (lambda: optimizers.Lion(beta_1=0), "Lion: beta_1"),
        (lambda: optimizers.Lion(beta_1=np.array([0.5, 0.9])), "Lion: beta_1 must be a number"),
        (lambda: optimizers.Ftrl(learning_rate_power=np.array([-1, 0])), "Ftrl: learning_rate_power must be a number"),
        (lambda: optimizers.Adam(clipnorm=10**400), "Adam: clipnorm must be a number that is finite"),
        (lambda: optimizers.Adam(epsilon=10**400), "Adam: epsilon must be a number that is positive and finite"),
        (lambda: optimizers.Ftrl(learning_rate_power=0.5), "Ftrl: learning_rate_power"),
        (lambda: optimizers.Ftrl(l1_regularization_strength=-1), "l1_regularization_strength"),
        (lambda: optimizers.Adagrad(initial_accumulator_value=-1), "initial_accumulator_value"),
        (lambda: optimizers.Rprop(etas=(0.5, 0.9)), "Rprop: eta_plus"),
        (lambda: optimizers.Rprop(etas=0.5), "Rprop: etas must be a pair"),
        (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), r"only one of.*\['clipnorm', 'clipvalue'\]"),
        (lambda: optimizers.SGD(clipnorm="1"), "SGD: clipnorm"),
        (lambda: optimizers.SGD(use_ema=True, ema_momentum=1.5), "ema_momentum"),
        (lambda: optimizers.SGD(use_ema=True, ema_overwrite_frequency=2.5), "ema_overwrite_frequency.*2.5"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=1), "gradient_accumulation_steps.*at least 2"),
        (lambda: optimizers.SGD(gradient_accumulation_steps=-2), "gradient_accumulation_steps.*at least 2"),
        (lambda: optimizers.SGD(ema_overwrite_frequency=False), "ema_overwrite_frequency"),
        (lambda: optimizers.Rprop(step_sizes=(50.0, 1e-6)), r"\(the smallest, the largest\), received \(50.0"),
        (lambda: optimizers.SGD(nesterov="x"), "SGD: nesterov must be True or False, received 'x'"),
        (lambda: optimizers.AdamW(amsgrad=None), "AdamW: amsgrad must be True or False"),
        (lambda: optimizers.RMSprop(centered=2), "RMSprop: centered must be True or False"),
        (lambda: optimizers.Adam(use_ema="yes"), "Adam: use_ema must be True or False"),
        (lambda: optimizers.get(3), "An optimizer is a name"),
        (lambda: optimizers.get({}), r"An optimizer is a name.*class_name.*received \{\}"),
        (lambda: optimizers.get({"foo": 1}), "class_name.*'foo'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_names_of_optimizers_are_numbered():
    """As in Keras: the class in snake case, then a number; `clear_session` begins anew."""
    fastnet.utils.clear_session(free_memory=False)
    names = [cls().name for cls in (optimizers.AdamW, optimizers.AdamW, optimizers.RMSprop, optimizers.SGD)]
    assert names == ["adam_w", "adam_w_1", "rm_sprop", "sgd"]
    assert optimizers.AdamW(name="mine").name == "mine" and optimizers.get("adamw").name == "adam_w_2"
    again = optimizers.deserialize(optimizers.serialize(optimizers.AdamW()))
    assert again.name == "adam_w_3"


@pytest.mark.parametrize("name", ["adam", "lion", "muon", "ftrl", "lamb", "sgd"])
def test_an_optimizer_is_pickled(name):
    """Also its checks of arguments: those of all but SGD could not be pickled."""
    optimizer = fastnet.optimizers.get(name)
    optimizer.learning_rate = 0.25
    again = pickle.loads(pickle.dumps(optimizer))
    assert again.get_config() == optimizer.get_config()
    w, v = np.ones((2, 3)), np.ones((2, 3))
    optimizer.apply([np.ones((2, 3))], [w])
    again.apply([np.ones((2, 3))], [v])
    np.testing.assert_array_equal(w, v)
    with pytest.raises(ValueError, match="learning_rate must be"):
        again.learning_rate = -1.0
