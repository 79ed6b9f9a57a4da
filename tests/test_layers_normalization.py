"""Normalization of rows and of data sets, PReLU and rearranged samples, against numpy."""

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.testing.plans import LayerRun
from fastnet.testing.running import threads

RNG = np.random.default_rng(0)


def given_weights(layer, x, weights):
    layer.connect(x.shape[1:])
    layer.set_weights(weights)
    return layer(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "axis"), [((1, 1), -1), ((7, 5), -1), ((65, 3, 70), 2), ((5, 2, 3, 7), [2, 3])])
def test_row_normalizations(shape, axis, dtype):
    x = RNG.standard_normal(shape) * 3 + 5
    axes = tuple(axis) if isinstance(axis, list) else (axis,)
    row = tuple(shape[a] for a in axes)
    gamma, beta = RNG.standard_normal((2, *row))
    centered = x - x.mean(axes, keepdims=True)
    tolerance = {"rtol": 1e-12, "atol": 1e-12} if dtype == "float64" else {"rtol": 2e-5, "atol": 2e-5}
    wanted = centered / np.sqrt(x.var(axes, keepdims=True) + 1e-3) * gamma + beta
    got = given_weights(layers.LayerNormalization(axis, dtype=dtype), x, [gamma, beta])
    np.testing.assert_allclose(got, wanted, **tolerance)
    wanted = x / np.sqrt((x**2).mean(axes, keepdims=True) + 1e-6) * gamma
    got = given_weights(layers.RMSNormalization(axis, dtype=dtype), x, [gamma])
    np.testing.assert_allclose(got, wanted, **tolerance)
    wanted = x / np.sqrt((x**2).sum(axes, keepdims=True))
    np.testing.assert_allclose(layers.UnitNormalization(axis, dtype=dtype)(x), wanted, **tolerance)


def test_rows_of_zeros_and_of_nan():
    x = np.zeros((3, 4))
    x[1] = np.nan
    for layer in (layers.UnitNormalization(), layers.LayerNormalization(), layers.RMSNormalization()):
        y = layer(x)
        assert (y[[0, 2]] == 0).all() and np.isnan(y[1]).all()


def grouped(x, groups):
    """(n, everything before the channels, groups, channels of a group)."""
    return x.reshape(len(x), -1, groups, x.shape[-1] // groups)


def group_normalization(x, dy, gamma, beta, groups, epsilon):
    """The result, the gradients of x, gamma and beta; of the formula, in float64."""
    centered = grouped(x, groups) - grouped(x, groups).mean((1, 3), keepdims=True)
    inverse = 1 / np.sqrt((centered**2).mean((1, 3), keepdims=True) + epsilon)
    normal = (centered * inverse).reshape(x.shape)
    g = grouped(dy * gamma, groups)
    along = (g * grouped(normal, groups)).mean((1, 3), keepdims=True)
    dx = inverse * (g - g.mean((1, 3), keepdims=True) - grouped(normal, groups) * along)
    rest = tuple(range(x.ndim - 1))
    return normal * gamma + beta, dx.reshape(x.shape), (dy * normal).sum(rest), dy.sum(rest)


GROUPED = [  # (shape of the data, groups, or -1): every rank, more rows than lanes, more runs than a block, a chunk
    ((1, 1), 1), ((7, 6), 3), ((131, 6), -1), ((3, 5, 12), 1), ((66, 5, 12), 4), ((2, 67, 3), 3), ((5, 2, 3, 7, 10), 5),
    ((9, 67, 6), 3),
    ((3, 2, 64), 32),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "groups"), GROUPED, ids=str)
def test_group_normalization(shape, groups, dtype):
    x, dy = RNG.standard_normal((2, *shape)) * 3 + 5
    gamma, beta = RNG.standard_normal((2, shape[-1]))
    run = LayerRun(lambda: layers.GroupNormalization(groups, epsilon=0.01), dtype, shape[1:], len(x))
    run.layer.set_weights([gamma, beta])
    wanted = group_normalization(x, dy, gamma, beta, shape[-1] if groups == -1 else groups, 0.01)
    # float32: sums of up to 1572 products of sizes around 5, in another order.
    tolerance = 1e-11 if dtype == "float64" else 3e-5
    for got, want in zip(run(x, dy), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * max(1.0, np.abs(want).max()))


def test_groups_of_huge_and_equal_numbers_and_of_nan():
    x = np.full((3, 2, 4), 1e30)
    x[0, :, 2:] = 0.0
    x[1, 1, 3] = np.nan
    x[2, 0, 0] = np.inf
    y = layers.GroupNormalization(2, beta_initializer="ones", dtype="float64")(x)
    assert (y[0] == 1).all()  # a group of equal numbers is 0, and beta
    assert (y[1, :, :2] == 1).all() and np.isnan(y[1, :, 2:]).all()  # NaN stays in its group
    assert np.isnan(y[2, :, :2]).all() and (y[2, :, 2:] == 1).all()


def test_one_group_is_layer_normalization_and_a_group_of_one_channel_instance_normalization():
    x = RNG.standard_normal((9, 6, 4)).astype("f")
    one = layers.GroupNormalization(1)(x)
    np.testing.assert_array_equal(one, layers.LayerNormalization([1, 2])(x))
    np.testing.assert_array_equal(layers.GroupNormalization(-1)(x), layers.GroupNormalization(4)(x))
    alone = np.stack([layers.GroupNormalization(-1)(x[..., [c]])[..., 0] for c in range(4)], -1)
    np.testing.assert_array_equal(layers.GroupNormalization(-1)(x), alone)


@pytest.mark.parametrize(("shape", "groups"), [((700, 12), 3), ((300, 6, 20), 4), ((90, 80, 7), -1), ((60, 70, 6), 1)])
def test_groups_keep_their_bits_on_any_number_of_threads(shape, groups):
    x, dy = RNG.standard_normal((2, *shape)).astype("f")
    results = []
    for number in (1, 2, 3, 5):
        with threads(number):
            run = LayerRun(lambda: layers.GroupNormalization(groups), "float32", shape[1:], len(x))
            assert number == 1 or run.run.shared(number) >= 2
            results.append([array.tobytes() for array in run(x, dy)])
    assert all(result == results[0] for result in results)


def test_group_normalization_trains_with_penalties_and_constraints():
    norm = layers.GroupNormalization(2, gamma_regularizer="l2", beta_constraint="non_neg", gamma_constraint="unit_norm")
    model = fastnet.Sequential([layers.Input((3, 4)), norm, layers.Flatten(), layers.Dense(1)])
    model.compile(fastnet.optimizers.SGD(0.3), "mse")
    assert model.losses == [pytest.approx(0.01 * 4)]
    model.fit(RNG.standard_normal((21, 3, 4)), RNG.standard_normal(21), batch_size=8, epochs=2, verbose=0)
    assert np.linalg.norm(norm.gamma.numpy()) == pytest.approx(1, rel=1e-5) and (norm.beta.numpy() >= 0).all()
    with pytest.raises(ValueError, match=r"built for rows of shape \(4,\)"):
        norm(np.ones((2, 6)))


def test_batch_normalization_along_another_axis():
    """The numbers of the last axis, for data whose axes are exchanged; the batch is as long as a channel."""
    x, dy = RNG.standard_normal((2, 3, 3, 5))
    found = []
    for axis, moved in ((-1, (0, 1, 2)), (1, (0, 2, 1)), (-2, (0, 2, 1))):
        shape = x.transpose(moved).shape[1:]
        run = LayerRun(lambda a=axis: layers.BatchNormalization(a, momentum=0.9), "float64", shape, len(x))
        run.layer.set_weights([np.linspace(0.5, 2, 5), np.linspace(-1, 1, 5), np.zeros(5), np.ones(5)])
        y, dx, *gradients = run(x.transpose(moved), dy.transpose(moved))
        found.append([y.transpose(moved), dx.transpose(moved), *gradients, *run.layer.get_weights()])
    for others in found[1:]:
        for got, wanted in zip(others, found[0], strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)
    model = fastnet.Sequential([layers.Input((3, 5)), layers.Masking(), layers.BatchNormalization(1)])
    with pytest.raises(ValueError, match=r"BatchNormalization\): with a mask, axis must be the last one"):
        model.predict(x, verbose=0)


def renormalized(x, dy, gamma, beta, state, limits, momenta, epsilon):
    """One step of Ioffe 2017, algorithm 1: y, dx, dgamma, dbeta, and the averages after it."""
    mean, deviation = x.mean(0), np.sqrt(x.var(0) + epsilon)
    moving_mean, _, moving_stddev, renorm_mean, renorm_stddev = state
    r = np.clip(deviation / renorm_stddev, *limits[:2])
    d = np.clip((mean - renorm_mean) / renorm_stddev, -limits[2], limits[2])
    normal = (x - mean) / deviation
    inner = dy * gamma * r
    dx = (inner - inner.mean(0) - normal * (inner * normal).mean(0)) / deviation
    a, b = momenta
    stddev = moving_stddev * a + deviation * (1 - a)
    after = [moving_mean * a + mean * (1 - a), stddev**2 - epsilon, stddev]
    after += [renorm_mean * b + mean * (1 - b), renorm_stddev * b + deviation * (1 - b)]
    return (normal * r + d) * gamma + beta, dx, (dy * (normal * r + d)).sum(0), dy.sum(0), after


@pytest.mark.parametrize("limits", [(0.0, np.inf, np.inf), (0.8, 1.2, 0.1), (1.0, 1.0, 0.0)])
def test_batch_renormalization(limits):
    x, dy = RNG.standard_normal((2, 13, 3)) * 2 + 1
    clipping = dict(zip(("rmin", "rmax", "dmax"), limits))
    run = LayerRun(
        lambda: layers.BatchNormalization(
            momentum=0.7, epsilon=0.01, renorm=True, renorm_clipping=clipping, renorm_momentum=0.4
        ),
        "float64", (3,), 13,
    )  # fmt: skip
    assert [w.name for w in run.layer.weights][4:] == ["moving_stddev", "renorm_mean", "renorm_stddev"]
    gamma, beta, *state = RNG.uniform(0.5, 2, (7, 3))
    run.layer.set_weights([gamma, beta, *state])
    *wanted, after = renormalized(x, dy, gamma, beta, state, limits, (0.7, 0.4), 0.01)
    for got, want in zip([*run(x, dy), *run.layer.get_weights()[2:]], [*wanted, *after], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-11)
    if limits[2] == 0:  # without corrections it is batch normalization
        plain = LayerRun(lambda: layers.BatchNormalization(epsilon=0.01), "float64", (3,), 13)
        plain.layer.set_weights([gamma, beta, *state[:2]])
        np.testing.assert_allclose(plain(x, dy)[0], wanted[0], rtol=1e-11, atol=1e-11)


def test_adapt_takes_arrays_and_batches():
    x = RNG.normal(3.0, 5.0, (37, 4, 3))
    whole = layers.Normalization(dtype="float64")
    whole.adapt(x)
    np.testing.assert_allclose(whole(x), (x - x.mean((0, 1))) / x.std((0, 1)), rtol=1e-12, atol=1e-12)
    assert [v.name for v in whole.weights] == ["mean", "variance", "count"] and not whole.trainable_weights
    parts = layers.Normalization(dtype="float64")
    parts.adapt((part, None) for part in (x[:1], x[1:1], x[1:30], x[30:]))
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    every = layers.Normalization(axis=[1, 2], dtype="float64")
    every.adapt(x)
    np.testing.assert_allclose(every(x), (x - x.mean(0)) / x.std(0), rtol=1e-12, atol=1e-12)
    one = layers.Normalization(axis=None, dtype="float64")
    one.adapt(x)
    np.testing.assert_allclose(one(x), (x - x.mean()) / x.std(), rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="means of shape"):
        whole.adapt(np.ones((3, 2)))


@pytest.mark.parametrize(("axis", "shape"), [(-1, (1, 1, 3)), (None, (1, 1, 1)), ([1, 2], (1, 4, 3))], ids=str)
def test_what_was_adapted_has_the_shape_of_data(axis, shape):
    """Keras's shape; the arguments, and so the description, stay None."""
    x = RNG.normal(3.0, 5.0, (37, 4, 3))
    layer = layers.Normalization(axis, dtype="float64")
    assert layer.mean is None and layer.variance is None
    config = layer.get_config()
    layer.adapt(x)
    over = tuple(i for i, size in enumerate(shape) if size == 1)
    np.testing.assert_allclose(layer.mean, x.mean(over, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(layer.variance, x.var(over, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose((x - layer.mean) / np.sqrt(layer.variance), layer(x), rtol=1e-9, atol=1e-12)
    assert layer.get_config() == config and config["mean"] is config["variance"] is None
    given = layers.Normalization(axis, mean=0.5, variance=2.0, dtype="float64")
    assert given.mean is None
    given.build((None, 4, 3))
    assert np.array_equal(given.mean, np.full(shape, 0.5)) and np.array_equal(given.variance, np.full(shape, 2.0))
    assert (given.get_config()["mean"], given.input_mean) == (0.5, 0.5)
    for name in ("mean", "variance"):
        with pytest.raises(ValueError, match=f"{name} stays as it is; adapt the layer"):
            setattr(layer, name, 0.0)


def test_adapt_again_is_seen_by_a_model_that_ran():
    x = RNG.normal(3.0, 5.0, (37, 3)).astype("f")
    layer = layers.Normalization()
    model = fastnet.Sequential([layers.Input((3,)), layer])
    np.testing.assert_allclose(model.predict(x, verbose=0), x, rtol=1e-6)
    layer.adapt(x)
    np.testing.assert_allclose(model.predict(x, verbose=0), (x - x.mean(0)) / x.std(0), rtol=1e-4, atol=1e-5)
    back = layers.Normalization(mean=x.mean(0), variance=x.var(0), invert=True)
    np.testing.assert_allclose(back(layer(x)), x, rtol=1e-4, atol=1e-5)


def test_a_column_without_variance_is_divided_by_epsilon():
    layer = layers.Normalization(mean=[1.0], variance=[0.0], dtype="float64")
    np.testing.assert_allclose(layer([[1.0], [1.5]]), [[0.0], [0.5e7]])


@pytest.mark.parametrize("shared", [None, 1, [2, 3], [1, 3], [1, 2, 3]])
def test_prelu(shared):
    x = RNG.standard_normal((9, 2, 3, 5))
    layer = layers.PReLU("uniform", shared_axes=shared, dtype="float64")
    y = layer(x)
    axes = [] if shared is None else [shared] if isinstance(shared, int) else shared
    assert layer.alpha.shape == tuple(1 if a + 1 in axes else n for a, n in enumerate(x.shape[1:]))
    np.testing.assert_array_equal(y, np.where(x >= 0, x, layer.alpha.numpy() * x))


def test_permute_and_repeat():
    x = RNG.standard_normal((4, 2, 3, 5)).astype("f")
    np.testing.assert_array_equal(layers.Permute((3, 1, 2))(x), x.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(layers.RepeatVector(3)(x[:, 0, 0]), np.repeat(x[:, :1, 0], 3, axis=1))
    assert layers.Permute((2, 1)).compute_output_shape((None, 3, 4)) == (None, 4, 3)


def test_a_lambda_keeps_its_arguments():
    def scaled(x, a=1.0, b=0.0):
        return a * x + b

    np.testing.assert_allclose(layers.Lambda(scaled, arguments={"b": 2.0})([[1.0, -3.0]]), [[3.0, -1.0]])
    with pytest.raises(fastnet.RuleError, match="loses NaN"):
        layers.Lambda(clipped)


def clipped(x):
    return max(x, 0)


def test_a_layer_of_a_model_may_be_called_with_other_rows():
    dense = layers.Dense(2)
    model = fastnet.Sequential([layers.Input((3,)), dense])
    assert dense(np.ones((4, 5, 3))).shape == (4, 5, 2)
    assert model.output_shape == (None, 2) and dense.input_shape == (3,)
    with pytest.raises(ValueError, match="built for 3 inputs"):
        dense(np.ones((4, 2)))
