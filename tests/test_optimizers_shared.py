"""What all optimizers share: clipping, decay, averages, accumulation, penalties, and in how many passes."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, optimizers, regularizers, testing
from fastnet.engine.fuse import fuse
from fastnet.testing.plans import update
from fastnet.training.step import lower

from .updates import a_step, model_of


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
    source = fastnet.engine.sources.Source(np.zeros((8, 64)))
    target = fastnet.engine.sources.Source(np.zeros((8, 64)))
    signatures = source.signature, target.signature
    plan = lower(model, "train", 8, *signatures, model.loss, (), optimizer, join=False).plan
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
        monkeypatch.setattr("fastnet.engine.fuse_behind._is_outer", lambda producer, rows: False)
    np.testing.assert_array_equal(*results)


def test_a_batch_of_one_needs_no_product_for_the_gradient():
    model = model_of("adam", units=64, features=7)
    model.train_on_batch(np.ones((1, 7)), np.ones((1, 64)))
    (free,) = model._trainer.plans.free.values()
    labels = [launch.kernel.full_name for launch in free[0].plan.launches]
    assert labels[-1] == "apply_update_outer_adam_float64"
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
