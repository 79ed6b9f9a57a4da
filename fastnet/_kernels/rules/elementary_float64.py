"""Elementary functions in float64; ``elementary.py`` says how they are written and how exact they are."""

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

LOG2_E = 1.4426950408889634
LN2_HIGH = 0.6931471805601177  # forty bits: n * LN2_HIGH is exact
LN2_LOW = -1.7239444525614835e-13
LARGE = 710.0  # exp is inf from here on
SMALL = -746.0  # and 0 below


def exp_tail_float64(r):
    """(e^r - 1 - r) / r² for |r| <= ln(2) / 2, within 4e-18 of e^r."""
    p = fma(2.5118063280119242e-08, r, 2.7631410727246063e-07)
    p = fma(p, r, 2.7557215596269358e-06)
    p = fma(p, r, 2.480148960459021e-05)
    p = fma(p, r, 0.00019841269918268218)
    p = fma(p, r, 0.0013888888947310716)
    p = fma(p, r, 0.008333333333306743)
    p = fma(p, r, 0.04166666666651443)
    p = fma(p, r, 0.166666666666667)
    return fma(p, r, 0.5)


def exp_float64(x):
    x = at_least(at_most(x, LARGE), SMALL)
    n = rint(x * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x))
    p = fma(r * r, exp_tail_float64(r), r) + 1
    return scale(p, n)


def expm1_float64(x):
    z = at_least(at_most(x, LARGE), -39)
    n = rint(z * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, z))
    p = fma(r * r, exp_tail_float64(r), r)
    half = pow2(n - 1)  # half the scale, since 2^128 is out of range
    y = fma(half, p, half - 0.5)
    return x if fabs(x) < 1e-300 else y + y


def log1p_reduced_float64(f):
    """log(1 + f) = f - f²/2 + s (f²/2 + R(s²)), s = f / (2 + f), for sqrt(1/2) <= 1 + f <= sqrt(2)."""
    s = f / (2 + f)
    z = s * s
    p = fma(0.14799066544203876, z, 0.15313755823959996)
    p = fma(p, z, 0.1818357515841423)
    p = fma(p, z, 0.22222198378706695)
    p = fma(p, z, 0.28571428744138166)
    p = fma(p, z, 0.3999999999940751)
    p = fma(p, z, 0.6666666666666735)
    half_square = product(0.5 * f, f)
    return fma(s, fma(z, p, half_square), -half_square) + f


def log_float64(x):
    subnormal = x < 2.2250738585072014e-308
    v = x * 18014398509481984 if subnormal else x
    e = exponent(v) - (54 if subnormal else 0)
    y = fma(e, LN2_HIGH, fma(e, LN2_LOW, log1p_reduced_float64(mantissa(v) - 1)))
    y = x if x == math.inf else y
    outside = -math.inf if x == 0 else math.nan
    return y if x > 0 else outside


def log1p_float64(x):
    e = exponent(1 + x)
    s = pow2(2 - e)
    # (1 + x) / 2^e - 1, rounded once; the quarter keeps s within range
    f = fma(0.25 * x, s, product(0.25, s) - 1)
    y = fma(e, LN2_HIGH, fma(e, LN2_LOW, log1p_reduced_float64(f)))
    y = x if x == math.inf else y
    y = x if fabs(x) < 1e-300 else y
    outside = -math.inf if x == -1 else math.nan
    return y if x > -1 else outside


def tanh_float64(x):
    """-t / (t + 2) with t = e^(-2|x|) - 1, which keeps its relative precision near 0."""
    a = at_least(-2 * fabs(x), -40)
    n = rint(a * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, a))
    p = fma(r * r, exp_tail_float64(r), r)
    s = pow2(n)
    t = fma(s, p, s - 1)
    return copysign(t / (t + 2), x)


def erf_float64(x):
    """A polynomial below 1, then 1 - e^L with L a polynomial for log(erfc)."""
    u = x * x
    p = fma(-7.801188874097751e-10, u, 1.3722976265924504e-08)
    p = fma(p, u, -1.6209175911748696e-07)
    p = fma(p, u, 1.6447517677871873e-06)
    p = fma(p, u, -1.4924744663335489e-05)
    p = fma(p, u, 0.00012055295320494294)
    p = fma(p, u, -0.0008548325989696758)
    p = fma(p, u, 0.005223977607423468)
    p = fma(p, u, -0.02686617064327622)
    p = fma(p, u, 0.11283791670945253)
    p = fma(p, u, -0.3761263890318355)
    p = fma(p, u, 0.12837916709551256)
    near = fma(x, p, x)
    a = fabs(x)
    b = at_most(a, 6)
    q = fma(-1.6061210883267602e-13, b, 8.191518231370731e-12)
    q = fma(q, b, -1.963493548382608e-10)
    q = fma(q, b, 2.940366922965298e-09)
    q = fma(q, b, -3.0825344299096244e-08)
    q = fma(q, b, 2.399662091829705e-07)
    q = fma(q, b, -1.4327769062985996e-06)
    q = fma(q, b, 6.65520290687457e-06)
    q = fma(q, b, -2.3928437976138628e-05)
    q = fma(q, b, 6.400844951691681e-05)
    q = fma(q, b, -0.000109526588500941)
    q = fma(q, b, 2.0393066991872488e-05)
    q = fma(q, b, 0.00055390429350361)
    q = fma(q, b, -0.0016759782217358676)
    q = fma(q, b, 0.00020264615678414219)
    q = fma(q, b, 0.01912813516346954)
    q = fma(q, b, -0.10277099832866816)
    q = fma(q, b, -0.6366206300114008)
    q = fma(q, b, -1.1283789456389444)
    q = fma(q, b, -2.415520204493715e-08)
    n = rint(q * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, q))
    e = fma(r * r, exp_tail_float64(r), r) + 1
    far = copysign(fma(-pow2(n), e, 1), x)
    return near if a < 1 else far


def quarter_turn_float64(x):
    """Remainder of x by pi / 2, within ± pi / 4, and the quotient.  NaN beyond 1e6, where the quotient grows inexact."""
    n = rint(x * 0.6366197723675814)
    r = fma(n, -1.5707963267341256, x)
    r = fma(n, -6.077100506303966e-11, r)
    r = fma(n, -2.0222662487959506e-21, r)
    return r if fabs(x) <= 1e6 else math.nan, n


def sine_of_quarter_float64(r, n):
    """sin(r + n pi / 2)."""
    u = r * r
    s = fma(1.5894930325342417e-10, u, -2.5050726839672958e-08)
    s = fma(s, u, 2.755731349846011e-06)
    s = fma(s, u, -0.00019841269829270084)
    s = fma(s, u, 0.00833333333332177)
    s = fma(s, u, -0.1666666666666663)
    s = fma(r * u, s, r)
    c = fma(-1.1358377743566582e-11, u, 2.0875699487857142e-09)
    c = fma(c, u, -2.75573141832987e-07)
    c = fma(c, u, 2.480158728891965e-05)
    c = fma(c, u, -0.0013888888888873264)
    c = fma(c, u, 0.041666666666666595)
    c = fma(u * u, c, fma(-0.5, u, 1))
    odd = n - product(2, floor(0.5 * n))
    upper = 0.5 * n - floor(0.25 * n) * 2
    y = s if odd == 0 else c
    return -y if upper >= 1 else y


def sin_float64(x):
    r, n = quarter_turn_float64(x)
    y = sine_of_quarter_float64(r, n)
    return x if fabs(x) < 1e-300 else y


def cos_float64(x):
    r, n = quarter_turn_float64(x)
    return sine_of_quarter_float64(r, n + 1)
