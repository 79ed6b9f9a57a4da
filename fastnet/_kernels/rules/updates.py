"""Updates of one weight: w, g, states → w, states.  What a whole step shares is computed once, in float64."""

import math

from fastnet._kernels.registry import Update, updates


def sgd_scalars(rate, t):
    return rate


def sgd(w, g, rate):
    return w - rate * g


def momentum_scalars(rate, t, momentum):
    return rate, momentum


def momentum(w, g, v, rate, momentum):
    """v = m·v − lr·g; w += v."""
    v = v * momentum - g * rate
    return w + v, v


def nesterov(w, g, v, rate, momentum):
    """v = m·v − lr·g; w += m·v − lr·g."""
    v = v * momentum - g * rate
    return w + (v * momentum - g * rate), v


def rmsprop_scalars(rate, t, rho, epsilon):
    return rate, rho, 1 - rho, epsilon


def rmsprop(w, g, v, rate, rho, rest, epsilon):
    """v = ρ·v + (1−ρ)·g²; w −= lr·g / √(v + ε).  Tieleman and Hinton 2012."""
    v = rho * v + rest * (g * g)
    return w - rate * g / math.sqrt(v + epsilon), v


def rmsprop_momentum_scalars(rate, t, rho, epsilon, momentum):
    return rate, rho, 1 - rho, epsilon, momentum


def rmsprop_momentum(w, g, v, m, rate, rho, rest, epsilon, momentum):
    v = rho * v + rest * (g * g)
    m = momentum * m + rate * g / math.sqrt(v + epsilon)
    return w - m, v, m


def rmsprop_centered(w, g, v, a, rate, rho, rest, epsilon):
    v = rho * v + rest * (g * g)
    a = rho * a + rest * g
    return w - rate * g / math.sqrt(v - a * a + epsilon), v, a


def rmsprop_centered_momentum(w, g, v, m, a, rate, rho, rest, epsilon, momentum):
    v = rho * v + rest * (g * g)
    a = rho * a + rest * g
    m = momentum * m + rate * g / math.sqrt(v - a * a + epsilon)
    return w - m, v, m, a


def adam_scalars(rate, t, beta_1, beta_2, epsilon):
    alpha = rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return alpha, 1 - beta_1, 1 - beta_2, epsilon


def adam(w, g, m, v, alpha, rest_1, rest_2, epsilon):
    """Kingma and Ba 2014, arXiv:1412.6980, in the form of its section 2, last paragraph."""
    m = m + (g - m) * rest_1
    v = v + (g * g - v) * rest_2
    return w - m * alpha / (math.sqrt(v) + epsilon), m, v


def amsgrad(w, g, m, v, largest, alpha, rest_1, rest_2, epsilon):
    """Reddi et al. 2018, arXiv:1904.09237, as Keras has it: the maximum is of the uncorrected v."""
    m = m + (g - m) * rest_1
    v = v + (g * g - v) * rest_2
    largest = largest if v < largest else v
    return w - m * alpha / (math.sqrt(largest) + epsilon), m, v, largest


_RMSPROP = {"rho": 0.9, "epsilon": 1e-7}
_ADAM = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}

updates.add(Update("sgd", sgd, sgd_scalars, 1))
updates.add(Update("momentum", momentum, momentum_scalars, 2, ("velocity",), parameters={"momentum": 0.9}))
updates.add(Update("nesterov", nesterov, momentum_scalars, 2, ("velocity",), parameters={"momentum": 0.9}))
updates.add(Update("rmsprop", rmsprop, rmsprop_scalars, 4, ("velocity",), parameters=_RMSPROP))
updates.add(
    Update(
        "rmsprop_momentum",
        rmsprop_momentum,
        rmsprop_momentum_scalars,
        5,
        ("velocity", "momentum"),
        parameters={**_RMSPROP, "momentum": 0.9},
    )
)
updates.add(
    Update(
        "rmsprop_centered", rmsprop_centered, rmsprop_scalars, 4, ("velocity", "average_gradient"), parameters=_RMSPROP
    )
)
updates.add(
    Update(
        "rmsprop_centered_momentum",
        rmsprop_centered_momentum,
        rmsprop_momentum_scalars,
        5,
        ("velocity", "momentum", "average_gradient"),
        parameters={**_RMSPROP, "momentum": 0.9},
    )
)
updates.add(Update("adam", adam, adam_scalars, 4, ("momentum", "velocity"), parameters=_ADAM))
updates.add(Update("amsgrad", amsgrad, adam_scalars, 4, ("momentum", "velocity", "velocity_hat"), parameters=_ADAM))
