"""Blocks of a depthwise convolution as LLVM code: vectors of channels, whose sums stay in registers.

Written as loops, LLVM keeps a block's sums in registers only if its length is fixed, and then reads the weights once
for each result. Here a tap's weights are read once for all positions of a block.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastnet._kernels.cpu.emit import DTYPES, I64, PTR, Emitter, call_with_pointers
from fastnet._kernels.cpu.micro_kernel import StridedRows
from fastnet._kernels.cpu.processor import target

__all__ = ["products_of_block", "window_sums_of_block"]

#: bytes of the shortest vector; channels are whole ones of these
NARROW = 32


class _Blocks(Emitter):
    """The functions of a dtype."""

    prefix = "depthwise"

    def window_sums(self, positions: int) -> ir.Function:
        """Of some channels at positions side by side: ::

            y[p] = max(lowest, Σ x[p + r, t] * kernel[r, t] + shift)      over r and t, in this order; NaN stays

        void (x, bytes from one position, one row of taps and one tap to the next,
              kernel, bytes from one row of taps and one tap to the next, rows, taps,
              y, bytes between positions, shift, lowest, channels)
        """
        arguments = [PTR, I64, I64, I64, PTR, I64, I64, I64, I64, PTR, I64, PTR, self.scalar, I64]
        function, new = self.define(f"window_sums_{positions}", ir.VoidType(), arguments)
        if not new:
            return function
        x, *steps, y, y_step, shift, lowest, channels = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))

        def block(blocks, across, values):
            x, kernel, y, shift = values
            sums = blocks._window(b, positions, across, x, kernel, steps)
            biases = [blocks.load(b, place) for place in blocks._vectors(b, shift, across)]
            least = blocks.splat(b, lowest)
            for p in range(positions):
                for place, bias, total in zip(blocks._vectors(b, y, across), biases, sums[p], strict=True):
                    value = b.fadd(total, bias)
                    blocks.store(b, b.select(b.fcmp_ordered("<", value, least), least, value), place)
                y = self.at(b, y, y_step)

        self._each_block(b, channels, 2, [x, steps[3], y, shift], block)
        b.ret_void()
        return function

    def _each_block(self, b: ir.IRBuilder, channels: ir.Value, across: int, values: list[ir.Value], block) -> None:
        """Go over channels in blocks of vectors side by side, then of one, then of a narrow one, as many as there are.

        Args:
            values: addresses of the first channel.
            block: ``(blocks, across, values)`` writes the code of a block, for vectors of these blocks.
        """
        sizes = [(self, across), (self, 1)]
        if self.width > NARROW:
            sizes.append((_Blocks(self.module, self.dtype, NARROW), 1))
        for blocks, count in sizes:

            def body(values, blocks=blocks, count=count):
                block(blocks, count, values)
                return [self.at(b, pointer, count * blocks.width) for pointer in values]

            values = self.loop(b, b.sdiv(channels, I64(count * blocks.lanes)), values, body)
            channels = b.srem(channels, I64(count * blocks.lanes))

    def _window(self, b: ir.IRBuilder, positions: int, across: int, x: ir.Value, kernel: ir.Value, steps) -> list:
        """The sums of vectors of channels, for each position those side by side."""
        x_step, x_row, x_tap, _, kernel_row, kernel_tap, rows, taps = steps
        x_jump, kernel_jump = b.sub(x_row, b.mul(taps, x_tap)), b.sub(kernel_row, b.mul(taps, kernel_tap))
        pixels = StridedRows(self, b, x, x_step, x_tap, positions)
        count = len(pixels.pointers)

        def tap(values):
            addresses, pointers = pixels.step_by(b, values[:count], x_tap, positions)
            kernel, sums = values[count], values[count + 1 :]
            weights = [self.load(b, place) for place in self._vectors(b, kernel, across)]
            read = [self.load(b, place) for address in addresses for place in self._vectors(b, address, across)]
            sums = [self.fma(b, v, w, s) for v, w, s in zip(read, weights * positions, sums, strict=True)]
            return [*pointers, self.at(b, kernel, kernel_tap), *sums]

        def row(values):
            values = self.loop(b, taps, values, tap)
            pointers = pixels.advanced(b, values[:count], x_jump)
            return [*pointers, self.at(b, values[count], kernel_jump), *values[count + 1 :]]

        start = [*pixels.pointers, kernel, *[self.zero()] * (positions * across)]
        sums = self.loop(b, rows, start, row)[count + 1 :]
        return [sums[p * across : (p + 1) * across] for p in range(positions)]

    def _vectors(self, b: ir.IRBuilder, pointer: ir.Value, across: int) -> list[ir.Value]:
        """Addresses of vectors side by side."""
        return [self.at(b, pointer, i * self.width) for i in range(across)]

    def products(self) -> ir.Function:
        """Of some channels: total += Σ x[p] * dy[p] over positions, in order.

        void (total, x, bytes between its positions, dy, bytes between its positions, positions, channels)
        """
        function, new = self.define("products", ir.VoidType(), [PTR, PTR, I64, PTR, I64, I64, I64])
        if not new:
            return function
        total, x, x_step, dy, dy_step, count, channels = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))

        def block(blocks, across, values):
            total, x, dy = values

            def position(values):
                x, dy, *sums = values
                pairs = zip(blocks._vectors(b, x, across), blocks._vectors(b, dy, across), sums, strict=True)
                sums = [blocks.fma(b, blocks.load(b, v), blocks.load(b, w), s) for v, w, s in pairs]
                return [self.at(b, x, x_step), self.at(b, dy, dy_step), *sums]

            places = blocks._vectors(b, total, across)
            sums = self.loop(b, count, [x, dy, *(blocks.load(b, place) for place in places)], position)[2:]
            for place, value in zip(places, sums, strict=True):
                blocks.store(b, value, place)

        self._each_block(b, channels, 4, [total, x, dy], block)
        b.ret_void()
        return function


def _made(builder: ir.IRBuilder, pointer: types.Type) -> _Blocks:
    """The functions for what a pointer points to, in the caller's module."""
    return _Blocks(builder.module, DTYPES[pointer], max(NARROW, target().width))


@intrinsic(prefer_literal=True)
def window_sums_of_block(
    typingctx, positions, x, at, x_step, x_row, x_tap, kernel, weight, kernel_row, kernel_tap, rows, taps, y, out,
    y_step, shift, lowest, channels,
):  # fmt: skip
    """`_Blocks.window_sums` of ``positions`` positions, a literal, from ``x[at]``, ``kernel[weight]`` and ``y[out]``
    on; distances are elements, and ``channels`` whole vectors."""
    if not isinstance(positions, types.IntegerLiteral) or x not in DTYPES:
        return None

    def codegen(context, b, sig, args):
        blocks = _made(b, sig.args[1])
        x, at, *x_steps, kernel, weight, kernel_row, kernel_tap, rows, taps, y, out, y_step = args[1:15]
        *x_steps, kernel_row, kernel_tap, y_step = (
            b.mul(step, I64(blocks.size)) for step in (*x_steps, kernel_row, kernel_tap, y_step)
        )
        windows = [b.gep(x, [at]), *x_steps, b.gep(kernel, [weight]), kernel_row, kernel_tap, rows, taps]
        values = [*windows, b.gep(y, [out]), y_step, *args[15:]]  # shift, lowest, channels
        call_with_pointers(b, blocks.window_sums(sig.args[0].literal_value), values)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        positions, x, *[integer] * 4, x, *[integer] * 5, x, integer, integer, x, x.dtype, integer
    ), codegen


@intrinsic
def products_of_block(typingctx, total, first, x, at, x_step, dy, result, dy_step, positions, channels):
    """`_Blocks.products` from ``total[first]``, ``x[at]`` and ``dy[result]`` on; distances are elements, and
    ``channels`` whole vectors."""
    if x not in DTYPES:
        return None

    def codegen(context, b, sig, args):
        blocks = _made(b, sig.args[0])
        total, first, x, at, x_step, dy, result, dy_step, *counts = args
        x_step, dy_step = (b.mul(step, I64(blocks.size)) for step in (x_step, dy_step))
        call_with_pointers(
            b, blocks.products(), [b.gep(total, [first]), b.gep(x, [at]), x_step, b.gep(dy, [result]), dy_step, *counts]
        )
        return context.get_dummy_value()

    integer = types.int64
    return types.void(x, integer, x, integer, integer, x, integer, integer, integer, integer), codegen
