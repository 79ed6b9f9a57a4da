"""The processor as a device: machine code and argument blocks of a plan's launches."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet._kernels import compile as compiler
from fastnet._kernels.cpu import gemm
from fastnet._kernels.cpu.peak import MultiplyAdds
from fastnet._kernels.generate import Kernel
from fastnet.engine.launch import Launch, Product
from fastnet.engine.sizes import Extent

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
        in_scratch=c is None, split=product.split, epilogue=code, epilogue_args=block,
    )  # fmt: skip
    cpu.scratch = max(cpu.scratch, gemm.scratch_bytes())
    cost = gemm.cost(arguments, product.dtype, cpu.executable.rows)
    if epilogue is not None:
        cost += OPERATION * epilogue.cost * arguments[gemm.MB] * arguments[gemm.NB]
    return compiler.load(gemm.source(product.dtype)), arguments, Extent(*gemm.extent(arguments)), cost


#: type of a kernel → the function that binds a launch of it
BINDERS: dict[type, Callable[[CPU, Launch], Binding]] = {
    Kernel: _generated,
    MultiplyAdds: _generated,
    Product: _product,
}


def call(
    kernel: Kernel, arguments: Sequence[int], rows: int = 0, lo: int = 0, hi: int = 0, bases: Sequence[int] = ()
) -> None:
    """Call one kernel now. Without ``bases`` its arguments are addresses, each as the reference ``address << 3``."""
    spaces = (ctypes.c_int64 * abi.SPACES)(*bases)
    block = (ctypes.c_int64 * max(len(arguments), 1))(*arguments)
    _FUNCTION(compiler.load(kernel.source()))(spaces, block, rows, lo, hi)
