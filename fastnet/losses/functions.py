"""The losses of Keras as functions of arrays: the loss of each row, in the predictions' shape without the last axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet.losses import classes


def mean_squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `MeanSquaredError` for each row."""
    return classes.MeanSquaredError().per_row(y_true, y_pred)


def mean_absolute_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `MeanAbsoluteError` for each row."""
    return classes.MeanAbsoluteError().per_row(y_true, y_pred)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `MeanAbsolutePercentageError` for each row."""
    return classes.MeanAbsolutePercentageError().per_row(y_true, y_pred)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `MeanSquaredLogarithmicError` for each row."""
    return classes.MeanSquaredLogarithmicError().per_row(y_true, y_pred)


def log_cosh(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `LogCosh` for each row."""
    return classes.LogCosh().per_row(y_true, y_pred)


def poisson(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `Poisson` for each row."""
    return classes.Poisson().per_row(y_true, y_pred)


def kl_divergence(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `KLDivergence` for each row."""
    return classes.KLDivergence().per_row(y_true, y_pred)


def hinge(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `Hinge` for each row."""
    return classes.Hinge().per_row(y_true, y_pred)


def squared_hinge(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `SquaredHinge` for each row."""
    return classes.SquaredHinge().per_row(y_true, y_pred)


def categorical_hinge(y_true: Any, y_pred: Any) -> np.ndarray:
    """The loss of `CategoricalHinge` for each row."""
    return classes.CategoricalHinge().per_row(y_true, y_pred)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> np.ndarray:
    """The loss of `Huber` for each row."""
    return classes.Huber(delta).per_row(y_true, y_pred)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """The loss of `CosineSimilarity` for each row."""
    return classes.CosineSimilarity(axis).per_row(y_true, y_pred)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """The loss of `BinaryCrossentropy` for each row."""
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
    """The loss of `BinaryFocalCrossentropy` for each row."""
    loss = classes.BinaryFocalCrossentropy(apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis)
    return loss.per_row(y_true, y_pred)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """The loss of `CategoricalCrossentropy` for each row."""
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
    """The loss of `CategoricalFocalCrossentropy` for each row."""
    loss = classes.CategoricalFocalCrossentropy(alpha, gamma, from_logits, label_smoothing, axis)
    return loss.per_row(y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> np.ndarray:
    """The loss of `SparseCategoricalCrossentropy` for each row."""
    return classes.SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis).per_row(y_true, y_pred)
