"""Losses of rows as array code: their kernels are rules, and this is what they are within formulas of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnet.ops.composites import labels_of
from fastnet.symbolic.array import SymbolicArray
from fastnet.symbolic.functions import FUNCTIONS as ops

_EPSILON = 1e-7


def _smoothed(loss: Any, y_true: Any, y_pred: Any) -> Any:
    smoothing = float(loss.label_smoothing)
    return y_true * (1.0 - smoothing) + smoothing / float(y_pred.shape[-1])


def _categorical_crossentropy(loss: Any, y_true: Any, y_pred: Any) -> Any:
    return ops["categorical_crossentropy"](_smoothed(loss, y_true, y_pred), y_pred, bool(loss.from_logits))


def _sparse_categorical_crossentropy(loss: Any, y_true: Any, y_pred: Any) -> Any:
    return ops["sparse_categorical_crossentropy"](y_true, y_pred, bool(loss.from_logits))


def _categorical_focal_crossentropy(loss: Any, y_true: Any, y_pred: Any) -> Any:
    p = ops["softmax"](y_pred) if loss.from_logits else y_pred / ops["sum"](y_pred, axis=-1, keepdims=True)
    p = ops["clip"](p, _EPSILON, 1.0 - _EPSILON)
    surprise = -_smoothed(loss, y_true, y_pred) * ops["log"](p)
    return ops["sum"](float(loss.alpha) * ops["power"](1.0 - p, float(loss.gamma)) * surprise, axis=-1)


def _categorical_generalized_cross_entropy(loss: Any, y_true: Any, y_pred: Any) -> Any:
    p = ops["sum"](ops["one_hot"](labels_of(y_true, y_pred), y_pred.shape[-1]) * y_pred, axis=-1)
    return (1.0 - ops["power"](p, float(loss.q))) / float(loss.q)


def _cosine_similarity(loss: Any, y_true: Any, y_pred: Any) -> Any:
    return -ops["sum"](ops["normalize"](y_true) * ops["normalize"](y_pred), axis=-1)


def _kl_divergence(loss: Any, y_true: Any, y_pred: Any) -> Any:
    t, p = ops["clip"](y_true, _EPSILON, 1.0), ops["clip"](y_pred, _EPSILON, 1.0)
    return ops["sum"](t * ops["log"](t / p), axis=-1)


def _categorical_hinge(loss: Any, y_true: Any, y_pred: Any) -> Any:
    right, wrong = ops["sum"](y_true * y_pred, axis=-1), ops["max"]((1.0 - y_true) * y_pred, axis=-1)
    return ops["maximum"](wrong - right + 1.0, 0.0)


def signs_of_labels(y_true: Any) -> Any:
    """Targets as -1 and 1, where all of the batch are 0 or 1; others as they are."""
    is_label = ops["logical_or"](ops["equal"](y_true, 0.0), ops["equal"](y_true, 1.0))
    others = ops["sum"](ops["where"](is_label, 0.0, 1.0))
    return ops["where"](ops["equal"](others, 0.0), 2.0 * y_true - 1.0, y_true)


#: by the names of the registry; Dice, Tversky and Circle are classes with formulas of their own
_FORMULAS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "categorical_crossentropy": _categorical_crossentropy,
    "sparse_categorical_crossentropy": _sparse_categorical_crossentropy,
    "categorical_focal_crossentropy": _categorical_focal_crossentropy,
    "categorical_generalized_cross_entropy": _categorical_generalized_cross_entropy,
    "cosine_similarity": _cosine_similarity,
    "kl_divergence": _kl_divergence,
    "categorical_hinge": _categorical_hinge,
}


def formula_of_row(loss: Any, name: str | None, y_true: Any, y_pred: Any) -> SymbolicArray | None:
    """The loss of each row as a formula.

    Args:
        loss: has the arguments.
        name: of its row in the registry.
        y_true, y_pred: symbolic arrays, or one of them.

    Returns:
        None where it has no formula: its axis is another one, or labels are ignored.
    """
    formula = _FORMULAS.get(name or "")
    if formula is None or getattr(loss, "axis", -1) != -1 or loss.ignore_class is not None:
        return None
    return formula(loss, y_true, y_pred)
