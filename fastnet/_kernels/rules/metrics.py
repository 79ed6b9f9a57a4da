"""Metrics that are a number for each row: rules as in ``losses.py`` and ``row_losses.py``, without gradients.

A row's argmax is the first of its largest elements, as in numpy.
"""

import math

from fastnet._kernels.registry import Loss, Pass, RowRule, losses, metrics
from fastnet._kernels.rules.row_losses import cosine_passes
from fastnet._kernels.rules.scalars import EPSILON


def accuracy(y_true, y_pred):
    return 1 if y_true == y_pred else 0


def binary_accuracy(y_true, y_pred, threshold):
    guess = 1 if y_pred > threshold else 0
    return 1 if guess == y_true else 0


def target_of_largest(largest, target, column, x, t):
    better = column == 0 or x > largest
    return x if better else largest, t if better else target, column + 1


def is_one(largest, target, column):
    return target


sparse_categorical_accuracy = RowRule((Pass((0.0, 0.0, 0.0), target_of_largest),), None, is_one)


def two_largest(largest, argmax, largest_target, target_argmax, column, x, t):
    better, truer = column == 0 or x > largest, column == 0 or t > largest_target
    return (
        x if better else largest,
        column if better else argmax,
        t if truer else largest_target,
        column if truer else target_argmax,
        column + 1,
    )


def same_argmax(largest, argmax, largest_target, target_argmax, column):
    return 1 if argmax == target_argmax else 0


categorical_accuracy = RowRule((Pass((0.0, 0.0, 0.0, 0.0, 0.0), two_largest),), None, same_argmax)


# Top k: fewer than k predictions are larger than that of the label. No label (an ignored one), or NaN there, is a miss.


def prediction_of_label(prediction, x, t, k):
    return x if t > 0.5 and x == x else prediction


def prediction_of_largest_target(largest, prediction, column, x, t, k):
    truer = column == 0 or t > largest
    return t if truer else largest, (x if x == x else -math.inf) if truer else prediction, column + 1


def count_larger(larger, x, t, prediction, k):
    return larger + (1 if x > prediction else 0)


def count_larger_than_second(larger, x, t, largest, prediction, column, k):
    return larger + (1 if x > prediction else 0)


def in_top_k(prediction, larger, k):
    return 1 if larger < k else 0


def in_top_k_of_second(largest, prediction, column, larger, k):
    return 1 if larger < k else 0


sparse_top_k = RowRule((Pass((-math.inf,), prediction_of_label), Pass((0.0,), count_larger, sums=(0,))), None, in_top_k)
top_k = RowRule(
    (Pass((0.0, 0.0, 0.0), prediction_of_largest_target), Pass((0.0,), count_larger_than_second, sums=(0,))),
    None,
    in_top_k_of_second,
)


def find_label(found, column, x, t, k):
    return 1 if column < k and x == t else found, column + 1


def was_found(found, column, k):
    return found


sorted_top_k = RowRule((Pass((0.0, 0.0), find_label),), None, was_found)


def cosine(by_t, by_x, tx):
    return tx * by_t * by_x


def largest_column(largest, index, column, x, t):
    better = column == 0 or x > largest
    return x if better else largest, column if better else index, column + 1


def index_of_largest(largest, index, column):
    return index


argmax = RowRule((Pass((0.0, 0.0, 0.0), largest_column),), None, index_of_largest)


# Correlations of a row: the means, then the sums of squares and products around them. The distance of the means has a
# sum of its own: their difference would keep few digits where they are far from 0.


def add_both(sum_t, sum_x, distance, columns, x, t):
    return sum_t + t, sum_x + x, distance + (x - t), columns + 1


def means_of_both(sum_t, sum_x, distance, columns):
    return sum_t / columns, sum_x / columns, distance / columns, columns


def add_products(tt, xx, tx, x, t, mean_t, mean_x, distance, columns):
    return tt + (t - mean_t) * (t - mean_t), xx + (x - mean_x) * (x - mean_x), tx + (t - mean_t) * (x - mean_x)


def pearson(mean_t, mean_x, distance, columns, tt, xx, tx):
    return tx / (math.sqrt(tt) * math.sqrt(xx))


def concordance(mean_t, mean_x, distance, columns, tt, xx, tx):
    return 2 * tx / columns / ((tt + xx) / columns + distance * distance + EPSILON)


around_means = (
    Pass((0.0, 0.0, 0.0, 0.0), add_both, means_of_both, sums=(0, 1, 2, 3)),
    Pass((0.0, 0.0, 0.0), add_products, sums=(0, 1, 2)),
)

metrics.add(Loss("accuracy", accuracy))
metrics.add(Loss("binary_accuracy", binary_accuracy, parameters={"threshold": 0.5}))
metrics.add(Loss("categorical_accuracy", row=categorical_accuracy, targets="raw"))
metrics.add(Loss("sparse_categorical_accuracy", row=sparse_categorical_accuracy, targets="sparse"))
metrics.add(Loss("top_k_categorical_accuracy", row=top_k, targets="raw", parameters={"k": 5}))
metrics.add(Loss("sparse_top_k_categorical_accuracy", row=sparse_top_k, targets="sparse", parameters={"k": 5}))
metrics.add(Loss("sorted_top_k_categorical_accuracy", row=sorted_top_k, targets="label", parameters={"k": 5}))
metrics.add(Loss("pearson_correlation", row=RowRule(around_means, None, pearson), targets="raw"))
metrics.add(Loss("concordance_correlation", row=RowRule(around_means, None, concordance), targets="raw"))
metrics.add(Loss("cosine_similarity", row=RowRule(cosine_passes, None, cosine), targets="raw"))
for _row in losses.unique():
    metrics.setdefault(_row.name, _row)
