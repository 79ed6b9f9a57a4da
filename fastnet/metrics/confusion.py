"""Metrics that follow from the counts of true and false labels over thresholds: counts, precision, recall, areas.

The kernel sorts each prediction into a histogram by the number of thresholds that it exceeds; all counts at all
thresholds are sums over parts of it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastnet import activations, checks, config
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import counting as templates
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View
from fastnet.metrics.counts import count
from fastnet.metrics.metric import Metric, as_number, safe_divide

LEFT_OUT = -1e10  # Keras's value for a prediction that is not among the k largest
#: names of Keras's variables → those of `Counts.counted`
_COUNTED = {"true_positives": "tp", "false_positives": "fp", "true_negatives": "tn", "false_negatives": "fn"}


class Counts(Metric):
    """A histogram of true and false labels over thresholds.

    Args:
        thresholds: in any order.
        name, dtype: as for every `Metric`.
        top_k: count only the k largest predictions of a row.
        class_id: count only this column.
    """

    weighs_elements = True
    per_label = False  # whether each column has its own histogram
    from_logits = False
    label_weights: Any = None
    init_thresholds: Any = None  # the argument
    _has_warned = False
    #: Keras's variables
    _variable_names: ClassVar[tuple[str, ...]] = tuple(_COUNTED)

    def __init__(self, thresholds: Any, name: str | None, dtype: Any, top_k: Any = None, class_id: Any = None):
        super().__init__(dtype, name)
        self.top_k = None if top_k is None else checks.integer(f"{type(self).__name__}: top_k", top_k)
        self.class_id = None if class_id is None else checks.integer(f"{type(self).__name__}: class_id", class_id, 0)
        self._limits = np.atleast_1d(np.asarray(thresholds, np.float64))
        self._order = np.argsort(self._limits, kind="stable")

    @property
    def elements(self) -> bool:  # type: ignore[override]
        """Predictions of one axis are rows of one class; with ``top_k`` they are one row of classes."""
        return self.top_k is None

    @property
    def shape_of_nothing(self) -> tuple[int, ...]:  # type: ignore[override]
        """As many columns as it looks at."""
        return (1 if self.class_id is None else self.class_id + 1,)

    @property
    def thresholds(self) -> list[float]:
        """All thresholds, in the given order."""
        return self._limits.tolist()

    def counted_variables(self) -> dict[str, Any]:
        """The counts at each threshold."""
        return {name: self._so_far(_COUNTED[name]) for name in self._variable_names}

    def _so_far(self, which: str) -> np.ndarray:
        return np.zeros(len(self._limits)) if self._state is None else self.counted(self._state)[which]

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        config = super().get_config()
        return config | ({"thresholds": self.init_thresholds} if "thresholds" in config else {})

    def check_targets(self, y_true):
        """Warn, once, of probabilities and signs: as in Keras, each target other than 0 counts as a positive label."""
        if self._has_warned or y_true.dtype.kind not in "fi":
            return
        other = (y_true < 0) | (y_true != np.floor(y_true))
        if other.any():
            self._has_warned = True
            index = tuple(np.argwhere(other)[0])
            checks.warn(
                f"The metric {self.name!r} counts each target other than 0 as a positive label; a target is "
                f"{y_true[index]} (row {index[0]}). Give labels of 0 and 1, such as y > 0.5."
            )

    def size(self, shape):
        width = _columns(shape)
        if self.class_id is not None and self.class_id >= width:
            raise ValueError(
                f"The metric {self.name!r} looks at class {self.class_id}, but predictions have {width} columns."
            )
        if self.label_weights is not None and len(self.label_weights) != width:
            raise ValueError(
                f"The metric {self.name!r} has {len(self.label_weights)} label_weights, but predictions have {width} "
                "columns."
            )
        return 2 * (len(self._limits) + 1) * (width if self.per_label else 1)

    def count(self, plan: Plan, y_pred: View, y_true: View, sample_weight: View | None, state: Slot) -> None:
        width, dtype = _columns(y_pred.shape), y_pred.dtype
        if self.from_logits:
            y_pred = activations.get("sigmoid").forward(plan, y_pred)
        if self.top_k is not None:
            best = plan.buffer(y_pred.shape, dtype)
            plan.call(templates.only_top_k, x=y_pred.as_rows, y=best.as_rows, k=self.top_k)
            y_pred = best
        first, last = (0, width) if self.class_id is None else (self.class_id, self.class_id + 1)
        columns = np.ones(width) if self.label_weights is None or self.per_label else np.asarray(self.label_weights)
        length = self.size(y_pred.shape)
        count(
            plan, templates.histogram, y_pred, length, state, y_true=y_true.as_rows, weights=sample_weight,
            element_weights=None if y_true.weights is None else y_true.weights.as_rows,
            label_weights=Variable(columns.astype(dtype), "label_weights"),
            thresholds=Variable(self._limits[self._order].astype(dtype), "thresholds"),
            even=self._even(), first=first, last=last, per_label=self.per_label,
        )  # fmt: skip

    def _even(self) -> int:
        """Whether thresholds stand at equal distances from 0 to 1 (1) or a little beyond (2): Keras then rounds
        instead of comparing."""
        number = len(self._limits)
        if number < 3 or not np.allclose(self._limits, np.arange(number) / (number - 1), atol=config.epsilon()):
            return 0
        return 2 if self._limits[0] < 0 or self._limits[-1] > 1 else 1

    def counted(self, state: np.ndarray) -> dict[str, np.ndarray]:
        """True and false positives and negatives at each threshold, in the given order; (thresholds, columns) if each
        column has its own histogram."""
        number = len(self._limits)
        histogram = state.reshape(-1, 2, number + 1)
        below = np.cumsum(histogram, -1)[..., :-1]
        above = np.cumsum(histogram[..., ::-1], -1)[..., -2::-1]
        rank = np.empty(number, np.int64)
        rank[self._order] = np.arange(number)
        pick = {"tp": above[:, 0], "fp": above[:, 1], "fn": below[:, 0], "tn": below[:, 1]}
        return {key: (value[:, rank].T if self.per_label else value[0, rank]) for key, value in pick.items()}


def _count_of(key: str) -> property:
    return property(lambda counts: counts._so_far(key), doc="At each threshold.")


for _name, _key in _COUNTED.items():
    setattr(Counts, _name, _count_of(_key))


class _OneCount(Counts):
    _which = ""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None):
        super().__init__(_thresholds(type(self).__name__, thresholds, 0.5), name, dtype)
        self.init_thresholds = _as_given(thresholds)

    def counted_variables(self) -> dict[str, Any]:
        """The count at each threshold."""
        return {"accumulator": self._so_far(self._which)}

    def value(self, state):
        return _one_or_all(self.counted(state)[self._which])


class TruePositives(_OneCount):
    """The weight of positive labels whose prediction exceeds the threshold.

    Args:
        thresholds: in [0, 1], a number or several; 0.5 by default. Of several the result is an array.
        name, dtype: as for every `Metric`.

    Raises:
        ValueError: a threshold outside [0, 1].

    Example:
        >>> metrics.TruePositives()([1, 0, 1, 1], [0.9, 0.8, 0.7, 0.1])
        2.0
    """

    _which = "tp"


class FalsePositives(_OneCount):
    """The weight of negative labels whose prediction exceeds the threshold; arguments as of `TruePositives`.

    Example:
        >>> metrics.FalsePositives()([1, 0, 1, 1], [0.9, 0.8, 0.7, 0.1])
        1.0
    """

    _which = "fp"


class TrueNegatives(_OneCount):
    """The weight of negative labels whose prediction does not exceed the threshold; see `TruePositives`.

    Example:
        >>> metrics.TrueNegatives()([1, 0, 1, 1], [0.9, 0.8, 0.7, 0.1])
        0.0
    """

    _which = "tn"


class FalseNegatives(_OneCount):
    """The weight of positive labels whose prediction does not exceed the threshold; see `TruePositives`.

    Example:
        >>> metrics.FalseNegatives()([1, 0, 1, 1], [0.9, 0.8, 0.7, 0.1])
        1.0
    """

    _which = "fn"


class _Ratio(Counts):
    """True positives divided by the sum of true positives and another count."""

    direction = "up"
    _beside = ""

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        default = 0.5 if top_k is None else LEFT_OUT
        super().__init__(_thresholds(type(self).__name__, thresholds, default), name, dtype, top_k, class_id)
        self.init_thresholds = _as_given(thresholds)

    def value(self, state):
        counted = self.counted(state)
        return _one_or_all(safe_divide(counted["tp"], counted["tp"] + counted[self._beside]))


class Precision(_Ratio):
    """Share of correct ones among the positive predictions: tp / (tp + fp).

    Args:
        thresholds: in [0, 1], a number or several; 0.5 by default. Of several the result is an array.
        top_k: the k largest predictions of a row are the positive ones.
        class_id: count only this column.
        name, dtype: as for every `Metric`.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> round(metrics.Precision()([1, 0, 1, 1], [0.9, 0.8, 0.7, 0.1]), 4)
        0.6667
    """

    _beside = "fp"
    _variable_names = ("true_positives", "false_positives")


class Recall(_Ratio):
    """Share of positive labels that were predicted as positive: tp / (tp + fn); arguments as of `Precision`.

    Example:
        >>> round(metrics.Recall()([1, 0, 1, 1], [0.9, 0.8, 0.7, 0.1]), 4)
        0.6667
    """

    _beside = "fn"
    _variable_names = ("true_positives", "false_negatives")


class AUC(Counts):
    """The area under a curve through the points of all thresholds.

    Args:
        num_thresholds: at least 2, at equal distances from 0 to 1.
        curve: "ROC" (true positive rate over false positive rate), "PR" (precision over recall), or "PRGAIN" (precision
            gain over recall gain; Flach and Kull 2015).
        summation_method: "interpolation" (trapezoids; of "PR" as Davis and Goadrich 2006 do), "minoring" or "majoring"
            (the lower or the higher end of each step).
        name, dtype: as for every `Metric`.
        thresholds: instead of num_thresholds, numbers in [0, 1].
        multi_label: an area for each column, then their mean.
        num_labels: the number of columns, with multi_label; None finds it.
        label_weights: weight of each column.
        from_logits: predictions are logits.

    Raises:
        ValueError: an argument outside its range.

    Example:
        >>> round(metrics.AUC()([1, 0, 1, 1], [0.9, 0.8, 0.7, 0.1]), 4)
        0.3333
    """

    direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ):
        given = self.init_thresholds = None if thresholds is None else sorted(_thresholds("AUC", thresholds, 0.5))
        if given is None:
            num_thresholds = checks.integer("AUC: num_thresholds", num_thresholds, 2)
        if num_labels is not None and not multi_label:
            raise ValueError("AUC: num_labels is of use with multi_label=True only; leave it out.")
        self.num_thresholds = num_thresholds if given is None else len(given) + 2
        last = self.num_thresholds - 1
        interior = [i / last for i in range(1, last)] if given is None else given
        beyond = config.epsilon()  # 0 and 1, as in Keras
        super().__init__([-beyond, *interior, 1 + beyond], name or "auc", dtype)
        self.curve = checks.one_of("AUC: curve", str(curve).upper(), "ROC", "PR", "PRGAIN")
        methods = ("interpolation", "minoring", "majoring")
        self.summation_method = checks.one_of("AUC: summation_method", str(summation_method).lower(), *methods)
        self.multi_label = self.per_label = checks.flag("AUC: multi_label", multi_label)
        self.num_labels, self.from_logits = num_labels, checks.flag("AUC: from_logits", from_logits)
        self.label_weights = None if label_weights is None else _weights(label_weights)

    def size(self, shape):
        if self.num_labels not in (None, _columns(shape)):
            raise ValueError(
                f"The metric {self.name!r} has num_labels={self.num_labels}, but predictions have {_columns(shape)} "
                "columns."
            )
        return super().size(shape)

    def value(self, state):
        counted = self.counted(state)
        area = self._interpolated(**counted) if self._davis_goadrich() else self._riemann(*self._points(**counted))
        if not self.multi_label:
            return float(area)
        return float(np.average(area, weights=self.label_weights))

    def _davis_goadrich(self) -> bool:
        return (self.curve, self.summation_method) == ("PR", "interpolation")

    def _points(self, tp, fp, fn, tn):
        """(x, y) of the curve at each threshold."""
        recall = safe_divide(tp, tp + fn)
        if self.curve == "ROC":
            return safe_divide(fp, fp + tn), recall
        if self.curve == "PR":
            return recall, safe_divide(tp, tp + fp)
        odds = safe_divide(tp + fn, tn + fp)
        recall_gain = np.where(tp == 0, 0.0, 1 - odds * safe_divide(fn, tp))
        return np.maximum(recall_gain, 0), np.where(tp == 0, 1.0, 1 - odds * safe_divide(fp, tp))

    def _riemann(self, x, y):
        fold = {"interpolation": lambda a, b: (a + b) / 2, "minoring": np.minimum, "majoring": np.maximum}
        return ((x[:-1] - x[1:]) * fold[self.summation_method](y[:-1], y[1:])).sum(0)

    def _interpolated(self, tp, fp, fn, tn):
        """Between two points true positives grow in proportion to positives; Davis and Goadrich 2006, eq. 1."""
        positives = tp + fp
        steps = tp[:-1] - tp[1:]
        slope = safe_divide(steps, np.maximum(positives[:-1] - positives[1:], 0))
        intercept = tp[1:] - slope * positives[1:]
        both = (positives[:-1] > 0) & (positives[1:] > 0)
        ratio = np.where(both, safe_divide(positives[:-1], np.maximum(positives[1:], 0)), 1.0)
        return safe_divide(slope * (steps + intercept * np.log(ratio)), np.maximum(tp[1:] + fn[1:], 0)).sum(0)


def _one_or_all(values: np.ndarray) -> Any:
    return as_number(values[0] if len(values) == 1 else values)


def _as_given(thresholds: Any) -> Any:
    """An argument as plain data."""
    return list(map(checks.plain, thresholds)) if np.ndim(thresholds) else checks.plain(thresholds)


def _thresholds(cls: str, thresholds: Any, default: float) -> list[float]:
    if thresholds is None:
        return [default]
    given = list(thresholds) if np.ndim(thresholds) else [thresholds]
    bad = [t for t in given if not checks.is_number(t) or not 0 <= t <= 1]
    if bad or not given:
        raise ValueError(f"{cls}: thresholds must lie in [0, 1], received {quoted(bad[0] if bad else given)}.")
    return [float(t) for t in given]


def _weights(given: Any) -> list[float]:
    what = "AUC: each of label_weights"
    found = [checks.number(what, weight, checks.NOT_NEGATIVE) for weight in (given if np.ndim(given) else [given])]
    if not any(found):
        raise ValueError(f"AUC: label_weights must not all be 0, received {quoted(given)}.")
    return found


def _columns(shape: tuple[int, ...]) -> int:
    return shape[-1] if shape else 1
