"""Dtypes of what `fastnet.ops` give for plain arrays: integers among them, float16, dtypes that NumPy lacks."""

import numpy as np
import pytest

import fastnet
from fastnet import arrays, ops
from fastnet.symbolic.leaves import argument

WHOLE = ["bool", "uint8", "int32", "int64"]
REAL = [
    "sqrt",
    "exp",
    "log",
    "log1p",
    "sin",
    "arctan",
    "tanh",
    "reciprocal",
    "floor",
    "ceil",
    "mean",
    "std",
    "logsumexp",
]
KEPT = ["square", "abs", "max", "trunc"]
BINARY = ["add", "subtract", "multiply", "maximum", "power", "mod", "matmul"]


@pytest.fixture(params=["float32", "float64"])
def floatx(request):
    fastnet.config.set_floatx(request.param)
    yield request.param
    fastnet.config.set_floatx("float32")


@pytest.mark.parametrize("dtype", WHOLE)
def test_integers_become_the_default_dtype(floatx, dtype):
    x = np.ones(3, dtype)
    assert {name: getattr(ops, name)(x).dtype for name in REAL} == dict.fromkeys(REAL, floatx)
    assert ops.divide(x, x).dtype == ops.add(x, 0.5).dtype == ops.where(x > 0, 1.0, 0.0).dtype == floatx
    assert ops.where(x > 0, x, 0.5).dtype == ops.norm(x).dtype == ops.normalize(x).dtype == floatx
    assert ops.logaddexp(x, 1).dtype == floatx and ops.count_nonzero(x).dtype == "int32"


def test_integers_stay_among_themselves():
    x = np.array([3, 1, 2], "int32")
    assert {name: getattr(ops, name)(x).dtype for name in KEPT} == dict.fromkeys(KEPT, "int32")
    assert {name: getattr(ops, name)(x, x).dtype for name in BINARY} == dict.fromkeys(BINARY, "int32")
    assert ops.add(x, 1).dtype == ops.where(x > 1, x, 0).dtype == "int32"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_integers_take_the_dtype_of_fractions(dtype):
    x, whole = np.array([0.5, 2.0, 3.0], dtype), np.array([1, 2, 3])
    assert {name: getattr(ops, name)(whole, x).dtype for name in BINARY} == dict.fromkeys(BINARY, dtype)
    assert ops.sqrt(x[0]).dtype == ops.add(x[0], 1).dtype == ops.divide(x[0], x[1]).dtype == dtype  # numbers of NumPy
    assert ops.divide(x, whole).dtype == ops.where(whole > 1, whole, x).dtype == dtype
    np.testing.assert_array_equal(ops.multiply(whole, x), np.asarray([0.5, 4.0, 9.0], dtype))


def test_moments_of_float16_do_not_overflow():
    mean, variance = ops.moments(np.array([[60000.0, 30000.0], [1.0, 3.0]], "float16"), axes=-1)
    assert mean.dtype == variance.dtype == "float16"
    assert mean.tolist() == [44992.0, 2.0] and variance.tolist() == [65504.0, 1.0]  # 45000 is no float16


@pytest.mark.parametrize("call", [
    lambda: ops.cast([1.0], "float24"),
    lambda: ops.convert_to_tensor([1.0], "float24"),
    lambda: ops.zeros((2,), "float24"),
    lambda: ops.arange(3, dtype="float24"),
])  # fmt: skip
def test_a_dtype_that_numpy_lacks(call):
    with pytest.raises(fastnet.RuleError, match="'float24' not understood by NumPy .*: give 'float32', .* or 'bool'."):
        call()


def test_a_symbolic_array_among_data_has_one_sentence():
    with pytest.raises(fastnet.RuleError) as caught:
        arrays.as_array(argument((None, 3)), "x")
    assert str(caught.value).endswith("with functions of fastnet.ops; ops.stack joins several.")
    assert ".." not in str(caught.value) and "rows of equal length" not in str(caught.value)
