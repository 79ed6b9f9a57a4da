"""Loops over elements and over weights."""

from __future__ import annotations

from fastnet._kernels.templates.kinds import hi, lo, read, reals, update, updates, values, write


def forward(x: read, y: write, p: reals, lo: lo, hi: hi):
    # x (n,)  y (n,)
    for i in range(lo, hi):
        y[i] = f(x[i], *p)


def backward(kept: read, dy: read, dx: write, p: reals, lo: lo, hi: hi):
    # kept (n,)  dy (n,)  dx (n,)
    for i in range(lo, hi):
        dx[i] = dy[i] * df(kept[i], *p)


def update_weights(w: update, g: read, states: updates, s: values, lo: lo, hi: hi):
    # w (n,)  g (n,)  states (n,) each
    for i in range(lo, hi):
        w[i], *states[i] = f(w[i], g[i], *states[i], *s)
