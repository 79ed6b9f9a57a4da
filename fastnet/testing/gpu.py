"""A GPU that is the PTX machine: what would run on a card runs here, checked, on any machine."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnet.engine.cuda import current
from fastnet.engine.cuda.driver import Driver, Node, OutOfMemory
from fastnet.testing.ptx import Machine, Module
from fastnet.testing.ptx.launch import Counts


class MachineDriver(Driver):
    """The PTX machine as a GPU.

    Args:
        level: of the architecture whose PTX is run.
        processors: multiprocessors that it says it has; tiles of products follow from them.
        check: whether races and reads of memory that was never written are looked for.
        memory: bytes that it has.

    Attributes:
        instructions: that warps have executed.
        sectors: of 32 bytes that their accesses to global memory touched.
        launches: their number.
        counts: of the last launch.
    """

    name = "PTX machine"

    def __init__(self, level: str = "sm_90", processors: int = 4, check: bool = True, memory: int = 1 << 40):
        self.level, self.processors, self._size = level, processors, memory
        self.machine = Machine(check=check)
        self.launches = self.instructions = self.sectors = 0
        self.counts = Counts()
        self._copies: list[tuple[int, np.ndarray]] = []  # that go on beside other work

    @property
    def allocations(self) -> int:
        """Allocations that have not been freed."""
        return len(self.machine.memory.sizes)

    def allocate(self, size: int) -> int:
        """See `Driver.allocate`."""
        free, total = self.memory()
        if size > free:
            raise OutOfMemory(self.name, size, free, total)
        return self.machine.allocate(size)

    def free(self, address: int) -> None:
        """See `Driver.free`."""
        self.machine.free(address)

    def memory(self) -> tuple[int, int]:
        """See `Driver.memory`."""
        return self._size - sum(self.machine.memory.sizes.values()), self._size

    def page_locked(self, size: int) -> np.ndarray:
        """See `Driver.page_locked`."""
        return np.empty(size, np.uint8)

    def upload(self, address: int, array: np.ndarray) -> None:
        """See `Driver.upload`."""
        self.machine.write(address, array)

    def upload_beside(self, address: int, array: np.ndarray) -> None:
        """See `Driver.upload_beside`: as late as a GPU may copy, and what the array has then."""
        self._copies.append((address, array))

    def download(self, array: np.ndarray, address: int) -> None:
        """See `Driver.download`."""
        array[...] = self.machine.read(address, array)

    def load(self, ptx: str, name: str) -> Any:
        """See `Driver.load`."""
        return _module(ptx), name

    def launch(self, node: Node) -> None:
        """See `Driver.launch`."""
        module, name = node.function
        self.counts = counts = self.machine.launch(module, name, node.grid, node.block, node.arguments)
        self.launches += 1
        self.instructions += counts.instructions
        self.sectors += counts.sectors

    def capture(self, nodes: Sequence[Node]) -> Any:
        """See `Driver.capture`."""
        return tuple(nodes)

    def replay(self, graph: Any, count: int) -> None:
        """See `Driver.replay`."""
        for _ in range(count):
            for node in graph:
                self.launch(node)

    def times(self, nodes: Sequence[Node]) -> list[float]:
        """See `Driver.times`: the instructions of each launch, as if one took a nanosecond."""
        spent = []
        for node in nodes:
            before = self.instructions
            self.launch(node)
            spent.append(1e-9 * (self.instructions - before))
        return spent

    def synchronize(self) -> None:
        """See `Driver.synchronize`: all but `upload_beside` is done at once."""
        for address, array in self._copies:
            self.upload(address, array)
        self._copies.clear()


@functools.lru_cache(maxsize=512)
def _module(ptx: str) -> Module:
    return Module(ptx)


@contextlib.contextmanager
def machine_gpu(
    level: str = "sm_90", processors: int = 4, check: bool = True, memory: int = 1 << 40
) -> Iterator[MachineDriver]:
    """Let ``device="cuda"`` mean the PTX machine meanwhile; see `MachineDriver`.

    Example:
        >>> with testing.machine_gpu() as gpu:
        ...     model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
        ...     model.compile("sgd", "mse", device="cuda")
        ...     _ = model.train_on_batch(np.ones((4, 3)), np.ones((4, 2)))
        >>> gpu.launches
        1
    """
    driver = MachineDriver(level, processors, check, memory)
    with current.used(driver):
        yield driver
