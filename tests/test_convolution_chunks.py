"""Gradients of kernels that are summed in chunks of the K-blocks, so that threads share a small result."""

import numpy as np
import pytest

from fastnet import layers
from fastnet.engine import convolution
from fastnet.engine.plan import Plan
from fastnet.testing.devices import on_gpu
from fastnet.testing.running import Run, threads

from . import convolution_oracles as oracles

#: (pixels and channels of x, filters, taps, strides, groups); the rows are such that there are 6 K-blocks
SHAPES = {
    "one channel": ((23, 19, 1), 3, (3, 3), (1, 1), 1),
    "lines": ((17, 29, 8), 20, (3, 3), (1, 1), 1),
    "few columns": ((17, 29, 9), 2, (3, 3), (1, 1), 1),
    "strided": ((40, 37, 5), 7, (2, 3), (2, 2), 1),
    "groups": ((19, 23, 6), 4, (3, 2), (1, 1), 2),
    "many columns": ((20, 21, 2), 37, (2, 2), (1, 1), 1),
}
ROWS = 6


class Gradient:
    """The gradient of a layer's kernel, in a plan for some rows."""

    def __init__(self, shape, filters, taps, strides, groups, dtype="float32", rows=ROWS):
        layer = layers.Conv2D(filters, taps, strides, "same", groups=groups, use_bias=False, dtype=dtype)
        plan = Plan(True, dtype, rows)
        self.x = plan.buffer(shape)
        layer.connect(shape)
        y = plan.apply(layer, self.x)
        del plan.launches[:]
        self.dy = plan.buffer(y.shape)
        plan.tape.backward(y, self.dy, self.x)
        self.dkernel = plan.total_gradient(layer.kernel)
        self.plan, self.args = plan, (taps, strides, groups)

    @property
    def chunks(self):
        (product,) = (launch.kernel for launch in self.plan.launches if launch.name == "product")
        return product.chunks

    def data(self, rows=ROWS):
        rng = np.random.default_rng(rows)
        return [rng.standard_normal((rows, *view.shape)).astype(self.plan.dtype) for view in (self.x, self.dy)]

    def __call__(self, x, dy):
        run = Run(self.plan, len(x), [self.x, self.dy, self.dkernel])
        run.set(self.dkernel, 7.0)
        run.set(self.x, x)
        run.set(self.dy, dy)
        run.steps()
        return run.get(self.dkernel)

    def wanted(self, x, dy):
        """The gradient in float64, and the sum of the magnitudes of what is added."""
        taps, strides, groups = self.args
        x, dy, parts = x.astype(np.float64), dy.astype(np.float64), []
        for these, slopes in zip(np.split(x, groups, -1), np.split(dy, groups, -1)):
            matrix = oracles.patches(these, taps, strides, "same", (1, 1))
            matrix, slopes = (each.reshape(-1, each.shape[-1]) for each in (matrix, slopes))
            parts.append((matrix.T @ slopes, np.abs(matrix).T @ np.abs(slopes)))
        return [np.concatenate(each, -1).reshape(self.dkernel.shape) for each in zip(*parts)]


@pytest.fixture(autouse=True)
def _many_chunks(monkeypatch):
    monkeypatch.setattr(convolution, "LEAST_BLOCKS", 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SHAPES)
def test_chunks_give_the_sum(name, dtype):
    gradient = Gradient(*SHAPES[name], dtype)
    x, dy = gradient.data()
    assert gradient.chunks > 3
    wanted, size = gradient.wanted(x, dy)
    assert (np.abs(gradient(x, dy) - wanted) <= 8 * np.finfo(dtype).eps * size).all()


@pytest.mark.parametrize("name", SHAPES)
def test_threads_do_not_show(name):
    found = []
    for count in (1, 2, 3):
        with threads(count):
            gradient = Gradient(*SHAPES[name])
            found.append(gradient(*gradient.data()))
    assert all(np.array_equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("name", SHAPES)
def test_a_short_batch_leaves_chunks_empty(name, rows):
    gradient = Gradient(*SHAPES[name])
    x, dy = gradient.data(rows)
    wanted, size = gradient.wanted(x, dy)
    assert (np.abs(gradient(x, dy) - wanted) <= 8 * np.finfo("float32").eps * size).all()


def test_nan_and_infinity_reach_the_taps_that_read_them():
    gradient = Gradient(*SHAPES["lines"])
    x, dy = gradient.data()
    x[3, 5, 7, 2], dy[4, 6, 6, 11] = np.nan, np.inf
    found = gradient(x, dy)
    assert np.isnan(found[:, :, 2]).all() and np.isfinite(found[:, :, 3:, :11]).all()
    assert not np.isfinite(found[:, :, 0, 11]).any()


@pytest.mark.parametrize("name", ["one channel", pytest.param("groups", marks=pytest.mark.slow)])
@pytest.mark.parametrize("rows", [1, pytest.param(ROWS, marks=pytest.mark.slow)])
def test_the_bits_on_a_gpu(name, rows):
    gradient = Gradient(*SHAPES[name])
    x, dy = gradient.data(rows)
    wanted = gradient(x, dy)
    with on_gpu():
        gradient = Gradient(*SHAPES[name])
        np.testing.assert_array_equal(gradient(x, dy), wanted)


def test_a_result_of_many_elements_is_not_cut():
    assert Gradient((17, 29, 130), 240, (3, 3), (1, 1), 1).chunks == 1
