"""Text of Winograd's convolution (`rules.winograd`) on a GPU, with the CPU's bits.

A block of 256 threads computes TILES tiles of 4 by 4 results of COLUMNS columns, a tile and a column a thread. Of
CHANNELS channels at a time, each thread brings the 36 pixels of a tile and a channel to the points, in shared memory;
then it adds the products of its own tile and column, in registers.
"""

from __future__ import annotations

from fastnet._kernels.pasting import paste
from fastnet._kernels.rules import winograd as rules
from fastnet._kernels.window import GRADIENT_TILES, PANEL, TapGroups, Window

TILES, COLUMNS, CHANNELS = 4, 64, 64
SHARED = 36 * TILES * CHANNELS  # elements


def blocks(m: int, n: int, window: Window) -> int:
    """The number of blocks of threads for m results of n columns."""
    return -(-m // window.rows * window.tiles // TILES) * -(-n // COLUMNS)


def _tile(name: str, place: str, height: str, width: str, distance: str, side: int, first: str) -> list[str]:
    """Lines that read a tile of an image, whose first pixel is (top, left), to variables x0_0, x0_1 …"""
    lines = []
    for i in range(side):
        for j in range(side):
            there = f"top + {i} >= 0 and top + {i} < {height} and left + {j} >= 0 and left + {j} < {width}"
            at = f"((image * {height} + top + {i}) * {width} + left + {j}) * {distance} + {place}"
            lines.append(f"{first}{i}_{j} = {name}_at[{at}] if {there} else T(0)")
    return lines


def _along_both(rule: str, source: str, target: str, size: int, count: int) -> list[str]:
    """Lines that apply a rule of ``size`` values and ``count`` results along both axes of a matrix of variables."""
    lines = []
    for j in range(size):
        results = ", ".join(f"line{j}_{p}" for p in range(count))
        lines.append(f"{results} = {rule}({', '.join(f'{source}{i}_{j}' for i in range(size))})")
    for p in range(count):
        results = ", ".join(f"{target}{p}_{q}" for q in range(count))
        lines.append(f"{results} = {rule}({', '.join(f'line{j}_{p}' for j in range(size))})")
    return lines


def lines(dtype: str, pasted: dict[str, str], parts: str, span: str, finish: list[str]) -> list[str]:
    """Lines of the body of a kernel.

    Args:
        dtype: of all operands.
        pasted: the texts of rules, to which those of the transforms are added.
        parts: the line of the number of K-blocks.
        span: the line that gives a K-block its ``start`` and ``end``.
        finish: lines for one result, ``value`` in row i and column j.
    """
    spread, gather = (paste(rule, dtype, pasted) for rule in (rules.winograd_input, rules.winograd_results))
    pixels = _tile("a", "channel", "image_1", "image_2", "lda", 6, "x")
    points = [f"planes[{p} * {TILES * CHANNELS} + at] = v{p // 6}_{p % 6}" for p in range(36)]
    add = [
        f"sums[{p}] = fma(planes[{p} * {TILES * CHANNELS} + own + step], b_at[{p} * plane + weight], sums[{p}])"
        for p in range(36)
    ]
    results = [
        line
        for r in range(4)
        for s in range(4)
        for line in [
            f"value, i = y{r}_{s}, (image * positions_1 + top + {r}) * positions_2 + left + {s}",
            f"if is_own and top + {r} < positions_1 and left + {s} < positions_2:",
            *(f"    {line}" for line in finish),
        ]
    ]
    where = [
        "image, top, left = tile // (down * wide), tile // wide % down * 4, tile % wide * 4",
        "top, left = top - before_1, left - before_2",
    ]
    return [
        f"planes, sums, totals = shared({dtype!r}, 0), stack({dtype!r}, 36), stack({dtype!r}, 36)",
        f"down, wide, across = (positions_1 + 3) // 4, (positions_2 + 3) // 4, (n + {COLUMNS - 1}) // {COLUMNS}",
        "tiles, plane = m // (positions_1 * positions_2) * down * wide, n * channels",
        parts,
        "for number in range(lo, hi):",
        f"    first, j = number // across * {TILES}, number % across * {COLUMNS} + thread() % {COLUMNS}",
        f"    own, is_own = thread() // {COLUMNS} * {CHANNELS}, first + thread() // {COLUMNS} < tiles and j < n",
        "    clear(totals, 36)",
        "    for part in range(parts):",
        "        clear(sums, 36)",
        f"        {span}",
        f"        for k0 in range(start, end, {CHANNELS}):",
        "            barrier()",
        f"            tile, channel, at = first + thread() // {CHANNELS}, k0 + thread() % {CHANNELS}, thread()",
        "            if tile < tiles and channel < end:",
        *(f"                {line}" for line in [*where, *pixels, *_along_both(spread, "x", "v", 6, 6), *points]),
        "            barrier()",
        "            if is_own:",
        f"                for step in range(min({CHANNELS}, end - k0)):",
        f"                    weight = ((j // {PANEL}) * channels + k0 + step) * {PANEL} + j % {PANEL}",
        *(f"                    {line}" for line in add),
        "        add_all(totals, sums, 36, part == 0)",
        f"    tile = first + thread() // {COLUMNS}",
        f"    {where[0]}",
        *(f"    m{p // 6}_{p % 6} = totals[{p}]" for p in range(36)),
        *(f"    {line}" for line in [*_along_both(gather, "m", "y", 6, 4), *results]),
    ]


SIDE, BATCH = 16, 8  # of the products of inputs and gradients: channels and columns of a block, tiles at once


def tap_blocks(groups: TapGroups) -> int:
    """The number of blocks of threads of the products from which the gradient of the taps follows."""
    return groups.count * (groups.channels // SIDE) * (groups.columns // SIDE)


def tap_lines(dtype: str, pasted: dict[str, str]) -> list[str]:
    """Lines of the body of the products of inputs and gradients at the points (`cpu.winograd_gradient_kernel`).

    A block of 256 threads has 16 channels and 16 columns, one pair a thread. It brings 8 tiles of both to the points at
    once: a tile and a channel, or a tile and a column, a thread.
    """
    spread, spread_gradient = (paste(rule, dtype, pasted) for rule in (rules.winograd_input, rules.winograd_gradient))
    plane, half = BATCH * SIDE, BATCH * SIDE * 36
    where = "image, top, left = tile // (deep * long), tile // long % deep * 4, tile % long * 4"
    inputs = [
        "top, left = top - before_1, left - before_2",
        *_tile("a", "part // across * high + i0 + lane", "image_1", "image_2", "lda", 6, "x"),
        *_along_both(spread, "x", "v", 6, 6),
        *(f"planes[{p * plane} + at] = v{p // 6}_{p % 6}" for p in range(36)),
    ]
    gradients = [
        *_tile("b", "part % across * wide + j0 + lane", "positions_1", "positions_2", "ldb", 4, "d"),
        *_along_both(spread_gradient, "d", "e", 4, 6),
        *(f"planes[{half + p * plane} + at] = e{p // 6}_{p % 6}" for p in range(36)),
    ]
    add = [
        f"sums[{p}] = fma(planes[{p * plane} + t * {SIDE} + own], planes[{half + p * plane} + t * {SIDE} + column], "
        f"sums[{p}])"
        for p in range(36)
    ]
    return [
        f"planes, sums, totals = shared({dtype!r}, 0), stack({dtype!r}, 36), stack({dtype!r}, 36)",
        "deep, long = (positions_1 + 3) // 4, (positions_2 + 3) // 4",
        "tiles = rows * deep * long",
        f"of_chunk = ((tiles + {GRADIENT_TILES - 1}) // {GRADIENT_TILES} + parts - 1) // parts * {GRADIENT_TILES}",
        f"blocks, own, column = high // {SIDE} * (wide // {SIDE}), thread() // {SIDE}, thread() % {SIDE}",
        f"lane, at = thread() % {SIDE}, thread() % {plane}",
        "for number in range(lo, hi):",
        "    unit, block = number // blocks, number % blocks",
        "    chunk, part = unit // (down * across), unit % (down * across)",
        f"    i0, j0 = block // (wide // {SIDE}) * {SIDE}, block % (wide // {SIDE}) * {SIDE}",
        "    first, end = chunk * of_chunk, min(tiles, (chunk + 1) * of_chunk)",
        "    clear(totals, 36)",
        f"    for start in range(first, end, {GRADIENT_TILES}):",
        "        clear(sums, 36)",
        f"        stop = min(end, start + {GRADIENT_TILES})",
        f"        for t0 in range(start, stop, {BATCH}):",
        "            barrier()",
        f"            tile = t0 + at // {SIDE}",
        "            if tile < stop:",
        f"                {where}",
        f"                if thread() < {plane}:",
        *(f"                    {line}" for line in inputs),
        "                else:",
        *(f"                    {line}" for line in gradients),
        "            barrier()",
        f"            for t in range(min({BATCH}, stop - t0)):",
        *(f"                {line}" for line in add),
        "        add_all(totals, sums, 36, start == first)",
        "    place = (unit * 36 * high + i0 + own) * wide + j0 + column",
        *(f"    c_at[place + {p} * high * wide] = totals[{p}]" for p in range(36)),
    ]
