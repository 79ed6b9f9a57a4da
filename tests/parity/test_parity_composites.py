"""Composites train as Keras's functional models of the same shape: losses, weights and predictions of float64."""

import warnings

import numpy as np
import pytest

import fastnet
from fastnet import layers as L

from . import test_keras as dense

keras = dense.keras
pytestmark = [*[dense.pytestmark], pytest.mark.parametrize("floatx", ["float64"], indirect=True)]

ROWS, BATCH, EPOCHS = 21, 8, 3
OPTIMIZERS = {
    "SGD": {"learning_rate": 0.02, "momentum": 0.9}, "Adam": {"learning_rate": 0.01},
    "RMSprop": {"learning_rate": 0.01},
    "Adagrad": {"learning_rate": 0.05}, "Nadam": {"learning_rate": 0.01},
}  # fmt: skip


def tanh(lib, units, **more):
    return lib.layers.Dense(units, activation="tanh", **more)


def residual_mlp(K, x):
    for _ in range(3):
        x = K.layers.Add()([K.layers.Dense(6)(tanh(K, 5)(x)), x])
    return x


def merged(name):
    def net(K, x):
        return getattr(K.layers, name)()([tanh(K, 5)(x), K.layers.Dense(5)(K.layers.Dense(4, activation="relu")(x))])

    return net


def twice(K, x):
    layer = tanh(K, 6)
    return layer(layer(x))


def nested(K, x):
    def block(x, depth):
        inner = tanh(K, 6)(x) if depth == 0 else block(x, depth - 1)
        return K.layers.Add()([K.layers.Dense(6)(inner), x])

    return block(x, 3)


def our_nested(depth):
    inner = tanh(fastnet, 6) if depth == 0 else our_nested(depth - 1)
    return L.Residual([inner, L.Dense(6)])


def our_twice():
    layer = tanh(fastnet, 6)
    return [layer, layer]


def normalized(K, x):
    return K.layers.Concatenate()([K.layers.BatchNormalization()(tanh(K, 4)(x)), K.layers.BatchNormalization()(x)])


def projection(K, x):
    return K.layers.Add()([K.layers.Dense(3)(tanh(K, 5)(x)), K.layers.Dense(3, use_bias=False)(x)])


def frozen(K, x):
    a = tanh(K, 6, trainable=False)(x)
    b = K.layers.BatchNormalization(trainable=False)(x)
    return K.layers.Add()([a, b, tanh(K, 6)(x)])


def masked(K, x):
    x = K.layers.Masking()(x)
    return K.layers.Add()([K.layers.Dense(6)(tanh(K, 5)(x)), x])


def half_masked(K, x):
    return K.layers.Concatenate()([tanh(K, 3)(K.layers.Masking()(x)), tanh(K, 2)(x)])


def masks(name, *values):
    """A merge of branches that leave out steps of these values; None leaves out none."""

    def functional(K, x):
        masked_x = [x if value is None else K.layers.Masking(value)(x) for value in values]
        return getattr(K.layers, MERGES[name])()([tanh(K, 3)(one) for one in masked_x])

    def layers():
        return [L.Parallel([[*([] if v is None else [L.Masking(v)]), tanh(fastnet, 3)] for v in values], name)]

    return functional, layers, (4, 6)


def ours(merge):
    return lambda: [
        L.Parallel([tanh(fastnet, 5), [L.Dense(4, activation="relu"), L.Dense(5)]], merge),
    ]


MERGES = {"concat": "Concatenate", "add": "Add", "multiply": "Multiply", "average": "Average", "maximum": "Maximum"}
#: name → (Keras's, ours, shape of a sample)
CASES = {
    "residual": (residual_mlp, lambda: [L.Residual([tanh(fastnet, 5), L.Dense(6)]) for _ in range(3)], (6,)),
    **{merge: (merged(name), ours(merge), (6,)) for merge, name in MERGES.items()},
    "twice": (twice, our_twice, (6,)),
    "nested": (nested, lambda: [our_nested(3)], (6,)),
    "normalized": (
        normalized,
        lambda: [L.Parallel([[tanh(fastnet, 4), L.BatchNormalization()], L.BatchNormalization()])],
        (6,),
    ),
    "projection": (
        projection, lambda: [L.Residual([tanh(fastnet, 5), L.Dense(3)], L.Dense(3, use_bias=False))], (6,),
    ),
    "frozen": (
        frozen,
        lambda: [
            L.Parallel(
                [tanh(fastnet, 6, trainable=False), L.BatchNormalization(trainable=False), tanh(fastnet, 6)], "add"
            )
        ],
        (6,),
    ),
    "ties": (
        lambda K, x: K.layers.Maximum()([K.layers.ReLU()(K.layers.Dense(5)(x)) for _ in range(3)]),
        lambda: [L.Parallel([[L.Dense(5), L.ReLU()] for _ in range(3)], "maximum")],
        (6,),
    ),
    "masked": (masked, lambda: [L.Masking(), L.Residual([tanh(fastnet, 5), L.Dense(6)])], (4, 6)),
    "half masked": (
        half_masked, lambda: [L.Parallel([[L.Masking(), tanh(fastnet, 3)], tanh(fastnet, 2)])], (4, 6),
    ),
    **{f"two masks {merge}": masks(merge, 0.0, 1.0, 0.0) for merge in MERGES},
    **{f"one mask {merge}": masks(merge, 0.0, 0.0) for merge in MERGES},
    **{f"half masked {merge}": masks(merge, 1.0, None, 0.0) for merge in MERGES},
}  # fmt: skip


def trained(model, x, y):
    history = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0).history["loss"]
    return [np.array(history), *map(np.asarray, model.get_weights()), np.asarray(model.predict(x, verbose=0))]


def run(name, optimizer):
    functional, layers, shape = CASES[name]
    start = keras.Input(shape)
    theirs = keras.Model(start, keras.layers.Dense(2)(functional(keras, start)))
    model = fastnet.Sequential([L.Input(shape), *layers(), L.Dense(2)])
    rng = np.random.default_rng(7)
    order = _order(theirs.weights, model.weights)
    values = [rng.normal(size=w.shape) * 0.3 + (w.name == "moving_variance") * 2 for w in model.weights]
    values = [np.abs(v) if w.name == "moving_variance" else v for v, w in zip(values, model.weights)]
    model.set_weights(values)
    theirs.set_weights([values[i] for i in order])
    x, y = rng.normal(size=(ROWS, *shape)), rng.normal(size=(ROWS, *shape[:-1], 2))
    if len(shape) == 2:
        x[rng.random(x.shape[:-1]) < 0.3] = 0.0
        x[rng.random(x.shape[:-1]) < 0.3] = 1.0
    for lib, net in ((keras, theirs), (fastnet, model)):
        net.compile(getattr(lib.optimizers, optimizer)(**OPTIMIZERS[optimizer]), "mse")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted, got = trained(theirs, x, y), trained(model, x, y)
    wanted[1:-1] = [wanted[1 + order.index(i)] for i in range(len(values))]
    for want, have in zip(wanted, got, strict=True):
        np.testing.assert_allclose(have, want, rtol=0, atol=1e-9 * max(np.abs(want).max(), 1e-3))


def _order(theirs, ours):
    """For each of Keras's weights the place of ours: layers of a kind that have equal shapes come in one order."""
    left, order = list(range(len(ours))), []
    for weight in theirs:
        kind = weight.path.split("/")[0].rstrip("_0123456789")
        place = next(
            i for i in left
            if ours[i].shape == tuple(weight.shape) and ours[i].name == weight.name and ours[i].path.startswith(kind)
        )  # fmt: skip
        left.remove(place)
        order.append(place)
    return order


@pytest.mark.parametrize("name", CASES)
def test_same_as_keras(name, floatx):
    run(name, "SGD")


@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name != "SGD"])
@pytest.mark.parametrize("name", ["residual", "concat", "twice"])
def test_same_as_keras_with_other_optimizers(name, optimizer, floatx):
    run(name, optimizer)
