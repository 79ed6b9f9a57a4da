"""The processor as a device: memory, machine code and argument blocks of a plan's launches."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnet._arrays import address_of
from fastnet._kernels import abi
from fastnet._kernels import compile as compiler
from fastnet._kernels.compile import Source
from fastnet._kernels.cpu import convolution, gemm, winograd
from fastnet._kernels.cpu.peak import MultiplyAdds
from fastnet._kernels.generate import Kernel
from fastnet.engine import variable as variables
from fastnet.engine._runner import Execution
from fastnet.engine.executable import Executable
from fastnet.engine.launch import Launch, Product, TapProducts
from fastnet.engine.memory import Spans
from fastnet.engine.sizes import Extent
from fastnet.engine.threads import get_num_threads
from fastnet.engine.variable import Variable, aligned
from fastnet.engine.view import SIZES, Slot, View

OPERATION = 100  # estimated picoseconds of a scalar operation in a vectorised loop
_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class CPU:
    """Binds launches, one after the other.

    Args:
        executable: gives the addresses of operands.

    Attributes:
        blocks: the argument blocks, which must live as long as the code may run.
        scratch: the bytes that each thread needs.
    """

    def __init__(self, executable: Any):
        self.executable = executable
        self.blocks: list[np.ndarray] = []
        self.scratch = 0

    def bind(self, row: np.ndarray, launch: Launch) -> None:
        """Fill a launch's row of the table (`abi`)."""
        code, arguments, extent, cost = BINDERS[type(launch.kernel)](self, launch)
        size = extent.per_row, extent.unit, extent.times, extent.fixed
        row[:] = (code, self.block(arguments), *size, launch.grain, cost, launch.flags, launch.period)

    def block(self, arguments: Sequence[int]) -> int:
        """The address of a new argument block."""
        block = np.array([*arguments, 0], np.int64)
        self.blocks.append(block)
        return block.ctypes.data

    def encode(self, argument: Any) -> int:
        """An argument as an integer."""
        if isinstance(argument, float):
            return struct.unpack("q", struct.pack("d", argument))[0]
        return argument if isinstance(argument, int) else self.executable.reference(argument)


Binding = tuple[int, list[int], Extent, int]  # machine code, arguments, extent, picoseconds of a unit


def _generated(cpu: CPU, launch: Launch) -> Binding:
    code = compiler.load(launch.kernel.source())
    return code, [cpu.encode(a) for a in launch.arguments()], launch.extent, launch.cost * OPERATION


def source_of(kernel: Any) -> Source:
    """The module of a launch's kernel."""
    if isinstance(kernel, TapProducts):
        return winograd.tap_source(kernel.dtype)
    if not isinstance(kernel, Product):
        return kernel.source()
    kind = gemm if kernel.window is None else winograd if kernel.winograd else convolution
    return kind.source(kernel.dtype)


def _sources(launches: Iterable[Launch]) -> list[Source]:
    """The modules of all kernels, first those of products, which take longest to compile."""
    kernels = [one.kernel for launch in launches for one in (launch, launch.epilogue) if one is not None]
    kernels.sort(key=lambda kernel: not isinstance(kernel, Product))
    return [source_of(kernel) for kernel in kernels]


def _product(cpu: CPU, launch: Launch) -> Binding:
    product, operands, epilogue = launch.kernel, launch.operands, launch.epilogue
    a, b, c, bias = (None if operands[name] is None else cpu.encode(operands[name]) for name in ("a", "b", "c", "bias"))
    code = block = 0
    if epilogue is not None:
        code = compiler.load(epilogue.kernel.source())
        block = cpu.block([cpu.encode(a) for a in epilogue.arguments()])
    arguments = gemm.arguments(
        a or 0, b or 0, c or 0, m=product.m, n=product.n, k=product.k, dtype=product.dtype,
        trans_a=product.transpose_a, trans_b=product.transpose_b, bias=bias, relu=product.relu,
        rows=cpu.executable.rows, lda=operands["a_ld"], ldb=operands["b_ld"], ldc=operands["c_ld"],
        in_scratch=c is None, split=product.split, chunks=product.chunks, epilogue=code, epilogue_args=block,
        window=product.window,
    )  # fmt: skip
    if product.winograd:
        arguments[gemm.MB] = winograd.unit(product.window, cpu.executable.rows)
        cpu.scratch = max(cpu.scratch, winograd.scratch_bytes(arguments, product.dtype))
        cost = winograd.cost(arguments)
        cost += 0 if epilogue is None else OPERATION * epilogue.cost * 16 * arguments[gemm.MB] * product.n
        code = compiler.load(source_of(product))
        return code, arguments, Extent(*winograd.extent(arguments)), cost
    cpu.scratch = max(cpu.scratch, (gemm if product.window is None else convolution).scratch_bytes())
    cost = gemm.cost(arguments, product.dtype, cpu.executable.rows)
    if epilogue is not None:
        cost += OPERATION * epilogue.cost * arguments[gemm.MB] * arguments[gemm.NB]
    return compiler.load(source_of(product)), arguments, Extent(*gemm.extent(arguments)), cost


def _tap_products(cpu: CPU, launch: Launch) -> Binding:
    product, operands = launch.kernel, launch.operands
    groups = product.groups
    a, b, c = (cpu.encode(operands[name]) for name in ("a", "b", "c"))
    arguments = winograd.tap_arguments(a, b, c, operands["a_ld"], operands["b_ld"], product.window, groups)
    cpu.scratch = max(cpu.scratch, winograd.tap_scratch_bytes(groups, product.dtype))
    cost = winograd.tap_cost(groups, cpu.executable.rows * product.window.tiles)
    return compiler.load(source_of(product)), arguments, Extent(fixed=groups.count), cost


#: type of a kernel → the function that binds a launch of it
BINDERS: dict[type, Callable[[CPU, Launch], Binding]] = {
    Kernel: _generated,
    MultiplyAdds: _generated,
    Product: _product,
    TapProducts: _tap_products,
}


def call(
    kernel: Kernel, arguments: Sequence[int], rows: int = 0, lo: int = 0, hi: int = 0, bases: Sequence[int] = ()
) -> None:
    """Call one kernel now. Without ``bases`` its arguments are addresses, each as the reference ``address << 3``."""
    spaces = (ctypes.c_int64 * abi.SPACES)(*bases)
    block = (ctypes.c_int64 * max(len(arguments), 1))(*arguments)
    _FUNCTION(compiler.load(kernel.source()))(spaces, block, rows, lo, hi)


class CPUExecutable(Executable):
    """A plan in the memory of this process, with the processor's code.

    Attributes:
        execution: runs the launches.
    """

    device = "cpu"

    def _bind(self) -> None:
        plan = self.plan
        self.arena = aligned((max(self.arena_bytes, 1),), "uint8")
        table = aligned((max(len(plan.launches), 1), abi.COLUMNS), "int64")[: len(plan.launches)]
        compiler.load_all(_sources(plan.launches), get_num_threads())
        binder = CPU(self)
        for row, launch in zip(table, plan.launches, strict=True):
            binder.bind(row, launch)
        place_barriers(table, plan.launches, self)
        self._step_address = address_of(self.step)
        bases = [0, address_of(self.arena), self._step_address, 0]
        self.execution = Execution(table, bases, self.step, binder.scratch, keep=(self.arena, binder.blocks, plan))

    def reference(self, operand: View | Variable | Slot) -> int:
        """An operand as a kernel's argument."""
        if isinstance(operand, View):
            start = self.offsets[operand.buffer] + operand.offset * SIZES[operand.dtype]
            return abi.reference(abi.ACTIVATIONS, start)
        if isinstance(operand, Variable):
            return abi.reference(abi.PERSISTENT, self.weight(operand).address)
        return abi.reference(abi.STEP, 8 * operand.index)

    def span(self, operand: View | Variable | Slot) -> tuple[int, int]:
        """The bytes of an operand, on one axis of addresses: slots below 0, weights where they are, the arena from
        2**62 on."""
        if isinstance(operand, View):
            start = (1 << 62) + self.offsets[operand.buffer]
            return start, start + max(operand.buffer.size(self.rows), 1)
        if isinstance(operand, Variable):
            weight = self.weight(operand)
            return weight.address, weight.address + max(weight.nbytes, 1)
        return -8 * operand.index - 8, -8 * operand.index

    # ---- what a step reads and writes

    def connect(self, inlet: Any, source: Any) -> None:
        """Let an inlet read from a source from now on."""
        source.connect(self._step_address + 8 * inlet.slots.index)

    def place(self, slot: int, array: np.ndarray | None) -> None:
        """Let a slot of the step block have the address of an array, 0 without one."""
        self.step[slot] = 0 if array is None else address_of(array)  # 0.1 µs; `ctypes.data` takes 0.8

    def place_output(self, slot: int, array: np.ndarray) -> None:
        """Let a slot have the address of an array whose rows the steps of a run write."""
        self.place(slot, array)

    def read(self, view: View, rows: int) -> np.ndarray:
        """A view's contents, as an array that the next step may overwrite."""
        start, size = self.offsets[view.buffer], SIZES[view.dtype]
        entries = view.buffer.entries.at(rows)
        memory = self.arena[start : start + entries * view.buffer.width * size].view(view.dtype)
        return self._shaped(view, memory, entries)

    def code(self) -> Iterator[tuple[str, dict[str, str], str]]:
        """See `Executable.code`."""
        for launch in self.plan.launches:
            for one in (launch, launch.epilogue):
                if one is not None:
                    is_product = isinstance(one.kernel, Product)
                    name = f"{launch.label}_{one.name}"
                    axis = "its tiles" if is_product else f"{one.extent} units, {one.grain} at least"
                    texts = dict(zip(("ll", "s"), compiler.texts(source_of(one.kernel)), strict=True))
                    yield name, texts, axis if one is launch else "behind the product"

    def write(self, view: View, rows: int, value: Any) -> None:
        """Set a view's contents."""
        self.read(view, rows)[...] = value

    def run(
        self, first: int, total: int, batch: int, max_steps: int, seconds: float, times: np.ndarray | None = None
    ) -> tuple[int, int]:
        """Run steps; see `_runner.Execution.run`."""
        if variables.have_mirrors:
            for launch in self.plan.launches:
                for operand, _ in launch.access:
                    if isinstance(operand, Variable):
                        self.weight(operand).array  # noqa: B018 - brings it up to date
        return self.execution.run(first, total, batch, max_steps, seconds, times)


def place_barriers(table: np.ndarray, launches: Sequence[Launch], executable: Any) -> None:
    """Flag the launches that must wait until all threads have finished the launches before.

    A launch waits if it touches memory that was written since the last barrier, or writes memory that was read: the
    division among threads differs from launch to launch.
    """
    read, written = Spans(), Spans()
    for row, launch in zip(table, launches, strict=True):
        spans = [(*executable.span(operand), mode) for operand, mode in launch.access]
        must_wait = any(written.meets(a, b) or ("w" in mode and read.meets(a, b)) for a, b, mode in spans)
        if must_wait or launch.flags & abi.CHECK:
            row[abi.FLAGS] |= abi.BARRIER
            read.clear()
            written.clear()
        for a, b, mode in spans:
            for kind, touched in (("r", read), ("w", written)):
                if kind in mode:
                    touched.add(a, b)
