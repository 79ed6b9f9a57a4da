"""FTRL: the weight follows from sums of gradients."""

import math

from fastnet._kernels.ranges import NOT_NEGATIVE, NOT_POSITIVE
from fastnet._kernels.registry import Update, updates


def ftrl_scalars(
    rate,
    t,
    learning_rate_power: NOT_POSITIVE = -0.5,
    initial_accumulator_value: NOT_NEGATIVE = 0.1,
    l1_regularization_strength: NOT_NEGATIVE = 0.0,
    l2_regularization_strength: NOT_NEGATIVE = 0.0,
    l2_shrinkage_regularization_strength: NOT_NEGATIVE = 0.0,
    beta: NOT_NEGATIVE = 0.0,
):
    l2, shrinkage = l2_regularization_strength, l2_shrinkage_regularization_strength
    return 1 / rate, 2 * l2 + beta / rate, l1_regularization_strength, 2 * shrinkage, -learning_rate_power


def ftrl(w, g, a, z, inverse_rate, twice_l2, l1, shrinkage, power):
    """McMahan et al. 2013, algorithm 1, as Keras has it, for the usual power of −½."""
    total = a + g * g
    root = math.sqrt(total)
    z = z + (g + shrinkage * w - (root - math.sqrt(a)) * inverse_rate * w)
    return ftrl_weight(z, l1, root * inverse_rate + twice_l2), total, z


def ftrl_power(w, g, a, z, inverse_rate, twice_l2, l1, shrinkage, power):
    """The same for any power."""
    total = a + g * g
    root = power_of_sum(total, power)
    z = z + (g + shrinkage * w - (root - power_of_sum(a, power)) * inverse_rate * w)
    return ftrl_weight(z, l1, root * inverse_rate + twice_l2), total, z


def power_of_sum(x, power):
    """x^p of an x that is not negative, whose error is |p log x| units: without the signs and the second half of the
    logarithm that pow has.  What a step adds of it the next one takes away, the same bits, so that errors do not add
    up."""
    return 1 if power == 0 else math.exp(power * math.log(x))


def ftrl_weight(z, l1, quadratic):
    clipped = -l1 if z < -l1 else (l1 if z > l1 else z)
    return (clipped - z) / quadratic


for _name, _rule in (("ftrl", ftrl), ("ftrl_power", ftrl_power)):
    updates.add(
        Update(
            _name, _rule, ftrl_scalars, ("accumulator", "linear"), {"accumulator": "initial_accumulator_value"}
        )
    )  # fmt: skip
