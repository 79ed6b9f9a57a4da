"""Winograd's form of convolutions: its error, its bits, and where it is taken."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, testing
from fastnet.testing.devices import on_gpu
from fastnet.testing.plans import LayerRun
from fastnet.testing.running import threads


@pytest.fixture
def form():
    """Sets the form of convolutions; afterwards it is the default."""
    yield fastnet.config.set_convolution
    fastnet.config.set_convolution("fast")


def convolution(filters, padding="same"):
    return lambda: layers.Conv2D(filters, 3, padding=padding, kernel_initializer="he_normal")


def step(factory, x, dy, dtype="float32"):
    """The result, the gradient of x, those of kernel and bias."""
    fastnet.utils.set_random_seed(1)
    return LayerRun(factory, dtype, x.shape[1:], len(x))(x.astype(dtype), dy.astype(dtype))


def sample(rows, height, width, channels, filters, padding="same"):
    rng = np.random.default_rng(3)
    less = 0 if padding == "same" else 2
    x = np.maximum(rng.standard_normal((rows, height, width, channels)), 0)
    return x.astype("f"), rng.standard_normal((rows, height - less, width - less, filters)).astype("f")


def sums_in_order(x, kernel):
    """A convolution in float32 whose products are added one by one, tap by tap, each with one rounding."""
    rows, height, width, channels = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).astype(float)
    total = np.zeros((rows, height, width, kernel.shape[-1]), "f")
    for i in range(3):
        for j in range(3):
            for c in range(channels):
                pixels = padded[:, i : i + height, j : j + width, c, None]
                total = (total.astype(float) + pixels * kernel[i, j, c].astype(float)).astype("f")
    return total


def rms(difference):
    return float(np.sqrt((np.asarray(difference, float) ** 2).mean()))


@pytest.mark.parametrize("channels", [32, 64, pytest.param(256, marks=pytest.mark.slow), 608])  # two K-blocks
def test_the_error_is_near_that_of_a_sum_in_order(channels, form):
    x, dy = sample(1, 12, 12, channels, 32)
    fast = step(convolution(32), x, dy)[0]
    form("exact")
    fastnet.utils.set_random_seed(1)
    layer = convolution(32)()
    layer.build((None, *x.shape[1:]))
    kernel = layer.kernel.numpy()
    exact = step(convolution(32), x, dy, "float64")[0]
    assert 0 < rms(fast - exact) <= 2.5 * rms(sums_in_order(x, kernel) - exact)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.02])
def test_the_error_of_images_that_are_mostly_zero(share):
    """Sums in order have hardly an error there."""
    x, dy = sample(4, 14, 14, 32, 32)
    x = np.where(np.random.default_rng(2).random(x.shape) < share, x, 0).astype("f")
    fast, exact = (step(convolution(32), x, dy, dtype)[0] for dtype in ("float32", "float64"))
    assert 0 < rms(fast - exact) <= 1.5e-6 * rms(exact)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    "shape", [(3, 5, 7, 32, 32), (1, 5, 6, 48, 64), (2, 13, 4, 32, 96), (9, 8, 8, 64, 32)], ids=str
)
def test_gradients(shape, padding, form):
    """Of a result and both gradients, in all that does not fill a tile of 4 by 4."""
    x, dy = sample(*shape, padding)
    fast = step(convolution(shape[-1], padding), x, dy)
    exact = step(convolution(shape[-1], padding), x, dy, "float64")
    for one, other in zip(fast, exact, strict=True):
        assert one.dtype == "float32"
        assert np.abs(one - other).max() <= 5e-6 * np.abs(other).max()
    form("exact")
    direct = step(convolution(shape[-1], padding), x, dy)
    assert not np.array_equal(fast[0], direct[0])
    assert not np.array_equal(fast[2], direct[2])
    assert np.array_equal(fast[3], direct[3])  # the bias has no convolution


def test_the_same_bits_on_any_number_of_threads():
    x, dy = sample(11, 9, 10, 32, 64)
    found = []
    for count in (1, 2, 3):
        with threads(count):
            found.append(step(convolution(64), x, dy))
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (lambda: layers.Conv2D(32, 3), (6, 6, 32), True),
        (lambda: layers.Conv2D(32, 3, dtype="float64"), (6, 6, 32), False),
        (lambda: layers.Conv2D(32, 3, strides=2), (6, 6, 32), False),
        (lambda: layers.Conv2D(32, 3, dilation_rate=2), (6, 6, 32), False),
        (lambda: layers.Conv2D(32, 5), (6, 6, 32), False),
        (lambda: layers.Conv2D(32, (1, 3)), (6, 6, 32), False),
        (lambda: layers.Conv2D(32, 3, groups=2), (6, 6, 64), False),
        (lambda: layers.Conv2D(33, 3), (6, 6, 32), False),
        (lambda: layers.Conv2D(32, 3), (6, 6, 31), False),
        (lambda: layers.Conv2D(32, 3), (6, 6, 40), False),
        (lambda: layers.Conv2D(32, 3, padding="same"), (2, 2, 32), False),
        (lambda: layers.Conv2D(32, 3, padding="same"), (1, 1, 32), False),
        (lambda: layers.Conv1D(32, 3), (6, 32), False),
    ],
)
def test_where_it_is_taken(layer, shape, wanted, form):
    def plan():
        made = layer()
        made.connect(shape)
        plan = fastnet.extend.Plan(training=False, dtype=made.dtype)
        plan.apply(made, plan.buffer(shape))
        return str(plan)

    assert ("transform_taps" in plan()) == wanted
    form("exact")
    assert "transform_taps" not in plan()


def test_the_form_counts_from_the_next_step_on(form):
    x, dy = sample(4, 6, 6, 32, 32)
    results = {}
    for start in ("fast", "exact"):
        form(start)
        model = fastnet.Sequential([layers.Input(x.shape[1:]), layers.Conv2D(32, 3, padding="same")], seed=1)
        results[start] = model.predict(x, verbose=0)
    form("fast")
    assert np.array_equal(model.predict(x, verbose=0), results["fast"])
    assert not np.array_equal(results["fast"], results["exact"])
    assert fastnet.config.convolution() == "fast"
    with pytest.raises(ValueError, match="'fast' or 'exact', received 'slow'"):
        form("slow")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("pixel", "first", "end"), [(6, 4, 8), (4, 0, 8)])
def test_nan_stays_in_the_tiles_that_read_it(pixel, first, end, value):
    x, dy = sample(2, 12, 12, 32, 32)
    x[1, pixel, pixel, 5] = value
    y = step(convolution(32), x, dy)[0]
    bad = ~np.isfinite(y).all(axis=-1)
    assert bad[1, pixel - 1 : pixel + 2, pixel - 1 : pixel + 2].all()
    rows, columns = np.nonzero(bad[1])
    assert not bad[0].any()
    assert rows.min() >= first and columns.min() >= first and rows.max() < end and columns.max() < end


def test_a_chain_behind_it_reads_each_tile():
    """Bias, ReLU, and what is joined to the product, in tiles that the image cuts."""
    x, dy = sample(2, 7, 5, 32, 32)
    for activation in ("relu", "tanh"):

        def layer(activation=activation):
            return layers.Conv2D(32, 3, activation=activation, bias_initializer="random_normal", padding="same")

        for one, other in zip(step(layer, x, dy), step(layer, x, dy, "float64"), strict=True):
            assert np.abs(one - other).max() <= 5e-6 * np.abs(other).max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "padding"),
    [
        ((9, 5, 6, 48, 32), "same"),  # tiles of the gradient in two rounds
        ((21, 5, 6, 48, 32), "valid"),
        ((2, 4, 5, 96, 96), "same"),  # channels in two rounds, columns in two blocks
        ((1, 4, 4, 608, 32), "same"),  # and in two K-blocks
    ],
)
def test_the_bits_of_a_gpu(shape, padding):
    x, dy = sample(*shape, padding)
    on_cpu = step(convolution(shape[-1], padding), x, dy)
    with on_gpu():
        found = step(convolution(shape[-1], padding), x, dy)
    assert all(np.array_equal(a, b) for a, b in zip(on_cpu, found, strict=True))


@pytest.mark.slow
def test_layer():
    testing.check_layer(convolution(32), (5, 6, 32))
