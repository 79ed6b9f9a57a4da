"""The machine: memory and launches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet.testing.ptx.faults import Fault
from fastnet.testing.ptx.launch import Counts, Launch
from fastnet.testing.ptx.memory import GlobalMemory
from fastnet.testing.ptx.module import Module, Variable


class Machine:
    """A device that runs PTX on numpy, with the bits that PTX defines, and finds what a GPU would leave unnoticed.

    Args:
        memory: bytes of global memory to begin with; it grows.
        check: look for races and for reads of memory that was never written. Bounds, alignment, barriers and masks are
            always checked.

    Example:
        >>> from fastnet.testing.ptx import Machine, Module
        >>> module = Module('''
        ... .version 7.0
        ... .target sm_80
        ... .address_size 64
        ... .visible .entry double_it(.param .u64 x)
        ... {
        ...     .reg .b32 %r<4>; .reg .b64 %rd<4>;
        ...     ld.param.u64 %rd1, [x];
        ...     mov.u32 %r1, %tid.x;
        ...     mul.wide.u32 %rd2, %r1, 4;
        ...     add.s64 %rd3, %rd1, %rd2;
        ...     ld.global.f32 %r2, [%rd3];
        ...     add.rn.f32 %r3, %r2, %r2;
        ...     st.global.f32 [%rd3], %r3;
        ...     ret;
        ... }''')
        >>> machine = Machine()
        >>> x = machine.allocate(12)
        >>> machine.write(x, np.array([1, 2, 3], np.float32))
        >>> counts = machine.launch(module, "double_it", 1, 3, [x])
        >>> machine.read(x, np.zeros(3, np.float32)), counts.instructions
        (array([2., 4., 6.], dtype=float32), 8)
    """

    def __init__(self, memory: int = 1 << 24, check: bool = True):
        self.check = check
        self.memory = GlobalMemory(memory)
        self.time = 0  # rises with each launch and each barrier
        self._loaded: dict[Module, dict[Variable, int]] = {}

    def allocate(self, bytes: int) -> int:
        """Address of new memory, a multiple of 256. Its bytes are undefined."""
        return self.memory.allocate(bytes)

    def free(self, address: int) -> None:
        """Give an allocation back. Later accesses to it are faults."""
        self.memory.free(address)

    def write(self, address: int, array: Any) -> None:
        """Copy an array into memory."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self.memory.part(address, data.size, "write")[:] = data
        self.memory.defined_part(address, data.size)[:] = True

    def read(self, address: int, array: np.ndarray, check: bool = True) -> np.ndarray:
        """Copy memory into an array, which is returned.

        Raises:
            Fault: bytes were never written, unless `check` is False.
        """
        data = self.memory.part(address, array.nbytes, "read")
        if check and not (defined := self.memory.defined_part(address, array.nbytes)).all():
            first = int(np.argmin(defined))
            missing = int((~defined).sum())
            raise Fault(f"{missing} of {array.nbytes} bytes at {address:#x} were never written, first byte {first}")
        array[...] = data.copy().view(array.dtype).reshape(array.shape)
        return array

    def copy(self, target: int, source: int, bytes: int) -> None:
        """Copy memory to memory; bytes that were never written stay so."""
        data = self.memory.part(source, bytes, "read").copy()
        self.memory.part(target, bytes, "write")[:] = data
        self.memory.defined_part(target, bytes)[:] = self.memory.defined_part(source, bytes).copy()

    def fill(self, address: int, byte: int, count: int) -> None:
        """Set `count` bytes."""
        self.memory.part(address, count, "write")[:] = byte
        self.memory.defined_part(address, count)[:] = True

    def load(self, module: Module) -> dict[Variable, int]:
        """Addresses of the module's variables, which are allocated when it is first launched."""
        if module not in self._loaded:
            variables = [v for v in module.variables if v.space in ("global", "const")]
            addresses = {v: self.allocate(v.size) for v in variables}
            for variable in variables:
                data = np.zeros(variable.size, np.uint8)  # what has no initial value is 0
                data[: len(variable.data)] = np.frombuffer(variable.data, np.uint8)
                for offset, name in variable.symbols:
                    target = module.scope.find(name)
                    if target not in addresses:
                        raise Fault(f"{variable.name!r} holds the address of {name!r}, which is not in module memory")
                    data[offset : offset + 8].view("<i8")[0] += addresses[target]
                self.write(addresses[variable], data)
            self._loaded[module] = addresses
        return self._loaded[module]

    def launch(
        self, module: Module, name: str, grid: Any, block: Any, arguments: Sequence[Any], shared: int = 0
    ) -> Counts:
        """Run a kernel.

        Args:
            module: a `Module`.
            name: name of the entry.
            grid, block: numbers of blocks, and of threads in a block: an integer or a tuple of up to three.
            arguments: one for each parameter: integers (also addresses), floats; arrays of bytes for a structure.
            shared: bytes of dynamic shared memory.

        Returns:
            `Counts`: instructions, accesses and sectors of memory.

        Raises:
            Fault: the kernel did what it must not do.
            ValueError: the launch does not fit the kernel.
        """
        return Launch(self, module, name, grid, block, arguments, shared).run()
