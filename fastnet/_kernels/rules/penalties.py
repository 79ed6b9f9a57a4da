"""Penalties on weights and activities, and the rules of constraints for a weight or a norm."""

from fastnet._kernels.rules.primitives import at_least, at_most, fabs
from fastnet._kernels.rules.sign import sign


def l1_l2(x, l1, l2):
    return l1 * fabs(x) + l2 * x * x


def l1_l2_gradient(x, l1, l2):
    return l1 * sign(x) + 2 * l2 * x


def non_negative(w):
    return 0 if w < 0 else w


# Factors that give a weight the desired norm; Keras's epsilon prevents 0 / 0.


def max_norm(norm, max_value, epsilon):
    return at_most(norm, max_value) / (epsilon + norm)


def unit_norm(norm, epsilon):
    return 1 / (epsilon + norm)


def min_max_norm(norm, min_value, max_value, rate, epsilon):
    clipped = at_most(at_least(norm, min_value), max_value)
    return (rate * clipped + (1 - rate) * norm) / (epsilon + norm)


def same(x):
    return x


def multiple(x, factor):
    return factor * x
