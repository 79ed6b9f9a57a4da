"""Loops over windows of images (samples, depth, height, width, channels), whose first axes may have the size 1.

A table for each axis holds, for each index of the result, where its window begins and ends: windows of any padding, of
even and of uneven sizes are one loop. The gradient is a gather too: other tables hold which windows have an index.
A row is one of the images' rows, all columns and channels of it. Channels go by as vectors, up to 64 at a time on the
stack. Windows of few pixels are written out (`WINDOW`): these sizes are then constants of the kernel, 0 elsewhere.
"""

from __future__ import annotations

from fastnet._kernels.kinds import integer, read, read_int32, read_uint8, size, write, write_int32, write_uint8
from fastnet._kernels.rules.scalars import added, sum_of_pair
from fastnet._kernels.template import template


@template("rows", cost="3 * y_width * taps", aligned=False)
def max_pooling(
    x: read[x_rows, x_width], y: write[rows, y_width], place: write_uint8[rows, y_width] | None,
    far_place: write_int32[rows, y_width] | None, depths: read_int32[out_depth, two],
    heights: read_int32[out_height, two], widths: read_int32[out_width, two], depth: integer, height: integer,
    channels: integer, window_height: integer, window_width: integer, taps: integer, out_depth: size,
    out_height: size, out_width: size, lo, hi,
):  # fmt: skip
    # place: the number of the first of the largest pixels in its window; NaN is larger than any number
    best, at = stack(64), stack("int32", 64)
    for r in range(lo, hi):
        d0, d1 = depths[r // out_height % out_depth, 0], depths[r // out_height % out_depth, 1]
        h0, h1 = heights[r % out_height, 0], heights[r % out_height, 1]
        image = r // (out_depth * out_height) * depth
        for column in range(out_width):
            w0, w1 = widths[column, 0], widths[column, 1]
            if DEPTH > 0 and d1 - d0 == DEPTH and h1 - h0 == HEIGHT and w1 - w0 == WIDTH:
                first = (image + d0) * height + h0
                for c in range(channels):
                    largest = x[first, w0 * channels + c]
                    where = int32(0)
                    for i in range(DEPTH):
                        for j in range(HEIGHT):
                            for k in range(WIDTH):
                                v = x[first + i * height + j, (w0 + k) * channels + c]
                                taken = v > largest or v != v
                                largest = v if taken else largest
                                where = int32((i * HEIGHT + j) * WIDTH + k) if taken else where
                    y[r, column * channels + c] = largest
                    place[r, column * channels + c] = where
            else:
                for left in range(0, channels, 64):
                    lanes = min(64, channels - left)
                    for k in range(lanes):
                        best[k] = x[(image + d0) * height + h0, w0 * channels + left + k]
                        at[k] = 0
                    for d in range(d0, d1):
                        for h in range(h0, h1):
                            for w in range(w0, w1):
                                tap = int32(((d - d0) * window_height + h - h0) * window_width + w - w0)
                                for k in range(lanes):
                                    v = x[(image + d) * height + h, w * channels + left + k]
                                    taken = v > best[k] or v != v
                                    best[k] = v if taken else best[k]
                                    at[k] = tap if taken else at[k]
                    for k in range(lanes):
                        y[r, column * channels + left + k] = best[k]
                        place[r, column * channels + left + k] = at[k]
                        far_place[r, column * channels + left + k] = at[k]


@template("rows", cost="3 * x_width * readers", aligned=False)
def max_pooling_gradient(
    dy: read[y_rows, y_width], place: read_uint8[y_rows, y_width] | -1, far_place: read_int32[y_rows, y_width] | -1,
    dx: write[rows, x_width], depths: read_int32[out_depth, two], heights: read_int32[out_height, two],
    widths: read_int32[out_width, two], depth_readers: read_int32[depth, two], height_readers: read_int32[height, two],
    width_readers: read_int32[width, two], channels: integer, window_height: integer, window_width: integer,
    readers: integer, depth: size, height: size, width: size, out_depth: size, out_height: size, lo, hi,
):  # fmt: skip
    for r in range(lo, hi):
        d, h = r // height % depth, r % height
        image = r // (depth * height) * out_depth
        for w in range(width):
            left = w * channels
            read_before = 0
            for od in range(depth_readers[d, 0], depth_readers[d, 1]):
                for oh in range(height_readers[h, 0], height_readers[h, 1]):
                    row = (image + od) * out_height + oh
                    for ow in range(width_readers[w, 0], width_readers[w, 1]):
                        above = (d - depths[od, 0]) * window_height + h - heights[oh, 0]
                        tap = int32(above * window_width + w - widths[ow, 0])
                        start = ow * channels
                        if read_before == 0:
                            for c in range(channels):
                                mine = int32(place[row, start + c]) == tap or int32(far_place[row, start + c]) == tap
                                dx[r, left + c] = dy[row, start + c] if mine else 0.0
                        else:
                            for c in range(channels):
                                mine = int32(place[row, start + c]) == tap or int32(far_place[row, start + c]) == tap
                                dx[r, left + c] = dx[r, left + c] + (dy[row, start + c] if mine else 0.0)
                        read_before = 1
            if read_before == 0:
                for c in range(channels):
                    dx[r, left + c] = 0.0


@template("rows", cost="2 * y_width * taps", aligned=False)
def window_sums(
    x: read[x_rows, x_width], y: write[rows, y_width], depths: read_int32[out_depth, two],
    heights: read_int32[out_height, two], widths: read_int32[out_width, two],
    depth_weights: read[out_depth, longest_depth] | 1.0, height_weights: read[out_height, longest_height] | 1.0,
    width_weights: read[out_width, longest_width] | 1.0, depth: integer, height: integer, channels: integer,
    averaged: integer, taps: integer, out_depth: size, out_height: size, out_width: size, lo, hi,
):  # fmt: skip
    # y: the sum of each window's pixels, each times the weights of its place along the axes; divided by the number of
    # pixels where `averaged` is 1. Sums over more than 64 are added in parts of 64 or a window's row, to a pair.
    total, high, low = stack(64), stack(64), stack(64)
    for r in range(lo, hi):
        od, oh = r // out_height % out_depth, r % out_height
        d0, d1 = depths[od, 0], depths[od, 1]
        h0, h1 = heights[oh, 0], heights[oh, 1]
        image = r // (out_depth * out_height) * depth
        for column in range(out_width):
            w0, w1 = widths[column, 0], widths[column, 1]
            count = (d1 - d0) * (h1 - h0) * (w1 - w0)
            divisor = T(count) if averaged == 1 else 1.0
            if DEPTH > 0 and d1 - d0 == DEPTH and h1 - h0 == HEIGHT and w1 - w0 == WIDTH:
                first = (image + d0) * height + h0
                for c in range(channels):
                    pixel = 0.0
                    for i in range(DEPTH):
                        for j in range(HEIGHT):
                            for k in range(WIDTH):
                                weight = depth_weights[od, i] * height_weights[oh, j] * width_weights[column, k]
                                pixel = pixel + weight * x[first + i * height + j, (w0 + k) * channels + c]
                    y[r, column * channels + c] = pixel / divisor
            else:
                for left in range(0, channels, 64):
                    lanes = min(64, channels - left)
                    for k in range(lanes):
                        total[k] = 0.0
                        high[k] = 0.0
                        low[k] = 0.0
                    for d in range(d0, d1):
                        for h in range(h0, h1):
                            for start in range(w0, w1, 64):
                                for w in range(start, min(start + 64, w1)):
                                    weight = depth_weights[od, d - d0] * height_weights[oh, h - h0]
                                    weight = weight * width_weights[column, w - w0]
                                    for k in range(lanes):
                                        total[k] = total[k] + weight * x[
                                            (image + d) * height + h, w * channels + left + k
                                        ]
                                if count > 64:
                                    for k in range(lanes):
                                        high[k], low[k] = added(high[k], low[k], total[k])
                                        total[k] = 0.0
                    for k in range(lanes):
                        whole = sum_of_pair(high[k], low[k]) if count > 64 else total[k]
                        y[r, column * channels + left + k] = whole / divisor
