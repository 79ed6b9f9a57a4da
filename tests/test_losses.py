"""Every loss of the table against float64 oracles: values, gradients, odd sizes and odd numbers."""

import numpy as np
import pytest

from fastnet import losses, testing
from fastnet._kernels import registry
from fastnet.engine.plan import Plan
from fastnet.testing.running import Run

from . import oracles

NAMES = [row.name for row in registry.losses.unique()]
SHAPES = [(1, 1), (2, 2), (15, 3), (16, 10), (17, 17), (33, 3), (65, 10), (2, 1000), (7, 5, 3)]


def run(loss, y_true, y_pred):
    """(values, gradient) as in training."""
    rows, shape = len(y_pred), y_pred.shape[1:]
    plan = Plan(True, y_pred.dtype.name, rows)
    prediction = plan.buffer(shape)
    target = plan.buffer(shape[:-1], "int32") if loss.sparse else plan.buffer(shape)
    values, gradient = loss.values_and_gradient(plan, prediction, target)
    once = Run(plan, rows, [prediction, target, values, gradient])
    once.set(prediction, y_pred)
    once.set(target, y_true)
    once.steps()
    return once.get(values).reshape(y_pred.shape[:-1]), once.get(gradient)


def wanted(name, loss, y_true, y_pred):
    """The oracle's answer for rows of any rank."""
    dtype, width = y_pred.dtype.type, y_pred.shape[-1]
    low, high = float(dtype(1e-7)), float(dtype(1) - dtype(1e-7))
    x = y_pred.astype(np.float64).reshape(-1, width)
    t = np.eye(width)[y_true.reshape(-1)] if loss.sparse else y_true.astype(np.float64).reshape(-1, width)
    with np.errstate(all="ignore"):
        values, gradient = oracles.LOSSES[name](t, x, low, high)
    return values.reshape(y_pred.shape[:-1]), gradient.reshape(y_pred.shape)


def data(loss, name, shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = (
        rng.standard_normal(shape) * 3
        if "logits" in name or name.startswith("mean")
        else rng.uniform(0.01, 0.99, shape)
    )
    t = rng.uniform(0, 1, shape)
    if loss.row.row is not None:
        t /= t.sum(-1, keepdims=True)
    return (rng.integers(0, shape[-1], shape[:-1]) if loss.sparse else t.astype(dtype)), x.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_follow_the_formula(name, shape, dtype):
    loss = losses.get(name)
    y_true, y_pred = data(loss, name, shape, dtype)
    values, gradient = run(loss, y_true, y_pred)
    right, slope = wanted(name, loss, y_true, y_pred)
    # A sum of `width` terms of size 1 to 10 in the dtype; gradients are a hundred times smaller than their terms.
    tolerance = 2e-6 if dtype == "float32" else 1e-14
    assert np.abs(values - right).max() <= tolerance * max(1, np.abs(right).max())
    assert np.abs(gradient - slope).max() <= tolerance * np.abs(slope).max() + tolerance * 1e-2
    if dtype == "float64":  # evaluation has kernels of its own; one dtype of them is enough
        return
    y = y_pred.reshape(-1, shape[-1])
    np.testing.assert_allclose(
        loss(y_true.reshape(y.shape[:1] if loss.sparse else y.shape), y), right.mean(), rtol=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_check_loss_proves_every_row(name):
    report = str(testing.check_loss(name))
    assert "the same bits on 1 and 2" in report
    assert "no double instruction" in report


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("from_logits")])
def test_huge_logits_are_exact(name, dtype):
    loss = losses.get(name)
    y_pred = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [1e4, 1e4 - 1, -1e4]], dtype)
    y_true = np.array([0, 1, 1]) if loss.sparse else np.array([[1.0, 0, 0], [0, 1, 0], [0, 1, 0]], dtype)
    values, gradient = run(loss, y_true, y_pred)
    right, slope = wanted(name, loss, y_true, y_pred)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(values, right, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(gradient, slope, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_probabilities_of_zero_and_one_are_clipped(name, dtype):
    loss = losses.get(name)
    y_pred = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.25, 0.75]], dtype)
    y_true = np.array([1, 1, 0, 0]) if loss.sparse else np.array([[0, 1], [0, 1], [1, 0], [1, 0]], dtype)
    values, gradient = run(loss, y_true, y_pred)
    right, slope = wanted(name, loss, y_true, y_pred)
    np.testing.assert_allclose(values, right, rtol=3e-6, atol=2e-7)
    np.testing.assert_allclose(gradient, slope, rtol=3e-6, atol=2e-7)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("cls", [losses.BinaryCrossentropy, losses.CategoricalCrossentropy])
def test_label_smoothing_moves_the_targets(cls, from_logits):
    loss, s = cls(from_logits=from_logits, label_smoothing=0.3), 0.3
    rng = np.random.default_rng(3)
    y_true, y_pred = np.eye(5)[rng.integers(0, 5, 17)], rng.uniform(0.1, 0.9, (17, 5))
    moved = y_true * (1 - s) + s / (2 if cls is losses.BinaryCrossentropy else 5)
    values, gradient = run(loss, y_true, y_pred)
    right, slope = wanted(loss.row.name, loss, moved, y_pred)
    np.testing.assert_allclose(values, right, rtol=1e-14)
    np.testing.assert_allclose(gradient, slope, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_a_nan_stays_in_its_row(name, dtype):
    loss = losses.get(name)
    y_true, y_pred = data(loss, name, (65, 3), dtype)
    y_pred[7, 2] = np.nan
    values = run(loss, y_true, y_pred)[0]
    assert np.isnan(values[7])
    assert np.isfinite(np.delete(values, 7)).all()
    assert np.isnan(loss(y_true, y_pred))


def test_functions_of_arrays():
    y_true, y_pred = [[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]
    assert losses.mean_squared_error(y_true, y_pred).tolist() == [0.5, 0.5]
    assert losses.mean_absolute_error(y_true, y_pred).tolist() == [0.5, 0.5]
    np.testing.assert_allclose(losses.sparse_categorical_crossentropy([1], [[0.25, 0.75]]), [-np.log(0.75)], rtol=1e-6)
    np.testing.assert_allclose(
        losses.categorical_crossentropy([[0, 1]], [[0.0, 0.0]], from_logits=True), [np.log(2)], rtol=1e-6
    )
    np.testing.assert_allclose(losses.binary_crossentropy([1.0], [0.5]), [np.log(2)], rtol=1e-6)


def test_bad_arguments_are_explained():
    with pytest.raises(ValueError, match="Unknown loss 'mean_square_error'. Did you mean 'mean_squared_error'"):
        losses.get("mean_square_error")
    with pytest.raises(ValueError, match="register_loss"):
        losses.get(lambda a, b: a)
    with pytest.raises(ValueError, match=r"label_smoothing must lie in \[0, 1\]"):
        losses.CategoricalCrossentropy(label_smoothing=1.5)
    with pytest.raises(ValueError, match="axis must be -1"):
        losses.BinaryCrossentropy(axis=1)
    with pytest.raises(ValueError, match="reduction"):
        losses.MeanSquaredError(reduction="sum")
    with pytest.raises(ValueError, match="ignore_class=0 is not supported"):
        losses.SparseCategoricalCrossentropy(ignore_class=0)
    with pytest.raises(ValueError, match="labels from 0 to 1"):
        losses.sparse_categorical_crossentropy([2], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="targets of shape"):
        losses.mean_squared_error([[1.0, 2.0, 3.0]], [[1.0, 2.0]])


def test_a_wrong_gradient_is_found():
    def quartic(y_true, y_pred):
        return (y_pred - y_true) ** 4

    def wrong(y_true, y_pred):
        return 3 * (y_pred - y_true) ** 3

    with pytest.raises(AssertionError, match=r"gradient is .* but differences give"):
        testing.check_loss(registry.Loss("quartic", quartic, wrong))
