"""LLVM code of the matrix product's inner parts: the register tile, the copies into packed panels, the epilogue's call.

The tile keeps ``rows x (vectors * lanes)`` sums in registers over a whole K-block. Each step of k loads one row of B,
and for each row of A broadcasts one element and multiplies and adds with ``llvm.fmuladd``: one instruction where the
processor has a fused multiply-add, two where it has none (``llvm.fma`` would become a library call there, 18 times
slower). Every sum runs over k in order, from zero; so the size of the tile never shows in the bits.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnet._kernels.cpu.emit import I32, I64, PTR, SIZES, Emitter, calling

VECTORS = 2  # of a panel of B
UNROLL = 2  # steps of k; 4 is no faster, and compiles for longer
LINE = 64  # bytes of a cache line
AHEAD = 6  # rows that copying a panel asks for in advance
ADD, RELU = 1, 2  # flags of a tile
TILE = "piipiipiipi"  # arguments of a tile: p an address, i an integer
TILE_TYPES = [PTR if kind == "p" else I64 for kind in TILE]


class Tiles(Emitter):
    """The tile and the copies into panels."""

    prefix = "gemm"

    def tile(self, rows: int, vectors: int, masked: bool) -> ir.Function:
        """C[rows, vectors * lanes] (+)= A @ B over one K-block; then bias and ReLU where asked.

        void (a, bytes between rows of A, bytes between steps of k in A, b, bytes between rows of B, k,
              c, bytes between rows of C, valid lanes of the last vector, bias or null, flags)
        """
        function, new = self.define(f"tile_{rows}x{vectors}{'m' * masked}", ir.VoidType(), TILE_TYPES)
        if not new:
            return function
        a, a_row, a_step, b_rows, b_step, k, c, c_row, valid, bias, flags = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        mask = self.mask(b, valid) if masked else None
        masks = [None] * (vectors - 1) + [mask]
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        sums = self._sums(b, rows, vectors, masks if self.target.masks else [None] * vectors,
                          (a, a_row, a_step), (b_rows, b_step), k, [zero] * (rows * vectors))  # fmt: skip
        places = self._places(b, c, c_row, rows, vectors)

        def add(sums):
            return [b.fadd(self.load(b, p, masks[i % vectors]), s) for i, (p, s) in enumerate(zip(places, sums))]

        def shift(sums):
            row = [self.load(b, self.at(b, bias, v * self.target.width), masks[v]) for v in range(vectors)]
            return [b.fadd(s, row[i % vectors]) for i, s in enumerate(sums)]

        def relu(sums):
            return [b.select(b.fcmp_ordered("<", s, zero), zero, s) for s in sums]

        sums = self.when(b, b.icmp_signed("!=", b.and_(flags, I64(ADD)), I64(0)), sums, add)
        sums = self.when(b, b.icmp_unsigned("!=", b.ptrtoint(bias, I64), I64(0)), sums, shift)
        sums = self.when(b, b.icmp_signed("!=", b.and_(flags, I64(RELU)), I64(0)), sums, relu)
        for i, (place, value) in enumerate(zip(places, sums, strict=True)):
            if not masked or i % vectors < vectors - 1:
                self.store(b, value, place)
            elif self.target.stores:
                self.store(b, value, place, mask)
        if masked and not self.target.stores:
            self._store_parts(b, sums[vectors - 1 :: vectors], places[vectors - 1 :: vectors], valid)
        b.ret_void()
        return function

    def _store_parts(self, b, values, places, valid) -> None:
        """The first ``valid`` lanes of each vector, in halves: whole, then 4, 2 and 1 of 8 lanes. A masked store of
        AVX2 takes 12 cycles on AMD's processors (uops.info), and elsewhere becomes a branch for each lane."""
        lanes = self.lanes
        offset = I64(0)
        while lanes:
            part = ir.Constant(ir.VectorType(I32, lanes), list(range(lanes)))
            rest = [min(lanes + i, self.lanes - 1) for i in range(self.lanes)]
            rest = ir.Constant(ir.VectorType(I32, self.lanes), rest)

            def piece(state, part=part, rest=rest, lanes=lanes):
                offset, *values = state
                for value, place in zip(values, places, strict=True):
                    self.store(b, b.shuffle_vector(value, value, part), self.at(b, place, offset))
                return [b.add(offset, I64(lanes * self.size)), *(b.shuffle_vector(v, v, rest) for v in values)]

            wanted = b.icmp_signed("!=", b.and_(valid, I64(lanes)), I64(0))
            offset, *values = self.when(b, wanted, [offset, *values], piece)
            lanes //= 2

    def any_tile(self, whole: bool) -> ir.Function:
        """The tile for any number of rows and vectors: void (rows, vectors, masked, arguments of `tile`).

        Without ``whole`` an empty weak function that linking replaces: numba gives every function a module with all it
        calls, so the tiles are written into the outermost one only (a third more compile time otherwise).
        """
        name = f"gemm_{self.dtype}_any_tile"
        function = self.module.globals.get(name)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [I64] * 3 + TILE_TYPES), name)
        b = ir.IRBuilder(function.append_basic_block("entry"))
        if not whole:
            function.linkage = "weak"
            b.ret_void()
            return function
        rows, vectors, masked, *rest = function.args
        end = b.append_basic_block("end")
        switch = b.switch(b.add(b.shl(rows, I64(2)), b.add(b.shl(vectors, I64(1)), masked)), end)
        kinds = [(r, VECTORS, m) for r in range(1, self.target.rows + 1) for m in (False, True)]
        kinds += [(r, 1, True) for r in range(1, self.target.rows_narrow + 1)]
        for r, v, m in kinds:
            block = b.append_basic_block(f"tile_{r}_{v}_{m}")
            switch.add_case(I64((r << 2) + (v << 1) + m), block)
            b.position_at_end(block)
            b.call(self.tile(r, v, m), rest)
            b.branch(end)
        b.position_at_end(end)
        b.ret_void()
        return function

    def _places(self, b, c, c_row, rows: int, vectors: int) -> list[ir.Value]:
        places, row = [], c
        for r in range(rows):
            row = self.at(b, row, c_row) if r else c
            places += [self.at(b, row, v * self.target.width) for v in range(vectors)]
        return places

    def _sums(self, b, rows, vectors, masks, a, b_rows, k, sums):
        """The loop over k. Pointers to every third row of A, the two behind each reached as base + stride and
        base + 2 * stride, which are addressing modes of x86: a pointer for each row would not fit the registers.
        Hidden from LLVM, which would otherwise walk from row to row, a chain of additions as long as the multiply-adds
        take."""
        (a, a_row, a_step), (b_row, b_step) = a, b_rows
        bases = [a]
        for row in range(3, rows, 3):
            bases.append(self.at(b, a, b.mul(a_row, I64(row))))
        offsets = I64(0), a_row, self.hidden(b, b.shl(a_row, I64(1)))

        def step(values):
            bases, row, sums = values[: len(bases_at)], values[len(bases_at)], values[len(bases_at) + 1 :]
            bases = [self.hidden(b, base) for base in bases]
            right = [self.load(b, self.at(b, row, v * self.target.width), masks[v]) for v in range(vectors)]
            out = []
            for r in range(rows):
                place = self.at(b, bases[r // 3], offsets[r % 3]) if r % 3 else bases[r // 3]
                left = self.splat(b, b.load(place, align=self.size, typ=self.scalar))
                out += [self.fma(b, left, right[v], sums[r * vectors + v]) for v in range(vectors)]
            return [self.at(b, p, a_step) for p in bases] + [self.at(b, row, b_step)] + out

        def steps(values):
            for _ in range(UNROLL):
                values = step(values)
            return values

        bases_at = range(len(bases))
        values = self.loop(b, b.sdiv(k, I64(UNROLL)), [*bases, b_row, *sums], steps)
        values = self.loop(b, b.srem(k, I64(UNROLL)), values, step)
        return values[len(bases) + 1 :]

    def copy(self, width: int) -> ir.Function:
        """Rows into panels of ``width`` columns: row i of panel j gets what stands from column j * width on, filled
        up to whole vectors; zeros behind the end.

        Row by row, not panel by panel: rows lie pages apart, and the cache lines of a row next to each other.

        void (source, bytes between its rows, rows, columns, destination, bytes between its rows, bytes between panels)
        """
        function, new = self.define(f"copy_{width}", ir.VoidType(), [PTR, I64, I64, I64, PTR, I64, I64])
        if not new:
            return function
        source, source_row, rows, columns, destination, row_step, panel_step = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        vectors = -(-width // self.lanes)
        panels = b.sdiv(b.add(columns, I64(width - 1)), I64(width))
        whole = b.sdiv(b.add(columns, I64(width - vectors * self.lanes)), I64(width))
        whole = b.select(b.icmp_signed("<", whole, I64(0)), I64(0), whole)

        ahead = b.mul(source_row, I64(AHEAD))
        prefetch = self.declare("llvm.prefetch.p0", ir.VoidType(), [PTR, I32, I32, I32])

        def move(read, write, masks):
            for v in range(vectors):
                at = v * self.target.width
                self.store(b, self.load(b, self.at(b, read, at), masks[v]), self.at(b, write, at))
            return [self.at(b, read, width * self.size), self.at(b, write, panel_step)]

        def whole_panel(values):
            b.call(prefetch, [self.at(b, values[0], ahead), I32(0), I32(3), I32(1)])
            return move(*values, [None] * vectors)

        def edge(values):
            read, write, left = values
            masks = [self.mask(b, b.sub(left, I64(v * self.lanes))) for v in range(vectors)]
            return [*move(read, write, masks), b.sub(left, I64(width))]

        def row(values):
            read, write = self.loop(b, whole, values, whole_panel)
            left = b.sub(columns, b.mul(whole, I64(width)))
            self.loop(b, b.sub(panels, whole), [read, write, left], edge)
            return [self.at(b, values[0], source_row), self.at(b, values[1], row_step)]

        self.loop(b, rows, [source, destination], row)
        b.ret_void()
        return function

    def transpose(self) -> ir.Function:
        """``lanes`` rows of the source become columns of a panel: destination[k, j] = source[j, k].

        A vector takes 16 bytes of ``lanes / unit`` rows that lie ``unit`` rows apart; then transposing the 16-byte
        parts, all within their part, leaves whole rows of the panel. No shuffle crosses 128 bits.

        void (source, bytes between its rows, destination, bytes between its rows, k / unit)
        """
        function, new = self.define("transpose", ir.VoidType(), [PTR, I64, PTR, I64, I64])
        if not new:
            return function
        source, source_row, destination, destination_row, count = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        unit = 16 // self.size

        def piece(values):
            base, out = values
            rows = [base]
            for _ in range(1, self.lanes):
                rows.append(self.at(b, rows[-1], source_row))
            vectors = [self._joined(b, rows[i::unit]) for i in range(unit)]
            half = unit // 2
            while half:
                pairs = zip(vectors[: unit // 2], vectors[unit // 2 :], strict=True)
                vectors = [self._interleaved(b, x, y, high) for x, y in pairs for high in (0, 1)]
                half //= 2
            for value in vectors:
                self.store(b, value, out)
                out = self.at(b, out, destination_row)
            return [self.at(b, base, 16), out]

        prefetch = self.declare("llvm.prefetch.p0", ir.VoidType(), [PTR, I32, I32, I32])
        ahead = b.mul(source_row, I64(self.lanes))

        def line(values):
            row = self.at(b, values[0], ahead)
            for _ in range(self.lanes):
                b.call(prefetch, [row, I32(0), I32(3), I32(1)])
                row = self.at(b, row, source_row)
            return self.loop(b, I64(LINE // 16), values, piece)

        values = self.loop(b, b.sdiv(count, I64(LINE // 16)), [source, destination], line)
        count = b.srem(count, I64(LINE // 16))
        source, destination = values
        self.loop(b, count, [source, destination], piece)
        b.ret_void()
        return function

    def _joined(self, b: ir.IRBuilder, places: list[ir.Value]) -> ir.Value:
        """One vector from the 16-byte pieces at the pointers, joined pairwise."""
        width = 16 // self.size
        small = ir.VectorType(self.scalar, width)
        pieces = [b.load(p, align=self.size, typ=small) for p in places]
        while len(pieces) > 1:
            width *= 2
            order = ir.Constant(ir.VectorType(I32, width), list(range(width)))
            pieces = [b.shuffle_vector(x, y, order) for x, y in zip(pieces[::2], pieces[1::2], strict=True)]
        return pieces[0]

    def _interleaved(self, b: ir.IRBuilder, x: ir.Value, y: ir.Value, high: int) -> ir.Value:
        """Elements of x and y in turns, from the lower or the higher half of each 16 bytes."""
        unit = 16 // self.size
        start = unit // 2 * high
        parts = range(0, self.lanes, unit)
        order = [p + start + i // 2 + (i % 2) * self.lanes for p in parts for i in range(unit)]
        return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, self.lanes), order))


def make(dtype: str):
    """The intrinsics of a dtype. Addresses and byte distances are int64."""

    def tiles(module):
        return Tiles(module, dtype)

    def whole_panels(module):
        return tiles(module).copy(VECTORS * tiles(module).lanes)

    @intrinsic
    def tile(typing, rows, vectors, masked, a, a_row, a_step, b, b_step, k, c, c_row, valid, bias, flags):
        """Run the tile of ``rows`` rows and ``vectors`` vectors; see `Tiles.tile`."""
        return calling(lambda module: tiles(module).any_tile(whole=False), "iii" + TILE)

    @intrinsic
    def define(typing):
        """Write the tiles into this module; see `Tiles.any_tile`."""

        def generate(context, b, _signature, _arguments):
            tiles(b.module).any_tile(whole=True)
            return context.get_dummy_value()

        return types.void(), generate

    @intrinsic
    def copy_a(typing, source, source_row, rows, columns, destination, row_step, panel_step):
        """Into panels as wide as a tile has rows; see `Tiles.copy`."""
        return calling(lambda module: tiles(module).copy(tiles(module).target.rows), "piiipii")

    @intrinsic
    def copy_b(typing, source, source_row, rows, columns, destination, row_step, panel_step):
        """Into panels as wide as a tile has columns; see `Tiles.copy`."""
        return calling(whole_panels, "piiipii")

    @intrinsic
    def transpose(typing, source, source_row, destination, destination_row, count):
        """See `Tiles.transpose`."""
        return calling(lambda module: tiles(module).transpose(), "pipii")

    @intrinsic
    def move(typing, source, destination):
        """``*destination = *source``, one element."""

        def generate(context, b, _signature, arguments):
            source, destination = (b.inttoptr(x, PTR) for x in arguments)
            size = SIZES[dtype]
            b.store(b.load(source, align=size, typ=tiles(b.module).scalar), destination, align=size)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return define, tile, copy_a, copy_b, transpose, move


@intrinsic
def call_epilogue(typing, function, bases, args, tile, ld, i0, i1, j0, j1):
    """Call the epilogue at the address ``function``."""

    def generate(context, b, _signature, arguments):
        function, *rest = arguments
        signature = ir.FunctionType(ir.VoidType(), [I64] * 8)
        rest[0] = b.ptrtoint(rest[0], I64)
        b.call(b.inttoptr(function, signature.as_pointer()), rest)
        return context.get_dummy_value()

    return types.void(types.int64, bases, *[types.int64] * 7), generate
