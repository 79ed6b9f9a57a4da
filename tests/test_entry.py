"""Entries of generated kernels: what they hand to a body is compared with the argument block they were given."""

import ctypes
import struct

import numpy as np
import pytest
from numba.core import types

from fastnet._kernels import abi, machine_code
from fastnet._kernels.entry import NAME, Writer
from fastnet._kernels.generate import decoded
from fastnet._kernels.kinds import parse

NUMBERS = {"float32": ("float", ctypes.c_float), "float64": ("double", ctypes.c_double)}
KINDS = ("read", "integer", "size", "size", "real", "value", "count", "read_uint8", "lo", "hi")
PLACES = ("p", "i", "s", "t", "r", "v", "c", "u", "lo", "hi")


def called(text, name, integers, *arguments):
    """Call a function of LLVM IR."""
    wrapped = ", ".join(["ptr %a", "ptr %b", *(f"i64 %i{n}" for n in range(integers))])
    text += (
        f"\ndefine void @outer({wrapped}) {{\n  %e = alloca ptr\n"
        f"  %s = call i32 @{name}(ptr %e, ptr %e, {wrapped})\n  ret void\n}}\n"
    )
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * integers)
    function(machine_code.load_ir(text, "outer"))(*arguments)


def storing(number):
    """A body that stores its arguments, eight bytes each, where its first one points to."""
    own = ["ptr", "i64", "i64", "i64", number, number, "i64", "ptr", "i64", "i64"]
    lines = []
    for place, kind in enumerate(own):
        lines += [
            f"  %at{place} = getelementptr i64, ptr %v0, i64 {place}",
            f"  store {kind} %v{place}, ptr %at{place}",
        ]
    parameters = ", ".join(["ptr %r", "ptr %e", *(f"{kind} %v{place}" for place, kind in enumerate(own))])
    return "\n".join([f"define i32 @storing({parameters}) {{", *lines, "  ret i32 0", "}\n"])


@pytest.mark.parametrize("dtype", sorted(NUMBERS))
def test_what_reaches_the_body(dtype):
    number, of_c = NUMBERS[dtype]
    parameters = tuple((name, parse(kind)) for name, kind in zip(PLACES, KINDS, strict=True))
    expressions = ", ".join(decoded(parameters, dtype, "rows"))
    namespace = {}
    exec(f"def kernel(bases, args, rows, lo, hi):\n    body({expressions})", namespace)
    writer = Writer(getattr(types, dtype), 0)
    writer.record(namespace["kernel"], 3)
    expected = (types.CPointer(getattr(types, dtype)), *[types.int64] * 3, *[getattr(types, dtype)] * 2, types.int64)
    assert tuple(value.kind for value in writer.arguments) == (
        *expected, types.CPointer(types.uint8), types.int64, types.int64,
    )  # fmt: skip

    memory, slots = np.zeros(16, "i8"), np.array([0, 3.7e-310], "f8")  # a subnormal stays one in float64
    slots.view("i8")[0] = -12
    bases = np.array([0, memory.ctypes.data - 48, slots.ctypes.data, 0], "i8")
    (bits,) = struct.unpack("q", struct.pack("d", -0.1))
    args = np.array(
        [
            abi.reference(abi.ACTIVATIONS, 48), -7, 5, -5, bits, abi.reference(abi.STEP, 8),
            abi.reference(abi.STEP, 0), abi.reference(abi.PERSISTENT, slots.ctypes.data),
        ],
        "i8",
    )  # fmt: skip
    body = storing(number)
    called(body + writer.written("storing", body), NAME, 3, bases.ctypes.data, args.ctypes.data, 11, 2, 9)
    reals = [of_c.from_address(memory.ctypes.data + 8 * place).value for place in (4, 5)]
    np.testing.assert_array_equal(np.array(reals, dtype), np.array([-0.1, slots[1]], dtype))
    assert memory[[0, 1, 2, 3, 6, 7, 8, 9]].tolist() == [
        memory.ctypes.data, -7, 5, 55, -12, slots.ctypes.data, 2, 9,
    ]  # fmt: skip


def test_an_entry_declares_what_the_module_does_not():
    writer = Writer(types.float32, 1)
    namespace = {}
    exec("def kernel(bases, args, rows, lo, hi):\n    body(settled(T(real(args[0]))))", namespace)
    writer.record(namespace["kernel"], 3)
    declaration = "declare float @llvm.arithmetic.fence.f32(float)"
    assert declaration in writer.written("b", "")
    assert declaration not in writer.written("b", declaration)
