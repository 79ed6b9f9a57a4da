"""Functions of a GPU's threads, for generated text: which thread it is, and what the threads of a block share."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastnet._kernels.memory_intrinsics import ELEMENTS

_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_SHARED = 3  # LLVM's number of the address space of a block


def _register(name):
    """Intrinsic ``() -> int64``: a special register."""

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(_I32, [])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.nvvm.read.ptx.sreg.{name}")
        return builder.zext(builder.call(function, []), _I64)

    def register(typingctx):
        return types.int64(), codegen

    register.__name__ = register.__qualname__ = name.replace(".", "_")
    return intrinsic(register)


thread, block = _register("tid.x"), _register("ctaid.x")


@intrinsic
def barrier(typingctx):
    """Wait until all threads of the block are here; what they wrote before can then be read."""

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(ir.VoidType(), [])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.nvvm.barrier0")
        function.attributes.add("convergent")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic(prefer_literal=True)
def shared(typingctx, dtype, count):
    """Pointer to ``count`` elements that the threads of a block share; both arguments are literals."""
    if not (isinstance(dtype, types.StringLiteral) and isinstance(count, types.IntegerLiteral)):
        return None
    element = ELEMENTS[dtype.literal_value]
    result = types.CPointer(element)

    def codegen(context, builder, sig, args):
        array = ir.ArrayType(context.get_data_type(element), count.literal_value)
        name = f"shared_{len(builder.module.globals)}"
        memory = ir.GlobalVariable(builder.module, array, name, addrspace=_SHARED)
        memory.linkage, memory.align = "internal", 16
        memory.initializer = ir.Constant(array, ir.Undefined)
        start = builder.gep(memory, [ir.Constant(_I32, 0), ir.Constant(_I32, 0)])
        return builder.addrspacecast(start, context.get_value_type(result))

    return result(dtype, count), codegen


# ---- numbers in registers: arrays of `stack` whose indices are all known, and which LLVM therefore gives registers.
# Python variables would do, but numba's types and live ranges of 200 variables take half a minute.


def _is_number(kind):
    return isinstance(kind, types.IntegerLiteral)


def _at(builder, pointer, index):
    return builder.gep(pointer, [ir.Constant(_I64, index)])


@intrinsic(prefer_literal=True)
def clear(typingctx, values, count):
    """Set ``count`` values to 0."""
    if not _is_number(count):
        return None

    def codegen(context, builder, sig, args):
        zero = ir.Constant(context.get_data_type(values.dtype), 0.0)
        for i in range(count.literal_value):
            builder.store(zero, _at(builder, args[0], i))
        return context.get_dummy_value()

    return types.void(values, count), codegen


@intrinsic(prefer_literal=True)
def take(typingctx, target, source, start, count, wide, stride):
    """``count`` elements of shared memory from ``start`` on, in groups of ``wide`` side by side, which are ``stride``
    apart and lie on boundaries of their size."""
    if not all(map(_is_number, (count, wide, stride))):
        return None
    counts = [kind.literal_value for kind in (count, wide, stride)]

    def codegen(context, builder, sig, args):
        length, group, apart = counts
        element = context.get_data_type(target.dtype)
        size = context.get_abi_sizeof(element)
        most = max(1, min(group, 16 // size))  # elements of one access
        vector = ir.VectorType(element, most)
        for first in range(0, length, most):
            offset = first // group * apart + first % group
            address = builder.gep(args[1], [builder.add(args[2], ir.Constant(_I64, offset))])
            if most == 1:
                builder.store(builder.load(address), _at(builder, args[0], first))
                continue
            loaded = builder.load(builder.bitcast(address, vector.as_pointer()), align=most * size)
            for i in range(most):
                value = builder.extract_element(loaded, ir.Constant(_I32, i))
                builder.store(value, _at(builder, args[0], first + i))
        return context.get_dummy_value()

    return types.void(target, source, types.int64, count, wide, stride), codegen


@intrinsic(prefer_literal=True)
def multiply_add(typingctx, sums, a, b, count):
    """``sums[r, c] += a[r] * b[c]``, each with one rounding."""
    if not _is_number(count):
        return None

    def codegen(context, builder, sig, args):
        size = count.literal_value
        kind = context.get_data_type(sums.dtype)
        fused = builder.module.declare_intrinsic("llvm.fmuladd", [kind], ir.FunctionType(kind, [kind] * 3))
        left, right = ([builder.load(_at(builder, side, i)) for i in range(size)] for side in args[1:3])
        for r in range(size):
            for c in range(size):
                place = _at(builder, args[0], r * size + c)
                builder.store(builder.call(fused, [left[r], right[c], builder.load(place)]), place)
        return context.get_dummy_value()

    return types.void(sums, a, b, count), codegen


@intrinsic(prefer_literal=True)
def add_all(typingctx, totals, sums, count, is_first):
    """``totals += sums``, or ``totals = sums`` where ``is_first``."""
    if not _is_number(count):
        return None

    def codegen(context, builder, sig, args):
        for i in range(count.literal_value):
            place, value = _at(builder, args[0], i), builder.load(_at(builder, args[1], i))
            builder.store(builder.select(args[3], value, builder.fadd(builder.load(place), value)), place)
        return context.get_dummy_value()

    return types.void(totals, sums, count, types.boolean), codegen


@intrinsic(prefer_literal=True)
def pick(typingctx, values, first, count, number):
    """``values[first + number]`` of ``count``, by selection: an index would put the values into memory."""
    if not (_is_number(first) and _is_number(count)):
        return None

    def codegen(context, builder, sig, args):
        found = builder.load(_at(builder, args[0], first.literal_value))
        for i in range(1, count.literal_value):
            value = builder.load(_at(builder, args[0], first.literal_value + i))
            found = builder.select(builder.icmp_signed("==", args[3], ir.Constant(_I64, i)), value, found)
        return found

    return values.dtype(values, first, count, types.int64), codegen
