"""Columns of a matrix of rows that lie apart, copied to lanes and back, as LLVM code.

Element by element, a copy takes as many stores as elements, and the vectors that are read next wait until all are
done: no processor forwards narrow stores to a wide load. Here 16 bytes of as many rows as a vector has lanes are
transposed in registers.
"""

from __future__ import annotations

from functools import partial

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastnet._kernels.chunks import LANES
from fastnet._kernels.cpu.emit import DTYPES, I64, PTR, Emitter, call_with_pointers
from fastnet._kernels.lane_intrinsics import each_lane

__all__ = ["column_of", "load_columns", "store_columns"]


class Columns(Emitter):
    """Copies of columns of a matrix, column j from or to ``lanes[LANES * j]`` and behind, a lane for each row.

    Args:
        module, dtype, width: see `Emitter`.
        is_load: whether columns are loaded to lanes, or stored.
    """

    prefix = "columns"

    def __init__(self, module: ir.Module, dtype: str, is_load: bool, width: int | None = None):
        super().__init__(module, dtype, width)
        self.is_load, self.unit = is_load, 16 // self.size

    def copy(self) -> ir.Function:
        """void (matrix, bytes between its rows, rows, columns, lanes)"""
        name = "load" if self.is_load else "store"
        function, new = self.define(name, ir.VoidType(), [PTR, I64, I64, I64, PTR])
        if not new:
            return function
        function.attributes.add("optsize")  # no loop unrolled: compiled in 22 ms instead of 37, and as fast
        self.matrix, self.distance, rows, columns, self.place = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        with b.if_else(b.icmp_signed(">=", rows, I64(self.lanes))) as (vectors, few_rows):
            with vectors, b.if_else(b.icmp_signed(">=", columns, I64(self.unit))) as (parts, few_columns):
                with parts:
                    self.pieces(b, rows, columns, partial(self._part, b), (self.lanes, self.unit))
                with few_columns:
                    self.pieces(b, columns, rows, partial(self._column, b), (1, self.lanes))
            with few_rows:
                self.pieces(b, columns, rows, partial(self._element, b))
        b.ret_void()
        return function

    def _part(self, b: ir.IRBuilder, row: ir.Value, column: ir.Value) -> None:
        """16 bytes of as many rows as a vector has lanes."""
        start, place = self._ends(b, row, column)
        pointers = self._apart(b, start)
        places = [self.at(b, place, LANES * self.size * j) for j in range(self.unit)]
        if self.is_load:
            for vector, target in zip(self.transposed(b, pointers), places, strict=True):
                self.store(b, vector, target)
            return
        vectors = self.transposed_parts(b, [self.load(b, source) for source in places])
        for k, pointer in enumerate(pointers):
            self.store_part(b, vectors[k % self.unit], k // self.unit * self.unit, self.unit, pointer)

    def _column(self, b: ir.IRBuilder, column: ir.Value, row: ir.Value) -> None:
        """One element of as many rows."""
        start, place = self._ends(b, row, column)
        for k, pointer in enumerate(self._apart(b, start)):
            self._copied(b, pointer, self.at(b, place, k * self.size))

    def _element(self, b: ir.IRBuilder, column: ir.Value, row: ir.Value) -> None:
        self._copied(b, *self._ends(b, row, column))

    def _copied(self, b: ir.IRBuilder, element: ir.Value, place: ir.Value) -> None:
        source, target = (element, place) if self.is_load else (place, element)
        b.store(b.load(source, align=self.size, typ=self.scalar), target, align=self.size)

    def _ends(self, b: ir.IRBuilder, row: ir.Value, column: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The address of an element, and of its place in the lanes."""
        element = self.at(b, self.at(b, self.matrix, b.mul(row, self.distance)), b.mul(column, I64(self.size)))
        return element, self.at(b, self.place, b.mul(b.add(b.mul(column, I64(LANES)), row), I64(self.size)))

    def _apart(self, b: ir.IRBuilder, start: ir.Value) -> list[ir.Value]:
        """Addresses below each other, a row apart, for all lanes of a vector."""
        pointers = [start]
        while len(pointers) < self.lanes:
            pointers.append(self.at(b, pointers[-1], self.distance))
        return pointers


@intrinsic
def column_of(typingctx, lanes, column):
    """The lanes of a column, of those that `load_columns` or `store_columns` copies."""
    if not (isinstance(lanes, types.CPointer) and isinstance(column, types.Integer)):
        return None

    def codegen(context, builder, sig, args):
        return builder.gep(args[0], [builder.mul(args[1], ir.Constant(args[1].type, LANES))])

    return lanes(lanes, types.int64), codegen


@intrinsic
def load_columns(typingctx, lanes, first, column, columns, *operands):
    """``x[LANES * j + k] = matrix[first + k, column + j]`` for lanes k and columns j, of triples ``x, matrix, elements
    from row to row``, all of one dtype."""
    return _copied(operands, is_load=True)


@intrinsic
def store_columns(typingctx, lanes, first, column, columns, *operands):
    """``matrix[first + k, column + j] = x[LANES * j + k]`` for lanes k and columns j, of triples ``x, matrix, elements
    from row to row``, all of one dtype."""
    return _copied(operands, is_load=False)


def _copied(operands, is_load):
    pointers = {*operands[::3], *operands[1::3]}
    if len(pointers) != 1 or not pointers <= DTYPES.keys():
        return None
    (pointer,) = pointers

    def codegen(context, b, sig, args):
        count, first, column, columns, triples = args
        triples = cgutils.unpack_tuple(b, triples)
        for x, matrix, distance in zip(triples[::3], triples[1::3], triples[2::3]):
            start = b.gep(matrix, [b.add(b.mul(first, distance), column)])
            if context.global_space:  # a GPU, whose threads have a row each
                _copy_elements(b, (start, distance), count, columns, x, is_load)
                continue
            emitter = Columns(b.module, DTYPES[pointer], is_load)
            values = [start, b.mul(distance, I64(emitter.size)), count, columns, x]
            call_with_pointers(b, emitter.copy(), values)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4, types.StarArgTuple.from_types(operands)), codegen


def _copy_elements(b, matrix, rows, columns, x, is_load):
    start, distance = matrix
    with each_lane(b, rows) as row, each_lane(b, columns) as column:
        element = b.gep(start, [b.add(b.mul(row, distance), column)])
        place = b.gep(x, [b.add(b.mul(column, I64(LANES)), row)])
        source, target = (element, place) if is_load else (place, element)
        b.store(b.load(source), target)
