"""The loop that measures bandwidth."""

from __future__ import annotations

from fastnet._kernels.kinds import integer, read, update
from fastnet._kernels.template import template


@template("n", grain=64, cost="3 * passes", aligned=False)
def triad(a: update[n], b: read[n], passes: integer, lo, hi):
    # the passes are inside: a thread stays with its part and meets no barrier
    for _ in range(passes):
        for i in range(lo, hi):
            a[i] += 3.0 * b[i]
