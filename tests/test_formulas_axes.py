"""Formulas of several axes: folds along any axis, arrays whose axes differ, moved elements, products of results."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, ops, testing
from fastnet._kernels.errors import RuleError
from tests.axes_cases import CASES

FEW = CASES[::3]  # the others are proven by `test_check_layer`, which CI runs
STEP = 1e-6


@pytest.fixture(autouse=True)
def float64():
    fastnet.config.set_floatx("float64")
    yield
    fastnet.config.set_floatx("float32")


def class_of(function):
    return type("Traced", (layers.Layer,), {"call": lambda self, x: function(ops, x), "__module__": __name__})


def numeric_gradient(function, x, target):
    """The gradient of the mean squared error by x, by central differences."""
    found = np.empty_like(x)
    for index in np.ndindex(x.shape):
        ends = []
        for step in (STEP, -STEP):
            moved = x.copy()
            moved[index] += step
            ends.append(np.mean(np.square(function(ops, moved) - target)))
        found[index] = (ends[0] - ends[1]) / (2 * STEP)
    return found


@pytest.mark.parametrize("function", FEW, ids=lambda f: f.__name__)
def test_values_and_gradients(function):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3, 5, 3))
    expected = function(ops, x)
    target = rng.normal(size=expected.shape)
    model = fastnet.Sequential([layers.Input((5, 3)), class_of(function)()])
    model.compile("sgd", "mse")
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-11, atol=1e-12)
    found = model.gradients(x, target)["input"]
    np.testing.assert_allclose(found, numeric_gradient(function, x, target), rtol=2e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_check_layer(function):
    x = np.random.default_rng(3).normal(size=(7, 5, 3))
    np.testing.assert_allclose(class_of(function)()(x), function(ops, x), rtol=1e-11, atol=1e-12)
    testing.check_layer(class_of(function), (5, 3))


def test_losses_and_activations():
    rng = np.random.default_rng(4)
    t, p = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))

    def pairs(y_true, y_pred):
        return ops.mean(
            ops.abs((y_true[:, :, None] - y_true[:, None, :]) - (y_pred[:, :, None] - y_pred[:, None, :])), axis=(1, 2)
        )

    expected = np.mean(np.abs((t[:, :, None] - t[:, None]) - (p[:, :, None] - p[:, None])))
    assert losses.get(pairs)(t, p) == pytest.approx(expected, rel=1e-12)
    model = fastnet.Sequential([layers.Input((4,)), layers.Activation(lambda x: ops.cumsum(x, axis=-1))])
    model.compile("sgd", pairs)
    loss = model.evaluate(p, t, verbose=0)
    assert loss == pytest.approx(pairs(t, np.cumsum(p, axis=-1)).mean(), rel=1e-12)
    found = model.gradients(p, t)["input"]
    for index in np.ndindex(p.shape):
        ends = []
        for step in (STEP, -STEP):
            moved = p.copy()
            moved[index] += step
            ends.append(pairs(t, np.cumsum(moved, axis=-1)).mean())
        assert found[index] == pytest.approx((ends[0] - ends[1]) / (2 * STEP), rel=1e-5, abs=1e-8)


def test_a_loss_may_give_the_mean_of_the_batch():
    def whole(t, p):
        return ops.mean(ops.square(t - p)) + 0.5 * ops.mean(ops.abs(t - p))

    def of_rows(t, p):
        return ops.mean(ops.square(t - p) + 0.5 * ops.abs(t - p), axis=-1)

    rng = np.random.default_rng(6)
    for shape in ((7, 3), (4, 5, 3), (1, 1)):
        t, p = rng.normal(size=shape), rng.normal(size=shape)
        assert losses.get(whole)(t, p) == pytest.approx(whole(t, p), rel=1e-12)
    x, found = rng.normal(size=(11, 3)), []
    for loss in (whole, of_rows):
        model = fastnet.Sequential([layers.Input((3,)), layers.Dense(3)], seed=2)
        model.compile("sgd", loss)
        found.append(model.fit(x, x[:, ::-1], epochs=2, batch_size=4, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    with pytest.raises(RuleError, match="mixes samples"):
        losses.get(lambda t, p: ops.cumsum(t - p, axis=0))(x, x)


def test_traces_and_diagonals():
    x = np.random.default_rng(7).normal(size=(3, 5, 5))
    expected = np.stack([np.diag(a) * np.trace(a) for a in x])

    def function(o, x):
        return o.einsum("bii->bi", x) * o.einsum("bii->b", x)[:, None]

    np.testing.assert_allclose(class_of(function)()(x), expected, rtol=1e-12)
    assert class_of(function)()(x[:0]).shape == (0, 5)
    model = fastnet.Sequential([layers.Input((5, 5)), class_of(function)()])
    dy = np.arange(1.0, 16.0).reshape(3, 5)
    wanted = [np.diag(d * np.trace(a)) + np.eye(5) * (d @ np.diag(a)) for a, d in zip(x, dy)]
    np.testing.assert_allclose(model.gradients(x, gradient=dy)["input"], wanted, rtol=1e-12)


def test_nan_stays_in_its_sample_and_rows_may_be_none():
    x = np.random.default_rng(5).normal(size=(3, 5, 3))
    x[1, 2, 0] = np.nan
    layer = class_of(lambda o, x: o.matmul(x, o.swapaxes(x, 1, 2)) + o.mean(x, axis=1, keepdims=True)[:, :, :1])()
    found = layer(x)
    assert np.isfinite(found[[0, 2]]).all() and np.isnan(found[1]).any()
    assert layer(x[:0]).shape == (0, 5, 5)


@pytest.mark.parametrize("call, message", [
    (lambda x: ops.transpose(x, (1, 0, 2)), "moves the axis of the batch"),
    (lambda x: ops.flip(x, axis=0), "give an axis of the samples"),
    (lambda x: ops.pad(x, ((1, 0), (0, 0), (0, 0))), "adds samples to the batch"),
    (lambda x: ops.take(x, [5], axis=1), "indices .* of an axis of size 5"),
    (lambda x: ops.matmul(x, x), "differ in the size that is summed"),
    (lambda x: ops.einsum("bik,bjk->ij", x, x), "a sum over the batch .* mixes samples"),
    (lambda x: ops.einsum("bi,bj->bij", x, x), "does not fit shapes"),
    (lambda x: ops.concatenate([x, x[:, :2, :2]], axis=1), "differ in other axes than axis 1"),
    (lambda x: ops.concatenate([x, x], axis=0), "another axis than the batch's"),
    (lambda x: ops.argmax(x), "give axis=-1"),
    (lambda x: ops.cumsum(x, axis=0), "mixes samples"),
    (lambda x: ops.tile(x, (2, 1, 1)), "repeat the axes of samples"),
    (lambda x: x[:, [0, 7]], "indices .* of an axis of size 5"),
    (lambda x: x[:, x[:, 0, 0] > 0], "an index of type SymbolicArray"),
    (lambda x: ops.stack([x, x[:, :1]], axis=1), "differ in other axes"),
])  # fmt: skip
def test_what_is_refused(call, message):
    with pytest.raises((RuleError, ValueError), match=message):
        class_of(lambda o, x: call(x))()(np.ones((2, 5, 3)))


@pytest.mark.parametrize("name", [
    "sum", "prod", "max", "min", "mean", "var", "std", "any", "all", "count_nonzero", "logsumexp", "norm",
])  # fmt: skip
def test_axes_of_arrays_as_lists(name):
    """Keras takes lists too; NumPy's functions do not."""
    x, fold = np.arange(24.0).reshape(2, 3, 4) % 5, getattr(ops, name)
    for axes in ([0, 2], [-1], []):
        np.testing.assert_array_equal(fold(x, axis=axes), fold(x, axis=tuple(axes)))
    assert fold(x, axis=[1, 0]).shape == (4,)


def test_squeeze_takes_a_list():
    assert ops.squeeze(np.ones((1, 2, 1)), axis=[0, -1]).shape == (2,)


def test_parts_and_replaced_parts():
    rng = np.random.default_rng(0)
    x, part = rng.normal(size=(4, 5, 3)), rng.normal(size=(4, 2, 3))

    def replaced(x):
        return ops.slice_update(x, (0, 2, 1), 2 * ops.slice(x, (0, 1, 0), (4, 3, 2)))

    expected = x.copy()
    expected[:, 2:, 1:] = 2 * x[:, 1:4, :2]
    layer = layers.Lambda(replaced, dtype="float64")
    np.testing.assert_array_equal(layer(x), expected)
    np.testing.assert_array_equal(replaced(x), expected)
    testing.check_layer(lambda: layers.Lambda(replaced), (5, 3))
    before = x.copy()
    ops.slice_update(x, (0, 0, 0), part)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("function, message", [
    (lambda x: ops.slice_update(x, (0, 4), x[:, :2]), "from 4 to 6 of an axis of size 5.*: stay within it"),
    (lambda x: ops.slice(x, (1, 0), (2, 2)), "give a start for each axis, 0 for the batch"),
    (lambda x: ops.slice(x, (0,), (2, 2)), "give a start for each axis"),
    (lambda x: ops.slice_update(x, (0, 1), np.ones((2, 2))), "without the batch.*: write ops.where"),
])  # fmt: skip
def test_parts_that_do_not_fit(function, message):
    with pytest.raises(ValueError, match=message):
        layers.Lambda(function)(np.ones((2, 5)))
