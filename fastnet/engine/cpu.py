"""The CPU backend: binds a plan to memory and compiled kernels."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet._kernels import compile as compiler
from fastnet._kernels.cpu import gemm
from fastnet._kernels.generate import Kernel
from fastnet.engine import memory
from fastnet.engine._runner import Execution
from fastnet.engine.plan import ROWS, Buffer, Extent, Launch, Plan, Product, Slot
from fastnet.engine.variable import Variable, aligned

_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class Bound:
    """A plan with memory and machine code: ready to run.

    Args:
        plan: what a step does.
        rows: the largest batch.
        pinned: buffers whose contents are read after a step.
        reuse: whether buffers may share memory; off when every buffer is to be looked at.
    """

    def __init__(self, plan: Plan, rows: int, pinned: Sequence[Buffer] = (), reuse: bool = True):
        self.plan, self.rows = plan, rows
        self.offsets, size = memory.layout(plan.launches, rows, pinned, reuse)
        self.arena = aligned((max(size, 1),), "uint8")
        self.step = aligned((plan.slots,), "int64")
        self.numbers = self.step.view(np.float64)
        table = aligned((max(len(plan.launches), 1), abi.COLUMNS), "int64")[: len(plan.launches)]
        self.blocks: list[np.ndarray] = []
        scratch = 0
        for row, launch in zip(table, plan.launches, strict=True):
            scratch = max(scratch, self._bind(row, launch))
        _place_barriers(table, plan.launches, self.offsets, rows)
        bases = [0, self.arena.ctypes.data, self.step.ctypes.data, 0]
        self.execution = Execution(table, bases, self.step, scratch, keep=(self.arena, self.blocks, plan))

    def _bind(self, row: np.ndarray, launch: Launch) -> int:
        if isinstance(launch.kernel, Product):
            code, arguments, extent, cost = self._product(launch)
            grain, scratch = 1, gemm.scratch_bytes()
        else:
            code, arguments = compiler.load(launch.kernel.source()), [self._encode(a) for a in launch.arguments]
            extent, grain, cost, scratch = launch.extent, launch.grain, launch.cost, 0
        block = self._block(arguments)
        size = extent.per_row, extent.unit, extent.times, extent.fixed
        row[:] = (code, block, *size, grain, cost, launch.flags, launch.period)
        return scratch

    def _block(self, arguments: Sequence[int]) -> int:
        """The address of a new argument block."""
        block = np.array([*arguments, 0], np.int64)
        self.blocks.append(block)
        return block.ctypes.data

    def _product(self, launch: Launch) -> tuple[int, list[int], Extent, int]:
        """Machine code, arguments, extent and cost of a matrix product."""
        product, rows = launch.kernel, self.rows
        m, k = (-product.inner if size == ROWS else size for size in (product.m, product.k))
        a, b, c = (0 if operand is None else self._encode(operand) for operand in launch.arguments[:3])
        bias = launch.arguments[3]
        code = block = 0
        if launch.epilogue is not None:
            code = compiler.load(launch.epilogue.kernel.source())
            block = self._block([*(self._encode(a) for a in launch.epilogue.arguments), product.n])
        arguments = gemm.arguments(
            a, b, c, m=m, n=product.n, k=k, dtype=product.dtype, trans_a=product.transpose_a,
            trans_b=product.transpose_b, bias=None if bias is None else self._encode(bias), relu=product.relu,
            rows=rows, lda=product.lda, ldb=product.ldb, keep=launch.epilogue is not None, epilogue=code,
            epilogue_args=block,
        )  # fmt: skip
        cost = gemm.cost(arguments, product.dtype, rows)
        if launch.epilogue is not None:
            cost += launch.epilogue.cost * arguments[gemm.MB] * arguments[gemm.NB]
        return compiler.load(gemm.source(product.dtype)), arguments, Extent(*gemm.extent(arguments)), cost

    def _encode(self, argument: Any) -> int:
        if isinstance(argument, Buffer):
            return abi.reference(abi.ACTIVATIONS, self.offsets[argument.storage])
        if isinstance(argument, Variable):
            return abi.reference(abi.PERSISTENT, argument.address)
        if isinstance(argument, Slot):
            return abi.reference(abi.STEP, 8 * argument.index)
        if isinstance(argument, float):
            return struct.unpack("q", struct.pack("d", argument))[0]
        return int(argument)

    def read(self, buffer: Buffer, rows: int) -> np.ndarray:
        """A buffer's contents, as a view that the next step overwrites."""
        start = self.offsets[buffer.storage]
        shape = (rows, *buffer.shape) if buffer.per_row else buffer.shape
        count = int(np.prod(shape, dtype=np.int64)) * np.dtype(buffer.dtype).itemsize
        return self.arena[start : start + count].view(buffer.dtype).reshape(shape)


def run_once(plan: Plan, inputs: dict[Buffer, np.ndarray], result: Buffer) -> np.ndarray:
    """Run a plan for one batch of given buffers; a copy of the result."""
    rows = len(next(iter(inputs.values())))
    bound = Bound(plan, rows, [*inputs, result])
    for buffer, value in inputs.items():
        bound.read(buffer, rows)[...] = value
    bound.execution.run(0, rows, rows, 1, 0.0)
    return bound.read(result, rows).copy()


def call(kernel: Kernel, arguments: Sequence[int], rows: int = 0, lo: int = 0, hi: int = 0) -> None:
    """Call one kernel now, on addresses: a reference is ``address << 3``."""
    bases = (ctypes.c_int64 * abi.SPACES)()
    block = (ctypes.c_int64 * max(len(arguments), 1))(*arguments)
    _FUNCTION(compiler.load(kernel.source()))(bases, block, rows, lo, hi)


def _place_barriers(table: np.ndarray, launches: Sequence[Launch], offsets: dict[Buffer, int], rows: int) -> None:
    """Flag the launches that must wait for all threads to finish the ones before.

    A launch waits if it touches memory that was written since the last barrier, or writes memory that was read: the
    threads share every launch out differently.
    """
    read: list[tuple[int, int]] = []
    written: list[tuple[int, int]] = []

    def meets(spans, start, end):
        return any(start < b and a < end for a, b in spans)

    for row, launch in zip(table, launches, strict=True):
        spans = [(*_span(operand, offsets, rows), mode) for operand, mode in launch.access]
        if any(meets(written, a, b) or ("w" in mode and meets(read, a, b)) for a, b, mode in spans):
            row[abi.FLAGS] |= abi.BARRIER
            read.clear()
            written.clear()
        if launch.flags & abi.CHECK:
            row[abi.FLAGS] |= abi.BARRIER
        read += [(a, b) for a, b, mode in spans if "r" in mode]
        written += [(a, b) for a, b, mode in spans if "w" in mode]


def _span(operand: Buffer | Variable | Slot, offsets: dict[Buffer, int], rows: int) -> tuple[int, int]:
    """Where an operand lies, in one line of addresses: slots below 0, weights where they are, the arena from 2**62."""
    if isinstance(operand, Buffer):
        start = (1 << 62) + offsets[operand.storage]
        return start, start + max(operand.storage.size(rows), 1)
    if isinstance(operand, Variable):
        return operand.address, operand.address + max(operand.array.nbytes, 1)
    return -8 * operand.index - 8, -8 * operand.index
