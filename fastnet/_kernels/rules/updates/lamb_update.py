"""Lamb: Adam's direction, the weight's length."""

import math

from fastnet._kernels.ranges import POSITIVE, UNIT
from fastnet._kernels.registry import Update, updates


def lamb_scalars(rate, t, beta_1: UNIT = 0.9, beta_2: UNIT = 0.999, epsilon: POSITIVE = 1e-7):
    return rate, 1 - beta_1, 1 - beta_2, 1 / (1 - beta_1**t), 1 / (1 - beta_2**t), epsilon


def lamb(w, g, m, v, u, rate, one_minus_beta_1, one_minus_beta_2, correction_1, correction_2, epsilon):
    """`Adam` whose step is as long as the weight: u = m̂ / (sqrt(v̂) + epsilon), w -= lr |w| / |u| u, for large batches.

    m̂ and v̂ are Adam's averages divided by 1 - beta_1ᵗ and 1 - beta_2ᵗ. Where a norm is 0, w -= lr u.

    You et al. 2020, arXiv:1904.00962, algorithm 2; ``weight_decay`` is decoupled, as in Keras.

    Args:
        learning_rate: lr.
        beta_1: decay of the gradients' average.
        beta_2: decay of the squares' average.
        epsilon: added to the square root of the corrected v.
        common: see `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), an epsilon that is not positive.

    Example:
        >>> optimizers.Lamb().parameters
        {'beta_1': 0.9, 'beta_2': 0.999, 'epsilon': 1e-07}
    """
    m = m + (g - m) * one_minus_beta_1
    v = v + (g * g - v) * one_minus_beta_2
    return w, m, v, m * correction_1 / (math.sqrt(v * correction_2) + epsilon)


def lamb_factor(
    w_squares, u_squares, size, rate, one_minus_beta_1, one_minus_beta_2, correction_1, correction_2, epsilon
):
    """lr·|w| / |u|; lr where one of the norms is 0, or NaN."""
    return rate * math.sqrt(w_squares / u_squares) if w_squares > 0 and u_squares > 0 else rate


updates.add(
    Update(
        "lamb", lamb, lamb_scalars, ("momentum", "velocity"), direction=True, factor=lamb_factor, public="Lamb"
    )
)  # fmt: skip
