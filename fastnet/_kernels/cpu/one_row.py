"""LLVM code of a matrix product whose A is one row: it reads the rows of B as streams, and fills no tile.

A tile would read B in columns of two vectors, pages apart: 3162x3162 at 10 GB/s, where ``a += 3*b`` reaches 40.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnet._kernels.cpu.emit import I32, I64, PTR, Emitter, calling

STEPS = 8  # rows of B that `combine` goes through at once: so many streams, and so many splats in registers
SPAN = 64  # bytes that `dots` sums as lanes, whatever the vector width, so that it does not show in the bits


class OneRow(Emitter):
    """The two ways through B."""

    prefix = "one_row"

    def combine(self) -> ir.Function:
        """out[j] = sum over k of a[k] * b[k, j], in order of k from zero.

        void (a, bytes between elements of a, b, bytes between rows of b, k, n, out)
        """
        function, new = self.define("combine", ir.VoidType(), [PTR, I64, PTR, I64, I64, I64, PTR])
        if not new:
            return function
        a, a_step, rows, row, k, n, out = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        width, lanes = I64(self.width), I64(self.lanes)
        full, remaining = b.sdiv(n, lanes), b.srem(n, lanes)

        def clear(values):
            self.store(b, self.zero(), values[0])
            return [self.at(b, values[0], width)]

        self.loop(b, b.sdiv(b.add(n, I64(self.lanes - 1)), lanes), [out], clear)

        def step(values, count):
            a, first = values
            factors = []
            for _ in range(count):
                factors.append(self.broadcast(b, a))
                a = self.at(b, a, a_step)

            def columns(values, mask=None):
                source, destination = values
                total, address = self.load(b, destination), source
                for i, factor in enumerate(factors):
                    total = self.fma(b, factor, self.load(b, address, mask), total)
                    address = self.at(b, address, row) if i < count - 1 else address
                self.store(b, total, destination)
                return [self.at(b, source, width), self.at(b, destination, width)]

            ends = self.loop(b, full, [first, out], columns)
            mask = self.mask(b, remaining)
            self.when(b, b.icmp_signed(">", remaining, I64(0)), ends, lambda values: columns(values, mask))
            return [a, self.at(b, first, b.mul(row, I64(count)))]

        values = self.loop(b, b.sdiv(k, I64(STEPS)), [a, rows], lambda values: step(values, STEPS))
        self.loop(b, b.srem(k, I64(STEPS)), values, lambda values: step(values, 1))
        b.ret_void()
        return function

    def dots(self) -> ir.Function:
        """out[j] = sum over k of a[k] * b[j, k], in 64 bytes of lanes that are then added pairwise.

        void (a, b, bytes between rows of b, k, n, out)
        """
        function, new = self.define("dots", ir.VoidType(), [PTR, PTR, I64, I64, I64, PTR])
        if not new:
            return function
        a, rows, row, k, n, out = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        vectors, lanes = SPAN // self.width, SPAN // self.size

        def several(values, count):
            first, out = values

            def add(values, masks):
                left, right, *sums = values
                factors = [self.load(b, self.at(b, left, v * self.width), masks[v]) for v in range(vectors)]
                added, address = [], right
                for r in range(count):
                    for v in range(vectors):
                        other = self.load(b, self.at(b, address, v * self.width), masks[v])
                        added.append(self.fma(b, factors[v], other, sums[r * vectors + v]))
                    address = self.at(b, address, row) if r < count - 1 else address
                return [self.at(b, left, SPAN), self.at(b, right, SPAN), *added]

            values = [a, first, *[self.zero()] * (count * vectors)]
            values = self.loop(b, b.sdiv(k, I64(lanes)), values, lambda values: add(values, [None] * vectors))
            remaining = b.srem(k, I64(lanes))
            masks = [self.mask(b, b.sub(remaining, I64(v * self.lanes))) for v in range(vectors)]
            values = self.when(b, b.icmp_signed(">", remaining, I64(0)), values, lambda values: add(values, masks))
            for r in range(count):
                total = self._pairwise(b, values[2 + r * vectors : 2 + (r + 1) * vectors])
                b.store(total, self.at(b, out, r * self.size), align=self.size)
            return [self.at(b, first, b.mul(row, I64(count))), self.at(b, out, count * self.size)]

        at_once = STEPS // vectors
        values = self.loop(b, b.sdiv(n, I64(at_once)), [rows, out], lambda values: several(values, at_once))
        self.loop(b, b.srem(n, I64(at_once)), values, lambda values: several(values, 1))
        b.ret_void()
        return function

    def _pairwise(self, b: ir.IRBuilder, sums: list[ir.Value]) -> ir.Value:
        """The sum of all lanes: each time the upper half is added to the lower one."""
        while len(sums) > 1:
            half = len(sums) // 2
            sums = [b.fadd(x, y) for x, y in zip(sums[:half], sums[half:], strict=True)]
        (total,), count = sums, self.lanes
        while count > 1:
            count //= 2
            kind = ir.VectorType(I32, count)
            low, high = (
                b.shuffle_vector(total, total, ir.Constant(kind, [start + i for i in range(count)]))
                for start in (0, count)
            )
            total = b.fadd(low, high)
        return b.extract_element(total, I32(0))

    def one(self) -> ir.Value:
        """The address of the number 1."""
        name = f"{self.prefix}_{self.dtype}_1"
        if name not in self.module.globals:
            variable = ir.GlobalVariable(self.module, self.scalar, name)
            variable.linkage, variable.global_constant = "internal", True
            variable.initializer = ir.Constant(self.scalar, 1.0)
        return self.module.globals[name]


def make(dtype: str):
    """The intrinsics of a dtype. Addresses and byte distances are int64."""

    @intrinsic
    def combine(typing, a, a_step, rows, row, k, n, out):
        """See `OneRow.combine`."""
        return calling(lambda module: OneRow(module, dtype).combine(), "pipiiip")

    @intrinsic
    def dots(typing, a, rows, row, k, n, out):
        """See `OneRow.dots`."""
        return calling(lambda module: OneRow(module, dtype).dots(), "ppiiip")

    @intrinsic
    def one(typing):
        """See `OneRow.one`."""

        def generate(_context, b, _signature, _arguments):
            return b.ptrtoint(OneRow(b.module, dtype).one(), I64)

        return types.int64(), generate

    return combine, dots, one
