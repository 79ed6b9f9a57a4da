"""Every layer, activation, initializer, regularizer and constraint gives Keras's numbers.

One row of `CASES` is one model; it is trained and compared as in `test_keras`.
"""

import json

import numpy as np
import pytest

import fastnet

from . import test_keras as dense

Case, FEATURES = dense.Case, dense.FEATURES
keras = dense.keras
pytestmark = dense.pytestmark


def library(L):
    """The library of a module of layers."""
    return fastnet if L is fastnet.layers else keras


def between(make, shape=(FEATURES,), flat=False):
    """A case: Dense(5), then the layer, then Dense(3)."""

    def stack(L):
        return [L.Dense(5, activation="tanh"), make(library(L)), *[L.Flatten() for _ in range(flat)], L.Dense(3)]

    return lambda name: Case(name, stack, shape=shape)


def first(make, shape, **data):
    """A case: the layer, Flatten, Dense(3)."""
    return lambda name: Case(name, lambda L: [make(library(L)), L.Flatten(), L.Dense(3)], shape=shape, **data)


def of_dense(**arguments):
    """A case: a Dense with these arguments, those made by a function of the library where they are one."""

    def stack(L):
        made = {name: value(library(L)) if callable(value) else value for name, value in arguments.items()}
        return [L.Dense(5, activation="tanh", **made), L.Dense(3)]

    return lambda name: Case(name, stack)


def regularizer(cls, *numbers):
    return lambda lib: getattr(lib.regularizers, cls)(*numbers)


def constraint(cls, *numbers, **named):
    return lambda lib: getattr(lib.constraints, cls)(*numbers, **named)


ACTIVATIONS = [
    *("elu", "selu", "softplus", "softsign", "exponential", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh"),
    *("mish", "celu", "relu6", "log_sigmoid", "log_softmax", "swish"),
    *("hard_shrink", "soft_shrink", "tanh_shrink", "sparse_plus", "sparse_sigmoid", "squareplus"),
]

TABLE = {
    **{f"activation {a}": between(lambda K, a=a: K.layers.Activation(a)) for a in ACTIVATIONS},
    "LeakyReLU": between(lambda K: K.layers.LeakyReLU(0.2)),
    "ELU": between(lambda K: K.layers.ELU(0.5)),
    "PReLU": between(lambda K: K.layers.PReLU("ones")),
    "PReLU, shared": between(lambda K: K.layers.PReLU("ones", shared_axes=[1]), (2, FEATURES), True),
    "PReLU, images": first(lambda K: K.layers.PReLU(alpha_regularizer="l2", shared_axes=[1, 2]), (2, 3, 4)),
    "Permute": first(lambda K: K.layers.Permute((3, 1, 2)), (2, 3, 4)),
    "Permute after Dense": between(lambda K: K.layers.Permute((2, 1)), (2, FEATURES), True),
    "RepeatVector": between(lambda K: K.layers.RepeatVector(3), flat=True),
    "Identity": between(lambda K: K.layers.Identity()),
    "Dropout(0), noise_shape": between(lambda K: K.layers.Dropout(0.0, noise_shape=(None, 1))),
    "GaussianNoise(0)": between(lambda K: K.layers.GaussianNoise(0.0)),
    "ActivityRegularization": between(lambda K: K.layers.ActivityRegularization(0.03, 0.05)),
    "LayerNormalization": between(lambda K: K.layers.LayerNormalization()),
    "LayerNormalization, two axes": between(lambda K: K.layers.LayerNormalization(axis=[1, 2]), (2, FEATURES), True),
    "LayerNormalization, arguments": between(
        lambda K: K.layers.LayerNormalization(
            epsilon=0.1, center=False, gamma_regularizer="l1", gamma_constraint="max_norm"
        )
    ),
    "LayerNormalization, bare": between(lambda K: K.layers.LayerNormalization(center=False, scale=False)),
    "GroupNormalization": between(
        lambda K: K.Sequential([K.layers.Dense(6), K.layers.GroupNormalization(3)]), (2, 3, FEATURES), True
    ),
    "GroupNormalization first": first(
        lambda K: K.layers.GroupNormalization(3, axis=3, gamma_regularizer="l1", beta_regularizer="l2"), (5, 2, 6),
        optimizer=dense.optimizer("SGD", 0.01),
    ),
    "GroupNormalization of vectors": between(
        lambda K: K.layers.GroupNormalization(1, epsilon=0.1, gamma_constraint="max_norm", beta_constraint="non_neg")
    ),
    "GroupNormalization of instances": first(lambda K: K.layers.GroupNormalization(-1, center=False), (7, 3)),
    "GroupNormalization, bare": first(lambda K: K.layers.GroupNormalization(2, scale=False, center=False), (3, 4)),
    **{
        f"CategoryEncoding {mode} of {shape}": first(
            lambda K, m=mode: K.layers.CategoryEncoding(256, m), (shape,), x_dtype="uint8"
        )
        for mode, shape in [("one_hot", 1), ("one_hot", 3), ("multi_hot", 5), ("count", 20), ("count", 1)]
    },
    "EinsumDense of steps": first(
        lambda K: K.layers.EinsumDense("abc,cd->abd", (5, 4), "relu", "d", kernel_regularizer="l2"), (5, 3)
    ),
    "EinsumDense of heads": first(lambda K: K.layers.EinsumDense("abc,cde->abde", (5, 2, 4), None, "de"), (5, 3)),
    "EinsumDense of heads, one bias": first(
        lambda K: K.layers.EinsumDense("...c,cde->...de", (2, 4), "tanh", "e", kernel_constraint="max_norm"), (5, 3)
    ),
    "EinsumDense joins heads": first(lambda K: K.layers.EinsumDense("abcd,cde->abe", (5, 4), None, "e"), (5, 2, 3)),
    "EinsumDense, permuted": first(
        lambda K: K.layers.EinsumDense("abcd,ec->aebd", (6, 5, 2), None, "bd"), (5, 3, 2)
    ),
    "EinsumDense of vectors": between(lambda K: K.layers.EinsumDense("ab,bc->ac", 4, "softmax", "c")),
    "RMSNormalization": between(lambda K: K.layers.RMSNormalization()),
    "UnitNormalization": between(lambda K: K.layers.UnitNormalization()),
    "UnitNormalization, rank 3": between(lambda K: K.layers.UnitNormalization(axis=[1, 2]), (2, FEATURES), True),
    "Normalization": first(lambda K: K.layers.Normalization(mean=[0.5, 1.0, -1.0], variance=[2.0, 0.5, 0.1]), (2, 3)),
    "Normalization, inverted": first(
        lambda K: K.layers.Normalization(axis=None, mean=0.5, variance=2.0, invert=True), (2, 3)
    ),
    "BatchNormalization, arguments": between(
        lambda K: K.layers.BatchNormalization(
            beta_regularizer="l2", gamma_regularizer="l1", beta_constraint="non_neg", gamma_constraint="unit_norm"
        )
    ),
    "BatchNormalization, frozen": between(lambda K: K.layers.BatchNormalization(trainable=False)),
    "nested": between(lambda K: K.Sequential([K.layers.Dense(4, activation="relu"), K.layers.BatchNormalization()])),
    "nested twice": between(
        lambda K: K.Sequential([K.Sequential([K.layers.Dense(4)]), K.layers.Dense(6), K.layers.LayerNormalization()])
    ),
    "frozen Dense": of_dense(trainable=False, kernel_regularizer="l2"),
    "kernel l1": of_dense(kernel_regularizer=regularizer("L1", 0.02)),
    "kernel l2 by name": of_dense(kernel_regularizer="l2"),
    "kernel and bias l1 l2": of_dense(kernel_regularizer=regularizer("L1L2", 0.01, 0.03), bias_regularizer="l1"),
    "activity l2": of_dense(activity_regularizer=regularizer("L2", 0.05)),
    "activity l1": of_dense(activity_regularizer=regularizer("L1", 0.05)),
    "orthogonal rows": of_dense(kernel_regularizer=regularizer("OrthogonalRegularizer", 0.2)),
    "orthogonal columns": of_dense(kernel_regularizer=regularizer("OrthogonalRegularizer", 0.2, "columns")),
    "MaxNorm": of_dense(kernel_constraint=constraint("MaxNorm", 0.7), bias_constraint="max_norm"),
    "MaxNorm of rows": of_dense(kernel_constraint=constraint("MaxNorm", 1, axis=1)),
    "UnitNorm": of_dense(kernel_constraint="unit_norm"),
    "MinMaxNorm": of_dense(kernel_constraint=constraint("MinMaxNorm", 0.5, 0.8, 0.3)),
    "NonNeg": of_dense(kernel_constraint="non_neg", bias_constraint="NonNeg"),
}  # fmt: skip
CASES = [case(name) for name, case in TABLE.items()]


@pytest.mark.parametrize("floatx", ["float64", pytest.param("float32", marks=pytest.mark.thorough)], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_as_keras(case, floatx):
    dense.compare(case, floatx)


RANDOM = {  # layer: (arguments, its standard deviation where every x is 1, and the mean)
    "GaussianNoise": ((0.5,), 0.5, 1.0),
    "GaussianDropout": ((0.2,), 0.5, 1.0),
}


@pytest.mark.parametrize("name", [*RANDOM, "AlphaDropout", "Dropout"])
def test_random_layers_by_their_moments(name):
    """Over 200,000 draws mean, variance and kurtosis are Keras's; each within five standard errors, or 1 %."""
    arguments = RANDOM.get(name, ((0.3,),))[0]
    x = np.ones((2000, 100), "float32")
    theirs = np.asarray(getattr(keras.layers, name)(*arguments, seed=1)(x, training=True), float)
    ours = noisy(name, arguments, x)
    for moment in (np.mean, np.var, lambda v: (((v - v.mean()) / v.std()) ** 4).mean()):
        assert moment(ours) == pytest.approx(moment(theirs), rel=0.02, abs=5 / np.sqrt(x.size))
    if name.startswith("Gaussian"):
        _, deviation, mean = RANDOM[name]
        assert ours.mean() == pytest.approx(mean, abs=5 * deviation / np.sqrt(x.size))
        assert ours.std() == pytest.approx(deviation, rel=0.01)
    else:
        np.testing.assert_allclose(np.unique(ours), np.unique(theirs), rtol=1e-6, atol=1e-7)


def noisy(name, arguments, x):
    """What fastnet's layer gives in training."""
    from fastnet.testing.plans import LayerRun

    run = LayerRun(lambda: getattr(fastnet.layers, name)(*arguments, seed=1), "float32", x.shape[1:], len(x))
    return run(x, x)[0].astype(float)


INITIALIZERS = {
    "GlorotUniform": (), "GlorotNormal": (), "HeUniform": (), "HeNormal": (), "LecunUniform": (), "LecunNormal": (),
    "RandomNormal": (0.5, 2.0), "RandomUniform": (-1.0, 3.0), "TruncatedNormal": (0.5, 2.0),
    "VarianceScaling": (2.0, "fan_out", "untruncated_normal"), "Orthogonal": (1.5,), "Identity": (2.0,),
    "Constant": (0.5,), "Ones": (), "Zeros": (),
}  # fmt: skip


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers_by_their_moments(name):
    """60,000 draws: mean, deviation, extremes and kurtosis are Keras's."""
    seed = {} if name in ("Identity", "Constant", "Ones", "Zeros") else {"seed": 3}
    shape = (300, 200)
    theirs = np.asarray(getattr(keras.initializers, name)(*INITIALIZERS[name], **seed)(shape, dtype="float32"), float)
    ours = getattr(fastnet.initializers, name)(*INITIALIZERS[name], **seed)(shape, "float32").astype(float)
    scale = max(theirs.std(), 1e-12)
    assert ours.mean() == pytest.approx(theirs.mean(), abs=8 * scale / np.sqrt(ours.size))
    assert ours.std() == pytest.approx(theirs.std(), rel=0.015, abs=1e-12)
    assert ours.max() == pytest.approx(
        theirs.max(), abs=(0.8 if "RandomNormal" in name or "Scaling" in name else 0.25) * scale
    )
    if name == "Orthogonal":
        np.testing.assert_allclose(ours.T @ ours, theirs.T @ theirs, atol=1e-4)


@pytest.mark.parametrize("floatx", ["float32"], indirect=True)
@pytest.mark.parametrize("case", [case for case in CASES if "orthogonal" not in case.name], ids=lambda case: case.name)
def test_a_description_of_keras_is_read(case, floatx):
    """`from_config` takes what Keras's `get_config` gives, and the model predicts the same."""
    theirs = dense.build(keras, case)
    ours = fastnet.Sequential.from_config(json.loads(theirs.to_json())["config"])
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    ours.set_weights(theirs.get_weights())
    x = dense.inputs(case, 5, np.random.default_rng(0))
    np.testing.assert_allclose(ours.predict(x, verbose=0), np.asarray(theirs(x)), rtol=2e-5, atol=2e-6)
    again = keras.Sequential.from_config(json.loads(json.dumps(readable(ours.get_config()))))
    assert [type(layer).__name__ for layer in again.layers] == [type(layer).__name__ for layer in theirs.layers]


def readable(config):
    """A description of ours under Keras's names of modules."""
    if isinstance(config, dict):
        if config.get("class_name") == "__tuple__":
            return tuple(readable(item) for item in config["items"])
        own = {key: readable(value) for key, value in config.items()}
        module = own.get("module")
        return {**own, "module": module.replace("fastnet", "keras")} if isinstance(module, str) else own
    return [readable(item) for item in config] if isinstance(config, list) else config


def test_adapt():
    x = np.random.default_rng(0).normal(3.0, 5.0, (37, 4, 3)).astype("float32")
    seen = []
    for lib in (keras, fastnet):
        layer = lib.layers.Normalization()
        layer.adapt(x)
        found = (layer(x), layer.mean, layer.variance, *layer.get_weights())
        seen.append([np.asarray(each, float) for each in found])
    for ours, theirs in zip(seen[1], seen[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
