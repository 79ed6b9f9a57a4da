"""Dropout: the mask follows from (seed, step, layer, element) alone and is drawn again for the backward pass."""

from __future__ import annotations

from fastnet._kernels.rules.random import philox
from fastnet._kernels.templates.kinds import count, hi, integer, lo, read, real, write


def dropout(
    x: read, y: write, seed: count, iteration: count, layer: integer, threshold: integer, scale: real, lo: lo, hi: hi
):
    # x (n,)  y (n,): x * scale where the element's random 32-bit word is at least `threshold`, else 0
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay, limit = uint32(iteration), uint32(layer), uint32(threshold)
    for g in range(lo // 4, hi // 4):
        a, b, c, d = philox(uint32(g), uint32(g >> 32), step, lay, low, high)
        i = 4 * g
        x0, x1, x2, x3 = x[i] * scale, x[i + 1] * scale, x[i + 2] * scale, x[i + 3] * scale
        y[i] = 0.0 if a < limit else x0  # loads stand before the choices: a load in a branch is not vectorised
        y[i + 1] = 0.0 if b < limit else x1
        y[i + 2] = 0.0 if c < limit else x2
        y[i + 3] = 0.0 if d < limit else x3
    g = hi // 4
    a, b, c, d = philox(uint32(g), uint32(g >> 32), step, lay, low, high)
    for i in range(4 * g, hi):
        word = a if i % 4 == 0 else (b if i % 4 == 1 else c)
        y[i] = 0.0 if word < limit else x[i] * scale
