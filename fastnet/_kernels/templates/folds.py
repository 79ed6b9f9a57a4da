"""Sums over rows and over all elements, and loops that add the sums of their chunks."""

from __future__ import annotations

from fastnet._kernels.chunks import CHUNK_ELEMENTS, CHUNK_ROWS
from fastnet._kernels.kinds import (
    integer,
    read,
    read_float64,
    real,
    reals,
    rule,
    size,
    update_float64,
    update_int64,
    value,
    write,
    write_float64,
)
from fastnet._kernels.template import elementwise, fold, template


@template("width", grain=16, cost="1 + count // 40", aligned=False)
def add_chunks(chunk_sums: read, total: write[width], count: size, width: size, lo, hi):
    # chunk_sums (ceil(count / CHUNK_ROWS), width)  total (width,): added in order, with what each sum rounds away
    for j in range(lo, hi):
        high, low = 0.0, 0.0
        for chunk in range((count + CHUNK_ROWS - 1) // CHUNK_ROWS):
            x = chunk_sums[chunk * width + j]
            added = high + x
            part = added - high
            low = low + ((high - (added - part)) + (x - part))
            high = added
        total[j] = high + low


@fold
def sum_rows(x: read, total: write[column]):
    total = x


@fold
def sum_rule(f: rule, x: read, p: reals, total: write_float64[total]):
    total = f(x, *p)


@fold
def sum_weighted(values: read, weight: read | 1.0, total: write_float64[total], weights: write_float64[total] | None):
    total = values * weight
    weights = weight


@fold
def sum_overlaps(
    x: read, t: read, both: write_float64[total], targets: write_float64[total], predictions: write_float64[total]
):
    both = x * t
    targets = t
    predictions = x


# A sum of chunks in order, and what it is for. ``count``: elements that were summed.


@template()
def batch_loss(
    chunk_sums: read_float64, loss: write_float64, total: update_float64, nonfinite: update_int64, count: size,
    mean: integer, rows: size,
):  # fmt: skip
    # loss (1,): the sum, divided by the count where a mean is asked for  total (2,): sums of loss * rows and of rows
    summed = float64(0.0)
    for i in range((count + CHUNK_ELEMENTS - 1) // CHUNK_ELEMENTS):
        summed += chunk_sums[i]
    if mean != 0:
        summed /= float64(count)
    loss[0] = summed
    if summed - summed != float64(0.0):
        nonfinite[0] = 1
    total[0] = total[0] + summed * rows
    total[1] = total[1] + rows


@template()
def add_penalty(
    chunk_sums: read_float64, loss: update_float64, total: update_float64, nonfinite: update_int64, count: size,
    mean: integer, rows: size,
):  # fmt: skip
    # loss (1,) and total (2,) get the sum, of activities divided by the rows of the batch
    penalty = float64(0.0)
    for i in range((count + CHUNK_ELEMENTS - 1) // CHUNK_ELEMENTS):
        penalty += chunk_sums[i]
    if mean != 0:
        penalty /= float64(rows)
    loss[0] = loss[0] + penalty
    if loss[0] - loss[0] != float64(0.0):
        nonfinite[0] = 1
    total[0] = total[0] + penalty * rows


@template()
def add_totals(value_sums: read_float64, weight_sums: read_float64, total: update_float64, count: size, steps: size):
    # total (2,): sums of values and of weights, each the mean over the steps of a sample
    for i in range((count + CHUNK_ELEMENTS - 1) // CHUNK_ELEMENTS):
        total[0] = total[0] + value_sums[i] / steps
        total[1] = total[1] + weight_sums[i] / steps


@template()
def total_of(f: rule, chunk_sums: read_float64, result: write_float64, count: size, p: reals):
    # result (1,): f of the sum
    summed = float64(0.0)
    for i in range((count + CHUNK_ELEMENTS - 1) // CHUNK_ELEMENTS):
        summed += chunk_sums[i]
    result[0] = f(summed, *p)


@elementwise
def divide_by_count(x: read | 1.0, y: write, factor: real, count: size):
    # count: of the elements of the batch that each count the same, or 1
    y = x * (factor / T(count))


@elementwise
def scale_by(x: read | 1.0, y: write, factor: value):
    y = x * factor


@template()
def overlap_numbers(
    f: rule, both: read_float64, targets: read_float64, predictions: read_float64, value: write_float64,
    slope: write_float64, offset: write_float64, count: size, p: reals,
):  # fmt: skip
    # f of the sums of y_true y_pred, of y_true and of y_pred: a loss, and its derivative slope y_true + offset
    b, t, x = float64(0.0), float64(0.0), float64(0.0)
    for i in range((count + CHUNK_ELEMENTS - 1) // CHUNK_ELEMENTS):
        b += both[i]
        t += targets[i]
        x += predictions[i]
    v, s, o = f(b, t, x, *p)
    value[0] = v
    slope[0] = s
    offset[0] = o


@elementwise
def filled(y: write, number: value):
    y = number


@elementwise
def line(t: read, y: write, slope: value, offset: value, factor: value):
    y = (t * slope + offset) * factor
