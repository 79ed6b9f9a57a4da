"""Loops that count a batch for a metric, in float64.

Each chunk of ``chunk_rows`` rows has its own counts, which `add_counts` adds in order to those of the step block. The
sums of fractional weights therefore do not depend on the number of threads. An element's weight is that of its row
times its own.
"""

from __future__ import annotations

from fastnet._kernels.kinds import integer, read, read_float64, real, size, update_float64, write, write_float64
from fastnet._kernels.template import template

_AXIS = "chunks(n, chunk_rows)"
_COST = "10 * chunk_rows * width"


@template("length", grain=256, aligned=False)
def add_counts(chunk_counts: read_float64, counts: update_float64, rows: size, chunk_rows: size, length: size, lo, hi):
    # chunk_counts (ceil(rows / chunk_rows), length)  counts (length,)
    for i in range(lo, hi):
        for chunk in range((rows + chunk_rows - 1) // chunk_rows):
            counts[i] = counts[i] + chunk_counts[chunk * length + i]


@template(_AXIS, cost=_COST)
def histogram(
    y_true: read[n, width], y_pred: read[n, width], weights: read[n] | 1.0, element_weights: read[n, width] | 1.0,
    label_weights: read[width], thresholds: read[number], counts: write_float64, even: integer,
    first: integer, last: integer, per_label: integer, length: size, chunk_rows: size, n: size, number: size,
    lo, hi,
):  # fmt: skip
    # counts of a chunk (1 or last - first, 2, number + 1), length in all: the weight of true and false labels by how
    # many thresholds they exceed
    for i in range(lo * length, hi * length):
        counts[i] = 0.0
    for r in range(lo * chunk_rows, min(n, hi * chunk_rows)):
        offset = r // chunk_rows * length
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


@template("n", grain=16, cost="2 * k * width", aligned=False)
def only_top_k(x: read[n, width], y: write[n, width], k: integer, width: size, lo, hi):
    # y: what is not among the k largest of its row becomes -1e10; the first of equal ones
    for r in range(lo, hi):
        for j in range(width):
            y[r, j] = -1e10
        for _ in range(min(k, width)):
            best = -1
            for j in range(width):
                if y[r, j] == -1e10 and (best < 0 or x[r, j] > x[r, best]):
                    best = j
            if best >= 0:
                y[r, best] = x[r, best]


@template(_AXIS, cost=_COST)
def class_counts(
    y_true: read[n, width], y_pred: read[n, width], weights: read[n] | 1.0, element_weights: read[n, width] | 1.0,
    counts: write_float64, threshold: real, largest: integer, length: size, chunk_rows: size, n: size, width: size, lo,
    hi,
):  # fmt: skip
    # counts of a chunk (4, width): true positives, false positives, false negatives, targets
    for i in range(lo * length, hi * length):
        counts[i] = 0.0
    for r in range(lo * chunk_rows, min(n, hi * chunk_rows)):
        offset = r // chunk_rows * length
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


@template(_AXIS, cost=_COST)
def moments(
    y_true: read[n, width], y_pred: read[n, width], weights: read[n] | 1.0, element_weights: read[n, width] | 1.0,
    counts: write_float64, length: size, chunk_rows: size, n: size, width: size, lo, hi,
):  # fmt: skip
    # counts of a chunk (5, width): its weight, the mean of y, the sums of (y - mean)² and of squared errors, and rows.
    # Σ y² - (Σ y)² / n would cancel where y lies far from 0.
    for i in range(lo * length, hi * length):
        counts[i] = 0.0
    for chunk in range(lo, hi):
        of_weight = chunk * length
        of_mean, of_square, of_error = of_weight + width, of_weight + 2 * width, of_weight + 3 * width
        for r in range(chunk * chunk_rows, min(n, (chunk + 1) * chunk_rows)):
            for j in range(width):
                weight = float64(weights[r]) * float64(element_weights[r, j])
                counts[of_weight + j] = counts[of_weight + j] + weight
                counts[of_mean + j] = counts[of_mean + j] + float64(y_true[r, j]) * weight
                counts[of_weight + 4 * width + j] = counts[of_weight + 4 * width + j] + float64(1.0)
        for j in range(width):
            if counts[of_weight + j] != float64(0.0):
                counts[of_mean + j] = counts[of_mean + j] / counts[of_weight + j]
        for r in range(chunk * chunk_rows, min(n, (chunk + 1) * chunk_rows)):
            for j in range(width):
                weight = float64(weights[r]) * float64(element_weights[r, j])
                y = float64(y_true[r, j])
                apart, error = y - counts[of_mean + j], y - float64(y_pred[r, j])
                counts[of_square + j] = counts[of_square + j] + apart * apart * weight
                counts[of_error + j] = counts[of_error + j] + error * error * weight


@template("length", grain=16, cost="1 + 2 * rows // chunk_rows", aligned=False)
def add_moments(chunk_counts: read_float64, counts: update_float64, rows: size, chunk_rows: size, length: size, lo, hi):
    # counts (5, width) as of `moments`: the squares of two parts around the mean of both; Chan, Golub, LeVeque 1979
    width = length // 5
    for j in range(lo, min(hi, width)):
        for chunk in range((rows + chunk_rows - 1) // chunk_rows):
            at = chunk * length + j
            weight, added = counts[j], chunk_counts[at]
            both = weight + added
            share = added / both if both != float64(0.0) else float64(0.0)
            apart = chunk_counts[at + width] - counts[width + j]
            squares = chunk_counts[at + 2 * width] + apart * apart * weight * share
            counts[j] = both
            counts[width + j] = counts[width + j] + apart * share
            counts[2 * width + j] = counts[2 * width + j] + squares
            counts[3 * width + j] = counts[3 * width + j] + chunk_counts[at + 3 * width]
            counts[4 * width + j] = counts[4 * width + j] + chunk_counts[at + 4 * width]


@template(_AXIS, cost=_COST)
def confusion(
    y_true: read[n, width], y_pred: read[n, width], weights: read[n] | 1.0, element_weights: read[n, width] | 1.0,
    counts: write_float64, classes: integer, ignored: integer, length: size, chunk_rows: size, n: size, width: size,
    lo, hi,
):  # fmt: skip
    # counts of a chunk (classes, classes): weights by true and predicted class, as integers; others are left out
    for i in range(lo * length, hi * length):
        counts[i] = 0.0
    for r in range(lo * chunk_rows, min(n, hi * chunk_rows)):
        for j in range(width):
            t, p = y_true[r, j], y_pred[r, j]
            if t > -1.0 and t < T(classes) and p > -1.0 and p < T(classes) and int64(t) != ignored:
                index = r // chunk_rows * length + int64(t) * classes + int64(p)
                counts[index] = counts[index] + float64(weights[r]) * float64(element_weights[r, j])
