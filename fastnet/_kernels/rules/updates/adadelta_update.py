"""Adadelta: a gradient divided by the root of its squares' average, times that of the steps before."""

import math

from fastnet._kernels.ranges import POSITIVE, UNIT
from fastnet._kernels.registry import Update, updates


def adadelta_scalars(rate, t, rho: UNIT = 0.95, epsilon: POSITIVE = 1e-7):
    return rate, rho, 1 - rho, epsilon


def adadelta(w, g, a, d, rate, rho, one_minus_rho, epsilon):
    """a = rho a + (1 - rho) g²; s = g sqrt((d + epsilon) / (a + epsilon)); d = rho d + (1 - rho) s²; w -= lr s.

    Zeiler 2012, arXiv:1212.5701; its learning rate is 1.

    Args:
        learning_rate: lr.
        rho: decay of both averages.
        epsilon: inside the square roots.
        common: see `Optimizer`.

    Raises:
        ValueError: rho outside [0, 1), an epsilon that is not positive.

    Example:
        >>> optimizers.Adadelta().parameters
        {'rho': 0.95, 'epsilon': 1e-07}
    """
    a = rho * a + one_minus_rho * (g * g)
    step = g * math.sqrt((d + epsilon) / (a + epsilon))
    return w - rate * step, a, rho * d + one_minus_rho * (step * step)


updates.add(
    Update(
        "adadelta", adadelta, adadelta_scalars, ("accumulated_grad", "accumulated_delta_var"), public="Adadelta"
    )
)  # fmt: skip
