"""Metrics of given values: means, sums, and the results of functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet.arrays import as_array
from fastnet.metrics.metric import Metric


class _OfValues(Metric):
    """Adds given numbers. It has neither targets nor predictions, and is not for models."""

    _rows = False  # whether each row counts by its mean, as one number

    def __init__(self, name: str, dtype: Any):
        super().__init__(dtype, name)
        self.total = self.add_weight(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add values, each times its weight."""
        values = as_array(values, "values").astype(np.float64, copy=False)
        weight = np.broadcast_to(self._matched(sample_weight, values), values.shape)
        elements = max(math.prod(values.shape[1:]), 1) if self._rows else 1
        self.total.assign_add((values * weight).sum() / elements)
        self._count(weight.sum() / elements)

    def _count(self, weights: float) -> None:
        """Add the weights of values."""

    def _matched(self, sample_weight: Any, values: np.ndarray) -> np.ndarray:
        if sample_weight is None:
            return np.ones(())
        weight: np.ndarray = as_array(sample_weight, "sample_weight").astype(np.float64, copy=False)
        if weight.ndim == values.ndim + 1 and weight.shape[-1] == 1:
            weight = weight[..., 0]
        weight = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
        sizes: tuple[int, ...] = weight.shape
        if weight.ndim != values.ndim or any(size not in (1, full) for size, full in zip(sizes, values.shape)):
            raise ValueError(
                f"The metric {self.name!r} received weights of shape {np.shape(sample_weight)} for values of shape "
                f"{values.shape}."
            )
        return weight

    def result(self) -> float:
        """The number so far; 0 without values."""
        return self._number()

    def _number(self) -> float:
        return float(self.total)

    def size(self, shape):
        raise ValueError(
            f"The metric {type(self).__name__} adds up values and knows no targets: it is not for compile(). A "
            "subclass whose update_state(y_true, y_pred, sample_weight=None) computes values of them is."
        )


class Mean(_OfValues):
    """The weighted mean of values: sum(value * weight) / sum(weight); 0 without values.

    As in Keras, of values with several axes each row counts once, by its mean.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> import fastnet
        >>> fastnet.metrics.Mean()([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
        2.0
    """

    _rows = True

    def __init__(self, name: str = "mean", dtype: Any = None):
        super().__init__(name, dtype)
        self.weights = self.add_weight(name="count")

    def _count(self, weights: float) -> None:
        self.weights.assign_add(weights)

    def _number(self) -> float:
        return float(self.total / self.weights) if float(self.weights) else 0.0


class Sum(_OfValues):
    """The weighted sum of values.

    Args:
        name, dtype: as for every `Metric`.

    Example:
        >>> metrics.Sum()([1, 3, 5, 7])
        16.0
    """

    def __init__(self, name: str = "sum", dtype: Any = None):
        super().__init__(name, dtype)


class ArrayMetric(Mean):
    """The mean of the results of a function of a batch's arrays, as Keras averages them.

    If the function returns numbers for each row, the mean of each row counts once, or by its weight. If it returns one
    number, this counts once for each batch, or by the sum of its rows' weights. `compile` makes one of a function that
    is not a formula of two numbers.

    Args:
        fn: ``fn(y_true, y_pred)`` of NumPy arrays, which returns a number, or an array whose first axis is the rows.
        name: by default the function's.
        dtype: accepted.

    Raises:
        ValueError: when called, the function raises an error.

    Example:
        >>> import numpy as np, fastnet
        >>> def largest_error(y_true, y_pred):
        ...     return np.abs(y_true - y_pred).max(axis=-1)
        >>> fastnet.metrics.ArrayMetric(largest_error)(np.zeros((2, 2)), np.array([[1, 2], [3, 4]]))
        3.0
    """

    masked = True
    _refused = ""  # the reason for which the function is not a formula of two numbers, if that was tried

    def __init__(self, fn: Callable, name: str | None = None, dtype: Any = None):
        super().__init__(name or fn.__name__, dtype)
        self.fn = fn

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add the function's results for these arrays."""
        y_true, y_pred = as_array(y_true, "y_true"), as_array(y_pred, "y_pred")
        try:
            values = as_array(self.fn(y_true, y_pred), "what it returns").astype(np.float64)
        except Exception as error:
            raise ValueError(
                f"The metric {self.name!r} raised {type(error).__name__}: {error} It was called with arrays of the "
                f"shapes {y_true.shape} (targets) and {y_pred.shape} (predictions). {self._refused}".rstrip()
            ) from error
        if sample_weight is not None and values.ndim == 0:
            values = np.broadcast_to(values, np.shape(sample_weight))
        super().update_state(values, sample_weight)
