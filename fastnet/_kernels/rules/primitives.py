"""Functions for rules, besides arithmetic, comparisons and other rules: plain scalar definitions.

Compiled code takes the functions of the same names in ``fastnet/_kernels/intrinsics.py``, which emit one or a few LLVM
instructions each. The definitions here say what they compute, and let a rule run in plain Python. All of them keep NaN.
They do not read memory, and LLVM does not contract them with other operations: a value is therefore the same whether or
not LLVM vectorised the loop.

Float primitives work on float32 and float64 alike; every argument has the same type, and so has the result.  The
``u32`` primitives exist because Python's operators promote uint32 to 64 bits in compiled code, which halves the vector
width.
"""

import math

import numpy as np

NAMES = [
    "fma",
    "product",
    "sqrt",
    "floor",
    "rint",
    "fabs",
    "copysign",
    "select",
    "at_most",
    "at_least",
    "pow2",
    "scale",
    "exponent",
    "mantissa",
    "float_bits",
    "bits_float",
    "add_u32",
    "mul_u32",
    "mul_high_u32",
    "xor_u32",
    "and_u32",
    "shift_right_u32",
    "unit_float32",
    "unit_float64",
]

_INT = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}
_FLOAT = {np.dtype(np.int32): np.float32, np.dtype(np.int64): np.float64}
_MANTISSA_BITS = {np.dtype(np.float32): 23, np.dtype(np.float64): 52}


def _typed(x):
    return x if isinstance(x, np.floating) else np.float64(x)


def fma(a, b, c):
    """``a * b + c`` rounded once where the CPU has the instruction, else twice."""
    with np.errstate(all="ignore"):
        twice = _typed(a * b + c)
    if not math.isfinite(twice):
        return twice
    from fractions import Fraction  # takes 2 ms, and rules seldom run in Python

    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    return type(twice)(float(exact)) if exact else twice


def product(a, b):
    """``a * b``, never contracted: ``product(a, b) + c`` rounds twice on every CPU."""
    return a * b


def sqrt(x):
    """Square root; NaN below zero."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(x)


def floor(x):
    """Largest integral float not above ``x``."""
    return np.floor(x)


def rint(x):
    """Nearest integral float, halves to even."""
    return np.rint(x)


def fabs(x):
    """Absolute value."""
    return np.fabs(x)


def copysign(x, sign):
    """Magnitude of ``x`` with the sign bit of ``sign``."""
    return np.copysign(x, sign)


def select(condition, a, b):
    """``a if condition else b`` with both sides computed, so that no branch stands in the way of vectorisation."""
    return a if condition else b


def at_most(x, limit):
    """``limit if x > limit else x``: NaN stays.  One instruction, where LLVM makes three of two nested conditionals."""
    return limit if x > limit else x


def at_least(x, limit):
    """``limit if x < limit else x``: NaN stays."""
    return limit if x < limit else x


def pow2(n):
    """``2**n`` for integral ``n`` with a normal result; what lies outside is not an error, and not a power."""
    return np.ldexp(type(n)(1), int(n)) if math.isfinite(n) else n


def scale(x, n):
    """``x * 2**n`` for integral ``n`` within twice the normal range, rounded once for ``abs(x)`` near 1."""
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(x, int(n)) if math.isfinite(n) else x * n


def exponent(x):
    """Integral float ``e`` with ``x = mantissa(x) * 2**e``, for normal positive ``x``."""
    mantissa_bits = _MANTISSA_BITS[x.dtype]
    return type(x)((int(float_bits(x)) - _root_half_bits(x)) >> mantissa_bits)


def mantissa(x):
    """``x / 2**exponent(x)``, within ``[sqrt(1/2), sqrt(2))``, for normal positive ``x``."""
    fraction = (int(float_bits(x)) - _root_half_bits(x)) & ((1 << _MANTISSA_BITS[x.dtype]) - 1)
    return bits_float(_INT[x.dtype](fraction + _root_half_bits(x)))


def _root_half_bits(x):
    return int(float_bits(type(x)(math.sqrt(0.5))))


def float_bits(x):
    """Bits of a float as a signed integer of the same width."""
    return x.view(_INT[x.dtype])


def bits_float(bits):
    """Float whose bits are the int32 or int64 ``bits``."""
    return bits.view(_FLOAT[bits.dtype])


def add_u32(a, b):
    """``(a + b) mod 2**32``."""
    return np.uint32((int(a) + int(b)) & 0xFFFFFFFF)


def mul_u32(a, b):
    """Low half of the 64-bit product."""
    return np.uint32((int(a) * int(b)) & 0xFFFFFFFF)


def mul_high_u32(a, b):
    """High half of the 64-bit product."""
    return np.uint32((int(a) * int(b)) >> 32)


def xor_u32(a, b):
    """Bitwise exclusive or."""
    return np.uint32(int(a) ^ int(b))


def and_u32(a, b):
    """Bitwise and."""
    return np.uint32(int(a) & int(b))


def shift_right_u32(a, n):
    """``a >> n`` with ``0 <= n < 32``."""
    return np.uint32(int(a) >> int(n))


def unit_float32(bits):
    """float32 in [0, 1) from the upper 24 bits of a uint32: ``(bits >> 8) * 2**-24``."""
    return np.float32(int(bits) >> 8) * np.float32(2.0**-24)


def unit_float64(high, low):
    """float64 in [0, 1) from 53 bits of two uint32: ``((high >> 5) * 2**26 + (low >> 6)) * 2**-53``."""
    return np.float64((int(high) >> 5) * 2**26 + (int(low) >> 6)) * np.float64(2.0**-53)
