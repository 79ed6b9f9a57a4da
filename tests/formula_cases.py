"""Losses and activations as people write them, in array code: each takes the module of operations, ours or Keras's."""

import numpy as np

_CLASS_WEIGHTS = np.array([0.5, 1.0, 2.0])


def mean_squared(o, t, p):
    return o.mean(o.square(t - p), axis=-1)


def elements_alone(o, t, p):
    return o.abs(t - p) ** 1.5


def log_cosh(o, t, p):
    return o.mean(o.log(o.cosh(p - t)), axis=-1)


def huber(o, t, p):
    e = o.abs(t - p)
    return o.mean(o.where(e < 1.0, 0.5 * e * e, e - 0.5), axis=-1)


def clipped(o, t, p):
    return o.sum(o.clip(o.square(t - p), 0.1, 2.0), axis=-1) / 3.0


def root_of_mean(o, t, p):
    return o.sqrt(o.mean(o.square(t - p), axis=-1) + 1e-3)


def crossentropy_of_logits(o, t, p):
    return -o.sum(o.softmax(t) * (p - o.logsumexp(p, axis=-1, keepdims=True)), axis=-1)


def label_smoothed_focal(o, t, p):
    q = o.softmax(p)
    t = o.softmax(t) * 0.9 + 0.1 / t.shape[-1]
    return -o.sum(t * o.power(1.0 - q, 2.0) * o.log(q + 1e-7), axis=-1)


def tversky(o, t, p):
    t, p = o.sigmoid(t), o.sigmoid(p)
    both = o.sum(t * p, axis=-1)
    return 1.0 - (both + 1.0) / (both + 0.3 * o.sum((1.0 - t) * p, axis=-1) + 0.7 * o.sum(t * (1.0 - p), axis=-1) + 1.0)


def cosine(o, t, p):
    return -o.sum(o.normalize(t) * o.normalize(p), axis=-1)


def class_weighted(o, t, p):
    return o.mean(o.square(t - p) * _CLASS_WEIGHTS, axis=-1)


def largest_error(o, t, p):
    return o.max(o.abs(t - p), axis=-1)


def margin(o, t, p):
    return o.maximum(0.0, 1.0 + o.max(p, axis=-1) - o.sum(p * o.softmax(t), axis=-1))


def variance_matched(o, t, p):
    return o.square(o.std(t, axis=-1) - o.std(p, axis=-1)) + o.square(o.mean(t - p, axis=1))


def correlation(o, t, p):
    t, p = t - o.mean(t, axis=-1, keepdims=True), p - o.mean(p, axis=-1, keepdims=True)
    return 1.0 - o.sum(t * p, axis=-1) / o.sqrt(o.sum(t * t, axis=-1) * o.sum(p * p, axis=-1) + 1e-6)


def columns_apart(o, t, p):
    return o.square(t[:, 0] - p[:, 0]) + 0.5 * o.mean(o.abs(t[:, 1:] - p[:, 1:]), axis=-1)


def overlapping_columns(o, t, p):
    return o.mean(o.square(t - p), axis=-1) + o.square(p[:, 0] - p[:, -1])


def quantile_crossing(o, t, p):
    e = t[:, :1] - p
    return o.mean(o.maximum(0.9 * e, -0.1 * e), axis=-1) + o.relu(p[:, 0] - p[:, 1])


def gaussian(o, t, p):
    mean, log_variance = p[:, 0], p[:, 1]
    return 0.5 * (log_variance + o.square(t[:, 0] - mean) * o.exp(-log_variance))


def mixture_density(o, t, p):
    weight = o.sigmoid(p[:, 0])
    first = o.exp(-0.5 * o.square(t[:, 0] - p[:, 1]))
    second = o.exp(-0.5 * o.square(t[:, 0] - p[:, 2]))
    return -o.log(weight * first + (1.0 - weight) * second + 1e-9)


def poisson(o, t, p):
    return o.mean(o.exp(p) - t * p, axis=-1)


def product_of_errors(o, t, p):
    return o.prod(0.5 + o.abs(t - p), axis=-1)


def contrastive(o, t, p):
    distance = o.norm(p, axis=-1) + 1e-6
    same = o.cast(t[:, 0] > 0.0, "float64")
    return same * o.square(distance) + (1.0 - same) * o.square(o.maximum(1.0 - distance, 0.0))


def evidential(o, t, p):
    gamma, nu, alpha = p[:, 0], o.softplus(p[:, 1]) + 0.1, o.softplus(p[:, 2]) + 1.1
    return o.abs(t[:, 0] - gamma) * (2.0 * nu + alpha) - 0.5 * o.log(nu)


def binary_from_logits(o, t, p):
    t = o.sigmoid(t)
    return o.mean(o.maximum(p, 0.0) - p * t + o.log1p(o.exp(-o.abs(p))), axis=-1)


def kl_divergence(o, t, p):
    t, p = o.softmax(t), o.softmax(p)
    return o.sum(t * o.log(t / p), axis=-1)


def jensen_shannon(o, t, p):
    t, p = o.softmax(t), o.softmax(p)
    m = (t + p) / 2.0
    return 0.5 * o.sum(t * (o.log(t) - o.log(m)) + p * (o.log(p) - o.log(m)), axis=-1)


def charbonnier(o, t, p):
    return o.mean(o.sqrt(o.square(t - p) + 1e-3), axis=-1)


def wing(o, t, p):
    e = o.abs(t - p)
    return o.mean(o.where(o.less(e, 0.5), 0.5 * o.log(1.0 + 2.0 * e), e - 0.15), axis=-1)


def squared_hinge(o, t, p):
    return o.mean(o.square(o.maximum(1.0 - o.sign(t) * p, 0.0)), axis=-1)


def dice(o, t, p):
    t, p = o.sigmoid(t), o.sigmoid(p)
    return 1.0 - (2.0 * o.sum(t * p, axis=-1) + 1.0) / (o.sum(t, axis=-1) + o.sum(p, axis=-1) + 1.0)


def asymmetric_focal(o, t, p):
    t, q = o.sigmoid(3.0 * t), o.sigmoid(p)
    return -o.mean(t * o.log(q) + (1.0 - t) * o.power(q, 3.0) * o.log(1.0 - q), axis=-1)


def uncertainty_of_columns(o, t, p):
    errors, precision = o.square(t[:, :2] - p[:, :2]), o.exp(-p[:, 2:])
    return o.sum(precision * errors, axis=-1) + o.sum(p[:, 2:], axis=-1)


LOSSES = [
    kl_divergence, jensen_shannon, charbonnier, wing, squared_hinge, dice, asymmetric_focal, uncertainty_of_columns,
    mean_squared, elements_alone, log_cosh, huber, clipped, root_of_mean, crossentropy_of_logits, label_smoothed_focal,
    tversky, cosine, class_weighted, largest_error, margin, variance_matched, correlation, columns_apart,
    overlapping_columns, quantile_crossing, gaussian, mixture_density, poisson, product_of_errors, contrastive,
    evidential, binary_from_logits,
]  # fmt: skip


def shifted_elu(o, x):
    return o.elu(x) + 1.0


def mish(o, x):
    return x * o.tanh(o.softplus(x))


def snake(o, x):
    return x + o.square(o.sin(2.0 * x)) / 2.0


def bent(o, x):
    return (o.sqrt(x * x + 1.0) - 1.0) / 2.0 + x


def where_positive(o, x):
    return o.where(x > 0.0, x, o.expm1(o.minimum(x, 0.0)))


def arctangent(o, x):
    return o.arctan(x) * 0.6 + o.erf(x) * 0.3


def softmax_of_logits(o, x):
    return o.softmax(2.0 * x)


def centred(o, x):
    return x - o.mean(x, axis=-1, keepdims=True)


def standardized(o, x):
    mean, variance = o.moments(x, axes=-1, keepdims=True)
    return (x - mean) * o.rsqrt(variance + 1e-3)


def root_mean_square(o, x):
    return x / o.sqrt(o.mean(o.square(x), axis=-1, keepdims=True) + 1e-6)


def unit_length(o, x):
    return x / (o.norm(x, axis=-1, keepdims=True) + 1e-6)


def gated_halves(o, x):
    return x[:, :3] * o.sigmoid(x[:, 3:])


def gated_linear_units(o, x):
    return o.glu(+x)


def largest_kept(o, x):
    return o.where(x >= o.max(x, axis=-1, keepdims=True), x, 0.1 * x)


def squeeze_and_excite(o, x):
    return x * o.sigmoid(o.mean(x, axis=-1, keepdims=True))


def first_and_rest(o, x):
    return x[:, 1:] * x[:, :1] + o.sum(x, axis=1, keepdims=True)


def log_softmax_scaled(o, x):
    return o.log_softmax(x) * 0.5


def serf(o, x):
    return x * o.erf(o.log1p(o.exp(x)))


def bump(o, x):
    return o.exp(-o.square(x)) + 0.1 * x


def tanh_of_exponential(o, x):
    return x * o.tanh(o.exp(x))


def competitive(o, x):
    return x - 0.5 * (o.sum(x, axis=-1, keepdims=True) - x)


ACTIVATIONS = [
    serf, bump, tanh_of_exponential, competitive,
    shifted_elu, mish, snake, bent, where_positive, arctangent, softmax_of_logits, centred, standardized,
    root_mean_square, unit_length, gated_halves, gated_linear_units, largest_kept, squeeze_and_excite, first_and_rest,
    log_softmax_scaled,
]  # fmt: skip
