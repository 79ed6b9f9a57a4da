"""Optimizers applied to plain arrays and weights by given gradients."""

import copy

import numpy as np
import pytest

import fastnet
from fastnet import layers, optimizers

START = (np.array([1.0, -2.0, 3.0]), np.array([[0.5, -1.5], [2.0, 0.25], [-1.0, 4.0]]))


def gradient(weight, step):
    return np.cos(np.arange(START[weight].size) + 3 * weight + step).reshape(START[weight].shape)


# (class, arguments, both weights after six steps): computed by Keras 3.15.1 on JAX in float64.
# fmt: off
GOLDEN = [
    ("SGD", {"learning_rate": 0.1},
     "1.02358185 -1.97243518 3.00620482 0.479140142 -1.52874608 "
     "1.98979671 0.267720359 -0.970648009 4.01399754"),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9},
     "0.817408736 -1.71506422 3.49049418 0.745094495 -1.72564394 "
     "1.51107362 -0.0526921582 -0.838164165 4.47757271"),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
     "0.859249708 -1.71599298 3.44764959 0.699725188 -1.73182563 "
     "1.54976297 -0.0047025838 -0.824995757 4.44381298"),
    ("RMSprop", {"learning_rate": 0.1, "momentum": 0.5, "centered": True},
     "0.762155762 -1.76061181 4.04397817 0.813538119 -1.68610955 "
     "0.830666916 -0.145527737 -0.882593648 5.29221317"),
    ("RMSprop", {"learning_rate": 0.1},
     "0.935946875 -1.95925359 3.34905124 0.5828246 -1.52983274 "
     "1.59062252 0.144797083 -0.987520344 4.47287443"),
    ("Adam", {"learning_rate": 0.1},
     "0.80748864 -1.95424285 3.35031233 0.718197179 -1.50521443 "
     "1.64224614 0.00763963518 -1.0338011 4.35975195"),
    ("Adam", {"learning_rate": 0.1, "amsgrad": True},
     "0.80748864 -1.95424285 3.35031233 0.718197179 -1.50521443 "
     "1.64224614 0.00763169623 -1.03382153 4.35971523"),
    ("AdamW", {"learning_rate": 0.1},
     "0.805480872 -1.94936173 3.34259865 0.716582051 -1.50176293 "
     "1.63797059 0.00748028498 -1.03120443 4.34965005"),
    ("Adamax", {"learning_rate": 0.1},
     "0.827711653 -2.00268365 3.28157957 0.695781207 -1.47265757 "
     "1.71423543 0.0297514039 -1.04758327 4.29031178"),
    ("Nadam", {"learning_rate": 0.1},
     "0.96447331 -1.97756581 3.14404387 0.544578433 -1.5150227 "
     "1.83597802 0.195455053 -0.994001247 4.18445947"),
    ("Adagrad", {"learning_rate": 0.1},
     "0.975853907 -1.98023061 3.09666783 0.530671871 -1.51300298 "
     "1.89872467 0.212066758 -0.994063067 4.09444203"),
    ("Adadelta", {"learning_rate": 1.0},
     "1.00051382 -1.99942788 3.00051993 0.499522712 -1.50058181 "
     "1.99910316 0.250418038 -0.999478268 4.00134462"),
    ("Ftrl", {"learning_rate": 0.1, "l1_regularization_strength": 0.2},
     "0.655273307 -0.93803664 1.24331205 0.359288466 -0.832203969 "
     "0.362851508 0.114096423 -0.58279447 0.403178549"),
    ("Lion", {"learning_rate": 0.1},
     "1 -2 3 0.5 -1.5 "
     "1.8 0.25 -0.8 4.2"),
    ("Lamb", {"learning_rate": 0.1},
     "0.933756215 -1.3924625 3.92524211 0.642477577 -1.94397733 "
     "1.11753341 0.0169371994 -0.635640779 4.94988883"),
    ("Adafactor", {"learning_rate": 0.1},
     "1.18866656 -1.88011421 3.06888099 0.371100886 -1.61320352 "
     "2.01559168 0.351299529 -0.941919892 4.05832313"),
    ("Muon", {"learning_rate": 0.1},
     "0.805480872 -1.94936173 3.34259865 0.527283801 -1.52032026 "
     "1.9465913 0.241658872 -0.98562429 4.02076965"),
    ("ScheduleFreeAdamW", {"learning_rate": 0.1, "warmup_steps": 2},
     "1.02857591 -1.87711404 3.12018076 0.486062612 -1.6116599 "
     "1.85591997 0.248464223 -0.902141573 4.16812221"),
    ("Adam", {"learning_rate": 0.1, "weight_decay": 0.2},
     "0.712168342 -1.72195122 2.9825361 0.640979252 -1.34082981 "
     "1.43918205 0.000406131135 -0.910148045 3.87826111"),
    ("Adam", {"learning_rate": 0.1, "clipnorm": 0.3},
     "0.804943397 -1.95539908 3.3487458 0.720502714 -1.50525926 "
     "1.64409501 0.00582308417 -1.03458201 4.35801763"),
    ("Adam", {"learning_rate": 0.1, "global_clipnorm": 0.3},
     "0.804887703 -1.95423199 3.34865261 0.72039943 -1.50468755 "
     "1.64399828 0.00597715097 -1.03507311 4.35812604"),
    ("SGD", {"learning_rate": 0.1, "clipvalue": 0.3},
     "1.00163378 -1.99836622 3.00163378 0.486183785 -1.51381622 "
     "1.98618378 0.264107434 -0.985892566 4.01410743"),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
     "0.988535685 -1.99557445 3.01624659 0.513130585 -1.50205762 "
     "1.98464595 0.235465954 -1.0003515 4.01415421"),
    ("Nadam", {"learning_rate": 0.1, "gradient_accumulation_steps": 2},
     "0.976056605 -2.06296703 3.06398297 0.521023775 -1.44268534 "
     "1.9195247 0.230248869 -1.05157522 4.09748045"),
    ("SGD", {"learning_rate": 0.1, "loss_scale_factor": 4.0},
     "1.00589546 -1.9931088 3.00155121 0.494785036 -1.50718652 "
     "1.99744918 0.25443009 -0.992662002 4.00349938"),
]
# fmt: on


@pytest.mark.parametrize(("name", "arguments", "expected"), GOLDEN, ids=[f"{n} {a}" for n, a, _ in GOLDEN])
def test_golden_values_of_keras(name, arguments, expected):
    optimizer, weights = getattr(optimizers, name)(**arguments), [start.copy() for start in START]
    for step in range(6):
        optimizer.apply([gradient(k, step) for k in range(2)], weights)
    np.testing.assert_allclose(
        np.concatenate([w.ravel() for w in weights]), np.array(expected.split(), float), rtol=2e-8
    )
    assert optimizer.iterations == 6


def test_a_function_that_is_no_network():
    """Rosenbrock's, whose minimum is at (1, 1)."""
    w, optimizer = np.array([-1.0, 1.5]), optimizers.Adam(0.05)
    for _ in range(3000):
        x, y = w
        optimizer.apply([np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])], [w])
    np.testing.assert_allclose(w, 1, atol=1e-3)


def test_arrays_of_any_layout_and_dtype_together():
    first, second, third = np.ones((4, 6))[::2, 1::2], np.array(1.0, "float32"), np.zeros((0, 3))
    optimizers.SGD(0.5).apply([np.ones((2, 3), int), 1, np.zeros((0, 3))], [first, second, third])
    assert first.tolist() == [[0.5] * 3] * 2
    assert (second.dtype, second) == ("float32", 0.5)


def small():
    fastnet.utils.set_random_seed(1)
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(2)])
    model.compile(optimizers.Adam(0.1), "mse")
    return model


@pytest.mark.parametrize("as_dictionary", [True, False])
def test_the_gradients_of_a_model_give_its_step(as_dictionary):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    by_step, by_hand = small(), small()
    for _ in range(3):
        by_step.train_on_batch(x, y)
        found = by_hand.gradients(x, y)
        if not as_dictionary:
            found = [g for layer in by_hand.layers for g in found[layer.name].values()]
        by_hand.optimizer.apply(found, by_hand.trainable_weights)
    by_step.train_on_batch(x, y)
    by_hand.train_on_batch(x, y)  # the same optimizer goes on with the same states
    for left, right in zip(by_step.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-7)


def test_constraints_hold_and_penalties_are_not_added():
    model = fastnet.Sequential(
        [layers.Input((2,)), layers.Dense(1, kernel_regularizer="l2", kernel_constraint="non_neg", use_bias=False)]
    )
    model.set_weights([np.array([[1.0], [2.0]])])
    optimizers.SGD(1.0).apply([[[1.5], [0.5]]], model.trainable_weights)
    assert model.get_weights()[0].ravel().tolist() == [0.0, 1.5]


def test_exclusion_from_decay_knows_arrays():
    w, v = np.ones(2), np.ones(2)
    optimizer = optimizers.SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[v])
    optimizer.apply([np.zeros(2), np.zeros(2)], [w, v])
    assert (w.tolist(), v.tolist()) == ([0.75, 0.75], [1.0, 1.0])


def test_a_schedule_and_a_changed_rate_count():
    w = np.zeros(1)
    scheduled = optimizers.SGD(optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 10.0]))
    scheduled.apply([np.array([-1.0])], [w])
    scheduled.apply([np.array([-1.0])], [w])
    assert w[0] == 11
    plain = optimizers.SGD(1.0)
    plain.apply([np.array([1.0])], [w])
    plain.learning_rate.assign(3.0)
    plain.apply_gradients([(np.array([1.0]), w)])
    assert w[0] == 7
    assert plain.learning_rate.value == 3


def test_a_copy_has_states_of_its_own():
    w, optimizer = np.zeros(1), optimizers.SGD(1.0, momentum=0.5)
    optimizer.apply([np.ones(1)], [w])
    again = copy.deepcopy(optimizer)
    again.apply([np.ones(1)], [w])  # an unknown array: its momentum begins
    assert w[0] == -2
    optimizer.apply([np.ones(1)], [w])
    assert w[0] == -3.5


def test_weights_of_before_and_gradients_that_are_missing():
    w, v, optimizer = np.zeros(1), np.zeros(1), optimizers.SGD(1.0, momentum=0.5)
    optimizer.apply([], [])
    assert optimizer.iterations == 0
    optimizer.build([w, v])
    optimizer.apply([np.ones(1), np.ones(1)])
    with pytest.warns(UserWarning, match="no gradient is given for"):
        optimizer.apply([np.ones(1), None], [w, v])
    assert (w[0], v[0]) == (-2.5, -1)


def test_misuse_of_apply_changes_nothing_and_is_told():
    w, optimizer = np.ones(2), optimizers.SGD(1.0)
    locked = np.ones(2)
    locked.flags.writeable = False
    for arguments, told in (
        (([np.ones(2)],), "give the weights too"),
        (([np.ones(2)], [w, np.ones(2)]), "1 gradients for 2 weights"),
        (([np.ones(3)], [w]), r"of shape \(2,\); received float64 of shape \(3,\)"),
        (([["a", "b"]], [w]), "real numbers"),
        (([None], [w]), "every gradient is None"),
        (([np.ones(2)] * 2, [w, w]), "given twice"),
        (([np.ones(2)], [[1.0, 2.0]]), "Make it an array first"),
        (([np.ones(2)], [np.ones(2, int)]), "an array of int64"),
        (([np.ones(2)], [locked]), "read-only"),
    ):
        with pytest.raises(ValueError, match=told):
            optimizer.apply(*arguments)
    assert w.tolist() == [1, 1]
    assert optimizer.iterations == 0


def test_variables_before_and_after_building():
    optimizer, w = optimizers.Nadam(0.25), np.zeros((2, 3))
    assert [v.name for v in optimizer.variables] == ["iteration", "learning_rate", "u_product"]
    optimizer.build([w])
    names = [v.name for v in optimizer.variables]
    assert names == ["iteration", "learning_rate", "momentum", "velocity", "u_product"]
    optimizer.apply([np.ones((2, 3))], [w])
    kept = [np.array(v) for v in optimizer.variables]
    after = []
    for _ in range(2):  # the same step twice
        start = w.copy()
        optimizer.apply([np.ones((2, 3))], [w])
        after.append(w.copy())
        w[...] = start
        optimizer.set_weights(kept)
    np.testing.assert_array_equal(*after)
    iteration, rate = optimizer.variables[:2]
    assert (int(iteration), float(rate), iteration.shape, iteration.dtype) == (1, 0.25, (), "int64")
    iteration.assign(5)
    rate.assign(0.125)
    assert (optimizer.iterations, optimizer.learning_rate) == (5, 0.125)
    for wrong, told in (
        (kept[:2], "there are 5 variables"),
        ([1.5, *kept[1:]], "iteration"),
        ([1, -1.0, *kept[2:]], "rate"),
    ):
        with pytest.raises(ValueError, match=told):
            optimizer.set_weights(wrong)
    assert optimizer.iterations == 5
    with pytest.raises(ValueError, match="call build"):
        optimizers.SGD().set_weights([0, 0.1])


def test_a_constraint_that_is_set_later_counts():
    layer = layers.Dense(1, kernel_initializer="ones", use_bias=False)
    layer.build((None, 2))
    optimizer, gradients = optimizers.SGD(1.0), [np.full((2, 1), 3.0)]
    optimizer.apply(gradients, layer.trainable_weights)
    layer.kernel.constraint = fastnet.constraints.NonNeg()
    optimizer.apply(gradients, layer.trainable_weights)
    assert layer.kernel.numpy().tolist() == [[0.0], [0.0]]
    layer.kernel.constraint = fastnet.constraints.MaxNorm(10.0)
    optimizer.apply([-g for g in gradients], layer.trainable_weights)
    layer.kernel.constraint.max_value = 0.5
    optimizer.apply([0 * g for g in gradients], layer.trainable_weights)
    assert np.linalg.norm(layer.kernel.numpy()) == pytest.approx(0.5)
