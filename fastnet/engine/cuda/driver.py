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
    """A GPU. All work is done in the order in which it was asked for.

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
            DeviceError: the memory is full.
        """

    @abstractmethod
    def free(self, address: int) -> None:
        """Give memory back once the work before is done."""

    @abstractmethod
    def upload(self, address: int, array: np.ndarray) -> None:
        """Copy a contiguous array to the device; unless it is page-locked, it may change as soon as this returns."""

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
