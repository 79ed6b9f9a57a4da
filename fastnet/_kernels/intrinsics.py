"""Primitives of generated kernels, as LLVM instructions.

The plain definitions are in ``rules/primitives.py``. No instruction here has fastmath flags: LLVM does not contract a
product with an addition outside, and a value has the same bits whether or not LLVM vectorises the loop around it.
``sqrt``, ``floor``, ``rint``, ``fabs`` and ``copysign`` are LLVM intrinsics and not numba's functions: numba's
``np.sqrt`` calls libm for negative inputs, which stops vectorisation.
"""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastnet._kernels.rules import primitives

_I32 = ir.IntType(32)
_I64 = ir.IntType(64)

# numba float type -> (integer of its width, mantissa bits, exponent bias, bits of sqrt(1/2))
_LAYOUT = {
    types.float32: (_I32, 23, 127, 0x3F3504F3),
    types.float64: (_I64, 52, 1023, 0x3FE6A09E667F3BCD),
}


def _integer(ty, value):
    return ir.Constant(ty, value)


def _float_signature(args):
    """Signature of a primitive whose arguments and result share one float type, or None."""
    if all(a == args[0] for a in args) and args[0] in _LAYOUT:
        return args[0](*args)
    return None


def _llvm_function(builder, name, ty, count):
    """Declaration of ``llvm.<name>`` for a float type."""
    fn_type = ir.FunctionType(ty, [ty] * count)
    return builder.module.declare_intrinsic(f"llvm.{name}", [ty], fn_type)


def _emit_llvm(name):
    def codegen(context, builder, sig, args):
        fn = _llvm_function(builder, name, args[0].type, len(args))
        return builder.call(fn, args)

    return codegen


def _unary(codegen, name):
    def primitive(typingctx, x):
        sig = _float_signature([x])
        return sig and (sig, codegen)

    return _named(primitive, name)


def _binary(codegen, name):
    def primitive(typingctx, x, y):
        sig = _float_signature([x, y])
        return sig and (sig, codegen)

    return _named(primitive, name)


def _named(function, name):
    function.__name__ = function.__qualname__ = name
    function.__doc__ = getattr(primitives, name).__doc__
    return intrinsic(function)


sqrt = _unary(_emit_llvm("sqrt"), "sqrt")
floor = _unary(_emit_llvm("floor"), "floor")
rint = _unary(_emit_llvm("rint"), "rint")
fabs = _unary(_emit_llvm("fabs"), "fabs")
copysign = _binary(_emit_llvm("copysign"), "copysign")


def _emit_product(context, builder, sig, args):
    return builder.fmul(*args)


def _emit_bound(relation):
    def codegen(context, builder, sig, args):
        x, limit = args
        return builder.select(builder.fcmp_ordered(relation, x, limit), limit, x)

    return codegen


at_most = _binary(_emit_bound(">"), "at_most")
at_least = _binary(_emit_bound("<"), "at_least")
product = _binary(_emit_product, "product")


@intrinsic
def fma(typingctx, a, b, c):
    """``a * b + c``: fused where the host has the instruction (``llvm.fma`` would be a library call elsewhere)."""
    sig = _float_signature([a, b, c])
    return sig and (sig, _emit_llvm("fmuladd"))


@intrinsic
def select(typingctx, condition, a, b):
    """``a if condition else b`` with both sides computed, so that no branch stands in the way of vectorisation."""
    if condition != types.boolean or not a == b:
        return None

    def codegen(context, builder, sig, args):
        return builder.select(*args)

    return a(condition, a, b), codegen


# ---- bits of floats ------------------------------------------------------------------------------------------------


def _shifted_bits(builder, n, ty, offset):
    """Bits whose low part is the integer ``n + offset``: adding 1.5 * 2**mantissa puts it there.

    A conversion to integers would be poison for NaN, and AVX2 has none from float64 to int64.
    """
    int_type, mantissa_bits, _, _ = _LAYOUT[ty]
    moved = builder.fadd(n, ir.Constant(n.type, 1.5 * 2.0**mantissa_bits + offset))
    return builder.bitcast(moved, int_type)


def _emit_pow2(context, builder, sig, args):
    ty = sig.return_type
    int_type, mantissa_bits, bias, _ = _LAYOUT[ty]
    bits = _shifted_bits(builder, args[0], ty, bias)
    return builder.bitcast(builder.shl(bits, _integer(int_type, mantissa_bits)), args[0].type)


def _emit_scale(context, builder, sig, args):
    # Two factors, since 2**n alone may lie outside the range: k = n + 2 * bias is halved, and each half is an exponent.
    # The upper bits of the shifted number fall out on the left.
    ty = sig.return_type
    int_type, mantissa_bits, bias, _ = _LAYOUT[ty]
    x, n = args
    width = _integer(int_type, mantissa_bits)
    k = _shifted_bits(builder, n, ty, 2 * bias)
    half = builder.lshr(k, _integer(int_type, 1))
    first = builder.bitcast(builder.shl(half, width), x.type)
    second = builder.bitcast(builder.shl(builder.sub(k, half), width), x.type)
    return builder.fmul(builder.fmul(x, first), second)


def _emit_exponent(context, builder, sig, args):
    # float64 avoids the arithmetic shift and the conversion that AVX2 lacks: the biased exponent is made positive and
    # planted into the bits of 2**52.
    ty = sig.return_type
    int_type, mantissa_bits, bias, root_half = _LAYOUT[ty]
    bits = builder.bitcast(args[0], int_type)
    if ty == types.float32:
        moved = builder.sub(bits, _integer(int_type, root_half))
        return builder.sitofp(builder.ashr(moved, _integer(int_type, mantissa_bits)), args[0].type)
    moved = builder.add(bits, _integer(int_type, (bias << mantissa_bits) - root_half))
    biased = builder.lshr(moved, _integer(int_type, mantissa_bits))
    planted = builder.or_(biased, _integer(int_type, (bias + mantissa_bits) << mantissa_bits))
    return builder.fsub(builder.bitcast(planted, args[0].type), ir.Constant(args[0].type, 2.0**mantissa_bits + bias))


def _emit_mantissa(context, builder, sig, args):
    int_type, mantissa_bits, _, root_half = _LAYOUT[sig.return_type]
    moved = builder.sub(builder.bitcast(args[0], int_type), _integer(int_type, root_half))
    fraction = builder.and_(moved, _integer(int_type, (1 << mantissa_bits) - 1))
    return builder.bitcast(builder.add(fraction, _integer(int_type, root_half)), args[0].type)


pow2 = _unary(_emit_pow2, "pow2")
scale = _binary(_emit_scale, "scale")
exponent = _unary(_emit_exponent, "exponent")
mantissa = _unary(_emit_mantissa, "mantissa")


def _emit_bitcast(context, builder, sig, args):
    return builder.bitcast(args[0], context.get_value_type(sig.return_type))


_SAME_WIDTH = {types.float32: types.int32, types.float64: types.int64}


@intrinsic
def float_bits(typingctx, x):
    """Bits of a float as a signed integer of the same width."""
    result = _SAME_WIDTH.get(x)
    return result and (result(x), _emit_bitcast)


@intrinsic
def bits_float(typingctx, bits):
    """Float whose bits are the int32 or int64 ``bits``."""
    result = {types.int32: types.float32, types.int64: types.float64}.get(bits)
    return result and (result(bits), _emit_bitcast)


@intrinsic
def flag_nonfinite(typingctx, flag, x):
    """``flag``, negative from the first ``x`` on that is NaN or infinite; of the float's width, and 0 at first.

    An exponent of all ones carries into the sign bit. Only integer operations: a sum of floats would not vectorise.
    """
    if _SAME_WIDTH.get(x) != flag:
        return None

    def codegen(context, builder, sig, args):
        kind, mantissa, _, _ = _LAYOUT[sig.args[1]]
        bits = builder.bitcast(args[1], kind)
        magnitude = builder.and_(bits, _integer(kind, (1 << (kind.width - 1)) - 1))
        return builder.or_(args[0], builder.add(magnitude, _integer(kind, 1 << mantissa)))

    return flag(flag, x), codegen


@intrinsic
def flag_nothing(typingctx, flag, x):
    """``flag``: replaces `flag_nonfinite` if numbers are not checked."""
    return flag(flag, x), lambda context, builder, sig, args: args[0]


# ---- 32-bit integers -----------------------------------------------------------------------------------------------


def _u32(operation, name):
    def codegen(context, builder, sig, args):
        return operation(builder, args[0], args[1])

    def primitive(typingctx, a, b):
        if a == b == types.uint32:
            return types.uint32(a, b), codegen
        return None

    return _named(primitive, name)


def _high_product(builder, a, b):
    product = builder.mul(builder.zext(a, _I64), builder.zext(b, _I64))
    return builder.trunc(builder.lshr(product, _integer(_I64, 32)), _I32)


add_u32 = _u32(ir.IRBuilder.add, "add_u32")
mul_u32 = _u32(ir.IRBuilder.mul, "mul_u32")
mul_high_u32 = _u32(_high_product, "mul_high_u32")
xor_u32 = _u32(ir.IRBuilder.xor, "xor_u32")
and_u32 = _u32(ir.IRBuilder.and_, "and_u32")
shift_right_u32 = _u32(ir.IRBuilder.lshr, "shift_right_u32")


@intrinsic
def unit_float32(typingctx, bits):
    """float32 in [0, 1) from the upper 24 bits of a uint32."""
    if bits != types.uint32:
        return None

    def codegen(context, builder, sig, args):
        # signed: AVX2 converts only signed integers, and 24 bits are never negative
        number = builder.sitofp(builder.lshr(args[0], _integer(_I32, 8)), ir.FloatType())
        return builder.fmul(number, ir.Constant(ir.FloatType(), 2.0**-24))

    return types.float32(bits), codegen


@intrinsic
def unit_float64(typingctx, high, low):
    """float64 in [0, 1) from 53 bits of two uint32."""
    if not high == low == types.uint32:
        return None

    def codegen(context, builder, sig, args):
        double = ir.DoubleType()
        upper = builder.sitofp(builder.lshr(args[0], _integer(_I32, 5)), double)
        lower = builder.sitofp(builder.lshr(args[1], _integer(_I32, 6)), double)
        upper = builder.fmul(upper, ir.Constant(double, 2.0**-27))
        return builder.fadd(upper, builder.fmul(lower, ir.Constant(double, 2.0**-53)))

    return types.float64(high, low), codegen


def _emit_half(context, builder, sig, args):
    word = builder.zext(args[0], _I32)
    magnitude = builder.shl(builder.and_(word, _integer(_I32, 0x7FFF)), _integer(_I32, 13))
    sign = builder.shl(builder.and_(word, _integer(_I32, 0x8000)), _integer(_I32, 16))
    exponent = builder.and_(magnitude, _integer(_I32, 31 << 23))
    normal = builder.add(magnitude, _integer(_I32, (127 - 15) << 23))
    special = builder.add(magnitude, _integer(_I32, (255 - 31) << 23))
    # 2**-14 (1 + m) - 2**-14, exact: a float32 subnormal on the way would be lost where the thread flushes them to 0.
    smallest = _integer(_I32, (127 - 14) << 23)
    float_type = ir.FloatType()
    subnormal = builder.fsub(
        builder.bitcast(builder.add(magnitude, smallest), float_type), builder.bitcast(smallest, float_type)
    )
    bits = builder.select(builder.icmp_unsigned("==", exponent, _integer(_I32, 31 << 23)), special, normal)
    is_subnormal = builder.icmp_unsigned("==", exponent, _integer(_I32, 0))
    bits = builder.select(is_subnormal, builder.bitcast(subnormal, _I32), bits)
    return builder.bitcast(builder.or_(bits, sign), float_type)


@intrinsic
def half(typingctx, bits):
    """float32 of the float16 whose bits are the uint16 ``bits``: exact, and without F16C, which not every CPU has."""
    if bits != types.uint16:
        return None
    return types.float32(types.uint16), _emit_half
