"""Binds a plan to memory and to a device's machine code: weights then have addresses.

A plan may be bound many times, also to other weights than those that it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet.engine import memory
from fastnet.engine._runner import Execution
from fastnet.engine.cpu import CPU
from fastnet.engine.launch import Launch
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable, aligned
from fastnet.engine.view import ONCE, SIZES, Slot, View

DEVICES = {"cpu": CPU}


class Executable:
    """A plan with memory and machine code; made by `bind`.

    Args:
        plan: the launches of a step.
        rows: the largest batch.
        device: its machine code.
        pinned: views whose contents are read after a step.
        reuse: whether buffers may share memory; off when every buffer will be read.
        weights: the weights to use instead of those that the plan names.

    Attributes:
        step: the step block, as integers.
        scalars: the step block, as float64.
        execution: runs the launches.
    """

    def __init__(
        self, plan: Plan, rows: int, device: Any, pinned: Sequence[View], reuse: bool,
        weights: Mapping[Variable, Variable],
    ):  # fmt: skip
        self.plan, self.rows, self.weights = plan, rows, weights
        pinned = [*pinned, *plan.results]
        self.offsets, size = memory.layout(plan.launches, rows, pinned, reuse)
        self.arena = aligned((max(size, 1),), "uint8")
        self.step = aligned((plan.slots,), "int64")
        self.scalars = self.step.view(np.float64)
        table = aligned((max(len(plan.launches), 1), abi.COLUMNS), "int64")[: len(plan.launches)]
        binder = device(self)
        for row, launch in zip(table, plan.launches, strict=True):
            binder.bind(row, launch)
        place_barriers(table, plan.launches, self)
        bases = [0, self.arena.ctypes.data, self.step.ctypes.data, 0]
        self.execution = Execution(table, bases, self.step, binder.scratch, keep=(self.arena, binder.blocks, plan))

    def weight(self, variable: Variable) -> Variable:
        """The weight that is used instead of this one."""
        return self.weights.get(variable, variable)

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
            return weight.address, weight.address + max(weight.array.nbytes, 1)
        return -8 * operand.index - 8, -8 * operand.index

    def read(self, view: View, rows: int) -> np.ndarray:
        """A view's contents, as an array that the next step overwrites."""
        start, size = self.offsets[view.buffer], SIZES[view.dtype]
        entries = view.buffer.entries.at(rows)
        memory = self.arena[start : start + entries * view.buffer.width * size].view(view.dtype)
        array = np.lib.stride_tricks.as_strided(
            memory[view.offset :], (entries, *view.shape), [size * s for s in (view.buffer.width, *view.strides)]
        )
        return array[0] if view.buffer.entries == ONCE else array


def bind(
    plan: Plan, rows: int | None = None, device: str = "cpu", pinned: Sequence[View] = (), reuse: bool = True,
    weights: Mapping[Variable, Variable] | None = None,
) -> Executable:  # fmt: skip
    """Make a plan ready to run.

    Args:
        plan: the launches of a step.
        rows: the largest batch, at most the plan's; by default the plan's.
        device: "cpu".
        pinned: views whose contents are read after a step, besides the plan's results.
        reuse: whether buffers may share memory.
        weights: weight of the plan → the weight of the same shape to use instead.

    Raises:
        ValueError: ``rows`` is negative or larger than the plan's; the device is unknown; a weight has another shape
            or dtype than the one it is used for.
    """
    rows = plan.rows if rows is None else rows
    if not 0 <= rows <= plan.rows:
        raise ValueError(f"A plan for at most {plan.rows} rows cannot be bound for {rows}.")
    if device not in DEVICES:
        raise ValueError(f"There is no device {device!r}; there is {', '.join(map(repr, DEVICES))}.")
    for named, used in (weights or {}).items():
        if (named.shape, named.dtype) != (used.shape, used.dtype):
            raise ValueError(
                f"The weight {named.path!r} of shape {named.shape} ({named.dtype}) cannot be replaced by {used.path!r} "
                f"of shape {used.shape} ({used.dtype})."
            )
    return Executable(plan, rows, DEVICES[device], pinned, reuse, weights or {})


def run_once(
    plan: Plan, inputs: Mapping[View, np.ndarray], result: View, step: Mapping[int, int] | None = None
) -> np.ndarray:
    """Run a plan for one batch of given views; return a copy of the result.

    Args:
        plan: the launches.
        inputs: view → its contents.
        result: the view to read afterwards.
        step: index → integer of the step block, such as the seed of random numbers; 0 where not named.

    Raises:
        ValueError: no view is given, whose length would be that of the batch.

    Example:
        >>> plan = extend.Plan(training=False, dtype="float64")
        >>> x = plan.buffer((2,))
        >>> y = plan.like(x)
        >>> _ = plan.call(extend.scale, x=x, y=y, factor=10.0)
        >>> extend.run_once(plan, {x: np.array([[1.0, 2.0]])}, y).tolist()
        [[10.0, 20.0]]
    """
    if not inputs:
        raise ValueError("run_once takes the number of rows from its inputs, and received none.")
    rows = len(next(iter(inputs.values())))
    bound = bind(plan, rows, pinned=[*inputs, result])
    for view, value in inputs.items():
        bound.read(view, rows)[...] = value
    for index, number in (step or {}).items():
        bound.step[index] = number
    bound.execution.run(0, rows, rows, 1, 0.0)
    return bound.read(result, rows).copy()


def place_barriers(table: np.ndarray, launches: Sequence[Launch], executable: Any) -> None:
    """Flag the launches that must wait until all threads have finished the launches before.

    A launch waits if it touches memory that was written since the last barrier, or writes memory that was read: the
    division among threads differs from launch to launch.
    """
    read: list[tuple[int, int]] = []
    written: list[tuple[int, int]] = []

    def meets(spans, start, end):
        return any(start < b and a < end for a, b in spans)

    for row, launch in zip(table, launches, strict=True):
        spans = [(*executable.span(operand), mode) for operand, mode in launch.access]
        must_wait = any(meets(written, a, b) or ("w" in mode and meets(read, a, b)) for a, b, mode in spans)
        if must_wait or launch.flags & abi.CHECK:
            row[abi.FLAGS] |= abi.BARRIER
            read.clear()
            written.clear()
        read += [(a, b) for a, b, mode in spans if "r" in mode]
        written += [(a, b) for a, b, mode in spans if "w" in mode]
