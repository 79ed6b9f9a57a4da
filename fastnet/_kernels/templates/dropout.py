"""Noise: it follows from (seed, step, layer, element) alone and is drawn again for the backward pass."""

from __future__ import annotations

from fastnet._kernels.rules.random import normal_pair, philox, philox_word
from fastnet._kernels.templates.kinds import count, hi, integer, lo, read, read_int32, real, reals, write


def dropout(
    x: read, y: write, seed: count, iteration: count, layer: integer, threshold: integer, scale: real, offset: real,
    dropped: real, lo: lo, hi: hi,
):  # fmt: skip
    # x (n,)  y (n,): x * scale + offset where the element's random 32-bit word is at least `threshold`, else `dropped`
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay, limit = uint32(iteration), uint32(layer), uint32(threshold)
    for g in range(lo // 4, hi // 4):
        a, b, c, d = philox(uint32(g), uint32(g >> 32), step, lay, low, high)
        i = 4 * g
        # loads stand before the choices: a load in a branch is not vectorised
        x0, x1 = x[i] * scale + offset, x[i + 1] * scale + offset
        x2, x3 = x[i + 2] * scale + offset, x[i + 3] * scale + offset
        y[i] = dropped if a < limit else x0
        y[i + 1] = dropped if b < limit else x1
        y[i + 2] = dropped if c < limit else x2
        y[i + 3] = dropped if d < limit else x3
    g = hi // 4
    a, b, c, d = philox(uint32(g), uint32(g >> 32), step, lay, low, high)
    for i in range(4 * g, hi):
        word = a if i % 4 == 0 else (b if i % 4 == 1 else c)
        y[i] = dropped if word < limit else x[i] * scale + offset


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
