"""LLVM code of the matrix product's inner parts: the register tile, the copies into packed panels, the epilogue's call.

The tile keeps ``rows x (vectors * lanes)`` sums in registers over a whole K-block. Each step of k loads one row of B,
and for each row of A broadcasts one element and multiplies and adds with ``llvm.fmuladd``: one instruction where the
processor has a fused multiply-add, two where it has none (``llvm.fma`` would become a library call there, 18 times
slower). Every sum runs over k in order, from zero; so the size of the tile never shows in the bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnet._kernels import compile as compiler

I64 = ir.IntType(64)
I32 = ir.IntType(32)
PTR = ir.PointerType()
VECTORS = 2  # of a panel of B
UNROLL = 2  # steps of k
ADD, RELU = 1, 2  # flags of a tile
SIZES = {"float32": 4, "float64": 8}
TILE = "piipiipiipi"  # arguments of a tile: p an address, i an integer
TILE_TYPES = [PTR if kind == "p" else I64 for kind in TILE]
AHEAD = 6  # rows that copying a panel asks for in advance
PREFETCH = 0  # rows of B ahead


@dataclass(frozen=True)
class Target:
    """What decides the tile: vector width in bytes, rows that fit the registers, whether masked access is one
    instruction."""

    width: int
    rows: int
    masks: bool
    stores: bool  # whether a masked store is fast
    rows_narrow: int = 12  # where one vector spans C: more rows, to keep as many sums in flight

    def lanes(self, dtype: str) -> int:
        return self.width // SIZES[dtype]


@lru_cache(maxsize=1)
def target() -> Target:
    """The tile of the processor kernels are compiled for, found by compiling 16 multiply-adds and reading the result:
    a processor's name does not tell its features, and a list of names would be out of date with the next one."""
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(
        "declare <16 x float> @llvm.fmuladd.v16f32(<16 x float>, <16 x float>, <16 x float>)\n"
        "define <16 x float> @f(<16 x float> %a, <16 x float> %b, <16 x float> %c) {\n"
        "  %r = call <16 x float> @llvm.fmuladd.v16f32(<16 x float> %a, <16 x float> %b, <16 x float> %c)\n"
        "  ret <16 x float> %r\n}\n"
    )
    machine = compiler.target_machine()
    text = machine.emit_assembly(module)
    if "zmm" in text:
        return Target(64, 14, True, True, 14)
    if "ymm" in text:
        return Target(32, 6, True, False)
    if machine.triple.startswith(("aarch64", "arm64")):
        return Target(16, 12, False, False)
    return Target(16, 6, False, False)


class Emitter:
    """LLVM functions of one dtype for one target, each made once in the module of a builder."""

    def __init__(self, module: ir.Module, dtype: str):
        self.module, self.dtype, self.size = module, dtype, SIZES[dtype]
        self.target = target()
        self.lanes = self.target.lanes(dtype)
        self.scalar = ir.FloatType() if dtype == "float32" else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.suffix = f"v{self.lanes}f{8 * self.size}"

    def declare(self, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
        return cgutils.get_or_insert_function(self.module, ir.FunctionType(result, arguments), name)

    def define(self, name: str, result: ir.Type, arguments: list[ir.Type]) -> tuple[ir.Function, bool]:
        """A private function of this module, and whether its body is still to be written."""
        name = f"gemm_{self.dtype}_{name}"
        if name in self.module.globals:
            return self.module.globals[name], False
        function = ir.Function(self.module, ir.FunctionType(result, arguments), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.attributes.add("nounwind")
        return function, True

    def at(self, b: ir.IRBuilder, pointer: ir.Value, offset: ir.Value | int) -> ir.Value:
        """The address ``offset`` bytes behind a pointer."""
        offset = I64(offset) if isinstance(offset, int) else offset
        return b.gep(pointer, [offset], source_etype=ir.IntType(8))

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

    def _masked(self, what: str) -> ir.Function:
        """A masked load or store. Its own function: where no instruction does it, LLVM writes a branch for each lane,
        and that once for each access of each tile."""
        bits = ir.VectorType(ir.IntType(1), self.lanes)
        arguments = [PTR, bits] if what == "load" else [self.vector, PTR, bits]
        result = self.vector if what == "load" else ir.VoidType()
        function, new = self.define(f"masked_{what}", result, arguments)
        if not new:
            return function
        if self.target.masks:
            function.attributes.discard("noinline")
            function.attributes.add("alwaysinline")
        b = ir.IRBuilder(function.append_basic_block())
        name = f"llvm.masked.{what}.{self.suffix}.p0"
        if what == "load":
            zeros = ir.Constant(self.vector, [0.0] * self.lanes)
            read = self.declare(name, self.vector, [PTR, I32, bits, self.vector])
            b.ret(b.call(read, [function.args[0], I32(self.size), function.args[1], zeros]))
        else:
            write = self.declare(name, ir.VoidType(), [self.vector, PTR, I32, bits])
            b.call(write, [function.args[0], function.args[1], I32(self.size), function.args[2]])
            b.ret_void()
        return function

    def loop(self, b: ir.IRBuilder, count: ir.Value, values: list[ir.Value], body) -> list[ir.Value]:
        """``for _ in range(count): values = body(values)``; the values behind it."""
        before = b.block
        head, inside, behind = (b.append_basic_block(name) for name in ("head", "body", "behind"))
        b.branch(head)
        b.position_at_end(head)
        left = b.phi(I64)
        left.add_incoming(count, before)
        carried = []
        for value in values:
            phi = b.phi(value.type)
            phi.add_incoming(value, before)
            carried.append(phi)
        b.cbranch(b.icmp_signed(">", left, I64(0)), inside, behind)
        b.position_at_end(inside)
        for phi, value in zip(carried, body(carried), strict=True):
            phi.add_incoming(value, b.block)
        left.add_incoming(b.sub(left, I64(1)), b.block)
        b.branch(head)
        b.position_at_end(behind)
        return carried

    def when(self, b: ir.IRBuilder, condition: ir.Value, values: list[ir.Value], body) -> list[ir.Value]:
        """``if condition: values = body(values)``."""
        before = b.block
        inside, behind = b.append_basic_block("then"), b.append_basic_block("behind")
        b.cbranch(condition, inside, behind)
        b.position_at_end(inside)
        changed = body(values)
        end = b.block
        b.branch(behind)
        b.position_at_end(behind)
        merged = []
        for old, new in zip(values, changed, strict=True):
            phi = b.phi(old.type)
            phi.add_incoming(old, before)
            phi.add_incoming(new, end)
            merged.append(phi)
        return merged

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
        offset, left = I64(0), valid
        while lanes:
            part = ir.Constant(ir.VectorType(I32, lanes), list(range(lanes)))
            rest = [min(lanes + i, self.lanes - 1) for i in range(self.lanes)]
            rest = ir.Constant(ir.VectorType(I32, self.lanes), rest)

            def piece(state, part=part, rest=rest, lanes=lanes):
                offset, *values = state
                for value, place in zip(values, places, strict=True):
                    self.store(b, b.shuffle_vector(value, value, part), self.at(b, place, offset))
                return [b.add(offset, I64(lanes * self.size)), *(b.shuffle_vector(v, v, rest) for v in values)]

            wanted = b.icmp_signed("!=", b.and_(left, I64(lanes)), I64(0))
            offset, *values = self.when(b, wanted, [offset, *values], piece)
            lanes //= 2

    def any_tile(self, whole: bool) -> ir.Function:
        """The tile for any number of rows and vectors: void (rows, vectors, masked, arguments of `tile`).

        Without ``whole`` an empty weak function that linking replaces: numba optimises every function's module with all
        it calls, so the tiles are written into the outermost one only (compile time 5 s otherwise).
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
        fma = self.declare(f"llvm.fmuladd.{self.suffix}", self.vector, [self.vector] * 3)
        bases = [a]
        for row in range(3, rows, 3):
            bases.append(self.at(b, a, b.mul(a_row, I64(row))))
        offsets = I64(0), a_row, self._hidden(b, b.shl(a_row, I64(1)))

        def step(values):
            bases, row, sums = values[: len(bases_at)], values[len(bases_at)], values[len(bases_at) + 1 :]
            bases = [self._hidden(b, base) for base in bases]
            right = [self.load(b, self.at(b, row, v * self.target.width), masks[v]) for v in range(vectors)]
            if PREFETCH:
                pf = self.declare("llvm.prefetch.p0", ir.VoidType(), [PTR, I32, I32, I32])
                b.call(pf, [self.at(b, row, b.mul(b_step, I64(PREFETCH))), I32(0), I32(3), I32(1)])
            out = []
            for r in range(rows):
                place = self.at(b, bases[r // 3], offsets[r % 3]) if r % 3 else bases[r // 3]
                left = self.splat(b, b.load(place, align=self.size, typ=self.scalar))
                out += [b.call(fma, [left, right[v], sums[r * vectors + v]]) for v in range(vectors)]
            return [self.at(b, p, a_step) for p in bases] + [self.at(b, row, b_step)] + out

        def steps(values):
            for _ in range(UNROLL):
                values = step(values)
            return values

        bases_at = range(len(bases))
        values = self.loop(b, b.sdiv(k, I64(UNROLL)), [*bases, b_row, *sums], steps)
        values = self.loop(b, b.srem(k, I64(UNROLL)), values, step)
        return values[len(bases) + 1 :]

    def _hidden(self, b: ir.IRBuilder, value: ir.Value) -> ir.Value:
        """The value, from where LLVM does not look."""
        return b.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], False)

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
        unit, parts = 16 // self.size, self.target.width // 16
        small = ir.VectorType(self.scalar, unit)

        def gather(rows):
            """One vector from the 16-byte pieces at the pointers, joined pairwise."""
            pieces, width = [b.load(p, align=self.size, typ=small) for p in rows], unit
            while len(pieces) > 1:
                width *= 2
                order = ir.Constant(ir.VectorType(I32, width), list(range(width)))
                pieces = [b.shuffle_vector(x, y, order) for x, y in zip(pieces[::2], pieces[1::2], strict=True)]
            return pieces[0]

        def interleave(x, y, high):
            start = unit // 2 if high else 0
            order = [p * unit + start + i // 2 + (i % 2) * self.lanes for p in range(parts) for i in range(unit)]
            return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, self.lanes), order))

        def piece(values):
            base, out = values
            rows = [base]
            for _ in range(1, self.lanes):
                rows.append(self.at(b, rows[-1], source_row))
            vectors = [gather(rows[i::unit]) for i in range(unit)]
            half = unit // 2
            while half:
                vectors = [
                    interleave(vectors[i], vectors[i + unit // 2], high) for i in range(unit // 2) for high in (0, 1)
                ]
                half //= 2
            for value in vectors:
                self.store(b, value, out)
                out = self.at(b, out, destination_row)
            return [self.at(b, base, 16), out]

        self.loop(b, count, [source, destination], piece)
        b.ret_void()
        return function


def _pointers(b: ir.IRBuilder, arguments, kinds: str):
    return [b.inttoptr(x, PTR) if kind == "p" else x for x, kind in zip(arguments, kinds, strict=True)]


def make(dtype: str):
    """The intrinsics of a dtype: ``tile, copy, transpose``. Addresses and byte distances are int64."""

    def copy_panels(context, b, arguments, panel):
        emitter = Emitter(b.module, dtype)
        width = VECTORS * emitter.lanes if panel == "B" else emitter.target.rows
        b.call(emitter.copy(width), _pointers(b, arguments, "piiipii"))
        return context.get_dummy_value()

    @intrinsic
    def tile(typing, rows, vectors, masked, a, a_row, a_step, b, b_step, k, c, c_row, valid, bias, flags):
        """Run the tile of ``rows`` rows and ``vectors`` vectors; see `Emitter.tile`."""

        def generate(context, b, _signature, arguments):
            b.call(Emitter(b.module, dtype).any_tile(whole=False), [*arguments[:3], *_pointers(b, arguments[3:], TILE)])
            return context.get_dummy_value()

        return types.void(*[types.int64] * 14), generate

    @intrinsic
    def define(typing):
        """Write the tiles into this module; see `Emitter.any_tile`."""

        def generate(context, b, _signature, _arguments):
            Emitter(b.module, dtype).any_tile(whole=True)
            return context.get_dummy_value()

        return types.void(), generate

    @intrinsic
    def copy_a(typing, source, source_row, rows, columns, destination, row_step, panel_step):
        """Into panels as wide as a tile has rows; see `Emitter.copy`."""
        return types.void(*[types.int64] * 7), lambda context, b, _, args: copy_panels(context, b, args, "A")

    @intrinsic
    def copy_b(typing, source, source_row, rows, columns, destination, row_step, panel_step):
        """Into panels as wide as a tile has columns; see `Emitter.copy`."""
        return types.void(*[types.int64] * 7), lambda context, b, _, args: copy_panels(context, b, args, "B")

    @intrinsic
    def transpose(typing, source, source_row, destination, destination_row, count):
        """See `Emitter.transpose`."""

        def generate(context, b, _signature, arguments):
            b.call(Emitter(b.module, dtype).transpose(), _pointers(b, arguments, "pipii"))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), generate

    @intrinsic
    def move(typing, source, destination):
        """``*destination = *source``, one element."""

        def generate(_context, b, _signature, arguments):
            source, destination = _pointers(b, arguments, "pp")
            size = SIZES[dtype]
            b.store(b.load(source, align=size, typ=Emitter(b.module, dtype).scalar), destination, align=size)
            return _context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return define, tile, copy_a, copy_b, transpose, move


@intrinsic
def address(typing, pointer):
    """The address a pointer holds."""
    return types.int64(pointer), lambda _context, b, _, args: b.ptrtoint(args[0], I64)


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
