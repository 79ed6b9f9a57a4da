"""Elements that equal each other or a threshold, and those that are NaN, in losses and metrics: by hand."""

import numpy as np
import pytest

from fastnet import losses, metrics

from .test_losses import run


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_wrong_predictions_share_the_gradient(dtype):
    t = np.array([[1, 0, 0, 0], [0, 0, 1, 0]], dtype)
    x = np.array([[0.5, 2, 1, 2], [3, 3, 0.25, 3]], dtype)
    values, gradient = run(losses.CategoricalHinge(), t, x)
    np.testing.assert_array_equal(values, [1 + 2 - 0.5, 1 + 3 - 0.25])
    third = 1 / np.array(3, dtype)
    wanted = np.array([[-1, 0.5, 0, 0.5], [third, third, -1, third]], dtype) / 2  # of the mean of two rows
    np.testing.assert_array_equal(gradient, wanted)


@pytest.mark.parametrize("k", [1, 2])
def test_a_label_whose_prediction_is_nan_is_not_among_the_largest(k):
    x = [[0.1, np.nan, 0.3], [0.3, 0.2, 0.1]]
    assert metrics.SparseTopKCategoricalAccuracy(k)([1, 0], x) == 0.5
    assert metrics.TopKCategoricalAccuracy(k)([[0, 1, 0], [1, 0, 0]], x) == 0.5


def test_what_equals_a_threshold_is_not_above_it():
    limits = [0.125, 0.5, 0.75]  # at unequal distances: compared one by one
    assert metrics.TruePositives(limits)([1, 1, 1], limits).tolist() == [2, 1, 0]
    assert metrics.FalseNegatives(limits)([1, 1, 1], limits).tolist() == [1, 2, 3]


def test_predictions_of_0_and_1_lie_between_the_outer_thresholds_of_an_area():
    """Of ROC: (1, 1), then what exceeds ½, then (0, 0)."""
    assert metrics.AUC(3)([0, 1], [0.0, 1.0]) == 1
    assert metrics.AUC(3)([1, 0], [0.0, 1.0]) == 0
    assert metrics.AUC(3)([0, 1, 0, 1], [0.0, 0.0, 1.0, 1.0]) == 0.5


def test_a_row_of_zeros_is_of_no_class():
    scores = metrics.F1Score()([[1, 0], [0, 1]], [[0.0, 0.0], [0.2, 0.8]])
    np.testing.assert_allclose(scores, [0, 1], atol=1e-6)


def test_the_first_of_equal_predictions_is_among_the_largest():
    assert metrics.Precision(top_k=1)([[1, 0, 0], [0, 0, 1]], [[0.8, 0.8, 0.1], [0.1, 0.9, 0.9]]) == 0.5
    assert metrics.Recall(top_k=2)([[0, 1, 1]], [[0.7, 0.7, 0.7]]) == 0.5
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, (1009, 5)), rng.integers(0, 4, (1009, 5)) / 4 + 0.1  # many are equal
    among = np.zeros(scores.shape, bool)
    np.put_along_axis(among, np.argsort(-scores, axis=1, kind="stable")[:, :2], True, axis=1)
    assert metrics.Precision(top_k=2, thresholds=0.0)(labels, scores) == pytest.approx(labels[among].mean(), rel=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_left_out_may_hold_anything(value):
    loss = losses.SparseCategoricalCrossentropy(ignore_class=0)
    assert loss([0, 1], [[value, value], [0.25, 0.75]]) == pytest.approx(-np.log(0.75), rel=1e-6)
    assert loss.per_row([0, 1], [[value, value], [0.5, 0.5]])[0] == 0
