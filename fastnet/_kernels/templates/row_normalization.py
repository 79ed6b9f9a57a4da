"""Normalization of each row by itself: layer normalization, RMS normalization, unit length.

y = (x - center mean) s gamma + beta, where s = f(share sum (x - center mean)²): 1 / sqrt of it plus epsilon, or 1 / its
root for unit length, at most `limit`.  Sums run over 64 rows as lanes (see `rows`), the rest along the rows.
"""

from __future__ import annotations

from fastnet._kernels.templates.kinds import hi, integer, lo, read, real, rows, write


def normalize_rows(
    x: read, gamma: read, beta: read, mean: write, scale: write, y: write, center: real, share: real, epsilon: real,
    limit: real, width: integer, lo: lo, hi: hi,
):  # fmt: skip
    # x, y (n, width)  gamma, beta (width,)  mean, scale (n,)
    m, s, v = stack(64), stack(64), stack(64)
    for first in range(lo, hi, 64):
        lanes = min(64, hi - first)
        for k in range(lanes):
            m[k] = 0.0
            s[k] = 0.0
        if center != 0.0:
            for j in range(width):
                for k in range(lanes):
                    v[k] = x[(first + k) * width + j]
                for k in range(lanes):
                    m[k] = m[k] + v[k]
            for k in range(lanes):
                m[k] = m[k] / T(width)
        for j in range(width):
            for k in range(lanes):
                v[k] = x[(first + k) * width + j]
            for k in range(lanes):
                d = v[k] - m[k]
                s[k] = s[k] + d * d
        for k in range(lanes):
            root = 1.0 / sqrt(s[k] * share + epsilon)
            s[k] = limit if root > limit else root
        for k in range(lanes):
            mean[first + k] = m[k]
            scale[first + k] = s[k]
            for j in range(width):
                i = (first + k) * width + j
                y[i] = (x[i] - m[k]) * s[k] * gamma[j] + beta[j]


def normalized_gradient(
    x: read, dy: read, gamma: read, mean: read, scale: read, dx: write, center: real, share: real, limit: real,
    width: integer, lo: lo, hi: hi,
):  # fmt: skip
    # dx = s (g - center mean(g) - share xhat sum(g xhat)), g = dy gamma, xhat = (x - mean) s; no last term at the limit
    a, b, u, v = stack(64), stack(64), stack(64), stack(64)
    for first in range(lo, hi, 64):
        lanes = min(64, hi - first)
        for k in range(lanes):
            a[k] = 0.0
            b[k] = 0.0
        for j in range(width):
            for k in range(lanes):
                u[k] = x[(first + k) * width + j] - mean[first + k]
                v[k] = dy[(first + k) * width + j]
            for k in range(lanes):
                g = v[k] * gamma[j]
                a[k] = a[k] + g
                b[k] = b[k] + g * u[k]
        for k in range(lanes):
            s = scale[first + k]
            a[k] = a[k] * (center / T(width))
            b[k] = 0.0 if s >= limit else b[k] * share * s
            for j in range(width):
                i = (first + k) * width + j
                dx[i] = s * (dy[i] * gamma[j] - a[k] - (x[i] - mean[first + k]) * s * b[k])


def row_parameter_gradients(
    x: read, dy: read, mean: read, scale: read, dgamma: write, dbeta: write, width: integer, inner: integer,
    rows: rows, lo: lo, hi: hi,
):  # fmt: skip
    # x, dy (n, width), n = rows * inner; mean, scale (n,)  dgamma, dbeta (width,)
    for j in range(lo, hi):
        dgamma[j] = 0.0
        dbeta[j] = 0.0
    for r in range(rows * inner):
        for j in range(lo, hi):
            g = dy[r * width + j]
            dbeta[j] = dbeta[j] + g
            dgamma[j] = dgamma[j] + g * ((x[r * width + j] - mean[r]) * scale[r])
