"""Metrics at the best of many thresholds: one ratio of the counts, where another one is large enough."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks
from fastnet.metrics.confusion import Counts
from fastnet.metrics.metric import safe_divide

#: name → the count that it divides, and the one that is added to it in the divisor
_RATIOS = {"sensitivity": ("tp", "fn"), "recall": ("tp", "fn"), "specificity": ("tn", "fp"), "precision": ("tp", "fp")}


class _AtThreshold(Counts):
    """The largest of one ratio over the thresholds at which another one is at least a given number; 0 if there is none.

    Args:
        least: the name of the argument with the given number.
        value: the number.
        num_thresholds: of thresholds at equal distances from 0 to 1; 1 for the one threshold ½.
        class_id: count only this column.
        name, dtype: as for every `Metric`.
    """

    direction = "up"
    _largest = ""

    def __init__(
        self, least: str, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any
    ):
        owner = type(self).__name__
        number = checks.integer(f"{owner}: num_thresholds", num_thresholds)
        thresholds = [0.5] if number == 1 else [i / (number - 1) for i in range(number)]
        super().__init__(thresholds, name, dtype, class_id=class_id)
        self.num_thresholds = number
        self._least = least
        setattr(self, least, checks.number(f"{owner}: {least}", value, checks.CLOSED_UNIT))

    def value(self, state):
        counted = self.counted(state)

        def ratio(name):
            count, other = (counted[key] for key in _RATIOS[name])
            return safe_divide(count, count + other)

        feasible = ratio(self._least) >= getattr(self, self._least)
        return float(np.max(ratio(self._largest), where=feasible, initial=0.0))


class SensitivityAtSpecificity(_AtThreshold):
    """The best sensitivity (tp / (tp + fn)) where the specificity (tn / (tn + fp)) is at least the given one.

    Args:
        specificity: in [0, 1].
        num_thresholds: of thresholds at equal distances from 0 to 1; 1 for the one threshold ½.
        class_id: count only this column.
        name, dtype: as for every `Metric`.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> metrics.SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
        0.5
    """

    _largest = "sensitivity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__("specificity", specificity, num_thresholds, class_id, name, dtype)


class SpecificityAtSensitivity(_AtThreshold):
    """The best specificity (tn / (tn + fp)) where the sensitivity (tp / (tp + fn)) is at least the given one.

    Args:
        sensitivity: in [0, 1].
        num_thresholds: of thresholds at equal distances from 0 to 1; 1 for the one threshold ½.
        class_id: count only this column.
        name, dtype: as for every `Metric`.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> round(metrics.SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]), 4)
        0.6667
    """

    _largest = "specificity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__("sensitivity", sensitivity, num_thresholds, class_id, name, dtype)


class PrecisionAtRecall(_AtThreshold):
    """The best precision (tp / (tp + fp)) where the recall (tp / (tp + fn)) is at least the given one.

    Args:
        recall: in [0, 1].
        num_thresholds: of thresholds at equal distances from 0 to 1; 1 for the one threshold ½.
        class_id: count only this column.
        name, dtype: as for every `Metric`.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> metrics.PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
        0.5
    """

    _largest = "precision"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__("recall", recall, num_thresholds, class_id, name, dtype)


class RecallAtPrecision(_AtThreshold):
    """The best recall (tp / (tp + fn)) where the precision (tp / (tp + fp)) is at least the given one.

    Args:
        precision: in [0, 1].
        num_thresholds: of thresholds at equal distances from 0 to 1; 1 for the one threshold ½.
        class_id: count only this column.
        name, dtype: as for every `Metric`.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> metrics.RecallAtPrecision(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
        1.0
    """

    _largest = "sensitivity"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__("precision", precision, num_thresholds, class_id, name, dtype)
