"""Formulas of array code, trained for 3 epochs beside the same code with Keras's operations."""

import numpy as np
import pytest

import fastnet
from fastnet import ops
from tests import formula_cases as cases

keras = pytest.importorskip("keras")

EPOCHS, BATCH, ROWS, WIDTH = 3, 8, 21, 3


def trained(library, activation, loss, units):
    """(losses of the epochs, weights) of one small network of a library."""
    rng = np.random.default_rng(0)
    kernels = [rng.normal(size=(4, units)), rng.normal(size=units)]
    model = library.Sequential([library.layers.Input((4,)), library.layers.Dense(units)])
    if activation is not None:
        model.add(library.layers.Lambda(activation))
        model.add(library.layers.Dense(WIDTH))
        width = model.layers[-1].kernel.shape[0]
        kernels += [rng.normal(size=(width, WIDTH)), rng.normal(size=WIDTH)]
    model.compile(library.optimizers.SGD(0.02), loss)
    model.set_weights(kernels)
    x, y = rng.normal(size=(ROWS, 4)), rng.normal(size=(ROWS, WIDTH))
    history = model.fit(x, y, epochs=EPOCHS, batch_size=BATCH, shuffle=False, verbose=0)
    return history.history["loss"], model.get_weights()


def check(function, units, as_activation):
    found = []
    for library, module in ((fastnet, ops), (keras, keras.ops)):
        formula = (lambda x, o=module: function(o, x)) if as_activation else (lambda t, p, o=module: function(o, t, p))
        given = (formula, "mse") if as_activation else (None, formula)
        found.append(trained(library, *given, units))
    (ours, our_weights), (theirs, their_weights) = found
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    for weight, expected in zip(our_weights, their_weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("function", cases.LOSSES, ids=lambda f: f.__name__)
def test_losses(floatx, function):
    check(function, WIDTH, as_activation=False)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("function", cases.ACTIVATIONS, ids=lambda f: f.__name__)
def test_activations(floatx, function):
    check(function, 6, as_activation=True)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("name, more", [
    ("KLDivergence", {}), ("CategoricalHinge", {}), ("CategoricalFocalCrossentropy", {"from_logits": True}),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}), ("CosineSimilarity", {}),
])  # fmt: skip
def test_multiples_of_built_in_losses(floatx, name, more):
    found = []
    for library, o in ((fastnet, ops), (keras, keras.ops)):
        loss = getattr(library.losses, name)(**more)
        found.append(trained(library, None, lambda t, p, o=o, loss=loss: 2 * loss(o.softmax(t), p), WIDTH))
    (ours, our_weights), (theirs, their_weights) = found
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    for weight, expected in zip(our_weights, their_weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-9, atol=1e-9)
