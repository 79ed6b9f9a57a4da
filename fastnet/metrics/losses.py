"""The losses that Keras has as metrics too: the mean of the loss of each row, whatever the reduction of the loss is."""

from __future__ import annotations

from typing import Any

from fastnet import losses
from fastnet.metrics.means import LossMetric


class MeanSquaredError(LossMetric):
    """mean((y_pred - y_true)²), averaged; see `fastnet.losses.MeanSquaredError`.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> metrics.MeanSquaredError()([[0.0, 1.0]], [[0.5, 1.0]])
        0.125
    """

    def __init__(self, name: str = "mean_squared_error", dtype: Any = None):
        super().__init__(losses.MeanSquaredError(), name, dtype)


class MeanAbsoluteError(LossMetric):
    """mean(|y_pred - y_true|), averaged; see `fastnet.losses.MeanAbsoluteError`.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> metrics.MeanAbsoluteError()([[0.0, 1.0]], [[0.5, 1.0]])
        0.25
    """

    def __init__(self, name: str = "mean_absolute_error", dtype: Any = None):
        super().__init__(losses.MeanAbsoluteError(), name, dtype)


class MeanAbsolutePercentageError(LossMetric):
    """100 mean(|y_pred - y_true| / max(|y_true|, 1e-7)), averaged; see `fastnet.losses.MeanAbsolutePercentageError`.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> metrics.MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 4.0]])
        25.0
    """

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: Any = None):
        super().__init__(losses.MeanAbsolutePercentageError(), name, dtype)


class MeanSquaredLogarithmicError(LossMetric):
    """mean((log(1 + y_pred) - log(1 + y_true))²), averaged; see `fastnet.losses.MeanSquaredLogarithmicError`.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> round(metrics.MeanSquaredLogarithmicError()([[0.0, 1.0]], [[1.0, 1.0]]), 4)
        0.2402
    """

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: Any = None):
        super().__init__(losses.MeanSquaredLogarithmicError(), name, dtype)


class LogCoshError(LossMetric):
    """mean(log cosh(y_pred - y_true)), averaged; see `fastnet.losses.LogCosh`.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> round(metrics.LogCoshError()([[0.0, 1.0]], [[1.0, 1.0]]), 4)
        0.2169
    """

    def __init__(self, name: str = "logcosh", dtype: Any = None):
        super().__init__(losses.LogCosh(), name, dtype)


class Poisson(LossMetric):
    """mean(y_pred - y_true log(y_pred + 1e-7)), averaged; see `fastnet.losses.Poisson`.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> round(metrics.Poisson()([[3.0]], [[1.0]]), 4)
        1.0
    """

    def __init__(self, name: str = "poisson", dtype: Any = None):
        super().__init__(losses.Poisson(), name, dtype)


class KLDivergence(LossMetric):
    """sum(y_true log(y_true / y_pred)), averaged; see `fastnet.losses.KLDivergence`.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> round(metrics.KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]]), 4)
        0.1438
    """

    def __init__(self, name: str = "kl_divergence", dtype: Any = None):
        super().__init__(losses.KLDivergence(), name, dtype)


class Hinge(LossMetric):
    """mean(max(0, 1 - y_true y_pred)), averaged; see `fastnet.losses.Hinge`.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> metrics.Hinge()([[0.0, 1.0]], [[0.5, 0.5]])
        1.0
    """

    def __init__(self, name: str = "hinge", dtype: Any = None):
        super().__init__(losses.Hinge(), name, dtype)


class SquaredHinge(LossMetric):
    """mean(max(0, 1 - y_true y_pred)²), averaged; see `fastnet.losses.SquaredHinge`.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> metrics.SquaredHinge()([[0.0, 1.0]], [[0.5, 0.5]])
        1.25
    """

    def __init__(self, name: str = "squared_hinge", dtype: Any = None):
        super().__init__(losses.SquaredHinge(), name, dtype)


class CategoricalHinge(LossMetric):
    """max(0, 1 + max((1 - y_true) y_pred) - sum(y_true y_pred)), averaged; see `fastnet.losses.CategoricalHinge`.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> metrics.CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.75]])
        0.75
    """

    def __init__(self, name: str = "categorical_hinge", dtype: Any = None):
        super().__init__(losses.CategoricalHinge(), name, dtype)


class BinaryCrossentropy(LossMetric):
    """-mean(t log p + (1 - t) log(1 - p)), averaged; see `fastnet.losses.BinaryCrossentropy`.

    Args:
        name, dtype: as for every `Metric`.
        from_logits, label_smoothing: as for the loss.

    Raises:
        ValueError: label_smoothing outside [0, 1].

    Example:
        >>> round(metrics.BinaryCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
        0.6931
    """

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ):
        super().__init__(losses.BinaryCrossentropy(from_logits, label_smoothing), name, dtype)
        self.from_logits, self.label_smoothing = from_logits, label_smoothing


class CategoricalCrossentropy(LossMetric):
    """-sum(t log p), averaged; see `fastnet.losses.CategoricalCrossentropy`.

    Args:
        name, dtype: as for every `Metric`.
        from_logits, label_smoothing: as for the loss.
        axis: only -1.

    Raises:
        ValueError: label_smoothing outside [0, 1], another axis.

    Example:
        >>> round(metrics.CategoricalCrossentropy()([[0.0, 1.0]], [[0.75, 0.25]]), 4)
        1.3863
    """

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ):
        super().__init__(losses.CategoricalCrossentropy(from_logits, label_smoothing, axis), name, dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis


class SparseCategoricalCrossentropy(LossMetric):
    """-log p[label], averaged; see `fastnet.losses.SparseCategoricalCrossentropy`.

    As in Keras, rows of the ignored class count as 0 in a mean without weights, and not at all in one with weights.

    Args:
        name, dtype: as for every `Metric`.
        from_logits, ignore_class: as for the loss.
        axis: only -1.

    Raises:
        ValueError: ignore_class is no whole number, another axis.

    Example:
        >>> round(metrics.SparseCategoricalCrossentropy(from_logits=True)([1], [[0.0, 0.0]]), 4)
        0.6931
    """

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ):
        super().__init__(losses.SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis), name, dtype)
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis
