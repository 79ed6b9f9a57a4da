"""Losses of a whole row: row rules, whose passes run over the last axis; definitions and constants are Keras 3's.

x is an element of the prediction, t one of the target (of a one-hot row where targets are class indices).
"""

import math

from fastnet._kernels.ranges import OPEN_UNIT
from fastnet._kernels.registry import Loss, Pass, RowRule, losses
from fastnet._kernels.rules import scalars
from fastnet._kernels.rules.losses import at_least_epsilon, clip, power_slope
from fastnet._kernels.rules.scalars import EPSILON

# Cross-entropy from logits: -sum t (x - logsumexp x).  Its gradient is softmax(x) sum(t) - t.  The largest x is taken
# away first, so that nothing overflows and nothing is lost between two large numbers.


def larger_and_targets(largest, targets, x, t):
    return largest if x < largest else x, targets + t


def add_exponential_and_product(total, dot, x, t, largest, targets):
    shifted = x - largest
    return total + math.exp(shifted), dot if t == 0 else dot + t * shifted


def log_of_total(total, dot, largest, targets):
    return math.log(total), dot


def crossentropy_value(largest, targets, log_total, dot):
    return log_total * targets - dot if log_total == log_total else log_total


def crossentropy_gradient(x, t, largest, targets, log_total, dot):
    return math.exp(x - largest - log_total) * targets - t


crossentropy_from_logits = RowRule(
    (
        Pass((-math.inf, 0.0), larger_and_targets, sums=(1,)),
        Pass((0.0, 0.0), add_exponential_and_product, log_of_total, sums=(0, 1)),
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
    slope = -t / q if clip(q) == q else 0
    return (slope + inside) / total


crossentropy = RowRule(
    (Pass((0.0,), add_probability, sums=(0,)), Pass((0.0, 0.0), add_log_and_inside, sums=(0, 1))),
    probabilities_gradient,
    probabilities_value,
)

# Focal cross-entropy of probabilities q = p / sum p, clipped: -sum alpha (1 - q)^gamma t log q; Lin et al. 2017,
# arXiv:1708.02002.  From logits q is softmax(x).


def focal_value(q, t, alpha, gamma):
    p = clip(q)
    return -alpha * (1 - p) ** gamma * t * math.log(p)


def focal_slope(q, t, alpha, gamma):
    """The derivative by q; 0 where the clip is at work."""
    p = clip(q)
    slope = alpha * t * (power_slope(1 - p, gamma) * math.log(p) - (1 - p) ** gamma / p)
    return slope if p == q else (0 if p == p else p)


def add_probability_alone(total, x, t, alpha, gamma):
    return total + x


def add_focal(value, dot, x, t, total, alpha, gamma):
    q = x / total
    return value + focal_value(q, t, alpha, gamma), dot + q * focal_slope(q, t, alpha, gamma)


def focal_of_row(total, value, dot, alpha, gamma):
    return value


def focal_gradient(x, t, total, value, dot, alpha, gamma):
    return (focal_slope(x / total, t, alpha, gamma) - dot) / total


categorical_focal = RowRule(
    (Pass((0.0,), add_probability_alone, sums=(0,)), Pass((0.0, 0.0), add_focal, sums=(0, 1))),
    focal_gradient,
    focal_of_row,
)


def larger(largest, x, t, alpha, gamma):
    return largest if x < largest else x


def add_exponential(total, x, t, largest, alpha, gamma):
    return total + math.exp(x - largest)


def add_focal_of_logit(value, dot, x, t, largest, total, alpha, gamma):
    q = math.exp(x - largest) / total
    return value + focal_value(q, t, alpha, gamma), dot + q * focal_slope(q, t, alpha, gamma)


def focal_of_logits(largest, total, value, dot, alpha, gamma):
    return value


def focal_of_logits_gradient(x, t, largest, total, value, dot, alpha, gamma):
    q = math.exp(x - largest) / total
    return q * (focal_slope(q, t, alpha, gamma) - dot)


categorical_focal_from_logits = RowRule(
    (
        Pass((-math.inf,), larger),
        Pass((0.0,), add_exponential, sums=(0,)),
        Pass((0.0, 0.0), add_focal_of_logit, sums=(0, 1)),
    ),
    focal_of_logits_gradient,
    focal_of_logits,
)

# Kullback-Leibler divergence: sum t log(t / p), both clipped to [EPSILON, 1].


def clip_above(p):
    low = EPSILON if p < EPSILON else p
    return 1 if low > 1 else low


def add_divergence(total, x, t):
    target = clip_above(t)
    return total + target * math.log(target / clip_above(x))


def divergence(total):
    """sum(y_true log(y_true / y_pred)) over the last axis, both clipped to [1e-7, 1]."""
    return total


def divergence_gradient(x, t, total):
    p = clip_above(x)
    return -clip_above(t) / p if p == x else (0 * x if p == p else p)


kl_divergence = RowRule((Pass((0.0,), add_divergence, sums=(0,)),), divergence_gradient, divergence)

# Cosine similarity: -<t, x> / (|t| |x|), both lengths at least EPSILON.


def add_squares_and_product(tt, xx, tx, x, t):
    return tt + t * t, xx + x * x, tx + t * x


def inverse_lengths(tt, xx, tx):
    return inverse_length(tt), inverse_length(xx), tx


def inverse_length(square):
    inverse = 1 / math.sqrt(square)
    return 1 / EPSILON if inverse > 1 / EPSILON else inverse


def negative_cosine(by_t, by_x, tx):
    return -(tx * by_t * by_x)


def negative_cosine_gradient(x, t, by_t, by_x, tx):
    along = tx * by_x * by_x * x if by_x < 1 / EPSILON else 0 * x
    return (along - t) * by_t * by_x


cosine_passes = (Pass((0.0, 0.0, 0.0), add_squares_and_product, inverse_lengths, sums=(0, 1, 2)),)
cosine_similarity = RowRule(cosine_passes, negative_cosine_gradient, negative_cosine)

# Categorical hinge: max(0, 1 + max (1 - t) x - sum t x).  Where several (1 - t) x are the largest they share the
# gradient, as JAX lets them.


def add_right_and_largest_wrong(right, wrong, x, t):
    other = (1 - t) * x
    return right + t * x, wrong if other < wrong else other


def count_largest(ties, x, t, right, wrong):
    return ties + (1 if (1 - t) * x == wrong else 0)


def categorical_hinge_value(right, wrong, ties):
    """max(0, 1 + max((1 - y_true) y_pred) - sum(y_true y_pred)) over the last axis, y_true one-hot."""
    margin = wrong - right + 1
    return 0 if margin < 0 else margin


def categorical_hinge_gradient(x, t, right, wrong, ties):
    margin = wrong - right + 1
    slope = ((1 - t) / ties if (1 - t) * x == wrong else 0) - t
    return 0 if margin < 0 else (slope if margin == margin else margin)


categorical_hinge = RowRule(
    (Pass((0.0, -math.inf), add_right_and_largest_wrong, sums=(0,)), Pass((0.0,), count_largest, sums=(0,))),
    categorical_hinge_gradient,
    categorical_hinge_value,
)

# Generalized cross-entropy: (1 - p^q) / q of the probability p of the label; Zhang and Sabuncu 2018, arXiv:1805.07836.


def probability_of_label(p, x, t, q):
    return p + t * x


def generalized_crossentropy(p, q: OPEN_UNIT):
    """(1 - p^q) / q for the probability p that is given to the label: robust against wrong labels; arXiv:1805.07836.

    Args:
        q: above 0 and below 1; near 0 the loss is the cross-entropy, near 1 the mean absolute error.
    """
    return (1 - p**q) / q


def generalized_crossentropy_gradient(x, t, p, q):
    return 0 * p if t == 0 else -t * at_least_epsilon(p) ** (q - 1)  # finite for p = 0


generalized = RowRule(
    (Pass((0.0,), probability_of_label),), generalized_crossentropy_gradient, generalized_crossentropy
)

# Overlap of a row (`scalars.overlap`): sums of y_true y_pred, y_true and y_pred.


def add_overlap(both, targets, predictions, x, t, scale, b, c, d):
    return both + x * t, targets + t, predictions + x


def overlap_of_row(both, targets, predictions, scale, b, c, d):
    value, slope, offset = scalars.overlap(both, targets, predictions, scale, b, c, d)
    return value


def overlap_of_row_gradient(x, t, both, targets, predictions, scale, b, c, d):
    value, slope, offset = scalars.overlap(both, targets, predictions, scale, b, c, d)
    return slope * t + offset


overlap = RowRule((Pass((0.0, 0.0, 0.0), add_overlap, sums=(0, 1, 2)),), overlap_of_row_gradient, overlap_of_row)

FOCAL = {"alpha": 0.25, "gamma": 2.0}

losses.add(Loss("categorical_crossentropy", row=crossentropy, example=([[0.0, 1.0]], [[0.75, 0.25]], 1.3863)))
losses.add(Loss("categorical_crossentropy_from_logits", row=crossentropy_from_logits))
losses.add(
    Loss(
        "sparse_categorical_crossentropy", row=crossentropy, targets="sparse",
        example=([1], [[0.5, 0.5]], 0.6931),
    )
)  # fmt: skip
losses.add(Loss("sparse_categorical_crossentropy_from_logits", row=crossentropy_from_logits, targets="sparse"))
losses.add(
    Loss(
        "categorical_focal_crossentropy", row=categorical_focal, parameters=FOCAL,
        example=([[0.0, 1.0]], [[0.5, 0.5]], 0.0433),
    )
)  # fmt: skip
losses.add(Loss("categorical_focal_crossentropy_from_logits", row=categorical_focal_from_logits, parameters=FOCAL))
losses.add(
    Loss(
        "kl_divergence", row=kl_divergence, targets="raw", public="KLDivergence",
        example=([[0.5, 0.5]], [[0.25, 0.75]], 0.1438),
    ), "kld", "KLD",
)  # fmt: skip
losses.add(Loss("cosine_similarity", row=cosine_similarity, targets="raw", example=([[0.0, 1.0]], [[3.0, 4.0]], -0.8)))
losses.add(
    Loss(
        "categorical_hinge", row=categorical_hinge, targets="raw", public="CategoricalHinge",
        example=([[0.0, 1.0]], [[0.5, 0.75]], 0.75),
    )
)  # fmt: skip
losses.add(
    Loss(
        "categorical_generalized_cross_entropy", row=generalized, targets="sparse", parameters={"q": 0.5},
        public="CategoricalGeneralizedCrossEntropy", is_metric=False, example=([1], [[0.75, 0.25]], 1.0),
    )
)  # fmt: skip
