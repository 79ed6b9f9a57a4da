"""Launches of a plan as launches of a GPU: function, grid, block and arguments."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fastnet._kernels.chunks import CHUNK_ROWS
from fastnet._kernels.compile import Source
from fastnet._kernels.cuda import ptx, winograd
from fastnet._kernels.cuda.entry import NAME, Call, LaunchEntry, StepsEntry
from fastnet._kernels.cuda.product import THREADS, ProductKernel, TapProductsKernel
from fastnet._kernels.generate import Kernel
from fastnet._kernels.kinds import Kind
from fastnet._kernels.templates import data, turn
from fastnet.engine import devices
from fastnet.engine.cuda.driver import MOST_UNITS, DeviceError, Driver, Node
from fastnet.engine.launch import Launch, Product, TapProducts
from fastnet.engine.sizes import size_at

BLOCK = 128  # threads: four warps
TENSOR_CORES = 80  # the level from which on they multiply TF32 and bfloat16
#: templates → those that stand for them on a GPU
FORMS = {data.gather: data.gather_elements}


@dataclass(frozen=True)
class DeviceLaunch:
    """A launch of a plan on the device for a batch of some size: a node of a graph, or a part of a kernel of steps.

    Args:
        source: of its inner function.
        call: how threads call it.
        units: the length of its axis.
        arguments: of the inner function.
        position: in the plan, -1 for a launch that the device adds.
        shared_bytes: of memory that the threads of a block share.
    """

    source: Source
    call: Call
    units: int
    arguments: tuple[int, ...]
    position: int
    shared_bytes: int = 0


@dataclass(frozen=True)
class StepsKernel:
    """Any number of steps as one launch.

    Args:
        function: of the device.
        models: blocks of threads.
        before, after: its arguments in front of the number of steps, and behind it.
    """

    function: Any
    models: int
    before: tuple[int, ...]
    after: tuple[int, ...]

    def node(self, steps: int) -> Node:
        """The node that runs a number of steps."""
        return Node(self.function, self.models, THREADS, (*self.before, steps, *self.after))


class Binder:
    """Binds launches for a device.

    Args:
        driver: of the device.
        step: the address of the step block on the device.
        address: gives that of an operand.

    Attributes:
        processors: multiprocessors that work on a launch.
        precision: of products of float32, one of `devices.PRECISIONS`.
    """

    def __init__(self, driver: Driver, step: int, address: Callable[[Any], int]):
        self.driver, self.step, self.address = driver, step, address
        self.processors = driver.processors
        self.precision = devices.matmul_precision() if int(driver.level[3:]) >= TENSOR_CORES else "highest"
        self._functions: dict[tuple, Any] = {}

    def device_launch(self, launch: Launch, rows: int, position: int = -1) -> DeviceLaunch:
        """A launch for a batch of so many rows.

        Args:
            launch: the launch.
            rows: of the batch.
            position: of the launch in its plan.

        Raises:
            DeviceError: it has more threads than a kernel can count.
        """
        if isinstance(launch.kernel, TapProducts):
            return self._tap_products(launch, position)
        if isinstance(launch.kernel, Product):
            return self._product(launch, rows, position)
        kernel, units, of_thread = _form(launch, rows)
        if units >= MOST_UNITS:
            raise DeviceError(
                f"{launch.label or launch.name}: a launch over {units} elements is too large for device='cuda', whose "
                f"kernels count {MOST_UNITS}. Take smaller batches."
            )
        guarded = kernel.template not in turn.UNGUARDED
        call = Call(_references(kernel.parameters), of_thread, launch.period, guarded)
        return DeviceLaunch(kernel.source("cuda"), call, units, self._encoded(launch.arguments()), position)

    def _product(self, launch: Launch, rows: int, position: int) -> DeviceLaunch:
        product, operands, behind, window = launch.kernel, launch.operands, launch.epilogue, launch.kernel.window
        m, n, k = sizes = [size_at(size, rows) for size in (product.m, product.n, product.k)]
        kernel = ProductKernel(
            product.dtype, product.transpose_a, product.transpose_b, operands["c"] is not None,
            operands["bias"] is not None, product.relu, product.split, window is not None,
            window is not None and window.is_scattered, product.winograd, 1, None if behind is None else behind.kernel,
            self.precision if product.dtype == "float32" else "highest",
        )  # fmt: skip
        kernel = dataclasses.replace(kernel, size=self._size_of_tile(launch, kernel, sizes))
        views = [operands[name] for name in ("a", "b", "c", "bias") if operands[name] is not None]
        distances = [operands[f"{name}_ld"] for name in ("a", "b", "c")]
        further = [] if window is None else window.numbers()
        further += [] if behind is None else behind.arguments()
        arguments = self._encoded([*views, *sizes, *distances, *further])
        call = Call(_references(kernel.parameters), 0, launch.period)
        blocks = kernel.blocks(m, n, k, window)
        return DeviceLaunch(kernel.source(), call, blocks, arguments, position, kernel.shared_bytes)

    def _tap_products(self, launch: Launch, position: int) -> DeviceLaunch:
        product, operands, kernel = launch.kernel, launch.operands, TapProductsKernel(launch.kernel.dtype)
        groups = product.window.tap_groups(product.n)
        sizes = [groups.chunk_count, groups.down, groups.across, groups.channels, groups.columns]
        numbers = [*sizes, operands["a_ld"], operands["b_ld"], *product.window.numbers()]
        arguments = self._encoded([operands["a"], operands["b"], operands["c"], *numbers])
        call = Call(_references(kernel.parameters), 0, launch.period)
        units = winograd.tap_blocks(groups)
        return DeviceLaunch(kernel.source(), call, units, arguments, position, kernel.shared_bytes)

    def _size_of_tile(self, launch: Launch, kernel: ProductKernel, sizes: list[int]) -> int:
        """Rows and columns of C of a thread: the fewest rounds of blocks, each as long as its products and loads."""
        in_a_row = not kernel.transpose_a or launch.operands["a_ld"] == 1
        if kernel.transpose_b and in_a_row and sizes[0] == 1 and not kernel.patches:
            return 0  # as the CPU sums it, in lanes
        (m, n, k), window = sizes, launch.kernel.window

        def cost(size: int) -> int:
            rounds = math.ceil(dataclasses.replace(kernel, size=size).blocks(m, n, k, window) / self.processors)
            return rounds * (size * size + 4 * size)

        return min(kernel.sizes, key=cost)

    def _encoded(self, arguments: Iterable[Any]) -> tuple[int, ...]:
        return tuple(map(self._integer, arguments))

    def _integer(self, argument: Any) -> int:
        if isinstance(argument, float):
            return struct.unpack("q", struct.pack("d", argument))[0]
        return argument if isinstance(argument, int) else self.address(argument)

    def node(self, launch: DeviceLaunch, rows: int) -> Node:
        """The node of one launch."""
        threads = _threads(launch)
        blocks = math.ceil(math.ceil(launch.units / launch.call.unit) / threads) if launch.call.unit else launch.units
        function = self._loaded(*_launch_kernel(launch))
        return Node(function, blocks, threads, (self.step, rows, launch.units, *launch.arguments), launch.position)

    def text(self, launch: DeviceLaunch) -> str:
        """The PTX of `node`."""
        return ptx.load(*_launch_kernel(launch), self.driver.level)

    def steps(self, launches: Sequence[DeviceLaunch], rows: int, stride: int = 0, models: int = 1) -> StepsKernel:
        """Many steps as one launch: each block of threads trains a model.

        Args:
            launches: the launches of a step.
            rows: of the batch.
            stride: bytes from one model's memory to the next one's: its step block, buffers, weights and states.
            models: their number.
        """
        arguments = [number for launch in launches for number in (launch.units, *launch.arguments)]
        return StepsKernel(self._loaded(*_steps_kernel(launches)), models, (self.step, rows, stride), tuple(arguments))

    def steps_text(self, launches: Sequence[DeviceLaunch]) -> str:
        """The PTX of `steps`."""
        return ptx.load(*_steps_kernel(launches), self.driver.level)

    def _loaded(self, sources: tuple[Source, ...], entry: LaunchEntry | StepsEntry) -> Any:
        function = self._functions.get((sources, entry))
        if function is None:
            text = ptx.load(sources, entry, self.driver.level)
            function = self._functions[sources, entry] = self.driver.load(text, NAME)
        return function


def _threads(launch: DeviceLaunch) -> int:
    return BLOCK if launch.call.unit else THREADS


def _launch_kernel(launch: DeviceLaunch) -> tuple[tuple[Source, ...], LaunchEntry]:
    """The inner function and the entry of a kernel of one launch."""
    return (launch.source,), LaunchEntry(launch.call, _threads(launch))


def _steps_kernel(launches: Sequence[DeviceLaunch]) -> tuple[tuple[Source, ...], StepsEntry]:
    """The inner functions and the entry of a kernel of many steps."""
    sources = tuple(dict.fromkeys(launch.source for launch in launches))
    inner = tuple(sources.index(launch.source) for launch in launches)
    return sources, StepsEntry(tuple(launch.call for launch in launches), inner, THREADS)


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
