"""Launches of what each row of a batch counts in a loss or a metric."""

from __future__ import annotations

from fastnet._kernels.rules import scalars as rules
from fastnet._kernels.templates import elementwise, rows
from fastnet.engine.plan import Plan
from fastnet.engine.view import View


def product(plan: Plan, x: View | None, y: View | None) -> View | None:
    """Add the launch that multiplies what two views say of each row; None stands for 1 each."""
    if x is None or y is None:
        return y if x is None else x
    both = plan.buffer((x.width,), x.dtype)
    plan.call(elementwise.multiply, a=x, b=y, y=both)
    return both


def element_means(plan: Plan, weights: View) -> View:
    """Add the launch of the mean weight of the elements of each row."""
    means = plan.buffer((weights.row_count,), weights.dtype)
    plan.call(rows.mean_of_row, f=rules.first_of_two, y_true=weights.as_rows, y_pred=weights.as_rows, loss=means, p=())
    return means
