"""Formulas and loops of regularizers and constraints."""

from __future__ import annotations

from fastnet._kernels.kinds import integer, read, real, reals, rule, size, update, write
from fastnet._kernels.rules.scalars import added, sum_of_pair
from fastnet._kernels.template import elementwise, template


@elementwise
def add_activity_gradient(df: rule, y: read, dy: read, dx: write, p: reals, batch: size):
    dx = dy + df(y, *p) * (1.0 / T(batch))


@elementwise
def add_gradient(df: rule, w: read, g: update, p: reals):
    g = g + df(w, *p)


@elementwise
def project(f: rule, w: update, p: reals):
    w = f(w, *p)


# Vectors v of `length` elements, whose starts are `vector_stride` apart, and their elements `element_stride`. Sums of
# 64 elements are added to a pair.


@template("n", cost="10 * length")
def vector_norms(
    w: read, norms: write[n], epsilon: real, length: integer, vector_stride: integer, element_stride: integer, lo, hi
):
    for i in range(lo, hi):
        high, low = 0.0, 0.0
        for first in range(0, length, 64):
            squares = 0.0
            for k in range(first, min(first + 64, length)):
                v = w[i * vector_stride + k * element_stride]
                squares = squares + v * v
            high, low = added(high, low, squares)
        norms[i] = max(sqrt(sum_of_pair(high, low)), epsilon)


@template("n", cost="10 * length * n")
def cosines(
    w: read, norms: read[n], cosine: write[n, n], n: size, length: integer, vector_stride: integer,
    element_stride: integer, lo, hi,
):  # fmt: skip
    # cosine: of the angles between the vectors, 0 on the diagonal
    for i in range(lo, hi):
        for j in range(n):
            high, low = 0.0, 0.0
            for first in range(0, length, 64):
                dot = 0.0
                for k in range(first, min(first + 64, length)):
                    dot = dot + w[i * vector_stride + k * element_stride] * w[j * vector_stride + k * element_stride]
                high, low = added(high, low, dot)
            cosine[i, j] = sum_of_pair(high, low) / (norms[i] * norms[j]) if i != j else 0.0


@template("n", cost="10 * length * n")
def add_orthogonality_gradient(
    f: rule, w: read, norms: read[n], cosine: read[n, n], g: update, factor: real, n: size, length: integer,
    vector_stride: integer, element_stride: integer, lo, hi,
):  # fmt: skip
    # g is laid out as w: factor sum_j d|cosine| for each of the two vectors, with u = v / |v|:
    # d cosine_ij / d v_i = (u_j - cosine_ij u_i) / |v_i|
    for i in range(lo, hi):
        start, pull = i * vector_stride, 0.0
        for j in range(n):
            c = cosine[i, j]
            pull = pull + c * f(c)
            weight = 2.0 * factor * f(c) / (norms[i] * norms[j])
            for k in range(length):
                other = w[j * vector_stride + k * element_stride]
                g[start + k * element_stride] = g[start + k * element_stride] + weight * other
        weight = 2.0 * factor * pull / (norms[i] * norms[i])
        for k in range(length):
            g[start + k * element_stride] = g[start + k * element_stride] - weight * w[start + k * element_stride]


@template("outer * chunks(width, 64)", cost="4 * reduced * min(width, 64)")
def project_norms(f: rule, w: update, p: reals, outer: size, reduced: size, width: size, lo, hi):
    # w (outer, reduced, width): a unit is up to 64 columns of one of the outer parts; f gives a column's factor
    factor, high, low = stack(64), stack(64), stack(64)
    blocks = (width + 63) // 64
    for unit in range(lo, hi):
        first = unit // blocks * reduced * width + unit % blocks * 64
        lanes = min(64, width - unit % blocks * 64)
        for k in range(lanes):
            high[k] = 0.0
            low[k] = 0.0
        for start in range(0, reduced, 64):
            for k in range(lanes):
                factor[k] = 0.0
            for r in range(start, min(start + 64, reduced)):
                for k in range(lanes):
                    v = w[first + r * width + k]
                    factor[k] = factor[k] + v * v
            for k in range(lanes):
                high[k], low[k] = added(high[k], low[k], factor[k])
        for k in range(lanes):
            factor[k] = f(sqrt(sum_of_pair(high[k], low[k])), *p)
        for r in range(reduced):
            for k in range(lanes):
                w[first + r * width + k] = w[first + r * width + k] * factor[k]
