"""Loops of the optimizers that see a weight as a matrix: means of its rows and columns, a polynomial."""

from __future__ import annotations

from fastnet._kernels.kinds import (
    hi,
    integer,
    lo,
    read,
    read_float64,
    real,
    reals,
    update,
    value,
    write_float64,
)


def column_sums(x: read, sums: write_float64, p: reals, height: integer, width: integer, lo: lo, hi: hi):
    # x (outer, height, width)  sums (outer, width): f of each column; a unit is up to 64 columns of an outer part
    lanes = stack(64)
    blocks = (width + 63) // 64
    for unit in range(lo, hi):
        first = unit % blocks * 64
        count = min(64, width - first)
        for k in range(count):
            lanes[k] = 0.0
        for r in range(height):
            start = (unit // blocks * height + r) * width + first
            for k in range(count):
                lanes[k] = lanes[k] + f(x[start + k], *p)
        for k in range(count):
            sums[unit // blocks * width + first + k] = float64(lanes[k])


def follow_means(sums: read_float64, mean: update, share: value, count: integer, lo: lo, hi: hi):
    # sums, mean (n,): mean moves by `share` of the way to sums / count
    for i in range(lo, hi):
        mean[i] = (1.0 - share) * mean[i] + share * T(sums[i] / float64(count))


def divide_by_roots(u: update, r: read, totals: read_float64, c: read, height: integer, width: integer, lo: lo, hi: hi):
    # u (outer, height, width)  r (outer, height)  totals (outer,): of r  c (outer, width): u / sqrt(r c / mean of r).
    # One root after the other: where a row and a column have no gradient r c is below the smallest float32, and 0 / 0.
    for i in range(lo, hi):
        part = i // height
        scale = sqrt(T(totals[part] / float64(height))) / sqrt(r[i])
        for j in range(width):
            u[i * width + j] = u[i * width + j] * scale / sqrt(c[part * width + j])


def quintic(gram: read, square: update, a: real, b: real, c: real, size: integer, lo: lo, hi: hi):
    # gram, square = gram gram (size, size): square becomes a I + b gram + c square
    for i in range(lo, hi):
        for j in range(size):
            square[i * size + j] = b * gram[i * size + j] + c * square[i * size + j]
        square[i * size + i] = square[i * size + i] + a
