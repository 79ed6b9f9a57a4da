"""Layers that change images: for equal bounds of what is drawn, the images are Keras's."""

import numpy as np
import pytest

import fastnet

keras = pytest.importorskip("keras")

WARPS = {
    "translation": lambda L, **m: L.RandomTranslation((0.31, 0.31), (-0.17, -0.17), **m),
    "far translation": lambda L, **m: L.RandomTranslation((-0.93, -0.93), (0.77, 0.77), **m),
    "rotation": lambda L, **m: L.RandomRotation((0.13, 0.13), **m),
    "rotation back": lambda L, **m: L.RandomRotation((-0.41, -0.41), **m),
    "zoom": lambda L, **m: L.RandomZoom((0.37, 0.37), (-0.21, -0.21), **m),
    "zoom, proportions kept": lambda L, **m: L.RandomZoom((-0.37, -0.37), **m),
}


def both(make, x, **more):
    """The images of fastnet and of Keras."""
    return make(fastnet.layers, **more)(x), np.asarray(make(keras.layers, **more)(x, training=True))


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "reflect", "wrap"])
@pytest.mark.parametrize("name", WARPS)
def test_warps(name, fill_mode, interpolation):
    x = np.random.default_rng(0).uniform(0, 255, (2, 11, 13, 3)).astype("float32")
    options = {"fill_mode": fill_mode, "interpolation": interpolation, "fill_value": 7.0}
    ours, theirs = both(WARPS[name], x, **options)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-2)  # places are off by 1e-6 of 13, values by 255 times


def test_shear_is_one_of_two():
    x = np.random.default_rng(0).uniform(0, 255, (16, 9, 7, 2)).astype("float32")
    ours, theirs = both(lambda L: L.RandomShear((0.2, 0.2), (0.3, 0.3)), x)
    matrices = [np.array([[1, s * 0.2, 0, s * 0.3, 1, 0, 0, 0]] * 16) for s in (1, -1)]
    forms = np.asarray([keras.ops.image.affine_transform(x, m, "bilinear", "reflect") for m in matrices])
    for result in (ours, theirs):
        chosen = np.abs(forms - result).max((2, 3, 4)).min(0)
        assert (chosen < 2e-2).all()


@pytest.mark.parametrize("value_range", [(0, 255), (50, 200)])
def test_colours(value_range):
    x = np.random.default_rng(0).uniform(0, 255, (3, 6, 5, 3)).astype("float32")  # Keras's bytes go round
    ours, theirs = both(lambda L: L.RandomBrightness((0.2, 0.2), value_range), x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    blur = {"kernel_size": (3, 5), "sigma": (0.7, 0.7), "value_range": value_range}
    ours, theirs = both(lambda L: L.RandomGaussianBlur((1.0, 1.0), **blur), x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    ours, theirs = both(lambda L: L.RandomContrast((0.0, 0.0), value_range), x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("make", [
    lambda L: L.RandomFlip("horizontal", seed=1), lambda L: L.RandomRotation((0.1, 0.3), fill_mode="wrap"),
    lambda L: L.RandomTranslation(0.1, (-0.2, 0.3)), lambda L: L.RandomZoom(0.2), lambda L: L.RandomCrop(3, 4),
    lambda L: L.RandomContrast(0.2, value_range=(0, 1)), lambda L: L.RandomBrightness(0.3),
    lambda L: L.RandomShear(0.1, (0.1, 0.2)), lambda L: L.RandomGaussianBlur(0.5, 5, (0.1, 0.4)),
])  # fmt: skip
def test_keras_descriptions_are_read(make):
    theirs = make(keras.layers).get_config()
    layer = getattr(fastnet.layers, type(make(keras.layers)).__name__).from_config(theirs)
    assert layer.name == theirs["name"]


def test_ranges_of_draws():
    """Of a number: the smallest and the largest of 4,000 draws lie where Keras's lie."""
    x = np.full((4000, 1, 2, 1), 100, "float32") + np.float32([[-10], [10]])

    def limits(make):
        results = both(make, x)
        return [(float(r[:, 0, 1, 0].min()), float(r[:, 0, 1, 0].max())) for r in results]

    for make in (
        lambda L: L.RandomContrast(0.4),
        lambda L: L.RandomContrast((0.1, 0.5)),
        lambda L: L.RandomBrightness(0.3),
        lambda L: L.RandomBrightness((-0.1, 0.2)),
        lambda L: L.RandomTranslation(0.0, 0.3),
    ):
        ours, theirs = limits(make)
        np.testing.assert_allclose(ours, theirs, atol=0.2)
