"""Convolutions layer by layer against PyTorch and the machine: forward, input gradient, weight gradient.

``python -m bench convolution`` prints the table. The share of the peak counts all multiply-adds of the direct form,
also those with zeros beside the image, and compares with multiply-adds on registers in the same rounds; Winograd's form
does fewer, and exceeds 1: its floor is a ratio to PyTorch, which gets its data with channels last, its fastest form.
"""

import importlib.util
import time

import numpy as np

from fastnet import layers
from fastnet.engine import machine_peak as engine
from fastnet.engine.plan import Plan
from fastnet.testing.running import Run

from . import machine, report
from .contest import PAUSE

SHARES = {"y": 0.92, "dx": 0.92, "dw": 0.88}  # of the peak, of the direct form
WINOGRAD = 2.5  # times as fast as PyTorch
SHAPES = {  # images, height, width, channels, filters, kernel, strides, padding
    "convnet 1": (128, 28, 28, 1, 32, 3, 1, "valid"),
    "convnet 2": (128, 13, 13, 32, 64, 3, 1, "valid"),
    "vgg 1": (64, 32, 32, 3, 64, 3, 1, "same"),
    "vgg 2": (64, 32, 32, 64, 64, 3, 1, "same"),
    "vgg 3": (64, 16, 16, 64, 128, 3, 1, "same"),
    "vgg 4": (64, 16, 16, 128, 128, 3, 1, "same"),
    "vgg 5": (64, 8, 8, 128, 256, 3, 1, "same"),
    "vgg 6": (64, 8, 8, 256, 256, 3, 1, "same"),
    "resnet20 16": (128, 32, 32, 16, 16, 3, 1, "same"),
    "resnet20 32/2": (128, 32, 32, 16, 32, 3, 2, "same"),
    "resnet20 64": (128, 8, 8, 64, 64, 3, 1, "same"),
    "1x1": (64, 16, 16, 128, 128, 1, 1, "valid"),
    "5x5": (64, 16, 16, 32, 32, 5, 1, "same"),
}


class Layer:
    """The three products of a layer, each as a plan of its own, and PyTorch's."""

    def __init__(self, shape: tuple):
        images, height, width, channels, filters, kernel, strides, padding = self.shape = shape
        random = np.random.default_rng(0)
        self.layer = layers.Conv2D(filters, kernel, strides, padding, use_bias=False)
        self.layer.build((images, height, width, channels))
        result = self.layer.compute_output_shape((images, height, width, channels))
        self.x, self.dy = (random.standard_normal(s).astype("f") for s in ((images, height, width, channels), result))
        self.kernel = self.layer.kernel.numpy()
        self.operations = 2 * self.dy.size // filters * self.kernel.size
        self.winograd: set[str] = set()  # products that take Winograd's form

    def ours(self) -> dict:
        """Functions that give the seconds of a run, by product."""
        return {name: self._timed(name) for name in SHARES}

    def _timed(self, name: str):
        plan = Plan(name != "y", "float32", len(self.x))
        x = plan.buffer(self.x.shape[1:])
        x.needs_gradient = name == "dx"
        plan.trained = set([self.layer.kernel] if name == "dw" else [])
        y = plan.apply(self.layer, x)  # its launches are not timed with a gradient
        dy = plan.buffer(y.shape)
        if name == "y":
            run = Run(plan, len(self.x), [x, y])
        else:
            del plan.launches[:]
            dx = plan.tape.backward(y, dy, x)
            dx = dx if name == "dx" else plan.total_gradient(self.layer.kernel)
            run = Run(plan, len(self.x), [x, dy, dx])
            run.set(dy, self.dy)
        run.set(x, self.x)
        if any(getattr(launch.kernel, "winograd", False) for launch in plan.launches):
            self.winograd.add(name)

        def timed():
            times = np.zeros(len(plan.launches))
            run.steps(times=times)
            return times.sum()

        return timed

    def theirs(self, threads: int) -> dict:
        """The same of PyTorch."""
        import torch

        torch.set_num_threads(threads)
        channels_last = torch.channels_last
        x, dy = (torch.from_numpy(a).permute(0, 3, 1, 2).to(memory_format=channels_last) for a in (self.x, self.dy))
        w = torch.from_numpy(self.kernel).permute(3, 2, 0, 1).to(memory_format=channels_last)
        size, stride = self.shape[5], self.shape[6]
        # Where PyTorch has no "same" for strides, it pads one pixel more in front: the work is the same.
        pad = size // 2 if self.shape[7] == "same" else 0

        def backward(mask):
            return torch.ops.aten.convolution_backward(
                dy, x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1, mask
            )

        runs = {
            "y": lambda: torch.conv2d(x, w, None, stride, pad),
            "dx": lambda: backward([True, False, False]),
            "dw": lambda: backward([False, True, False]),
        }

        def clocked(run):
            def timed():
                start = time.perf_counter()
                run()
                return time.perf_counter() - start

            return timed

        return {name: clocked(run) for name, run in runs.items()}


def measure(name: str, shape: tuple, threads: int, rounds: int, with_torch: bool) -> list[dict]:
    """The rows of a layer."""
    layer, peak = Layer(shape), engine.multiply_adds("float32")
    ours, theirs = layer.ours(), layer.theirs(threads) if with_torch else {}
    rates, least = [], {}
    for _ in range(rounds):
        time.sleep(PAUSE if with_torch else 0)  # while PyTorch's threads spin
        rates.append(peak.run())
        for who, runs in (("fastnet", ours), ("torch", theirs)):
            for product, timed in runs.items():
                least[who, product] = min(least.get((who, product), float("inf")), timed())
    rows = []
    for product, least_share in SHARES.items():
        seconds, is_winograd = least["fastnet", product], product in layer.winograd
        share = round(layer.operations / seconds / 1e9 / max(rates), 3)
        row = {
            "layer": name, "product": product, "form": "Winograd" if is_winograd else "direct", "threads": threads,
            "ms": round(seconds * 1e3, 3), "GF/s": round(layer.operations / seconds / 1e9, 1), "of peak": share,
        }  # fmt: skip
        if with_torch:
            row["torch ms"] = round(least["torch", product] * 1e3, 3)
            row["torch / fastnet"] = round(least["torch", product] / seconds, 2)
        value, floor, of = share, least_share, "of peak"
        if is_winograd:
            value, floor, of = row.get("torch / fastnet"), WINOGRAD, "× torch"
        if value is not None:
            row |= {"floor": f"{floor:g} {of}", "verdict": report.verdict(value, floor, at_least=True)}
        rows.append(row)
    return rows


def run(quick: bool = False) -> list[dict]:
    """Measure every layer and report it."""
    with_torch = importlib.util.find_spec("torch") is not None
    rows = []
    for threads in sorted({1, machine.cores()}):
        with machine.on_threads(threads):
            for name, shape in SHAPES.items():
                rows += measure(name, shape, threads, 2 if quick else 12, with_torch)
    notes = "of peak: of multiply-adds on registers; products with zeros beside the image are counted"
    report.show("convolution", rows, machine.describe(), notes)
    return rows
