"""Every update rule of the table, step by step against float64 oracles; what all optimizers share; state, arguments."""

import inspect

import numpy as np
import pytest

import fastnet
from fastnet import layers, optimizers, regularizers, testing
from fastnet._kernels import registry
from fastnet.engine.fuse import fuse
from fastnet.engine.lower import lower
from fastnet.testing.plans import update

from . import oracles

ROWS = registry.updates.unique()
NAMES = [row.name for row in ROWS]
STARTS = {"accumulator": 0.1, "step_size": 0.01}  # the states that do not begin with 0, at a learning rate of 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_ten_steps_follow_the_paper(name, dtype):
    row = registry.updates[name]
    rng = np.random.default_rng(5)
    start, gradients = rng.standard_normal(37).astype(dtype), rng.standard_normal((10, 37)).astype(dtype)
    gradients[:, 0] = 0  # a weight nothing depends on
    optimizer = optimizers.Optimizer(row, 0.01)
    got = update(optimizer, dtype, start, gradients)
    w, states = start.astype(float), [np.full(37, STARTS.get(state, 0.0)) for state in row.states]
    for t, g in enumerate(gradients.astype(float), 1):
        w = oracles.UPDATES[name](t, w, g, states, 0.01, **row.parameters)
    # Ten roundings; a state near 0 keeps the absolute error of the numbers that cancelled in it. FTRL's is a sum of
    # numbers of the size of w / lr.
    tolerance = (2e-6 if dtype == "float32" else 2e-14) * (100 if "ftrl" in name else 1)
    for mine, right in zip(got, [w, *states], strict=True):
        np.testing.assert_allclose(mine, right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("power", [0.0, -0.3, -1.0])
def test_ftrl_with_all_its_numbers(power):
    rng = np.random.default_rng(6)
    start, gradients = rng.standard_normal(29), rng.standard_normal((12, 29))
    numbers = {
        "learning_rate_power": power, "initial_accumulator_value": 0.3, "l1_regularization_strength": 3.0,
        "l2_regularization_strength": 0.2, "l2_shrinkage_regularization_strength": 0.05, "beta": 0.4,
    }  # fmt: skip
    got = update(optimizers.Ftrl(0.1, **numbers), "float64", start, gradients)
    w, states = start, [np.full(29, 0.3), np.zeros(29)]
    for t, g in enumerate(gradients, 1):
        w = oracles.ftrl_by_keyword(t, w, g, states, 0.1, **numbers)
    assert (w == 0).any()
    for mine, right in zip(got, [w, *states], strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("power", [0.3, 0.0])
def test_powers_of_ftrl_from_nothing_to_huge(power, dtype, tolerance):
    """b^p of accumulators from 0 to 1e30, against numpy's long doubles; the weight stays at 0 where no gradient was."""
    gradients = np.array([0.0, 1e-12, 1e-3, 0.5, 1.0, 40.0, 1e15]).astype(dtype)[None].repeat(5, axis=0)
    start = np.linspace(-2, 2, 7).astype(dtype)
    optimizer = optimizers.Ftrl(0.1, learning_rate_power=-power, initial_accumulator_value=0.0, beta=1.0)
    w, a, z = update(optimizer, dtype, start, gradients)
    right, total, linear = start.astype(np.longdouble), np.zeros(7, np.longdouble), np.zeros(7, np.longdouble)
    for g in gradients.astype(np.longdouble):
        before, total = total, total + g * g
        linear += g - (total ** np.longdouble(power) - before ** np.longdouble(power)) / 0.1 * right
        right = -linear / (total ** np.longdouble(power) / 0.1 + 1 / np.longdouble(0.1))
    np.testing.assert_allclose(w, right.astype(float), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(a, total.astype(float), rtol=tolerance)
    assert w[0] == 0


def test_radam_is_rectified_from_the_sixth_step_on():
    """With beta_2 = 0.999 the variance of 1/√v is finite from t = 6: a step of a constant gradient then shrinks."""
    rows = update(optimizers.RAdam(1.0, beta_1=0.0), "float64", np.zeros(1), np.full((5, 1), 2.0))
    np.testing.assert_allclose(rows[0], -5 * 2.0)
    rows = update(optimizers.RAdam(1.0, beta_1=0.0), "float64", np.zeros(1), np.full((6, 1), 2.0))
    assert -10.1 < rows[0][0] < -10.0


def test_rprop_by_hand():
    """Steps 0.1, 0.12 (same sign), none and half of it (other sign), 0.06 again."""
    gradients = np.array([[1.0], [3.0], [-2.0], [-2.0]])
    w, before, step = update(optimizers.Rprop(0.1), "float64", np.zeros(1), gradients)
    np.testing.assert_allclose([w[0], before[0], step[0]], [-0.1 - 0.12 + 0.06, -2.0, 0.06])


@pytest.mark.parametrize("name", NAMES)
def test_check_optimizer_proves_every_row(name):
    report = str(testing.check_optimizer(name))
    assert "the same bits on 1 and 2" in report
    assert "no double instruction" in report


def model_of(optimizer, units=1, features=1):
    model = fastnet.Sequential(
        [layers.Input((features,)), layers.Dense(units, use_bias=False, kernel_initializer="zeros", dtype="float64")]
    )
    model.compile(optimizer, "mse")
    return model


def a_step(optimizer, gradient, start=0.0, steps=1):
    """Weights after steps in which ∂loss/∂w is ``gradient``, whatever the weights are."""
    start = np.broadcast_to(np.asarray(start, float), np.shape(gradient))
    return update(optimizer, "float64", start, np.tile(gradient, (steps, 1)))


# ---- what all optimizers share


def test_clips_by_hand():
    g = np.array([3.0, -4.0, 0.5])
    np.testing.assert_allclose(a_step(optimizers.SGD(1.0, clipvalue=1.0), g)[0], [-1, 1, -0.5])
    norm = np.sqrt((g * g).sum())
    np.testing.assert_allclose(a_step(optimizers.SGD(1.0, clipnorm=2.0), g)[0], -g * 2 / norm)
    np.testing.assert_allclose(a_step(optimizers.SGD(1.0, global_clipnorm=2.0), g)[0], -g * 2 / norm)
    np.testing.assert_array_equal(a_step(optimizers.SGD(1.0, clipnorm=10.0), g)[0], -g)
    np.testing.assert_array_equal(a_step(optimizers.SGD(1.0, clipnorm=2.0), 0 * g)[0], 0 * g)


@pytest.mark.parametrize("clip", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_clips_keep_nan_and_tame_infinity(clip):
    w = a_step(optimizers.SGD(1.0, **{clip: 1.0}), np.array([np.nan, 1.0]))[0]
    assert np.isnan(w[0])
    w = a_step(optimizers.SGD(1.0, **{clip: 1.0}), np.array([1e300, 1e300]))[0]
    assert np.isfinite(w).all()


@pytest.mark.parametrize("size", [1, 63, 64, 65, 4095, 4096, 4097, 9001])
def test_the_norm_of_any_size(size):
    g = np.random.default_rng(size).standard_normal(size)
    want = -g * min(1.0, 0.5 / np.sqrt((g * g).sum()))
    np.testing.assert_allclose(a_step(optimizers.SGD(1.0, clipnorm=0.5), g)[0], want, rtol=1e-13)


def test_the_norm_has_the_same_bits_on_any_number_of_threads():
    got = []
    for n in (1, 2):
        with testing.running.threads(n):
            g = np.random.default_rng(0).standard_normal(300_001).astype("float32")
            got.append(update(optimizers.Adam(clipnorm=0.5), "float32", np.ones_like(g), np.tile(g, (3, 1)))[0])
    np.testing.assert_array_equal(*got)


def test_weight_decay_is_decoupled():
    w = a_step(optimizers.SGD(0.1, weight_decay=0.5), np.array([2.0]), start=3.0)[0]
    np.testing.assert_allclose(w, 3.0 - 3.0 * 0.5 * 0.1 - 0.2)


def test_weights_are_excluded_from_decay():
    x, y = np.ones((4, 2)), np.zeros((4, 1))
    for exclude, kept in [({"var_names": ["bias"]}, 1), ({"var_names": ["ker", "nothing"]}, 0), ({"var_list": 1}, 1)]:
        model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1, dtype="float64")])
        model.compile(optimizers.SGD(0.0, weight_decay=0.5), "mse")
        model.optimizer = optimizers.SGD(1e-9, weight_decay=1e8)
        if "var_list" in exclude:
            exclude = {"var_list": [model.weights[1]]}
        model.optimizer.exclude_from_weight_decay(**exclude)
        model.set_weights([np.ones((2, 1)), np.ones(1)])
        model.fit(x, y, epochs=1, verbose=0)
        for place, w in enumerate(model.get_weights()):
            np.testing.assert_allclose(w, 1.0 if place == kept else 0.9, atol=1e-6)
        with pytest.raises(ValueError, match="before"):
            model.optimizer.exclude_from_weight_decay(var_names=["bias"])


def test_the_average_follows_and_takes_over():
    """w = -1, -2, -3: the average is -1, then 0.5·-1 + 0.5·-2 and so on; every third update it becomes the weight."""
    w, mean = _with_average(optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5), 2)
    assert (w, mean) == (-2.0, -1.5)
    w, mean = _with_average(optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3), 3)
    assert (w, mean) == (-2.25, -2.25)
    w, mean = _with_average(optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3), 4)
    assert (w, mean) == (-3.25, -2.75)


def _with_average(optimizer, steps):
    return tuple(float(a[0]) for a in a_step(optimizer, np.array([1.0]), steps=steps))


def test_fit_ends_with_the_average():
    model = model_of(optimizers.SGD(0.25, use_ema=True, ema_momentum=0.5))
    model.fit(np.ones((3, 1)), np.ones((3, 1)), batch_size=1, epochs=1, shuffle=False, verbose=0)
    w, mean = 0.0, 0.0
    for step in range(3):
        w -= 0.25 * 2 * (w - 1)
        mean = w if step == 0 else 0.5 * mean + 0.5 * w
    np.testing.assert_allclose(model.get_weights()[0], [[mean]])
    assert model.optimizer.average(model.weights[0]).numpy() == model.get_weights()[0]


def test_gradients_are_accumulated():
    gradients = np.array([[1.0], [3.0], [5.0], [7.0], [9.0]])
    w, total = update(optimizers.SGD(1.0, gradient_accumulation_steps=2), "float64", np.zeros(1), gradients)
    assert (w[0], total[0]) == (-(1 + 3) / 2 - (5 + 7) / 2, 9.0)
    w = update(optimizers.SGD(1.0, gradient_accumulation_steps=2, clipnorm=1.0), "float64", np.zeros(1), gradients)[0]
    assert w[0] == -2.0


def test_the_average_follows_every_step_also_those_that_accumulate():
    """w = 0, -1, -1, -2; until the second update Keras's momentum is 0."""
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5, gradient_accumulation_steps=2)
    means = [a_step(optimizer, np.array([1.0]), steps=steps)[1][0] for steps in (1, 2, 3, 4, 5)]
    assert means == [0.0, -1.0, -1.0, -1.5, -1.75]


def test_accumulated_steps_are_the_full_batch():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
    results = []
    for options, batch in (({}, 12), ({"gradient_accumulation_steps": 3}, 4)):
        for make in (optimizers.Nadam, optimizers.Adam):
            model = model_of(make(0.1, **options), units=2, features=3)
            model.fit(x, y, batch_size=batch, epochs=4, shuffle=False, verbose=0)
            results.append(model.get_weights()[0])
    np.testing.assert_allclose(results[0], results[2], rtol=1e-12)
    np.testing.assert_allclose(results[1], results[3], rtol=1e-12)


@pytest.mark.parametrize(
    "options", [{}, {"clipnorm": 1e9}, {"gradient_accumulation_steps": 2}, {"clipvalue": 1e9, "use_ema": True}]
)
def test_a_regularizer_adds_its_gradient(options):
    """l1 sign(w) + 2 l2 w; sign(0) is 0."""
    model = model_of(optimizers.SGD(0.5, **options), features=3)
    model.weights[0].regularizer = regularizers.L1L2(0.25, 0.125)
    model.set_weights([np.array([[2.0], [0.0], [-1.0]])])
    model.fit(np.zeros((2, 3)), np.zeros((2, 1)), batch_size=1, epochs=1, verbose=0)
    w = np.array([2.0, 0.0, -1.0])
    mean = w
    for step in range(1 if "gradient_accumulation_steps" in options else 2):
        w = w - 0.5 * (0.25 * np.sign(w) + 0.25 * w)
        mean = w if step == 0 else 0.99 * mean + 0.01 * w
    np.testing.assert_allclose(model.get_weights()[0].ravel(), mean if "use_ema" in options else w, rtol=1e-12)


def launches(optimizer, period=1):
    """The product of the weight's gradient, and what follows it, whose last launch has this period."""
    model = model_of(optimizer, units=64, features=64)
    optimizer.build(model.weights)
    source = fastnet.engine.data.Source(np.zeros((8, 64)))
    target = fastnet.engine.data.Source(np.zeros((8, 64)))
    signatures = source.signature, target.signature
    plan = lower(model.layers_to_run, "train", 8, *signatures, model.loss, (), optimizer, join=False).plan
    plan.launches[-1].period = max(period, plan.launches[-1].period)
    fuse(plan)
    last = max(i for i, launch in enumerate(plan.launches) if launch.phase == "backward" and launch.flops)
    return plan.launches[last], plan.launches[last + 1 :]


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1, "clipvalue": 1.0, "use_ema": True}])
def test_what_needs_no_whole_gradient_is_one_pass_within_the_product(options):
    product, after = launches(optimizers.Adam(**options, ema_overwrite_frequency=3))
    assert product.epilogue is not None
    assert not after


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (37, 1), (53, 37), (211, 509)])
def test_a_batch_of_one_gives_the_bits_of_the_product(shape, dtype, n, monkeypatch):
    """Its gradient is a column times a row, which the update computes by itself."""
    rng = np.random.default_rng(2)
    x, y, kernel = rng.standard_normal((5, shape[0])), rng.standard_normal((5, shape[1])), rng.standard_normal(shape)
    results = []
    for _ in range(2):
        model = fastnet.Sequential([layers.Input(shape[:1]), layers.Dense(shape[1], dtype=dtype)])
        model.compile(optimizers.Adam(0.1, weight_decay=0.1, clipvalue=0.5), "mse")
        model.set_weights([kernel, np.zeros(shape[1])])
        with testing.running.threads(n):
            model.fit(x, y, batch_size=1, epochs=2, shuffle=False, verbose=0)
        results.append(model.get_weights()[0])
        monkeypatch.setattr("fastnet.engine.fuse._is_outer", lambda producer, plan: False)
    np.testing.assert_array_equal(*results)


def test_a_batch_of_one_needs_no_product_for_the_gradient():
    model = model_of("adam", units=5, features=7)
    model.train_on_batch(np.ones((1, 7)), np.ones((1, 5)))
    (free,) = model._trainer.ready.values()
    labels = [launch.kernel.label for launch in free[0].low.plan.launches]
    assert labels[-1] == "update_weights_adam_outer_float64"
    assert labels.count("product_float64") == 1


def test_what_needs_the_whole_gradient_is_not_joined():
    product, after = launches(optimizers.Adam(clipnorm=1.0))
    assert product.epilogue is None
    assert len(after) == 4
    product, after = launches(optimizers.Adam(gradient_accumulation_steps=3))
    assert product.epilogue is not None
    assert [launch.period for launch in after] == [3]
    product, _ = launches(optimizers.Adam(), period=2)
    assert product.epilogue is None  # in the steps between nothing would take the gradient


# ---- learning rate


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


# ---- state and plain data


EVERYTHING = {"use_ema": True, "gradient_accumulation_steps": 2, "weight_decay": 0.01}


def test_state_is_kept_between_calls():
    x, y = np.linspace(-1, 1, 8)[:, None], np.linspace(2, 3, 8)[:, None]
    whole, parts = model_of("adam"), model_of("adam")
    whole.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    for _ in range(3):
        parts.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(whole.get_weights()[0], parts.get_weights()[0])


@pytest.mark.parametrize("cls", optimizers.CLASSES.values(), ids=optimizers.CLASSES)
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


@pytest.mark.parametrize("cls", optimizers.CLASSES.values(), ids=optimizers.CLASSES)
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


# ---- arguments


def test_names_and_arguments():
    assert optimizers.get("SGD").learning_rate == 0.01
    assert optimizers.get("nesterov").row.name == "nesterov"
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
    with pytest.raises(TypeError, match="beta_3"):
        optimizers.Adam(beta_3=0.5)


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
        (lambda: optimizers.get(3), "An optimizer is a name"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_update_in_the_wrong_direction_is_found():
    def uphill(w, g, rate):
        return w + rate * g

    def scalars(rate, t):
        return rate

    with pytest.raises(AssertionError, match="raise ½"):
        testing.check_optimizer(registry.Update("uphill", uphill, scalars, 1))
