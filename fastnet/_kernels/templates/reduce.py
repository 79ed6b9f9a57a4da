"""Loops that fold rows: sums over columns, totals of a loss or a metric, the numbers shared by a step."""

from __future__ import annotations

from fastnet._kernels.templates.kinds import (
    count,
    hi,
    integer,
    lo,
    read,
    reals,
    rows,
    update_float64,
    update_int64,
    value,
    write,
    write_float64,
    writes,
)


def sum_rows(x: read, y: write, width: integer, inner: integer, rows: rows, lo: lo, hi: hi):
    # x (rows * inner, width)  y (width,): each column is summed in order of the rows
    for j in range(lo, hi):
        y[j] = 0.0
    for r in range(rows * inner):
        for j in range(lo, hi):
            y[j] = y[j] + x[r * width + j]


def loss_total(
    values: read, loss: write_float64, total: update_float64, nonfinite: update_int64, inner: integer, rows: rows
):  # values (rows * inner,)  loss (1,): their mean  total (2,): sums of loss * rows and of rows
    summed = float64(0.0)
    for i in range(rows * inner):
        summed += values[i]
    mean = summed / float64(rows * inner)
    loss[0] = mean
    nonfinite[0] = 0 if mean - mean == float64(0.0) else 1
    total[0] = total[0] + mean * rows
    total[1] = total[1] + rows


def metric_total(values: read, total: update_float64, inner: integer, rows: rows):
    # values (rows * inner,)  total (2,): their sum and number
    summed = float64(0.0)
    for i in range(rows * inner):
        summed += values[i]
    total[0] = total[0] + summed
    total[1] = total[1] + rows * inner


def step_scalars(rate: value, iteration: count, p: reals, s: writes):
    # s (1,) each: what an optimizer computes once a step; t counts from 1
    (*s[0],) = f(rate, float64(iteration + 1), *p)
