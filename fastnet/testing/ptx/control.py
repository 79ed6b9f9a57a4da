"""Where threads go on: branches, exits, barriers of blocks and of warps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.testing.ptx.faults import Fault
from fastnet.testing.ptx.instructions import Control, Step, builds, flags, unknown
from fastnet.testing.ptx.text import Instruction
from fastnet.testing.ptx.types import TYPES

if TYPE_CHECKING:
    from fastnet.testing.ptx.program import Decoder

PARTED = -1
RUNNING, AT_BARRIER, AT_WARP, EXITED = range(4)  # what a thread does


def branch(frame: Any, op: Any, active: Any, at: int, stop: int) -> int:
    """Go to the target; where the guard differs among threads, they part."""
    if op.guard is None:
        return frame.go(active, op.target, stop)
    taken = frame.guard(op, active)
    if taken.all():
        return frame.go(active, op.target, stop)
    if not taken.any():
        return frame.go(active, at + 1, stop)
    frame.pc[active] = np.where(taken, op.target, at + 1)
    return PARTED


def branch_by_index(frame: Any, op: Any, active: Any, at: int, stop: int) -> int:
    """Go to the target that a register numbers."""
    some, others = frame.divide(op, active)
    if some is not None:
        index = np.broadcast_to(op.run(frame, some), (frame.count(some),))
        if (bad := index >= len(op.target)).any():
            frame.fault(f"branch {int(index[bad][0])} of {len(op.target)}", some, bad)
        frame.pc[some] = op.target[index]
    if others is not None:
        frame.pc[others] = at + 1
    return PARTED


def leave(frame: Any, op: Any, active: Any, at: int, stop: int) -> int:
    """Threads end."""
    return _stop(frame, op, active, at, EXITED)


def wait_at_barrier(frame: Any, op: Any, active: Any, at: int, stop: int) -> int:
    """Threads wait until all threads of their block that still run are at the barrier."""
    some, _ = frame.divide(op, active)
    if some is not None:
        identity, count = op.target
        frame.barrier[some] = identity(frame, some)
        if count is not None and (bad := np.atleast_1d(count(frame, some) != frame.launch.threads)).any():
            reason = f"a barrier of some threads of a block, which has {frame.launch.threads}, is not in the machine"
            frame.fault(reason, some, bad)
    return _stop(frame, op, active, at, AT_BARRIER)


def _stop(frame: Any, op: Any, active: Any, at: int, state: int) -> int:
    some, others = frame.divide(op, active)
    if some is not None:
        frame.pc[some], frame.state[some] = at, state
    if others is not None:
        frame.pc[others] = at + 1
    return PARTED


def synchronize_warp(frame: Any, op: Any, active: Any, at: int, stop: int) -> int:
    """Runs the op for the warps of which all threads named in the mask are here; the others wait."""
    some, others = frame.divide(op, active)
    if others is not None:
        frame.pc[others] = at + 1
    if some is None:
        return PARTED
    ready = frame.join_warps(op, some, at)
    if ready is not None:
        op.run(frame, ready)
        if others is None and frame.same(ready, active):
            return frame.go(active, at + 1, stop)
        frame.pc[ready] = at + 1
    return PARTED


@builds("bra")
def _bra(decoder: Decoder, step: Instruction) -> Control:
    flags(step, "uni", types=0)
    return Control(branch, [step.operands[0]])


@builds("brx")
def _brx(decoder: Decoder, step: Instruction) -> Control:
    flags(step, "idx uni", types=0)
    targets = decoder.label(step, step.operands[1]).targets
    return Control(branch_by_index, targets, decoder.read(step.operands[0], TYPES["u32"]))  # type: ignore[arg-type]


@builds("ret exit")
def _ret(decoder: Decoder, step: Instruction) -> Control:
    flags(step, "uni", types=0)
    if step.opcode == "exit" or decoder.is_entry:
        return Control(leave)
    return Control(branch, [""])  # behind the function's body, which stands where it is called


@builds("trap brkpt")
def _trap(decoder: Decoder, step: Instruction) -> Step:
    return lambda frame, active: frame.fault("a thread reached a trap", active)


@builds("membar fence prefetch prefetchu nanosleep griddepcontrol")
def _nothing(decoder: Decoder, step: Instruction) -> Step:
    return lambda frame, active: None


@builds("bar barrier")
def _barrier(decoder: Decoder, step: Instruction) -> Control:
    words = [word for word in step.words[1:] if word not in ("cta", "aligned")]
    u32 = TYPES["u32"]
    if words == ["warp", "sync"]:
        mask = decoder.read(step.operands[0], u32)
        return Control(synchronize_warp, mask, lambda frame, active: frame.order_warps(active, mask(frame, active)))
    if words == ["sync"]:
        identity = decoder.read(step.operands[0], u32)
        count = decoder.read(step.operands[1], u32) if len(step.operands) > 1 else None
        return Control(wait_at_barrier, (identity, count))
    if words[:1] == ["red"]:
        return _reduction(decoder, step, words[1])
    raise unknown(step)


def _reduction(decoder: Decoder, step: Instruction, name: str) -> Control:
    """barrier.red: every thread gets the number of true predicates in the block, whether all or any are true."""
    result, identity, *count, predicate = step.operands
    put = decoder.write(result, TYPES["u32" if name == "popc" else "pred"])
    true = decoder.read(predicate, TYPES["pred"])
    combine = {"popc": lambda n, of: n, "and": lambda n, of: n == of, "or": lambda n, of: n > 0}.get(name)
    if combine is None:
        raise Fault(f"the machine does not know .{name} of {'.'.join(step.words)}")

    def run(frame: Any, active: Any) -> None:
        block = frame.block[active]
        values = np.broadcast_to(true(frame, active), block.shape)
        n = np.bincount(block, values, frame.blocks).astype(np.int64)
        put(frame, active, combine(n, np.bincount(block, minlength=frame.blocks))[block])

    u32 = TYPES["u32"]
    return Control(wait_at_barrier, (decoder.read(identity, u32), decoder.read(count[0], u32) if count else None), run)
