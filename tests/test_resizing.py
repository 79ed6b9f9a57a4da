"""Borders, sizes and dropped channels of images, against numpy and slow loops. `test_layers` proves the gradients."""

import math

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.testing.plans import LayerRun

RNG = np.random.default_rng(3)


def run(factory, x, dtype="float64"):
    """(y, dx, dy) of a training step."""
    one = LayerRun(factory, dtype, x.shape[1:], len(x))
    dy = RNG.standard_normal((len(x), *one.y.shape))
    return *one(x, dy), dy


BORDERS = [  # (what is added to both ends of each axis, the argument, shape)
    (((1, 1),), 1, (2, 3, 2)),
    (((0, 2),), (0, 2), (3, 1, 1)),
    (((1, 1), (1, 1)), 1, (2, 3, 4, 3)),
    (((2, 2), (0, 0)), (2, 0), (2, 3, 4, 1)),
    (((0, 3), (2, 1)), ((0, 3), (2, 1)), (1, 1, 1, 5)),
    (((1, 0), (0, 0), (2, 3)), ((1, 0), (0, 0), (2, 3)), (2, 2, 3, 1, 3)),
    (((2, 2), (1, 1), (3, 3)), [2, 1, 3], (1, 2, 2, 2, 2)),
]


@pytest.mark.parametrize(("added", "argument", "shape"), BORDERS)
def test_zero_padding_and_cropping(added, argument, shape):
    x = RNG.standard_normal(shape)
    rank = len(added)
    y, dx, dy = run(lambda: getattr(layers, f"ZeroPadding{rank}D")(argument), x)
    np.testing.assert_array_equal(y, np.pad(x, ((0, 0), *added, (0, 0))))
    inside = (slice(None), *(slice(a, a + n) for (a, _), n in zip(added, shape[1:])))
    np.testing.assert_array_equal(dx, dy[inside])
    back, dpadded, dback = run(lambda: getattr(layers, f"Cropping{rank}D")(argument), y)
    np.testing.assert_array_equal(back, x)
    np.testing.assert_array_equal(dpadded, np.pad(dback, ((0, 0), *added, (0, 0))))


@pytest.mark.parametrize(
    ("size", "shape"), [(3, (2, 5, 2)), ((2, 3), (2, 3, 1, 67)), (1, (1, 1, 1, 1)), ((1, 2, 3), (2, 2, 3, 1, 2))]
)
def test_up_sampling_repeats(size, shape):
    x = RNG.standard_normal(shape)
    rank = len(shape) - 2
    y, dx, dy = run(lambda: getattr(layers, f"UpSampling{rank}D")(size), x)
    repeated, sums = x, dy
    for axis, factor in enumerate(size if isinstance(size, tuple) else (size,) * rank, 1):
        repeated = repeated.repeat(factor, axis)
        sums = sums.reshape(*sums.shape[:axis], -1, factor, *sums.shape[axis + 1 :]).sum(axis + 1)
    np.testing.assert_array_equal(y, repeated)
    np.testing.assert_allclose(dx, sums, atol=1e-13)


def cubic(x):
    x = abs(x)
    return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def lanczos(radius):
    return lambda x: np.sinc(x) * np.sinc(x / radius) if abs(x) < radius else 0.0


WEIGHT = {"bilinear": lambda x: max(0.0, 1 - abs(x)), "bicubic": cubic, "lanczos3": lanczos(3), "lanczos5": lanczos(5)}


def resized(x, axis, size, interpolation, antialias):
    """Each pixel as the weighted mean of all pixels along an axis."""
    n = x.shape[axis]
    matrix = np.zeros((size, n))
    for o in range(size):
        middle = (o + 0.5) * n / size - 0.5
        width = max(n / size, 1) if antialias else 1
        matrix[o] = [WEIGHT[interpolation]((middle - i) / width) for i in range(n)]
    return np.moveaxis(np.tensordot(matrix / matrix.sum(1, keepdims=True), x, (1, axis)), 0, axis)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", WEIGHT)
@pytest.mark.parametrize(
    ("shape", "size"),
    [((2, 5, 7, 3), (3, 11)), ((1, 1, 1, 1), (3, 2)), ((1, 13, 2, 2), (2, 2)), ((1, 4, 4, 1), (8, 1))],
)
def test_resizing(shape, size, interpolation, antialias):
    x = RNG.standard_normal(shape)
    wanted = x
    for axis, n in enumerate(size, 1):
        wanted = resized(wanted, axis, n, interpolation, antialias)
    layer = layers.Resizing(*size, interpolation, antialias=antialias, dtype="float64")
    np.testing.assert_allclose(layer(x), wanted, atol=1e-13)


def test_the_nearest_pixel():
    x = np.arange(7.0).reshape(1, 1, 7, 1)
    y = layers.Resizing(2, 3, "nearest")(x)
    assert y[0, ..., 0].tolist() == [[1, 3, 5]] * 2
    dx = run(lambda: layers.Resizing(2, 14, "nearest"), x)
    np.testing.assert_allclose(dx[1].ravel(), dx[2].sum((0, 1, 3)).reshape(7, 2).sum(1), atol=1e-14)


def test_ratios_are_kept():
    x = RNG.standard_normal((1, 4, 9, 2)).astype("f")
    cropped = layers.Resizing(2, 3, crop_to_aspect_ratio=True)(x)
    np.testing.assert_array_equal(cropped, layers.Resizing(2, 3)(x[:, :, 1:7]))
    padded = layers.Resizing(3, 3, pad_to_aspect_ratio=True, fill_value=5.0)(x)
    framed = np.pad(x, ((0, 0), (2, 2), (0, 0), (0, 0)), constant_values=5.0)
    np.testing.assert_array_equal(padded, layers.Resizing(3, 3)(framed))
    np.testing.assert_array_equal(layers.CenterCrop(3, 4)(x), x[:, 0:3, 2:6])
    np.testing.assert_array_equal(layers.CenterCrop(8, 6)(x), layers.Resizing(8, 6, crop_to_aspect_ratio=True)(x))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_dropped_channels_are_those_of_dropout(rank):
    shape = (37, *(2, 3, 1)[:rank], 11)
    x = RNG.uniform(1, 2, shape)
    y, dx, dy = run(lambda: getattr(layers, f"SpatialDropout{rank}D")(0.4), x, "float32")
    one = LayerRun(lambda: layers.Dropout(0.4, noise_shape=(None, *(1,) * rank, None)), "float32", shape[1:], len(x))
    for mine, others in zip((y, dx), one(x, dy)):
        np.testing.assert_array_equal(mine, others)
    assert 0.3 < (y == 0).mean() < 0.5
    layer = getattr(layers, f"SpatialDropout{rank}D")(0.4)
    np.testing.assert_array_equal(layer(x.astype("f")), x.astype("f"))  # in inference


def test_bytes_and_a_model_of_all():
    x = RNG.integers(0, 256, (3, 5, 6, 3), dtype=np.uint8)
    net = fastnet.Sequential([
        layers.Input((5, 6, 3)), layers.Resizing(4, 4), layers.ZeroPadding2D(), layers.UpSampling2D(),
        layers.Cropping2D(2), layers.CenterCrop(5, 5), layers.MaxPooling2D(2, padding="same"),
    ])  # fmt: skip
    assert net.predict(x, verbose=0).shape == (3, 3, 3, 3)
    again = fastnet.Sequential.from_config(net.get_config())
    np.testing.assert_array_equal(again.predict(x, verbose=0), net.predict(x, verbose=0))


@pytest.mark.parametrize(("make", "shape", "message"), [
    (lambda: layers.ZeroPadding2D(-1), None, "padding must be an integer that is not negative"),
    (lambda: layers.ZeroPadding2D((1, 2, 3)), None, r"such as \(\(1, 2\), \(1, 2\)\); received \(1, 2, 3\)"),
    (lambda: layers.ZeroPadding1D((1, 0.5)), None, r"received \(1, 0.5\)"),
    (lambda: layers.Cropping2D(((1, 1), (2, 2))), (3, 4, 3), r"leaves nothing of samples of shape \(3, 4, 3\)"),
    (lambda: layers.Cropping3D(1), (3, 3, 3), r"\(depth, height, width, channels\)"),
    (lambda: layers.UpSampling1D(0), None, "size must be an integer of at least 1"),
    (lambda: layers.UpSampling2D(2, interpolation="linear"), None, "interpolation must be 'bilinear', 'nearest'"),
    (lambda: layers.Resizing(0, 3), None, "height must be an integer of at least 1"),
    (lambda: layers.Resizing(2, 3, "area"), None, "interpolation must be"),
    (lambda: layers.Resizing(2, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), None, "exclude each other"),
    (lambda: layers.Resizing(2, 3, fill_mode="reflect"), None, "fill_mode must be 'constant', received 'reflect'"),
    (lambda: layers.Resizing(2, 3, fill_value=math.nan), None, "fill_value must be a number that is finite"),
    (lambda: layers.CenterCrop(2, 3).connect((4, 4)), None, r"Reshape\(\(4, 4, 1\)\)"),
    (lambda: layers.SpatialDropout2D(1.0), None, "rate"),
    (lambda: layers.SpatialDropout1D(0.1), (3, 4, 5), r"\(steps, features\)"),
    (lambda: layers.SpatialDropout3D(0.1, "channels_first"), None, r"Permute\(\(2, 3, 4, 1\)\)"),
    (lambda: layers.UpSampling3D(2, "channels_first"), None, r"Permute\(\(2, 3, 4, 1\)\)"),
])  # fmt: skip
def test_what_is_refused(make, shape, message):
    with pytest.raises(ValueError, match=message):
        make().connect(shape)
