"""Intersection over union: metrics of a confusion matrix, which counts the labels by class and predicted class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet import checks, losses
from fastnet._kernels.rules import metrics as rules
from fastnet._kernels.templates import counting, labels
from fastnet._kernels.templates.rows import RowTemplate
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.metrics.counts import count
from fastnet.metrics.metric import Metric, safe_divide

_ARGMAX = RowTemplate("argmax", rules.argmax, value=True, element=False)


class IoU(Metric):
    """tp / (tp + fp + fn) of each class, averaged over some classes; classes that are nowhere do not count.

    Args:
        num_classes: at least 1; other labels and predictions do not count.
        target_class_ids: the classes to average over.
        name, dtype: as for every `Metric`.
        ignore_class: a label that does not count.
        sparse_y_true: targets are classes; otherwise rows whose largest element is that of the class.
        sparse_y_pred: predictions are classes; otherwise rows whose largest element is that of the class.
        axis: of the classes of such rows; the batch is axis 0.

    Raises:
        ValueError: an argument outside its range, samples that lack the axis, rows as targets for predictions that are
            classes, or classes that are not whole numbers.

    Example:
        >>> round(metrics.IoU(2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1]), 4)
        0.3333
    """

    direction = "up"
    shape_of_nothing = (1,)

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        super().__init__(dtype, name)
        owner = type(self).__name__
        self.num_classes = checks.integer(f"{owner}: num_classes", num_classes)
        most = self.num_classes - 1
        what = f"{owner}: each of target_class_ids"
        self.target_class_ids = [checks.integer(what, each, 0, most) for each in target_class_ids]
        self.ignore_class = checks.label(f"{owner}: ignore_class", ignore_class)
        self.sparse_y_true = checks.flag(f"{owner}: sparse_y_true", sparse_y_true)
        self.sparse_y_pred = checks.flag(f"{owner}: sparse_y_pred", sparse_y_pred)
        if self.sparse_y_pred and not self.sparse_y_true:
            raise ValueError(
                f"{owner}: targets that are rows (sparse_y_true=False) need predictions that are rows; give "
                "y_true.argmax(-1) and sparse_y_true=True, or sparse_y_pred=False."
            )
        self.axis = losses.axes.check_axis(f"{owner}: axis", axis)

    @property
    def sparse(self) -> bool:  # type: ignore[override]
        """Whether targets are classes, and predictions rows; where both are alike, targets have their shape."""
        return self.sparse_y_true and not self.sparse_y_pred

    @property
    def row_axis(self) -> Any:
        """Where predictions are classes, there are no rows of them."""
        return -1 if self.sparse_y_pred else self.axis

    @property
    def elements(self) -> bool:  # type: ignore[override]
        return self.sparse_y_pred

    @property
    def weighs_elements(self) -> bool:  # type: ignore[override]
        """Where each prediction is a class; a row of scores has one weight."""
        return self.sparse_y_pred

    @property
    def checks_targets(self) -> bool:  # type: ignore[override]
        """Where a loss does not check labels."""
        return self.sparse_y_pred

    def check_targets(self, y_true):
        if self.sparse_y_pred:
            self._check_whole("targets", y_true, "Round them")

    def check_predictions(self, y_pred):
        if self.sparse_y_pred:
            remedy = (
                "For probabilities use BinaryIoU(threshold=...), for rows of them sparse_y_pred=False; or round them"
            )
            self._check_whole("predictions", y_pred, remedy)

    def _check_whole(self, what: str, values: np.ndarray, remedy: str) -> None:
        """Refuse fractions, which would be cut off; NaN is not counted."""
        if values.dtype.kind == "f" and (other := (values != np.floor(values)) & (values == values)).any():
            index = tuple(np.argwhere(other)[0])
            raise ValueError(
                f"The metric {self.name!r} counts classes, and needs whole numbers as {what}; received "
                f"{values[index]} (row {index[0]}). {remedy}."
            )

    def counted_variables(self) -> dict[str, Any]:
        """The weights of pairs of classes, by true and predicted class."""
        matrix = np.zeros(self.num_classes**2) if self._state is None else self._state
        return {"total_confusion_matrix": matrix.reshape(self.num_classes, self.num_classes)}

    def size(self, shape):
        return self.num_classes**2

    def count(self, plan, y_pred, y_true, sample_weight, state):
        weights = None if y_true.weights is None else y_true.weights.as_rows
        y_true = self._values(plan, y_true, y_pred.dtype) if self.sparse else self._classes(plan, y_true)
        count(
            plan, counting.confusion, self._classes(plan, y_pred), self.num_classes**2, state, y_true=y_true.as_rows,
            weights=sample_weight, element_weights=weights, classes=self.num_classes,
            ignored=-1 if self.ignore_class is None else self.ignore_class,
        )  # fmt: skip

    def _classes(self, plan: Plan, values: View) -> View:
        """The class of each element, or of each row."""
        if self.sparse_y_pred:
            return values
        result = plan.buffer((values.row_count,), values.dtype)
        _ARGMAX.call(plan, x=values.as_rows, loss=result)
        return result.view((values.row_count, 1))

    def _values(self, plan: Plan, y_true: View, dtype: str) -> View:
        result = plan.buffer((y_true.width,), dtype)
        plan.call(labels.labels_as_values, labels=y_true, values=result)
        return result.view((y_true.width, 1))

    def value(self, state):
        matrix = state.reshape(self.num_classes, self.num_classes)  # by true and predicted class
        hits = matrix.diagonal()
        union = (matrix.sum(0) + matrix.sum(1) - hits)[self.target_class_ids]
        return float(safe_divide(safe_divide(hits[self.target_class_ids], union).sum(), np.count_nonzero(union)))


class BinaryIoU(IoU):
    """`IoU` of the classes 0 and 1, where predictions of at least ``threshold`` are class 1.

    Args:
        target_class_ids: of 0 and 1.
        threshold: a finite number.
        name, dtype: as for every `Metric`.

    Raises:
        ValueError: another class, or another threshold.

    Example:
        >>> round(metrics.BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7]), 4)
        0.3333
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = checks.number("BinaryIoU: threshold", threshold)

    def check_predictions(self, y_pred):
        """Any number is below the threshold or not."""

    def count(self, plan, y_pred, y_true, sample_weight, state):
        above = plan.like(y_pred)
        plan.call(labels.is_at_least, x=y_pred, y=above, threshold=self.threshold)
        super().count(plan, above, y_true, sample_weight, state)


class MeanIoU(IoU):
    """`IoU` averaged over all classes.

    Args:
        num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis: as of `IoU`.

    Example:
        >>> round(metrics.MeanIoU(2)([0, 0, 1, 1], [0, 1, 0, 1]), 4)
        0.3333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        classes = range(checks.integer(f"{type(self).__name__}: num_classes", num_classes))
        super().__init__(num_classes, classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


class OneHotIoU(IoU):
    """`IoU` of targets that are one-hot rows, and predictions that are rows.

    Args:
        num_classes, target_class_ids, name, dtype, ignore_class, sparse_y_pred, axis: as of `IoU`.

    Example:
        >>> y_true, y_pred = [[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]
        >>> metrics.OneHotIoU(2, target_class_ids=[0])(y_true, y_pred)
        0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """`OneHotIoU` averaged over all classes.

    Args:
        num_classes, name, dtype, ignore_class, sparse_y_pred, axis: as of `IoU`.

    Example:
        >>> y_true, y_pred = [[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]
        >>> metrics.OneHotMeanIoU(2)(y_true, y_pred)
        0.5
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
