"""Losses of one element, f(y_true, y_pred, *parameters), averaged over the last axis; the derivative by y_pred stands
under each.  Losses of a whole row are in ``row_losses.py``.  Definitions and constants are those of Keras 3."""

import math

from fastnet._kernels.ranges import POSITIVE
from fastnet._kernels.registry import Loss, losses
from fastnet._kernels.rules.scalars import EPSILON
from fastnet._kernels.rules.sign import sign

LOG_2 = math.log(2)


def mean_squared_error(y_true, y_pred):
    """mean((y_pred - y_true)²) over the last axis."""
    return (y_pred - y_true) * (y_pred - y_true)


def mean_squared_error_gradient(y_true, y_pred):
    return 2 * (y_pred - y_true)


def mean_absolute_error(y_true, y_pred):
    """mean(|y_pred - y_true|) over the last axis."""
    return math.fabs(y_pred - y_true)


def mean_absolute_error_gradient(y_true, y_pred):
    return sign(y_pred - y_true)


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
    return 0 if p < y_pred or p > y_pred else gradient  # NaN stays


def binary_crossentropy_from_logits(y_true, y_pred, label_smoothing):
    """-t log σ(x) - (1-t) log σ(-x) = max(x, 0) - x t + log(1 + e^-|x|)."""
    t = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    positive = 0 if y_pred < 0 else y_pred
    return positive - y_pred * t + math.log1p(math.exp(-math.fabs(y_pred)))


def binary_crossentropy_from_logits_gradient(y_true, y_pred, label_smoothing):
    t = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    return 1 / (1 + math.exp(-y_pred)) - t


def at_least_epsilon(x):
    return EPSILON if x < EPSILON else x


def mean_absolute_percentage_error(y_true, y_pred):
    """100 mean(|y_pred - y_true| / max(|y_true|, 1e-7)) over the last axis."""
    return 100 * math.fabs((y_true - y_pred) / at_least_epsilon(math.fabs(y_true)))


def mean_absolute_percentage_error_gradient(y_true, y_pred):
    return 100 * sign(y_pred - y_true) / at_least_epsilon(math.fabs(y_true))


def mean_squared_logarithmic_error(y_true, y_pred):
    """mean((log(1 + y_pred) - log(1 + y_true))²) over the last axis; numbers below 1e-7 count as 1e-7."""
    size = distance_of_logarithms(at_least_epsilon(y_true), at_least_epsilon(y_pred))
    return size * size


def mean_squared_logarithmic_error_gradient(y_true, y_pred):
    size = distance_of_logarithms(at_least_epsilon(y_true), at_least_epsilon(y_pred))
    return 0 * size if y_pred < EPSILON else 2 * size * sign(y_pred - y_true) / (y_pred + 1)


def distance_of_logarithms(a, b):
    # |log(1 + b) - log(1 + a)|: the difference of two rounded logarithms near 1003 is off by up to 3e-3 of itself
    smaller = a if a < b else b
    return math.log1p(math.fabs(b - a) / (1 + smaller))


def huber(y_true, y_pred, delta: POSITIVE):
    """Huber 1964, doi:10.1214/aoms/1177703732."""
    size = math.fabs(y_pred - y_true)
    return 0.5 * size * size if size <= delta else delta * size - 0.5 * delta * delta


def huber_gradient(y_true, y_pred, delta):
    error = y_pred - y_true
    return error if math.fabs(error) <= delta else delta * sign(error)


def log_cosh(y_true, y_pred):
    """mean(log cosh(y_pred - y_true)) over the last axis."""
    # log cosh e = |e| + log(1 + exp(-2 |e|)) - log 2, which overflows nowhere.
    size = math.fabs(y_pred - y_true)
    return size + math.log1p(math.exp(-2 * size)) - LOG_2


def log_cosh_gradient(y_true, y_pred):
    return math.tanh(y_pred - y_true)


def hinge(y_true, y_pred):
    """mean(max(0, 1 - y_true y_pred)) over the last axis; a batch of targets 0 and 1 is read as -1 and 1."""
    margin = 1 - y_true * y_pred
    return 0 if margin < 0 else margin


def hinge_gradient(y_true, y_pred):
    margin = 1 - y_true * y_pred
    return 0 if margin <= 0 else (-y_true if margin > 0 else margin)


def squared_hinge(y_true, y_pred):
    """mean(max(0, 1 - y_true y_pred)²) over the last axis; a batch of targets 0 and 1 is read as -1 and 1."""
    margin = 1 - y_true * y_pred
    return 0 if margin < 0 else margin * margin


def squared_hinge_gradient(y_true, y_pred):
    margin = 1 - y_true * y_pred
    return 0 if margin < 0 else -2 * y_true * margin


def poisson(y_true, y_pred):
    """mean(y_pred - y_true log(y_pred + 1e-7)) over the last axis: the negative log-likelihood of counts."""
    return y_pred - y_true * math.log(y_pred + EPSILON)


def poisson_gradient(y_true, y_pred):
    return 1 - y_true / (y_pred + EPSILON)


# Focal cross-entropy: w (1 - p_t)^gamma times the binary cross-entropy, p_t the probability given to the target; w is
# 1, or alpha for the positive class and 1 - alpha for the negative one.  Lin et al. 2017, arXiv:1708.02002, eq. 5.


def power_slope(x, exponent):
    """d x^exponent / dx; 0 for exponent 0, at x = 0 too. For exponents below 1 it grows without bound near x = 0, where
    it stays what it is at EPSILON: times a cross-entropy that goes to 0, as it does there, it is next to nothing."""
    return 0 * x if exponent == 0 else exponent * at_least_epsilon(x) ** (exponent - 1)


def class_weight(t, alpha, apply_class_balancing):
    """Without a condition: LLVM compares a float32 parameter as the float64 it comes from."""
    return 1 + apply_class_balancing * (t * alpha + (1 - t) * (1 - alpha) - 1)


def binary_focal_crossentropy(y_true, y_pred, apply_class_balancing, alpha, gamma, label_smoothing):
    t = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    missed = 1 - (t * y_pred + (1 - t) * (1 - y_pred))
    crossentropy = binary_crossentropy(t, y_pred, 0)
    return class_weight(t, alpha, apply_class_balancing) * missed**gamma * crossentropy


def binary_focal_crossentropy_gradient(y_true, y_pred, apply_class_balancing, alpha, gamma, label_smoothing):
    t = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    missed = 1 - (t * y_pred + (1 - t) * (1 - y_pred))
    slope = power_slope(missed, gamma) * (1 - 2 * t) * binary_crossentropy(t, y_pred, 0)
    slope = slope + missed**gamma * binary_crossentropy_gradient(t, y_pred, 0)
    return class_weight(t, alpha, apply_class_balancing) * slope


def binary_focal_crossentropy_from_logits(y_true, y_pred, apply_class_balancing, alpha, gamma, label_smoothing):
    p = 1 / (1 + math.exp(-y_pred))
    return binary_focal_crossentropy(y_true, p, apply_class_balancing, alpha, gamma, label_smoothing)


def binary_focal_crossentropy_from_logits_gradient(
    y_true, y_pred, apply_class_balancing, alpha, gamma, label_smoothing
):
    p = 1 / (1 + math.exp(-y_pred))
    slope = binary_focal_crossentropy_gradient(y_true, p, apply_class_balancing, alpha, gamma, label_smoothing)
    return slope * p * (1 - p)


SMOOTHING = {"label_smoothing": 0.0}
FOCAL = {"apply_class_balancing": 0.0, "alpha": 0.25, "gamma": 2.0, "label_smoothing": 0.0}

losses.add(
    Loss("huber", huber, huber_gradient, parameters={"delta": 1.0}, example=([[0.0, 0.0]], [[0.5, 3.0]], 1.3125))
)
losses.add(
    Loss(
        "mean_squared_error", mean_squared_error, mean_squared_error_gradient, public="MeanSquaredError",
        example=([[0.0, 1.0]], [[0.5, 1.0]], 0.125),
    ), "mse", "MSE",
)  # fmt: skip
losses.add(
    Loss(
        "mean_absolute_error", mean_absolute_error, mean_absolute_error_gradient, public="MeanAbsoluteError",
        example=([[0.0, 1.0]], [[0.5, 1.0]], 0.25),
    ), "mae", "MAE",
)  # fmt: skip
losses.add(
    Loss(
        "mean_absolute_percentage_error", mean_absolute_percentage_error, mean_absolute_percentage_error_gradient,
        public="MeanAbsolutePercentageError", example=([[2.0, 4.0]], [[1.0, 4.0]], 25.0),
    ), "mape", "MAPE",
)  # fmt: skip
losses.add(
    Loss(
        "mean_squared_logarithmic_error", mean_squared_logarithmic_error, mean_squared_logarithmic_error_gradient,
        public="MeanSquaredLogarithmicError", example=([[0.0, 1.0]], [[1.0, 1.0]], 0.2402),
    ), "msle", "MSLE",
)  # fmt: skip
losses.add(
    Loss(
        "log_cosh", log_cosh, log_cosh_gradient, public="LogCosh", is_metric=False,
        example=([[0.0, 1.0]], [[1.0, 1.0]], 0.2169),
    ), "logcosh",
)  # fmt: skip
losses.add(
    Loss(
        "hinge", hinge, hinge_gradient, targets="signs", public="Hinge",
        example=([[0.0, 1.0]], [[0.5, 0.5]], 1.0),
    )
)  # fmt: skip
losses.add(
    Loss(
        "squared_hinge", squared_hinge, squared_hinge_gradient, targets="signs", public="SquaredHinge",
        example=([[0.0, 1.0]], [[0.5, 0.5]], 1.25),
    )
)  # fmt: skip
losses.add(Loss("poisson", poisson, poisson_gradient, public="Poisson", example=([[3.0]], [[1.0]], 1.0)))
losses.add(
    Loss(
        "binary_crossentropy", binary_crossentropy, binary_crossentropy_gradient, parameters=SMOOTHING,
        example=([[0.0, 1.0]], [[0.5, 0.5]], 0.6931),
    ), "bce", "BCE",
)  # fmt: skip
losses.add(
    Loss(
        "binary_crossentropy_from_logits", binary_crossentropy_from_logits, binary_crossentropy_from_logits_gradient,
        parameters=SMOOTHING,
    )
)  # fmt: skip
losses.add(
    Loss(
        "binary_focal_crossentropy", binary_focal_crossentropy, binary_focal_crossentropy_gradient, parameters=FOCAL,
        example=([[0.0, 1.0]], [[0.5, 0.5]], 0.1733),
    )
)  # fmt: skip
losses.add(
    Loss(
        "binary_focal_crossentropy_from_logits", binary_focal_crossentropy_from_logits,
        binary_focal_crossentropy_from_logits_gradient, parameters=FOCAL,
    )
)  # fmt: skip
