"""Penalties, constraints, initializers, metrics in array code, trained for 3 epochs beside the same code on Keras."""

import numpy as np
import pytest

import fastnet
from fastnet import ops
from tests import part_cases as cases

keras = pytest.importorskip("keras")

ROWS, BATCH = 19, 8
LIBRARIES = (fastnet, ops), (keras, keras.ops)


def trained(library, weights, activation="tanh", metrics=(), weighted=(), sample_weight=None, **arguments):
    """Histories, predictions and weights after 3 epochs; the last batches are short."""
    hidden = library.layers.Dense(4, activation=activation, **arguments)
    model = library.Sequential([library.layers.Input((5,)), hidden, library.layers.Dense(3, activation="sigmoid")])
    model.compile(library.optimizers.SGD(0.05), "mse", metrics=list(metrics), weighted_metrics=list(weighted))
    model.set_weights(weights)
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(ROWS, 5)), rng.integers(0, 2, (ROWS, 3)).astype("float64")
    given = None if sample_weight is None else (x[:11], y[:11], sample_weight[:11])
    history = model.fit(
        x, y, BATCH, epochs=3, shuffle=False, verbose=0, sample_weight=sample_weight, validation_data=given
    )
    return history.history, model.predict(x, verbose=0), model.get_weights()


def compare(make):
    """Compare trainings of both libraries; ``make`` gives further arguments from a library and its ops."""
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=shape) / 2 for shape in ((5, 4), (4,), (4, 3), (3,))]
    ours, theirs = (trained(library, weights, **make(library, operations)) for library, operations in LIBRARIES)
    assert ours[0].keys() == theirs[0].keys()
    for name, values in ours[0].items():
        np.testing.assert_allclose(values, theirs[0][name], rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-9, atol=1e-10)
    for value, wanted in zip(ours[2], theirs[2], strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("name", cases.penalties_of(ops))
def test_penalties_of_weights(floatx, name):
    compare(lambda library, operations: {"kernel_regularizer": cases.penalties_of(operations)[name]})


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("name", cases.activity_penalties_of(ops))
def test_penalties_of_results(floatx, name):
    compare(lambda library, operations: {"activity_regularizer": cases.activity_penalties_of(operations)[name]})


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("name", cases.constraints_of(ops))
def test_constraints(floatx, name):
    compare(lambda library, operations: {"kernel_constraint": cases.constraints_of(operations)[name]})


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("name", cases.custom_gradients_of(ops))
def test_gradients_of_ones_own(floatx, name):
    compare(lambda library, operations: {"activation": cases.custom_gradients_of(operations)[name]})
