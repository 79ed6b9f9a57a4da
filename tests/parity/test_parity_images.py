"""Layers of images give Keras's numbers: models of three epochs as in `test_keras`, and where equal elements send their
gradient."""

import itertools

import numpy as np
import pytest

import fastnet
from fastnet.testing.plans import LayerRun

from . import test_keras as dense

keras = dense.keras
pytestmark = dense.pytestmark

SHAPES = {1: (7, 3), 2: (5, 6, 3), 3: (3, 4, 5, 2)}
POOLS = [(2, None, "valid"), (3, 2, "same"), (2, 3, "valid"), (5, 1, "same")]


def layer(name, *arguments, shape=None, **named):
    """A case: Dense(5), the layer, Flatten, Dense(3). Its rate is small enough for the images with most pixels."""

    def stack(L):
        return [L.Dense(5, activation="tanh"), getattr(L, name)(*arguments, **named), L.Flatten(), L.Dense(3)]

    shape, slow = shape or SHAPES[rank_of(name)], dense.optimizer("SGD", 0.001)
    return lambda title: dense.Case(title, stack, shape=shape, optimizer=slow)


def rank_of(name):
    return int(name[-2]) if name[-1] == "D" else 2


def ranks(*kinds):
    return [f"{kind}{n}D" for kind in kinds for n in (1, 2, 3)]


TABLE = {
    **{
        f"{name} {pool[0]} {pool[1]} {pool[2]}": layer(name, *pool)
        for name, pool in itertools.product(ranks("MaxPooling", "AveragePooling"), POOLS)
        if not (pool[2] == "valid" and pool[0] > min(SHAPES[rank_of(name)][:-1]))
    },
    **{name: layer(name) for name in ranks("GlobalMaxPooling", "GlobalAveragePooling", "ZeroPadding", "Cropping")
       if name not in ("Cropping2D",)},
    **{f"{name} keepdims": layer(name, keepdims=True) for name in ranks("GlobalMaxPooling", "GlobalAveragePooling")},
    **{f"{name} 2": layer(name, 2) for name in ranks("AdaptiveMaxPooling", "AdaptiveAveragePooling", "UpSampling")},
    **{f"{name} 0": layer(name, 0.0) for name in ranks("SpatialDropout")},
    "Cropping2D": layer("Cropping2D", ((1, 0), (2, 1))),
    "AdaptiveMaxPooling2D larger": layer("AdaptiveMaxPooling2D", (7, 4)),
    "AdaptiveAveragePooling2D larger": layer("AdaptiveAveragePooling2D", (7, 4)),
    "pools of one pixel": layer("MaxPooling2D", 1, shape=(1, 1, 2)),
    "pool larger than the image": layer("AveragePooling2D", 5, 3, "same", shape=(2, 3, 2)),
    "ZeroPadding2D uneven": layer("ZeroPadding2D", ((1, 0), (0, 2))),
    **{f"UpSampling2D {i}": layer("UpSampling2D", (2, 3), interpolation=i) for i in ("bilinear", "bicubic")},
    **{
        f"Resizing {i} {size} {antialias}": layer("Resizing", *size, i, antialias=antialias)
        for i in ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
        for size in ((3, 11), (9, 2))
        for antialias in ((False, True) if i == "bilinear" else (False,))
    },
    "Resizing cropped": layer("Resizing", 2, 4, crop_to_aspect_ratio=True, shape=(7, 5, 2)),
    "Resizing padded": layer("Resizing", 3, 3, pad_to_aspect_ratio=True, fill_value=2.0, shape=(4, 9, 2)),
    "CenterCrop": layer("CenterCrop", 3, 3),
    "CenterCrop of small images": layer("CenterCrop", 6, 3),
}  # fmt: skip
CASES = [case(name) for name, case in TABLE.items()]


@pytest.mark.parametrize("floatx", ["float64", pytest.param("float32", marks=pytest.mark.thorough)], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_as_keras(case, floatx):
    dense.compare(case, floatx)


TIES = {
    "MaxPooling1D": (3, 2, "same"), "MaxPooling2D": ((2, 3), (1, 2)), "MaxPooling3D": (2, 1, "same"),
    "GlobalMaxPooling1D": (), "GlobalMaxPooling2D": (), "GlobalMaxPooling3D": (),
    "AdaptiveMaxPooling1D": (3,), "AdaptiveMaxPooling2D": ((3, 4),), "AdaptiveMaxPooling3D": (2,),
}  # fmt: skip


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("name", TIES)
def test_the_gradient_of_equal_elements(name, floatx):
    import jax

    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (4, *SHAPES[rank_of(name)])).astype(float)
    run = LayerRun(lambda: getattr(fastnet.layers, name)(*TIES[name]), "float64", x.shape[1:], len(x))
    dy = rng.standard_normal((len(x), *run.y.shape))
    theirs = getattr(keras.layers, name)(*TIES[name])
    y, pull = jax.vjp(theirs, x)
    for ours, wanted in zip(run(x, dy), (y, *pull(jax.numpy.asarray(dy)))):
        np.testing.assert_allclose(ours, np.asarray(wanted), atol=1e-14)


def test_the_mean_of_steps_that_a_mask_keeps():
    x = np.random.default_rng(1).standard_normal((5, 6, 3)).astype("float32")
    x[:, 4:] = 0
    seen = [
        np.asarray(K.Sequential([K.layers.Masking(), K.layers.GlobalAveragePooling1D()])(x)) for K in (fastnet, keras)
    ]
    np.testing.assert_allclose(*seen, rtol=1e-6)
