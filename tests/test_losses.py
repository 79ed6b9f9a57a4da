"""Every loss of the table against float64 oracles: values, gradients, odd sizes and odd numbers."""

import json

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, testing
from fastnet._kernels import abi, registry
from fastnet.engine.plan import Plan
from fastnet.testing.running import Run

from . import loss_oracles

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
        values, gradient = loss_oracles.LOSSES[name](t, x, low, high)
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


#: losses, one of each kind of row, that the plain run proves; all of them are compared with their formulas
PROVED = ("mean_squared_error", "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")


#: the longest formulas, seconds to compile
LONG = [name for name in NAMES if "focal" in name and name != "binary_focal_crossentropy"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in NAMES])
def test_value_and_gradient_follow_the_formula(name, shape, dtype):
    loss = losses.get(name)
    y_true, y_pred = data(loss, name, shape, dtype)
    values, gradient = run(loss, y_true, y_pred)
    right, slope = wanted(name, loss, y_true, y_pred)
    # A sum of `width` terms of size 1 to 10 in the dtype; gradients are a hundred times smaller than their terms.
    # A power, as the focal losses have, loses up to 13 units in float32.
    tolerance = (2e-6 if dtype == "float32" else 1e-14) * (5 if "focal" in name else 1)
    assert np.abs(values - right).max() <= tolerance * max(1, np.abs(right).max())
    assert np.abs(gradient - slope).max() <= tolerance * np.abs(slope).max() + tolerance * 1e-2
    if dtype == "float64":  # evaluation has kernels of its own; one dtype of them is enough
        return
    y = y_pred.reshape(-1, shape[-1])
    np.testing.assert_allclose(
        loss(y_true.reshape(y.shape[:1] if loss.sparse else y.shape), y), right.mean(), rtol=1e-5
    )


@pytest.mark.parametrize(
    "name", [name if name in PROVED else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_check_loss_proves_every_row(name):
    report = str(testing.check_loss(name))
    assert "the same bits on 1 and 2" in report
    assert "no double instruction" in report


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith("from_logits") and "focal" not in n])
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


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_a_nan_stays_in_its_row(name, dtype):
    loss = losses.get(name)
    y_true, y_pred = data(loss, name, (65, 3), dtype)
    y_pred[7, 2] = np.nan
    values, gradient = run(loss, y_true, y_pred)
    assert np.isnan(values[7]) and np.isnan(gradient[7, 2])
    assert np.isfinite(np.delete(values, 7)).all() and np.isfinite(np.delete(gradient, 7, 0)).all()
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
        losses.get(3)
    with pytest.raises(fastnet.RuleError, match="a loop over an array"):
        losses.get(lambda a, b: sum(a))
    with pytest.raises(ValueError, match="label_smoothing must be a number that is at least 0 and at most 1"):
        losses.CategoricalCrossentropy(label_smoothing=1.5)
    with pytest.raises(ValueError, match="BinaryCrossentropy: axis must be an axis of a sample"):
        losses.BinaryCrossentropy(axis=0)([[0.0, 1.0]], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="MeanSquaredError: reduction must be 'sum_over_batch_size'"):
        losses.MeanSquaredError(reduction="average")
    with pytest.raises(ValueError, match="MeanSquaredError: reduction must be .* or None, received array"):
        losses.MeanSquaredError(reduction=np.array(["sum", "none"]))
    with pytest.raises(ValueError, match=r"ignore_class, which may be None, must be an integer from .*, received 0.5"):
        losses.SparseCategoricalCrossentropy(ignore_class=0.5)
    for bad in (0, -1, True, "1", float("nan"), float("inf")):
        with pytest.raises(ValueError, match="Huber: delta must be"):
            losses.Huber(bad)
    with pytest.raises(ValueError, match="alpha must be a number that is at least 0 and at most 1"):
        losses.BinaryFocalCrossentropy(alpha=2)
    with pytest.raises(ValueError, match="gamma must be a number that is finite and not negative"):
        losses.CategoricalFocalCrossentropy(gamma=-1)
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


def check_batch(loss, y_true, y_pred, sample_weight):
    """Value and gradient of a batch's loss as in training, the gradient against central differences of the value."""
    rows, width = y_pred.shape
    plan = Plan(True, "float64", rows)
    prediction = plan.buffer((width,))
    target = plan.buffer(() if loss.sparse else (width,), "int32" if loss.sparse else "float64")
    weights = None if sample_weight is None else plan.buffer((1,))
    row_weight = loss.row_weight(plan, prediction, target, weights)
    values, gradient = loss.values_and_gradient(plan, prediction, target, row_weight)
    loss.total(plan, values, row_weight)
    once = Run(plan, rows, [b for b in (prediction, target, values, gradient, weights) if b is not None])
    once.set(prediction, y_pred)
    once.set(target, y_true)
    if weights is not None:
        once.set(weights, sample_weight[:, None])
    once.steps()
    step = 1e-5
    for r, j in np.ndindex(*y_pred.shape):
        moved = [y_pred.copy(), y_pred.copy()]
        moved[0][r, j] += step
        moved[1][r, j] -= step
        slope = (loss(y_true, moved[0], sample_weight) - loss(y_true, moved[1], sample_weight)) / (2 * step)
        assert once.get(gradient)[r, j] == pytest.approx(slope, abs=1e-8)
    return once.bound.scalars[abi.LOSS]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum"])
@pytest.mark.parametrize("rows", [1, 17])
def test_reductions_of_value_and_gradient(rows, reduction, weighted):
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.standard_normal((rows, 3)), rng.standard_normal((rows, 3))
    weights = rng.uniform(0, 2, rows) if weighted else None
    w = np.ones(rows) if weights is None else weights
    divisor = {"sum": 1.0, "mean_with_sample_weight": w.sum()}.get(reduction, rows)
    loss = losses.MeanSquaredError(reduction)
    loss.compiled_weight = 0.5
    got = check_batch(loss, y_true, y_pred, weights)
    assert got == pytest.approx(0.5 * (((y_true - y_pred) ** 2).mean(1) * w).sum() / divisor, rel=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum"])
@pytest.mark.parametrize("ignored", [-1, 1])
def test_an_ignored_class_has_no_part(ignored, reduction, weighted):
    rng = np.random.default_rng(1)
    labels, y_pred = rng.choice([ignored, 0, 2], 13), rng.standard_normal((13, 3))
    weights = rng.uniform(0, 2, 13) if weighted else None
    w, keep = (np.ones(13) if weights is None else weights), labels != ignored
    assert keep.any()
    assert not keep.all()
    each = losses.sparse_categorical_crossentropy(labels[keep], y_pred[keep], from_logits=True)
    divisor = {"sum": 1.0, "mean_with_sample_weight": w[keep].sum()}.get(reduction, keep.sum())
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignored, reduction=reduction)
    got = check_batch(loss, labels, y_pred, weights)
    assert got == pytest.approx((each * w[keep]).sum() / divisor, rel=1e-13)
    assert (loss.per_row(labels, y_pred)[~keep] == 0).all()


def test_rows_that_all_count_nothing_give_zero():
    loss = losses.SparseCategoricalCrossentropy(ignore_class=0)
    assert loss([0, 0], [[0.5, 0.5], [0.1, 0.9]]) == 0
    weightless = losses.MeanSquaredError("mean_with_sample_weight")
    assert weightless([[1.0], [2.0]], [[3.0], [4.0]], sample_weight=[0, 0]) == 0


@pytest.mark.parametrize("rows", [1, 7, 64, 131])
def test_weighted_training_is_the_same_on_any_number_of_threads(rows):
    rng = np.random.default_rng(rows)
    x, y, w = rng.standard_normal((rows, 5)), rng.integers(0, 2, (rows, 3)), rng.uniform(0, 2, rows)
    results = []
    before = fastnet.get_num_threads()
    try:
        for threads in (1, 2):
            fastnet.set_num_threads(threads)
            fastnet.utils.set_random_seed(3)
            model = fastnet.Sequential([layers.Input((5,)), layers.Dense(3)])
            model.compile("sgd", "huber", weighted_metrics=["mae", "AUC"])
            history = model.fit(x, y, sample_weight=w, batch_size=16, epochs=2, verbose=0).history
            results.append([*model.get_weights(), *map(np.array, history.values())])
    finally:
        fastnet.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(*results))


def test_hinges_read_zeros_and_ones_as_signs_batch_by_batch():
    y_pred = np.array([[0.3], [-0.2]])
    assert losses.hinge([[0.0], [1.0]], y_pred).tolist() == losses.hinge([[-1.0], [1.0]], y_pred).tolist()
    assert losses.hinge([[0.0], [2.0]], y_pred).tolist() == [1.0, 1.4]
    y_pred, labels = np.linspace(-1, 1, 9001)[:, None], np.arange(9001.0)[:, None] % 2  # three chunks of elements
    np.testing.assert_allclose(losses.hinge(labels, y_pred), np.maximum(0, 1 - (2 * labels - 1) * y_pred)[:, 0])
    for other in (2.0, np.nan):
        labels[-1] = other
        np.testing.assert_allclose(losses.hinge(labels, y_pred), np.maximum(0, 1 - labels * y_pred)[:, 0])


class Pinball(losses.Loss):
    """Of a quantile; Koenker and Bassett 1978."""

    def __init__(self, quantile=0.5, **more):
        super().__init__(**more)
        self.quantile = quantile

    @staticmethod
    def call(y_true, y_pred, quantile):
        error = y_true - y_pred
        return quantile * error if error > 0 else (quantile - 1) * error


def quartic(y_true, y_pred):
    return (y_pred - y_true) ** 4


def test_a_loss_of_your_own_as_function_or_class():
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((64, 3)), rng.standard_normal((64, 2))
    for loss in (quartic, Pinball(0.9), Pinball):
        model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
        model.compile("sgd", loss, metrics=[quartic])
        history = model.fit(x, y, epochs=5, verbose=0).history
        assert history["loss"][-1] < history["loss"][0]
        assert list(history) == ["loss", "quartic"]
    error = y[0] - y[1]
    wanted = np.where(error > 0, 0.9 * error, -0.1 * error).mean()
    assert Pinball(0.9)(y[:1], y[1:2]) == pytest.approx(wanted, rel=1e-12)
    assert check_batch(Pinball(0.3), y[:5], y[5:10], rng.uniform(0, 2, 5)) > 0
    with pytest.raises(ValueError, match="needs a method call"):
        losses.Loss()([[1.0]], [[1.0]])


@pytest.mark.parametrize(
    "loss",
    [
        losses.Huber(0.3, name="mine"),
        losses.BinaryFocalCrossentropy(True, 0.3, 1.5, True, 0.1),
        losses.SparseCategoricalCrossentropy(True, ignore_class=2, reduction="sum"),
        losses.get("mse"),
        losses.get("binary_crossentropy_from_logits"),
    ],
)
def test_a_description_gives_the_same_loss(loss):
    description = json.loads(json.dumps(losses.serialize(loss)))
    again = losses.deserialize(description)
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert (again.row, again.parameters) == (loss.row, loss.parameters)
    keras_form = {**description, "module": "keras.losses"}
    if type(loss) is not losses.FunctionLoss:
        assert losses.get(keras_form).get_config() == loss.get_config()


def test_every_name_gives_a_loss():
    for name in [*registry.losses, "Huber", "KLDivergence", "MSE", "kld", "huber"]:
        assert isinstance(losses.get(name), losses.Loss)
    assert losses.get(losses.huber).delta == 1
    assert losses.get("MAPE").row is losses.MeanAbsolutePercentageError().row


@pytest.mark.parametrize("given", ["crossentropy", "cross_entropy", "Crossentropy", "cross-entropy"])
def test_part_of_a_name_offers_all_that_end_with_it(given):
    with pytest.raises(ValueError) as caught:
        losses.get(given)
    offered = str(caught.value).split("Known:")[0].replace("_", "").lower()
    for name in ("binary", "categorical", "sparsecategorical"):
        assert f"'{name}crossentropy'" in offered


def test_functions_and_old_descriptions_stand_for_classes():
    for described in (losses.serialize(losses.huber), {"class_name": "huber", "config": {"delta": 1.0}}):
        assert isinstance(losses.deserialize(described), losses.Huber)
    own = {"class_name": "MeanSquaredError", "config": {"name": "m"}}
    assert type(losses.deserialize(own)) is losses.MeanSquaredError
    assert type(fastnet.metrics.deserialize(own)) is fastnet.metrics.MeanSquaredError
    with pytest.raises(ValueError, match="Unknown loss 'hubert'. Did you mean 'huber'"):
        losses.deserialize({"class_name": "function", "config": "hubert"})


@pytest.mark.parametrize(
    "given, problem",
    [
        ({"sample_weight": np.ones(5)}, "one weight for each of the 6 samples"),
        ({"sample_weight": np.ones((6, 2))}, r"sample_weight must have shape \(6,\) or \(6, 3\), received \(6, 2\)"),
        ({"sample_weight": 1.0}, "one weight for each of the 6 samples"),
        ({"sample_weight": [1, 1, np.inf, 1, 1, 1]}, "sample_weight must be finite; it is inf in row 2"),
        ({"sample_weight": ["a"] * 6}, "sample_weight must hold real numbers"),
        ({"sample_weight": np.ones(6), "class_weight": {0: 1.0}}, "cannot be given both"),
        ({"class_weight": [1.0, 2.0]}, "class_weight must be a dictionary"),
        ({"class_weight": {"0": 1.0}}, "whole numbers as classes, received '0'"),
        ({"class_weight": {0: np.nan}}, "finite weights, received nan for class 0"),
    ],
    ids=str,
)
def test_bad_weights_are_explained_before_anything_happens(given, problem):
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(3)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    x, y = np.ones((6, 2)), np.ones((6, 3))
    with pytest.raises(ValueError, match=problem):
        model.fit(x, y, verbose=0, **given)
    with pytest.raises(ValueError, match=problem):
        model.train_on_batch(x, y, **given)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before))


@pytest.mark.parametrize("weight", ["2", [np.inf], {"a": "b"}, np.nan, True])
def test_bad_loss_weights_are_explained(weight):
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="loss_weights .* must be a number that is finite"):
        model.compile("sgd", "mse", loss_weights=weight)


def test_a_loss_of_each_row_cannot_be_trained_on():
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(3)])
    model.compile("sgd", losses.MeanSquaredError(reduction=None))
    with pytest.raises(ValueError, match="reduction=None, which gives no number to train on"):
        model.fit(np.ones((6, 2)), np.ones((6, 3)), verbose=0)


class SquaresOfElements(losses.Loss):
    def call(self, y_true, y_pred):
        return (y_true - y_pred) ** 2


class MeansOfRows(losses.Loss):
    def call(self, y_true, y_pred):
        return fastnet.ops.mean((y_true - y_pred) ** 2, axis=-1)


def squares(y_true, y_pred):
    return (y_true - y_pred) ** 2


@pytest.mark.parametrize("make", [
    SquaresOfElements, MeansOfRows, losses.MeanSquaredError, lambda reduction: losses.FunctionLoss(squares, reduction),
])  # fmt: skip
@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 3), (5, 1)])
def test_sums_of_what_a_loss_gives(make, shape):
    """Keras sums each number that the loss gives: means of rows were summed instead, and gradients too small."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape), rng.standard_normal(shape)
    loss = make(reduction="sum")
    of_elements = loss.name in ("squares_of_elements", "squares")
    scale = 1 if of_elements else 1 / shape[-1]
    np.testing.assert_allclose(loss(y, x), ((y - x) ** 2).sum() * scale, rtol=1e-6)
    model = fastnet.Sequential([layers.Input(shape[1:]), layers.Identity(dtype="float64")])
    model.compile("sgd", loss)
    np.testing.assert_allclose(model.gradients(x, y)["input"], 2 * (x - y) * scale, rtol=1e-12)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), ((y - x) ** 2).sum() * scale, rtol=1e-12)


def test_the_dtype_is_the_default_one():
    assert losses.Huber().dtype == losses.get(lambda t, p: (t - p) ** 2).dtype == "float32"
    assert (
        losses.Huber(dtype="float64").dtype == losses.deserialize(losses.serialize(losses.Huber(dtype="float64"))).dtype
    )
    fastnet.config.set_floatx("float64")
    try:
        assert losses.MeanSquaredError().dtype == "float64"
    finally:
        fastnet.config.set_floatx("float32")
