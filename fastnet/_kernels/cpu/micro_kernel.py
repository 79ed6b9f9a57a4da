"""LLVM code of tiles: a block of C whose sums stay in registers over a whole K-block.

Each step of k loads one row of vectors, and for each row of A broadcasts one element and multiplies and adds with
``llvm.fmuladd``: one instruction where the processor has a fused multiply-add, two where it has none (``llvm.fma``
would become a library call there, 18 times slower). Every sum runs over k in order, from zero; the size of the tile
never shows in the bits.

The parts serve other kernels too. A loop over k is `MicroKernel.accumulate`; its two operands say where their elements
lie: `StridedRows` is the one that is broadcast, `PanelRows` or `TransposedRows` the one that is loaded as vectors.
Their pointers come back from the loop, and the sums with them: a kernel may move the pointers and go on summing, as a
convolution does at the end of each row of an image.

While they compute, tiles fetch the lines of two ranges of addresses, which a kernel sets to what the tiles to come read
and write: the processor fetches a few lines ahead of what is read in order, and not across the end of a block.
"""

from __future__ import annotations

from typing import Protocol

from llvmlite import ir

from fastnet._kernels.cpu import blocking
from fastnet._kernels.cpu.emit import I32, I64, PTR, Emitter
from fastnet._kernels.cpu.processor import LINE

UNROLL = 2  # steps of k; 4 is not faster, and compiles longer
ADD, RELU = 1, 2  # flags of a tile
FULL, MASKED, SINGLE, TRANSPOSED = range(4)  # forms of a tile
TILE = "piipiippiipi"  # arguments of a tile: p an address, i an integer
SEGMENTED_TILE = "piipipipiipi"  # of one whose steps are segments
RANGES = 4  # numbers that hold the starts and ends of two ranges of addresses, which tiles fetch
FETCHED = 8  # lines of each that a segment fetches: 0.79 of the peak for 16 channels, 0.75 with 4, 0.78 with 12
Values = list[ir.Value]
State = tuple[Values, Values, Values]  # of a loop over k: pointers of its operands, sums


class StridedRows:
    """Rows at one distance, of which each step broadcasts one element: the operand A of a tile.

    Pointers to every third row, the two behind each reached as base + distance and base + 2 * distance, which are
    addressing modes of x86: a pointer for each row would not fit the registers. Hidden from LLVM, which would otherwise
    walk from row to row, a chain of additions as long as the multiply-adds take.

    Args:
        emitter: of the function.
        b: its builder.
        base: the first row's first element.
        distance: bytes between rows.
        step: bytes between steps.
        count: rows.
    """

    def __init__(self, emitter: Emitter, b: ir.IRBuilder, base: ir.Value, distance: ir.Value, step, count: int):
        self.emitter, self.step = emitter, step
        self.pointers = [base]
        self.pointers += [emitter.at(b, base, b.mul(distance, I64(row))) for row in range(3, count, 3)]
        self.offsets = I64(0), distance, emitter.hidden(b, b.shl(distance, I64(1)))

    def step_by(self, b: ir.IRBuilder, pointers: Values, distance: ir.Value | int, count: int) -> tuple[Values, Values]:
        """Addresses of the current elements of the first ``count`` rows, and pointers ``distance`` bytes further."""
        at = self.emitter.at
        pointers = [self.emitter.hidden(b, pointer) for pointer in pointers]
        addresses = [
            at(b, pointers[row // 3], self.offsets[row % 3]) if row % 3 else pointers[row // 3] for row in range(count)
        ]
        return addresses, self.advanced(b, pointers, distance)

    def advanced(self, b: ir.IRBuilder, pointers: Values, distance: ir.Value | int) -> Values:
        """The pointers ``distance`` bytes further."""
        return [self.emitter.at(b, pointer, distance) for pointer in pointers]


class VectorOperand(Protocol):
    """An operand whose vectors a loop over k reads: where it begins, and how its steps are loaded."""

    pointers: Values
    steps: int

    def load(self, b: ir.IRBuilder, pointers: Values) -> tuple[list[Values], Values]:
        """The vectors of the next ``steps`` steps, and the pointers behind them."""

    def load_one(self, b: ir.IRBuilder, pointers: Values) -> tuple[Values, Values]:
        """The vectors of the next step, and the pointers behind it."""


class PanelRows:
    """A step's columns lie side by side: packed panels, and matrices in place.

    Args:
        emitter: of the function.
        base: the first step's first element.
        step: bytes between steps.
        masks: of each vector, or None for a full one.
    """

    steps = 1

    def __init__(self, emitter: Emitter, base: ir.Value, step: ir.Value, masks: list[ir.Value | None]):
        self.emitter, self.step, self.masks = emitter, step, masks
        self.pointers = [base]

    def load(self, b: ir.IRBuilder, pointers: Values) -> tuple[list[Values], Values]:
        e, (row,) = self.emitter, pointers
        vectors = [e.load(b, e.at(b, row, v * e.width), mask) for v, mask in enumerate(self.masks)]
        return [vectors], [e.at(b, row, self.step)]

    def load_one(self, b: ir.IRBuilder, pointers: Values) -> tuple[Values, Values]:
        (vectors,), pointers = self.load(b, pointers)
        return vectors, pointers


class TransposedRows:
    """A step's columns are rows in memory, of which 16 bytes at a time are transposed in registers.

    As many rows as a vector has lanes: with two vectors LLVM keeps a part of the sums in memory (10 columns of float32
    on Zen 4: 109 GF/s with one vector of 64 bytes, 77 with one of 32, 72 with two of 32).

    Args:
        emitter: of the function.
        b: its builder.
        base: the first row's first element.
        distance: bytes between rows.
    """

    def __init__(self, emitter: Emitter, b: ir.IRBuilder, base: ir.Value, distance: ir.Value):
        self.emitter, self.steps = emitter, 16 // emitter.size
        self.rows = StridedRows(emitter, b, base, distance, emitter.size, emitter.lanes)
        self.pointers = self.rows.pointers

    def load(self, b: ir.IRBuilder, pointers: Values) -> tuple[list[Values], Values]:
        addresses, pointers = self.rows.step_by(b, pointers, 16, self.emitter.lanes)
        return [[vector] for vector in self.emitter.transposed(b, addresses)], pointers

    def load_one(self, b: ir.IRBuilder, pointers: Values) -> tuple[Values, Values]:
        e = self.emitter
        vector = ir.Constant(e.vector, ir.Undefined)
        addresses, pointers = self.rows.step_by(b, pointers, e.size, e.lanes)
        for lane, address in enumerate(addresses):
            element = b.load(address, align=e.size, typ=e.scalar)
            vector = b.insert_element(vector, element, I32(lane))
        return [vector], pointers


def _at_once(operand: VectorOperand) -> int:
    """Steps of k that the loop over k writes out."""
    return max(UNROLL, operand.steps)


class MicroKernel(Emitter):
    """Tiles of the matrix product, and the loop over k they are made of.

    Args:
        module: where they are written.
        dtype: "float32" or "float64".
        tile: the processor's.
    """

    prefix = "gemm"
    kinds_of_arguments = TILE

    def __init__(self, module: ir.Module, dtype: str, tile: blocking.Tile):
        super().__init__(module, dtype, tile.width)
        self.shape = tile

    def accumulate(
        self,
        b: ir.IRBuilder,
        left: StridedRows,
        right: VectorOperand,
        k: ir.Value,
        state: State,
        ahead: tuple[ir.Value, ir.Value] | None = None,
    ) -> State:
        """Add k steps to the sums, row by row of ``left``: sums[row * vectors + v] += left[row] * right[v].

        Args:
            b: builder.
            left: the broadcast operand.
            right: the vector operand.
            k: steps.
            state: before these steps.
            ahead: the first line of those to fetch, one for `_at_once` steps, and the bytes from each to the next.

        Returns:
            The state after these steps.
        """
        lefts, rights = len(state[0]), len(state[1])

        def step(pointers, vectors, sums):
            added = []
            addresses, pointers = left.step_by(b, pointers, left.step, len(sums) // len(vectors))
            for row, address in enumerate(addresses):
                factor = self.broadcast(b, address)
                added += [self.fma(b, factor, v, sums[row * len(vectors) + i]) for i, v in enumerate(vectors)]
            return pointers, added

        def several(values):
            line, values = values[: len(lines)], values[len(lines) :]
            pointers, others, sums = values[:lefts], values[lefts : lefts + rights], values[lefts + rights :]
            for pointer in line:
                self.prefetch(b, pointer)
            for _ in range(max(1, UNROLL // right.steps)):
                loaded, others = right.load(b, others)
                for vectors in loaded:
                    pointers, sums = step(pointers, vectors, sums)
            return [*(self.at(b, pointer, ahead[1]) for pointer in line), *pointers, *others, *sums]

        def one(values):
            vectors, others = right.load_one(b, values[lefts : lefts + rights])
            pointers, sums = step(values[:lefts], vectors, values[lefts + rights :])
            return [*pointers, *others, *sums]

        at_once, lines = I64(_at_once(right)), [] if ahead is None else [ahead[0]]
        values = self.loop(b, b.sdiv(k, at_once), [*lines, *state[0], *state[1], *state[2]], several)
        values = self.loop(b, b.srem(k, at_once), values[len(lines) :], one)
        return values[:lefts], values[lefts : lefts + rights], values[lefts + rights :]

    def tile(self, rows: int, form: int) -> ir.Function:
        """C[rows, columns] (+)= A @ B over one K-block; then bias and ReLU where asked.

        void (a, bytes between rows of A, bytes between steps of k in A, b, bytes between rows of B, k,
              ranges to fetch, c, bytes between rows of C, valid lanes of the last vector, bias or null, flags)

        Args:
            rows: of A.
            form: FULL columns; MASKED, of which the last vector is not full; SINGLE, one vector that may not be full;
                TRANSPOSED, one full vector whose B is stored transposed.
        """
        types = self._types
        function, new = self.define(f"tile_{rows}x{('2', '2m', '1m', 't')[form]}", ir.VoidType(), types)
        if not new:
            return function
        a, a_row, a_step, b_rows, b_step, *steps, c, c_row, valid, bias, flags = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        vectors = blocking.VECTORS if form in (FULL, MASKED) else 1
        mask = self.mask(b, valid) if form in (MASKED, SINGLE) else None
        masks = [None] * (vectors - 1) + [mask]
        left = StridedRows(self, b, a, a_row, a_step, rows)
        right: VectorOperand
        if form == TRANSPOSED:
            right = TransposedRows(self, b, b_rows, b_step)
        else:
            right = PanelRows(self, b_rows, b_step, masks if self.target.masks else [None] * vectors)
        start = [self.zero()] * (rows * vectors)
        sums = self._sums(b, left, right, steps, start)
        self._finish(b, sums, masks, (c, c_row, valid), bias, flags)
        b.ret_void()
        return function

    @property
    def _types(self) -> list[ir.Type]:
        """Of a tile's arguments."""
        return [PTR if kind == "p" else I64 for kind in self.kinds_of_arguments]

    def _sums(self, b: ir.IRBuilder, left: StridedRows, right: VectorOperand, steps: Values, start: Values) -> Values:
        """The sums over all steps."""
        k, ranges = steps
        ahead = self._ahead(b, ranges, b.sdiv(k, I64(_at_once(right))), right.pointers[0])
        return self.accumulate(b, left, right, k, (left.pointers, right.pointers, start), ahead)[2]

    def _ahead(self, b: ir.IRBuilder, ranges: ir.Value, count: ir.Value, known: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The next line to fetch, and the bytes from each line to the next.

        It is of the first range that is not at its end, whose start moves on by ``count`` lines. Where both are, or
        ``ranges`` is null, each line is ``known``, which is in the cache. Lines behind a range could be of a page that
        is not there, and would be looked up again and again.
        """

        def next_lines(_):
            start, end = (b.load(self.at(b, ranges, 8 * i), align=8, typ=I64) for i in range(2))
            place = b.select(b.icmp_unsigned("<", start, end), ranges, self.at(b, ranges, 16))
            start, end = (b.load(self.at(b, place, 8 * i), align=8, typ=I64) for i in range(2))
            is_left = b.icmp_unsigned("<", start, end)
            distance = b.select(is_left, I64(LINE), I64(0))
            b.store(b.add(start, b.mul(distance, count)), place, align=8)
            return [b.select(is_left, b.inttoptr(start, PTR), known), distance]

        is_given = b.icmp_unsigned("!=", b.ptrtoint(ranges, I64), I64(0))
        line, distance = self.when(b, is_given, [known, I64(0)], next_lines)
        return line, distance

    def _finish(self, b: ir.IRBuilder, sums: Values, masks: list[ir.Value | None], c: tuple, bias, flags) -> None:
        """Add the old C and the bias, apply ReLU, each where asked; store."""
        c, c_row, valid = c
        vectors, zero = len(masks), self.zero()
        addresses, row = [], c
        for r in range(len(sums) // vectors):
            row = self.at(b, row, c_row) if r else c
            addresses += [self.at(b, row, v * self.width) for v in range(vectors)]

        def add(sums):
            return [b.fadd(self.load(b, p, masks[i % vectors]), s) for i, (p, s) in enumerate(zip(addresses, sums))]

        def shift(sums):
            row = [self.load(b, self.at(b, bias, v * self.width), masks[v]) for v in range(vectors)]
            return [b.fadd(s, row[i % vectors]) for i, s in enumerate(sums)]

        def relu(sums):
            return [b.select(b.fcmp_ordered("<", s, zero), zero, s) for s in sums]

        sums = self.when(b, b.icmp_signed("!=", b.and_(flags, I64(ADD)), I64(0)), sums, add)
        sums = self.when(b, b.icmp_unsigned("!=", b.ptrtoint(bias, I64), I64(0)), sums, shift)
        sums = self.when(b, b.icmp_signed("!=", b.and_(flags, I64(RELU)), I64(0)), sums, relu)
        parts = masks[-1] is not None and not self.target.stores
        for i, (address, value) in enumerate(zip(addresses, sums, strict=True)):
            if not parts or i % vectors < vectors - 1:
                self.store(b, value, address, masks[i % vectors])
        if parts:
            self._store_parts(b, sums[vectors - 1 :: vectors], addresses[vectors - 1 :: vectors], valid)

    def _store_parts(self, b: ir.IRBuilder, values: Values, addresses: Values, valid: ir.Value) -> None:
        """The first ``valid`` lanes of each vector, in halves: all, then 4, 2 and 1 of 8 lanes. A masked store of
        AVX2 takes 12 cycles on AMD's processors (uops.info), and elsewhere becomes a branch for each lane."""
        lanes = self.lanes
        offset = I64(0)
        while lanes:
            first = ir.Constant(ir.VectorType(I32, lanes), list(range(lanes)))
            others = [min(lanes + i, self.lanes - 1) for i in range(self.lanes)]
            others = ir.Constant(ir.VectorType(I32, self.lanes), others)

            def piece(state, first=first, others=others, lanes=lanes):
                offset, *values = state
                for value, address in zip(values, addresses, strict=True):
                    self.store(b, b.shuffle_vector(value, value, first), self.at(b, address, offset))
                return [b.add(offset, I64(lanes * self.size)), *(b.shuffle_vector(v, v, others) for v in values)]

            wanted = b.icmp_signed("!=", b.and_(valid, I64(lanes)), I64(0))
            offset, *values = self.when(b, wanted, [offset, *values], piece)
            lanes //= 2

    def any_tile(self, complete: bool) -> ir.Function:
        """The tile of any shape: void (arguments of `tile`, rows, form).

        Without ``complete`` an empty weak function that linking replaces: numba gives every function a module with all
        it calls, therefore the tiles are written into the outermost one only (a third more compile time otherwise).
        """
        name = f"{self.prefix}_{self.dtype}_any_tile"
        function = self.module.globals.get(name)
        if function is None:
            function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), self._types + [I64] * 2), name)
        b = ir.IRBuilder(function.append_basic_block("entry"))
        if not complete:
            function.linkage = "weak"
            b.ret_void()
            return function
        function.attributes.add("alwaysinline")
        *arguments, rows, form = function.args
        end = b.append_basic_block("end")
        switch = b.switch(b.add(b.shl(rows, I64(2)), form), end)
        for count, kind in self.kinds():
            block = b.append_basic_block(f"tile_{count}_{kind}")
            switch.add_case(I64((count << 2) + kind), block)
            b.position_at_end(block)
            b.call(self.tile(count, kind), arguments)
            b.ret_void()
        b.position_at_end(end)
        b.ret_void()
        return function

    def kinds(self) -> list[tuple[int, int]]:
        """Rows and form of every tile."""
        both = [(rows, form) for rows in range(1, self.shape.rows + 1) for form in (FULL, MASKED)]
        single = [(rows, SINGLE) for rows in range(1, self.shape.single_rows + 1)]
        columns = blocking.transposed_columns(self.target)
        return both + single + [(count, TRANSPOSED) for count in range(1, columns + 1)]


class SegmentedTiles(MicroKernel):
    """Tiles whose steps of k are segments, at the end of which the operands jump: those of a convolution.

    Instead of k a tile gets a table and its length: for each segment its steps, and the bytes by which A and B jump
    behind it. In front of them are the ranges, of both of which each segment fetches the next lines. There is no form
    TRANSPOSED.
    """

    prefix = "segments"
    kinds_of_arguments = SEGMENTED_TILE

    def _sums(self, b: ir.IRBuilder, left: StridedRows, right: VectorOperand, steps: Values, start: Values) -> Values:
        table, count = steps
        lefts, rights = len(left.pointers), len(right.pointers)

        def segment(values):
            row, *values = values
            k, *jumps = (b.load(self.at(b, row, 8 * i), align=8, typ=I64) for i in range(3))
            state = values[:lefts], values[lefts : lefts + rights], values[lefts + rights :]
            self._fetch(b, table)
            pointers, others, sums = self.accumulate(b, left, right, k, state)
            pointers = left.advanced(b, pointers, jumps[0])
            return [self.at(b, row, 24), *pointers, *(self.at(b, p, jumps[1]) for p in others), *sums]

        first = self.at(b, table, 8 * RANGES)
        values = self.loop(b, count, [first, *left.pointers, *right.pointers, *start], segment)
        return values[1 + lefts + rights :]

    def _fetch(self, b: ir.IRBuilder, table: ir.Value) -> None:
        """Ask for the next lines of both ranges, and move their starts behind these."""
        for place in (table, self.at(b, table, 16)):
            start, end = (b.load(p, align=8, typ=I64) for p in (place, self.at(b, place, 8)))
            is_left = b.icmp_unsigned("<", start, end)
            line = b.inttoptr(b.select(is_left, start, b.ptrtoint(table, I64)), PTR)
            for _ in range(FETCHED):
                self.prefetch(b, line)
                line = self.at(b, line, LINE)
            b.store(b.select(is_left, b.add(start, I64(FETCHED * LINE)), start), place, align=8)

    def kinds(self) -> list[tuple[int, int]]:
        return [kind for kind in super().kinds() if kind[1] != TRANSPOSED]
