"""What the loss kernels should give: slow, obvious, in numpy float64, and without a line of fastnet.

``name: f(t, x, low, high) -> (values, gradient of their mean)``; y_true and y_pred (n, width); ``low`` and ``high`` are
the clip's bounds in the kernel's dtype.
"""

import numpy as np

from .oracles import sigmoid


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


def with_gradient(value):
    """(values, gradient of their mean) of an analytic formula: the derivative along each column is the imaginary part
    of f(x + ih) / h, which cancels nothing (Squire and Trapp 1998)."""

    def both(t, x, low, high):
        gradient = np.empty_like(x)
        for j in range(x.shape[1]):
            moved = x.astype(complex)
            moved[:, j] += 1e-30j
            gradient[:, j] = value(t, moved, low, high).imag / 1e-30 / len(x)
        return value(t, x.astype(complex), low, high).real, gradient

    return both


def clipped(x, low, high=np.inf):
    return np.where(x.real < low, low, np.where(x.real > high, high, x))


def absolute(x):
    return np.where(x.real < 0, -x, x)


def huber(t, x, low, high, delta=1.0):
    size = absolute(x - t)
    return np.where(size.real <= delta, 0.5 * size**2, delta * size - 0.5 * delta**2).mean(-1)


def categorical_hinge(t, x, low, high):
    other = (1 - t) * x
    largest = np.take_along_axis(other, other.real.argmax(-1)[:, None], -1)[:, 0]
    return clipped(largest - (t * x).sum(-1) + 1, 0)


def cosine_similarity(t, x, low, high):
    length = np.maximum(np.sqrt((t * t).sum(-1)), low) * clipped(np.sqrt((x * x).sum(-1)), low)
    return -(t * x).sum(-1) / length


def binary_focal(t, p, low, high, gamma=2.0):
    q = clipped(p, low, high)
    missed = 1 - (t * p + (1 - t) * (1 - p))
    return (missed**gamma * -(t * np.log(q) + (1 - t) * np.log(1 - q))).mean(-1)


def categorical_focal(t, x, low, high, alpha=0.25, gamma=2.0):
    q = clipped(x / x.sum(-1, keepdims=True), low, high)
    return -(alpha * (1 - q) ** gamma * t * np.log(q)).sum(-1)


def categorical_focal_from_logits(t, x, low, high):
    e = np.exp(x - x.real.max(-1, keepdims=True))
    return categorical_focal(t, e, low, high)


LOSSES |= {
    "mean_absolute_percentage_error": with_gradient(
        lambda t, x, low, high: (100 * absolute(x - t) / np.maximum(np.abs(t), low)).mean(-1)
    ),
    "mean_squared_logarithmic_error": with_gradient(
        lambda t, x, low, high: ((np.log(clipped(x, low) + 1) - np.log(np.maximum(t, low) + 1)) ** 2).mean(-1)
    ),
    "huber": with_gradient(huber),
    "log_cosh": with_gradient(
        lambda t, x, low, high: (absolute(x - t) + np.log(1 + np.exp(-2 * absolute(x - t))) - np.log(2)).mean(-1)
    ),
    "hinge": with_gradient(lambda t, x, low, high: clipped(1 - t * x, 0).mean(-1)),
    "squared_hinge": with_gradient(lambda t, x, low, high: (clipped(1 - t * x, 0) ** 2).mean(-1)),
    "poisson": with_gradient(lambda t, x, low, high: (x - t * np.log(x + low)).mean(-1)),
    "binary_focal_crossentropy": with_gradient(binary_focal),
    "binary_focal_crossentropy_from_logits": with_gradient(
        lambda t, x, low, high: binary_focal(t, 1 / (1 + np.exp(-x)), low, high)
    ),
    "categorical_focal_crossentropy": with_gradient(categorical_focal),
    "categorical_focal_crossentropy_from_logits": with_gradient(categorical_focal_from_logits),
    "kl_divergence": with_gradient(
        lambda t, x, low, high: (clipped(t, low, 1) * np.log(clipped(t, low, 1) / clipped(x, low, 1))).sum(-1)
    ),
    "cosine_similarity": with_gradient(cosine_similarity),
    "categorical_hinge": with_gradient(categorical_hinge),
    "categorical_generalized_cross_entropy": with_gradient(lambda t, x, low, high: (1 - (t * x).sum(-1) ** 0.5) / 0.5),
}
