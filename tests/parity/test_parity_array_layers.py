"""Layers in Keras's form, trained for 3 epochs beside the same code on Keras."""

import numpy as np
import pytest

import fastnet
from fastnet import ops
from tests import layer_cases as cases

keras = pytest.importorskip("keras")

ROWS = 19


def model_of(library, operations, name):
    make, shape = cases.layers_of(library.layers, operations)[name]
    stack = [library.layers.Input(shape), make(), library.layers.Flatten(), library.layers.Dense(2)]
    model = library.Sequential(stack)
    model.compile(library.optimizers.SGD(0.05), "mse")
    return model, shape


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("name", cases.layers_of(fastnet.layers, ops))
def test_same_as_keras(floatx, name):
    ours, shape = model_of(fastnet, ops, name)
    theirs, _ = model_of(keras, keras.ops, name)
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=w.shape) / 2 for w in theirs.get_weights()]
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights]
    x, y = rng.normal(size=(ROWS, *shape)), rng.normal(size=(ROWS, 2))
    found = []
    for model in (ours, theirs):
        model.set_weights(weights)
        losses = model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0).history["loss"]
        found.append((losses, model.predict(x, verbose=0), model.get_weights()))
    (losses, predictions, values), (expected_losses, expected, expected_values) = found
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-9)
    np.testing.assert_allclose(predictions, expected, rtol=1e-9, atol=1e-10)
    for value, wanted in zip(values, expected_values, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
def test_no_loss_but_that_of_layers(floatx):
    def model_without_loss(library, operations):
        stack = [library.layers.Input((6,)), library.layers.Dense(3, kernel_regularizer="l2")]
        model = library.Sequential([*stack, cases.classes_of(library.layers, operations)["Penalizing"]()])
        model.compile(optimizer=library.optimizers.Adam(0.01))
        return model

    ours, theirs = model_without_loss(fastnet, ops), model_without_loss(keras, keras.ops)
    ours.set_weights(theirs.get_weights())
    x = np.random.default_rng(3).normal(size=(ROWS, 6))
    found, expected = (
        model.fit(x, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"] for model in (ours, theirs)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    for value, wanted in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-8, atol=1e-10)
