"""`MultiOptimizer` and `LossScaleOptimizer`: each weight becomes what its optimizer alone would make of it."""

import copy

import numpy as np
import pytest

import fastnet
from fastnet import layers, optimizers

DECAY = optimizers.schedules.ExponentialDecay(0.5, 3, 0.5)


def data():
    rng = np.random.default_rng(2)
    return rng.normal(size=(20, 3)), rng.normal(size=(20, 2))


def network(optimizer):
    fastnet.utils.set_random_seed(4)
    model = fastnet.Sequential(
        [layers.Input((3,)), layers.Dense(4, activation="tanh", name="first"), layers.Dense(2, name="head")]
    )
    model.compile(optimizer, "mse")
    return model


def several(**options):
    first = optimizers.Nadam(0.05, weight_decay=0.1, **options)
    return optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD(DECAY, momentum=0.9), {"first/.*": first}))


def by_hand(steps, **options):
    """The same training by gradients, with two optimizers apart."""
    x, y = data()
    model = network("sgd")
    first, head = optimizers.Nadam(0.05, weight_decay=0.1, **options), optimizers.SGD(DECAY, momentum=0.9)
    for _ in range(steps):
        found = model.gradients(x, y)
        first.apply(list(found["first"].values()), model.layers[0].trainable_weights)
        head.apply(list(found["head"].values()), model.layers[1].trainable_weights)
    return model.get_weights()


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2, "clipnorm": 0.1}], ids=str)
def test_each_weight_has_its_optimizer(options):
    x, y = data()
    model = network(several(**options))
    model.fit(x, y, batch_size=20, epochs=7, verbose=0)
    for left, right in zip(model.get_weights(), by_hand(7, **options), strict=True):
        np.testing.assert_allclose(left, right, rtol=2e-5, atol=1e-6)
    assert model.optimizer.iterations == 7
    assert [o.iterations for o in model.optimizer.optimizers] == [7, 7]


def test_many_steps_in_one_call_have_the_rates_of_single_steps():
    x, y = data()
    at_once, one_by_one = network(several()), network(several())
    at_once.fit(x, y, batch_size=2, epochs=1, shuffle=False, verbose=0)
    for first in range(0, 20, 2):
        one_by_one.train_on_batch(x[first : first + 2], y[first : first + 2])
    for left, right in zip(at_once.get_weights(), one_by_one.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_rate_of_0_leaves_a_layer_and_may_be_set_later():
    x, y = data()
    still = optimizers.SGD(0.0)
    model = network(optimizers.MultiOptimizer(lambda v: still if v.path.startswith("first") else optimizers.SGD(0.1)))
    start = model.get_weights()
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], start[0])
    assert not np.array_equal(model.get_weights()[2], start[2])
    still.learning_rate = 0.1
    model.fit(x, y, verbose=0)
    assert not np.array_equal(model.get_weights()[0], start[0])


def test_files_copies_and_descriptions(tmp_path):
    x, y = data()
    model = network(several())
    model.fit(x, y, batch_size=5, epochs=2, verbose=0)
    model.save(tmp_path / "model.fastnet")
    again = [fastnet.models.load_model(tmp_path / "model.fastnet"), copy.deepcopy(model)]
    for other in (model, *again):
        other.fit(x, y, batch_size=5, epochs=2, verbose=0, shuffle=False)
    for other in again:
        for left, right in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(left, right)
    state = model.optimizer.state(model.trainable_weights)
    assert {"learning_rate_0", "u_product_0", "0/velocity", "2/momentum"} <= set(state)
    described = optimizers.deserialize(optimizers.serialize(model.optimizer))
    assert [type(o).__name__ for o in described.optimizers] == ["Nadam", "SGD"]


def test_a_loss_scale_changes_nothing_in_fit_and_is_divided_by_in_apply():
    x, y = data()
    scaled, plain = network(optimizers.LossScaleOptimizer(optimizers.Adam(0.1))), network(optimizers.Adam(0.1))
    for model in (scaled, plain):
        model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    for left, right in zip(scaled.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    scaled.optimizer.learning_rate = 0.25
    assert scaled.optimizer.inner_optimizer.learning_rate == 0.25
    w, optimizer = np.zeros(1), optimizers.LossScaleOptimizer(optimizers.SGD(1.0), initial_scale=4.0)
    optimizer.apply([np.array([8.0])], [w])
    assert w[0] == -2
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert (again.initial_scale, again.inner_optimizer.learning_rate) == (4, 1)


@pytest.mark.parametrize("is_built", [True, False])
def test_callbacks_change_the_rate_of_each(is_built):
    """As in Keras. `ReduceLROnPlateau` spoke of a schedule, and `LearningRateScheduler` of no learning rate."""
    x, y = data()
    optimizer = optimizers.MultiOptimizer(
        optimizers.OptimizerMap(optimizers.SGD(0.1, name="a"), {"first/.*": optimizers.Adam(0.01, name="b")})
    )
    model = network(optimizer)
    if not is_built:
        model = fastnet.Sequential([layers.Dense(4, name="first"), layers.Dense(2, name="head")])
        model.compile(optimizer, "mse")
    reduce = fastnet.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    history = model.fit(x, y, epochs=4, verbose=0, callbacks=[reduce]).history
    np.testing.assert_allclose(history["learning_rate_a"], [0.1, 0.1, 0.05, 0.025])
    np.testing.assert_allclose(history["learning_rate_b"], [0.01, 0.01, 0.005, 0.0025])
    halve = fastnet.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = model.fit(x, y, epochs=2, verbose=0, callbacks=[halve]).history
    np.testing.assert_allclose(history["learning_rate_a"], [0.00625, 0.003125])
    assert sorted(each.learning_rate for each in optimizer.optimizers) == pytest.approx([0.0003125, 0.003125])


def test_callbacks_change_the_rate_within_a_loss_scale():
    x, y = data()
    model = network(optimizers.LossScaleOptimizer(optimizers.SGD(0.1)))
    reduce = fastnet.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    assert model.fit(x, y, epochs=3, verbose=0, callbacks=[reduce]).history["learning_rate"] == [0.1, 0.1, 0.05]


def test_a_plateau_cannot_reduce_one_schedule_of_several():
    with pytest.raises(ValueError, match="the learning rate of SGD follows a schedule"):
        network(several()).fit(*data(), verbose=0, callbacks=[fastnet.callbacks.ReduceLROnPlateau("loss")])


def test_misuse_is_told():
    used, w = optimizers.SGD(0.1), np.zeros(1)
    used.apply([np.ones(1)], [w])
    adam = optimizers.Adam()
    for make, told in (
        (lambda: optimizers.MultiOptimizer("sgd"), "OptimizerMap or a function"),
        (lambda: optimizers.OptimizerMap("sgd"), "must be one of fastnet.optimizers"),
        (lambda: optimizers.OptimizerMap(several()), "must be one of fastnet.optimizers"),
        (lambda: optimizers.MultiOptimizer(optimizers.OptimizerMap(used)), "has changed other weights"),
        (lambda: optimizers.OptimizerMap(adam, {3: adam}), "a key is a new path"),
        (lambda: optimizers.OptimizerMap(adam, {"a.*": adam, ".*b": adam})["ab"], "exclude each other"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), 0.0), "loss_scale_factor"),
    ):
        with pytest.raises(ValueError, match=told):
            make()
    for act in (lambda o: o.learning_rate, lambda o: setattr(o, "learning_rate", 0.1)):
        with pytest.raises(AttributeError, match=r"has no learning_rate: .*\.optimizers"):
            act(several())
    with pytest.raises(AttributeError, match="cannot be changed"):
        several().loss_scale_factor = 2.0


def test_an_optimizer_without_weights_counts_no_steps():
    """As in Keras; the first weights that it gets later are those of the same step."""
    idle = optimizers.SGD(0.1)
    optimizer = optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.Adam(0.1), {"none.*": idle}))
    model = network(optimizer)
    model.fit(*data(), batch_size=5, epochs=2, verbose=0)
    assert [o.iterations for o in (optimizer, *optimizer.optimizers)] == [8, 0, 8]
    late = fastnet.Variable(np.ones(2), "none")
    optimizer.apply([np.ones(2)], [late])
    assert [o.iterations for o in (optimizer, *optimizer.optimizers)] == [9, 9, 9]


def test_a_loss_scale_takes_the_defaults_of_other_optimizers():
    """Keras accepts them for files of its earlier versions."""
    inner = optimizers.SGD(0.5)
    optimizer = optimizers.LossScaleOptimizer(inner, clipnorm=None, use_ema=False, ema_momentum=0.99, dynamic=True)
    assert optimizer.inner_optimizer is inner and "clipnorm" not in optimizer.get_config()
    with pytest.raises(ValueError, match=r"clipnorm=1.0 is an argument of inner_optimizer: set it there"):
        optimizers.LossScaleOptimizer(optimizers.SGD(0.5), clipnorm=1.0)
    with pytest.raises(TypeError, match="no argument 'initial_scal'. Did you mean 'initial_scale'"):
        optimizers.LossScaleOptimizer(optimizers.SGD(0.5), initial_scal=2.0)


def test_weights_that_do_not_decay_where_a_function_chooses():
    decayed = optimizers.SGD(0.1, weight_decay=0.5)
    optimizer = optimizers.MultiOptimizer(lambda variable: decayed)
    optimizer.exclude_from_weight_decay(var_names=["kernel"])
    model = network(optimizer)
    before = model.get_weights()
    x, _ = data()
    model.train_on_gradient(x, np.zeros((20, 2)))
    assert all(map(np.array_equal, model.get_weights(), before))


def test_a_function_that_chooses_is_a_part_of_the_first_plan():
    fast, slow = optimizers.SGD(0.1), optimizers.SGD(0.01)
    model = network(optimizers.MultiOptimizer(lambda variable: fast if "first" in variable.path else slow))
    for _ in range(2):
        model.train_on_batch(*data())
    assert sum(map(len, model._trainer.plans.free.values())) == 1


def test_anew_leaves_the_original():
    optimizer = several()
    model = network(optimizer)
    model.fit(*data(), epochs=2, verbose=0)
    fresh = optimizer.anew()
    assert (fresh.iterations, fresh.states) == (0, {}) and optimizer.iterations == 2
    assert {each.iterations for each in optimizer.optimizers} == {2} and len(optimizer.states) == 4


def test_a_step_that_is_not_finite_is_left_out_by_a_loss_scale():
    """The weights became infinite. The numbers are those of Keras's optimizer."""
    w = np.array([1.0, 2.0], "float32")
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.5), initial_scale=16.0, dynamic_growth_steps=2)
    for wrong in (np.inf, np.nan, -np.inf):
        optimizer.apply([np.array([1.0, wrong], "float32")], [w])
    assert w.tolist() == [1, 2] and optimizer.iterations == 0 and optimizer.scale_loss(3.0) == 6
    for scale in (2, 4, 4, 8):
        optimizer.apply([np.zeros(2, "float32")], [w])
        assert optimizer.scale_loss(1.0) == scale
    optimizer.apply([np.array([8.0, 16.0], "float32")], [w])
    assert w.tolist() == [0.5, 1] and optimizer.iterations == 5
    assert optimizers.deserialize(optimizers.serialize(optimizer)).scale_loss(1.0) == 16
