"""Brightness and contrast of images; a number is drawn for each sample."""

from __future__ import annotations

from fastnet._kernels.kinds import count, integer, read, real, size, write
from fastnet._kernels.rules.philox import philox_word
from fastnet._kernels.template import elementwise, template


@template("n", grain=16, cost=60, aligned=False)
def draw_uniform(
    numbers: write[n], seed: count, iteration: count, stream: integer, lower: real, upper: real, lo, hi
):  # fmt: skip
    # numbers (n,): in [lower, upper), one for each sample
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay = uint32(iteration), uint32(stream)
    for r in range(lo, hi):
        word = philox_word(uint32(r), step, lay, low, high)
        numbers[r] = lower + (upper - lower) * T(unit_float32(word))


@elementwise
def brighten(x: read, delta: read[row] | 0.0, y: write, lower: real, upper: real):
    y = at_most(at_least(x + delta, lower), upper)


@elementwise
def within(y: read, dy: read, dx: write, lower: real, upper: real):
    # the gradient of a result that was cut to the range
    dx = dy if y > lower and y < upper else 0.0


@template("n * channels", cost="4 * height * width", aligned=False)
def channel_means(
    x: read[n, elements], means: write[n, channels], height: size, width: size, channels: size, lo, hi
):  # fmt: skip
    # the sums of rows of pixels are added: in one run 10⁶ numbers of float32 would lose digits
    for unit in range(lo, hi):
        r, c = unit // channels, unit % channels
        total = 0.0
        for i in range(height):
            part = 0.0
            for j in range(width):
                part = part + x[r, (i * width + j) * channels + c]
            total = total + part
        means[r, c] = total / T(height * width)


@template("n", cost="6 * pixels * channels", aligned=False)
def spread(
    x: read[n, elements], means: read[n, channels], factor: read[n], y: write[n, elements], lower: real, upper: real,
    pixels: size, channels: size, lo, hi,
):  # fmt: skip
    # y = (x - mean) factor + mean, cut to the range
    for r in range(lo, hi):
        f = factor[r]
        for k in range(pixels):
            for c in range(channels):
                m = means[r, c]
                v = (x[r, k * channels + c] - m) * f + m
                y[r, k * channels + c] = at_most(at_least(v, lower), upper)
