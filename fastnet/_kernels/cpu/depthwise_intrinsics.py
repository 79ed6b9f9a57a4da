"""Blocks of a depthwise convolution as LLVM code: vectors of channels, whose sums stay in registers.

Written as loops, LLVM keeps a block's sums in registers only if its length is fixed, and then reads the weights once
for each result. Here a tap's weights are read once for all positions of a block, and pixels once for all taps of a row.
"""

from __future__ import annotations

from functools import partial

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastnet._kernels.cpu.emit import DTYPES, I64, PTR, Emitter, call_with_pointers
from fastnet._kernels.cpu.micro_kernel import StridedRows
from fastnet._kernels.cpu.processor import LINE, target
from fastnet._kernels.cpu.stream_intrinsics import stream

__all__ = ["products_of_block", "products_of_taps", "window_sums_of_blocks"]

NARROW = 32  # bytes of the shortest vector; channels are whole ones of these
UNROLL = 4  # positions that the loop of `products_of_taps` writes out


class _Blocks(Emitter):
    """The functions of a dtype."""

    prefix = "depthwise"

    def window_sums(self, positions: int, joined: int, streamed: int) -> ir.Function:
        """Of some channels, in blocks of positions side by side: ::

            y[p] = max(lowest, Σ x[p + r, t] * kernel[r, t] + shift)      over r and t, in this order; NaN stays

        void (x, bytes from one position, one row of taps and one tap to the next,
              kernel, bytes from one row of taps and one tap to the next, rows, taps,
              y, bytes between positions, shift, lowest, channels,
              blocks, pixels in front of the image, pixels behind it, bytes to what a later call reads)

        Args:
            positions: of a block.
            joined: the number of taps of a row, if they are as far apart as positions; 0 for any number and distance.
                Windows of joined taps may begin in front of the image or end behind it, by less than a row of taps;
                ``blocks`` is then 1.
            streamed: 1 to store past the caches where results are whole lines of them.
        """
        arguments = [PTR, I64, I64, I64, PTR, I64, I64, I64, I64, PTR, I64, PTR, self.scalar, *[I64] * 5]
        function, new = self.define(f"window_sums_{positions}_{joined}_{streamed}", ir.VoidType(), arguments)
        if not new:
            return function
        x, *steps, y, y_step, shift, lowest, channels, count, front, behind, ahead = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        off_line = b.and_(b.or_(b.ptrtoint(y, I64), y_step), I64(LINE - 1))
        whole_lines = b.icmp_signed("==", off_line, I64(0)) if streamed else None

        def block(blocks, across, values, is_cut=False):
            x, kernel, y, shift = values
            if positions > 1:
                blocks._fetch(b, positions, across, x, steps[0], ahead)
            if joined:
                edges = (front, behind) if is_cut else None
                sums = blocks._joined_window(b, positions, across, joined, x, kernel, steps, edges)
            else:
                sums = blocks._window(b, positions, across, x, kernel, steps)
            biases = [blocks.load(b, place) for place in blocks._vectors(b, shift, across)]
            least, places, results = blocks.splat(b, lowest), [], []
            for p in range(positions):
                places += blocks._vectors(b, self.at(b, y, b.mul(y_step, I64(p))), across)
                values = [b.fadd(total, bias) for bias, total in zip(biases, sums[p], strict=True)]
                results += [b.select(b.fcmp_ordered("<", value, least), least, value) for value in values]
            blocks._store(b, results, places, whole_lines)

        across = (LINE // self.width if joined else 2) if positions > 1 else 4
        moved = [b.mul(step, I64(positions)) for step in (steps[0], y_step)]

        def run(values, is_cut=False):
            each = partial(block, is_cut=is_cut)
            self._each_block(b, channels, across, [values[0], steps[3], values[1], shift], each)
            return [self.at(b, pointer, step) for pointer, step in zip(values, moved, strict=True)]

        if joined:
            is_whole = b.icmp_signed("==", b.or_(front, behind), I64(0))
            x, y = self.loop(b, b.select(is_whole, count, I64(0)), [x, y], run)
            count = b.select(is_whole, I64(0), count)
        self.loop(b, count, [x, y], partial(run, is_cut=True))
        b.ret_void()
        return function

    def _fetch(
        self, b: ir.IRBuilder, positions: int, across: int, x: ir.Value, x_step: ir.Value, ahead: ir.Value
    ) -> None:
        """Ask for the lines of vectors of channels at positions side by side, ``ahead`` bytes behind these."""
        for p in range(positions):
            pixel = self.at(b, x, b.mul(x_step, I64(p)))
            for start in range(0, across * self.width, LINE):
                self.prefetch(b, self.at(b, pixel, b.add(ahead, I64(start))))

    def _store(self, b: ir.IRBuilder, values: list, places: list, whole_lines: ir.Value | None) -> None:
        """Store vectors; past the caches where they are whole lines."""

        def store_each(store):
            for value, place in zip(values, places, strict=True):
                store(value, place)

        to_caches = partial(self.store, b)
        if whole_lines is None or self.width < self.target.width:  # narrow vectors never are
            store_each(to_caches)
            return
        with b.if_else(whole_lines) as (then, otherwise):
            with then:
                store_each(lambda value, place: stream(b, value, place, self.width))
            with otherwise:
                store_each(to_caches)

    def _each_block(self, b: ir.IRBuilder, channels: ir.Value, across: int, values: list[ir.Value], block) -> None:
        """Go over channels in blocks of vectors side by side, then of one, then of a narrow one, as many as there are.

        Args:
            values: addresses of the first channel.
            block: ``(blocks, across, values)`` writes the code of a block, for vectors of these blocks.
        """
        sizes = [(self, count) for count in sorted({across, 1}, reverse=True)]
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

    def _joined_window(
        self, b: ir.IRBuilder, positions: int, across: int, taps: int, x: ir.Value, kernel: ir.Value, steps, edges
    ) -> list:
        """`_window`, whose taps read what those of the positions beside them read: each pixel once for all.

        Args:
            edges: the numbers of pixels in front of the image and behind it; None if all are inside.
        """
        x_step, x_row, _, _, kernel_row, kernel_tap, rows, _ = steps
        count = positions + taps - 1
        pixels = StridedRows(self, b, x, x_step, x_step, count)
        held = len(pixels.pointers)

        def row(values):
            addresses, pointers = pixels.step_by(b, values[:held], x_row, count)
            kernel, sums = values[held], values[held + 1 :]
            taps_of = [self.at(b, kernel, b.mul(kernel_tap, I64(t))) for t in range(taps)]
            weights = [[self.load(b, place) for place in self._vectors(b, tap, across)] for tap in taps_of]

            def pixel(q, sums):
                sums, read = list(sums), [self.load(b, place) for place in self._vectors(b, addresses[q], across)]
                for p in range(positions):
                    if 0 <= q - p < taps:
                        for v in range(across):
                            sums[p * across + v] = self.fma(b, read[v], weights[q - p][v], sums[p * across + v])
                return sums

            for q in range(count):
                if edges is None or positions > q >= taps - 1:
                    sums = pixel(q, sums)
                else:
                    limits = zip(edges, (q, count - 1 - q), strict=True)
                    inside = b.and_(*(b.icmp_signed("<=", outside, I64(at)) for outside, at in limits))
                    sums = self.when(b, inside, sums, partial(pixel, q))
            return [*pointers, self.at(b, kernel, kernel_row), *sums]

        start = [*pixels.pointers, kernel, *[self.zero()] * (positions * across)]
        sums = self.loop(b, rows, start, row)[held + 1 :]
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

    def products_of_taps(self, taps: int) -> ir.Function:
        """Of some channels: total[t] += Σ x[p + t] * dy[p] over positions, in order.

        All taps of these positions are in the image. Positions in front of them and behind them, fewer than taps, have
        their first or their last taps outside.

        void (total, bytes between its taps, x, bytes between its positions, dy, bytes between its positions,
              positions, positions in front of them, positions behind them, channels)
        """
        arguments = [PTR, I64, PTR, I64, PTR, *[I64] * 5]
        function, new = self.define(f"products_of_{taps}_taps", ir.VoidType(), arguments)
        if not new:
            return function
        total, total_step, x, x_step, dy, dy_step, count, front, behind, channels = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))

        def block(blocks, across, values):
            total, x, dy = values
            known = (taps - 1) * across  # vectors of x that the position before has read

            def load(pointer):
                return [blocks.load(b, place) for place in blocks._vectors(b, pointer, across)]

            def add(window, dy, sums, chosen):
                # window: x from the position and tap 0 on, or what of it is in the image
                sums, gradient = list(sums), load(dy)
                for at, t in enumerate(chosen):
                    for v in range(across):
                        sums[t * across + v] = blocks.fma(b, window[at * across + v], gradient[v], sums[t * across + v])
                return sums

            def position(values):
                x, dy, window, sums = values[0], values[1], values[2 : 2 + known], values[2 + known :]
                window = [*window, *load(x)]
                sums = add(window, dy, sums, range(taps))
                return [self.at(b, x, x_step), self.at(b, dy, dy_step), *window[across:], *sums]

            def unrolled(values):
                for _ in range(UNROLL):
                    values = position(values)
                return values

            window, places = [], []
            for t in range(taps - 1):
                window += load(self.at(b, x, b.mul(x_step, I64(t))))
            for t in range(taps):
                places += blocks._vectors(b, self.at(b, total, b.mul(total_step, I64(t))), across)
            sums = [blocks.load(b, place) for place in places]
            for j in reversed(range(1, taps)):
                some = partial(add, window, self.at(b, dy, b.mul(dy_step, I64(-j))), chosen=range(j, taps))
                sums = self.when(b, b.icmp_signed(">=", front, I64(j)), sums, some)
            values = [self.at(b, x, b.mul(x_step, I64(taps - 1))), dy, *window, *sums]
            values = self.loop(b, b.sdiv(count, I64(UNROLL)), values, unrolled)
            values = self.loop(b, b.srem(count, I64(UNROLL)), values, position)
            dy, window, sums = values[1], values[2 : 2 + known], values[2 + known :]
            for j in range(taps - 1):
                at = self.at(b, dy, b.mul(dy_step, I64(j)))
                some = partial(add, window[j * across :], at, chosen=range(taps - 1 - j))
                sums = self.when(b, b.icmp_signed(">", behind, I64(j)), sums, some)
            for place, value in zip(places, sums, strict=True):
                blocks.store(b, value, place)

        across = max(1, self.target.accumulators // (2 * taps))  # sums and pixels that stay in registers
        self._each_block(b, channels, across, [total, x, dy], block)
        b.ret_void()
        return function


def _made(builder: ir.IRBuilder, pointer: types.Type) -> _Blocks:
    """The functions for what a pointer points to, in the caller's module."""
    return _Blocks(builder.module, DTYPES[pointer], max(NARROW, target().width))


@intrinsic(prefer_literal=True)
def window_sums_of_blocks(
    typingctx, positions, joined, streamed, x, at, x_step, x_row, x_tap, kernel, weight, kernel_row, kernel_tap, rows,
    taps, y, out, y_step, shift, lowest, channels, blocks, front, behind, ahead,
):  # fmt: skip
    """`_Blocks.window_sums` of ``positions``, ``joined`` and ``streamed``, literals, from ``x[at]``, ``kernel[weight]``
    and ``y[out]`` on; distances are elements, and ``channels`` whole vectors."""
    literals = positions, joined, streamed
    if not all(isinstance(each, types.IntegerLiteral) for each in literals) or x not in DTYPES:
        return None

    def codegen(context, b, sig, args):
        made = _made(b, sig.args[3])
        x, at, *x_steps, kernel, weight, kernel_row, kernel_tap, rows, taps, y, out, y_step = args[3:17]
        *x_steps, kernel_row, kernel_tap, y_step, ahead = (
            b.mul(step, I64(made.size)) for step in (*x_steps, kernel_row, kernel_tap, y_step, args[-1])
        )
        windows = [b.gep(x, [at]), *x_steps, b.gep(kernel, [weight]), kernel_row, kernel_tap, rows, taps]
        values = [*windows, b.gep(y, [out]), y_step, *args[17:-1], ahead]
        call_with_pointers(b, made.window_sums(*(each.literal_value for each in sig.args[:3])), values)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(
        *literals, x, *[integer] * 4, x, *[integer] * 5, x, integer, integer, x, x.dtype, *[integer] * 5
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


@intrinsic(prefer_literal=True)
def products_of_taps(
    typingctx, taps, total, first, total_step, x, at, x_step, dy, result, dy_step, positions, front, behind, channels
):
    """`_Blocks.products_of_taps` of ``taps`` taps, a literal, from ``total[first]``, ``x[at]`` and ``dy[result]`` on;
    distances are elements, and ``channels`` whole vectors."""
    if not isinstance(taps, types.IntegerLiteral) or x not in DTYPES:
        return None

    def codegen(context, b, sig, args):
        if not sig.args[0].literal_value:
            return context.get_dummy_value()
        made = _made(b, sig.args[1])
        total, first, total_step, x, at, x_step, dy, result, dy_step, *counts = args[1:]
        total_step, x_step, dy_step = (b.mul(step, I64(made.size)) for step in (total_step, x_step, dy_step))
        values = [b.gep(total, [first]), total_step, b.gep(x, [at]), x_step, b.gep(dy, [result]), dy_step, *counts]
        call_with_pointers(b, made.products_of_taps(sig.args[0].literal_value), values)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(taps, x, integer, integer, x, integer, integer, x, integer, integer, *[integer] * 4), codegen
