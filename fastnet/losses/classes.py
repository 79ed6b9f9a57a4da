"""The losses of Keras, as classes; every number follows from the formula in its docstring."""

from __future__ import annotations

from typing import Any, ClassVar

from fastnet import checks
from fastnet.losses import axes
from fastnet.losses.loss import Loss

_PROBABILITIES = (0.0, 1.0)
_MEAN = "sum_over_batch_size"


_AXIS = Loss._checks | {"axis": axes.check_axis}
_LOGITS = _AXIS | {"from_logits": checks.flag}


class Huber(Loss):
    """mean(½ e²) where |e| ≤ delta, delta |e| - ½ delta² elsewhere, e = y_pred - y_true; Huber 1964.

    Args:
        delta: positive; where the square turns into a line.
        reduction, name, dtype: as for every `Loss`.

    Raises:
        ValueError: delta is not positive.

    Example:
        >>> losses.Huber(delta=1.0)([[0.0, 0.0]], [[0.5, 3.0]])  # of 0.125 and 2.5
        1.3125
    """

    _row = "huber"
    _ranges: ClassVar = {"delta": checks.POSITIVE}

    def __init__(self, delta: float = 1.0, reduction: str | None = _MEAN, name: str = "huber_loss", dtype: Any = None):
        super().__init__(name, reduction, dtype)
        self.delta = delta


class CosineSimilarity(Loss):
    """-sum(y_true y_pred) / (|y_true| |y_pred|) over an axis, lengths at least 1e-7: -1 where they agree.

    Args:
        axis: the batch is axis 0. The last one needs no permutation.
        reduction, name, dtype: as for every `Loss`.

    Raises:
        ValueError: predictions lack the axis.

    Example:
        >>> round(losses.CosineSimilarity()([[0.0, 1.0]], [[3.0, 4.0]]), 4)
        -0.8
    """

    _row = "cosine_similarity"
    _checks = _AXIS

    def __init__(
        self, axis: int = -1, reduction: str | None = _MEAN, name: str = "cosine_similarity", dtype: Any = None
    ):
        super().__init__(name, reduction, dtype)
        self.axis = axis


class BinaryCrossentropy(Loss):
    """-mean(t log p + (1 - t) log(1 - p)) over an axis.

    Args:
        from_logits: predictions are logits x, and p = σ(x); the loss then is exact for any x. Otherwise p is clipped
            to [1e-7, 1 - 1e-7].
        label_smoothing: s moves targets towards ½: t (1 - s) + s / 2.
        axis: of the classes; the batch is axis 0. The last one needs no permutation.
        reduction, name, dtype: as for every `Loss`.

    Raises:
        ValueError: label_smoothing outside [0, 1], or predictions lack the axis.

    Example:
        >>> round(losses.BinaryCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
        0.6931
    """

    _row = "binary_crossentropy"
    _ranges: ClassVar = {"label_smoothing": checks.CLOSED_UNIT}
    _checks = _LOGITS
    target_range = _PROBABILITIES

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(name, reduction, dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis


class BinaryFocalCrossentropy(Loss):
    """mean(w (1 - p_t)^gamma (-log p_t)) over an axis, p_t = t p + (1 - t) (1 - p); Lin et al. 2017, eq. 5.

    Well-classified examples count little: arXiv:1708.02002.

    Args:
        apply_class_balancing: w = t alpha + (1 - t) (1 - alpha), else w = 1.
        alpha: in [0, 1], the weight of class 1.
        gamma: at least 0; with 0 and w = 1 the loss is binary cross-entropy.
        from_logits: predictions are logits x, and p = σ(x).
        label_smoothing: s moves targets towards ½: t (1 - s) + s / 2.
        axis: of the classes; the batch is axis 0. The last one needs no permutation.
        reduction, name, dtype: as for every `Loss`.

    Raises:
        ValueError: a number outside its range, or predictions lack the axis.

    Example:
        >>> round(losses.BinaryFocalCrossentropy(gamma=2.0)([[0.0, 1.0]], [[0.5, 0.5]]), 4)  # log(2) / 4
        0.1733
    """

    _row = "binary_focal_crossentropy"
    _ranges: ClassVar = {
        "alpha": checks.CLOSED_UNIT, "gamma": checks.NOT_NEGATIVE, "label_smoothing": checks.CLOSED_UNIT
    }  # fmt: skip
    _checks = _LOGITS | {"apply_class_balancing": checks.flag}
    target_range = _PROBABILITIES

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(name, reduction, dtype)
        self.apply_class_balancing, self.alpha, self.gamma = apply_class_balancing, alpha, gamma
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis


class CategoricalCrossentropy(Loss):
    """-sum(t log p) over an axis, t a distribution (one-hot labels, say).

    Args:
        from_logits: predictions are logits x, and log p = x - logsumexp(x). Otherwise p is divided by its sum and
            clipped to [1e-7, 1 - 1e-7].
        label_smoothing: s moves targets towards the uniform distribution: t (1 - s) + s / classes.
        axis: of the classes; the batch is axis 0. The last one needs no permutation.
        reduction, name, dtype: as for every `Loss`.

    Raises:
        ValueError: label_smoothing outside [0, 1], or predictions lack the axis.

    Example:
        >>> round(losses.CategoricalCrossentropy()([[0.0, 1.0]], [[0.75, 0.25]]), 4)
        1.3863
    """

    _row = "categorical_crossentropy"
    _ranges: ClassVar = {"label_smoothing": checks.CLOSED_UNIT}
    _checks = _LOGITS
    target_range = _PROBABILITIES

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(name, reduction, dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis


class CategoricalFocalCrossentropy(Loss):
    """-sum(alpha (1 - p)^gamma t log p) over an axis; Lin et al. 2017, arXiv:1708.02002.

    Args:
        alpha: at least 0, a factor.
        gamma: at least 0; 0 is categorical cross-entropy times alpha.
        from_logits: predictions are logits, and p is their softmax. Otherwise p is divided by its sum and clipped to
            [1e-7, 1 - 1e-7].
        label_smoothing: s moves targets towards the uniform distribution: t (1 - s) + s / classes.
        axis: of the classes; the batch is axis 0. The last one needs no permutation.
        reduction, name, dtype: as for every `Loss`.

    Raises:
        ValueError: a number outside its range, or predictions lack the axis.

    Example:
        >>> round(losses.CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
        0.0433
    """

    _row = "categorical_focal_crossentropy"
    _ranges: ClassVar = {
        "alpha": checks.NOT_NEGATIVE, "gamma": checks.NOT_NEGATIVE, "label_smoothing": checks.CLOSED_UNIT
    }  # fmt: skip
    _checks = _LOGITS
    target_range = _PROBABILITIES

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(name, reduction, dtype)
        self.alpha, self.gamma = alpha, gamma
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis


class SparseCategoricalCrossentropy(Loss):
    """-log p[label], label a class index from 0.

    Args:
        from_logits: predictions are logits x, and log p = x - logsumexp(x). Otherwise p is divided by its sum and
            clipped to [1e-7, 1 - 1e-7].
        ignore_class: a label, -1 or 255 perhaps, whose rows have the loss 0 and the gradient 0, and do not count in the
            mean.
        reduction: as for every `Loss`.
        axis: of the classes; the batch is axis 0. The last one needs no permutation.
        name, dtype: as for every `Loss`.

    Raises:
        ValueError: ignore_class is not an integer, or predictions lack the axis.

    Example:
        >>> round(losses.SparseCategoricalCrossentropy(from_logits=True)([1], [[0.0, 0.0]]), 4)  # log(2)
        0.6931
    """

    _row = "sparse_categorical_crossentropy"
    _checks = _LOGITS | {"ignore_class": checks.label}

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = _MEAN,
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(name, reduction, dtype)
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis
