"""Weights of the targets' shape, of their first axes and broadcast, in losses, metrics, training; arrays of one axis.

All against numpy."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, metrics, ops

RNG = np.random.default_rng(0)
Y, P, W = RNG.uniform(0.1, 0.9, (3, 7, 4))
SQUARES = (Y - P) ** 2
LABELS, SURE = (Y > 0.5).astype(float), P > 0.5


def entropy(t, p):
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


# ---- losses


@pytest.mark.parametrize(
    ("weights", "full"),
    [
        (W, W),
        (W[:, 0], W[:, :1] + 0 * W),
        (W[:, :1], W[:, :1] + 0 * W),
        (W[:1], W[:1] + 0 * W),
        (W[0, 0], W[0, 0] + 0 * W),
        (2, 2 + 0 * W),
    ],
    ids=["elements", "rows", "column", "one row of elements", "number", "integer"],
)
def test_weights_of_a_loss(weights, full):
    got = {r: losses.MeanSquaredError(r)(Y, P, weights) for r in ("sum", "mean", "mean_with_sample_weight", None)}
    np.testing.assert_allclose(got["mean"], (full * SQUARES).mean(), rtol=1e-12)
    np.testing.assert_allclose(got["sum"], (full * SQUARES).mean(1).sum(), rtol=1e-12)
    np.testing.assert_allclose(got["mean_with_sample_weight"], (full * SQUARES).sum() / full.sum(), rtol=1e-12)
    np.testing.assert_allclose(got[None], (full * SQUARES).mean(1), rtol=1e-12)
    np.testing.assert_allclose(metrics.MeanSquaredError()(Y, P, weights), (full * SQUARES).sum() / full.sum())


class Absolute(losses.Loss):
    def call(self, y_true, y_pred):
        return ops.abs(y_true - y_pred)


def largest(y_true, y_pred):
    return ops.max(ops.abs(y_true - y_pred), axis=-1)


def folded_where_wide(y_true, y_pred):
    return largest(y_true, y_pred) if y_pred.shape[-1] > 3 else ops.square(y_true - y_pred)


def test_array_code_of_elements_weighs_them():
    """As in Keras; predictions of one axis have as many weights."""
    errors = np.abs(Y - P)
    loss, mean = Absolute(), losses.get(lambda t, p: ops.mean(ops.square(t - p), axis=-1))
    assert loss(Y, P, W) == pytest.approx((W * errors).mean(), rel=1e-12)
    assert mean(Y, P, W) == pytest.approx((W * SQUARES).mean(), rel=1e-12)
    for weights in (W[0], W[0][:, None]):
        assert loss(Y[0], P[0], weights) == pytest.approx((W * errors)[0].mean(), rel=1e-12)
    model = fastnet.Sequential([layers.Input((4,)), layers.Activation("linear", dtype="float64")])
    model.compile("sgd", loss)
    assert model.test_on_batch(P, Y, W) == pytest.approx((W * errors).mean(), rel=1e-12)
    np.testing.assert_allclose(model.gradients(P, Y, W)["input"], W * np.sign(P - Y) / 28, rtol=1e-12)


@pytest.mark.parametrize("function", [largest, folded_where_wide])
def test_array_code_of_rows_has_no_weights_of_elements(function):
    loss = losses.get(function)
    assert loss(Y, P, W[:, 0]) == pytest.approx((W[:, 0] * np.abs(Y - P).max(1)).mean(), rel=1e-12)
    with pytest.raises(ValueError, match="gives one number for each row"):
        loss(Y, P, W)
    model = fastnet.Sequential([layers.Input((4,)), layers.Activation("linear", dtype="float64")])
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match="gives one number for each row"):
        model.fit(P, Y, sample_weight=W, verbose=0)


def test_weights_of_steps_and_of_their_elements():
    y, p, w = (a.reshape(7, 2, 2) for a in (Y, P, W))
    for weights in (w[..., 0], w[:, 0, 0], w, w[:, :1], w[..., :1]):
        full = np.broadcast_to(weights.reshape(*weights.shape, *(1,) * (3 - weights.ndim)), w.shape)
        np.testing.assert_allclose(losses.MeanAbsoluteError()(y, p, weights), (full * abs(y - p)).mean(), rtol=1e-12)


def test_a_loss_of_signs_keeps_the_weights_of_elements():
    hinge = np.maximum(0, 1 - (2 * LABELS - 1) * P)
    np.testing.assert_allclose(losses.Hinge()(LABELS, P, W), (W * hinge).mean(), rtol=1e-12)


@pytest.mark.parametrize("call", [losses.CategoricalCrossentropy(), metrics.CosineSimilarity(), losses.KLDivergence()])
def test_elements_of_a_row_that_is_one_number_have_no_weights(call):
    with pytest.raises(ValueError, match=r"gives one number for each row.*sample_weight must have shape \(7,\)"):
        call(Y, P, sample_weight=W)


@pytest.mark.parametrize("shape", [(6, 4), (7, 3), (7, 4, 2), (4,), (7, 2, 1)])
def test_weights_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"sample_weight must have (shape|one weight)"):
        losses.MeanSquaredError()(Y, P, np.ones(shape))


# ---- metrics

GUESS = P > 0.5
R2 = 1 - (W * (Y - P) ** 2).sum(0) / (W * (Y - (W * Y).sum(0) / W.sum(0)) ** 2).sum(0)
TP, FP, FN = ((W * (a & b)).sum(0) for a, b in ((LABELS > 0, GUESS), (LABELS == 0, GUESS), (LABELS > 0, ~GUESS)))
WEIGHTED = [
    (metrics.RootMeanSquaredError, {}, Y, np.sqrt((W * SQUARES).sum() / W.sum())),
    (metrics.MeanAbsoluteError, {}, Y, (W * abs(Y - P)).sum() / W.sum()),
    (metrics.BinaryAccuracy, {}, LABELS, (W * (GUESS == LABELS)).sum() / W.sum()),
    (metrics.BinaryCrossentropy, {}, LABELS, (W * entropy(LABELS, P)).sum() / W.sum()),
    (metrics.R2Score, {"class_aggregation": None}, Y, R2),
    (metrics.TruePositives, {}, LABELS, TP.sum()),
    (metrics.FalsePositives, {}, LABELS, FP.sum()),
    (metrics.Precision, {}, LABELS, TP.sum() / (TP + FP).sum()),
    (metrics.Recall, {"class_id": 2}, LABELS, TP[2] / (TP + FN)[2]),
    (metrics.F1Score, {"threshold": 0.5}, LABELS, 2 * TP / (2 * TP + FP + FN)),
]


@pytest.mark.parametrize(("metric", "arguments", "y", "wanted"), WEIGHTED, ids=[row[0].__name__ for row in WEIGHTED])
def test_weights_of_elements_in_metrics(metric, arguments, y, wanted):
    metric = metric(**arguments)
    metric.update_state(y[:3], P[:3], W[:3])
    metric.update_state(y[3:], P[3:], W[3:])
    np.testing.assert_allclose(metric.result(), wanted, rtol=1e-6)


def test_a_metric_that_counts_in_a_way_of_its_own_refuses_weights_of_elements():
    class Rows(metrics.MeanSquaredError):
        def values(self, plan, y_pred, y_true):
            return super().values(plan, y_pred, y_true)

    with pytest.raises(ValueError, match="gives one number for each row"):
        Rows()(Y, P, W)


# ---- training


def line(loss="mse", **compiled):
    model = fastnet.Sequential([layers.Input((4,)), layers.Dense(4, use_bias=False, kernel_initializer="identity")])
    model.compile(fastnet.optimizers.SGD(0.5), loss, **compiled)
    return model


class MeanWeight(metrics.Metric):
    """Written in Python: it gets the weights as they were given."""

    def __init__(self, name="weight"):
        super().__init__(name=name)
        self.total = self.add_weight(name="total")

    def update_state(self, y_true, y_pred, sample_weight=None):
        assert sample_weight.shape == y_pred.shape
        self.total.assign_add(sample_weight.sum())

    def result(self):
        return self.total.value


@pytest.mark.parametrize("weights", [W, W[:, 0]], ids=["elements", "rows"])
def test_training_with_weights(weights):
    """One step of gradient descent by hand: the gradient of the mean of w (x k - y)² by k."""
    full = weights.reshape(7, -1) + 0 * W
    kernel = np.eye(4) - 0.5 * P.T @ (2 * full * (P - Y)) / Y.size
    more = [MeanWeight()] if weights is W else []
    kinds = {"metrics": ["mae"], "weighted_metrics": [metrics.RootMeanSquaredError("rmse"), *more]}
    model = line(**kinds)
    wanted = {"loss": (full * SQUARES).mean(), "mae": abs(Y - P).mean()}
    wanted |= {"rmse": np.sqrt((full * SQUARES).sum() / full.sum())} | ({"weight": W.sum()} if more else {})
    for got in (
        model.evaluate(P, Y, sample_weight=weights, verbose=0, return_dict=True),
        model.fit(P, Y, 7, sample_weight=weights, verbose=0, shuffle=False).history,
    ):
        assert got.keys() == wanted.keys()
        for name, value in wanted.items():
            np.testing.assert_allclose(np.ravel(got[name])[0], value, rtol=1e-6)
    np.testing.assert_allclose(model.get_weights()[0], kernel, rtol=1e-6, atol=1e-8)
    once = line()
    once.train_on_batch(P, Y, sample_weight=weights)
    np.testing.assert_allclose(once.get_weights()[0], kernel, rtol=1e-6, atol=1e-8)


def test_weights_of_elements_and_a_loss_of_rows():
    model = line("categorical_crossentropy")
    with pytest.raises(ValueError, match="'categorical_crossentropy' gives one number for each row"):
        model.fit(P, Y, sample_weight=W, verbose=0)
    model = line(weighted_metrics=[metrics.CosineSimilarity()])
    with pytest.raises(ValueError, match="'cosine_similarity' gives one number for each row"):
        model.fit(P, Y, sample_weight=W, verbose=0)
    assert model.optimizer.iterations == 0


# ---- arrays of one axis

VECTOR = RNG.uniform(0.1, 0.9, 11), RNG.uniform(0.1, 0.9, 11), RNG.uniform(0.5, 2, 11)
BINARY = (VECTOR[0] > 0.4).astype(float)


def shapes(y, p):
    return [(y, p), (y[:, None], p), (y, p[:, None]), (y[:, None], p[:, None])]


@pytest.mark.parametrize("shape", range(4))
def test_vectors_are_columns(shape):
    """What scikit-learn gives for vectors: hand values of its formulas."""
    y, p, w = VECTOR
    given, binary = shapes(y, p)[shape], shapes(BINARY, p)[shape]
    residual, total = ((y - p) ** 2).sum(), ((y - y.mean()) ** 2).sum()
    np.testing.assert_allclose(metrics.R2Score()(*given), 1 - residual / total, rtol=1e-6)
    np.testing.assert_allclose(metrics.MeanSquaredError()(*given), residual / 11, rtol=1e-6)
    np.testing.assert_allclose(losses.MeanSquaredError()(*given), residual / 11, rtol=1e-6)
    np.testing.assert_allclose(losses.mean_squared_error(*given).mean(), residual / 11, rtol=1e-6)
    np.testing.assert_allclose(metrics.MeanSquaredError()(*given, w), (w * (y - p) ** 2).sum() / w.sum(), rtol=1e-6)
    np.testing.assert_allclose(losses.MeanSquaredError()(*given, w), (w * (y - p) ** 2).mean(), rtol=1e-6)
    hits = BINARY * (p > 0.5)
    np.testing.assert_allclose(
        metrics.F1Score(threshold=0.5)(*binary), 2 * hits.sum() / (BINARY.sum() + (p > 0.5).sum()), rtol=1e-6
    )
    np.testing.assert_allclose(metrics.Precision()(*binary), hits.sum() / (p > 0.5).sum())
    np.testing.assert_allclose(metrics.BinaryAccuracy()(*binary), (BINARY == (p > 0.5)).mean())
    assert metrics.binary_accuracy(*binary).ravel().tolist() == (BINARY == (p > 0.5)).tolist()


def test_vectors_of_several_batches_count_by_their_elements():
    y, p, _ = VECTOR
    metric = metrics.MeanAbsoluteError()
    metric.update_state(y[:2], p[:2])
    metric.update_state(y[2:], p[2:])
    np.testing.assert_allclose(metric.result(), abs(y - p).mean(), rtol=1e-6)


def test_shapes_that_would_mean_another_number_are_refused():
    y, p, w = VECTOR
    square = np.tile(p, (11, 1))
    for call in (losses.MeanSquaredError(), metrics.R2Score(), metrics.BinaryAccuracy(), metrics.binary_accuracy):
        with pytest.raises(ValueError, match="targets"):
            call(y, square)  # numpy would repeat the row
    with pytest.raises(ValueError, match=r"'f1_score' needs predictions of shape \(n, classes\)"):
        metrics.F1Score()(BINARY, p)
    with pytest.raises(ValueError, match="one row, which has one weight"):
        losses.CategoricalCrossentropy()(y, p, w)


def test_the_largest_of_one_row():
    """Hand values, as Keras gives them: the three largest are 0.5, 0.2 and the first 0.2."""
    y, p = [0, 1, 1, 0, 0], [0.2, 0.1, 0.5, 0.0, 0.2]
    for cls, wanted in ((metrics.Recall, 1 / 2), (metrics.Precision, 1 / 3)):
        for given in ((y, p), ([y], [p])):
            np.testing.assert_allclose(cls(top_k=3)(*given), wanted)


# ---- metrics whose methods are overridden


def test_a_metric_that_is_never_reset():
    """It goes on over epochs: three errors of a model that does not learn, then the mean with three others."""

    class OverAllEpochs(metrics.MeanSquaredError):
        def reset_state(self):
            pass

    model = line(metrics=[OverAllEpochs(name="all"), "mse"])
    history = model.fit(P, Y, 7, 3, verbose=0).history
    np.testing.assert_allclose(history["all"], np.cumsum(history["mse"]) / [1, 2, 3], rtol=1e-6)


def test_overridden_methods_of_a_metric_are_asked():
    class Twice(metrics.BinaryAccuracy):
        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(1 - np.asarray(y_true), y_pred, sample_weight)

        def result(self):
            return 2 * super().result()

    model = line(metrics=[Twice(name="twice"), "binary_accuracy"])
    history = model.fit(P, LABELS, 7, verbose=0).history
    np.testing.assert_allclose(history["twice"][0], 2 * (1 - history["binary_accuracy"][0]), rtol=1e-6)
    assert type(history["twice"][0]) is float
