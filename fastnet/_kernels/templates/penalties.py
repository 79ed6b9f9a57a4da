"""Loops of regularizers and constraints."""

from __future__ import annotations

from fastnet._kernels.kinds import (
    hi,
    integer,
    lo,
    read,
    real,
    reals,
    rows,
    update,
    update_float64,
    update_int64,
    write,
    write_float64,
)


def stretch_sums(x: read, sums: write_float64, p: reals, width: integer, size: integer, lo: lo, hi: hi):
    # x (size,)  sums (ceil(size / width),): f of each stretch of `width` elements is summed in 64 lanes that are added
    # in order, so that the bits depend neither on the vector width nor on who works on it
    lanes = stack(64)
    for r in range(lo, hi):
        for k in range(64):
            lanes[k] = 0.0
        first = r * width
        last = min(first + width, size)
        whole = first + (last - first) // 64 * 64
        for start in range(first, whole, 64):
            for k in range(64):
                lanes[k] = lanes[k] + f(x[start + k], *p)
        for i in range(whole, last):
            lanes[i - whole] = lanes[i - whole] + f(x[i], *p)
        total = float64(0.0)
        for k in range(64):
            total += lanes[k]
        sums[r] = total


def add_penalty(
    sums: read_float64, loss: update_float64, total: update_float64, nonfinite: update_int64, count: integer,
    inner: integer, rows: rows,
):  # fmt: skip
    # sums (count,), or (rows * inner,) of an activity, then divided by the rows of the batch; loss (1,)  total (2,)
    penalty = float64(0.0)
    for i in range(count + rows * inner):
        penalty += sums[i]
    if inner > 0:
        penalty /= float64(rows)
    loss[0] = loss[0] + penalty
    if loss[0] - loss[0] != float64(0.0):
        nonfinite[0] = 1
    total[0] = total[0] + penalty * rows


def add_activity_gradient(y: read, dy: read, dx: write, p: reals, rows: rows, lo: lo, hi: hi):
    # y (n,)  dy (n,)  dx (n,)
    share = 1.0 / T(rows)
    for i in range(lo, hi):
        dx[i] = dy[i] + df(y[i], *p) * share


def add_gradient(w: read, g: update, p: reals, lo: lo, hi: hi):
    # w (n,)  g (n,)
    for i in range(lo, hi):
        g[i] = g[i] + df(w[i], *p)


def lengths(w: read, length: write, epsilon: real, size: integer, apart: integer, along: integer, lo: lo, hi: hi):
    # w: vectors of `size` elements, `apart` from each other, their elements `along` apart; length (n,)
    for i in range(lo, hi):
        squares = 0.0
        for k in range(size):
            v = w[i * apart + k * along]
            squares = squares + v * v
        length[i] = max(sqrt(squares), epsilon)


def cosines(
    w: read, length: read, cosine: write, n: integer, size: integer, apart: integer, along: integer, lo: lo, hi: hi
):
    # cosine (n, n): of the angles between the vectors, 0 on the diagonal
    for i in range(lo, hi):
        for j in range(n):
            dot = 0.0
            for k in range(size):
                dot = dot + w[i * apart + k * along] * w[j * apart + k * along]
            cosine[i * n + j] = dot / (length[i] * length[j]) if i != j else 0.0


def add_orthogonality_gradient(
    w: read, length: read, cosine: read, g: update, factor: real, n: integer, size: integer, apart: integer,
    along: integer, lo: lo, hi: hi,
):  # fmt: skip
    # g is laid out as w: factor sum_j d|cosine| for each of the two vectors, with u = v / |v|:
    # d cosine_ij / d v_i = (u_j - cosine_ij u_i) / |v_i|
    for i in range(lo, hi):
        pull = 0.0
        for j in range(n):
            c = cosine[i * n + j]
            pull = pull + c * f(c)
            share = 2.0 * factor * f(c) / (length[i] * length[j])
            for k in range(size):
                g[i * apart + k * along] = g[i * apart + k * along] + share * w[j * apart + k * along]
        share = 2.0 * factor * pull / (length[i] * length[i])
        for k in range(size):
            g[i * apart + k * along] = g[i * apart + k * along] - share * w[i * apart + k * along]


def project(w: update, p: reals, lo: lo, hi: hi):
    # w (n,)
    for i in range(lo, hi):
        w[i] = f(w[i], *p)


def project_norms(w: update, p: reals, reduced: integer, inner: integer, lo: lo, hi: hi):
    # w (outer, reduced, inner): a unit is up to 64 columns of one of the outer parts; f gives a column's factor
    factor = stack(64)
    blocks = (inner + 63) // 64
    for unit in range(lo, hi):
        first = unit // blocks * reduced * inner + unit % blocks * 64
        lanes = min(64, inner - unit % blocks * 64)
        for k in range(lanes):
            factor[k] = 0.0
        for r in range(reduced):
            for k in range(lanes):
                v = w[first + r * inner + k]
                factor[k] = factor[k] + v * v
        for k in range(lanes):
            factor[k] = f(sqrt(factor[k]), *p)
        for r in range(reduced):
            for k in range(lanes):
                w[first + r * inner + k] = w[first + r * inner + k] * factor[k]
