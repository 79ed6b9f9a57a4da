"""Descriptions: every layer, initializer, regularizer and constraint comes back from its own, and nested networks."""

import inspect
import json

import numpy as np
import pytest

import fastnet
from fastnet import constraints, initializers, layers, regularizers, saving
from tests.sampling import every_second


@pytest.mark.parametrize("module", [regularizers, constraints, initializers, layers], ids=lambda m: m.__name__)
def test_every_class_of_a_module_tells_its_arguments(module):
    for name, thing in vars(module).items():
        if isinstance(thing, type) and not name.startswith("_"):
            inspect.signature(thing)


def halve(x, k=0.5):
    return k * x


class Scaled(layers.Layer):
    """A user's layer, which keeps its argument and says no more."""

    def __init__(self, scale, **more):
        super().__init__(**more)
        self.scale = scale

    def forward(self, plan, x):
        return layers.Rescaling(self.scale, dtype=self.dtype).forward(plan, x)


@pytest.fixture
def known():
    """`halve` and `Scaled` are registered for one test."""
    before = dict(saving.get_custom_objects())
    saving.register_keras_serializable("tests")(halve)
    saving.register_keras_serializable("tests")(Scaled)
    yield
    saving.get_custom_objects().clear()
    saving.get_custom_objects().update(before)


POOLED = [(f"{kind}Pooling{n}", ((3, 2, 4)[:n] + (2,))) for kind in ("Max", "Average") for n in (1, 2, 3)]


def of(name, **arguments):
    return lambda: getattr(layers, name)(**arguments)


LAYERS = {  # class: (layer, shape of a sample)
    "InputLayer": (lambda: layers.Input((5,)), (5,)),
    "Identity": (lambda: layers.Identity(name="same"), (5,)),
    "Dense": (
        lambda: layers.Dense(
            3, "elu", kernel_initializer=initializers.Orthogonal(2.0, seed=1), bias_initializer="ones",
            kernel_regularizer=regularizers.L1L2(0.1, 0.2), bias_regularizer="l1", activity_regularizer="l2",
            kernel_constraint=constraints.MinMaxNorm(0.5, 2, axis=1), bias_constraint="non_neg", dtype="float64",
        ),
        (5,),
    ),
    "Activation": (lambda: layers.Activation("log_softmax"), (5,)),
    "ReLU": (lambda: layers.ReLU(max_value=2.0, negative_slope=0.1), (5,)),
    "LeakyReLU": (lambda: layers.LeakyReLU(0.05), (5,)),
    "ELU": (lambda: layers.ELU(0.5), (5,)),
    "PReLU": (lambda: layers.PReLU(initializers.Constant(0.3), shared_axes=1), (5, 2)),
    "Softmax": (lambda: layers.Softmax(), (5,)),
    "Lambda": (lambda: layers.Lambda(halve, arguments={"k": 0.25}), (5,)),
    "Flatten": (lambda: layers.Flatten(), (5, 2)),
    "Reshape": (lambda: layers.Reshape((2, -1)), (6,)),
    "Permute": (lambda: layers.Permute((2, 1)), (2, 3)),
    "RepeatVector": (lambda: layers.RepeatVector(3), (5,)),
    "Rescaling": (lambda: layers.Rescaling(0.5, offset=-1), (5,)),
    "Dropout": (lambda: layers.Dropout(0.2, noise_shape=(None, 1, 3), seed=3), (2, 3)),
    "AlphaDropout": (lambda: layers.AlphaDropout(0.2), (5,)),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.2, seed=1), (5,)),
    "GaussianDropout": (lambda: layers.GaussianDropout(0.2), (5,)),
    "ActivityRegularization": (lambda: layers.ActivityRegularization(0.1, 0.2), (5,)),
    "BatchNormalization": (
        lambda: layers.BatchNormalization(1, 0.5, renorm=True, renorm_clipping={"rmax": 2.0}, scale=False),
        (5, 2),
    ),
    "LayerNormalization": (lambda: layers.LayerNormalization([1, 2], beta_regularizer="l2", trainable=False), (2, 3)),
    "GroupNormalization": (lambda: layers.GroupNormalization(2, gamma_regularizer="l2", center=False), (3, 4)),
    "CategoryEncoding": (lambda: layers.CategoryEncoding(3, "count"), (5,)),
    "Masking": (lambda: layers.Masking(-1.5), (4, 3)),
    "RMSNormalization": (lambda: layers.RMSNormalization(epsilon=0.1), (5,)),
    "UnitNormalization": (lambda: layers.UnitNormalization(), (5,)),
    "Normalization": (lambda: layers.Normalization(mean=np.arange(5.0), variance=np.ones(5)), (5,)),
    "EinsumDense": (lambda: layers.EinsumDense("abc,cd->abd", (None, 2), "relu", "d"), (4, 3)),
    "RandomFlip": (lambda: layers.RandomFlip("vertical", seed=1), (4, 5, 3)),
    "RandomCrop": (lambda: layers.RandomCrop(3, 2), (4, 5, 3)),
    "RandomTranslation": (lambda: layers.RandomTranslation(0.1, (-0.2, 0.3), "wrap", "nearest"), (4, 5, 3)),
    "RandomRotation": (lambda: layers.RandomRotation(0.1, "constant", fill_value=3.0), (4, 5, 3)),
    "RandomZoom": (lambda: layers.RandomZoom((0.1, 0.2), data_format="channels_last"), (4, 5, 3)),
    "RandomShear": (lambda: layers.RandomShear(0.1, (0.2, 0.1)), (4, 5, 3)),
    "RandomBrightness": (lambda: layers.RandomBrightness(0.1, (0, 1)), (4, 5, 3)),
    "RandomContrast": (lambda: layers.RandomContrast((0.1, 0.2), [0, 1]), (4, 5, 3)),
    "RandomGaussianBlur": (lambda: layers.RandomGaussianBlur(0.5, (3, 5), (0.1, 0.2)), (4, 5, 3)),
    "Conv1D": (lambda: layers.Conv1D(3, 2, padding="causal", dilation_rate=2, activation="tanh"), (5, 2)),
    "Conv2D": (lambda: layers.Conv2D(4, (3, 2), (1, 2), "same", groups=2, kernel_regularizer="l2"), (4, 5, 2)),
    "Conv3D": (lambda: layers.Conv3D(2, 2, use_bias=False), (3, 2, 4, 1)),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(3, 2, 2, output_padding=1), (5, 2)),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(3, 2, 2, "same", bias_constraint="non_neg"), (3, 2, 2)),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(1, 2, activation="relu"), (2, 2, 1, 2)),
    "DepthwiseConv1D": (lambda: layers.DepthwiseConv1D(2, depth_multiplier=2), (5, 2)),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(2, padding="same", depthwise_regularizer="l1"), (3, 4, 2)),
    "SeparableConv1D": (lambda: layers.SeparableConv1D(3, 2, pointwise_constraint="max_norm"), (5, 2)),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(3, 2, depth_multiplier=2, activation="elu"), (3, 4, 2)),
    "MaxPooling1D": (lambda: layers.MaxPooling1D(3, 2), (7, 2)),
    "MaxPooling2D": (lambda: layers.MaxPooling2D((2, 3), 1, "same"), (4, 5, 2)),
    "MaxPooling3D": (lambda: layers.MaxPooling3D(), (2, 4, 2, 1)),
    "AveragePooling1D": (lambda: layers.AveragePooling1D(3, 2), (7, 2)),
    "AveragePooling2D": (lambda: layers.AveragePooling2D((2, 3), 1, "same"), (4, 5, 2)),
    "AveragePooling3D": (lambda: layers.AveragePooling3D(2), (2, 4, 2, 1)),
    **{f"Global{kind}D": (of(f"Global{kind}D", keepdims=True), shape) for kind, shape in POOLED},
    **{f"Adaptive{kind}D": (of(f"Adaptive{kind}D", output_size=2), shape) for kind, shape in POOLED},
    "UpSampling1D": (lambda: layers.UpSampling1D(3), (4, 2)),
    "UpSampling2D": (lambda: layers.UpSampling2D((2, 3), interpolation="bilinear"), (2, 3, 2)),
    "UpSampling3D": (lambda: layers.UpSampling3D((1, 2, 1)), (2, 1, 3, 2)),
    "ZeroPadding1D": (lambda: layers.ZeroPadding1D((1, 2)), (4, 2)),
    "ZeroPadding2D": (lambda: layers.ZeroPadding2D(((1, 0), (0, 2))), (2, 3, 2)),
    "ZeroPadding3D": (lambda: layers.ZeroPadding3D((1, 0, 2)), (2, 1, 3, 2)),
    "Cropping1D": (lambda: layers.Cropping1D((1, 2)), (4, 2)),
    "Cropping2D": (lambda: layers.Cropping2D(((1, 0), (0, 2))), (2, 3, 2)),
    "Cropping3D": (lambda: layers.Cropping3D((1, 0, 1)), (3, 1, 3, 2)),
    "Resizing": (lambda: layers.Resizing(3, 2, "nearest", crop_to_aspect_ratio=True), (4, 5, 2)),
    "CenterCrop": (lambda: layers.CenterCrop(3, 2), (4, 5, 2)),
    "SpatialDropout1D": (lambda: layers.SpatialDropout1D(0.2, seed=1), (4, 2)),
    "SpatialDropout2D": (lambda: layers.SpatialDropout2D(0.2), (2, 3, 2)),
    "SpatialDropout3D": (lambda: layers.SpatialDropout3D(0.2), (2, 1, 3, 2)),
    "Residual": (lambda: layers.Residual([layers.Dense(3), layers.Dense(5)]), (5,)),
    "Parallel": (lambda: layers.Parallel([layers.Dense(3), layers.Residual(layers.ReLU())], "concat"), (5,)),
    "SpectralNormalization": (lambda: layers.SpectralNormalization(layers.Dense(3), 2), (5,)),
    "Wrapper": (lambda: layers.Wrapper(layers.Dense(3)), (5,)),
    "Scaled": (lambda: Scaled(3.0), (5,)),
}  # fmt: skip


def test_every_layer_is_here():
    public = {cls.__name__ for name, cls in vars(layers).items() if isinstance(cls, type) and not name.startswith("_")}
    assert public - {"Layer"} <= set(LAYERS)


@pytest.mark.parametrize("name", every_second(LAYERS))
def test_a_layer_comes_back(name, known):
    factory, shape = LAYERS[name]
    layer = factory()
    config = json.loads(json.dumps(saving.serialize_keras_object(layer)))
    again = layers.deserialize(config)
    assert type(again) is type(layer) and again.name == layer.name and again.trainable == layer.trainable
    assert json.dumps(saving.serialize_keras_object(again)) == json.dumps(saving.serialize_keras_object(layer))
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (3, *shape)) if name == "CategoryEncoding" else rng.standard_normal((3, *shape))
    y = layer(x, training=False)
    again.connect(shape)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x, training=False), y)
    assert y.dtype == layer.dtype and y.shape == (3, *layer.output_shape)
    assert layer(x[:0]).shape == (0, *layer.output_shape)


def test_what_a_description_holds():
    config = layers.Dense(3, "relu", kernel_regularizer="l2", name="d").get_config()
    assert (config["name"], config["units"], config["activation"], config["use_bias"]) == ("d", 3, "relu", True)
    assert config["kernel_regularizer"]["class_name"] == "L2"
    assert config["kernel_regularizer"]["config"] == {"l2": 0.01}
    assert config["kernel_initializer"]["class_name"] == "GlorotUniform"
    assert layers.Permute((2, 1)).get_config()["dims"] == (2, 1)


@pytest.mark.parametrize("family", [
    (initializers, [c for c in vars(initializers).values() if isinstance(c, type)]),
    (regularizers, [regularizers.L1, regularizers.L2, regularizers.L1L2, regularizers.OrthogonalRegularizer]),
    (constraints, [constraints.MaxNorm, constraints.MinMaxNorm, constraints.NonNeg, constraints.UnitNorm]),
], ids=["initializers", "regularizers", "constraints"])  # fmt: skip
def test_a_family_comes_back(family):
    module, classes = family
    for cls in classes:
        if cls.__module__ != module.__name__ or cls is initializers.Initializer:
            continue
        item = cls()
        config = json.loads(json.dumps(module.serialize(item)))
        again = module.deserialize(config)
        assert type(again) is cls and again.get_config() == item.get_config()
        assert type(module.get(cls.__name__)) is cls
        assert type(module.get(cls)) is cls
        assert module.get(item) is item
    assert module.get(None) is None


def test_a_class_that_keeps_nothing_is_told_so():
    class Forgetful(layers.Layer):
        def __init__(self, scale, **more):
            super().__init__(**more)

    with pytest.raises(NotImplementedError, match=r"self\.scale"):
        Forgetful(2.0).get_config()


def test_unknown_classes_are_explained():
    with pytest.raises(ValueError, match="Unknown layer 'Dens'. Did you mean 'Dense'"):
        layers.deserialize("Dens")
    config = saving.serialize_keras_object(Scaled(2.0))
    with pytest.raises(ValueError, match="register"):
        layers.deserialize(config)
    assert isinstance(layers.deserialize(config, {"Scaled": Scaled}), Scaled)
    for module in ("fastnet.losses", None):
        with pytest.raises(ValueError, match="^Where 'Foo' is yours, register it") as caught:
            saving.deserialize_keras_object({"class_name": "Foo", "config": {}, "module": module})
        for imported in ("Any", "Buffer", "Callable", "RuleError", "NonFiniteError"):
            assert imported not in str(caught.value).replace(",", " ").replace(".", " ").split()


def test_names_in_one_table():
    """A name is looked for as it is and in lower case; a class of the user's comes first."""
    assert type(fastnet.optimizers.get("AdamW")) is fastnet.optimizers.AdamW
    assert type(fastnet.optimizers.deserialize({"class_name": "adamw", "config": {}})) is fastnet.optimizers.AdamW
    assert type(initializers.get("Glorot_Uniform")) is initializers.GlorotUniform
    assert type(fastnet.metrics.get("f1_score")) is fastnet.metrics.F1Score
    with pytest.raises(ValueError, match="An optimizer is a name or one of fastnet.optimizers; received 3"):
        fastnet.optimizers.get(3)
    with pytest.raises(ValueError, match="Unknown optimizer 'rms_prop'. Did you mean 'rmsprop"):
        fastnet.optimizers.get("rms_prop")
    with pytest.raises(ValueError, match="A schedule is a name or a LearningRateSchedule; received"):
        fastnet.optimizers.schedules.deserialize(saving.serialize_keras_object(layers.Dense(2)))

    class Adam(fastnet.optimizers.Adam):
        pass

    with saving.custom_object_scope({"adam": Adam}):
        assert type(fastnet.optimizers.get("adam")) is Adam
    described = fastnet.optimizers.serialize(fastnet.optimizers.Adam(0.5))
    assert type(fastnet.optimizers.deserialize(described, {"Adam": Adam})) is Adam


def network():
    inner = fastnet.Sequential([layers.Dense(4, "tanh"), layers.BatchNormalization()], name="inner")
    return fastnet.Sequential([layers.Input((5,)), layers.Dense(3, "relu"), inner, layers.Dense(2)], name="outer")


def test_a_network_comes_back():
    model = network()
    again = fastnet.Sequential.from_config(json.loads(model.to_json())["config"])
    assert again.name == "outer" and [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert again.to_json() == model.to_json()
    again.set_weights(model.get_weights())
    x = np.random.default_rng(0).standard_normal((7, 5))
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    with pytest.raises(ValueError, match="'name' and 'layers'"):
        fastnet.Sequential.from_config({})


def test_models_from_texts_and_models():
    model = network()
    for again in (fastnet.models.model_from_json(model.to_json()), fastnet.models.clone_model(model)):
        assert again.to_json() == model.to_json()
        assert not np.array_equal(again.get_weights()[0], model.get_weights()[0])
    with pytest.raises(ValueError, match="describes Dense"):
        fastnet.models.model_from_json(json.dumps(saving.serialize_keras_object(layers.Dense(2))))


def test_a_network_without_input_comes_back_built_or_not():
    model = fastnet.Sequential([layers.Dense(2)])
    assert not fastnet.Sequential.from_config(model.get_config()).built
    model.build((None, 3))
    assert fastnet.Sequential.from_config(model.get_config()).input_shape == (None, 3)


def test_a_nested_network_trains_as_its_layers_do():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((21, 5)), rng.standard_normal((21, 2))
    model = network()
    flat = fastnet.Sequential([layers.Input((5,)), layers.Dense(3, "relu"), layers.Dense(4, "tanh"),
                               layers.BatchNormalization(), layers.Dense(2)])  # fmt: skip
    flat.set_weights(model.get_weights())
    for m in (model, flat):
        m.compile("adam", "mse")
        m.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), flat.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    inner = model.get_layer("inner")
    assert model.get_layer(index=1) is inner and inner.output_shape == (None, 4)
    assert [v.name for v in inner.weights] == ["kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"]
    np.testing.assert_array_equal(inner.predict(np.ones((2, 3)), verbose=0), inner(np.ones((2, 3))))


def test_trainable_goes_down_into_a_nested_network():
    model = network()
    inner = model.get_layer("inner")
    inner.trainable = False
    assert [v.shape for v in model.trainable_weights] == [(5, 3), (3,), (4, 2), (2,)]
    model.compile("sgd", "mse")
    before = inner.get_weights()
    model.fit(np.ones((8, 5)), np.ones((8, 2)), verbose=0)
    for a, b in zip(before, inner.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.trainable = True
    assert all(layer.trainable for layer in inner.layers) and not model.trainable_weights == []
    assert len(model.non_trainable_weights) == 2


def test_a_change_inside_is_seen_outside():
    model = network()
    inner = model.get_layer("inner")
    x = np.random.default_rng(2).standard_normal((3, 5))
    before = model.predict(x, verbose=0)
    inner.add(layers.Rescaling(0.0))
    np.testing.assert_array_equal(
        model.predict(x, verbose=0), np.zeros_like(before) + model.layers[-1].get_weights()[1]
    )
    inner.pop()
    np.testing.assert_array_equal(model.predict(x, verbose=0), before)


def test_what_does_not_fit_is_refused():
    inner = fastnet.Sequential([layers.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"for samples of shape \(4,\); received \(3,\)"):
        fastnet.Sequential([layers.Input((3,)), inner])
    model = fastnet.Sequential([layers.Input((4,)), inner])
    with pytest.raises(ValueError, match=r"for samples of shape \(4,\); received \(2,\)"):
        model.add(inner)  # it may be used again where it fits
    with pytest.raises(ValueError, match=r"built for 4 inputs on the last axis; received samples of shape \(2,\)"):
        model.add(inner.layers[0])
    with pytest.raises(ValueError, match="cannot be a layer of itself"):
        model.add(model)
    first = fastnet.Sequential([inner, layers.Dense(3)])
    assert first.input_shape == (None, 4)
    with pytest.raises(ValueError, match=r"takes samples of shape \(4,\)"):
        first.predict(np.ones((2, 5)), verbose=0)
    with pytest.raises(ValueError, match="Input comes first"):
        model.add(layers.Input((2,)))
    assert model.compute_output_shape((None, 4)) == (None, 2)


def test_the_summary_shows_what_is_nested():
    texts = []
    network().summary(print_fn=texts.append)
    network().summary(print_fn=texts.append, expand_nested=True, show_trainable=True)
    assert "inner (Sequential)" in texts[0] and "BatchNorm" not in texts[0]
    assert "  batch_normalization" in texts[1] and "Trainable" in texts[1]


def test_a_registered_function_without_its_package():
    """So Keras 3.6 and earlier write them."""

    @saving.register_keras_serializable(package="early")
    def written_early(x):
        return x * 2

    config = {"module": "builtins", "class_name": "function", "registered_name": "function"}
    for name in ("written_early", "early>written_early"):
        assert saving.deserialize_keras_object({**config, "config": name}) is written_early
    saving.register_keras_serializable(package="other")(type("Twin", (), {"get_config": dict}))
    with pytest.raises(ValueError, match="Where 'Twin' is yours"):
        saving.deserialize_keras_object({**config, "config": "Twin"})
