"""Convolutions against sums in float64, tap by tap; their gradients are among the rows of `test_layers`."""

import numpy as np
import pytest

import fastnet
from fastnet import activations, layers, testing
from fastnet._kernels.window import Window
from fastnet.engine.plan import Plan
from fastnet.testing.plans import LayerRun
from fastnet.testing.running import Run, threads

from . import convolution_oracles as oracles

TOLERANCE = {"float32": 2e-6, "float64": 1e-14}

#: (shape of x, filters, kernel_size, strides, padding, dilation_rate, groups)
CONVOLUTIONS = {
    "plain": ((2, 5, 7, 3), 4, 3, 1, "valid", 1, 1),
    "same": ((3, 8, 8, 4), 5, 3, 1, "same", 1, 1),
    "one pixel": ((2, 1, 1, 1), 1, 3, 1, "same", 1, 1),
    "kernel larger than the image": ((1, 2, 3, 2), 3, (5, 7), 1, "same", 1, 1),
    "kernel as large as the image": ((3, 4, 5, 2), 3, (4, 5), 1, "valid", 1, 1),
    "primes": ((3, 11, 13, 7), 5, (2, 3), (2, 3), "same", 1, 1),
    "stride larger than the kernel": ((2, 9, 8, 3), 5, 2, 3, "valid", 1, 1),
    "stride larger than the image": ((2, 3, 2, 3), 2, 1, 5, "same", 1, 1),
    "dilated": ((2, 9, 9, 5), 3, 3, 1, "same", (2, 3), 1),
    "groups": ((2, 5, 6, 6), 9, 3, 1, "valid", 1, 3),
    "groups of one channel": ((2, 6, 6, 5), 10, 3, 2, "same", 1, 5),
    "1×1": ((3, 5, 4, 7), 6, 1, 1, "same", 1, 1),
    "1×1, strided": ((3, 5, 4, 7), 6, 1, 2, "valid", 1, 1),
    "1×1, groups": ((3, 5, 4, 6), 4, 1, 1, "valid", 1, 2),
    "patches side by side": ((2, 3, 6, 5), 4, (1, 2), (1, 2), "valid", 1, 1),
    "many channels": ((2, 4, 4, 67), 35, 3, 1, "same", 1, 1),
    "two K-blocks, strided": ((2, 5, 4, 80), 20, 3, 2, "same", 1, 1),
    "two K-blocks, strided, groups": ((2, 5, 4, 160), 12, 3, 2, "same", 1, 2),
    "steps": ((3, 9, 4), 5, 3, 2, "same", 1, 1),
    "causal": ((3, 9, 4), 5, 3, 1, "causal", 2, 1),
    "causal, strided": ((2, 8, 3), 2, 4, 3, "causal", 1, 1),
    "volumes": ((2, 4, 5, 3, 2), 3, (2, 3, 1), (1, 2, 1), "same", 1, 1),
    "volumes in lines": ((2, 3, 4, 9, 12), 5, (2, 3, 3), 1, "same", 1, 1),
    "groups in lines": ((3, 7, 9, 24), 6, 3, 1, "same", 1, 2),
    "volumes, dilated": ((1, 5, 4, 6, 2), 4, 2, 1, "valid", (2, 1, 3), 2),
}


def numbers(value, rank):
    return (value,) * rank if isinstance(value, int) else value


def kind(name, rank):
    return getattr(layers, name.replace("#", str(rank)))


def data(shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(y, wanted, dtype):
    assert y.shape == wanted.shape and y.dtype == dtype
    np.testing.assert_allclose(y, wanted, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name, dtype):
    shape, filters, taps, strides, padding, dilations, groups = CONVOLUTIONS[name]
    rank = len(shape) - 2
    layer = kind("Conv#D", rank)(
        filters, taps, strides, padding, dilation_rate=dilations, groups=groups, bias_initializer="normal", dtype=dtype
    )
    x = data(shape, dtype)
    y = layer(x)
    kernel, bias = layer.get_weights()
    assert kernel.shape == (*numbers(taps, rank), shape[-1] // groups, filters)
    wanted = oracles.convolution(x, kernel, numbers(strides, rank), padding, numbers(dilations, rank), groups) + bias
    close(y, wanted, dtype)
    assert layer.compute_output_shape((None, *shape[1:])) == (None, *y.shape[1:])


#: (shape of x, filters, kernel_size, strides, padding, dilation_rate)
TRANSPOSED = {
    "plain": ((2, 4, 3, 5), 3, 3, 1, "valid", 1),
    "doubled": ((2, 4, 3, 5), 3, 3, 2, "same", 1),
    "doubled, even kernel": ((2, 4, 3, 5), 3, 4, 2, "same", 1),
    "one pixel": ((1, 1, 1, 1), 1, 3, 2, "same", 1),
    "stride larger than the kernel": ((2, 3, 2, 3), 4, 2, 3, "valid", 1),
    "stride larger than the kernel, same": ((2, 3, 2, 3), 4, (1, 2), (3, 5), "same", 1),
    "stride as large as the kernel": ((2, 3, 5, 3), 4, 2, 2, "valid", 1),
    "two K-blocks": ((2, 3, 4, 300), 5, 3, 2, "same", 1),
    "dilated": ((2, 5, 4, 3), 2, 3, 1, "same", (2, 3)),
    "1×1": ((2, 3, 5, 4), 3, 1, 1, "same", 1),
    "primes": ((3, 7, 5, 11), 13, (5, 3), (2, 3), "same", 1),
    "steps": ((3, 5, 4), 2, 3, 2, "valid", 1),
    "volumes": ((2, 2, 3, 2, 3), 2, (2, 3, 1), (2, 1, 2), "same", 1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolution(name, dtype):
    shape, filters, taps, strides, padding, dilations = TRANSPOSED[name]
    rank = len(shape) - 2
    layer = kind("Conv#DTranspose", rank)(
        filters, taps, strides, padding, dilation_rate=dilations, activation="relu", bias_initializer="normal",
        dtype=dtype,
    )  # fmt: skip
    x = data(shape, dtype)
    y = layer(x)
    kernel, bias = layer.get_weights()
    assert kernel.shape == (*numbers(taps, rank), filters, shape[-1])
    wanted = oracles.transposed(x, kernel, numbers(strides, rank), padding, numbers(dilations, rank)) + bias
    close(y, np.maximum(wanted, 0), dtype)
    assert layer.compute_output_shape((None, *shape[1:])) == (None, *y.shape[1:])


#: (shape of x, kernel_size, strides, padding, dilation_rate, depth_multiplier); the loops have blocks of 64 elements
DEPTHWISE = {
    "plain": ((2, 5, 7, 3), 3, 1, "valid", 1, 1),
    "blocks of several positions": ((2, 3, 19, 9), 3, 1, "same", 1, 1),
    "blocks of whole positions": ((2, 3, 13, 16), (2, 3), 1, "same", 1, 1),
    "blocks of channels": ((2, 4, 5, 67), 3, 2, "same", 1, 1),
    "blocks, two for each channel": ((2, 3, 9, 16), 3, 1, "same", 1, 2),
    "blocks of channels, three for each": ((1, 3, 4, 65), 3, 1, "valid", 1, 3),
    "more taps than weights in a block": ((1, 9, 20, 8), 9, 1, "same", 1, 1),
    "one pixel": ((2, 1, 1, 1), 3, 1, "same", 1, 1),
    "kernel larger than the image": ((1, 2, 3, 2), (5, 7), 1, "same", 1, 2),
    "stride larger than the kernel": ((2, 9, 8, 3), 2, 3, "valid", 1, 1),
    "strided and dilated": ((2, 11, 13, 5), 3, (2, 3), "same", (3, 2), 2),
    "dilated": ((2, 9, 30, 4), 3, 1, "same", (2, 3), 1),
    "steps": ((3, 9, 4), 3, 2, "same", 1, 2),
    "primes": ((3, 7, 37, 11), (3, 5), 1, "same", 1, 1),
    # Whole vectors of channels (`loops.LANES`); blocks have four positions:
    "vectors": ((3, 9, 13, 24), 3, 1, "same", 1, 1),
    "vectors, few positions within the image": ((2, 7, 5, 8), 3, 1, "same", 1, 1),
    "vectors, no position within the image": ((2, 3, 2, 80), 5, 1, "same", 1, 1),
    "vectors, strided": ((3, 12, 19, 16), (3, 4), (2, 3), "same", 1, 1),
    "vectors, dilated": ((2, 11, 14, 8), 3, 1, "same", (3, 2), 1),
    "vectors, two for each channel": ((2, 6, 10, 12), (2, 3), 1, "valid", 1, 2),
    "vectors, more taps than a part of the gradient": ((2, 9, 11, 72), 7, 1, "same", 1, 1),
    "vectors, steps": ((3, 17, 8), 4, 1, "same", 2, 1),
    "vectors, several blocks of a line": ((2, 6, 37, 72), (2, 5), 1, "same", 1, 1),
    "vectors, windows beyond both ends of a block": ((2, 7, 9, 16), (2, 6), 1, "valid", 1, 1),
    "vectors, windows longer than a block": ((2, 3, 4, 8), (3, 7), 1, "same", 1, 1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", DEPTHWISE)
def test_depthwise_convolution(name, dtype):
    shape, taps, strides, padding, dilations, multiplier = DEPTHWISE[name]
    rank = len(shape) - 2
    layer = kind("DepthwiseConv#D", rank)(
        taps, strides, padding, multiplier, dilation_rate=dilations, activation="relu", bias_initializer="normal",
        dtype=dtype,
    )  # fmt: skip
    x = data(shape, dtype)
    y = layer(x)
    kernel, bias = layer.get_weights()
    assert kernel.shape == (*numbers(taps, rank), shape[-1], multiplier)
    wanted = oracles.depthwise(x, kernel, numbers(strides, rank), padding, numbers(dilations, rank)) + bias
    close(y, np.maximum(wanted, 0), dtype)
    assert layer.compute_output_shape((None, *shape[1:])) == (None, *y.shape[1:])


def of_convolution(name):
    """The class of a row of `CONVOLUTIONS`, its arguments, the shape of x, and the oracle."""
    shape, filters, taps, strides, padding, dilations, groups = CONVOLUTIONS[name]
    rank = len(shape) - 2
    how = numbers(strides, rank), padding, numbers(dilations, rank), groups
    given = {"filters": filters, "groups": groups, "kernel_size": taps, "strides": strides, "padding": padding}
    given["dilation_rate"] = dilations
    return kind("Conv#D", rank), given, shape, lambda x, kernel: oracles.convolution(x, kernel, *how)


def of_transposed(name):
    shape, filters, taps, strides, padding, dilations = TRANSPOSED[name]
    rank = len(shape) - 2
    how = numbers(strides, rank), padding, numbers(dilations, rank)
    given = {"filters": filters, "kernel_size": taps, "strides": strides, "padding": padding}
    given["dilation_rate"] = dilations
    return kind("Conv#DTranspose", rank), given, shape, lambda x, kernel: oracles.transposed(x, kernel, *how)


def of_depthwise(name):
    shape, taps, strides, padding, dilations, multiplier = DEPTHWISE[name]
    rank = len(shape) - 2
    how = numbers(strides, rank), padding, numbers(dilations, rank)
    given = {"kernel_size": taps, "strides": strides, "padding": padding, "dilation_rate": dilations}
    given["depth_multiplier"] = multiplier
    return kind("DepthwiseConv#D", rank), given, shape, lambda x, kernel: oracles.depthwise(x, kernel, *how)


KINDS = [*((of_convolution, n) for n in CONVOLUTIONS), *((of_transposed, n) for n in TRANSPOSED)]
KINDS += [(of_depthwise, n) for n in DEPTHWISE]


@pytest.mark.parametrize(("rows", "name"), KINDS, ids=lambda each: getattr(each, "__name__", each))
def test_gradients(rows, name):
    """Results are linear in x and in the kernel: <dy, y(u, kernel)> = <dx, u>, <dy, y(x, v)> = <dkernel, v>."""
    cls, given, shape, oracle = rows(name)
    run = LayerRun(lambda: cls(**given), "float64", shape[1:], shape[0])
    x, dy = data(shape), data(run.run.get(run.y).shape, seed=1)
    _, dx, dkernel, dbias = run(x, dy)
    kernel, scale = run.layer.kernel.numpy(), np.abs(dy).sum()
    for seed in range(2, 5):
        u, v = data(shape, seed=seed), data(kernel.shape, seed=seed + 10)
        assert (dx * u).sum() == pytest.approx((dy * oracle(u, kernel)).sum(), abs=1e-13 * scale)
        assert (dkernel * v).sum() == pytest.approx((dy * oracle(x, v)).sum(), abs=1e-13 * scale)
    np.testing.assert_allclose(dbias, dy.reshape(-1, dy.shape[-1]).sum(0), rtol=0, atol=1e-13 * scale)


@pytest.mark.parametrize("rank", [1, 2])
def test_separable_convolution_is_one_after_the_other(rank):
    x = data((3, *(7, 6)[:rank], 5))
    layer = kind("SeparableConv#D", rank)(
        4, 3, 2, "same", depth_multiplier=2, activation="tanh", bias_initializer="normal", dtype="float64"
    )
    y = layer(x)
    depthwise, pointwise, bias = layer.get_weights()
    assert depthwise.shape == (*[3] * rank, 5, 2) and pointwise.shape == (*[1] * rank, 10, 4)
    between = oracles.depthwise(x, depthwise, (2,) * rank, "same", (1,) * rank)
    close(y, np.tanh(between @ pointwise.reshape(10, 4) + bias), "float64")


# ---- the product over patches


GEOMETRIES = {  # (shape of x, filters, kernel_size, strides, padding, dilation_rate)
    "3×3": ((3, 9, 7, 5), 17, (3, 3), (1, 1), "same", (1, 1)),
    "several K-blocks": ((2, 6, 5, 61), 40, (3, 3), (1, 1), "valid", (1, 1)),
    "many rows": ((5, 23, 19, 3), 9, (5, 4), (2, 1), "same", (1, 1)),
    "dilated": ((2, 9, 8, 16), 33, (3, 2), (1, 1), "same", (2, 3)),
    # Lines of the image are copied (`cpu.lines`), not patches:
    "lines in several K-blocks": ((9, 9, 11, 37), 20, (5, 5), (1, 1), "same", (1, 1)),
    "lines in parts": ((2, 5, 131, 11), 16, (3, 3), (1, 1), "same", (1, 1)),
    "lines longer than a K-block": ((2, 3, 611, 40), 5, (3, 7), (1, 1), "same", (1, 1)),
    "strided lines": ((5, 23, 19, 16), 9, (3, 3), (2, 2), "valid", (1, 1)),
    "lines left out by strides": ((3, 23, 13, 8), 9, (2, 3), (3, 1), "valid", (1, 1)),
    "lines of many small images": ((41, 8, 8, 16), 24, (3, 3), (1, 1), "same", (1, 1)),
    "lines cut by blocks": ((3, 31, 29, 16), 16, (3, 3), (1, 1), "same", (1, 1)),
    "long lines, several at once": ((2, 9, 203, 8), 16, (3, 3), (1, 1), "same", (1, 1)),
    "lines of one row": ((5, 1, 83, 8), 16, (1, 5), (1, 2), "same", (1, 1)),
    "lines of volumes in several K-blocks": ((2, 4, 5, 9, 24), 17, (3, 3, 3), (1, 2, 1), "same", (1, 1, 1)),
    "lines of four positions": ((41, 8, 4, 16), 24, (3, 3), (1, 1), "same", (1, 1)),
    "lines of runs of one element": ((2, 180, 6, 1), 5, (169, 1), (1, 1), "valid", (1, 1)),
    "more runs of one element than a table of segments holds": ((2, 210, 6, 1), 5, (200, 1), (1, 1), "valid", (1, 1)),
    "dilated along the height": ((3, 9, 9, 32), 8, (2, 3), (1, 1), "same", (3, 1)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_bits_are_those_of_the_product_of_a_patch_matrix(name, dtype):
    """Result and gradient of the kernel, by layers of which one has the patches as data."""
    shape, filters, taps, strides, padding, dilations = GEOMETRIES[name]
    x = data(shape, dtype)
    matrix = oracles.patches(x, taps, strides, padding, dilations)

    def convolution():
        conv = kind("Conv#D", len(taps))
        return conv(filters, taps, strides, padding, dilation_rate=dilations, activation="relu")

    one = LayerRun(convolution, dtype, shape[1:], shape[0])
    other = LayerRun(lambda: layers.Dense(filters, activation="relu"), dtype, matrix.shape[1:], shape[0])
    kernel, bias = data(one.layer.kernel.shape, dtype, 1), data((filters,), dtype, 2)
    one.layer.set_weights([kernel, bias])
    other.layer.set_weights([kernel.reshape(-1, filters), bias])
    dy = data((*matrix.shape[:-1], filters), dtype, 3)
    y, _, dkernel, dbias = one(x, dy)
    wanted = other(matrix, dy)
    np.testing.assert_array_equal(y, wanted[0])
    np.testing.assert_array_equal(dkernel.reshape(-1, filters), wanted[2])
    np.testing.assert_array_equal(dbias, wanted[3])


@pytest.mark.parametrize("shape", [(8, 32, 32, 3), (3, 13, 400, 4), (5, 17, 331, 3), (31, 17, 9, 8)])
def test_an_epilogue_on_many_rows(shape):
    """The chain behind a convolution gets what the convolution alone gives, with C in scratch."""
    convolution = layers.Conv2D(64, 3, padding="same")
    model = fastnet.Sequential([layers.Input(shape[1:]), convolution, layers.BatchNormalization(), layers.ReLU()])
    x = data(shape, "float32")
    alone = fastnet.Sequential([layers.Input(shape[1:]), convolution]).predict(x, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), np.maximum(alone / np.sqrt(1.001), 0), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("shape", "taps"), [((2, 210, 6, 1), (200, 1)), ((2, 15, 14, 5, 1), (14, 13, 1))])
def test_an_epilogue_behind_more_taps_than_a_table_of_segments_holds(shape, taps):
    """C lies in scratch behind the table."""
    convolution = kind("Conv#D", len(taps))(33, taps)
    model = fastnet.Sequential([layers.Input(shape[1:]), convolution, layers.BatchNormalization(), layers.ReLU()])
    x, ones = data(shape, "float32"), (1,) * len(taps)
    wanted = oracles.convolution(x, convolution.kernel.numpy(), ones, "valid", ones)
    found = model.predict(x, verbose=0)
    np.testing.assert_allclose(found, np.maximum(wanted / np.sqrt(1.001), 0), rtol=0, atol=5e-6)  # 200 products


@pytest.mark.parametrize(("shape", "taps"), [((1, 16, 16, 40), 7), ((1, 12, 12, 64), 5), ((2, 9, 11, 8), 3)])
def test_an_update_behind_the_gradient_of_many_taps(shape, taps):
    """A thread has all rows of the kernel's gradient, which lies in scratch for the update behind it."""
    with threads(1):
        model = fastnet.Sequential([layers.Input(shape[1:]), layers.Conv2D(64, taps, padding="same")], seed=1)
        x, y = data(shape, "float32"), data((*shape[:-1], 64), "float32", 1)
        model.compile(fastnet.optimizers.SGD(1.0), "mse")
        before, predicted = model.layers[0].kernel.numpy(), model.predict(x, verbose=0)
        model.train_on_batch(x, y)
    dy = 2 * (predicted.astype("float64") - y) / y.size
    patches = oracles.patches(x.astype("float64"), (taps, taps), (1, 1), "same", (1, 1))
    wanted = patches.reshape(-1, patches.shape[-1]).T @ dy.reshape(-1, 64)
    found = (before.astype("float64") - model.layers[0].kernel.numpy()).reshape(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("name", [name for name in GEOMETRIES if "lines" in name])
def test_the_bits_are_those_of_any_number_of_threads(name):
    shape, filters, taps, strides, padding, dilations = GEOMETRIES[name]
    found = []
    for count in (1, 2, 3):
        with threads(count):
            fastnet.utils.set_random_seed(1)
            run = LayerRun(
                lambda: kind("Conv#D", len(taps))(filters, taps, strides, padding, dilation_rate=dilations), "float32",
                shape[1:], shape[0],
            )  # fmt: skip
            x = data(shape, "float32")
            found.append(run(x, data(run.layer(x).shape, "float32", 3)))
    assert all(np.array_equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize(
    ("filters", "taps", "strides"), [(5, (1, 1), (1, 1)), (4, (1, 3), (1, 3)), (3, (4, 6), (1, 1))]
)
def test_patches_side_by_side_need_no_window(filters, taps, strides):
    run = LayerRun(lambda: layers.Conv2D(filters, taps, strides), "float32", (4, 6, 2), 2).run
    products = [launch.kernel for launch in run.plan.launches if launch.name == "product"]
    assert len(products) == 3 and all(product.window is None for product in products)


def test_rows_that_lie_apart_are_read_where_they_are():
    """Images whose channels are some of those of other images, and a result of the same kind."""
    plan = Plan(False, "float64", 3)
    wide, out = plan.buffer((5, 6, 7)), plan.buffer((5, 6, 8))
    kernel = fastnet.Variable(data((3, 3, 4, 2), seed=1), "kernel")
    window = Window((1, 5, 6), (1, 5, 6), (1, 3, 3), 4, before=(0, 1, 1))
    plan.product(wide.slice(2, 2, 6), kernel, out.slice(2, 3, 5), window=window)
    run = Run(plan, 3, [wide, out])
    x = data((3, 5, 6, 7))
    run.set(wide, x)
    run.set(out, 7.0)
    run.steps()
    y = run.get(out)
    close(y[..., 3:5], oracles.convolution(x[..., 2:6], kernel.numpy(), (1, 1), "same", (1, 1)), "float64")
    assert (y[..., :3] == 7).all() and (y[..., 5:] == 7).all()


# ---- rows, NaN, activations


LAYERS = {
    "convolution": lambda: layers.Conv2D(5, 3, padding="same"),
    "strided": lambda: layers.Conv2D(5, 2, 2, padding="same"),
    "transposed": lambda: layers.Conv2DTranspose(5, 3, 2, padding="same"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, padding="same"),
    "separable": lambda: layers.SeparableConv2D(5, 3, padding="same"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_any_number_of_rows(name):
    model = fastnet.Sequential([layers.Input((6, 7, 8)), LAYERS[name]()])
    x = data((7, 6, 7, 8), "float32")
    y = model.predict(x, batch_size=7, verbose=0)
    np.testing.assert_array_equal(model.predict(x, batch_size=3, verbose=0), y)
    for row in range(7):
        np.testing.assert_array_equal(model.predict(x[row : row + 1], verbose=0), y[row : row + 1])
    assert model.predict(x[:0], verbose=0).shape == (0, *y.shape[1:])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", LAYERS)
def test_nan_and_infinity_stay_in_the_windows_that_read_them(name, bad):
    layer = LAYERS[name]()
    x = np.zeros((2, 6, 7, 8), "float32")
    layer(x)
    layer.set_weights([np.ones_like(w) for w in layer.get_weights()])
    at = (1, 3, 6, 2)
    x[at] = 1
    reached = layer(x) != layer(np.zeros_like(x))
    x[at] = bad
    assert 0 < reached.sum() < reached.size / 4
    np.testing.assert_array_equal(~np.isfinite(layer(x)), reached)


def test_activations_of_any_kind():
    x = data((2, 5, 5, 3))
    plain = layers.Conv2D(4, 3, dtype="float64")
    z = plain(x)
    for activation, wanted in [
        (layers.LeakyReLU(0.25), np.where(z >= 0, z, 0.25 * z)),
        ("tanh", np.tanh(z)),
        (activations.glu, z[..., :2] / (1 + np.exp(-z[..., 2:]))),
    ]:
        layer = layers.Conv2D(4, 3, activation=activation, kernel_initializer=plain.kernel.numpy(), dtype="float64")
        close(layer(x), wanted, "float64")
        assert layer.output_shape == wanted.shape[1:]


def test_initial_values_have_the_spread_of_their_fans():
    """Glorot's limit is sqrt(6 / (inputs + outputs)), each the product of the pixels and a kernel's last axes."""
    for layer, weight, inputs, outputs in [
        (layers.Conv2D(40, 3), "kernel", 9 * 30, 9 * 40),
        (layers.Conv2D(40, 3, groups=2), "kernel", 9 * 15, 9 * 40),
        (layers.Conv2DTranspose(40, 3), "kernel", 9 * 40, 9 * 30),
        (layers.DepthwiseConv2D(7, depth_multiplier=2), "kernel", 49 * 30, 49 * 2),
        (layers.SeparableConv2D(40, 7, depth_multiplier=2), "depthwise_kernel", 49 * 30, 49 * 2),
        (layers.SeparableConv2D(40, 7, depth_multiplier=2), "pointwise_kernel", 60, 40),
    ]:
        layer.build((None, 9, 9, 30))
        largest = np.abs(getattr(layer, weight).numpy()).max()
        limit = np.sqrt(6 / (inputs + outputs))
        assert 0.99 * limit < largest <= limit, type(layer).__name__


THOROUGH = pytest.mark.thorough


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        pytest.param(make, shape, marks=mark)
        for mark, make, shape in [
            (pytest.mark.slow, lambda: layers.Conv2D(8, (2, 3), (2, 3), groups=2), (7, 8, 8)),
            (THOROUGH, lambda: layers.Conv2D(5, 3, padding="same", activation="relu"), (5, 4, 3)),
            (THOROUGH, lambda: layers.Conv2DTranspose(3, 3, 2, "same", activation="tanh"), (3, 4, 2)),
            (THOROUGH, lambda: layers.DepthwiseConv2D(3, padding="same", activation="relu"), (3, 4, 2)),
            (THOROUGH, lambda: layers.DepthwiseConv2D(2, 2, "same", 2), (3, 2, 2)),
            (pytest.mark.slow, lambda: layers.DepthwiseConv2D(3, padding="same"), (3, 6, 8)),
        ]
    ],
)
def test_on_a_gpu(make, shape):
    assert "cuda" in str(testing.check_layer(make, shape, device="cuda"))
