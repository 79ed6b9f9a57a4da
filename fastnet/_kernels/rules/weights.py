"""Numbers that follow from norms and steps: what stands around an optimizer's own rule."""

from __future__ import annotations

import math


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
