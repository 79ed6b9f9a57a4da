"""Layers of several axes, trained for 3 epochs in front of a Dense beside the same code on Keras."""

import numpy as np
import pytest

import fastnet
from fastnet import ops
from tests.axes_cases import CASES

keras = pytest.importorskip("keras")

ROWS = 11


def model_of(library, operations, function):
    class Traced(library.layers.Layer):
        def call(self, x):
            return function(operations, x)

    stack = [library.layers.Input((5, 3)), library.layers.Dense(3), Traced()]
    stack += [library.layers.Flatten(), library.layers.Dense(2)]
    model = library.Sequential(stack)
    model.compile(library.optimizers.SGD(0.001), "mse")
    return model


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_same_as_keras(floatx, function):
    ours, theirs = model_of(fastnet, ops, function), model_of(keras, keras.ops, function)
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=w.shape) / 2 for w in theirs.get_weights()]
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights]
    x, y = rng.normal(size=(ROWS, 5, 3)) / 3, rng.normal(size=(ROWS, 2))
    found = []
    for model in (ours, theirs):
        model.set_weights(weights)
        losses = model.fit(x, y, epochs=3, batch_size=4, shuffle=False, verbose=0).history["loss"]
        found.append((losses, model.predict(x, verbose=0)))
    (losses, predictions), (expected_losses, expected) = found
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-9)
    np.testing.assert_allclose(predictions, expected, rtol=1e-9, atol=1e-10)
