"""Loops of the optimizers that see a weight as matrices: means of their rows and columns, a polynomial."""

from __future__ import annotations

from fastnet._kernels.kinds import read, real, reals, rule, size, update, value, write
from fastnet._kernels.rules.scalars import added, sum_of_pair
from fastnet._kernels.template import elementwise, template


@template("rows", cost="2 * width")
def row_sums(f: rule, x: read, p: reals, sums: write, rows: size, width: size, lo, hi):
    # x (rows, width)  sums (rows,): f of each element of a row, in 64 lanes that are added in order
    lanes = stack(64)
    for r in range(lo, hi):
        for k in range(64):
            lanes[k] = 0.0
        for j in range(width // 64):
            for k in range(64):
                lanes[k] = lanes[k] + f(x[r * width + 64 * j + k], *p)
        for k in range(width % 64):
            lanes[k] = lanes[k] + f(x[r * width + width - width % 64 + k], *p)
        total = 0.0
        for k in range(64):
            total = total + lanes[k]
        sums[r] = total


@template("outer * chunks(width, 64)", cost="100 * height")
def column_sums(f: rule, x: read, p: reals, sums: write, outer: size, height: size, width: size, lo, hi):
    # x (outer, height, width)  sums (outer, width): f of each column; a unit is up to 64 columns of an outer part
    lanes, high, low = stack(64), stack(64), stack(64)
    blocks = (width + 63) // 64
    for unit in range(lo, hi):
        first = unit % blocks * 64
        count = min(64, width - first)
        for k in range(count):
            high[k] = 0.0
            low[k] = 0.0
        for top in range(0, height, 64):
            for k in range(count):
                lanes[k] = 0.0
            for r in range(top, min(top + 64, height)):
                start = (unit // blocks * height + r) * width + first
                for k in range(count):
                    lanes[k] = lanes[k] + f(x[start + k], *p)
            for k in range(count):
                high[k], low[k] = added(high[k], low[k], lanes[k])
        for k in range(count):
            sums[unit // blocks * width + first + k] = sum_of_pair(high[k], low[k])


@elementwise
def follow_mean(sums: read, mean: update, fraction: value, count: real):
    # mean moves by `fraction` of the way to sums / count
    mean = (1 - fraction) * mean + fraction * (sums / count)


@template("rows", cost="7 * width")
def divide_by_roots(
    u: update, r: read, totals: read, c: read, rows: size, height: size, width: size, lo, hi
):  # u (outer, height, width)  r (outer, height)  totals (outer,): of r  c (outer, width): u / sqrt(r c / mean of r).
    # Two roots, since r c of a row and a column without gradients is below the smallest float32, which gives 0 / 0.
    for i in range(lo, hi):
        part = i // height
        scale = sqrt(totals[part] / T(height)) / sqrt(r[i])
        for j in range(width):
            u[i * width + j] = u[i * width + j] * scale / sqrt(c[part * width + j])


@template("size", cost="3 * size")
def quintic(gram: read[size, size], square: update[size, size], a: real, b: real, c: real, size: size, lo, hi):
    # square = gram gram becomes a I + b gram + c square
    for i in range(lo, hi):
        for j in range(size):
            square[i, j] = b * gram[i, j] + c * square[i, j]
        square[i, i] = square[i, i] + a
