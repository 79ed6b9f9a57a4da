"""Pooling against slow loops: odd sizes, padding, ties, NaN, masks; what is refused. `test_layers` has the gradients'
proofs."""

import math

import numpy as np
import pytest

import fastnet
from fastnet import layers, testing
from fastnet.testing.plans import LayerRun

from . import image_oracles as oracles

RNG = np.random.default_rng(7)


def run(factory, x, dtype="float64", dy=None):
    """(y, dx) of a training step, for a dy of random numbers; and dy."""
    one = LayerRun(factory, dtype, x.shape[1:], len(x))
    dy = RNG.standard_normal((len(x), *one.y.shape)) if dy is None else dy
    y, dx = one(x, dy)
    return y, dx, dy


def agrees(factory, x, expected, dtype="float64"):
    y, dx, dy = run(factory, x, dtype)
    values, gradient = expected
    tolerance = {"float64": 1e-13, "float32": 1e-5}[dtype]  # sums of at most some hundred pixels
    np.testing.assert_allclose(y, values.reshape(y.shape), rtol=0, atol=tolerance * max(1, np.abs(values).max()))
    wanted = gradient(dy.reshape(values.shape))
    np.testing.assert_allclose(dx, wanted, rtol=0, atol=tolerance * max(1, np.abs(wanted).max()))


SLOW = pytest.mark.slow
WINDOWS = [  # (shape of the data, pool_size, strides, padding)
    ((3, 7, 5, 11), (2, 2), None, "valid"),
    ((2, 7, 6, 3), (2, 2), (3, 1), "same"),
    ((1, 1, 1, 1), (2, 2), None, "same"),
    ((2, 13, 11, 3), (4, 5), (2, 3), "same"),
    ((1, 19, 18, 2), (17, 17), (1, 1), "valid"),  # more than 256 pixels
    ((1, 180, 7, 3), (90, 3), None, "valid"),  # and few of them in a line
    ((2, 91, 5, 3), (90, 3), (1, 1), "valid"),
    ((2, 9, 8, 17), (3, 3), (1, 2), "same"),
    pytest.param((2, 3, 2, 5), (7, 7), (5, 5), "same", marks=SLOW),
    pytest.param((2, 7, 5, 9), (3, 3), (2, 2), "same", marks=SLOW),
    pytest.param((2, 7, 5, 9), (3, 3), (5, 4), "valid", marks=SLOW),
    pytest.param((2, 8, 7), (3,), (2,), "same", marks=SLOW),
    pytest.param((2, 1, 130), (1,), None, "valid", marks=SLOW),
    pytest.param((2, 5, 4, 3, 2), (2, 2, 2), (1, 2, 3), "same", marks=SLOW),
    pytest.param((1, 3, 7, 5, 3), (3, 1, 2), None, "valid", marks=SLOW),
]


def named(kind, rank):
    return getattr(layers, f"{kind}{rank}D")


@pytest.mark.parametrize(("shape", "pool", "strides", "padding"), WINDOWS)
@pytest.mark.parametrize(("kind", "pick"), [("MaxPooling", oracles.largest), ("AveragePooling", oracles.mean)])
def test_pooling(kind, pick, shape, pool, strides, padding):
    x = RNG.integers(-4, 4, shape).astype(float)  # with ties
    sizes = zip(shape[1:-1], pool, strides or pool)
    along = [oracles.windows_along(n, window, stride, padding) for n, window, stride in sizes]
    agrees(lambda: named(kind, len(pool))(pool, strides, padding), x, oracles.pooled(x, along, pick))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(3, 7, 66), (2, 5, 3, 2), (1, 1, 1, 1), (2, 2, 3, 2, 5), (1, 11, 13, 1)])
@pytest.mark.parametrize(("kind", "pick"), [("Max", oracles.largest_shared), ("Average", oracles.mean)])
def test_global_pooling(kind, pick, shape):
    x = RNG.integers(-4, 4, shape).astype(float)
    expected = oracles.pooled(x, [[range(n)] for n in shape[1:-1]], pick)
    layer = named(f"Global{kind}Pooling", len(shape) - 2)
    agrees(layer, x, expected)
    agrees(lambda: layer(keepdims=True), x, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "count"),
    [((2, 7, 3), (3,)), ((2, 7, 5, 3), (3, 2)), ((1, 2, 3, 2), (5, 1)), ((1, 3, 4, 5, 2), (2, 3, 2))],
)
@pytest.mark.parametrize("kind", ["Max", "Average"])
def test_adaptive_pooling(kind, shape, count):
    """Of equal elements the first one along the last axis gets the gradient, as in Keras; here there are none."""
    x = RNG.permutation(math.prod(shape)).reshape(shape).astype(float)
    along = [oracles.adaptive_along(n, m) for n, m in zip(shape[1:-1], count)]
    pick = oracles.largest if kind == "Max" else oracles.mean
    agrees(lambda: named(f"Adaptive{kind}Pooling", len(count))(count), x, oracles.pooled(x, along, pick))


def test_the_first_of_equal_elements_gets_the_gradient():
    for equal in (0.0, -np.inf, np.inf):
        x = np.full((1, 2, 4, 1), equal)
        dx = run(layers.MaxPooling2D, x, dy=np.ones((1, 1, 2, 1)))[1]
        assert dx[0, ..., 0].tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("pool", [2, 4])  # written out, and in pairs of pixels
def test_a_nan_is_the_largest_and_stays_in_its_window(pool):
    for place in np.ndindex(pool, pool):
        x = RNG.standard_normal((1, pool, 2 * pool, 9))
        x[(0, *place)][4] = np.nan
        y = layers.MaxPooling2D(pool, dtype="float64")(x)
        assert np.isnan(y[0, 0, 0, 4]) and np.isnan(y).sum() == 1


def test_a_short_last_batch():
    x = RNG.standard_normal((5, 6, 6, 3))
    model = fastnet.Sequential([layers.Input((6, 6, 3), dtype="float64"), layers.MaxPooling2D(2, dtype="float64")])
    whole = model.predict(x, batch_size=5, verbose=0)
    np.testing.assert_array_equal(model.predict(x, batch_size=3, verbose=0), whole)


@pytest.mark.slow
def test_sums_of_many_pixels_are_exact_to_float32s_last_digit():
    x = (1000 + RNG.random((2, 300, 301, 3)) / 10).astype("float32")
    y = layers.GlobalAveragePooling2D()(x)
    np.testing.assert_allclose(y, x.astype(float).mean((1, 2)), rtol=1e-7)


@pytest.mark.slow
def test_means_of_steps_with_a_mask():
    x = RNG.standard_normal((4, 70, 66))
    mask = RNG.random((4, 70)) < 0.6
    mask[1] = False
    mask[2] = True
    x[0, ~mask[0]] = np.nan  # what is left out does not count
    y = layers.GlobalAveragePooling1D(dtype="float64")(x, mask=mask)
    np.testing.assert_allclose(y[[0, 2, 3]], [x[i, mask[i]].mean(0) for i in (0, 2, 3)], rtol=1e-13)
    assert np.isnan(y[1]).all()
    net = fastnet.Sequential([layers.Input((5, 3)), layers.Masking(), layers.GlobalAveragePooling1D(keepdims=True)])
    net.add(layers.Flatten())
    net.compile("sgd", "mse")
    x = RNG.standard_normal((6, 5, 3))
    x[:, 3:] = 0
    target = RNG.standard_normal((6, 3))
    gradient = net.gradients(x, target)["input"]
    wanted = np.zeros(x.shape)
    wanted[:, :3] = (2 / 18 / 3 * (x[:, :3].mean(1) - target))[:, None]
    np.testing.assert_allclose(gradient, wanted, atol=1e-6)


@pytest.mark.parametrize(("make", "shape", "message"), [
    (lambda: layers.MaxPooling2D(3), (2, 8, 3), r"'pool' .MaxPooling2D.: its windows of \(3, 3\) .* \(2, 8\).*'same'"),
    (lambda: layers.MaxPooling2D(), (28, 28), r"\(height, width, channels\); received \(28, 28\).*e\(\(28, 28, 1\)"),
    (lambda: layers.GlobalMaxPooling1D(), (3, 4, 5), r"takes samples of shape \(steps, features\)"),
    (lambda: layers.MaxPooling2D(0), None, "pool_size must be an integer of at least 1, or 2 of them"),
    (lambda: layers.MaxPooling2D((2, 2, 2)), None, r"received \(2, 2, 2\)"),
    (lambda: layers.MaxPooling2D(2.0), None, "received 2.0"),
    (lambda: layers.AveragePooling1D(2, 0), None, "strides must be an integer of at least 1; received 0"),
    (lambda: layers.AveragePooling1D(2, padding="causal"), None, "padding must be 'valid' or 'same'"),
    (lambda: layers.AdaptiveMaxPooling2D((2, None)), None, "output_size"),
    (lambda: layers.GlobalMaxPooling2D(keepdims=1), None, "keepdims must be True or False"),
    (lambda: layers.MaxPooling2D(data_format="channels_first"), None, r"last axis.* layers.Permute\(\(2, 3, 1\)\)"),
    (lambda: layers.GlobalAveragePooling3D("channels_first"), None, r"layers.Permute\(\(2, 3, 4, 1\)\)"),
    (lambda: layers.AveragePooling1D(2, data_format="NWC"), None, "data_format must be None or 'channels_last'"),
])  # fmt: skip
def test_what_is_refused(make, shape, message):
    with pytest.raises(ValueError, match=message):
        layer = make()
        layer.name = "pool"
        layer.connect(shape)


def test_arguments_are_kept_as_in_keras():
    layer = layers.MaxPooling2D(3)
    assert (layer.pool_size, layer.strides, layer.padding) == ((3, 3), (3, 3), "valid")
    again = layers.MaxPooling2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert layers.MaxPool2D is layers.MaxPooling2D and layers.GlobalAvgPool1D is layers.GlobalAveragePooling1D
    net = fastnet.Sequential([layers.Input((None, None, 3)), layers.MaxPooling2D(), layers.GlobalAveragePooling2D()])
    assert net.output_shape == (None, 3)
    assert net.predict(np.ones((1, 5, 9, 3)), verbose=0).shape == (1, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: layers.MaxPooling2D(2), (5, 7, 3)),
        (lambda: layers.MaxPooling2D(3, 2, "same"), (7, 8, 4)),
        (lambda: layers.MaxPooling1D(300, 300), (601, 2)),  # places of more than a byte
        (lambda: layers.AdaptiveMaxPooling2D((2, 3)), (5, 7, 3)),
    ],
)
def test_the_largest_on_a_gpu(make, shape):
    assert "cuda" in str(testing.check_layer(make, shape, device="cuda"))
