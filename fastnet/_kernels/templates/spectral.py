"""Power iteration; Miyato et al. 2018, arXiv:1802.05957, algorithm 1."""

from __future__ import annotations

from fastnet._kernels.kinds import read, real, update, value
from fastnet._kernels.template import elementwise


@elementwise
def follow_direction(x: read, u: update, factor: value, largest: real):
    # factor: 1 / the norm of x, or its largest value where x is 0 and has no direction
    u = x * factor if factor < largest else u
