"""Metrics at a threshold, intersections over union and correlations: hand values, numpy, and models."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, metrics
from fastnet.engine.plan import Plan
from fastnet.testing import running

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
    of_elements = metrics.BinaryIoU([1], 0.5)
    assert of_elements([[1, 0], [1, 1]], [[0.5, 0.4], [0.1, 0.9]], [[2, 1], [3, 4]]) == pytest.approx(6 / 9)


@pytest.mark.parametrize("rows", [3599, 3600, 7201])
def test_many_classes_are_counted_in_larger_chunks(rows):
    """60 classes have 3600 counts: a chunk has as many rows."""
    rng = np.random.default_rng(rows)
    t, p, w = rng.integers(0, 60, rows), rng.integers(0, 60, rows).astype("float64"), rng.uniform(0, 2, rows)
    hits, either = ([w[both(t == k, p == k)].sum() for k in range(60)] for both in (np.logical_and, np.logical_or))
    found = set()
    for n in (1, 3):
        with running.threads(n):
            found.add(metrics.MeanIoU(60)(t, p, w))
    assert len(found) == 1
    assert found.pop() == pytest.approx(np.mean(np.divide(hits, either)), rel=1e-12)


@pytest.mark.parametrize(("classes", "most"), [(2, 8), (1000, 8), (3000, 72)])
def test_memory_of_many_classes(classes, most):
    """8 bytes for each of 1e6 rows at most, or the counts of one chunk: 72 MB for 3,000 classes."""
    plan = Plan(False, "float64", 10**6)
    prediction, target = plan.buffer((1,)), plan.buffer((1,))
    metrics.MeanIoU(classes).count(plan, prediction, target, None, plan.slot(classes**2))
    counts = plan.launches[0].operands["counts"].buffer
    assert counts.size(10**6) <= most * 10**6


def test_intersections_and_correlations_along_another_axis():
    rng = np.random.default_rng(4)
    t, p = rng.standard_normal((2, 5, 4, 3))
    for axis in (1, -2):
        for name in ("CosineSimilarity", "PearsonCorrelation", "ConcordanceCorrelation"):
            cls = getattr(metrics, name)
            wanted = cls()(t.swapaxes(1, 2), p.swapaxes(1, 2))
            assert cls(axis=axis)(t, p) == pytest.approx(wanted, rel=1e-12)
        labels = rng.integers(0, 4, (5, 3))
        iou = metrics.MeanIoU(4, sparse_y_pred=False, axis=axis)(labels, p)
        assert iou == metrics.MeanIoU(4)(labels, p.argmax(1))
    np.testing.assert_allclose(
        metrics.cosine_similarity(t, p, 1), metrics.cosine_similarity(*(a.swapaxes(1, 2) for a in (t, p)))
    )


def test_wrong_intersections():
    with pytest.raises(ValueError, match="IoU: each of target_class_ids must be an integer"):
        metrics.IoU(2, [2])
    with pytest.raises(ValueError, match=r"OneHotIoU: targets that are rows .* need predictions that are rows"):
        metrics.OneHotIoU(2, [0], sparse_y_pred=True)
    with pytest.raises(ValueError, match=r"MeanIoU: ignore_class, .* must be an integer from -2147483648"):
        metrics.MeanIoU(2, ignore_class=2**31)
    with pytest.raises(ValueError, match="MeanIoU: axis must name axes of the sample"):
        metrics.MeanIoU(2, sparse_y_pred=False, axis=3)([[0, 1]], np.zeros((1, 2, 2)))


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
    with pytest.raises(ValueError, match="PearsonCorrelation: axis must be an axis of a sample"):
        metrics.PearsonCorrelation(axis=0)


def test_classes_are_whole_numbers():
    """Fractions would be cut off in silence; NaN is no class."""
    for wrong in ([0, 0.3], [0.5, np.nan]):
        with pytest.raises(
            ValueError, match=r"'mean_io_u' counts classes, and needs whole numbers as targets; received 0"
        ):
            metrics.MeanIoU(2)(wrong, [0, 1])
    with pytest.raises(ValueError, match=r"as predictions; received 0.9 \(row 1\). For probabilities use BinaryIoU"):
        metrics.IoU(2, [0])([0, 1], [0, 0.9])
    with pytest.raises(ValueError, match="'binary_io_u' .* as targets"):
        metrics.BinaryIoU()([0, 0.9], [0.2, 0.9])
    assert metrics.MeanIoU(2)([0.0, 1.0], np.array([0, 1], np.uint8)) == 1.0
    assert metrics.OneHotMeanIoU(2)([[0.9, 0.1], [0.2, 0.8]], [[0.7, 0.3], [0.4, 0.6]]) == 1.0


def test_classes_of_a_training_are_whole_numbers():
    """In each batch: the first ones do not tell what follows."""
    x, y = np.ones((4, 3)), np.array([0.0, 1.0, 1.0, 0.0])[:, None]
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=[metrics.BinaryIoU()])
    model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=r"'binary_io_u' counts classes.* as targets; received 0.5 \(row 0\)"):
        model.fit(x, y / 2 + 0.5 * (y == 0), verbose=0)
    with pytest.raises(ValueError, match="Batch 2 of the list: .* as targets; received 0.25"):
        model.fit([(x, y), (x, y / 4)], verbose=0)
    with pytest.raises(ValueError, match="as targets; received 0.25"):
        model.train_on_batch(x, y / 4)


@pytest.mark.parametrize("cls", [metrics.Precision, metrics.AUC, metrics.TruePositives])
def test_targets_that_are_neither_labels_nor_none(cls):
    """Each target other than 0 is a positive label, as in Keras: of probabilities and of signs this is told, once."""
    metric, name = cls(), cls().name
    with pytest.warns(UserWarning, match=rf"{name!r} counts each target other than 0.*is 0.3 \(row 1\)"):
        metric([0, 0.3, 1], [0.2, 0.7, 0.9])
    metric([0, 0.3, 1], [0.2, 0.7, 0.9])
    with pytest.warns(UserWarning, match=r"a target is -1"):
        cls()([[-1, 1]], [[0.2, 0.7]])
    cls()(np.array([0, 255], np.uint8), [0.2, 0.7])
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(1, "sigmoid")])
    model.compile("sgd", "mse", metrics=[cls()])
    with pytest.warns(UserWarning, match="a target is 0.9") as caught:
        model.fit(np.ones((2, 3)), [0.9, 0.1], epochs=2, verbose=0)
    assert len(caught) == 1 and caught[0].filename == __file__
    model.fit([(np.ones((2, 3)), np.array([0.9, 0.1]))] * 3, verbose=0)
