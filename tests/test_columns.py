"""Copies of columns to lanes and back, as LLVM code, against NumPy: no other element may change."""

import ctypes

import numpy as np
import pytest
from llvmlite import ir

from fastnet._kernels import machine_code
from fastnet._kernels.chunks import LANES
from fastnet._kernels.cpu.column_intrinsics import Columns

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
