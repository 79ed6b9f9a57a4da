"""Shuffles and votes: threads of a warp that see each other's registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.testing.ptx.control import synchronize_warp
from fastnet.testing.ptx.instructions import Control, Step, builds, flags, type_of, unknown
from fastnet.testing.ptx.text import Instruction, Pair
from fastnet.testing.ptx.types import TYPES

if TYPE_CHECKING:
    from fastnet.testing.ptx.program import Decoder


def _source(mode: str, lane: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """The lane that is read, and whether it is in bounds: its own one where not (PTX ISA, shfl.sync)."""
    segment, clamp, b = (c >> 8) & 31, c & 31, b & 31
    last = (lane & segment) | (clamp & ~segment)
    if mode == "up":
        source = lane - b
        inside = source >= last
    elif mode == "down":
        source = lane + b
        inside = source <= last
    elif mode == "bfly":
        source = lane ^ b
        inside = source <= last
    else:
        source = (lane & segment) | (b & ~segment)
        inside = source <= last
    return np.where(inside, source, lane), inside


@builds("shfl")
def _shfl(decoder: Decoder, step: Instruction) -> Control:
    words = flags(step, "sync up down bfly idx")
    mode = next((word for word in ("up", "down", "bfly", "idx") if word in words), "")
    if "sync" not in words or not mode:
        raise unknown(step)
    kind, u32 = type_of(step).raw, TYPES["u32"]
    target = step.operands[0]
    results = target if isinstance(target, Pair) else Pair(target, "_")
    put, put_inside = decoder.write(results.first, kind), decoder.write(results.second, TYPES["pred"])
    value, b, c, mask = (decoder.read(operand, kind if k == 0 else u32) for k, operand in enumerate(step.operands[1:5]))

    def run(frame: Any, active: Any) -> None:
        lanes, lane = frame.lanes[active], frame.lane[active]
        source, inside = _source(mode, lane, _signed(b(frame, active)), _signed(c(frame, active)))
        here, values = np.zeros(frame.n, bool), np.zeros(frame.n, kind.dtype)
        here[active], values[active] = True, value(frame, active)
        index = lanes - lane + source
        last = frame.block[active] * frame.launch.threads + frame.launch.threads
        absent = (index >= last) | ~here[np.minimum(index, frame.n - 1)]
        if absent.any():
            reason = f"a shuffle reads lane {int(source[absent][0])}, which does not take part"
            frame.fault(reason, active, absent)
        put(frame, active, values[index])
        put_inside(frame, active, inside)

    return Control(synchronize_warp, mask, run)


def _signed(x: Any) -> Any:
    return np.asarray(x).astype(np.int64)


@builds("vote")
def _vote(decoder: Decoder, step: Instruction) -> Control:
    words, u32, pred = flags(step, "sync all any uni ballot"), TYPES["u32"], TYPES["pred"]
    mode = next((word for word in ("all", "any", "uni", "ballot") if word in words), "")
    if "sync" not in words or not mode:
        raise unknown(step)
    put = decoder.write(step.operands[0], u32 if mode == "ballot" else pred)
    read, mask = decoder.read(step.operands[1], pred), decoder.read(step.operands[2], u32)

    def run(frame: Any, active: Any) -> None:
        lanes, warp = frame.lane_slot[active], frame.warp[active]
        true = np.broadcast_to(read(frame, active), lanes.shape)
        masks = np.broadcast_to(np.asarray(mask(frame, active), np.uint32), lanes.shape)
        yes = frame.warp_bits(lanes[true])[warp] & masks
        named = frame.warp_bits(lanes)[warp] & masks
        if mode == "ballot":
            put(frame, active, yes)
        else:
            all_, none = yes == named, yes == 0
            put(frame, active, {"all": all_, "any": ~none, "uni": all_ | none}[mode])

    return Control(synchronize_warp, mask, run)


@builds("activemask")
def _activemask(decoder: Decoder, step: Instruction) -> Step:
    flags(step, "")
    put = decoder.write(step.operands[0], TYPES["u32"])
    return lambda frame, active: put(frame, active, frame.warp_bits(frame.lane_slot[active])[frame.warp[active]])
