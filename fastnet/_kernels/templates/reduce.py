"""Loops that fold rows: sums over columns, totals of a loss or a metric, the numbers shared by a step."""

from __future__ import annotations

from fastnet._kernels.kinds import (
    count,
    hi,
    integer,
    lo,
    read,
    read_float64,
    reads,
    real,
    reals,
    rows,
    update_float64,
    update_int64,
    value,
    values,
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
    if mean - mean != float64(0.0):
        nonfinite[0] = 1
    total[0] = total[0] + mean * rows
    total[1] = total[1] + rows


def metric_total(values: read, total: update_float64, inner: integer, rows: rows):
    # values (rows * inner,)  total (2,): their sum and number
    summed = float64(0.0)
    for i in range(rows * inner):
        summed += values[i]
    total[0] = total[0] + summed
    total[1] = total[1] + rows * inner


def step_scalars(rate: value, iteration: count, every: integer, p: reals, memory: reads, s: writes):
    # memory (1,) each  s (1,) each: what an optimizer computes once a step; t counts updates, from 1
    (*s[0],) = f(rate, float64(iteration // every + 1), *p, *memory[0])


def remember(s: values, memory: writes):
    # memory (1,) each: numbers for the next step, stored when this one has happened
    (*memory[0],) = (*s,)


def sum_blocks(sums: read_float64, squares: write_float64, blocks: integer, place: integer):
    # sums (blocks,)  squares (arrays,): entry `place` is the square of an array's norm
    total = 0.0
    for i in range(blocks):
        total += sums[i]
    squares[place] = total


def norm_factor(squares: read_float64, factor: write_float64, first: integer, count: integer, p: reals):
    # squares (arrays,)  factor (1,): for the arrays first … first + count, of whose norms it is made
    total = 0.0
    for i in range(first, first + count):
        total += squares[i]
    factor[0] = f(total, *p)


def step_factor(squares: read_float64, factor: write_float64, first: integer, size: real, s: values):
    # squares (arrays,): that of a weight at `first`, of its direction behind it  factor (1,)
    factor[0] = f(squares[first], squares[first + 1], size, *s)
