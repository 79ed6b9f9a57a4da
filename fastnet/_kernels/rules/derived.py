"""Functions for rules that are made of others: ``math.sinh`` or ``numpy.maximum`` in a rule becomes one of these.

They are rules as users write them, of any dtype. All of them keep NaN.
"""

import math

from fastnet._kernels.rules.primitives import copysign, fabs, select

PI = 3.141592653589793
LOG_2 = 0.6931471805599453
LARGE = 1e8  # from where on sqrt(x² + 1) is x in float64 too
FAR = 40.0  # where the smaller of e^x and e^-x no longer counts, and neither overflows


def sinh(x):
    """From e^x - 1, which keeps the digits of a small x; beyond `FAR` from e^(x / 2), which does not overflow."""
    a = fabs(x)
    e = math.expm1(a)
    half = math.exp(0.5 * a)
    return copysign(select(a < FAR, 0.5 * (e + e / (e + 1)), 0.5 * half * half), x)


def cosh(x):
    a = fabs(x)
    e = math.exp(a)
    half = math.exp(0.5 * a)
    return select(a < FAR, 0.5 * (e + 1 / e), 0.5 * half * half)


def tan(x):
    return math.sin(x) / math.cos(x)


def asin(x):
    """The angle of the sine x and the cosine sqrt(1 - x²); NaN outside of -1 to 1."""
    return math.atan(x / math.sqrt((1 - x) * (1 + x)))


def acos(x):
    """By the tangent of half the angle."""
    return 2 * math.atan(math.sqrt((1 - x) / (1 + x)))


def asinh(x):
    """From log1p, which keeps the digits of a small x; beyond `LARGE` from log 2x, since x² overflows."""
    a = fabs(x)
    near = math.log1p(a + a * a / (1 + math.sqrt(a * a + 1)))
    return copysign(select(a < LARGE, near, math.log(a) + LOG_2), x)


def acosh(x):
    """NaN below 1."""
    t = x - 1
    return select(x < LARGE, math.log1p(t + math.sqrt(t) * math.sqrt(t + 2)), math.log(x) + LOG_2)


def atanh(x):
    """NaN outside of -1 to 1."""
    a = fabs(x)
    return copysign(0.5 * math.log1p(2 * a / (1 - a)), x)


def ceil(x):
    return -math.floor(-x)


def trunc(x):
    """``x`` without its fraction."""
    return copysign(math.floor(fabs(x)), x)


def atan2(y, x):
    """The angle of the point (x, y), with C's signs and special cases."""
    a, b = fabs(y), fabs(x)
    steep = a > b
    small, large = select(steep, b, a), select(steep, a, b)
    ratio = small if large == 0 else (1 if small == large else small / large)
    angle = math.atan(ratio)
    angle = select(steep, 0.5 * PI - angle, angle)
    angle = PI - angle if copysign(1, x) < 0 else angle
    return copysign(angle, y)


def atan2_by_y(y, x):
    return x / (x * x + y * y)


def atan2_by_x(y, x):
    return -y / (x * x + y * y)


def maximum(x, y):
    return x if x > y or x != x else y


def minimum(x, y):
    return x if x < y or x != x else y


def clip(x, low, high):
    """``x``, at least ``low`` and at most ``high``."""
    return low if x < low else (high if x > high else x)


def sign(x):
    """-1, 0 or 1."""
    return 1 if x > 0 else (-1 if x < 0 else x)


def square(x):
    return x * x


#: Names in `math` and `numpy` → the rules. Those of numpy that have another name in `math` follow.
FUNCTIONS = {
    f.__name__: f
    for f in (
        sinh, cosh, tan, asin, acos, asinh, acosh, atanh, atan2, maximum, minimum, clip, sign, square, ceil, trunc
    )
}  # fmt: skip
ALIASES = {
    "abs": "fabs",
    "absolute": "fabs",
    "power": "pow",
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "tan2", "sinh", "cosh", "tanh")},
}
#: Derivatives that differentiation would not find, or would write less well.
GRADIENTS = {atan2: {"y": atan2_by_y, "x": atan2_by_x}}
