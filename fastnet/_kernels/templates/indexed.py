"""Loops over elements that are found by an index: rearranged samples, and weights that elements share.

``index[j]`` is the source of element j of a sample, and ``members[s, k]`` are the elements of source s: one loop
spreads the sources, and the other sums the elements.
"""

from __future__ import annotations

from fastnet._kernels.kinds import read, read_int32, real, size, write
from fastnet._kernels.template import template


@template("rows", grain=16, cost="6 * width", aligned=False)
def take(x: read[rows, source_width], index: read_int32[width], y: write[rows, width], width: size, lo, hi):
    for r in range(lo, hi):
        for j in range(width):
            y[r, j] = x[r, index[j]]


@template("rows", grain=16, cost="6 * width * group_size", aligned=False)
def sum_members(
    x: read[rows, source_width], members: read_int32[width, group_size], y: write[rows, width], width: size,
    group_size: size, lo, hi,
):  # fmt: skip
    for r in range(lo, hi):
        for j in range(width):
            total = x[r, members[j, 0]]
            for k in range(1, group_size):
                total = total + x[r, members[j, k]]
            y[r, j] = total


@template("rows", grain=16, cost="4 * width", aligned=False)
def prelu(x: read[rows, width], alpha: read, index: read_int32[width], y: write[rows, width], width: size, lo, hi):
    for r in range(lo, hi):
        for j in range(width):
            v, a = x[r, j], alpha[index[j]]
            y[r, j] = a * v if v < 0.0 else v


@template("rows", grain=16, cost="4 * width", aligned=False)
def prelu_gradient(
    x: read[rows, width], dy: read[rows, width], alpha: read, index: read_int32[width], dx: write[rows, width],
    width: size, lo, hi,
):  # fmt: skip
    for r in range(lo, hi):
        for j in range(width):
            a = alpha[index[j]]
            dx[r, j] = dy[r, j] * (a if x[r, j] < 0.0 else 1.0)


@template("rows", grain=16, cost="5 * count * group_size", aligned=False)
def prelu_slopes(
    x: read[rows, width], dy: read[rows, width], members: read_int32[count, group_size], slopes: write[rows, count],
    count: size, group_size: size, lo, hi,
):  # fmt: skip
    # slopes: what a sample adds to the gradient of each alpha
    for r in range(lo, hi):
        for s in range(count):
            total = 0.0
            for k in range(group_size):
                i = members[s, k]
                total = total + dy[r, i] * (0.0 if x[r, i] >= 0.0 else x[r, i])
            slopes[r, s] = total


@template("rows", grain=16, cost="7 * width", aligned=False)
def take_present(x: read[rows, source_width], index: read_int32[width], y: write[rows, width], width: size, lo, hi):
    # an element whose index is negative is 0
    for r in range(lo, hi):
        for j in range(width):
            i = index[j]
            y[r, j] = x[r, max(i, 0)] if i >= 0 else 0.0


@template("rows", grain=16, cost="7 * width * group_size", aligned=False)
def sum_present_members(
    x: read[rows, source_width], members: read_int32[width, group_size], y: write[rows, width], width: size,
    group_size: size, lo, hi,
):  # fmt: skip
    # groups of several sizes: behind the members of the smaller ones are negative numbers
    for r in range(lo, hi):
        for j in range(width):
            total = 0.0
            for k in range(group_size):
                i = members[j, k]
                total = total + (x[r, max(i, 0)] if i >= 0 else 0.0)
            y[r, j] = total


@template("rows", grain=16, cost="count * (6 + width)", aligned=False)
def take_rows(
    index: read[rows, count], w: read, y: write[rows, y_width], outside: real, count: size, entries: size, width: size,
    lo, hi,
):  # fmt: skip
    # w (entries, width)  y (rows, count, width). Fractions are cut off, and indices below 0 count from the end, as in
    # NumPy; others give `outside`.
    for r in range(lo, hi):
        for k in range(count):
            i = index[r, k] + T(entries) if index[r, k] < 0.0 else index[r, k]
            if i > -1.0 and i < T(entries):
                first = int64(i) * width
                for j in range(width):
                    y[r, k * width + j] = w[first + j]
            else:
                for j in range(width):
                    y[r, k * width + j] = outside


@template("width", grain=16, cost="2 * n * count", aligned=False)
def add_rows(
    index: read[n, count], dy: read[n, dy_width], dw: write, n: size, count: size, entries: size, width: size, lo, hi
):
    # dw (entries, width), of the columns of a part, in order of the rows: the same bits on any number of threads
    for i in range(entries):
        for j in range(lo, hi):
            dw[i * width + j] = 0.0
    for r in range(n):
        for k in range(count):
            i = index[r, k] + T(entries) if index[r, k] < 0.0 else index[r, k]
            if i > -1.0 and i < T(entries):
                first = int64(i) * width
                for j in range(lo, hi):
                    dw[first + j] = dw[first + j] + dy[r, k * width + j]
