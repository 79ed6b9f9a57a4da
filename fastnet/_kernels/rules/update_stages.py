"""Scalars from norms and steps, for the stages around an optimizer's own rule (`templates/update.py`)."""

from __future__ import annotations

import math


def stage_scalars(rate, t, ema_momentum, overwrite_period, accumulation_steps):
    """The scalars of these rules in step ``t``, once a step in float64: ema_decay, overwrite_now, first_gradient.

    The first average is the weight itself: Keras takes 0 for the momentum until the first update is done.
    """
    updates = math.floor((t - 1) / accumulation_steps)
    ema_decay = 0 if updates == 0 else ema_momentum
    overwrite_now = 1 if updates + 1 == math.floor((updates + 1) / overwrite_period) * overwrite_period else 0
    first_gradient = 1 if t - 1 == updates * accumulation_steps else 0
    return ema_decay, overwrite_now, first_gradient


def clip_factor(squares, limit, steps):
    """The factor of a gradient that reduces its norm, √squares / steps, to ``limit``; 1 if the norm is below."""
    norm = math.sqrt(squares) / steps
    return limit / (limit if norm < limit else norm)


def inverse_norm(squares, epsilon):
    return 1 / (math.sqrt(squares) + epsilon)


def square(x):
    return x * x
