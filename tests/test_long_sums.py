"""Sums over many columns and rows in float32, against numpy's in float64: within 1e-6, near 0 and far from it."""

import numpy as np
import pytest

import fastnet
from fastnet import activations, constraints, layers, losses, metrics, ops, regularizers
from fastnet.testing.plans import LayerRun, activate, loss_run, loss_values

RNG = np.random.default_rng(0)
COLUMNS = 100_003
NEAR = RNG.standard_normal((2, COLUMNS)).astype("float32")
FAR = (1003 + 0.1 * RNG.standard_normal((2, COLUMNS))).astype("float32")
PROBABILITIES = RNG.uniform(0.1, 1, (2, COLUMNS)).astype("float32")
TARGETS = (PROBABILITIES[::-1] / PROBABILITIES.sum(1, dtype=float)[:, None]).astype("float32")


def wide(x):
    return x.astype("float64")


def error(got, wanted):
    """The largest difference, relative to the largest number of a row."""
    wanted = np.asarray(wanted, np.float64)
    scale = np.abs(wanted).max(-1, keepdims=True) if wanted.ndim else abs(wanted)
    return float((np.abs(np.asarray(got, np.float64) - wanted) / scale).max())


def softmax(x):
    e = np.exp(wide(x) - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_softmax_and_its_gradient():
    wanted = softmax(NEAR)
    y, dx = activate(activations.get("softmax"), NEAR, PROBABILITIES)
    assert error(y, wanted) < 1e-6
    inner = (PROBABILITIES * wanted).sum(1, keepdims=True)
    assert error(dx, wanted * (PROBABILITIES - inner)) < 1e-6
    y, dx = activate(activations.get("log_softmax"), NEAR, PROBABILITIES)
    assert error(y, np.log(wanted)) < 1e-6
    assert error(dx, PROBABILITIES - wanted * wide(PROBABILITIES).sum(1, keepdims=True)) < 1e-6


def test_sparsemax():
    """Its threshold follows from a sum over the elements above it, here over all. In one run it was off by 5e-4."""
    low = COLUMNS // 3
    y = activations.sparsemax(np.repeat([[0.0, -1e-5]], [low, COLUMNS - low], 1).astype("float32"))
    mean = -1e-5 * (COLUMNS - low) / COLUMNS
    np.testing.assert_allclose(y[0, [0, -1]], 1 / COLUMNS - mean + np.array([0, -1e-5]), rtol=1e-6)
    np.testing.assert_allclose(y.sum(dtype="float64"), 1, rtol=1e-6)


def cosine(t, p):
    return (t * p).sum(1) / np.sqrt((t * t).sum(1) * (p * p).sum(1))


P, T = wide(PROBABILITIES) / wide(PROBABILITIES).sum(1, keepdims=True), wide(TARGETS)
LOSSES = [
    ("MeanSquaredError", {}, TARGETS, FAR, ((wide(FAR) - T) ** 2).mean(1)),
    ("MeanAbsoluteError", {}, TARGETS, FAR, (wide(FAR) - T).mean(1)),
    ("CategoricalCrossentropy", {}, TARGETS, PROBABILITIES, -(T * np.log(P)).sum(1)),
    ("CategoricalCrossentropy", {"from_logits": True}, TARGETS, NEAR, -(T * np.log(softmax(NEAR))).sum(1)),
    ("CategoricalFocalCrossentropy", {}, TARGETS, PROBABILITIES, -0.25 * (T * (1 - P) ** 2 * np.log(P)).sum(1)),
    (
        "KLDivergence",
        {},
        PROBABILITIES,
        FAR / 2006,
        (wide(PROBABILITIES) * np.log(wide(PROBABILITIES) / wide(FAR / 2006))).sum(1),
    ),
    (
        "MeanSquaredLogarithmicError",
        {},
        FAR[::-1],
        FAR,
        (np.log((wide(FAR) + 1) / (wide(FAR[::-1]) + 1)) ** 2).mean(1),
    ),
    ("CosineSimilarity", {}, PROBABILITIES, FAR, -cosine(wide(PROBABILITIES), wide(FAR))),
    ("CategoricalHinge", {}, TARGETS, NEAR, 1 + ((1 - T) * wide(NEAR)).max(1) - (T * wide(NEAR)).sum(1)),
]


@pytest.mark.parametrize(("name", "arguments", "t", "x", "wanted"), LOSSES, ids=[row[0] for row in LOSSES])
def test_losses_of_rows(name, arguments, t, x, wanted):
    assert error(getattr(losses, name)(reduction=None, **arguments)(t, x), wanted) < 1e-6


def test_the_gradient_of_a_loss_of_rows():
    run, buffers = loss_run(losses.CategoricalCrossentropy(from_logits=True), "float32", 2, COLUMNS)
    _, dx = loss_values(run, buffers, NEAR, TARGETS)
    assert error(dx, (softmax(NEAR) * T.sum(1, keepdims=True) - T) / 2) < 1e-6


def normal(x):
    return (wide(x) - wide(x).mean(1, keepdims=True)) / np.sqrt(wide(x).var(1, keepdims=True) + 1e-3)


@pytest.mark.parametrize("x", [NEAR, FAR], ids=["near 0", "far from 0"])
def test_normalization_of_rows(x):
    run = LayerRun(lambda: layers.LayerNormalization(), "float32", (COLUMNS,), 2)
    y, dx, dgamma, dbeta = run(x, PROBABILITIES)
    xhat = normal(x)
    assert error(y, xhat) < 1e-6
    g = wide(PROBABILITIES)
    wanted = (g - g.mean(1, keepdims=True) - xhat * (g * xhat).mean(1, keepdims=True)) / np.sqrt(
        wide(x).var(1, keepdims=True) + 1e-3
    )
    assert error(dx, wanted) < 1e-6
    squares = (wide(x) ** 2).mean(1, keepdims=True)
    assert error(layers.RMSNormalization()(x), wide(x) / np.sqrt(squares + 1e-6)) < 1e-6
    assert error(layers.UnitNormalization()(x), wide(x) / np.sqrt(squares * COLUMNS)) < 1e-6


@pytest.mark.parametrize("columns", [1, 2, 3, 16, 17, 64, 65, 130])
def test_normalization_of_short_rows_far_from_0(columns):
    """Sums of up to 64 elements near 1003 are off by 0.03, their mean by 5e-4; the second pass corrects it."""
    x = FAR[:, : 40 * columns].reshape(-1, columns)
    np.testing.assert_allclose(layers.LayerNormalization()(x), normal(x), atol=2e-6)  # near 1 in size
    groups = wide(x).reshape(20, 2, 2, columns)
    mean, variance = (f(groups, (1, 3), keepdims=True) for f in (np.mean, np.var))
    wanted = ((groups - mean) / np.sqrt(variance + 1e-3)).reshape(20, 2, -1)
    np.testing.assert_allclose(layers.GroupNormalization(2)(x.reshape(wanted.shape)), wanted, atol=2e-6)
    same = np.full((3, columns), 1003.7, "float32")
    np.testing.assert_allclose(layers.LayerNormalization(epsilon=1e-12)(same), 0, atol=1e-3)


def test_the_gradients_of_the_weights_of_groups():
    run = LayerRun(lambda: layers.GroupNormalization(2), "float32", (25_000, 4), 2)
    x, dy = (a[:, :100_000].reshape(2, 25_000, 4) for a in (NEAR, FAR))
    _, _, dgamma, dbeta = run(x, dy)
    groups = wide(x).reshape(2, -1, 2, 2)
    mean, variance = (f(groups, (1, 3), keepdims=True) for f in (np.mean, np.var))
    xhat = ((groups - mean) / np.sqrt(variance + 1e-3)).reshape(x.shape)
    assert error(dbeta, wide(dy).sum((0, 1))) < 1e-6
    assert np.abs(dgamma - (dy * xhat).sum((0, 1))).max() < 1e-6 * (dy * np.abs(xhat)).sum((0, 1)).max()


@pytest.mark.parametrize("name", ["MaxNorm", "UnitNorm"])
def test_constraints_of_long_columns(name):
    w = np.ascontiguousarray(FAR.T)
    norm = np.sqrt((wide(w) ** 2).sum(0))
    wanted = wide(w) * (2 if name == "MaxNorm" else 1) / norm
    assert error(getattr(constraints, name)()(w).T, wanted.T) < 1e-6


def test_penalties_of_many_weights():
    w = np.ascontiguousarray(FAR.T)
    assert error(regularizers.L1L2(0.5, 0.25)(w), 0.5 * wide(w).sum() + 0.25 * (wide(w) ** 2).sum()) < 1e-6
    assert error(regularizers.OrthogonalRegularizer(1.0, "columns")(w), cosine(*wide(FAR)[:, None])[0]) < 1e-6


def test_correlations_and_overlaps_of_rows():
    near = (FAR + 0.05 * NEAR).astype("float32")
    x, t = wide(FAR) - wide(FAR).mean(1, keepdims=True), wide(near) - wide(near).mean(1, keepdims=True)
    wanted = (x * t).sum(1) / np.sqrt((x * x).sum(1) * (t * t).sum(1))
    assert error(metrics.PearsonCorrelation()(near, FAR), wanted.mean()) < 1e-6
    for shift in (0, 0.5):  # the distance of the means counts beside the variances
        shifted = (near + shift).astype("float32")
        t = wide(shifted) - wide(shifted).mean(1, keepdims=True)
        apart = (wide(FAR).mean(1) - wide(shifted).mean(1)) ** 2
        wanted = 2 * (x * t).mean(1) / ((x * x).mean(1) + (t * t).mean(1) + apart + 1e-7)
        assert error(metrics.ConcordanceCorrelation()(shifted, FAR), wanted.mean()) < 1e-6
    p, t = wide(PROBABILITIES), wide(NEAR > 0)
    wanted = 1 - 2 * (p * t).sum() / (p.sum() + t.sum())
    assert error(losses.Dice()(t.astype("float32"), PROBABILITIES), wanted) < 1e-6


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_numbers_that_are_not_finite_stay_what_they_are(value):
    x = np.ones((2, 300), "float32")
    x[0, 77] = value
    wanted = np.inf if np.isinf(value) else np.nan
    np.testing.assert_array_equal(losses.MeanSquaredError(reduction=None)(np.zeros_like(x), x), [wanted, 1])


@pytest.mark.parametrize("axis", [0, 1, None, [0, 1]])
def test_functions_of_arrays(axis):
    """numpy adds the rows of float32 one after another; the variance was off by a factor of 5,000."""
    x, axes = np.ascontiguousarray(FAR.T), tuple(axis) if isinstance(axis, list) else axis
    for name in ("sum", "mean", "var", "std"):
        found = getattr(ops, name)(x, axis=axis)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, getattr(np, name)(wide(x), axis=axes), rtol=1e-6)
    if not isinstance(axis, list):
        np.testing.assert_allclose(ops.cumsum(x, axis), np.cumsum(wide(x), axis), rtol=1e-6)
    norm = ops.norm(x, axis=axis)
    np.testing.assert_allclose(norm, np.sqrt((wide(x) ** 2).sum(axes)), rtol=1e-6)


def test_a_score_of_many_rows_far_from_0():
    y = FAR[0, :, None]
    p = (y + 0.03 * NEAR[0, :, None]).astype("float32")
    wanted = 1 - ((wide(y) - wide(p)) ** 2).sum() / ((wide(y) - wide(y).mean()) ** 2).sum()
    assert error(metrics.R2Score()(y, p), wanted) < 1e-6


@pytest.mark.parametrize("rows", [2, 64, 5003])
def test_batch_normalization_far_from_0(rows):
    """Its mean alone, rounded, was off by up to 2e-3 in y, 1e-3 in dx and 6e-6 in the variance."""
    rng = np.random.default_rng(rows)
    x = (1003 + 0.1 * rng.standard_normal((rows, 33))).astype("float32")
    dy, epsilon = rng.standard_normal(x.shape).astype("float32"), 1e-6
    layer = layers.BatchNormalization(epsilon=epsilon, momentum=0.0)
    model = fastnet.Sequential([layers.Input((33,)), layer])
    model.compile(fastnet.optimizers.SGD(0.0), "mse")
    scale = 1 / np.sqrt(wide(x).var(0) + epsilon)
    normalized = (wide(x) - wide(x).mean(0)) * scale
    gradients = model.gradients(x, gradient=dy)
    products = (dy * normalized).mean(0)
    np.testing.assert_allclose(gradients["input"], scale * (dy - dy.mean(0) - normalized * products), rtol=0, atol=3e-5)
    np.testing.assert_allclose(gradients[layer.name]["gamma"], rows * products, rtol=0, atol=1e-6 * rows)
    np.testing.assert_allclose(layer(x, training=True), normalized, rtol=0, atol=2e-6)
    np.testing.assert_allclose(layer.moving_mean, wide(x).mean(0), rtol=1e-7)
    np.testing.assert_allclose(layer.moving_variance, wide(x).var(0), rtol=1e-6)
