"""Integer instructions, shifts, bit fields and moves of the PTX machine against Python's integers."""

import itertools

import numpy as np
import pytest

from fastnet.testing.ptx import Fault

from .ptx_kernels import assemble, compute

KINDS = ["s16", "u16", "s32", "u32", "s64", "u64"]


def dtype(kind):
    return np.dtype(f"{'i' if kind[0] == 's' else 'u'}{int(kind[1:]) // 8}")


def values(kind, count=60, seed=0):
    limits = np.iinfo(dtype(kind))
    edges = [limits.min, limits.max, 0, 1, limits.max - 1, limits.max // 2, 0 if kind[0] == "u" else -1, 7]
    random = np.random.default_rng(seed).integers(limits.min, limits.max, count, dtype(kind), endpoint=True)
    return np.concatenate([np.array(edges, dtype(kind)), random, random >> random.dtype.type(int(kind[1:]) // 2 + 3)])


def pairs(kind):
    few = values(kind)[:8]
    both = np.array(list(itertools.product(few, few)), few.dtype)
    return np.concatenate([both[:, 0], values(kind, seed=1)]), np.concatenate([both[:, 1], values(kind, seed=2)])


def wrap(number, kind):
    width = int(kind[1:])
    number &= (1 << width) - 1
    return number - (1 << width) if kind[0] == "s" and number >> (width - 1) else number


def check(instruction, arrays, oracle, kind):
    got = compute(instruction, *arrays, output=dtype(kind))
    want = [wrap(oracle(*(int(v) for v in row)), kind) for row in zip(*arrays)]
    assert got.tolist() == want, instruction


def quotient(a, b):
    """C's: toward 0."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


@pytest.mark.parametrize("kind", KINDS)
def test_arithmetic_wraps(kind):
    a, b = pairs(kind)
    width = int(kind[1:])
    for name, oracle in {
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "min": min,
        "max": max,
        "mul.lo": lambda x, y: x * y,
        "mul.hi": lambda x, y: (x * y) >> width,
    }.items():
        check(f"{name}.{kind} %d, %a, %b;", [a, b], oracle, kind)
    c = np.roll(a, 5)
    check(f"mad.lo.{kind} %d, %a, %b, %c;", [a, b, c], lambda x, y, z: x * y + z, kind)
    check(f"mad.hi.{kind} %d, %a, %b, %c;", [a, b, c], lambda x, y, z: ((x * y) >> width) + z, kind)
    check(f"sad.{kind} %d, %a, %b, %c;", [a, b, c], lambda x, y, z: z + abs(x - y), kind)
    if kind[0] == "s":
        check(f"neg.{kind} %d, %a;", [a], lambda x: -x, kind)
        check(f"abs.{kind} %d, %a;", [a], abs, kind)


@pytest.mark.parametrize("kind", ["s16", "u16", "s32", "u32"])
def test_wide_products(kind):
    a, b = pairs(kind)
    wide = f"{kind[0]}{2 * int(kind[1:])}"
    check(f"mul.wide.{kind} %d, %a, %b;", [a, b], lambda x, y: x * y, wide)
    c = values(wide)[np.arange(len(a)) % 20]
    check(f"mad.wide.{kind} %d, %a, %b, %c;", [a, b, c], lambda x, y, z: x * y + z, wide)


@pytest.mark.parametrize("kind", KINDS)
def test_division_goes_toward_zero(kind):
    a, b = pairs(kind)
    a, b = a[b != 0], b[b != 0]
    check(f"div.{kind} %d, %a, %b;", [a, b], quotient, kind)
    check(f"rem.{kind} %d, %a, %b;", [a, b], lambda x, y: x - y * quotient(x, y), kind)


def test_division_by_zero_is_a_fault():
    with pytest.raises(Fault, match="division by 0") as caught:
        compute("div.s32 %d, %a, %b;", np.int32([1, 2]), np.int32([1, 0]), output="i4")
    assert caught.value.thread == (1, 0, 0)


def test_saturation():
    a, b = pairs("s32")
    low, high = np.iinfo("i4").min, np.iinfo("i4").max
    check("add.sat.s32 %d, %a, %b;", [a, b], lambda x, y: min(max(x + y, low), high), "s32")
    check("sub.sat.s32 %d, %a, %b;", [a, b], lambda x, y: min(max(x - y, low), high), "s32")


@pytest.mark.parametrize("kind", KINDS)
def test_comparisons(kind):
    a, b = pairs(kind)
    for name, oracle in {
        "eq": lambda x, y: x == y,
        "ne": lambda x, y: x != y,
        "lt": lambda x, y: x < y,
        "le": lambda x, y: x <= y,
        "gt": lambda x, y: x > y,
        "ge": lambda x, y: x >= y,
    }.items():
        code = f"setp.{name}.{kind} %p1, %a, %b; selp.u32 %d, 1, 0, %p1;"
        check(code, [a, b], lambda x, y: int(oracle(x, y)), "u32")  # noqa: B023
    if kind[0] == "u":
        code = "setp.{}." + kind + " %p1, %a, %b; selp.u32 %d, 1, 0, %p1;"
        check(code.format("lo"), [a, b], lambda x, y: int(x < y), "u32")
        check(code.format("hs"), [a, b], lambda x, y: int(x >= y), "u32")


@pytest.mark.parametrize("width", [16, 32, 64])
def test_logic_and_shifts(width):
    a, b = pairs(f"u{width}")
    kind = f"u{width}"
    for name, oracle in {"and": lambda x, y: x & y, "or": lambda x, y: x | y, "xor": lambda x, y: x ^ y}.items():
        check(f"{name}.b{width} %d, %a, %b;", [a, b], oracle, kind)
    check(f"not.b{width} %d, %a;", [a], lambda x: ~x, kind)
    check(f"cnot.b{width} %d, %a;", [a], lambda x: int(x == 0), kind)
    amounts = np.uint32([0, 1, 5, 15, 16, 31, 32, 33, 63, 64, 65, 255, 256, 2**31, 2**32 - 1])
    x, by = (v.ravel() for v in np.meshgrid(a[:20], amounts))
    signed = x.view(dtype(f"s{width}"))
    check(f"shl.b{width} %d, %a, %b;", [x, by], lambda v, s: v << min(s, 64), kind)
    check(f"shr.u{width} %d, %a, %b;", [x, by], lambda v, s: v >> min(s, 64), kind)
    check(f"shr.s{width} %d, %a, %b;", [signed, by], lambda v, s: v >> min(s, 64), f"s{width}")


@pytest.mark.parametrize("width", [32, 64])
def test_counting_bits(width):
    a = np.concatenate([values(f"u{width}"), np.uint64([1 << k for k in range(width)]).astype(f"u{width // 8}")])
    signed = a.view(dtype(f"s{width}"))

    def highest(x):
        return max((~x if x < 0 else x).bit_length() - 1, -1)

    check(f"popc.b{width} %d, %a;", [a], lambda x: bin(x).count("1"), "u32")
    check(f"clz.b{width} %d, %a;", [a], lambda x: width - x.bit_length(), "u32")
    check(f"brev.b{width} %d, %a;", [a], lambda x: int(f"{x:0{width}b}"[::-1], 2), f"u{width}")
    check(f"bfind.u{width} %d, %a;", [a], highest, "u32")
    check(f"bfind.s{width} %d, %a;", [signed], highest, "u32")
    shift = lambda x: width - 1 - highest(x) if highest(x) >= 0 else -1  # noqa: E731
    check(f"bfind.shiftamt.u{width} %d, %a;", [a], shift, "u32")


@pytest.mark.parametrize("width", [32, 64])
def test_bit_fields(width):
    x = values(f"u{width}")[:30]
    places = np.uint32([0, 1, 5, 31, 32, 40, 63, 64, 200, 256 + 3])
    x, start, size = (v.ravel() for v in np.meshgrid(x, places, places))

    def extract(v, p, n, signed):
        p, n = p & 255, n & 255
        field = ((v & ((1 << width) - 1)) >> p) & ((1 << n) - 1)
        if signed and n:
            sign = (v >> min(p + n - 1, width - 1)) & 1
            kept = max(min(n, width - p), 0)
            field |= -sign << kept
        return field

    check(f"bfe.u{width} %d, %a, %b, %c;", [x, start, size], lambda v, p, n: extract(v, p, n, False), f"u{width}")
    signed = x.view(dtype(f"s{width}"))
    check(f"bfe.s{width} %d, %a, %b, %c;", [signed, start, size], lambda v, p, n: extract(v, p, n, True), f"s{width}")

    def insert(v, p, n):
        mask = (((1 << (n & 255)) - 1) << (p & 255)) & ((1 << width) - 1)
        return v & ~mask | (0x5A5A5A5AA5A5A5A5 << (p & 255)) & mask

    code = f"mov.b64 %rd20, 0x5A5A5A5AA5A5A5A5; cvt.u{width}.u64 %{'rd21' if width == 64 else 'r20'}, %rd20;"
    code += f"bfi.b{width} %d, %{'rd21' if width == 64 else 'r20'}, %a, %b, %c;"
    check(code, [x, start, size], insert, f"u{width}")


def test_functions_of_three_bits():
    a, b, c = (values("u32", seed=s) for s in (1, 2, 3))

    def oracle(table):
        def f(x, y, z):
            bit = lambda k: table >> ((x >> k & 1) * 4 + (y >> k & 1) * 2 + (z >> k & 1)) & 1  # noqa: E731
            return sum(bit(k) << k for k in range(32))

        return f

    for table in (0, 0x1A, 0x80, 0x96, 0xE8, 0xCA, 0xFF):
        check(f"lop3.b32 %d, %a, %b, %c, {table};", [a, b, c], oracle(table), "u32")


def test_permutation_of_bytes():
    a, b = values("u32", seed=1), values("u32", seed=2)
    chosen = np.random.default_rng(0).integers(0, 2**16, len(a), np.uint32)

    def oracle(x, y, s):
        data = x.to_bytes(4, "little") + y.to_bytes(4, "little")
        result = 0
        for k in range(4):
            nibble = s >> 4 * k & 15
            byte = data[nibble & 7]
            result |= (byte if nibble < 8 else 255 * (byte >> 7)) << 8 * k
        return result

    check("prmt.b32 %d, %a, %b, %c;", [a, b, chosen], oracle, "u32")


def test_funnel_shifts():
    a, b = values("u32", seed=1), values("u32", seed=2)
    by = np.resize(np.uint32([0, 1, 7, 31, 32, 33, 64, 255]), len(a))
    whole = lambda low, high: high << 32 | low  # noqa: E731
    for mode, amount in {"wrap": lambda s: s & 31, "clamp": lambda s: min(s, 32)}.items():
        left = lambda x, y, s: (whole(x, y) << amount(s)) >> 32  # noqa: B023, E731
        right = lambda x, y, s: whole(x, y) >> amount(s)  # noqa: B023, E731
        check(f"shf.l.{mode}.b32 %d, %a, %b, %c;", [a, b, by], left, "u32")
        check(f"shf.r.{mode}.b32 %d, %a, %b, %c;", [a, b, by], right, "u32")


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("to", KINDS)
def test_conversions_of_integers(source, to):
    if source == to:
        return
    x = values(source)
    check(f"cvt.{to}.{source} %d, %a;", [x], lambda v: v, to)
    limits, given = np.iinfo(dtype(to)), np.iinfo(dtype(source))
    if limits.min <= given.min and given.max <= limits.max:
        return  # nothing to saturate: ptxas refuses it
    check(f"cvt.sat.{to}.{source} %d, %a;", [x], lambda v: min(max(v, limits.min), limits.max), to)


def test_conversions_of_bytes():
    x = np.uint32([0, 127, 128, 255, 256, 0xFFFFFF80])
    assert compute("cvt.s32.s8 %d, %a;", x, output="i4").tolist() == [0, 127, -128, -1, 0, -128]
    assert compute("cvt.u32.u8 %d, %a;", x, output="i4").tolist() == [0, 127, 128, 255, 0, 128]
    assert compute("cvt.sat.u8.u32 %d, %a;", x, output="u4").tolist() == [0, 127, 128, 255, 255, 255]
    signed = np.int32([-200, 200, 5])
    assert compute("cvt.sat.s8.s32 %d, %a;", signed, output="i4").tolist() == [-128, 127, 5]


def test_moves_of_parts():
    x = np.uint64([0x1122334455667788, 0xFFFFFFFF00000001])
    code = "mov.b64 {%r10, %r11}, %a; mov.b64 %d, {%r11, %r10};"
    assert compute(code, x, output="u8").tolist() == [0x5566778811223344, 0x00000001FFFFFFFF]
    code = "mov.b64 {%h1, %h2, %h3, %h4}, %a; mov.b32 %d, {%h4, %h1};"
    assert compute(code, x, output="u4").tolist() == [0x77881122, 0x0001FFFF]
    code = "mov.b64 {_, %d}, %a;"
    assert compute(code, x, output="u4").tolist() == [0x11223344, 0xFFFFFFFF]


def test_a_move_copies():
    """A register that was moved from may change afterwards, for some threads only."""
    code = "mov.u32 %r10, %a; setp.eq.u32 %p1, %a, 2; @%p1 mov.u32 %a, 9; mov.u32 %d, %r10;"
    assert compute(code, np.uint32([1, 2, 3]), output="u4").tolist() == [1, 2, 3]


def test_selections():
    a, b, c = np.float32([1, 2, 3, 4]), np.float32([5, 6, 7, 8]), np.float32([-0.0, -1, np.nan, np.inf])
    assert compute("slct.f32.f32 %d, %a, %b, %c;", a, b, c, output="f4").tolist() == [1, 6, 7, 4]
    sign = np.int32([0, -1, 5, -(2**31)])
    assert compute("slct.b32.s32 %d, %a, %b, %c;", a, b, sign, output="f4").tolist() == [1, 6, 3, 8]
    payload = np.uint32([0x7FC01234] * 4)
    code = "setp.ne.s32 %p1, %b, 0; selp.f32 %d, %a, 0f00000000, %p1;"
    assert compute(code, payload, sign, output="u4").tolist() == [0, 0x7FC01234, 0x7FC01234, 0x7FC01234]


def test_immediate_operands():
    assert compute("add.u32 %d, %a, -1;", np.uint32([0]), output="u4").tolist() == [2**32 - 1]
    assert compute("add.s32 %d, %a, 0x7FFFFFFF;", np.int32([1]), output="i4").tolist() == [-(2**31)]
    assert compute("mov.f32 %d, 0f7FC01234;", np.uint32([0]), output="u4").tolist() == [0x7FC01234]
    assert compute("add.rn.f64 %d, %a, 0d3FF0000000000000;", np.array([1.5]), output="f8").tolist() == [2.5]
    assert compute("mov.u32 %d, 010;", np.uint32([0]), output="u4").tolist() == [8]
    assert compute("mov.u32 %d, 0b101;", np.uint32([0]), output="u4").tolist() == [5]


def test_predicates_are_logical():
    a = np.uint32([0, 1, 2, 3])
    code = (
        "setp.gt.u32 %p1, %a, 0; setp.gt.u32 %p2, %a, 1; and.pred %p3, %p1, %p2; not.pred %p4, %p3;"
        "xor.pred %p5, %p1, %p2; or.pred %p6, %p4, %p5; selp.u32 %d, 1, 0, %p6; @!%p1 add.u32 %d, %d, 10;"
    )
    assert compute(code, a, output="u4").tolist() == [11, 1, 0, 0]


def test_ptxas_accepts_the_instructions_of_this_file():
    assemble()
