"""Optimizers in Keras's form, trained for 3 epochs beside the same code on Keras."""

import inspect
import re
import sys
import types

import numpy as np
import pytest

import fastnet
from fastnet import ops
from tests import optimizer_forms as forms

keras = pytest.importorskip("keras")

OPTIONS = {
    "decay and clipnorm": {"weight_decay": 0.01, "clipnorm": 0.3},
    "accumulated": {"gradient_accumulation_steps": 2},
    "average": {"use_ema": True, "ema_momentum": 0.9, "global_clipnorm": 1.0},
}


def trained(library, optimizer, weights):
    model = library.Sequential(
        [library.layers.Input((5,)), library.layers.Dense(7, activation="tanh"), library.layers.Dense(1)]
    )
    model.compile(optimizer, "mse")
    model.set_weights(weights)
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(19, 5)), rng.normal(size=(19, 1))
    losses = model.fit(x, y, epochs=3, batch_size=4, shuffle=False, verbose=0).history["loss"]
    return losses, model.predict(x, verbose=0), model.get_weights()


def made(library, operations, name, more):
    return forms.makers(forms.classes_of(library, operations))[name](**more)


def compare(ours, theirs):
    """Train with both for three epochs."""
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=shape) / 2 for shape in ((5, 7), (7,), (7, 1), (1,))]
    weights[1][:] = 0  # a norm of 0
    (losses, predictions, values), (expected_losses, expected, expected_values) = (
        trained(library, optimizer, weights) for library, optimizer in ((fastnet, ours), (keras, theirs))
    )
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-9)
    np.testing.assert_allclose(predictions, expected, rtol=1e-9, atol=1e-10)
    for value, wanted in zip(values, expected_values, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("name", forms.CASES)
def test_same_as_keras(floatx, name):
    compare(made(fastnet, ops, name, {}), made(keras, keras.ops, name, {}))


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", ["NAdam", "NovoGrad", "Centralized", "SM3", "Shampoo", "Shared"])
def test_options_of_all_optimizers(floatx, name, option):
    more = OPTIONS[option]
    compare(made(fastnet, ops, name, more), made(keras, keras.ops, name, more))


#: classes of Keras's → arguments
SOURCES = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
    "Adam": [{}, {"amsgrad": True}],
    "RMSprop": [{}, {"centered": True, "momentum": 0.5}],
    "Muon": [{}, {"nesterov": False, "rms_rate": None, "exclude_layers": ["variable_1"]}],
    **{
        name: [{}]
        for name in ("Adagrad", "Adadelta", "Adamax", "Lion", "Lamb", "Ftrl", "ScheduleFreeAdamW", "Adafactor", "Nadam")
    },
}


def from_source(name, monkeypatch):
    """A class of Keras's optimizers with fastnet in the place of what its module imports."""
    source = inspect.getsource(inspect.getmodule(getattr(keras.optimizers, name)))
    source = re.sub(r"^from keras[^\n]*$|^@keras_export\(.*?\)$", "", source, flags=re.MULTILINE | re.DOTALL)
    module = types.ModuleType(f"users_{name.lower()}")
    base = types.SimpleNamespace(Optimizer=fastnet.optimizers.Optimizer, base_optimizer_keyword_args="")
    backend = types.SimpleNamespace(Variable=fastnet.Variable, floatx=fastnet.config.floatx)
    vars(module).update(ops=ops, optimizer=base, initializers=fastnet.initializers, backend=backend)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(source, module.__name__, "exec"), vars(module))
    return getattr(module, name)


@pytest.mark.parametrize("name, more", [(name, more) for name, each in SOURCES.items() for more in each], ids=str)
def test_classes_of_keras_from_their_source(name, more, monkeypatch):
    """After a change of the imports they do what fastnet's own classes do."""
    ours, built_in = from_source(name, monkeypatch)(**more), getattr(fastnet.optimizers, name)(**more)
    rng = np.random.default_rng(6)
    weights = [rng.normal(size=shape) for shape in ((4, 3), (5,), (1,))]
    expected = [w.copy() for w in weights]
    for _ in range(4):
        gradients = [rng.normal(size=w.shape) for w in weights]
        ours.apply(gradients, weights)
        built_in.apply(gradients, expected)
    for weight, wanted in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight, wanted, rtol=1e-12)  # Lamb and Ftrl sum in another order


#: class, arguments
WHOLE = [
    ("Adafactor", {"learning_rate": 0.05}),
    ("Adafactor", {"learning_rate": 0.01, "weight_decay": 0.1, "clipnorm": 0.3}),
    ("Adafactor", {"learning_rate": 0.05, "gradient_accumulation_steps": 2, "use_ema": True}),
    ("Muon", {"learning_rate": 0.02, "adam_weight_decay": 0.1}),
    ("Muon", {"learning_rate": 0.02, "exclude_layers": ["dense"], "gradient_accumulation_steps": 2}),
    ("Muon", {"learning_rate": 0.02, "weight_decay": None, "use_ema": True, "global_clipnorm": 0.5}),
    ("Nadam", {"learning_rate": 0.05}),
    ("Nadam", {"learning_rate": 0.05, "gradient_accumulation_steps": 2, "clipvalue": 0.1}),
]


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("name, more", WHOLE, ids=str)
def test_trains_as_keras_from_its_source(floatx, name, more, monkeypatch):
    """Folds along axes, products, numbers that all weights share, and a decay of the class's own."""
    compare(from_source(name, monkeypatch)(**more), getattr(keras.optimizers, name)(**more))
