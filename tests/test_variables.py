"""Weights in expressions: operators, indices, comparisons, assignments, and other libraries."""

import operator

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.engine.variable import Variable

VALUE = np.arange(1.0, 7.0).reshape(3, 2)


@pytest.fixture
def kernel():
    return Variable(VALUE.astype("float32"), "kernel")


BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge", "eq", "ne")


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("other", [2.0, np.full((3, 2), 3.0, "float32"), "itself"], ids=["number", "array", "weight"])
def test_operators(kernel, name, other):
    apply = getattr(operator, name)
    array, value = VALUE.astype("float32"), kernel if isinstance(other, str) else other
    plain = array if isinstance(other, str) else other
    for result, expected in ((apply(kernel, value), apply(array, plain)), (apply(value, kernel), apply(plain, array))):
        assert type(result) is np.ndarray and result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


def test_other_expressions(kernel):
    np.testing.assert_array_equal(kernel @ np.ones((2, 1)), [[3], [7], [11]])
    np.testing.assert_array_equal(np.ones((1, 3)) @ kernel, [[9, 12]])
    assert (-kernel).sum() == -21 and abs(-kernel).sum() == 21 and np.sqrt(kernel).dtype == np.float32
    assert kernel[1].tolist() == [3, 4] and kernel[:, 1].tolist() == [2, 4, 6] and kernel[kernel > 4].tolist() == [5, 6]
    assert [row.tolist() for row in kernel] == VALUE.tolist() and np.linalg.norm(kernel) == pytest.approx(91**0.5)
    assert (
        kernel.value.tolist() == VALUE.tolist() and float(kernel[0, 0]) == 1 and np.stack([kernel]).shape == (1, 3, 2)
    )
    scalar = Variable(np.array(2.5), "scalar")
    assert float(scalar) == 2.5 and int(scalar) == 2 and scalar * 2 == 5


def test_a_value_is_a_copy(kernel):
    for copy in (kernel.value, kernel[:], kernel + 0, np.asarray(kernel), np.from_dlpack(kernel)):
        assert not np.shares_memory(copy, kernel.array)


def test_hashes_are_of_identity(kernel):
    other = Variable(VALUE.astype("float32"), "kernel")
    assert len({kernel, other}) == 2 and {kernel: 1}.get(other) is None and kernel in {kernel}
    assert (kernel == other).all() and not (kernel != other).any()


def test_assignments(kernel):
    assert kernel.assign(VALUE) is kernel and kernel.assign_add(1) is kernel
    assert kernel.assign_sub(np.ones((3, 2))) is kernel and (kernel == VALUE).all() and kernel.assignments == 3
    kernel.assign_add([10.0, 20.0])
    kernel[0, 0] = -1
    held = kernel
    held *= 2
    assert held is kernel and kernel[0].tolist() == [-2, 44] and kernel.assignments == 6
    for change in (lambda: kernel.assign_add(np.ones(5)), lambda: kernel.assign_sub(np.ones((4, 3, 2)))):
        with pytest.raises(ValueError, match=r"The weight 'kernel'.*shape \(3, 2\)"):
            change()
    assert kernel.assignments == 6


def test_a_weight_of_a_layer():
    layer = layers.Dense(2, kernel_initializer="zeros")
    layer.build((None, 3))
    kernel = layer.kernel
    layer.kernel += 1
    assert layer.kernel is kernel and layer([[1.0, 1.0, 1.0]]).tolist() == [[3, 3]]
    kernel[:] = 2
    assert layer([[1.0, 1.0, 1.0]]).tolist() == [[6, 6]]
    layer.bias = layer.kernel[0]
    assert layer.bias.value.tolist() == [2, 2]


def test_a_ufunc_that_changes_a_weight_at_indices_is_an_assignment():
    layer = layers.Dense(1, kernel_initializer="zeros")
    layer.build((None, 3))
    before = layer.kernel.assignments
    np.add.at(layer.kernel, ([0, 0, 2], [0, 0, 0]), 1.0)
    assert layer.kernel.numpy().ravel().tolist() == [2.0, 0.0, 1.0] and layer.kernel.assignments == before + 1


@pytest.mark.parametrize(
    ("value", "more", "dtype"),
    [
        ([1.0, 2.0], {}, "float32"), (1, {}, "float32"), (np.ones(2), {}, "float64"),
        ([1.0], {"dtype": "float64"}, "float64"),
        (np.ones(2), {"dtype": "float32", "name": "w"}, "float32"),
    ],
)  # fmt: skip
def test_a_variable_of_ones_own(value, more, dtype):
    variable = fastnet.Variable(value, **more)
    assert variable.dtype == dtype and variable.name == more.get("name", "variable")
    np.testing.assert_array_equal(variable, value)
    fastnet.optimizers.SGD(0.5).apply([np.ones_like(variable.value)], [variable])
    np.testing.assert_array_equal(variable, np.asarray(value) - 0.5)
