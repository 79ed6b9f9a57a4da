"""Adam and its kin: m is the average of the gradient, v that of its square, t the number of the update."""

import math

from fastnet._kernels.ranges import POSITIVE, UNIT
from fastnet._kernels.registry import Carried, Update, updates

MOMENTS = ("momentum", "velocity")


def adam_scalars(rate, t, beta_1: UNIT = 0.9, beta_2: UNIT = 0.999, epsilon: POSITIVE = 1e-7):
    alpha = rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return alpha, 1 - beta_1, 1 - beta_2, epsilon


def adam(w, g, m, v, alpha, one_minus_beta_1, one_minus_beta_2, epsilon):
    """Kingma and Ba 2014, arXiv:1412.6980, in the form of its section 2, last paragraph."""
    m = m + (g - m) * one_minus_beta_1
    v = v + (g * g - v) * one_minus_beta_2
    return w - m * alpha / (math.sqrt(v) + epsilon), m, v


def amsgrad(w, g, m, v, v_hat, alpha, one_minus_beta_1, one_minus_beta_2, epsilon):
    """Reddi et al. 2018, arXiv:1904.09237, as Keras has it: the maximum is of the uncorrected v."""
    m = m + (g - m) * one_minus_beta_1
    v = v + (g * g - v) * one_minus_beta_2
    v_hat = v_hat if v < v_hat else v
    return w - m * alpha / (math.sqrt(v_hat) + epsilon), m, v, v_hat


def adamax_scalars(rate, t, beta_1: UNIT = 0.9, beta_2: UNIT = 0.999, epsilon: POSITIVE = 1e-7):
    return rate / (1 - beta_1**t), 1 - beta_1, beta_2, epsilon


def adamax(w, g, m, u, alpha, one_minus_beta_1, beta_2, epsilon):
    """m += (1 - beta_1)(g - m); u = max(beta_2 u, |g|); w -= lr m / ((1 - beta_1ᵗ)(u + epsilon)).

    Kingma and Ba 2014, arXiv:1412.6980, section 7.1.

    Args:
        learning_rate: lr.
        beta_1: decay of the gradients' average.
        beta_2: decay of the largest absolute gradient.
        epsilon: added to u.
        common: see `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), an epsilon that is not positive.

    Example:
        >>> optimizers.Adamax().parameters
        {'beta_1': 0.9, 'beta_2': 0.999, 'epsilon': 1e-07}
    """
    m = m + (g - m) * one_minus_beta_1
    u = beta_2 * u
    size = abs(g)
    u = u if size < u else size
    return w - alpha * m / (u + epsilon), m, u


def nadam_scalars(
    rate, t, beta_1: UNIT = 0.9, beta_2: UNIT = 0.999, epsilon: POSITIVE = 1e-7, u_product: Carried = 1.0
):
    """μₜ = β₁(1 − ½·0.96ᵗ); ``u_product`` is μ₁ ⋯ μₜ₋₁."""
    mu = beta_1 * (1 - 0.5 * 0.96**t)
    next_mu = beta_1 * (1 - 0.5 * 0.96 ** (t + 1))
    u_product = u_product * mu
    alpha_m = rate * next_mu / (1 - u_product * next_mu)
    alpha_g = rate * (1 - mu) / (1 - u_product)
    return alpha_m, alpha_g, 1 - beta_1, 1 - beta_2, 1 / (1 - beta_2**t), epsilon, u_product


def nadam(w, g, m, v, alpha_m, alpha_g, one_minus_beta_1, one_minus_beta_2, correction, epsilon):
    """`Adam` with Nesterov's momentum.  Dozat 2016, "Incorporating Nesterov momentum into Adam", algorithm 2.

    Args:
        learning_rate: lr.
        beta_1: decay of the gradients' average.
        beta_2: decay of the squares' average.
        epsilon: added to the square root of the corrected v.
        common: see `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), an epsilon that is not positive.

    Example:
        >>> optimizers.Nadam().parameters
        {'beta_1': 0.9, 'beta_2': 0.999, 'epsilon': 1e-07}
    """
    m = m + (g - m) * one_minus_beta_1
    v = v + (g * g - v) * one_minus_beta_2
    return w - (alpha_m * m + alpha_g * g) / (math.sqrt(v * correction) + epsilon), m, v


def radam_scalars(rate, t, beta_1: UNIT = 0.9, beta_2: UNIT = 0.999, epsilon: POSITIVE = 1e-8):
    """The rectification of Liu et al. 2019, algorithm 2, with PyTorch's threshold of 5."""
    correction = 1 - beta_2**t
    rho_limit = 2 / (1 - beta_2) - 1
    rho = rho_limit - 2 * t * beta_2**t / correction
    adaptive = rho > 5
    ratio = (rho - 4) * (rho - 2) * rho_limit / ((rho_limit - 4) * (rho_limit - 2) * rho) if adaptive else 1
    alpha = rate / (1 - beta_1**t) * math.sqrt(ratio * (correction if adaptive else 1))
    return alpha, 1 - beta_1, 1 - beta_2, (epsilon if adaptive else 1), 1 if adaptive else 0


def radam(w, g, m, v, alpha, one_minus_beta_1, one_minus_beta_2, epsilon, adaptive):
    """`Adam` whose first steps are not divided by sqrt(v), and later ones rectified for its variance, as in PyTorch.

    Liu et al. 2019, arXiv:1908.03265, algorithm 2; ``weight_decay`` is decoupled.

    Args:
        learning_rate: lr.
        beta_1: decay of the gradients' average.
        beta_2: decay of the squares' average.
        epsilon: added to sqrt(v).
        common: see `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), an epsilon that is not positive.

    Example:
        >>> optimizers.RAdam().parameters
        {'beta_1': 0.9, 'beta_2': 0.999, 'epsilon': 1e-08}
    """
    m = m + (g - m) * one_minus_beta_1
    v = v + (g * g - v) * one_minus_beta_2
    return w - alpha * m / (math.sqrt(v) * adaptive + epsilon), m, v


updates.add(Update("adam", adam, adam_scalars, MOMENTS))
updates.add(Update("amsgrad", amsgrad, adam_scalars, (*MOMENTS, "velocity_hat")))
updates.add(Update("adamax", adamax, adamax_scalars, ("momentum", "norm"), public="Adamax"))
updates.add(Update("nadam", nadam, nadam_scalars, MOMENTS, public="Nadam"))
updates.add(Update("radam", radam, radam_scalars, MOMENTS, public="RAdam"))
