# y = Winograd's convolution of x (+ bias), ReLU, epilogue.  DTYPE and TILE are bound above this line.
from fastnet._kernels import chunks
from fastnet._kernels import window as W
from fastnet._kernels.cpu import blocking, gemm_intrinsics, processor, winograd_intrinsics, winograd_tiles
from fastnet._kernels.cpu import gemm as G
from fastnet._kernels.cpu import micro_kernel as T
from fastnet._kernels.target import compiled as local

SHAPE = blocking.Tile(*TILE)
define_tiles, tile = gemm_intrinsics.tiles(DTYPE, SHAPE)
_, _, copy_rows, *_ = gemm_intrinsics.copies(DTYPE, SHAPE)
call_epilogue = gemm_intrinsics.call_epilogue
spread_inputs, spread_gradients, plane_bytes = winograd_tiles.make(DTYPE, SHAPE)
fetch_tiles = winograd_tiles.fetching(DTYPE)
gather_results = winograd_intrinsics.gather_results(DTYPE, SHAPE.width)
k_blocks = local(chunks.k_blocks)
SIZE, LINE = processor.SIZES[DTYPE], processor.LINE
LANES = SHAPE.lanes(DTYPE)
MR, NR = SHAPE.rows, blocking.VECTORS * LANES
KC, PANEL = chunks.KC, W.PANEL
POINTS = 36


@local
def address(bases, reference):
    return bases[reference & 7] + (reference >> 3)


@local
def multiply(args, weights, planes, ranges, products, channels, columns, count):
    """The products of all points: (count, channels) by (channels, columns), in the order of k of every product."""
    groups = (count + MR - 1) // MR
    panel = channels * PANEL * SIZE
    panels = columns // PANEL
    plane, result = plane_bytes(args[G.MB], channels), plane_bytes(args[G.MB], columns)
    row = columns * SIZE
    for point in range(POINTS):
        for block in range(k_blocks(channels)):
            k0 = block * KC
            depth = channels - k0 if block == k_blocks(channels) - 1 else KC
            for j in range(0, columns, NR):
                b = weights + (point * panels + j // PANEL) * panel + (k0 * PANEL + j % PANEL) * SIZE
                i = 0
                for group in range(groups):
                    rows = (count - i + groups - group - 1) // (groups - group)
                    a = planes + point * plane + (i * channels + k0) * SIZE
                    tile(a, channels * SIZE, SIZE, b, PANEL * SIZE, depth, ranges,
                         products + point * result + i * row + j * SIZE, row, LANES, 0, T.ADD if block > 0 else 0,
                         rows, T.FULL)  # fmt: skip
                    i += rows


@local
def gather_tiles(bases, args, first, count, products, scratch):
    """Results of the tiles, and the epilogue on them."""
    columns, ldc = args[G.N], args[G.LDC]
    height, width = args[G.WINDOW + W.POSITIONS + 1], args[G.WINDOW + W.POSITIONS + 2]
    down, across = (height + 3) // 4, (width + 3) // 4
    plane = plane_bytes(args[G.MB], columns)
    bias = 0 if args[G.BIAS] < 0 else address(bases, args[G.BIAS])
    relu = 1 if args[G.FLAGS] & G.RELU else 0
    is_stored = args[G.FLAGS] & G.IN_SCRATCH == 0
    for number in range(count):
        place = first + number
        top, left = place // across % down * 4, place % across * 4
        pixel = (place // (down * across) * height + top) * width + left
        rows, pixels = min(4, height - top), min(4, width - left)
        source = products + number * columns * SIZE
        c, ld, line = scratch, columns, 4 * columns * SIZE
        if is_stored:
            c, ld, line = address(bases, args[G.C]) + pixel * ldc * SIZE, ldc, width * ldc * SIZE
        if is_stored and (rows < 4 or pixels < 4):
            gather_results(source, plane, scratch, 4 * columns * SIZE, columns * SIZE, columns // LANES, bias, relu)
            for i in range(rows):
                copy_rows(scratch + i * 4 * columns * SIZE, columns * SIZE, pixels, columns, c + i * line, ld * SIZE)
        else:
            gather_results(source, plane, c, line, ld * SIZE, columns // LANES, bias, relu)
        if args[G.EPILOGUE] != 0:
            for i in range(rows):
                start = pixel + i * width
                call_epilogue(args[G.EPILOGUE], bases, args[G.EPILOGUE_ARGS], c + i * line, ld, start, start + pixels,
                              0, columns)  # fmt: skip


def kernel(bases, args, rows, lo, hi):
    define_tiles()
    channels, columns = args[G.WINDOW + W.CHANNELS], args[G.N]
    height, width = args[G.WINDOW + W.IMAGE + 1], args[G.WINDOW + W.IMAGE + 2]
    before, beside = args[G.WINDOW + W.BEFORE + 1], args[G.WINDOW + W.BEFORE + 2]
    high, wide = args[G.WINDOW + W.POSITIONS + 1], args[G.WINDOW + W.POSITIONS + 2]
    down, across = (high + 3) // 4, (wide + 3) // 4
    total = rows * down * across
    plane = plane_bytes(args[G.MB], channels)
    ranges = (bases[3] + LINE - 1) // LINE * LINE
    planes = ranges + LINE
    products = planes + POINTS * plane
    scratch = products + POINTS * plane_bytes(args[G.MB], columns)
    x, pixel = address(bases, args[G.A]), args[G.LDA] * SIZE
    for block in range(lo, hi):
        first = block * args[G.MB]
        count = min(args[G.MB], total - first)
        spread_inputs(x, pixel, height, width, before, beside, down, across, channels, first, count, planes, plane,
                      scratch)  # fmt: skip
        ahead = min(args[G.MB], total - first - count) if block + 1 < hi else 0
        stored = 0 if args[G.FLAGS] & G.IN_SCRATCH else count
        fetch_tiles(ranges, 0, x, pixel, height, width, down, across, channels, first + count, ahead)
        fetch_tiles(ranges, 1, address(bases, args[G.C]), args[G.LDC] * SIZE, high, wide, down, across, columns, first,
                    stored)  # fmt: skip
        multiply(args, address(bases, args[G.B]), planes, ranges, products, channels, columns, count)
        gather_tiles(bases, args, first, count, products, scratch)
