"""Loops that count what a metric needs over a batch, into float64 numbers of the step block.

Each runs on one thread, in order of the rows: the counts of fractional weights do so not depend on how many threads
there are.
"""

from __future__ import annotations

from fastnet._kernels.kinds import integer, read, real, rows, update_float64, write


def histogram(
    y_true: read, y_pred: read, weights: read, columns: read, thresholds: read, counts: update_float64,
    number: integer, even: integer, first: integer, last: integer, apart: integer, width: integer, inner: integer,
    rows: rows,
):  # fmt: skip
    # y_true, y_pred (rows * inner, width)  weights (rows * inner,)  columns (width,): weights  thresholds (number,)
    # counts (1 or last - first, 2, number + 1): the weight of true and false labels by how many thresholds they exceed
    for r in range(rows * inner):
        for j in range(first, last):
            p = y_pred[r * width + j]
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
            wrong = 0 if y_true[r * width + j] != 0.0 else 1
            label = j - first if apart != 0 else 0
            place = (2 * label + wrong) * (number + 1) + exceeded
            counts[place] = counts[place] + float64(weights[r]) * float64(columns[j])


def only_top_k(x: read, y: write, k: integer, width: integer, inner: integer, rows: rows):
    # x, y (rows * inner, width): what is not among the k largest of its row becomes -1e10; the first of equal ones
    for r in range(rows * inner):
        start = r * width
        for j in range(width):
            y[start + j] = -1e10
        for _ in range(min(k, width)):
            best = -1
            for j in range(width):
                if y[start + j] == -1e10 and (best < 0 or x[start + j] > x[start + best]):
                    best = j
            if best >= 0:
                y[start + best] = x[start + best]


def class_counts(
    y_true: read, y_pred: read, weights: read, counts: update_float64, threshold: real, largest: integer,
    width: integer, inner: integer, rows: rows,
):  # fmt: skip
    # y_true, y_pred (rows * inner, width)  counts (4, width): true positives, false positives, false negatives, targets
    for r in range(rows * inner):
        weight = float64(weights[r])
        top = y_pred[r * width]
        for j in range(width):
            top = y_pred[r * width + j] if y_pred[r * width + j] > top else top
        for j in range(width):
            x = y_pred[r * width + j]
            positive = x >= top and fabs(x) > 1e-9 if largest != 0 else x > threshold
            guess = float64(1.0) if positive else float64(0.0)
            t = float64(y_true[r * width + j])
            counts[j] = counts[j] + guess * t * weight
            counts[width + j] = counts[width + j] + guess * (float64(1.0) - t) * weight
            counts[2 * width + j] = counts[2 * width + j] + (float64(1.0) - guess) * t * weight
            counts[3 * width + j] = counts[3 * width + j] + t * weight


def moments(
    y_true: read, y_pred: read, weights: read, sums: update_float64, width: integer, inner: integer, rows: rows
):  # y_true, y_pred (rows * inner, width)  sums (4, width): of y, y², squared errors and weights; then elements in all
    for r in range(rows * inner):
        weight = float64(weights[r])
        for j in range(width):
            y = float64(y_true[r * width + j])
            error = y - float64(y_pred[r * width + j])
            sums[j] = sums[j] + y * weight
            sums[width + j] = sums[width + j] + y * y * weight
            sums[2 * width + j] = sums[2 * width + j] + error * error * weight
            sums[3 * width + j] = sums[3 * width + j] + weight
    sums[4 * width] = sums[4 * width] + rows * inner * width
