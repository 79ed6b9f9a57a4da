"""Noise: it follows from (seed, step, layer, element) alone and is drawn again for the backward pass."""

from __future__ import annotations

from fastnet._kernels.kinds import count, hi, integer, lo, read, read_int32, real, reals, write
from fastnet._kernels.rules.random import normal_pair, philox, philox_word


def dropout(
    x: read, y: write, seed: count, iteration: count, layer: integer, threshold: integer, scale: real, offset: real,
    dropped: real, lo: lo, hi: hi,
):  # fmt: skip
    # x (n,)  y (n,): x * scale + offset where the element's random 16 bits are at least `threshold`, else `dropped`
    # Of each 512 elements the j-th 64 own the j-th 16 bits of the 64 blocks of random numbers drawn for them, in order:
    # neighbours come from neighbouring blocks, so that nothing is shuffled (0.57 ns an element; four words a block to
    # four neighbours 1.25).
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay, half = uint32(iteration), uint32(layer), uint32(65535)
    lower, upper = uint32(threshold), uint32(threshold << 16)
    for chunk in range(lo // 512, (hi + 511) // 512):
        start = 512 * chunk
        if start + 512 <= hi:
            for k in range(64):
                g, i = 64 * chunk + k, start + k
                a, b, c, d = philox(uint32(g), uint32(g >> 32), step, lay, low, high)
                # loads stand before the choices: a load in a branch is not vectorised
                x0, x1 = x[i] * scale + offset, x[i + 64] * scale + offset
                x2, x3 = x[i + 128] * scale + offset, x[i + 192] * scale + offset
                x4, x5 = x[i + 256] * scale + offset, x[i + 320] * scale + offset
                x6, x7 = x[i + 384] * scale + offset, x[i + 448] * scale + offset
                y[i] = dropped if and_u32(a, half) < lower else x0
                y[i + 64] = dropped if a < upper else x1
                y[i + 128] = dropped if and_u32(b, half) < lower else x2
                y[i + 192] = dropped if b < upper else x3
                y[i + 256] = dropped if and_u32(c, half) < lower else x4
                y[i + 320] = dropped if c < upper else x5
                y[i + 384] = dropped if and_u32(d, half) < lower else x6
                y[i + 448] = dropped if d < upper else x7
        else:
            for h in range((hi - start + 63) // 64):
                for k in range(min(64, hi - start - 64 * h)):
                    g, i = 64 * chunk + k, start + 64 * h + k
                    a, b, c, d = philox(uint32(g), uint32(g >> 32), step, lay, low, high)
                    word = a if h < 2 else (b if h < 4 else (c if h < 6 else d))
                    gone = word < upper if h % 2 == 1 else and_u32(word, half) < lower
                    y[i] = dropped if gone else x[i] * scale + offset


def shared_dropout(
    x: read, place: read_int32, y: write, seed: count, iteration: count, layer: integer, threshold: integer,
    scale: real, offset: real, dropped: real, width: integer, row_places: integer, lo: lo, hi: hi,
):  # fmt: skip
    # x, y (rows, width)  place (width,): elements of one place share a word; 0 row_places where the rows share them too
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay, limit = uint32(iteration), uint32(layer), uint32(threshold)
    for r in range(lo, hi):
        for j in range(width):
            word = philox_word(uint32(r * row_places + place[j]), step, lay, low, high)
            v = x[r * width + j] * scale + offset
            y[r * width + j] = dropped if word < limit else v


def gaussian(x: read, y: write, seed: count, iteration: count, layer: integer, p: reals, lo: lo, hi: hi):
    # x (n,)  y (n,): f of the element and a standard normal number
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay = uint32(iteration), uint32(layer)
    for g in range(lo // 4, (hi + 3) // 4):
        a, b, c, d = philox(uint32(g), uint32(g >> 32), step, lay, low, high)
        n0, n1 = normal_pair(T(unit_float32(a)), T(unit_float32(b)))
        n2, n3 = normal_pair(T(unit_float32(c)), T(unit_float32(d)))
        i = 4 * g
        y[i] = f(x[i], n0, *p)
        if i + 1 < hi:
            y[i + 1] = f(x[i + 1], n1, *p)
        if i + 2 < hi:
            y[i + 2] = f(x[i + 2], n2, *p)
        if i + 3 < hi:
            y[i + 3] = f(x[i + 3], n3, *p)
