"""Loops of formulas of whole arrays: of elements and of numbers that were folded from all of them."""

from __future__ import annotations

from fastnet._kernels.kinds import (
    read,
    read_int32,
    reads,
    real,
    reals,
    rule,
    size,
    update_float64,
    values,
    write,
    write_float64,
)
from fastnet._kernels.template import elementwise, template


@elementwise
def whole_formula(f: rule, x: reads, r: reads[row], c: reads["column"], s: values, p: reals, y: write):
    y = f(*x, *r, *c, *s, *p)


@template()
def formula_of_numbers(f: rule, s: values, p: reals, y: write_float64):
    # y (1,)
    y[0] = f(*s, *p)


@template("width", grain=64, cost="6", aligned=False)
def elements_at(x: read, index: read_int32[width], y: write[width], width: size, lo, hi):
    # an element whose index is negative is 0
    for j in range(lo, hi):
        i = index[j]
        y[j] = x[max(i, 0)] if i >= 0 else 0.0


@template("width", grain=16, cost="2 * n", aligned=False)
def fold_rows(f: rule, x: read[n, width], y: write[width], start: real, n: size, width: size, lo, hi):
    # a number of each column, such as its largest one, of all rows in order
    for j in range(lo, hi):
        y[j] = start
    for r in range(n):
        for j in range(lo, hi):
            y[j] = f(y[j], x[r, j])


@template()
def row_count(y: write_float64, rows: size):
    # y (1,): the rows of the batch
    y[0] = float64(rows)


@template()
def add_to_numbers(x: read[width], total: update_float64, width: size):
    # x (width,)  total (width,)
    for i in range(width):
        total[i] = total[i] + x[i]
