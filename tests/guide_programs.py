"""Programs as Keras's guides teach them, over a library: layers, losses and metrics, and optimizers of one's own.

Each returns numbers that do not depend on random ones, which the libraries draw differently.
"""

import numpy as np


def data(rows=41):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(rows, 6))
    return x, (x[:, :1] - 0.5 * x[:, 1:2] ** 2 > 0).astype("float64")


def weights_of(model):
    rng = np.random.default_rng(9)
    model.set_weights([rng.normal(size=w.shape) / 3 for w in model.get_weights()])


def trained(model, x, y, **more):
    weights_of(model)
    history = model.fit(x, y, epochs=3, batch_size=16, shuffle=False, verbose=0, **more).history
    return {**history, "predictions": model.predict(x, verbose=0)}


def new_layers(library, ops):
    """Weights, also assigned ones, layers of layers, penalties, a layer that acts in training only, descriptions."""
    layers = library.layers

    class Linear(layers.Layer):
        def __init__(self, units=8, **kwargs):
            super().__init__(**kwargs)
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True)
            self.b = self.add_weight(shape=(self.units,), initializer="random_normal", trainable=True)

        def call(self, inputs):
            return ops.matmul(inputs, self.w) + self.b

        def get_config(self):
            config = super().get_config()
            config.update({"units": self.units})
            return config

    class Block(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first, self.second, self.third = Linear(5), Linear(5), Linear(1)

        def call(self, inputs):
            x = library.activations.relu(self.first(inputs))
            return self.third(library.activations.relu(self.second(x)))

    class Penalized(layers.Layer):
        def __init__(self, rate=1e-2, **kwargs):
            super().__init__(**kwargs)
            self.rate = rate

        def call(self, inputs):
            self.add_loss(self.rate * ops.mean(inputs))
            return inputs

    class OnlyInTraining(layers.Layer):
        def __init__(self, rate, **kwargs):
            super().__init__(**kwargs)
            self.rate = rate
            self.seed_generator = library.random.SeedGenerator(1337)

        def call(self, inputs, training=None):
            if training:
                return library.random.dropout(inputs, rate=self.rate, seed=self.seed_generator)
            return inputs

    class ComputeSum(layers.Layer):
        def __init__(self, input_dim):
            super().__init__()
            self.total = self.add_weight(initializer="zeros", shape=(input_dim,), trainable=False)

        def call(self, inputs):
            self.total.assign_add(ops.sum(inputs, axis=0))
            return self.total

    my_sum = ComputeSum(2)
    sums = [np.array(my_sum(np.ones((2, 2))) + 0.0) for _ in range(2)]  # Keras gives the weight itself
    copy = Linear.from_config(Linear(units=3).get_config())
    y = OnlyInTraining(0.5)(np.ones((4, 3), "float32"), training=True)
    model = library.Sequential([layers.Input((6,)), Penalized(0.1), Linear(4), OnlyInTraining(0.0), Block()])
    model.compile(library.optimizers.SGD(0.1), "mse")
    x, target = data()
    return {
        **trained(model, x, target),
        "units": copy.units,
        "sums": sums,
        "weights of sums": [len(my_sum.weights), len(my_sum.non_trainable_weights), len(my_sum.trainable_weights)],
        "dropped": sorted({round(float(v), 6) for v in np.ravel(np.asarray(y))} - {0.0, 2.0}),
        "weights": str(sorted(tuple(w.shape) for w in model.weights)),
        "untrained": float(np.asarray(OnlyInTraining(0.5)(np.ones((2, 2), "float32"))).sum()),
    }


def losses_and_metrics(library, ops):
    """Functions and classes of losses, and a metric that counts."""
    layers = library.layers

    def rooted(y_true, y_pred):
        return ops.mean(ops.sqrt(ops.square(y_true - y_pred) + 1e-3), axis=-1)

    class Regularized(library.losses.Loss):
        def __init__(self, factor=0.1, name="regularized"):
            super().__init__(name=name)
            self.factor = factor

        def call(self, y_true, y_pred):
            mse = ops.mean(ops.square(y_true - y_pred), axis=-1)
            return mse + ops.mean(ops.square(0.5 - y_pred), axis=-1) * self.factor

    class TruePositives(library.metrics.Metric):
        def __init__(self, name="true_positives", **kwargs):
            super().__init__(name=name, **kwargs)
            self.total = self.add_weight(name="total", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            y_true, y_pred = ops.cast(y_true, "bool"), ops.greater(y_pred, 0.5)
            values = ops.cast(ops.logical_and(ops.equal(y_true, True), ops.equal(y_pred, True)), self.dtype)
            if sample_weight is not None:
                values = values * ops.cast(sample_weight, self.dtype)[:, None]
            self.total.assign_add(ops.sum(values))

        def result(self):
            return self.total.value

        def reset_state(self):
            self.total.assign(0.0)

    x, y = data()
    found = {}
    for name, loss in (("function", rooted), ("class", Regularized(0.2))):
        stack = [layers.Input((6,)), layers.Dense(5, activation="tanh"), layers.Dense(1, activation="sigmoid")]
        model = library.Sequential(stack)
        model.compile(library.optimizers.Adam(0.05), loss, metrics=[TruePositives(), "mae"])
        more = {"sample_weight": np.linspace(0.5, 1.5, len(x)), "validation_data": (x[:7], y[:7])}
        found |= {f"{name} {key}": value for key, value in trained(model, x, y, **more).items()}
    return found


def optimizers(library, ops):
    """An optimizer with a moment and a rate that follows the step's number."""

    class Momentum(library.optimizers.Optimizer):
        def __init__(self, learning_rate=0.05, decay=0.9, name="momentum", **kwargs):
            super().__init__(learning_rate=learning_rate, name=name, **kwargs)
            self.decay = decay

        def build(self, variables):
            super().build(variables)
            self.moments = [self.add_variable_from_reference(v, name="moment") for v in variables]

        def update_step(self, gradient, variable, learning_rate):
            learning_rate = ops.cast(learning_rate, variable.dtype)
            gradient = ops.cast(gradient, variable.dtype)
            step = ops.cast(self.iterations + 1, variable.dtype)
            moment = self.moments[self._get_variable_index(variable)]
            self.assign(moment, self.decay * moment + (1 - self.decay) * gradient)
            corrected = moment / (1.0 - ops.power(ops.cast(self.decay, variable.dtype), step))
            self.assign_sub(variable, learning_rate * corrected)

        def get_config(self):
            return {**super().get_config(), "decay": self.decay}

    x, y = data()
    layers = library.layers
    model = library.Sequential([layers.Input((6,)), layers.Dense(5, activation="tanh"), layers.Dense(1)])
    model.compile(Momentum(0.1, decay=0.8), "mse")
    return {**trained(model, x, y), "decay": Momentum.from_config(Momentum(decay=0.7).get_config()).decay}


PROGRAMS = [new_layers, losses_and_metrics, optimizers]
