"""Losses: f(y_true, y_pred) for one element, or a row rule; the derivative by y_pred stands under each."""

import math

from fastnet._kernels.registry import Loss, Pass, RowRule, losses
from fastnet._kernels.rules.activations import larger, same, same_after_one

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


# Cross-entropy from logits: -sum t (x - logsumexp).  Its gradient is softmax(x) sum(t) - t.


def add_exponential(acc, x, t, largest):
    return acc + math.exp(x - largest)


def log_of_sum(acc, largest):
    return largest + math.log(acc)


def add_log_probability(acc, x, t, largest, lse):
    return acc if t == 0 else acc + t * (x - lse)


def same_after_two(acc, a, b):
    return acc


def add_target(acc, x, t, largest, lse, inner):
    return acc + t


def same_after_three(acc, a, b, c):
    return acc


def crossentropy_value(largest, lse, inner, targets):
    return -inner if lse == lse else lse


def crossentropy_gradient(x, t, largest, lse, inner, targets):
    return math.exp(x - lse) * targets - t


crossentropy_from_logits = RowRule(
    (
        Pass(-math.inf, larger, same),
        Pass(0.0, add_exponential, log_of_sum),
        Pass(0.0, add_log_probability, same_after_two),
        Pass(0.0, add_target, same_after_three),
    ),
    crossentropy_gradient,
    crossentropy_value,
)

# Cross-entropy of probabilities: q = p / sum p, -sum t log clip(q).  dL/dp = (g - <g, q>) / sum p with g = -t / q
# where q is inside the clip, else 0.


def add_probability(acc, x, t):
    return acc + x


def add_clipped_log(acc, x, t, total):
    return acc if t == 0 else acc + t * math.log(clip(x / total))


def add_unclipped_target(acc, x, t, total, inner):
    q = x / total
    return acc + (t if clip(q) == q else 0)


def probabilities_value(total, inner, targets):
    return -inner if total == total else total


def probabilities_gradient(x, t, total, inner, targets):
    q = x / total
    own = -t / q if clip(q) == q else 0
    return (own + targets) / total


crossentropy = RowRule(
    (
        Pass(0.0, add_probability, same),
        Pass(0.0, add_clipped_log, same_after_one),
        Pass(0.0, add_unclipped_target, same_after_two),
    ),
    probabilities_gradient,
    probabilities_value,
)

losses.add(
    Loss("mean_squared_error", mean_squared_error, mean_squared_error_gradient), "mse"
)
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
