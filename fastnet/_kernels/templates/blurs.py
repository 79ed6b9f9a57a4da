"""Gaussian blur of images: along the rows, then along the columns, with weights that are drawn for each sample."""

from __future__ import annotations

import math

from fastnet._kernels.kinds import count, integer, read, real, size, write
from fastnet._kernels.rules.philox import philox
from fastnet._kernels.template import template


@template("n", grain=16, cost="80 + 20 * taps", aligned=False)
def draw_blurs(
    weights: write[n, taps], seed: count, iteration: count, stream: integer, least: real, most: real,
    narrow: real, broad: real, across: integer, taps: size, lo, hi,
):  # fmt: skip
    # weights (n, across + down): of pixels along a row, then along a column; exp(-d² / 2 s²) at the distance d, divided
    # by their sum, with s in [narrow, broad) of each direction. A sample is blurred with a chance in [least, most);
    # otherwise the weight of the pixel itself is 1, and of others 0.
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay = uint32(iteration), uint32(stream)
    for r in range(lo, hi):
        a, b, c, d = philox(uint32(r), uint32(r >> 32), step, lay, low, high)
        chance = least + (most - least) * T(unit_float32(a))
        blurred = T(unit_float32(b)) < chance
        for along in range(2):
            first, end = (0, across) if along == 0 else (across, taps)
            drawn = T(unit_float32(c)) if along == 0 else T(unit_float32(d))
            deviation = narrow + (broad - narrow) * drawn + 1e-6
            total = 0.0
            for k in range(first, end):
                distance = T(2 * k - first - end + 1) * 0.5
                ratio = distance / deviation
                weight = math.exp(-0.5 * (ratio * ratio)) if blurred else (1.0 if distance == 0.0 else 0.0)
                weights[r, k] = weight
                total = total + weight
            for k in range(first, end):
                weights[r, k] = weights[r, k] / total


@template("n * outer", cost="2 * length * inner * count_of", aligned=False)
def blur(
    x: read[n, elements], weights: read[n, taps], y: write[n, elements], first: integer, count_of: integer, outer: size,
    length: size, inner: size, lo, hi,
):  # fmt: skip
    # elements: outer · length · inner, of which those along `length` are added up, with zeros beyond the ends
    middle = count_of // 2
    for unit in range(lo, hi):
        r, start = unit // outer, (unit % outer) * length * inner
        for i in range(length):
            at = start + i * inner
            for e in range(inner):
                y[r, at + e] = 0.0
            for k in range(max(0, middle - i), min(count_of, length + middle - i)):
                weight, source = weights[r, first + k], at + (k - middle) * inner
                for e in range(inner):
                    y[r, at + e] = y[r, at + e] + weight * x[r, source + e]
