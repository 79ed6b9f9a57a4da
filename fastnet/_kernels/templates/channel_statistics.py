"""Normalization of channels, the columns; Ioffe and Szegedy 2015, arXiv:1502.03167.

The mean is a float32 number, and so are the sums of 64 rows from which it follows: near 1003 it is off by up to 2e-4,
which with a deviation of 0.1 is 2e-3 in y, and 6e-6 of the variance. The second fold therefore also sums x - mean,
which gives the rest of the mean, `shift`, and the correction of the variance (Chan, Golub and LeVeque 1983). That
takes 4 to 8 % of the time of a step of 128 rows of 256 columns.
"""

from __future__ import annotations

from fastnet._kernels.kinds import read, real, size, update, value, write
from fastnet._kernels.template import elementwise, fold


@fold
def sum_masked(x: read, mask: read[row] | 1.0, total: write[column]):
    total = x if mask > 0.0 else 0.0


@fold
def sum_deviations(
    x: read, mean: read[column], mask: read[row] | 1.0, deviations: write[column], squares: write[column]
):
    deviation = x - mean if mask > 0.0 else 0.0
    deviations = deviation
    squares = deviation * deviation


@elementwise
def mean_of_sum(total: read, mean: write, count: size, inverse_count: value | 1.0 / T(count)):
    mean = total * inverse_count


@elementwise
def correct_mean(
    mean: read, deviations: read, squares: read, shift: write, variance: write, count: size,
    inverse_count: value | 1.0 / T(count), epsilon: real | 0.0,
):  # fmt: skip
    # mean + shift = sum(x) / n and variance = sum((x - mean - shift)²) / n, to whose n Keras adds epsilon with a mask
    rest = (deviations - epsilon * mean) * inverse_count
    square = (squares - 2.0 * rest * deviations) * inverse_count + rest * rest
    shift = rest
    variance = 0.0 if square < 0.0 else square  # by rounding, where all rows are the same


@elementwise
def move_average(moving: update, batch: read, shift: read | 0.0, momentum: real):
    moving = moving * momentum + (batch + shift) * (1.0 - momentum)


@elementwise
def normalize(
    x: read, mean: read[column] | 0.0, shift: read[column] | 0.0, scale: read[column], gamma: read[column] | 1.0,
    beta: read[column] | 0.0, y: write,
):  # fmt: skip
    y = (x - mean - shift) * (scale * gamma) + beta


@elementwise
def inverse_deviation(variance: read, scale: write, epsilon: real):
    scale = 1.0 / sqrt(variance + epsilon)


@fold
def sum_gradients(
    x: read, dy: read, mean: read[column], shift: read[column], scale: read[column], dgamma: write[column],
    dbeta: write[column],
):  # fmt: skip
    dbeta = dy
    dgamma = dy * ((x - mean - shift) * scale)


@elementwise
def gradient(
    x: read, dy: read, mask: read[row] | 1.0, mean: read[column], shift: read[column], scale: read[column],
    gamma: read[column] | 1.0, dgamma: read[column], dbeta: read[column], dx: write, count: size,
    inverse_count: value | 1.0 / T(count), epsilon: real | 0.0,
):  # fmt: skip
    # dx = gamma * scale * (dy - dbeta / n - xhat * dgamma / n). Of rows with a mask Keras adds 1e-7 to their number:
    # the sum of x - mean over the others is then mean * 1e-7, not 0: epsilon is 1e-7.
    xhat = (x - mean - (shift + mean * (epsilon * inverse_count))) * scale
    dx = (gamma * scale) * (dy - mask * ((dbeta + xhat * dgamma) * inverse_count))


@elementwise
def renorm_correction(
    mean: read, shift: read, variance: read, renorm_mean: read, renorm_stddev: read, stddev: write, r: write, d: write,
    rmin: real, rmax: real, dmax: real, epsilon: real,
):  # fmt: skip
    # Ioffe 2017, arXiv:1702.03275, algorithm 1; as in Keras the divisor is at least sqrt(epsilon).
    stddev = sqrt(variance + epsilon)
    least = sqrt(epsilon)
    divisor = least if renorm_stddev < least else renorm_stddev
    ratio = stddev / divisor
    low = rmin if ratio < rmin else ratio
    r = rmax if low > rmax else low
    distance = (mean - renorm_mean + shift) / divisor
    above = -dmax if distance < -dmax else distance
    d = dmax if above > dmax else above


@elementwise
def renorm_affine(r: read, d: read, gamma: read | 1.0, beta: read | 0.0, scale: write, offset: write):
    # (xhat r + d) gamma + beta = xhat scale + offset
    scale = r * gamma
    offset = d * gamma + beta


@elementwise
def renorm_gamma_gradient(products: read, total: read, r: read, d: read, dgamma: write):
    dgamma = r * products + d * total


@elementwise
def move_deviation(moving: update, variance: write, batch: read, momentum: real, epsilon: real):
    moved = moving * momentum + batch * (1.0 - momentum)
    square = moved * moved - epsilon
    variance = 0.0 if square < 0.0 else square
    moving = moved


@elementwise
def inverse_root(variance: read, scale: write, epsilon: real):
    root = sqrt(variance)
    scale = 1.0 / (epsilon if root < epsilon else root)


@elementwise
def bounded_root(variance: read, scale: write, epsilon: real):
    root = sqrt(variance)
    scale = epsilon if root < epsilon else root
