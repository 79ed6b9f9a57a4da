"""A plan with memory and code on a GPU: the steps of a run are replays of one graph, which count themselves."""

from __future__ import annotations

import bisect
import itertools
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet._kernels.cuda.entry import MOST_PARAMETERS, NAME
from fastnet._kernels.cuda.tiles import THREADS
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import turn
from fastnet.engine import _runner
from fastnet.engine.cuda import current
from fastnet.engine.cuda.binder import Binder, DeviceLaunch, StepsKernel
from fastnet.engine.cuda.driver import Node, OutOfMemory
from fastnet.engine.cuda.inputs import Inputs
from fastnet.engine.cuda.joining import Joined, joined_launches
from fastnet.engine.cuda.memory import DeviceArray, Mirror, adopt, copied, mirror_of
from fastnet.engine.executable import Executable
from fastnet.engine.launch import Launch
from fastnet.engine.memory import ALIGNMENT
from fastnet.engine.sizes import Extent
from fastnet.engine.variable import Variable
from fastnet.engine.view import SIZES, Slot, View

# Floating-point operations of the products of a step that one block of threads does, without launches in between. An
# estimate, not measured: one multiprocessor of 128 multiply-adds a cycle needs as long for them as ten launches take.
SMALL = 2_000_000
MOST_SHARED = 48 << 10  # bytes that the threads of a block may share: the limit of static memory
APART = 8 << 20  # bytes of buffers that do not share memory; an estimate, not measured: a fraction of the second cache
MOST_SIZES = 4  # sizes of batches whose launches are kept: the largest, and the last ones
PATIENCE = 5e-3  # seconds of steps that are started before the host looks in
_SLOTS = {
    "rows": abi.ROWS, "first": abi.FIRST, "iteration": abi.ITERATION, "nonfinite": abi.NONFINITE,
    "stopped": abi.STOPPED, "done": abi.DONE, "rate": abi.RATE, "batch": abi.BATCH, "total": abi.TOTAL,
    "rates": abi.RATES, "rates_count": abi.RATES_COUNT,
}  # fmt: skip


class CUDAExecutable(Executable):
    """A plan on a GPU; made by `bind`. The step block of the host is copied to the device before a run, and back."""

    device = "cuda"

    def _bind(self) -> None:
        self.driver = driver = current.driver()
        # weights, their copies, and the memory of these, whose addresses are arguments of launches
        self._mirrors: dict[int, tuple[Variable, Mirror, DeviceArray]] = {}
        self._written: set[int] = set()
        self._inputs = Inputs(driver)
        self._placed: dict[int, DeviceArray] = {}  # by the slot that has its address
        self._outputs: dict[int, tuple[weakref.ref[np.ndarray], DeviceArray]] = {}
        self._launches: dict[int, list[DeviceLaunch]] = {}
        self._graphs: dict[int, Any] = {}
        self._seconds = 0.0  # of a step, as last measured
        for launch in self.plan.launches:
            for operand, mode in launch.access:
                if isinstance(operand, Variable):
                    weight = self.weight(operand)
                    mirror = mirror_of(weight, driver)
                    self._mirrors[id(weight)] = weight, mirror, mirror.memory()
                    if "w" in mode:
                        self._written.add(id(weight))
        self._step, self._arena = DeviceArray(driver, self.step.nbytes + self.narrowed().nbytes), self._new_arena()
        self._binder = Binder(driver, self.plan, self._step.address, self._address)
        self._is_small = self._fits_a_block()
        if self._is_small:  # compiles now, as on the CPU
            self._steps(self.rows)
        else:
            self._nodes(self.rows)

    def _new_arena(self) -> DeviceArray:
        """Memory for buffers.

        Raises:
            OutOfMemory: there is not so much; it names the batch that would fit.
        """
        try:
            return DeviceArray(self.driver, self.arena_bytes)
        except OutOfMemory as full:
            fits = bisect.bisect_right(range(1, self.rows), full.free, key=lambda rows: self._layout(rows)[1])
            remedy = f"A batch of {fits} would fit" if fits else "Not even a batch of one row would fit"
            remedy = f"{remedy}; this one has {self.rows} rows."
            raise OutOfMemory(full.name, full.asked, full.free, full.total, remedy) from None

    def _layout(self, rows: int) -> tuple[dict[Any, int], int]:
        """See `Executable._layout`. Each buffer has memory of its own if that is little: launches that share none may
        run side by side."""
        offsets, size = super()._layout(rows)
        sizes = (-(-max(buffer.size(rows), 1) // ALIGNMENT) * ALIGNMENT for buffer in offsets)
        *starts, end = itertools.accumulate(sizes, initial=0)
        return (dict(zip(offsets, starts)), end) if end <= APART else (offsets, size)

    def _address(self, operand: View | Variable | Slot) -> int:
        if isinstance(operand, View):
            return self._arena.address + self.offsets[operand.buffer] + operand.offset * SIZES[operand.dtype]
        if isinstance(operand, Variable):
            return self._mirrors[id(self.weight(operand))][2].address
        return self._step.address + 8 * operand.index

    def span(self, operand: View | Variable | Slot) -> tuple[int, int]:
        """The bytes of an operand on the device; those of the whole buffer for a view."""
        if isinstance(operand, View):
            start = self._arena.address + self.offsets[operand.buffer]
            return start, start + max(operand.buffer.size(self.rows), 1)
        start = self._address(operand)
        return start, start + (8 if isinstance(operand, Slot) else max(operand.nbytes, 1))

    # ---- what a step reads and writes

    def connect(self, inlet: Any, source: Any) -> None:
        """Let an inlet read from a source, which the next run brings to the device."""
        self._inputs.connect(inlet.slots.index, source)

    def place(self, slot: int, array: np.ndarray | None) -> None:
        """Let a slot of the step block have the address of an array, which is copied to the device."""
        if slot == abi.ORDER:
            self._inputs.set_order(array)
        elif array is None:
            self._placed.pop(slot, None)
            self.step[slot] = 0
        else:
            self._placed[slot] = copied(self.driver, array)
            self.step[slot] = self._placed[slot].address
            if slot == abi.RATES:
                self._rates = array.reshape(-1)

    def place_output(self, slot: int, array: np.ndarray) -> None:
        """Let a slot have the address of an array that runs write."""
        memory = DeviceArray(self.driver, array.nbytes)
        self._outputs[slot] = weakref.ref(array), memory
        self.step[slot] = memory.address

    def adopt_output(self, slot: int, other: CUDAExecutable, other_slot: int) -> None:
        """See `Executable.adopt_output`."""
        self._outputs[slot] = other._outputs[other_slot]
        super().adopt_output(slot, other, other_slot)

    def read(self, view: View, rows: int) -> np.ndarray:
        """A copy of a view's contents."""
        buffer = view.buffer
        entries = buffer.entries.at(rows)
        contents = np.empty(entries * buffer.width, buffer.dtype)
        self.driver.download(contents, self._arena.address + self.offsets[buffer])
        return self._shaped(view, contents, entries)

    def write(self, view: View, rows: int, value: Any) -> None:
        """Set a view's contents."""
        buffer = view.buffer
        entries = buffer.entries.at(rows)
        contents = np.empty(entries * buffer.width, buffer.dtype)
        if view.width < buffer.width:
            self.driver.download(contents, self._arena.address + self.offsets[buffer])
        self._shaped(view, contents, entries)[...] = value
        self.driver.upload(self._arena.address + self.offsets[buffer], contents)

    def code(self) -> Iterator[tuple[str, dict[str, str], str]]:
        """See `Executable.code`."""
        launches = self.launches_at(self.rows)
        if self._is_small:
            text = self._binder.text(launches, in_order=True)
            shape = f"1 block of {THREADS} threads for {len(launches)} launches a step"
            yield "steps", {"ptx": text}, f"{NAME}, {shape}: {_lines(launches)}"
            return
        for joined in joined_launches(self, launches):
            node, text = self._node(joined, self.rows), self._binder.text(joined.launches, joined.in_order)
            name = "_".join(launch.source.name for launch in joined.launches)
            shape = f"{node.grid} block{'s' * (node.grid > 1)} of {node.block} threads"
            yield name, {"ptx": text}, f"{NAME}, {shape}: {_lines(joined.launches)}"

    # ---- steps

    def run(
        self, first: int, total: int, batch: int, max_steps: int, seconds: float, times: np.ndarray | None = None
    ) -> tuple[int, int]:
        """As `_runner.Execution.run` on the CPU."""
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}.")
        if first >= total or max_steps < 1:
            return 0, _runner.OK
        self._open(first, total, batch)
        deadline, done = time.perf_counter() + seconds, 0
        steps = min(max_steps, -(-(total - first) // batch))
        try:
            while done < steps and not self.step[abi.STOPPED] and (not done or time.perf_counter() < deadline):
                done += self._start(steps - done, first + done * batch, total, batch, times)
                self.driver.download(self.step, self._step.address)
        except KeyboardInterrupt:  # what was started is done first, and its steps count
            self.driver.synchronize()
            self.driver.download(self.step, self._step.address)
            raise
        finally:
            self._mark_written()
        last = min(total, first + int(self.step[abi.DONE]) * batch)
        for output, memory in self._outputs.values():
            if (array := output()) is not None and last > first:
                self.driver.download(array[first:last], memory.address + first * array.strides[0])
        return int(self.step[abi.DONE]), int(self.step[abi.STOPPED])

    def _mark_written(self) -> None:
        for number in self._written:
            self._mirrors[number][1].was_written()

    def _open(self, first: int, total: int, batch: int) -> None:
        """Bring the device up to date for a run."""
        step = self.step
        step[abi.ROWS], step[abi.FIRST], step[abi.NONFINITE] = min(batch, total - first), first, 0
        step[abi.STOPPED], step[abi.DONE], step[abi.BATCH], step[abi.TOTAL] = 0, 0, batch, total
        for weight, mirror, _ in self._mirrors.values():
            adopt(weight, mirror)
            mirror.send()
        self._mark_written()  # another thread that reads a weight meanwhile waits for the steps that were started
        if step[abi.RATES] and step[abi.RATES_COUNT]:
            self.scalars[abi.RATE] = self._rates[0]
        self._inputs.open(step, total, batch)
        self.driver.upload(self._step.address, np.concatenate([step.view(np.uint8), self.narrowed().view(np.uint8)]))

    def narrowed(self) -> np.ndarray:
        """The step block's float64 as float32, which lie behind it on the device."""
        with np.errstate(over="ignore", invalid="ignore"):  # slots that are integers, and huge numbers
            return self.scalars.astype(np.float32)

    def _start(self, steps: int, first: int, total: int, batch: int, times: np.ndarray | None) -> int:
        """Start some steps of one size; their number."""
        rows = min(batch, total - first)
        readable, has_moved = self._inputs.enter(self.step, first, rows, total)
        if has_moved:
            self.driver.upload(self._step.address, self.step)
        if times is not None:
            nodes = [self._binder.node([launch], rows) for launch in self.launches_at(rows)]
            for node, spent in zip(nodes, self.driver.times(nodes), strict=True):
                if node.launch >= 0:
                    times[node.launch] += spent
            return 1
        count = max(1, min(steps, (readable - first) // batch))
        count = min(count, max(1, int(PATIENCE / self._seconds)) if self._seconds else 1)
        start = time.perf_counter()
        if self._is_small:
            self.driver.launch(self._steps(rows).node(count))
        else:
            if rows not in self._graphs:
                self._graphs[rows] = self.driver.capture(self._nodes(rows))
            self.driver.replay(self._graphs[rows], count)
        self._inputs.prefetch()
        self.driver.synchronize()
        self._seconds = (time.perf_counter() - start) / count
        return count

    def _device_launches(self, rows: int) -> list[DeviceLaunch]:
        """The launches of a step of so many rows that have something to do."""
        device_launch, checked = self._binder.device_launch, False
        launches = []
        for position, launch in enumerate(self.plan.launches):
            if launch.flags & abi.CHECK and not checked:
                checked = True
                launches.append(device_launch(_turn(turn.check, _runner.CHECKED), rows))
            launches.append(device_launch(launch, rows, position))
        launches.append(device_launch(_turn(turn.end_step, _runner.NONFINITE_STEP), rows))
        return [each for each in launches if each.units]

    def launches_at(self, rows: int) -> list[DeviceLaunch]:
        """`_device_launches`, which are the same in every run."""
        if rows not in self._launches:
            for old in [each for each in self._launches if each != self.rows][: len(self._launches) - MOST_SIZES + 1]:
                self._launches.pop(old)
                self._graphs.pop(old, None)
            self._launches[rows] = self._device_launches(rows)
        return self._launches[rows]

    def _steps(self, rows: int) -> StepsKernel:
        """Steps of so many rows as one launch."""
        if rows not in self._graphs:
            self._graphs[rows] = self._binder.steps(self.launches_at(rows), rows)
        return self._graphs[rows]

    def _nodes(self, rows: int) -> list[Node]:
        return [self._node(joined, rows) for joined in joined_launches(self, self.launches_at(rows))]

    def _node(self, joined: Joined, rows: int) -> Node:
        if joined.in_order:
            return self._binder.steps(joined.launches, rows).node(1)
        return self._binder.node(joined.launches, rows)

    def _fits_a_block(self) -> bool:
        """Whether one block of threads goes through the steps."""
        if self.plan.operations_at(self.rows) > SMALL:
            return False
        self._binder.processors = 1  # its tiles are those of one multiprocessor
        launches = self.launches_at(self.rows)
        parameters = sum(1 + len(launch.arguments) for launch in launches) + 4
        shared = max(launch.shared_of_block(THREADS) for launch in launches)
        if parameters <= MOST_PARAMETERS and shared <= MOST_SHARED:
            return True
        self._launches.clear()
        self._binder.processors = self.driver.processors
        return False


def _lines(launches: Sequence[DeviceLaunch]) -> str:
    """The lines of the plan's text that these launches have; the device adds others."""
    found = ", ".join(str(launch.position + 1) for launch in launches if launch.position >= 0)
    return f"lines {found} of plan.txt" if found else "no line of plan.txt"


def _turn(template: Any, status: int) -> Launch:
    """The launch of a template of `turn`."""
    operands: dict[str, Any] = {}
    access = []
    for name, kind in template.parameters.items():
        operands[name] = status if name == "status" else Slot(_SLOTS[name])
        access += [(operands[name], kind.access)] * bool(kind.access)
    return Launch(Kernel(template, (), "float64"), operands, access, Extent(fixed=1))
