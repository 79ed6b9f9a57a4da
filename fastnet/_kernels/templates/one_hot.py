"""Whole numbers as rows with an entry for each number that there may be."""

from __future__ import annotations

from fastnet._kernels.kinds import read, real, size, write
from fastnet._kernels.template import template


@template("n", grain=16, cost="tokens + 20 * count", aligned=False)
def encode(
    x: read[n, count], y: write[n, tokens], counted: real, outside: real, count: size, tokens: size, lo, hi
):  # y: 1 where a number is in the row, or how often where `counted` is 1 and not 0
    # A number that is not a token, such as NaN, makes its row `outside`. Fractions are cut off.
    for r in range(lo, hi):
        for j in range(tokens):
            y[r, j] = 0.0
        for i in range(count):
            if x[r, i] > -1.0 and x[r, i] < T(tokens):
                token = int64(x[r, i])
                y[r, token] = y[r, token] * counted + 1.0
            else:
                for j in range(tokens):
                    y[r, j] = outside
