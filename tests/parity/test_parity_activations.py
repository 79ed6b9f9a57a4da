"""Activations with their arguments, on arrays: Keras's numbers."""

import numpy as np
import pytest

from fastnet import activations

keras = pytest.importorskip("keras")

X = np.concatenate([np.random.default_rng(3).standard_normal(92) * 2, [-1, -0.5, 0, 0.5, 1, 1.5]]).reshape(14, 7)
CASES = [
    *[(name, {}) for name in ("hard_shrink", "soft_shrink", "tanh_shrink", "sparse_plus", "sparse_sigmoid")],
    ("hard_shrink", {"threshold": 1.5}),
    ("soft_shrink", {"threshold": 1.5}),
    ("squareplus", {}),
    ("squareplus", {"b": 0.5}),
    ("threshold", {"threshold": 0.5, "default_value": -3.0}),
    *[(name, {"axis": axis}) for name, axis in (("sparsemax", -1), ("sparsemax", 0), ("glu", 0), ("glu", -2))],
]


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_on_arrays(name, arguments, floatx):
    wanted = np.asarray(getattr(keras.activations, name)(keras.ops.convert_to_tensor(X, floatx), **arguments))
    got = getattr(activations, name)(X.astype(floatx), **arguments)
    np.testing.assert_allclose(got, wanted, rtol=0, atol={"float64": 1e-14, "float32": 1e-6}[floatx])


@pytest.fixture(params=["float64", "float32"])
def floatx(request):
    before = keras.config.floatx()
    keras.config.set_floatx(request.param)
    yield request.param
    keras.config.set_floatx(before)
