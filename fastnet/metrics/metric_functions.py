"""Metrics of Keras as functions of arrays: a number for each element or row."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet.arrays import as_array
from fastnet.metrics import means


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> np.ndarray:
    """1 for each element on the right side of ``threshold``, else 0; of the predictions' shape.

    Raises:
        ValueError: targets have another shape, apart from a last axis of size 1.

    Example:
        >>> metrics.binary_accuracy([[1, 0]], [[0.9, 0.8]]).tolist()
        [[1.0, 0.0]]
    """
    y_true, y_pred = as_array(y_true, "y_true"), as_array(y_pred, "y_pred")
    targets = _of_rank(y_true, y_pred)
    if targets.shape != y_pred.shape:
        raise ValueError(
            f"'binary_accuracy' needs targets of the predictions' shape, {y_pred.shape}; received {y_true.shape}."
        )
    function = means.BinaryAccuracy(threshold=threshold).function
    flat = function.on_arrays(targets.reshape(-1), y_pred.reshape(-1), "binary_accuracy", elements=True)
    return flat.reshape(y_pred.shape)


def categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """1 for each row whose largest prediction and largest target have the same index, else 0.

    Example:
        >>> metrics.categorical_accuracy([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]]).tolist()
        [1.0, 0.0]
    """
    return means.CategoricalAccuracy().function.on_arrays(y_true, y_pred, "categorical_accuracy")


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """1 for each row whose largest prediction has the index of the label, else 0.

    Example:
        >>> metrics.sparse_categorical_accuracy([1, 0], [[0.1, 0.9], [0.2, 0.8]]).tolist()
        [1.0, 0.0]
    """
    return means.SparseCategoricalAccuracy().function.on_arrays(y_true, y_pred, "sparse_categorical_accuracy")


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> np.ndarray:
    """1 for each row in which fewer than k predictions are larger than that of the largest target, else 0.

    Example:
        >>> metrics.top_k_categorical_accuracy([[0, 0, 1], [1, 0, 0]], [[0.1, 0.6, 0.3]] * 2, k=2).tolist()
        [1.0, 0.0]
    """
    return means.TopKCategoricalAccuracy(k).function.on_arrays(y_true, y_pred, "top_k_categorical_accuracy")


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> np.ndarray:
    """1 for each row in which fewer than k predictions are larger than that of the label, else 0.

    Example:
        >>> metrics.sparse_top_k_categorical_accuracy([2, 0], [[0.1, 0.6, 0.3]] * 2, k=2).tolist()
        [1.0, 0.0]
    """
    metric = means.SparseTopKCategoricalAccuracy(k, from_sorted_ids=from_sorted_ids)
    return metric.function.on_arrays(y_true, y_pred, "sparse_top_k_categorical_accuracy")


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """sum(y_true y_pred) / (|y_true| |y_pred|) of each row.

    Example:
        >>> metrics.cosine_similarity([[0.0, 1.0]], [[3.0, 4.0]]).round(4).tolist()
        [0.8]
    """
    return _of_rows(means.CosineSimilarity(axis=axis), y_true, y_pred)


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """cov(y_true, y_pred) / (std(y_true) std(y_pred)) of each row.

    Example:
        >>> metrics.pearson_correlation([[0.0, 1.0, 0.5]], [[0.1, 0.9, 0.2]]).round(4).tolist()
        [0.9177]
    """
    return _of_rows(means.PearsonCorrelation(axis=axis), y_true, y_pred)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """2 cov / (var(y_true) + var(y_pred) + (mean(y_true) - mean(y_pred))²) of each row.

    Example:
        >>> metrics.concordance_correlation([[0.0, 1.0, 0.5]], [[0.1, 0.9, 0.2]]).round(4).tolist()
        [0.8791]
    """
    return _of_rows(means.ConcordanceCorrelation(axis=axis), y_true, y_pred)


def _of_rows(metric: means.RowMetric, y_true: Any, y_pred: Any) -> np.ndarray:
    """The number of each row along the metric's axis."""
    return metric.function.on_arrays(y_true, y_pred, metric.name, axis=metric)


def _of_rank(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Targets, with a last axis of size 1 added or removed to match the predictions."""
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        return y_true[..., 0]
    return y_true[..., None] if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1 else y_true
