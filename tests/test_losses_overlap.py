"""Losses of an overlap: hand values, the gradient against differences, reductions, and the axis."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses

from .test_losses import run

RNG = np.random.default_rng(4)


def overlap(t, x, alpha, beta):
    """Tversky's loss of all elements; Dice's where both are ½."""
    both = (t * x).sum()
    return 1 - both / (both + alpha * (t * (1 - x)).sum() + beta * ((1 - t) * x).sum() + 1e-7)


MADE = [
    (losses.Dice(), lambda t, x: 1 - 2 * (t * x).sum() / (t.sum() + x.sum() + 1e-7)),
    (losses.Tversky(0.3, 0.9), lambda t, x: overlap(t, x, 0.3, 0.9)),
]
SHAPES = [(1, 1), (7, 5), (3, 2, 5), (1031, 17)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("loss", "wanted"), MADE, ids=["Dice", "Tversky"])
def test_value_and_gradient_of_a_batch(loss, wanted, shape):
    t, x = RNG.integers(0, 2, shape).astype("float64"), RNG.uniform(0.05, 0.95, shape)
    values, gradient = run(loss, t, x)
    np.testing.assert_allclose(values, wanted(t, x), rtol=1e-12)
    assert loss(t, x) == pytest.approx(wanted(t, x), rel=1e-12)
    for index in [(0,) * len(shape), tuple(size - 1 for size in shape)]:
        moved = [x.copy(), x.copy()]
        for step, each in zip((1e-6, -1e-6), moved):
            each[index] += step
        slope = (wanted(t, moved[0]) - wanted(t, moved[1])) / 2e-6
        assert gradient[index] == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("loss", "wanted"), MADE, ids=["Dice", "Tversky"])
def test_the_last_axis_gives_a_loss_of_each_row(loss, wanted):
    t, x = RNG.integers(0, 2, (7, 3, 5)).astype("float64"), RNG.uniform(0.05, 0.95, (7, 3, 5))
    for axis in (-1, 2, (2,)):
        rows = type(loss).from_config({**loss.get_config(), "axis": axis})
        each = [[wanted(t[i, j], x[i, j]) for j in range(3)] for i in range(7)]
        values, gradient = run(rows, t, x)
        np.testing.assert_allclose(values, each, rtol=1e-12)
    moved = x.copy()
    moved[2, 1, 3] += 1e-6
    slope = (wanted(t[2, 1], moved[2, 1]) - each[2][1]) / 1e-6 / 21
    assert gradient[2, 1, 3] == pytest.approx(slope, rel=1e-5)


def test_several_axes_give_a_loss_of_each_sample():
    t, x = RNG.integers(0, 2, (7, 3, 5)).astype("float64"), RNG.uniform(0.05, 0.95, (7, 3, 5))
    for loss, wanted in MADE:
        for axis, over in (((1, 2), (1, 2)), (1, (1,)), ([-1, 1], (1, 2))):
            each = type(loss).from_config({**loss.get_config(), "axis": axis})
            moved = [
                np.moveaxis(a, over, range(-len(over), 0)).reshape(7, -1, 3 * 5 if len(over) > 1 else 3) for a in (t, x)
            ]
            rows = [[wanted(a, b) for a, b in zip(*sample)] for sample in zip(*moved)]
            np.testing.assert_allclose(each.per_row(t, x), np.reshape(rows, each.per_row(t, x).shape), rtol=1e-12)


def test_reductions_and_weights():
    t, x, w = RNG.integers(0, 2, (6, 4)), RNG.uniform(0, 1, (6, 4)), RNG.uniform(0, 2, 6)
    value = losses.Dice()(t, x)
    assert losses.Dice("sum")(t, x) == pytest.approx(value)
    assert losses.Dice("none")(t, x) == losses.dice(t, x) == pytest.approx(value)
    assert losses.Dice()(t, x, w) == pytest.approx(value * w.mean())
    assert losses.Dice("sum")(t, x, w) == pytest.approx(value * w.sum())
    np.testing.assert_allclose(losses.Dice("none")(t, x, w), value * w)
    assert losses.Dice()(np.zeros((2, 2)), np.zeros((2, 2))) == 1.0
    assert np.isnan(losses.Dice()([[1.0, 0.0]], [[np.nan, 0.0]]))
    assert losses.Tversky()(t, x) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "mean_with_sample_weight"])
def test_reductions_in_a_model(reduction, weighted, masked):
    """Keras's number: the batch's one, times the sum or the mean of the weights and the mask, times loss_weights."""
    x, t = RNG.standard_normal((7, 3, 2)), RNG.integers(0, 2, (7, 3, 2))
    w = RNG.uniform(0.5, 2, (7, 3)) if weighted else None
    if masked:
        x[:, 1] = 0
    double = {"dtype": "float64"}
    net = [layers.Input((3, 2), **double), layers.Masking(**double), layers.Dense(2, "sigmoid", **double)]
    model = fastnet.Sequential(net if masked else net[::2])
    model.compile("sgd", losses.Tversky(0.3, 0.9, reduction), loss_weights=0.5)
    each = (np.ones((7, 3)) if w is None else w) * ([1, 0, 1] if masked else [1, 1, 1])
    factor = {"mean_with_sample_weight": 1.0, "sum_over_batch_size": each.sum() / (14 if masked else 21)}
    factor["sum"] = each.sum() if masked or weighted else 1.0  # of one number, where nothing gives rows a weight

    def wanted():
        return 0.5 * factor[reduction] * overlap(t, model.predict(x, verbose=0), 0.3, 0.9)

    value, gradients = wanted(), model.gradients(x, t, w)
    assert model.test_on_batch(x, t, w) == pytest.approx(value, rel=1e-12)
    kernel = model.layers[-1].kernel
    kernel[0, 1] += 1e-6
    assert gradients[model.layers[-1].name]["kernel"][0, 1] == pytest.approx((wanted() - value) / 1e-6, rel=1e-4)


def test_batches_without_rows():
    empty = np.zeros((0, 3))
    assert (
        losses.Dice()(empty, empty) == losses.Tversky(reduction="sum")(empty, empty) == losses.dice(empty, empty) == 1.0
    )
    assert losses.Dice()(empty, empty, np.zeros(0)) == losses.Dice("sum", axis=-1)(empty, empty) == 0.0
    assert losses.dice(empty, empty, axis=-1).shape == losses.Dice(None)(empty, empty, np.zeros(0)).shape == (0,)


def test_arguments():
    with pytest.raises(ValueError, match=r"Dice: axis must be an axis of a sample.*axis 0 is that of the batch"):
        losses.Dice(axis=(0, 1))
    with pytest.raises(ValueError, match="Tversky: alpha must be"):
        losses.Tversky(alpha=np.nan)
    with pytest.raises(ValueError, match="CategoricalGeneralizedCrossEntropy: q must be .* above 0 and below 1"):
        losses.CategoricalGeneralizedCrossEntropy(1.0)
    for loss in (losses.Dice(axis=-1), losses.Tversky(0.3, 0.9), losses.CategoricalGeneralizedCrossEntropy(0.7)):
        again = losses.deserialize(losses.serialize(loss))
        assert type(again) is type(loss) and again.get_config() == loss.get_config()
    assert type(losses.get("tversky")) is losses.Tversky and type(losses.get(losses.dice)) is losses.Dice


def test_a_probability_of_zero_has_a_finite_gradient():
    loss = losses.CategoricalGeneralizedCrossEntropy(0.5)
    values, gradient = run(loss, np.array([1]), np.array([[1.0, 0.0]]))
    assert values == [2.0] and gradient[0, 0] == 0 and gradient[0, 1] == pytest.approx(-(1e-7**-0.5))


def test_training_lowers_it():
    x = RNG.standard_normal((64, 2)).astype("float32")
    y = (x[:, :1] > 0).astype("float32")
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1, "sigmoid")])
    model.compile("adam", "dice", metrics=["accuracy"])
    loss = model.fit(x, y, batch_size=64, epochs=3, verbose=0, sample_weight=np.ones(64)).history["loss"]
    assert loss[2] < loss[1] < loss[0]
    np.testing.assert_allclose(
        model.evaluate(x, y, verbose=0)[0], losses.dice(y, model.predict(x, verbose=0)), rtol=1e-5
    )
