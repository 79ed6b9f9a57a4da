"""Derivatives of rules against mpmath's numerical ones, compiled and plain, and what cannot be differentiated."""

import ctypes
import inspect
import math
import textwrap

import mpmath
import numpy as np
import pytest

from fastnet._kernels import compile as compiler
from fastnet._kernels.differentiate import derivative, derivative_rule
from fastnet._kernels.errors import DifferentiationError, RuleError
from fastnet._kernels.pasting import check_rule
from fastnet._kernels.tangents import rule_from_source
from fastnet._kernels.templates import elementwise
from fastnet.engine.plan import Plan

SLOPE = 0.3


def softplus(x):
    return x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))


def mish(x):
    return x * math.tanh(softplus(x))


def gelu(x):
    return 0.5 * x * (1 + math.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def exact_gelu(x):
    return 0.5 * x * (1 + math.erf(x * 0.7071067811865476))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def silu(x):
    return x * sigmoid(x)


def elu(x):
    return x if x > 0 else math.expm1(x)


def leaky(x):
    return SLOPE * x if x < 0 else x


def softsign(x):
    return x / (1 + abs(x))


def bent(x):
    return (math.sqrt(x * x + 1) - 1) / 2 + x


def snake(x):
    s = math.sin(1.5 * x)
    return x + s**2 / 1.5


def gaussian(x):
    return math.exp(-(x**2) / 2) * math.cos(math.pi * x)


def powers(x):
    return x**3 - 2 * x**-1 + abs(x) ** 1.5 + x**1 + x**0


def to_the_x(x):
    return 2**x + (x * x + 1) ** x


def log_cosh(x):
    return x + softplus(-2 * x) - math.log(2)


def hard_swish(x):
    if x <= -3:
        return 0
    elif x >= 3:
        return x
    return x * (x + 3) / 6


def huber_like(x):
    e = abs(x - 0.5)
    if e <= 1:
        return 0.5 * e * e
    return e - 0.5


def assignments(x):
    """Every kind of assignment, with branches that set different names."""
    a: float = x * x
    b = 3 * x
    a, b = b, a
    a *= b
    a += 1
    if x > 0:
        b -= x
        c = math.exp(-a * a)
    else:
        c = x
        a = 2
    b /= 1 + a * a
    return a * c - b


def shadowed(x):
    v1 = x * x
    d_x = math.exp(x) * v1
    x = d_x * x
    return x * v1


def loops_of_branches(x):
    y = x
    if x > -1:
        if x > 1:
            y = y * y
        else:
            y = math.sin(y)
    return -y * +x


FORMULAS = [
    softplus,
    mish,
    gelu,
    exact_gelu,
    sigmoid,
    silu,
    elu,
    leaky,
    softsign,
    bent,
    snake,
    gaussian,
    powers,
    to_the_x,
    log_cosh,
    hard_swish,
    huber_like,
    assignments,
    shadowed,
    loops_of_branches,
]
POINTS = [-7.3, -2.2, -1.1, -0.37, -0.011, 0.013, 0.41, 0.77, 1.9, 2.6, 5.1]


def exact(function):
    """The same text, computed by mpmath."""
    names = {"math": mpmath, "SLOPE": SLOPE}
    for formula in FORMULAS:
        exec(textwrap.dedent(inspect.getsource(formula)), names)
    return names[function.__name__]


def compiled(rule, x):
    y = np.empty_like(x)
    plan = Plan(False, str(x.dtype), 1)
    launch = plan.call(elementwise.apply, f=rule, x=plan.buffer((3,)), y=plan.buffer((3,)), p=())
    address = compiler.load(launch.kernel.source())
    kernel = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)(address)
    bases, args = np.zeros(8, np.int64), np.array([x.ctypes.data << 3, y.ctypes.data << 3], np.int64)
    kernel(bases.ctypes.data, args.ctypes.data, 0, 0, x.size)
    return y


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda f: f.__name__)
def test_derivative_is_the_slope(formula):
    slope = derivative_rule(formula, "x")
    with mpmath.workdps(40):
        expected = [float(mpmath.diff(exact(formula), mpmath.mpf(p))) for p in POINTS]
    # cancellation in a formula, such as 1 - tanh^2, leaves a few units of the terms' size, not of the result's
    np.testing.assert_allclose([slope(p) for p in POINTS], expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(compiled(slope, np.array(POINTS)), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("formula", [mish, snake, gaussian, bent, assignments], ids=lambda f: f.__name__)
def test_a_derivative_is_a_rule_again(formula):
    curvature = derivative_rule(derivative_rule(formula, "x"), "x")
    with mpmath.workdps(40):
        expected = [float(mpmath.diff(exact(formula), mpmath.mpf(p), 2)) for p in POINTS]
    np.testing.assert_allclose([curvature(p) for p in POINTS], expected, rtol=1e-10, atol=1e-12)


def weighted(t, p, delta, power):
    e = t - p
    return abs(e) ** power if e < delta else delta * e - math.log(1 + p * p)


@pytest.mark.parametrize("wrt", ["t", "p", "delta", "power"])
@pytest.mark.parametrize("at", [(0.3, 1.1, 0.5, 1.7), (2.0, 0.4, 0.5, 1.7), (-1.0, 0.2, 1.5, 3.0)])
def test_every_parameter(wrt, at):
    slope = derivative_rule(weighted, wrt)
    place = list(inspect.signature(weighted).parameters).index(wrt)

    def along(v):
        return weighted(*[v if i == place else a for i, a in enumerate(at)])

    h = 1e-3
    x = at[place]
    difference = (8 * (along(x + h) - along(x - h)) - (along(x + 2 * h) - along(x - 2 * h))) / (12 * h)
    assert slope(*at) == pytest.approx(difference, rel=1e-8, abs=1e-9)  # 4th order: about h^4


def test_the_text_is_short_and_keeps_the_parameters():
    def square_distance(x, y):
        return (x - y) ** 2

    assert derivative(square_distance, "y") == "def square_distance_by_y(x, y):\n    v1 = x - y\n    return -(2 * v1)\n"
    assert derivative(leaky, "x") == "def leaky_by_x(x):\n    return SLOPE if x < 0 else 1\n"
    assert derivative(hard_swish, "x").count("return") == 3


def test_what_does_not_depend_on_the_variable_is_zero():
    def constant(x, y):
        return math.exp(y) * math.floor(x)

    assert derivative(constant, "x") == "def constant_by_x(x, y):\n    return 0\n"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_branch_not_taken_does_not_spoil_the_result(dtype):
    """exp(1000) is inf, and inf / inf would be NaN."""
    x = np.array([1000, -1000, 88, -88, 0, 300, -300, 20, -20], dtype)
    np.testing.assert_allclose(compiled(derivative_rule(softplus, "x"), x)[:5], [1, 0, 1, 0, 0.5], atol=1e-30)
    np.testing.assert_allclose(compiled(derivative_rule(elu, "x"), x), np.exp(np.minimum(x, 0)), rtol=1e-6, atol=1e-40)
    assert np.isfinite(compiled(derivative_rule(mish, "x"), x)).all()


def guarded(x):
    return math.log(x) if x > 0 else x


def test_a_guard_still_guards():
    assert derivative_rule(guarded, "x")(0.0) == 1
    assert derivative_rule(guarded, "x")(-1.0) == 1
    assert derivative_rule(guarded, "x")(4.0) == 0.25


@pytest.mark.parametrize(
    "formula", [f for f in FORMULAS if f not in (leaky, huber_like, hard_swish)], ids=lambda f: f.__name__
)
def test_nan_is_kept(formula):
    """A piecewise linear formula has a slope that is a number, wherever it stands: those are left out."""
    x = np.full(9, np.nan, np.float32)
    slope = compiled(derivative_rule(formula, "x"), x)
    assert np.isnan(slope).all()


def test_abs_has_slope_zero_at_zero_and_keeps_nan():
    def distance(x):
        return abs(x)

    slope = derivative_rule(distance, "x")
    assert [slope(-2.0), slope(0.0), slope(3.0)] == [-1, 0, 1]
    assert math.isnan(slope(math.nan))


def test_a_known_gradient_is_used():
    def steep(x):
        return 100 * sigmoid(x)

    def made_up(x):
        return 7 * x

    assert derivative_rule(steep, "x", {sigmoid: {"x": made_up}})(2.0) == 1400
    assert derivative_rule(steep, "x")(0.0) == 25


def test_numpy_names_and_bare_names():
    from math import exp

    def bare(x):
        return exp(np.tanh(x)) + np.abs(x)

    expected = math.exp(math.tanh(0.3)) * (1 - math.tanh(0.3) ** 2) + 1
    assert derivative_rule(bare, "x")(0.3) == pytest.approx(expected, rel=1e-14)


def test_a_rule_made_from_text_has_readable_source():
    rule = rule_from_source("def cube(x):\n    return x * x * x\n")
    assert rule(2.0) == 8
    assert inspect.getsource(rule) == "def cube(x):\n    return x * x * x\n"
    assert derivative_rule(rule, "x")(2.0) == 12


# ---- errors --------------------------------------------------------------------------------------------------------


def with_loop(x):
    for _ in range(3):
        x = x * x
    return x


def with_while(x):
    while x > 1:
        x = x / 2
    return x


def with_subscript(x):
    return (x, 1)[0]


def with_comprehension(x):
    return math.exp([x for _ in range(2)])


def with_unknown_call(x):
    return math.gamma(x)


def with_max(x):
    return max(x, 0)


def with_keywords(x):
    return math.pow(x=x, y=2)


def with_two_results(x):
    return x, x


def without_return(x):
    if x > 0:
        return x


def with_itself(x):
    return x if x < 1 else with_itself(x - 1)


def with_modulo(x):
    return x % 2


@pytest.mark.parametrize(
    "rule, word",
    [
        (with_loop, "a loop"),
        (with_while, "a loop"),
        (with_subscript, "a subscript"),
        (with_comprehension, "a comprehension"),
        (with_unknown_call, "math.gamma"),
        (with_max, "loses NaN"),
        (with_keywords, "by name"),
        (with_two_results, "several values"),
        (without_return, "without `return`"),
        (with_itself, "calls itself"),
        (with_modulo, "x % 2"),
    ],
)
def test_what_cannot_be_differentiated_is_named(rule, word):
    with pytest.raises(DifferentiationError) as caught:
        derivative(rule, "x")
    message = str(caught.value)
    first = inspect.getsourcelines(rule)[1]
    lines = range(first, first + len(inspect.getsourcelines(rule)[0]))
    assert rule.__name__ in message
    assert word in message
    assert any(f"(line {line})" in message for line in lines)
    assert "gradient yourself" in message


def test_source_that_cannot_be_read():
    namespace = {}
    exec("def typed_in(x):\n    return x * x", namespace)
    for rule, word in [(namespace["typed_in"], "cannot be read"), (math.exp, "cannot be read"), (lambda x: x, "def")]:
        with pytest.raises(DifferentiationError, match=word) as caught:
            derivative(rule, "x")
        assert "gradient yourself" in str(caught.value)


def test_unknown_parameter():
    with pytest.raises(DifferentiationError, match="no parameter 'y'; it has 'x'"):
        derivative(mish, "y")


def angles(x: float, /, scale: float = 2.0) -> float:
    result: float
    result = math.atan2(x, scale) + math.atan2(1.5, x) + np.arctan(x) * math.asin(0.5 * x) - math.acos(0.25 * x)
    return result + math.tan(x)


def hyperbolic(x):
    return (
        math.sinh(x) * np.cosh(2 * x)
        + math.asinh(3 * x)
        + np.arctanh(x / 2)
        + math.acosh(x + 2.5)
        + math.log2(x + 3)
        + np.log10(x + 4)
        + np.sign(x)
    )


def by_numpy(x):
    return (
        np.maximum(x, 0.5 * x * x) + np.minimum(3 * x, 1.0) + np.clip(x, -0.5, 0.75) * np.where(x > 0, x, np.square(x))
    )


@pytest.mark.parametrize("rule", [angles, hyperbolic, by_numpy])
def test_functions_of_math_and_numpy(rule):
    """Against fourth-order differences, with annotations, positional arguments and defaults."""
    slope, h = derivative_rule(rule, "x"), 1e-3
    for x in (-0.9, -0.3, 0.2, 0.6, 0.95):
        values = [float(rule(x + k * h)) for k in (-2, -1, 1, 2)]
        expected = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
        extra = (2.0,) if rule is angles else ()
        np.testing.assert_allclose(float(slope(x, *extra)), expected, rtol=1e-8)


def averaged(x):
    return np.mean(x)


def rounded(x):
    return round(x)


def rooted(x):
    return np.cbrt(x)


def left_over(x):
    return math.fmod(x, 2.0)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (averaged, "gets single numbers"),
        (rounded, "primitives.rint"),
        (rooted, r"np.cbrt is not .*write math.copysign\(abs\(x\) \*\* \(1 / 3\), x\)"),
        (left_over, "x - y \\* math.trunc"),
    ],
)
def test_what_to_write_instead_is_told(rule, told):
    with pytest.raises(RuleError, match=told):
        check_rule(rule)
