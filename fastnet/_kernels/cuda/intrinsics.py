"""Functions of a GPU's threads, for generated text: which thread it is, and what the threads of a block share."""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastnet._kernels.cuda.entry import SHARED, WIDEST
from fastnet._kernels.memory_intrinsics import ELEMENTS

_I8 = ir.IntType(8)
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_FLOAT = ir.FloatType()
_SHARED_SPACE = 3  # LLVM's number of the address space of a block


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


@intrinsic
def warp_barrier(typingctx):
    """Wait until all threads of the warp are here; what they wrote before can then be read."""

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(ir.VoidType(), [_I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.nvvm.bar.warp.sync")
        function.attributes.add("convergent")
        builder.call(function, [ir.Constant(_I32, -1)])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic(prefer_literal=True)
def shared(typingctx, dtype, start):
    """Pointer to elements of the memory that the threads of a block share, from byte ``start`` on; both arguments are
    literals. The entry defines this memory: launches in one kernel use it one after the other."""
    if not (isinstance(dtype, types.StringLiteral) and isinstance(start, types.IntegerLiteral)):
        return None
    result = types.CPointer(ELEMENTS[dtype.literal_value])

    def codegen(context, builder, sig, args):
        memory = builder.module.globals.get(SHARED)
        if memory is None:
            memory = ir.GlobalVariable(builder.module, ir.ArrayType(_I8, 0), SHARED, addrspace=_SHARED_SPACE)
            memory.align = WIDEST
        place = builder.gep(memory, [ir.Constant(_I32, 0), ir.Constant(_I32, start.literal_value)])
        kind = ir.PointerType(context.get_data_type(result.dtype), _SHARED_SPACE)
        return builder.addrspacecast(builder.bitcast(place, kind), context.get_value_type(result))

    return result(dtype, start), codegen


def _is_number(kind):
    return isinstance(kind, types.IntegerLiteral)


@intrinsic
def quotient(typingctx, number, divisor):
    """``number // divisor`` of numbers from 0 to below 2**31: of 64 bits, and of any sign, it takes 25 instructions."""

    def codegen(context, builder, sig, args):
        return builder.zext(builder.udiv(*(builder.trunc(arg, _I32) for arg in args)), _I64)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def further(typingctx, pointer, count):
    """The pointer to the element so many elements further."""

    def codegen(context, builder, sig, args):
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.int64), codegen


# ---- neighbouring elements, in accesses of up to 16 bytes: the first one lies on a boundary of these bytes


def _vectors(context, builder, pointer, index, count):
    """(number of the first element, pointer) of the accesses to so many elements, as vectors."""
    element = pointer.type.pointee
    most = min(count, WIDEST // context.get_abi_sizeof(element))
    for first in range(0, count, most):
        address = builder.gep(pointer, [builder.add(index, ir.Constant(_I64, first))])
        yield first, builder.bitcast(address, ir.VectorType(element, most).as_pointer())


def _alignment(context, vector):
    return context.get_abi_sizeof(vector.type.pointee.element) * vector.type.pointee.count


@intrinsic(prefer_literal=True)
def neighbours(typingctx, pointer, index, count):
    """A tuple of ``count`` elements from ``pointer[index]`` on."""
    if not _is_number(count):
        return None
    result = types.UniTuple(pointer.dtype, count.literal_value)

    def codegen(context, builder, sig, args):
        found = []
        for _, vector in _vectors(context, builder, *args[:2], result.count):
            loaded = builder.load(vector, align=_alignment(context, vector))
            found += [builder.extract_element(loaded, ir.Constant(_I32, i)) for i in range(loaded.type.count)]
        return context.make_tuple(builder, result, found)

    return result(pointer, types.int64, count), codegen


@intrinsic
def put_neighbours(typingctx, pointer, index, values):
    """Store a tuple of values from ``pointer[index]`` on."""
    given = types.UniTuple(pointer.dtype, len(values))

    def codegen(context, builder, sig, args):
        for first, vector in _vectors(context, builder, *args[:2], given.count):
            stored = ir.Constant(vector.type.pointee, ir.Undefined)
            for i in range(stored.type.count):
                value = builder.extract_value(args[2], first + i)
                stored = builder.insert_element(stored, value, ir.Constant(_I32, i))
            builder.store(stored, vector, align=_alignment(context, vector))
        return context.get_dummy_value()

    return types.void(pointer, types.int64, given), codegen


# ---- numbers in registers: arrays of `stack` whose indices are all known, and which LLVM therefore gives registers.
# Python variables would do, but numba's types and live ranges of 200 variables take half a minute.


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
def take(typingctx, target, source, step, count, steps, step_apart, apart, group_apart):
    """``target[s * count + i]``: ``count`` elements of each of ``steps`` steps, from step ``step`` of ``source`` on.
    Steps lie ``step_apart`` elements apart, elements ``apart``, and each fourth one ``group_apart`` from the fourth
    before. Where some lie side by side, they lie on boundaries of 16 bytes."""
    numbers = [step, count, steps, step_apart, apart, group_apart]
    if not all(map(_is_number, numbers)):
        return None
    first, length, stages, far, side, group = (kind.literal_value for kind in numbers)

    def codegen(context, builder, sig, args):
        element = context.get_data_type(target.dtype)
        most = WIDEST // context.get_abi_sizeof(element)  # elements of one access
        along_steps = min(most, stages) if far == 1 else 1
        along_count = min(most, length) if far > side == 1 else 1
        for s in range(0, stages, along_steps):
            for i in range(0, length, along_count):
                address = _at(builder, args[1], (first + s) * far + i % 4 * side + i // 4 * group)
                places = [(s + j) * length + i for j in range(along_steps)]
                places = places if along_count == 1 else [s * length + i + j for j in range(along_count)]
                _load_to(context, builder, args[0], places, address)
        return context.get_dummy_value()

    return types.void(target, source, *numbers), codegen


def _load_to(context, builder, target, places, address):
    """Load neighbours, by one access, and store them at places of the target."""
    element, count = address.type.pointee, len(places)
    if count == 1:
        builder.store(builder.load(address), _at(builder, target, places[0]))
        return
    vector = builder.bitcast(address, ir.VectorType(element, count).as_pointer())
    loaded = builder.load(vector, align=_alignment(context, vector))
    for i, place in enumerate(places):
        builder.store(builder.extract_element(loaded, ir.Constant(_I32, i)), _at(builder, target, place))


@intrinsic(prefer_literal=True)
def multiply_add(typingctx, sums, a, b, rows, columns, steps):
    """``sums[r, c] += a[s, r] * b[s, c]`` for each step s in order, each with one rounding."""
    numbers = [rows, columns, steps]
    if not all(map(_is_number, numbers)):
        return None
    height, width, stages = (kind.literal_value for kind in numbers)

    def codegen(context, builder, sig, args):
        kind = context.get_data_type(sums.dtype)
        fused = builder.module.declare_intrinsic("llvm.fmuladd", [kind], ir.FunctionType(kind, [kind] * 3))
        for s in range(stages):
            left, right = (
                [builder.load(_at(builder, side, s * length + i)) for i in range(length)]
                for side, length in ((args[1], height), (args[2], width))
            )
            for r in range(height):
                for c in range(width):
                    place = _at(builder, args[0], r * width + c)
                    builder.store(builder.call(fused, [left[r], right[c], builder.load(place)]), place)
        return context.get_dummy_value()

    return types.void(sums, a, b, *numbers), codegen


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
def pick(typingctx, values, first, stride, count, number):
    """``values[first + number * stride]`` of ``count``, by selection: an index would put the values into memory."""
    if not all(map(_is_number, (first, stride, count))):
        return None

    def codegen(context, builder, sig, args):
        found = builder.load(_at(builder, args[0], first.literal_value))
        for i in range(1, count.literal_value):
            value = builder.load(_at(builder, args[0], first.literal_value + i * stride.literal_value))
            found = builder.select(builder.icmp_signed("==", args[4], ir.Constant(_I64, i)), value, found)
        return found

    return values.dtype(values, first, stride, count, types.int64), codegen


# ---- tensor cores: the 32 threads of a warp multiply small matrices, of which each thread has some elements (a
# fragment). With g = lane // 4 and t = lane % 4, it has rows g and g + 8, columns 2t and 2t + 1 of a result of 16 x 8,
# and these rows of A and column g of B at the steps of k that depend on the precision (PTX ISA, "Matrix Fragments for
# mma.m16n8k8", "m16n8k16").


class _Pair(ir.Type):
    """Two numbers of bfloat16, a type that llvmlite does not have."""

    def _to_string(self):
        return "<2 x bfloat>"

    def __eq__(self, other):
        return isinstance(other, _Pair)

    def __hash__(self):
        return hash(_Pair)


def _call(builder, name, result, *values, attributes=()):
    kind = ir.FunctionType(result, [value.type for value in values])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.nvvm.{name}")
    return builder.call(function, values, attrs=attributes)


@intrinsic
def to_tf32(typingctx, x):
    """The nearest number with 10 bits behind the point, ties away from 0; it needs sm_80."""
    if x != types.float32:
        return None

    def codegen(context, builder, sig, args):
        return builder.bitcast(_call(builder, "f2tf32.rna", _I32, args[0]), _FLOAT)

    return types.float32(types.float32), codegen


def _tf32(builder, at, k, entry):
    """One number as the operand of a product."""
    return builder.bitcast(at(k, entry), _I32)


def _bf16(builder, at, k, entry):
    """Two numbers, rounded, as the operand of a product: that of step k in the lower half."""
    return builder.bitcast(_call(builder, "ff2bf16x2.rn", _Pair(), at(k + 1, entry), at(k, entry)), _I32)


#: precision → the instruction, its steps of k, how many of them lie between a thread's operands, and what makes one
_PRODUCTS = {"high": ("mma.m16n8k8.row.col.tf32", 8, 4, _tf32), "medium": ("mma.m16n8k16.row.col.bf16", 16, 8, _bf16)}


def _element(builder, pointer, start, row):
    """The function that loads an element of a slab, so many steps of k and entries behind the first one."""

    def at(k, entry):
        return builder.load(builder.gep(pointer, [builder.add(start, ir.Constant(_I64, k * row + entry))]))

    return at


@intrinsic(prefer_literal=True)
def multiply_warps(typingctx, sums, a, a_start, b, b_start, count, row, precision):
    """Add the products of 16 steps of k to the sums of a thread, which has ``count`` rows and columns. Its first
    elements of A and B lie at the starts, and steps are ``row`` elements apart."""
    if not (_is_number(count) and _is_number(row) and isinstance(precision, types.StringLiteral)):
        return None
    length = count.literal_value
    name, steps, between, operand = _PRODUCTS[precision.literal_value]
    pairs = range(0, length, 2)  # of rows, and of columns

    def codegen(context, builder, sig, args):
        of_a, of_b = (_element(builder, *args[i : i + 2], row.literal_value) for i in (1, 3))
        for k in range(0, 16, steps):
            both = (k, k + between)
            left = [[operand(builder, of_a, far, 8 * r + near) for far in both for near in (0, 8)] for r in pairs]
            right = [[operand(builder, of_b, far, 4 * c) for far in both] for c in pairs]
            for r in pairs:
                for c in pairs:
                    places = [_at(builder, args[0], (r + i) * length + c + j) for i in (0, 1) for j in (0, 1)]
                    values = [*left[r // 2], *right[c // 2], *map(builder.load, places)]
                    result = ir.LiteralStructType([_FLOAT] * 4)
                    found = _call(builder, name, result, *values, attributes=("convergent",))  # no thread leaves it out
                    for number, place in enumerate(places):
                        builder.store(builder.extract_value(found, number), place)
        return context.get_dummy_value()

    return types.void(sums, a, types.int64, b, types.int64, count, row, precision), codegen
