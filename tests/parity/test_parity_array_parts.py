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


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", cases.metrics_of(fastnet, ops))
def test_metrics(floatx, name, weighted):
    """With validation, weights of samples in both, and short last batches."""

    def arguments(library, operations):
        metric = cases.metrics_of(library, operations)[name]()
        weights = np.random.default_rng(1).uniform(0.5, 2, ROWS)
        return {"weighted": [metric], "sample_weight": weights} if weighted else {"metrics": [metric]}

    compare(arguments)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
def test_functions_as_metrics(floatx):
    def arguments(library, operations):
        def largest_error(y_true, y_pred):
            return operations.max(operations.abs(y_true - y_pred), axis=-1)

        def hits(y_true, y_pred):
            return operations.cast(operations.equal(y_true, operations.round(y_pred)), "float64")

        weights = np.random.default_rng(1).uniform(0.5, 2, ROWS)
        return {"metrics": [largest_error, hits], "weighted": [hits, largest_error], "sample_weight": weights}

    compare(arguments)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
def test_initializers(floatx):
    """Of arrays that are not random, since the two libraries draw other numbers."""

    def values(library, operations):
        class Diagonal(library.initializers.Initializer):
            def __init__(self, gain):
                self.gain = gain

            def __call__(self, shape, dtype=None, **kwargs):
                return operations.cast(self.gain * np.tril(np.ones(shape)), dtype)

            def get_config(self):
                return {"gain": self.gain}

        def rising(shape, dtype=None):
            return operations.sqrt(np.arange(1.0, 1 + np.prod(shape), dtype=dtype).reshape(shape))

        layer = library.layers.Dense(4, kernel_initializer=Diagonal(0.5), bias_initializer=rising)
        layer.build((None, 5))
        return [np.asarray(w) for w in layer.get_weights()]

    for ours, theirs in zip(*(values(*each) for each in LIBRARIES), strict=True):
        np.testing.assert_array_equal(ours, theirs)
