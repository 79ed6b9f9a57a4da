"""Floating-point instructions of the PTX machine against fractions rounded once."""

import itertools
import math
import struct

import numpy as np
import pytest

from . import soft_floats as soft
from .ptx_kernels import assemble, compute

DTYPES = {"f16": np.float16, "bf16": np.uint16, "f32": np.float32, "f64": np.float64}
SPECIAL = {
    kind: [
        *(0.0, -0.0, 1.0, -1.0, 1.5, -3.0, 0.1, 1 / 3, math.inf, -math.inf, math.nan),
        *(s * 2.0**e for s in (1, -1) for e in (low, low - digits + 1, high, digits, -digits - 1)),
        *(2.0**low - 2.0 ** (low - digits + 1), (2 - 2.0 ** (1 - digits)) * 2.0**high, 1 + 2.0 ** (1 - digits)),
    ]
    for kind, (digits, low, high, _) in soft.FORMATS.items()
}


def bits(kind, values):
    """Numbers as the unsigned integers of a format."""
    width = soft.FORMATS[kind][3]
    return np.array(
        [soft.encode(soft.rounded(*_exact(v, kind)) if _finite(v) else v, kind) for v in values], f"u{width // 8}"
    )


def _finite(v):
    return math.isfinite(v) and v != 0


def _exact(v, kind):
    from fractions import Fraction

    return Fraction(v), kind


def numbers(kind, count, seed=0):
    """Random bits of a format: all magnitudes, also NaN and subnormal numbers."""
    width = soft.FORMATS[kind][3]
    return np.random.default_rng(seed).integers(0, 2**width, count, f"u{width // 8}")


def check(kind, instruction, arrays, oracle, result_kind=None, output=None):
    """Run an instruction on bits, and compare bits with the oracle's."""
    result_kind = result_kind or kind
    width = soft.FORMATS[result_kind][3] if output is None else None
    got = compute(instruction, *arrays, output=output or f"u{width // 8}")
    for k, row in enumerate(zip(*arrays)):
        given = [soft.value(bits, kind) for bits in row]
        want = oracle(*given)
        if result_kind == "f64" and math.isnan(want):  # its payload is not defined here
            assert math.isnan(soft.value(got[k], "f64")), (instruction, given)
            continue
        want = soft.encode(want, result_kind) if output is None else want
        assert int(got[k]) == want, (instruction, given, hex(int(got[k])), hex(want))


def pairs(kind):
    special = bits(kind, SPECIAL[kind])
    both = np.array(list(itertools.product(special, special)), special.dtype)
    a, b = numbers(kind, 300, 1), numbers(kind, 300, 2)
    near = numbers(kind, 100, 3)  # neighbours: differences lose all digits but the last
    return np.concatenate([both[:, 0], a, near]), np.concatenate([both[:, 1], b, near ^ near.dtype.type(3)])


BINARY = {"add": soft.add, "sub": lambda a, b, kind: soft.add(a, -b, kind), "mul": soft.multiply, "div": soft.divide}


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("name", BINARY)
def test_arithmetic_rounds_once(name, kind):
    check(kind, f"{name}.rn.{kind} %d, %a, %b;", pairs(kind), lambda a, b: BINARY[name](a, b, kind))


@pytest.mark.parametrize("kind", ["f16", "bf16"])
@pytest.mark.parametrize("name", ["add", "sub", "mul"])
def test_half_precision_rounds_once(name, kind):
    check(kind, f"{name}.rn.{kind} %d, %a, %b;", pairs(kind), lambda a, b: BINARY[name](a, b, kind))


@pytest.mark.parametrize("name", BINARY)
def test_ftz_flushes_operands_and_results(name):
    def oracle(a, b):
        return soft.flushed(BINARY[name](soft.flushed(a), soft.flushed(b), "f32"))

    check("f32", f"{name}.rn.ftz.f32 %d, %a, %b;", pairs("f32"), oracle)


def triples(kind):
    """Random bits, special numbers, and sums of which little or nothing is left."""
    special = bits(kind, SPECIAL[kind])
    rng = np.random.default_rng(5)
    few = np.array(list(itertools.product(rng.choice(special, 9, False), repeat=3)), special.dtype)
    a, b, c = (numbers(kind, 200, seed) for seed in (6, 7, 8))
    x, y = (bits(kind, rng.standard_normal(300) * 2.0 ** rng.integers(-9, 9, 300)) for _ in range(2))
    product = [-soft.multiply(soft.value(p, kind), soft.value(q, kind), kind) for p, q in zip(x, y)]
    z = bits(kind, product)
    tiny = bits(kind, [soft.value(v, kind) * 2.0 ** soft.FORMATS[kind][1] for v in x[:100]])
    wide = np.random.default_rng(9).integers(-2, 3, 300).astype(z.dtype)
    return (
        np.concatenate([few[:, 0], a, x, x, tiny]),
        np.concatenate([few[:, 1], b, y, y, y[:100]]),
        np.concatenate([few[:, 2], c, z, z + wide, tiny[::-1]]),
    )


@pytest.mark.parametrize("kind", soft.FORMATS)
def test_fused_multiply_add_rounds_once(kind):
    check(kind, f"fma.rn.{kind} %d, %a, %b, %c;", triples(kind), lambda a, b, c: soft.fma(a, b, c, kind))


@pytest.mark.parametrize("kind", soft.FORMATS)
def test_fused_multiply_add_of_ties(kind):
    """Products in the middle between two numbers: a last operand far below any rounding error decides."""
    digits, low, *_ = soft.FORMATS[kind]
    rng = np.random.default_rng(0)
    odd = [int(v) | 1 for v in rng.integers(2 ** (digits // 2), 2 ** (digits // 2 + 1), 200)]
    factors = [(p, q) for p, q in itertools.pairwise(odd) if (p * q).bit_length() == digits + 1][:40]
    assert len(factors) > 5
    smallest = max(low - digits + 1, -100)
    rows = [(s * p, q, t * 2.0**e) for p, q in factors for s in (1, -1) for t in (1, -1) for e in (smallest, -20, -3)]
    check(kind, f"fma.rn.{kind} %d, %a, %b, %c;", [bits(kind, v) for v in zip(*rows)], lambda *v: soft.fma(*v, kind))


def test_fused_multiply_add_with_ftz_and_sat():
    def oracle(a, b, c):
        return soft.flushed(soft.fma(*map(soft.flushed, (a, b, c)), "f32"))

    check("f32", "fma.rn.ftz.f32 %d, %a, %b, %c;", triples("f32"), oracle)

    def saturated(a, b, c):
        x = soft.fma(a, b, c, "f32")
        return min(x, 1.0) if x > 0 else 0.0

    check("f32", "fma.rn.sat.f32 %d, %a, %b, %c;", triples("f32"), saturated)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_square_root_and_reciprocal(kind):
    x = np.concatenate([bits(kind, SPECIAL[kind]), numbers(kind, 500)])
    check(kind, f"sqrt.rn.{kind} %d, %a;", [x], lambda a: soft.square_root(a, kind))
    check(kind, f"rcp.rn.{kind} %d, %a;", [x], lambda a: soft.divide(1.0, a, kind))


def _extreme(a, b, is_min, keep_nan):
    if math.isnan(a) or math.isnan(b):
        return math.nan if keep_nan or (math.isnan(a) and math.isnan(b)) else b if math.isnan(a) else a
    low, high = sorted((a, b), key=lambda v: (v, math.copysign(1, v)))
    return low if is_min else high


KINDS_OF_EXTREMES = [(kind, keep) for kind in soft.FORMATS for keep in ("", ".NaN") if kind + keep != "f64.NaN"]


@pytest.mark.parametrize("kind, keep", KINDS_OF_EXTREMES)
@pytest.mark.parametrize("name", ["min", "max"])
def test_min_and_max_order_zeros_and_drop_nan(name, kind, keep):
    check(kind, f"{name}{keep}.{kind} %d, %a, %b;", pairs(kind), lambda a, b: _extreme(a, b, name == "min", bool(keep)))


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_signs_are_bits(kind):
    """neg, abs and copysign change the sign's bit also of NaN, and nothing else."""
    a, b = pairs(kind)
    top = a.dtype.type(1 << (soft.FORMATS[kind][3] - 1))
    assert (compute(f"neg.{kind} %d, %a;", a, output=a.dtype) == a ^ top).all()
    assert (compute(f"abs.{kind} %d, %a;", a, output=a.dtype) == a & ~top).all()
    assert (compute(f"copysign.{kind} %d, %b, %a;", a, b, output=a.dtype) == a & ~top | b & top).all()


def test_signs_with_ftz():
    x = np.float32([1e-40, -1e-40, 2.0, -0.0])
    assert compute("neg.ftz.f32 %d, %a;", x, output="u4").tolist() == [1 << 31, 0, 0xC0000000, 0]
    assert compute("abs.ftz.f32 %d, %a;", x, output="u4").tolist() == [0, 0, 0x40000000, 0]


COMPARE = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a < b or a > b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}


@pytest.mark.parametrize("kind", ["f16", "bf16", "f32", "f64"])
def test_comparisons_of_numbers_and_nan(kind):
    special = bits(kind, SPECIAL[kind])
    both = np.array(list(itertools.product(special, special)), special.dtype)
    a, b = both[:, 0], both[:, 1]
    names = [*COMPARE, *(f"{name}u" for name in COMPARE), "num", "nan"]
    code = "mov.u32 %d, 0;" + "".join(
        f"setp.{name}.{kind} %p1, %a, %b; selp.u32 %r10, {1 << k}, 0, %p1; or.b32 %d, %d, %r10;"
        for k, name in enumerate(names)
    )
    got = compute(code, a, b, output="u4")
    for k, (p, q) in enumerate(zip(a, b)):
        x, y = soft.value(p, kind), soft.value(q, kind)
        nan = math.isnan(x) or math.isnan(y)
        want = [f(x, y) for f in COMPARE.values()] + [f(x, y) or nan for f in COMPARE.values()] + [not nan, nan]
        assert [bool(got[k] >> j & 1) for j in range(len(names))] == want, (x, y)


def test_comparisons_with_ftz_take_subnormal_numbers_as_zero():
    a, b = np.float32([1e-40, -1e-40, 1e-40]), np.float32([0, 1e-41, 1.0])
    code = "setp.eq{}.f32 %p1, %a, %b; selp.u32 %d, 1, 0, %p1;"
    assert compute(code.format(".ftz"), a, b, output="u4").tolist() == [1, 1, 0]
    assert compute(code.format(""), a, b, output="u4").tolist() == [0, 0, 0]


def test_set_and_combined_predicates():
    a, b = np.float32([1, 2, np.nan]), np.float32([2, 1, 1])
    assert compute("set.lt.u32.f32 %d, %a, %b;", a, b, output="u4").tolist() == [0xFFFFFFFF, 0, 0]
    assert compute("set.ltu.f32.f32 %d, %a, %b;", a, b, output="f4").tolist() == [1, 0, 1]
    code = (
        "setp.eq.f32 %p3, %a, %a; setp.lt.and.f32 %p1|%p2, %a, %b, !%p3;"
        "selp.u32 %r5, 1, 0, %p1; selp.u32 %d, 2, 0, %p2; or.b32 %d, %d, %r5;"
    )
    assert compute(code, a, b, output="u4").tolist() == [0, 0, 2]


FLOATS = [(a, b) for a in soft.FORMATS for b in soft.FORMATS if a != b and {a, b} != {"f16", "bf16"}]


@pytest.mark.parametrize("source, to", [pair for pair in FLOATS if "bf16" not in pair or "f32" in pair])
def test_conversions_between_formats(source, to):
    narrower = soft.FORMATS[to][0] < soft.FORMATS[source][0]
    x = np.concatenate([bits(source, SPECIAL[source]), numbers(source, 600), _halfway(source, to)])

    def oracle(mode):
        return lambda a: soft.rounded(*_exact(a, to), mode) if _finite(a) else a

    for mode in _modes(source, to) if narrower else ("rn",):
        rounding = f".{mode}" if narrower else ""
        check(source, f"cvt{rounding}.{to}.{source} %d, %a;", [x], oracle(mode), to)


def _modes(source, to):
    """The rounding modes that PTX has for a conversion."""
    if to in ("f32", "f64"):
        return ("rn", "rz", "rm", "rp")
    return ("rn", "rz") if source == "f32" else ("rn",)


def _halfway(source, to):
    """Numbers in the middle between two of the narrower format, and beside the middle."""
    digits, low, high, _ = soft.FORMATS[to]
    if soft.FORMATS[source][0] <= digits:
        return bits(source, [])
    ties = [s * (1 + k * 2.0**-digits) * 2.0**e for s in (1, -1) for k in (1, 3) for e in (0, 5, low, low - 3, high)]
    beside = [t * (1 + d * 2.0 ** (2 - soft.FORMATS[source][0])) for t in ties for d in (-1, 1)]
    last = [(2 - 2.0**-digits) * 2.0**high * d for d in (1, 1 - 2.0 ** (1 - soft.FORMATS[source][0]))]
    return bits(source, ties + beside + last)


def test_a_double_becomes_half_with_one_rounding():
    """By way of float32 this tie would be rounded twice."""
    x = np.array([1 + 2.0**-11 + 2.0**-40])
    assert compute("cvt.rn.f16.f64 %d, %a;", x, output="f2").tolist() == [1 + 2.0**-10]


def test_conversion_to_halves_of_a_register():
    a, b = np.float32([1.0, 1 + 2.0**-8, np.nan, 70000]), np.float32([2.0, 1 + 2.0**-11, -0.0, 1e-8])
    for kind in ("f16", "bf16"):
        got = compute(f"cvt.rn.{kind}x2.f32 %d, %a, %b;", a, b, output="u4")
        for k in range(4):
            want = [int(bits(kind, [float(v[k])])[0]) for v in (b, a)]
            assert [int(got[k]) & 0xFFFF, int(got[k]) >> 16] == want


def test_saturation_and_flushing_of_conversions():
    x = np.float32([-1, 0.5, 2, np.nan, np.inf])
    assert compute("cvt.sat.f32.f32 %d, %a;", x, output="f4").tolist() == [0, 0.5, 1, 0, 1]
    tiny = np.float32([1e-40, -1e-40])
    assert compute("cvt.ftz.f64.f32 %d, %a;", tiny, output="u8").tolist() == [0, 1 << 63]
    double = np.array([1e-40, -1e-300])
    assert compute("cvt.rn.ftz.f32.f64 %d, %a;", double, output="u4").tolist() == [0, 1 << 31]


ROUND = {"rni": lambda v: round(v), "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}


@pytest.mark.parametrize("source", ["f32", "f64"])
@pytest.mark.parametrize("to", ["s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64"])
def test_floats_become_integers_that_are_clamped(source, to):
    width, signed = int(to[1:]), to[0] == "s"
    low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    edges = [
        *SPECIAL[source],
        0.5,
        1.5,
        2.5,
        -0.5,
        -1.5,
        127.5,
        255.5,
        *(float(e) + d for e in (low, high) for d in (-1, 0, 1, 0.5)),
    ]
    x = np.concatenate([bits(source, edges), numbers(source, 200)])
    nan = 1 << (width - 1) if width == 64 or source == "f64" else 0
    for mode, whole in ROUND.items():
        got = compute(f"cvt.{mode}.{to}.{source} %d, %a;", x, output=f"u{max(width, 16) // 8}")
        for k, pattern in enumerate(x):
            v = soft.value(pattern, source)
            if math.isnan(v):
                want = nan
            else:
                want = (low if v < 0 else high) if math.isinf(v) else min(max(whole(v), low), high)
            assert int(got[k]) & ((1 << width) - 1) == want & ((1 << width) - 1), (mode, v)


SOURCES = ["s8", "u16", "s32", "u32", "s64", "u64"]


@pytest.mark.parametrize("source, to", [(s, t) for s in SOURCES for t in soft.FORMATS if (s, t) != ("s8", "bf16")])
def test_integers_become_floats(source, to):
    width = int(source[1:])
    rng = np.random.default_rng(0)
    values = [
        0,
        1,
        -1,
        3,
        1 << (width - 1),
        (1 << width) - 1,
        (1 << (width - 1)) - 1,
        *((1 << e) + 1 for e in range(width)),
    ]
    values += [
        (257 << 50) + 1,
        (259 << 50) - 1,
        (1 << 54) + 1,
        (1 << 60) + (1 << 35) + 1,
        (1 << 24) + 1,
        2049,
        257,
        65519,
        65520,
    ]
    values += [int(v) >> int(s) for v, s in zip(rng.integers(0, 2**63, 200), rng.integers(0, 63, 200))]
    x = np.array([v & ((1 << width) - 1) for v in values], f"u{width // 8}")
    for mode in ("rn", "rz") if to == "f16" else _modes(source, to):
        got = compute(f"cvt.{mode}.{to}.{source} %d, %a;", x, output=f"u{soft.FORMATS[to][3] // 8}")
        for k, v in enumerate(x):
            number = int(v.view(f"i{width // 8}")) if source[0] == "s" else int(v)
            want = soft.encode(soft.rounded(*_exact(number, to), mode) if number else 0.0, to)
            assert int(got[k]) == want, (mode, number, hex(int(got[k])), hex(want))


def test_rounding_to_whole_numbers():
    x = np.float32([0.5, 1.5, -0.5, -2.5, 2.7, -2.7, 1e30, np.inf])
    for mode, want in {
        "rni": [0.0, 2.0, -0.0, -2.0, 3.0, -3.0],
        "rzi": [0.0, 1.0, -0.0, -2.0, 2.0, -2.0],
        "rmi": [0.0, 1.0, -1.0, -3.0, 2.0, -3.0],
        "rpi": [1.0, 2.0, -0.0, -2.0, 3.0, -2.0],
    }.items():
        got = compute(f"cvt.{mode}.f32.f32 %d, %a;", x, output="u4")
        assert got.tolist() == [struct.unpack("I", struct.pack("f", v))[0] for v in [*want, np.float32(1e30), np.inf]]


def test_classes_of_numbers():
    x = np.float32([np.nan, np.inf, 1, 1e-40, 0])
    for name, want in {
        "finite": [0, 0, 1, 1, 1],
        "infinite": [0, 1, 0, 0, 0],
        "number": [0, 1, 1, 1, 1],
        "notanumber": [1, 0, 0, 0, 0],
        "normal": [0, 0, 1, 0, 0],
        "subnormal": [0, 0, 0, 1, 0],
    }.items():
        got = compute(f"testp.{name}.f32 %p1, %a; selp.u32 %d, 1, 0, %p1;", x, output="u4")
        assert got.tolist() == want, name


def test_ptxas_accepts_the_instructions_of_this_file():
    assemble()
