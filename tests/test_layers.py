"""Layers: forward against float64 oracles, backward against central differences (`testing.check_layer`)."""

import math

import numpy as np
import pytest

import fastnet
from fastnet import layers, testing
from fastnet._kernels.rules.philox import philox
from fastnet.testing.plans import LayerRun

from . import oracles


def bent(x, k=0.5):
    return k * x / (1 + x * x)


def standardized(x):
    mean, variance = fastnet.ops.moments(x, axes=-1, keepdims=True)
    return (x - mean) / fastnet.ops.sqrt(variance + 0.1)


def gated(x):
    return x[:, :, :3] * fastnet.ops.sigmoid(x[:, :, 2:5])


def swing(x):
    return math.exp(-x) / (1 + math.exp(-x))


def swing_gradient(y):
    return y * (y - 1)


def layers_alpha():
    return fastnet.initializers.RandomUniform(0.1, 0.4)


CHECKED = {  # (layer, shape of a sample)
    "dense": (lambda: layers.Dense(7), (5,)),
    "dense of one": (lambda: layers.Dense(1), (1,)),
    "dense relu": (lambda: layers.Dense(17, activation="relu"), (13,)),
    "dense tanh": (lambda: layers.Dense(3, activation="tanh", use_bias=False), (33,)),
    "dense softmax": (lambda: layers.Dense(5, activation="softmax"), (4,)),
    "dense rank 3": (lambda: layers.Dense(5, activation="sigmoid"), (3, 7)),
    "dense rank 4": (lambda: layers.Dense(2, activation="relu"), (2, 3, 5)),
    "activation": (lambda: layers.Activation("gelu"), (11,)),
    "relu": (lambda: layers.ReLU(), (11,)),
    "relu with arguments": (lambda: layers.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.5), (3, 5)),
    "softmax": (lambda: layers.Softmax(), (3, 7)),
    "softmax over axes": (lambda: layers.Softmax(axis=(1, 3)), (3, 2, 4)),
    "flatten": (lambda: layers.Flatten(), (2, 3, 5)),
    "reshape": (lambda: layers.Reshape((5, -1)), (2, 15)),
    "rescaling": (lambda: layers.Rescaling(1 / 255, offset=-0.5), (3, 3)),
    "dropout": (lambda: layers.Dropout(0.4), (37,)),
    "batch normalization": (lambda: layers.BatchNormalization(), (3,)),
    "batch normalization rank 3": (lambda: layers.BatchNormalization(epsilon=0.1), (4, 17)),
    "batch normalization bare": (lambda: layers.BatchNormalization(center=False, scale=False), (1,)),
    "leaky relu": (lambda: layers.LeakyReLU(0.2), (7,)),
    "elu": (lambda: layers.ELU(0.5), (3, 5)),
    "prelu": (lambda: layers.PReLU(layers_alpha()), (13,)),
    "prelu of images": (lambda: layers.PReLU(layers_alpha(), shared_axes=[1, 2]), (3, 2, 5)),
    "prelu, last axes shared": (lambda: layers.PReLU(layers_alpha(), shared_axes=[2, 3]), (3, 2, 5)),
    "prelu, axes apart shared": (lambda: layers.PReLU(layers_alpha(), shared_axes=[1, 3]), (3, 2, 5)),
    "lambda": (lambda: layers.Lambda(bent, arguments={"k": 0.7}), (11,)),
    "lambda of arrays": (lambda: layers.Lambda(standardized), (7,)),
    "lambda of columns": (lambda: layers.Lambda(gated), (2, 6)),
    "lambda with a gradient of y": (lambda: layers.Lambda(swing, gradient=swing_gradient, keeps="y"), (2, 7)),
    "identity": (lambda: layers.Identity(), (3, 5)),
    "permute": (lambda: layers.Permute((3, 1, 2)), (2, 3, 5)),
    "permute of one axis": (lambda: layers.Permute((1,)), (7,)),
    "repeat vector": (lambda: layers.RepeatVector(3), (7,)),
    "dropout, shared": (lambda: layers.Dropout(0.4, noise_shape=(None, 1, None)), (5, 7)),
    "alpha dropout": (lambda: layers.AlphaDropout(0.3), (37,)),
    "gaussian noise": (lambda: layers.GaussianNoise(0.3), (13,)),
    "gaussian dropout": (lambda: layers.GaussianDropout(0.3), (13,)),
    "activity regularization": (lambda: layers.ActivityRegularization(0.1, 0.2), (5,)),
    "random flip": (lambda: layers.RandomFlip(), (3, 5, 2)),
    "random crop": (lambda: layers.RandomCrop(2, 3), (3, 5, 2)),
    "random crop of small images": (lambda: layers.RandomCrop(3, 5), (4, 3, 2)),
    "random translation": (lambda: layers.RandomTranslation(0.4, 0.3), (3, 5, 2)),
    "random translation, wrapped": (lambda: layers.RandomTranslation(0.9, 0.9, "wrap"), (1, 5, 2)),
    "random rotation": (lambda: layers.RandomRotation(0.3, "constant", fill_value=2.0), (5, 3, 1)),
    "random rotation, nearest": (lambda: layers.RandomRotation(0.3, "nearest", "nearest"), (5, 3, 2)),
    "random zoom": (lambda: layers.RandomZoom(0.4, 0.3), (3, 5, 3)),
    "random shear": (lambda: layers.RandomShear(0.4, 0.3), (7, 5, 2)),
    "random brightness": (lambda: layers.RandomBrightness(0.2, (-1, 1)), (3, 5, 2)),
    "random contrast": (lambda: layers.RandomContrast((0.5, 0.5), (-1, 1)), (3, 5, 2)),
    "random blur": (lambda: layers.RandomGaussianBlur((1, 1), (3, 5), value_range=(-1, 1)), (3, 4, 2)),
    "layer normalization": (lambda: layers.LayerNormalization(beta_initializer="uniform"), (17,)),
    "layer normalization of one": (lambda: layers.LayerNormalization(), (1,)),
    "layer normalization rank 3": (lambda: layers.LayerNormalization(axis=[-2, -1]), (3, 2, 5)),
    "layer normalization bare": (lambda: layers.LayerNormalization(center=False, scale=False), (3, 7)),
    "group normalization": (lambda: layers.GroupNormalization(3, gamma_initializer=layers_alpha()), (2, 5, 9)),
    "group normalization of vectors": (lambda: layers.GroupNormalization(2, beta_initializer="uniform"), (6,)),
    "group normalization, one group": (lambda: layers.GroupNormalization(1, gamma_initializer=layers_alpha()), (3, 7)),
    "group normalization of instances": (lambda: layers.GroupNormalization(-1, center=False), (70, 5)),
    "group normalization bare": (lambda: layers.GroupNormalization(2, center=False, scale=False), (1, 2)),
    "rms normalization": (lambda: layers.RMSNormalization(), (70,)),
    "rms normalization rank 3": (lambda: layers.RMSNormalization(axis=[1, 2]), (3, 5)),
    "unit normalization": (lambda: layers.UnitNormalization(), (3, 7)),
    "normalization": (lambda: layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 0.5, 2.0]), (2, 3)),
    "normalization inverted": (lambda: layers.Normalization(axis=None, mean=0.5, variance=2.0, invert=True), (2, 3)),
    "layer normalization of another axis": (lambda: layers.LayerNormalization(1, beta_initializer="uniform"), (3, 5)),
    "layer normalization of axes apart": (lambda: layers.LayerNormalization([1, 3]), (3, 2, 5)),
    "group normalization of another axis": (lambda: layers.GroupNormalization(3, 1), (6, 5)),
    "rms normalization of another axis": (lambda: layers.RMSNormalization(-2), (3, 5)),
    "unit normalization of another axis": (lambda: layers.UnitNormalization([1, 2]), (3, 2, 5)),
    "normalization of another axis": (lambda: layers.Normalization(1, [1.0, 2.0], [4.0, 0.5]), (2, 3)),
    "batch normalization frozen, another axis": (lambda: layers.BatchNormalization(1, trainable=False), (3, 5)),
    "batch normalization frozen": (lambda: layers.BatchNormalization(trainable=False), (5,)),
    "max pooling": (lambda: layers.MaxPooling2D(), (5, 4, 3)),
    "max pooling 1D": (lambda: layers.MaxPooling1D(3, 2), (8, 5)),
    "max pooling 3D": (lambda: layers.MaxPooling3D((1, 2, 3), padding="same"), (3, 5, 4, 2)),
    "max pooling, overlapping": (lambda: layers.MaxPooling2D(3, 2, "same"), (7, 5, 11)),
    "max pooling, apart": (lambda: layers.MaxPooling2D(2, (3, 5)), (8, 12, 1)),
    "max pooling of large windows": (lambda: layers.MaxPooling2D((17, 18), padding="same"), (19, 17, 2)),
    "max pooling, larger than the image": (lambda: layers.MaxPooling2D(9, 2, "same"), (2, 1, 3)),
    "average pooling": (lambda: layers.AveragePooling2D(2), (5, 4, 3)),
    "average pooling 1D": (lambda: layers.AveragePooling1D(3, 2), (8, 5)),
    "average pooling 3D": (lambda: layers.AveragePooling3D((1, 2, 3), padding="same"), (3, 5, 4, 2)),
    "average pooling, overlapping": (lambda: layers.AveragePooling2D(3, 1, "same"), (3, 4, 67)),
    "average pooling of large windows": (lambda: layers.AveragePooling2D(11, 2, "same"), (13, 12, 1)),
    "global average pooling 1D": (lambda: layers.GlobalAveragePooling1D(), (7, 3)),
    "global average pooling": (lambda: layers.GlobalAveragePooling2D(), (5, 3, 7)),
    "global average pooling 3D": (lambda: layers.GlobalAveragePooling3D(keepdims=True), (5, 7, 3, 2)),
    "global max pooling 1D": (lambda: layers.GlobalMaxPooling1D(keepdims=True), (7, 3)),
    "global max pooling": (lambda: layers.GlobalMaxPooling2D(), (5, 3, 70)),
    "global max pooling 3D": (lambda: layers.GlobalMaxPooling3D(), (2, 2, 3, 1)),
    "adaptive average pooling 1D": (lambda: layers.AdaptiveAveragePooling1D(3), (7, 2)),
    "adaptive average pooling": (lambda: layers.AdaptiveAveragePooling2D((3, 7)), (7, 5, 2)),
    "adaptive average pooling 3D": (lambda: layers.AdaptiveAveragePooling3D(2), (3, 2, 5, 1)),
    "adaptive max pooling 1D": (lambda: layers.AdaptiveMaxPooling1D(3), (7, 2)),
    "adaptive max pooling": (lambda: layers.AdaptiveMaxPooling2D((3, 7)), (7, 5, 2)),
    "adaptive max pooling 3D": (lambda: layers.AdaptiveMaxPooling3D(2), (3, 2, 5, 1)),
    "up sampling 1D": (lambda: layers.UpSampling1D(3), (5, 2)),
    "up sampling": (lambda: layers.UpSampling2D((2, 3)), (3, 5, 2)),
    "up sampling, interpolated": (lambda: layers.UpSampling2D(2, interpolation="bilinear"), (3, 5, 2)),
    "up sampling 3D": (lambda: layers.UpSampling3D(2), (2, 3, 1, 2)),
    "zero padding 1D": (lambda: layers.ZeroPadding1D((1, 2)), (3, 2)),
    "zero padding": (lambda: layers.ZeroPadding2D(((1, 0), (0, 2))), (3, 5, 3)),
    "zero padding 3D": (lambda: layers.ZeroPadding3D(1), (2, 1, 3, 2)),
    "cropping 1D": (lambda: layers.Cropping1D((1, 2)), (5, 2)),
    "cropping": (lambda: layers.Cropping2D(((1, 0), (0, 2))), (3, 5, 3)),
    "cropping 3D": (lambda: layers.Cropping3D(1), (3, 4, 5, 2)),
    "resizing": (lambda: layers.Resizing(7, 4), (5, 6, 3)),
    "resizing, nearest": (lambda: layers.Resizing(3, 11, "nearest"), (7, 5, 2)),
    "resizing, bicubic": (lambda: layers.Resizing(3, 11, "bicubic", antialias=True), (7, 5, 2)),
    "resizing, lanczos": (lambda: layers.Resizing(8, 3, "lanczos3", crop_to_aspect_ratio=True), (7, 5, 2)),
    "resizing, padded": (lambda: layers.Resizing(4, 9, pad_to_aspect_ratio=True, fill_value=3.0), (7, 5, 2)),
    "center crop": (lambda: layers.CenterCrop(4, 3), (7, 6, 2)),
    "center crop of small images": (lambda: layers.CenterCrop(5, 4), (3, 6, 2)),
    "spatial dropout 1D": (lambda: layers.SpatialDropout1D(0.4), (5, 7)),
    "spatial dropout": (lambda: layers.SpatialDropout2D(0.4), (3, 5, 7)),
    "spatial dropout 3D": (lambda: layers.SpatialDropout3D(0.4), (3, 2, 2, 7)),
    "convolution": (lambda: layers.Conv2D(3, 3, padding="same", activation="relu"), (5, 4, 2)),
    "convolution, strided": (lambda: layers.Conv2D(4, (2, 3), (2, 3), "same", activation="tanh"), (7, 8, 3)),
    "convolution, groups": (lambda: layers.Conv2D(4, 2, 3, groups=2, use_bias=False), (7, 8, 2)),
    "convolution, many channels": (lambda: layers.Conv2D(32, 3, padding="same"), (4, 5, 32)),
    "convolution, 1×1": (lambda: layers.Conv2D(3, 1), (2, 3, 2)),
    "convolution, causal": (lambda: layers.Conv1D(3, 3, dilation_rate=2, padding="causal"), (7, 2)),
    "convolution, volumes": (lambda: layers.Conv3D(2, 2, strides=(1, 2, 1)), (3, 4, 3, 2)),
    "transposed convolution": (lambda: layers.Conv2DTranspose(3, 3, 2, "same", activation="relu"), (3, 4, 2)),
    "transposed convolution, gaps": (lambda: layers.Conv2DTranspose(2, 2, 3, activation="tanh"), (2, 3, 3)),
    "transposed convolution, steps": (lambda: layers.Conv1DTranspose(2, 3, dilation_rate=2), (4, 3)),
    "transposed convolution, volumes": (lambda: layers.Conv3DTranspose(2, 2, (1, 2, 1)), (2, 2, 3, 2)),
    "depthwise convolution": (lambda: layers.DepthwiseConv2D(3, padding="same", activation="relu"), (3, 9, 16)),
    "depthwise convolution, strided": (lambda: layers.DepthwiseConv2D((2, 3), (2, 3), "valid", 2), (7, 8, 3)),
    "depthwise convolution, steps": (lambda: layers.DepthwiseConv1D(3, 2, "same", dilation_rate=2), (9, 5)),
    "separable convolution, images": (lambda: layers.SeparableConv2D(4, 3, depth_multiplier=2), (5, 6, 3)),
    "separable convolution, steps": (lambda: layers.SeparableConv1D(4, 3, 2, activation="tanh"), (7, 3)),
}

#: layers of images behind the first one, whose kernels differ by the sizes of their windows; files of their own compare
#: them with slow loops and with Keras
IMAGES = list(CHECKED)[list(CHECKED).index("max pooling") + 1 :]


#: rows of a kind of which the plain run checks the first one: each has kernels of its own, seconds to compile
MANY = ("unit normalization", "rms normalization", "group normalization", "prelu of images", "gaussian noise")
SLOW = [
    name for name in CHECKED
    if name.partition(" normalization")[2] or "another axis" in name or name.startswith("random ") or name in MANY
]  # fmt: skip


def marked(name):
    mark = pytest.mark.thorough if name in IMAGES else pytest.mark.slow if name in SLOW else None
    return name if mark is None else pytest.param(name, marks=mark)


@pytest.mark.parametrize("name", [marked(name) for name in CHECKED])
def test_check_layer(name):
    factory, shape = CHECKED[name]
    report = str(testing.check_layer(factory, shape))
    assert "gradient of input" in report
    assert "the same bits on 1 and 2" in report


def predict(layer, x):
    model = fastnet.Sequential([layers.Input(x.shape[1:], dtype=layer.dtype), layer])
    return model.predict(x, verbose=0), model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (17, 5), (33, 3, 7), (2, 2, 3, 5)], ids=str)
def test_dense(shape, dtype):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    y, model = predict(layers.Dense(13, activation="tanh", bias_initializer="random_normal", dtype=dtype), x)
    kernel, bias = (w.astype(float) for w in model.get_weights())
    tolerance = 2e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(y, np.tanh(x.astype(float) @ kernel + bias), rtol=tolerance, atol=tolerance)


def test_rescaling_reshape_flatten():
    x = np.arange(24, dtype="uint8").reshape(2, 3, 4)
    np.testing.assert_allclose(predict(layers.Rescaling(0.5, offset=1), x)[0], x * 0.5 + 1)
    np.testing.assert_array_equal(predict(layers.Flatten(), x)[0], x.reshape(2, 12))
    np.testing.assert_array_equal(predict(layers.Reshape((-1, 2)), x)[0], x.reshape(2, 6, 2))


def test_relu_with_arguments_and_softmax():
    x = np.random.default_rng(1).standard_normal((7, 11)) * 3
    y = predict(layers.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.5, dtype="float64"), x)[0]
    np.testing.assert_allclose(y, oracles.clipped_relu(x, 0.1, 2.0, 0.5), rtol=1e-15)
    np.testing.assert_allclose(predict(layers.Softmax(dtype="float64"), x)[0], oracles.softmax(x), rtol=1e-14)


@pytest.mark.parametrize("shape", [(13, 3), (5, 7, 17)], ids=str)
def test_batch_normalization_in_training_and_inference(shape):
    rng = np.random.default_rng(2)
    x = rng.standard_normal(shape) * 3 + 5
    one = LayerRun(lambda: layers.BatchNormalization(momentum=0.9, epsilon=1e-2), "float64", shape[1:], shape[0])
    gamma, beta = rng.standard_normal((2, shape[-1]))
    one.layer.set_weights([gamma, beta, np.full(shape[-1], 2.0), np.full(shape[-1], 3.0)])
    y = one(x, np.ones(shape))[0]
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    np.testing.assert_allclose(
        y, oracles.batch_normalization(x, gamma, beta, mean, variance, 1e-2), rtol=1e-12, atol=1e-12
    )
    moving_mean, moving_variance = one.layer.get_weights()[2:]
    np.testing.assert_allclose(moving_mean, 0.9 * 2 + 0.1 * mean, rtol=1e-13)
    np.testing.assert_allclose(moving_variance, 0.9 * 3 + 0.1 * variance, rtol=1e-13)
    y, model = predict(one.layer, x)
    right = oracles.batch_normalization(x, gamma, beta, moving_mean, moving_variance, 1e-2)
    np.testing.assert_allclose(y, right, rtol=1e-12, atol=1e-12)


def test_a_frozen_batch_normalization_keeps_its_averages_while_training():
    norm = layers.BatchNormalization(trainable=False)
    model = fastnet.Sequential([layers.Input((3,)), norm, layers.Dense(1)])
    model.compile("sgd", "mse")
    before = norm.get_weights()
    model.fit(np.random.default_rng(0).standard_normal((16, 3)) + 9, np.zeros(16), epochs=1, verbose=0)
    for a, b in zip(before, norm.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def dropout(rate, shape, dtype="float64", step=0, **arguments):
    """(y, dx) of ones."""
    one = LayerRun(lambda: layers.Dropout(rate, **arguments), dtype, shape[1:], shape[0])
    one.run.set(one.x, 1.0)
    one.run.set(one.dy, 1.0)
    one.run.steps(1, first=step)
    return one.run.get(one.y), one.run.get(one.dx)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_scales_the_rest(rate):
    y, dx = dropout(rate, (211, 103))
    np.testing.assert_array_equal(y, dx)  # the same mask on the way back
    if rate:
        assert set(np.unique(y)) == {0.0, 1 / (1 - rate)}
    share = (y == 0).mean()
    assert abs(share - rate) <= 5 * np.sqrt(rate * (1 - rate) / y.size)
    neighbours = ((y[:, 1:] == 0) & (y[:, :-1] == 0)).mean()
    assert abs(neighbours - rate**2) <= 0.02


def test_a_mask_follows_from_step_layer_and_element_alone():
    whole, _ = dropout(0.5, (64, 33))
    np.testing.assert_array_equal(dropout(0.5, (17, 33))[0], whole[:17])  # rows behind it change nothing
    np.testing.assert_array_equal(dropout(0.5, (64, 33), "float32")[0], whole)
    for other in (dropout(0.5, (64, 33), step=1)[0], dropout(0.5, (64, 33), seed=1)[0]):
        assert 0.4 < (other == whole).mean() < 0.6
    np.testing.assert_array_equal(dropout(0.5, (64, 33), seed=1)[0], dropout(0.5, (64, 33), seed=1)[0])
    assert not np.array_equal(dropout(0.5, (64, 33), seed=1)[0], dropout(0.5, (64, 33), seed=2)[0])


@pytest.mark.parametrize("size", [1, 63, 64, 511, 512, 1291])
@pytest.mark.parametrize("rate", [0.3, 1e-9, 1 - 1e-9])
@pytest.mark.parametrize(
    ("own", "number", "seed"), [(None, 1, testing.running.SEED), (7, 7 + 2**31, 0)], ids=["the model's", "its own"]
)
def test_the_mask_is_that_of_philox(size, rate, own, number, seed):
    """Element e: 64 blocks of eight 16-bit numbers for each 512 elements."""
    y, _ = dropout(rate, (1, size), "float32", step=3, seed=own)
    e = np.arange(size)
    block, part = 64 * (e // 512) + e % 64, e % 512 // 64
    counters = zip(block, part)
    expected = []
    for at, half in counters:
        words = philox(*map(np.uint32, [at, 0, 3, number, seed, 0]))
        expected.append(int(words[half // 2]) >> 16 * (half % 2) & 0xFFFF)
    np.testing.assert_array_equal(y[0] == 0, np.array(expected) < min(round(rate * 65536), 65535))


def test_two_dropouts_have_masks_of_their_own_and_inference_has_none():
    x = np.ones((50, 40), "f")
    model = fastnet.Sequential([layers.Input((40,)), layers.Dropout(0.5), layers.Dropout(0.5)])
    np.testing.assert_array_equal(model.predict(x, verbose=0), x)
    first, second = dropout(0.5, (50, 40))[0], None
    from fastnet.engine.plan import Plan
    from fastnet.testing.running import Run

    plan = Plan(True, "float64", 50)
    source = plan.buffer((40,))
    stack = [layers.Dropout(0.5, dtype="float64") for _ in range(2)]
    a, b = (plan.apply(layer, source) for layer in stack)
    run = Run(plan, 50, [source, a, b])
    run.set(source, 1.0)
    run.steps()
    np.testing.assert_array_equal(run.get(a), first)
    second = run.get(b)
    assert 0.45 < (second == first).mean() < 0.55


@pytest.mark.parametrize(("make", "message"), [
    (lambda: layers.Dense(0), "units must be an integer of at least 1"),
    (lambda: layers.Dense(2.5), "units"),
    (lambda: layers.Dense(2, activation="rel"), "Unknown activation 'rel'"),
    (lambda: layers.Dropout(1.0), "rate"),
    (lambda: layers.Dropout(0.5, noise_shape=(1,)).connect((3,)), "noise_shape"),
    (lambda: layers.Dropout(0.5, noise_shape="batch"), "noise_shape"),
    (lambda: layers.Dropout(0.5, noise_shape=(None, 2)).connect((3,)), "noise_shape"),
    (lambda: layers.AlphaDropout(-0.1), "rate"),
    (lambda: layers.GaussianNoise(2.0), "stddev must be a number that is at least 0 and at most 1"),
    (lambda: layers.GaussianDropout(1.0), "rate must be a number that is at least 0 and below 1"),
    (lambda: layers.ActivityRegularization(l1=-1), "l1 must be a number that is finite and not negative"),
    (lambda: layers.LeakyReLU(-0.1), "negative_slope"),
    (lambda: layers.PReLU(shared_axes=[2]).connect((3,)), "shared_axes"),
    (lambda: layers.Lambda(bent, output_shape=(3,)), "output_shape"),
    (lambda: layers.Lambda(bent, arguments={"m": 1}), "has the arguments"),
    (lambda: layers.Lambda(lambda x: sum(x)), "a loop over an array needs its elements"),
    (lambda: layers.Permute((1, 3)), "each number from 1"),
    (lambda: layers.Permute((2, 1)).connect((3,)), "orders 2 axes"),
    (lambda: layers.RepeatVector(0), "n must be an integer of at least 1"),
    (lambda: layers.RepeatVector(2).connect((3, 4)), "repeats vectors"),
    (lambda: layers.LayerNormalization(axis=3).connect((3, 4)), "axes of the sample, from 1 to 2"),
    (lambda: layers.LayerNormalization(epsilon=0), "epsilon"),
    (lambda: layers.LayerNormalization(rms_scaling=True), "rms_scaling is not supported"),
    (lambda: layers.GroupNormalization(4).connect((3, 6)), r"groups=4 for .*\(3, 6\). These do: 1, 2, 3, 6"),
    (lambda: layers.GroupNormalization().connect((6,)), "groups must divide the channels, those of axis -1"),
    (lambda: layers.GroupNormalization(0), "groups .* integer of at least 1"),
    (lambda: layers.GroupNormalization(-2), "groups"),
    (lambda: layers.GroupNormalization(2, axis=1).connect((3, 4)), r"the channels, those of axis 1, evenly.*\(3, 4\)"),
    (lambda: layers.GroupNormalization(2, axis=[-1]), "axis must be an integer"),
    (lambda: layers.GroupNormalization(1).connect(()), "axes of the sample"),
    (lambda: layers.UnitNormalization(axis="last"), "axis"),
    (lambda: layers.RMSNormalization(axis=0).connect((3,)), "axes of the sample"),
    (lambda: layers.Normalization(mean=1.0), "mean and variance, or neither"),
    (lambda: layers.Normalization(mean=1.0, variance=-1.0), "must not be negative"),
    (lambda: layers.Normalization(mean=[1.0], variance=2.0), "has shape"),
    (lambda: layers.Normalization(axis=[1, 1]).connect((3, 4)), "each once"),
    (lambda: layers.Normalization().adapt([]), "no data"),
    (lambda: layers.Normalization(mean=0.0, variance=1.0).adapt(np.ones((2, 2))), "nothing to adapt"),
    (lambda: layers.Input(), "either shape"),
    (lambda: layers.Input((3,), ragged=True), "ragged is not supported"),
    (lambda: layers.Dense(2, kernel_regularizer="l3"), "Unknown regularizer 'l3'"),
    (lambda: layers.Dense(2, kernel_constraint="norm"), "Unknown constraint 'norm'"),
    (lambda: layers.Dense(2, lora_rank=4), "lora_rank is not supported"),
    (lambda: layers.BatchNormalization(renorm=1), "renorm must be True or False"),
    (lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"r": 1}), "entries among 'rmin', 'rmax' and 'dm"),
    (lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"dmax": -1}), r"renorm_clipping\['dmax'\]"),
    (lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"rmin": 2, "rmax": 1}), "must have rmin <= rmax"),
    (lambda: layers.BatchNormalization(renorm_momentum=2), "renorm_momentum"),
    (lambda: layers.Dropout(0.5, seed=-1), "seed"),
    (lambda: layers.BatchNormalization(momentum=2), "momentum"),
    (lambda: layers.BatchNormalization(epsilon=0), "epsilon"),
    (lambda: layers.ReLU(negative_slope=-1), "negative_slope"),
    (lambda: layers.Reshape((-1, -1)), "at most one size"),
    (lambda: layers.Rescaling(float("nan")), "scale"),
    (lambda: layers.Input((0,)), "positive"),
    (lambda: layers.Dense(2, dtype="int8"), "dtype"),
    (lambda: layers.Dense(2, name="a/b"), "name"),
    (lambda: layers.Softmax(axis=3).connect((3, 4)), "axes of the sample"),
    (lambda: layers.Reshape((4,)).connect((5,)), "5 elements"),
    (lambda: layers.Dense(2).connect(()), "at least one axis"),
])  # fmt: skip
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_wrong_backward_is_found():
    class Doubled(layers.Layer):
        def forward(self, plan, x):
            self.inner = layers.Rescaling(2.0, dtype=self.dtype)
            return self.inner.forward(plan, x)

        def backward(self, plan, dy, x, y):
            return layers.Rescaling(3.0, dtype=self.dtype).backward(plan, dy, x, y)

    with pytest.raises(AssertionError, match=r"gradient of input is .* but differences give"):
        testing.check_layer(Doubled, (4,))
