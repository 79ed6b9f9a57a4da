"""Gradient descent, with momentum and with Nesterov's."""

from fastnet._kernels.ranges import CLOSED_UNIT
from fastnet._kernels.registry import Update, updates


def sgd_scalars(rate, t):
    return rate


def sgd(w, g, rate):
    return w - rate * g


def momentum_scalars(rate, t, momentum: CLOSED_UNIT = 0.9):
    return rate, momentum


def momentum(w, g, v, rate, momentum):
    """v = m·v − lr·g; w += v."""
    v = v * momentum - g * rate
    return w + v, v


def nesterov(w, g, v, rate, momentum):
    """v = m·v − lr·g; w += m·v − lr·g."""
    v = v * momentum - g * rate
    return w + (v * momentum - g * rate), v


updates.add(Update("sgd", sgd, sgd_scalars, learning_rate=0.01))
updates.add(Update("momentum", momentum, momentum_scalars, ("momentum",), learning_rate=0.01))
updates.add(Update("nesterov", nesterov, momentum_scalars, ("momentum",), learning_rate=0.01))
