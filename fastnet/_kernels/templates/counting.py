"""Loops that count a batch for a metric, into float64 numbers of the step block.

Each runs on one thread, in order of the rows: the counts of fractional weights therefore do not depend on the number of
threads.
"""

from __future__ import annotations

from fastnet._kernels.kinds import integer, read, real, size, update_float64, write
from fastnet._kernels.template import template


@template()
def histogram(
    y_true: read[n, width], y_pred: read[n, width], weights: read[n] | 1.0, label_weights: read[width],
    thresholds: read[number], counts: update_float64, even: integer, first: integer, last: integer,
    per_label: integer, n: size, number: size,
):  # fmt: skip
    # counts (1 or last - first, 2, number + 1): the weight of true and false labels by how many thresholds they exceed
    for r in range(n):
        for j in range(first, last):
            p = y_pred[r, j]
            exceeded = 0
            if even != 0:
                # Keras's way where thresholds stand at equal distances; 2: the outer ones lie beyond 0 and 1
                inside = 0.0 if p < 0.0 else p
                inside = 1.0 if inside > 1.0 else inside
                if p == p:
                    exceeded = int64(-floor(-(inside * T(number - 1))))
                    exceeded = 1 if even == 2 and exceeded < 1 else exceeded
            else:
                high = number
                while exceeded < high:
                    middle = (exceeded + high) // 2
                    if p > thresholds[middle]:
                        exceeded = middle + 1
                    else:
                        high = middle
            wrong = 0 if y_true[r, j] != 0.0 else 1
            label = j - first if per_label != 0 else 0
            index = (2 * label + wrong) * (number + 1) + exceeded
            counts[index] = counts[index] + float64(weights[r]) * float64(label_weights[j])


@template()
def only_top_k(x: read[n, width], y: write[n, width], k: integer, n: size, width: size):
    # y: what is not among the k largest of its row becomes -1e10; the first of equal ones
    for r in range(n):
        for j in range(width):
            y[r, j] = -1e10
        for _ in range(min(k, width)):
            best = -1
            for j in range(width):
                if y[r, j] == -1e10 and (best < 0 or x[r, j] > x[r, best]):
                    best = j
            if best >= 0:
                y[r, best] = x[r, best]


@template()
def class_counts(
    y_true: read[n, width], y_pred: read[n, width], weights: read[n] | 1.0, counts: update_float64,
    threshold: real, largest: integer, n: size, width: size,
):  # fmt: skip
    # counts (4, width): true positives, false positives, false negatives, targets
    for r in range(n):
        weight = float64(weights[r])
        top = y_pred[r, 0]
        for j in range(width):
            top = y_pred[r, j] if y_pred[r, j] > top else top
        for j in range(width):
            x = y_pred[r, j]
            positive = x >= top and fabs(x) > 1e-9 if largest != 0 else x > threshold
            guess = float64(1.0) if positive else float64(0.0)
            t = float64(y_true[r, j])
            counts[j] = counts[j] + guess * t * weight
            counts[width + j] = counts[width + j] + guess * (float64(1.0) - t) * weight
            counts[2 * width + j] = counts[2 * width + j] + (float64(1.0) - guess) * t * weight
            counts[3 * width + j] = counts[3 * width + j] + t * weight


@template()
def moments(
    y_true: read[n, width], y_pred: read[n, width], weights: read[n] | 1.0, sums: update_float64, n: size,
    width: size,
):  # fmt: skip
    # sums (4, width): of y, y², squared errors and weights; then elements in all
    for r in range(n):
        weight = float64(weights[r])
        for j in range(width):
            y = float64(y_true[r, j])
            error = y - float64(y_pred[r, j])
            sums[j] = sums[j] + y * weight
            sums[width + j] = sums[width + j] + y * y * weight
            sums[2 * width + j] = sums[2 * width + j] + error * error * weight
            sums[3 * width + j] = sums[3 * width + j] + weight
    sums[4 * width] = sums[4 * width] + n * width
