"""A build that fails leaves everything as it was, and works once the mistake is mended."""

import numpy as np
import pytest

import fastnet
from fastnet import initializers, layers

X, Y = np.ones((8, 3), np.float32), np.zeros((8, 2), np.float32)


class Broken(initializers.Initializer):
    """Fails while ``bad``."""

    bad = True

    def __call__(self, shape, dtype="float32"):
        if self.bad:
            raise ArithmeticError("the initializer's own")
        return np.ones(shape, dtype)


class Scale(layers.Layer):
    """A layer of a user's, which keeps what it builds in a list, and fails afterwards while ``bad``."""

    bad = True

    def __init__(self, **more):
        super().__init__(**more)
        self.parts = []

    def make_weights(self, input_shape):
        self.parts.append(self.add_weight("scale", input_shape, "ones", trainable=False))
        if self.bad:
            raise ArithmeticError("the layer's own")

    def forward(self, plan, x):
        if self.bad is None:
            raise ArithmeticError("the layer's own")
        return x

    def backward(self, plan, dy, x, y):
        return dy


CALLS = {
    "build": lambda model: model.build((None, 3)),
    "fit": lambda model: model.fit(X, Y, verbose=0),
    "train_on_batch": lambda model: model.train_on_batch(X, Y),
    "evaluate": lambda model: model.evaluate(X, Y, verbose=0),
    "predict": lambda model: model.predict(X, verbose=0),
    "profile": lambda model: model.profile(X, Y, seconds=0.0),
}


def attributes(model):
    """All that a build sets, of the layers and of the networks among them."""
    return [
        {name: list(value) if isinstance(value, list) else value for name, value in vars(layer).items()}
        for layer in (*model.leaves, *model.layers)
        if isinstance(layer, layers.Layer)
    ]


def deferred(*more):
    inner = fastnet.Sequential([layers.Dense(4, name="inside"), layers.BatchNormalization()], name="inner")
    model = fastnet.Sequential([layers.Dense(5, name="first"), inner, *more, layers.Dense(2, name="last")])
    model.compile("adam", "mse")
    return model, inner


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["shape", "initializer", "layer"])
def test_nothing_is_half_built(call, kind):
    broken = Broken()
    third = {
        "shape": lambda: layers.Reshape((3, 3), name="square"),
        "initializer": lambda: layers.Dense(3, bias_initializer=broken),
        "layer": lambda: Scale(),
    }[kind]()
    model, inner = deferred(third)
    before = attributes(model)
    with pytest.raises((ValueError, ArithmeticError), match="'square'|own"):
        CALLS[call](model)
    assert attributes(model) == before
    assert model.weights == [] and not model.built and not inner.built
    if kind == "shape":
        model.pop(), model.pop()
        model.add(layers.Dense(2))
    broken.bad = third.bad = False
    assert np.isfinite(model.fit(X[:, :2], Y, verbose=0).history["loss"]).all()  # and for another number of inputs
    assert model.weights[0].shape == (2, 5) and model.built and inner.built


@pytest.mark.parametrize("call", [name for name in CALLS if name != "build"])
def test_a_plan_that_cannot_be_made_takes_the_build_back(call):
    scale = Scale()
    scale.bad = None  # it is built, and fails when the step is put together
    model, inner = deferred(scale)
    before = attributes(model)
    for _ in range(2):
        with pytest.raises(ArithmeticError, match="own"):
            CALLS[call](model)
        assert attributes(model) == before
        assert model.weights == [] and not model.built and not inner.built
        assert model.optimizer.states == {} and model.optimizer.iterations == 0
    scale.bad = False
    assert model.predict(X[:, :2], verbose=0).shape == (8, 2)
    assert np.isfinite(model.fit(X[:, :2], Y, verbose=0).history["loss"]).all()


def test_a_built_model_keeps_its_weights():
    scale = Scale()
    scale.bad = None
    model, _ = deferred(scale)
    model.build((None, 3))
    weights = model.get_weights()
    with pytest.raises(ArithmeticError):
        model.fit(X, Y, verbose=0)
    assert model.built and all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


def test_an_add_that_fails():
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
    inner = fastnet.Sequential([layers.Dense(4), layers.Dense(2, bias_initializer="orthogonal")])
    with pytest.raises(ValueError, match=r"\(Dense\).*'bias'.*Orthogonal"):
        model.add(inner)
    assert len(model.layers) == 1 and model.output_shape == (None, 2)
    assert not inner.built and inner.weights == [] and inner.layers[0].kernel is None
    first = fastnet.Sequential([layers.Dense(4, input_dim=3, kernel_initializer="identity")])
    with pytest.raises(ValueError, match="'bias'"):
        fastnet.Sequential([layers.Input((3,)), layers.Dense(2, bias_initializer="identity")])
    assert first.built


def test_a_layer_alone():
    layer = layers.Dense(2, bias_initializer=(broken := Broken()))
    with pytest.raises(ArithmeticError):
        layer(X)
    assert not layer.built and layer.variables == [] and layer.kernel is None
    broken.bad = False
    assert layer(X[:, :2]).shape == (8, 2)


@pytest.mark.parametrize("what", ["validation_data", "callbacks", "batch"])
def test_a_fit_that_never_begins(what):
    model, inner = deferred()
    before = attributes(model)
    given = {
        "validation_data": {"validation_data": (X[:, :2], Y)},
        "callbacks": {"callbacks": [fastnet.callbacks.History]},
        "batch": {"batch_size": 0},
    }[what]
    with pytest.raises((ValueError, TypeError), match=r"\(8, 2\)|parentheses|batch_size"):
        model.fit(X, Y, verbose=0, **given)
    assert attributes(model) == before and model.weights == [] and not model.built and not inner.built
    assert model.predict(X[:, :2], verbose=0).shape == (8, 2)


def test_a_build_that_was_asked_for_stays():
    scale = Scale()
    scale.bad = None
    model, _ = deferred(scale)
    model.build((None, 3))
    with pytest.raises(ArithmeticError):
        model.predict(X)
    assert model.built and len(model.weights) == 11
