# y = Winograd's convolution of x (+ bias), ReLU, epilogue.  DTYPE and TILE are bound above this line.
from fastnet._kernels import chunks
from fastnet._kernels import window as W
from fastnet._kernels.cpu import blocking, gemm_intrinsics, processor, winograd_intrinsics
from fastnet._kernels.cpu import gemm as G
from fastnet._kernels.cpu import micro_kernel as T
from fastnet._kernels.cpu import winograd as WG
from fastnet._kernels.target import compiled as local

SHAPE = blocking.Tile(*TILE)
define_tiles, tile = gemm_intrinsics.tiles(DTYPE, SHAPE)
copy_a, copy_b, copy_rows, fill_rows, transpose, transpose_back, copy_element = gemm_intrinsics.copies(DTYPE, SHAPE)
call_epilogue = gemm_intrinsics.call_epilogue
spread_input, gather_results = winograd_intrinsics.transforms(DTYPE, SHAPE.width)
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
def plane_bytes(tiles, channels):
    """Bytes between the planes of two points: not a multiple of a page, so that they do not share sets of the cache."""
    return tiles * channels * SIZE + LINE


@local
def copy_patch(x, pixel, height, width, top, left, channels, out):
    """Six by six pixels from (top, left) on, side by side; 0 outside of the image."""
    first, last = max(0, -left), max(0, min(6, width - left))
    for i in range(6):
        target = out + i * 6 * channels * SIZE
        y = top + i
        if y < 0 or y >= height or last <= first:
            fill_rows(1, 6 * channels, target, 0)
            continue
        fill_rows(1, first * channels, target, 0)
        fill_rows(1, (6 - last) * channels, target + last * channels * SIZE, 0)
        source = x + (y * width + left + first) * pixel
        copy_rows(source, pixel, last - first, channels, target + first * channels * SIZE, channels * SIZE)


@local
def spread_tiles(bases, args, first, count, planes, patch):
    """The tiles ``first`` to ``first + count`` of the images at the points."""
    channels, pixel = args[G.WINDOW + W.CHANNELS], args[G.LDA] * SIZE
    height, width = args[G.WINDOW + W.IMAGE + 1], args[G.WINDOW + W.IMAGE + 2]
    down, across = (args[G.WINDOW + W.POSITIONS + 1] + 3) // 4, (args[G.WINDOW + W.POSITIONS + 2] + 3) // 4
    plane = plane_bytes(WG.TILES, channels)
    for number in range(count):
        place = first + number
        image = place // (down * across)
        top = place // across % down * 4 - args[G.WINDOW + W.BEFORE + 1]
        left = place % across * 4 - args[G.WINDOW + W.BEFORE + 2]
        x = address(bases, args[G.A]) + image * height * width * pixel
        target = planes + number * channels * SIZE
        if top >= 0 and left >= 0 and top + 6 <= height and left + 6 <= width:
            spread_input(x + (top * width + left) * pixel, width * pixel, pixel, target, plane, channels // LANES)
        else:
            copy_patch(x, pixel, height, width, top, left, channels, patch)
            spread_input(patch, 6 * channels * SIZE, channels * SIZE, target, plane, channels // LANES)


@local
def multiply(args, weights, planes, products, channels, columns, count):
    """The products of all points: (count, channels) by (channels, columns), in the order of k of every product."""
    groups = (count + MR - 1) // MR
    panel = channels * PANEL * SIZE
    panels = columns // PANEL
    plane, result = plane_bytes(WG.TILES, channels), plane_bytes(WG.TILES, columns)
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
                    tile(a, channels * SIZE, SIZE, b, PANEL * SIZE, depth,
                         products + point * result + i * row + j * SIZE, row, LANES, 0, T.ADD if block > 0 else 0,
                         rows, T.FULL)  # fmt: skip
                    i += rows


@local
def gather_tiles(bases, args, first, count, products, scratch):
    """Results of the tiles, and the epilogue on them."""
    columns, ldc = args[G.N], args[G.LDC]
    height, width = args[G.WINDOW + W.POSITIONS + 1], args[G.WINDOW + W.POSITIONS + 2]
    down, across = (height + 3) // 4, (width + 3) // 4
    plane = plane_bytes(WG.TILES, columns)
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
    tiles = ((args[G.WINDOW + W.POSITIONS + 1] + 3) // 4) * ((args[G.WINDOW + W.POSITIONS + 2] + 3) // 4)
    total = rows * tiles
    planes = (bases[3] + LINE - 1) // LINE * LINE
    products = planes + POINTS * plane_bytes(WG.TILES, channels)
    scratch = products + POINTS * plane_bytes(WG.TILES, columns)
    for block in range(lo, hi):
        first = block * WG.TILES
        count = min(WG.TILES, total - first)
        spread_tiles(bases, args, first, count, planes, scratch)
        multiply(args, address(bases, args[G.B]), planes, products, channels, columns, count)
        gather_tiles(bases, args, first, count, products, scratch)
