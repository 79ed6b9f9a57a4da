"""Metrics against numpy, over several batches, the last one short."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, metrics

from . import oracles


def evaluate(y_true, y_pred, loss, metric, batch_size=16, dtype="float64"):
    """The metric of a model that hands its input on."""
    shape = y_pred.shape[1:]
    model = fastnet.Sequential([layers.Input(shape, dtype=dtype), layers.Activation("linear", dtype=dtype)])
    model.compile("sgd", loss, metrics=[metric])
    logs = model.evaluate(y_pred, y_true, batch_size=batch_size, verbose=0, return_dict=True)
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
    f = oracles.mean_absolute_error if name == "mae" else oracles.mean_squared_error
    value, logs = evaluate(t, p, "mse", name)
    assert value == pytest.approx(f(t, p, 0, 1)[0].mean(), rel=1e-12)
    assert list(logs) == ["loss", name]


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
