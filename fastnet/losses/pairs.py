"""The circle loss: of all pairs of a batch's rows."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastnet import checks
from fastnet._kernels import registry
from fastnet._kernels.templates import pairs as templates
from fastnet.arrays import as_array, check_labels
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.losses.loss import Loss
from fastnet.ops.composites import labels_of
from fastnet.symbolic.array import ShapeError, SymbolicArray, TracingError, shown
from fastnet.symbolic.boundaries import Boundary
from fastnet.symbolic.functions import FUNCTIONS as ops
from fastnet.symbolic.leaves import constant

_ROW = registry.Loss("circle", targets="group")


class Circle(Loss):
    """log(1 + Σ exp(γ (1 + m - d) (1 - m - d)) Σ exp(γ (m + d) (d - m))) of each row; Sun et al. 2020.

    The first sum is over rows of other classes, the second over rows of its class, and d = max(1 - x·x', 0) is the
    distance of two rows, whose length should be 1 (`layers.UnitNormalization`); a factor 1 + m - d or m + d below 0
    counts as 0 (arXiv:2002.10857, eq. 6). Rows that have no other row of their class, or of another class, in the batch
    have the loss 0 and do not count in the mean. A step takes time in proportion to the square of the batch's rows.

    Args:
        gamma: γ, a scale.
        margin: m; pairs of one class are drawn to d < m, others to d > 1 - m.
        remove_diagonal: whether to leave out the pair of a row with itself.
        reduction, name, dtype: as for every `Loss`.

    Raises:
        ValueError: an argument is not a finite number, or not True or False. When it is used: predictions with more
            than one axis a sample, or targets that are not integers, one a row.

    Example:
        >>> x = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8]]
        >>> round(losses.Circle(gamma=2.0)([5, 5, 7, 7], x), 4)
        1.3822
    """

    _checks = Loss._checks | {"remove_diagonal": checks.flag}
    _ranges: ClassVar = {"gamma": checks.FINITE, "margin": checks.FINITE}
    weighs_elements = False

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str = "circle",
        dtype: Any = None,
    ):
        super().__init__(name, reduction, dtype)
        self.gamma, self.margin, self.remove_diagonal = gamma, margin, remove_diagonal

    @property
    def row(self) -> registry.Loss:
        return _ROW

    def counted_rows(self, plan: Plan, y_true: View, dtype: str) -> View:
        """Add the launch that says of each row whether it counts: 1 where it has both kinds of pairs, else 0."""
        counts = plan.buffer((1,), dtype)
        plan.call(templates.has_both_kinds, labels=y_true, counts=counts, diagonal=not self.remove_diagonal)
        return counts

    def of_symbols(self, y_true: Any, y_pred: Any) -> SymbolicArray:
        """The loss of each row as an operation of a formula, with launches of its own.

        Raises:
            ShapeError: targets or predictions have more axes.
        """
        y_pred, y_true = constant(y_pred), constant(y_true)
        labels = labels_of(y_true, y_pred)
        if y_pred.ndim != 2 or not (y_pred.per_row and labels.per_row):
            raise ShapeError(
                f"The loss {self.name!r} compares rows: predictions must have shape (n, units) and targets (n,), "
                f"received {shown(y_pred.shape)} and {shown(y_true.shape)}."
            )
        settings = self.gamma, self.margin, self.remove_diagonal
        return SymbolicArray(_CIRCLE, (labels, y_pred), labels.shape, settings=settings)

    def _counted(self, values: SymbolicArray) -> SymbolicArray:
        return ops["where"](ops["greater"](values, 0.0), 1.0, 0.0)  # as Keras knows rows of one kind of pairs

    def _values(self, plan, y_pred, y_true, gradient=False, row_weight=None):
        values, exponents, slope = self._exponents(plan, y_pred, y_true, y_pred, y_true)
        if not gradient:
            return values, None
        dy = plan.like(y_pred)
        plan.call(
            templates.circle_gradient, x=y_pred, labels=y_true, **exponents, slope=slope, row_weight=row_weight, dx=dy,
            **self._arguments,
        )  # fmt: skip
        return values, dy

    @property
    def _arguments(self) -> dict[str, Any]:
        return {"gamma": self.gamma, "margin": self.margin, "diagonal": not self.remove_diagonal}

    def _exponents(self, plan, y_pred, y_true, others, other_labels):
        """Add the launches of the loss of each row; the exponents it follows from, and its slope by both."""
        if len(y_pred.shape) != 1:
            raise ValueError(
                f"The loss {self.name!r} compares rows: predictions must have shape (n, units), received "
                f"{('n', *y_pred.shape)}. Flatten them first: layers.Flatten().".replace("'n'", "n")
            )
        exponents = {name: plan.buffer((1,), y_pred.dtype) for name in ("positive", "negative")}
        operands = {"x": y_pred, "labels": y_true, "others": others, "other_labels": other_labels}
        plan.call(templates.circle_exponents, **operands, **exponents, **self._arguments)
        values, slope = (plan.buffer((1,), y_pred.dtype) for _ in range(2))
        plan.call(templates.circle_losses, **exponents, loss=values, slope=slope)
        return values, exponents, slope

    def per_row_beside(self, y_true: Any, y_pred: Any, labels: Any, embeddings: Any) -> np.ndarray:
        """The loss of each row, whose pairs are with given rows (m, units) of given labels (m,).

        Raises:
            ValueError: shapes that do not fit.
        """
        once = self._on_arrays(y_true, y_pred)
        others, labels = as_array(embeddings, "ref_embeddings"), as_array(labels, "ref_labels").reshape(-1)
        if others.ndim != 2 or others.shape[1:] != once.prediction.shape or len(labels) != len(others):
            raise ValueError(
                f"{self.name!r} needs ref_embeddings of shape {('m', *once.prediction.shape)} and a label for each; "
                f"received {others.shape} and {labels.shape}.".replace("'m'", "m")
            )
        check_labels(labels, None, self.name)
        given = [Variable(others.astype(once.plan.dtype), "others"), Variable(labels.astype("int32"), "other_labels")]
        values, _, _ = self._exponents(once.plan, once.prediction, once.target, *given)
        return once.run(values).read(values, once.rows).reshape(once.shape).copy()


class _CircleOperation(Boundary):
    """The losses of rows, or with three operands, of which the first is their gradient, that of the predictions."""

    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        *gradient, labels, predictions = map(lowering.view, x.inputs)
        whole = lowering.plan.buffer((1,), "int32")
        lowering.plan.call(templates.whole_numbers, x=lowering.plan.reshaped(labels, (1,)), y=whole)
        weight = lowering.plan.reshaped(gradient[0], (1,)) if gradient else None
        loss = Circle(*x.settings)
        values, dy = loss._values(lowering.plan, predictions, whole, bool(gradient), weight)
        return lowering.plan.reshaped(values, ()) if dy is None else dy


def _gradient_of_circle(dy: Any, y: SymbolicArray, labels: SymbolicArray, x: SymbolicArray) -> tuple:
    return None, SymbolicArray(_CIRCLE_GRADIENT, (dy, labels, x), x.shape, settings=y.settings)


_CIRCLE = _CircleOperation("circle", _gradient_of_circle)
_CIRCLE_GRADIENT = _CircleOperation("circle_gradient")


def circle(
    y_true: Any, y_pred: Any, ref_labels: Any = None, ref_embeddings: Any = None, remove_diagonal: bool = True,
    gamma: float = 80, margin: float = 0.4,
) -> np.ndarray:  # fmt: skip
    """The loss of `Circle` for each row.

    Args:
        y_true: integers (n,), equal for rows of one class.
        y_pred: rows (n, units) of length 1.
        ref_labels, ref_embeddings: integers (m,) and rows (m, units) to compare with; by default ``y_true`` and
            ``y_pred``.
        remove_diagonal: whether to leave out pairs of rows of the same index and class.
        gamma, margin: as of `Circle`.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> x = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]
        >>> losses.circle([5, 5, 7], x, gamma=2.0).round(4).tolist()
        [0.4518, 0.7763, 0.0]
    """
    loss = Circle(gamma, margin, remove_diagonal)
    is_symbolic = any(isinstance(x, SymbolicArray) for x in (y_true, y_pred, ref_labels, ref_embeddings))
    if is_symbolic and not (ref_labels is None and ref_embeddings is None):
        raise TracingError(
            "circle with ref_labels or ref_embeddings is not there in formulas, which compare the rows of the batch: "
            "leave them out."
        )
    if ref_labels is None and ref_embeddings is None:
        return loss.per_row(y_true, y_pred)
    labels = y_true if ref_labels is None else ref_labels
    return loss.per_row_beside(y_true, y_pred, labels, y_pred if ref_embeddings is None else ref_embeddings)


CLASSES = (Circle,)
FUNCTIONS = {"circle": circle}
