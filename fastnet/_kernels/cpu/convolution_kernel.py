# C = op(P) @ B (+ bias), ReLU, epilogue; P is the patch matrix of images.  DTYPE and TILE are bound above this line.
from fastnet._kernels import chunks
from fastnet._kernels import window as W
from fastnet._kernels.cpu import blocking, gemm_intrinsics, patches, processor
from fastnet._kernels.cpu import convolution as V
from fastnet._kernels.cpu import gemm as G
from fastnet._kernels.cpu import micro_kernel as T
from fastnet._kernels.target import compiled as local

SHAPE = blocking.Tile(*TILE)
define_tiles, tile, write_entry = gemm_intrinsics.segmented_tiles(DTYPE, SHAPE)
k_blocks, swaps = local(chunks.k_blocks), local(V.swaps)
_, copy_b, copy_rows, fill_rows, _, transpose_back, _ = gemm_intrinsics.copies(DTYPE, SHAPE)
call_epilogue = gemm_intrinsics.call_epilogue
SIZE, LINE = processor.SIZES[DTYPE], processor.LINE
copy_patches = patches.row_copies(SIZE, copy_rows, fill_rows)
copy_pixels = patches.line_copies(SIZE, copy_rows, fill_rows)
line_of = patches.line_of
MASKS = processor.target().masks
LANES = SHAPE.lanes(DTYPE)
MR, MR_SINGLE, NR = SHAPE.rows, SHAPE.single_rows, blocking.VECTORS * LANES
KC, MC = chunks.KC, blocking.MC_BYTES // SIZE
SCRATCH_ROWS, GROUP = blocking.SCRATCH_ROWS, G.GROUP // SIZE
CHUNK, RUN = V.CHUNK_BYTES // SIZE, V.RUN_BYTES // SIZE
POSITIONS, TAPS, STRIDES, DILATIONS, CHANNELS = (
    patches.POSITIONS, patches.TAPS, patches.STRIDES, patches.DILATIONS, patches.CHANNELS
)  # fmt: skip


@local
def address(bases, reference):
    return bases[reference & 7] + (reference >> 3)


@local
def k_depth(k, block):
    """Steps of a K-block."""
    return k - block * KC if block == k_blocks(k) - 1 else KC


@local
def spread(k):
    """Bytes between copied rows of k elements: an odd number of cache lines, so that no two share a set."""
    return ((k * SIZE + 2 * LINE - 1) // LINE | 1) * LINE


@local
def run_of(args):
    """Elements that a row of taps reads at a position."""
    return args[TAPS + 2] * args[CHANNELS]


@local
def has_lines(args):
    """Whether lines of the image are copied, and not patches: their runs are neither too short nor too long, and lines
    of results fill tiles."""
    run = run_of(args)
    side_by_side = args[DILATIONS + 2] == 1 and args[STRIDES + 2] <= args[TAPS + 2]
    return side_by_side and V.LEAST_RUN <= run <= RUN and args[POSITIONS + 2] >= V.LEAST_POSITIONS


@local
def entry(table, number, steps, left, right):
    """Write a segment: its steps, and the bytes by which the operands of a tile jump behind it."""
    write_entry(table, 3 * number, steps)
    write_entry(table, 3 * number + 1, left)
    write_entry(table, 3 * number + 2, right)


@local
def packed(b, ldb, pack, k, n, out):
    """Address of a block of B, bytes between its steps and between its panels; packed where asked."""
    if not pack:
        return b, ldb * SIZE, NR * SIZE
    panel = NR * SIZE * k + LINE
    copy_b(b, ldb * SIZE, k, n, out, NR * SIZE, panel)
    return out, NR * SIZE, panel


@local
def row_tiles(a, a_row, a_step, b, b_step, table, count, c, c_row, m, n, shift, flags):
    """C[m, n], n at most the columns of a tile, from one K-block. The rows are dealt evenly to the tiles."""
    most = MR_SINGLE if n <= LANES else MR
    valid = n if n <= LANES else n - LANES
    form = T.SINGLE if n <= LANES else (T.MASKED if valid < LANES else T.FULL)
    groups = (m + most - 1) // most
    i = 0
    for group in range(groups):
        rows = (m - i + groups - group - 1) // (groups - group)
        tile(a + i * a_row, a_row, a_step, b, b_step, table, count, c + i * c_row, c_row, valid, shift, flags, rows,
             form)  # fmt: skip
        i += rows


@local
def pixel_of(args, row):
    """The pixel at which the result of a position of the window lies."""
    position, pixel, size = row, 0, 1
    for axis in (2, 1, 0):
        count = args[G.WINDOW + W.POSITIONS + axis]
        place = position % count * args[G.WINDOW + W.SPACING + axis] + args[G.WINDOW + W.FIRST + axis]
        pixel += place * size
        size *= args[G.WINDOW + W.TARGET + axis]
        position //= count
    return pixel + position * size


@local
def lines_of_results(x, pixel, args, i, end, k0, k, table, out):
    """Copy what the rows ``i`` to ``end`` of a K-block read, line of results by line; write the table of segments.

    Returns the bytes from one line's copy to the next, and the number of segments.
    """
    channels, width, run = args[CHANNELS], args[POSITIONS + 2], run_of(args)
    first_run, last_run = k0 // run, (k0 + k - 1) // run
    count = last_run - first_run + 1
    most = min(width, end - i) - 1
    pitch = ((most * args[STRIDES + 2] + args[TAPS + 2]) * channels * SIZE + LINE - 1) // LINE * LINE
    row, piece = i, out
    while row < end:
        position = row % width
        last = min(end, row - position + width)
        for number in range(count):
            start, stop = max(k0 - (first_run + number) * run, 0), min(k0 + k - (first_run + number) * run, run)
            line = line_of(x, pixel, args, row // width, first_run + number)
            copy_pixels(line, pixel, args, position, position + last - row, start // channels,
                        (stop + channels - 1) // channels, piece + number * pitch)  # fmt: skip
        piece += count * pitch
        row = last
    for number in range(count):
        start, stop = max(k0 - (first_run + number) * run, 0), min(k0 + k - (first_run + number) * run, run)
        ahead = start % channels if number == 0 else 0
        entry(table, number, stop - start, pitch - (ahead + stop - start) * SIZE, 0)
    return count * pitch, count


@local
def chunk_of_results(bases, args, i, end, a, a_row, piece, table, count, b, b_step, b_panel, c, ld, j, n, shift, flags):
    """C[i to end, n columns from j on] from one K-block; ``piece``: bytes from one line's A to the next, 0 where all
    its rows are at one distance."""
    width = args[POSITIONS + 2]
    scattered = args[G.FLAGS] & G.SCATTERED
    c_row = ld * args[G.WINDOW + W.SPACING + 2] * SIZE if scattered else ld * SIZE
    for q in range(0, n, NR):
        first, left = i, a
        while first < end:
            last = min(end, first - first % width + width) if scattered or piece else end
            to = c + ((pixel_of(args, first) if scattered else first - i) * ld + q) * SIZE
            row_tiles(left, a_row, SIZE, b + q // NR * b_panel, b_step, table, count, to, c_row, last - first,
                      min(NR, n - q), shift + q * SIZE if shift else 0, flags)  # fmt: skip
            left += piece if piece else (last - first) * a_row
            first = last


@local
def results(bases, args, k, i0, i1, j0, j1):
    """Rows i0 to i1 and columns j0 to j1 of P @ B."""
    flags = args[G.FLAGS]
    table = (bases[3] + LINE - 1) // LINE * LINE
    scratch = table + V.TABLE
    copy = scratch + G.SCRATCH_C
    packed_b = copy + V.SCRATCH_A
    bias = 0 if args[G.BIAS] < 0 else address(bases, args[G.BIAS])
    pixel, ldb, blocks = args[G.LDA] * SIZE, args[G.LDB], k_blocks(k)
    x = address(bases, args[G.A]) + j0 // (args[G.N] // args[G.WINDOW + W.GROUPS]) * args[CHANNELS] * SIZE
    lines = has_lines(args)
    width = args[POSITIONS + 2]
    if lines:
        parts = (width + CHUNK - 1) // CHUNK
        mc = (width + parts - 1) // parts if parts > 1 else CHUNK // width * width
    else:
        chunks = max(1, (i1 - i0 + MC - 1) // MC)
        mc = ((i1 - i0 + chunks - 1) // chunks + MR - 1) // MR * MR
    group = GROUP if args[G.EPILOGUE] != 0 and mc * (j1 - j0) * SIZE > G.EPILOGUE_BYTES else j1 - j0
    for block in range(blocks):
        k0, depth, last = block * KC, k_depth(k, block), block == blocks - 1
        todo = (T.ADD if block > 0 else 0) | (T.RELU if last and flags & G.RELU else 0)
        b = address(bases, args[G.B]) + (k0 * ldb + j0) * SIZE
        pack = flags & G.PACK_B != 0 or (not MASKS and (j1 - j0) % LANES != 0)
        b, b_step, panel = packed(b, ldb, pack, depth, j1 - j0, packed_b)
        i = i0
        while i < i1:
            end = min(i1, i - (i % width % mc if lines and width > CHUNK else i % mc if lines else 0) + mc)
            if lines:
                end = min(end, i - i % width + width) if width > CHUNK else end
                piece, count = lines_of_results(x, pixel, args, i, end, k0, depth, table, copy)
                a, a_row = copy + k0 % run_of(args) % args[CHANNELS] * SIZE, args[STRIDES + 2] * args[CHANNELS] * SIZE
            else:
                copy_patches(x, pixel, args, i, end, k0, k0 + depth, copy, spread(depth))
                entry(table, 0, depth, 0, 0)
                a, a_row, piece, count = copy, spread(depth), 0, 1
            for j in range(j0, j1, group):
                n = min(group, j1 - j)
                ld = args[G.LDC]
                if flags & G.IN_SCRATCH:
                    ld = n if blocks == 1 else j1 - j0
                    c = scratch if blocks == 1 else scratch + ((i - i0) * ld + j - j0) * SIZE
                elif flags & G.SCATTERED:
                    c = address(bases, args[G.C]) + j * SIZE
                else:
                    c = address(bases, args[G.C]) + (i * ld + j) * SIZE
                chunk_of_results(bases, args, i, end, a, a_row, piece, table, count, b + (j - j0) // NR * panel, b_step,
                                 panel, c, ld, j, n, bias + j * SIZE if bias != 0 and last else 0, todo)  # fmt: skip
                if last and args[G.EPILOGUE] != 0:
                    call_epilogue(args[G.EPILOGUE], bases, args[G.EPILOGUE_ARGS], c, ld, i, end, j, j + n)
            i = end


@local
def lines_of_steps(x, pixel, args, first_run, last_run, k0, k, table, swapped, out):
    """Copy what the runs of taps read at the positions k0 to k0 + k, run by run; write the table of segments, which are
    the lines of results. Returns the bytes from one run's copy to the next, and the number of segments."""
    channels, stride, width = args[CHANNELS], args[STRIDES + 2], args[POSITIONS + 2]
    to, count, run_bytes = out, 0, 0
    for run in range(first_run, last_run):
        row, count = k0, 0
        while row < k0 + k:
            position = row % width
            last = min(k0 + k, row - position + width)
            line = line_of(x, pixel, args, row // width, run)
            copy_pixels(line, pixel, args, position, position + last - row, 0, args[TAPS + 2], to)
            # As many bytes as these positions need: lines may be longer than a K-block.
            pixels = (last - row - 1) * stride + args[TAPS + 2]
            bytes_of_line = (pixels * channels * SIZE + LINE - 1) // LINE * LINE
            if run == first_run:
                jump = bytes_of_line - (last - row) * stride * channels * SIZE
                entry(table, count, last - row, 0 if swapped else jump, jump if swapped else 0)
            to += bytes_of_line
            count += 1
            row = last
        run_bytes = (to - out) // (run - first_run + 1)
    return run_bytes, count


@local
def gradient_chunk(args, i, end, run, a, a_step, run_bytes, table, count, b, b_step, b_panel, c, ld, n, swapped, todo):
    """C[i to end, n] from one K-block; where ``swapped``, its transpose, whose vectors are elements of runs."""
    element = i
    while element < end:
        stop = min(end, element - element % run + run)
        left = a + (element // run - i // run) * run_bytes + (element % run) * SIZE
        if swapped:
            for q in range(element, stop, NR):
                row_tiles(b, SIZE, b_step, left + (q - element) * SIZE, a_step, table, count, c + (q - i) * SIZE, ld,
                          n, min(NR, stop - q), 0, todo)  # fmt: skip
        else:
            for q in range(0, n, NR):
                row_tiles(left, SIZE, a_step, b + q // NR * b_panel, b_step, table, count,
                          c + ((element - i) * ld + q) * SIZE, ld * SIZE, stop - element, min(NR, n - q), 0,
                          todo)  # fmt: skip
        element = stop


@local
def gradient(bases, args, k, chunk, i0, i1, j0, j1):
    """Rows i0 to i1 and columns j0 to j1 of the transposed P times B, from a chunk of the K-blocks."""
    flags = args[G.FLAGS]
    table = (bases[3] + LINE - 1) // LINE * LINE
    scratch = table + V.TABLE
    copy = scratch + G.SCRATCH_C
    packed_b = copy + V.SCRATCH_A
    transposed = packed_b + G.SCRATCH_B
    pixel, ldb, blocks = args[G.LDA] * SIZE, args[G.LDB], k_blocks(k)
    x = address(bases, args[G.A]) + j0 // (args[G.N] // args[G.WINDOW + W.GROUPS]) * args[CHANNELS] * SIZE
    lines = has_lines(args)
    swapped = swaps(i1 - i0, j1 - j0, LANES)
    row = spread(i1 - i0)  # bytes between rows of the transposed C
    pack = not swapped and (flags & G.PACK_B != 0 or (not MASKS and (j1 - j0) % LANES != 0))
    run = run_of(args) if lines else args[G.M]
    mc = max(1, MC // run) * run if lines else MC
    group = GROUP if args[G.EPILOGUE] != 0 and mc * (j1 - j0) * SIZE > G.EPILOGUE_BYTES and not swapped else j1 - j0
    of_chunk = (blocks + args[G.CHUNKS] - 1) // args[G.CHUNKS]
    first_block = min(chunk * of_chunk, blocks)
    end_block = max(min(first_block + of_chunk, blocks), first_block + 1)
    result = address(bases, args[G.C]) + chunk * args[G.M] * args[G.LDC] * SIZE
    for block in range(first_block, end_block):
        k0, depth, last = block * KC, k_depth(k, block) if block < blocks else 0, block == end_block - 1
        todo = T.ADD if block > first_block else 0
        b = address(bases, args[G.B]) + (k0 * ldb + j0) * SIZE
        b, b_step, panel = packed(b, ldb, pack, depth, j1 - j0, packed_b)
        i = i0
        while i < i1:
            end = min(i1, i - i % mc + mc)
            if lines:
                run_bytes, count = lines_of_steps(x, pixel, args, i // run, (end + run - 1) // run, k0, depth, table,
                                                  swapped, copy)  # fmt: skip
                a, a_step = copy, args[STRIDES + 2] * args[CHANNELS] * SIZE
            else:
                copy_patches(x, pixel, args, k0, k0 + depth, i, end, copy, spread(end - i))
                entry(table, 0, depth, 0, 0)
                a, a_step, run_bytes, count = copy - i * SIZE, spread(end - i), 0, 1
            for j in range(j0, j1, group):
                n = min(group, j1 - j)
                if flags & G.IN_SCRATCH:
                    ld = n if blocks == 1 else j1 - j0
                    c = scratch if blocks == 1 else scratch + ((i - i0) * ld + j - j0) * SIZE
                else:
                    ld = args[G.LDC]
                    c = result + (i * ld + j) * SIZE
                if swapped:
                    part = transposed + (i - i0) * SIZE
                    gradient_chunk(args, i, end, run, a, a_step, run_bytes, table, count, b, b_step, 0, part, row, n,
                                   True, todo)  # fmt: skip
                    if last:
                        transpose_back(part, row, end - i, n, c, ld * SIZE, 0, 0)
                else:
                    gradient_chunk(args, i, end, run, a, a_step, run_bytes, table, count, b + (j - j0) // NR * panel,
                                   b_step, panel, c, ld, n, False, todo)  # fmt: skip
                if last and args[G.EPILOGUE] != 0:
                    call_epilogue(args[G.EPILOGUE], bases, args[G.EPILOGUE_ARGS], c, ld, i, end, j, j + n)
            i = end


def kernel(bases, args, rows, lo, hi):
    define_tiles()
    m = rows * -args[G.M] if args[G.M] < 0 else args[G.M]
    k = rows * -args[G.K] if args[G.K] < 0 else args[G.K]
    mb, nb = args[G.MB], args[G.NB]
    groups = args[G.WINDOW + W.GROUPS]
    n = args[G.N] // groups
    down, across = (m + mb - 1) // mb, (n + nb - 1) // nb
    # Rows of C in scratch while more than one K-block is added. The more rows, the less often B is packed.
    most = max(1, SCRATCH_ROWS // mb) if args[G.FLAGS] & G.IN_SCRATCH and k > KC else down
    block = lo
    while block < hi:
        chunk = block // (down * across * groups)
        first_column = block // (down * across) % groups * n  # of a group of columns
        j = block // down % across
        i = block % down
        span = min(hi - block, down - i)
        span = (span + (span + most - 1) // most - 1) // ((span + most - 1) // most)
        i0, i1 = i * mb, min((i + span) * mb, m)
        j0, j1 = first_column + j * nb, first_column + min((j + 1) * nb, n)
        if args[G.FLAGS] & G.TRANS_A:
            gradient(bases, args, k, chunk, i0, i1, j0, j1)
        else:
            results(bases, args, k, i0, i1, j0, j1)
        block += span
