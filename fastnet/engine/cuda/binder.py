"""Launches of a plan as launches of a GPU: function, grid, block and arguments."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fastnet._kernels.chain import Chain
from fastnet._kernels.chunks import CHUNK_ROWS, LANES
from fastnet._kernels.compile import Source
from fastnet._kernels.cuda import ptx, winograd
from fastnet._kernels.cuda.entry import NAME, WARP, WIDEST, Call, LaunchEntry, StepsEntry
from fastnet._kernels.cuda.product import ProductKernel
from fastnet._kernels.cuda.rows import WarpLoop, WarpRows, by_warps
from fastnet._kernels.cuda.tap_products import TapProductsKernel
from fastnet._kernels.cuda.tiles import THREADS, Tile, depth_of, slabs
from fastnet._kernels.generate import Kernel, is_narrowed
from fastnet._kernels.kinds import Kind
from fastnet._kernels.template import Template
from fastnet._kernels.templates import data, depthwise, pooling, turn
from fastnet._kernels.templates import winograd as loops
from fastnet._kernels.templates.row_programs import RowProgram
from fastnet._kernels.window import Window
from fastnet.engine import devices
from fastnet.engine.cuda.driver import MOST_UNITS, DeviceError, Driver, Node
from fastnet.engine.launch import Launch, Product, TapProducts
from fastnet.engine.plan import Plan
from fastnet.engine.sizes import size_at
from fastnet.engine.view import SIZES as BYTES
from fastnet.engine.view import Slot

Entry = TypeVar("Entry", LaunchEntry, StepsEntry)
BLOCK = 128  # threads: four warps
TENSOR_CORES = 80  # the level from which on they multiply TF32 and bfloat16
WIDE = 64  # columns of a gather from which on a warp, not a thread, takes neighbouring elements
TOGETHER = 4  # elements of a chain that a thread takes, where they lie on boundaries of their size
#: functions of templates → templates that stand for them on a GPU, a thread for each element of a unit, and operands
#: or numbers whose product is the number of these
FORMS: dict[Any, tuple[Template, tuple[str | int, ...]]] = {
    data.gather.function: (data.gather_elements, ("width",)),
    loops.transform_taps.function: (loops.transform_taps_elements, (32,)),
    loops.gather_taps.function: (loops.gather_taps_elements, (128,)),
    depthwise.depthwise.function: (depthwise.depthwise_elements, ("places",)),
    depthwise.depthwise_vectors.function: (depthwise.depthwise_elements, ("places",)),
    depthwise.depthwise_kernel_gradient.function: (depthwise.depthwise_kernel_gradient_elements, ()),
    depthwise.depthwise_kernel_gradient_vectors.function: (
        depthwise.depthwise_kernel_gradient_elements,
        ("taps_y", "taps_x"),
    ),
    pooling.max_pooling.function: (pooling.max_pooling_elements, ("out_width", "channels")),
    pooling.tiled_max_pooling_gradient.function: (pooling.tiled_max_pooling_gradient_elements, ("x_width",)),
    pooling.max_pooling_gradient.function: (pooling.max_pooling_gradient_elements, ("x_width",)),
    pooling.window_sums.function: (pooling.window_sums_elements, ("out_width", "channels")),
}


@dataclass(frozen=True)
class DeviceLaunch:
    """A launch of a plan on the device for a batch of some size: a node of a graph, or a part of a kernel of steps.

    Args:
        source: of its inner function.
        call: how threads call it.
        units: the length of its axis.
        arguments: of the inner function.
        position: in the plan, -1 for a launch that the device adds.
        shared_bytes: of memory that the threads of a group share; those of a block where `Call.unit` is 0.
    """

    source: Source
    call: Call
    units: int
    arguments: tuple[int, ...]
    position: int
    shared_bytes: int = 0

    def blocks(self, threads: int) -> int:
        """The number of blocks of so many threads."""
        if not self.call.unit:
            return self.units
        return -(-self.units // (self.call.unit * (threads // self.call.group)))

    def shared_of_block(self, threads: int) -> int:
        """Bytes of memory that a block of so many threads shares."""
        return self.shared_bytes * (threads // self.call.group if self.call.unit else 1)


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
        plan: whose launches they are.
        step: the address of the step block on the device. Behind it lie its numbers as float32 (`narrowed`), which the
            kernels that write a number write too: no kernel of float32 has an instruction of float64.
        address: gives that of an operand.

    Attributes:
        processors: multiprocessors that work on a launch.
        precision: of products of float32, one of `devices.PRECISIONS`.
    """

    def __init__(self, driver: Driver, plan: Plan, step: int, address: Callable[[Any], int]):
        self.driver, self.step, self.address, self._rows = driver, step, address, plan.rows
        self._narrow = step + 8 * plan.slots
        self._narrowed = {slot.index for launch in plan.launches for slot in _read_narrowed(launch)}
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
        kernel, units, unit, group = self._form(launch, rows)
        _check_units(launch, units)
        guarded = kernel.template not in turn.UNGUARDED
        narrowed = self._written_narrowed(launch)
        references = (*_references(kernel.parameters), *[True] * len(narrowed))
        call = Call(references, unit, group, launch.period, guarded, len(narrowed) // 2)
        arguments = (*self._encoded(launch), *narrowed)
        return DeviceLaunch(kernel.source("cuda"), call, units, arguments, position, _shared_bytes(kernel))

    def _form(self, launch: Launch, rows: int) -> tuple[Kernel, int, int, int]:
        """A launch's kernel on a GPU, the length of its axis, the units of a group of threads, and their number."""
        kernel, template = launch.kernel, launch.kernel.template
        if template is data.gather and launch.operands["width"] >= WIDE:
            kernel = replace(kernel, template=data.gather_pieces)
            return kernel, launch.extent.at(rows) * -(-launch.operands["width"] // 128), 1, WARP
        if isinstance(template, Template) and template.function in FORMS:
            of_elements, sizes = FORMS[template.function]
            elements = math.prod(launch.operands[size] if isinstance(size, str) else size for size in sizes)
            names = of_elements.function.__code__.co_names  # others would compile the same text again
            constants = {name: number for name, number in template.constants if name in names}
            kernel = replace(kernel, template=of_elements.having(**constants))
            return kernel, launch.extent.at(rows) * elements, 1, 1
        if isinstance(template, RowProgram):
            return replace(kernel, template=replace(template, lanes=1)), launch.extent.at(rows), 1, 1
        if (of_rows := by_warps(template, kernel.dtype, launch.operands)) is not None:
            return replace(kernel, template=of_rows), launch.extent.at(rows), WARP, WARP
        form, (down, across) = getattr(template, "form", "loop"), (size_at(size, rows) for size in launch.shape)
        if form in ("flat", "grid") and (form == "flat" or across % TOGETHER == 0) and self._are_aligned(launch):
            return _together(kernel), down * across, TOGETHER, 1
        if form in ("flat", "grid", "outer", "gather"):
            return kernel, down * across, 1, 1
        if form == "fold" and _totals(template):
            return kernel, launch.extent.at(rows), 1, WARP
        if form == "fold":
            return kernel, -(-down // CHUNK_ROWS) * across, 1, 1
        return kernel, launch.extent.at(rows), getattr(template, "unit", 1), 1

    def _are_aligned(self, launch: Launch) -> bool:
        """Whether elements of a chain that a thread takes together lie on boundaries of their size in every row."""
        chain, operands = launch.kernel.template, launch.operands
        return all(
            self._is_aligned(operands[o.name], o.kind.dtype or launch.kernel.dtype, operands.get(f"{o.name}_ld", 0))
            for o in chain.operands
            if o.kind.access and o.index != "row" and (o.stored or o.kind.access != "w")
            if (chain.form, o.name) != ("tile", chain.tile)
        )

    def _is_result_aligned(self, launch: Launch) -> bool:
        """Whether this holds for all that follows the sums of a product."""
        product, operands = launch.kernel, launch.operands
        views = [operands[name] for name in ("c", "bias") if operands[name] is not None]
        own = all(self._is_aligned(view, product.dtype, operands["c_ld"]) for view in views)
        return own and (launch.epilogue is None or self._are_aligned(launch.epilogue))

    def _is_aligned(self, operand: Any, dtype: str, distance: int) -> bool:
        """Whether it holds for an operand, whose rows lie so many elements apart."""
        return self.address(operand) % min(WIDEST, TOGETHER * BYTES[dtype]) == distance % TOGETHER == 0

    def _product(self, launch: Launch, rows: int, position: int) -> DeviceLaunch:
        product, operands, behind, window = launch.kernel, launch.operands, launch.epilogue, launch.kernel.window
        m, n, k = sizes = [size_at(size, rows) for size in (product.m, product.n, product.k)]
        _check_units(launch, max(sizes))
        # those of whole batches, whose kernels a smaller last one takes too
        most = [size_at(size, max(rows, self._rows)) for size in (product.m, product.n, product.k)]
        kernel = ProductKernel(
            product.dtype, product.transpose_a, product.transpose_b, operands["c"] is not None,
            operands["bias"] is not None, product.relu, product.split, window is not None,
            product.is_scattered, product.winograd, is_chunked=product.chunks > 1,
            epilogue=None if behind is None else behind.kernel,
            precision=self.precision if product.dtype == "float32" and not product.winograd else "highest",
        )  # fmt: skip
        kernel = replace(kernel, in_lanes=_is_in_lanes(kernel, m, operands["a_ld"]))
        columns = n if window is None else n // window.groups
        if not kernel.in_lanes:
            kernel = replace(kernel, tile=self._tile(kernel, most, window, product.chunks))
        by_tiles = kernel.precision == "highest" and not (kernel.in_lanes or kernel.winograd)
        if by_tiles:
            depth, is_short = depth_of(kernel.tile, most[2], BYTES[kernel.dtype], kernel.patches)
            kernel = replace(kernel, depth=depth, is_short=is_short)
            kernel = replace(kernel, together=self._moved_together(launch, kernel, [m, columns, k]))
        takes = by_tiles and kernel.tile.columns >= TOGETHER and columns % TOGETHER == 0
        if takes and self._is_result_aligned(launch):
            epilogue = None if behind is None else _together(behind.kernel)
            kernel = replace(kernel, wide=True, epilogue=epilogue)
        views = [operands[name] for name in ("a", "b", "c", "bias") if operands[name] is not None]
        distances = [operands[f"{name}_ld"] for name in ("a", "b", "c")]
        further = () if behind is None else self._encoded(behind)
        numbers = [] if window is None else window.numbers()
        numbers = [product.chunks] * kernel.is_chunked + numbers
        arguments = (*map(self._integer, [*views, *sizes, *distances, *numbers]), *further)
        call = Call(_references(kernel.parameters), 0, period=launch.period)
        return DeviceLaunch(
            kernel.source(),
            call,
            kernel.blocks(m, n, k, window, product.chunks),
            arguments,
            position,
            kernel.shared_bytes,
        )

    def _tap_products(self, launch: Launch, position: int) -> DeviceLaunch:
        product, operands, kernel = launch.kernel, launch.operands, TapProductsKernel(launch.kernel.dtype)
        groups = product.groups
        sizes = [groups.chunk_count, groups.down, groups.across, groups.channels, groups.columns]
        numbers = [*sizes, operands["a_ld"], operands["b_ld"], *product.window.numbers()]
        arguments = tuple(map(self._integer, [operands["a"], operands["b"], operands["c"], *numbers]))
        call = Call(_references(kernel.parameters), 0, period=launch.period)
        units = winograd.tap_blocks(groups)
        return DeviceLaunch(kernel.source(), call, units, arguments, position, kernel.shared_bytes)

    def _moved_together(self, launch: Launch, kernel: ProductKernel, sizes: list[int]) -> str:
        """The operands of a product of which a thread moves 16 bytes at once; sizes are rows, columns and steps."""
        found, operands, count = "", launch.operands, WIDEST // BYTES[kernel.dtype]
        for slab, entries in zip(slabs(kernel), sizes[:2], strict=True):
            is_run = (sizes[2] if slab.is_by_steps else entries) % count == 0
            at, apart = self.address(operands[slab.name]), operands[f"{slab.name}_ld"]
            is_aligned = at % WIDEST == apart % count == 0 or not slab.is_kept
            found += slab.name * (is_run and is_aligned and not (kernel.patches and slab.name == "a"))
        return found

    def _tile(self, kernel: ProductKernel, sizes: list[int], window: Window | None, chunks: int) -> Tile:
        """The tile of C of a product: the fewest rounds of blocks, each as long as its products and loads."""
        m, n, k = sizes

        def cost(tile: Tile) -> int:
            blocks = replace(kernel, tile=tile).blocks(m, n, k, window, chunks)
            return math.ceil(blocks / self.processors) * tile.work(k)

        return min(kernel.sizes, key=cost)

    def _encoded(self, launch: Launch) -> tuple[int, ...]:
        """The arguments of a launch."""
        dtype = launch.kernel.dtype
        return tuple([
            self._narrow + 4 * value.index if is_narrowed(kind, dtype) else self._integer(value)
            for (_, kind), value in zip(launch.kernel.parameters, launch.arguments(), strict=True)
        ])  # fmt: skip

    def _written_narrowed(self, launch: Launch) -> list[int]:
        """The addresses of numbers that a launch writes and that are read as float32, with those of the float32."""
        written = [o.index for o, mode in launch.access if isinstance(o, Slot) and "w" in mode]
        slots = [index for index in dict.fromkeys(written) if index in self._narrowed]
        return [address for slot in slots for address in (self.step + 8 * slot, self._narrow + 4 * slot)]

    def _integer(self, argument: Any) -> int:
        if isinstance(argument, float):
            return struct.unpack("q", struct.pack("d", argument))[0]
        return argument if isinstance(argument, int) else self.address(argument)

    def node(self, launches: Sequence[DeviceLaunch], rows: int) -> Node:
        """The node of launches that do not depend on each other."""
        threads = _threads(launches)
        ends = list(itertools.accumulate(launch.blocks(threads) for launch in launches))
        own = [number for launch in launches for number in (launch.units, *launch.arguments)]
        function = self._loaded(*_launch_kernel(launches))
        return Node(function, ends[-1], threads, (self.step, rows, *ends[:-1], *own), launches[0].position)

    def text(self, launches: Sequence[DeviceLaunch], in_order: bool = False) -> str:
        """The PTX of `node`, or of `steps`."""
        sources, entry = _steps_kernel(launches) if in_order else _launch_kernel(launches)
        return ptx.load(sources, entry, self.driver.level)

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

    def _loaded(self, sources: tuple[Source, ...], entry: LaunchEntry | StepsEntry) -> Any:
        function = self._functions.get((sources, entry))
        if function is None:
            text = ptx.load(sources, entry, self.driver.level)
            function = self._functions[sources, entry] = self.driver.load(text, NAME)
        return function


def _check_units(launch: Launch, units: int) -> None:
    if units >= MOST_UNITS:
        raise DeviceError(
            f"{launch.label or launch.name}: a launch over {units} elements is too large for device='cuda', whose "
            f"kernels count {MOST_UNITS}. Take smaller batches."
        )


def _threads(launches: Sequence[DeviceLaunch]) -> int:
    """The threads of a block of these launches."""
    return BLOCK if all(launch.call.unit for launch in launches) else THREADS


def _launch_kernel(launches: Sequence[DeviceLaunch]) -> tuple[tuple[Source, ...], LaunchEntry]:
    """The inner functions and the entry of a node's kernel."""
    return _kernel(LaunchEntry, launches, _threads(launches))


def _steps_kernel(launches: Sequence[DeviceLaunch]) -> tuple[tuple[Source, ...], StepsEntry]:
    """The inner functions and the entry of a kernel of many steps."""
    return _kernel(StepsEntry, launches, THREADS)


def _kernel(kind: type[Entry], launches: Sequence[DeviceLaunch], threads: int) -> tuple[tuple[Source, ...], Entry]:
    sources = tuple(dict.fromkeys(launch.source for launch in launches))
    inner = tuple(sources.index(launch.source) for launch in launches)
    shared = max(launch.shared_of_block(threads) for launch in launches)
    return sources, kind(tuple(launch.call for launch in launches), inner, threads, shared)


def _is_in_lanes(kernel: ProductKernel, m: int, a_ld: int) -> bool:
    """Whether the CPU sums the elements of a product in lanes."""
    return kernel.transpose_b and m == 1 and (not kernel.transpose_a or a_ld == 1) and not kernel.patches


def _read_narrowed(launch: Launch) -> list[Slot]:
    """The numbers of the step that a launch reads as float32."""
    parts = [part for part in (launch, launch.epilogue) if part is not None and not isinstance(part.kernel, Product)]
    return [
        part.operands[name]
        for part in parts
        for name, kind in part.kernel.parameters
        if is_narrowed(kind, part.kernel.dtype)
    ]


def _totals(chain: Chain) -> int:
    """The number of a fold's sums over all elements."""
    return sum(o.index == "total" for o in chain.operands)


def _shared_bytes(kernel: Kernel) -> int:
    """Bytes of memory that the threads of a group share."""
    template = kernel.template
    if isinstance(template, WarpRows | WarpLoop):
        return template.shared_bytes
    return _totals(template) * LANES * BYTES[kernel.dtype] if isinstance(template, Chain) else 0


def _together(kernel: Kernel) -> Kernel:
    """A chain whose threads take neighbouring elements together."""
    return replace(kernel, template=replace(kernel.template, together=TOGETHER))


def _references(parameters: tuple[tuple[str, Kind], ...]) -> tuple[bool, ...]:
    """Which arguments are addresses."""
    return tuple(bool(kind.access) or kind.name in ("value", "count") for _, kind in parameters)
