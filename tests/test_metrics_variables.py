"""What metrics have counted, by Keras's names."""

import numpy as np
import pytest

from fastnet import callbacks, metrics

Y, P = [0, 1, 1, 0], [0.2, 0.6, 0.4, 0.8]


@pytest.mark.parametrize("metric, expected", [
    (metrics.TruePositives(), {"accumulator": [1]}),
    (metrics.Precision([0.3, 0.5]), {"true_positives": [2, 1], "false_positives": [1, 1]}),
    (metrics.Recall(), {"true_positives": [1], "false_negatives": [1]}),
    (metrics.AUC(num_thresholds=4), {
        "true_positives": [2, 2, 0, 0], "false_positives": [2, 1, 1, 0], "true_negatives": [0, 1, 1, 2],
        "false_negatives": [0, 0, 2, 2],
    }),
    (metrics.BinaryAccuracy(), {"total": 2, "count": 4}),
    (metrics.BinaryIoU(), {"total_confusion_matrix": [[1, 1], [1, 1]]}),
])  # fmt: skip
def test_variables(metric, expected):
    zeros = {name: np.zeros_like(value).tolist() for name, value in expected.items()}
    assert {v.name: v.value.tolist() for v in metric.variables} == zeros
    metric.update_state([[y] for y in Y], [[p] for p in P])
    assert {v.name: v.value.tolist() for v in metric.variables} == expected
    for name in set(expected) & {"true_positives", "false_positives", "true_negatives", "false_negatives"}:
        np.testing.assert_array_equal(getattr(metric, name), expected[name])
    with pytest.raises(ValueError, match="read-only"):
        metric.variables[0].assign_add(1.0)
    metric.reset_state()
    assert {v.name: v.value.tolist() for v in metric.variables} == zeros


def test_variables_of_values():
    for metric, names in ((metrics.Mean(), ["total", "count"]), (metrics.Sum(), ["total"])):
        assert [v.name for v in metric.variables] == names and not any(v.numpy() for v in metric.variables)
        metric.update_state([1.0, 4.0], [1.0, 0.5])
        assert [float(v) for v in metric.variables] == [3.0, 1.5][: len(names)]


def test_variables_of_f_scores():
    """Their number of classes follows from the first predictions."""
    metric = metrics.F1Score()
    assert metric.variables == []
    metric.update_state(np.eye(3)[[0, 1, 2, 1]], [[0.5, 0.1, 0.2], [0.9, 0.1, 0], [0.1, 0.2, 0.7], [0, 0.8, 0.1]])
    assert {v.name: v.value.tolist() for v in metric.variables} == {
        "true_positives": [1, 1, 1], "false_positives": [1, 0, 0], "false_negatives": [0, 1, 0],
        "intermediate_weights": [1, 2, 1],
    }  # fmt: skip


def test_the_four_counts_are_there_for_each_count():
    metric = metrics.Precision()
    metric.update_state(Y, P)
    counts = [
        getattr(metric, f"{kind}_{side}").item() for kind in ("true", "false") for side in ("positives", "negatives")
    ]
    assert counts == [1, 1, 1, 1]


def test_thresholds():
    assert metrics.Precision().thresholds == [0.5] and metrics.Precision().init_thresholds is None
    assert metrics.Recall([0.25, 0.75]).thresholds == [0.25, 0.75]
    np.testing.assert_allclose(metrics.AUC(num_thresholds=3).thresholds, [-1e-7, 0.5, 1 + 1e-7])
    area = metrics.AUC(thresholds=[0.7, 0.3])
    np.testing.assert_allclose(area.thresholds, [-1e-7, 0.3, 0.7, 1 + 1e-7])
    for metric in (metrics.Precision(), metrics.Recall(np.array([0.25, 0.75])), area, metrics.AUC(num_thresholds=7)):
        again = type(metric).from_config(metric.get_config())
        assert again.get_config() == metric.get_config() and again.thresholds == metric.thresholds


def test_the_comparison_of_a_callback():
    assert callbacks.EarlyStopping(mode="min").monitor_op is np.less
    assert callbacks.ModelCheckpoint("x", mode="max", save_best_only=True).monitor_op is np.greater
    stopping = callbacks.EarlyStopping("loss")
    assert stopping.monitor_op is None
    stopping.is_improvement(1.0, None)
    assert stopping.monitor_op is np.less
