"""Counts of the chunks of a batch, and the launch that adds them."""

from __future__ import annotations

from fastnet._kernels.chunks import COUNT_ROWS
from fastnet._kernels.templates import counting
from fastnet.engine.elements import chunk_entries, natural_shape
from fastnet.engine.plan import Plan
from fastnet.engine.view import Slot, View


def chunk_counts(y_pred: View, length: int) -> View:
    """New memory for ``length`` counts of each chunk of rows."""
    return View.of((length,), "float64", chunk_entries(_rows(y_pred), COUNT_ROWS))


def add_counts(plan: Plan, counts: View, y_pred: View, state: Slot) -> None:
    """Add the counts of all chunks to the numbers of a metric."""
    plan.call(counting.add_counts, chunk_counts=counts, counts=state, rows=_rows(y_pred), length=counts.width)


def _rows(y_pred: View) -> int:
    return natural_shape(y_pred.as_rows)[0]
