"""Class labels as numbers, outputs of a network as probabilities, decisions and labels; sample weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, column_or_1d

from fastnet._kernels.errors import quoted


def as_labels(y: Any) -> np.ndarray:
    """``y`` as one label a row, (n,); a column gives scikit-learn's `DataConversionWarning`.

    Raises:
        ValueError: the targets are real numbers, or several a row.
    """
    check_classification_targets(y)
    return column_or_1d(y, warn=True)


def classes_of(owner: str, y: np.ndarray) -> np.ndarray:
    """The sorted labels.

    Raises:
        ValueError: there is one class only.
    """
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(f"{owner} needs rows of at least two classes; received one class, {classes.tolist()[0]!r}.")
    return classes


def indices(owner: str, y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The index of each label among the sorted ``classes``.

    Raises:
        ValueError: a label is not among them.
    """
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(
            f"{owner}: y has the class {unknown.tolist()[0]!r}, which is not among the classes {classes.tolist()}."
        )
    return np.searchsorted(classes, y)


def decisions(outputs: np.ndarray, logits: bool) -> np.ndarray:
    """The scores that decide the class.

    For two classes (n,), positive for the second one; otherwise (n, classes), of which the largest decides.

    Args:
        outputs: (n, 1) of two classes, or (n, classes).
        logits: whether they are logits, or scores of a hinge loss; otherwise they are probabilities.
    """
    outputs = outputs.astype(np.float64)
    if outputs.shape[1] == 1:
        return outputs[:, 0] if logits else 2 * outputs[:, 0] - 1
    if outputs.shape[1] == 2:
        return outputs[:, 1] - outputs[:, 0] if logits else 2 * _shares(outputs)[:, 1] - 1
    return outputs


def probabilities(outputs: np.ndarray, logits: bool) -> np.ndarray:
    """The probability of each class, (n, classes); arguments as for `decisions`."""
    if outputs.shape[1] > 2:
        outputs = outputs.astype(np.float64)
        return softmax(outputs, axis=1) if logits else _shares(outputs)
    decided = decisions(outputs, logits)
    second = expit(decided) if logits else (decided + 1) / 2
    return np.stack([1 - second, second], axis=1)


def predicted(outputs: np.ndarray, logits: bool, classes: np.ndarray) -> np.ndarray:
    """The label of each row; arguments as for `decisions`."""
    decided = decisions(outputs, logits)
    return classes[(decided > 0).astype(int) if decided.ndim == 1 else decided.argmax(axis=1)]


def _shares(outputs: np.ndarray) -> np.ndarray:
    """Probabilities that add up to 1 in float64."""
    return outputs / outputs.sum(axis=1, keepdims=True)


def weights_of(owner: str, sample_weight: Any, X: np.ndarray) -> np.ndarray | None:
    """``sample_weight`` as (n,) in float64; None stays.

    Raises:
        ValueError: it does not have one weight of at least 0 for each row, or all are zero.
    """
    if sample_weight is None:
        return None
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError(f"{owner}: sample_weight must have a weight above zero; all are zero.")
    return weights


def of_classes(
    owner: str, class_weight: Any, y: np.ndarray, weights: np.ndarray | None, classes: np.ndarray
) -> np.ndarray | None:
    """The weights of rows, multiplied by those of their labels: {label: weight}, "balanced", or None.

    Labels that ``class_weight`` lacks have the weight 1. Its labels must be among ``classes``, but need no rows.

    Raises:
        ValueError: a weight is negative, or no row has one above zero.
    """
    if class_weight is None:
        return weights
    if isinstance(class_weight, dict):
        of_class = compute_class_weight(class_weight, classes=classes, y=y)[indices(owner, y, classes)]
    else:
        of_class = compute_sample_weight(class_weight, y)
    found = of_class if weights is None else weights * of_class
    if not (found >= 0).all() or not found.any():
        raise ValueError(
            f"{owner}: class_weight must have weights from 0, and one above zero for a class that rows have; received "
            f"{quoted(class_weight)}."
        )
    return found
