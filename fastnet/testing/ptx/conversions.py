"""Conversions between types."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.testing.ptx.exact import bf16_bits, bf16_values, canonical, flush, saturate
from fastnet.testing.ptx.instructions import Step, builds, flags, type_of, unknown
from fastnet.testing.ptx.text import Instruction
from fastnet.testing.ptx.types import TYPES, Type

if TYPE_CHECKING:
    from fastnet.testing.ptx.program import Decoder

_TO_INTEGER = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}
_MODES = "rn rz rm rp rni rzi rmi rpi ftz sat relu satfinite"


@builds("cvt")
def _cvt(decoder: Decoder, step: Instruction) -> Step:
    if step.words[-2] in ("f16x2", "bf16x2"):
        return _pack_halves(decoder, step)
    if step.words[-2] == "tf32":
        return _round_to_tf32(decoder, step)
    words, to, source = flags(step, _MODES, types=2), type_of(step, -2), type_of(step)
    if to.kind == "bf" and words & {"rm", "rp"}:
        raise unknown(step)
    if words & {"relu", "satfinite"}:
        raise unknown(step)
    convert = _conversion(to, source, words)
    put, read = decoder.write(step.operands[0], to), decoder.read(step.operands[1], source)
    if "ftz" in words and source.name == "f32":
        return lambda frame, active: put(frame, active, convert(flush(read(frame, active))))
    return lambda frame, active: put(frame, active, convert(read(frame, active)))


def _round_to_tf32(decoder: Decoder, step: Instruction) -> Step:
    """float32 with the lowest 13 bits 0: the nearest one, ties away from 0."""
    if step.words != ("cvt", "rna", "tf32", "f32"):
        raise unknown(step)
    put, read = decoder.write(step.operands[0], TYPES["u32"]), decoder.read(step.operands[1], TYPES["f32"])

    def nearest(x: Any) -> Any:
        x = np.asarray(x)
        bits = x.view(np.uint32) + np.uint32(0x1000) & np.uint32(0xFFFFE000)
        return np.where(np.isnan(x), np.uint32(0x7FFFFFFF), bits)

    return lambda frame, active: put(frame, active, nearest(read(frame, active)))


def _pack_halves(decoder: Decoder, step: Instruction) -> Step:
    """Two numbers of float32 as halves of a register, the first one in the upper half."""
    words = flags(step, "rn rz", types=2)
    half = TYPES[step.words[-2][:-2]]
    convert = _to_float(half, TYPES["f32"], words)
    put = decoder.write(step.operands[0], TYPES["u32"])
    high, low = (decoder.read(operand, TYPES["f32"]) for operand in step.operands[1:])

    def bits(x: Any) -> Any:
        values = convert(np.asarray(x))
        values = bf16_bits(values) if half.kind == "bf" else canonical(values.astype(np.float16)).view(np.uint16)
        return values.astype(np.uint32)

    return lambda frame, active: put(
        frame, active, bits(high(frame, active)) << np.uint32(16) | bits(low(frame, active))
    )


def _conversion(to: Type, source: Type, words: set[str]) -> Callable[[Any], Any]:
    if to.is_float:
        convert = _to_float(to, source, words)
        if "sat" in words:
            return lambda x: saturate(convert(x))
        if "ftz" in words and to.name == "f32":
            return lambda x: flush(convert(x))
        return convert
    if source.is_float:
        return _float_to_integer(to, source, words)
    if "sat" in words:
        low, high = np.iinfo(to.dtype).min, np.iinfo(to.dtype).max
        return lambda x: _clamp_integer(x, low, high).astype(to.dtype)
    return lambda x: x.astype(to.dtype)


def _clamp_integer(x: Any, low: int, high: int) -> Any:
    limits = np.iinfo(x.dtype)
    return np.clip(x, x.dtype.type(max(low, limits.min)), x.dtype.type(min(high, limits.max)))


def _float_to_integer(to: Type, source: Type, words: set[str]) -> Callable[[Any], Any]:
    """Values out of range become the nearest number of the type. NaN becomes 0, or 2^63 where 64 bits take part."""
    mode = next((word for word in words if word in _TO_INTEGER), None)
    limits = np.iinfo(to.dtype)
    nan = 1 << (to.bits - 1) if 64 in (to.bits, source.bits) else 0
    nan_value = np.asarray(nan, f"u{to.bytes}").view(to.dtype)[()]
    top = float(2 ** (to.bits - (to.kind == "s")))  # the first number that is too large

    def convert(x: Any) -> Any:
        x = np.asarray(x, np.float64)
        whole = _TO_INTEGER[mode](x) if mode else x
        inside = (whole > float(limits.min) - 1 if to.bits < 64 else whole >= float(limits.min)) & (whole < top)
        result = np.where(inside, whole, 0).astype(to.dtype)
        result = np.where(whole >= top, to.dtype.type(limits.max), result)
        result = np.where(~inside & (whole < 0), to.dtype.type(limits.min), result)
        return np.where(np.isnan(x), nan_value, result)

    return convert


def _to_float(to: Type, source: Type, words: set[str]) -> Callable[[Any], Any]:
    """To half precision the result is wider: writing the register narrows it, with one rounding in all."""
    mode = next((word for word in ("rz", "rm", "rp") if word in words), "rn")
    whole = next((_TO_INTEGER[word] for word in words if word in _TO_INTEGER), None)
    if whole is not None:
        return lambda x: canonical(whole(x))
    if mode != "rn":
        return _directed(to, source, mode)
    if to.bits >= 32:
        return lambda x: canonical(x.astype(to.dtype))
    if source.is_float:
        return lambda x: x
    if source.bits == 64:
        return _integer_to_odd
    return lambda x: x.astype(np.float64)


def _integer_to_odd(x: Any) -> Any:
    """An integer of 64 bits in float64 rounded to odd."""
    value = x.astype(np.float64)
    top = float(2 ** (64 if x.dtype.kind == "u" else 63))
    back = np.where(value < top, value, 0).astype(x.dtype)
    inexact = (back != x) | (value >= top)
    larger = (value >= top) | (back > x)
    bits = value.view(np.int64) - np.where(larger & inexact, np.where(value < 0, -1, 1), 0)
    return np.where(inexact, bits | 1, bits).view(np.float64)


def _directed(to: Type, source: Type, mode: str) -> Callable[[Any], Any]:
    """Rounding toward 0, down or up: the nearest number, and one step back where that went too far."""

    def convert(x: Any) -> Any:
        x = x if source.bits == 64 else np.asarray(x, np.float64)
        near = bf16_values(bf16_bits(x.astype(np.float64))) if to.kind == "bf" else x.astype(to.dtype)
        below, above = _sides(near.astype(np.float64), x)
        wrong = {"rz": above & (near > 0) | below & (near < 0), "rm": above, "rp": below}[mode]
        if to.kind == "bf":  # which PTX rounds toward 0 only
            back = (near.view(np.uint32) - np.uint32(0x10000)).view(np.float32)
        else:
            back = np.nextafter(near, to.dtype.type({"rz": 0, "rm": -np.inf, "rp": np.inf}[mode]))
        return canonical(np.where(wrong, back, near))

    return convert


def _sides(near: Any, x: Any) -> tuple[Any, Any]:
    """Where the nearest number is below or above the value, which may be an integer of 64 bits."""
    if x.dtype.kind == "f":
        return near < x, near > x
    exact = np.array([int(v) if np.isfinite(v) else 1 << 64 for v in near.ravel()], object).reshape(near.shape)
    given = x.astype(object)
    return (exact < given) | (near == -np.inf), (exact > given) & (near != -np.inf)
