"""Metrics at a threshold, intersections over union and correlations: hand values, numpy, and models."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, metrics

Y, P = [0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]


@pytest.mark.parametrize(
    ("cls", "argument", "least", "wanted"),
    [
        # above 0.8: nothing; from 0.3 on: one of two true labels and one of three false ones; below: two and two
        (metrics.SensitivityAtSpecificity, "specificity", 0.5, 0.5),
        (metrics.SensitivityAtSpecificity, "specificity", 0.3, 1.0),
        (metrics.SensitivityAtSpecificity, "specificity", 1.0, 0.0),
        (metrics.SpecificityAtSensitivity, "sensitivity", 0.5, 2 / 3),
        (metrics.SpecificityAtSensitivity, "sensitivity", 0.9, 1 / 3),
        (metrics.PrecisionAtRecall, "recall", 0.9, 0.5),
        (metrics.RecallAtPrecision, "precision", 0.5, 1.0),
        (metrics.RecallAtPrecision, "precision", 0.6, 0.0),
    ],
)
def test_the_best_ratio_at_a_threshold(cls, argument, least, wanted):
    metric = cls(least)
    assert getattr(metric, argument) == least
    assert metric(Y, P) == pytest.approx(wanted, rel=1e-12)
    assert metric.direction == "up"
    assert cls(least, num_thresholds=1)([1, 0], [0.6, 0.4]) == 1.0
    for wrong in ({argument: 1.5}, {argument: least, "num_thresholds": 0}):
        with pytest.raises(ValueError, match=f"{cls.__name__}: ({argument}|num_thresholds) must be"):
            cls(**wrong)


def test_intersections_by_hand():
    y_true, y_pred = [0, 0, 1, 2, 2], [0, 1, 1, 2, 0]
    # unions: class 0 has {0, 1, 4}, class 1 {1, 2}, class 2 {3, 4}
    assert metrics.IoU(3, [0])(y_true, y_pred) == pytest.approx(1 / 3)
    assert metrics.MeanIoU(3)(y_true, y_pred) == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3)
    assert metrics.MeanIoU(5)(y_true, y_pred) == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3)  # nowhere: does not count
    assert metrics.MeanIoU(3, ignore_class=2)(y_true, y_pred) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert metrics.MeanIoU(2)([0, 1, 7, -1], [0, 1, 0, 1]) == 1.0  # labels that are no class
    assert metrics.MeanIoU(2)([0, 1, 1], [0, np.nan, 1.0]) == 1.0
    assert metrics.IoU(2, [1])([0, 0], [0, 0]) == 0.0
    weighted = metrics.IoU(3, [0])
    weighted.update_state(y_true, y_pred, sample_weight=[0.5, 0.25, 1.0, 1.0, 2.0])
    assert weighted.result() == pytest.approx(0.5 / (0.5 + 0.25 + 2.0))
    rows = np.eye(3)[y_pred]
    assert metrics.MeanIoU(3, sparse_y_pred=False)(y_true, rows) == pytest.approx(4 / 9)
    assert metrics.OneHotMeanIoU(3)(np.eye(3)[y_true], rows) == pytest.approx(4 / 9)
    assert metrics.BinaryIoU([1], 0.5)([[1, 0], [1, 1]], [[0.5, 0.4], [0.1, 0.9]]) == pytest.approx(2 / 3)


def test_wrong_intersections():
    with pytest.raises(ValueError, match="IoU: each of target_class_ids must be an integer"):
        metrics.IoU(2, [2])
    with pytest.raises(ValueError, match=r"OneHotIoU: targets that are rows .* need predictions that are rows"):
        metrics.OneHotIoU(2, [0], sparse_y_pred=True)
    with pytest.raises(ValueError, match="MeanIoU: axis must be the last one"):
        metrics.MeanIoU(2, sparse_y_pred=False, axis=1)([[0, 1]], np.zeros((1, 2, 2)))


def test_intersections_in_a_model():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1, (2100, 3)), rng.integers(0, 3, 2100)
    model = fastnet.Sequential([layers.Input((3,), dtype="float64"), layers.Activation("linear", dtype="float64")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[metrics.MeanIoU(3, sparse_y_pred=False)])
    got = model.evaluate(x, y, verbose=0, return_dict=True)["mean_io_u"]
    guess = x.argmax(1)
    wanted = [((y == k) & (guess == k)).sum() / ((y == k) | (guess == k)).sum() for k in range(3)]
    assert got == pytest.approx(np.mean(wanted), rel=1e-12)


@pytest.mark.parametrize("shape", [(1, 2), (33, 5), (7, 3, 11)])
def test_correlations(shape):
    t, p = np.random.default_rng(3).standard_normal((2, *shape)) + 100
    rows = list(zip(t.reshape(-1, shape[-1]), p.reshape(-1, shape[-1])))
    pearson = [np.corrcoef(a, b)[0, 1] for a, b in rows]
    lin = [2 * np.cov(a, b, bias=True)[0, 1] / (a.var() + b.var() + (a.mean() - b.mean()) ** 2 + 1e-7) for a, b in rows]
    assert metrics.PearsonCorrelation()(t, p) == pytest.approx(np.mean(pearson), rel=1e-9)
    assert metrics.ConcordanceCorrelation()(t, p) == pytest.approx(np.mean(lin), rel=1e-9)
    np.testing.assert_allclose(metrics.pearson_correlation(t, p), np.reshape(pearson, shape[:-1]), rtol=1e-9)
    assert np.isnan(metrics.PearsonCorrelation()([[1.0, 1.0]], [[1.0, 2.0]]))
    with pytest.raises(ValueError, match="PearsonCorrelation: axis must be the last one"):
        metrics.PearsonCorrelation(axis=0)
