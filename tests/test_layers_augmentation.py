"""Layers that change images at random: what they compute, what they draw, and what comes back."""

import math

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.testing.plans import LayerRun

FILLS = ("constant", "nearest", "reflect", "wrap")


def trained(factory, x, dtype="float64", step=0, dy=None):
    """(y, dx) of a step of training."""
    run = LayerRun(factory, dtype, x.shape[1:], len(x))
    run.run.set(run.x, x)
    run.run.set(run.dy, 1.0 if dy is None else dy)
    run.run.steps(1, first=step)
    return run.run.get(run.y), run.run.get(run.dx)


def images(*shape, seed=0):
    return np.random.default_rng(seed).uniform(1, 9, shape)


def outside(values, k, fill, constant):
    """Element k of a list that goes on beyond its ends."""
    n = len(values)
    if 0 <= k < n:
        return values[k]
    if fill == "constant":
        return constant
    turned = [*values, *values[::-1]]
    return {"nearest": values[0 if k < 0 else n - 1], "reflect": turned[k % (2 * n)], "wrap": values[k % n]}[fill]


def warped(image, matrix, fill, interpolation="bilinear", constant=0.0):
    """The image of which pixel (x, y) is that at (a0 x + a1 y + a2, b0 x + b1 y + b2)."""
    height, width, channels = image.shape
    blank = np.full((width, channels), constant)
    result = np.zeros(image.shape)
    for y in range(height):
        for x in range(width):
            at_x, at_y = (matrix[k] * x + matrix[k + 1] * y + matrix[k + 2] for k in (0, 3))
            if interpolation == "nearest":
                at_x, at_y = (math.copysign(math.floor(abs(a) + 0.5), a) for a in (at_x, at_y))
            for k in (math.floor(at_y), math.floor(at_y) + 1):
                for m in (math.floor(at_x), math.floor(at_x) + 1):
                    weight = (1 - abs(at_y - k)) * (1 - abs(at_x - m))
                    row = outside(list(image), k, fill, blank)
                    result[y, x] += weight * np.asarray(outside(list(row), m, fill, np.full(channels, constant)))
    return result


def turn(share, height, width):
    """The matrix that turns about the centre."""
    c, s = math.cos(2 * math.pi * share), math.sin(2 * math.pi * share)
    x, y = (width - 1) / 2, (height - 1) / 2
    return [c, -s, x - c * x + s * y, s, c, y - s * x - c * y]


H, W = 5, 7
FIXED = {  # a pair of equal bounds draws that number; its matrix
    "moved": (lambda **m: layers.RandomTranslation((0.3, 0.3), (-0.2, -0.2), **m), [1, 0, 0.2 * W, 0, 1, -0.3 * H]),
    "moved out": (lambda **m: layers.RandomTranslation((-1, -1), (1, 1), **m), [1, 0, -W, 0, 1, H]),
    "turned": (lambda **m: layers.RandomRotation((0.15, 0.15), **m), turn(0.15, H, W)),
    "zoomed": (
        lambda **m: layers.RandomZoom((0.5, 0.5), (-0.4, -0.4), **m),
        [0.6, 0, (W - 1) / 2 * 0.4, 0, 1.5, (H - 1) / 2 * -0.5],
    ),
    "zoomed alike": (
        lambda **m: layers.RandomZoom((0.5, 0.5), **m), [1.5, 0, (W - 1) / 2 * -0.5, 0, 1.5, (H - 1) / 2 * -0.5]
    ),
}  # fmt: skip


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_transform(name, fill):
    factory, matrix = FIXED[name]
    x = images(2, H, W, 3)
    y, _ = trained(lambda: factory(fill_mode=fill, fill_value=2.5), x)
    for before, after in zip(x, y, strict=True):
        np.testing.assert_allclose(after, warped(before, matrix, fill, "bilinear", 2.5), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fill", FILLS)
def test_the_nearest_pixel(fill):
    factory, matrix = FIXED["turned"]
    x = images(1, H, W, 2)
    y, _ = trained(lambda: factory(fill_mode=fill, interpolation="nearest", fill_value=-1.0), x)
    np.testing.assert_array_equal(y[0], warped(x[0], matrix, fill, "nearest", -1.0))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 1, 9, 3), (3, 11, 1, 2)], ids=str)
def test_images_of_one_row_or_column(shape):
    x = images(*shape)
    for fill in FILLS:
        y, _ = trained(lambda fill=fill: layers.RandomZoom((0.9, 0.9), fill_mode=fill), x)
        height, width = shape[1:3]
        matrix = [1.9, 0, (width - 1) / 2 * -0.9, 0, 1.9, (height - 1) / 2 * -0.9]
        np.testing.assert_allclose(y[0], warped(x[0], matrix, fill), rtol=1e-12)


def test_shear_takes_both_signs():
    x = images(32, 3, 4, 1)
    y, _ = trained(lambda: layers.RandomShear((0.2, 0.2), (0.1, 0.1)), x)
    signs = []
    for before, after in zip(x, y, strict=True):
        errors = [abs(after - warped(before, [1, s * 0.2, 0, s * 0.1, 1, 0], "reflect")).max() for s in (1, -1)]
        assert min(errors) < 1e-12
        signs.append(np.argmin(errors))
    assert 5 <= sum(signs) <= 27  # of 32: half, and four times the deviation


def test_a_full_turn_and_no_move_change_nothing():
    x = images(3, H, W, 2)
    y, dx = trained(lambda: layers.RandomTranslation(0.0, 0.0), x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(dx, np.ones_like(x))
    np.testing.assert_allclose(trained(lambda: layers.RandomRotation((1.0, 1.0)), x)[0], x, rtol=1e-12)


@pytest.mark.parametrize("mode", ["horizontal", "vertical", "horizontal_and_vertical"])
@pytest.mark.parametrize("shape", [(64, 3, 4, 2), (64, 1, 1, 1), (64, 5, 1, 3)], ids=str)
def test_a_flip_is_a_flip(mode, shape):
    x = images(*shape)
    axes = {"horizontal": (1,), "vertical": (0,), "horizontal_and_vertical": (0, 1)}[mode]
    dy = images(*shape, seed=1)
    y, dx = trained(lambda: layers.RandomFlip(mode), x, dy=dy)
    count = 0
    for k in range(64):
        mirrored = np.array_equal(y[k], np.flip(x[k], axes))
        assert mirrored or np.array_equal(y[k], x[k])
        np.testing.assert_array_equal(dx[k], np.flip(dy[k], axes) if mirrored else dy[k])
        count += mirrored
    if not np.array_equal(np.flip(x[0], axes), x[0]):
        assert 16 <= count <= 48


def test_crops_lie_anywhere():
    x = np.arange(400 * 6 * 8 * 1.0).reshape(400, 6, 8, 1)
    dy = images(400, 4, 3, 1)
    y, dx = trained(lambda: layers.RandomCrop(4, 3), x, dy=dy)
    corners = y[:, 0, 0, 0] - x[:, 0, 0, 0]
    rows, columns = corners // 8, corners % 8
    for k, (row, column) in enumerate(zip(rows.astype(int), columns.astype(int), strict=True)):
        np.testing.assert_array_equal(y[k], x[k, row : row + 4, column : column + 3])
        back = np.zeros(x.shape[1:])
        back[row : row + 4, column : column + 3] = dy[k]
        np.testing.assert_array_equal(dx[k], back)
    counts = np.histogram2d(rows, columns, [range(4), range(7)])[0]
    assert counts.sum() == 400  # 3 · 6 places of which each is drawn 22 times, with a deviation of 4.6
    assert counts.min() > 0 and counts.max() < 46


def test_crops_outside_of_training_are_the_middle():
    x = images(2, 6, 8, 3)

    def crop(height, width, **more):
        return layers.RandomCrop(height, width, dtype="float64")(x, **more)

    np.testing.assert_allclose(crop(4, 4, training=False), resized(x[:, :, 1:7], 4, 4), rtol=1e-12)
    np.testing.assert_array_equal(crop(6, 4, training=False), x[:, :, 2:6])
    np.testing.assert_array_equal(crop(6, 8, training=False), x)
    np.testing.assert_allclose(crop(12, 12), resized(x[:, :, 1:7], 12, 12), rtol=1e-12)


def resized(x, height, width):
    """Pixels as squares, linear between their centres, and the same beyond those of the outermost."""
    for axis, size in ((1, height), (2, width)):
        n = x.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
        low = np.floor(at).astype(int)
        part = (at - low).reshape([-1 if a == axis else 1 for a in range(4)])
        x = np.take(x, low, axis) * (1 - part) + np.take(x, np.minimum(low + 1, n - 1), axis) * part
    return x


def test_brightness_and_its_range():
    x, dy = images(200, 4, 3, 2), images(200, 4, 3, 2, seed=1)
    y, dx = trained(lambda: layers.RandomBrightness(0.5, value_range=(2, 8)), x, dy=dy)
    inside = (y > 2) & (y < 8)
    delta = np.array([np.median((y - x)[k][inside[k]]) for k in range(200)])
    np.testing.assert_allclose(y, np.clip(x + delta[:, None, None, None], 2, 8), rtol=1e-12)
    np.testing.assert_array_equal(dx, np.where(inside, dy, 0))
    is_uniform(delta, -3, 3)


def test_contrast_is_of_each_channel():
    x = images(200, 4, 3, 2) + 100
    y = trained(lambda: layers.RandomContrast((0.5, 0.25)), x)[0]
    mean = x.mean((1, 2), keepdims=True)
    factor = ((y - mean) / (x - mean))[:, 0, 0, 0]
    np.testing.assert_allclose(y, (x - mean) * factor[:, None, None, None] + mean, rtol=1e-9)
    is_uniform(factor, 1 - 0.25, 1 + 0.5)
    grown = trained(lambda: layers.RandomContrast(0.5), x)[0]
    is_uniform(((grown - mean) / (x - mean))[:, 0, 0, 0], 1, 1.5)


def test_contrast_is_cut_to_the_range():
    y = trained(lambda: layers.RandomContrast((0.0, 1.0), (3, 6)), images(5, 4, 3, 2))[0]
    assert (y == 3).any() and (y == 6).any() and y.min() == 3 and y.max() == 6


@pytest.mark.parametrize("kernel_size", [3, (5, 1), (1, 7)])
def test_a_blur_is_a_weighted_mean(kernel_size):
    x = images(2, 5, 4, 2)
    y, _ = trained(lambda: layers.RandomGaussianBlur((1, 1), kernel_size, (0.6, 0.6)), x)
    width, height = (kernel_size, kernel_size) if kernel_size == 3 else kernel_size
    weights = [np.exp(-0.5 * ((np.arange(n) - n // 2) / (0.6 + 1e-6)) ** 2) for n in (height, width)]
    down, across = (w / w.sum() for w in weights)
    wide = np.pad(x, ((0, 0), (height // 2,) * 2, (width // 2,) * 2, (0, 0)))
    expected = sum(
        down[i] * across[j] * wide[:, i : i + 5, j : j + 4] for i in range(height) for j in range(width)
    )  # fmt: skip
    np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_some_images_are_blurred():
    x = images(400, 5, 4, 1)
    y, _ = trained(lambda: layers.RandomGaussianBlur((0.2, 0.4), sigma=(0.5, 1)), x)
    share = np.mean([not np.array_equal(one, other) for one, other in zip(x, y, strict=True)])
    assert abs(share - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 400)
    y, _ = trained(lambda: layers.RandomGaussianBlur((0, 0), value_range=(2, 8)), x)
    np.testing.assert_array_equal(y, np.clip(x, 2, 8))


def is_uniform(values, lower, upper):
    """Kolmogorov and Smirnov's test, as in `test_layers_noise`: it fails once in ten thousand times."""
    values = np.sort((values - lower) / (upper - lower))
    steps = np.arange(values.size + 1) / values.size
    assert values[0] >= 0 and values[-1] <= 1
    assert math.sqrt(values.size) * max((steps[1:] - values).max(), (values - steps[:-1]).max()) < 2.23


def test_what_is_drawn_is_uniform():
    """The numbers of moves, read off the first pixel of a ramp."""
    x = np.broadcast_to(np.arange(40.0)[:, None, None], (500, 40, 1, 1)) + 100
    moved = trained(lambda: layers.RandomTranslation((-0.25, 0.5), 0.0), x)[0]
    is_uniform(x[:, 20, 0, 0] - moved[:, 20, 0, 0], -10, 20)
    zoomed = trained(lambda: layers.RandomZoom((-0.5, -0.25)), x)[0]
    is_uniform(zoomed[:, 21, 0, 0] - zoomed[:, 20, 0, 0], 0.5, 0.75)
    ramp = np.broadcast_to(np.arange(40.0)[:, None], (500, 40, 40))[..., None]
    turned = trained(lambda: layers.RandomRotation(0.1, "nearest"), ramp)[0]
    sine = np.clip(turned[:, 19, 20, 0] - turned[:, 19, 19, 0], -1, 1)
    is_uniform(np.arcsin(sine) / (2 * math.pi), -0.1, 0.1)


LAYERS = {
    "RandomFlip": lambda **m: layers.RandomFlip(**m),
    "RandomTranslation": lambda **m: layers.RandomTranslation(0.3, 0.3, **m),
    "RandomCrop": lambda **m: layers.RandomCrop(2, 3, **m),
    "RandomContrast": lambda **m: layers.RandomContrast((0.5, 0.5), **m),
    "RandomBrightness": lambda **m: layers.RandomBrightness(0.5, **m),
    "RandomGaussianBlur": lambda **m: layers.RandomGaussianBlur((1, 1), sigma=(0.5, 1), **m),
}


@pytest.mark.parametrize("name", LAYERS)
def test_draws_follow_from_seed_step_and_sample_alone(name):
    x = images(32, 6, 8, 2)
    whole = trained(LAYERS[name], x)[0]
    np.testing.assert_array_equal(trained(LAYERS[name], x[:5])[0], whole[:5])
    assert not np.array_equal(trained(LAYERS[name], x, step=1)[0], whole)
    own = trained(lambda: LAYERS[name](seed=3), x)[0]
    np.testing.assert_array_equal(trained(lambda: LAYERS[name](seed=3), x)[0], own)
    assert not np.array_equal(own, whole)


@pytest.mark.parametrize("name", [n for n in LAYERS if n != "RandomCrop"])
def test_images_pass_outside_of_training(name):
    x = np.random.default_rng(0).integers(0, 256, (5, 6, 8, 3), "uint8")
    layer = LAYERS[name](dtype="float64")
    np.testing.assert_array_equal(layer(x, training=False), x)
    model = fastnet.Sequential([layers.Input((6, 8, 3), dtype="float64"), layer])
    np.testing.assert_array_equal(model.predict(x, verbose=0), x)
    called = layer(x)  # as in Keras a call is one of training
    assert called.dtype == np.float64 and not np.array_equal(called, x)
    assert layer(x[0]).shape == (6, 8, 3)
    assert layer(np.zeros((0, 6, 8, 3))).shape == (0, 6, 8, 3)


def test_nan_stays_in_its_image():
    x = images(3, 6, 8, 2)
    x[1] = np.nan
    for name, factory in LAYERS.items():
        y = trained(factory, x)[0]
        assert np.isnan(y[1]).all(), name
        assert np.isfinite(y[[0, 2]]).all(), name


@pytest.mark.slow
def test_a_model_trains_on_bytes():
    """uint8 data are read as they are, and the same training has the same bits."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (48, 6, 6, 3), "uint8"), rng.integers(0, 2, 48)

    def weights():
        fastnet.utils.set_random_seed(1)
        stack = [layers.RandomFlip(), layers.RandomTranslation(0.2, 0.2), layers.Rescaling(1 / 255), layers.Flatten()]
        model = fastnet.Sequential([layers.Input((6, 6, 3)), *stack, layers.Dense(1, activation="sigmoid")])
        model.compile("adam", "binary_crossentropy")
        model.fit(x, y, epochs=2, batch_size=20, verbose=0)
        return model.get_weights()

    for one, other in zip(weights(), weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_descriptions_are_those_of_keras():
    layer = layers.RandomRotation((-0.1, 0.2), fill_mode="wrap", seed=4)
    again = layers.RandomRotation.from_config(layer.get_config())
    assert (again.factor, again.fill_mode, again.seed) == ((-0.1, 0.2), "wrap", 4)
    assert layers.RandomZoom(0.3).get_config()["width_factor"] is None
    assert layers.RandomContrast.from_config({"factor": [0, 0.2], "value_range": [0, 1]}).factor == (0, 0.2)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: layers.RandomFlip("sideways"), "mode must be 'horizontal', 'vertical' or 'horizontal_and_vertical'"),
    (lambda: layers.RandomFlip(seed=-1), "seed"),
    (lambda: layers.RandomFlip(data_format="channels_first"), r"Permute\(\(2, 3, 1\)\) in front"),
    (lambda: layers.RandomFlip().connect((28, 28)), r"takes samples of shape .*; received \(28, 28\)"),
    (lambda: layers.RandomTranslation(1.5, 0.0), "height_factor, a number or a pair .* at least -1 and at most 1"),
    (lambda: layers.RandomTranslation(0.0, (0.1, 0.2, 0.3)), r"width_factor must be a number or a pair"),
    (lambda: layers.RandomTranslation(0.0, "wide"), "width_factor"),
    (lambda: layers.RandomZoom((-1.0, 0.5)), "height_factor: a bound must be a number that is above -1"),
    (lambda: layers.RandomRotation(0.1, fill_mode="mirror"), "fill_mode must be"),
    (lambda: layers.RandomRotation(0.1, interpolation="cubic"), "interpolation must be 'nearest' or 'bilinear'"),
    (lambda: layers.RandomRotation(0.1, fill_value=math.nan), "fill_value"),
    (lambda: layers.RandomShear(2.0), "x_factor"),
    (lambda: layers.RandomCrop(0, 3), "height must be an integer of at least 1"),
    (lambda: layers.RandomContrast(-0.1), "factor"),
    (lambda: layers.RandomGaussianBlur(kernel_size=4), "kernel_size must be an odd number or a pair"),
    (lambda: layers.RandomGaussianBlur(sigma=2.0), "sigma"),
    (lambda: layers.RandomBrightness(0.1, value_range=255), "value_range must be a pair of numbers"),
])  # fmt: skip
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()
