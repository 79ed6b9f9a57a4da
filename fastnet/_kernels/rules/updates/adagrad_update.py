"""Adagrad: a gradient divided by the root of the sum of its squares."""

import math

from fastnet._kernels.ranges import NOT_NEGATIVE, POSITIVE
from fastnet._kernels.registry import Update, updates


def adagrad_scalars(rate, t, initial_accumulator_value: NOT_NEGATIVE = 0.1, epsilon: POSITIVE = 1e-7):
    return rate, epsilon


def adagrad(w, g, a, rate, epsilon):
    """a += g²; w -= lr g / sqrt(a + epsilon).  Duchi et al. 2011.

    Args:
        learning_rate: lr.
        initial_accumulator_value: a's first value.
        epsilon: inside the square root, as in Keras.
        common: see `Optimizer`.

    Raises:
        ValueError: a negative first value, an epsilon that is not positive.

    Example:
        >>> optimizers.Adagrad().parameters
        {'initial_accumulator_value': 0.1, 'epsilon': 1e-07}
    """
    a = a + g * g
    return w - rate * g / math.sqrt(a + epsilon), a


updates.add(
    Update(
        "adagrad", adagrad, adagrad_scalars, ("accumulator",), {"accumulator": "initial_accumulator_value"},
        public="Adagrad",
    )
)  # fmt: skip
