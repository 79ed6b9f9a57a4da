"""Normalization of rows and of data sets, PReLU and rearranged samples, against numpy."""

import numpy as np
import pytest

import fastnet
from fastnet import layers

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
