"""Whole numbers as rows with an entry for each number that there may be."""

from __future__ import annotations

from fastnet._kernels.kinds import hi, integer, lo, read, real, write


def encode(
    x: read, y: write, counted: real, outside: real, share: integer, tokens: integer, lo: lo, hi: hi
):  # x (n, share)  y (n, tokens): 1 where a number is in the row, or how often where `counted` is 1 and not 0
    # A number that is none of the tokens, NaN among them, makes its row `outside`. Fractions are cut off.
    for r in range(lo, hi):
        for j in range(r * tokens, (r + 1) * tokens):
            y[j] = 0.0
        for i in range(r * share, (r + 1) * share):
            if x[i] > -1.0 and x[i] < T(tokens):
                place = r * tokens + int64(x[i])
                y[place] = y[place] * counted + 1.0
            else:
                for j in range(r * tokens, (r + 1) * tokens):
                    y[j] = outside
