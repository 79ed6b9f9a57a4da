"""Convolutions and pooling in array code, and layers within it that get a mask."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, ops
from fastnet._kernels.errors import RuleError
from tests import convolution_oracles as oracles


@pytest.fixture(autouse=True)
def float64():
    fastnet.config.set_floatx("float64")
    yield
    fastnet.config.set_floatx("float32")


def convolved(x, kernel, strides=1, padding="valid", dilation_rate=1):
    axes, groups = kernel.ndim - 2, x.shape[-1] // kernel.shape[-2]
    return oracles.convolution(x, kernel, (strides,) * axes, padding, (dilation_rate,) * axes, groups)


def of_each_channel(x, kernel, strides=1, padding="valid", dilation_rate=1):
    axes = kernel.ndim - 2
    return oracles.depthwise(x, kernel, (strides,) * axes, padding, (dilation_rate,) * axes)


ORACLES = {"conv": convolved, "depthwise_conv": of_each_channel}


def model_of(call, shape, kernel=None):
    """A model of one layer, which computes ``call(x, kernel)``; with a kernel, a weight of this value."""

    class Traced(layers.Layer):
        def build(self, input_shape):
            self.kernel = None if kernel is None else self.add_weight(shape=kernel.shape, name="kernel")

        def call(self, x):
            return call(x, self.kernel)

    model = fastnet.Sequential([layers.Input(shape), Traced(name="traced")])
    model.compile("sgd", "mse")
    if kernel is not None:
        model.set_weights([kernel])
    return model


@pytest.mark.parametrize(
    ("name", "shape", "kernel", "more"),
    [
        ("conv", (7, 3), (3, 3, 2), {"strides": 2, "padding": "same"}),
        ("conv", (9, 7, 4), (2, 3, 2, 6), {"strides": 2, "dilation_rate": 3}),
        ("conv", (5, 4, 6, 2), (2, 3, 1, 2, 3), {"padding": "same", "dilation_rate": 2}),
        ("conv", (1, 1, 1), (1, 1, 1, 1), {}),
        ("depthwise_conv", (7, 3), (3, 3, 2), {"dilation_rate": 2}),
        ("depthwise_conv", (5, 7, 3), (2, 3, 3, 1), {"strides": 2, "padding": "same"}),
        ("depthwise_conv", (7, 8, 2), (3, 2, 2, 3), {"strides": 2, "dilation_rate": 2, "padding": "same"}),
        ("depthwise_conv", (1, 1, 1), (1, 1, 1, 1), {}),
    ],
)  # fmt: skip
def test_convolutions(name, shape, kernel, more):
    """The gradients are compared along directions: the result is linear in the images, and in the kernel."""
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(3, *shape)), rng.normal(size=kernel)
    oracle, function = ORACLES[name], getattr(ops, name)
    expected = oracle(x, w, **more)
    np.testing.assert_allclose(function(x, w, **more), expected, rtol=1e-12, atol=1e-13)
    constant = model_of(lambda images, _: function(images, w, **more), shape)
    np.testing.assert_allclose(constant.predict(x, verbose=0), expected, rtol=1e-12, atol=1e-13)

    dy, u, v = rng.normal(size=expected.shape), rng.normal(size=x.shape), rng.normal(size=kernel)
    for call, factor in ((lambda x, k: function(x, k, **more), 1), (lambda x, k: function(x, k * 3.0, **more), 3)):
        model = model_of(call, shape, w)
        np.testing.assert_allclose(model.predict(x, verbose=0), factor * expected, rtol=1e-12, atol=1e-12)
        found = model.gradients(x, gradient=dy)
        assert np.sum(found["input"] * u) == pytest.approx(factor * np.sum(dy * oracle(u, w, **more)), rel=1e-11)
        dw = found["traced"]["kernel"]
        assert np.sum(dw * v) == pytest.approx(factor * np.sum(dy * oracle(x, v, **more)), rel=1e-11)


def test_separable():
    rng = np.random.default_rng(4)
    x, w, points = rng.normal(size=(2, 5, 6, 3)), rng.normal(size=(2, 3, 3, 2)), rng.normal(size=(1, 1, 6, 4))
    expected = convolved(of_each_channel(x, w, 2, "same"), points)
    for function in (ops.separable_conv, lambda *given, **more: model_of(
        lambda images, kernel: ops.separable_conv(images, kernel, points, **more), x.shape[1:], w
    ).predict(x, verbose=0)):  # fmt: skip
        np.testing.assert_allclose(function(x, w, points, strides=2, padding="same"), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("shape", "size", "strides", "padding"), [
    ((7, 3), 3, 2, "same"), ((5, 7, 3), (2, 3), None, "valid"), ((5, 4, 3, 2), 2, 1, "same"), ((1, 1, 1), 1, 1, "same"),
])  # fmt: skip
def test_pooling(shape, size, strides, padding):
    rng = np.random.default_rng(5)
    x = rng.permutation(2.0 * np.arange(3 * np.prod(shape))).reshape(3, *shape)  # further apart than a step
    axes = len(shape) - 1
    sizes = size if isinstance(size, tuple) else (size,) * axes
    steps = sizes if strides is None else (strides,) * axes

    def windows(x, fill):
        filled = [each for _, each in oracles.taps_of(x - fill, sizes, steps, (1,) * axes, padding)]
        return np.stack(filled) + fill

    counts = windows(np.ones_like(x), 0.0).sum(axis=0)
    for function, oracle in (
        (ops.max_pool, lambda x: windows(x, -1e3).max(axis=0)),
        (ops.average_pool, lambda x: windows(x, 0.0).sum(axis=0) / counts),
    ):
        model = model_of(lambda images, _, f=function: f(images * 0.5, size, strides, padding), shape)
        expected = oracle(0.5 * x)
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-12)
        dy, u = rng.normal(size=expected.shape), rng.uniform(-1, 1, size=x.shape)
        found = np.sum(model.gradients(x, gradient=dy)["input"] * u)
        slope = np.sum(dy * (oracle(0.5 * x + 0.25 * u) - oracle(0.5 * x - 0.25 * u)))
        assert found == pytest.approx(slope, rel=1e-8)


@pytest.mark.parametrize(("call", "message"), [
    (lambda x: ops.max_pool(x, 2, data_format="channels_first"), r"data_format='channels_first' \(line .*transpose"),
    (lambda x: ops.conv(x, np.ones((1, 1, 1, 2)), data_format="channels_first"), "data_format='channels_first'"),
    (lambda x: ops.max_pool(x, 7), r"ops.max_pool \(line .* windows of \(7, 7\) do not fit"),
    (lambda x: ops.average_pool(x, 2, padding="some"), "ops.average_pool .* padding must be"),
    (lambda x: ops.conv(x, np.ones((7, 7, 2, 3))), "ops.conv .* a window of 7×7 pixels does not fit"),
    (lambda x: ops.conv(x, np.ones((3, 2, 3))), "a kernel of as many axes"),
    (lambda x: ops.conv(x, np.ones((3, 3, 3, 3))), "images of 2 channels, a kernel of 3"),
    (lambda x: ops.conv(x, np.ones((3, 3, 1, 3))), "filters must be a multiple of groups"),
    (lambda x: ops.depthwise_conv(x, np.ones((3, 3, 1, 3))), "images of 2 channels, a kernel of 1"),
    (lambda x: ops.depthwise_conv(x[:, :, :, :, None], np.ones((3, 3, 3, 1, 1))), "of 1 to 2 axes"),
])  # fmt: skip
def test_what_is_refused(call, message):
    x = np.ones((2, 5, 6, 2))
    with pytest.raises(RuleError, match=message):
        model_of(lambda images, _: call(images), x.shape[1:])
    with pytest.raises(RuleError, match=message):
        call(x)


# ---- masks


class MeanOfTwice(layers.Layer):
    def __init__(self, is_computed):
        super().__init__()
        self.is_computed, self.mean = is_computed, layers.GlobalAveragePooling1D()

    def call(self, x, mask=None):
        counts = ops.any(ops.not_equal(x, 0.0), axis=-1) if self.is_computed else mask
        return self.mean(2.0 * x, mask=counts)


@pytest.mark.parametrize("is_computed", [False, True])
def test_a_mask_for_a_layer_within(is_computed):
    x = np.random.default_rng(6).normal(size=(3, 4, 2))
    x[0, 2:], x[1, :1] = 0.0, 0.0
    counts = (x != 0).any(axis=-1, keepdims=True)
    model = fastnet.Sequential([layers.Input((4, 2)), layers.Masking(), MeanOfTwice(is_computed)])
    model.compile("sgd", "mse")
    expected = 2 * x.sum(axis=1) / counts.sum(axis=1)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-12)
    dy = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0]])
    wanted = 2 * dy[:, None] * counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.gradients(x, gradient=dy)["input"], wanted, rtol=1e-12)
    for steps in (None, counts[:, :, 0]):  # a call from outside, whose mask is an array
        found = MeanOfTwice(False)(x, mask=steps)
        np.testing.assert_allclose(found, 2 * x.mean(axis=1) if steps is None else expected, rtol=1e-12)
