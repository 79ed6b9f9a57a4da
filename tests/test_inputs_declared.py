"""What an Input declares, evaluation without an optimizer, and evaluations and predictions that a callback stops."""

import numpy as np
import pytest

import fastnet
from fastnet import layers

from .given_streams import Dataset, X, Y, bits, model, pieces
from .test_bad_input import refuses


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool", "float16", "float32", "float64", np.uint8])
def test_the_dtype_of_an_input(dtype):
    declared = layers.Input((3,), dtype=dtype)
    net = fastnet.Sequential([declared, layers.Dense(2, kernel_initializer="ones")])
    x = np.array([[0, 1, 1], [1, 1, 1]], dtype)
    assert np.array_equal(net.predict(x, verbose=0), x.astype(float).sum(1, keepdims=True) * [1, 1])
    assert declared.get_config()["dtype"] == np.dtype(dtype).name
    again = fastnet.Sequential.from_config(net.get_config())
    assert again._layers[0].get_config()["dtype"] == np.dtype(dtype).name and again.dtype == net.dtype


@pytest.mark.parametrize("dtype", ["string", "complex64", "uint9", 3])
def test_a_dtype_that_data_cannot_have(dtype):
    refuses(lambda: layers.Input((3,), dtype=dtype, name="i"), "'i' (InputLayer)", "dtype")


def test_the_shape_of_a_batch():
    for made in (layers.Input((3,), batch_size=8), layers.Input(batch_shape=(8, 3))):
        assert made.batch_shape == (8, 3) and made.get_config()["batch_shape"] == (8, 3)
        assert layers.InputLayer.from_config(made.get_config()).batch_shape == (8, 3)
        assert fastnet.Sequential([made, layers.Dense(1)]).predict(np.ones((5, 3)), verbose=0).shape == (5, 1)
    assert layers.Input((3,)).batch_shape == layers.Input(batch_shape=(None, 3)).batch_shape == (None, 3)
    refuses(lambda: layers.Input(batch_shape=(-1, 3), name="i"), "'i' (InputLayer)", "batch_shape", "-1")


def test_an_input_that_is_declared_sparse():
    declared = layers.Input((3,), sparse=True)
    assert declared.get_config()["sparse"] and layers.InputLayer.from_config(declared.get_config()).sparse
    assert fastnet.Sequential([declared, layers.Dense(1)]).predict(np.ones((5, 3)), verbose=0).shape == (5, 1)
    refuses(lambda: layers.Input((3,), sparse="yes", name="i"), "'i' (InputLayer)", "sparse", "'yes'")


def test_evaluation_needs_no_optimizer(tmp_path):
    net = model()
    expected = net.evaluate(X, Y, verbose=0)
    net.compile(optimizer=None, loss="mse")
    assert net.evaluate(X, Y, verbose=0) == net.test_on_batch(X, Y) == expected and net.compiled
    refuses(lambda: net.fit(X, Y), "fit needs an optimizer", "compile was given no optimizer", error=RuntimeError)
    refuses(lambda: net.train_on_batch(X, Y), "compile was given no optimizer", error=RuntimeError)
    net.save(tmp_path / "m.fastnet")
    again = fastnet.models.load_model(tmp_path / "m.fastnet")
    assert again.optimizer is None and again.evaluate(X, Y, verbose=0) == expected


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_dataset_without_a_length(workers):
    class Endless(fastnet.utils.PyDataset):
        def __getitem__(self, index):
            return pieces()[index % 4]

    net, by_hand = model(), model()
    net.fit(Endless(workers=workers), steps_per_epoch=6, epochs=2, shuffle=False, verbose=0)
    for k in range(12):
        by_hand.train_on_batch(*pieces()[k % 4])
    assert bits(net) == bits(by_hand)
    refuses(lambda: net.fit(Endless()), "Endless never ends", "steps_per_epoch")
    assert net.evaluate(Dataset(pieces(), workers=0), verbose=0) == pytest.approx(net.evaluate(X, Y, verbose=0))


class Stop(fastnet.callbacks.Callback):
    """Stops an evaluation or a prediction after two batches."""

    def on_test_batch_end(self, batch, logs=None):
        self.model.stop_evaluating = batch == 1

    def on_predict_batch_end(self, batch, logs=None):
        self.model.stop_predicting = batch == 1


@pytest.mark.parametrize("data", ["arrays", "batches"])
def test_a_callback_stops_evaluation_and_prediction(data):
    net = model()
    x, y, more = (X, Y, {"batch_size": 8}) if data == "arrays" else (pieces(), None, {})
    first = net.evaluate(X[:16], Y[:16], verbose=0)
    for _ in range(2):  # each pass begins anew
        assert net.evaluate(x, y, callbacks=[Stop()], verbose=0, **more) == pytest.approx(first)
        assert np.array_equal(net.predict(x, callbacks=[Stop()], verbose=0, **more), net.predict(X[:16]))
    assert len(net.predict(x, verbose=0, **more)) == 29
    history = net.fit(X, Y, validation_data=(X, Y), validation_batch_size=8, callbacks=[Stop()], verbose=0).history
    assert history["val_loss"] == [pytest.approx(net.evaluate(X[:16], Y[:16], verbose=0))]
