"""Functions with gradients of their own, in activations, losses, layers and penalties."""

import numpy as np
import pytest

import fastnet
from fastnet import extend, layers, ops
from tests import part_cases as cases

FUNCTIONS = cases.custom_gradients_of(ops)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def limited(dy, x):
    return dy * np.minimum(1, 0.1 / (1e-7 + np.linalg.norm(dy, axis=-1, keepdims=True)))


def of_product(dy, x):
    t = np.tanh(x)
    return dy * 2 * (x + 1) * (1 - t * t) + dy * np.sin(t) - dy


def of_mean(dy, x):
    return dy * np.mean(x, axis=-1, keepdims=True) + 3 * np.sum(dy * x, axis=-1, keepdims=True)


#: name → the gradient of x, of that of the result
SLOPES = {
    "log1pexp": lambda dy, x: dy * sigmoid(x),
    "straight through": lambda dy, x: dy * (np.abs(x) <= 1),
    "reversed": lambda dy, x: -0.5 * dy,
    "clipped rows": limited,
    "product": of_product,
    "mean": of_mean,
    "within another": lambda dy, x: -0.5 * dy * 2 * sigmoid(2 * x),
}


class Applied(layers.Layer):
    """A function with a gradient of its own between products and weights."""

    def __init__(self, function, **more):
        super().__init__(**more)
        self.function = function

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], input_shape[-1]), name="w")
        self.b = self.add_weight(shape=(input_shape[-1],), name="b")

    def call(self, x):
        return self.function(ops.matmul(x, self.w) + self.b) * self.b


def model_of(layer, features):
    model = fastnet.Sequential([layers.Input((features,), dtype="float64"), layer])
    model.compile("sgd", "mse")
    rng = np.random.default_rng(4)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("rows, features", [(5, 3), (1, 1), (7, 67)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients(name, rows, features):
    rng = np.random.default_rng(2)
    x, dy = rng.normal(size=(rows, features)), rng.normal(size=(rows, features)) / 20
    model = model_of(layers.Activation(FUNCTIONS[name], dtype="float64"), features)
    np.testing.assert_allclose(model.predict(x, verbose=0), FUNCTIONS[name](x), rtol=1e-12, atol=1e-14)
    found = model.gradients(x, gradient=dy)["input"]
    np.testing.assert_allclose(found, SLOPES[name](dy, x), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_in_a_layer(name):
    rng = np.random.default_rng(2)
    x, dy = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)) / 20
    model = model_of(Applied(FUNCTIONS[name], name="applied", dtype="float64"), 3)
    w, b = model.get_weights()
    h = x @ w + b
    y, dh = FUNCTIONS[name](h), SLOPES[name](dy * b, h)
    np.testing.assert_allclose(model.predict(x, verbose=0), y * b, rtol=1e-12, atol=1e-14)
    found = model.gradients(x, gradient=dy)
    np.testing.assert_allclose(found["input"], dh @ w.T, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found["applied"]["w"], x.T @ dh, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found["applied"]["b"], (dh + dy * y).sum(axis=0), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("of_elements", [True, False])
def test_in_a_loss(of_elements):
    """Of elements it has the kernels of a rule, else a loop over rows."""
    function = FUNCTIONS["log1pexp"]

    def loss(y_true, y_pred):
        error = function(y_pred - y_true)
        return ops.mean(error, axis=-1) if of_elements else ops.sqrt(ops.sum(error, axis=-1))

    rng = np.random.default_rng(3)
    x, t = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    model = model_of(layers.Activation("linear", dtype="float64"), 3)
    model.compile("sgd", loss)
    error = np.log1p(np.exp(x - t))
    sums = error.sum(axis=-1, keepdims=True)
    found = model.gradients(x, t)["input"]
    wanted = sigmoid(x - t) / 15 if of_elements else sigmoid(x - t) / (2 * np.sqrt(sums)) / 5
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    value = error.mean() if of_elements else np.sqrt(sums).mean()
    assert model.evaluate(x, t, verbose=0) == pytest.approx(value)


def test_in_a_penalty():
    def penalty(w):
        return ops.sum(FUNCTIONS["reversed"](w) * w)

    dense = layers.Dense(3, dtype="float64", name="dense", kernel_regularizer=penalty)
    model = model_of(dense, 5)
    found = model.gradients(np.zeros((2, 5)), gradient=np.zeros((2, 3)))["dense"]["kernel"]
    np.testing.assert_allclose(found, 0.5 * dense.kernel.numpy(), rtol=1e-12)


def test_slices_and_other_shapes_of_the_result():
    @extend.custom_gradient
    def kept(x):
        return ops.square(x), lambda dy: dy * ops.cumsum(ops.ones_like(x), axis=-1)

    def function(x):
        return ops.concatenate([kept(x)[:, 1:3], ops.reshape(kept(x), (-1, 2, 2))[:, 1]], axis=-1)

    rng = np.random.default_rng(2)
    x, dy = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    model = model_of(layers.Lambda(function, dtype="float64"), 4)
    np.testing.assert_allclose(model.predict(x, verbose=0), x[:, [1, 2, 2, 3]] ** 2, rtol=1e-12)
    found = model.gradients(x, gradient=dy)["input"]
    wanted = np.stack([0 * dy[:, 0], 2 * dy[:, 0], 3 * (dy[:, 1] + dy[:, 2]), 4 * dy[:, 3]], axis=-1)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_huge_values_and_nan():
    x = np.array([[1e3, -1e3, np.nan, np.inf]])
    model = model_of(layers.Activation(FUNCTIONS["log1pexp"], dtype="float64"), 4)
    found = model.gradients(x, gradient=np.ones((1, 4)))["input"]
    np.testing.assert_array_equal(found, [[1.0, 0.0, np.nan, 1.0]])


# ---- errors


def test_what_a_function_must_return():
    @extend.custom_gradient
    def alone(x):
        return x

    with pytest.raises(TypeError, match=r"'alone' must return \(y, grad\).*received array"):
        alone(np.ones(3))
    with pytest.raises(TypeError, match=r"'alone' must return \(y, grad\).*symbolic array"):
        model_of(layers.Activation(alone), 3)


def test_what_cannot_be():
    @extend.custom_gradient
    def too_many(x):
        return x, lambda dy: (dy, dy)

    @extend.custom_gradient
    def other_shape(x):
        return x, lambda dy: dy[:, :2]

    @extend.custom_gradient
    def asks(x):
        return x, lambda dy: dy if dy > 0 else x

    for function, message in [
        (too_many, "custom gradient of 'too_many': grad gives 2 gradients, and the function has 1 argument"),
        (other_shape, r"'other_shape'.*\(n, 2\).*\(n, 3\)"),
        (asks, "`if`.*ops.where"),
    ]:
        with pytest.raises(fastnet.RuleError, match=message):
            model_of(layers.Activation(function, dtype="float64"), 3).predict(np.ones((2, 3)), verbose=0)


def test_what_a_function_closes_over_has_no_gradient():
    class Closing(Applied):
        def call(self, x):
            return extend.custom_gradient(lambda z: (z * self.b, lambda dy: dy))(x)

    class Given(Applied):
        def call(self, x):
            return extend.custom_gradient(lambda z, b: (z * b, lambda dy: (dy, dy)))(x, self.b)

    for cls, message in [
        (Closing, r"f reads an array of shape \(3,\) that is none of its arguments .*: make it an argument"),
        (Given, "has a weight as an argument .*: give it data, and use the weight outside"),
    ]:
        with pytest.raises(fastnet.RuleError, match=message):
            model_of(cls(None, dtype="float64"), 3)
