"""Models from descriptions, clones, and what a model answers before it is built."""

import json

import numpy as np
import pytest

import fastnet
from fastnet import activations, layers, losses, metrics, models, optimizers, saving


def compiled(*more, **given):
    model = fastnet.Sequential([layers.Input((3,)), *more, layers.Dense(1)])
    model.compile(optimizers.Adam(0.125), losses.mean_squared_error, metrics=["mae", metrics.AUC()], **given)
    return model


@pytest.mark.parametrize("again", [
    lambda model: models.model_from_json(model.to_json()),
    lambda model: saving.deserialize_keras_object(saving.serialize_keras_object(model)),
    lambda model: layers.deserialize(layers.serialize(model)),
    models.clone_model,
    lambda model: models.clone_model(model, clone_function=lambda layer: type(layer).from_config(layer.get_config())),
])  # fmt: skip
def test_a_compiled_model_stays_compiled(again):
    model = compiled(layers.Dense(2, "relu"))
    other = again(model)
    assert other.compiled and other.optimizer is not model.optimizer and other.optimizer.learning_rate == 0.125
    assert other.metrics_names == ["loss", "mae", "auc"] and other.loss.name == "mean_squared_error"
    assert other.name == model.name and [layer.name for layer in other.layers] == [la.name for la in model.layers]
    assert not again(fastnet.Sequential([layers.Input((3,)), layers.Dense(1)])).compiled


def test_a_file_may_be_loaded_without_compiling(tmp_path):
    compiled().save(tmp_path / "m.fastnet")
    assert saving.load_model(tmp_path / "m.fastnet").compiled
    assert not saving.load_model(tmp_path / "m.fastnet", compile=False).compiled


def test_a_clone_by_a_function():
    def frozen(layer):
        seen.append(layer)
        return type(layer).from_config(layer.get_config() | {"trainable": False})

    seen = []
    nested = fastnet.Sequential([layers.Dense(2), layers.Dense(2)])
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2), nested])
    clone = models.clone_model(model, clone_function=frozen)
    assert seen == model.layers and not clone.compiled and clone.input_shape == (None, 3)
    assert not clone.layers[0].trainable and clone.layers[0].kernel is not model.layers[0].kernel
    seen.clear()
    models.clone_model(model, clone_function=frozen, recursive=True)
    assert seen == [model.layers[0], *nested.layers]
    deferred = fastnet.Sequential([layers.Dense(1)])
    deferred.build((None, 4))
    assert models.clone_model(deferred, clone_function=frozen).input_shape == (None, 4)
    with pytest.raises(ValueError, match="takes layers, received None"):
        models.clone_model(model, clone_function=lambda layer: None)
    with pytest.raises(ValueError, match="clone_model: input_tensors is not supported"):
        models.clone_model(model, [1])
    with pytest.raises(ValueError, match="clone_model takes a Sequential, received 3"):
        models.clone_model(3)


def test_a_model_that_is_not_built_answers():
    model = fastnet.Sequential([layers.Dense(3)])
    assert not hasattr(model, "input_shape") and not hasattr(model, "output_shape")
    with pytest.raises(AttributeError, match="not built yet: its input's shape is unknown. Put fastnet.layers.Input"):
        _ = model.input_shape
    assert model.metrics == [] and model.metrics_names == ["loss"]
    auc = metrics.AUC()
    model.compile("sgd", "mse", metrics=["accuracy", auc], weighted_metrics=["mae"])
    assert model.metrics_names == ["loss", "accuracy", "auc", "mae"] and model.metrics[1] is auc
    model.build((None, 2))
    assert isinstance(model.metrics[0], metrics.CategoricalAccuracy) and hasattr(model, "input_shape")


FUNCTION = {"module": "builtins", "class_name": "function", "registered_name": "function"}  # as Keras writes it


def test_functions_of_keras_in_descriptions():
    def named(name):
        return FUNCTION | {"config": name}

    assert saving.deserialize_keras_object(named("relu")) is activations.relu
    assert saving.deserialize_keras_object(named("huber")) is losses.huber
    assert saving.deserialize_keras_object(named("binary_accuracy")) is metrics.binary_accuracy
    assert activations.deserialize(named("tanh")).name == "tanh"
    assert layers.Dense(2, activation=named("softmax")).activation is activations.softmax
    assert losses.deserialize(named("mean_squared_error"))([[1.0]], [[3.0]]) == 4.0
    assert isinstance(metrics.deserialize(named("binary_accuracy")), metrics.BinaryAccuracy)
    for name in ("get", "serialize", "np", "Sequential.fit"):
        with pytest.raises(ValueError, match=f"Where '{name}' is yours, register it"):
            saving.deserialize_keras_object(named(name))


def test_registered_functions_in_descriptions():
    def doubled_tanh(x):
        return 2 * x

    fastnet.register_activation("doubled_tanh", doubled_tanh)
    assert activations.deserialize(FUNCTION | {"config": "doubled_tanh"})([1.0]).tolist() == [2.0]
    custom = {"mine": doubled_tanh}
    assert saving.deserialize_keras_object(FUNCTION | {"config": "mine"}, custom) is doubled_tanh
    assert activations.deserialize(FUNCTION | {"config": "mine"}, custom)([1.0]).tolist() == [2.0]


@pytest.mark.parametrize(
    "value", [b"", b"\xc3\xa4", slice(None), slice(1, None, -2), ..., (..., [slice(3)], {"a": b"b"})]
)
def test_other_constants_of_python(value):
    described = json.loads(json.dumps(saving.serialize_keras_object(value)))
    assert saving.deserialize_keras_object(described) == value


def test_bytes_that_are_no_text():
    with pytest.raises(TypeError, match="an array of uint8 can hold others"):
        saving.serialize_keras_object(b"\xff")


DENSE = {"class_name": "Dense", "config": {"units": 2}}
WRONG = [
    (DENSE | {"config": [1]}, r"Dense.from_config takes a dictionary {argument: value}.*received \[1\]"),
    (DENSE | {"config": {1: 2}}, r"Dense.from_config takes a dictionary {argument: value}.*received {1: 2}"),
    (DENSE | {"module": 5}, "'module' must be of str or None, received 5"),
    (DENSE | {"registered_name": 5}, "'registered_name' must be of str or None, received 5"),
    ({"class_name": 5}, "'class_name' must be of str, received 5"),
    ({"class_name": "function"}, "'config' must be of str, received None"),
    ({"class_name": "__tuple__"}, "'items' must be of list, received None"),
    ({"class_name": "__slice__", "config": 1}, "'config' must be of dict, received 1"),
    ({"class_name": "__bytes__", "config": {}}, "has the entry 'value', a text, received {}"),
    ({"class_name": "__slice__", "config": {"start": 1}}, "has the entries 'start', 'stop' and 'step', received"),
    ({"class_name": "__shared__", "shared_object_id": 7}, "names the shared layer 7, which it does not describe"),
    ({"class_name": "__numpy__", "config": {"value": 1}}, "has the entries 'value' and 'dtype', received {'value': 1}"),
    ({"class_name": "Sequential", "config": {"name": "a"}}, "has the entries 'name' and 'layers', received"),
]


@pytest.mark.parametrize("config, message", WRONG)
def test_a_description_of_the_wrong_type(config, message):
    with pytest.raises(ValueError, match=message) as caught:
        saving.deserialize_keras_object(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cls", [layers.Dense, losses.Huber, optimizers.Adam, metrics.AUC, fastnet.Sequential])
@pytest.mark.parametrize("config", [5, None, "x", [1]])
def test_from_config_of_the_wrong_type(cls, config):
    with pytest.raises(ValueError, match=rf"{cls.__name__}.from_config.*received "):
        cls.from_config(config)


@pytest.mark.parametrize("text, message", [
    (5, "takes a text, as to_json gives it; received 5"),
    ("[", "the text is not JSON"),
    (json.dumps(DENSE), "the text describes Dense, and not a Sequential"),
    ("[]", "the text describes list"),
])  # fmt: skip
def test_a_text_that_does_not_describe_a_model(text, message):
    with pytest.raises(ValueError, match=f"model_from_json.*{message}"):
        models.model_from_json(text)


def test_a_layer_as_activation():
    x = np.linspace(-2, 2, 5, dtype="float32")[:, None]
    for layer, name in ((layers.LeakyReLU(0.5), "leaky_relu"), (layers.ReLU(), "relu"), (layers.Softmax(), "softmax")):
        dense = layers.Dense(1, activation=layer, kernel_initializer="ones")
        np.testing.assert_allclose(dense(x), layer(x), rtol=1e-6)
        again = layers.Dense.from_config(dense.get_config())
        assert again.activation.name == name
    described = layers.Dense(2, activation=layers.serialize(layers.LeakyReLU(0.25)))  # as Keras describes it
    assert described.activation.parameters == {"negative_slope": 0.25}
    for layer in (layers.PReLU(), layers.Dropout(0.5), layers.Dense(1)):
        with pytest.raises(ValueError, match="activation: .*a layer that is one function, such as LeakyReLU; received"):
            layers.Dense(1, activation=layer)
