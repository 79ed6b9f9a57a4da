"""Rows of the patch matrix, the operand A of a convolution's products, copied to scratch.

Pixels of a line and their channels lie side by side. Where taps do too, those of a line of the window are one run in
memory. A run is copied for all positions of a line of results at once. Most convolutions copy lines of the image
instead (`lines`).
"""

from __future__ import annotations

from fastnet._kernels import window as W
from fastnet._kernels.cpu import gemm as G
from fastnet._kernels.target import compiled as local

# Positions in the argument block.
IMAGE, POSITIONS, TAPS, STRIDES, DILATIONS, BEFORE, CHANNELS = (
    G.WINDOW + number for number in (W.IMAGE, W.POSITIONS, W.TAPS, W.STRIDES, W.DILATIONS, W.BEFORE, W.CHANNELS)
)


@local
def line_of(x, pixel, args, line, row):
    """Address of the line of the image that a row of taps reads at a line of results; 0 outside of the image."""
    plane = line // args[POSITIONS + 1]
    y = line % args[POSITIONS + 1] * args[STRIDES + 1] - args[BEFORE + 1] + row % args[TAPS + 1] * args[DILATIONS + 1]
    z = plane % args[POSITIONS] * args[STRIDES] - args[BEFORE] + row // args[TAPS + 1] * args[DILATIONS]
    if y < 0 or y >= args[IMAGE + 1] or z < 0 or z >= args[IMAGE]:
        return 0
    image = plane // args[POSITIONS]
    return x + ((image * args[IMAGE] + z) * args[IMAGE + 1] + y) * args[IMAGE + 2] * pixel


def row_copies(size: int, copy_rows, fill_rows):
    """The function ``copy_patches(x, pixel, args, first, last, start, stop, out, distance)``.

    It copies the columns ``start`` to ``stop`` of the rows ``first`` to ``last`` of the patch matrix.

    Args of the function:
        x: address of the images.
        pixel: bytes from one pixel to the next.
        args: the argument block of the product.
        first, last, start, stop: rows and columns.
        out: address of the copy, with room for a vector behind each row.
        distance: bytes from one row of the copy to the next.

    Args:
        size: bytes of an element.
        copy_rows, fill_rows: the copies of rows of elements (`packing`).
    """
    copy_run = _run_copies(size, copy_rows, fill_rows)

    @local
    def copy_line(x, pixel, args, line, first, last, start, stop, out, distance):
        """Columns ``start`` to ``stop`` of the patches of the positions ``first`` to ``last`` of a line of results."""
        channels, dilation = args[CHANNELS], args[DILATIONS + 2]
        joined = dilation == 1 and channels * size == pixel
        run = channels * args[TAPS + 2] if joined else channels
        column = start
        while column < stop:
            number = column // run
            end = min(stop, (number + 1) * run)
            tap = 0 if joined else number % args[TAPS + 2]
            source = line_of(x, pixel, args, line, number if joined else number // args[TAPS + 2])
            copy_run(source, pixel, args, tap * dilation, column - number * run, end - number * run, first, last,
                     out + (column - start) * size, distance)  # fmt: skip
            column = end

    @local
    def copy_patches(x, pixel, args, first, last, start, stop, out, distance):
        width, row = args[POSITIONS + 2], first
        while row < last:
            position = row % width
            end = min(last, row - position + width)
            copy_line(x, pixel, args, row // width, position, position + end - row, start, stop,
                      out + (row - first) * distance, distance)  # fmt: skip
            row = end

    return copy_patches


def _run_copies(size: int, copy_rows, fill_rows):
    """The copy of a run for positions of a line of results."""

    @local
    def copy_clipped(line, pixel, columns, channels, column, start, stop, out):
        """The elements ``start`` to ``stop`` of the run that begins at pixel ``column`` of a line; 0 outside."""
        inside = min(stop, max(start, -column * channels))
        end = max(inside, min(stop, (columns - column) * channels))
        fill_rows(1, inside - start, out, 0)
        if end > inside:
            copy_rows(line + column * pixel + inside * size, 0, 1, end - inside, out + (inside - start) * size, 0)
        fill_rows(1, stop - end, out + (end - start) * size, 0)

    @local
    def copy_run(line, pixel, args, offset, start, stop, first, last, out, distance):
        """A run for the positions ``first`` to ``last`` of a line of results.

        The elements ``start`` to ``stop`` of what begins ``offset`` pixels behind each position, ``line`` being the
        line of the image, 0 outside of the image.
        """
        columns, channels, stride = args[IMAGE + 2], args[CHANNELS], args[STRIDES + 2]
        begin = offset - args[BEFORE + 2]
        if line == 0:
            fill_rows(last - first, stop - start, out, distance)
            return
        # Positions whose run lies within the image.
        left, right = begin + start // channels, begin + (stop - 1) // channels
        inside = min(last, max(first, (stride - 1 - left) // stride)) if left < 0 else first
        end = max(inside, min(last, (columns - 1 - right) // stride + 1)) if right < columns else inside
        for p in range(first, inside):
            copy_clipped(line, pixel, columns, channels, begin + p * stride, start, stop, out + (p - first) * distance)
        if end > inside:
            source = line + (begin + inside * stride) * pixel + start * size
            copy_rows(source, stride * pixel, end - inside, stop - start, out + (inside - first) * distance, distance)
        for p in range(end, last):
            copy_clipped(line, pixel, columns, channels, begin + p * stride, start, stop, out + (p - first) * distance)

    return copy_run
