"""Every public name takes Keras's arguments with Keras's defaults, in Keras's order."""

import inspect

import numpy as np
import pytest

import fastnet

keras = pytest.importorskip("keras")

NAMES = [
    *[f"layers.{n}" for n in ("Activation", "BatchNormalization", "Dense", "Dropout", "Flatten", "ReLU", "Reshape")],
    *[f"layers.{n}" for n in ("Rescaling", "Softmax")],
    *[f"optimizers.{n}" for n in ("SGD", "RMSprop", "Adam")],
    *[f"losses.{n}" for n in ("MeanSquaredError", "MeanAbsoluteError", "BinaryCrossentropy")],
    *[f"losses.{n}" for n in ("CategoricalCrossentropy", "SparseCategoricalCrossentropy")],
    *[f"initializers.{n}" for n in ("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "Constant")],
    *[f"initializers.{n}" for n in ("RandomNormal", "RandomUniform")],
    *[f"Sequential.{n}" for n in ("compile", "fit", "evaluate", "predict", "train_on_batch", "test_on_batch")],
    *[f"Sequential.{n}" for n in ("predict_on_batch", "summary", "set_weights", "pop", "save_weights")],
    "utils.set_random_seed",
]


def arguments(lib, name):
    """{argument: default} without self, *args, **kwargs."""
    target = lib
    for part in name.split("."):
        target = getattr(target, part)
    parameters = inspect.signature(target).parameters.values()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p.default for p in parameters if p.kind not in variadic and p.name != "self"}


def same(a, b):
    return a == b and (isinstance(a, bool) == isinstance(b, bool))


@pytest.mark.parametrize("name", NAMES)
def test_defaults(name):
    """An argument both have has one default; fastnet's come in Keras's order, ahead of any of its own."""
    ours, theirs = arguments(fastnet, name), arguments(keras, name)
    shared = [argument for argument in theirs if argument in ours]
    assert shared, f"{name} shares no argument with Keras: {list(ours)}"
    different = {a: (ours[a], theirs[a]) for a in shared if not same(ours[a], theirs[a])}
    assert not different, f"{name}: (fastnet, Keras) defaults differ: {different}"
    assert list(ours)[: len(shared)] == shared


@pytest.mark.parametrize("validation", [None, "data", "split"])
def test_log_keys_as_callbacks_see_them(validation):
    """`on_epoch_end`, `on_train_batch_end` and History carry Keras's keys (Keras on JAX sorts them)."""
    x, y = np.ones((10, 3), "float32"), np.arange(10) % 2
    options = {"data": {"validation_data": (x, y)}, "split": {"validation_split": 0.3}}.get(validation, {})
    seen = []
    for lib in (keras, fastnet):
        keys = []

        class Watch(lib.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None, keys=keys):
                keys.append(("batch", batch, sorted(logs)))

            def on_epoch_end(self, epoch, logs=None, keys=keys):
                keys.append(("epoch", epoch, sorted(logs)))

        model = lib.Sequential([lib.layers.Input((3,)), lib.layers.Dense(2, activation="softmax")])
        model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[Watch()], **options)
        seen.append((keys, sorted(history.history), history.epoch, history.params))
    assert seen[1] == seen[0]
