"""The update of a weight in a step, element by element: its optimizer's rule, and the stages before and after it."""

from __future__ import annotations

from fastnet._kernels.kinds import read, reads, real, rule, update, updates, value, values, write, write_float64
from fastnet._kernels.template import elementwise, fold


@elementwise
def accumulate(total: update, g: read, first_gradient: value):
    # first_gradient: 1 where a sum begins
    total = g if first_gradient > 0 else total + g


@elementwise
def mean_gradient(total: read, g: write, steps: real):
    g = total / steps


@elementwise
def scale_gradient(g: update, factor: value):
    g = g * factor


@elementwise
def clip_gradient(g: update, limit: real):
    g = -limit if g < -limit else (limit if g > limit else g)


@elementwise
def decay(w: update, rate: value, weight_decay: real):
    # Loshchilov and Hutter 2017, arXiv:1711.05101: decoupled weight decay
    w = w - w * (rate * weight_decay)


@elementwise
def apply_update(f: rule, w: update, g: read, states: updates, scalars: values):
    w, *states = f(w, g, *states, *scalars)


@fold
def sum_of_update(f: rule, w: read, g: read, states: reads, scalars: values, total: write_float64[total]):
    total = f(w, g, *states, *scalars)


@elementwise
def find_direction(f: rule, w: read, g: read, states: updates, direction: write, scalars: values):
    same_w, *states, direction = f(w, g, *states, 0.0, *scalars)


@elementwise
def average(mean: update, w: read, ema_decay: value):
    # the exponential moving average of the weight
    mean = ema_decay * mean + (1 - ema_decay) * w


@elementwise
def overwrite(w: update, mean: read, overwrite_now: value):
    # the average becomes the weight in the steps in which overwrite_now is 1
    w = mean if overwrite_now > 0 else w
