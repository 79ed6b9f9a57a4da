"""Loops that count a batch for a metric, in float64.

Each chunk of rows has its own counts, which `add_counts` adds in order to those of the step block. The sums of
fractional weights therefore do not depend on the number of threads. An element's weight is that of its row times its
own.
"""

from __future__ import annotations

from fastnet._kernels.chunks import COUNT_ROWS
from fastnet._kernels.kinds import integer, read, read_float64, real, size, update_float64, write, write_float64
from fastnet._kernels.template import template

_AXIS = f"chunks(n, {COUNT_ROWS})"


@template("length", grain=256, aligned=False)
def add_counts(chunk_counts: read_float64, counts: update_float64, rows: size, length: size, lo, hi):
    # chunk_counts (ceil(rows / COUNT_ROWS), length)  counts (length,)
    for i in range(lo, hi):
        for chunk in range((rows + COUNT_ROWS - 1) // COUNT_ROWS):
            counts[i] = counts[i] + chunk_counts[chunk * length + i]


@template(_AXIS, cost=f"{10 * COUNT_ROWS} * width")
def histogram(
    y_true: read[n, width], y_pred: read[n, width], weights: read[n] | 1.0, element_weights: read[n, width] | 1.0,
    label_weights: read[width], thresholds: read[number], counts: write_float64, length: integer, even: integer,
    first: integer, last: integer, per_label: integer, n: size, number: size, lo, hi,
):  # fmt: skip
    # counts of a chunk (1 or last - first, 2, number + 1), length in all: the weight of true and false labels by how
    # many thresholds they exceed
    for i in range(lo * length, hi * length):
        counts[i] = 0.0
    for r in range(lo * COUNT_ROWS, min(n, hi * COUNT_ROWS)):
        offset = r // COUNT_ROWS * length
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
            index = offset + (2 * label + wrong) * (number + 1) + exceeded
            weight = float64(weights[r]) * float64(element_weights[r, j])
            counts[index] = counts[index] + weight * float64(label_weights[j])


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


@template(_AXIS, cost=f"{10 * COUNT_ROWS} * width")
def class_counts(
    y_true: read[n, width], y_pred: read[n, width], weights: read[n] | 1.0, element_weights: read[n, width] | 1.0,
    counts: write_float64, threshold: real, largest: integer, n: size, width: size, lo, hi,
):  # fmt: skip
    # counts of a chunk (4, width): true positives, false positives, false negatives, targets
    for i in range(lo * 4 * width, hi * 4 * width):
        counts[i] = 0.0
    for r in range(lo * COUNT_ROWS, min(n, hi * COUNT_ROWS)):
        offset = r // COUNT_ROWS * 4 * width
        top = y_pred[r, 0]
        for j in range(width):
            top = y_pred[r, j] if y_pred[r, j] > top else top
        for j in range(width):
            x = y_pred[r, j]
            positive = x >= top and fabs(x) > 1e-9 if largest != 0 else x > threshold
            guess = float64(1.0) if positive else float64(0.0)
            t = float64(y_true[r, j])
            weight = float64(weights[r]) * float64(element_weights[r, j])
            counts[offset + j] = counts[offset + j] + guess * t * weight
            counts[offset + width + j] = counts[offset + width + j] + guess * (float64(1.0) - t) * weight
            counts[offset + 2 * width + j] = counts[offset + 2 * width + j] + (float64(1.0) - guess) * t * weight
            counts[offset + 3 * width + j] = counts[offset + 3 * width + j] + t * weight


@template(_AXIS, cost=f"{10 * COUNT_ROWS} * width")
def moments(
    y_true: read[n, width], y_pred: read[n, width], weights: read[n] | 1.0, element_weights: read[n, width] | 1.0,
    sums: write_float64, n: size, width: size, lo, hi,
):  # fmt: skip
    # sums of a chunk (4, width): of y, y², squared errors and weights; then its elements
    length = 4 * width + 1
    for i in range(lo * length, hi * length):
        sums[i] = 0.0
    for r in range(lo * COUNT_ROWS, min(n, hi * COUNT_ROWS)):
        offset = r // COUNT_ROWS * length
        for j in range(width):
            weight = float64(weights[r]) * float64(element_weights[r, j])
            y = float64(y_true[r, j])
            error = y - float64(y_pred[r, j])
            sums[offset + j] = sums[offset + j] + y * weight
            sums[offset + width + j] = sums[offset + width + j] + y * y * weight
            sums[offset + 2 * width + j] = sums[offset + 2 * width + j] + error * error * weight
            sums[offset + 3 * width + j] = sums[offset + 3 * width + j] + weight
        sums[offset + 4 * width] = sums[offset + 4 * width] + width


@template(_AXIS, cost=f"{10 * COUNT_ROWS} * width")
def confusion(
    y_true: read[n, width], y_pred: read[n, width], weights: read[n] | 1.0, counts: write_float64, classes: integer,
    ignored: integer, n: size, width: size, lo, hi,
):  # fmt: skip
    # counts of a chunk (classes, classes): weights by true and predicted class, as integers; others are left out
    length = classes * classes
    for i in range(lo * length, hi * length):
        counts[i] = 0.0
    for r in range(lo * COUNT_ROWS, min(n, hi * COUNT_ROWS)):
        for j in range(width):
            t, p = y_true[r, j], y_pred[r, j]
            if t > -1.0 and t < T(classes) and p > -1.0 and p < T(classes) and int64(t) != ignored:
                index = r // COUNT_ROWS * length + int64(t) * classes + int64(p)
                counts[index] = counts[index] + float64(weights[r])
