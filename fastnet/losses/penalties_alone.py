"""The loss of models that are compiled without one: 0 for each row, to which penalties and `add_loss` are added."""

from __future__ import annotations

from typing import Any

from fastnet._kernels.templates import elementwise
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.losses.loss import Loss


class PenaltiesAlone(Loss):
    """0 for each row, of predictions of any shape; it reads no targets."""

    _row = "mean_squared_error"

    def target_shape(self, shape: tuple[int, ...], received: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """The shape of the targets that stand in for those which are not there."""
        return (1,)

    def _values(
        self, plan: Plan, y_pred: View, y_true: View, gradient: bool = False, row_weight: View | None = None
    ) -> tuple[View, Any]:
        values = plan.buffer((y_pred.row_count,), y_pred.dtype)
        plan.call(elementwise.fill, y=values, number=0.0)
        if not gradient:
            return values, None
        dy = plan.like(y_pred)
        plan.call(elementwise.fill, y=dy.flat, number=0.0)
        return values, dy


PENALTIES_ALONE = PenaltiesAlone("penalties")
