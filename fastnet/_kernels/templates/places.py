"""Loops over elements that are found by their places: rearranged samples, and weights that elements share.

``place[j]`` says where element j of a sample is taken from, and ``members[s * share + k]`` the elements that are taken
from place s: what one loop spreads the other sums.
"""

from __future__ import annotations

from fastnet._kernels.kinds import hi, integer, lo, read, read_int32, rows, write


def take(x: read, place: read_int32, y: write, from_width: integer, width: integer, lo: lo, hi: hi):
    # x (rows, from_width)  place (width,)  y (rows, width)
    for r in range(lo, hi):
        for j in range(width):
            y[r * width + j] = x[r * from_width + place[j]]


def sum_members(
    x: read, members: read_int32, y: write, share: integer, from_width: integer, width: integer, lo: lo, hi: hi
):  # x (rows, from_width)  members (width * share,)  y (rows, width)
    for r in range(lo, hi):
        for j in range(width):
            total = x[r * from_width + members[j * share]]
            for k in range(1, share):
                total = total + x[r * from_width + members[j * share + k]]
            y[r * width + j] = total


def prelu(x: read, alpha: read, place: read_int32, y: write, width: integer, lo: lo, hi: hi):
    # x (rows, width)  alpha (places,)  y (rows, width)
    for r in range(lo, hi):
        for j in range(width):
            v, a = x[r * width + j], alpha[place[j]]
            y[r * width + j] = a * v if v < 0.0 else v


def prelu_gradient(x: read, dy: read, alpha: read, place: read_int32, dx: write, width: integer, lo: lo, hi: hi):
    # x (rows, width)  dy (rows, width)  alpha (places,)  dx (rows, width)
    for r in range(lo, hi):
        for j in range(width):
            a = alpha[place[j]]
            dx[r * width + j] = dy[r * width + j] * (a if x[r * width + j] < 0.0 else 1.0)


def prelu_alpha_gradient(
    x: read, dy: read, members: read_int32, dalpha: write, share: integer, width: integer, rows: rows, lo: lo, hi: hi
):  # x (rows, width)  dy (rows, width)  members (places * share,)  dalpha (places,)
    for s in range(lo, hi):
        dalpha[s] = 0.0
    for r in range(rows):
        for s in range(lo, hi):
            total = dalpha[s]
            for k in range(share):
                i = r * width + members[s * share + k]
                total = total + dy[i] * (0.0 if x[i] >= 0.0 else x[i])
            dalpha[s] = total
