"""Penalties, constraints, initializers and metrics in array code, as guides and papers write them: for fastnet, whose
tests compare them with arrays and differences, and for Keras, from the same source."""

import numpy as np


def penalties_of(ops):
    """Of weights of any number of axes: name → function."""

    def elastic(w):
        return 0.1 * ops.sum(ops.abs(w)) + 0.2 * ops.sum(w * w)

    def unlike_a_matrix(w):
        return ops.sum(ops.square(w - np.cos(np.arange(np.prod(w.shape))).reshape(w.shape)))

    return {
        "squares": lambda w: 0.01 * ops.sum(ops.square(w)),
        "elastic": elastic,
        "mean": lambda w: 2 * ops.mean(ops.square(w)) - 0.25,
        "hoyer": lambda w: ops.square(ops.sum(ops.abs(w))) / ops.sum(ops.square(w)),
        "norm": lambda w: 0.3 * ops.norm(w),
        "group": lambda w: ops.sum(ops.sqrt(ops.sum(ops.square(w), axis=0))),
        "rows": lambda w: 0.3 * ops.sum(ops.sqrt(ops.sum(ops.square(w), axis=-1))),
        "variance": lambda w: ops.var(w),
        "column variances": lambda w: ops.mean(ops.var(w, axis=0)),
        "largest": lambda w: ops.max(ops.abs(w)),
        "largest of rows": lambda w: ops.sum(ops.max(w, axis=-1, keepdims=True)),
        "constants": unlike_a_matrix,
        "a column's": lambda w: ops.sum(ops.square(w - 0.1 * np.arange(float(w.shape[-1])))),
        "softmax": lambda w: -ops.sum(ops.softmax(w, axis=-1) * ops.log_softmax(w, axis=-1)),
        "logsumexp": lambda w: ops.logsumexp(w),
    }


def activity_penalties_of(ops):
    """Of a layer's results (n, features): name → function."""

    def sparsity(y):
        """Ng 2011, Sparse autoencoder."""
        share = ops.mean(ops.sigmoid(y), axis=0)
        return ops.sum(0.1 * ops.log(0.1 / share) + 0.9 * ops.log(0.9 / (1 - share)))

    return {
        "absolute": lambda y: 0.1 * ops.sum(ops.abs(y)),
        "mean": lambda y: ops.mean(ops.square(y)),
        "sparsity": sparsity,
        "norms": lambda y: ops.sum(ops.sqrt(ops.sum(ops.square(y), axis=-1))),
        "square": lambda y: ops.square(ops.sum(y)),
        "variance": lambda y: ops.var(y),
        "columns": lambda y: ops.sum(ops.square(y[:, :2])) + ops.mean(y[:, 1]),
        "centered": lambda y: ops.sum(ops.square(y - ops.mean(y, axis=0))),
    }


def constraints_of(ops):
    """Of weights of any number of axes: name → function."""

    def max_norm(w):
        norms = ops.sqrt(ops.sum(ops.square(w), axis=0, keepdims=True))
        return w * (ops.clip(norms, 0, 0.7) / (1e-7 + norms))

    return {
        "not negative": lambda w: w * ops.cast(w >= 0, w.dtype),
        "unit": lambda w: w / ops.norm(w),
        "unit rows": lambda w: w / ops.sqrt(ops.sum(ops.square(w), axis=-1, keepdims=True)),
        "max norm": max_norm,
        "centered": lambda w: w - ops.mean(w, axis=0, keepdims=True),
        "softmax": lambda w: ops.softmax(w, axis=-1),
        "pruned": lambda w: w * (np.arange(np.prod(w.shape)) % 3 > 0).reshape(w.shape),
        "largest": lambda w: w / ops.max(ops.abs(w)),
        "clipped": lambda w: ops.clip(w, -0.2, 0.2),
    }


def custom_gradients_of(ops):
    """Functions of arrays with gradients of their own, of one array each: name → function."""

    @ops.custom_gradient
    def log1pexp(x):
        """Without NaN in its gradient, from the documentation of JAX and TensorFlow."""
        e = ops.exp(x)

        def grad(*args, upstream=None):
            if upstream is None:
                (upstream,) = args
            return ops.multiply(upstream, 1.0 - 1.0 / ops.add(1, e))

        return ops.log(1 + e), grad

    @ops.custom_gradient
    def straight_through(x):
        """Bengio et al. 2013, arXiv:1308.3432; with the saturation of Hubara et al. 2016, arXiv:1602.02830."""
        return ops.where(x > 0, 1.0, -1.0), lambda dy: dy * ops.where(ops.abs(x) <= 1, 1.0, 0.0)

    @ops.custom_gradient
    def reversed_gradient(x):
        """Ganin & Lempitsky 2015, arXiv:1409.7495."""
        return x, lambda dy: -0.5 * dy

    @ops.custom_gradient
    def clipped_rows(x):
        """Gradients of rows of at most length 0.1."""

        def grad(dy):
            return dy * ops.minimum(1.0, 0.1 / (1e-7 + ops.sqrt(ops.sum(dy * dy, axis=-1, keepdims=True))))

        return ops.tanh(x), grad

    @ops.custom_gradient
    def product(a, b):
        return a * b, lambda dy: (2 * dy * b, dy * ops.sin(a))

    @ops.custom_gradient
    def mean_of_row(x):
        return ops.mean(x, axis=-1, keepdims=True), lambda dy: 3 * dy * ops.ones_like(x)

    return {
        "log1pexp": log1pexp,
        "straight through": straight_through,
        "reversed": reversed_gradient,
        "clipped rows": clipped_rows,
        "product": lambda x: product(ops.tanh(x), x + 1) - x,
        "mean": lambda x: x * mean_of_row(x),
        "within another": lambda x: reversed_gradient(log1pexp(2 * x)),
    }
