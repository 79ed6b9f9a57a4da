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
)

LOG2_E = 1.4426950216293335
LN2_HIGH = 0.693359375  # ten bits: n * LN2_HIGH is exact
LN2_LOW = -2.1219444170128554e-04
LARGE = 89.0  # exp is inf from here on
SMALL = -104.0  # and 0 below


def exp_tail_float32(r):
    """(e^r - 1 - r) / r² for |r| <= ln(2) / 2, within 3e-9 of e^r."""
    p = fma(1.3950702268630266e-3, r, 8.368954062461853e-3)
    p = fma(p, r, 4.166620224714279e-2)
    p = fma(p, r, 1.66665181517601e-1)
    return fma(p, r, 0.5)


def exp_float32(x):
    x = at_least(at_most(x, LARGE), SMALL)
    n = rint(x * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x))
    p = fma(r * r, exp_tail_float32(r), r) + 1
    return scale(p, n)


def expm1_float32(x):
    z = at_least(at_most(x, LARGE), -18)
    n = rint(z * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, z))
    p = fma(r * r, exp_tail_float32(r), r)
    half = pow2(n - 1)  # half the scale, since 2^128 is out of range
    y = fma(half, p, half - 0.5)
    return x if fabs(x) < 1e-10 else y + y


def log1p_reduced_float32(f):
    """log(1 + f) for sqrt(1/2) <= 1 + f <= sqrt(2)."""
    p = fma(-0.07859960198402405, f, 0.12885861098766327)
    p = fma(p, f, -0.13130444288253784)
    p = fma(p, f, 0.14180698990821838)
    p = fma(p, f, -0.1662435084581375)
    p = fma(p, f, 0.20002302527427673)
    p = fma(p, f, -0.25000816583633423)
    p = fma(p, f, 0.33333316445350647)
    return fma(f * f, fma(p, f, -0.5), f)


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
    """-t / (t + 2) with t = e^(-2|x|) - 1, which keeps its relative precision near 0."""
    a = at_least(-2 * fabs(x), -18.5)
    n = rint(a * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, a))
    p = fma(r * r, exp_tail_float32(r), r)
    s = pow2(n)
    t = fma(s, p, s - 1)
    return copysign(t / (t + 2), x)


def erf_float32(x):
    """A polynomial below 1, then 1 - e^L with L a polynomial for log(erfc)."""
    u = x * x
    p = fma(7.889119297033176e-5, u, -8.020845707505941e-4)
    p = fma(p, u, 5.189536605030298e-3)
    p = fma(p, u, -2.6854446157813072e-2)
    p = fma(p, u, 1.1283600330352783e-1)
    p = fma(p, u, -3.761262595653534e-1)
    p = fma(p, u, 1.2837916612625122e-1)
    near = fma(x, p, x)
    a = fabs(x)
    b = at_most(a, 4)
    q = fma(-2.1686100808437914e-5, b, 4.413271672092378e-4)
    q = fma(q, b, -4.2045144364237785e-3)
    q = fma(q, b, 2.520812302827835e-2)
    q = fma(q, b, -1.0841836035251617e-1)
    q = fma(q, b, -6.332200765609741e-1)
    q = fma(q, b, -1.1295783519744873)
    q = fma(q, b, 1.8801548867486417e-4)
    n = rint(q * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, q))
    e = fma(r * r, exp_tail_float32(r), r) + 1
    far = copysign(fma(-pow2(n), e, 1), x)
    return near if a < 1 else far


def quarter_turn_float32(x):
    """Remainder of x by pi / 2, within ± pi / 4, and the quotient.  NaN beyond 1e5, where the quotient grows inexact."""
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
    y = s if odd == 0 else c
    return -y if upper >= 1 else y


def sin_float32(x):
    r, n = quarter_turn_float32(x)
    y = sine_of_quarter_float32(r, n)
    return x if fabs(x) < 1e-10 else y


def cos_float32(x):
    r, n = quarter_turn_float32(x)
    return sine_of_quarter_float32(r, n + 1)
