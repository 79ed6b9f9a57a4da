"""Losses in array code that read the whole batch: values, differences, reductions, and what they leave alone."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, ops
from fastnet._kernels.errors import RuleError

from . import batch_loss_cases as cases
from .test_formulas import value_and_gradient
from .test_losses import run

RNG = np.random.default_rng(6)
STEP = 1e-6
CHECKED = [
    cases.crossentropy_and_dice, cases.hinges, cases.circle, cases.concordance, cases.errors_by_variance,
    cases.weighted_mean, cases.elements_in_a_row, cases.scaled_to_extremes, cases.softmax_of_rows,
    cases.stacked_columns, cases.products_over_the_batch,
]  # fmt: skip


def samples(rows, width=3):
    """Labels of 0 and 1, of which the first ones differ, and probabilities."""
    t = RNG.integers(0, 2, (rows, width)).astype("float64")
    t[: rows // 2, 0], t[rows // 2 :, 0] = 0, 1
    return t, RNG.uniform(0.1, 0.9, (rows, width))


@pytest.mark.parametrize("function", CHECKED, ids=lambda f: f.__name__)
def test_values_and_differences(function):
    """On arrays, loss objects and operations of arrays say what the formula must give."""
    loss = losses.get(lambda t, p: function(fastnet, ops, t, p))
    for rows in (1, 7, 131):
        t, p = samples(rows)
        for weight in (None, RNG.uniform(0.1, 1.0, rows)):
            factor = np.full(rows, 1 / rows) if weight is None else weight

            def wanted(x, t=t, factor=factor):
                return np.sum(factor * function(fastnet, ops, t, x))

            values, dy = value_and_gradient(loss, t, p, weight)
            assert (factor * values).sum() == pytest.approx(wanted(p), rel=1e-12)
            for index in [(0, 0), (rows // 2, 2), (rows - 1, 1)]:
                moved = np.zeros_like(p)
                moved[index] = STEP
                slope = (wanted(p + moved) - wanted(p - moved)) / (2 * STEP)
                assert dy[index] == pytest.approx(slope, rel=1e-5, abs=1e-8), (rows, index)


@pytest.mark.parametrize("function", [
    lambda t, p: ops.sqrt(ops.mean(ops.square(t - p), axis=(0, 2))),
    lambda t, p: (t - p + ops.mean(p, axis=(0, 1), keepdims=True) - ops.mean(t * p, axis=(0, 3), keepdims=True)) ** 2,
])  # fmt: skip
def test_folds_of_any_axes(function):
    """With the batch, in front of those that stay and behind them."""
    t, p = RNG.uniform(0, 1, (3, 2, 3, 5)), RNG.uniform(0, 1, (3, 2, 3, 5))
    values, dy = run(losses.get(function), t, p)
    assert np.mean(values) == pytest.approx(function(t, p).mean(), rel=1e-12)
    for index in [(0, 0, 0, 0), (1, 1, 0, 3), (2, 1, 2, 4)]:
        moved = np.zeros_like(p)
        moved[index] = STEP
        slope = (function(t, p + moved).mean() - function(t, p - moved).mean()) / (2 * STEP)
        assert dy[index] == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_extremes_of_nan_and_of_no_rows():
    """NaN is the largest and the smallest; of no rows there is none."""
    t, p = samples(5)
    p[2, 1] = np.nan
    of_columns = losses.get(lambda t, p: ops.max(p, axis=0) + ops.min(p, axis=0))
    values, dy = value_and_gradient(of_columns, t, p)
    assert np.isnan(values).all() and np.isnan(dy[:, 1]).all() and np.isfinite(dy[:, ::2]).all()
    assert np.isnan(of_columns(t[:0], p[:0]))
    assert np.isfinite(losses.get(lambda t, p: ops.logsumexp(1e4 * t) + ops.softmax(1e4 * t, axis=0))(t, p))
    p[2, 1] = np.inf
    values, dy = value_and_gradient(losses.get(lambda t, p: ops.max(p)), t, p)
    assert (values == np.inf).all() and dy[2, 1] == 1.0 and np.sum(np.abs(dy)) == 1.0


def test_one_number_of_the_batch():
    """As in Keras: no reduction changes it, and weights multiply it by their mean or sum."""
    t, p = samples(7)
    weights, value = RNG.uniform(0.5, 2, 7), cases.root_of_mean(fastnet, ops, t, p)

    def of(reduction):
        return losses.FunctionLoss(lambda t, p: cases.root_of_mean(fastnet, ops, t, p), reduction)

    for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight", None):
        assert of(reduction)(t, p) == pytest.approx(value, rel=1e-12)
    assert of("sum_over_batch_size")(t, p, weights) == pytest.approx(value * weights.mean(), rel=1e-12)
    assert of("sum")(t, p, weights) == pytest.approx(value * weights.sum(), rel=1e-12)
    assert of("mean_with_sample_weight")(t, p, weights) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(of(None)(t, p, weights), value * weights, rtol=1e-12)
    assert np.isnan(of(None)(t, np.where(p > 0.5, np.nan, p))) and np.isnan(of("sum")(t[:0], p[:0]))
    columns = losses.FunctionLoss(lambda t, p: ops.mean(ops.square(t - p), axis=0), "sum")
    assert columns(t, p) == pytest.approx(np.square(t - p).mean(0).sum(), rel=1e-12)


def test_a_sum_of_a_mean_is_the_mean():
    class Mean(losses.Loss):
        def call(self, y_true, y_pred):
            return ops.mean(ops.square(y_true - y_pred))

    class Objects(losses.Loss):
        def call(self, y_true, y_pred):
            return losses.MeanSquaredError()(y_true, y_pred) + 0.5 * losses.MeanAbsoluteError()(y_true, y_pred)

    class Rows(losses.Loss):
        def call(self, y_true, y_pred):
            return losses.MeanSquaredError()(y_true, y_pred) + ops.mean(y_pred, axis=-1)

    t, p = samples(7)
    mean = np.square(t - p).mean()
    assert Mean(reduction="sum")(t, p) == pytest.approx(mean, rel=1e-12)
    assert Objects(reduction="sum")(t, p) == pytest.approx(mean + 0.5 * np.abs(t - p).mean(), rel=1e-12)
    assert Rows(reduction="sum")(t, p) == pytest.approx(7 * mean + p.mean(-1).sum(), rel=1e-12)


def test_an_attribute_called_weight_is_the_users():
    class Weighted(losses.Loss):
        def __init__(self):
            super().__init__()
            self.weight = 2.0

        def call(self, y_true, y_pred):
            return self.weight * ops.mean(ops.square(y_true - y_pred), axis=-1)

    t, p = samples(7)
    assert Weighted()(t, p) == pytest.approx(2 * np.square(t - p).mean(), rel=1e-12)


def test_names_that_the_class_needs_are_not_taken():
    with pytest.raises(TypeError, match="class Helped defines 'row', a name that fastnet.losses.Loss needs"):

        class Helped(losses.Loss):
            def row(self, e):
                return e

            def call(self, y_true, y_pred):
                return self.row(ops.square(y_true - y_pred))


def test_loss_objects_do_not_ignore_a_mask():
    x = RNG.standard_normal((5, 3, 2))
    x[:, 1] = 0
    model = fastnet.Sequential([layers.Input((3, 2)), layers.Masking(), layers.Dense(1)])
    model.compile("sgd", lambda t, p: ops.sqrt(losses.MeanSquaredError()(t, p)))
    with pytest.raises(RuleError, match=r"loss 'function' reads the whole batch, .* would count masked steps"):
        model.fit(x, np.ones((5, 3, 1)), verbose=0)


def test_the_shape_of_elements_in_a_row():
    def errors(t, p):
        e = ops.ravel(ops.square(t - p))
        assert ops.ndim(e) == 1
        return ops.sqrt(ops.sum(e) / ops.cast(ops.shape(e)[0], "float64"))

    t, p = samples(7)
    assert losses.get(errors)(t, p) == pytest.approx(np.sqrt(np.square(t - p).mean()), rel=1e-12)


def test_a_metric_of_elements_in_a_row_is_called_with_the_arrays():
    def overlap(t, p):
        return ops.sum(ops.reshape(t, (-1,)) * ops.ravel(p))

    x = RNG.standard_normal((8, 3))
    model = fastnet.Sequential([layers.Input((3,), dtype="float64"), layers.Dense(2, dtype="float64")])
    model.compile("sgd", "mse", metrics=[overlap])
    y = RNG.standard_normal((8, 2))
    _, found = model.evaluate(x, y, batch_size=8, verbose=0)
    assert found == pytest.approx(np.sum(y * model.predict(x, verbose=0)), rel=1e-6)


def test_it_is_trained_with_a_mask_and_the_sum_as_reduction():
    x, y = RNG.standard_normal((5, 3, 2)), RNG.integers(0, 2, (5, 3, 1)).astype("float64")
    x[:, 1] = 0
    double = {"dtype": "float64"}
    dense = layers.Dense(1, "sigmoid", **double)
    model = fastnet.Sequential([layers.Input((3, 2), **double), layers.Masking(**double), dense])

    class Overlap(losses.Dice):
        def call(self, y_true, y_pred):
            return 3.0 * super().call(y_true, y_pred)

    model.compile(fastnet.optimizers.SGD(0.1), Overlap(), loss_weights=0.5)
    before = losses.Dice()(y, model.predict(x, verbose=0))
    assert model.test_on_batch(x, y) == pytest.approx(1.5 * before, rel=1e-12)
    model.fit(x, y, batch_size=4, epochs=3, verbose=0)
    assert losses.Dice()(y, model.predict(x, verbose=0)) < before


@pytest.mark.parametrize("function, is_of_batch", [
    (lambda t, p: losses.MeanSquaredError()(t, p) + 0.5 * losses.Huber()(t, p), False),
    (lambda t, p: ops.mean(ops.square(t - p)) - losses.mean_absolute_error(t, p) / 2.0, True),
    (lambda t, p: losses.MeanSquaredError()(t, p, sample_weight=t[:, 0]), False),
    (lambda t, p: ops.square(losses.mean_squared_error(t, p)), False),
    (lambda t, p: ops.square(losses.MeanSquaredError(reduction=None)(t, p)), False),
    (lambda t, p: losses.MeanSquaredError()(t, p) * ops.mean(p, axis=-1), True),
    (lambda t, p: losses.MeanSquaredError(reduction="sum")(t, p), True),
])  # fmt: skip
def test_only_what_joins_rows_otherwise_than_by_a_mean_is_of_whole_arrays(function, is_of_batch):
    loss = losses.get(function)
    assert (loss.row.traced.form((3,), (3,)).batch is not None) is is_of_batch
    t, p = samples(7)
    assert loss(t, p) == pytest.approx(np.mean(function(t, p)), rel=1e-12)


def test_a_metric_of_a_root_is_that_of_each_batch():
    """Which the step cannot count: it is called with the arrays."""

    def root(t, p):
        return ops.sqrt(losses.MeanSquaredError()(t, p))

    x = RNG.standard_normal((8, 3))
    model = fastnet.Sequential([layers.Input((3,), dtype="float64"), layers.Dense(2, dtype="float64")])
    model.compile("sgd", "mse", metrics=[root])
    y = model.predict(x, verbose=0) + RNG.standard_normal((8, 2))
    _, found = model.evaluate(x, y, batch_size=8, verbose=0)
    assert found == pytest.approx(np.sqrt(np.mean((y - model.predict(x, verbose=0)) ** 2)), rel=1e-6)


def test_add_loss_takes_the_number_of_a_loss_object():
    class Between(layers.Layer):
        def call(self, x):
            self.add_loss(0.5 * losses.MeanSquaredError()(x, 2.0 * x, sample_weight=ops.abs(x[:, 0])))
            return x

    x = RNG.standard_normal((7, 3))
    model = fastnet.Sequential([layers.Input((3,), dtype="float64"), Between(dtype="float64")])
    model.compile("sgd", "mse")
    expected = 0.5 * np.mean(np.square(x).mean(-1) * np.abs(x[:, 0]))
    assert model.evaluate(x, x, verbose=0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("function, message", [
    (lambda t, p: ops.mean(p) + ops.argmax(p, axis=0), r"argmax over the batch \(axis 0\) mixes samples \(line "),
    (lambda t, p: ops.sum(ops.reshape(t, (-1, 1)) * ops.reshape(p, (-1, 1))), r"joins the batch .* fold all axes"),
    (lambda t, p: ops.mean(ops.einsum("bi,ci->bc", t, p)), "compares the rows of the batch with each other"),
    (lambda t, p: ops.sum(ops.einsum("bi,bj->jj", t, p)), "the equation .* name the axes"),
    (lambda t, p: ops.sum(ops.matmul(ops.transpose(t), p)), r"moves the axis of the batch .*ops.einsum\('bi,bj->ij'"),
    (lambda t, p: ops.mean([ops.mean(p), ops.mean(t)]), "ops.stack joins several"),
    (lambda t, p: ops.sum(ops.ravel(t) * p), r"in a row and of \(n, 3\) \(line .*: reshape both with \(-1,\)"),
    (lambda t, p: ops.sum(ops.ravel(t) * ops.ravel(p) * np.ones(3)), r"in a row and of \(3,\)"),
    (lambda t, p: ops.mean(ops.flip(ops.ravel(t - p), -1)), r"in a row \(line .*: fold them"),
    (lambda t, p: ops.mean(ops.cumsum(ops.ravel(t - p), -1)), "cumsum"),
    (lambda t, p: ops.mean(ops.reshape(ops.ravel(t - p), (-1, 3)) ** 2, axis=-1), "reshape of all .* in a row"),
    (lambda t, p: ops.mean(ops.ravel(t[:, :1]) * ops.ravel(p)), r"in a row and of others .* from one shape"),
    (lambda t, p: ops.argmax(ops.ravel(t - p), axis=-1), "argmax"),
    (lambda t, p: ops.sum(ops.ravel(t - p), axis=1), "sum along axis 1 of all elements of the batch in a row"),
    (lambda t, p: losses.circle(t[:, 0], p, ref_labels=t[:, 0], ref_embeddings=p), "compare the rows of the batch"),
])  # fmt: skip
def test_what_stays_refused(function, message):
    with pytest.raises(RuleError, match=message):
        losses.get(function)(*samples(3))
    with pytest.raises(ValueError, match=r"labels of shape \(n, 3\) .*give labels without the axis of the classes"):
        losses.get(lambda t, p: losses.Circle()(t, p))(*samples(3))
    with pytest.raises(ValueError, match="sample_weight|do not broadcast|would move"):
        losses.get(lambda t, p: losses.Huber()(t, p, sample_weight=t))(*samples(3))
