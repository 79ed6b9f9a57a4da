"""Metrics against numpy, over several batches, the last one short, and on arrays."""

import json
from fractions import Fraction

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, metrics
from fastnet.testing import running

from . import loss_oracles, oracles


def evaluate(y_true, y_pred, loss, metric, batch_size=16, dtype="float64", weights=None):
    """The metric of a model that hands its input on."""
    shape = y_pred.shape[1:]
    model = fastnet.Sequential([layers.Input(shape, dtype=dtype), layers.Activation("linear", dtype=dtype)])
    model.compile("sgd", loss, **{"metrics" if weights is None else "weighted_metrics": [metric]})
    logs = model.evaluate(
        y_pred, y_true, batch_size=batch_size, verbose=0, return_dict=True, sample_weight=weights
    )  # fmt: skip
    return next(value for name, value in logs.items() if name != "loss"), logs


@pytest.mark.parametrize("rows", [1, 2, 15, 16, 17, 33, 131])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_accuracies(rows, dtype):
    rng = np.random.default_rng(rows)
    logits = rng.standard_normal((rows, 7)).astype(dtype)
    labels = rng.integers(0, 7, rows)
    want = oracles.sparse_categorical_accuracy(labels, logits)
    sparse = losses.SparseCategoricalCrossentropy(from_logits=True)
    assert evaluate(labels, logits, sparse, "accuracy", dtype=dtype)[0] == pytest.approx(want, rel=1e-12)
    one_hot = np.eye(7, dtype=dtype)[labels]
    dense = losses.CategoricalCrossentropy(from_logits=True)
    assert evaluate(one_hot, logits, dense, "acc", dtype=dtype)[0] == pytest.approx(want, rel=1e-12)
    binary, p = rng.integers(0, 2, (rows, 1)), rng.uniform(0, 1, (rows, 1)).astype(dtype)
    want = oracles.binary_accuracy(binary, p)
    assert evaluate(binary, p, "binary_crossentropy", "accuracy", dtype=dtype)[0] == pytest.approx(want, rel=1e-12)


def test_binary_accuracy_of_several_columns_and_a_threshold():
    rng = np.random.default_rng(0)
    t, p = rng.integers(0, 2, (35, 3)), rng.uniform(0, 1, (35, 3))
    got = evaluate(t, p, "binary_crossentropy", metrics.BinaryAccuracy(threshold=0.3))[0]
    assert got == pytest.approx(oracles.binary_accuracy(t, p, 0.3), rel=1e-12)


def test_a_tie_goes_to_the_first_as_in_argmax():
    p = np.array([[0.5, 0.5], [0.5, 0.5]])
    assert evaluate(np.array([0, 1]), p, "sparse_categorical_crossentropy", "accuracy")[0] == 0.5
    assert metrics.CategoricalAccuracy()([[0.5, 0.5], [0, 1]], p) == 0.5
    lowest = np.full((1, 3), -np.inf)
    assert metrics.SparseCategoricalAccuracy()([0], lowest) == 1


def test_rank_three_counts_every_position():
    rng = np.random.default_rng(1)
    logits, labels = rng.standard_normal((9, 5, 3)), rng.integers(0, 3, (9, 5))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    got = evaluate(labels, logits, loss, "sparse_categorical_accuracy", batch_size=4)[0]
    assert got == pytest.approx(oracles.categorical_accuracy(np.eye(3)[labels], logits), rel=1e-12)


@pytest.mark.parametrize("name", ["mse", "mae", "mean_squared_error"])
def test_losses_as_metrics(name):
    rng = np.random.default_rng(2)
    t, p = rng.standard_normal((33, 3)), rng.standard_normal((33, 3))
    f = loss_oracles.mean_absolute_error if name == "mae" else loss_oracles.mean_squared_error
    each = f(t, p, 0, 1)[0]
    value, logs = evaluate(t, p, "mse", name)
    assert value == pytest.approx(each.mean(), rel=1e-12)
    assert list(logs) == ["loss", name]
    w = rng.uniform(0, 2, 33)
    value, logs = evaluate(t, p, "mse", name, weights=w)
    assert value == pytest.approx((each * w).sum() / w.sum(), rel=1e-12)
    squared = loss_oracles.mean_squared_error(t, p, 0, 1)[0]
    assert logs["loss"] == pytest.approx((squared * w).mean(), rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_counts_at_thresholds_are_what_comparing_gives(rows, weighted):
    rng = np.random.default_rng(rows)
    t, p = rng.integers(0, 2, (rows, 3)), rng.uniform(0, 1, (rows, 3))
    w = rng.uniform(0, 2, rows) if weighted else None
    each = np.repeat(np.ones(rows) if w is None else w, 3).reshape(rows, 3)
    for limits in ([0.7, 0.1, 0.35], 0.5, [0.0, 1.0]):
        above = [p > limit for limit in np.atleast_1d(limits)]
        tp, fp, fn = (
            np.array([(each * part).sum() for part in parts])
            for parts in (
                [a & (t == 1) for a in above], [a & (t == 0) for a in above], [~a & (t == 1) for a in above],
            )
        )  # fmt: skip
        with np.errstate(all="ignore"):
            wanted = {
                "TruePositives": tp, "FalsePositives": fp, "FalseNegatives": fn,
                "Precision": np.where(tp + fp > 0, tp / (tp + fp), 0),
                "Recall": np.where(tp + fn > 0, tp / (tp + fn), 0),
            }  # fmt: skip
        for name, want in wanted.items():
            got, _ = evaluate(t, p, "mse", getattr(metrics, name)(thresholds=limits), 16, weights=w)
            np.testing.assert_allclose(got, want if len(want) > 1 else want[0], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("rows", [1023, 1024, 2053])
def test_counts_of_chunks_are_added_whatever_the_threads(rows):
    rng = np.random.default_rng(rows)
    t, p, w = rng.integers(0, 2, (rows, 2)), rng.uniform(0, 1, (rows, 2)), rng.uniform(0, 2, rows)
    wanted = {
        "TruePositives": (w[:, None] * (t == 1) * (p > 0.5)).sum(),
        "R2Score": np.mean(
            1 - (w @ (t - p) ** 2) / (w @ (t - (w @ t) / w.sum()) ** 2)
        ),
    }  # fmt: skip
    tp, fp, fn = (w @ (a & b) for a, b in ((t == 1, p > 0.4), (t == 0, p > 0.4), (t == 1, p <= 0.4)))
    wanted["F1Score"] = (2 * tp / (2 * tp + fp + fn)).mean()
    made = {
        "TruePositives": metrics.TruePositives, "R2Score": metrics.R2Score,
        "F1Score": lambda: metrics.F1Score(average="macro", threshold=0.4),
    }  # fmt: skip
    for name, want in wanted.items():
        found = set()
        for n in (1, 2, 3):
            with running.threads(n):
                found.add(made[name]()(t, p, w))
        assert len(found) == 1, name
        assert found.pop() == pytest.approx(want, rel=1e-6 if name == "F1Score" else 1e-12)


def test_the_area_under_a_fine_roc_curve_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(7)
    p = rng.permutation(400) / 400 + 1 / 800
    t = rng.integers(0, 2, 400)
    pairs = (p[t == 1][:, None] > p[t == 0]).mean()
    assert metrics.AUC(num_thresholds=401)(t, p) == pytest.approx(pairs, rel=1e-12)
    assert metrics.AUC(num_thresholds=401, from_logits=True)(t, np.log(p / (1 - p))) == pytest.approx(pairs, abs=1e-2)
    assert metrics.AUC()([0, 1], [0.1, 0.9]) == 1
    assert metrics.AUC()([1, 0], [0.1, 0.9]) == 0


def test_f_scores_by_hand():
    t = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]])
    p = np.array([[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.5, 0.4, 0.1]])
    # class 0: tp 1, fp 2, fn 0; class 1: tp 1, fp 0, fn 1; class 2: tp 0, fp 0, fn 1
    np.testing.assert_allclose(metrics.F1Score()(t, p), [0.5, 2 / 3, 0], atol=1e-6)
    assert metrics.F1Score(average="micro")(t, p) == pytest.approx(0.5, abs=1e-6)
    precision, recall, b = np.array([1 / 3, 1, 0]), np.array([1, 0.5, 0]), 4
    wanted = np.nan_to_num((1 + b) * precision * recall / np.maximum(b * precision + recall, 1e-12))
    np.testing.assert_allclose(metrics.FBetaScore(beta=2.0)(t, p), wanted, atol=1e-6)


def test_the_coefficient_of_determination_in_a_model():
    rng = np.random.default_rng(8)
    t, p, w = rng.standard_normal((37, 2)), rng.standard_normal((37, 2)), rng.uniform(0, 2, 37)
    mean = (t * w[:, None]).sum(0) / w.sum()
    wanted = 1 - (w[:, None] * (t - p) ** 2).sum(0) / (w[:, None] * (t - mean) ** 2).sum(0)
    got, _ = evaluate(t, p, "mse", metrics.R2Score(class_aggregation=None), weights=w)
    np.testing.assert_allclose(got, wanted, rtol=1e-10)
    with pytest.warns(UserWarning, match="cannot be adjusted for 9 regressors"):
        metrics.R2Score(num_regressors=9)([[1.0], [2.0]], [[1.0], [2.0]])


@pytest.mark.parametrize("rows", [1, 1024, 2053])
def test_the_coefficient_of_determination_far_from_zero(rows):
    """1e6 beside a deviation of 1e-3: squares cancel to 1e-18 of their size, which float64 does not hold."""
    rng = np.random.default_rng(rows)
    t = 1e6 + 1e-3 * rng.standard_normal((rows, 2))
    p, w = t + 1e-4 * rng.standard_normal((rows, 2)), rng.uniform(0, 2, rows)
    w[: rows // 2] = 0  # the first chunk has no weight
    exact = [[Fraction(float(v)) for v in column] for column in (*t.T, *p.T, w)]
    found = set()
    for n in (1, 2, 3):
        metric = metrics.R2Score(class_aggregation=None)
        with running.threads(n):
            for part in (slice(0, rows // 3), slice(rows // 3, None)):
                metric.update_state(t[part], p[part], w[part])
        found.add(tuple(metric.result()))
    assert len(found) == 1
    for k, got in enumerate(found.pop()):
        y, x, weight = exact[k], exact[2 + k], exact[4]
        mean = sum(a * b for a, b in zip(y, weight)) / sum(weight)
        variance = sum(b * (a - mean) ** 2 for a, b in zip(y, weight))
        residual = sum(c * (a - b) ** 2 for a, b, c in zip(y, x, weight))
        assert got == pytest.approx(float(1 - residual / variance) if variance else 0.0, abs=1e-6)


def test_the_adjusted_coefficient_by_hand():
    """Sums of squares 8.75 and 1.5 of four rows: 1 - 1.5 / 8.75 · 3 / (4 - 2 - 1)."""
    got = metrics.R2Score(num_regressors=2)([[1.0], [2.0], [3.0], [5.0]], [[1.0], [2.5], [2.5], [4.0]])
    assert got == pytest.approx(1 - 1.5 / 8.75 * 3, rel=1e-12)


def test_areas_by_hand():
    """Points (1, 1), (½, ½), (0, 0) of ROC, and (1, ½), (½, ½), (0, 0) of recall and precision."""
    labels, predictions = [0, 1, 1, 0], [0.2, 0.4, 0.7, 0.9]
    wanted = {("ROC", "majoring"): 0.75, ("ROC", "minoring"): 0.25, ("ROC", "interpolation"): 0.5}
    wanted |= {("PR", "majoring"): 0.5, ("PR", "minoring"): 0.25}
    for (curve, method), area in wanted.items():
        assert metrics.AUC(3, curve, method)(labels, predictions) == pytest.approx(area, abs=1e-12), (curve, method)
    several = metrics.AUC(3, multi_label=True, label_weights=[3.0, 1.0])
    columns = np.array([labels, [1 - label for label in labels]]).T
    areas = [metrics.AUC(3)(columns[:, i], predictions) for i in (0, 1)]
    assert several(columns, np.array([predictions] * 2).T) == pytest.approx((3 * areas[0] + areas[1]) / 4)


def test_a_mean_of_rows_is_a_mean_of_their_means():
    mean = metrics.Mean()
    mean.update_state([[1, 2], [3, 6]])
    mean.update_state(1.0)
    assert mean.result() == pytest.approx(7 / 3, rel=1e-15)  # of 1.5, 4.5 and 1
    assert metrics.Mean()([[1, 2], [3, 6]], [[1, 0], [1, 1]]) == pytest.approx(5 / 1.5)
    assert metrics.Mean()([[1, 2], [3, 6]], [1, 3]) == 3.75
    assert metrics.Sum()([[1, 2], [3, 6]], [1, 3]) == 30.0
    assert metrics.Mean()(np.zeros((2, 0))) == 0.0


def test_weights_on_arrays_and_resetting():
    metric = metrics.BinaryAccuracy()
    metric.update_state([[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]], sample_weight=[1, 0, 0, 1])
    assert metric.result() == 0.5
    metric.update_state([[1]], [[0.9]], sample_weight=[2])
    assert metric.result() == 0.75
    metric.reset_state()
    assert metric.result() == 0
    metric.update_state(np.zeros((0, 1)), np.zeros((0, 1)))
    assert metric.result() == 0
    assert metric([[0]], [[np.nan]]) == 1  # no comparison with NaN holds


def test_names_and_arguments():
    assert metrics.get("accuracy", (1,)).name == "accuracy"
    assert isinstance(metrics.get("accuracy", (5,), sparse=True), metrics.SparseCategoricalAccuracy)
    assert isinstance(metrics.get("accuracy", (5,), sparse=False), metrics.CategoricalAccuracy)
    with pytest.raises(ValueError, match="Unknown metric 'acuracy'. Did you mean 'accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(ValueError, match="threshold"):
        metrics.BinaryAccuracy(threshold=2)
    with pytest.raises(ValueError, match="reads class indices"):
        evaluate(np.eye(3), np.eye(3), "mse", metrics.SparseCategoricalAccuracy())


@pytest.mark.parametrize(
    "make, problem",
    [
        (lambda: metrics.Precision(thresholds=[0.5, 2]), r"Precision: thresholds must lie in \[0, 1\], received 2"),
        (lambda: metrics.Recall(top_k=0), "Recall: top_k must be an integer of at least 1"),
        (lambda: metrics.Recall(class_id=-1), "Recall: class_id must be an integer of at least 0"),
        (lambda: metrics.AUC(num_thresholds=1), "num_thresholds must be an integer of at least 2"),
        (lambda: metrics.AUC(curve="roc_curve"), "curve must be 'ROC', 'PR' or 'PRGAIN'"),
        (lambda: metrics.AUC(summation_method="left"), "summation_method must be 'interpolation'"),
        (lambda: metrics.AUC(multi_label=True, label_weights=[-1, 1]), "label_weights must be.*not negative.*-1"),
        (lambda: metrics.AUC(multi_label=True, label_weights=[0, 0]), "label_weights must not all be 0"),
        (lambda: metrics.AUC(multi_label="x"), "AUC: multi_label must be True or False"),
        (lambda: metrics.AUC(num_labels=3), "num_labels is of use with multi_label=True only"),
        (lambda: metrics.F1Score(average="mean"), "F1Score: average must be None, 'micro'"),
        (lambda: metrics.FBetaScore(beta=0), "beta must be a number that is positive"),
        (lambda: metrics.F1Score(threshold=0), r"threshold must lie in \(0, 1\]"),
        (lambda: metrics.R2Score(class_aggregation="mean"), "class_aggregation must be None, 'uniform_average' or"),
        (lambda: metrics.R2Score(num_regressors=-1), "num_regressors must be an integer of at least 0"),
        (lambda: metrics.TopKCategoricalAccuracy(k=1.5), "k must be an integer of at least 1"),
        (lambda: metrics.Precision(class_id=3)([[1, 0]], [[0.5, 0.5]]), "looks at class 3, but predictions have 2"),
        (lambda: metrics.AUC(label_weights=[1.0])([[1, 0]], [[0.5, 0.5]]), "has 1 label_weights"),
        (lambda: metrics.F1Score().result(), "has counted nothing yet"),
        (lambda: metrics.F1Score()([[[1.0]]], [[[1.0]]]), "needs predictions of shape"),
        (lambda: metrics.Mean()([1.0, 2.0], sample_weight=[1, 2, 3]), "weights of shape"),
        (lambda: evaluate(np.eye(3), np.eye(3), "mse", "Mean"), "it is not for compile"),
        (lambda: metrics.BinaryAccuracy()([[1]], [[0.5]], sample_weight=[1, 2]), "one weight for each of the 1"),
        (lambda: metrics.BinaryAccuracy()([[1]], [[0.5]], sample_weight=[np.nan]), "must be finite; it is nan in row"),
    ],
)  # fmt: skip
def test_bad_arguments_are_explained(make, problem):
    with pytest.raises(ValueError, match=problem):
        make()


@pytest.mark.parametrize(
    "metric",
    [
        metrics.Precision(), metrics.Recall(class_id=3), metrics.Precision(top_k=2), metrics.AUC(),
        metrics.AUC(multi_label=True), metrics.TruePositives(), metrics.PrecisionAtRecall(0.5), metrics.MeanIoU(2),
        metrics.OneHotIoU(3, [0]), metrics.BinaryIoU(),
    ],
)  # fmt: skip
def test_the_result_before_anything_is_counted(metric):
    """As in Keras; the first batch then says of how many columns predictions are."""
    assert metric.result() == 0
    assert metrics.Precision([0.3, 0.5]).result().tolist() == [0, 0]


def test_a_name_that_is_taken_is_numbered_as_in_keras():
    rng = np.random.default_rng(9)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae", "mae", "mse"], weighted_metrics=["mae", "mae", "huber"])
    wanted = ["loss", "mae", "mae_1", "mse", "weighted_mae", "weighted_mae_1", "huber"]
    assert list(model.fit(x, y, verbose=0, sample_weight=np.ones(20)).history) == sorted(wanted)
    assert model.metrics_names == wanted


def above(y_true, y_pred, limit=1.0):
    return 1 if y_pred - y_true > limit else 0


def test_a_function_as_metric_needs_no_derivative():
    t, p = np.zeros((5, 2)), np.arange(10.0).reshape(5, 2)
    assert evaluate(t, p, "mse", above)[0] == 0.8
    assert metrics.MeanMetricWrapper(above, name="far", limit=6.0)(t, p) == pytest.approx(0.3)
    assert metrics.MeanMetricWrapper(losses.binary_crossentropy, from_logits=True).name == "binary_crossentropy"


@pytest.mark.parametrize(
    "metric",
    [
        metrics.AUC(11, "PR", multi_label=True, num_labels=3, name="area"), metrics.Precision([0.2, 0.4], top_k=2),
        metrics.F1Score("macro", 0.4), metrics.FBetaScore(beta=2.0), metrics.R2Score(None), metrics.Recall(class_id=1),
        metrics.SparseTopKCategoricalAccuracy(3), metrics.BinaryCrossentropy(label_smoothing=0.2),
        metrics.MeanMetricWrapper("huber"), metrics.Mean(), metrics.TruePositives(0.3), metrics.BinaryAccuracy(),
        metrics.AUC(thresholds=[0.1, 0.4]),
    ],
    ids=str,
)  # fmt: skip
def test_a_description_gives_the_same_metric(metric):
    again = metrics.deserialize(json.loads(json.dumps(metrics.serialize(metric))))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


def test_every_name_gives_a_metric():
    for name in ("AUC", "auc", "f1_score", "MSE", "kld", "mape", "logcosh", "Poisson", "top_k_categorical_accuracy"):
        assert metrics.get(name).name == name
    assert isinstance(metrics.get("r2_score"), metrics.R2Score)
    assert isinstance(metrics.get(metrics.binary_accuracy), metrics.BinaryAccuracy)
    assert isinstance(metrics.get(losses.Huber()), metrics.MeanMetricWrapper)


def test_an_ignored_label_does_not_count_among_weighted_rows():
    rng = np.random.default_rng(5)
    p, y, w = rng.dirichlet(np.ones(3), 37), np.arange(37) % 3, rng.uniform(size=37)
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=1)
    value, _ = evaluate(y, p, "sparse_categorical_crossentropy", metric, weights=w)
    wanted = np.average(-np.log(p[np.arange(37), y]), weights=w * (y != 1))
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
