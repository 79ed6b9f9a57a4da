"""Numbers of each row by its label."""

from __future__ import annotations

from fastnet._kernels.kinds import integer, read, read_int32, real, size, update, write
from fastnet._kernels.template import elementwise, template


@elementwise
def counted_labels(labels: read_int32, counts: write, ignored: integer):
    counts = 0.0 if labels == ignored else 1.0


@elementwise
def zero_where_ignored(values: update, labels: read_int32, ignored: integer):
    values = 0.0 if labels == ignored else values


@elementwise
def numbers_of_labels(labels: read_int32, numbers: write):
    numbers = labels


@elementwise
def is_at_least(x: read, y: write, threshold: real):
    y = 1.0 if x >= threshold else 0.0


@template()
def signs_of_labels(y_true: read[n], signs: write[n], n: size):
    # where all are 0 or 1 they become -1 or 1, else they stay
    binary = 1
    for i in range(n):
        if y_true[i] != 0.0 and y_true[i] != 1.0:
            binary = 0
    for i in range(n):
        signs[i] = 2.0 * y_true[i] - 1.0 if binary == 1 else y_true[i]
