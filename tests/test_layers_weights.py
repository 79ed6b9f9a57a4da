"""`Layer.add_weight` with its defaults, and initial values that are arrays of any library."""

import numpy as np
import pytest

from fastnet import initializers, layers


class OfDLPack:
    """An array of a library that NumPy knows through DLPack alone."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class OfArray:
    """An array of a library that offers ``__array__``."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self._array, dtype)


class Weights(layers.Layer):
    def __init__(self, *calls, **more):
        super().__init__(**more)
        self.calls = calls

    def make_weights(self, input_shape):
        for arguments in self.calls:
            self.add_weight(**arguments)

    def forward(self, plan, x):
        return x

    def backward(self, plan, dy, x, y):
        return dy


def made(*calls, **more):
    layer = Weights(*calls, **more)
    layer.build((None, 2))
    return layer.weights


def test_defaults():
    one, vector, named, third = made({}, {"shape": 3}, {"name": "scale", "shape": [2, 2]}, {"shape": None})
    assert [w.name for w in (one, vector, named, third)] == ["variable", "variable_1", "scale", "variable_2"]
    assert [w.shape for w in (one, vector, named, third)] == [(), (3,), (2, 2), ()]
    assert named.trainable and len(np.unique(named)) == 4 and abs(named.value).max() <= (6 / 4) ** 0.5  # glorot_uniform


def test_arguments_of_keras():
    (weight,) = made({"shape": (2,), "initializer": "ones", "dtype": "float32", "autocast": False, "name": "w"})
    assert weight.value.tolist() == [1, 1] and weight.path.endswith("/w")
    assert made({"shape": 2, "dtype": "float64", "aggregation": "mean"}, dtype="float64")[0].dtype == "float64"
    with pytest.raises(ValueError, match="its weights have its dtype, float32, received 'float64'"):
        made({"dtype": "float64"})
    with pytest.raises(TypeError, match=r"add_weight takes the name first, then the shape, received \(2,\)"):
        made({"name": (2,), "shape": "ones"})


VALUES = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize("wrap", [OfArray, OfDLPack, np.array], ids=["__array__", "DLPack", "numpy"])
def test_initial_values_of_any_library(wrap):
    for initializer in (wrap(VALUES), initializers.Constant(wrap(VALUES))):
        layer = layers.Dense(2, kernel_initializer=initializer)
        layer.build((None, 3))
        np.testing.assert_array_equal(layer.kernel, VALUES)
    constant = initializers.Constant(wrap(VALUES))
    again = initializers.Constant.from_config(constant.get_config())
    np.testing.assert_array_equal(again((3, 2)), VALUES)
    with pytest.raises(ValueError, match=r"cannot fill the shape|gave shape \(3, 2\)"):
        layers.Dense(5, kernel_initializer=wrap(VALUES)).build((None, 3))
    normalization = layers.Normalization(mean=wrap(np.ones(2)), variance=wrap(np.full(2, 4.0)))
    np.testing.assert_allclose(normalization(VALUES), (VALUES - 1) / 2)


def test_a_weight_and_a_number_without_axes_as_initial_values():
    other = layers.Dense(2)
    other.build((None, 3))
    layer = layers.Dense(2, kernel_initializer=other.kernel, bias_initializer=initializers.Constant(np.array(2.0)))
    layer.build((None, 3))
    assert (layer.kernel == other.kernel).all() and layer.bias.value.tolist() == [2, 2]
    assert not np.shares_memory(layer.kernel.array, other.kernel.array)
    assert initializers.Constant(np.float32(0.5)).get_config() == {"value": 0.5}
    for wrong in ("x", [1j], [[1], [1, 2]]):
        with pytest.raises(ValueError, match="Constant: value"):
            initializers.Constant(wrong)
