"""Batch normalization; Ioffe and Szegedy 2015, arXiv:1502.03167.  Columns are channels."""

from __future__ import annotations

from fastnet._kernels.kinds import hi, integer, lo, read, real, rows, update, write


def statistics(
    x: read,
    mean: write,
    variance: write,
    scale: write,
    epsilon: real,
    width: integer,
    inner: integer,
    rows: rows,
    lo: lo,
    hi: hi,
):
    # x (n, width), n = rows * inner; the others (width,); scale = 1 / sqrt(variance + epsilon)
    n = rows * inner
    for j in range(lo, hi):
        mean[j] = 0.0
        variance[j] = 0.0
    for r in range(n):
        for j in range(lo, hi):
            mean[j] = mean[j] + x[r * width + j]
    for j in range(lo, hi):
        mean[j] = mean[j] / T(n)
    for r in range(n):
        for j in range(lo, hi):
            d = x[r * width + j] - mean[j]
            variance[j] = variance[j] + d * d
    for j in range(lo, hi):
        variance[j] = variance[j] / T(n)
        scale[j] = 1.0 / sqrt(variance[j] + epsilon)


def kept_statistics(
    x: read, kept: read, mean: write, variance: write, scale: write, share: write, epsilon: real, width: integer,
    inner: integer, rows: rows, lo: lo, hi: hi,
):  # fmt: skip
    # `statistics` of the rows that are kept (n,); share (width,) = 1 / their number, to which Keras adds 1e-7
    n = rows * inner
    count = float64(0.0)
    for r in range(n):
        count += kept[r]
    for j in range(lo, hi):
        share[j] = 1.0 / T(count + 1e-7)
        mean[j] = 0.0
        variance[j] = 0.0
    for r in range(n):
        if kept[r] > 0.0:
            for j in range(lo, hi):
                mean[j] = mean[j] + x[r * width + j]
    for j in range(lo, hi):
        mean[j] = mean[j] * share[j]
    for r in range(n):
        if kept[r] > 0.0:
            for j in range(lo, hi):
                d = x[r * width + j] - mean[j]
                variance[j] = variance[j] + d * d
    for j in range(lo, hi):
        variance[j] = variance[j] * share[j]
        scale[j] = 1.0 / sqrt(variance[j] + epsilon)


def move_average(moving: update, value: read, momentum: real, lo: lo, hi: hi):
    # moving (width,)  value (width,)
    for j in range(lo, hi):
        moving[j] = moving[j] * momentum + value[j] * (1.0 - momentum)


def normalize(x: read, mean: read, scale: read, gamma: read, beta: read, y: write, width: integer, lo: lo, hi: hi):
    # x (n, width)  y (n, width)  the others (width,)
    for r in range(lo, hi):
        for j in range(width):
            y[r * width + j] = (x[r * width + j] - mean[j]) * (scale[j] * gamma[j]) + beta[j]


def inverse_deviation(variance: read, scale: write, epsilon: real, lo: lo, hi: hi):
    # variance (width,)  scale (width,)
    for j in range(lo, hi):
        scale[j] = 1.0 / sqrt(variance[j] + epsilon)


def gradient_sums(
    x: read, dy: read, mean: read, scale: read, dgamma: write, dbeta: write, width: integer, inner: integer,
    rows: rows, lo: lo, hi: hi,
):  # fmt: skip
    # x (n, width)  dy (n, width)  the others (width,)
    for j in range(lo, hi):
        dgamma[j] = 0.0
        dbeta[j] = 0.0
    for r in range(rows * inner):
        for j in range(lo, hi):
            g = dy[r * width + j]
            dbeta[j] = dbeta[j] + g
            dgamma[j] = dgamma[j] + g * ((x[r * width + j] - mean[j]) * scale[j])


def gradient(
    x: read, dy: read, mean: read, scale: read, gamma: read, dgamma: read, dbeta: read, dx: write,
    width: integer, inner: integer, rows: rows, lo: lo, hi: hi,
):  # fmt: skip
    # dx = gamma * scale * (dy - dbeta / n - xhat * dgamma / n)
    share = 1.0 / T(rows * inner)
    for r in range(lo, hi):
        for j in range(width):
            i = r * width + j
            xhat = (x[i] - mean[j]) * scale[j]
            dx[i] = (gamma[j] * scale[j]) * (dy[i] - (dbeta[j] + xhat * dgamma[j]) * share)


def kept_gradient(
    x: read, dy: read, kept: read, mean: read, scale: read, share: read, gamma: read, dgamma: read, dbeta: read,
    dx: write, width: integer, lo: lo, hi: hi,
):  # fmt: skip
    # `gradient` where mean and variance are those of the rows that are kept; the sum of x - mean over these is not 0,
    # but mean * 1e-7
    for r in range(lo, hi):
        for j in range(width):
            i = r * width + j
            xhat = (x[i] - mean[j] * (1.0 + 1e-7 * share[j])) * scale[j]
            dx[i] = (gamma[j] * scale[j]) * (dy[i] - kept[r] * ((dbeta[j] + xhat * dgamma[j]) * share[j]))


def fill(y: write, number: real, lo: lo, hi: hi):
    # y (width,)
    for j in range(lo, hi):
        y[j] = number


def inverse_root(variance: read, scale: write, epsilon: real, lo: lo, hi: hi):
    # variance (width,)  scale (width,): 1 / the standard deviation, at least epsilon
    for j in range(lo, hi):
        root = sqrt(variance[j])
        scale[j] = 1.0 / (epsilon if root < epsilon else root)


def root(variance: read, scale: write, epsilon: real, lo: lo, hi: hi):
    # variance (width,)  scale (width,): the standard deviation, at least epsilon
    for j in range(lo, hi):
        v = sqrt(variance[j])
        scale[j] = epsilon if v < epsilon else v
