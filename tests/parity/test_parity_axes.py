"""Batch renormalization, and layers, losses and metrics along any axis, give Keras's numbers, also in training."""

import numpy as np
import pytest

import fastnet

from . import test_keras as dense
from .test_parity_layers import between, first

keras = dense.keras
pytestmark = dense.pytestmark

LAYERS = {
    "BatchNormalization 1": first(lambda K: K.layers.BatchNormalization(1, momentum=0.7), (4, 3)),
    "BatchNormalization -2 of rank 4": first(lambda K: K.layers.BatchNormalization(-2), (2, 3, 4)),
    "LayerNormalization 1": first(lambda K: K.layers.LayerNormalization(1), (4, 3)),
    "LayerNormalization of axes apart": first(lambda K: K.layers.LayerNormalization([3, 1]), (2, 3, 4)),
    "LayerNormalization 1, size 1": first(lambda K: K.layers.LayerNormalization(1, epsilon=0.1), (1, 7)),
    "GroupNormalization 1": first(lambda K: K.layers.GroupNormalization(3, 1), (6, 5)),
    "GroupNormalization -2 of rank 4": first(
        lambda K: K.layers.GroupNormalization(2, -2), (5, 6, 2), optimizer=dense.optimizer("SGD", 0.01)
    ),
    "UnitNormalization 1": first(lambda K: K.layers.UnitNormalization(1), (4, 3)),
    "UnitNormalization [1, 3]": first(lambda K: K.layers.UnitNormalization([1, 3]), (2, 3, 4)),
    "Softmax [1, 3]": first(lambda K: K.layers.Softmax((1, 3)), (2, 3, 4)),
    "Normalization 1": first(lambda K: K.layers.Normalization(1, mean=[0.5, 1.0], variance=[2.0, 0.5]), (2, 3)),
    "Normalization [1, 3]": first(
        lambda K: K.layers.Normalization([1, 3], mean=[[0.5, 1.0], [2.0, 3.0]], variance=[[2.0, 0.5], [1.0, 3.0]]),
        (2, 3, 2),
    ),
    "renorm": first(lambda K: K.layers.BatchNormalization(renorm=True, renorm_momentum=0.6, momentum=0.8), (3,)),
    "renorm, clipped": first(
        lambda K: K.layers.BatchNormalization(
            renorm=True, renorm_clipping={"rmin": 0.9, "rmax": 1.1, "dmax": 0.2}, renorm_momentum=0.6
        ),
        (4, 3),
    ),
    "renorm, bare, of axis 1": first(
        lambda K: K.layers.BatchNormalization(
            1, renorm=True, renorm_clipping={"rmax": 3.0}, renorm_momentum=0.5, center=False, scale=False
        ),
        (4, 3),
    ),
    "renorm behind Dense": between(lambda K: K.layers.BatchNormalization(renorm=True, renorm_momentum=0.5)),
}


@pytest.mark.parametrize("floatx", ["float64", "float32"], indirect=True)
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, floatx):
    dense.compare(LAYERS[name](name), floatx)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
def test_rms_normalization(floatx):
    """Keras multiplies by scale along the last axis, whatever the axis is: compared where scale is 1."""
    x = np.random.default_rng(0).standard_normal((5, 3, 3))
    ours, theirs = (np.asarray(lib.layers.RMSNormalization(1)(x)) for lib in (fastnet, keras))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
def test_normalization_adapts_along_another_axis(floatx):
    x = np.random.default_rng(0).normal(3, 5, (9, 4, 3))
    made = [lib.layers.Normalization(1) for lib in (fastnet, keras)]
    for layer in made:
        layer.adapt(x)
    ours, theirs = (np.asarray(layer(x)) for layer in made)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)  # Keras computes the moments in float32
    assert made[0].mean.shape == tuple(made[1].mean.shape)


RNG = np.random.default_rng(1)
P, T = RNG.uniform(0.05, 0.95, (2, 5, 4, 3))
WEIGHTS = RNG.uniform(0, 2, (5, 3))
#: Not the sparse one: Keras on JAX refuses labels of another axis.
LOSSES = {
    "CosineSimilarity": {}, "BinaryCrossentropy": {"label_smoothing": 0.2}, "BinaryFocalCrossentropy": {},
    "CategoricalCrossentropy": {"from_logits": True}, "CategoricalFocalCrossentropy": {},
    "Dice": {}, "Tversky": {},
}  # fmt: skip


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", None])
@pytest.mark.parametrize("axis", [1, -2])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_on_arrays(name, axis, reduction, floatx):
    made = [getattr(lib.losses, name)(**LOSSES[name], axis=axis, reduction=reduction) for lib in (fastnet, keras)]
    for weights in (None, WEIGHTS):
        ours, theirs = (np.asarray(loss(T, P, weights)) for loss in made)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("name", ["Dice", "Tversky"])
def test_losses_over_several_axes(name, floatx):
    made = [getattr(lib.losses, name)(axis=(1, 2), reduction=None) for lib in (fastnet, keras)]
    ours, theirs = (np.asarray(loss(T, P)) for loss in made)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def train(lib, name, x, weights):
    """A model whose predictions (4, 3) have their classes along axis 1; what it counted, and its weights."""
    layers = lib.layers
    model = lib.Sequential([layers.Input((3, 6)), layers.Dense(4, "sigmoid"), layers.Permute((2, 1))])
    loss = getattr(lib.losses, name)(**LOSSES[name], axis=1)
    model.compile(lib.optimizers.SGD(0.3), loss, metrics=[lib.metrics.PearsonCorrelation(axis=1)])
    model.set_weights([np.sin(np.arange(24.0)).reshape(6, 4), np.zeros(4)])
    history = model.fit(x, T, batch_size=2, epochs=2, shuffle=False, verbose=0, sample_weight=weights).history
    return [*(history[key] for key in sorted(history)), *model.get_weights()]


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_in_training(name, weighted, floatx):
    x = RNG.standard_normal((5, 3, 6))
    weights = WEIGHTS if weighted else None
    for ours, theirs in zip(*(train(lib, name, x, weights) for lib in (fastnet, keras)), strict=True):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("axis", [1, -2])
def test_metrics(axis, floatx):
    for name in ("CosineSimilarity", "PearsonCorrelation", "ConcordanceCorrelation", "CategoricalCrossentropy"):
        made = [getattr(lib.metrics, name)(axis=axis) for lib in (fastnet, keras)]
        ours, theirs = (float(metric(T, P)) for metric in made)
        assert ours == pytest.approx(theirs, rel=1e-5), name
