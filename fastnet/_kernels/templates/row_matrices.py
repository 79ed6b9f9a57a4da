"""Loops over samples that are matrices: products of two, and sums that run along a row."""

from __future__ import annotations

from fastnet._kernels.kinds import read, size, write
from fastnet._kernels.template import template


@template("rows", cost="2 * height * depth * width")
def products(
    a: read[rows, a_width], b: read[rows, b_width], c: write[rows, c_width], height: size, depth: size, width: size,
    lo, hi,
):  # fmt: skip
    # a (rows, height, depth)  b (rows, depth, width)  c (rows, height, width): c = a b, in order of the depth
    for r in range(lo, hi):
        for i in range(height):
            for j in range(width):
                c[r, i * width + j] = 0.0
            for k in range(depth):
                factor = a[r, i * depth + k]
                for j in range(width):
                    c[r, i * width + j] = c[r, i * width + j] + factor * b[r, k * width + j]


@template("rows", grain=16, cost="3 * width")
def running_sum(x: read[rows, width], y: write[rows, width], width: size, lo, hi):
    for r in range(lo, hi):
        total = 0.0
        for j in range(width):
            total = total + x[r, j]
            y[r, j] = total


@template("rows", grain=16, cost="3 * width")
def running_sum_from_end(x: read[rows, width], y: write[rows, width], width: size, lo, hi):
    for r in range(lo, hi):
        total = 0.0
        for k in range(width):
            total = total + x[r, width - 1 - k]
            y[r, width - 1 - k] = total
