"""Formulas of elements."""

from __future__ import annotations

import math

from fastnet._kernels.kinds import (
    read,
    read_float32,
    read_float64,
    read_int32,
    read_uint8,
    reads,
    real,
    reals,
    rule,
    size,
    update,
    write,
)
from fastnet._kernels.template import elementwise


@elementwise
def apply(f: rule, x: read, y: write, p: reals):
    y = f(x, *p)


@elementwise
def formula(f: rule, x: reads, r: reads[row], c: reads["column"], y: write):
    y = f(*x, *r, *c)


@elementwise
def chain_rule(df: rule, saved: read, dy: read, dx: write, p: reals):
    dx = dy * df(saved, *p)


@elementwise
def add(a: read, b: read, y: write):
    y = a + b


@elementwise
def accumulate(x: read, y: update):
    y = y + x


@elementwise
def add_row(x: read, row: read["column"], y: write):
    y = x + row


@elementwise
def repeat_row(row: read["column"], y: write):
    y = row


@elementwise
def multiply(a: read, b: read, counts_a: read[row] | 1.0, counts_b: read[row] | 1.0, y: write):
    # Elements that a mask leaves out are 1, as in Keras.
    y = (a if counts_a > 0.0 else 1.0) * (b if counts_b > 0.0 else 1.0)


@elementwise
def maximum(a: read, b: read, counts_a: read[row] | 1.0, counts_b: read[row] | 1.0, y: write):
    # Where a mask leaves one out, the other is the larger one, as in Keras.
    y = a if counts_b <= 0.0 or (counts_a > 0.0 and (a >= b or a != a)) else b


@elementwise
def maximum_gradient(
    a: read, b: read, counts_a: read[row] | 1.0, counts_b: read[row] | 1.0, dy: read, da: write, db: write
):
    da_both = 0.5 * dy if a == b else dy if a > b or a != a else 0.0
    da = dy if counts_b <= 0.0 else 0.0 if counts_a <= 0.0 else da_both
    db_both = 0.5 * dy if a == b else 0.0 if a > b or a != a else dy
    db = 0.0 if counts_b <= 0.0 else dy if counts_a <= 0.0 else db_both


@elementwise
def gate(a: read, b: read, y: write):
    y = a / (1.0 + math.exp(-b))


@elementwise
def gate_gradient(a: read, b: read, dy: read, da: write, db: write):
    s = 1.0 / (1.0 + math.exp(-b))
    da = dy * s
    db = dy * a * (s * (1.0 - s))


@elementwise
def scale(x: read, y: write, factor: real):
    y = x * factor


@elementwise
def copy(x: read, y: write):
    y = x


@elementwise
def fill(y: write, number: real):
    y = number


@elementwise
def fill_share(y: write, number: real, batch: size):
    y = number * (1.0 / T(batch))


@elementwise
def fill_size(y: write, batch: size):
    y = T(batch)


@elementwise
def cast_float32(x: read_float32, y: write):
    y = T(x)


@elementwise
def cast_float64(x: read_float64, y: write):
    y = T(x)


@elementwise
def cast_int32(x: read_int32, y: write):
    y = T(x)


@elementwise
def keep_or_drop(x: read, keep: read_uint8, y: write, factor: real, offset: real, dropped: real):
    y = x * factor + offset if keep > 0 else dropped


@elementwise
def add_noise(x: read, noise: read, y: write, strength: real):
    y = x + strength * noise


@elementwise
def multiply_noise(x: read, noise: read, y: write, strength: real):
    y = x * (1.0 + strength * noise)
