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
    select,
)

LOG2_E = 1.4426950408889634
LOG10_E = 0.4342944819032518
LOG10_2_HIGH = 0.301029995663157  # forty bits: n * LOG10_2_HIGH is exact
LOG10_2_LOW = 8.241712586023572e-13
LN2_HIGH = 0.6931471805601177  # forty bits: n * LN2_HIGH is exact
LN2_LOW = -1.7239444525614835e-13
OVERFLOW = 710.0  # exp is inf from here on
UNDERFLOW = -746.0  # and 0 below


def exp_tail_float64(r):
    """(e^r - 1 - r) / r² for |r| <= ln(2) / 2, within 6e-20 of e^r."""
    r2 = r * r
    even = fma(2.0926961739227602e-09, r2, 2.75572332832475e-07)
    even = fma(even, r2, 2.480158737384446e-05)
    even = fma(even, r2, 0.0013888888888858395)
    even = fma(even, r2, 0.04166666666666673)
    even = fma(even, r2, 0.5)
    odd = fma(2.5112348072234254e-08, r2, 2.755723393176562e-06)
    odd = fma(odd, r2, 0.0001984126989735797)
    odd = fma(odd, r2, 0.008333333333316621)
    odd = fma(odd, r2, 0.16666666666666685)
    return fma(odd, r, even)


def exp_of_sum_float64(x, low):
    """e^(x + low) with a low part of a few units in x's last place."""
    x = at_least(at_most(x, OVERFLOW), UNDERFLOW)
    n = rint(x * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, x)) + low
    p = fma(r * r, exp_tail_float64(r), r) + 1
    return scale(p, n)


def exp_float64(x):
    return exp_of_sum_float64(x, -0.0)  # adding -0 changes nothing


def expm1_float64(x):
    z = at_least(at_most(x, OVERFLOW), -39)
    n = rint(z * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, z))
    p = fma(r * r, exp_tail_float64(r), r)
    half = pow2(n - 1)  # half the scale, since twice the largest power is out of range
    y = fma(half, p, half - 0.5)
    return x if fabs(x) < 1e-300 else y + y


def log1p_remainder_float64(f):
    """log(1 + f) - f + f²/2 = s (f²/2 + R(s²)) with s = f / (2 + f), for sqrt(1/2) <= 1 + f <= sqrt(2)."""
    s = f / (2 + f)
    z = s * s
    z2 = z * z
    even = fma(0.14799066544203876, z2, 0.1818357515841423)
    even = fma(even, z2, 0.28571428744138166)
    even = fma(even, z2, 0.6666666666666735)
    odd = fma(0.15313755823959996, z2, 0.22222198378706695)
    odd = fma(odd, z2, 0.3999999999940751)
    p = fma(odd, z, even)
    return s * fma(z, p, product(0.5 * f, f))


def log1p_reduced_float64(f):
    """log(1 + f)."""
    return fma(-0.5 * f, f, log1p_remainder_float64(f)) + f


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
    """A polynomial below 0.55, then 1 - 2 / (e^2|x| + 1)."""
    u = x * x
    u2 = u * u
    even = fma(-0.0002103247442144936, u2, -0.0014532237581992731)
    even = fma(even, u2, -0.008863194753741)
    even = fma(even, u2, -0.05396825387715527)
    even = fma(even, u2, -0.3333333333333233)
    odd = fma(5.1033430164298324e-05, u2, 0.0005791540714729303)
    odd = fma(odd, u2, 0.003591721394984396)
    odd = fma(odd, u2, 0.02186948599670552)
    odd = fma(odd, u2, 0.13333333333171277)
    q = fma(odd, u, even)
    near = fma(x * u, q, x)
    a = at_most(2 * fabs(x), 41)
    n = rint(a * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, a))
    p = fma(r * r, exp_tail_float64(r), r)
    s = pow2(n)
    far = 1 - 2 / fma(s, p, s + 1)
    return copysign(select(fabs(x) < 0.55, near, far), x)


def erf_float64(x):
    """A polynomial below 1, then 1 - e^L with L a polynomial for log(erfc)."""
    u = x * x
    u2 = u * u
    even = fma(1.3722976265924504e-08, u2, 1.6447517677871873e-06)
    even = fma(even, u2, 0.00012055295320494294)
    even = fma(even, u2, 0.005223977607423468)
    even = fma(even, u2, 0.11283791670945253)
    even = fma(even, u2, 0.12837916709551256)
    odd = fma(-7.801188874097751e-10, u2, -1.6209175911748696e-07)
    odd = fma(odd, u2, -1.4924744663335489e-05)
    odd = fma(odd, u2, -0.0008548325989696758)
    odd = fma(odd, u2, -0.02686617064327622)
    odd = fma(odd, u2, -0.3761263890318355)
    p = fma(odd, u, even)
    near = fma(x, p, x)
    a = fabs(x)
    b = at_most(a, 6)
    b2 = b * b
    even = fma(8.191518231370731e-12, b2, 2.940366922965298e-09)
    even = fma(even, b2, 2.399662091829705e-07)
    even = fma(even, b2, 6.65520290687457e-06)
    even = fma(even, b2, 6.400844951691681e-05)
    even = fma(even, b2, 2.0393066991872488e-05)
    even = fma(even, b2, -0.0016759782217358676)
    even = fma(even, b2, 0.01912813516346954)
    even = fma(even, b2, -0.6366206300114008)
    even = fma(even, b2, -2.415520204493715e-08)
    odd = fma(-1.6061210883267602e-13, b2, -1.963493548382608e-10)
    odd = fma(odd, b2, -3.0825344299096244e-08)
    odd = fma(odd, b2, -1.4327769062985996e-06)
    odd = fma(odd, b2, -2.3928437976138628e-05)
    odd = fma(odd, b2, -0.000109526588500941)
    odd = fma(odd, b2, 0.00055390429350361)
    odd = fma(odd, b2, 0.00020264615678414219)
    odd = fma(odd, b2, -0.10277099832866816)
    odd = fma(odd, b2, -1.1283789456389444)
    q = fma(odd, b, even)
    n = rint(q * LOG2_E)
    r = fma(n, -LN2_LOW, fma(n, -LN2_HIGH, q))
    e = fma(r * r, exp_tail_float64(r), r) + 1
    far = copysign(fma(-pow2(n), e, 1), x)
    return select(a < 1, near, far)


def quarter_turn_float64(x):
    """Remainder of x by pi / 2, within ± pi / 4, and the quotient; NaN beyond 1e6, where they grow inexact."""
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
    y = select(odd == 0, s, c)
    return -y if upper >= 1 else y


def sin_float64(x):
    r, n = quarter_turn_float64(x)
    y = sine_of_quarter_float64(r, n)
    return x if fabs(x) < 1e-300 else y


def cos_float64(x):
    r, n = quarter_turn_float64(x)
    return sine_of_quarter_float64(r, n + 1)


def log_pair_float64(x):
    """log(x) for x > 0 as a sum of two numbers: the terms before the cubic one are summed without rounding."""
    subnormal = x < 2.2250738585072014e-308
    v = x * 18014398509481984 if subnormal else x
    e = exponent(v) - (54 if subnormal else 0)
    f = mantissa(v) - 1
    square = product(0.5 * f, f)
    square_error = fma(0.5 * f, f, -square)
    linear = product(e, LN2_HIGH)
    first = linear + f
    lost = f - (first - linear)
    second = first - square
    lost = lost + ((first - second) - square) - square_error
    low = lost + fma(e, LN2_LOW, log1p_remainder_float64(f))
    high = second + low
    return high, low - (high - second)


def pow_float64(x, y):
    """x^y = e^(y log|x|) with C's signs and special cases: NaN for a negative x where y is not integral."""
    a = fabs(x)
    high, low = log_pair_float64(a)
    special = -math.inf if a == 0 else a
    inside = special - special == 0
    high = high if inside else special
    p = product(y, high)
    p_low = fma(y, high, -p) + product(y, low)
    p_low = p_low if fabs(p) < 1500 else 0
    size = exp_of_sum_float64(p, p_low)
    size = 1 if a == 1 else size
    half = product(0.5, y)
    sign = copysign(1, x) if floor(half) != half else 1
    integral = floor(y) == y
    valid = size if integral else (math.nan if x < 0 else size)
    valid = valid if a < math.inf else size
    value = copysign(valid, sign) if integral else valid
    value = 1 if x == 1 else value
    return 1 if y == 0 else value


def log2_float64(x):
    """The exponent and the logarithm of the mantissa: a power of 2 is exact."""
    subnormal = x < 2.2250738585072014e-308
    v = x * 18014398509481984 if subnormal else x
    e = exponent(v) - (54 if subnormal else 0)
    y = fma(log1p_reduced_float64(mantissa(v) - 1), LOG2_E, e)
    y = x if x == math.inf else y
    outside = -math.inf if x == 0 else math.nan
    return y if x > 0 else outside


def log10_float64(x):
    subnormal = x < 2.2250738585072014e-308
    v = x * 18014398509481984 if subnormal else x
    e = exponent(v) - (54 if subnormal else 0)
    y = fma(log1p_reduced_float64(mantissa(v) - 1), LOG10_E, product(e, LOG10_2_LOW))
    y = fma(e, LOG10_2_HIGH, y)
    y = x if x == math.inf else y
    outside = -math.inf if x == 0 else math.nan
    return y if x > 0 else outside


def atan_float64(x):
    """A polynomial below tan(pi / 8); above, of (a - 1) / (a + 1) or of -1 / a, added to pi / 4 or pi / 2."""
    a = fabs(x)
    middle = a > 0.4142135623730951
    large = a > 2.414213562373095
    z = select(large, -1 / a, select(middle, (a - 1) / (a + 1), a))
    u = z * z
    u2 = u * u
    odd = fma(0.01627194475162406, u2, 0.04551108126325172)
    odd = fma(odd, u2, 0.05878914544400622)
    odd = fma(odd, u2, 0.07692296304974471)
    odd = fma(odd, u2, 0.11111111105106706)
    odd = fma(odd, u2, 0.19999999999999804)
    even = fma(-0.0345580925514138, u2, -0.05230347873016074)
    even = fma(even, u2, -0.06666423628069258)
    even = fma(even, u2, -0.09090908751076636)
    even = fma(even, u2, -0.14285714285659327)
    even = fma(even, u2, -0.3333333333333333)
    y = fma(z * u, fma(odd, u, even), z)
    # pi / 2 and pi / 4 with what float64 rounds away of them
    y = select(large, (y + 6.123233995736766e-17) + 1.5707963267948966, y)
    y = select(middle and not large, (y + 3.061616997868383e-17) + 0.7853981633974483, y)
    return copysign(y, x)
