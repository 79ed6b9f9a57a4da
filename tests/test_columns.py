"""Columns that are copied to lanes and back: no other element may change, and formulas of many need little stack."""

import ctypes
import re

import numpy as np
import pytest
from llvmlite import ir

from fastnet import losses, ops
from fastnet._kernels import machine_code
from fastnet._kernels.chunks import LANES
from fastnet._kernels.cpu.column_intrinsics import Columns
from fastnet._kernels.templates.row_programs import Results, RowPass, RowProgram
from fastnet.testing.plans import loss_run, loss_values

SIZES = [(rows, columns) for rows in (1, 3, 8, 15, 16, 17, 31, 63, 64) for columns in (1, 2, 3, 4, 5, 7, 8, 10, 16)]


def copy_of(dtype, width, is_load):
    """The machine code of a copy, for vectors of a width, as a function of addresses and numbers."""
    module = ir.Module()
    function = Columns(module, dtype, is_load, width).copy()
    function.linkage = "external"
    function.name = name = f"copy_{dtype}_{width}_{is_load}"
    address = machine_code.load_ir(str(module), name)
    integer = ctypes.c_int64
    return ctypes.CFUNCTYPE(None, integer, integer, integer, integer, integer)(address)


@pytest.mark.parametrize("width", [16, 32, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_are_loaded_and_stored(dtype, width):
    load, store = (copy_of(dtype, width, is_load) for is_load in (True, False))
    rng = np.random.default_rng(0)
    for rows, columns in SIZES:
        matrix = rng.normal(size=(rows + 2, columns + 3)).astype(dtype)  # rows lie apart, and others surround them
        lanes = np.full((columns + 1, LANES), -1, dtype)
        expected = lanes.copy()
        expected[:columns, :rows] = matrix[1 : rows + 1, 1 : columns + 1].T
        load(matrix[1:, 1:].ctypes.data, matrix.strides[0], rows, columns, lanes.ctypes.data)
        np.testing.assert_array_equal(lanes, expected)
        lanes = rng.normal(size=(columns, LANES)).astype(dtype)
        changed = matrix.copy()
        changed[1 : rows + 1, 1 : columns + 1] = lanes[:, :rows].T
        store(matrix[1:, 1:].ctypes.data, matrix.strides[0], rows, columns, lanes.ctypes.data)
        np.testing.assert_array_equal(matrix, changed)


@pytest.mark.parametrize("count", [2, 16, 17, 70, 300])
def test_formulas_of_many_operands_take_little_stack(count):
    names = tuple(f"x{i}" for i in range(count - 1))
    operands = (*((name, "read['n, width']") for name in names), ("y", "write['n, width']"))
    one_pass = RowPass("width", Results(("y",), max, names))
    text = RowProgram("largest", (one_pass,), operands, "1").text()
    room = sum(map(int, re.findall(r"stack\((\d+)\)", text)))
    assert LANES * count <= room <= LANES * max(256, count)  # at least a column of each


@pytest.mark.parametrize("parts", [6, 40])
def test_formulas_of_many_operands(parts):
    """With 40 slices of both arrays a few columns are copied at a time, of a row a few are left at the end."""
    width, rng = 19, np.random.default_rng(0)

    def loss(y_true, y_pred):
        squares = [ops.square(y_pred[:, i : i + width] - y_true[:, -width - i - 1 : -i - 1]) for i in range(parts)]
        return ops.sum(sum(squares), axis=-1)

    t, x = rng.normal(size=(2, 67, parts + width))
    expected, gradient = np.zeros(67), np.zeros_like(x)
    for i in range(parts):
        difference = x[:, i : i + width] - t[:, -width - i - 1 : t.shape[1] - i - 1]
        expected += (difference**2).sum(-1)
        gradient[:, i : i + width] += 2 * difference / 67
    run, buffers = loss_run(losses.get(loss), "float64", *x.shape)
    values, dx = loss_values(run, buffers, x, t)
    np.testing.assert_allclose(np.ravel(values), expected, rtol=1e-12)  # the sums are of another order
    np.testing.assert_allclose(dx, gradient, rtol=1e-9, atol=1e-12)  # sums of both signs
