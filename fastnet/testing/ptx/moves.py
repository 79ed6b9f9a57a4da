"""Moves, selections and comparisons."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.testing.ptx.exact import flush
from fastnet.testing.ptx.faults import Fault
from fastnet.testing.ptx.instructions import Step, builds, flags, type_of, unknown
from fastnet.testing.ptx.text import Instruction, Pair
from fastnet.testing.ptx.types import TYPES

if TYPE_CHECKING:
    from fastnet.testing.ptx.program import Decoder


@builds("mov")
def _mov(decoder: Decoder, step: Instruction) -> Step:
    flags(step, "")
    kind = type_of(step).raw
    target, source = step.operands
    if isinstance(target, tuple):
        return _unpack(decoder, target, source, kind.bits)
    if isinstance(source, tuple):
        return _pack(decoder, target, source, kind.bits)
    put, read = decoder.write(target, kind), decoder.read(source, kind)
    return lambda frame, active: put(frame, active, read(frame, active))


def _parts(count: int, bits: int) -> tuple[Any, Any]:
    """The type of a part of a vector, and its width as a shift of the whole."""
    part = TYPES.get(f"u{bits // count}")
    if part is None or count < 2:
        raise Fault(f"{bits} bits cannot be {count} registers")
    return part, TYPES[f"u{bits}"].dtype.type(part.bits)


def _unpack(decoder: Decoder, target: tuple, source: Any, bits: int) -> Step:
    part, width = _parts(len(target), bits)
    puts, read = [decoder.write(name, part) for name in target], decoder.read(source, TYPES[f"u{bits}"])

    def run(frame: Any, active: Any) -> None:
        value = read(frame, active)
        for k, put in enumerate(puts):
            put(frame, active, (value >> (width * width.dtype.type(k))).astype(part.dtype))

    return run


def _pack(decoder: Decoder, target: Any, source: tuple, bits: int) -> Step:
    part, width = _parts(len(source), bits)
    put, reads = decoder.write(target, TYPES[f"u{bits}"]), [decoder.read(name, part) for name in source]

    def run(frame: Any, active: Any) -> None:
        value = 0
        for k, read in enumerate(reads):
            value = value | (read(frame, active).astype(width.dtype) << (width * width.dtype.type(k)))
        put(frame, active, value)

    return run


@builds("selp")
def _selp(decoder: Decoder, step: Instruction) -> Step:
    flags(step, "")
    kind = type_of(step).raw
    put = decoder.write(step.operands[0], kind)
    one, other = (decoder.read(operand, kind) for operand in step.operands[1:3])
    chosen = decoder.read(step.operands[3], TYPES["pred"])
    return lambda frame, active: put(
        frame, active, np.where(chosen(frame, active), one(frame, active), other(frame, active))
    )


@builds("slct")
def _slct(decoder: Decoder, step: Instruction) -> Step:
    """The first where the third operand is at least 0; -0 is, NaN is not."""
    ftz = "ftz" in flags(step, "ftz", types=2)
    kind, sign = type_of(step, -2).raw, type_of(step)
    put = decoder.write(step.operands[0], kind)
    one, other = (decoder.read(operand, kind) for operand in step.operands[1:3])
    read = decoder.read(step.operands[3], sign)

    def run(frame: Any, active: Any) -> None:
        value = read(frame, active)
        chosen = (flush(value) if ftz else value) >= 0
        put(frame, active, np.where(chosen, one(frame, active), other(frame, active)))

    return run


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_UNSIGNED = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}


def comparison(step: Instruction, name: str, is_float: bool) -> Callable[[Any, Any], Any]:
    """A comparison; those of floats are false where an operand is NaN, or true (equ, ltu, ...)."""
    if not is_float:
        name = _UNSIGNED.get(name, name)
        if name in _COMPARISONS:
            return _COMPARISONS[name]
        raise unknown(step, f".{name}")
    if name == "num":
        return lambda x, y: (x == x) & (y == y)
    if name == "nan":
        return lambda x, y: (x != x) | (y != y)
    if name == "ne":
        return lambda x, y: (x < y) | (x > y)
    if name in _COMPARISONS:
        return _COMPARISONS[name]
    if name[-1] == "u" and name[:-1] in _COMPARISONS:
        compare = _COMPARISONS[name[:-1]]
        return lambda x, y: compare(x, y) | (x != x) | (y != y)
    raise unknown(step, f".{name}")


_COMBINE = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


@builds("setp")
def _setp(decoder: Decoder, step: Instruction) -> Step:
    kind, (name, *rest) = type_of(step), step.words[1:-1]
    ftz = "ftz" in rest
    rest = [word for word in rest if word != "ftz"]
    if len(rest) > 1 or (rest and rest[0] not in _COMBINE):
        raise unknown(step)
    compare = comparison(step, name, kind.is_float)
    target, x, y, *third = step.operands
    results = target if isinstance(target, Pair) else Pair(target, "_")
    put, put_not = (decoder.write(name, TYPES["pred"]) for name in results)
    read_x, read_y = decoder.read(x, kind), decoder.read(y, kind)
    read_third = decoder.read(third[0], TYPES["pred"]) if third else None

    def run(frame: Any, active: Any) -> None:
        a, b = read_x(frame, active), read_y(frame, active)
        if ftz:
            a, b = flush(a), flush(b)
        true = compare(a, b)
        false = np.logical_not(true)
        if read_third is not None:
            combine, other = _COMBINE[rest[0]], read_third(frame, active)
            true, false = combine(true, other), combine(false, other)
        put(frame, active, true)
        put_not(frame, active, false)

    return run


@builds("set")
def _set(decoder: Decoder, step: Instruction) -> Step:
    """A comparison as a number: all bits or 1.0 where it holds."""
    name, *rest = step.words[1:-2]
    if any(word != "ftz" for word in rest):
        raise unknown(step)
    kind, to = type_of(step), type_of(step, -2)
    compare = comparison(step, name, kind.is_float)
    put, read_x, read_y = decoder.write(step.operands[0], to), *(decoder.read(o, kind) for o in step.operands[1:])
    yes = np.float32(1) if to.is_float else to.dtype.type(-1 if to.kind == "s" else (1 << to.bits) - 1)
    ready = flush if rest else lambda x: x

    def run(frame: Any, active: Any) -> None:
        true = compare(ready(read_x(frame, active)), ready(read_y(frame, active)))
        put(frame, active, np.where(true, yes, type(yes)(0)))

    return run
