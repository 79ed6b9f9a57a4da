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


def adamax_scalars(rate, t, beta_1, beta_2, epsilon):
    return rate / (1 - beta_1**t), 1 - beta_1, beta_2, epsilon


def adamax(w, g, m, u, alpha, rest_1, beta_2, epsilon):
    """u = max(β₂·u, |g|); w −= lr·m / ((1 − β₁ᵗ)(u + ε)).  Kingma and Ba 2014, section 7.1."""
    m = m + (g - m) * rest_1
    u = beta_2 * u
    size = abs(g)
    u = u if size < u else size
    return w - alpha * m / (u + epsilon), m, u


def nadam_scalars(rate, t, beta_1, beta_2, epsilon, product):
    """μₜ = β₁(1 − ½·0.96ᵗ); ``product`` is μ₁ ⋯ μₜ₋₁."""
    now = beta_1 * (1 - 0.5 * 0.96**t)
    following = beta_1 * (1 - 0.5 * 0.96 ** (t + 1))
    product = product * now
    of_m = rate * following / (1 - product * following)
    of_g = rate * (1 - now) / (1 - product)
    return of_m, of_g, 1 - beta_1, 1 - beta_2, 1 / (1 - beta_2**t), epsilon, product


def nadam(w, g, m, v, of_m, of_g, rest_1, rest_2, correction, epsilon):
    """Adam with Nesterov's momentum.  Dozat 2016, algorithm 2."""
    m = m + (g - m) * rest_1
    v = v + (g * g - v) * rest_2
    return w - (of_m * m + of_g * g) / (math.sqrt(v * correction) + epsilon), m, v


def radam_scalars(rate, t, beta_1, beta_2, epsilon):
    """The rectification of Liu et al. 2019, algorithm 2, with PyTorch's threshold of 5."""
    correction = 1 - beta_2**t
    longest = 2 / (1 - beta_2) - 1
    length = longest - 2 * t * beta_2**t / correction
    adaptive = length > 5
    ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length) if adaptive else 1
    alpha = rate / (1 - beta_1**t) * math.sqrt(ratio * (correction if adaptive else 1))
    return alpha, 1 - beta_1, 1 - beta_2, (epsilon if adaptive else 1), 1 if adaptive else 0


def radam(w, g, m, v, alpha, rest_1, rest_2, epsilon, adaptive):
    """Liu et al. 2019, arXiv:1908.03265: the step is divided by √v once the variance of 1/√v is finite."""
    m = m + (g - m) * rest_1
    v = v + (g * g - v) * rest_2
    return w - alpha * m / (math.sqrt(v) * adaptive + epsilon), m, v


def adagrad_scalars(rate, t, initial_accumulator_value, epsilon):
    return rate, epsilon


def adagrad(w, g, a, rate, epsilon):
    """a += g²; w −= lr·g / √(a + ε).  Duchi et al. 2011."""
    a = a + g * g
    return w - rate * g / math.sqrt(a + epsilon), a


def adadelta_scalars(rate, t, rho, epsilon):
    return rate, rho, 1 - rho, epsilon


def adadelta(w, g, a, d, rate, rho, rest, epsilon):
    """a = ρ·a + (1−ρ)·g²; Δ = −g·√((d + ε) / (a + ε)); d = ρ·d + (1−ρ)·Δ²; w += lr·Δ.  Zeiler 2012, arXiv:1212.5701."""
    a = rho * a + rest * (g * g)
    step = g * math.sqrt((d + epsilon) / (a + epsilon))
    return w - rate * step, a, rho * d + rest * (step * step)


def lion_scalars(rate, t, beta_1, beta_2):
    return rate, beta_1, beta_2


def lion(w, g, m, rate, beta_1, beta_2):
    """w −= lr·sign(β₁·m + (1−β₁)·g); m = β₂·m + (1−β₂)·g.  Chen et al. 2023, arXiv:2302.06675."""
    c = m * beta_1 + g * (1 - beta_1)
    return w - rate * sign(c), m * beta_2 + g * (1 - beta_2)


def sign(x):
    """−1, 0 or 1; NaN stays."""
    return 1 if x > 0 else (-1 if x < 0 else x)


def rprop_scalars(rate, t, eta_minus, eta_plus, step_min, step_max):
    return eta_minus, eta_plus, step_min, step_max


def rprop(w, g, before, step, eta_minus, eta_plus, step_min, step_max):
    """Riedmiller and Braun 1993, in PyTorch's form: after a change of sign the weight waits for a step."""
    agreement = g * before
    factor = 1 if agreement == 0 else agreement  # NaN stays
    step = step * (eta_plus if agreement > 0 else (eta_minus if agreement < 0 else factor))
    step = step_min if step < step_min else (step_max if step > step_max else step)
    g = 0 if agreement < 0 else g
    return w - sign(g) * step, g, step


def ftrl_scalars(rate, t, learning_rate_power, initial_accumulator_value, l1, l2, shrinkage, beta):
    return 1 / rate, 2 * l2 + beta / rate, l1, 2 * shrinkage, -learning_rate_power


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


def schedule_free_scalars(rate, t, beta_1, beta_2, epsilon, warmup_steps):
    rate = rate * t / (warmup_steps if warmup_steps > t else t)
    return rate, beta_1, 1 - beta_1, 1 - beta_2, 1 / (1 - beta_2**t), epsilon, 1 / t


def schedule_free(w, g, z, v, rate, beta_1, rest_1, rest_2, correction, epsilon, share):
    """Defazio et al. 2024, arXiv:2405.15682, as Keras has it: the mean x = (w - (1 - β₁) z) / β₁ is not kept."""
    x = (w - rest_1 * z) / beta_1
    v = v + (g * g - v) * rest_2
    z = z - rate * g / (math.sqrt(v * correction) + epsilon)
    x = (1 - share) * x + share * z
    return rest_1 * z + beta_1 * x, z, v


def lamb_scalars(rate, t, beta_1, beta_2, epsilon):
    return rate, 1 - beta_1, 1 - beta_2, 1 / (1 - beta_1**t), 1 / (1 - beta_2**t), epsilon


def lamb(w, g, m, v, u, rate, rest_1, rest_2, correction_1, correction_2, epsilon):
    """You et al. 2020, arXiv:1904.00962, algorithm 2: Adam's step is the direction u, its length |w|."""
    m = m + (g - m) * rest_1
    v = v + (g * g - v) * rest_2
    return w, m, v, m * correction_1 / (math.sqrt(v * correction_2) + epsilon)


def lamb_factor(w_squares, u_squares, size, rate, rest_1, rest_2, correction_1, correction_2, epsilon):
    """lr·|w| / |u|; lr where one of the norms is 0, or NaN."""
    return rate * math.sqrt(w_squares / u_squares) if w_squares > 0 and u_squares > 0 else rate


def adafactor_scalars(rate, t, beta_2_decay, epsilon_1, epsilon_2, clip_threshold):
    """Shazeer and Stern 2018, sections 7.2 and 8: ρₜ = min(lr, 1 / √t), 1 - β₂ₜ = t^β."""
    longest = 1 / math.sqrt(t)
    return (longest if rate > longest else rate), t**beta_2_decay, epsilon_1, epsilon_2, clip_threshold


def adafactor(w, g, v, u, rho, share, epsilon_1, epsilon_2, clip_threshold):
    """Shazeer and Stern 2018, arXiv:1804.04235, algorithm 5: of vectors, whose squares are not factored."""
    v = (1 - share) * v + share * regular_square(g, epsilon_1)
    return w, v, g / math.sqrt(v)


def adafactor_matrix(w, g, u, rho, share, epsilon_1, epsilon_2, clip_threshold):
    """Algorithm 4: the direction begins as the gradient."""
    return w, g


def regular_square(g, epsilon_1):
    return g * g + epsilon_1


def adafactor_factor(w_squares, u_squares, size, rho, share, epsilon_1, epsilon_2, clip_threshold):
    """max(ε₂, RMS(w))·ρₜ / max(1, RMS(u) / d)."""
    scale, excess = math.sqrt(w_squares / size), math.sqrt(u_squares / size) / clip_threshold
    return (epsilon_2 if scale < epsilon_2 else scale) * rho / (1 if excess < 1 else excess)


def muon_scalars(rate, t, adam_beta_1, adam_beta_2, epsilon, adam_lr_ratio, momentum):
    alpha = rate * adam_lr_ratio * math.sqrt(1 - adam_beta_2**t) / (1 - adam_beta_1**t)
    return rate, momentum, alpha, 1 - adam_beta_1, 1 - adam_beta_2, epsilon


def muon(w, g, m, v, rate, momentum, alpha, rest_1, rest_2, epsilon):
    """Of what is not to be made orthogonal: Adam's."""
    return adam(w, g, m, v, alpha, rest_1, rest_2, epsilon)


def muon_matrix(w, g, m, u, rate, momentum, alpha, rest_1, rest_2, epsilon):
    """What is to be made orthogonal: m = momentum·m + g."""
    m = g + momentum * m
    return w, m, m


def muon_nesterov(w, g, m, u, rate, momentum, alpha, rest_1, rest_2, epsilon):
    m = g + momentum * m
    return w, m, g + momentum * m


_MOMENTUM = {"momentum": 0.9}
_RMSPROP = {"rho": 0.9, "epsilon": 1e-7}
_ADAM = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
_RMSPROP_MOMENTUM = {**_RMSPROP, **_MOMENTUM}
_FTRL = {
    "learning_rate_power": -0.5,
    "initial_accumulator_value": 0.1,
    "l1_regularization_strength": 0.0,
    "l2_regularization_strength": 0.0,
    "l2_shrinkage_regularization_strength": 0.0,
    "beta": 0.0,
}
_ACCUMULATOR = {"accumulator": "initial_accumulator_value"}
_ADAFACTOR = {"beta_2_decay": -0.8, "epsilon_1": 1e-30, "epsilon_2": 1e-3, "clip_threshold": 1.0}
_MUON = {"adam_beta_1": 0.9, "adam_beta_2": 0.999, "epsilon": 1e-7, "adam_lr_ratio": 1.0, "momentum": 0.95}
_V, _VM, _VA, _VMA = (
    ("velocity",),
    ("velocity", "momentum"),
    ("velocity", "average_gradient"),
    ("velocity", "momentum", "average_gradient"),
)
_MV = ("momentum", "velocity")

for _row in (
    Update("sgd", sgd, sgd_scalars, 1),
    Update("momentum", momentum, momentum_scalars, 2, ("momentum",), parameters=_MOMENTUM),
    Update("nesterov", nesterov, momentum_scalars, 2, ("momentum",), parameters=_MOMENTUM),
    Update("rmsprop", rmsprop, rmsprop_scalars, 4, _V, parameters=_RMSPROP),
    Update("rmsprop_momentum", rmsprop_momentum, rmsprop_momentum_scalars, 5, _VM, parameters=_RMSPROP_MOMENTUM),
    Update("rmsprop_centered", rmsprop_centered, rmsprop_scalars, 4, _VA, parameters=_RMSPROP),
    Update(
        "rmsprop_centered_momentum", rmsprop_centered_momentum, rmsprop_momentum_scalars, 5, _VMA,
        parameters=_RMSPROP_MOMENTUM,
    ),
    Update("adam", adam, adam_scalars, 4, _MV, parameters=_ADAM),
    Update("amsgrad", amsgrad, adam_scalars, 4, (*_MV, "velocity_hat"), parameters=_ADAM),
    Update("adamax", adamax, adamax_scalars, 4, ("momentum", "norm"), parameters=_ADAM),
    Update("nadam", nadam, nadam_scalars, 6, _MV, parameters=_ADAM, memory={"u_product": 1.0}),
    Update("radam", radam, radam_scalars, 5, _MV, parameters={**_ADAM, "epsilon": 1e-8}),
    Update(
        "adagrad", adagrad, adagrad_scalars, 2, ("accumulator",), _ACCUMULATOR,
        {"initial_accumulator_value": 0.1, "epsilon": 1e-7},
    ),
    Update(
        "adadelta", adadelta, adadelta_scalars, 4, ("accumulated_grad", "accumulated_delta_var"),
        parameters={"rho": 0.95, "epsilon": 1e-7},
    ),
    Update("lion", lion, lion_scalars, 3, ("momentum",), parameters={"beta_1": 0.9, "beta_2": 0.99}),
    Update(
        "rprop", rprop, rprop_scalars, 4, ("previous_gradient", "step_size"), {"step_size": "learning_rate"},
        {"eta_minus": 0.5, "eta_plus": 1.2, "step_min": 1e-6, "step_max": 50.0},
    ),
    Update("ftrl", ftrl, ftrl_scalars, 5, ("accumulator", "linear"), _ACCUMULATOR, _FTRL),
    Update("ftrl_power", ftrl_power, ftrl_scalars, 5, ("accumulator", "linear"), _ACCUMULATOR, _FTRL),
    Update(
        "schedule_free", schedule_free, schedule_free_scalars, 7, _MV, {"momentum": "weight"},
        {**_ADAM, "epsilon": 1e-8, "warmup_steps": 0},
    ),
    Update("lamb", lamb, lamb_scalars, 6, _MV, parameters=_ADAM, direction=True, factor=lamb_factor),
    Update(
        "adafactor", adafactor, adafactor_scalars, 5, _V, parameters=_ADAFACTOR, direction=True,
        factor=adafactor_factor,
    ),
    Update("muon", muon, muon_scalars, 6, _MV, parameters=_MUON),
):  # fmt: skip
    updates.add(_row)

# Of matrices; the classes say which weights these are, and what becomes of the direction.
ADAFACTOR_MATRIX = Update(
    "adafactor_matrix", adafactor_matrix, adafactor_scalars, 5, parameters=_ADAFACTOR, direction=True,
    factor=adafactor_factor, means={"r": -1, "c": -2},
)  # fmt: skip
MUON_MATRIX = Update("muon_matrix", muon_matrix, muon_scalars, 6, ("momentum",), parameters=_MUON, direction=True)
MUON_NESTEROV = Update("muon_nesterov", muon_nesterov, muon_scalars, 6, ("momentum",), parameters=_MUON, direction=True)
