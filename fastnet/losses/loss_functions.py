"""The losses of Keras as functions of arrays: the loss of each row, in the predictions' shape without the last axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet.losses import classes


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
