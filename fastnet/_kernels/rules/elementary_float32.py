"""Elementary functions in float32; ``elementary.py`` says how they are written and how exact they are."""

import math

from fastnet._kernels.rules.primitives import (
    at_least,
    at_most,
    copysign,
    exponent,
    fabs,
    floor,
    fma,
    mantissa,
    pow2,
    product,
    rint,
    scale,
    select,
)

LOG2_E = 1.4426950216293335
LOG10_E = 0.4342944819032518
LOG10_2_HIGH = 0.301025390625  # fourteen bits: n * LOG10_2_HIGH is exact
LOG10_2_LOW = 4.605038981195214e-06
LN2_HIGH = 0.693359375  # ten bits: n * LN2_HIGH is exact
LN2_LOW = -2.1219444170128554e-04
OVERFLOW = 89.0  # exp is inf from here on
UNDERFLOW = -104.0  # and 0 below


def exp_tail_float32(r):
    """(e^r - 1 - r) / r² for |r| <= ln(2) / 2, within 3e-9 of e^r."""
    p = fma(1.3950702268630266e-3, r, 8.368954062461853e-3)
    p = fma(p, r, 4.166620224714279e-2)
    p = fma(p, r, 1.66665181517601e-1)
    return fma(p, r, 0.5)


def exp_of_sum_float32(x, low):
    """e^(x + low) with a low part of a few units in x's last place."""
    x = at_least(at_most(x, OVERFLOW), UNDERFLOW)
    n = rint(x * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x)) + low
    p = fma(r * r, exp_tail_float32(r), r) + 1
    return scale(p, n)


def exp_float32(x):
    return exp_of_sum_float32(x, -0.0)  # adding -0 changes nothing


def expm1_float32(x):
    z = at_least(at_most(x, OVERFLOW), -18)
    n = rint(z * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, z))
    p = fma(r * r, exp_tail_float32(r), r)
    half = pow2(n - 1)  # half the scale, since twice the largest power is out of range
    y = fma(half, p, half - 0.5)
    return x if fabs(x) < 1e-10 else y + y


def log1p_cubic_float32(f):
    """(log(1 + f) - f + f²/2) / f³ for sqrt(1/2) <= 1 + f <= sqrt(2)."""
    f2 = f * f
    even = fma(0.12885861098766327, f2, 0.14180698990821838)
    even = fma(even, f2, 0.20002302527427673)
    even = fma(even, f2, 0.33333316445350647)
    odd = fma(-0.07859960198402405, f2, -0.13130444288253784)
    odd = fma(odd, f2, -0.1662435084581375)
    odd = fma(odd, f2, -0.25000816583633423)
    return fma(odd, f, even)


def log1p_reduced_float32(f):
    """log(1 + f)."""
    return fma(f * f, fma(log1p_cubic_float32(f), f, -0.5), f)


def log1p_remainder_float32(f):
    """log(1 + f) - f + f²/2."""
    return f * f * f * log1p_cubic_float32(f)


def log_float32(x):
    subnormal = x < 1.1754943508222875e-38
    v = x * 33554432 if subnormal else x
    e = exponent(v) - (25 if subnormal else 0)
    y = fma(e, LN2_HIGH, fma(e, LN2_LOW, log1p_reduced_float32(mantissa(v) - 1)))
    y = x if x == math.inf else y
    outside = -math.inf if x == 0 else math.nan
    return y if x > 0 else outside


def log1p_float32(x):
    e = exponent(1 + x)
    s = pow2(2 - e)
    # (1 + x) / 2^e - 1, rounded once; the quarter keeps s within range
    f = fma(0.25 * x, s, product(0.25, s) - 1)
    y = fma(e, LN2_HIGH, fma(e, LN2_LOW, log1p_reduced_float32(f)))
    y = x if x == math.inf else y
    y = x if fabs(x) < 1e-10 else y
    outside = -math.inf if x == -1 else math.nan
    return y if x > -1 else outside


def tanh_float32(x):
    """A polynomial below 0.55, then 1 - 2 / (e^2|x| + 1)."""
    u = x * x
    q = fma(-0.006278722546994686, u, 0.021075274795293808)
    q = fma(q, u, -0.05385329946875572)
    q = fma(q, u, 0.1333259642124176)
    q = fma(q, u, -0.33333316445350647)
    near = fma(x * u, q, x)
    a = at_most(2 * fabs(x), 19)
    n = rint(a * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, a))
    p = fma(r * r, exp_tail_float32(r), r)
    s = pow2(n)
    far = 1 - 2 / fma(s, p, s + 1)
    return copysign(select(fabs(x) < 0.55, near, far), x)


def erf_float32(x):
    """A polynomial below 1, then 1 - e^L with L a polynomial for log(erfc)."""
    u = x * x
    u2 = u * u
    even = fma(7.889119297033176e-5, u2, 5.189536605030298e-3)
    even = fma(even, u2, 1.1283600330352783e-1)
    even = fma(even, u2, 1.2837916612625122e-1)
    odd = fma(-8.020845707505941e-4, u2, -2.6854446157813072e-2)
    odd = fma(odd, u2, -3.761262595653534e-1)
    p = fma(odd, u, even)
    near = fma(x, p, x)
    a = fabs(x)
    b = at_most(a, 4)
    b2 = b * b
    even = fma(4.413271672092378e-4, b2, 2.520812302827835e-2)
    even = fma(even, b2, -6.332200765609741e-1)
    even = fma(even, b2, 1.8801548867486417e-4)
    odd = fma(-2.1686100808437914e-5, b2, -4.2045144364237785e-3)
    odd = fma(odd, b2, -1.0841836035251617e-1)
    odd = fma(odd, b2, -1.1295783519744873)
    q = fma(odd, b, even)
    n = rint(q * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, q))
    e = fma(r * r, exp_tail_float32(r), r) + 1
    far = copysign(fma(-pow2(n), e, 1), x)
    return select(a < 1, near, far)


def quarter_turn_float32(x):
    """Remainder of x by pi / 2, within ± pi / 4, and the quotient; NaN beyond 1e5, where they grow inexact."""
    n = rint(x * 0.6366197466850281)
    r = fma(n, -1.5703125, x)
    r = fma(n, -4.837512969970703e-4, r)
    r = fma(n, -7.549790126404332e-08, r)
    r = fma(n, 1.7151245100058819e-15, r)
    return r if fabs(x) <= 1e5 else math.nan, n


def sine_of_quarter_float32(r, n):
    """sin(r + n pi / 2)."""
    u = r * r
    s = fma(-1.9513517327141017e-4, u, 8.332150988280773e-3)
    s = fma(s, u, -1.6666655242443085e-1)
    s = fma(r * u, s, r)
    c = fma(2.4434226361336187e-5, u, -1.3887331588193774e-3)
    c = fma(c, u, 4.166664555668831e-2)
    c = fma(u * u, c, fma(-0.5, u, 1))
    odd = n - product(2, floor(0.5 * n))
    upper = 0.5 * n - floor(0.25 * n) * 2
    y = select(odd == 0, s, c)
    return -y if upper >= 1 else y


def sin_float32(x):
    r, n = quarter_turn_float32(x)
    y = sine_of_quarter_float32(r, n)
    return x if fabs(x) < 1e-10 else y


def cos_float32(x):
    r, n = quarter_turn_float32(x)
    return sine_of_quarter_float32(r, n + 1)


def log_pair_float32(x):
    """log(x) for x > 0 as a sum of two numbers: the terms before the cubic one are summed without rounding."""
    subnormal = x < 1.1754943508222875e-38
    v = x * 33554432 if subnormal else x
    e = exponent(v) - (25 if subnormal else 0)
    f = mantissa(v) - 1
    square = product(0.5 * f, f)
    square_error = fma(0.5 * f, f, -square)
    linear = product(e, LN2_HIGH)
    first = linear + f
    lost = f - (first - linear)
    second = first - square
    lost = lost + ((first - second) - square) - square_error
    low = lost + fma(e, LN2_LOW, log1p_remainder_float32(f))
    high = second + low
    return high, low - (high - second)


def pow_float32(x, y):
    """x^y = e^(y log|x|) with C's signs and special cases: NaN for a negative x where y is not integral."""
    a = fabs(x)
    high, low = log_pair_float32(a)
    special = -math.inf if a == 0 else a
    inside = special - special == 0
    high = high if inside else special
    p = product(y, high)
    p_low = fma(y, high, -p) + product(y, low)
    p_low = p_low if fabs(p) < 200 else 0
    size = exp_of_sum_float32(p, p_low)
    size = 1 if a == 1 else size
    half = product(0.5, y)
    sign = copysign(1, x) if floor(half) != half else 1
    integral = floor(y) == y
    valid = size if integral else (math.nan if x < 0 else size)
    valid = valid if a < math.inf else size
    value = copysign(valid, sign) if integral else valid
    value = 1 if x == 1 else value
    return 1 if y == 0 else value


def log2_float32(x):
    """The exponent and the logarithm of the mantissa: a power of 2 is exact."""
    subnormal = x < 1.1754943508222875e-38
    v = x * 33554432 if subnormal else x
    e = exponent(v) - (25 if subnormal else 0)
    y = fma(log1p_reduced_float32(mantissa(v) - 1), LOG2_E, e)
    y = x if x == math.inf else y
    outside = -math.inf if x == 0 else math.nan
    return y if x > 0 else outside


def log10_float32(x):
    subnormal = x < 1.1754943508222875e-38
    v = x * 33554432 if subnormal else x
    e = exponent(v) - (25 if subnormal else 0)
    y = fma(log1p_reduced_float32(mantissa(v) - 1), LOG10_E, product(e, LOG10_2_LOW))
    y = fma(e, LOG10_2_HIGH, y)
    y = x if x == math.inf else y
    outside = -math.inf if x == 0 else math.nan
    return y if x > 0 else outside


def atan_float32(x):
    """A polynomial below tan(pi / 8); above, of (a - 1) / (a + 1) or of -1 / a, added to pi / 4 or pi / 2."""
    a = fabs(x)
    middle = a > 0.4142135679721832
    large = a > 2.4142136573791504
    z = select(large, -1 / a, select(middle, (a - 1) / (a + 1), a))
    u = z * z
    q = fma(-0.06449835224591496, u, 0.1074309966767457)
    q = fma(q, u, -0.14263897112598676)
    q = fma(q, u, 0.1999953879477192)
    q = fma(q, u, -0.3333333175381682)
    y = fma(z * u, q, z)
    y = select(large, y + 1.5707963267948966, select(middle, y + 0.7853981633974483, y))
    return copysign(y, x)
