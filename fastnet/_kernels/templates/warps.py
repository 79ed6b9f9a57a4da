"""Images under affine transforms: each pixel of the result is read at a place of the image.

An image is a row of height · width · channels elements, channels last. A unit of the axis is a row of pixels, in the
order of the samples, or a sample where results overlap.
"""

from __future__ import annotations

from fastnet._kernels.kinds import count, integer, read, real, reals, rule, size, write
from fastnet._kernels.rules.philox import philox
from fastnet._kernels.rules.transforms import filled, rounded
from fastnet._kernels.template import template


@template("n", grain=16, cost=80, aligned=False)
def draw_transforms(
    f: rule, transforms: write[n, six], seed: count, iteration: count, stream: integer, p: reals, lo, hi
):  # fmt: skip
    # transforms (n, 6): `f` of four uniform numbers of the sample
    low, high = uint32(seed), uint32(seed >> 32)
    step, lay = uint32(iteration), uint32(stream)
    for r in range(lo, hi):
        a, b, c, d = philox(uint32(r), uint32(r >> 32), step, lay, low, high)
        u, v, s, t = T(unit_float32(a)), T(unit_float32(b)), T(unit_float32(c)), T(unit_float32(d))
        a0, a1, a2, b0, b1, b2 = f(u, v, s, t, *p)
        transforms[r, 0], transforms[r, 1], transforms[r, 2] = a0, a1, a2
        transforms[r, 3], transforms[r, 4], transforms[r, 5] = b0, b1, b2


@template("n * height", grain=4, cost="12 * width + 10 * width * channels", aligned=False)
def warp(
    x: read[n, elements], transforms: read[n, six], y: write[n, pixels], fill: integer, nearest: integer,
    outside: real, source_height: size, source_width: size, height: size, width: size, channels: size, lo, hi,
):  # fmt: skip
    # Around a place lie four pixels, or one where `nearest` is 1; each weighs what it has of the row times what it has
    # of the column. `outside` is the constant of `filled`. Most places lie within the image: their pixels are read
    # without a look at its edges, and added in the same order (69 → 13 ns a pixel of three channels).
    reach = 1 if nearest != 0 else 2
    for unit in range(lo, hi):
        r, i = unit // height, unit % height
        for j in range(width):
            place_x = (transforms[r, 0] * T(j) + transforms[r, 1] * T(i)) + transforms[r, 2]
            place_y = (transforms[r, 3] * T(j) + transforms[r, 4] * T(i)) + transforms[r, 5]
            place_x = rounded(place_x) if nearest != 0 else place_x
            place_y = rounded(place_y) if nearest != 0 else place_y
            left, upper, at = floor(place_x), floor(place_y), (i * width + j) * channels
            across, down = place_x - left, place_y - upper
            m, k = int64(left), int64(upper)
            if reach == 2 and m >= 0 and m + 1 < source_width and k >= 0 and k + 1 < source_height:
                start = (k * source_width + m) * channels
                below = start + source_width * channels
                a0, a1, b0, b1 = (
                    (1.0 - down) * (1.0 - across),
                    (1.0 - down) * across,
                    down * (1.0 - across),
                    down * across,
                )
                for c in range(channels):
                    above = a0 * x[r, start + c] + a1 * x[r, start + channels + c]
                    y[r, at + c] = (above + b0 * x[r, below + c]) + b1 * x[r, below + channels + c]
                continue
            for c in range(channels):
                y[r, at + c] = 0.0
            for a in range(reach):
                row = upper + T(a)
                if row < 0.0 or row >= T(source_height):
                    row = filled(row, T(source_height), T(fill))
                of_row = (1.0 - down) if a == 0 else down
                for b in range(reach):
                    column = left + T(b)
                    if column < 0.0 or column >= T(source_width):
                        column = filled(column, T(source_width), T(fill))
                    weight = of_row * ((1.0 - across) if b == 0 else across)
                    inside = row >= 0.0 and column >= 0.0
                    start = (int64(row) * source_width + int64(column)) * channels
                    for c in range(channels):
                        y[r, at + c] = y[r, at + c] + weight * (x[r, start + c] if inside else outside)


@template("n", cost="width * (12 * height + 20 * height * channels)", aligned=False)
def warp_gradient(
    dy: read[n, pixels], transforms: read[n, six], dx: write[n, elements], fill: integer, nearest: integer,
    source_height: size, source_width: size, height: size, width: size, channels: size, lo, hi,
):  # fmt: skip
    # Each pixel of dy goes to those that `warp` read. A sample is one unit, since they overlap.
    reach = 1 if nearest != 0 else 2
    for r in range(lo, hi):
        for k in range(source_height * source_width * channels):
            dx[r, k] = 0.0
        for i in range(height):
            for j in range(width):
                place_x = (transforms[r, 0] * T(j) + transforms[r, 1] * T(i)) + transforms[r, 2]
                place_y = (transforms[r, 3] * T(j) + transforms[r, 4] * T(i)) + transforms[r, 5]
                place_x = rounded(place_x) if nearest != 0 else place_x
                place_y = rounded(place_y) if nearest != 0 else place_y
                left, upper, at = floor(place_x), floor(place_y), (i * width + j) * channels
                for a in range(reach):
                    row = filled(upper + T(a), T(source_height), T(fill))
                    of_row = (1.0 - (place_y - upper)) if a == 0 else place_y - upper
                    for b in range(reach):
                        column = filled(left + T(b), T(source_width), T(fill))
                        weight = of_row * ((1.0 - (place_x - left)) if b == 0 else place_x - left)
                        start = (int64(row) * source_width + int64(column)) * channels
                        if row >= 0.0 and column >= 0.0:
                            for c in range(channels):
                                dx[r, start + c] = dx[r, start + c] + weight * dy[r, at + c]
