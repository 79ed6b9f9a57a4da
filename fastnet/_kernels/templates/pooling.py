"""Loops over windows of images (samples, depth, height, width, channels), whose first axes may have the size 1.

A table for each axis holds, for each index of the result, where its window begins and ends: windows of any padding, of
even and of uneven sizes are one loop. The gradient is a gather too: other tables hold which windows have an index.
A row is one of the images' rows, all columns and channels of it. Channels go by as vectors, up to 64 at a time on the
stack. Windows of few pixels are written out (`WINDOW`): these sizes are then constants of the kernel, 0 elsewhere.
"""

from __future__ import annotations

import math

from fastnet._kernels.kinds import integer, read, read_int32, read_uint8, size, write, write_int32, write_uint8
from fastnet._kernels.rules.scalars import added, sum_of_pair
from fastnet._kernels.template import template

PIECE = 1024  # elements of a row that go past the caches at once; those of the last window may exceed it, by fewer


@template("rows", cost="3 * y_width * taps", aligned=False)
def max_pooling(
    x: read[x_rows, x_width], y: write[rows, y_width], place: write_uint8[rows, y_width] | None,
    far_place: write_int32[rows, y_width] | None, depths: read_int32[out_depth, two],
    heights: read_int32[out_height, two], widths: read_int32[out_width, two], depth: integer, height: integer,
    channels: integer, window_height: integer, window_width: integer, taps: integer, out_depth: size,
    out_height: size, out_width: size, lo, hi,
):  # fmt: skip
    # place: the number in its window of the first of the largest pixels. It is found without a branch, as a float.
    # Large windows go by in pairs of pixels, the last one perhaps twice: a select between a number and that in memory
    # would become a masked store, which on Zen is ten times slower.
    best, at, nans = stack(64), stack(64), stack(64)
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
                    is_nan = largest != largest
                    for i in range(DEPTH):
                        for j in range(HEIGHT):
                            for k in range(WIDTH):
                                v = x[first + i * height + j, (w0 + k) * channels + c]
                                largest = at_least(largest, v)
                                is_nan = is_nan | (v != v)
                    before = 0.0
                    for tap in range(DEPTH * HEIGHT * WIDTH - 2, -1, -1):
                        row = first + tap // (HEIGHT * WIDTH) * height + tap // WIDTH % HEIGHT
                        v = x[row, (w0 + tap % WIDTH) * channels + c]
                        before = select(v != largest, 1.0 + before, 0.0)
                    y[r, column * channels + c] = select(is_nan, math.nan, largest)
                    place[r, column * channels + c] = int32(before)
            else:
                for left in range(0, channels, 64):
                    lanes = min(64, channels - left)
                    for k in range(lanes):
                        best[k] = x[(image + d0) * height + h0, w0 * channels + left + k]
                        at[k] = 0.0
                        nans[k] = 0.0
                    for d in range(d0, d1):
                        for h in range(h0, h1):
                            row, above = (image + d) * height + h, (d - d0) * window_height + h - h0
                            for w in range(w0, w1, 2):
                                after = min(w + 1, w1 - 1)
                                tap, next_tap = T(above * window_width + w - w0), T(above * window_width + after - w0)
                                for k in range(lanes):
                                    v, u = x[row, w * channels + left + k], x[row, after * channels + left + k]
                                    larger = at_least(best[k], v)
                                    place_of_v = select(v > best[k], tap, 0.0)
                                    place_of_u = select(u > larger, next_tap, 0.0)
                                    at[k] = at_least(at_least(at[k], place_of_v), place_of_u)
                                    best[k] = at_least(larger, u)
                                    nans[k] = nans[k] + select((v != v) | (u != u), 1.0, 0.0)
                    for k in range(lanes):
                        y[r, column * channels + left + k] = select(nans[k] > 0.0, math.nan, best[k])
                        place[r, column * channels + left + k] = int32(at[k])
                        far_place[r, column * channels + left + k] = int32(at[k])


@template("rows * y_width", cost="3 * taps")
def max_pooling_elements(
    x: read[x_rows, x_width], y: write[rows, y_width], place: write_uint8[rows, y_width] | None,
    far_place: write_int32[rows, y_width] | None, depths: read_int32[out_depth, two],
    heights: read_int32[out_height, two], widths: read_int32[out_width, two], depth: integer, height: integer,
    channels: integer, window_height: integer, window_width: integer, taps: integer, out_depth: size,
    out_height: size, out_width: size, lo, hi,
):  # fmt: skip
    # `max_pooling` for a GPU, where neighbouring threads have neighbouring channels
    across = out_width * channels
    for element in range(lo, hi):
        r = int64(uint32(element) // uint32(across))
        j = element - r * across
        column = int64(uint32(j) // uint32(channels))
        c = j - column * channels
        plane = uint32(r) // uint32(out_height)
        od, oh = int64(plane % uint32(out_depth)), r - int64(plane) * out_height
        d0, d1, h0, h1 = depths[od, 0], depths[od, 1], heights[oh, 0], heights[oh, 1]
        w0, w1 = widths[column, 0], widths[column, 1]
        image = int64(plane // uint32(out_depth)) * depth
        first = (image + d0) * height + h0
        largest = x[first, w0 * channels + c]
        is_nan = largest != largest
        if DEPTH > 0 and d1 - d0 == DEPTH and h1 - h0 == HEIGHT and w1 - w0 == WIDTH:
            for i in range(DEPTH):
                for k in range(HEIGHT):
                    for w in range(WIDTH):
                        v = x[first + i * height + k, (w0 + w) * channels + c]
                        largest = at_least(largest, v)
                        is_nan = is_nan | (v != v)
            at = 0.0
            for tap in range(DEPTH * HEIGHT * WIDTH - 2, -1, -1):
                row = first + tap // (HEIGHT * WIDTH) * height + tap // WIDTH % HEIGHT
                v = x[row, (w0 + tap % WIDTH) * channels + c]
                at = select(v != largest, 1.0 + at, 0.0)
        else:
            at = 0.0
            for d in range(d0, d1):
                for h in range(h0, h1):
                    row, above = (image + d) * height + h, (d - d0) * window_height + h - h0
                    for w in range(w0, w1):
                        v = x[row, w * channels + c]
                        at = at_least(at, select(v > largest, T(above * window_width + w - w0), 0.0))
                        largest = at_least(largest, v)
                        is_nan = is_nan | (v != v)
        y[r, j] = select(is_nan, math.nan, largest)
        place[r, j] = int32(at)
        far_place[r, j] = int32(at)


@template("rows", cost="3 * x_width", aligned=False)
def tiled_max_pooling_gradient(
    dy: read[y_rows, y_width], place: read_uint8[y_rows, y_width] | -1, far_place: read_int32[y_rows, y_width] | -1,
    dx: write[rows, x_width], depths: read_int32[out_depth, two], heights: read_int32[out_height, two],
    widths: read_int32[out_width, two], depth_readers: read_int32[depth, two], height_readers: read_int32[height, two],
    width_readers: read_int32[width, two], channels: integer, window_height: integer, window_width: integer,
    x_width: size, depth: size, height: size, width: size, out_depth: size, out_height: size, out_width: size, lo, hi,
):  # fmt: skip
    # of windows that follow each other along all axes: each pixel has one, except for those behind the last one. Where
    # STREAMED is 1, pieces of a row are put together on the stack, and go past the caches.
    # Places are compared as floats: a select by integers would be a branch where channels are too few for vectors.
    line = stack(2048)
    for r in range(lo, hi):
        d, h, first = r // height % depth, r % height, 0  # the piece's first element
        od, oh = depth_readers[d, 0], height_readers[h, 0]
        covered = 0
        if od < depth_readers[d, 1] and oh < height_readers[h, 1]:
            covered = widths[out_width - 1, 1] * channels
            row = (r // (depth * height) * out_depth + od) * out_height + oh
            start = T(((d - depths[od, 0]) * window_height + h - heights[oh, 0]) * window_width)
            for ow in range(out_width):
                w0, w1 = widths[ow, 0], widths[ow, 1]
                if WIDTH > 0 and w1 - w0 == WIDTH:
                    for c in range(channels):
                        at = T(place[row, ow * channels + c]) - start
                        gradient = dy[row, ow * channels + c]
                        for k in range(WIDTH):
                            value = select(at == T(k), gradient, 0.0)
                            if STREAMED == 1:
                                line[(w0 + k) * channels + c - first] = value
                            else:
                                dx[r, (w0 + k) * channels + c] = value
                else:
                    for w in range(w0, w1):
                        tap = start + T(w - w0)
                        for c in range(channels):
                            at = ow * channels + c
                            mine = (T(place[row, at]) == tap) | (T(far_place[row, at]) == tap)
                            value = select(mine, dy[row, at], 0.0)
                            if STREAMED == 1:
                                line[w * channels + c - first] = value
                            else:
                                dx[r, w * channels + c] = value
                if STREAMED == 1 and (w1 * channels - first >= PIECE or ow == out_width - 1):
                    stream_line(dx, r * x_width + first, line, w1 * channels - first)
                    first = w1 * channels
        for j in range(covered, x_width):
            dx[r, j] = 0.0
    if STREAMED == 1:
        finish_stores()


@template("rows", cost="3 * x_width * readers", aligned=False)
def max_pooling_gradient(
    dy: read[y_rows, y_width], place: read_uint8[y_rows, y_width] | -1, far_place: read_int32[y_rows, y_width] | -1,
    dx: write[rows, x_width], depths: read_int32[out_depth, two], heights: read_int32[out_height, two],
    widths: read_int32[out_width, two], depth_readers: read_int32[depth, two], height_readers: read_int32[height, two],
    width_readers: read_int32[width, two], channels: integer, window_height: integer, window_width: integer,
    readers: integer, x_width: size, depth: size, height: size, width: size, out_depth: size, out_height: size,
    out_width: size, lo, hi,
):  # fmt: skip
    # Window by window, each of which is read once for all its pixels of a row. Each pixel's gradients are added in the
    # order of its windows.
    for r in range(lo, hi):
        d, h = r // height % depth, r % height
        image = r // (depth * height) * out_depth
        for j in range(x_width):
            dx[r, j] = 0.0
        for od in range(depth_readers[d, 0], depth_readers[d, 1]):
            for oh in range(height_readers[h, 0], height_readers[h, 1]):
                row = (image + od) * out_height + oh
                start = T(((d - depths[od, 0]) * window_height + h - heights[oh, 0]) * window_width)
                for ow in range(out_width):
                    w0, w1 = widths[ow, 0], widths[ow, 1]
                    if WIDTH > 0 and w1 - w0 == WIDTH:
                        for c in range(channels):
                            at = T(place[row, ow * channels + c]) - start
                            gradient = dy[row, ow * channels + c]
                            for k in range(WIDTH):
                                pixel = (w0 + k) * channels + c
                                dx[r, pixel] = dx[r, pixel] + select(at == T(k), gradient, 0.0)
                    else:
                        for w in range(w0, w1):
                            tap = start + T(w - w0)
                            for c in range(channels):
                                at = ow * channels + c
                                mine = (T(place[row, at]) == tap) | (T(far_place[row, at]) == tap)
                                dx[r, w * channels + c] = dx[r, w * channels + c] + select(mine, dy[row, at], 0.0)


@template("rows * x_width", cost="3")
def tiled_max_pooling_gradient_elements(
    dy: read[y_rows, y_width], place: read_uint8[y_rows, y_width] | -1, far_place: read_int32[y_rows, y_width] | -1,
    dx: write[rows, x_width], depths: read_int32[out_depth, two], heights: read_int32[out_height, two],
    widths: read_int32[out_width, two], depth_readers: read_int32[depth, two], height_readers: read_int32[height, two],
    width_readers: read_int32[width, two], channels: integer, window_height: integer, window_width: integer,
    x_width: size, depth: size, height: size, width: size, out_depth: size, out_height: size, out_width: size, lo, hi,
):  # fmt: skip
    # `tiled_max_pooling_gradient` for a GPU, where neighbouring threads have neighbouring channels
    for element in range(lo, hi):
        r = int64(uint32(element) // uint32(x_width))
        j = element - r * x_width
        w = int64(uint32(j) // uint32(channels))
        c, plane = j - w * channels, uint32(r) // uint32(height)
        d, h = int64(plane % uint32(depth)), r - int64(plane) * height
        image = int64(plane // uint32(depth)) * out_depth
        od, oh, ow = depth_readers[d, 0], height_readers[h, 0], width_readers[w, 0]
        value = 0.0
        if od < depth_readers[d, 1] and oh < height_readers[h, 1] and ow < width_readers[w, 1]:
            row, at = (image + od) * out_height + oh, ow * channels + c
            tap = ((d - depths[od, 0]) * window_height + h - heights[oh, 0]) * window_width + w - widths[ow, 0]
            value = select((place[row, at] == tap) | (far_place[row, at] == tap), dy[row, at], 0.0)
        dx[r, j] = value


@template("rows * x_width", cost="3 * readers")
def max_pooling_gradient_elements(
    dy: read[y_rows, y_width], place: read_uint8[y_rows, y_width] | -1, far_place: read_int32[y_rows, y_width] | -1,
    dx: write[rows, x_width], depths: read_int32[out_depth, two], heights: read_int32[out_height, two],
    widths: read_int32[out_width, two], depth_readers: read_int32[depth, two], height_readers: read_int32[height, two],
    width_readers: read_int32[width, two], channels: integer, window_height: integer, window_width: integer,
    readers: integer, x_width: size, depth: size, height: size, width: size, out_depth: size, out_height: size,
    out_width: size, lo, hi,
):  # fmt: skip
    # `max_pooling_gradient` for a GPU, where neighbouring threads have neighbouring channels
    for element in range(lo, hi):
        r = int64(uint32(element) // uint32(x_width))
        j = element - r * x_width
        w = int64(uint32(j) // uint32(channels))
        c, plane = j - w * channels, uint32(r) // uint32(height)
        d, h = int64(plane % uint32(depth)), r - int64(plane) * height
        image = int64(plane // uint32(depth)) * out_depth
        total = 0.0
        for od in range(depth_readers[d, 0], depth_readers[d, 1]):
            for oh in range(height_readers[h, 0], height_readers[h, 1]):
                row, start = (image + od) * out_height + oh, (d - depths[od, 0]) * window_height + h - heights[oh, 0]
                for ow in range(width_readers[w, 0], width_readers[w, 1]):
                    at, tap = ow * channels + c, start * window_width + w - widths[ow, 0]
                    mine = (place[row, at] == tap) | (far_place[row, at] == tap)
                    total = total + select(mine, dy[row, at], 0.0)
        dx[r, j] = total


@template("rows", cost="2 * y_width * taps", aligned=False)
def window_sums(
    x: read[x_rows, x_width], y: write[rows, y_width], depths: read_int32[out_depth, two],
    heights: read_int32[out_height, two], widths: read_int32[out_width, two],
    depth_weights: read[out_depth, longest_depth] | 1.0, height_weights: read[out_height, longest_height] | 1.0,
    width_weights: read[out_width, longest_width] | 1.0, depth: integer, height: integer, channels: integer,
    taps: integer, out_depth: size, out_height: size, out_width: size, lo, hi,
):  # fmt: skip
    # y: the sum of each window's pixels, each times the weights of its place along the axes; divided by the number of
    # pixels where AVERAGED is 1. Sums over more than 64 are added in parts of 64 or a window's row, to a pair.
    total, high, low = stack(64), stack(64), stack(64)
    for r in range(lo, hi):
        od, oh = r // out_height % out_depth, r % out_height
        d0, d1 = depths[od, 0], depths[od, 1]
        h0, h1 = heights[oh, 0], heights[oh, 1]
        image = r // (out_depth * out_height) * depth
        for column in range(out_width):
            w0, w1 = widths[column, 0], widths[column, 1]
            count = (d1 - d0) * (h1 - h0) * (w1 - w0)
            divisor = T(count) if AVERAGED == 1 else 1.0
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
                                        total[k] = (
                                            total[k] + weight * x[(image + d) * height + h, w * channels + left + k]
                                        )
                                if count > 64:
                                    for k in range(lanes):
                                        high[k], low[k] = added(high[k], low[k], total[k])
                                        total[k] = 0.0
                    for k in range(lanes):
                        whole = sum_of_pair(high[k], low[k]) if count > 64 else total[k]
                        y[r, column * channels + left + k] = whole / divisor


@template("rows * y_width", cost="2 * taps")
def window_sums_elements(
    x: read[x_rows, x_width], y: write[rows, y_width], depths: read_int32[out_depth, two],
    heights: read_int32[out_height, two], widths: read_int32[out_width, two],
    depth_weights: read[out_depth, longest_depth] | 1.0, height_weights: read[out_height, longest_height] | 1.0,
    width_weights: read[out_width, longest_width] | 1.0, depth: integer, height: integer, channels: integer,
    taps: integer, out_depth: size, out_height: size, out_width: size, lo, hi,
):  # fmt: skip
    # `window_sums` for a GPU, where neighbouring threads have neighbouring channels
    across = out_width * channels
    for element in range(lo, hi):
        r = int64(uint32(element) // uint32(across))
        j = element - r * across
        column = int64(uint32(j) // uint32(channels))
        c = j - column * channels
        plane = uint32(r) // uint32(out_height)
        od, oh = int64(plane % uint32(out_depth)), r - int64(plane) * out_height
        d0, d1, h0, h1 = depths[od, 0], depths[od, 1], heights[oh, 0], heights[oh, 1]
        w0, w1 = widths[column, 0], widths[column, 1]
        image = int64(plane // uint32(out_depth)) * depth
        count = (d1 - d0) * (h1 - h0) * (w1 - w0)
        total, high, low = 0.0, 0.0, 0.0
        for d in range(d0, d1):
            for h in range(h0, h1):
                for start in range(w0, w1, 64):
                    for w in range(start, min(start + 64, w1)):
                        weight = depth_weights[od, d - d0] * height_weights[oh, h - h0]
                        weight = weight * width_weights[column, w - w0]
                        total = total + weight * x[(image + d) * height + h, w * channels + c]
                    if count > 64:
                        high, low = added(high, low, total)
                        total = 0.0
        whole = sum_of_pair(high, low) if count > 64 else total
        y[r, j] = whole / (T(count) if AVERAGED == 1 else 1.0)
