"""A small network that optimizers of array code train, and the same steps by `gradients` and `apply`."""

import numpy as np

import fastnet
from fastnet import layers, optimizers


def network(optimizer, dtype="float64", seed=1):
    stack = [layers.Input((5,)), layers.Dense(3, "tanh", dtype=dtype), layers.Dense(2, dtype=dtype)]
    model = fastnet.Sequential(stack, seed=seed)
    model.compile(optimizer, "mse")
    return model


def data():
    rng = np.random.default_rng(7)
    return rng.normal(size=(23, 5)), rng.normal(size=(23, 2))


def fitted(optimizer, epochs=2, model=None, **more):
    model = model or network(optimizer)
    model.fit(*data(), epochs=epochs, batch_size=5, shuffle=False, verbose=0, **more)
    return model


def check_kernels_and_biases(of_kernels, of_biases):
    """A `MultiOptimizer` of two optimizers, made anew by each function, steps as each of them does by itself."""
    chosen = optimizers.OptimizerMap(of_kernels(), {".*bias": of_biases()})
    model = fitted(optimizers.MultiOptimizer(chosen), 1)
    other, (x, y) = network("sgd"), data()
    kernels, biases = of_kernels(), of_biases()
    for first in range(0, 23, 5):
        found = other.gradients(x[first : first + 5], y[first : first + 5])
        pairs = [(layer, found[layer.name]) for layer in other.layers if layer.name in found]
        kernels.apply([g["kernel"] for _, g in pairs], [layer.kernel for layer, _ in pairs])
        biases.apply([g["bias"] for _, g in pairs], [layer.bias for layer, _ in pairs])
    for weight, expected in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-12)
