"""Normalization of each row by itself: layer, group and RMS normalization, unit length.

y = (x - center mean) s gamma + beta, where s = f(sum_scale sum (x - center mean)²): 1 / sqrt of it plus epsilon, or 1 /
its root for unit length, at most `limit`.  Sums run over 64 rows as lanes (see `rows`), the rest along the rows.

Sixteen columns of all lanes at a time are copied to the stack: a whole cache line of each row, since the lines of rows
of 1024 share one set of the cache and are gone when the next column is read (16 → 4.5 ns an element). Of rows with
more than 64 elements, the sums of about 64 are added to a pair (`rules.scalars.added`). The mean is rounded, and so are
the sums of 64: near 1003 by up to 5e-4, which with a deviation of 0.1 is 5e-3 in y. The second pass therefore also
sums x - mean; the mean of this, the rest, corrects mean and variance (Chan, Golub and LeVeque 1983). Errors of 7e-7
remain, for 1 to 4 % of the time of the forward pass. The gradients read mean and rest: of their rounded sum dx had
errors of 8e-5.

Rows may lie in pieces: `groups` of them share a sample, in each of whose `runs` every row has `width` elements.
"""

from __future__ import annotations

from fastnet._kernels.chunks import CHUNK_ROWS
from fastnet._kernels.kinds import integer, read, real, size, write
from fastnet._kernels.rules.scalars import added, sum_of_pair
from fastnet._kernels.template import fold, template


@template("n", grain=16, cost="10 * width * runs", aligned=False)
def normalize_rows(
    x: read, gamma: read | 1.0, beta: read | 0.0, mean: write[n], rest: write[n], scale: write[n], y: write,
    center: real,
    sum_scale: real, epsilon: real, limit: real, width: integer, groups: integer, runs: integer, lo, hi,
):  # fmt: skip
    # x, y (n / groups, runs, groups, width)  gamma, beta (groups, width)  mean, rest, scale (n,)
    m, s, v, start, channel = stack(64), stack(64), stack(1024), stack("int64", 64), stack("int64", 64)
    high, low, c = stack(64), stack(64), stack(64)
    for first in range(lo, hi, 64):
        lanes = min(64, hi - first)
        for k in range(lanes):
            m[k] = 0.0
            s[k] = 0.0
            c[k] = 0.0
            start[k] = (first + k) * runs * width
            channel[k] = 0
            if groups > 1:  # spares rows in one piece two divisions each
                channel[k] = (first + k) % groups * width
                start[k] = (first + k) // groups * runs * groups * width + channel[k]
            high[k] = 0.0
            low[k] = 0.0
        for squared in range(0 if center != 0.0 else 1, 2):  # first the sum, then those of deviations and their squares
            unsaved = 0  # elements in s that are not in the pair yet
            for run in range(runs):
                for block in range((width + 15) // 16):
                    left = 16 * block
                    some = min(16, width - left)
                    if groups == 1:
                        load_columns(lanes, first, run * width + left, some, v, x, runs * width)
                    else:
                        for k in range(lanes):
                            for j in range(some):
                                v[j * 64 + k] = x[start[k] + run * groups * width + left + j]
                    for j in range(some):
                        if squared == 0:
                            for k in range(lanes):
                                s[k] = s[k] + v[j * 64 + k]
                        else:
                            for k in range(lanes):
                                d = v[j * 64 + k] - m[k]
                                c[k] = c[k] + d
                                s[k] = s[k] + d * d
                    unsaved += some
                    if unsaved >= 64:
                        unsaved = 0
                        for k in range(lanes):
                            high[k], low[k] = added(high[k], low[k], s[k])
                            s[k] = 0.0
            if squared == 0:
                for k in range(lanes):
                    high[k], low[k] = added(high[k], low[k], s[k])
                    m[k] = sum_of_pair(high[k], low[k]) / T(runs * width)
                    s[k] = 0.0
                    high[k] = 0.0
                    low[k] = 0.0
        for k in range(lanes):
            high[k], low[k] = added(high[k], low[k], s[k])
            c[k] = c[k] * (center / T(runs * width))
            squares = sum_of_pair(high[k], low[k]) - c[k] * c[k] * T(runs * width)
            squares = 0.0 if squares < 0.0 else squares  # by rounding, where all elements are the same
            root = 1.0 / sqrt(squares * sum_scale + epsilon)
            s[k] = limit if root > limit else root
        for k in range(lanes):
            mean[first + k] = m[k]
            rest[first + k] = c[k]
            scale[first + k] = s[k]
            for run in range(runs):
                for j in range(width):
                    i = start[k] + run * groups * width + j
                    y[i] = (x[i] - m[k] - c[k]) * s[k] * gamma[channel[k] + j] + beta[channel[k] + j]


@template("n", grain=16, cost="10 * width * runs", aligned=False)
def normalized_gradient(
    x: read, dy: read, gamma: read | 1.0, mean: read[n], rest: read[n], scale: read[n], dx: write, center: real,
    sum_scale: real, limit: real, width: integer, groups: integer, runs: integer, lo, hi,
):  # fmt: skip
    # dx = s (g - center mean(g) - sum_scale xhat sum(g xhat)), g = dy gamma, xhat = (x - mean) s
    # Without the last term at the limit.
    a, b, u, v, start, channel = stack(64), stack(64), stack(1024), stack(1024), stack("int64", 64), stack("int64", 64)
    a_high, a_low, b_high, b_low = stack(64), stack(64), stack(64), stack(64)
    for first in range(lo, hi, 64):
        lanes = min(64, hi - first)
        unsaved = 0  # elements in a and b that are not in the pairs yet
        for k in range(lanes):
            a[k] = 0.0
            b[k] = 0.0
            a_high[k] = 0.0
            a_low[k] = 0.0
            b_high[k] = 0.0
            b_low[k] = 0.0
            start[k] = (first + k) * runs * width
            channel[k] = 0
            if groups > 1:  # spares rows in one piece two divisions each
                channel[k] = (first + k) % groups * width
                start[k] = (first + k) // groups * runs * groups * width + channel[k]
        for run in range(runs):
            for block in range((width + 15) // 16):
                left = 16 * block
                some = min(16, width - left)
                if groups == 1:
                    load_columns(lanes, first, run * width + left, some, u, x, runs * width, v, dy, runs * width)
                    for j in range(some):
                        for k in range(lanes):
                            u[j * 64 + k] = u[j * 64 + k] - mean[first + k] - rest[first + k]
                            v[j * 64 + k] = v[j * 64 + k] * gamma[left + j]
                else:
                    for k in range(lanes):
                        for j in range(some):
                            i = start[k] + run * groups * width + left + j
                            u[j * 64 + k] = x[i] - mean[first + k] - rest[first + k]
                            v[j * 64 + k] = dy[i] * gamma[channel[k] + left + j]
                for j in range(some):
                    for k in range(lanes):
                        a[k] = a[k] + v[j * 64 + k]
                        b[k] = b[k] + v[j * 64 + k] * u[j * 64 + k]
                unsaved += some
                if unsaved >= 64:
                    unsaved = 0
                    for k in range(lanes):
                        a_high[k], a_low[k] = added(a_high[k], a_low[k], a[k])
                        b_high[k], b_low[k] = added(b_high[k], b_low[k], b[k])
                        a[k] = 0.0
                        b[k] = 0.0
        for k in range(lanes):
            a_high[k], a_low[k] = added(a_high[k], a_low[k], a[k])
            b_high[k], b_low[k] = added(b_high[k], b_low[k], b[k])
            s = scale[first + k]
            a[k] = sum_of_pair(a_high[k], a_low[k]) * (center / T(runs * width))
            b[k] = sum_of_pair(b_high[k], b_low[k])
            b[k] = 0.0 if s >= limit else b[k] * sum_scale * s
            for run in range(runs):
                for j in range(width):
                    i = start[k] + run * groups * width + j
                    g = dy[i] * gamma[channel[k] + j]
                    dx[i] = s * (g - a[k] - (x[i] - mean[first + k] - rest[first + k]) * s * b[k])


@fold
def sum_row_gradients(
    x: read, dy: read, mean: read[row], rest: read[row], scale: read[row], dgamma: write[column], dbeta: write[column]
):
    dbeta = dy
    dgamma = dy * ((x - mean - rest) * scale)


_CHUNKS = f"chunks(samples * runs, {CHUNK_ROWS})"


@template(
    f"{_CHUNKS} * groups * width", grain=16, cost=f"4 * min({CHUNK_ROWS}, samples * runs)", aligned=False
)  # fmt: skip
def row_parameter_gradients(
    x: read, dy: read, mean: read[n], rest: read[n], scale: read[n], dgamma: write, dbeta: write, width: integer,
    groups: integer, runs: integer, samples: size, lo, hi,
):  # fmt: skip
    # x, dy (samples, runs, groups, width); mean, rest, scale (samples * groups,)  dgamma, dbeta (chunks, channels)
    # A chunk has CHUNK_ROWS runs. Up to 64 channels are lanes. Group after group goes over 64 runs, which stay in the
    # cache; their sums are added to pairs. Sample after sample, with the bounds of its groups found anew, layer
    # normalization of ten columns took 4.6 ns an element instead of 4.0.
    g_lane, g_high, g_low, b_lane, b_high, b_low = stack(64), stack(64), stack(64), stack(64), stack(64), stack(64)
    channels, unit = groups * width, lo
    while unit < hi:
        chunk, left = unit // channels, unit % channels
        right = min(left + 64, left + hi - unit, channels)
        end_of_chunk = min((chunk + 1) * CHUNK_ROWS, samples * runs)
        for k in range(right - left):
            g_high[k], g_low[k], b_high[k], b_low[k] = 0.0, 0.0, 0.0, 0.0
        for first in range(chunk * CHUNK_ROWS, end_of_chunk, 64):
            last = min(first + 64, end_of_chunk)
            for k in range(right - left):
                g_lane[k], b_lane[k] = 0.0, 0.0
            for group in range(left // width, (right - 1) // width + 1):
                begin, end = max(left, group * width), min(right, (group + 1) * width)
                for sample in range(first // runs, (last - 1) // runs + 1):
                    row = sample * groups + group
                    m, c, s = mean[row], rest[row], scale[row]
                    for run in range(max(first, sample * runs), min(last, (sample + 1) * runs)):
                        for j in range(begin, end):
                            g = dy[run * groups * width + j]
                            b_lane[j - left] = b_lane[j - left] + g
                            g_lane[j - left] = g_lane[j - left] + g * ((x[run * groups * width + j] - m - c) * s)
            for k in range(right - left):
                g_high[k], g_low[k] = added(g_high[k], g_low[k], g_lane[k])
                b_high[k], b_low[k] = added(b_high[k], b_low[k], b_lane[k])
        for k in range(right - left):
            dgamma[unit + k] = sum_of_pair(g_high[k], g_low[k])
            dbeta[unit + k] = sum_of_pair(b_high[k], b_low[k])
        unit = unit + right - left
