"""Loops of convolutions that are not products."""

from __future__ import annotations

from fastnet._kernels.kinds import read, read_int32, real, size, write
from fastnet._kernels.template import elementwise, template


@template("count * group_filters", cost="2 * channels")
def flip_taps(
    kernel: read, order: read_int32[count], flipped: write, count: size, channels: size,
    filters: size, group_filters: size, lo, hi,
):  # fmt: skip
    # flipped (count, group_filters, groups, channels) = kernel (taps, channels, groups, group_filters) of the taps in
    # `order`, the last axes exchanged: the factor of the input gradient.
    groups = filters // group_filters
    for unit in range(lo, hi):
        i, f = unit // group_filters, unit % group_filters
        for g in range(groups):
            for c in range(channels):
                place = (order[i] * channels + c) * filters + g * group_filters + f
                flipped[(unit * groups + g) * channels + c] = kernel[place]


@elementwise
def fill_pixels(row: read["column"], y: write, lowest: real):
    y = lowest if row < lowest else row
