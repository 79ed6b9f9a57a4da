"""Activations with their arguments, on arrays: Keras's numbers."""

import numpy as np
import pytest

import fastnet
from fastnet import activations, layers, ops

keras = pytest.importorskip("keras")

X = np.concatenate([np.random.default_rng(3).standard_normal(92) * 2, [-1, -0.5, 0, 0.5, 1, 1.5]]).reshape(14, 7)
CASES = [
    *[(name, {}) for name in ("hard_shrink", "soft_shrink", "tanh_shrink", "sparse_plus", "sparse_sigmoid")],
    ("hard_shrink", {"threshold": 1.5}),
    ("soft_shrink", {"threshold": 1.5}),
    ("squareplus", {}),
    ("squareplus", {"b": 0.5}),
    ("threshold", {"threshold": 0.5, "default_value": -3.0}),
    *[("glu", {"axis": axis}) for axis in (0, -2)],
]


@pytest.mark.parametrize("floatx", ["float64", "float32"], indirect=True)
@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_on_arrays(name, arguments, floatx):
    wanted = np.asarray(getattr(keras.activations, name)(keras.ops.convert_to_tensor(X, floatx), **arguments))
    got = getattr(activations, name)(X.astype(floatx), **arguments)
    assert got.dtype == wanted.dtype == floatx
    np.testing.assert_allclose(got, wanted, rtol=0, atol={"float64": 1e-14, "float32": 1e-6}[floatx])


def test_sparsemax_sums_to_one_where_kerass_does_not():
    """Keras 3.15 adds the sums of all elements of the support, where the paper has that of the last one."""
    x = np.array([[1.0, 0.5, 0.2]], "float32")
    assert abs(np.asarray(keras.activations.sparsemax(x)).sum() - 1) > 0.1
    np.testing.assert_allclose(activations.sparsemax(x), [[0.75, 0.25, 0.0]], rtol=1e-6)


KINKS = {
    "abs": ([-1.0, 0.0, 1.0], [-1, 0, 1], [-1, 1, 1]),
    "hard_tanh": ([-1.5, -1.0, 0.0, 1.0, 1.5], [0, 0, 1, 0, 0], [0, 1, 1, 1, 0]),
    "sparse_sigmoid": ([-1.5, -1.0, 0.0, 1.0, 1.5], [0, 0, 0.5, 0, 0], [0, 0.25, 0.5, 0.25, 0]),
    "hard_sigmoid": ([-3.0, 0.0, 3.0], [0, 1 / 6, 0], [0, 1 / 6, 0]),
    "relu": ([0.0, np.nan], [0, 1], [0, 0]),
    "leaky_relu": ([0.0, np.nan], [1, 1], [1, 0.2]),
}


@pytest.mark.parametrize("name", KINKS)
def test_slopes_at_kinks(name):
    """Those that docs/keras.md lists as different, and two that are alike."""
    jax = pytest.importorskip("jax")
    points, expected, of_keras = KINKS[name]
    theirs = jax.grad(lambda x: getattr(keras.ops, name)(x).sum())(np.array(points, "float32"))
    np.testing.assert_allclose(theirs, of_keras, rtol=1e-6)
    model = fastnet.Sequential([layers.Input((len(points),)), layers.Lambda(getattr(ops, name))])
    ours = model.gradients(np.array([points]), gradient=np.ones((1, len(points))))["input"][0]
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
