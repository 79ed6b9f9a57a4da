"""What a layer's call may do besides formulas: random numbers, masks, losses of its own, formulas of weights."""

import warnings

import numpy as np
import pytest

import fastnet
from fastnet import layers, ops, testing
from fastnet._kernels.errors import RuleError

from . import adding_layers

X = np.random.default_rng(0).normal(size=(6, 4))


def layer_class(call, **weights):
    """A layer with this call and weights of these shapes."""

    def build(self, input_shape):
        for name, shape in weights.items():
            setattr(self, name, self.add_weight(shape=shape, initializer="glorot_uniform", name=name))

    return type("Traced", (layers.Layer,), {"call": call, "build": build, "__module__": __name__})


# ---- random numbers


class Sampling(layers.Layer):
    """Keras's layer of its variational autoencoder."""

    def __init__(self, **more):
        super().__init__(**more)
        self.seed_generator = fastnet.random.SeedGenerator(1337)

    def call(self, x):
        mean, log_variance = x[:, :2], x[:, 2:]
        noise = fastnet.random.normal(shape=ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


def drawn(call, rows, width=3):
    return layer_class(call)()(np.zeros((rows, width)), training=True)


def test_moments_of_random_numbers():
    noise = drawn(lambda self, x: fastnet.random.normal(ops.shape(x), 2.0, 3.0) + x, 50_000)
    assert noise.mean() == pytest.approx(2.0, abs=0.04) and noise.std() == pytest.approx(3.0, abs=0.03)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.02
    uniform = drawn(lambda self, x: fastnet.random.uniform((None, 2), -1.0, 2.0), 50_000)
    assert uniform.shape == (50_000, 2) and -1.0 <= uniform.min() < -0.99 and 1.99 < uniform.max() <= 2.0
    assert uniform.mean() == pytest.approx(0.5, abs=0.02) and uniform.std() == pytest.approx(3 / 12**0.5, abs=0.01)
    kept = drawn(lambda self, x: fastnet.random.dropout(x + 1.0, 0.25), 50_000)
    assert set(np.unique(kept)) == {0.0, np.float32(4 / 3)} and (kept == 0).mean() == pytest.approx(0.25, abs=0.005)
    steps = drawn(lambda self, x: fastnet.random.dropout(x + 1.0, 0.5, noise_shape=(None, 1)), 1000)
    assert (steps == steps[:, :1]).all() and 400 < (steps[:, 0] == 0).sum() < 600


def test_two_draws_differ_and_seeds_decide():
    both = drawn(
        lambda self, x: ops.stack([fastnet.random.normal(ops.shape(x)), fastnet.random.normal(ops.shape(x))], axis=1), 7
    )
    assert (both[:, 0] != both[:, 1]).all()
    x, y = X.astype("f"), X[:, :1].astype("f")
    losses = []
    for seed in (3, 3, 4):
        model = fastnet.Sequential([layers.Input((4,)), layers.Dense(4), Sampling(), layers.Dense(1)], seed=seed)
        model.compile("sgd", "mse")
        losses.append(model.fit(x, y, epochs=3, batch_size=4, verbose=0, shuffle=False).history["loss"])
    assert losses[0] == losses[1] != losses[2]
    assert len(set(losses[0])) == 3


@pytest.mark.slow
def test_the_gradient_reads_the_numbers_that_were_drawn():
    testing.check_layer(Sampling, (4,))
    testing.check_layer(layer_class(lambda self, x: fastnet.random.dropout(ops.tanh(x), 0.5) * x), (5,))


@pytest.mark.parametrize("call, message", [
    (lambda self, x: fastnet.random.normal((None, None)) + x, "random numbers of shape"),
    (lambda self, x: fastnet.random.dropout(x, 1.0), "at rate 1.0"),
    (lambda self, x: x + fastnet.random.normal((4,)), "another formula when it is called again"),
])  # fmt: skip
def test_random_numbers_that_are_refused(call, message):
    with pytest.raises(RuleError, match=message):
        layer_class(call)()(X)


def test_dropout_of_arrays():
    found = fastnet.random.dropout(np.ones((1000,), "f"), 0.5, seed=1)
    assert set(np.unique(found)) == {0.0, 2.0} and found.dtype == np.float32
    with pytest.raises(ValueError, match="rate must be a number that is at least 0 and at most 1"):
        fastnet.random.dropout(np.ones(3), 1.5)


# ---- masks


class MaskedMean(layers.Layer):
    def call(self, x, mask=None):
        if mask is None:
            return ops.mean(x, axis=1)
        counts = ops.cast(mask, x.dtype)[:, :, None]
        return ops.sum(x * counts, axis=1) / ops.maximum(ops.sum(counts, axis=1), 1.0)


class Doubled(layers.Layer):
    supports_masking = True

    def call(self, x):
        return x * 2.0


def test_masks():
    x = np.random.default_rng(1).normal(size=(3, 4, 2)).astype("f")
    x[0, 2:] = 0.0
    x[1] = 0.0
    expected = np.stack([x[0, :2].mean(0), np.zeros(2), x[2].mean(0)])
    masked = fastnet.Sequential([layers.Input((4, 2)), layers.Masking(), MaskedMean()])
    np.testing.assert_allclose(masked.predict(x, verbose=0), expected, rtol=1e-6)
    passed = fastnet.Sequential([layers.Input((4, 2)), layers.Masking(), Doubled(), MaskedMean()])
    np.testing.assert_allclose(passed.predict(x, verbose=0), 2 * expected, rtol=1e-6)
    np.testing.assert_allclose(MaskedMean()(x), x.mean(1), rtol=1e-6)
    mask = np.array([[True, False, True, True]] * 3)
    np.testing.assert_allclose(MaskedMean()(x, mask=mask), x[:, [0, 2, 3]].mean(1), rtol=1e-5)


# ---- losses


def test_added_losses_count():
    def call(self, x):
        self.add_loss(0.5 * ops.mean(ops.square(x)) - ops.sum(x[:, :1]) / 4.0)
        self.add_loss(ops.sum(ops.square(self.w)))
        return x * self.w

    x = X.astype("f")
    model = fastnet.Sequential([layers.Input((4,)), layer_class(call, w=(4,))()])
    model.compile("sgd", "mse")
    w = model.layers[0].w.numpy()
    expected = np.mean(np.square(x * w - 1)) + 0.5 * np.mean(x * x) - x[:, 0].sum() / 4 + np.square(w).sum()
    assert model.evaluate(x, np.ones_like(x), batch_size=6, verbose=0) == pytest.approx(expected, rel=1e-5)
    found = model.gradients(x, np.ones_like(x))
    (of_layer,) = (found[key] for key in found if key != "input")
    wanted = 2 * np.mean((x * w - 1) * x, axis=0) / 4 + 2 * w
    np.testing.assert_allclose(of_layer["w"], wanted, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("call, message", [
    (lambda self, x: (self.add_loss(x[:, 0]), x)[1], r"add_loss takes one number, .* received .*\(n,\)"),
    (lambda self, x: (self.add_loss(ops.mean(x, axis=0) ** 2), x)[1], r"add_loss takes one number, .*\(4,\)"),
    (lambda self, x: (self.add_loss(ops.max(x)), x)[1], "max over the batch"),
    (lambda self, x: x * ops.mean(x), r"mixes samples \(line \d+ of test_array_calls.py"),
    (lambda self, x: x - ops.mean(x, axis=0), "mixes samples"),
])  # fmt: skip
def test_losses_that_are_refused(call, message):
    with pytest.raises(RuleError, match=message):
        layer_class(call)()(X)


@pytest.mark.parametrize("function", [adding_layers.deviation, adding_layers.moments_of_columns])
def test_added_numbers_of_the_batch(function):
    """Values by arrays, gradients of the weights by differences."""
    layer = adding_layers.layer_class(fastnet, ops, function)(dtype="float64")
    model = fastnet.Sequential([layers.Input((6,), dtype="float64"), layer])
    model.compile("sgd", "mse")
    rng = np.random.default_rng(3)
    x, t = rng.normal(size=(7, 6)), rng.normal(size=(7, 4))
    w, b = (v.numpy() for v in (layer.w, layer.b))

    def wanted(w, b):
        y = x @ w + b
        return np.mean(np.square(y - t)) + function(fastnet, ops, layer, x, y)

    assert model.evaluate(x, t, verbose=0) == pytest.approx(wanted(w, b), rel=1e-12)
    found = model.gradients(x, t)
    (found,) = (found[key] for key in found if key != "input")
    step = np.zeros_like(w)
    step[2, 1] = 1e-6
    assert found["w"][2, 1] == pytest.approx((wanted(w + step, b) - wanted(w - step, b)) / 2e-6, rel=1e-6)
    step = 1e-6 * np.eye(4)[3]
    assert found["b"][3] == pytest.approx((wanted(w, b + step) - wanted(w, b - step)) / 2e-6, rel=1e-6)


def test_add_loss_outside_of_call():
    with pytest.raises(RuntimeError, match=r"add_loss is a part of call"):
        layers.Dense(2).add_loss(1.0)


# ---- weights


@pytest.mark.parametrize("call, names", [
    (lambda self, x: x * self.a, "'b'"),
    (lambda self, x: x * self.a + ops.stop_gradient(self.b), "'b'"),
    (lambda self, x: x * ops.stop_gradient(ops.sum(self.a) * self.b), "'a', 'b'"),
])  # fmt: skip
def test_a_weight_that_no_gradient_reaches(call, names):
    layer = layer_class(call, a=(4,), b=(4,))()
    model = fastnet.Sequential([layers.Input((4,)), layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    before = layer.b.numpy()
    with pytest.warns(UserWarning, match=f"no gradient reaches {names}: call does not use it") as caught:
        model.fit(X, X[:, :1], verbose=0)
    assert caught[0].filename == __file__
    assert (layer.b.numpy() == before).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X[:3], X[:3, :1], verbose=0)


def test_formulas_of_weights():
    layer = layer_class(
        lambda self, x: ops.matmul(x, self.v / ops.norm(self.v, axis=0)) * self.g[1] + ops.mean(self.v[:2]),
        v=(4, 3), g=(2, 3),
    )()  # fmt: skip
    found = layer(X)
    v, g = layer.v.numpy().astype("f8"), layer.g.numpy().astype("f8")
    np.testing.assert_allclose(found, X @ (v / np.sqrt((v * v).sum(0))) * g[1] + v[:2].mean(), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_folds_and_slices_of_weights():
    testing.check_layer(layer_class(lambda self, x: x * ops.softmax(self.w)[1:5] + ops.max(self.w), w=(6,)), (4,))


def test_a_frozen_weight_of_a_formula():
    layer = layer_class(lambda self, x: ops.matmul(x, self.a * ops.mean(self.b)), a=(4, 2), b=(3,))()
    model = fastnet.Sequential([layers.Input((4,)), layer])
    layer.b.trainable = False
    model.compile("sgd", "mse")
    found = model.gradients(X, np.ones((6, 2)))[layer.name]
    assert list(found) == ["a"] and np.abs(found["a"]).max() > 0
