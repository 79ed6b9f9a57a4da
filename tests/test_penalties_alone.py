"""Models that are compiled without a loss, and trained on penalties and `add_loss`: a regression written by hand."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, ops

X = np.random.default_rng(5).normal(size=(7, 3))
W = np.random.default_rng(6).normal(size=(3, 3))


class Rebuilt(layers.Layer):
    """An autoencoder of one matrix, whose layer adds its own loss."""

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], input_shape[-1]), name="w")

    def call(self, x):
        y = ops.matmul(x, self.w)
        self.add_loss(ops.mean(ops.square(y - x)))
        return y


@pytest.fixture(autouse=True)
def float64():
    fastnet.config.set_floatx("float64")
    yield
    fastnet.config.set_floatx("float32")


def network(optimizer=None, shape=(3,), **options):
    model = fastnet.Sequential([layers.Input(shape), Rebuilt()])
    model.set_weights([W])
    model.compile(optimizer=optimizer or fastnet.optimizers.SGD(0.1), **options)
    return model


def error(x, w):
    return np.mean(np.square(x @ w - x))


def test_a_training_by_hand():
    model, w = network(), W.copy()
    found = model.fit(X, batch_size=4, epochs=3, shuffle=False, verbose=0).history["loss"]
    expected = []
    for _ in range(3):
        rows = []
        for x in (X[:4], X[4:]):
            rows += [error(x, w)] * len(x)
            w -= 0.1 * 2 * x.T @ (x @ w - x) / x.size
        expected.append(np.mean(rows))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-12)
    assert model.evaluate(X, verbose=0) == pytest.approx(error(X, w), rel=1e-12)
    assert model.loss is None and model.metrics_names == ["loss"]


@pytest.mark.parametrize("y", [None, np.arange(7), np.zeros((7, 2, 2))], ids=["none", "labels", "of another shape"])
def test_targets_are_not_read(y):
    model = network()
    assert model.test_on_batch(X, y) == pytest.approx(error(X, W), rel=1e-12)
    assert model.train_on_batch(X, y, sample_weight=np.arange(7.0)) == pytest.approx(error(X, W), rel=1e-12)
    assert model.test_on_batch(X, y) < error(X, W)


def test_streams_validation_and_files(tmp_path):
    streamed = network()
    streamed.fit([(X[:4],), (X[4:],)], epochs=2, verbose=0)
    model = network()
    history = model.fit(X, batch_size=4, epochs=2, shuffle=False, verbose=0, validation_data=(X[:2], None)).history
    np.testing.assert_array_equal(streamed.get_weights()[0], model.get_weights()[0])
    assert history["val_loss"][-1] == pytest.approx(error(X[:2], model.get_weights()[0]), rel=1e-12)
    assert len(model.fit(X, validation_split=0.3, verbose=0).history["val_loss"]) == 1
    with fastnet.saving.custom_object_scope({"Rebuilt": Rebuilt}):
        model.save(tmp_path / "model.fastnet")
        loaded = fastnet.saving.load_model(tmp_path / "model.fastnet")
    assert loaded.evaluate(X, verbose=0) == model.evaluate(X, verbose=0)
    assert loaded.train_on_batch(X) == model.train_on_batch(X)


def test_data_of_several_axes_and_masks():
    x = np.stack([X, 0 * X], axis=1)
    assert network(shape=(2, 3)).evaluate(x, verbose=0) == pytest.approx(error(x, W), rel=1e-12)
    penalized = layers.Dense(2, kernel_regularizer="l2")
    model = fastnet.Sequential([layers.Input((2, 3)), layers.Masking(), penalized])
    model.compile(optimizer="sgd")
    assert model.evaluate(x, verbose=0) == pytest.approx(0.01 * np.sum(penalized.kernel.numpy() ** 2), rel=1e-12)
    before = penalized.kernel.numpy()
    model.train_on_batch(x)
    np.testing.assert_allclose(penalized.kernel.numpy(), before * (1 - 0.01 * 2 * 0.01), rtol=1e-12)


def test_gradients():
    found = network().gradients(X, X)
    np.testing.assert_allclose(next(iter(found.values()))["w"], 2 * X.T @ (X @ W - X) / X.size, rtol=1e-12)
    residual = 2 * (X @ W - X) / X.size
    np.testing.assert_allclose(found["input"], residual @ W.T - residual, rtol=1e-12)


def test_not_finite():
    with pytest.raises(fastnet.NonFiniteError):
        network().fit(np.where(X > 0, X, np.inf), verbose=0)


def test_what_is_refused():
    plain = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
    plain.compile(optimizer="sgd")
    for call in (plain.fit, plain.train_on_batch, plain.evaluate):
        with pytest.raises(RuntimeError, match="compile was given no loss, and no layer has a penalty or calls"):
            call(X, X[:, :2])
    with pytest.raises(ValueError, match=r"metrics \['mae'\] and no loss"):
        network(metrics=["mae"]).fit(X, X, verbose=0)
    with pytest.raises(RuntimeError, match="compute_loss needs a loss, and compile was given no loss"):
        network().compute_loss(X, X)
    with pytest.raises(ValueError, match="same number of samples"):
        network().fit(X, X[:2], verbose=0)
    with pytest.raises(ValueError, match="at least one sample"):
        network().fit(X[:0], verbose=0)
