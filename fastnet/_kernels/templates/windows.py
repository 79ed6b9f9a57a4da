"""Rectangles of images, upright or mirrored, at a place that is drawn for each sample.

A window is four numbers: its first row in the image, the step from row to row (1 or -1), and the same of columns. An
image is a row of height · width · channels elements, channels last.
"""

from __future__ import annotations

from fastnet._kernels.kinds import count, integer, read, read_int32, size, write, write_int32
from fastnet._kernels.rules.philox import philox
from fastnet._kernels.template import template


@template("n", grain=16, cost=60, aligned=False)
def draw_flips(
    windows: write_int32[n, four], seed: count, iteration: count, stream: integer, rows: integer, columns: integer,
    height: integer, width: integer, lo, hi,
):  # fmt: skip
    # half of the samples are mirrored: their rows where `rows` is 1, their columns where `columns` is 1
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay = uint32(iteration), uint32(stream)
    for r in range(lo, hi):
        a, b, c, d = philox(uint32(r), uint32(r >> 32), step, lay, low, high)
        drawn = 1 - int64(a >> uint32(31))
        y, x = drawn * rows, drawn * columns
        windows[r, 0], windows[r, 1] = y * (height - 1), 1 - 2 * y
        windows[r, 2], windows[r, 3] = x * (width - 1), 1 - 2 * x


@template("n", grain=16, cost=60, aligned=False)
def draw_corners(
    windows: write_int32[n, four], seed: count, iteration: count, stream: integer, top: integer, left: integer,
    rows: integer, columns: integer, lo, hi,
):  # fmt: skip
    # one of `rows` rows from `top` on, and one of `columns` columns
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay = uint32(iteration), uint32(stream)
    for r in range(lo, hi):
        a, b, c, d = philox(uint32(r), uint32(r >> 32), step, lay, low, high)
        windows[r, 0], windows[r, 1] = top + int64((uint64(a) * uint64(rows)) >> uint64(32)), 1
        windows[r, 2], windows[r, 3] = left + int64((uint64(b) * uint64(columns)) >> uint64(32)), 1


@template("n * height", grain=4, cost="3 * width * channels", aligned=False)
def take_window(
    x: read[n, elements], windows: read_int32[n, four], y: write[n, pixels], source_width: size, height: size,
    width: size, channels: size, lo, hi,
):  # fmt: skip
    for unit in range(lo, hi):
        r, i = unit // height, unit % height
        row, column, step = windows[r, 0] + i * windows[r, 1], int64(windows[r, 2]), windows[r, 3]
        start, at = (row * source_width + column) * channels, i * width * channels
        if step == 1:
            for k in range(width * channels):
                y[r, at + k] = x[r, start + k]
        else:
            for j in range(width):
                for c in range(channels):
                    y[r, at + j * channels + c] = x[r, start + step * j * channels + c]


@template("n * source_height", grain=4, cost="4 * source_width * channels", aligned=False)
def put_window(
    dy: read[n, pixels], windows: read_int32[n, four], dx: write[n, elements], source_height: size,
    source_width: size, height: size, width: size, channels: size, lo, hi,
):  # fmt: skip
    # the inverse: 0 outside of the window
    for unit in range(lo, hi):
        r, row = unit // source_height, unit % source_height
        i = (row - windows[r, 0]) * windows[r, 1]
        start, at = row * source_width * channels, i * width * channels
        for k in range(source_width * channels):
            dx[r, start + k] = 0.0
        if i >= 0 and i < height:
            for j in range(width):
                place = start + (windows[r, 2] + j * windows[r, 3]) * channels
                for c in range(channels):
                    dx[r, place + c] = dy[r, at + j * channels + c]
