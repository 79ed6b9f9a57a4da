"""Depthwise convolutions: a window of its own for each channel.

Filter c multiplier + m reads channel c. A unit of a kernel's axis is a channel of a line of results, or of pixels: its
sums stay in the first-level cache while tap after tap is added to the whole line, channels as lanes. No tap then asks
at each position whether it is within the image.
"""

from __future__ import annotations

from fastnet._kernels.chunks import CHUNK_ROWS
import math

from fastnet._kernels.kinds import integer, read, real, size, write
from fastnet._kernels.template import template


@template("n * lines * channels", grain=16, cost="4 * places * taps_y * taps_x * multiplier", aligned=False)
def depthwise(
    x: read[n, image_y, image_x, channels], kernel: read, bias: read | 0.0, y: write[n, lines, places, filters],
    lowest: real, taps_y: integer, taps_x: integer, stride_y: integer, stride_x: integer, step_y: integer,
    step_x: integer, before_y: integer, before_x: integer, multiplier: integer, n: size, image_y: size, image_x: size,
    lines: size, places: size, channels: size, filters: size, lo, hi,
):  # fmt: skip
    # kernel (taps_y, taps_x, channels, multiplier)
    unit = lo
    while unit < hi:
        line, first = unit // channels, unit % channels
        lanes = min(channels - first, hi - unit)
        out = line * places * filters + first * multiplier
        for p in range(places):
            for j in range(lanes * multiplier):
                y[out + p * filters + j] = bias[first * multiplier + j]
        for ty in range(taps_y):
            row = line % lines * stride_y + ty * step_y - before_y
            if row >= 0 and row < image_y:
                source = (line // lines * image_y + row) * image_x * channels + first
                for tx in range(taps_x):
                    start = tx * step_x - before_x
                    weight = ((ty * taps_x + tx) * channels + first) * multiplier
                    left = max(0, (stride_x - 1 - start) // stride_x)
                    right = min(places, (image_x - 1 - start) // stride_x + 1)
                    for p in range(left, right):
                        pixel = source + (start + p * stride_x) * channels
                        for m in range(multiplier):
                            for k in range(lanes):
                                at = out + p * filters + k * multiplier + m
                                y[at] = fma(x[pixel + k], kernel[weight + k * multiplier + m], y[at])
        if lowest > -math.inf:
            for p in range(places):
                for j in range(lanes * multiplier):
                    at = out + p * filters + j
                    y[at] = lowest if y[at] < lowest else y[at]
        unit += lanes


@template("n * image_y * channels", grain=16, cost="4 * places * taps_y * taps_x * multiplier", aligned=False)
def depthwise_input_gradient(
    dy: read[n, lines, places, filters], kernel: read, dx: write[n, image_y, image_x, channels], taps_y: integer,
    taps_x: integer, stride_y: integer, stride_x: integer, step_y: integer, step_x: integer, before_y: integer,
    before_x: integer, multiplier: integer, n: size, image_y: size, image_x: size, lines: size, places: size,
    channels: size, filters: size, lo, hi,
):  # fmt: skip
    unit = lo
    while unit < hi:
        row, first = unit // channels, unit % channels
        lanes = min(channels - first, hi - unit)
        out = row * image_x * channels + first
        for q in range(image_x):
            for k in range(lanes):
                dx[out + q * channels + k] = 0.0
        for ty in range(taps_y):
            # The line of results that reads this row by the tap, if there is one.
            reached = row % image_y + before_y - ty * step_y
            line = reached // stride_y
            if reached >= 0 and line * stride_y == reached and line < lines:
                source = (row // image_y * lines + line) * places * filters + first * multiplier
                for tx in range(taps_x):
                    start = tx * step_x - before_x
                    weight = ((ty * taps_x + tx) * channels + first) * multiplier
                    left = max(0, (stride_x - 1 - start) // stride_x)
                    right = min(places, (image_x - 1 - start) // stride_x + 1)
                    for p in range(left, right):
                        pixel = out + (start + p * stride_x) * channels
                        for m in range(multiplier):
                            for k in range(lanes):
                                at = source + p * filters + k * multiplier + m
                                dx[pixel + k] = fma(dy[at], kernel[weight + k * multiplier + m], dx[pixel + k])
        unit += lanes


_CHUNKS = f"chunks(n * lines * places, {CHUNK_ROWS})"


@template(f"{_CHUNKS} * taps_y * taps_x * channels", grain=16, cost=f"4 * {CHUNK_ROWS} * multiplier", aligned=False)
def depthwise_kernel_gradient(
    x: read[n, image_y, image_x, channels], dy: read[n, lines, places, filters], dkernel: write, taps_y: integer,
    taps_x: integer, stride_y: integer, stride_x: integer, step_y: integer, step_x: integer, before_y: integer,
    before_x: integer, multiplier: integer, n: size, image_y: size, image_x: size, lines: size, places: size,
    channels: size, filters: size, lo, hi,
):  # fmt: skip
    # dkernel (chunks, taps_y, taps_x, channels, multiplier): of CHUNK_ROWS results each
    total, unit = stack(64), lo
    while unit < hi:
        first, tap = unit % channels, unit // channels % (taps_y * taps_x)
        chunk = unit // channels // (taps_y * taps_x)
        lanes = min(64, channels - first, hi - unit)
        last, start = min((chunk + 1) * CHUNK_ROWS, n * lines * places), tap % taps_x * step_x - before_x
        left = max(0, (stride_x - 1 - start) // stride_x)
        right = min(places, (image_x - 1 - start) // stride_x + 1)
        for m in range(multiplier):
            for k in range(lanes):
                total[k] = 0.0
            begin = chunk * CHUNK_ROWS
            while begin < last:  # the part of each line that is in the chunk
                line, end = begin // places, min(last, begin - begin % places + places)
                row = line % lines * stride_y + tap // taps_x * step_y - before_y
                if row >= 0 and row < image_y:
                    source = ((line // lines * image_y + row) * image_x + start) * channels + first
                    for p in range(max(left, begin - line * places), min(right, end - line * places)):
                        at = (line * places + p) * filters + first * multiplier + m
                        for k in range(lanes):
                            total[k] = fma(x[source + p * stride_x * channels + k], dy[at + k * multiplier], total[k])
                begin = end
            for k in range(lanes):
                dkernel[(unit + k) * multiplier + m] = total[k]
        unit += lanes
