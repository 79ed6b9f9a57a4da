"""Affine transforms of images, each made of uniform numbers u, v, s, t in [0, 1).

The results a0, a1, a2, b0, b1, b2 say where a pixel of the result lies in the image: that at column x and row y comes
from column a0 x + a1 y + a2 and row b0 x + b1 y + b2. The formulas are Keras's (`affine_transform`).
"""

import math


def translated(u, v, s, t, height, width, low_y, high_y, low_x, high_x):
    """Moved down by a share of the height in [low_y, high_y), and right by a share of the width."""
    return 1.0, 0.0, -width * (low_x + (high_x - low_x) * v), 0.0, 1.0, -height * (low_y + (high_y - low_y) * u)


def rotated(u, v, s, t, height, width, low, high):
    """Turned about its centre by a share of a full circle in [low, high)."""
    angle = 2 * math.pi * (low + (high - low) * u)
    c, d = math.cos(angle), math.sin(angle)
    x, y = 0.5 * (width - 1), 0.5 * (height - 1)
    return c, -d, x - x * c + y * d, d, c, y - x * d - y * c


def zoomed(u, v, s, t, height, width, low_y, high_y, low_x, high_x, apart):
    """Seen from further away, by a factor of 1 + a number in [low_y, high_y) in the height; ``apart`` is 1 where the
    number of the width is another one, and 0 where it is drawn with that of the height."""
    down = 1 + low_y + (high_y - low_y) * u
    across = 1 + low_x + (high_x - low_x) * (apart * v + (1 - apart) * u)
    return across, 0.0, 0.5 * (width - 1) * (1 - across), 0.0, down, 0.5 * (height - 1) * (1 - down)


def sheared(u, v, s, t, low_x, high_x, low_y, high_y):
    """Sheared by a factor in [low_x, high_x) along x and one along y, both negative half of the time."""
    sign = -1 if s > 0.5 else 1
    return 1.0, sign * (low_x + (high_x - low_x) * v), 0.0, sign * (low_y + (high_y - low_y) * u), 1.0, 0.0


def scaled(u, v, s, t, factor_y, factor_x):
    """Stretched: rows lie ``factor_y`` apart in the image and columns ``factor_x``, pixels being squares."""
    return factor_x, 0.0, 0.5 * factor_x - 0.5, 0.0, factor_y, 0.5 * factor_y - 0.5


def filled(k, size, fill):
    """The row or column that stands for number k of ``size``, where there may be no such one; -1 for a constant.

    ``fill`` is 0 for a constant, 1 for the nearest, 2 for mirrored ones (b a | a b c | c b), 3 for repeated ones
    (b c | a b c | a b). The numbers are whole, and below 2**20: float32 divides them without an error that counts.
    """
    period = 2 * size if fill == 2 else size
    place = k - period * math.floor(k / period)
    repeated = place if place < size else period - 1 - place
    nearest = 0 if k < 0 else (size - 1 if k > size - 1 else k)
    beside = -1 if fill < 1 else (nearest if fill < 2 else repeated)
    return k if k == nearest else beside


def rounded(x):
    """The nearest whole number; halves are rounded away from 0."""
    return math.copysign(math.floor(abs(x) + 0.5), x)
