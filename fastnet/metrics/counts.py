"""Launches that count a batch by chunks of its rows, and add the counts to a metric's numbers."""

from __future__ import annotations

from typing import Any

from fastnet._kernels.chunks import COUNT_ROWS
from fastnet._kernels.template import Template
from fastnet._kernels.templates import counting
from fastnet.engine.elements import chunk_entries, natural_shape
from fastnet.engine.plan import Plan
from fastnet.engine.view import Slot, View


def count(
    plan: Plan, template: Template, y_pred: View, length: int, state: Slot, add: Template = counting.add_counts,
    **operands: Any,
) -> None:  # fmt: skip
    """Add the launch of ``template``, which writes ``length`` counts of each chunk, and one that adds them.

    A chunk has at least as many elements as counts. The counts of all chunks therefore take no more memory than 8 bytes
    for each prediction, or those of one chunk: with 1,000 classes, a confusion matrix of every 1,024 rows would be
    8 KB for each row.

    Args:
        plan: gets the launches.
        template: a loop of `fastnet._kernels.templates.counting`.
        y_pred: predictions.
        length: the number of counts.
        state: the numbers of the metric.
        add: the loop that adds the chunks to ``state``.
        operands: of ``template``.
    """
    rows, width = natural_shape(y_pred.as_rows)
    chunk_rows = max(COUNT_ROWS, -(-length // max(width, 1)))
    sizes = {"chunk_rows": chunk_rows, "length": length}
    counts = View.of((length,), "float64", chunk_entries(rows, chunk_rows))
    plan.call(template, y_pred=y_pred.as_rows, counts=counts, **sizes, **operands)
    plan.call(add, chunk_counts=counts, counts=state, rows=rows, **sizes)
