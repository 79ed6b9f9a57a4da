"""Some blocks of a launch, whose threads run together as numpy vectors: the lowest program counter first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.testing.ptx.control import AT_BARRIER, AT_WARP, EXITED, RUNNING
from fastnet.testing.ptx.faults import Fault
from fastnet.testing.ptx.spaces import LocalMemory, ParameterMemory, SharedMemory

if TYPE_CHECKING:
    from fastnet.testing.ptx.launch import Launch


def selection(lanes: np.ndarray) -> Any:
    """Indices as a slice where they lie evenly: registers are then views, which needs no gather."""
    first, count = int(lanes[0]), len(lanes)
    step = int(lanes[1]) - first if count > 1 else 1
    if int(lanes[-1]) - first == (count - 1) * step and (np.diff(lanes) == step).all():
        return slice(first, first + (count - 1) * step + 1, step)
    return lanes


class Frame:
    """The threads of `blocks` blocks from `first` on: registers, memories, program counters."""

    def __init__(self, launch: Launch, first: int, blocks: int):
        program, threads = launch.program, launch.threads
        self.launch, self.first, self.blocks, self.program = launch, first, blocks, program
        self.n = n = blocks * threads
        self.lanes = np.arange(n)
        self.block, thread = np.divmod(self.lanes, threads)
        self.thread = self.lanes + first * threads  # counted through the whole grid
        self.warp_in_block, self.lane = thread >> 5, thread & 31
        self.warp = self.block * launch.warps + self.warp_in_block
        self.lane_slot = self.warp * 32 + self.lane
        self.tid, self.ctaid = _axes(thread, launch.block), _axes(self.block + first, launch.grid)
        self.pc, self.state = np.zeros(n, np.int64), np.full(n, RUNNING, np.int8)
        self.barrier = np.zeros(n, np.int64)
        self.at = 0
        blocks_of = {w: np.zeros((count, n), f"u{w // 8}") for w, count in program.counts.items() if w > 1}
        blocks_of[1] = np.zeros((program.counts[1], n), bool)
        self.rows = [_view(blocks_of[bits][number], dtype) for bits, number, dtype in program.rows]
        memory = launch.machine.memory
        self.spaces: dict[str, Any] = {
            "global": memory,
            "const": memory,
            "shared": SharedMemory(launch, blocks),
            "local": LocalMemory(launch, n),
            "param": ParameterMemory(launch),
        }
        self.symbols = launch.symbols
        self.synchronized: np.ndarray | None = None  # time of the last barrier that two lanes of a warp took part in
        self.block_times = np.zeros(blocks, np.int64)

    # Selections of threads

    def count(self, active: Any) -> int:
        return len(self.lanes[active])

    def warps(self, active: Any) -> int:
        """The number of warps with an active thread."""
        warp = self.warp[active]
        return int(np.count_nonzero(warp[1:] != warp[:-1])) + 1

    def same(self, one: Any, other: Any) -> bool:
        return self.count(one) == self.count(other)

    def guard(self, op: Any, active: Any) -> np.ndarray:
        row, negated = op.guard
        values = self.rows[row][active]
        return ~values if negated else values

    def divide(self, op: Any, active: Any) -> tuple[Any, Any]:
        """The active threads for which the guard holds, and the others; None where there are none."""
        if op.guard is None:
            return active, None
        taken = self.guard(op, active)
        if taken.all():
            return active, None
        if not taken.any():
            return None, active
        lanes = self.lanes[active]
        return selection(lanes[taken]), selection(lanes[~taken])

    def go(self, active: Any, target: int, stop: int) -> int:
        """Go on at the target, unless other threads are before or at it."""
        if target < stop:
            return target
        self.pc[active] = target
        return -1

    def fault(self, reason: str, active: Any = None, bad: Any = None) -> None:
        """Raise a fault at the current op, for the first active thread of those in `bad`."""
        op = self.program.ops[self.at]
        thread = block = None
        if active is not None:
            lanes = self.lanes[active]
            index = int(lanes[0] if bad is None else lanes[np.broadcast_to(bad, lanes.shape)][0])
            thread = tuple(int(axis[index]) for axis in self.tid)
            block = tuple(int(axis[index]) for axis in self.ctaid)
        text = self.program.module.instruction_text(op.line)
        raise Fault(reason, self.program.entry.name, op.line, text, thread, block)

    def thread_name(self, number: int) -> str:
        """A thread of the grid in words."""
        block, thread = divmod(number, self.launch.threads)
        tid = tuple(int(a) for a in _axes(np.int64(thread), self.launch.block))
        ctaid = tuple(int(a) for a in _axes(np.int64(block), self.launch.grid))
        return f"thread {tid} of block {ctaid}"

    # The loop

    def run(self) -> None:
        """Run all threads to their end."""
        while True:
            running = np.flatnonzero(self.state == RUNNING)
            if len(running):
                self._run_lowest(running)
            elif (self.state == EXITED).all():
                return
            else:
                self._release()

    def _run_lowest(self, running: np.ndarray) -> None:
        pcs = self.pc[running]
        at = int(pcs.min())
        here = pcs == at
        if here.all():
            active, stop = selection(running), len(self.program.ops)
        else:
            active, stop = selection(running[here]), int(pcs[~here].min())
        ops, executed, warps = self.program.ops, self.launch.executed, self.warps(active)
        while at != -1:
            self.at = at
            op = ops[at]
            executed[at] += warps
            if op.control is not None:
                at = op.control(self, op, active, at, stop)
                continue
            if op.guard is None:
                op.run(self, active)
            elif (some := self.divide(op, active)[0]) is not None:
                op.run(self, some)
            at += 1
            if at >= stop:
                self.pc[active] = at
                return

    # Waiting

    def _release(self) -> None:
        """No thread runs: let those go on whose warp or block is complete."""
        waiting = np.flatnonzero(self.state == AT_WARP)
        complete = False
        for at in np.unique(self.pc[waiting]):
            here = waiting[self.pc[waiting] == at]
            self.at = int(at)
            ready = here[self._complete(self.program.ops[at], here)]
            self.state[ready] = RUNNING
            complete |= len(ready) > 0
        if complete:
            return
        lanes = np.flatnonzero(self.state == AT_BARRIER)
        if not self._together(lanes):
            blocks = np.unique(self.block[lanes])
            released = [found for block in blocks if (found := self._arrived(int(block))) is not None]
            if not released:
                self._deadlock()
            lanes = np.concatenate(released)
        self.launch.machine.time += 1
        self.block_times[self.block[lanes]] = self.launch.machine.time
        for at in np.unique(self.pc[lanes]):
            op, here = self.program.ops[at], lanes[self.pc[lanes] == at]
            if op.run is not None:
                self.at = int(at)
                op.run(self, here)
        self.state[lanes] = RUNNING
        self.pc[lanes] += 1

    def _together(self, lanes: np.ndarray) -> bool:
        """Whether all threads that have not ended are at one barrier of one line: the common case."""
        return (
            len(lanes) > 0
            and len(lanes) == np.count_nonzero(self.state != EXITED)
            and bool((self.pc[lanes] == self.pc[lanes[0]]).all())
            and bool((self.barrier[lanes] == self.barrier[lanes[0]]).all())
        )

    def _arrived(self, block: int) -> np.ndarray | None:
        """The threads of a block if all that have not ended are at one barrier."""
        start = block * self.launch.threads
        lanes = np.arange(start, start + self.launch.threads)
        lanes = lanes[self.state[lanes] != EXITED]
        if (self.state[lanes] != AT_BARRIER).any():
            return None
        if (self.barrier[lanes] != self.barrier[lanes[0]]).any():
            return None
        pcs, warps = self.pc[lanes], self.warp[lanes]
        parted = (warps[1:] == warps[:-1]) & (pcs[1:] != pcs[:-1])
        if parted.any():
            self.at = int(pcs[0])
            other = int(pcs[1:][parted][0])
            line = self.program.ops[other].line
            reason = f"a barrier is not reached by all threads of a warp: others wait at the one in line {line}"
            self.fault(reason, lanes[:-1][parted])
        return lanes

    def _deadlock(self) -> None:
        lanes = np.flatnonzero(self.state == AT_WARP)
        if len(lanes):
            self.at = int(self.pc[lanes[0]])
            missing = self._missing(self.program.ops[self.at], lanes[:1])
            reason = f"lanes {missing} of this warp are named in the mask, but do not take part: they wait elsewhere"
            self.fault(reason, lanes[:1])
        lanes = np.flatnonzero(self.state == AT_BARRIER)
        self.at = int(self.pc[lanes[0]])
        others = np.flatnonzero((self.block == self.block[lanes[0]]) & (self.barrier != self.barrier[lanes[0]]))
        line = self.program.ops[int(self.pc[others[0]])].line if len(others) else "?"
        self.fault(
            f"a barrier is not reached by all threads of the block: others wait at barrier "
            f"{int(self.barrier[others[0]])} in line {line}",
            lanes[:1],
        )

    def _masks(self, op: Any, lanes: Any) -> np.ndarray:
        return np.broadcast_to(np.asarray(op.target(self, lanes), np.uint32), (self.count(lanes),))

    def warp_bits(self, chosen: np.ndarray) -> np.ndarray:
        """For each warp the mask of its lanes at these slots."""
        slots = np.zeros(self.blocks * self.launch.warps * 32, bool)
        slots[chosen] = True
        return np.packbits(slots, bitorder="little").view("<u4")

    def _complete(self, op: Any, lanes: np.ndarray) -> np.ndarray:
        """Which of the lanes, all that are at this op, may go on: every lane named in the mask is here or has ended."""
        masks, warps = self._masks(op, lanes), self.warp[lanes]
        own = (masks >> self.lane[lanes].astype(np.uint32)) & np.uint32(1)
        if not own.all():
            self.fault("the mask does not name the thread itself", lanes, own == 0)
        present = self.warp_bits(self.lane_slot[lanes])
        alive = self.warp_bits(self.lane_slot[self.state != EXITED])
        complete = (masks & alive[warps] & ~present[warps]) == 0
        if len(masks) and masks.min() != masks.max():
            self._check_masks(lanes, masks, alive, complete)
        return complete

    def _check_masks(self, lanes: np.ndarray, masks: np.ndarray, alive: np.ndarray, complete: np.ndarray) -> None:
        slots = np.zeros(self.blocks * self.launch.warps * 32, np.uint32)
        slots[self.lane_slot[lanes]] = masks
        of_warp = slots.reshape(-1, 32)[self.warp[lanes]]
        named = (masks[:, None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1) == 1
        named &= (alive[self.warp[lanes]][:, None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1) == 1
        differ = (named & (of_warp != masks[:, None])).any(1) & complete
        if differ.any():
            self.fault("threads named in a mask give another mask", lanes, differ)

    def _missing(self, op: Any, lane: np.ndarray) -> list[int]:
        here = np.flatnonzero((self.state == AT_WARP) & (self.pc == self.at))
        present = self.warp_bits(self.lane_slot[here])[self.warp[lane[0]]]
        alive = self.warp_bits(self.lane_slot[self.state != EXITED])[self.warp[lane[0]]]
        missing = int(self._masks(op, lane)[0]) & int(alive) & ~int(present)
        return [k for k in range(32) if missing >> k & 1]

    def join_warps(self, op: Any, active: Any, at: int) -> Any:
        """The active threads whose warp is complete here; the others wait until no thread runs (`_release`)."""
        lanes = self.lanes[active]
        complete = self._complete(op, lanes)
        if complete.all():
            return active
        ready, rest = lanes[complete], lanes[~complete]
        self.state[rest], self.pc[rest] = AT_WARP, at
        return selection(ready) if len(ready) else None

    def order_warps(self, active: Any, masks: Any) -> None:
        """The active threads passed a barrier of their warps: those named in a mask see what they did before."""
        warps = self.blocks * self.launch.warps
        if self.synchronized is None:
            self.synchronized = np.zeros((warps, 32, 32), np.int64)
        self.launch.machine.time += 1
        named = np.zeros(warps * 32, np.uint32)
        named[self.lane_slot[active]] = masks
        pairs = (named[:, None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1) == 1
        self.synchronized[pairs.reshape(warps, 32, 32)] = self.launch.machine.time


def _axes(numbers: Any, shape: tuple[int, int, int]) -> tuple[Any, Any, Any]:
    rest, x = np.divmod(numbers, shape[0])
    z, y = np.divmod(rest, shape[1])
    return x, y, z


def _view(row: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A register as another type; a narrower one is its lowest bytes."""
    view = row.view(dtype)
    return view[:: row.itemsize // dtype.itemsize] if view.itemsize < row.itemsize else view
