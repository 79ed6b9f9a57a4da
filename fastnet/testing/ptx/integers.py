"""Arithmetic of integers: it wraps, unless .sat is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.testing.ptx.instructions import Step, builds, flags, type_of, unknown
from fastnet.testing.ptx.text import Instruction
from fastnet.testing.ptx.types import TYPES, Type

if TYPE_CHECKING:
    from fastnet.testing.ptx.program import Decoder

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def simple(decoder: Decoder, step: Instruction, kind: Type, compute: Callable[..., Any]) -> Step:
    """A step that computes its first operand from the others, all of one type."""
    put, reads = decoder.write(step.operands[0], kind), [decoder.read(o, kind) for o in step.operands[1:]]
    if len(reads) == 1:
        (x,) = reads
        return lambda frame, active: put(frame, active, compute(x(frame, active)))
    if len(reads) == 2:
        x, y = reads
        return lambda frame, active: put(frame, active, compute(x(frame, active), y(frame, active)))
    return lambda frame, active: put(frame, active, compute(*(read(frame, active) for read in reads)))


_TWO = {"add": np.add, "sub": np.subtract, "min": np.minimum, "max": np.maximum}


@builds("add sub", "integer")
def _add(decoder: Decoder, step: Instruction) -> Step:
    kind, compute = type_of(step), _TWO[step.opcode]
    if "sat" not in flags(step, "sat"):
        return simple(decoder, step, kind, compute)
    limits = np.iinfo(np.int32)
    return simple(
        decoder,
        step,
        kind,
        lambda x, y: np.clip(compute(x.astype(np.int64), y.astype(np.int64)), limits.min, limits.max).astype(np.int32),
    )


@builds("min max", "integer")
def _min(decoder: Decoder, step: Instruction) -> Step:
    flags(step, "")
    return simple(decoder, step, type_of(step), _TWO[step.opcode])


def _high(kind: Type) -> Callable[[Any, Any], Any]:
    """The upper half of a product."""
    if kind.bits < 64:
        wide, shift = (np.int64, np.int64(kind.bits)) if kind.kind == "s" else (np.uint64, np.uint64(kind.bits))
        return lambda x, y: ((x.astype(wide) * y.astype(wide)) >> shift).astype(kind.dtype)

    def high(x: Any, y: Any) -> Any:
        u, v = x.astype(np.uint64), y.astype(np.uint64)
        u_low, u_high, v_low, v_high = u & _LOW, u >> _HALF, v & _LOW, v >> _HALF
        middle = u_high * v_low + ((u_low * v_low) >> _HALF)
        other = u_low * v_high + (middle & _LOW)
        product = u_high * v_high + (middle >> _HALF) + (other >> _HALF)
        if kind.kind == "s":
            product = product - np.where(x < 0, v, np.uint64(0)) - np.where(y < 0, u, np.uint64(0))
        return product.astype(kind.dtype)

    return high


@builds("mul mad", "integer")
def _mul(decoder: Decoder, step: Instruction) -> Step:
    words, kind = flags(step, "lo hi wide"), type_of(step)
    if "wide" in words:
        wide = TYPES[f"{kind.kind}{2 * kind.bits}"]
        put, x, y = decoder.write(step.operands[0], wide), *(decoder.read(o, kind) for o in step.operands[1:3])
        add = decoder.read(step.operands[3], wide) if step.opcode == "mad" else None

        def run(frame: Any, active: Any) -> None:
            product = x(frame, active).astype(wide.dtype) * y(frame, active).astype(wide.dtype)
            put(frame, active, product if add is None else product + add(frame, active))

        return run
    if len(words) != 1:
        raise unknown(step)
    multiply = np.multiply if "lo" in words else _high(kind)
    if step.opcode == "mul":
        return simple(decoder, step, kind, multiply)
    return simple(decoder, step, kind, lambda x, y, z: multiply(x, y) + z)


@builds("div rem", "integer")
def _div(decoder: Decoder, step: Instruction) -> Step:
    flags(step, "")
    kind = type_of(step)
    put, x, y = decoder.write(step.operands[0], kind), *(decoder.read(o, kind) for o in step.operands[1:])

    def run(frame: Any, active: Any) -> None:
        a, b = x(frame, active), y(frame, active)
        if (zero := b == 0).any():
            frame.fault("integer division by 0, whose result depends on the machine", active, zero)
        rest = np.fmod(a, b)
        put(frame, active, rest if step.opcode == "rem" else (a - rest) // b)

    return run


@builds("neg abs", "integer")
def _neg(decoder: Decoder, step: Instruction) -> Step:
    flags(step, "")
    return simple(decoder, step, type_of(step), np.negative if step.opcode == "neg" else np.abs)


@builds("sad")
def _sad(decoder: Decoder, step: Instruction) -> Step:
    flags(step, "")
    return simple(decoder, step, type_of(step), lambda x, y, z: z + np.where(x < y, y - x, x - y))
