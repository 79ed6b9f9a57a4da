"""A kernel that is not a matrix product, written on the product's parts: they must serve convolutions as they are."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from llvmlite import ir

from fastnet._kernels import machine_code
from fastnet._kernels.cpu import blocking, processor
from fastnet._kernels.cpu.emit import I64, PTR
from fastnet._kernels.cpu.micro_kernel import FULL, MicroKernel, PanelRows, StridedRows, TransposedRows

PIXELS = 5  # of a row of the image, computed at once: rows of the tile
TILE = blocking.Tile(processor.target().width, PIXELS, PIXELS)


def convolution(dtype: str):
    """y[p, c] = sum over i, t of x[i, p * channels + t] * w[i, t, c] for one vector of output channels c.

    The taps (column, channel) of a pixel and a row i lie side by side, the next pixel's begin ``channels`` elements
    further: rows of A that overlap. Behind each row of taps the pointer jumps to the image's next row; sums go on.

    void (x, bytes between pixels, bytes between rows of x, w, rows of taps, taps in a row, y)
    """
    module = ir.Module()
    kernel = MicroKernel(module, dtype, TILE)
    name = f"test_convolution_{dtype}"
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [PTR, I64, I64, PTR, I64, I64, PTR]), name)
    x, pixel, row, w, rows, taps, y = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    left = StridedRows(kernel, b, x, pixel, kernel.size, PIXELS)
    right = PanelRows(kernel, w, I64(kernel.width), [None])
    jump = b.sub(row, b.mul(taps, I64(kernel.size)))
    count = len(left.pointers)

    def segment(values):
        state = values[:count], values[count : count + 1], values[count + 1 :]
        pointers, weights, sums = kernel.accumulate(b, left, right, taps, state)
        return [*left.advanced(b, pointers, jump), *weights, *sums]

    sums = kernel.loop(b, rows, [*left.pointers, *right.pointers, *[kernel.zero()] * PIXELS], segment)[count + 1 :]
    for p, value in enumerate(sums):
        kernel.store(b, value, kernel.at(b, y, p * kernel.width))
    b.ret_void()
    types = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
    return ctypes.CFUNCTYPE(None, *types, ctypes.c_void_p)(machine_code.load_ir(str(module), name)), kernel.lanes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_convolution_in_segments(dtype):
    function, lanes = convolution(dtype)
    random = np.random.default_rng(0)
    for height, width, channels in [(1, 1, 1), (3, 3, 4), (5, 2, 7)]:
        image = random.standard_normal((height, (PIXELS + width - 1) * channels)).astype(dtype)
        w = random.standard_normal((height, width * channels, lanes)).astype(dtype)
        y = np.zeros((PIXELS, lanes), dtype)
        size = y.itemsize
        function(image.ctypes.data, channels * size, image.strides[0], w.ctypes.data, height, width * channels,
                 y.ctypes.data)  # fmt: skip
        expected = [
            sum(image[i, p * channels : (p + width) * channels].astype(float) @ w[i] for i in range(height))
            for p in range(PIXELS)
        ]
        np.testing.assert_allclose(y, expected, rtol=0, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("k", [0, 1, 3, 4, 9])
def test_rows_transposed_in_registers(dtype, k):
    """The vector operand may be stored by rows: as many as a vector has lanes, any number of steps."""
    module = ir.Module()
    kernel = MicroKernel(module, dtype, TILE)
    name = f"test_transposed_{dtype}"
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [PTR, PTR, I64, I64, PTR]), name)
    a, rows, distance, steps, out = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    left = StridedRows(kernel, b, a, I64(0), kernel.size, 1)
    right = TransposedRows(kernel, b, rows, distance)
    sums = kernel.accumulate(b, left, right, steps, (left.pointers, right.pointers, [kernel.zero()]))[2]
    kernel.store(b, sums[0], out)
    b.ret_void()
    types = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p
    call = ctypes.CFUNCTYPE(None, *types)(machine_code.load_ir(str(module), name))
    factors, matrix = np.arange(1, k + 1, dtype=dtype), np.zeros((kernel.lanes, k + 2), dtype)
    matrix[:, :k] = np.arange(kernel.lanes * k).reshape(kernel.lanes, k)
    result = np.full(kernel.lanes, 7, dtype)
    call(factors.ctypes.data, matrix.ctypes.data, matrix.strides[0], k, result.ctypes.data)
    np.testing.assert_array_equal(result, matrix[:, :k] @ factors)


@pytest.mark.parametrize("k", [1, 4, 7])
def test_a_tile_fetches_one_range_after_the_other(k):
    """A line for two steps, of the first range that is not at its end; each tile gives the same numbers."""
    module = ir.Module()
    kernel = MicroKernel(module, "float32", TILE)
    tile, columns, line = kernel.tile(PIXELS, FULL), blocking.VECTORS * kernel.lanes, processor.LINE
    tile.linkage = "external"
    types = [ctypes.c_void_p if kind == "p" else ctypes.c_int64 for kind in kernel.kinds_of_arguments]
    call = ctypes.CFUNCTYPE(None, *types)(machine_code.load_ir(str(module), tile.name))
    random = np.random.default_rng(0)
    a, b = (random.integers(-9, 9, shape).astype("float32") for shape in ((PIXELS, k), (k, columns)))
    first, second = random.bytes(6 * line), random.bytes(2 * line)
    starts = [np.frombuffer(each, np.uint8).ctypes.data for each in (first, second)]
    ends = starts[0] + 6 * line, starts[1] + 2 * line
    table = np.array([starts[0], ends[0], starts[1], ends[1]])
    for _ in range(6):
        left, at = starts[0] < ends[0], k // 2 * line
        starts = [starts[0] + left * at, starts[1] + (not left and starts[1] < ends[1]) * at]
        for ranges in (None, table.ctypes.data):
            c = np.zeros((PIXELS, columns), "float32")
            call(a.ctypes.data, a.strides[0], 4, b.ctypes.data, b.strides[0], k, ranges, c.ctypes.data, c.strides[0],
                 0, None, 0)  # fmt: skip
            np.testing.assert_array_equal(c, a @ b)
        assert table.tolist() == [starts[0], ends[0], starts[1], ends[1]]
