"""Masks: 1 for each step that counts, 0 for each that is left out. A step is a row of all but the last axis."""

from __future__ import annotations

from fastnet._kernels.kinds import hi, integer, lo, read, real, write


def mask_steps(x: read, mask_value: real, y: write, mask: write, width: integer, lo: lo, hi: hi):
    # x (n, width)  y (n, width): 0 in steps that are mask_value throughout  mask (n,): 0 for these
    for r in range(lo, hi):
        kept = 0.0
        for j in range(width):
            kept = 1.0 if x[r * width + j] != mask_value else kept
        mask[r] = kept
        for j in range(width):
            y[r * width + j] = x[r * width + j] if kept > 0.0 else 0.0


def masked_gradient(dy: read, mask: read, dx: write, width: integer, lo: lo, hi: hi):
    # dy (n, width)  mask (n,)  dx (n, width)
    for r in range(lo, hi):
        kept = mask[r]
        for j in range(width):
            dx[r * width + j] = dy[r * width + j] if kept > 0.0 else 0.0
