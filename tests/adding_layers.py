"""Numbers of the whole batch that layers add to the loss, as users of Keras write them: of a library, its operations, a
layer with weights ``w`` (6, 4), ``b`` (4,) and ``c`` (4,), not trained, its input x (n, 6) and its result y (n, 4)."""


def root_of_a_loss(k, o, layer, x, y):
    return o.sqrt(k.losses.MeanSquaredError()(o.sin(x[:, :4]), y))


def loss_of_overlaps(k, o, layer, x, y):
    return 0.3 * k.losses.Dice()(o.sigmoid(x[:, 2:]), o.sigmoid(y)) + o.mean(o.square(y))


def deviation(k, o, layer, x, y):
    return o.std(y) + 0.1 * o.mean(o.abs(y - o.mean(y, axis=0)))


def distance_from_the_mean(k, o, layer, x, y):
    return 0.7 * o.mean(o.abs(y - o.mean(y, axis=0)))


def moments_of_columns(k, o, layer, x, y):
    """A prior of mean 0 and variance 1 for each column."""
    return o.sum(o.square(o.mean(y, axis=0))) + 0.2 * o.sum(o.square(o.var(y, axis=0, keepdims=True) - 1.0))


def balance_of_experts(k, o, layer, x, y):
    """Shazeer et al. 2017, arXiv:1701.06538; Fedus et al. 2021, arXiv:2101.03961."""
    chosen = o.one_hot(o.argmax(y, axis=-1), 4)
    load, share = o.mean(chosen, axis=0), o.mean(o.softmax(y), axis=0)
    importance = o.sum(o.softmax(y), axis=0)
    return 0.4 * o.sum(load * share) + o.var(importance) / o.square(o.mean(importance))


def entropy_of_the_mean(k, o, layer, x, y):
    mean = o.mean(o.softmax(y), axis=0)
    return o.sum(mean * o.log(mean)) + o.max(mean) - 0.1 * o.logsumexp(o.mean(y, axis=0))


def factor_of_a_penalty(k, o, layer, x, y):
    return 0.1 * o.sum(o.square(layer.w)) * o.mean(o.abs(y)) + o.sum(o.abs(layer.b)) ** 1.5


def mean_along_a_weight(k, o, layer, x, y):
    return o.tanh(o.sum(o.matmul(layer.w, o.expand_dims(o.mean(y, axis=0), -1))))


def covariances(k, o, layer, x, y):
    """Bardes et al. 2021, arXiv:2105.04906: between columns, and a hinge of their deviations."""
    y = y - o.mean(y, axis=0)
    covariance = o.einsum("bi,bj->ij", y, y) / 7.0
    others = o.sum(o.square(covariance * (1.0 - o.eye(4)))) / 4.0
    return others + o.mean(o.relu(1.0 - o.sqrt(o.var(y, axis=0) + 1e-4)))


def of_an_assigned_weight(k, o, layer, x, y):
    layer.c.assign(0.9 * layer.c + 0.1 * o.mean(y, axis=0))
    return o.sqrt(o.sum(o.square(layer.c)) + 0.1) + o.mean(o.square(y - layer.c))


CASES = [
    root_of_a_loss, loss_of_overlaps, deviation, distance_from_the_mean, moments_of_columns, balance_of_experts,
    entropy_of_the_mean, covariances, factor_of_a_penalty, mean_along_a_weight, of_an_assigned_weight,
]  # fmt: skip


def layer_class(library, operations, function):
    """A product whose call adds what a function gives."""

    class Adding(library.layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], 4), name="w")
            self.b = self.add_weight(shape=(4,), initializer="zeros", name="b")
            self.c = self.add_weight(shape=(4,), initializer="zeros", trainable=False, name="c")

        def call(self, x):
            y = operations.matmul(x, self.w) + self.b
            self.add_loss(function(library, operations, self, x, y))
            return y

    return Adding
