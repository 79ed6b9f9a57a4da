"""Loops over all pixels of each sample, channel by channel; up to 64 channels at a time on the stack."""

from __future__ import annotations

from fastnet._kernels.kinds import read, read_uint8, real, size, write
from fastnet._kernels.rules.scalars import added, sum_of_pair
from fastnet._kernels.template import template


@template("n", cost="3 * width", aligned=False)
def largest_pixel(
    x: read[n, width], y: write[n, channels], count: write[n, channels] | None, width: size, channels: size, lo, hi
):
    # count: how often the largest element is there; 0 where it is NaN
    best, times = stack(64), stack(64)
    for r in range(lo, hi):
        for left in range(0, channels, 64):
            lanes = min(64, channels - left)
            for k in range(lanes):
                best[k] = x[r, left + k]
                times[k] = 0.0
            for start in range(left, width, channels):
                for k in range(lanes):
                    v = x[r, start + k]
                    times[k] = 1.0 if v > best[k] else times[k] + (1.0 if v == best[k] else 0.0)
                    best[k] = v if v > best[k] or v != v else best[k]
            for k in range(lanes):
                y[r, left + k] = best[k]
                count[r, left + k] = times[k] if best[k] == best[k] else 0.0


@template("n", cost="4 * width", aligned=False)
def largest_pixel_gradient(
    x: read[n, width], y: read[n, channels], dy: read[n, channels], count: read[n, channels], dx: write[n, width],
    width: size, channels: size, lo, hi,
):  # fmt: skip
    # Equal elements share the gradient.
    for r in range(lo, hi):
        for start in range(0, width, channels):
            for c in range(channels):
                share = 1.0 if x[r, start + c] == y[r, c] else 0.0
                dx[r, start + c] = dy[r, c] / count[r, c] * share


@template("n", cost="3 * width", aligned=False)
def mean_of_steps(
    x: read[n, width], mask: read[n, steps], y: write[n, channels], count: write[n], width: size, channels: size,
    steps: size, lo, hi,
):  # fmt: skip
    # Steps that the mask leaves out do not count; without any other the mean is NaN, as in Keras.
    total, high, low = stack(64), stack(64), stack(64)
    for r in range(lo, hi):
        number = 0.0
        for s in range(steps):
            number = number + (1.0 if mask[r, s] > 0.0 else 0.0)
        count[r] = number
        for left in range(0, channels, 64):
            lanes = min(64, channels - left)
            for k in range(lanes):
                high[k] = 0.0
                low[k] = 0.0
            for first in range(0, steps, 64):
                for k in range(lanes):
                    total[k] = 0.0
                for s in range(first, min(first + 64, steps)):
                    if mask[r, s] > 0.0:
                        for k in range(lanes):
                            total[k] = total[k] + x[r, s * channels + left + k]
                for k in range(lanes):
                    high[k], low[k] = added(high[k], low[k], total[k])
            for k in range(lanes):
                y[r, left + k] = sum_of_pair(high[k], low[k]) / number


@template("n", cost="2 * width", aligned=False)
def mean_of_steps_gradient(
    dy: read[n, channels], mask: read[n, steps], count: read[n], dx: write[n, width], width: size, channels: size,
    steps: size, lo, hi,
):  # fmt: skip
    for r in range(lo, hi):
        for s in range(steps):
            for c in range(channels):
                dx[r, s * channels + c] = dy[r, c] / count[r] if mask[r, s] > 0.0 else 0.0


@template("n", cost="2 * width", aligned=False)
def keep_channels(
    x: read[n, width], keep: read_uint8[n, channels], y: write[n, width], factor: real, width: size, channels: size,
    lo, hi,
):  # fmt: skip
    for r in range(lo, hi):
        for start in range(0, width, channels):
            for c in range(channels):
                y[r, start + c] = x[r, start + c] * factor if keep[r, c] > 0 else 0.0
