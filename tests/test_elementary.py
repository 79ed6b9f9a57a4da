"""Elementary functions, primitives and random numbers of rules, compiled and plain, against mpmath."""

# ruff: noqa: F821, UP037  (templates are read as text)
from __future__ import annotations

import ctypes
import functools
import math
import platform
import re

import mpmath
import numpy as np
import pytest

from fastnet._kernels import compile as compiler
from fastnet._kernels.generate import Kernel
from fastnet._kernels.kinds import read, rule, write, write_int32
from fastnet._kernels.rules import elementary, primitives
from fastnet._kernels.rules.philox import normal_pair, philox, philox_word
from fastnet._kernels.rules.primitives import at_least, at_most, exponent, fma, mantissa, pow2, product, rint, scale
from fastnet._kernels.template import template
from fastnet._kernels.templates import elementwise
from fastnet.engine.plan import Plan

# name: (units in the last place in float32, in float64, smallest and largest argument of the dense points)
FUNCTIONS = {
    "exp": (1.5, 2, -80, 80),
    "expm1": (2.5, 2, -15, 80),
    "log": (1.5, 2, 1e-3, 40),
    "log1p": (2.5, 2, -0.999, 40),
    "tanh": (2.5, 2, -12, 12),
    "erf": (2.5, 4, -6, 6),
    "sin": (2, 2, -1e4, 1e4),
    "cos": (2, 2, -1e4, 1e4),
    "log2": (2.5, 2.5, 1e-3, 40),
    "log10": (2.5, 2.5, 1e-3, 40),
    "atan": (3, 3, -40, 40),
}
#: Functions that are made of others, each a rule of any dtype.
DERIVED = {
    "sinh": (5, 5, -80, 80),
    "cosh": (4, 4, -80, 80),
    "tan": (5, 5, -1e4, 1e4),
    "asin": (5, 5, -1, 1),
    "acos": (5, 5, -1, 1),
    "asinh": (4, 4, -1e9, 1e9),
    "acosh": (4, 4, 1, 1e9),
    "atanh": (4, 4, -1, 1),
}
ALL = FUNCTIONS | DERIVED
DTYPES = ("float32", "float64")
CASES = [(name, dtype) for name in FUNCTIONS for dtype in DTYPES]
ALL_CASES = [(name, dtype) for name in ALL for dtype in DTYPES]


def exp_(x):
    return math.exp(x)


def expm1_(x):
    return math.expm1(x)


def log_(x):
    return math.log(x)


def log1p_(x):
    return math.log1p(x)


def tanh_(x):
    return math.tanh(x)


def erf_(x):
    return math.erf(x)


def sin_(x):
    return math.sin(x)


def cos_(x):
    return math.cos(x)


def log2_(x):
    return math.log2(x)


def log10_(x):
    return np.log10(x)


def atan_(x):
    return math.atan(x)


def sinh_(x):
    return math.sinh(x)


def cosh_(x):
    return np.cosh(x)


def tan_(x):
    return math.tan(x)


def asin_(x):
    return np.arcsin(x)


def acos_(x):
    return math.acos(x)


def asinh_(x):
    return math.asinh(x)


def acosh_(x):
    return math.acosh(x)


def atanh_(x):
    return np.arctanh(x)


def power(x, y):
    return math.pow(x, y)


def angle(x, y):
    return math.atan2(x, y)


RULES = {"exp": exp_, "expm1": expm1_, "log": log_, "log1p": log1p_}
RULES |= {"tanh": tanh_, "erf": erf_, "sin": sin_, "cos": cos_, "log2": log2_, "log10": log10_, "atan": atan_}
RULES |= {"sinh": sinh_, "cosh": cosh_, "tan": tan_, "asin": asin_, "acos": acos_}
RULES |= {"asinh": asinh_, "acosh": acosh_, "atanh": atanh_}


@template("n")
def binary(f: rule, x: read["n"], z: read["n"], y: write["n"], lo, hi):
    for i in range(lo, hi):
        y[i] = f(x[i], z[i])


@template("n")
def pairs(f: rule, u: read["n"], v: read["n"], y: write["n"], z: write["n"], lo, hi):
    for i in range(lo, hi):
        y[i], z[i] = f(u[i], v[i])


@template("n")
def blocks(y: write_int32["n"], lo, hi):
    for g in range(lo, hi):
        a, b, c, d = philox(uint32(g), uint32(0), uint32(5), uint32(9), uint32(123), uint32(77))
        y[4 * g] = int32(a)
        y[4 * g + 1] = int32(b)
        y[4 * g + 2] = int32(c)
        y[4 * g + 3] = int32(d)


@template("n")
def words(y: write_int32["n"], lo, hi):
    for i in range(lo, hi):
        y[i] = int32(philox_word(uint32(i), uint32(5), uint32(9), uint32(123), uint32(77)))


def call(source, *arrays, extent=None):
    """Run a kernel on whole arrays."""
    address = compiler.load(source)
    kernel = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)(address)
    bases = np.zeros(8, np.int64)
    args = np.array([a.ctypes.data << 3 for a in arrays], np.int64)
    kernel(bases.ctypes.data, args.ctypes.data, 0, 0, len(arrays[0]) if extent is None else extent)


def source(rule, dtype):
    plan = Plan(False, dtype, 1)
    return plan.call(elementwise.apply, f=rule, x=plan.buffer((3,)), y=plan.buffer((3,)), p=()).kernel.source()


def compiled(rule, x):
    y = np.full_like(x, 77)
    call(source(rule, str(x.dtype)), x, y)
    return y


def units_off(value, argument, name):
    """Distance from the true value in units of the last place of the value's type."""
    function = {"log2": lambda x: mpmath.log(x, 2)}.get(name) or getattr(mpmath, name)
    exact = function(*[mpmath.mpf(float(a)) for a in np.atleast_1d(argument)])
    # the type's own rounding of the exact value: mpmath -> float64 -> float32 moves it by at most 2^-29 of a unit
    unit = np.spacing(np.abs(type(value)(float(exact))))
    return float(abs(mpmath.mpf(float(value)) - exact) / mpmath.mpf(float(unit)))


def dense(name, dtype):
    """Points that are even over the range, even over the exponents, and next to where a formula changes."""
    low, high = ALL[name][2:]
    rng = np.random.default_rng(1)
    tiny = np.exp(rng.uniform(-80, 0, 400))
    signs = 1 if name in ("log", "log2", "log10") else rng.choice([-0.999, 1], 400)
    edges = np.array([0.55, 1, 2**0.5, 0.5**0.5, math.log(2) / 2, math.log(2) * 1.5, math.pi / 4, math.pi, 4])
    near = (edges[:, None] * (1 + np.arange(-4, 5) * 1e-7)).ravel()
    x = np.concatenate([rng.uniform(low, high, 1500), tiny * signs, near]).astype(dtype)
    return x[(x >= low) & (x <= high) | (np.abs(x) < 1e-3) & (x > 0) & (low < 1)]


@pytest.mark.parametrize("name, dtype", ALL_CASES)
def test_precision(name, dtype):
    x = dense(name, dtype)
    with mpmath.workdps(40):
        worst = max(units_off(v, a, name) for v, a in zip(compiled(RULES[name], x), x))
    assert worst <= ALL[name][dtype == "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_ends_of_the_range(dtype):
    """Zeros with their sign, denormals, the largest numbers, infinities and NaN, as C and numpy have them."""
    info = np.finfo(dtype)
    x = np.array([0, info.smallest_subnormal, info.tiny / 3, info.tiny, 1, 1e4, info.max, np.inf], dtype)
    x = np.concatenate([x, -x, [np.array(np.nan, dtype)]]).astype(dtype)
    for name in (
        "exp",
        "expm1",
        "log",
        "log1p",
        "tanh",
        "erf",
        "log2",
        "log10",
        "sinh",
        "cosh",
        "atan",
        "asin",
        "acos",
        "asinh",
        "acosh",
        "atanh",
    ):
        y = compiled(RULES[name], x)
        with np.errstate(all="ignore"):
            if name == "erf":
                expected = np.array([math.erf(v) for v in x.astype(np.float64)]).astype(dtype)
            else:
                expected = getattr(np, name.replace("a", "arc", 1) if name[0] == "a" else name)(
                    x.astype(np.longdouble)
                ).astype(dtype)
        np.testing.assert_allclose(y, expected, rtol=4 * info.eps, atol=0, err_msg=name)
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(y)[known], np.signbit(expected)[known], err_msg=name)


def whole(x):
    return math.ceil(x) + 10 * math.trunc(x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ceil_and_trunc(dtype):
    x = np.array([-2, -1.5, -0.5, -0.0, 0, 0.5, 1, 1.5, 1e9, np.inf, -np.inf, np.nan], dtype)
    y = compiled(whole, x)
    np.testing.assert_array_equal(y, np.ceil(x) + 10 * np.trunc(x))
    np.testing.assert_array_equal(np.signbit(y)[:-1], np.signbit(np.ceil(x) + 10 * np.trunc(x))[:-1])


@pytest.mark.parametrize("dtype, first_inf, last", [("float32", 88.7229, 88.7228), ("float64", 709.782713, 709.782712)])
def test_exp_overflows_and_underflows_where_it_must(dtype, first_inf, last):
    x = np.array([first_inf, last, -103.9 if dtype == "float32" else -745.1, -104 if dtype == "float32" else -745.2])
    y = compiled(exp_, x.astype(dtype))
    assert np.isinf(y[0])
    assert np.isfinite(y[1])
    assert y[2] == np.finfo(dtype).smallest_subnormal  # gradual, not flushed
    assert y[3] == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_sine_beyond_its_range_is_nan(dtype):
    """Where the quotient by pi / 2 is no longer exact, an honest NaN is better than noise."""
    limit = 1e5 if dtype == "float32" else 1e6
    x = np.array([limit, -limit, limit * 1.01, np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-40], dtype)
    y = compiled(sin_, x)
    assert np.isfinite(y[:2]).all()
    assert np.isnan(y[2:6]).all()
    np.testing.assert_array_equal(y[6:], x[6:])
    assert np.signbit(y[7])


@pytest.mark.parametrize("name, dtype", CASES)
def test_the_same_bits_at_every_place(name, dtype):
    """In the vector body, in its tail, alone, and whatever the neighbours are."""
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(size=60) * 3, [0, np.inf, -np.inf, np.nan, 1e-40, -700, 700]]).astype(dtype)
    bits = f"u{x.itemsize}"
    together = compiled(RULES[name], x).view(bits)
    alone = np.concatenate([compiled(RULES[name], x[i : i + 1].copy()) for i in range(len(x))]).view(bits)
    np.testing.assert_array_equal(together, alone)
    for shift in range(1, 9):
        np.testing.assert_array_equal(compiled(RULES[name], x[shift:].copy()).view(bits), together[shift:])


@pytest.mark.parametrize("name, dtype", CASES)
def test_plain_python_computes_the_same(name, dtype):
    rule = getattr(elementary, f"{name}_{dtype}")
    x = dense(name, dtype)[::100].copy()
    with np.errstate(all="ignore"):
        plain = np.array([rule(v) for v in x], np.float64)
    # two units: constants have twice the precision in plain Python, and some CPUs have no fused multiply-add
    np.testing.assert_allclose(plain, compiled(RULES[name], x), rtol=3 * np.finfo(dtype).eps)


def assembly(rule, dtype):
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("looks at x86 instructions")
    return compiler.assembly(source(rule, dtype))


@pytest.mark.parametrize("name", [*ALL, "pow"])
def test_float32_has_no_double_instruction(name):
    if name == "pow":
        text = compiler.assembly(Kernel(binary, (("f", power),), "float32").source())
    else:
        text = assembly(RULES[name], "float32")
    assert not re.findall(r"\b\w*(?:add|sub|mul|div|sqrt|max|min|cvt\w*2|round)[sp]d\b", text)
    assert re.search(r"\b\w*(?:mul|add)ps\b", text), "the loop is not vectorised"


@pytest.mark.parametrize("name, dtype", ALL_CASES)
def test_nothing_is_called(name, dtype):
    assert not re.findall(r"\bcallq?\s+.*", assembly(RULES[name], dtype))


def general_power(x, z):
    y = np.empty_like(x)
    call(Kernel(binary, (("f", power),), str(x.dtype)).source(), x, z, y)
    return y


def lost(x):
    return fma(x, x, -product(x, x))


@functools.cache
def fused(dtype):
    """Whether the CPU that kernels are compiled for has a fused multiply-add."""
    return compiled(lost, np.array([1 / 3], dtype))[0] != 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_pow_is_close(dtype):
    """Three units while |y log x| < 10; the error of the logarithm grows with it, to 40 at the ends of the range.

    Without a fused multiply-add the low half of y log x is lost, and with it as many units as y log x is large.
    """
    rng = np.random.default_rng(3)
    x = np.exp(rng.normal(size=1500) * rng.choice([0.01, 1, 5], 1500)).astype(dtype)
    z = (rng.uniform(-80, 80, 1500) * rng.choice([1, 0.1, 0.01], 1500) / np.log(x.astype(float))).astype(dtype)
    y = general_power(x, z)
    with mpmath.workdps(60):
        off = np.array([units_off(v, (a, b), "power") for v, a, b in zip(y, x, z)])
    size = np.abs(z * np.log(x.astype(np.float64)))
    spare = 0 if fused(dtype) else size
    assert (off - spare)[size < 10].max() <= 3
    assert (off - spare).max() <= 40


@pytest.mark.parametrize("dtype", DTYPES)
def test_pow_follows_c(dtype):
    points = [0.0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, np.inf, -np.inf, np.nan, 1e-40, 1e30, -1e30, 2.5, -2.5, 1e20]
    x, z = (np.ascontiguousarray(g.ravel()) for g in np.meshgrid(*[np.array(points, dtype)] * 2))
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(np.longdouble), z.astype(np.longdouble)).astype(dtype)
    y = general_power(x, z)
    np.testing.assert_allclose(y, expected, rtol=(60 if fused(dtype) else 800) * np.finfo(dtype).eps, atol=0)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(y)[known], np.signbit(expected)[known])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_angle_of_a_point(dtype):
    """C's special cases, and every direction; three units."""
    info = np.finfo(dtype)
    points = [0.0, -0.0, 1, -1, 2.5, -3, np.inf, -np.inf, np.nan, info.tiny, info.max, 1e-30, -1e-30]
    x, z = (np.ascontiguousarray(g.ravel()) for g in np.meshgrid(*[np.array(points, dtype)] * 2))
    rng = np.random.default_rng(6)
    for left, right in ((x, z), tuple(rng.normal(size=(2, 500)).astype(dtype))):
        y = np.empty_like(left)
        call(Kernel(binary, (("f", angle),), dtype).source(), left, right, y)
        expected = np.arctan2(left.astype(np.longdouble), right.astype(np.longdouble)).astype(dtype)
        # Beyond this a quotient is subnormal, and rounded as such.
        np.testing.assert_allclose(y, expected, rtol=3 * info.eps, atol=2 * info.smallest_subnormal)
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(y)[known], np.signbit(expected)[known])


def larger(x, y):
    return np.maximum(x, y)


def smaller(x, y):
    return np.minimum(x, y)


def chosen(x, y):
    return np.where(x > y, x * y, np.square(y))


def limited(x, y):
    return np.clip(x, -1.0, 2.0) + np.sign(y)


def classified(x, y):
    return (1.0 if math.isnan(x) else 0.0) + (2.0 if np.isinf(y) else 0.0) + (4.0 if math.isfinite(x) else 0.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", [larger, smaller, chosen, limited, classified])
def test_functions_of_numpy_keep_nan(rule, dtype):
    points = [0.0, 1, -1, 2.5, -3, np.inf, -np.inf, np.nan]
    x, z = (np.ascontiguousarray(g.ravel()) for g in np.meshgrid(*[np.array(points, dtype)] * 2))
    y = np.empty_like(x)
    call(Kernel(binary, (("f", rule),), dtype).source(), x, z, y)
    with np.errstate(invalid="ignore"):
        expected = [rule(*each) for each in zip(x.tolist(), z.tolist(), strict=True)]
    np.testing.assert_array_equal(y, np.array(expected, dtype))


# ---- primitives ----------------------------------------------------------------------------------------------------


def rounded(x):
    return rint(x)


def halved(x):
    return scale(x, -2)


def split(x):
    return mantissa(x) * pow2(exponent(x)) if mantissa(x) < 1.4143 else 0


def clamped(x):
    return at_least(at_most(x, 2), -1)


def residue(x):
    return fma(x, x, -2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", [rounded, halved, clamped, split, residue])
def test_primitives_compiled_and_plain(rule, dtype):
    info = np.finfo(dtype)
    x = np.array([0.5, 1.5, 2.5, 1, 2, 3.7, 1e-3, 1e6, 0.7071067, 0.7071068, info.tiny * 3, info.tiny], dtype)
    if rule is not split:
        x = np.concatenate([x, -x, [np.nan, np.inf]]).astype(dtype)
    with np.errstate(all="ignore"):
        plain = np.array([rule(v) for v in x], dtype)
    np.testing.assert_allclose(compiled(rule, x), plain, rtol=0 if rule is not residue else info.eps, atol=info.eps)


def test_every_primitive_is_documented_and_has_compiled_code():
    from fastnet._kernels import intrinsics

    for name in primitives.NAMES:
        assert getattr(primitives, name).__doc__
        assert callable(getattr(intrinsics, name))


def test_scale_reaches_denormals_with_one_rounding():
    x = np.array([1.0, 1.5, 1.9999999], np.float32)
    with np.errstate(all="ignore"):
        expected = np.ldexp(x, -149)
    np.testing.assert_array_equal(compiled(to_the_smallest, x), expected)


def to_the_smallest(x):
    return scale(x, -149)


# ---- random numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "counter, key, answer",
    [  # Random123's known answers
        ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_known_answers(counter, key, answer):
    got = philox(*map(np.uint32, [*counter, *key]))
    assert " ".join(f"{int(w):08x}" for w in got) == answer


def test_philox_compiled_is_philox_plain_and_a_word_is_its_block_s():
    y = np.zeros(4 * 37, np.uint32)
    call(Kernel(blocks, ()).source(), y, extent=37)
    expected = [philox(*map(np.uint32, [g, 0, 5, 9, 123, 77])) for g in range(37)]
    np.testing.assert_array_equal(y, np.array(expected).ravel())
    z = np.zeros(4 * 37 - 3, np.uint32)
    call(Kernel(words, ()).source(), z)
    np.testing.assert_array_equal(z, y[:-3])


def test_uniform_numbers_stay_within_zero_and_one():
    top = np.uint32(0xFFFFFFFF)
    assert primitives.unit_float32(np.uint32(0)) == 0
    assert primitives.unit_float32(top) == np.float32(1 - 2.0**-24)
    assert primitives.unit_float64(top, top) == 1 - 2.0**-53
    assert primitives.unit_float64(np.uint32(1 << 5), np.uint32(0)) == 2.0**-27


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_numbers(dtype):
    n = 1 << 16
    rng = np.random.default_rng(4)
    u, v = (np.floor(rng.random(n) * 2**24) / 2**24).astype(dtype), rng.random(n).astype(dtype)
    u[:3] = 0, 1 - 2.0**-24, 0.5
    y, z = np.empty_like(u), np.empty_like(u)
    call(Kernel(pairs, (("f", normal_pair),), dtype).source(), u, v, y, z)
    radius = np.sqrt(-2 * np.log1p(-u.astype(np.float64)))
    expected = radius * np.cos(2 * np.pi * v.astype(np.float64))
    # the angle is rounded: up to 2 pi times half a unit of it, times a radius of at most 5.8
    np.testing.assert_allclose(y, expected, rtol=0, atol=30 * np.finfo(dtype).eps)
    both = np.concatenate([y, z])
    # four standard errors
    assert abs(both.mean()) < 4 / math.sqrt(2 * n)
    assert abs(both.var() - 1) < 4 * math.sqrt(2 / (2 * n))
    assert abs(np.mean(y * z)) < 4 / math.sqrt(n)
