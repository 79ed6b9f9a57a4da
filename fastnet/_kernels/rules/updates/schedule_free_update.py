"""Adam whose averages stand in for a schedule."""

import math

from fastnet._kernels.ranges import COUNT, OPEN_UNIT, POSITIVE, UNIT
from fastnet._kernels.registry import Update, updates


def schedule_free_scalars(
    rate, t, beta_1: OPEN_UNIT = 0.9, beta_2: UNIT = 0.999, epsilon: POSITIVE = 1e-8, warmup_steps: COUNT = 0
):
    rate = rate * t / (warmup_steps if warmup_steps > t else t)
    return rate, beta_1, 1 - beta_1, 1 - beta_2, 1 / (1 - beta_2**t), epsilon, 1 / t


def schedule_free(w, g, z, v, rate, beta_1, one_minus_beta_1, one_minus_beta_2, correction, epsilon, inverse_t):
    """`Adam` without a schedule: its step moves z, x is the mean of all z, the weight lies between them.

    v += (1 - beta_2)(g² - v); z -= lr g / (sqrt(v / (1 - beta_2ᵗ)) + epsilon); x += (z - x) / t;
    w = (1 - beta_1) z + beta_1 x. z begins as the weight and is called "momentum", as in Keras; x follows from both.

    Defazio et al. 2024, arXiv:2405.15682.

    Args:
        learning_rate: lr.
        beta_1: share of x in the weight.
        beta_2: decay of the squares' average.
        epsilon: added to the square root of the corrected v.
        warmup_steps: steps in which lr rises from 0 to its value.
        common: see `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), a beta_1 of 0, of which x does not follow, an epsilon that is not positive.

    Example:
        >>> optimizers.ScheduleFreeAdamW(warmup_steps=100).beta_1
        0.9
    """
    # As Keras has it: x is not stored.
    x = (w - one_minus_beta_1 * z) / beta_1
    v = v + (g * g - v) * one_minus_beta_2
    z = z - rate * g / (math.sqrt(v * correction) + epsilon)
    x = (1 - inverse_t) * x + inverse_t * z
    return one_minus_beta_1 * z + beta_1 * x, z, v


updates.add(
    Update(
        "schedule_free", schedule_free, schedule_free_scalars, ("momentum", "velocity"), {"momentum": "weight"},
        learning_rate=0.0025, public="ScheduleFreeAdamW",
    )
)  # fmt: skip
