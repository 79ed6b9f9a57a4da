"""Products of matrices in the PTX machine: fragments as the PTX ISA lays them out, and conversions of their factors."""

import numpy as np
import pytest

from fastnet.testing.ptx import Machine
from fastnet.testing.ptx.faults import Fault

from .ptx_kernels import compute, kernel, uploaded

#: element i of a thread's fragment → (row of A, step of k), (step of k, column of B), by group = lane // 4 and
#: member = lane % 4; from the tables of the PTX ISA
LAYOUTS = {
    "tf32": (
        8,
        lambda g, t: [(g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)],
        lambda g, t: [(t, g), (t + 4, g)],
    ),
    "bf16": (
        16,
        lambda g, t: [
            (g, 2 * t), (g, 2 * t + 1), (g + 8, 2 * t), (g + 8, 2 * t + 1),
            (g, 2 * t + 8), (g, 2 * t + 9), (g + 8, 2 * t + 8), (g + 8, 2 * t + 9),
        ],
        lambda g, t: [(2 * t, g), (2 * t + 1, g), (2 * t + 8, g), (2 * t + 9, g)],
    ),
}  # fmt: skip


def packed(kind, numbers):
    """The registers of a fragment: bfloat16 in pairs, the first one in the lower half."""
    bits = np.asarray(numbers, np.float32).view(np.uint32)
    return bits if kind == "tf32" else bits[::2] >> 16 | bits[1::2]


def multiplied(kind, a, b, c, guard=""):
    """What two warps compute of two products."""
    steps, of_a, of_b = LAYOUTS[kind]
    words = []
    for number in range(2):
        for lane in range(32):
            g, t = divmod(lane, 4)
            words += [*packed(kind, [a[number][at] for at in of_a(g, t)])]
            words += [*packed(kind, [b[number][at] for at in of_b(g, t)])]
            words += [
                *packed(
                    "tf32", [c[number][at] for at in ((g, 2 * t), (g, 2 * t + 1), (g + 8, 2 * t), (g + 8, 2 * t + 1))]
                )
            ]
    machine = Machine()
    x, y = uploaded(machine, np.array(words, np.uint32)), machine.allocate(4 * 64 * 4)
    loads = "".join(f"ld.global.b32 %r{10 + i}, [%rd1+{4 * i}];" for i in range(10))
    stores = "".join(f"st.global.b32 [%rd2+{4 * i}], %r{20 + i};" for i in range(4))
    module = kernel(
        "u64 x, u64 y",
        f"""mov.u32 %r1, %tid.x; mad.wide.u32 %rd1, %r1, 40, %x; mad.wide.u32 %rd2, %r1, 16, %y; {loads} {guard}
        mma.sync.aligned.m16n8k{steps}.row.col.f32.{kind}.{kind}.f32
            {{%r20, %r21, %r22, %r23}}, {{%r10, %r11, %r12, %r13}}, {{%r14, %r15}}, {{%r16, %r17, %r18, %r19}};
        {stores}""",
    )
    machine.launch(module, "k", 1, 64, [x, y])
    found, d = machine.read(y, np.zeros((2, 32, 4), np.float32)), np.zeros((2, 16, 8), np.float32)
    for lane in range(32):
        g, t = divmod(lane, 4)
        d[:, [g, g, g + 8, g + 8], [2 * t, 2 * t + 1] * 2] = found[:, lane]
    return d


@pytest.mark.parametrize("kind", LAYOUTS)
def test_products_of_integers_are_exact(kind):
    rng, steps = np.random.default_rng(0), LAYOUTS[kind][0]
    a, b, c = (rng.integers(-99, 99, (2, *size)).astype("f") for size in ((16, steps), (steps, 8), (16, 8)))
    assert (multiplied(kind, a, b, c) == a @ b + c).all()


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_sum_is_rounded_once(kind):
    """2^24 + 1 - 2^24 in float32 would be 0; NaN, inf and what is too large."""
    steps = LAYOUTS[kind][0]
    a, b, c = np.zeros((2, 16, steps), "f"), np.ones((2, steps, 8), "f"), np.zeros((2, 16, 8), "f")
    a[0, 0, :3], a[0, 1, 0], a[0, 2, 1], a[0, 3, :2], c[0, 4] = (2**24, 1, -(2**24)), np.nan, np.inf, 2.0**127, 7
    found = multiplied(kind, a, b, c)[0]
    assert (found[0] == 1).all() and np.isnan(found[1]).all() and (found[2] == np.inf).all()
    assert (found[3] == np.inf).all() and (found[4] == 7).all() and not found[5:].any()


def test_what_tf32_does_not_see():
    """The lowest 13 bits of a factor."""
    a, b, c = np.zeros((2, 16, 8), "f"), np.ones((2, 8, 8), "f"), np.zeros((2, 16, 8), "f")
    a[:, 0, 0] = np.uint32(0x3F801FFF).view("f")
    assert (multiplied("tf32", a, b, c)[:, 0] == 1).all()


def test_a_part_of_a_warp_is_a_fault():
    a, b, c = (np.zeros((2, *size), "f") for size in ((16, 8), (8, 8), (16, 8)))
    with pytest.raises(Fault, match="takes all 32 threads of a warp"):
        multiplied("tf32", a, b, c, guard="setp.lt.u32 %p1, %r1, 40; @!%p1 exit;")


@pytest.mark.parametrize("name", ["m16n8k4.row.col.f32.tf32.tf32.f32", "m16n8k8.row.col.f32.bf16.bf16.f32"])
def test_other_shapes_are_unknown(name):
    module = kernel(
        "u64 x", f"mma.sync.aligned.{name} {{%r1, %r2, %r3, %r4}}, {{%r1, %r2}}, {{%r1}}, {{%r1, %r2, %r3, %r4}};"
    )
    with pytest.raises(Fault, match="does not know mma"):
        Machine().launch(module, "k", 1, 32, [0])


def test_rounding_to_tf32():
    """Hand values: below a tie, ties away from 0, above; the largest numbers, 0, inf and NaN."""
    step = 2.0**-10
    pairs = [
        (1 + step / 2 - 2.0**-23, 1), (1 + step / 2, 1 + step), (-1 - step / 2, -1 - step),
        (1 + 1.5 * step, 1 + 2 * step),
        (1 + step, 1 + step), (3.4028235e38, np.inf), (-3.4028235e38, -np.inf), (0, 0), (np.inf, np.inf),
        (2 - 2.0**-23, 2), (2.0**-126 * (1 + step / 4), 2.0**-126),
    ]  # fmt: skip
    x, expected = np.array(pairs, "f").T
    found = compute("cvt.rna.tf32.f32 %d, %a;", np.append(x, np.float32(np.nan)), output=np.float32)
    assert (found[:-1] == expected).all() and np.isnan(found[-1])
    assert not (found[:-1].view(np.uint32) & 0x1FFF).any()
