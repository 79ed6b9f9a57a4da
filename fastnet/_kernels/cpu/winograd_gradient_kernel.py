# Products of inputs and gradients at the points of Winograd's convolution.  DTYPE and TILE are bound above this line.
from fastnet._kernels import window as W
from fastnet._kernels.cpu import blocking, gemm_intrinsics, processor, winograd_tiles
from fastnet._kernels.cpu import gemm as G
from fastnet._kernels.cpu import micro_kernel as T
from fastnet._kernels.target import compiled as local

SHAPE = blocking.Tile(*TILE)
define_tiles, tile = gemm_intrinsics.tiles(DTYPE, SHAPE)
spread_inputs, spread_gradients, plane_bytes = winograd_tiles.make(DTYPE, SHAPE)
fetch_tiles = winograd_tiles.fetching(DTYPE)
SIZE, LINE = processor.SIZES[DTYPE], processor.LINE
LANES = SHAPE.lanes(DTYPE)
MR, NR = SHAPE.rows, blocking.VECTORS * LANES
POINTS, TILES = 36, W.GRADIENT_TILES


@local
def address(bases, reference):
    return bases[reference & 7] + (reference >> 3)


@local
def multiply(inputs, gradients, ranges, channels, columns, count, products, todo):
    """products (36, channels, columns), from the sums over the tiles: added, or written where nothing is there."""
    groups = (channels + MR - 1) // MR
    for point in range(POINTS):
        left = inputs + point * plane_bytes(TILES, channels)
        right = gradients + point * plane_bytes(TILES, columns)
        c = products + point * channels * columns * SIZE
        for j in range(0, columns, NR):
            i = 0
            for group in range(groups):
                rows = (channels - i + groups - group - 1) // (groups - group)
                tile(left + i * SIZE, SIZE, channels * SIZE, right + j * SIZE, columns * SIZE, count, ranges,
                     c + (i * columns + j) * SIZE, columns * SIZE, LANES, 0, todo, rows, T.FULL)  # fmt: skip
                i += rows


def kernel(bases, args, rows, lo, hi):
    # c (chunks, groups of channels, groups of columns, 36, channels of a group, columns of a group)
    define_tiles()
    channels, columns = args[G.MB], args[G.NB]
    height, width = args[G.WINDOW + W.IMAGE + 1], args[G.WINDOW + W.IMAGE + 2]
    above, beside = args[G.WINDOW + W.BEFORE + 1], args[G.WINDOW + W.BEFORE + 2]
    high, wide = args[G.WINDOW + W.POSITIONS + 1], args[G.WINDOW + W.POSITIONS + 2]
    down, across = (high + 3) // 4, (wide + 3) // 4
    total = rows * down * across
    parts_down, parts_across, chunks = args[G.M], args[G.N], args[G.K]
    of_chunk = ((total + TILES - 1) // TILES + chunks - 1) // chunks * TILES
    x_pixel, dy_pixel = args[G.LDA] * SIZE, args[G.LDB] * SIZE
    ranges = (bases[3] + LINE - 1) // LINE * LINE
    inputs = ranges + LINE
    gradients = inputs + POINTS * plane_bytes(TILES, channels)
    patch = gradients + POINTS * plane_bytes(TILES, columns)
    for unit in range(lo, hi):
        chunk, part = unit // (parts_down * parts_across), unit % (parts_down * parts_across)
        x = address(bases, args[G.A]) + part // parts_across * channels * SIZE
        dy = address(bases, args[G.B]) + part % parts_across * columns * SIZE
        products = address(bases, args[G.C]) + unit * POINTS * channels * columns * SIZE
        first, end = chunk * of_chunk, min(total, (chunk + 1) * of_chunk)
        if first >= end:
            multiply(inputs, gradients, 0, channels, columns, 0, products, 0)
        todo = 0
        while first < end:
            count = min(TILES, end - first)
            spread_inputs(x, x_pixel, height, width, above, beside, down, across, channels, first, count, inputs,
                          plane_bytes(TILES, channels), patch)  # fmt: skip
            spread_gradients(dy, dy_pixel, high, wide, 0, 0, down, across, columns, first, count, gradients,
                             plane_bytes(TILES, columns), patch)  # fmt: skip
            ahead = min(TILES, end - first - count)
            fetch_tiles(ranges, 0, x, x_pixel, height, width, down, across, channels, first + count, ahead)
            fetch_tiles(ranges, 1, dy, dy_pixel, high, wide, down, across, columns, first + count, ahead)
            multiply(inputs, gradients, ranges, channels, columns, count, products, todo)
            todo = T.ADD
            first += count
