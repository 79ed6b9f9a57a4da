# C[M, N] = op(A)[M, K] @ op(B)[K, N] (+ bias[N]), ReLU, epilogue.  DTYPE and TILE are bound above this line.
from fastnet._kernels import chunks
from fastnet._kernels.cpu import blocking, gemm_intrinsics, one_row, processor
from fastnet._kernels.cpu import gemm as G
from fastnet._kernels.cpu import micro_kernel as T
from fastnet._kernels.target import compiled as local

SHAPE = blocking.Tile(*TILE)
define_tiles, tile = gemm_intrinsics.tiles(DTYPE, SHAPE)
k_blocks = local(chunks.k_blocks)
copy_a, copy_b, copy_rows, _, transpose, transpose_back, copy_element = gemm_intrinsics.copies(DTYPE, SHAPE)
call_epilogue, fetch = gemm_intrinsics.call_epilogue, gemm_intrinsics.fetch
combine, dots, number_one = one_row.make(DTYPE)
SIZE, LINE = processor.SIZES[DTYPE], processor.LINE
MASKS = processor.target().masks
LANES = SHAPE.lanes(DTYPE)
MR, MR_SINGLE, NR = SHAPE.rows, SHAPE.single_rows, blocking.VECTORS * LANES
KC, MC, MC_TRANSPOSED = chunks.KC, blocking.MC_BYTES // SIZE, blocking.MC_TRANSPOSED // SIZE
SCRATCH_ROWS, MAX_COLUMNS = blocking.SCRATCH_ROWS, blocking.transposed_columns(processor.target())
GROUP = G.GROUP // SIZE
UNIT = 16 // SIZE
CT_ROW = blocking.MC_TRANSPOSED + 2 * LINE  # bytes between rows of the transposed C: other sets, room for full vectors


@local
def address(bases, reference):
    return bases[reference & 7] + (reference >> 3)


@local
def pack_b(b, ldb, transposed, k, n, out):
    """Panels of NR columns, each [k][NR], one behind the other."""
    row = NR * SIZE
    if not transposed:
        copy_b(b, ldb * SIZE, k, n, out, row, k * row + LINE)
        return
    for j in range(0, n, NR):
        width = min(NR, n - j)
        panel = out + j // NR * (k * row + LINE)
        done = 0
        while done + LANES <= width:
            transpose(b + (j + done) * ldb * SIZE, ldb * SIZE, panel + done * SIZE, row, k // UNIT)
            done += LANES
        for q in range(width):
            start = k - k % UNIT if q < done else 0
            for p in range(start, k):
                copy_element(b + ((j + q) * ldb + p) * SIZE, panel + (p * NR + q) * SIZE)


@local
def row_times_b(a, a_step, b, ldb, transposed, k, n, out):
    """A row of sums, laid out as packed B of one step of k."""
    if transposed:
        dots(a, b, ldb * SIZE, k, n, out)
    else:
        combine(a, a_step, b, ldb * SIZE, k, n, out)


@local
def tiles(a, a_row, a_step, a_panel, b, b_step, b_panel, k, ranges, c, c_row, m, n, bias, flags):
    """C[m, n] from one K-block. ``a_panel``: bytes of a tile's panel of packed A, 0 where its rows are at one distance.

    Such rows are dealt evenly to the tiles: 32 rows are 6 6 5 5 5 5, not 6 6 6 6 6 2.
    """
    most = MR_SINGLE if n <= LANES and a_panel == 0 else MR
    count = (m + most - 1) // most
    for j in range(0, n, NR):
        width = min(NR, n - j)
        single = width <= LANES
        valid = width if single else width - LANES
        form = T.SINGLE if single else (T.MASKED if valid < LANES else T.FULL)
        shift = 0 if bias == 0 else bias + j * SIZE
        i = 0
        left = a
        for t in range(count):
            rows = min(MR, m - i) if a_panel else (m - i + count - t - 1) // (count - t)
            tile(left, a_row, a_step, b, b_step, k, ranges, c + i * c_row + j * SIZE, c_row, valid, shift, flags, rows,
                 form)  # fmt: skip
            i += rows
            left = left + a_panel if a_panel else left + rows * a_row
        b += b_panel


@local
def transposed_tiles(a, a_row, b, b_column, b_step, k, c, m, n, scratch, copied, flags):
    """The transposed C[n, m] from one K-block of a plain A, as many rows at once as a vector has lanes. They are copied
    first where they share sets of the cache, or are fewer."""
    groups = (n + MAX_COLUMNS - 1) // MAX_COLUMNS
    for i in range(0, m, LANES):
        left, row = a + i * a_row, a_row
        if copied or m - i < LANES:
            row = spread(k)
            copy_rows(left, a_row, min(LANES, m - i), k, scratch, row)
            left = scratch
        j = 0
        for g in range(groups):
            columns = (n - j + groups - g - 1) // (groups - g)
            tile(b + j * b_column, b_column, b_step, left, row, k, 0, c + j * CT_ROW + i * SIZE, CT_ROW, 0, 0, flags,
                 columns, T.TRANSPOSED)  # fmt: skip
            j += columns


@local
def spread(k):
    """Bytes between copied rows of k elements: an odd number of cache lines, so that no two share a set."""
    return ((k * SIZE + 2 * LINE - 1) // LINE | 1) * LINE


@local
def few_columns(bases, args, m, k, i0, i1, j0, j1):
    """Rows i0 to i1 of columns that do not fill a vector, from the transposed product: its vectors are rows of C."""
    flags = args[G.FLAGS]
    lda, ldb, ldc = args[G.LDA], args[G.LDB], args[G.LDC]
    packed_a = (bases[3] + LINE - 1) // LINE * LINE + LINE + G.SCRATCH_C
    c_transposed = packed_a + G.SCRATCH_A
    n = j1 - j0
    b_column, b_step = (ldb * SIZE, SIZE) if flags & G.TRANS_B else (SIZE, ldb * SIZE)
    bias = 0 if args[G.BIAS] < 0 else address(bases, args[G.BIAS]) + j0 * SIZE
    relu = T.RELU if flags & G.RELU else 0
    for i in range(i0, i1, MC_TRANSPOSED):
        rows = min(MC_TRANSPOSED, i1 - i)
        for block in range(k_blocks(k)):
            k0 = block * KC
            depth = k_depth(k, block)
            b = address(bases, args[G.B]) + j0 * b_column + k0 * b_step
            todo = T.ADD if block > 0 else 0
            if flags & G.TRANS_A:
                a = address(bases, args[G.A]) + (k0 * lda + i) * SIZE
                a_step, a_panel = lda * SIZE, NR * SIZE
                if not MASKS and rows % LANES:
                    pack_b(a, lda, False, depth, rows, packed_a)
                    a, a_step, a_panel = packed_a, NR * SIZE, NR * depth * SIZE + LINE
                tiles(b, b_column, b_step, 0, a, a_step, a_panel, depth, 0, c_transposed, CT_ROW, n, rows, 0, todo)
            else:
                a = address(bases, args[G.A]) + (i * lda + k0) * SIZE
                transposed_tiles(a, lda * SIZE, b, b_column, b_step, depth, c_transposed, rows, n, packed_a,
                                 flags & G.PACK_A, todo)  # fmt: skip
        if flags & G.IN_SCRATCH:
            c, ld = packed_a - G.SCRATCH_C, n
        else:
            c, ld = address(bases, args[G.C]) + (i * ldc + j0) * SIZE, ldc
        transpose_back(c_transposed, CT_ROW, rows, n, c, ld * SIZE, bias, relu)
        if args[G.EPILOGUE] != 0:
            call_epilogue(args[G.EPILOGUE], bases, args[G.EPILOGUE_ARGS], c, ld, i, i + rows, j0, j1)


@local
def k_depth(k, block):
    """Steps of a K-block."""
    return k - block * KC if block == k_blocks(k) - 1 else KC


@local
def packed(b, ldb, trans_b, pack, k, n, out):
    """Address of a block of B, bytes between its steps and between its panels; packed where asked."""
    if not pack:
        return b, ldb * SIZE, NR * SIZE
    pack_b(b, ldb, trans_b, k, n, out)
    return out, NR * SIZE, NR * k * SIZE + LINE


@local
def copied(a, a_row, a_step, flags, k, m, out):
    """Address of a block of A, bytes between its rows, steps and panels (0: none); copied where asked."""
    if not flags & G.PACK_A:
        return a, a_row, a_step, 0
    if flags & G.TRANS_A:
        panel = MR * SIZE * k + LINE
        copy_a(a, a_step, k, m, out, MR * SIZE, panel)
        return out, SIZE, MR * SIZE, panel
    copy_rows(a, a_row, m, k, out, spread(k))
    return out, spread(k), a_step, 0


@local
def fetch_steps(ranges, bases, args, i0, i1, j0, j1, k0, k):
    """Let tiles fetch what the K-block of k steps from k0 on reads, where it is whole rows of the operands."""
    flags, lda, ldb = args[G.FLAGS], args[G.LDA] * SIZE, args[G.LDB] * SIZE
    whole_a = flags & G.TRANS_A and (i1 - i0) * SIZE == lda
    whole_b = not flags & G.TRANS_B and (j1 - j0) * SIZE == ldb
    fetch(ranges, 0, address(bases, args[G.A]) + k0 * lda, k * lda if whole_a else 0)
    fetch(ranges, 1, address(bases, args[G.B]) + k0 * ldb, k * ldb if whole_b else 0)


@local
def fetch_rows(ranges, bases, args, k, i, rows, n):
    """Let tiles fetch rows of A that lie back to back, and those of C that this column has as a whole. Of rows of more
    than three K-blocks, most would be gone from the caches when its block comes."""
    a_row, c_row = args[G.LDA] * SIZE, args[G.LDC] * SIZE
    whole_a = k * SIZE == a_row and k <= 3 * KC
    whole_c = n * SIZE == c_row and not args[G.FLAGS] & G.IN_SCRATCH
    fetch(ranges, 0, address(bases, args[G.A]) + i * a_row, rows * a_row if whole_a else 0)
    fetch(ranges, 1, address(bases, args[G.C]) + i * c_row, rows * c_row if whole_c else 0)


@local
def column(bases, args, m, k, i0, i1, j0, j1, first, blocks):
    """Rows i0 to i1 of a column of blocks, from the K-blocks ``first`` to ``blocks``."""
    flags = args[G.FLAGS]
    table = (bases[3] + LINE - 1) // LINE * LINE
    scratch = table + LINE
    packed_a = scratch + G.SCRATCH_C
    packed_b = packed_a + G.SCRATCH_A
    lda, ldb = args[G.LDA], args[G.LDB]
    a_row, a_step = (SIZE, lda * SIZE) if flags & G.TRANS_A else (lda * SIZE, SIZE)
    trans_b = flags & G.TRANS_B != 0
    pack = trans_b or flags & G.PACK_B != 0 or (not MASKS and (j1 - j0) % LANES != 0)
    # A row times B is a row, which a tile then multiplies by 1, to add, shift and store it. Its sums may have another
    # order than a tile's: then all of C must.
    single_row = m == 1 and (not trans_b or a_step == SIZE)
    bias = 0 if args[G.BIAS] < 0 else address(bases, args[G.BIAS])
    chunks = max(1, (i1 - i0 + MC - 1) // MC)
    mc = ((i1 - i0 + chunks - 1) // chunks + MR - 1) // MR * MR
    group = GROUP if args[G.EPILOGUE] != 0 and mc * (j1 - j0) * SIZE > G.EPILOGUE_BYTES else j1 - j0
    for block in range(first, blocks):
        k0 = block * KC
        depth = k_depth(k, block)
        last = block == blocks - 1
        todo = (T.ADD if block > first else 0) | (T.RELU if last and flags & G.RELU else 0)
        b = address(bases, args[G.B]) + (j0 * ldb + k0 if trans_b else k0 * ldb + j0) * SIZE
        if single_row:
            row_times_b(address(bases, args[G.A]) + k0 * a_step, a_step, b, ldb, trans_b, depth, j1 - j0, packed_b)
            b, b_step, panel, depth = packed_b, NR * SIZE, NR * SIZE, 1
        else:
            b, b_step, panel = packed(b, ldb, trans_b, pack, depth, j1 - j0, packed_b)
        ranges = 0  # nothing to fetch
        for i in range(i0, i1, mc):
            rows = min(mc, i1 - i)
            if i + rows < i1 and not flags & G.TRANS_A:
                ranges = table
                fetch_rows(ranges, bases, args, k, i + rows, min(mc, i1 - i - rows), j1 - j0)
            elif not last and (ranges == 0 or not flags & G.TRANS_A):  # of a transposed A once for all rows
                ranges = table
                fetch_steps(ranges, bases, args, i0, i1, j0, j1, k0 + depth, k_depth(k, block + 1))
            a, row, step, a_panel = number_one(), a_row, a_step, 0
            if not single_row:
                a = address(bases, args[G.A]) + i * a_row + k0 * a_step
                a, row, step, a_panel = copied(a, a_row, a_step, flags, depth, rows, packed_a)
            for j in range(j0, j1, group):
                width = min(group, j1 - j)
                if flags & G.IN_SCRATCH:
                    ld = width if blocks == 1 else j1 - j0
                    c = scratch if blocks == 1 else scratch + ((i - i0) * ld + j - j0) * SIZE
                else:
                    ld = args[G.LDC]
                    c = address(bases, args[G.C]) + (i * ld + first * args[G.N] + j) * SIZE
                tiles(a, row, step, a_panel, b + (j - j0) // NR * panel, b_step, panel, depth, ranges, c, ld * SIZE,
                      rows, width, bias + j * SIZE if bias != 0 and last else 0, todo)  # fmt: skip
                if last and args[G.EPILOGUE] != 0:
                    call_epilogue(args[G.EPILOGUE], bases, args[G.EPILOGUE_ARGS], c, ld, i, i + rows, j, j + width)


def kernel(bases, args, rows, lo, hi):
    define_tiles()
    m = rows * -args[G.M] if args[G.M] < 0 else args[G.M]
    n = args[G.N]
    k = rows * -args[G.K] if args[G.K] < 0 else args[G.K]
    mb, nb = args[G.MB], args[G.NB]
    down, across = (m + mb - 1) // mb, (n + nb - 1) // nb
    # Rows of C in scratch while more than one K-block is added. The more rows, the less often B is packed.
    most = max(1, SCRATCH_ROWS // mb) if args[G.FLAGS] & G.IN_SCRATCH and k > KC else down
    block = lo
    while block < hi:
        part = block // (down * across) if args[G.FLAGS] & G.SPLIT_K else 0  # the K-block
        j = block // down % across
        i = block % down
        span = min(hi - block, down - i)
        span = (span + (span + most - 1) // most - 1) // ((span + most - 1) // most)
        i0, i1 = i * mb, min((i + span) * mb, m)
        j0, j1 = j * nb, min((j + 1) * nb, n)
        if args[G.FLAGS] & G.FEW_COLUMNS and m > 1:
            few_columns(bases, args, m, k, i0, i1, j0, j1)
        else:
            last = part + 1 if args[G.FLAGS] & G.SPLIT_K else k_blocks(k)
            column(bases, args, m, k, i0, i1, j0, j1, part, last)
        block += span
