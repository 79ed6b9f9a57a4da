"""Loops of Winograd's convolution that are not products; see `rules.winograd`."""

from __future__ import annotations

from fastnet._kernels.kinds import read, size, write
from fastnet._kernels.rules.winograd import winograd_taps, winograd_taps_gradient
from fastnet._kernels.template import template


@template("panels * channels", cost="4000")
def transform_taps(kernel: read, transformed: write, panels: size, channels: size, lo, hi):
    # transformed (36, panels, channels, 32): the taps of kernel (3, 3, channels, panels, 32) at the points of
    # Winograd's convolution. First along the height, then along the width: as one loop, LLVM leaves it scalar.
    lines = stack(576)
    plane = panels * channels * 32
    for unit in range(lo, hi):
        start = unit % channels * panels * 32 + unit // channels * 32
        for i in range(3):
            for j in range(32):
                at = start + i * plane + j
                a, b, c, d, e, f = winograd_taps(kernel[at], kernel[at + 3 * plane], kernel[at + 6 * plane])
                lines[i * 192 + j] = a
                lines[i * 192 + 32 + j] = b
                lines[i * 192 + 64 + j] = c
                lines[i * 192 + 96 + j] = d
                lines[i * 192 + 128 + j] = e
                lines[i * 192 + 160 + j] = f
        for point in range(6):
            for j in range(32):
                at = point * 32 + j
                a, b, c, d, e, f = winograd_taps(lines[at], lines[at + 192], lines[at + 384])
                to = point * 6 * plane + unit * 32 + j
                transformed[to] = a
                transformed[to + plane] = b
                transformed[to + 2 * plane] = c
                transformed[to + 3 * plane] = d
                transformed[to + 4 * plane] = e
                transformed[to + 5 * plane] = f


@template("panels * channels * 32", cost="120")
def transform_taps_elements(kernel: read, transformed: write, panels: size, channels: size, lo, hi):
    # `transform_taps` for a GPU, where neighbouring threads have neighbouring filters
    lines = stack(18)
    plane = panels * channels * 32
    for element in range(lo, hi):
        panel, channel = uint32(element // 32) // uint32(channels), uint32(element // 32) % uint32(channels)
        start = (int64(channel) * panels + int64(panel)) * 32 + element % 32
        for i in range(3):
            at = start + i * plane
            a, b, c, d, e, f = winograd_taps(kernel[at], kernel[at + 3 * plane], kernel[at + 6 * plane])
            lines[i], lines[i + 3], lines[i + 6], lines[i + 9], lines[i + 12], lines[i + 15] = a, b, c, d, e, f
        for point in range(6):
            a, b, c, d, e, f = winograd_taps(lines[3 * point], lines[3 * point + 1], lines[3 * point + 2])
            to = point * 6 * plane + element
            transformed[to], transformed[to + plane], transformed[to + 2 * plane] = a, b, c
            transformed[to + 3 * plane], transformed[to + 4 * plane], transformed[to + 5 * plane] = d, e, f


@template("down * across * chunks(channels * columns, 128)", cost="13000 * chunk_count")
def gather_taps(
    products: read, gradient: write, chunk_count: size, down: size, across: size, channels: size, columns: size, lo, hi
):  # fmt: skip
    # gradient (3, 3, down, channels, across, columns): of the taps, from products (chunk_count, down, across, 36,
    # channels, columns) at the points of Winograd's convolution. A unit is 128 elements of a plane.
    points, lines = stack(4608), stack(2304)
    plane = channels * columns
    tap = down * channels * across * columns
    blocks = plane // 128
    for unit in range(lo, hi):
        part, first = unit // blocks, unit % blocks * 128
        for point in range(36):
            start = (part * 36 + point) * plane + first
            for j in range(128):
                points[point * 128 + j] = products[start + j]
            for chunk in range(1, chunk_count):
                at = start + chunk * down * across * 36 * plane
                for j in range(128):
                    points[point * 128 + j] = points[point * 128 + j] + products[at + j]
        for j in range(768):
            a, b, c = winograd_taps_gradient(
                points[j], points[j + 768], points[j + 1536], points[j + 2304], points[j + 3072], points[j + 3840]
            )
            lines[j] = a
            lines[j + 768] = b
            lines[j + 1536] = c
        for i in range(3):
            for r in range(128 // columns):
                row = part // across * channels + first // columns + r
                to = i * 3 * tap + (row * across + part % across) * columns
                for j in range(columns):
                    at = i * 768 + r * columns + j
                    a, b, c = winograd_taps_gradient(
                        lines[at], lines[at + 128], lines[at + 256], lines[at + 384], lines[at + 512], lines[at + 640]
                    )
                    gradient[to + j] = a
                    gradient[to + tap + j] = b
                    gradient[to + 2 * tap + j] = c


@template("down * across * channels * columns", cost="100 * chunk_count")
def gather_taps_elements(
    products: read, gradient: write, chunk_count: size, down: size, across: size, channels: size, columns: size, lo, hi
):  # fmt: skip
    # `gather_taps` for a GPU, where neighbouring threads have neighbouring columns
    points, lines = stack(36), stack(18)
    plane = channels * columns
    tap = down * channels * across * columns
    for element in range(lo, hi):
        part, at = int64(uint32(element) // uint32(plane)), int64(uint32(element) % uint32(plane))
        channel, column = int64(uint32(at) // uint32(columns)), int64(uint32(at) % uint32(columns))
        for point in range(36):
            start = (part * 36 + point) * plane + at
            points[point] = products[start]
            for chunk in range(1, chunk_count):
                points[point] = points[point] + products[start + chunk * down * across * 36 * plane]
        for j in range(6):
            a, b, c = winograd_taps_gradient(
                points[j], points[j + 6], points[j + 12], points[j + 18], points[j + 24], points[j + 30]
            )
            lines[j], lines[j + 6], lines[j + 12] = a, b, c
        row = part // across * channels + channel
        to = (row * across + part % across) * columns + column
        for i in range(3):
            a, b, c = winograd_taps_gradient(
                lines[6 * i], lines[6 * i + 1], lines[6 * i + 2], lines[6 * i + 3], lines[6 * i + 4], lines[6 * i + 5]
            )
            gradient[to + 3 * i * tap], gradient[to + (3 * i + 1) * tap], gradient[to + (3 * i + 2) * tap] = a, b, c
