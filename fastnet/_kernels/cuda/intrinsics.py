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
