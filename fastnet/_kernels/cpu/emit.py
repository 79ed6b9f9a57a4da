"""Writing LLVM code: the pieces that every hand-written kernel is made of, for the processor compiled for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from fastnet._kernels.cpu.processor import SIZES, target

I64 = ir.IntType(64)
I32 = ir.IntType(32)
PTR = ir.PointerType()
DTYPES = {types.CPointer(types.float32): "float32", types.CPointer(types.float64): "float64"}  # of numba's pointers


def calling(function: Callable[[ir.Module], ir.Function], kinds: str) -> tuple[Any, Any]:
    """The result of an intrinsic that calls an emitted function, made in the caller's module.

    Args:
        function: makes or finds it.
        kinds: of its arguments, all int64 outside: p an address, i an integer.
    """

    def generate(context, b, _signature, arguments):
        values = [b.inttoptr(x, PTR) if kind == "p" else x for x, kind in zip(arguments, kinds, strict=True)]
        b.call(function(b.module), values)
        return context.get_dummy_value()

    return types.void(*[types.int64] * len(kinds)), generate


def call_with_pointers(b: ir.IRBuilder, function: ir.Function, values: list[ir.Value]) -> None:
    """Call a function with numba's pointers, which have the type of what they point to."""
    kinds = function.function_type.args
    b.call(function, [b.bitcast(x, PTR) if kind == PTR else x for x, kind in zip(values, kinds, strict=True)])


class Emitter:
    """LLVM functions of one dtype and one vector width, each made once in a module.

    Args:
        module: where they are written.
        dtype: "float32" or "float64".
        width: bytes of a vector; by default the target's.
    """

    prefix = "fastnet"  # of their names

    def __init__(self, module: ir.Module, dtype: str, width: int | None = None):
        self.module, self.dtype, self.size = module, dtype, SIZES[dtype]
        self.target = target()
        self.width = width or self.target.width
        self.lanes = self.width // self.size
        self.scalar = ir.FloatType() if dtype == "float32" else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.suffix = f"v{self.lanes}f{8 * self.size}"

    def declare(self, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
        return cgutils.get_or_insert_function(self.module, ir.FunctionType(result, arguments), name)

    def define(self, name: str, result: ir.Type, arguments: list[ir.Type]) -> tuple[ir.Function, bool]:
        """A private function of this module, and whether its body is still to be written."""
        name = f"{self.prefix}_{self.suffix}_{name}"
        if name in self.module.globals:
            return self.module.globals[name], False
        function = ir.Function(self.module, ir.FunctionType(result, arguments), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.attributes.add("nounwind")
        return function, True

    def fma(self, b: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """``x * y + z``, fused where the processor can."""
        return b.call(self.declare(f"llvm.fmuladd.{self.suffix}", self.vector, [self.vector] * 3), [x, y, z])

    def at(self, b: ir.IRBuilder, pointer: ir.Value, offset: ir.Value | int) -> ir.Value:
        """The address ``offset`` bytes behind a pointer."""
        offset = I64(offset) if isinstance(offset, int) else offset
        return b.gep(pointer, [offset], source_etype=ir.IntType(8))

    def zero(self) -> ir.Constant:
        """A vector of zeros."""
        return ir.Constant(self.vector, [0.0] * self.lanes)

    def prefetch(self, b: ir.IRBuilder, pointer: ir.Value) -> None:
        """Ask for a cache line that will be read; any address will do."""
        function = self.declare("llvm.prefetch.p0", ir.VoidType(), [PTR, I32, I32, I32])
        b.call(function, [pointer, I32(0), I32(3), I32(1)])

    def broadcast(self, b: ir.IRBuilder, pointer: ir.Value) -> ir.Value:
        """A vector whose lanes are the element at the pointer."""
        return self.splat(b, b.load(pointer, align=self.size, typ=self.scalar))

    def load(self, b: ir.IRBuilder, pointer: ir.Value, mask: ir.Value | None = None) -> ir.Value:
        if mask is None:
            return b.load(pointer, align=self.size, typ=self.vector)
        return b.call(self._masked("load"), [pointer, mask])

    def store(self, b: ir.IRBuilder, value: ir.Value, pointer: ir.Value, mask: ir.Value | None = None) -> None:
        if mask is None:
            b.store(value, pointer, align=self.size)
        else:
            b.call(self._masked("store"), [value, pointer, mask])

    def mask(self, b: ir.IRBuilder, valid: ir.Value) -> ir.Value:
        """The first ``valid`` lanes."""
        lanes = ir.Constant(ir.VectorType(I32, self.lanes), list(range(self.lanes)))
        return b.icmp_signed("<", lanes, self.splat(b, b.trunc(valid, I32)))

    def splat(self, b: ir.IRBuilder, value: ir.Value) -> ir.Value:
        vector = ir.VectorType(value.type, self.lanes)
        one = b.insert_element(ir.Constant(vector, ir.Undefined), value, I32(0))
        return b.shuffle_vector(
            one, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        )

    def _masked(self, access: str) -> ir.Function:
        """A masked load or store. Its own function: where no instruction does it, LLVM writes a branch for each lane,
        and that once for each access of each tile."""
        bits = ir.VectorType(ir.IntType(1), self.lanes)
        arguments = [PTR, bits] if access == "load" else [self.vector, PTR, bits]
        result = self.vector if access == "load" else ir.VoidType()
        function, new = self.define(f"masked_{access}", result, arguments)
        if not new:
            return function
        if self.target.masks:
            function.attributes.discard("noinline")
            function.attributes.add("alwaysinline")
        b = ir.IRBuilder(function.append_basic_block())
        name = f"llvm.masked.{access}.{self.suffix}.p0"
        if access == "load":
            read = self.declare(name, self.vector, [PTR, I32, bits, self.vector])
            b.ret(b.call(read, [function.args[0], I32(self.size), function.args[1], self.zero()]))
        else:
            write = self.declare(name, ir.VoidType(), [self.vector, PTR, I32, bits])
            b.call(write, [function.args[0], function.args[1], I32(self.size), function.args[2]])
            b.ret_void()
        return function

    def loop(self, b: ir.IRBuilder, count: ir.Value, values: list[ir.Value], body) -> list[ir.Value]:
        """``for _ in range(count): values = body(values)``; the values after it."""
        entry = b.block
        head, inside, exit_block = (b.append_basic_block(name) for name in ("head", "body", "after"))
        b.branch(head)
        b.position_at_end(head)
        remaining = b.phi(I64)
        remaining.add_incoming(count, entry)
        carried = []
        for value in values:
            phi = b.phi(value.type)
            phi.add_incoming(value, entry)
            carried.append(phi)
        b.cbranch(b.icmp_signed(">", remaining, I64(0)), inside, exit_block)
        b.position_at_end(inside)
        for phi, value in zip(carried, body(carried), strict=True):
            phi.add_incoming(value, b.block)
        remaining.add_incoming(b.sub(remaining, I64(1)), b.block)
        b.branch(head)
        b.position_at_end(exit_block)
        return carried

    def when(self, b: ir.IRBuilder, condition: ir.Value, values: list[ir.Value], body) -> list[ir.Value]:
        """``if condition: values = body(values)``."""
        entry = b.block
        inside, exit_block = b.append_basic_block("then"), b.append_basic_block("after")
        b.cbranch(condition, inside, exit_block)
        b.position_at_end(inside)
        changed = body(values)
        end = b.block
        b.branch(exit_block)
        b.position_at_end(exit_block)
        merged = []
        for old, new in zip(values, changed, strict=True):
            phi = b.phi(old.type)
            phi.add_incoming(old, entry)
            phi.add_incoming(new, end)
            merged.append(phi)
        return merged

    def transposed(self, b: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
        """The transpose of 16 bytes of each of ``lanes`` rows: vector i holds element i of every row.

        A vector takes 16 bytes of ``lanes / unit`` rows that lie ``unit`` rows apart; then transposing the 16-byte
        parts, all within their part, leaves the result. No shuffle crosses 128 bits.

        Args:
            rows: pointers to the 16 bytes.
        """
        unit = 16 // self.size
        return self.transposed_parts(b, [self._joined(b, rows[i::unit]) for i in range(unit)])

    def transposed_parts(self, b: ir.IRBuilder, vectors: list[ir.Value]) -> list[ir.Value]:
        """As many vectors as 16 bytes have elements, each 16-byte part of them transposed."""
        unit = 16 // self.size
        half = unit // 2
        while half:
            pairs = zip(vectors[: unit // 2], vectors[unit // 2 :], strict=True)
            vectors = [self._interleaved(b, x, y, high) for x, y in pairs for high in (0, 1)]
            half //= 2
        return vectors

    def _joined(self, b: ir.IRBuilder, pointers: list[ir.Value]) -> ir.Value:
        """One vector from the 16 bytes at each pointer, joined pairwise."""
        width = 16 // self.size
        part = ir.VectorType(self.scalar, width)
        parts = [b.load(p, align=self.size, typ=part) for p in pointers]
        while len(parts) > 1:
            width *= 2
            order = ir.Constant(ir.VectorType(I32, width), list(range(width)))
            parts = [b.shuffle_vector(x, y, order) for x, y in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    def _interleaved(self, b: ir.IRBuilder, x: ir.Value, y: ir.Value, high: int) -> ir.Value:
        """Elements of x and y in turns, from the lower or the higher half of each 16 bytes."""
        unit = 16 // self.size
        start = unit // 2 * high
        parts = range(0, self.lanes, unit)
        order = [p + start + i // 2 + (i % 2) * self.lanes for p in parts for i in range(unit)]
        return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, self.lanes), order))

    def store_part(self, b: ir.IRBuilder, vector: ir.Value, first: int, count: int, address: ir.Value) -> None:
        """Store ``count`` lanes from ``first`` on."""
        order = ir.Constant(ir.VectorType(I32, count), list(range(first, first + count)))
        b.store(b.shuffle_vector(vector, vector, order), address, align=self.size)

    def pieces(
        self, b: ir.IRBuilder, rows: ir.Value, columns: ir.Value, piece: Callable, size: tuple[int, int] = (1, 1)
    ) -> None:
        """Go over a matrix in pieces, the last of which overlap those before.

        Args:
            rows, columns: of the matrix, at least those of a piece.
            piece: ``(row, column)`` of its first element; writes the code.
            size: rows and columns of a piece.
        """
        high, wide = size

        def rows_from(values):
            i = self._clamped(b, values[0], rows, high)

            def columns_from(values):
                piece(i, self._clamped(b, values[0], columns, wide))
                return [b.add(values[0], I64(wide))]

            self.loop(b, b.sdiv(b.add(columns, I64(wide - 1)), I64(wide)), [I64(0)], columns_from)
            return [b.add(values[0], I64(high))]

        self.loop(b, b.sdiv(b.add(rows, I64(high - 1)), I64(high)), [I64(0)], rows_from)

    def _clamped(self, b: ir.IRBuilder, start: ir.Value, count: ir.Value, size: int) -> ir.Value:
        """The start of a piece, moved back where it would end beyond ``count``."""
        if size == 1:
            return start
        last = b.sub(count, I64(size))
        return b.select(b.icmp_signed("<", start, last), start, last)

    def hidden(self, b: ir.IRBuilder, value: ir.Value) -> ir.Value:
        """The value, from where LLVM does not look."""
        return b.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], False)
