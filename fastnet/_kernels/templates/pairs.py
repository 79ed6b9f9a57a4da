"""Loops over all pairs of rows, which compute the products of two rows where they are needed.

A matrix of n × n similarities is never in memory: its size would be the square of the batch's rows. 64 rows are lanes;
a column of them is first copied to the stack, as in `rows.py`. Each similarity is added in the order of its columns,
and is therefore that of both rows of a pair, in each loop, with any number of threads.
"""

from __future__ import annotations

import math

from fastnet._kernels.kinds import integer, read, read_int32, real, size, write, write_int32
from fastnet._kernels.rules.activation_rules import sigmoid, softplus
from fastnet._kernels.rules.pairs import circle
from fastnet._kernels.template import elementwise, template


@template("n", cost="n * (2 * width + 60)")
def circle_exponents(
    x: read[n, width], labels: read_int32[n], others: read[m, width], other_labels: read_int32[m], positive: write[n],
    negative: write[n], gamma: real, margin: real, diagonal: integer, n: size, m: size, width: size, lo, hi,
):  # fmt: skip
    # x (n, width)  others (m, width)  positive, negative (n,): log Σ exp of a row's pairs of one class, and of others
    similarity, column = stack(64), stack(64)
    for i in range(lo, hi):
        most_positive, most_negative, sum_positive, sum_negative = -math.inf, -math.inf, 0.0, 0.0
        for first in range(0, m, 64):
            lanes = min(64, m - first)
            for k in range(lanes):
                similarity[k] = 0.0
            for j in range(width):
                for k in range(lanes):
                    column[k] = others[first + k, j]
                for k in range(lanes):
                    similarity[k] = similarity[k] + x[i, j] * column[k]
            for k in range(lanes):
                same = 1.0 if labels[i] == other_labels[first + k] else 0.0
                v, _ = circle(similarity[k], same, gamma, margin)
                if same == 0.0:
                    most = v if v > most_negative or v != v else most_negative
                    sum_negative = sum_negative * math.exp(most_negative - most) + math.exp(v - most)
                    most_negative = most
                elif diagonal != 0 or first + k != i:
                    most = v if v > most_positive or v != v else most_positive
                    sum_positive = sum_positive * math.exp(most_positive - most) + math.exp(v - most)
                    most_positive = most
        positive[i] = most_positive + math.log(sum_positive)
        negative[i] = most_negative + math.log(sum_negative)


@template("n", grain=64, cost="2")
def whole_numbers(x: read[n], y: write_int32[n], n: size, lo, hi):
    # the labels of a formula, whose arrays are of floats
    for i in range(lo, hi):
        y[i] = int32(x[i])


@elementwise
def circle_losses(positive: read, negative: read, loss: write, slope: write):
    loss = softplus(positive + negative)
    slope = sigmoid(positive + negative)


@template("n", cost="n * (4 * width + 60)")
def circle_gradient(
    x: read[n, width], labels: read_int32[n], positive: read[n], negative: read[n], slope: read[n],
    row_weight: read[n] | 1.0 / T(n), dx: write[n, width], gamma: real, margin: real, diagonal: integer, n: size,
    width: size, lo, hi,
):  # fmt: skip
    # A similarity is in the losses of both rows, and each row's gradient is the other row times the slopes of both.
    similarity, column = stack(64), stack(64)
    for i in range(lo, hi):
        for j in range(width):
            dx[i, j] = 0.0
        for first in range(0, n, 64):
            lanes = min(64, n - first)
            for k in range(lanes):
                similarity[k] = 0.0
            for j in range(width):
                for k in range(lanes):
                    column[k] = x[first + k, j]
                for k in range(lanes):
                    similarity[k] = similarity[k] + x[i, j] * column[k]
            for k in range(lanes):
                other = first + k
                same = 1.0 if labels[i] == labels[other] else 0.0
                v, dv = circle(similarity[k], same, gamma, margin)
                here, there = slope[i] * row_weight[i], slope[other] * row_weight[other]
                if same == 0.0:
                    factor = dv * (here * math.exp(v - negative[i]) + there * math.exp(v - negative[other]))
                elif diagonal != 0 or other != i:
                    factor = dv * (here * math.exp(v - positive[i]) + there * math.exp(v - positive[other]))
                else:
                    factor = 0.0
                if factor != 0.0:
                    for j in range(width):
                        dx[i, j] = dx[i, j] + factor * x[other, j]


@template("n", cost="2 * n")
def has_both_kinds(labels: read_int32[n], counts: write[n], diagonal: integer, n: size, lo, hi):
    # counts: 1 for rows with another row of their class and one of another class, else 0
    for i in range(lo, hi):
        same = 0
        for j in range(n):
            same = same + (1 if labels[i] == labels[j] else 0)
        counts[i] = 1.0 if same < n and (same > 1 or diagonal != 0) else 0.0
