"""LLVM code of copies between matrices and packed panels, and of the transposition of a finished block of C."""

from __future__ import annotations

from llvmlite import ir

from fastnet._kernels.cpu.emit import I32, I64, PTR, Emitter
from fastnet._kernels.cpu.micro_kernel import RELU, Values
from fastnet._kernels.cpu.processor import LINE

AHEAD = 6  # rows that copying a panel asks for in advance


class Packing(Emitter):
    """Copies of one dtype."""

    prefix = "pack"

    def copy(self, columns: int) -> ir.Function:
        """Rows into panels of so many columns: row i of panel j gets the columns from j * columns on, filled up to
        full vectors, which the next row overwrites where rows of a panel lie closer; zeros beyond the end.

        Row by row, not panel by panel: rows lie pages apart, and the cache lines of a row next to each other.

        void (source, bytes between its rows, rows, columns, destination, bytes between its rows, bytes between panels)
        """
        function, new = self.define(f"copy_{columns}", ir.VoidType(), [PTR, I64, I64, I64, PTR, I64, I64])
        if not new:
            return function
        source, source_row, rows, count, destination, row_step, panel_step = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        vectors = -(-columns // self.lanes)
        panels = b.sdiv(b.add(count, I64(columns - 1)), I64(columns))
        full = b.sdiv(b.add(count, I64(columns - vectors * self.lanes)), I64(columns))
        full = b.select(b.icmp_signed("<", full, I64(0)), I64(0), full)
        ahead = b.mul(source_row, I64(AHEAD))

        def move(read, write, masks):
            for v in range(vectors):
                offset = v * self.width
                self.store(b, self.load(b, self.at(b, read, offset), masks[v]), self.at(b, write, offset))
            return [self.at(b, read, columns * self.size), self.at(b, write, panel_step)]

        def full_panel(values):
            self.prefetch(b, self.at(b, values[0], ahead))
            return move(*values, [None] * vectors)

        def edge(values):
            read, write, remaining = values
            masks = [self.mask(b, b.sub(remaining, I64(v * self.lanes))) for v in range(vectors)]
            return [*move(read, write, masks), b.sub(remaining, I64(columns))]

        def row(values):
            read, write = self.loop(b, full, values, full_panel)
            remaining = b.sub(count, b.mul(full, I64(columns)))
            self.loop(b, b.sub(panels, full), [read, write, remaining], edge)
            return [self.at(b, values[0], source_row), self.at(b, values[1], row_step)]

        self.loop(b, rows, [source, destination], row)
        b.ret_void()
        return function

    def copy_rows(self) -> ir.Function:
        """Rows to another distance, filled up to full vectors.

        void (source, bytes between its rows, rows, columns, destination, bytes between its rows)
        """
        function, new = self.define("copy_rows", ir.VoidType(), [PTR, I64, I64, I64, PTR, I64])
        if not new:
            return function
        source, source_row, rows, columns, destination, destination_row = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        lanes = I64(self.lanes)
        full, remaining = b.sdiv(columns, lanes), b.srem(columns, lanes)
        mask = self.mask(b, remaining)

        def move(values, mask=None):
            self.store(b, self.load(b, values[0], mask), values[1])
            return [self.at(b, value, self.width) for value in values]

        def row(values):
            ends = self.loop(b, full, values, move)
            self.when(b, b.icmp_signed(">", remaining, I64(0)), ends, lambda values: move(values, mask))
            return [self.at(b, values[0], source_row), self.at(b, values[1], destination_row)]

        self.loop(b, rows, [source, destination], row)
        b.ret_void()
        return function

    def fill_rows(self) -> ir.Function:
        """Zeros in rows, filled up to full vectors.

        void (rows, columns, destination, bytes between its rows)
        """
        function, new = self.define("fill_rows", ir.VoidType(), [I64, I64, PTR, I64])
        if not new:
            return function
        rows, columns, destination, destination_row = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        vectors = b.sdiv(b.add(columns, I64(self.lanes - 1)), I64(self.lanes))

        def clear(values):
            self.store(b, self.zero(), values[0])
            return [self.at(b, values[0], self.width)]

        def row(values):
            self.loop(b, vectors, values, clear)
            return [self.at(b, values[0], destination_row)]

        self.loop(b, rows, [destination], row)
        b.ret_void()
        return function

    def transpose(self) -> ir.Function:
        """``lanes`` rows of the source become columns of a panel: destination[k, j] = source[j, k].

        void (source, bytes between its rows, destination, bytes between its rows, k / elements of 16 bytes)
        """
        function, new = self.define("transpose", ir.VoidType(), [PTR, I64, PTR, I64, I64])
        if not new:
            return function
        source, source_row, destination, destination_row, count = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))

        def piece(values):
            base, out = values
            rows = [base]
            for _ in range(1, self.lanes):
                rows.append(self.at(b, rows[-1], source_row))
            for value in self.transposed(b, rows):
                self.store(b, value, out)
                out = self.at(b, out, destination_row)
            return [self.at(b, base, 16), out]

        ahead = b.mul(source_row, I64(self.lanes))

        def line(values):
            row = self.at(b, values[0], ahead)
            for _ in range(self.lanes):
                self.prefetch(b, row)
                row = self.at(b, row, source_row)
            return self.loop(b, I64(LINE // 16), values, piece)

        values = self.loop(b, b.sdiv(count, I64(LINE // 16)), [source, destination], line)
        self.loop(b, b.srem(count, I64(LINE // 16)), values, piece)
        b.ret_void()
        return function

    def transpose_back(self) -> ir.Function:
        """A block of C from its transpose, then bias and ReLU where asked: c[i, j] = transpose[j, i].

        Pieces of ``lanes`` rows and 16 bytes of columns; the last ones overlap those before. Where C has fewer, the
        pieces are elements.

        void (transpose, bytes between its rows, rows of C, columns of C, c, bytes between rows of C, bias or null,
              flags)
        """
        function, new = self.define("transpose_back", ir.VoidType(), [PTR, I64, I64, I64, PTR, I64, PTR, I64])
        if not new:
            return function
        b = ir.IRBuilder(function.append_basic_block("entry"))
        rows, columns = function.args[2:4]
        unit = 16 // self.size
        fits = b.and_(b.icmp_signed(">=", rows, I64(self.lanes)), b.icmp_signed(">=", columns, I64(unit)))
        vectors, elements = b.append_basic_block("vectors"), b.append_basic_block("elements")
        b.cbranch(fits, vectors, elements)
        b.position_at_end(vectors)
        self._pieces(b, function.args, self.lanes, unit)
        b.ret_void()
        b.position_at_end(elements)
        self._pieces(b, function.args, 1, 1)
        b.ret_void()
        return function

    def _pieces(self, b: ir.IRBuilder, arguments: Values, high: int, wide: int) -> None:
        """Go over C in pieces of so many rows and columns."""
        source, source_row, rows, columns, c, c_row, bias, flags = arguments
        kind = ir.VectorType(self.scalar, high)
        zero = ir.Constant(kind, [0.0] * high)
        biased = b.icmp_unsigned("!=", b.ptrtoint(bias, I64), I64(0))
        relu = b.icmp_signed("!=", b.and_(flags, I64(RELU)), I64(0))

        def piece(i, j):
            address = self.at(b, self.at(b, source, b.mul(j, source_row)), b.mul(i, I64(self.size)))
            vectors = []
            for column in range(wide):
                address = self.at(b, address, source_row) if column else address
                vectors.append(b.load(address, align=self.size, typ=kind))
            shift = self.at(b, bias, b.mul(j, I64(self.size)))
            vectors = self.when(b, biased, vectors, lambda values: self._shifted(b, values, shift))
            vectors = self.when(
                b, relu, vectors, lambda values: [b.select(b.fcmp_ordered("<", v, zero), zero, v) for v in values]
            )
            if wide > 1:
                vectors = self.transposed_parts(b, vectors)
            address = self.at(b, self.at(b, c, b.mul(i, c_row)), b.mul(j, I64(self.size)))
            for row in range(high):
                address = self.at(b, address, c_row) if row else address
                self.store_part(b, vectors[row % wide], row // wide * wide, wide, address)

        self.pieces(b, rows, columns, piece, (high, wide))

    def _shifted(self, b: ir.IRBuilder, vectors: Values, bias: ir.Value) -> Values:
        """Each vector plus its own element of the bias."""
        shifted = []
        for i, vector in enumerate(vectors):
            element = b.load(self.at(b, bias, i * self.size), align=self.size, typ=self.scalar)
            one = b.insert_element(ir.Constant(vector.type, ir.Undefined), element, I32(0))
            order = ir.Constant(ir.VectorType(I32, vector.type.count), [0] * vector.type.count)
            shifted.append(b.fadd(vector, b.shuffle_vector(one, one, order)))
        return shifted
