"""Losses of the overlap of targets and predictions, summed over a batch or over each row."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from fastnet import checks
from fastnet._kernels import registry
from fastnet._kernels.rules import row_losses
from fastnet._kernels.rules import scalars as rules
from fastnet._kernels.templates import folds
from fastnet.engine.view import View, axes_of
from fastnet.losses.axes import check_axis
from fastnet.losses.loss import Loss
from fastnet.losses.rowwise import RowFunction
from fastnet.symbolic.array import SymbolicArray
from fastnet.symbolic.functions import FUNCTIONS as ops

_MEAN = "sum_over_batch_size"
_EPSILON = 1e-7
_ROW = registry.Loss("overlap", row=row_losses.overlap, targets="raw")


def _axis(what: str, value: Any) -> Any:
    """``value`` as None, an axis or a list of several."""
    if isinstance(value, (tuple, list)):
        return [check_axis(what, each) for each in value] if len(value) != 1 else check_axis(what, value[0])
    return None if value is None else check_axis(what, value)


class _Overlap(Loss):
    """1 - scale B / D of the sums B, T, P of y_true y_pred, y_true and y_pred, where D is a sum of multiples of them.

    Without an axis the sums are over the batch. Its loss then stands for each row: their mean is this number, and with
    weights it is multiplied by the mean of these, as in Keras.
    """

    _checks = Loss._checks | {"axis": _axis}
    _of_no_rows = 1.0

    @property
    def row(self) -> registry.Loss:
        return _ROW

    @property
    def function(self) -> RowFunction:
        return RowFunction(_ROW, self.coefficients)

    @property
    def coefficients(self) -> tuple[float, float, float, float]:
        """The scale, and the factors of B, T and P in D."""
        raise NotImplementedError

    def _is_one(self, y_pred: View, y_true: View) -> bool:
        return self.axis is None

    def _values(self, plan, y_pred, y_true, gradient=False, row_weight=None):
        if self.axis is not None:
            return super()._values(plan, y_pred, y_true, gradient, row_weight)
        count = math.prod(axes_of(y_pred)[0])
        sums = {name: plan.chunk_sums(count) for name in ("both", "targets", "predictions")}
        plan.call(folds.sum_overlaps, x=y_pred, t=y_true, **sums)
        numbers = {name: plan.slot() for name in ("value", "slope", "offset")}
        plan.call(folds.overlap_numbers, f=rules.overlap, count=count, p=list(self.coefficients), **sums, **numbers)
        values = plan.buffer((y_pred.row_count,), y_pred.dtype)
        plan.call(folds.filled, y=values, number=numbers["value"])
        if not gradient:
            return values, None
        if row_weight is None:
            row_weight = plan.like(values)
            plan.call(folds.divide_by_count, y=row_weight, factor=1.0, count=math.prod(axes_of(values)[0]))
        chunk_sums, rows = plan.sums(folds.sum_weighted, values=row_weight)
        factor, dy = plan.slot(), plan.like(y_pred)
        plan.call(folds.total_of, f=rules.unchanged, chunk_sums=chunk_sums, count=rows, result=factor, p=[])
        plan.call(folds.line, t=y_true, y=dy, slope=numbers["slope"], offset=numbers["offset"], factor=factor)
        return values, dy

    def of_symbols(self, y_true: Any, y_pred: Any) -> SymbolicArray:
        """Its formula of arrays, of whole arrays without an axis."""
        scale, *factors = self.coefficients
        sums = [ops["sum"](x, axis=self.axis) for x in (y_true * y_pred, y_true, y_pred)]
        both, targets, predictions = (factor * x for factor, x in zip(factors, sums, strict=True))
        return 1.0 - scale * sums[0] / (both + targets + predictions + _EPSILON)


class Dice(_Overlap):
    """1 - 2 sum(y_true y_pred) / (sum(y_true) + sum(y_pred) + 1e-7), over the batch; Dice 1945.

    Args:
        reduction, name: as for every `Loss`.
        axis: None, for sums over the batch; or an axis of samples, or several, for sums over these.
        dtype: as for every `Loss`.

    Raises:
        ValueError: samples lack an axis.

    Example:
        >>> round(losses.Dice()([[1.0, 0.0], [1.0, 0.0]], [[0.5, 0.5], [0.5, 0.0]]), 4)  # 1 - 2 · 1 / (2 + 1.5)
        0.4286
    """

    def __init__(self, reduction: str | None = _MEAN, name: str = "dice", axis: Any = None, dtype: Any = None):
        super().__init__(name, reduction, dtype)
        self.axis = axis

    @property
    def coefficients(self) -> tuple[float, float, float, float]:
        return 2.0, 0.0, 1.0, 1.0


class Tversky(_Overlap):
    """1 - B / (B + alpha sum(y_true (1 - y_pred)) + beta sum((1 - y_true) y_pred) + 1e-7), B = sum(y_true y_pred).

    With alpha = beta = ½ it is `Dice`; Salehi et al. 2017, arXiv:1706.05721.

    Args:
        alpha, beta: finite numbers.
        reduction, name: as for every `Loss`.
        axis: None, for sums over the batch; or an axis of samples, or several, for sums over these.
        dtype: as for every `Loss`.

    Raises:
        ValueError: samples lack an axis, or a number that is not finite.

    Example:
        >>> round(losses.Tversky(0.3, 0.7)([[1.0, 0.0], [1.0, 0.0]], [[0.5, 0.5], [0.5, 0.0]]), 4)
        0.3939
    """

    _ranges: ClassVar = {"alpha": checks.FINITE, "beta": checks.FINITE}

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = _MEAN,
        name: str = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ):
        super().__init__(name, reduction, dtype)
        self.alpha, self.beta, self.axis = alpha, beta, axis

    @property
    def coefficients(self) -> tuple[float, float, float, float]:
        return 1.0, 1.0 - self.alpha - self.beta, self.alpha, self.beta


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Any:
    """The loss of `Dice` for the batch, or for each row.

    Example:
        >>> float(losses.dice([[1.0, 0.0], [1.0, 0.0]], [[0.5, 0.5], [0.5, 0.0]]).round(4))
        0.4286
    """
    return Dice(axis=axis).per_row(y_true, y_pred)


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Any:
    """The loss of `Tversky` for the batch, or for each row.

    Example:
        >>> float(losses.tversky([[1.0, 0.0], [1.0, 0.0]], [[0.5, 0.5], [0.5, 0.0]], 0.3, 0.7).round(4))
        0.3939
    """
    return Tversky(alpha, beta, axis=axis).per_row(y_true, y_pred)


CLASSES = (Dice, Tversky)
FUNCTIONS = {"dice": dice, "tversky": tversky}
