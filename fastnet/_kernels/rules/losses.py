"""Losses: f(y_true, y_pred) for one element, or a row rule; the derivative by y_pred stands under each."""

import math

from fastnet._kernels.registry import Loss, Pass, RowRule, losses

EPSILON = 1e-7  # Keras's backend.epsilon(): probabilities are clipped to [EPSILON, 1 - EPSILON]


def mean_squared_error(y_true, y_pred):
    return (y_pred - y_true) * (y_pred - y_true)


def mean_squared_error_gradient(y_true, y_pred):
    return 2 * (y_pred - y_true)


def mean_absolute_error(y_true, y_pred):
    return math.fabs(y_pred - y_true)


def mean_absolute_error_gradient(y_true, y_pred):
    difference = y_pred - y_true
    return difference if difference != difference else (1 if difference > 0 else (-1 if difference < 0 else 0))


def clip(p):
    low = EPSILON if p < EPSILON else p
    return 1 - EPSILON if low > 1 - EPSILON else low


def binary_crossentropy(y_true, y_pred, label_smoothing):
    t = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    p = clip(y_pred)
    return -(t * math.log(p) + (1 - t) * math.log(1 - p))


def binary_crossentropy_gradient(y_true, y_pred, label_smoothing):
    t = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    p = clip(y_pred)
    gradient = (1 - t) / (1 - p) - t / p
    return gradient if p == y_pred else (0 if p != p or p > 0 else y_pred)


def binary_crossentropy_from_logits(y_true, y_pred, label_smoothing):
    """-t log σ(x) - (1-t) log σ(-x) = max(x, 0) - x t + log(1 + e^-|x|)."""
    t = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    positive = 0 if y_pred < 0 else y_pred
    return positive - y_pred * t + math.log1p(math.exp(-math.fabs(y_pred)))


def binary_crossentropy_from_logits_gradient(y_true, y_pred, label_smoothing):
    t = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    return 1 / (1 + math.exp(-y_pred)) - t


# Cross-entropy from logits: -sum t (x - logsumexp x).  Its gradient is softmax(x) sum(t) - t.  The largest x is taken
# away first, so that nothing overflows and nothing is lost between two large numbers.


def larger_and_targets(largest, targets, x, t):
    return largest if x < largest else x, targets + t


def add_exponential_and_product(total, inner, x, t, largest, targets):
    shifted = x - largest
    return total + math.exp(shifted), inner if t == 0 else inner + t * shifted


def log_of_total(total, inner, largest, targets):
    return math.log(total), inner


def crossentropy_value(largest, targets, log_total, inner):
    return log_total * targets - inner if log_total == log_total else log_total


def crossentropy_gradient(x, t, largest, targets, log_total, inner):
    return math.exp(x - largest - log_total) * targets - t


crossentropy_from_logits = RowRule(
    (
        Pass((-math.inf, 0.0), larger_and_targets),
        Pass((0.0, 0.0), add_exponential_and_product, log_of_total),
    ),
    crossentropy_gradient,
    crossentropy_value,
)

# Cross-entropy of probabilities: q = p / sum p, -sum t log clip(q).  dL/dp = (g - <g, q>) / sum p with g = -t / q
# where q is inside the clip, else 0.


def add_probability(total, x, t):
    return total + x


def add_log_and_inside(logs, inside, x, t, total):
    q = x / total
    p = clip(q)
    return logs if t == 0 else logs + t * math.log(p), inside + (t if p == q else 0)


def probabilities_value(total, logs, inside):
    return -logs if total == total else total


def probabilities_gradient(x, t, total, logs, inside):
    q = x / total
    own = -t / q if clip(q) == q else 0
    return (own + inside) / total


crossentropy = RowRule(
    (Pass((0.0,), add_probability), Pass((0.0, 0.0), add_log_and_inside)),
    probabilities_gradient,
    probabilities_value,
)

losses.add(Loss("mean_squared_error", mean_squared_error, mean_squared_error_gradient), "mse")
losses.add(Loss("mean_absolute_error", mean_absolute_error, mean_absolute_error_gradient), "mae")
losses.add(
    Loss(
        "binary_crossentropy",
        binary_crossentropy,
        binary_crossentropy_gradient,
        parameters={"label_smoothing": 0.0},
    ),
    "bce",
)
losses.add(
    Loss(
        "binary_crossentropy_from_logits",
        binary_crossentropy_from_logits,
        binary_crossentropy_from_logits_gradient,
        parameters={"label_smoothing": 0.0},
    )
)
losses.add(Loss("categorical_crossentropy", row=crossentropy))
losses.add(Loss("categorical_crossentropy_from_logits", row=crossentropy_from_logits))
losses.add(Loss("sparse_categorical_crossentropy", row=crossentropy, targets="sparse"))
losses.add(Loss("sparse_categorical_crossentropy_from_logits", row=crossentropy_from_logits, targets="sparse"))
