"""Images with other borders: rows and columns cut off or added."""

from __future__ import annotations

from fastnet._kernels.kinds import integer, read, real, size, write
from fastnet._kernels.template import template


@template("rows", grain=4, cost="2 * y_width", aligned=False)
def move_borders(
    x: read[x_rows, x_width], y: write[rows, y_width], front: integer, top: integer, left: integer, fill: real,
    depth: integer, height: integer, out_depth: integer, out_height: integer, x_width: size, y_width: size, lo, hi,
):  # fmt: skip
    # y begins `front` images, `top` rows and `left` elements behind the beginning of x; what lies outside is `fill`.
    begin = min(max(-left, 0), y_width)
    end = max(min(x_width - left, y_width), begin)
    for r in range(lo, hi):
        d, h = r // out_height % out_depth + front, r % out_height + top
        if d < 0 or d >= depth or h < 0 or h >= height:
            for j in range(y_width):
                y[r, j] = fill
        else:
            row = (r // (out_depth * out_height) * depth + d) * height + h
            for j in range(begin):
                y[r, j] = fill
            for j in range(begin, end):
                y[r, j] = x[row, j + left]
            for j in range(end, y_width):
                y[r, j] = fill
