"""Composites of a user's, and a slow gradient: what tests of composites share."""

import numpy as np

from fastnet import extend, layers


class Gated(layers.Layer):
    """y = (x · a) sigmoid(x · b)."""

    supports_masking = True

    def __init__(self, units=3, **more):
        super().__init__(**more)
        self.units = units
        self.value = layers.Dense(units, name="value")
        self.gates = [layers.Dense(units, activation="sigmoid", name="gate")]

    def forward(self, plan, x):
        return plan.combine(extend.Multiply(), plan.apply(self.value, x), plan.apply(self.gates[0], x))


class Twice(layers.Layer):
    """One Dense, applied to its own result, with a layer made when the shape is known."""

    def make_weights(self, input_shape):
        self.inner = layers.Dense(input_shape[-1], activation="tanh", name="inner", dtype=self.dtype)

    def forward(self, plan, x):
        return plan.apply(self.inner, plan.apply(self.inner, x))


class Around(layers.Layer):
    """y = f(x) + x for any layer f: its argument is a layer."""

    def __init__(self, inner, **more):
        super().__init__(**more)
        self.inner = inner

    def forward(self, plan, x):
        return plan.combine(extend.Add(), plan.apply(self.inner, x), x)


def gradient_by_differences(net, x, y, h=1e-5):
    """The derivative of the loss that `evaluate` reports, by each weight."""
    gradients = []
    for weight in net.weights:
        start, gradient = weight.numpy(), np.zeros(weight.shape)
        for index in np.ndindex(*weight.shape):
            values = []
            for sign in (1, -1):
                moved = start.copy()
                moved[index] += sign * h
                weight.assign(moved)
                values.append(net.test_on_batch(x, y))
            gradient[index] = (values[0] - values[1]) / (2 * h)
        weight.assign(start)
        gradients.append(gradient)
    return gradients
