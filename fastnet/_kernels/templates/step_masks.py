"""Masks: 1 for each step that counts, 0 for each that is left out. A step is a row of all but the last axis."""

from __future__ import annotations

from fastnet._kernels.kinds import read, real, size, write
from fastnet._kernels.template import elementwise, template


@template("n", grain=16, cost="2 * width", aligned=False)
def steps_that_count(x: read[n, width], mask_value: real, mask: write[n], width: size, lo, hi):
    # mask: 0 for steps that are mask_value throughout
    for r in range(lo, hi):
        counts = 0.0
        for j in range(width):
            counts = 1.0 if x[r, j] != mask_value else counts
        mask[r] = counts


@elementwise
def zero_masked(x: read, mask: read[row], y: write):
    y = x if mask > 0.0 else 0.0


@elementwise
def either(a: read, b: read, y: write):
    y = 1.0 if a > 0.0 or b > 0.0 else 0.0
