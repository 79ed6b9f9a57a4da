"""The interface to a GPU, which NVIDIA's driver and the PTX machine of `fastnet.testing` implement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_UNITS = 1 << 31  # threads of a launch: kernels compute rows and columns from 32 bits


FORKED = (
    "This process was forked from one that had used the GPU, and a fork cannot use it. Start processes with "
    "multiprocessing's method 'spawn', or use the GPU only after the fork."
)


class DeviceError(RuntimeError):
    """The GPU that was asked for cannot be used; the message says why, and what to do."""


class OutOfMemory(DeviceError):
    """The memory of a GPU is full.

    Args:
        name: of the card.
        asked, free, total: bytes.
        remedy: a sentence.
    """

    def __init__(
        self, name: str, asked: int, free: int, total: int,
        remedy: str = "Take a smaller model, smaller batches, or less data in one call.",
    ):  # fmt: skip
        self.name, self.asked, self.free, self.total = name, asked, free, total
        super().__init__(
            f"{name}: its memory is full. {_megabytes(asked)} MB were asked for, {_megabytes(free)} of "
            f"{_megabytes(total)} MB are free. {remedy}"
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}" if size >= 1e5 else f"{size / 1e6:.2g}"


@dataclass(frozen=True)
class Node:
    """One launch of a step.

    Args:
        function: what `Driver.load` gave.
        grid: number of blocks.
        block: threads of a block.
        arguments: 64-bit integers.
        launch: its position in the plan, -1 for one that the device adds.
    """

    function: Any
    grid: int
    block: int
    arguments: tuple[int, ...]
    launch: int = -1


class Driver(ABC):
    """A GPU. All work but `upload_beside` is done in the order in which it was asked for.

    Attributes:
        name: of the card.
        level: of its architecture for which kernels are compiled, such as "sm_90".
        processors: its multiprocessors.
    """

    name: str
    level: str
    processors: int

    @abstractmethod
    def allocate(self, size: int) -> int:
        """The address of so many bytes of its memory, on a boundary of 256.

        Raises:
            OutOfMemory: there is not so much.
        """

    @abstractmethod
    def free(self, address: int) -> None:
        """Give memory back once the work before is done."""

    @abstractmethod
    def memory(self) -> tuple[int, int]:
        """Bytes of its memory that can be allocated, and all that it has."""

    @abstractmethod
    def page_locked(self, size: int) -> np.ndarray:
        """So many bytes of the host that the device copies by itself; they live as long as the array and its views."""

    @abstractmethod
    def upload(self, address: int, array: np.ndarray) -> None:
        """Copy a contiguous array to the device; unless it is page-locked, it may change as soon as this returns."""

    @abstractmethod
    def upload_beside(self, address: int, array: np.ndarray) -> None:
        """Copy a page-locked array while other work goes on. Until `synchronize` it may not change, and nothing may use
        its copy."""

    @abstractmethod
    def download(self, array: np.ndarray, address: int) -> None:
        """Copy from the device to a contiguous array, when the work before is done."""

    @abstractmethod
    def load(self, ptx: str, name: str) -> Any:
        """The function of a module."""

    @abstractmethod
    def launch(self, node: Node) -> None:
        """Start one launch."""

    @abstractmethod
    def capture(self, nodes: Sequence[Node]) -> Any:
        """Launches one after the other, as one thing that can be replayed."""

    @abstractmethod
    def replay(self, graph: Any, count: int) -> None:
        """Start the launches of a graph so many times."""

    @abstractmethod
    def times(self, nodes: Sequence[Node]) -> list[float]:
        """Run launches once; the seconds that each took."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until the work before is done.

        Raises:
            DeviceError: it failed.
        """
