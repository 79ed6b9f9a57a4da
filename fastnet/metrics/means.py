"""Metrics that are the mean of a number for each row: accuracies, and losses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastnet import checks, losses
from fastnet._kernels import registry
from fastnet.losses.axes import check_axis
from fastnet.losses.rowwise import RowFunction
from fastnet.metrics.metric import MeanOfRows
from fastnet.settable import argument_names


class RowMetric(MeanOfRows):
    """The mean of a row of the registry; parameters take the values of the attributes of their names."""

    direction = "up"
    _row = ""

    @property
    def row(self) -> registry.Loss:
        """Its row of the registry."""
        return registry.metrics[self._row]

    @property
    def sparse(self) -> bool:  # type: ignore[override]
        return self.row.sparse

    @property
    def weighs_elements(self) -> bool:  # type: ignore[override]
        return self.row.row is None and type(self).values is MeanOfRows.values

    @property
    def function(self) -> RowFunction:
        return RowFunction(self.row, tuple(float(getattr(self, name)) for name in self.row.parameters))


class Accuracy(RowMetric):
    """Share of elements that equal their target.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> metrics.Accuracy()([[1], [2], [3], [4]], [[0], [2], [3], [4]])
        0.75
    """

    _row, elements = "accuracy", True

    def __init__(self, name: str = "accuracy", dtype: Any = None):
        super().__init__(name, dtype)


class BinaryAccuracy(RowMetric):
    """Share of elements on the right side of ``threshold``.

    Args:
        name, dtype: as for every `Metric`.
        threshold: in [0, 1]; predictions above it are class 1.

    Raises:
        ValueError: threshold is outside [0, 1].

    Example:
        >>> metrics.BinaryAccuracy()([[1], [0], [1], [0]], [[0.9], [0.2], [0.3], [0.4]])
        0.75
    """

    _row, elements = "binary_accuracy", True

    def __init__(self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5):
        super().__init__(name, dtype)
        self.threshold = checks.number("BinaryAccuracy: threshold", threshold, checks.CLOSED_UNIT)


class CategoricalAccuracy(RowMetric):
    """Share of rows whose largest prediction and largest target have the same index.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> metrics.CategoricalAccuracy()([[0, 1], [1, 0]], [[0.1, 0.9], [0.2, 0.8]])
        0.5
    """

    _row = "categorical_accuracy"

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None):
        super().__init__(name, dtype)


class SparseCategoricalAccuracy(RowMetric):
    """Share of rows whose largest prediction has the index of the label.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> metrics.SparseCategoricalAccuracy()([1, 0], [[0.1, 0.9], [0.2, 0.8]])
        0.5
    """

    _row = "sparse_categorical_accuracy"

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None):
        super().__init__(name, dtype)


class TopKCategoricalAccuracy(RowMetric):
    """Share of rows in which fewer than k predictions are larger than that of the largest target.

    Args:
        k: at least 1.
        name, dtype: as for every `Metric`.

    Raises:
        ValueError: k is not a positive integer.

    Example:
        >>> metrics.TopKCategoricalAccuracy(2)([[0, 0, 1], [1, 0, 0]], [[0.1, 0.6, 0.3], [0.1, 0.6, 0.3]])
        0.5
    """

    _row = "top_k_categorical_accuracy"

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None):
        super().__init__(name, dtype)
        self.k = checks.integer("TopKCategoricalAccuracy: k", k)


class SparseTopKCategoricalAccuracy(RowMetric):
    """Share of rows in which fewer than k predictions are larger than that of the label.

    Args:
        k: at least 1.
        name, dtype: as for every `Metric`.
        from_sorted_ids: predictions are labels, the best one first, of which the first k count.

    Raises:
        ValueError: k is not a positive integer.

    Example:
        >>> metrics.SparseTopKCategoricalAccuracy(2)([2, 0], [[0.1, 0.6, 0.3], [0.1, 0.6, 0.3]])
        0.5
    """

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ):
        super().__init__(name, dtype)
        self.k = checks.integer("SparseTopKCategoricalAccuracy: k", k)
        self.from_sorted_ids = checks.flag("SparseTopKCategoricalAccuracy: from_sorted_ids", from_sorted_ids)
        self._row = f"{'sorted' if self.from_sorted_ids else 'sparse'}_top_k_categorical_accuracy"


class _OfAxis(RowMetric):
    """A metric of rows along an axis."""

    def __init__(self, name: str, dtype: Any, axis: int):
        super().__init__(name, dtype)
        self.axis = check_axis(f"{type(self).__name__}: axis", axis)


class CosineSimilarity(_OfAxis):
    """Mean of sum(y_true y_pred) / (|y_true| |y_pred|) over an axis: 1 where they agree.

    Args:
        name, dtype: as for every `Metric`.
        axis: the axis of the rows; the batch is axis 0.

    Raises:
        ValueError: predictions lack the axis.

    Example:
        >>> round(metrics.CosineSimilarity()([[0.0, 1.0]], [[3.0, 4.0]]), 4)
        0.8
    """

    _row = "cosine_similarity"

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1):
        super().__init__(name, dtype, axis)


class PearsonCorrelation(_OfAxis):
    """Mean of cov(y_true, y_pred) / (std(y_true) std(y_pred)) over an axis; NaN where a row is constant.

    Args:
        name, dtype: as for every `Metric`.
        axis: the axis of the rows; the batch is axis 0.

    Raises:
        ValueError: predictions lack the axis.

    Example:
        >>> round(metrics.PearsonCorrelation()([[0.0, 1.0, 0.5]], [[0.1, 0.9, 0.2]]), 4)
        0.9177
    """

    _row = "pearson_correlation"

    def __init__(self, name: str = "pearson_correlation", dtype: Any = None, axis: int = -1):
        super().__init__(name, dtype, axis)


class ConcordanceCorrelation(_OfAxis):
    """Mean of 2 cov / (var(y_true) + var(y_pred) + (mean(y_true) - mean(y_pred))²) over an axis; Lin 1989.

    Args:
        name, dtype: as for every `Metric`.
        axis: the axis of the rows; the batch is axis 0.

    Raises:
        ValueError: predictions lack the axis.

    Example:
        >>> round(metrics.ConcordanceCorrelation()([[0.0, 1.0, 0.5]], [[0.1, 0.9, 0.2]]), 4)
        0.8791
    """

    _row = "concordance_correlation"

    def __init__(self, name: str = "concordance_correlation", dtype: Any = None, axis: int = -1):
        super().__init__(name, dtype, axis)


class RootMeanSquaredError(RowMetric):
    """√mean((y_pred - y_true)²) over all elements.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> metrics.RootMeanSquaredError()([[0.0], [0.0]], [[1.0], [7.0]])
        5.0
    """

    direction = "down"
    _row, elements = "mean_squared_error", True
    masked = False  # as in Keras, where the squares lose the mask

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None):
        super().__init__(name, dtype)

    def value(self, state):
        return math.sqrt(super().value(state))


class LossMetric(MeanOfRows):
    """A loss as a metric.

    Args:
        loss: the loss.
        name: by default the loss's.
        dtype: accepted.
    """

    direction: str | None = "down"
    _supplied = ("loss",)

    def __init__(self, loss: losses.Loss, name: str | None = None, dtype: Any = None):
        super().__init__(name or loss.name, dtype)
        self.loss, self.ignore_class = loss, loss.ignore_class

    @property
    def axis(self) -> Any:  # type: ignore[override]
        """That of the loss."""
        return self.loss.axis

    @property
    def sparse(self) -> bool:  # type: ignore[override]
        return self.loss.sparse

    @property
    def elements(self) -> bool:  # type: ignore[override]
        """Of a mean over elements, predictions of one axis are rows of one element, as for scikit-learn."""
        return self.loss.weighs_elements

    @property
    def weighs_elements(self) -> bool:  # type: ignore[override]
        return self.loss.weighs_elements and type(self).values is LossMetric.values

    def values(self, plan, y_pred, y_true):
        return self.loss.values(plan, y_pred, y_true)

    def row_weights(self, plan, y_true, sample_weight):
        """As in Keras, rows with the ignored label do not count if there are weights; otherwise they count as 0."""
        return losses.loss.product(plan, sample_weight, self.loss.counted_rows(plan, y_true, sample_weight.dtype))


class MeanMetricWrapper(LossMetric):
    """The mean of a function of two numbers over the last axis, and over all rows.

    Args:
        fn: a plain function ``f(y_true, y_pred)``, a name, or a loss.
        name: by default the function's.
        dtype: accepted.
        parameters: values of the function's further arguments.

    Raises:
        ValueError: the function cannot become a kernel.

    Example:
        >>> metrics.MeanMetricWrapper(losses.mean_squared_error, name="mine")([[0.0], [0.0]], [[1.0], [2.0]])
        2.5
    """

    direction = None

    def __init__(self, fn: Callable | str | losses.Loss, name: str | None = None, dtype: Any = None, **parameters: Any):
        super().__init__(losses.get(fn, gradient=False, **parameters), name, dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal metric."""
        if "fn" not in argument_names(type(self)):  # a subclass that gives the function itself
            return super().get_config()
        return {"fn": losses.serialize(self.loss), "name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MeanMetricWrapper:
        """The metric that `get_config` described."""
        if "fn" not in argument_names(cls):
            return super().from_config(config)
        return cls(losses.deserialize(config["fn"]), config.get("name"), config.get("dtype"))
