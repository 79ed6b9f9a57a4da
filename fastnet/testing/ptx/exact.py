"""Floating-point operations with the bits of a GPU: fused multiply-adds, NaN, subnormals, rounding."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

NAN: dict[np.dtype, Any] = {  # what single and half precision give for every NaN; double precision keeps the payload
    np.dtype(np.float32): np.uint32(0x7FFFFFFF).view(np.float32),
    np.dtype(np.float16): np.uint16(0x7FFF).view(np.float16),
}
_TINY = np.float32(2.0**-126)


def canonical(x: Any) -> Any:
    """Every NaN of float32 and float16 becomes the one that a GPU computes."""
    wrong = x != x
    if x.dtype in NAN and wrong.any():
        return np.where(wrong, NAN[x.dtype], x)
    return x


def flush(x: Any) -> Any:
    """Subnormal numbers of float32 become 0 with their sign (.ftz)."""
    tiny = np.abs(x) < _TINY
    return np.where(tiny, np.copysign(np.float32(0), x), x) if tiny.any() else x


def saturate(x: Any) -> Any:
    """.sat: between 0 and 1; NaN becomes 0."""
    return np.where(x > 0, np.minimum(x, x.dtype.type(1)), x.dtype.type(0))


def bf16_values(bits: Any) -> Any:
    """bfloat16 as float32."""
    return (np.asarray(bits).astype(np.uint32) << np.uint32(16)).view(np.float32)


def bf16_bits(x: Any) -> Any:
    """float32 or float64 to the nearest bfloat16, ties to even."""
    x = np.asarray(x)
    single = to_odd(x) if x.dtype == np.float64 else x.astype(np.float32)
    bits = single.view(np.uint32)
    rounded = ((bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(single), np.uint16(0x7FFF), rounded)


def to_odd(x: Any) -> Any:
    """float64 to float32 rounded to odd: another rounding to fewer bits then gives what one alone would give."""
    single = x.astype(np.float32)
    error = x - single
    toward_zero = np.where(
        (error != 0) & (np.signbit(error) != np.signbit(x)), np.nextafter(single, np.float32(0)), single
    )
    bits = toward_zero.astype(np.float32).view(np.uint32)
    inexact = (error != 0) & np.isfinite(x)
    return np.where(inexact, bits | np.uint32(1), bits).view(np.float32)


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """a + b exactly, as the nearest number and what is left (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _odd_sum(a: Any, b: Any) -> Any:
    """a + b in float64 rounded to odd."""
    s, error = _two_sum(a, b)
    bits = np.asarray(s).view(np.int64)
    inexact = (error != 0) & np.isfinite(error) & ((bits & 1) == 0)
    if not inexact.any():
        return s
    step = np.where((error > 0) == (s > 0), 1, -1)
    return (bits + np.where(inexact, step, 0)).view(np.float64)


def fma_odd(a: Any, b: Any, c: Any) -> Any:
    """a * b + c for numbers of at most 24 bits, in float64 rounded to odd: narrow it to get one rounding in all.

    The product is exact in float64, whose 53 bits are more than twice 24 and 2 (Boldo and Melquiond, Emulation of a
    FMA and correctly rounded sums, IEEE Transactions on Computers 57, 2008).
    """
    return _odd_sum(np.multiply(a, b, dtype=np.float64), np.asarray(c, np.float64))


def fma32(a: Any, b: Any, c: Any) -> Any:
    """a * b + c in float32 with one rounding."""
    return fma_odd(a, b, c).astype(np.float32)


def _split(a: Any) -> tuple[Any, Any]:
    t = a * 134217729.0  # 2^27 + 1: Dekker's two halves
    high = t - (t - a)
    return high, a - high


def fma64(a: Any, b: Any, c: Any) -> Any:
    """a * b + c in float64 with one rounding.

    The product is two numbers (Dekker), their sum with c is rounded to odd before the last addition (Boldo and
    Melquiond 2008). Where a part could overflow or underflow, Python's integers compute the element.
    """
    a, b, c = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64), np.asarray(c, np.float64))
    product = a * b
    size = np.abs(product)
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    low = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    t_high, t_low = _two_sum(c, low)
    v_high, v_low = _two_sum(product, t_high)
    result = v_high + _odd_sum(t_low, v_low)
    finite = np.isfinite(a) & np.isfinite(b)
    zero = (a == 0) | (b == 0)
    plain = ~finite | zero
    if plain.any():
        result = np.where(plain, product + c, result)
    alone = finite & ~np.isfinite(c)
    if alone.any():
        result = np.where(alone, c, result)
    safe = (size > 1e-270) & (size < 1e300) & (np.abs(a) < 1e290) & (np.abs(b) < 1e290) & (np.abs(c) < 1e300)
    for k in np.argwhere(~(plain | alone | safe)):
        at = tuple(k)
        result[at] = _fma_one(float(a[at]), float(b[at]), float(c[at]))
    return result


def _fma_one(a: float, b: float, c: float) -> float:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return 0.0  # a sum of two numbers of opposite signs
    try:
        return exact.numerator / exact.denominator  # Python rounds the quotient of integers correctly
    except OverflowError:
        return np.inf if exact > 0 else -np.inf
