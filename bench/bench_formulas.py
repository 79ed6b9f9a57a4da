"""Formulas of array code beside the rules and layers that say the same: training steps in turns, and times to trace."""

import math
import statistics
import time

from . import machine, report

ALLOWED = 1.05  # of a step of the rule or of the built-in
ROWS, FEATURES, UNITS, BATCH, EPOCHS = 8192, 32, 64, 128, 4


def pairs():
    """Name → (activation or layer, loss) with the built-in or the rule, and with array code."""
    from fastnet import activations, layers, losses, ops

    def focal(t, p):
        q = ops.sigmoid(p)
        correct = t * q + (1.0 - t) * (1.0 - q)
        return ops.mean(-ops.square(1.0 - correct) * ops.log(correct + 1e-7), axis=-1)

    def focal_rule(t, p):
        q = 1 / (1 + math.exp(-p))
        correct = t * q + (1 - t) * (1 - q)
        return -(1 - correct) * (1 - correct) * math.log(correct + 1e-7)

    def gelu(x):
        return 0.5 * x * (1.0 + ops.erf(x * 0.7071067811865476))

    def softmax(x):
        e = ops.exp(x - ops.max(x, axis=-1, keepdims=True))
        return e / ops.sum(e, axis=-1, keepdims=True)

    def root_mean_square(x):
        return x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6)

    def huber(t, p):
        e = ops.abs(p - t)
        return ops.mean(ops.where(e <= 1.0, 0.5 * e * e, e - 0.5), axis=-1)

    def crossentropy(t, p):
        return -ops.sum(t * ops.log_softmax(p), axis=-1)

    class Linear(layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], UNITS), name="kernel")
            self.bias = self.add_weight(shape=(UNITS,), initializer="zeros", name="bias")

        def call(self, x):
            return ops.relu(ops.matmul(x, self.kernel) + self.bias)

    return {
        "Dense": ((layers.Dense(UNITS, "relu"), "mse"), (Linear(), "mse")),
        "mean squared error": (("relu", "mse"), ("relu", lambda t, p: ops.mean(ops.square(t - p), axis=-1))),
        "Huber": (("relu", losses.Huber()), ("relu", huber)),
        "focal": (("relu", focal_rule), ("relu", focal)),
        "GELU": ((activations.get("gelu"), "mse"), (gelu, "mse")),
        "RMSNormalization": ((layers.RMSNormalization(), "mse"), (layers.Lambda(root_mean_square), "mse")),
        "softmax": (("softmax", "mse"), (softmax, "mse")),
        "crossentropy of logits": (("relu", losses.CategoricalCrossentropy(True)), ("relu", crossentropy)),
    }


def adam_in_array_code():
    """Adam as Keras writes it."""
    from fastnet import ops, optimizers

    class Adam(optimizers.Optimizer):
        def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **more):
            super().__init__(learning_rate=learning_rate, **more)
            self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

        def build(self, variables):
            super().build(variables)
            self.momentums, self.velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])

        def update_step(self, gradient, variable, learning_rate):
            index, step = self._get_variable_index(variable), ops.cast(self.iterations + 1, variable.dtype)
            m, v = self.momentums[index], self.velocities[index]
            alpha = learning_rate * ops.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
            self.assign_add(m, (gradient - m) * (1 - self.beta_1))
            self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
            self.assign_sub(variable, m * alpha / (ops.sqrt(v) + self.epsilon))

    return Adam()


def contenders():
    """Name → a model with the built-in or the rule, and one with array code."""
    found = {name: [model_of(*each) for each in two] for name, two in pairs().items()}
    return found | {"Adam": [model_of("relu", "mse", optimizer) for optimizer in ("adam", adam_in_array_code())]}


def model_of(activation, loss, optimizer="adam"):
    """A small classifier that is compiled with a loss."""
    import fastnet
    from fastnet import layers

    between = [activation] if isinstance(activation, layers.Layer) else []
    activation = None if between else activation
    stack = [layers.Dense(UNITS, activation), *between, layers.Dense(UNITS, activation), layers.Dense(10)]
    model = fastnet.Sequential([layers.Input((FEATURES,)), *stack], seed=1)
    model.compile(optimizer, loss)
    return model


def seconds_of(model, data):
    """Seconds of an epoch of fit."""
    start = time.perf_counter()
    model.fit(*data, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
    return (time.perf_counter() - start) / EPOCHS


def traces(count):
    """Seconds of tracing a loss and differentiating it 1,000 times, measured with so many."""
    from fastnet.symbolic.gradient import gradients
    from fastnet.symbolic.leaves import argument
    from fastnet.symbolic.losses import TracedLoss

    _, (_, loss) = pairs()["crossentropy of logits"]
    start = time.perf_counter()
    for _ in range(count):
        form = TracedLoss(loss, "loss").form((10,), (10,))
        gradients(form.y, argument(form.y.shape), [form.y_pred])
    return (time.perf_counter() - start) * 1000 / count


def first_uses():
    """Milliseconds of the first steps of three networks with a loss: one without a kernel, when numba is yet to be
    imported; another one without a kernel; and the same again."""
    import numpy as np

    from fastnet import ops

    x, y = np.ones((BATCH, FEATURES), "f"), np.ones((BATCH, 10), "f")
    model_of("relu", "mse").train_on_batch(x, y)
    new = time.time() % 1  # a number that no earlier kernel has
    found = []
    for factor in (new, new + 1, new + 1):
        model = model_of("relu", lambda t, p, c=factor: c * ops.logsumexp(p, axis=-1) - ops.sum(t * p, axis=-1))
        start = time.perf_counter()
        model.train_on_batch(x, y)
        found.append(1e3 * (time.perf_counter() - start))
    return found


def run(quick=False):
    """Report the median ratio of an epoch with array code to one with the rule or the built-in."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, FEATURES)).astype("f")
    y = np.eye(10, dtype="f")[rng.integers(0, 10, ROWS)]
    rows = []
    for name, models in contenders().items():
        for model in models:
            seconds_of(model, (x, y))
        ratios = []
        for _ in range(3 if quick else 25):
            first, second = (seconds_of(model, (x, y)) for model in models)
            ratios.append(second / first)
        rows.append(report.figure(f"{name}: array code over the rule", statistics.median(ratios), "x", ALLOWED))
    imported, cold, warm = first_uses()
    rows.append(report.figure("first step with a new formula, numba not imported", imported, "ms"))
    rows.append(report.figure("first step with a new formula", cold, "ms", 300))
    rows.append(report.figure("first step with a known one", warm, "ms", 10))
    rows.append(report.figure("1,000 traces of a loss with its gradient", traces(100 if quick else 1000), "s", 1.0))
    report.show("formulas", rows, machine.describe())
    report.margins("formulas", rows)
    return rows


if __name__ == "__main__":
    run()
