"""Layers whose call assigns weights, trained for 3 epochs beside the same code on Keras."""

import numpy as np
import pytest

import fastnet
from fastnet import ops
from tests.assigning_layers import SHAPES, classes_of

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="Keras's trainers differ in what they keep")


def model_of(library, operations, name):
    layer = classes_of(library.layers, operations)[name]()
    stack = [library.layers.Input(SHAPES.get(name, (6,))), layer, library.layers.Activation("tanh")]
    if name in ("Warm", "Tracker", "Several"):
        stack.append(layer)  # once more in each step
    model = library.Sequential([*stack, library.layers.Flatten(), library.layers.Dense(2)])
    model.compile(library.optimizers.SGD(0.05), "mse")
    return model


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("name", classes_of(fastnet.layers, ops))
def test_same_as_keras(floatx, name):
    models = model_of(fastnet, ops, name), model_of(keras, keras.ops, name)
    rng, shape = np.random.default_rng(2), SHAPES.get(name, (6,))
    x, y = rng.normal(size=(19, *shape)), rng.normal(size=(19, 2))
    weights = [rng.uniform(0.2, 0.7, w.shape) for w in models[1].get_weights()]
    found = []
    for model in models:
        model.set_weights(weights)
        fit = model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0, validation_data=(x[:9], y[:9])).history
        results = [*fit.values(), model.evaluate(x, y, batch_size=8, verbose=0)]
        results += [model.predict(x, batch_size=8, verbose=0), model.train_on_batch(x[:1], y[:1])]
        results += [model.test_on_batch(x, y), *model.get_weights(), np.asarray(model(x)), *model.get_weights()]
        results += [np.asarray(model(x, training=True)), *model.get_weights()]
        found.append(results)
    for value, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-9, atol=1e-10)
