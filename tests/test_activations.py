"""Every activation of the table against float64 oracles, in both dtypes, over odd values too."""

import copy
import pickle

import numpy as np
import pytest

import fastnet
from fastnet import activations, testing
from fastnet._kernels import registry
from fastnet.testing.plans import activate

from . import oracles

NAMES = [row.name for row in registry.activations.unique()]
PARAMETERS = {
    "clipped_relu": [(0.0, np.inf, 0.0), (0.1, 6.0, 1.5), (0.0, np.inf, 1.5)],
    "leaky_relu": [(0.2,), (0.01,)],
    "elu": [(1.0,), (0.3,), (-0.5,)],
    "celu": [(1.0,), (0.25,)],
    "hard_shrink": [(0.5,), (1.5,)],
    "soft_shrink": [(0.5,), (1.5,)],
    "threshold": [(0.0, 0.0), (1.5, -2.0)],
    "squareplus": [(4.0,), (0.25,)],
}
CASES = [(name, parameters) for name in NAMES for parameters in PARAMETERS.get(name, [()])]
ODD = [
    0.0,
    -0.0,
    1e-40,
    -1e-40,
    1e-30,
    -1e-30,
    6.0,
    1.5,
    20.0,
    -20.0,
    87.0,
    -87.0,
    104.0,
    -104.0,
    1e10,
    -1e10,
    1e30,
    -1e30,
]


def build(name, parameters):
    row = registry.activations[name]
    return activations.Activation(row, **dict(zip(row.parameters, parameters, strict=True)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_value_and_derivative_follow_the_formula(name, parameters, dtype):
    f, df = oracles.ACTIVATIONS[name]
    x = np.concatenate([ODD, np.random.default_rng(0).uniform(-12, 12, 1013)]).astype(dtype)
    wide = np.where(np.abs(x) < np.finfo(dtype).tiny, 0.0, x)  # the runner takes subnormal numbers for 0
    y, dx = activate(build(name, parameters), x[None], np.full((1, len(x)), 0.5, dtype))
    with np.errstate(all="ignore"):
        wanted, slope = (v.astype(dtype) for v in (f(wide, *parameters), 0.5 * df(wide, *parameters)))
        off, slope_off = (np.where(a[0] == b, 0, np.abs(a[0] - b)) for a, b in ((y, wanted), (dx, slope)))
    # A few units in the last place of the largest term: 1 + erf and 1 - y² are differences of numbers near 1.
    tolerance = 8e-7 if dtype == "float32" else 3e-15
    np.testing.assert_array_less(off, tolerance * np.maximum(1, np.abs(wanted)))
    np.testing.assert_array_less(slope_off, tolerance * np.maximum(1, np.abs(slope)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_nan_and_infinity(name, parameters, dtype):
    x = np.array([np.nan, np.inf, -np.inf], dtype)
    y, dx = activate(build(name, parameters), x[None], np.full((1, 3), np.nan, dtype))
    with np.errstate(all="ignore"):
        wanted = oracles.ACTIVATIONS[name][0](x.astype(np.float64), *parameters)
    np.testing.assert_allclose(y[0], wanted.astype(dtype), rtol=1e-15 if dtype == "float64" else 2e-7)
    assert np.isnan(dx).all()  # a NaN that comes back goes on, also where the slope is 0


OF_ROWS = ["softmax", "log_softmax", "sparsemax", "glu"]


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in OF_ROWS[1:]]  # seconds to compile, as that of softmax


@pytest.mark.parametrize("name", [*NAMES, OF_ROWS[0], *SLOW])
def test_check_activation_proves_every_row(name):
    report = str(testing.check_activation(name))
    assert "the same bits on 1 and 2" in report
    assert "no double instruction" in report


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (65, 3), (2, 3, 10), (130, 1000)])
def test_softmax(shape, dtype):
    x = (np.random.default_rng(1).standard_normal(shape) * 20).astype(dtype)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(
        activations.softmax(x), oracles.softmax(x.astype(np.float64)), atol=tolerance, rtol=tolerance
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (65, 3), (130, 101)])
def test_log_softmax(shape, dtype):
    x = (np.random.default_rng(1).standard_normal(shape) * 20).astype(dtype)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    wanted = np.log(oracles.softmax(x.astype(np.float64)))
    np.testing.assert_allclose(activations.log_softmax(x), wanted, atol=tolerance, rtol=tolerance)
    np.testing.assert_array_equal(activations.log_softmax([[0.0, -1e4]]), [[0.0, -1e4]])


@pytest.mark.parametrize("axis", [(1, 2), (2, 1), (-1, 0), [3], (0, 1, 2, 3)])
def test_softmax_over_several_axes(axis):
    """As that of a vector of their elements."""
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    e = np.exp(x)
    wanted = e / e.sum(tuple(axis), keepdims=True)
    np.testing.assert_allclose(activations.softmax(x, axis=axis), wanted, atol=1e-14)
    np.testing.assert_allclose(activations.log_softmax(x, axis=axis), np.log(wanted), atol=1e-13)


@pytest.mark.parametrize(("name", "axis"), [("softmax", (1, 4)), ("softmax", ()), ("softmax", (1, 1)), ("glu", (1, 2))])
def test_axes_that_rows_cannot_have(name, axis):
    with pytest.raises(ValueError, match="axis"):
        getattr(activations, name)(np.ones((2, 3, 4, 5)), axis=axis)


def test_softmax_over_another_axis_and_of_huge_numbers():
    x = np.random.default_rng(2).standard_normal((5, 7, 3))
    np.testing.assert_allclose(
        activations.softmax(x, axis=1), oracles.softmax(x.swapaxes(1, 2)).swapaxes(1, 2), atol=1e-15
    )
    np.testing.assert_array_equal(activations.softmax([[1e4, -1e4, 1e4]]), [[0.5, 0.0, 0.5]])
    np.testing.assert_array_equal(activations.softmax([[0.0, -np.inf]]), [[1.0, 0.0]])
    assert np.isnan(activations.softmax([[0.0, np.nan], [np.inf, 0.0]])).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (65, 3), (2, 3, 10), (13, 101)])
def test_sparsemax(shape, dtype):
    x = (np.random.default_rng(1).standard_normal(shape) * 3).astype(dtype)
    y = activations.sparsemax(x)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(y, oracles.sparsemax(x.astype(np.float64)), atol=tolerance)
    np.testing.assert_allclose(y.sum(-1), 1.0, atol=10 * tolerance)


def test_sparsemax_of_odd_numbers():
    np.testing.assert_array_equal(
        activations.sparsemax([[0.0, 0.0, -np.inf], [1e30, 0.0, -1e30]]), [[0.5, 0.5, 0], [1, 0, 0]]
    )
    assert np.isnan(activations.sparsemax([[0.0, np.nan, 1.0], [np.inf, 0.0, 0.0]])).all()
    assert activations.sparsemax(np.zeros((0, 3))).shape == (0, 3)
    np.testing.assert_allclose(activations.sparsemax([[1.0], [3.0]], axis=0), [[0.0], [1.0]])


def test_glu():
    x = np.random.default_rng(1).standard_normal((5, 3, 6))
    wanted = x[..., :3] * oracles.sigmoid(x[..., 3:])
    np.testing.assert_allclose(activations.glu(x), wanted, rtol=1e-14)
    np.testing.assert_allclose(activations.glu(x.swapaxes(1, 2), axis=1), wanted.swapaxes(1, 2), rtol=1e-14)
    assert activations.glu(np.zeros((0, 4))).shape == (0, 2)
    with pytest.raises(ValueError, match="glu halves an axis, whose size must be even; received 3"):
        activations.glu(np.zeros((2, 3)))
    model = fastnet.Sequential(
        [fastnet.layers.Input((3,)), fastnet.layers.Dense(4, "glu"), fastnet.layers.Activation("glu")]
    )
    assert model.output_shape == (None, 1)
    weights = model.layers[0].get_weights()
    z = activations.glu(np.ones((2, 3), "float32") @ weights[0] + weights[1])
    np.testing.assert_allclose(model.predict(np.ones((2, 3)), verbose=0), activations.glu(z), rtol=1e-6)
    testing.check_layer(lambda: fastnet.layers.Activation("glu"), (6,))


def test_of_arrays():
    assert activations.relu([[-1.0], [2.0]]).tolist() == [[0.0], [2.0]]
    assert activations.relu([-3.0, 1.0, 9.0], negative_slope=0.5, max_value=6.0).tolist() == [-1.5, 1.0, 6.0]
    assert activations.sigmoid(np.array(0.0)).shape == ()
    assert activations.tanh(np.zeros((0, 3))).shape == (0, 3)
    assert activations.gelu(np.float64(1.0)).dtype == np.float64
    assert activations.gelu([1], approximate=True).dtype == np.float32
    np.testing.assert_allclose(activations.leaky_relu([-1.0], negative_slope=0.3), [-0.3], rtol=1e-7)


def test_names_are_found_and_unknown_ones_explained():
    assert activations.get(None) is activations.linear
    assert activations.get("swish").name == "silu"
    assert activations.get(activations.relu).name == "relu"
    with pytest.raises(ValueError, match=r"Unknown activation 'sigmod'. Did you mean 'sigmoid'"):
        activations.get("sigmod")
    with pytest.raises(fastnet.RuleError, match="a loop over an array"):
        activations.get(lambda x: sum(x))
    with pytest.raises(TypeError, match=r"complex"):
        activations.tanh(np.zeros(2, complex))
    with pytest.raises(TypeError, match="negative_slop"):
        activations.leaky_relu([1.0], negative_slop=1)


@pytest.mark.parametrize("name", [*NAMES, *OF_ROWS])
def test_a_description_gives_the_activation_back(name):
    activation = activations.get(name)
    assert activations.serialize(activation) == activation.name
    assert activations.deserialize(activations.serialize(activation)).name == activation.name


def test_arguments_are_in_the_description():
    steep = activations.Activation(registry.activations["elu"], alpha=0.5)
    assert activations.serialize(steep) == {"name": "elu", "arguments": {"alpha": 0.5}}
    assert activations.get(activations.serialize(steep)).parameters == {"alpha": 0.5}
    assert activations.deserialize("mine", {"mine": steep}) is steep


def test_a_wrong_gradient_is_found():
    def cube(x):
        return x * x * x

    def wrong(x):
        return 2 * x * x

    with pytest.raises(AssertionError, match=r"gradient is .* but differences give"):
        testing.check_activation(registry.Activation("cube", cube, wrong))


def test_a_lost_nan_is_found():
    def positive(x):
        return x if x > 0 else 0

    def slope(x):
        return 1 if x > 0 else 0

    with pytest.raises(AssertionError, match="NaN becomes 0"):
        testing.check_activation(registry.Activation("positive", positive, slope))


def test_threads_are_left_as_they_were():
    before = fastnet.get_num_threads()
    fastnet.set_num_threads(3)
    try:
        testing.check_activation("relu")
        assert fastnet.get_num_threads() == 3
    finally:
        fastnet.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({}, [0, 0, 0, 0, 0.1, 4, 6]),
        ({"threshold": 0.1}, [0, 0, 0, 0, 0, 4, 6]),  # at the threshold, as it is rounded to the dtype
        ({"threshold": 4.0}, [0, 0, 0, 0, 0, 0, 6]),
        ({"threshold": 4.0, "negative_slope": 0.5}, [-np.inf, -2.5, -2, -2, -1.95, 0, 6]),
        ({"max_value": 6.0}, [0, 0, 0, 0, 0.1, 4, 6]),
        ({"max_value": 5.0, "negative_slope": 0.5}, [-np.inf, -0.5, 0, 0, 0.1, 4, 5]),
        ({"negative_slope": 0.5}, [-np.inf, -0.5, -0.0, 0, 0.1, 4, 6]),
        ({"threshold": -2.0}, [0, -1, -0.0, 0, 0.1, 4, 6]),
        ({"threshold": -2.0, "max_value": 5.0}, [0, 0, 0, 0, 0.1, 4, 5]),
    ],
    ids=str,
)
def test_relu_at_its_threshold_and_the_sign_of_zeros(arguments, wanted, dtype):
    """Hand values, as Keras 3 gives them; NaN stays, where Keras makes it 0 above a threshold."""
    x = np.array([-np.inf, -1, -0.0, 0, 0.1, 4, 6, np.nan], dtype)
    y = activations.relu(x, **arguments)
    np.testing.assert_allclose(y, [*np.array(wanted, dtype), np.nan], rtol=1e-7)
    assert np.signbit(y[:-1]).tolist() == np.signbit(wanted).tolist()
    if arguments.get("threshold", 0.0) >= 0:
        np.testing.assert_array_equal(fastnet.layers.ReLU(**arguments, dtype=dtype)(x[None])[0], y)


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh", "linear", "softmax", "log_softmax", "glu"])
def test_an_activation_equals_the_function_of_its_name(name):
    """``layer.activation == activations.relu`` was False."""
    function, other = getattr(activations, name), activations.elu
    found = fastnet.layers.Dense(2, name).activation
    assert found == function and function == found and not found != function and hash(found) == hash(function)
    assert copy.deepcopy(found) == pickle.loads(pickle.dumps(found)) == function
    assert found != other and other != found and found != name and found != activations.get("sigmoid")
    assert activations.get("leaky_relu") != activations.get("leaky_relu").having(negative_slope=0.5)


def test_an_activation_equals_the_function_that_it_was_made_of():
    def steep(x, factor=2.0):
        return x * factor

    found = fastnet.layers.Dense(2, steep).activation
    assert found == steep and steep == found and found != np.tanh
    assert found.having(factor=3.0) != steep
    found = fastnet.layers.Dense(2, lambda x: x * np.ones(2)).activation
    assert found == found.function and found != steep and {found.function: 3}[found] == 3
