"""Layers that add numbers of the whole batch to the loss, trained for 3 epochs beside the same code on Keras."""

import numpy as np
import pytest

import fastnet
from fastnet import ops
from tests.adding_layers import CASES, layer_class

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="Keras's trainers differ in what they keep")


def model_of(library, operations, function):
    layer = layer_class(library, operations, function)()
    hidden = library.layers.Dense(6, activation="tanh")
    model = library.Sequential([library.layers.Input((3,)), hidden, layer, library.layers.Dense(2)])
    model.compile(library.optimizers.SGD(0.05), "mse")
    return model


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_same_as_keras(floatx, function):
    models = model_of(fastnet, ops, function), model_of(keras, keras.ops, function)
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(19, 3)), rng.normal(size=(19, 2))
    weights = [rng.uniform(-0.7, 0.7, w.shape) for w in models[1].get_weights()]
    found = []
    for model in models:
        model.set_weights(weights)
        fit = model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0, validation_data=(x[:9], y[:9])).history
        found.append([*fit.values(), model.evaluate(x, y, batch_size=8, verbose=0), *model.get_weights()])
    for value, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-9, atol=1e-10)
