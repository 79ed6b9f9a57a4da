"""A plan with memory and code: what the executables of every device have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastnet.engine import memory
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable, aligned
from fastnet.engine.view import ONCE, View


class Executable(ABC):
    """A plan with memory and machine code; made by `bind`.

    Args:
        plan: the launches of a step.
        rows: the largest batch.
        pinned: views whose contents are read after a step.
        reuse: whether buffers may share memory; off when every buffer will be read.
        weights: the weights to use instead of those that the plan names.

    Attributes:
        step: the step block, as integers.
        scalars: the step block, as float64.
        arena_bytes: of the memory for buffers.
    """

    device: str

    def __init__(
        self, plan: Plan, rows: int, pinned: Sequence[View], reuse: bool, weights: Mapping[Variable, Variable]
    ):
        self.plan, self.rows, self.weights = plan, rows, weights
        self._pinned, self._reuse = [*pinned, *plan.results], reuse
        self.offsets, self.arena_bytes = self._layout(rows)
        self.step = aligned((plan.slots,), "int64")
        self.scalars = self.step.view(np.float64)
        self._bind()

    def _layout(self, rows: int) -> tuple[dict[Any, int], int]:
        """The place of each buffer for batches of so many rows, and the bytes of all."""
        return memory.layout(self.plan.launches, rows, self._pinned, self._reuse)

    @abstractmethod
    def _bind(self) -> None:
        """Make memory and code."""

    def weight(self, variable: Variable) -> Variable:
        """The weight that is used instead of this one."""
        return self.weights.get(variable, variable)

    # ---- what a step reads and writes

    @abstractmethod
    def connect(self, inlet: Any, source: Any) -> None:
        """Let an inlet read from a source from now on."""

    @abstractmethod
    def place(self, slot: int, array: np.ndarray | None) -> None:
        """Let a slot of the step block have the address of an array as it is now, 0 without one."""

    @abstractmethod
    def place_output(self, slot: int, array: np.ndarray) -> None:
        """Let a slot have the address of an array whose rows the steps of a run write."""

    def adopt_output(self, slot: int, other: Any, other_slot: int) -> None:
        """Let the steps write to the array that those of another executable of this device wrote."""
        self.step[slot] = other.step[other_slot]

    @abstractmethod
    def read(self, view: View, rows: int) -> np.ndarray:
        """A view's contents, as an array that the next step may overwrite."""

    @abstractmethod
    def write(self, view: View, rows: int, value: Any) -> None:
        """Set a view's contents."""

    @staticmethod
    def _shaped(view: View, memory: np.ndarray, entries: int) -> np.ndarray:
        """A view's elements in the memory of its buffer."""
        strides = [memory.itemsize * s for s in (view.buffer.width, *view.strides)]
        array = np.lib.stride_tricks.as_strided(memory[view.offset :], (entries, *view.shape), strides)
        return array[0] if view.buffer.entries == ONCE else array

    @abstractmethod
    def code(self) -> Iterator[tuple[str, dict[str, str], str]]:
        """(name, texts by the suffix of a file, how it is divided) of each launch."""

    @abstractmethod
    def run(
        self, first: int, total: int, batch: int, max_steps: int, seconds: float, times: np.ndarray | None = None
    ) -> tuple[int, int]:
        """Run steps; see `_runner.Execution.run`."""
