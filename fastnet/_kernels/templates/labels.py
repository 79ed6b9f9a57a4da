"""A value for each row, by its label."""

from __future__ import annotations

from fastnet._kernels.kinds import integer, read, read_int32, real, update, value, write, write_float64
from fastnet._kernels.template import elementwise, fold


@elementwise
def counted_labels(labels: read_int32, counts: write, ignored: integer):
    counts = 0.0 if labels == ignored else 1.0


@elementwise
def zero_where_ignored(values: update, labels: read_int32, ignored: integer):
    values = 0.0 if labels == ignored else values


@elementwise
def labels_as_values(labels: read_int32, values: write):
    values = labels


@elementwise
def is_at_least(x: read, y: write, threshold: real):
    y = 1.0 if x >= threshold else 0.0


@fold
def count_other_labels(y_true: read, total: write_float64[total]):
    total = 0.0 if y_true == 0.0 or y_true == 1.0 else 1.0


@elementwise
def signs_of_labels(y_true: read, others: value, signs: write):
    # where all labels are 0 or 1 they become -1 or 1, else they stay
    signs = 2.0 * y_true - 1.0 if others == 0.0 else y_true
