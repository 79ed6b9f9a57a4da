"""Muon: momentum, which the class makes orthogonal, of matrices; Adam of every other weight."""

import math

from fastnet._kernels.ranges import CLOSED_UNIT, NOT_NEGATIVE, POSITIVE, UNIT
from fastnet._kernels.registry import Update, updates
from fastnet._kernels.rules.updates.adam_update import MOMENTS, adam


def muon_scalars(
    rate,
    t,
    adam_beta_1: UNIT = 0.9,
    adam_beta_2: UNIT = 0.999,
    epsilon: POSITIVE = 1e-7,
    adam_lr_ratio: NOT_NEGATIVE = 1.0,
    momentum: CLOSED_UNIT = 0.95,
):
    alpha = rate * adam_lr_ratio * math.sqrt(1 - adam_beta_2**t) / (1 - adam_beta_1**t)
    return rate, momentum, alpha, 1 - adam_beta_1, 1 - adam_beta_2, epsilon


def muon(w, g, m, v, rate, momentum, alpha, one_minus_beta_1, one_minus_beta_2, epsilon):
    """Adam's, of weights that are not made orthogonal."""
    return adam(w, g, m, v, alpha, one_minus_beta_1, one_minus_beta_2, epsilon)


def muon_matrix(w, g, m, u, rate, momentum, alpha, one_minus_beta_1, one_minus_beta_2, epsilon):
    """m = momentum·m + g is to be made orthogonal."""
    m = g + momentum * m
    return w, m, m


def muon_nesterov(w, g, m, u, rate, momentum, alpha, one_minus_beta_1, one_minus_beta_2, epsilon):
    """g + momentum·m is to be made orthogonal."""
    m = g + momentum * m
    return w, m, g + momentum * m


updates.add(Update("muon", muon, muon_scalars, MOMENTS))
# Of matrices; the class says which weights these are, and makes the direction orthogonal.
MATRIX = Update("muon_matrix", muon_matrix, muon_scalars, ("momentum",), direction=True)
NESTEROV = Update("muon_nesterov", muon_nesterov, muon_scalars, ("momentum",), direction=True)
