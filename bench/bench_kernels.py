"""Every kernel: ns an element, GB/s, and its share of the bandwidth of `a += 3*b` over as much memory.

``python -m bench kernels`` prints the table; ``pytest bench/bench_kernels.py`` times the same cases under
pytest-benchmark. The cases follow the registry: a row of it is a case. Kernels run on one thread over arrays in the
second-level cache, which shows their own speed instead of the memory's. Updates also run over weights that exceed the
caches, where they must reach the memory's bandwidth, as do layers of images that only move pixels.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastnet import activations, layers, losses, optimizers
from fastnet._kernels import abi, registry
from fastnet._kernels.templates import elementwise, folds
from fastnet.engine.plan import Plan
from fastnet.engine.sources import Inlet, Source
from fastnet.testing.plans import LayerRun, activation_plan, loss_run, targets_for, update_run
from fastnet.testing.running import Report, Run, speed, threads

from . import machine, report

ELEMENTS = 16_384
WIDTHS = (10, 1000)
WEIGHTS = 10_000_000  # of a large update
LARGE_FLOOR = 0.85  # its least share of a += 3*b over as much memory
IMAGES, SMALL = (64, 56, 56, 64), (1, 16, 16, 64)  # that exceed the caches (51 MB), and that fit the second level
IMAGE_FLOOR = 0.8  # least share of a copy of layers of large images


def activation(row):
    """Forward and backward of an activation."""
    plan, x, y, dy, dx = activation_plan(activations.Activation(row), "float32", ELEMENTS, 1)
    run = Run(plan, 1, [x, y, dy, dx])
    run.set(x, np.random.default_rng(0).uniform(-4, 4, (1, ELEMENTS)))
    run.set(dy, 1.0)
    return run


def loss(row, width):
    """Value and gradient of a loss."""
    rows, chosen, rng = ELEMENTS // width, losses.get(row), np.random.default_rng(0)
    run, buffers = loss_run(chosen, "float32", rows, width)
    run.set(buffers[0], rng.uniform(0.05, 0.95, (rows, width)))
    run.set(buffers[1], targets_for(chosen, rng, rows, width, (0.05, 0.95)))
    return run


def update(row, elements=ELEMENTS):
    """The update of one weight."""
    run, _, gradient = update_run(optimizers.Optimizer(row, 1e-3), "float32", np.ones(elements))
    run.set(gradient, np.random.default_rng(0).standard_normal(elements))
    return run


def layer(factory, width, rows=None):
    """Forward and backward of a layer; of rows of this width, or of samples of this shape."""
    shape = width if isinstance(width, tuple) else (width,)
    rows = rows or ELEMENTS // width
    one = LayerRun(factory, "float32", shape, rows)
    one.run.set(one.x, np.random.default_rng(0).uniform(-2, 2, (rows, *shape)))
    one.run.set(one.dy, 1.0)
    return one.run


def gather(dtype, width, contiguous=True, rows=None):
    """Rows of a data set into a batch, in a random order."""
    rows = rows or ELEMENTS // width
    array = np.random.default_rng(0).integers(0, 255, (4 * rows, width)).astype(dtype)
    source = Source(array if contiguous else np.asfortranarray(array))
    plan = Plan(True, "float32", rows)
    batch = plan.buffer((width,))
    inlet = Inlet(plan, source.signature, batch)
    run = Run(plan, rows, [batch])
    run.bound.connect(inlet, source)
    run.order = np.random.default_rng(1).integers(0, 4 * rows, 64 * rows)  # enough for the steps of a call of `speed`
    run.bound.place(abi.ORDER, run.order)
    run.source = source
    return run


def copies(shape):
    """A copy of samples: a store that fetches its line first, which a += 3*b does not."""
    plan = Plan(True, "float32", shape[0])
    x, y = plan.buffer(shape[1:]), plan.buffer(shape[1:])
    plan.call(elementwise.copy, x=x, y=y)
    run = Run(plan, shape[0], [x, y])
    run.set(x, 1.0)
    return run


def column_sum(width, rows=None):
    """The sum of every column: a bias's gradient."""
    rows = rows or ELEMENTS // width
    plan = Plan(True, "float32", rows)
    x, y = plan.buffer((width,)), plan.buffer((width,), per_row=False)
    plan.call(folds.sum_rows, x=x, total=y)
    run = Run(plan, rows, [x, y])
    run.set(x, 1.0)
    return run


IMAGE_LAYERS = {
    "max pooling": layers.MaxPooling2D,
    "average pooling": lambda: layers.AveragePooling2D(2),
    "global average pooling": layers.GlobalAveragePooling2D,
    "upsampling": layers.UpSampling2D,
    "zero padding": layers.ZeroPadding2D,
    "depthwise 3×3": lambda: layers.DepthwiseConv2D(3, padding="same", use_bias=False),
}


def cases():
    """(name, function that makes the run) of every case."""
    out = [
        (f"activation {r.name}", lambda r=r: activation(r)) for r in registry.activations.unique() if r.name != "linear"
    ]
    for width in WIDTHS:
        out += [(f"loss {r.name} {width}", lambda r=r, w=width: loss(r, w)) for r in registry.losses.unique()]
        out.append((f"softmax {width}", lambda w=width: layer(layers.Softmax, w)))
    out += [(f"update {r.name}", lambda r=r: update(r)) for r in registry.updates.unique()]
    out.append(("dropout", lambda: layer(lambda: layers.Dropout(0.2), 128)))
    out.append(("batch normalization", lambda: layer(layers.BatchNormalization, 128)))
    out += [(name, lambda f=factory: layer(f, SMALL[1:], SMALL[0])) for name, factory in IMAGE_LAYERS.items()]
    for dtype in ("float32", "float64", "uint8"):
        out.append((f"gather {dtype} 784", lambda d=dtype: gather(d, 784)))
    out.append(("gather float32 784, columns apart", lambda: gather("float32", 784, contiguous=False)))
    out += [(f"column sum {width}", lambda w=width: column_sum(w)) for width in (10, 128)]
    return out


def measure(name, once, elements, floor=None, **repeats):
    """Yield a row for each launch of a case."""
    for figure in speed(Report(name), once, elements, **repeats):
        yield {
            "case": name,
            "kernel": figure["kernel"][:60],
            "ns/element": f"{figure['ns']:.3f}",
            "GB/s": f"{figure['GB/s']:.1f}",
            "share of a += 3*b": round(figure["share"], 3),
            "share of a copy": None,
            "floor": floor,
            "verdict": report.verdict(round(figure["share"], 3), floor, at_least=True),
        }


def large_updates(quick):
    """Yield rows of every update over weights in memory, without the launches of single numbers."""
    elements = WEIGHTS // 20 if quick else WEIGHTS
    for row in registry.updates.unique():
        once = update(row, elements)
        measured = measure(f"update {row.name}, {elements:,}", once, elements, LARGE_FLOOR, rounds=5, steps=1)
        yield from (line for line, launch in zip(measured, once.plan.launches) if launch.extent.at(1) == elements)


def large_images(quick):
    """Yield rows of layers of images in memory, without the launches of single channels."""
    shape = (IMAGES[0] // 16, *IMAGES[1:]) if quick else IMAGES
    copied = max(float(line["GB/s"]) for line in measure("copy", copies(shape), math.prod(shape), rounds=5, steps=1))
    for name, factory in IMAGE_LAYERS.items():
        once, elements = layer(factory, shape[1:], shape[0]), math.prod(shape)
        measured = measure(f"{name}, {elements:,}", once, elements, rounds=5, steps=1)
        for line, launch in zip(measured, once.plan.launches):
            if launch.name != "add_chunks":
                share = round(float(line["GB/s"]) / copied, 3)
                verdict = report.verdict(share, IMAGE_FLOOR, at_least=True)
                yield line | {"share of a copy": share, "floor": IMAGE_FLOOR, "verdict": verdict}


def run(quick=False):
    """Measure every case and report it."""
    rows = []
    for name, make in cases():
        rows += measure(name, make(), ELEMENTS, rounds=2 if quick else 9)
    rows += large_updates(quick)
    rows += large_images(quick)
    peak, memory = machine.peak_gflops(), machine.bandwidth(8 * machine.cache_sizes()[3])
    notes = f"{ELEMENTS} elements where nothing else is said, one thread"
    notes += f"; multiply-adds {peak:.0f} GF/s, a += 3*b from memory {memory:.1f} GB/s"
    report.show("kernels", rows, machine.describe(), notes)
    report.strips("kernels", rows, ["case", "kernel"], "share of a += 3*b", "share of the speed of a += 3*b")
    return rows


@pytest.mark.parametrize(("name", "make"), cases(), ids=[name.replace(" ", "-") for name, _ in cases()])
def test_kernel(benchmark, name, make):
    once = make()
    with threads(1):
        benchmark(once.steps, 10)
