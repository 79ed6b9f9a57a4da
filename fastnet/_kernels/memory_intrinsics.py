"""Memory access of generated kernels, as LLVM instructions."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_I8 = ir.IntType(8)
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)

ELEMENTS = {
    name: getattr(types, name)
    for name in ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64")
}
_INTEGERS = types.CPointer(types.int64)


def _pointer_to(context, builder, address, result):
    """The pointer of an address in the memory of buffers."""
    kind = context.get_value_type(result)
    if not context.global_space:
        return builder.inttoptr(address, kind)
    return builder.addrspacecast(builder.inttoptr(address, ir.PointerType(_I8, context.global_space)), kind)


def address_pointer(dtype):
    """Intrinsic ``(address) -> pointer``."""
    result = types.CPointer(ELEMENTS[dtype])

    def codegen(context, builder, sig, args):
        return _pointer_to(context, builder, args[0], result)

    def primitive(typingctx, address):
        if isinstance(address, types.Integer):
            return result(types.int64), codegen
        return None

    primitive.__name__ = primitive.__qualname__ = f"address_pointer_{dtype}"
    return intrinsic(primitive)


for _name in ELEMENTS:
    globals()[f"address_pointer_{_name}"] = address_pointer(_name)
del _name


@intrinsic(prefer_literal=True)
def stack(typingctx, dtype, count):
    """Pointer to ``count`` elements on the stack, 64-byte aligned, made once at the function's entry.

    Both arguments are literals: ``tile = stack("float32", 256)``.  The memory is not initialised.
    """
    if not (isinstance(dtype, types.StringLiteral) and isinstance(count, types.IntegerLiteral)):
        return None
    element = ELEMENTS[dtype.literal_value]
    length = count.literal_value
    result = types.CPointer(element)

    def codegen(context, builder, sig, args):
        array = ir.ArrayType(context.get_data_type(element), length)
        with builder.goto_entry_block():
            memory = builder.alloca(array)  # numba's own would fill it with zeros
            memory.align = 64
        return builder.bitcast(memory, context.get_value_type(result))

    return result(dtype, count), codegen


@intrinsic
def raise_flag(typingctx, flag):
    """Set ``flag[0]``, an int64, to 1; any number of threads may do so at once."""
    if flag != _INTEGERS:
        return None

    def codegen(context, builder, sig, args):
        builder.store_atomic(ir.Constant(_I64, 1), args[0], "monotonic", 8)
        return context.get_dummy_value()

    return types.void(flag), codegen


@intrinsic
def prefetch(typingctx, pointer, index):
    """Prefetch the cache line of ``pointer[index]``; any address is allowed."""
    if not isinstance(pointer, types.CPointer) or not isinstance(index, types.Integer):
        return None

    def codegen(context, builder, sig, args):
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, _I32, _I32, _I32]), "llvm.prefetch.p0"
        )
        address = builder.bitcast(builder.gep(args[0], [args[1]]), cgutils.voidptr_t)
        builder.call(function, [address, ir.Constant(_I32, 0), ir.Constant(_I32, 3), ir.Constant(_I32, 1)])
        return context.get_dummy_value()

    return types.void(pointer, types.int64), codegen
