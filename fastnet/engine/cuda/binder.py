"""Launches of a plan as launches of a GPU: function, grid, block and arguments."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Callable
from typing import Any

from fastnet._kernels.chunks import CHUNK_ROWS
from fastnet._kernels.cuda import ptx
from fastnet._kernels.cuda.entry import NAME, Entry
from fastnet._kernels.cuda.product import SIZES, THREADS, ProductKernel
from fastnet._kernels.generate import Kernel
from fastnet._kernels.kinds import Kind
from fastnet._kernels.templates import data
from fastnet.engine.cuda.driver import MOST_UNITS, Driver, Node
from fastnet.engine.launch import Launch, Product
from fastnet.engine.sizes import size_at

BLOCK = 128  # threads: four warps
#: templates → those that stand for them on a GPU
FORMS = {data.gather: data.gather_elements}


class Binder:
    """Binds launches for a device.

    Args:
        driver: of the device.
        step: the address of the step block on the device.
        address: gives that of an operand.
    """

    def __init__(self, driver: Driver, step: int, address: Callable[[Any], int]):
        self.driver, self.step, self.address = driver, step, address
        self._functions: dict[tuple, Any] = {}

    def node(self, launch: Launch, rows: int, position: int = -1) -> Node | None:
        """A launch of a plan for a batch of so many rows; None if there is nothing to do.

        Args:
            launch: the launch.
            rows: of the batch.
            position: of the launch in its plan.

        Raises:
            ValueError: it has more threads than a kernel can count.
        """
        if isinstance(launch.kernel, Product):
            return self._product(launch, rows, position)
        kernel, units, of_thread = _form(launch, rows)
        if units >= MOST_UNITS:
            raise ValueError(
                f"{launch.label or launch.name}: a launch over {units} elements is too large for device='cuda', whose "
                f"kernels count {MOST_UNITS}. Take smaller batches."
            )
        entry = Entry(_references(kernel.parameters), of_thread, launch.period, BLOCK)
        blocks = math.ceil(math.ceil(units / of_thread) / BLOCK)
        arguments = [self.encode(argument) for argument in launch.arguments()]
        return self._node(kernel.source("cuda"), entry, blocks, (rows, units, *arguments), position)

    def _product(self, launch: Launch, rows: int, position: int) -> Node | None:
        product, operands, behind = launch.kernel, launch.operands, launch.epilogue
        sizes = [size_at(size, rows) for size in (product.m, product.n, product.k)]
        kernel = ProductKernel(
            product.dtype, product.transpose_a, product.transpose_b, operands["c"] is not None,
            operands["bias"] is not None, product.relu, product.split, 1, None if behind is None else behind.kernel,
        )  # fmt: skip
        kernel = dataclasses.replace(kernel, size=self._size_of_tile(launch, kernel, sizes))
        views = [operands[name] for name in ("a", "b", "c", "bias") if operands[name] is not None]
        distances = [operands[f"{name}_ld"] for name in ("a", "b", "c")]
        further = [] if behind is None else behind.arguments()
        arguments = [self.encode(a) for a in (*views, *sizes, *distances, *further)]
        entry = Entry(_references(kernel.parameters), 0, launch.period, THREADS)
        return self._node(kernel.source(), entry, kernel.blocks(*sizes), (rows, 0, *arguments), position)

    def _size_of_tile(self, launch: Launch, kernel: ProductKernel, sizes: list[int]) -> int:
        """Rows and columns of C of a thread: the most that leave no multiprocessor idle."""
        in_a_row = not kernel.transpose_a or launch.operands["a_ld"] == 1
        if kernel.transpose_b and in_a_row and sizes[0] == 1:
            return 0  # as the CPU sums it, in lanes
        for size in SIZES:
            if dataclasses.replace(kernel, size=size).blocks(*sizes) >= self.driver.processors:
                return size
        return SIZES[-1]

    def _node(self, source: Any, entry: Entry, blocks: int, arguments: tuple[int, ...], position: int) -> Node | None:
        if not blocks:
            return None
        function = self._functions.get((source, entry))
        if function is None:
            text = ptx.load(source, entry, self.driver.level)
            function = self._functions[source, entry] = self.driver.load(text, NAME)
        return Node(function, blocks, entry.threads, (self.step, *arguments), position)

    def encode(self, argument: Any) -> int:
        """An argument as an integer."""
        if isinstance(argument, float):
            return struct.unpack("q", struct.pack("d", argument))[0]
        return argument if isinstance(argument, int) else self.address(argument)


def _form(launch: Launch, rows: int) -> tuple[Kernel, int, int]:
    """A launch's kernel on a GPU, the length of its axis, and the units of a thread."""
    kernel, template = launch.kernel, launch.kernel.template
    if template in FORMS:
        kernel = dataclasses.replace(kernel, template=FORMS[template])
        return kernel, launch.extent.at(rows) * launch.operands["width"], 1
    form, (down, across) = getattr(template, "form", "loop"), (size_at(size, rows) for size in launch.shape)
    if form in ("grid", "outer", "gather"):
        return kernel, down * across, 1
    if form == "fold" and not any(o.index == "total" for o in template.operands):
        return kernel, -(-down // CHUNK_ROWS) * across, 1
    return kernel, launch.extent.at(rows), getattr(template, "unit", 1)


def _references(parameters: tuple[tuple[str, Kind], ...]) -> tuple[bool, ...]:
    """Which arguments are addresses."""
    return tuple(bool(kind.access) or kind.name in ("value", "count") for _, kind in parameters)
