"""What each row counts: sample weights, ignored labels, reductions, and the totals that follow from them."""

from __future__ import annotations

from fastnet._kernels.kinds import (
    hi,
    integer,
    lo,
    read,
    read_int32,
    real,
    rows,
    update,
    update_float64,
    update_int64,
    write,
    write_float64,
)


def kept_rows(labels: read_int32, kept: write, ignored: integer, lo: lo, hi: hi):
    # labels (n,)  kept (n,): 0 where the label is the ignored one, else 1
    for i in range(lo, hi):
        kept[i] = 0.0 if labels[i] == ignored else 1.0


def leave_out(values: update, kept: read, lo: lo, hi: hi):
    # values (n,)  kept (n,)
    for i in range(lo, hi):
        values[i] = values[i] if kept[i] > 0.0 else 0.0


def multiply(x: read, y: read, product: write, lo: lo, hi: hi):
    # x (n,)  y (n,)  product (n,)
    for i in range(lo, hi):
        product[i] = x[i] * y[i]


def row_shares(
    weights: read, counted: read, shares: write, factor: real, divide: integer, inner: integer, rows: rows
):  # weights, counted, shares (rows * inner,): weight * factor, divided by the sum of what is counted where asked for
    n = rows * inner
    total = float64(0.0)
    for i in range(n):
        total += counted[i]
    share = factor
    if divide != 0:
        share = factor / T(total) if total != float64(0.0) else 0.0
    for i in range(n):
        shares[i] = weights[i] * share


def shared_loss_total(
    values: read,
    shares: read,
    loss: write_float64,
    total: update_float64,
    nonfinite: update_int64,
    inner: integer,
    rows: rows,
):  # values, shares (rows * inner,)  loss (1,): their product's sum  total (2,): sums of loss * rows and of rows
    summed = float64(0.0)
    for i in range(rows * inner):
        summed += float64(values[i]) * float64(shares[i])
    loss[0] = summed
    if summed - summed != float64(0.0):
        nonfinite[0] = 1
    total[0] = total[0] + summed * rows
    total[1] = total[1] + rows


def weighted_metric_total(values: read, weights: read, total: update_float64, inner: integer, rows: rows):
    # values, weights (rows * inner,)  total (2,): sums of value * weight and of weight
    for i in range(rows * inner):
        total[0] = total[0] + float64(values[i]) * float64(weights[i])
        total[1] = total[1] + float64(weights[i])


def signs_of_labels(y_true: read, signs: write, width: integer, rows: rows):
    # y_true, signs (rows * width,): where all are 0 or 1 they become -1 or 1, else they stay
    binary = 1
    for i in range(rows * width):
        if y_true[i] != 0.0 and y_true[i] != 1.0:
            binary = 0
    for i in range(rows * width):
        signs[i] = 2.0 * y_true[i] - 1.0 if binary == 1 else y_true[i]
