"""RMSprop: a gradient divided by the root of its squares' average."""

import math

from fastnet._kernels.ranges import CLOSED_UNIT, POSITIVE, UNIT
from fastnet._kernels.registry import Update, updates


def rmsprop_scalars(rate, t, rho: UNIT = 0.9, epsilon: POSITIVE = 1e-7):
    return rate, rho, 1 - rho, epsilon


def rmsprop(w, g, v, rate, rho, one_minus_rho, epsilon):
    """v = ρ·v + (1−ρ)·g²; w −= lr·g / √(v + ε).  Tieleman and Hinton 2012."""
    v = rho * v + one_minus_rho * (g * g)
    return w - rate * g / math.sqrt(v + epsilon), v


def rmsprop_momentum_scalars(rate, t, rho: UNIT = 0.9, epsilon: POSITIVE = 1e-7, momentum: CLOSED_UNIT = 0.9):
    return rate, rho, 1 - rho, epsilon, momentum


def rmsprop_momentum(w, g, v, m, rate, rho, one_minus_rho, epsilon, momentum):
    """m = μ·m + lr·g / √(v + ε); w −= m."""
    v = rho * v + one_minus_rho * (g * g)
    m = momentum * m + rate * g / math.sqrt(v + epsilon)
    return w - m, v, m


def rmsprop_centered(w, g, v, a, rate, rho, one_minus_rho, epsilon):
    """a = ρ·a + (1−ρ)·g; w −= lr·g / √(v − a² + ε).  Graves 2013, arXiv:1308.0850, equation 38."""
    v = rho * v + one_minus_rho * (g * g)
    a = rho * a + one_minus_rho * g
    return w - rate * g / math.sqrt(v - a * a + epsilon), v, a


def rmsprop_centered_momentum(w, g, v, m, a, rate, rho, one_minus_rho, epsilon, momentum):
    """m = μ·m + lr·g / √(v − a² + ε); w −= m."""
    v = rho * v + one_minus_rho * (g * g)
    a = rho * a + one_minus_rho * g
    m = momentum * m + rate * g / math.sqrt(v - a * a + epsilon)
    return w - m, v, m, a


updates.add(Update("rmsprop", rmsprop, rmsprop_scalars, ("velocity",)))
updates.add(Update("rmsprop_momentum", rmsprop_momentum, rmsprop_momentum_scalars, ("velocity", "momentum")))
updates.add(Update("rmsprop_centered", rmsprop_centered, rmsprop_scalars, ("velocity", "average_gradient")))
updates.add(
    Update(
        "rmsprop_centered_momentum",
        rmsprop_centered_momentum,
        rmsprop_momentum_scalars,
        ("velocity", "momentum", "average_gradient"),
    )
)
