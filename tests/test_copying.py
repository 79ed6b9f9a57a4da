"""Copies and pickles of models: weights, optimizer, compile's arguments and random counters travel, as in Keras 3."""

import copy
import math
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
from numpy import maximum

import fastnet
from fastnet import extend, layers, losses, optimizers
from fastnet._kernels import pasting, portable, registry

from .oracles import same

X = np.random.default_rng(0).normal(size=(37, 3)).astype(np.float32)
Y = X[:, :2] * 2 + 1
COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "oldest pickle": lambda model: pickle.loads(pickle.dumps(model, protocol=0)),
}


class Shifted(layers.Layer):
    """A layer that nobody registered."""

    def __init__(self, by=1.0, **more):
        super().__init__(**more)
        self.by = by

    def forward(self, plan, x):
        return layers.Rescaling(1.0, self.by, dtype=self.dtype).forward(plan, x)

    def backward(self, plan, dy, x, y):
        return dy


def pinched(y_true, y_pred):
    return (y_true - y_pred) * (y_true - y_pred) * 0.5


def falling(step):
    return 0.1 / (1 + step)


def network(*, deferred=False, own=False):
    inner = fastnet.Sequential([layers.Dense(5, "tanh", kernel_regularizer="l2"), layers.Dropout(0.3)], name="inner")
    given = [] if deferred else [layers.Input((3,))]
    return fastnet.Sequential(
        [
            *given,
            layers.GaussianNoise(0.1),
            *([Shifted(0.5)] * own),
            inner,
            layers.BatchNormalization(),
            layers.Dense(2),
        ]
    )


def everything(model):
    """All numbers that training changes."""
    state = model.optimizer.state(model.weights)
    return [*model.get_weights(), *state.values(), model._trainer.seed, model._trainer.epochs_done]


OPTIMIZERS = {
    "adam": lambda model: optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9),
    "nadam": lambda model: optimizers.Nadam(0.01),
    "scheduled": lambda model: optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 3, 0.5), momentum=0.9),
    "accumulating": lambda model: optimizers.SGD(0.1, gradient_accumulation_steps=4),
    "function": lambda model: optimizers.SGD(falling),
    "excluded by name": lambda model: excluding(var_names=["kernel"]),
    "excluded": lambda model: excluding(var_list=model.weights[1:3]),
}


def excluding(**what):
    optimizer = optimizers.AdamW(0.05, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(**what)
    return optimizer


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("how", COPIES)
def test_a_copy_trains_on_to_the_same_bits(how, optimizer):
    model = network(own=True)
    model.compile(OPTIMIZERS[optimizer](model), "mse", metrics=["mae"], weighted_metrics=["mse"])
    model.fit(X, Y, epochs=2, verbose=0, batch_size=8)
    model.layers[0].trainable = False
    twin = COPIES[how](model)
    assert type(twin) is fastnet.Sequential and twin.name == model.name and twin is not model
    assert [layer.name for layer in twin.leaves] == [layer.name for layer in model.leaves]
    assert [layer.trainable for layer in twin.leaves] == [layer.trainable for layer in model.leaves]
    assert same(everything(twin), everything(model))
    assert not any(a is b for a, b in zip(twin.weights, model.weights, strict=True))
    ours, theirs = (m.fit(X, Y, epochs=3, verbose=0, batch_size=8).history for m in (model, twin))
    assert ours == theirs and set(ours) == {"loss", "mae", "mse"}
    assert same(everything(twin), everything(model))
    before = twin.get_weights()
    model.fit(X, Y, verbose=0)
    assert same(before, twin.get_weights())


@pytest.mark.parametrize("how", COPIES)
def test_not_compiled(how):
    model = network()
    twin = COPIES[how](model)
    assert twin.optimizer is None and twin.loss is None and twin.built
    assert same(twin.get_weights(), model.get_weights())
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))


@pytest.mark.parametrize("how", COPIES)
def test_not_built(how):
    empty = COPIES[how](fastnet.Sequential())
    assert not empty.built and empty.layers == []
    model = network(deferred=True)
    twin = COPIES[how](model)
    assert not twin.built and twin.weights == [] and twin.optimizer is None
    model.compile(optimizers.Adam(0.25, clipnorm=2.0), losses.Huber(0.5), loss_weights=2.0, metrics=["mae"])
    twin = COPIES[how](model)
    assert not twin.built and twin.get_compile_config() == model.get_compile_config()
    assert twin._trainer.seed == model._trainer.seed
    for net in (model, twin):
        net.build((None, 3))
    twin.set_weights(model.get_weights())
    ours, theirs = (net.fit(X, Y, epochs=2, verbose=0).history for net in (model, twin))
    assert ours == theirs


@pytest.mark.parametrize("how", COPIES)
def test_a_layer_that_was_built_before_its_model(how):
    norm = layers.Normalization()
    norm.adapt(X)
    model = fastnet.Sequential([norm, fastnet.Sequential([layers.Dense(2)])])
    twin = COPIES[how](model)
    assert not twin.built and same(twin.layers[0].get_weights(), norm.get_weights())
    np.testing.assert_array_equal(twin.layers[0](X), norm(X))
    assert twin.predict(X).shape == (37, 2)


def test_functions_and_classes_that_nobody_registered():
    model = network(own=True)
    model.compile(optimizers.SGD(falling), pinched, metrics=[pinched])
    for how in COPIES.values():
        twin = how(model)
        assert type(twin.layers[1]) is Shifted and twin.layers[1].by == 0.5
        assert twin.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


class Named(fastnet.Sequential):
    """A subclass."""


def test_subclasses_and_what_belongs_to_a_class_stay():
    model = Named([layers.Input((3,)), layers.Dense(2)])
    assert type(copy.deepcopy(model)) is Named
    pair = copy.deepcopy([model, model])
    assert pair[0] is pair[1] and pair[0] is not model


def test_what_has_no_name_is_refused():
    model = network()
    model.compile(optimizers.SGD(lambda step: 0.1), "mse")
    with pytest.raises(TypeError, match="lambda has no name"):
        pickle.dumps(model)


def test_another_process_goes_on(tmp_path):
    fastnet.utils.set_random_seed(3)
    model = network()
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    (tmp_path / "model").write_bytes(pickle.dumps((model, X, Y)))
    program = "import pickle, sys; m, x, y = pickle.load(open(sys.argv[1], 'rb')); h = m.fit(x, y, verbose=0).history"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; print(h['loss'][0].hex())", str(tmp_path / "model")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert float.fromhex(done.stdout) == model.fit(X, Y, verbose=0).history["loss"][0]


SLOPE = 0.25


def part(x):
    return x * SLOPE


def bent(x, most=2.0):
    return part(x) if x < 0 else math.sqrt(x) if x < most else most


def signed(w, g, m, rate, beta):
    m = beta * m + g
    return w - rate * (1 if m > 0 else -1), m


@pytest.fixture
def registered():
    """Three names that this process registers; afterwards the tables are as before."""
    tables = registry.activations, registry.losses, registry.updates
    before = [dict(table) for table in tables]
    fastnet.register_activation("bent", bent)
    fastnet.register_loss("pinched", pinched)
    fastnet.register_optimizer("signed", signed, states=("m",), beta=0.5)
    yield
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)


def test_registered_rules_arrive_in_another_process(registered, tmp_path):
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(5, "bent"), layers.Dense(2)])
    model.compile("signed", "pinched", metrics=["pinched"])
    model.fit(X, Y, verbose=0)
    (tmp_path / "model").write_bytes(pickle.dumps((model, X, Y)))
    program = (
        "import pickle, sys; m, x, y = pickle.load(open(sys.argv[1], 'rb'));"
        "again = pickle.loads(pickle.dumps(m)); h = again.fit(x, y, verbose=0).history;"
        "print(h['loss'][0].hex(), m.layers[0].activation.parameters)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "model")], capture_output=True, text=True, check=True
    )
    loss = model.fit(X, Y, verbose=0).history["loss"][0]
    assert done.stdout == f"{loss.hex()} {{'most': 2.0}}\n"


def test_a_row_that_arrives_replaces_none_of_this_process(registered):
    (theirs,) = portable.registered_rows({"bent"})
    kind, cls, fields = theirs
    mine = registry.activations["bent"]
    portable.adopt([theirs])
    assert registry.activations["bent"] is mine
    del registry.activations["bent"]
    portable.adopt([theirs])
    arrived = registry.activations["bent"]
    assert arrived is not mine and arrived.f(-1.0) == -0.25 and arrived.parameters == {"most": 2.0}
    portable.adopt([(kind, cls, {**fields, "keeps": "y"})])  # a later one, as a worker gets from a changed notebook
    assert registry.activations["bent"].keeps == "y"
    again = fastnet.register_activation("bent", bent)
    portable.adopt([theirs])
    assert registry.activations["bent"] is again


def test_a_copied_rule_makes_the_same_kernel(registered):
    """The text of a kernel, which is its name in the cache, contains the module and the name of each rule."""
    rule = portable.RuleText.of(bent).rule()
    texts: list[dict] = [{}, {}]
    for function, pasted in zip((bent, rule), texts, strict=True):
        pasting.paste(function, "float32", pasted)
    assert texts[0] == texts[1] and len(texts[0]) > 1


def add_difference(total, x, t, power):
    return total + abs(x - t) ** power


def powered(total, power):
    return total


def powered_slope(x, t, total, power):
    return power * (x - t) * abs(x - t) ** (power - 2)


def gaussian(y_true, mean, log_variance):
    return 0.5 * (log_variance + (y_true - mean) ** 2 * math.exp(-log_variance))


def square_of_gradient(w, g, rate):
    return FACTORS.one * g * g


def normalized(w, g, rate, squares):
    return w - rate * g / math.sqrt(squares + 1e-12)


def of_namespaces(x: "number", /, by: (int, float) = 2.0, *, scale: "number" = 0.5) -> float:  # noqa: F821
    return FACTORS.one * MODULE.halved(maximum(x, -by)) + np.clip(x, -scale, scale) + MODULE.FACTOR


FACTORS = types.SimpleNamespace(one=1.0, unread=object())
MODULE = types.ModuleType("nowhere")
MODULE.FACTOR, MODULE.halved = 3.0, bent


@pytest.fixture
def of_many_rules(registered):
    passes = (extend.Pass((0.0,), add_difference, sums=(0,)),)
    fastnet.register_row_loss("powered", extend.RowRule(passes, powered_slope, powered), power=4.0)
    fastnet.register_loss("gaussian", gaussian, outputs=2)
    fastnet.register_optimizer("normalized", normalized, sums={"squares": square_of_gradient})
    fastnet.register_activation("of_namespaces", of_namespaces)


@pytest.mark.slow
def test_rows_of_many_rules_arrive_in_another_process(of_many_rules, tmp_path):
    """Passes, slopes and sums are rules too; a namespace arrives with the members that its rule reads."""
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(4, "of_namespaces")])
    model.compile("normalized", "gaussian")
    model.fit(X, Y, verbose=0)
    powers = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
    powers.compile("sgd", "powered")
    (tmp_path / "models").write_bytes(pickle.dumps((model, powers, X, Y)))
    program = (
        "import pickle, sys; m, p, x, y = pickle.load(open(sys.argv[1], 'rb'));"
        "print(m.fit(x, y, verbose=0).history['loss'][0].hex(), p.evaluate(x, y, verbose=0).hex());"
        "row = p.loss.row.row; print(row.passes[0].sums, row.value.__name__, p.loss.row.parameters)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "models")], capture_output=True, text=True, check=True
    )
    wanted = model.fit(X, Y, verbose=0).history["loss"][0], powers.evaluate(X, Y, verbose=0)
    assert done.stdout == f"{wanted[0].hex()} {wanted[1].hex()}\n(0,) powered {{'power': 4.0}}\n"


@pytest.mark.parametrize("how", COPIES)
def test_layers_alone(how):
    if how == "copy":
        pytest.skip("copy.copy of a layer shares its weights, as of any object")
    layer = layers.Dense(4, "relu", kernel_constraint="non_neg")
    layer.connect((3,))
    twin = COPIES[how](layer)
    assert twin.kernel is twin.variables[0] and twin.kernel is not layer.kernel
    assert twin.kernel.address % 64 == 0  # what kernels rely on
    np.testing.assert_array_equal(twin(X), layer(X))
    twin.kernel.assign(np.zeros((3, 4)))
    assert layer.kernel.numpy().any()
