"""What users do with layers beside putting them in a row: sharing, freezing, building and calling them, replacing
their attributes, naming functions as fastnet's own."""

import copy

import numpy as np
import pytest

import fastnet
from fastnet import activations, layers

RNG = np.random.default_rng(7)
X, Y = RNG.standard_normal((10, 4)).astype("f"), RNG.standard_normal((10, 2)).astype("f")


def compiled(*parts, optimizer="sgd", **more):
    model = fastnet.Sequential([layers.Input((4,)), *parts], **more)
    model.compile(optimizer, "mse")
    return model


def linear(x):
    return 3 * x + 1


def relu(x):
    return x * x


def steep(x, k=2.0):
    return k * x * x


# ---- functions whose names are fastnet's


@pytest.mark.parametrize("rule", [linear, relu])
def test_a_function_is_never_known_by_its_name(rule):
    x = np.array([[-2.0, -0.5, 0.0, 1.0]], "f")
    np.testing.assert_array_equal(layers.Lambda(rule)(x), rule(x))
    dense = layers.Dense(2, activation=rule)
    z = layers.Dense(2, kernel_initializer="glorot_uniform")
    y = dense(X)
    z.build((None, 4))
    z.set_weights(dense.get_weights())
    np.testing.assert_allclose(y, rule(z(X)), rtol=1e-5, atol=1e-6)
    model = compiled(dense)
    before = dense.kernel.numpy()
    model.train_on_batch(X, Y)
    pre = X @ before
    slope = {"linear": np.full_like(pre, 3), "relu": 2 * pre}[rule.__name__]
    gradient = X.T @ ((rule(pre) - Y) * slope * 2 / Y.size)
    np.testing.assert_allclose(dense.kernel.numpy(), before - 0.01 * gradient, rtol=1e-4, atol=1e-6)


def test_a_function_as_activation_travels():
    dense = layers.Dense(2, activation=steep)
    model = compiled(dense)
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))
    with fastnet.saving.custom_object_scope({"steep": steep}):
        again = layers.Dense.from_config(dense.get_config())
    assert again.activation.function is steep
    with pytest.raises(fastnet.RuleError, match=r"'d' \(Dense\): activation: .*cannot be compiled"):
        layers.Dense(2, activation=lambda x: sum(x), name="d")


def test_activations_take_their_arguments_by_position():
    x = np.array([-1.0, 2.0])
    np.testing.assert_allclose(activations.elu(x, 0.5), [0.5 * np.expm1(-1.0), 2.0])
    np.testing.assert_allclose(activations.celu(x, 2.0), [2 * np.expm1(-0.5), 2.0])
    np.testing.assert_allclose(activations.leaky_relu(x, 0.1), [-0.1, 2.0])
    with pytest.raises(TypeError, match="'elu' takes .*alpha"):
        activations.elu(x, 0.5, 0.5)


def test_descriptions_of_activations():
    assert activations.get({"name": "softmax"}) is activations.softmax
    assert activations.get({"name": "elu", "arguments": {"alpha": 0.5}}).parameters == {"alpha": 0.5}
    for wrong in ({}, {"name": "elu", "alpha": 0.5}, {"name": "elu", "arguments": 3}):
        with pytest.raises(ValueError, match="description"):
            activations.get(wrong)
    with pytest.raises(ValueError, match="'softmax' has no arguments"):
        activations.get({"name": "softmax", "arguments": {"axis": 1}})
    with pytest.raises(ValueError, match="Did you mean 'relu'"):
        activations.get({"name": "rellu"})


# ---- one layer in several models


@pytest.mark.parametrize("shared", [lambda: layers.Dense(2), lambda: layers.ReLU()], ids=["dense", "relu"])
def test_a_layer_has_a_shape_in_each_model(shared):
    layer = shared()
    first = fastnet.Sequential([layers.Input((4,)), layer])
    width = first.output_shape[-1]
    second = fastnet.Sequential([layers.Input((3, 4)), layer])
    assert first.output_shape == (None, width) and second.output_shape == (None, 3, width)
    assert first.input_shape == (None, 4) and second.input_shape == (None, 3, 4)
    lines = []
    first.summary(print_fn=lines.append)
    assert f"(None, {width})" in lines[0] and f"(None, 3, {width})" not in lines[0]
    assert first.predict(X, verbose=0).shape == (10, width)
    rows = np.stack([X, X, -X], axis=1)
    np.testing.assert_array_equal(second.predict(rows, verbose=0)[:, 0], first.predict(X, verbose=0))
    for model, x in ((first, X), (second, rows), (first, X)):
        model.compile("sgd", "mse", metrics=["mae"])
        model.fit(x, np.zeros((10, *model.output_shape[1:])), verbose=0)
    first.add(layers.Dense(5))
    assert first.output_shape == (None, 5)
    first.pop()
    assert first.output_shape == (None, width) and second.output_shape == (None, 3, width)


def test_a_network_has_a_shape_in_each_model():
    inner = fastnet.Sequential([layers.Dense(2), layers.ReLU()])
    first = fastnet.Sequential([layers.Input((4,)), inner])
    second = fastnet.Sequential([layers.Input((3, 4)), inner, layers.Flatten()])
    assert inner.output_shape == first.output_shape == (None, 2) and second.output_shape == (None, 6)
    assert inner.predict(X, verbose=0).shape == first.predict(X, verbose=0).shape == (10, 2)
    assert second.predict(np.zeros((1, 3, 4)), verbose=0).shape == (1, 6)


# ---- building and calling


def test_build_makes_the_weights_once():
    dense = layers.Dense(2)
    dense.build((None, 4))
    kernel = dense.kernel
    dense.build((7, 4))
    model = compiled(dense)
    assert dense.kernel is kernel and len(dense.weights) == len(model.weights) == 2
    assert dense.compute_output_shape((None, 3, 4)) == (None, 3, 2)
    assert layers.Reshape((2, -1)).compute_output_shape((5, 6)) == (5, 2, 3)
    with pytest.raises(ValueError, match="built for 4 inputs"):
        dense.build((None, 5))
    with pytest.raises(ValueError, match="input_shape must be a tuple of the batch"):
        dense.build(4)


def test_layers_without_weights_are_built_for_any_shape():
    for layer in (layers.Flatten(), layers.Dropout(0.5), layers.Activation("relu"), layers.Reshape((-1,))):
        layer.build(None)
        assert layer.built and layer(np.ones((2, 3))).shape == (2, 3)
        assert layer(np.ones((2, 5))).shape == (2, 5)
    with pytest.raises(ValueError, match="input_shape must be a tuple of the batch"):
        layers.Dense(2).build(None)


@pytest.mark.parametrize("nested", [False, True])
def test_a_model_without_weights_and_input_takes_data_of_several_shapes(nested):
    model = fastnet.Sequential([layers.Rescaling(2.0), layers.Reshape((-1, 1)), layers.Flatten()])
    model = fastnet.Sequential([model]) if nested else model
    for shape in ((2, 3, 4), (2, 3, 5), (1, 7), (2, 3, 4), (3, 2, 2, 2), (0, 3, 3)):
        x = np.arange(np.prod(shape), dtype="f").reshape(shape)
        wanted = 2 * x.reshape(len(x), np.prod(shape[1:]))
        np.testing.assert_array_equal(model(x), wanted)
        np.testing.assert_array_equal(model.predict(x, verbose=0), wanted)
    for first in ([layers.Input((3, 4))], [layers.Flatten(), layers.Dense(2)]):
        fixed = fastnet.Sequential([*first, layers.Flatten()])
        fixed(np.ones((2, 3, 4)))
        with pytest.raises(ValueError, match=r"takes samples of shape \(3, 4\)"):
            fixed(np.ones((2, 3, 5)))


def test_metrics_of_layers():
    class Counting(layers.Layer):
        def __init__(self, inner=None):
            super().__init__()
            self.seen, self.inner = fastnet.metrics.Mean("seen"), inner or layers.Dense(2)

        def call(self, x):
            return self.inner(x)

    assert [metric.name for metric in Counting(Counting()).metrics] == ["seen", "seen"]
    assert layers.Dense(2).metrics == []


def test_calls_as_in_keras():
    model = compiled(layers.Dense(2), layers.Dropout(0.5))
    for call in (model, model.layers[1]):
        x = X if call is model else Y
        np.testing.assert_array_equal(call(x, training=False), call(x, training=None))
        assert call(x, training=True).shape == call(x).shape
        with pytest.raises(ValueError, match="training must be True or False"):
            call(x, training="no")
    for call in (lambda: layers.Dense(3)(layers.Input((6,))), lambda: model(layers.Input((6,)))):
        with pytest.raises(TypeError, match="fastnet.Sequential"):
            call()


@pytest.mark.parametrize("name", ["build", "compute_output_shape"])
def test_a_layer_class_written_for_keras_is_told_what_to_define(name):
    with pytest.raises(TypeError, match=rf"class Mine defines {name}, .*extending.md"):
        type("Mine", (layers.Layer,), {name: lambda self, x: x})


# ---- freezing


def test_a_frozen_model_freezes_what_comes_later():
    model = fastnet.Sequential([layers.Input((4,)), layers.Dense(3)], trainable=False)
    model.add(layers.Dense(2, kernel_regularizer="l2"))
    assert not model.trainable and model.layers[1].trainable and model.trainable_variables == [] == model.losses
    assert len(model.non_trainable_variables) == 4
    model.compile("adam", "mse")
    before = model.get_weights()
    loss = model.fit(X, Y, epochs=2, verbose=0).history["loss"]
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    np.testing.assert_allclose(loss, np.mean((model.predict(X, verbose=0) - Y) ** 2), rtol=1e-6)
    model.trainable = True
    model.fit(X, Y, verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(before[::2], model.get_weights()[::2], strict=True))


def test_a_frozen_layer_leaves_the_models_flag():
    model = compiled(layers.Dense(2, trainable=False))
    assert model.trainable and not model.trainable_weights
    outer = compiled(fastnet.Sequential([layers.Dense(3)], trainable=False, name="inner"), layers.Dense(2))
    inner = outer.get_layer("inner")
    before = outer.get_weights()
    outer.train_on_batch(X, Y)
    changed = [not np.array_equal(a, b) for a, b in zip(before, outer.get_weights(), strict=True)]
    assert changed == [False, False, True, True]
    again = fastnet.Sequential.from_config(outer.get_config())
    assert again.trainable and not again.layers[0].trainable and again.layers[0].layers[0].trainable
    inner.trainable = True
    outer.train_on_batch(X, Y)
    assert not np.array_equal(before[0], inner.get_weights()[0])


@pytest.mark.parametrize("make", [lambda: layers.Dense(2, name="d"), lambda: fastnet.Sequential(name="d")])
def test_trainable_is_a_flag(make):
    with pytest.raises(ValueError, match=r"'d'.*trainable must be True or False, received 'no'"):
        make().trainable = "no"


# ---- everyday names


def test_everyday_names():
    dense = layers.Dense(2, kernel_regularizer=fastnet.regularizers.L2(0.5))
    model = fastnet.Sequential([layers.Input((4,)), dense, layers.BatchNormalization()])
    assert not model.compiled and model.dtype == "float32"
    model.compile("sgd", "mse")
    assert model.compiled
    for thing in (model, dense):
        assert thing.trainable_variables == thing.trainable_weights
        assert thing.non_trainable_variables == thing.non_trainable_weights
        np.testing.assert_allclose(thing.losses, [0.5 * np.sum(dense.kernel.numpy() ** 2)], rtol=1e-6)


def test_absent_names_say_what_to_do():
    for module, name, part in ((fastnet, "Model", "Sequential"), (layers, "Attention", "planned: sequences")):
        with pytest.raises(AttributeError, match=f"has no {name}: .*{part}"):
            getattr(module, name)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        layers.nonsense  # noqa: B018


# ---- attributes that are replaced


def test_an_activation_is_replaced():
    dense = layers.Dense(2)
    model = compiled(dense)
    z = model.predict(X, verbose=0)
    dense.activation = "tanh"
    np.testing.assert_allclose(model.predict(X, verbose=0), np.tanh(z), rtol=1e-5, atol=1e-6)
    dense.activation = None
    np.testing.assert_array_equal(model.predict(X, verbose=0), z)
    with pytest.raises(ValueError, match="activation: Unknown activation 'tan'"):
        dense.activation = "tan"


def test_a_rate_is_replaced():
    drop = layers.Dropout(0.5)
    model = compiled(layers.Dense(2, kernel_initializer="ones"), drop, optimizer=fastnet.optimizers.SGD(0.0))
    plain = np.mean((model.predict(X, verbose=0) - Y) ** 2)
    assert abs(model.train_on_batch(X, Y) - plain) > 1e-3
    drop.rate = 0
    np.testing.assert_allclose(model.train_on_batch(X, Y), plain, rtol=1e-6)
    with pytest.raises(ValueError, match="rate must be .* received 1.5"):
        drop.rate = 1.5
    noise = layers.GaussianNoise(0.0)
    noise.stddev = 0.25
    assert noise.strength == 0.25


def test_a_weight_gets_the_value():
    dense = layers.Dense(2)
    model = compiled(dense)
    kernel = dense.kernel
    dense.kernel = np.ones((4, 2))
    assert dense.kernel is kernel and (model.get_weights()[0] == 1).all()
    np.testing.assert_allclose(model.predict(X, verbose=0), np.tile(X.sum(1, keepdims=True), 2), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="'kernel' has shape"):
        dense.kernel = np.ones(3)
    norm = layers.LayerNormalization()
    norm.build((None, 4))
    norm.gamma = np.full(4, 2.0)
    assert (norm.get_weights()[0] == 2).all() and norm.weights[0] is norm.gamma


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (lambda: layers.Dense(2), "units", 4),
        (lambda: layers.Dense(2), "use_bias", False),
        (lambda: layers.Dense(2), "kernel_regularizer", "l2"),
        (lambda: layers.Dense(2), "dtype", "float64"),
        (lambda: layers.BatchNormalization(), "scale", False),
        (lambda: layers.LeakyReLU(), "negative_slope", 0.5),
        (lambda: layers.Reshape((2, 2)), "target_shape", (4,)),
        (lambda: layers.Dropout(0.5), "seed", 3),
    ],
)
def test_what_weights_and_shapes_follow_from_stays(make, name, value):
    layer = make()
    layer.build((None, 4))
    kept = getattr(layer, name)
    with pytest.raises(ValueError, match=f"{name} is .* and stays so"):
        setattr(layer, name, value)
    assert getattr(layer, name) is kept
    setattr(layer, name, kept)


def test_numbers_that_are_replaced_count():
    norm = layers.BatchNormalization(momentum=0.5)
    model = compiled(norm, layers.Dense(2))
    model.train_on_batch(X, Y)
    np.testing.assert_allclose(norm.moving_mean.numpy(), X.mean(0) / 2, rtol=1e-5, atol=1e-6)
    norm.momentum = 1.0
    kept = norm.moving_mean.numpy()
    model.train_on_batch(X, Y)
    np.testing.assert_array_equal(norm.moving_mean.numpy(), kept)


def test_a_subclass_may_set_attributes_before_its_base():
    class Early(layers.Dense):
        def __init__(self, units, activation=None, **more):
            self.activation = activation
            super().__init__(units, activation, **more)

    assert Early(2, "relu").activation.name == "relu"


# ---- arguments


@pytest.mark.parametrize(
    ("call", "error", "parts"),
    [
        (lambda: layers.Dense(3, activaton="relu"), TypeError, ["Dense", "'activaton'", "mean 'activation'"]),
        (lambda: layers.Dropout(0.1, sead=3), TypeError, ["Dropout", "'sead'", "mean 'seed'"]),
        (lambda: layers.Flatten(zzzzz=3), TypeError, ["Flatten", "'zzzzz'", "data_format"]),
        (lambda: layers.Dense(3, use_bias="no"), ValueError, ["use_bias must be True or False", "'no'"]),
        (lambda: layers.BatchNormalization(center=1), ValueError, ["center must be True or False", "1"]),
        (lambda: layers.LayerNormalization(scale="x"), ValueError, ["scale must be True or False"]),
        (lambda: layers.Normalization(invert=2), ValueError, ["invert must be True or False"]),
        (lambda: fastnet.Sequential(trainable="no"), ValueError, ["trainable must be True or False"]),
        (lambda: layers.PReLU(shared_axes=[1, 1]), ValueError, ["shared_axes must name each axis once", "[1, 1]"]),
        (lambda: compiled(layers.Dense(2)).get_layer(index="x"), ValueError, ["index must be an integer", "'x'"]),
        (lambda: layers.Normalization(mean=np.nan, variance=1.0), ValueError, ["mean must be finite", "nan"]),
    ],
)
def test_wrong_arguments(call, error, parts):
    with pytest.raises(error) as caught:
        call()
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_adapt_names_the_row_that_is_not_finite():
    x = np.ones((7, 3))
    x[5, 1] = np.inf
    for data in (x, [x[:4], x[4:]]):
        layer = layers.Normalization()
        with pytest.raises(ValueError, match=r"adapt received inf in row 5; 1 rows"):
            layer.adapt(data)
        assert not layer.built
    layer = layers.Normalization()
    layer.adapt([[1.0, 10.0], [3.0, 30.0]])
    np.testing.assert_allclose(layer.get_weights()[0], [2.0, 20.0])


def test_targets_that_do_not_fit_name_the_layer():
    model = compiled(layers.Dense(2, name="scores"))
    with pytest.raises(ValueError, match=r"shape \(n, 2\).*received.*\(n, 3\).*layer 'scores' \(Dense\)"):
        model.fit(X, np.zeros((10, 3)), verbose=0)
