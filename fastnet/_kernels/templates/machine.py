"""What bandwidth is measured with."""

from __future__ import annotations

from fastnet._kernels.kinds import hi, integer, lo, read, update


def triad(a: update, b: read, passes: integer, lo: lo, hi: hi):
    # a (n,)  b (n,); the passes are inside, so that a thread stays with its part and meets no barrier
    for _ in range(passes):
        for i in range(lo, hi):
            a[i] += 3.0 * b[i]
