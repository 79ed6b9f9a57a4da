"""Lines of images, copied to scratch, from which tiles of a convolution read the rows of the patch matrix.

A run is what a row of taps reads at a position of the window: the columns of the patch matrix are runs, one for each
row of taps. Runs of neighbouring positions overlap, and lie in one line of the image. Copied with zeros beside it, the
line serves all positions of a line of results, and all rows of taps that come to it from other lines of results. Within
the copies, a run begins ``stride * channels`` elements behind that of the position before, and at a fixed distance
from that of the row of taps, and of the line of results, before.
"""

from __future__ import annotations

from fastnet._kernels.cpu.patches import BEFORE, CHANNELS, IMAGE, POSITIONS, STRIDES, TAPS
from fastnet._kernels.cpu.processor import LINE
from fastnet._kernels.target import compiled as local


@local
def lines_apart(args, count):
    """Copied lines between those where neighbouring lines of results begin, of which each reads ``count``."""
    return min(args[STRIDES + 1], count)


@local
def bytes_of_lines(args, first, last, planes, count, pitch):
    """Bytes of the copies for the positions ``first`` to ``last``."""
    line, end, height = first // args[POSITIONS + 2], (last - 1) // args[POSITIONS + 2], args[POSITIONS + 1]
    images = end // height - line // height + 1  # or planes of them, whose lines of results share no copies
    return ((end - line + 1 - images) * lines_apart(args, count) + images * count) * planes * pitch


@local
def address_of_line(x, pixel, args, plane_of_results, plane, line):
    """Address of a line of the image that a plane of taps reads at a plane of results; 0 outside of the image."""
    z = plane_of_results % args[POSITIONS] * args[STRIDES] - args[BEFORE] + plane
    y = line - args[BEFORE + 1]
    if y < 0 or y >= args[IMAGE + 1] or z < 0 or z >= args[IMAGE]:
        return 0
    image = plane_of_results // args[POSITIONS]
    return x + ((image * args[IMAGE] + z) * args[IMAGE + 1] + y) * args[IMAGE + 2] * pixel


def line_copies(size: int, copy_rows, fill_rows):
    """The functions ``layout`` and ``copy_lines`` of elements of ``size`` bytes.

    ``layout(args, first, last, first_run, last_run)`` says how the copies lie that the positions ``first`` to ``last``
    and the runs ``first_run`` to ``last_run`` read:

        column, positions: of a line of results, those whose pixels are copied
        pitch: bytes from one copied line to the next
        plane, planes: of taps, the first and how many; lines of all planes lie behind each other
        row, count: of taps in a plane, the first and how many

    ``copy_lines(x, pixel, args, first, last, layout, out)`` copies them.

    Args:
        size: bytes of an element.
        copy_rows, fill_rows: the copies of rows of elements (`packing`).
    """

    @local
    def layout(args, first, last, first_run, last_run):
        width, rows = args[POSITIONS + 2], args[TAPS + 1]
        is_part = first // width == (last - 1) // width  # of a line, which may be longer than scratch
        column = first % width if is_part else 0
        positions = last - first if is_part else width
        elements = ((positions - 1) * args[STRIDES + 2] + args[TAPS + 2]) * args[CHANNELS]
        pitch = (elements * size + LINE - 1) // LINE * LINE
        plane, last_plane = first_run // rows, (last_run - 1) // rows
        row = first_run % rows if plane == last_plane else 0
        count = (last_run - 1) % rows + 1 - row if plane == last_plane else rows
        return column, positions, pitch, plane, last_plane - plane + 1, row, count

    @local
    def copy_pixels(line, pixel, args, first, count, out):
        """What the row of taps reads at ``count`` positions, as pixels side by side; 0 outside of the image."""
        channels, stride = args[CHANNELS], args[STRIDES + 2]
        start = first * stride - args[BEFORE + 2]
        stop = start + (count - 1) * stride + args[TAPS + 2]
        inside, outside = min(stop, max(start, 0)), min(stop, args[IMAGE + 2])
        if line == 0:
            inside = stop
        outside = max(inside, outside)
        row = channels * size
        fill_rows(1, (inside - start) * channels, out, 0)
        out += (inside - start) * row
        if outside > inside and pixel == row:
            copy_rows(line + inside * pixel, 0, 1, (outside - inside) * channels, out, 0)
        elif outside > inside:
            copy_rows(line + inside * pixel, pixel, outside - inside, channels, out, row)
        fill_rows(1, (stop - outside) * channels, out + (outside - inside) * row, 0)

    @local
    def copy_lines(x, pixel, args, first, last, layout, out):
        column, positions, pitch, plane, planes, row, count = layout
        height, stride, apart = args[POSITIONS + 1], args[STRIDES + 1], lines_apart(args, count)
        line, end = first // args[POSITIONS + 2], (last - 1) // args[POSITIONS + 2] + 1
        while line < end:
            stop = min(end, line - line % height + height)
            for number in range((stop - line - 1) * apart + count):
                # Where strides leave lines out, no line serves two lines of results.
                skipped = number // apart * stride + number % apart if apart < stride else number
                y = line % height * stride + row + skipped
                for p in range(planes):
                    source = address_of_line(x, pixel, args, line // height, plane + p, y)
                    copy_pixels(source, pixel, args, column, positions, out)
                    out += pitch
            line = stop

    return layout, copy_lines
