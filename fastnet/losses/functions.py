"""The losses of Keras as functions of arrays: the loss of each row, in the predictions' shape without the last axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet.losses import classes


def mean_squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `MeanSquaredError` for each row.

    Example:
        >>> losses.mean_squared_error([[0.0, 1.0], [0.0, 0.0]], [[0.5, 1.0], [1.0, 1.0]]).tolist()
        [0.125, 1.0]
    """
    return classes.MeanSquaredError().per_row(y_true, y_pred)


def mean_absolute_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `MeanAbsoluteError` for each row.

    Example:
        >>> losses.mean_absolute_error([[0.0, 1.0], [0.0, 0.0]], [[0.5, 1.0], [1.0, 1.0]]).tolist()
        [0.25, 1.0]
    """
    return classes.MeanAbsoluteError().per_row(y_true, y_pred)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `MeanAbsolutePercentageError` for each row.

    Example:
        >>> losses.mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 4.0]]).tolist()
        [25.0]
    """
    return classes.MeanAbsolutePercentageError().per_row(y_true, y_pred)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `MeanSquaredLogarithmicError` for each row.

    Example:
        >>> losses.mean_squared_logarithmic_error([[0.0, 1.0]], [[1.0, 1.0]]).round(4).tolist()
        [0.2402]
    """
    return classes.MeanSquaredLogarithmicError().per_row(y_true, y_pred)


def log_cosh(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `LogCosh` for each row.

    Example:
        >>> losses.log_cosh([[0.0, 1.0]], [[1.0, 1.0]]).round(4).tolist()
        [0.2169]
    """
    return classes.LogCosh().per_row(y_true, y_pred)


def poisson(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `Poisson` for each row.

    Example:
        >>> losses.poisson([[3.0]], [[1.0]]).round(4).tolist()
        [1.0]
    """
    return classes.Poisson().per_row(y_true, y_pred)


def kl_divergence(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `KLDivergence` for each row.

    Example:
        >>> losses.kl_divergence([[0.5, 0.5]], [[0.25, 0.75]]).round(4).tolist()
        [0.1438]
    """
    return classes.KLDivergence().per_row(y_true, y_pred)


def hinge(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `Hinge` for each row.

    Example:
        >>> losses.hinge([[0.0, 1.0]], [[0.5, 0.5]]).tolist()
        [1.0]
    """
    return classes.Hinge().per_row(y_true, y_pred)


def squared_hinge(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `SquaredHinge` for each row.

    Example:
        >>> losses.squared_hinge([[0.0, 1.0]], [[0.5, 0.5]]).tolist()
        [1.25]
    """
    return classes.SquaredHinge().per_row(y_true, y_pred)


def categorical_hinge(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `CategoricalHinge` for each row.

    Example:
        >>> losses.categorical_hinge([[0.0, 1.0]], [[0.5, 0.75]]).tolist()
        [0.75]
    """
    return classes.CategoricalHinge().per_row(y_true, y_pred)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> np.ndarray:
    """The loss of `Huber` for each row.

    Example:
        >>> losses.huber([[0.0, 0.0]], [[0.5, 3.0]], delta=1.0).tolist()
        [1.3125]
    """
    return classes.Huber(delta).per_row(y_true, y_pred)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """The loss of `CosineSimilarity` for each row.

    Example:
        >>> losses.cosine_similarity([[0.0, 1.0]], [[3.0, 4.0]]).round(4).tolist()
        [-0.8]
    """
    return classes.CosineSimilarity(axis).per_row(y_true, y_pred)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """The loss of `BinaryCrossentropy` for each row.

    Example:
        >>> losses.binary_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(4).tolist()
        [0.6931]
    """
    return classes.BinaryCrossentropy(from_logits, label_smoothing, axis).per_row(y_true, y_pred)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> np.ndarray:
    """The loss of `BinaryFocalCrossentropy` for each row.

    Example:
        >>> losses.binary_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(4).tolist()
        [0.1733]
    """
    loss = classes.BinaryFocalCrossentropy(apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis)
    return loss.per_row(y_true, y_pred)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """The loss of `CategoricalCrossentropy` for each row.

    Example:
        >>> losses.categorical_crossentropy([[0.0, 1.0]], [[0.75, 0.25]]).round(4).tolist()
        [1.3863]
    """
    return classes.CategoricalCrossentropy(from_logits, label_smoothing, axis).per_row(y_true, y_pred)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> np.ndarray:
    """The loss of `CategoricalFocalCrossentropy` for each row.

    Example:
        >>> losses.categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(4).tolist()
        [0.0433]
    """
    loss = classes.CategoricalFocalCrossentropy(alpha, gamma, from_logits, label_smoothing, axis)
    return loss.per_row(y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> np.ndarray:
    """The loss of `SparseCategoricalCrossentropy` for each row.

    Example:
        >>> losses.sparse_categorical_crossentropy([1], [[0.0, 0.0]], from_logits=True).round(4).tolist()
        [0.6931]
    """
    return classes.SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis).per_row(y_true, y_pred)
