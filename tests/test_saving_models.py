"""Whole models in files: what comes back predicts and goes on training with the same bits."""

import json
import zipfile

import numpy as np
import pytest

import fastnet
from fastnet import layers, saving
from fastnet.saving import SavedFileError, load_model

from .oracles import same


def data(rows=90, targets=3):
    rng = np.random.default_rng(5)
    return rng.normal(size=(rows, 6)).astype(np.float32), rng.integers(0, targets, rows)


def network(optimizer="adam", **compiled):
    model = fastnet.Sequential(
        [
            layers.Input((6,)),
            layers.Rescaling(0.5),
            layers.Dense(8, activation="relu", kernel_initializer="he_normal"),
            layers.BatchNormalization(momentum=0.9),
            layers.Dropout(0.3),
            layers.Dense(3),
        ],
        name="mine",
    )
    loss = fastnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], **compiled)
    return model


def everything(model):
    optimizer = model.optimizer
    return [*model.get_weights(), *optimizer.state(model.weights).values()]


O = fastnet.optimizers  # noqa: E741
OPTIMIZERS = {
    "sgd": lambda: O.SGD(0.1),
    "nesterov": lambda: O.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: O.RMSprop(1e-3, centered=True, momentum=0.5),
    "adam": lambda: O.Adam(2e-3, beta_1=0.8, amsgrad=True),
    "adamw": lambda: O.AdamW(1e-3, weight_decay=0.01, clipnorm=1.0),
    "nadam": lambda: O.Nadam(1e-3),
    "average": lambda: O.Adam(1e-3, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=7),
    "accumulated": lambda: O.Adam(1e-3, gradient_accumulation_steps=3),
    "schedule": lambda: O.Adam(O.schedules.ExponentialDecay(0.01, 10, 0.9, staircase=True)),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_loaded_model_goes_on_with_the_same_bits(make, tmp_path):
    x, y = data()
    model = network(make())
    model.fit(x, y, 16, epochs=2, verbose=0)
    model.save(tmp_path / "model.fastnet")
    loaded = load_model(str(tmp_path / "model.fastnet"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.fastnet"]
    assert loaded.name == "mine" and [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert same(everything(model), everything(loaded))
    assert np.array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))
    histories = [m.fit(x, y, 16, epochs=2, verbose=0, validation_split=0.1).history for m in (model, loaded)]
    assert histories[0] == histories[1]
    assert same(everything(model), everything(loaded))


def test_configurations_come_back(tmp_path):
    model = network(loss_weights=0.5, weighted_metrics=["accuracy", fastnet.metrics.SparseTopKCategoricalAccuracy(2)])
    model.save(tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    assert loaded.get_config() == model.get_config()
    assert loaded.get_compile_config() == model.get_compile_config()
    assert loaded.loss.from_logits
    json.dumps([model.get_config(), model.get_compile_config()])


def test_not_compiled(tmp_path):
    model = fastnet.Sequential([layers.Input((6,)), layers.Dense(2)])
    assert model.get_compile_config() is None
    model.save(tmp_path / "m")
    assert load_model(tmp_path / "m").optimizer is None
    trained = network()
    trained.fit(*data(), verbose=0)
    trained.save(tmp_path / "t")
    bare = load_model(tmp_path / "t", compile=False)
    assert bare.optimizer is None and same(bare.get_weights(), trained.get_weights())


def test_nested_and_frozen(tmp_path):
    inner = fastnet.Sequential([layers.Input((6,)), layers.Dense(4, activation="tanh")])
    frozen = layers.Dense(4, trainable=False)
    model = fastnet.Sequential([inner, frozen, layers.Dense(3)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save(tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    x, y = data()
    assert same(model.get_weights(), loaded.get_weights())
    assert [layer.trainable for layer in loaded.layers] == [True, False, True]
    for m in (model, loaded):
        m.compile("sgd", fastnet.losses.SparseCategoricalCrossentropy(from_logits=True))
        m._trainer.seed = 1
        m.fit(x, y, verbose=0)
    assert same(model.get_weights(), loaded.get_weights())


@saving.register_keras_serializable("tests")
class Doubled(layers.Dense):
    """A layer of the user's, registered."""


class Unregistered(layers.Dense):
    """A layer of the user's."""


def test_layers_of_the_users(tmp_path):
    for cls in (Doubled, Unregistered):
        model = fastnet.Sequential([layers.Input((6,)), cls(2)])
        model.save(tmp_path / cls.__name__)
    assert isinstance(load_model(tmp_path / "Doubled").layers[0], Doubled)
    with pytest.raises(SavedFileError, match="register_keras_serializable.*Unknown class or function 'Unregistered'"):
        load_model(tmp_path / "Unregistered")
    loaded = load_model(tmp_path / "Unregistered", custom_objects={"Unregistered": Unregistered})
    assert isinstance(loaded.layers[0], Unregistered)


def test_weights_are_loaded_from_models_and_the_other_way_round_is_refused(tmp_path):
    x, y = data()
    model = network()
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model")
    model.save_weights(tmp_path / "weights")
    for name in ("model", "weights"):
        other = network()
        other.load_weights(tmp_path / name)
        assert same(everything(model), everything(other))
    with pytest.raises(SavedFileError, match="is a file of fastnet weights, not of fastnet model"):
        load_model(tmp_path / "weights")


def test_weights_without_what_the_optimizer_knows(tmp_path):
    model, other = network(), network("sgd")
    model.fit(*data(), verbose=0)
    model.save_weights(tmp_path / "w")
    with pytest.warns(UserWarning, match=r"Only the weights are loaded.*Adam.*\(SGD\)"):
        other.load_weights(tmp_path / "w")
    assert same(model.get_weights(), other.get_weights()) and other.optimizer.iterations == 0
    plain = fastnet.Sequential([layers.Input((6,)), layers.Dense(8), layers.BatchNormalization(), layers.Dense(3)])
    plain.load_weights(tmp_path / "w")
    assert same(model.get_weights(), plain.get_weights())


def test_skip_mismatch(tmp_path):
    model = network()
    model.fit(*data(), verbose=0)
    model.save_weights(tmp_path / "w")
    other = fastnet.Sequential(
        [layers.Input((6,)), layers.Dense(8), layers.BatchNormalization(), layers.Dense(5, name="head")]
    )
    other.compile("adam", "mse")
    head = other.layers[-1].get_weights()
    with pytest.raises(SavedFileError, match="another model"):
        other.load_weights(tmp_path / "w")
    with pytest.warns(UserWarning, match="no fitting weights for head") as caught:
        other.load_weights(tmp_path / "w", skip_mismatch=True)
    assert len(caught) == 1 and not other.optimizer.states  # what the optimizer remembers is of all weights or none
    assert same(other.get_weights()[:6], model.get_weights()[:6]) and same(other.layers[-1].get_weights(), head)


def test_bad_arguments(tmp_path):
    model = network()
    model.save(tmp_path / "m")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(tmp_path / "m", overwrite=False)
    with pytest.raises(ValueError, match="zipped"):
        model.save(tmp_path / "m", zipped=False)
    with pytest.raises(ValueError, match="max_shard_size"):
        model.save_weights(tmp_path / "m", max_shard_size=1)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none")
    with pytest.raises(ValueError, match="no weights yet"):
        fastnet.Sequential([layers.Dense(1)]).save(tmp_path / "n")
    lambda_model = fastnet.Sequential(
        [layers.Input((6,)), layers.Dense(1, kernel_initializer=lambda s, dtype: np.ones(s))]
    )
    with pytest.raises(TypeError, match="lambda has no name"):
        lambda_model.save(tmp_path / "n")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_every_truncation_is_refused(tmp_path):
    network().save(tmp_path / "m")
    whole = (tmp_path / "m").read_bytes()
    for length in [0, 4, 100, *range(200, len(whole), 997), len(whole) - 1]:
        (tmp_path / "m").write_bytes(whole[:length])
        with pytest.raises(SavedFileError, match="damaged"):
            load_model(tmp_path / "m")


def altered(path, change):
    """A model's file with another description."""
    import io

    with np.load(path) as file:
        about, arrays = json.loads(bytes(file["about"])), {k: file[k] for k in file.files if k != "about"}
    change(about)
    buffer = io.BytesIO()
    np.savez(buffer, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    path.write_bytes(buffer.getvalue())


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda a: a.update(version=99), "has version 99 of the format, this fastnet reads version 1"),
        (lambda a: a.update(format="other"), "format is 'other'"),
        (lambda a: a["content"].pop("model"), "KeyError"),
        (lambda a: a["content"].pop("weights"), "KeyError"),
        (lambda a: a["content"].update(weights=[], names=[]), "another model"),
        (lambda a: a["content"]["model"].update(class_name="Popen", module="subprocess"), "Unknown class"),
        (lambda a: a["content"]["model"].update(class_name="NonFiniteError", module="fastnet"), "Unknown class"),
        (lambda a: a["content"]["model"]["config"].update(layers=3), "does not hold a model"),
        (lambda a: a["content"]["optimizer"].pop("iterations"), "another optimizer"),
        (lambda a: a["content"].update(seed="x"), "ValueError"),
    ],
)
def test_descriptions_that_make_no_sense(change, message, tmp_path):
    network().save(tmp_path / "m")
    altered(tmp_path / "m", change)
    with pytest.raises(SavedFileError, match=message):
        load_model(tmp_path / "m")


def test_the_file_is_a_zip_of_arrays_and_no_pickle(tmp_path):
    network().save(tmp_path / "m")
    with zipfile.ZipFile(tmp_path / "m") as file:
        assert file.testzip() is None
        assert all(name.endswith(".npy") for name in file.namelist())
        assert not any(b"|O" in file.read(name)[:128] for name in file.namelist())


# ---- objects as plain data


def half(x):
    return x / 2


def test_plain_values_round_trip():
    values = {"a": [1, 2.5, "x", None, True], "b": (1, (2, 3)), "c": np.arange(6, dtype=np.int16).reshape(2, 3)}
    back = saving.deserialize_keras_object(json.loads(json.dumps(saving.serialize_keras_object(values))))
    assert back["a"] == values["a"] and back["b"] == values["b"]
    assert np.array_equal(back["c"], values["c"]) and back["c"].dtype == np.int16


def test_names():
    config = saving.serialize_keras_object(Doubled(3))
    assert (config["class_name"], config["registered_name"], config["module"]) == ("Doubled", "tests>Doubled", None)
    assert saving.serialize_keras_object(layers.Dense(3))["module"] == "fastnet.layers"
    assert saving.get_registered_object("tests>Doubled") is Doubled is saving.get_custom_objects()["tests>Doubled"]
    assert saving.get_registered_name(Unregistered) == "Unregistered"
    assert saving.get_registered_object("half") is None
    with saving.CustomObjectScope({"half": half}):
        assert saving.get_registered_object("half") is half
        assert saving.deserialize_keras_object(saving.serialize_keras_object(half)) is half
    with pytest.raises(ValueError, match="Unknown class or function 'half'"):
        saving.deserialize_keras_object(saving.serialize_keras_object(half))
    assert saving.deserialize_keras_object(saving.serialize_keras_object(half), {"half": half}) is half


def test_what_cannot_be_described():
    with pytest.raises(TypeError, match="has no get_config"):
        saving.serialize_keras_object(object())
    with pytest.raises(ValueError, match="needs a method get_config"):
        saving.register_keras_serializable()(object)


def test_keras_descriptions_are_read():
    config = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 4}, "registered_name": None}
    assert saving.deserialize_keras_object(config).units == 4
