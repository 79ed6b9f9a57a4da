"""What happens to a weight beside its optimizer's own update, element by element.

Each rule gives the new value of its first parameter.  ``w`` and ``g`` are the weight and its gradient; the annotation
of any other parameter is its kind (`kinds.py`), so that a template can be written from a list of rules
(`templates/elementwise.UpdateTemplate`).
"""

from __future__ import annotations

import math

from fastnet._kernels.kinds import real, update, value
from fastnet._kernels.rules.updates import sign


def regularize(g, w, l1: real, l2: real):
    """The gradient of l1·|w| + l2·w² is added."""
    return g + l1 * sign(w) + 2 * l2 * w


def accumulate(total: update, g, fresh: value):
    """Gradients are added up; ``fresh`` is 1 where a sum begins."""
    return g if fresh > 0 else total + g


def mean_gradient(g, steps: real):
    return g / steps


def scale_gradient(g, factor: value):
    """``factor`` is `clip_factor`'s."""
    return g * factor


def clip_gradient(g, limit: real):
    return -limit if g < -limit else (limit if g > limit else g)


def decay(w, rate: value, weight_decay: real):
    """Decoupled weight decay: w −= lr·weight_decay·w.  Loshchilov and Hutter 2017, arXiv:1711.05101."""
    return w - w * (rate * weight_decay)


def average(mean: update, w, keep: value):
    """The exponential moving average of the weight."""
    return keep * mean + (1 - keep) * w


def overwrite(w, mean: update, due: value):
    """The average takes the weight's place in the steps in which it is ``due``."""
    return mean if due > 0 else w


def step_numbers(rate, t, ema_momentum, overwrite_every, accumulation_steps):
    """What these rules need to know of step ``t``: keep, due, fresh; float64, once a step.

    The first average is the weight itself: Keras takes 0 for the momentum until the first update is done.
    """
    updates = math.floor((t - 1) / accumulation_steps)
    keep = 0 if updates == 0 else ema_momentum
    due = 1 if updates + 1 == math.floor((updates + 1) / overwrite_every) * overwrite_every else 0
    fresh = 1 if t - 1 == updates * accumulation_steps else 0
    return keep, due, fresh


def clip_factor(squares, limit, steps):
    """What a gradient is multiplied with, so that its norm, √squares / steps, is ``limit`` at most."""
    norm = math.sqrt(squares) / steps
    return limit / (limit if norm < limit else norm)


def inverse_norm(squares, epsilon):
    return 1 / (math.sqrt(squares) + epsilon)


def square(x):
    return x * x


def itself(x):
    return x
