"""What the kernels should give: slow, obvious, in numpy float64, and without a line of fastnet.

Activations: ``name: (f(x, *parameters), derivative(x, *parameters))``.
Optimizers: ``name: step(t, w, g, states, rate, parameters) -> w``; ``states`` is a list that is changed in place.
"""

import math

import numpy as np

erf = np.vectorize(math.erf, otypes=[float])


def phi(x):
    """Standard normal distribution; by erfc, which loses nothing where x is far below 0."""
    return 0.5 * np.vectorize(math.erfc, otypes=[float])(-x / math.sqrt(2))


def density(x):
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)) + 0 * np.where(np.isnan(x), x, 0)


def relu(x):
    return np.where(x < 0, 0.0, x)


def clipped_relu(x, slope, top, threshold):
    """Keras's steps: what exceeds the threshold, cut to [0, top] where there is a top, minus the slope below."""
    y = np.where(x > threshold, x, np.where(np.isnan(x), x, 0.0))
    y = y if np.isinf(top) else np.clip(y, 0, top)
    return y - slope * np.maximum(threshold - x, 0) if slope else y


def clipped_relu_derivative(x, slope, top, threshold):
    return np.where(x >= top, 0.0, np.where(x < threshold, slope, np.where(x > threshold, 1.0, 0.0)))


def silu_derivative(x):
    return sigmoid(x) + x * sigmoid(x) * sigmoid(-x)


def gelu_derivative(x):
    return phi(x) + x * density(x)


_C = math.sqrt(2 / math.pi)


def _inside(x):
    return _C * (x + 0.044715 * x**3)


def approximate_gelu(x):
    return 0.5 * x * (1 + np.tanh(_inside(x)))


def approximate_gelu_derivative(x):
    slope = _C * (1 + 3 * 0.044715 * x**2)
    with np.errstate(over="ignore"):
        bell = 1 / np.cosh(np.clip(_inside(x), -700, 700)) ** 2
    return 0.5 * (1 + np.tanh(_inside(x))) + np.where(bell > 1e-300, 0.5 * x * bell * slope, 0.0)


def softplus(x):
    return np.logaddexp(x, 0.0)


def elu(x, alpha):
    return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_derivative(x, alpha):
    return np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))


SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def mish_derivative(x):
    """tanh(s) + x (1 - tanh²(s)) s', s = log(1 + e^x)."""
    t = np.tanh(softplus(x))
    bell = 1 / np.cosh(np.minimum(softplus(x), 350)) ** 2
    return t + np.where(bell * sigmoid(x) == 0, 0.0, x * bell * sigmoid(x))


def squareplus(x, b):
    root = np.hypot(x, np.sqrt(b))
    return np.where(x < 0, b / 2 / (root - np.minimum(x, 0)), (x + root) / 2)


def hard_sigmoid(x):
    return np.clip(x / 6 + 0.5, 0, 1)


def inside(x, low, high):
    return np.where((x > low) & (x < high), 1.0, 0.0)


ACTIVATIONS = {
    "elu": (elu, elu_derivative),
    "celu": (lambda x, a: a * elu(x / a, 1.0), lambda x, a: elu_derivative(x / a, 1.0)),
    "selu": (lambda x: SELU_SCALE * elu(x, SELU_ALPHA), lambda x: SELU_SCALE * elu_derivative(x, SELU_ALPHA)),
    "exponential": (np.exp, np.exp),
    "softplus": (softplus, sigmoid),
    "log_sigmoid": (lambda x: -softplus(-x), lambda x: sigmoid(-x)),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x: inside(x, 0, 6)),
    "hard_tanh": (lambda x: np.clip(x, -1, 1), lambda x: inside(x, -1, 1)),
    "hard_sigmoid": (hard_sigmoid, lambda x: inside(x, -3, 3) / 6),
    "hard_silu": (
        lambda x: x * hard_sigmoid(x),
        lambda x: np.where(x >= 3, 1.0, np.where(x <= -3, 0.0, x / 3 + 0.5)),
    ),
    "mish": (lambda x: x * np.tanh(softplus(x)), mish_derivative),
    "hard_shrink": (lambda x, t: np.where(np.abs(x) > t, x, 0 * x), lambda x, t: np.where(np.abs(x) > t, 1.0, 0.0)),
    "soft_shrink": (
        lambda x, t: np.sign(x) * np.maximum(np.abs(x) - t, 0),
        lambda x, t: np.where(np.abs(x) > t, 1.0, 0.0),
    ),
    "tanh_shrink": (lambda x: x - np.tanh(x), lambda x: np.tanh(x) ** 2),
    "threshold": (
        lambda x, t, v: np.where(np.isnan(x), x, np.where(x > t, x, v)),
        lambda x, t, v: np.where(x > t, 1.0, 0.0),
    ),
    "sparse_plus": (
        lambda x: np.where(x >= 1, x, np.where(x <= -1, 0.0, (x + 1) ** 2 / 4)),
        lambda x: np.clip((x + 1) / 2, 0, 1),
    ),
    "sparse_sigmoid": (lambda x: np.clip((x + 1) / 2, 0, 1), lambda x: inside(x, -1, 1) / 2),
    "squareplus": (squareplus, lambda x, b: squareplus(x, b) / np.hypot(x, np.sqrt(b))),
    "linear": (lambda x: x, np.ones_like),
    "relu": (relu, lambda x: np.where(x <= 0, 0.0, 1.0)),
    "clipped_relu": (clipped_relu, clipped_relu_derivative),
    "leaky_relu": (lambda x, a: np.where(x < 0, a * x, x), lambda x, a: np.where(x < 0, a, 1.0)),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(np.clip(x, -350, 350)) ** 2),
    "silu": (lambda x: x * sigmoid(x), silu_derivative),
    "gelu": (lambda x: x * phi(x), gelu_derivative),
    "approximate_gelu": (approximate_gelu, approximate_gelu_derivative),
}


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sparsemax(x):
    """Martins and Astudillo 2016, algorithm 1: the threshold from the sorted elements."""
    z = -np.sort(-x, axis=-1)
    sums, k = np.cumsum(z, axis=-1), np.arange(1, x.shape[-1] + 1)
    size = (1 + k * z > sums).sum(-1, keepdims=True)
    return np.maximum(x - (np.take_along_axis(sums, size - 1, -1) - 1) / size, 0)


# ---- updates, as the papers and Keras's documentation have them


def sgd(t, w, g, states, rate):
    return w - rate * g


def momentum(t, w, g, states, rate, momentum):
    states[0] = momentum * states[0] - rate * g
    return w + states[0]


def nesterov(t, w, g, states, rate, momentum):
    states[0] = momentum * states[0] - rate * g
    return w + momentum * states[0] - rate * g


def rmsprop(t, w, g, states, rate, rho, epsilon):
    states[0] = rho * states[0] + (1 - rho) * g**2
    return w - rate * g / np.sqrt(states[0] + epsilon)


def rmsprop_momentum(t, w, g, states, rate, rho, epsilon, momentum):
    states[0] = rho * states[0] + (1 - rho) * g**2
    states[1] = momentum * states[1] + rate * g / np.sqrt(states[0] + epsilon)
    return w - states[1]


def rmsprop_centered(t, w, g, states, rate, rho, epsilon):
    states[0] = rho * states[0] + (1 - rho) * g**2
    states[1] = rho * states[1] + (1 - rho) * g
    return w - rate * g / np.sqrt(states[0] - states[1] ** 2 + epsilon)


def rmsprop_centered_momentum(t, w, g, states, rate, rho, epsilon, momentum):
    states[0] = rho * states[0] + (1 - rho) * g**2
    states[2] = rho * states[2] + (1 - rho) * g
    states[1] = momentum * states[1] + rate * g / np.sqrt(states[0] - states[2] ** 2 + epsilon)
    return w - states[1]


def adam(t, w, g, states, rate, beta_1, beta_2, epsilon):
    """The paper's section 2, last paragraph: epsilon outside the bias correction."""
    states[0] = beta_1 * states[0] + (1 - beta_1) * g
    states[1] = beta_2 * states[1] + (1 - beta_2) * g**2
    alpha = rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return w - alpha * states[0] / (np.sqrt(states[1]) + epsilon)


def amsgrad(t, w, g, states, rate, beta_1, beta_2, epsilon):
    states[0] = beta_1 * states[0] + (1 - beta_1) * g
    states[1] = beta_2 * states[1] + (1 - beta_2) * g**2
    states[2] = np.maximum(states[2], states[1])
    alpha = rate * math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return w - alpha * states[0] / (np.sqrt(states[2]) + epsilon)


def adamax(t, w, g, states, rate, beta_1, beta_2, epsilon):
    states[0] = beta_1 * states[0] + (1 - beta_1) * g
    states[1] = np.maximum(beta_2 * states[1], np.abs(g))
    return w - rate / (1 - beta_1**t) * states[0] / (states[1] + epsilon)


def nadam(t, w, g, states, rate, beta_1, beta_2, epsilon):
    """Dozat's algorithm 2, with Keras's μ; their product is formed anew at every step."""
    mu = [beta_1 * (1 - 0.5 * 0.96**i) for i in range(1, t + 2)]
    states[0] = beta_1 * states[0] + (1 - beta_1) * g
    states[1] = beta_2 * states[1] + (1 - beta_2) * g**2
    m = mu[t] * states[0] / (1 - math.prod(mu)) + (1 - mu[t - 1]) * g / (1 - math.prod(mu[:t]))
    return w - rate * m / (np.sqrt(states[1] / (1 - beta_2**t)) + epsilon)


def radam(t, w, g, states, rate, beta_1, beta_2, epsilon):
    states[0] = beta_1 * states[0] + (1 - beta_1) * g
    states[1] = beta_2 * states[1] + (1 - beta_2) * g**2
    m = states[0] / (1 - beta_1**t)
    longest = 2 / (1 - beta_2) - 1
    length = longest - 2 * t * beta_2**t / (1 - beta_2**t)
    if length <= 5:
        return w - rate * m
    r = math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
    return w - rate * r * m * math.sqrt(1 - beta_2**t) / (np.sqrt(states[1]) + epsilon)


def adagrad(t, w, g, states, rate, initial_accumulator_value, epsilon):
    states[0] = states[0] + g**2
    return w - rate * g / np.sqrt(states[0] + epsilon)


def adadelta(t, w, g, states, rate, rho, epsilon):
    states[0] = rho * states[0] + (1 - rho) * g**2
    step = np.sqrt(states[1] + epsilon) / np.sqrt(states[0] + epsilon) * g
    states[1] = rho * states[1] + (1 - rho) * step**2
    return w - rate * step


def lion(t, w, g, states, rate, beta_1, beta_2):
    direction = np.sign(beta_1 * states[0] + (1 - beta_1) * g)
    states[0] = beta_2 * states[0] + (1 - beta_2) * g
    return w - rate * direction


def rprop(t, w, g, states, rate, eta_minus, eta_plus, step_min, step_max):
    turned = np.sign(g * states[0])
    factor = np.choose(turned.astype(int) + 1, [eta_minus, 1.0, eta_plus])
    states[1] = np.clip(states[1] * factor, step_min, step_max)
    states[0] = np.where(turned < 0, 0.0, g)
    return w - np.sign(states[0]) * states[1]


def ftrl(t, w, g, states, rate, power, initial, l1, l2, shrinkage, beta):
    a = states[0]
    states[0] = a + g**2
    states[1] = states[1] + g + 2 * shrinkage * w - (states[0] ** -power - a**-power) / rate * w
    quadratic = states[0] ** -power / rate + 2 * (l2 + beta / (2 * rate))
    return (np.clip(states[1], -l1, l1) - states[1]) / quadratic


def ftrl_by_keyword(t, w, g, states, rate, **numbers):
    return ftrl(t, w, g, states, rate, *numbers.values())


def schedule_free(t, w, g, states, rate, beta_1, beta_2, epsilon, warmup_steps):
    """The mean of all z, with z before its step taken out of w."""
    z, rate = states[0], rate * min(1.0, t / warmup_steps) if warmup_steps else rate
    mean = (w - (1 - beta_1) * z) / beta_1
    states[1] = beta_2 * states[1] + (1 - beta_2) * g**2
    states[0] = z - rate * g / (np.sqrt(states[1] / (1 - beta_2**t)) + epsilon)
    return (1 - beta_1) * states[0] + beta_1 * (mean + (states[0] - mean) / t)


def lamb(t, w, g, states, rate, beta_1, beta_2, epsilon):
    states[0] = beta_1 * states[0] + (1 - beta_1) * g
    states[1] = beta_2 * states[1] + (1 - beta_2) * g**2
    u = states[0] / (1 - beta_1**t) / (np.sqrt(states[1] / (1 - beta_2**t)) + epsilon)
    lengths = np.linalg.norm(w), np.linalg.norm(u)
    return w - rate * (lengths[0] / lengths[1] if min(lengths) > 0 else 1.0) * u


def rms(x):
    return np.sqrt(np.mean(x**2))


def adafactor(t, w, g, states, rate, beta_2_decay, epsilon_1, epsilon_2, clip_threshold):
    """Algorithm 4 for a weight of two or more axes, whose states are means over the last and the one before it; 5."""
    beta_2, squares = 1 - t**beta_2_decay, g**2 + epsilon_1
    if w.ndim < 2:
        states[0] = v = beta_2 * states[0] + (1 - beta_2) * squares
    else:
        states[0] = beta_2 * states[0] + (1 - beta_2) * squares.mean(axis=-1)
        states[1] = beta_2 * states[1] + (1 - beta_2) * squares.mean(axis=-2)
        r = states[0] / states[0].mean(axis=-1, keepdims=True)
        v = r[..., :, None] * states[1][..., None, :]
    u = g / np.sqrt(v)
    return w - max(epsilon_2, rms(w)) * min(rate, 1 / np.sqrt(t)) * u / max(1.0, rms(u) / clip_threshold)


def muon(t, w, g, states, rate, adam_beta_1, adam_beta_2, epsilon, adam_lr_ratio, momentum):
    """Of a weight that is no matrix."""
    return adam(t, w, g, states, rate * adam_lr_ratio, adam_beta_1, adam_beta_2, epsilon)


UPDATES = {
    f.__name__: f
    for f in (
        sgd, momentum, nesterov, rmsprop, rmsprop_momentum, rmsprop_centered, rmsprop_centered_momentum, adam, amsgrad,
        adamax, nadam, radam, adagrad, adadelta, lion, rprop, schedule_free,
        lamb, adafactor, muon,
    )
} | dict.fromkeys(("ftrl", "ftrl_power"), ftrl_by_keyword)  # fmt: skip


# ---- layers


def batch_normalization(x, gamma, beta, mean, variance, epsilon):
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


# ---- metrics: one number for all rows


def binary_accuracy(t, x, threshold=0.5):
    return np.mean((x > threshold) == t)


def categorical_accuracy(t, x):
    return np.mean(t.argmax(-1) == x.argmax(-1))


def sparse_categorical_accuracy(t, x):
    return np.mean(t == x.argmax(-1))


def same(a, b):
    """Whether two lists of arrays are the same to the bit, in shape and dtype too."""
    pairs = [(np.asarray(p), np.asarray(q)) for p, q in zip(a, b)]
    alike = [(p.dtype, p.shape, p.tobytes()) == (q.dtype, q.shape, q.tobytes()) for p, q in pairs]
    return len(a) == len(b) and all(alike)
