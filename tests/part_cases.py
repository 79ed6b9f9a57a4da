"""Penalties, constraints, initializers and metrics in array code, as guides and papers write them: for fastnet, whose
tests compare them with arrays and differences, and for Keras, from the same source."""

import numpy as np


def penalties_of(ops):
    """Of weights of any number of axes: name → function."""

    def elastic(w):
        return 0.1 * ops.sum(ops.abs(w)) + 0.2 * ops.sum(w * w)

    def unlike_a_matrix(w):
        return ops.sum(ops.square(w - np.cos(np.arange(np.prod(w.shape))).reshape(w.shape)))

    def orthogonal(w):
        """Brock et al. 2017, arXiv:1609.07093."""
        w = ops.reshape(w, (-1, w.shape[-1]))
        return 0.1 * ops.sum(ops.square(ops.matmul(ops.transpose(w), w) - np.eye(w.shape[-1])))

    return {
        "squares": lambda w: 0.01 * ops.sum(ops.square(w)),
        "elastic": elastic,
        "mean": lambda w: 2 * ops.mean(ops.square(w)) - 0.25,
        "hoyer": lambda w: ops.square(ops.sum(ops.abs(w))) / ops.sum(ops.square(w)),
        "norm": lambda w: 0.3 * ops.norm(w),
        "group": lambda w: ops.sum(ops.sqrt(ops.sum(ops.square(w), axis=0))),
        "channels": lambda w: ops.sum(ops.sqrt(ops.sum(ops.square(ops.reshape(w, (-1, w.shape[-1]))), axis=0))),
        "rows": lambda w: 0.3 * ops.sum(ops.sqrt(ops.sum(ops.square(w), axis=-1))),
        "variance": lambda w: ops.var(w),
        "column variances": lambda w: ops.mean(ops.var(w, axis=0)),
        "largest": lambda w: ops.max(ops.abs(w)),
        "largest of rows": lambda w: ops.sum(ops.max(w, axis=-1, keepdims=True)),
        "constants": unlike_a_matrix,
        "a column's": lambda w: ops.sum(ops.square(w - 0.1 * np.arange(float(w.shape[-1])))),
        "softmax": lambda w: -ops.sum(ops.softmax(w, axis=-1) * ops.log_softmax(w, axis=-1)),
        "logsumexp": lambda w: ops.logsumexp(w),
        "orthogonal": orthogonal,
        "a slice": lambda w: ops.sum(ops.square(w[..., 0])) + ops.sum(ops.abs(w[..., -1])),
        "largest of columns": lambda w: ops.sum(ops.max(ops.abs(w), axis=0)),
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


def image_penalties_of(ops):
    """Of images (n, 5, 3, 2): name → function."""

    def total_variation(y):
        return ops.sum(ops.abs(y[:, 1:] - y[:, :-1])) + ops.sum(ops.abs(y[:, :, 1:] - y[:, :, :-1]))

    return {
        "total variation": total_variation,
        "maps": lambda y: ops.mean(ops.square(ops.sum(y, axis=(1, 2)))),
        "channels": lambda y: ops.var(ops.mean(y, axis=(0, 1, 2))),
        "softmax": lambda y: ops.sum(ops.square(ops.softmax(y, axis=1))),
        "largest": lambda y: ops.sum(ops.max(ops.reshape(y, (ops.shape(y)[0], -1)), axis=-1)),
        "centered": lambda y: ops.sum(ops.square(y - ops.mean(y, axis=(1, 2), keepdims=True))),
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
        "largest of columns": lambda w: w / ops.max(ops.abs(w), axis=0, keepdims=True),
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


def metrics_of(library, ops):
    """Metrics of predictions (n, k) in [0, 1] and targets of 0 and 1: name → class."""

    class BinaryTruePositives(library.metrics.Metric):
        """From the documentation of `keras.metrics.Metric`."""

        def __init__(self, name="binary_true_positives", **kwargs):
            super().__init__(name=name, **kwargs)
            self.true_positives = self.add_variable(shape=(), initializer="zeros", name="true_positives")

        def update_state(self, y_true, y_pred, sample_weight=None):
            y_true = ops.cast(y_true, "bool")
            y_pred = ops.cast(ops.greater(y_pred, 0.5), "bool")
            values = ops.logical_and(ops.equal(y_true, True), ops.equal(y_pred, True))
            values = ops.cast(values, self.dtype)
            if sample_weight is not None:
                sample_weight = ops.cast(sample_weight, self.dtype)
                sample_weight = ops.broadcast_to(ops.expand_dims(sample_weight, -1), ops.shape(values))
                values = ops.multiply(values, sample_weight)
            self.true_positives.assign(self.true_positives + ops.sum(values))

        def result(self):
            return self.true_positives.value

    class CategoricalTruePositives(library.metrics.Metric):
        """From the guide "Training & evaluation with the built-in methods"."""

        def __init__(self, name="categorical_true_positives", **kwargs):
            super().__init__(name=name, **kwargs)
            self.true_positives = self.add_variable(shape=(), name="ctp", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            y_pred = ops.reshape(ops.argmax(y_pred, axis=1), (-1, 1))
            y_true = ops.reshape(ops.argmax(y_true, axis=1), (-1, 1))
            values = ops.cast(y_true, "int32") == ops.cast(y_pred, "int32")
            values = ops.cast(values, "float64")
            if sample_weight is not None:
                sample_weight = ops.cast(sample_weight, "float64")
                values = ops.multiply(values, ops.reshape(sample_weight, (-1, 1)))
            self.true_positives.assign_add(ops.sum(values))

        def result(self):
            return self.true_positives.value

        def reset_state(self):
            self.true_positives.assign(0.0)

    class Determination(library.metrics.Metric):
        """R² of all elements."""

        def __init__(self, name="determination", **kwargs):
            super().__init__(name=name, **kwargs)
            self.residual = self.add_weight(name="residual", initializer="zeros")
            self.total = self.add_weight(name="total", initializer="zeros")
            self.squares = self.add_weight(name="squares", initializer="zeros")
            self.count = self.add_weight(name="count", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            weight = ops.ones_like(y_true)
            if sample_weight is not None:
                weight = weight * ops.expand_dims(sample_weight, -1)
            self.residual.assign_add(ops.sum(weight * ops.square(y_true - y_pred)))
            self.total.assign_add(ops.sum(weight * y_true))
            self.squares.assign_add(ops.sum(weight * y_true * y_true))
            self.count.assign_add(ops.sum(weight))

        def result(self):
            return 1.0 - self.residual / (self.squares - self.total * self.total / self.count)

    class ColumnErrors(library.metrics.Metric):
        """The largest mean error of a column, with a number for each."""

        def __init__(self, name="column_errors", **kwargs):
            super().__init__(name=name, **kwargs)
            self.sums = self.add_variable(shape=(3,), initializer="zeros", name="sums")
            self.rows = self.add_variable(shape=(), initializer="zeros", name="rows")

        def update_state(self, y_true, y_pred, sample_weight=None):
            error = ops.abs(y_true - y_pred)
            if sample_weight is not None:
                error = error * ops.expand_dims(sample_weight, axis=1)
            self.sums.assign_add(ops.sum(error, axis=0))
            self.rows.assign_add(ops.cast(ops.shape(y_true)[0], "float64"))

        def result(self):
            return ops.max(self.sums / self.rows)

        def reset_state(self):
            self.sums.assign(0.0 * self.sums)
            self.rows.assign(0.0)

    class Smoothed(library.metrics.Metric):
        """An average that forgets; the last batch, which is short, counts as the others."""

        def __init__(self, rate=0.25, name="smoothed", **kwargs):
            super().__init__(name=name, **kwargs)
            self.rate = rate
            self.average = self.add_variable(shape=(), initializer="ones", name="average")
            self.batches = self.add_variable(shape=(), initializer="zeros", name="batches")

        def update_state(self, y_true, y_pred, sample_weight=None):
            now = ops.mean(ops.mean(ops.square(y_true - y_pred), axis=-1))
            self.average.assign((1 - self.rate) * self.average + self.rate * now)
            self.batches.assign_add(1.0)

        def result(self):
            return self.average / self.batches

        def reset_state(self):
            self.average.assign(2.0)
            self.batches.assign(0.0)

    classes = BinaryTruePositives, CategoricalTruePositives, Determination, ColumnErrors, Smoothed
    return {each.__name__: each for each in classes}
