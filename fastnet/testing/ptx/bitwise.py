"""Bits: logic, shifts, fields, permutations of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.testing.ptx.instructions import Step, builds, flags, type_of, unknown
from fastnet.testing.ptx.integers import simple
from fastnet.testing.ptx.text import Instruction
from fastnet.testing.ptx.types import TYPES

if TYPE_CHECKING:
    from fastnet.testing.ptx.program import Decoder

_LOGIC = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert}


@builds("and or xor not")
def _logic(decoder: Decoder, step: Instruction) -> Step:
    flags(step, "")
    return simple(decoder, step, type_of(step), _LOGIC[step.opcode])


@builds("cnot")
def _cnot(decoder: Decoder, step: Instruction) -> Step:
    flags(step, "")
    return simple(decoder, step, type_of(step), lambda x: (x == 0).astype(x.dtype))


@builds("shl shr")
def _shift(decoder: Decoder, step: Instruction) -> Step:
    """Amounts of the width or more shift everything out; to the right, signed numbers keep their sign."""
    flags(step, "")
    kind = type_of(step)
    put, x = decoder.write(step.operands[0], kind), decoder.read(step.operands[1], kind)
    amount, left, last = decoder.read(step.operands[2], TYPES["u32"]), step.opcode == "shl", kind.bits - 1
    shift, signed = (np.left_shift if left else np.right_shift), kind.kind == "s" and not left

    def run(frame: Any, active: Any) -> None:
        value, by = x(frame, active), amount(frame, active)
        out = by > last
        if not out.any():
            put(frame, active, shift(value, by.astype(kind.dtype)))
            return
        shifted = shift(value, np.minimum(by, last).astype(kind.dtype))
        put(frame, active, shifted if signed else np.where(out, kind.dtype.type(0), shifted))

    return run


@builds("shf")
def _funnel(decoder: Decoder, step: Instruction) -> Step:
    """Two registers as one of 64 bits, shifted: the upper half to the left, the lower half to the right."""
    words, u32 = flags(step, "l r wrap clamp"), TYPES["u32"]
    if len(words) != 2:
        raise unknown(step)
    put = decoder.write(step.operands[0], u32)
    low, high, amount = (decoder.read(operand, u32) for operand in step.operands[1:])
    left, wrap = "l" in words, "wrap" in words

    def run(frame: Any, active: Any) -> None:
        both = (high(frame, active).astype(np.uint64) << np.uint64(32)) | low(frame, active).astype(np.uint64)
        by = amount(frame, active)
        by = (by & np.uint32(31) if wrap else np.minimum(by, np.uint32(32))).astype(np.uint64)
        shifted = (both << by) >> np.uint64(32) if left else both >> by
        put(frame, active, shifted.astype(np.uint32))

    return run


def popcount(x: Any) -> Any:
    """The number of ones."""
    x = np.asarray(x).astype(np.uint64)
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((x * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.uint32)


def _smear(x: Any) -> Any:
    """All bits below the highest one are set too."""
    x = np.asarray(x).astype(np.uint64)
    for by in (1, 2, 4, 8, 16, 32):
        x = x | (x >> np.uint64(by))
    return x


@builds("popc clz brev bfind")
def _count(decoder: Decoder, step: Instruction) -> Step:
    words, kind = flags(step, "shiftamt" if step.opcode == "bfind" else ""), type_of(step)
    read, width = decoder.read(step.operands[1], kind), np.uint32(kind.bits)
    if step.opcode == "brev":
        put = decoder.write(step.operands[0], kind)
        return lambda frame, active: put(frame, active, _reverse(read(frame, active), kind.bits).astype(kind.dtype))
    put = decoder.write(step.operands[0], TYPES["u32"])
    if step.opcode == "popc":
        return lambda frame, active: put(frame, active, popcount(read(frame, active)))
    if step.opcode == "clz":
        return lambda frame, active: put(frame, active, width - popcount(_smear(read(frame, active))))

    def find(frame: Any, active: Any) -> None:
        x = read(frame, active)
        ones = popcount(_smear((np.where(x < 0, ~x, x) if kind.kind == "s" else x).astype(f"u{kind.bytes}")))
        found = width - ones if "shiftamt" in words else ones - np.uint32(1)
        put(frame, active, np.where(ones == 0, np.uint32(0xFFFFFFFF), found))

    return find


def _reverse(x: Any, bits: int) -> Any:
    x = np.asarray(x).astype(np.uint64)
    result = np.zeros_like(x)
    for k in range(bits):
        result = result | (((x >> np.uint64(k)) & np.uint64(1)) << np.uint64(bits - 1 - k))
    return result


@builds("bfe bfi")
def _field(decoder: Decoder, step: Instruction) -> Step:
    """Bit fields: where they begin and how long they are counts modulo 256."""
    flags(step, "")
    kind, u32 = type_of(step), TYPES["u32"]
    *values, start, length = step.operands[1:]
    put, reads = decoder.write(step.operands[0], kind), [decoder.read(operand, kind) for operand in values]
    first, count = decoder.read(start, u32), decoder.read(length, u32)

    def run(frame: Any, active: Any) -> None:
        position = first(frame, active) & np.uint32(255)
        size = count(frame, active) & np.uint32(255)
        given = [read(frame, active) for read in reads]
        compute = _extract if step.opcode == "bfe" else _insert
        put(frame, active, compute(kind, given, position.astype(np.uint64), size.astype(np.uint64)))

    return run


def _shifted(x: Any, by: Any, left: bool = False) -> Any:
    """A shift of 64 bits that may be by 64 or more."""
    near = np.minimum(by, np.uint64(63))
    return np.where(by > 63, np.uint64(0), x << near if left else x >> near)


def _ones(size: Any) -> Any:
    return ~_shifted(np.uint64(0xFFFFFFFFFFFFFFFF), size, left=True)


def _extract(kind: Any, given: list, position: Any, size: Any) -> Any:
    x = np.asarray(given[0]).view(f"u{kind.bytes}").astype(np.uint64)
    field = _shifted(x, position) & _ones(size)
    if kind.kind != "s":
        return field.astype(kind.dtype)
    last = np.minimum(position + size - np.uint64(1), np.uint64(kind.bits - 1))
    negative = (_shifted(x, last) & np.uint64(1) == 1) & (size > 0)
    kept = np.where(
        position > kind.bits - 1,
        np.uint64(0),
        np.minimum(size, np.uint64(kind.bits) - np.minimum(position, np.uint64(kind.bits))),
    )
    return np.where(negative, field | ~_ones(kept), field).astype(kind.dtype)


def _insert(kind: Any, given: list, position: Any, size: Any) -> Any:
    source, target = (np.asarray(x).astype(np.uint64) for x in given)
    mask = _shifted(_ones(size), position, left=True)
    return ((target & ~mask) | (_shifted(source, position, left=True) & mask)).astype(kind.dtype)


@builds("lop3")
def _lop3(decoder: Decoder, step: Instruction) -> Step:
    """Any function of three bits: bit 4a + 2b + c of the table is its value."""
    flags(step, "")
    u32 = TYPES["u32"]
    put, reads = decoder.write(step.operands[0], u32), [decoder.read(o, u32) for o in step.operands[1:4]]
    table = int(step.operands[4], 0)

    def run(frame: Any, active: Any) -> None:
        a, b, c = (read(frame, active) for read in reads)
        result = np.zeros_like(a & b & c)
        for k in range(8):
            if table >> k & 1:
                result = result | ((a if k & 4 else ~a) & (b if k & 2 else ~b) & (c if k & 1 else ~c))
        put(frame, active, result)

    return run


@builds("prmt")
def _prmt(decoder: Decoder, step: Instruction) -> Step:
    """Four bytes chosen from eight; bit 3 of a selector repeats the byte's sign instead."""
    flags(step, "")
    u32 = TYPES["u32"]
    put = decoder.write(step.operands[0], u32)
    low, high, selector = (decoder.read(operand, u32) for operand in step.operands[1:])

    def run(frame: Any, active: Any) -> None:
        both = (high(frame, active).astype(np.uint64) << np.uint64(32)) | low(frame, active).astype(np.uint64)
        chosen, result = selector(frame, active), np.zeros((), np.uint32)
        for k in range(4):
            nibble = ((chosen >> np.uint32(4 * k)) & np.uint32(15)).astype(np.uint64)
            byte = (both >> ((nibble & np.uint64(7)) << np.uint64(3))) & np.uint64(255)
            byte = np.where(nibble & np.uint64(8) == 8, np.where(byte > 127, np.uint64(255), np.uint64(0)), byte)
            result = result | (byte.astype(np.uint32) << np.uint32(8 * k))
        put(frame, active, result)

    return run
