"""Adafactor: of a matrix's squares the averages over rows and over columns, r and c, instead of v."""

import math

from fastnet._kernels.ranges import NOT_NEGATIVE, NOT_POSITIVE, POSITIVE
from fastnet._kernels.registry import Update, updates


def adafactor_scalars(
    rate,
    t,
    beta_2_decay: NOT_POSITIVE = -0.8,
    epsilon_1: POSITIVE = 1e-30,
    epsilon_2: NOT_NEGATIVE = 1e-3,
    clip_threshold: POSITIVE = 1.0,
):
    """Shazeer and Stern 2018, sections 7.2 and 8: ρₜ = min(lr, 1 / √t), 1 - β₂ₜ = t^β."""
    largest_rho = 1 / math.sqrt(t)
    return (largest_rho if rate > largest_rho else rate), t**beta_2_decay, epsilon_1, epsilon_2, clip_threshold


def adafactor(w, g, v, u, rho, one_minus_beta_2, epsilon_1, epsilon_2, clip_threshold):
    """Shazeer and Stern 2018, arXiv:1804.04235, algorithm 5: of vectors, whose squares are not factored."""
    v = (1 - one_minus_beta_2) * v + one_minus_beta_2 * regular_square(g, epsilon_1)
    return w, v, g / math.sqrt(v)


def adafactor_matrix(w, g, u, rho, one_minus_beta_2, epsilon_1, epsilon_2, clip_threshold):
    """Algorithm 4: the direction begins as the gradient."""
    return w, g


def regular_square(g, epsilon_1):
    return g * g + epsilon_1


def adafactor_factor(w_squares, u_squares, size, rho, one_minus_beta_2, epsilon_1, epsilon_2, clip_threshold):
    """max(ε₂, RMS(w))·ρₜ / max(1, RMS(u) / d)."""
    scale, excess = math.sqrt(w_squares / size), math.sqrt(u_squares / size) / clip_threshold
    return (epsilon_2 if scale < epsilon_2 else scale) * rho / (1 if excess < 1 else excess)


updates.add(
    Update("adafactor", adafactor, adafactor_scalars, ("velocity",), direction=True, factor=adafactor_factor)
)  # fmt: skip
# Of matrices; the class says which weights these are, and divides the direction by the roots of the averages.
MATRIX = Update(
    "adafactor_matrix", adafactor_matrix, adafactor_scalars, direction=True, factor=adafactor_factor,
    means={"r": -1, "c": -2},
)  # fmt: skip
