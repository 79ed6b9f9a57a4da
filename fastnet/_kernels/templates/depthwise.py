"""Depthwise convolutions: a window of its own for each channel.

A unit of a kernel's axis is a channel of a line of results, or of pixels. Where a channel has several filters, it is
repeated before, and the sums of its repetitions are added behind the gradient.

On the CPU a part of the axis has many channels. Where they are a multiple of `LANES`, a block has a cache line of them
at four positions, which share what they read (`cpu.depthwise_intrinsics`). Other numbers of channels are lanes of
loops: a block of 64 sums stays in registers over all taps, since LLVM makes vectors of a loop of this fixed length, and
then unrolls it. One of 32 it unrolls first, and leaves scalar. Of fewer channels a block has those of several
positions, and their weights as often, on the stack.
"""

from __future__ import annotations

from fastnet._kernels.chunks import CHUNK_ROWS
from fastnet._kernels.kinds import integer, read, real, size, write
from fastnet._kernels.template import template

LANES = 8  # whose multiples are whole vectors of any dtype
TAPS = 25  # the most that have 64 sums each, or 64 weights, on the stack at once


@template("pixels", cost="filters")
def repeat_channels(x: read[pixels, channels], y: write[pixels, filters], channels: size, filters: size, lo, hi):
    # y (channels, MULTIPLIER) of each pixel: x, so many times
    for r in range(lo, hi):
        for c in range(channels):
            for m in range(MULTIPLIER):
                y[r, c * MULTIPLIER + m] = x[r, c]


@template("pixels", cost="filters")
def add_repetitions(dy: read[pixels, filters], dx: write[pixels, channels], channels: size, filters: size, lo, hi):
    for r in range(lo, hi):
        for c in range(channels):
            total = dy[r, c * MULTIPLIER]
            for m in range(1, MULTIPLIER):
                total = total + dy[r, c * MULTIPLIER + m]
            dx[r, c] = total


@template("n * lines * channels", grain=16, cost="2 * places * taps_y * taps_x", aligned=False)
def depthwise(
    x: read[n, image_y, image_x, channels], kernel: read, bias: read | 0.0, y: write[n, lines, places, channels],
    lowest: real, taps_y: integer, taps_x: integer, stride_y: integer, stride_x: integer, step_y: integer,
    step_x: integer, before_y: integer, before_x: integer, turned: integer, n: size, image_y: size, image_x: size,
    lines: size, places: size, channels: size, lo, hi,
):  # fmt: skip
    # kernel (taps_y, taps_x, channels), whose taps go by from the last to the first where it is turned
    total, block, weights, unit, is_loaded = stack(64), stack(64), stack(1600), lo, False
    last, way = (taps_y * taps_x - 1, -1) if turned else (0, 1)
    right = image_x + before_x - (taps_x - 1) * step_x  # from before_x to here all taps are within the image
    while unit < hi:
        line, c = unit // channels, unit % channels
        lanes = min(64, channels - c, hi - unit)
        flat = lanes == channels and lanes < 64 and stride_x == 1 and taps_y * taps_x <= TAPS
        together = 64 // lanes if flat else 1  # positions of a block
        plane, top = line // lines * image_y, line % lines * stride_y - before_y
        if flat and not is_loaded:
            is_loaded = True
            for tap in range(taps_y * taps_x):
                for k in range(lanes):
                    weights[tap * 64 + k] = kernel[(last + way * tap) * channels + k]
                for k in range(lanes, 64):
                    weights[tap * 64 + k] = weights[tap * 64 + k - lanes]
        p = 0
        while p < places:
            out, start = (line * places + p) * channels + c, p * stride_x - before_x
            if lanes == 64 or (flat and p >= before_x and p + (63 + lanes) // lanes <= right):
                for k in range(64):
                    block[k] = 0.0
                for ty in range(taps_y):
                    row = top + ty * step_y
                    if row >= 0 and row < image_y:
                        for tx in range(taps_x):
                            at, tap = start + tx * step_x, ty * taps_x + tx
                            if at >= 0 and at < image_x:
                                at = ((plane + row) * image_x + at) * channels + c
                                if lanes == 64:
                                    weight = (last + way * tap) * channels + c
                                    for k in range(64):
                                        block[k] = fma(x[at + k], kernel[weight + k], block[k])
                                else:
                                    for k in range(64):
                                        block[k] = fma(x[at + k], weights[tap * 64 + k], block[k])
                for k in range(64):
                    total[k] = block[k]
                count = together
            else:
                for k in range(lanes):
                    total[k] = 0.0
                for ty in range(taps_y):
                    row = top + ty * step_y
                    if row >= 0 and row < image_y:
                        for tx in range(taps_x):
                            at, weight = start + tx * step_x, (last + way * (ty * taps_x + tx)) * channels + c
                            if at >= 0 and at < image_x:
                                at = ((plane + row) * image_x + at) * channels + c
                                for k in range(lanes):
                                    total[k] = fma(x[at + k], kernel[weight + k], total[k])
                count = 1
            for i in range(count):
                for k in range(lanes):
                    value = total[i * lanes + k] + bias[c + k]
                    y[out + i * channels + k] = lowest if value < lowest else value
            p += count
        unit += lanes


@template("n * lines * channels", grain=16, cost="2 * places * taps_y * taps_x", aligned=False)
def depthwise_vectors(
    x: read[n, image_y, image_x, channels], kernel: read, bias: read | 0.0, y: write[n, lines, places, channels],
    lowest: real, taps_y: integer, taps_x: integer, stride_y: integer, stride_x: integer, step_y: integer,
    step_x: integer, before_y: integer, before_x: integer, turned: integer, n: size, image_y: size, image_x: size,
    lines: size, places: size, channels: size, lo, hi,
):  # fmt: skip
    # `depthwise` of whole vectors of channels. JOINED: the number of taps of a row, where they lie side by side as
    # positions do; else 0. STREAMED: 1 to store past the caches
    shift, unit = stack(64), lo
    # positions from which, and to which, all taps are in the image
    left = (before_x + stride_x - 1) // stride_x
    right = min(places, (image_x + before_x - (taps_x - 1) * step_x + stride_x - 1) // stride_x)
    x_step, x_row, x_tap = stride_x * channels, step_y * image_x * channels, step_x * channels
    last, way = (taps_y * taps_x - 1, -1) if turned else (0, 1)
    while unit < hi:
        line, c = unit // channels, unit % channels
        lanes = min(64, channels - c, hi - unit)
        for k in range(lanes):
            shift[k] = bias[c + k]
        top = line % lines * stride_y - before_y
        row = min(taps_y, max(0, -(top // step_y)))  # the first tap in the image, here and below
        rows = taps_y - row - min(taps_y - row, max(0, taps_y + (top - image_y) // step_y))
        image = (line // lines * image_y + top + row * step_y) * image_x
        ahead = ((rows - 1) * step_y + stride_y) * image_x * channels  # the line that the next one reads first
        p = 0
        while p < places:
            blocks, taps, tap, front, behind = 0, taps_x, 0, 0, 0
            if left <= p and p + 4 <= right:
                blocks = (right - p) // 4
            elif JOINED > 0 and places >= 4:
                first = min(p, places - 4) - before_x
                front, behind = max(0, -first), max(0, first + 3 + taps_x - image_x)
                if front < taps_x and behind < taps_x:
                    blocks, p = 1, min(p, places - 4)  # the last block computes some positions again
            elif left <= p < right and right - left >= 8:
                blocks, p = 1, right - 4
            start = p * stride_x - before_x
            if blocks == 0 and (p < left or p >= right):
                tap = min(taps_x, max(0, -(start // step_x)))
                taps = taps_x - tap - min(taps_x - tap, max(0, taps_x + (start - image_x) // step_x))
            at = (image + start + tap * step_x) * channels + c
            out, weight = (line * places + p) * channels + c, (last + way * (row * taps_x + tap)) * channels + c
            if blocks > 0:
                window_sums_of_blocks(
                    4, JOINED, STREAMED, x, at, x_step, x_row, x_tap, kernel, weight, way * taps_x * channels,
                    way * channels, rows, taps, y, out, channels, shift, lowest, lanes, blocks, front, behind, ahead
                )  # fmt: skip
            else:
                window_sums_of_blocks(
                    1, 0, STREAMED, x, at, x_step, x_row, x_tap, kernel, weight, way * taps_x * channels,
                    way * channels, rows, taps, y, out, channels, shift, lowest, lanes, 1, 0, 0, 0
                )  # fmt: skip
            p += max(1, 4 * blocks)
        unit += lanes
    if STREAMED == 1:
        finish_stores()


@template("n * lines * places * channels", cost="2 * taps_y * taps_x")
def depthwise_elements(
    x: read[n, image_y, image_x, channels], kernel: read, bias: read | 0.0, y: write[n, lines, places, channels],
    lowest: real, taps_y: integer, taps_x: integer, stride_y: integer, stride_x: integer, step_y: integer,
    step_x: integer, before_y: integer, before_x: integer, turned: integer, n: size, image_y: size, image_x: size,
    lines: size, places: size, channels: size, lo, hi,
):  # fmt: skip
    # `depthwise` for a GPU, where neighbouring threads have neighbouring channels
    last, way = (taps_y * taps_x - 1, -1) if turned else (0, 1)
    for element in range(lo, hi):
        pixel = int64(uint32(element) // uint32(channels))
        c, line = element - pixel * channels, int64(uint32(pixel) // uint32(places))
        image = int64(uint32(line) // uint32(lines))
        top, start = (line - image * lines) * stride_y - before_y, (pixel - line * places) * stride_x - before_x
        total = 0.0
        for ty in range(taps_y):
            row = top + ty * step_y
            if row >= 0 and row < image_y:
                for tx in range(taps_x):
                    at = start + tx * step_x
                    if at >= 0 and at < image_x:
                        at = ((image * image_y + row) * image_x + at) * channels + c
                        total = fma(x[at], kernel[(last + way * (ty * taps_x + tx)) * channels + c], total)
        value = total + bias[c]
        y[element] = lowest if value < lowest else value


@template("n * image_y * channels", grain=16, cost="4 * places * taps_y * taps_x", aligned=False)
def depthwise_input_gradient(
    dy: read[n, lines, places, channels], kernel: read, dx: write[n, image_y, image_x, channels], taps_y: integer,
    taps_x: integer, stride_y: integer, stride_x: integer, step_y: integer, step_x: integer, before_y: integer,
    before_x: integer, n: size, image_y: size, image_x: size, lines: size, places: size, channels: size, lo, hi,
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
                source = (row // image_y * lines + line) * places * channels + first
                for tx in range(taps_x):
                    start = tx * step_x - before_x
                    weight = (ty * taps_x + tx) * channels + first
                    left = max(0, (stride_x - 1 - start) // stride_x)
                    right = min(places, (image_x - 1 - start) // stride_x + 1)
                    for p in range(left, right):
                        pixel, at = out + (start + p * stride_x) * channels, source + p * channels
                        for k in range(lanes):
                            dx[pixel + k] = fma(dy[at + k], kernel[weight + k], dx[pixel + k])
        unit += lanes


_CHUNKS = f"chunks(n * lines * places, {CHUNK_ROWS})"


@template(f"{_CHUNKS} * taps_y * taps_x * channels", grain=16, cost=f"4 * {CHUNK_ROWS}", aligned=False)
def depthwise_kernel_gradient(
    x: read[n, image_y, image_x, channels], dy: read[n, lines, places, channels], dkernel: write, taps_y: integer,
    taps_x: integer, stride_y: integer, stride_x: integer, step_y: integer, step_x: integer, before_y: integer,
    before_x: integer, n: size, image_y: size, image_x: size, lines: size, places: size, channels: size, lo, hi,
):  # fmt: skip
    # dkernel (chunks, taps_y, taps_x, channels): of CHUNK_ROWS results each
    total, block, unit = stack(64), stack(64), lo
    groups = max(1, 64 // channels) if stride_x == 1 else 1  # positions whose sums are kept apart, side by side
    while unit < hi:
        c, tap = unit % channels, unit // channels % (taps_y * taps_x)
        chunk, lanes = unit // channels // (taps_y * taps_x), min(64, channels - c, hi - unit)
        last, start = min((chunk + 1) * CHUNK_ROWS, n * lines * places), tap % taps_x * step_x - before_x
        left = max(0, (stride_x - 1 - start) // stride_x)
        right = min(places, (image_x - 1 - start) // stride_x + 1)
        for k in range(64):
            total[k] = 0.0
            block[k] = 0.0
        begin = chunk * CHUNK_ROWS
        while begin < last:  # the part of each line that is in the chunk
            line, end = begin // places, min(last, begin - begin % places + places)
            row = line % lines * stride_y + tap // taps_x * step_y - before_y
            source = ((line // lines * image_y + row) * image_x + start) * channels + c
            p, stop = max(left, begin - line * places), min(right, end - line * places)
            while row >= 0 and row < image_y and p < stop:
                at, result = source + p * stride_x * channels, (line * places + p) * channels + c
                count = min(groups, stop - p)
                if lanes == 64:
                    for k in range(64):
                        block[k] = fma(x[at + k], dy[result + k], block[k])
                elif lanes == channels:
                    for k in range(count * lanes):
                        total[k] = fma(x[at + k], dy[result + k], total[k])
                else:
                    for i in range(count):
                        for k in range(lanes):
                            value = dy[result + i * channels + k]
                            total[i * lanes + k] = fma(x[at + i * channels + k], value, total[i * lanes + k])
                p += count
            begin = end
        for k in range(lanes):
            value = block[k] + total[k]
            for i in range(1, groups):
                value = value + total[i * lanes + k]
            dkernel[unit + k] = value
        unit += lanes


@template(f"{_CHUNKS} * channels", grain=16, cost=f"2 * {CHUNK_ROWS} * taps_y * taps_x", aligned=False)
def depthwise_kernel_gradient_vectors(
    x: read[n, image_y, image_x, channels], dy: read[n, lines, places, channels], dkernel: write, taps_y: integer,
    taps_x: integer, stride_y: integer, stride_x: integer, step_y: integer, step_x: integer, before_y: integer,
    before_x: integer, n: size, image_y: size, image_x: size, lines: size, places: size, channels: size, lo, hi,
):  # fmt: skip
    # `depthwise_kernel_gradient` of whole vectors of channels. Lines stay in the first-level cache over all taps.
    # JOINED: as for `depthwise_vectors`, and 0 for more than `TAPS` taps
    total, unit, x_step = stack(1600), lo, stride_x * channels
    while unit < hi:
        c, chunk = unit % channels, unit // channels
        lanes, last = min(64, channels - c, hi - unit), min((chunk + 1) * CHUNK_ROWS, n * lines * places)
        for first_tap in range(0, taps_y * taps_x, TAPS):
            taps = min(TAPS, taps_y * taps_x - first_tap)
            for k in range(taps * 64):
                total[k] = 0.0
            begin = chunk * CHUNK_ROWS
            while begin < last:  # the part of each line that is in the chunk
                line, end = begin // places, min(last, begin - begin % places + places)
                # positions from which, and to which, all taps of a row are in the image
                first = max(begin - line * places, before_x)
                stop = min(end - line * places, image_x + before_x - taps_x + 1)
                joined = JOINED > 0 and first < stop
                if joined:
                    front = first - max(begin - line * places, before_x - taps_x + 1)
                    behind = min(end - line * places, image_x + before_x) - stop
                    for ty in range(taps_y):
                        row = line % lines * stride_y + ty * step_y - before_y
                        if row >= 0 and row < image_y:
                            at = ((line // lines * image_y + row) * image_x + first - before_x) * channels + c
                            result = (line * places + first) * channels + c
                            products_of_taps(JOINED, total, ty * taps_x * 64, 64, x, at, channels, dy, result, channels,
                                             stop - first, front, behind, lanes)  # fmt: skip
                for i in range(0 if joined else taps):
                    tap = first_tap + i
                    start = tap % taps_x * step_x - before_x
                    row = line % lines * stride_y + tap // taps_x * step_y - before_y
                    p = max(begin - line * places, (stride_x - 1 - start) // stride_x)
                    stop = min(end - line * places, (image_x - 1 - start) // stride_x + 1)
                    if row >= 0 and row < image_y and p < stop:
                        at = ((line // lines * image_y + row) * image_x + start) * channels + c + p * x_step
                        result = (line * places + p) * channels + c
                        products_of_block(total, i * 64, x, at, x_step, dy, result, channels, stop - p, lanes)
                begin = end
            for i in range(taps):
                for k in range(lanes):
                    dkernel[(chunk * taps_y * taps_x + first_tap + i) * channels + c + k] = total[i * 64 + k]
        unit += lanes


@template(f"{_CHUNKS} * taps_y * taps_x * channels", cost=f"4 * {CHUNK_ROWS}")
def depthwise_kernel_gradient_elements(
    x: read[n, image_y, image_x, channels], dy: read[n, lines, places, channels], dkernel: write, taps_y: integer,
    taps_x: integer, stride_y: integer, stride_x: integer, step_y: integer, step_x: integer, before_y: integer,
    before_x: integer, n: size, image_y: size, image_x: size, lines: size, places: size, channels: size, lo, hi,
):  # fmt: skip
    # `depthwise_kernel_gradient` for a GPU, where neighbouring threads have neighbouring channels
    total = stack(64)
    groups = max(1, 64 // channels) if stride_x == 1 and channels % LANES > 0 else 1
    for unit in range(lo, hi):
        c, tap = unit % channels, unit // channels % (taps_y * taps_x)
        chunk, start = unit // channels // (taps_y * taps_x), tap % taps_x * step_x - before_x
        left = max(0, (stride_x - 1 - start) // stride_x)
        right = min(places, (image_x - 1 - start) // stride_x + 1)
        for i in range(groups):
            total[i] = 0.0
        begin, last = chunk * CHUNK_ROWS, min((chunk + 1) * CHUNK_ROWS, n * lines * places)
        while begin < last:
            line, end = begin // places, min(last, begin - begin % places + places)
            row = line % lines * stride_y + tap // taps_x * step_y - before_y
            source = ((line // lines * image_y + row) * image_x + start) * channels + c
            p, stop, i = max(left, begin - line * places), min(right, end - line * places), 0
            while row >= 0 and row < image_y and p < stop:
                total[i] = fma(x[source + p * stride_x * channels], dy[(line * places + p) * channels + c], total[i])
                p, i = p + 1, (i + 1) % groups
            begin = end
        value = total[0]
        for i in range(1, groups):
            value = value + total[i]
        dkernel[unit] = value
