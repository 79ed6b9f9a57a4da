"""Metrics, counted inside the runner: their values follow the batches without a copy to Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnet import losses
from fastnet._kernels.generate import Kernel
from fastnet._kernels.registry import unknown
from fastnet._kernels.templates import rows
from fastnet.engine.plan import Buffer, Plan


class Metric:
    """A number for each row, averaged over all rows of an epoch. Subclasses define `values`.

    Args:
        name: its key in the logs.
        dtype: accepted; metrics are summed in float64.
    """

    def __init__(self, name: str, dtype: str | None = None):
        self.name = name

    sparse: bool | None = False  # a target is a class index; None: whichever the loss takes

    def values(self, plan: Plan, y_pred: Buffer, y_true: Buffer) -> Buffer:
        """Add the launch that computes the number of each row."""
        raise NotImplementedError(f"{type(self).__name__} defines no values(plan, y_pred, y_true).")

    def __repr__(self) -> str:
        return f"<metric {self.name}>"


def _matches(template, plan: Plan, y_pred: Buffer, **arguments: Any) -> Buffer:
    width, inner = losses.split(y_pred.shape)
    matches = plan.buffer((inner,), y_pred.dtype)
    kernel = Kernel(template, dtype=y_pred.dtype)
    plan.rows(kernel, inner, 1000 * width, y_pred=y_pred, matches=matches, width=width, **arguments)
    return matches


class BinaryAccuracy(Metric):
    """Share of elements on the right side of ``threshold``."""

    def __init__(self, name: str = "binary_accuracy", dtype: str | None = None, threshold: float = 0.5):
        super().__init__(name, dtype)
        if not 0 <= threshold <= 1:
            raise ValueError(f"BinaryAccuracy: threshold must lie in [0, 1], received {threshold!r}.")
        self.threshold = float(threshold)

    def values(self, plan, y_pred, y_true):
        return _matches(rows.binary_matches, plan, y_pred, y_true=y_true, threshold=self.threshold)


class CategoricalAccuracy(Metric):
    """Share of rows whose largest prediction stands where the largest target stands."""

    def __init__(self, name: str = "categorical_accuracy", dtype: str | None = None):
        super().__init__(name, dtype)

    def values(self, plan, y_pred, y_true):
        return _matches(rows.dense_matches, plan, y_pred, y_true=y_true)


class SparseCategoricalAccuracy(Metric):
    """Share of rows whose largest prediction stands at the label."""

    sparse = True

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: str | None = None):
        super().__init__(name, dtype)

    def values(self, plan, y_pred, y_true):
        return _matches(rows.sparse_matches, plan, y_pred, labels=y_true)


class LossMetric(Metric):
    """A loss as a metric."""

    def __init__(self, loss: losses.Loss, name: str | None = None):
        super().__init__(name or loss.name)
        self.loss = loss
        self.sparse = loss.sparse

    def values(self, plan, y_pred, y_true):
        return self.loss.values(plan, y_pred, y_true)


def MeanSquaredError(name: str = "mean_squared_error", dtype: str | None = None) -> LossMetric:
    """mean((y_pred - y_true)²) as a metric."""
    return LossMetric(losses.MeanSquaredError(), name)


def MeanAbsoluteError(name: str = "mean_absolute_error", dtype: str | None = None) -> LossMetric:
    """mean(|y_pred - y_true|) as a metric."""
    return LossMetric(losses.MeanAbsoluteError(), name)


_CLASSES = {
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
}
_NAMES = ("accuracy", "acc")


def get(identifier: Any, y_shape: tuple[int, ...] | None = None, sparse: bool = False) -> Metric:
    """The metric of a name or an object.

    Args:
        identifier: a name, a `Metric`, or a loss. "accuracy" is binary, sparse or categorical accuracy, whichever
            the predictions and targets call for, as in Keras.
        y_shape: shape of one sample's prediction, needed for "accuracy".
        sparse: whether the targets are class indices.

    Raises:
        ValueError: an unknown name; offers the nearest known ones.
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        made: Callable[[], Metric] = identifier
        return made()
    if not isinstance(identifier, str):
        return LossMetric(losses.get(identifier))
    if identifier in _NAMES:
        if y_shape is None or (y_shape[-1:] in ((), (1,))):
            return BinaryAccuracy(identifier)
        return SparseCategoricalAccuracy(identifier) if sparse else CategoricalAccuracy(identifier)
    if identifier in _CLASSES:
        return _CLASSES[identifier](identifier)
    try:
        return LossMetric(losses.get(identifier), identifier)
    except ValueError:
        raise ValueError(unknown("metric", identifier, [*_NAMES, *_CLASSES, *losses._CLASSES])) from None
