"""Floating-point arithmetic with fractions: one rounding of the exact result, in any format and mode."""

import math
from fractions import Fraction

#: Format → digits of the significand, smallest and largest exponent of normal numbers, bits of the whole.
FORMATS = {
    "f16": (11, -14, 15, 16),
    "bf16": (8, -126, 127, 16),
    "f32": (24, -126, 127, 32),
    "f64": (53, -1022, 1023, 64),
}


def value(bits, kind):
    """The number that bits stand for, as a float (float64 holds all formats)."""
    digits, low, high, width = FORMATS[kind]
    bits, sign = int(bits) & ((1 << (width - 1)) - 1), -1.0 if int(bits) >> (width - 1) else 1.0
    exponent, fraction = bits >> (digits - 1), bits & ((1 << (digits - 1)) - 1)
    if exponent == 2 * high + 1:
        return math.nan if fraction else sign * math.inf
    if exponent == 0:
        return sign * math.ldexp(fraction, low - digits + 1)
    return sign * math.ldexp(fraction | 1 << (digits - 1), exponent - high - digits + 1)


def encode(x, kind):
    """The bits of a float that the format holds exactly; NaN is the one of GPUs."""
    digits, low, high, width = FORMATS[kind]
    if math.isnan(x):
        return (1 << (width - 1)) - 1
    sign = (math.copysign(1, x) < 0) << (width - 1)
    if math.isinf(x):
        return sign | (2 * high + 1) << (digits - 1)
    if x == 0:
        return sign
    exponent = max(math.frexp(abs(x))[1] - 1, low)
    whole = int(math.ldexp(abs(x), digits - 1 - exponent)) if exponent > low - 1 else 0
    if whole >> (digits - 1):
        return sign | (exponent + high) << (digits - 1) | whole & ((1 << (digits - 1)) - 1)
    return sign | whole


def rounded(q, kind, mode="rn"):
    """A fraction that is not 0, as the float of the format that `mode` chooses."""
    digits, low, high, _ = FORMATS[kind]
    top, bottom = abs(q.numerator), q.denominator
    exponent = top.bit_length() - bottom.bit_length()
    exponent -= top << max(-exponent, 0) < bottom << max(exponent, 0)
    unit = max(exponent, low) - digits + 1  # the last digit counts 2 ** unit
    whole, rest = divmod(top << max(-unit, 0), bottom << max(unit, 0))
    twice = 2 * rest - (bottom << max(unit, 0))
    away = mode == "rn" or mode == ("rm" if q < 0 else "rp")
    whole += rest > 0 and away and (mode != "rn" or twice > 0 or (twice == 0 and whole % 2 == 1))
    sign = -1.0 if q < 0 else 1.0
    if whole.bit_length() + unit > high + 1:
        return sign * (math.inf if away else (2 - 2.0 ** (1 - digits)) * 2.0**high)
    return sign * math.ldexp(whole, unit)  # exact: float64 holds it


def fma(a, b, c, kind, mode="rn"):
    """a · b + c of floats with one rounding."""
    if not all(math.isfinite(x) for x in (a, b, c)):
        # Only signs matter, and which are 0 or infinite.
        a, b, c = (x if x == 0 or not math.isfinite(x) else math.copysign(1, x) for x in (a, b, c))
        return a * b + c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact:
        return rounded(exact, kind, mode)
    return a * b + c if (a == 0 or b == 0) and c == 0 else 0.0


def add(a, b, kind, mode="rn"):
    return fma(1.0, a, b, kind, mode)


def multiply(a, b, kind, mode="rn"):
    """a · b; a zero keeps its sign."""
    return fma(a, b, math.copysign(0.0, math.copysign(1, a) * math.copysign(1, b)), kind, mode)


def divide(a, b, kind, mode="rn"):
    sign = math.copysign(1, a) * math.copysign(1, b)
    if math.isnan(a) or math.isnan(b) or (math.isinf(a) and math.isinf(b)) or (a == 0 and b == 0):
        return math.nan
    if math.isinf(a) or b == 0:
        return sign * math.inf
    if math.isinf(b) or a == 0:
        return sign * 0.0
    return rounded(Fraction(a) / Fraction(b), kind, mode)


def square_root(x, kind):
    if math.isnan(x) or x < 0:
        return math.nan
    if x == 0 or math.isinf(x):
        return x
    q = Fraction(x)
    scale = 1 << 600
    # The root of a scaled integer, and whether something is left, decide every rounding.
    number = q.numerator * q.denominator * scale * scale
    root = math.isqrt(number)
    exact = Fraction(root, q.denominator * scale)
    return rounded(exact + (Fraction(1, q.denominator * scale * 4) if root * root != number else 0), kind)


def flushed(x, kind="f32"):
    """Subnormal numbers become 0 with their sign."""
    return math.copysign(0.0, x) if abs(x) < 2.0 ** FORMATS[kind][1] else x
