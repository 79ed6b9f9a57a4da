# C = op(P) @ B (+ bias), ReLU, epilogue; P is the patch matrix of images.  DTYPE and TILE are bound above this line.
from fastnet._kernels import chunks
from fastnet._kernels import window as W
from fastnet._kernels.cpu import blocking, gemm_intrinsics, lines, patches, processor
from fastnet._kernels.cpu import convolution as V
from fastnet._kernels.cpu import gemm as G
from fastnet._kernels.cpu import micro_kernel as T
from fastnet._kernels.target import compiled as local

SHAPE = blocking.Tile(*TILE)
define_tiles, tile = gemm_intrinsics.segmented_tiles(DTYPE, SHAPE)
k_blocks, swaps = local(chunks.k_blocks), local(V.swaps)
_, copy_b, copy_rows, fill_rows, _, transpose_back, _ = gemm_intrinsics.copies(DTYPE, SHAPE)
call_epilogue, fetch, write_entry = gemm_intrinsics.call_epilogue, gemm_intrinsics.fetch, gemm_intrinsics.write_entry
SIZE, LINE = processor.SIZES[DTYPE], processor.LINE
copy_patches = patches.row_copies(SIZE, copy_rows, fill_rows)
layout_of, copy_lines = lines.line_copies(SIZE, copy_rows, fill_rows)
bytes_of_lines, lines_apart = lines.bytes_of_lines, lines.lines_apart
MASKS = processor.target().masks
LANES = SHAPE.lanes(DTYPE)
MR, MR_SINGLE, NR = SHAPE.rows, SHAPE.single_rows, blocking.VECTORS * LANES
KC, MC = chunks.KC, blocking.MC_BYTES // SIZE
SCRATCH_ROWS, GROUP = blocking.SCRATCH_ROWS, G.GROUP // SIZE
CHUNK, RUN = V.CHUNK_BYTES // SIZE, V.RUN_BYTES // SIZE
IMAGE, POSITIONS, TAPS, STRIDES, DILATIONS, BEFORE, CHANNELS = (
    patches.IMAGE, patches.POSITIONS, patches.TAPS, patches.STRIDES, patches.DILATIONS, patches.BEFORE,
    patches.CHANNELS,
)  # fmt: skip


NO_LAYOUT = (0,) * 7  # of lines, where patches are copied


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
    """Whether lines of the image are copied, and not patches: taps lie side by side, their runs are not too long, lines
    of results fill tiles, and what one of them reads for a K-block finds room, as do its segments."""
    run, width, rows = run_of(args), args[POSITIONS + 2], args[TAPS + 1]
    side_by_side = args[DILATIONS] == 1 and args[DILATIONS + 1] == 1 and args[DILATIONS + 2] == 1
    if not side_by_side or args[STRIDES + 2] > args[TAPS + 2] or width < V.LEAST_POSITIONS:
        return False
    most = blocking.KC_LAST // run + 2  # runs of a K-block; all rows of a plane where it reads several
    if run > RUN or 8 * (T.RANGES + 3 * min(args[TAPS] * rows, most)) > V.TABLE:
        return False
    most = min(rows, most) if args[TAPS] == 1 else rows * min(args[TAPS], most // rows + 2)
    line = ((min(width, CHUNK) - 1) * args[STRIDES + 2] + args[TAPS + 2]) * args[CHANNELS] * SIZE + LINE
    return most * line <= V.SCRATCH_A


@local
def entry(table, number, steps, left, right):
    """Write a segment: its steps, and the bytes by which the operands of a tile jump behind it."""
    write_entry(table, T.RANGES + 3 * number, steps)
    write_entry(table, T.RANGES + 3 * number + 1, left)
    write_entry(table, T.RANGES + 3 * number + 2, right)


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
def run_offset(args, layout, run):
    """Bytes from the first copied line to the one that a run reads first."""
    _, _, pitch, plane, planes, row, _ = layout
    return ((run % args[TAPS + 1] - row) * planes + run // args[TAPS + 1] - plane) * pitch


@local
def lines_of_results(x, pixel, args, i, end, k0, k, table, out):
    """Copy what the rows ``i`` to ``end`` of a K-block read, line of results by line; write the table of segments,
    which are runs.

    Returns the address of the first element, the bytes from one line of results to the next, and to the next in
    another plane, and the number of segments.
    """
    run = run_of(args)
    first_run, last_run = k0 // run, (k0 + k - 1) // run + 1
    layout = layout_of(args, i, end, first_run, last_run)
    copy_lines(x, pixel, args, i, end, layout, out)
    for number in range(first_run, last_run):
        start, stop = max(k0 - number * run, 0), min(k0 + k - number * run, run)
        jump = run_offset(args, layout, number + 1) - run_offset(args, layout, number) - stop * SIZE
        entry(table, number - first_run, stop - start, jump, 0)
    column, _, pitch, _, planes, _, count = layout
    ahead = k0 % run + (i % args[POSITIONS + 2] - column) * args[STRIDES + 2] * args[CHANNELS]
    first = out + run_offset(args, layout, first_run) + ahead * SIZE
    return first, lines_apart(args, count) * planes * pitch, count * planes * pitch, last_run - first_run


@local
def lines_at_once(args, first, k0, k):
    """Lines of results whose copies lie in scratch at once; 0 where lines are divided."""
    width, run = args[POSITIONS + 2], run_of(args)
    first -= first % width
    _, _, pitch, _, planes, _, count = layout_of(args, first, first + width, k0 // run, (k0 + k - 1) // run + 1)
    line = planes * pitch
    most = min((V.LINES_BYTES // line - count) // lines_apart(args, count) + 1, V.SCRATCH_A // (line * count))
    return max(min(most, SCRATCH_ROWS // width), 1 if width <= CHUNK else 0)  # as many rows of C find room in scratch


@local
def lines_to_come(x, pixel, args, row):
    """The lines of the image that results from a row on are the first to read: address, and bytes for each line of
    results. They are fetched while tiles compute; longer ones the processor fetches itself."""
    line, height, depth = row // args[POSITIONS + 2], args[POSITIONS + 1], args[POSITIONS]
    below = max(0, args[TAPS + 1] - args[BEFORE + 1] - args[STRIDES + 1])
    behind = max(0, args[TAPS] - args[BEFORE] - args[STRIDES])  # planes of a window that results before have read
    of_line = args[IMAGE + 2] * pixel
    plane = line // height // depth * args[IMAGE] + line // height % depth * args[STRIDES] + behind
    first = plane * args[IMAGE + 1] + line % height * args[STRIDES + 1] + below
    return x + first * of_line, args[STRIDES + 1] * of_line if of_line <= V.FETCHED_BYTES else 0


@local
def chunk_of_results(bases, args, i, end, a, a_row, piece, turn, table, count, b, b_step, b_panel, c, ld, j, n, shift,
                     flags):  # fmt: skip
    """C[i to end, n columns from j on] from one K-block; ``piece``: bytes from one line's A to the next, ``turn`` where
    that is in another plane; 0 where all rows of A are at one distance."""
    width, height = args[POSITIONS + 2], args[POSITIONS + 1]
    scattered = args[G.FLAGS] & G.SCATTERED
    c_row = ld * args[G.WINDOW + W.SPACING + 2] * SIZE if scattered else ld * SIZE
    for q in range(0, n, NR):
        first, left = i, a
        while first < end:
            last = min(end, first - first % width + width) if scattered or piece else end
            to = c + ((pixel_of(args, first) if scattered else first - i) * ld + q) * SIZE
            row_tiles(left, a_row, SIZE, b + q // NR * b_panel, b_step, table, count, to, c_row, last - first,
                      min(NR, n - q), shift + q * SIZE if shift else 0, flags)  # fmt: skip
            if piece:
                left += (turn if last // width % height == 0 else piece) - first % width * a_row
            else:
                left += (last - first) * a_row
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
    lines, width = has_lines(args), args[POSITIONS + 2]
    fetch(table, 0, table, 0)
    fetch(table, 1, table, 0)
    chunks = max(1, (i1 - i0 + MC - 1) // MC)
    mc = ((i1 - i0 + chunks - 1) // chunks + MR - 1) // MR * MR
    at_once = 0
    if lines:
        parts = (width + CHUNK - 1) // CHUNK
        mc = (width + parts - 1) // parts
    for block in range(blocks):
        k0, depth, last = block * KC, k_depth(k, block), block == blocks - 1
        todo = (T.ADD if block > 0 else 0) | (T.RELU if last and flags & G.RELU else 0)
        b = address(bases, args[G.B]) + (k0 * ldb + j0) * SIZE
        pack = flags & G.PACK_B != 0 or (not MASKS and (j1 - j0) % LANES != 0)
        b, b_step, panel = packed(b, ldb, pack, depth, j1 - j0, packed_b)
        if lines:
            at_once = lines_at_once(args, i0, k0, depth)
        rows = at_once * width if at_once else mc
        group = GROUP if args[G.EPILOGUE] != 0 and rows * (j1 - j0) * SIZE > G.EPILOGUE_BYTES else j1 - j0
        i = i0
        while i < i1:
            if at_once:
                end = min(i1, (i // width + at_once) * width)
            elif lines:
                end = min(i1, i - i % width + min(width, i % width // mc * mc + mc))
            else:
                end = min(i1, i + mc)
            if lines:
                a, piece, turn, count = lines_of_results(x, pixel, args, i, end, k0, depth, table, copy)
                a_row = args[STRIDES + 2] * args[CHANNELS] * SIZE
                ahead, ahead_bytes = lines_to_come(x, pixel, args, end)
                fetch(table, 0, ahead, (end - i + width - 1) // width * ahead_bytes)
                if not flags & (G.IN_SCRATCH | G.SCATTERED):
                    row = args[G.LDC] * SIZE
                    fetch(table, 1, address(bases, args[G.C]) + end * row, (end - i) * row)
            else:
                copy_patches(x, pixel, args, i, end, k0, k0 + depth, copy, spread(depth))
                entry(table, 0, depth, 0, 0)
                a, a_row, piece, turn, count = copy, spread(depth), 0, 0, 1
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
                chunk_of_results(bases, args, i, end, a, a_row, piece, turn, table, count, b + (j - j0) // NR * panel,
                                 b_step, panel, c, ld, j, n, bias + j * SIZE if bias != 0 and last else 0,
                                 todo)  # fmt: skip
                if last and args[G.EPILOGUE] != 0:
                    call_epilogue(args[G.EPILOGUE], bases, args[G.EPILOGUE_ARGS], c, ld, i, end, j, j + n)
            i = end


@local
def lines_of_steps(x, pixel, args, first_run, last_run, k0, k, table, swapped, out):
    """Copy what the runs read at the positions k0 to k0 + k; write the table of segments, which are lines of results.

    Returns the layout of the copies and the number of segments.
    """
    width, height = args[POSITIONS + 2], args[POSITIONS + 1]
    layout = layout_of(args, k0, k0 + k, first_run, last_run)
    copy_lines(x, pixel, args, k0, k0 + k, layout, out)
    column, _, pitch, _, planes, _, rows = layout
    step = args[STRIDES + 2] * args[CHANNELS] * SIZE
    row, count = k0, 0
    while row < k0 + k:
        last = min(k0 + k, row - row % width + width)
        lines = rows if last // width % height == 0 else lines_apart(args, rows)
        jump = lines * planes * pitch - (last - row + row % width - column) * step
        entry(table, count, last - row, 0 if swapped else jump, jump if swapped else 0)
        count += 1
        row = last
    return layout, count


@local
def fetch_block(args, x, pixel, b, k0, k, n, lines, table):
    """Let tiles fetch what the K-block from k0 on reads: lines of the image, and B, which lies behind that of this
    block."""
    ldb, width = args[G.LDB], args[POSITIONS + 2]
    ahead, ahead_bytes = lines_to_come(x, pixel, args, k0)
    fetch(table, 0, ahead, (k + width - 1) // width * ahead_bytes if lines else 0)
    fetch(table, 1, b + KC * ldb * SIZE, k * ldb * SIZE if n == ldb else 0)


@local
def gradient_chunk(args, i, end, run, a, a_step, layout, table, count, b, b_step, b_panel, c, ld, n, swapped, todo):
    """C[i to end, n] from one K-block; where ``swapped``, its transpose, whose vectors are elements of runs."""
    element = i
    while element < end:
        stop = min(end, element - element % run + run)
        left = a + run_offset(args, layout, element // run) + (element % run) * SIZE
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
def elements_at_once(args, i0, i1):
    """Elements of runs, rows of C, whose lines lie in scratch at once: all, if so many rows of an epilogue's columns do
    too, or as many as tiles in the second-level cache have rows, at least a run."""
    width, run = args[POSITIONS + 2], run_of(args)
    first = width * args[POSITIONS + 1] - 1  # the K-block that needs most room begins with the last pixel of a plane
    last = first + blocking.KC_LAST
    _, _, pitch, _, planes, _, count = layout_of(args, first, last, i0 // run, (i1 + run - 1) // run)
    fits = bytes_of_lines(args, first, last, planes, count, pitch) <= V.SHARED_LINES_BYTES
    if fits and (i1 - i0) * G.GROUP <= G.SCRATCH_C:
        return i1
    runs = max(1, MC // run) if args[TAPS] == 1 else 1
    return run * (runs if bytes_of_lines(args, first, last, 1, runs, pitch) <= V.SCRATCH_A else 1)


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
    lines, width = has_lines(args), args[POSITIONS + 2]
    if lines:  # and those of a K-block, from within a line to within another one, find room
        _, _, pitch, _, _, _, _ = layout_of(args, 0, width, 0, 1)
        lines = ((blocking.KC_LAST + width - 2) // width + 1) * pitch <= V.SCRATCH_A
    swapped = swaps(i1 - i0, j1 - j0, LANES)
    row = spread(i1 - i0)  # bytes between rows of the transposed C
    pack = not swapped and (flags & G.PACK_B != 0 or (not MASKS and (j1 - j0) % LANES != 0))
    run, mc = run_of(args) if lines else args[G.M], MC
    if lines:
        mc = elements_at_once(args, i0, i1)
    group = GROUP if args[G.EPILOGUE] != 0 and mc * (j1 - j0) * SIZE > G.EPILOGUE_BYTES and not swapped else j1 - j0
    of_chunk = (blocks + args[G.CHUNKS] - 1) // args[G.CHUNKS]
    first_block = min(chunk * of_chunk, blocks)
    end_block = max(min(first_block + of_chunk, blocks), first_block + 1)
    result = address(bases, args[G.C]) + chunk * args[G.M] * args[G.LDC] * SIZE
    for block in range(first_block, end_block):
        k0, depth, last = block * KC, k_depth(k, block) if block < blocks else 0, block == end_block - 1
        todo = T.ADD if block > first_block else 0
        b = address(bases, args[G.B]) + (k0 * ldb + j0) * SIZE
        fetch_block(args, x, pixel, b, k0 + depth, 0 if last else k_depth(k, block + 1), j1 - j0, lines, table)
        b, b_step, panel = packed(b, ldb, pack, depth, j1 - j0, packed_b)
        i = i0
        while i < i1:
            end = min(i1, i - i % mc + mc)
            if lines:
                layout, count = lines_of_steps(x, pixel, args, i // run, (end + run - 1) // run, k0, depth, table,
                                               swapped, copy)  # fmt: skip
                a_step = args[STRIDES + 2] * args[CHANNELS] * SIZE
                a = copy + (k0 % width - layout[0]) * a_step
            else:
                copy_patches(x, pixel, args, k0, k0 + depth, i, end, copy, spread(end - i))
                entry(table, 0, depth, 0, 0)
                a, a_step, layout, count = copy - i * SIZE, spread(end - i), NO_LAYOUT, 1
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
                    gradient_chunk(args, i, end, run, a, a_step, layout, table, count, b, b_step, 0, part, row, n,
                                   True, todo)  # fmt: skip
                    if last:
                        transpose_back(part, row, end - i, n, c, ld * SIZE, 0, 0)
                else:
                    gradient_chunk(args, i, end, run, a, a_step, layout, table, count, b + (j - j0) // NR * panel,
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
