"""Arithmetic of floating-point numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.testing.ptx.exact import canonical, flush, fma32, fma64, fma_odd, saturate
from fastnet.testing.ptx.faults import Fault
from fastnet.testing.ptx.instructions import Step, builds, flags, type_of, unknown
from fastnet.testing.ptx.integers import simple
from fastnet.testing.ptx.text import Instruction
from fastnet.testing.ptx.types import TYPES, Type

if TYPE_CHECKING:
    from fastnet.testing.ptx.program import Decoder

_DIRECTED = ("rz", "rm", "rp")


def _words(step: Instruction, allowed: str) -> set[str]:
    for word in step.words[1:-1]:
        if word in ("approx", "full"):
            raise Fault(f"{'.'.join(step.words)} is an approximation, whose bits differ between GPUs: write .rn")
        if word in _DIRECTED:
            raise Fault(f"{'.'.join(step.words)}: the machine rounds arithmetic to the nearest number only: write .rn")
    return flags(step, allowed)


def _arithmetic(decoder: Decoder, step: Instruction, compute: Callable[..., Any], allowed: str) -> Step:
    """A step with the modifiers .ftz and .sat; the NaN that it computes is the GPU's."""
    kind, words = type_of(step), _words(step, allowed)
    finish = [f for word, f in (("ftz", flush), ("sat", saturate)) if word in words]
    finish += [canonical] if kind.bits == 32 else []

    def run(*values: Any) -> Any:
        if "ftz" in words:
            values = tuple(flush(value) for value in values)
        result = compute(*values)
        for f in finish:
            result = f(result)
        return result

    return simple(decoder, step, kind, run)


_PLAIN: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "sqrt": np.sqrt,
    "rcp": lambda x: x.dtype.type(1) / x,
}


@builds("add sub mul", "float")
def _add(decoder: Decoder, step: Instruction) -> Step:
    return _arithmetic(decoder, step, _PLAIN[step.opcode], "rn ftz sat")


@builds("div sqrt rcp", "float")
def _div(decoder: Decoder, step: Instruction) -> Step:
    if "rn" not in step.words and not {"approx", "full", *_DIRECTED} & set(step.words):
        raise unknown(step)
    return _arithmetic(decoder, step, _PLAIN[step.opcode], "rn ftz")


@builds("rsqrt ex2 lg2 sin cos tanh")
def _approximation(decoder: Decoder, step: Instruction) -> Step:
    raise Fault(f"{'.'.join(step.words)} is an approximation, whose bits differ between GPUs: write it as a formula")


def fused(kind: Type) -> Callable[[Any, Any, Any], Any]:
    """a * b + c with one rounding. A result of half precision is narrowed when the register is written."""
    return {32: fma32, 64: fma64}.get(kind.bits, fma_odd)


@builds("fma mad", "float")
def _fma(decoder: Decoder, step: Instruction) -> Step:
    return _arithmetic(decoder, step, fused(type_of(step)), "rn ftz sat")


def _extreme(is_min: bool, keep_nan: bool) -> Callable[[Any, Any], Any]:
    """The smaller or the larger number: -0 is smaller than 0, and NaN loses, or wins with .NaN."""
    choose = np.fmin if is_min else np.fmax

    def compute(x: Any, y: Any) -> Any:
        result = choose(x, y)
        if (equal := x == y).any():  # zeros of both signs
            bits = f"u{result.dtype.itemsize}"
            u, v = np.asarray(x).view(bits), np.asarray(y).view(bits)
            result = np.where(equal, (u | v if is_min else u & v).view(result.dtype), result)
        if keep_nan:
            result = np.where((x != x) | (y != y), np.asarray(np.nan, result.dtype), result)
        return result

    return compute


@builds("min max", "float")
def _min(decoder: Decoder, step: Instruction) -> Step:
    compute = _extreme(step.opcode == "min", "NaN" in step.words)
    return _arithmetic(decoder, step, compute, "ftz NaN")


@builds("neg abs", "float")
def _sign(decoder: Decoder, step: Instruction) -> Step:
    """Only the sign's bit changes, also that of NaN."""
    words, kind = flags(step, "ftz"), type_of(step)
    raw, sign = kind.raw, kind.raw.dtype.type(1 << (kind.bits - 1))
    change = (lambda x: x ^ sign) if step.opcode == "neg" else (lambda x: x & ~sign)
    if "ftz" not in words:
        return simple(decoder, step, raw, change)
    return simple(decoder, step, kind, lambda x: change(np.asarray(flush(x)).view(raw.dtype)).view(kind.dtype))


@builds("copysign")
def _copysign(decoder: Decoder, step: Instruction) -> Step:
    """The second operand with the sign of the first."""
    flags(step, "")
    raw = type_of(step).raw
    sign = raw.dtype.type(1 << (raw.bits - 1))
    return simple(decoder, step, raw, lambda x, y: (y & ~sign) | (x & sign))


@builds("testp")
def _testp(decoder: Decoder, step: Instruction) -> Step:
    kind, name = type_of(step), step.words[1]
    tests: dict[str, Callable[[Any], Any]] = {
        "finite": np.isfinite,
        "infinite": np.isinf,
        "number": lambda x: x == x,
        "notanumber": np.isnan,
        "normal": lambda x: np.isfinite(x) & (np.abs(x) >= np.finfo(x.dtype).tiny),
        "subnormal": lambda x: (np.abs(x) < np.finfo(x.dtype).tiny) & (x != 0),
    }
    if name not in tests:
        raise unknown(step)
    put, read, test = decoder.write(step.operands[0], TYPES["pred"]), decoder.read(step.operands[1], kind), tests[name]
    return lambda frame, active: put(frame, active, test(read(frame, active)))
