"""What the kernels should give: slow, obvious, in numpy float64, and without a line of fastnet.

Activations: ``name: (f(x, *parameters), derivative(x, *parameters))``.  Losses: ``(values, gradient of their mean)``.
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
    y = np.where(x < threshold, slope * (x - threshold), x)
    return np.where(y > top, top, y)


def clipped_relu_derivative(x, slope, top, threshold):
    return np.where(x >= top, 0.0, np.where(x < threshold, slope, 1.0))


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


ACTIVATIONS = {
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


# ---- losses: y_true and y_pred (n, width); ``low`` and ``high`` are the clip's bounds in the kernel's dtype


def mean_squared_error(t, x, low, high):
    return ((x - t) ** 2).mean(-1), 2 * (x - t) / x.size


def mean_absolute_error(t, x, low, high):
    return np.abs(x - t).mean(-1), np.sign(x - t) / x.size


def binary_crossentropy(t, x, low, high):
    p = np.clip(x, low, high)
    gradient = np.where(p == x, (1 - t) / (1 - p) - t / p, 0.0)
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(-1), gradient / x.size


def binary_crossentropy_from_logits(t, x, low, high):
    """-t log σ(x) - (1 - t) log σ(-x), with log σ(x) = -log(1 + e^-x)."""
    return (t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)).mean(-1), (sigmoid(x) - t) / x.size


def categorical_crossentropy(t, x, low, high):
    total = x.sum(-1, keepdims=True)
    q = x / total
    p = np.clip(q, low, high)
    inside = p == q
    own = np.where(inside, -t / p, 0.0)
    return -(t * np.log(p)).sum(-1), (own + (t * inside).sum(-1, keepdims=True)) / total / len(x)


def categorical_crossentropy_from_logits(t, x, low, high):
    largest = x.max(-1, keepdims=True)
    log_p = x - largest - np.log(np.exp(x - largest).sum(-1, keepdims=True))
    return -(t * log_p).sum(-1), (np.exp(log_p) * t.sum(-1, keepdims=True) - t) / len(x)


LOSSES = {
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "binary_crossentropy": binary_crossentropy,
    "binary_crossentropy_from_logits": binary_crossentropy_from_logits,
    "categorical_crossentropy": categorical_crossentropy,
    "categorical_crossentropy_from_logits": categorical_crossentropy_from_logits,
    "sparse_categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy_from_logits": categorical_crossentropy_from_logits,
}


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


UPDATES = {
    f.__name__: f
    for f in (
        sgd, momentum, nesterov, rmsprop, rmsprop_momentum, rmsprop_centered, rmsprop_centered_momentum, adam, amsgrad,
    )
}  # fmt: skip


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
