# C[M, N] = op(A)[M, K] @ op(B)[K, N] (+ C) (+ bias[N]), ReLU, epilogue.  DTYPE is bound above this line.
from fastnet._kernels.cpu import emit, one_row
from fastnet._kernels.cpu import gemm as G
from fastnet._kernels.cpu import tile as T
from fastnet._kernels.target import compiled as local

define, tile, copy_a, copy_b, transpose, move = T.make(DTYPE)
combine, dots, one = one_row.make(DTYPE)
SIZE = emit.SIZES[DTYPE]
LANES = emit.target().lanes(DTYPE)
ROWS, NARROW = emit.target().rows, emit.target().rows_narrow
MASKS = emit.target().masks
PANEL = T.VECTORS * LANES
UNIT = 16 // SIZE
GROUP = G.GROUP // SIZE
A_PANEL = -(-ROWS // LANES) * LANES * SIZE  # bytes between steps of k in packed A
CHUNK = G.CHUNK // SIZE
LINE = 64  # between panels, which would otherwise start in the same cache set: packing writes to all of them in turn


@local
def place(bases, reference):
    return bases[reference & 7] + (reference >> 3)


@local
def pack_b(b, ldb, transposed, k, n, out):
    """Panels of PANEL columns, each [k][PANEL], one behind the other."""
    row = PANEL * SIZE
    if not transposed:
        copy_b(b, ldb * SIZE, k, n, out, row, k * row + LINE)
        return
    for j in range(0, n, PANEL):
        width = min(PANEL, n - j)
        panel = out + j // PANEL * (k * row + LINE)
        whole = 0
        while whole + LANES <= width:
            transpose(b + (j + whole) * ldb * SIZE, ldb * SIZE, panel + whole * SIZE, row, k // UNIT)
            whole += LANES
        for q in range(width):
            start = k - k % UNIT if q < whole else 0
            for p in range(start, k):
                move(b + ((j + q) * ldb + p) * SIZE, panel + (p * PANEL + q) * SIZE)


@local
def row_times_b(a, a_step, b, ldb, transposed, k, n, out):
    """A row of sums, laid out as packed B of one step of k."""
    if transposed:
        dots(a, b, ldb * SIZE, k, n, out)
    else:
        combine(a, a_step, b, ldb * SIZE, k, n, out)


@local
def tiles(a, a_row, a_step, a_panel, b, b_step, b_panel, k, c, c_row, m, n, count, bias, flags):
    """C[m, n] from one K-block. ``a_panel``: bytes of a tile's panel of packed A, 0 where A is read in place.

    In place, rows are dealt evenly to the ``count`` tiles: 32 rows are 6 6 5 5 5 5, not 6 6 6 6 6 2.
    """
    for j in range(0, n, PANEL):
        width = min(PANEL, n - j)
        vectors = 1 if width <= LANES else 2
        valid = width - (vectors - 1) * LANES
        masked = int(valid < LANES or vectors == 1)
        shift = 0 if bias == 0 else bias + j * SIZE
        i = 0
        left = a
        for t in range(count):
            rows = min(ROWS, m - i) if a_panel else (m - i + count - t - 1) // (count - t)
            tile(rows, vectors, masked, left, a_row, a_step, b, b_step, k,
                 c + i * c_row + j * SIZE, c_row, valid, shift, flags)  # fmt: skip
            i += rows
            left = left + a_panel if a_panel else left + rows * a_row
        b += b_panel


@local
def column(bases, args, m, k, i0, i1, j0, j1):
    """Rows i0 to i1 of a column of blocks."""
    flags = args[G.FLAGS]
    scratch = (bases[3] + 63) & -64
    packed_a = scratch + G.SCRATCH_C
    packed_b = packed_a + G.SCRATCH_A
    lda, ldb = args[G.LDA], args[G.LDB]
    a_row = (1 if flags & G.TRANS_A else lda) * SIZE
    a_step = (lda if flags & G.TRANS_A else 1) * SIZE
    trans_b = flags & G.TRANS_B
    pack = trans_b or flags & G.PACK_B or (not MASKS and (j1 - j0) % LANES)
    # A row times B is a row, which a tile then multiplies by 1 to do the rest. Where sums would have another order than
    # a tile's, it must be so for all of C.
    alone = m == 1 and (not trans_b or a_step == SIZE)
    bias = 0 if args[G.BIAS] < 0 else place(bases, args[G.BIAS])
    blocks = max(1, (k + G.K_BLOCK // 2 - 1) // G.K_BLOCK)
    most = NARROW if j1 - j0 <= LANES else ROWS
    chunks = max(1, (i1 - i0 + CHUNK - 1) // CHUNK)
    chunk = ((i1 - i0 + chunks - 1) // chunks + ROWS - 1) // ROWS * ROWS
    group = GROUP if args[G.EPILOGUE] != 0 and chunk * (j1 - j0) * SIZE > G.SMALL else j1 - j0
    for block in range(blocks):
        k0 = block * G.K_BLOCK
        depth = (k if block == blocks - 1 else k0 + G.K_BLOCK) - k0
        last = block == blocks - 1
        todo = T.ADD if block > 0 or flags & G.ACCUMULATE else 0
        if last and flags & G.RELU:
            todo |= T.RELU
        b = place(bases, args[G.B]) + (j0 * ldb + k0 if trans_b else k0 * ldb + j0) * SIZE
        b_step, panel = ldb * SIZE, PANEL * SIZE
        if alone:
            row_times_b(place(bases, args[G.A]) + k0 * a_step, a_step, b, ldb, trans_b != 0, depth, j1 - j0, packed_b)
            b, b_step, depth = packed_b, PANEL * SIZE, 1
        elif pack:
            pack_b(b, ldb, trans_b != 0, depth, j1 - j0, packed_b)
            b, b_step, panel = packed_b, PANEL * SIZE, PANEL * depth * SIZE + LINE
        for i in range(i0, i1, chunk):
            rows = min(chunk, i1 - i)
            a = one() if alone else place(bases, args[G.A]) + i * a_row + k0 * a_step
            count = (rows + most - 1) // most
            row, step, a_panel = a_row, a_step, 0
            if flags & G.PACK_A and most == ROWS:
                row, step, a_panel = SIZE, A_PANEL, A_PANEL * depth + LINE
                copy_a(a, a_step, depth, rows, packed_a, step, a_panel)
                a = packed_a
            for j in range(j0, j1, group):
                width = min(group, j1 - j)
                if flags & G.KEEP:
                    ld = width if blocks == 1 else j1 - j0
                    c = scratch if blocks == 1 else scratch + ((i - i0) * ld + j - j0) * SIZE
                else:
                    ld = args[G.LDC]
                    c = place(bases, args[G.C]) + (i * ld + j) * SIZE
                shift = bias + j * SIZE if bias != 0 and last else 0
                tiles(a, row, step, a_panel, b + (j - j0) // PANEL * panel, b_step, panel, depth, c, ld * SIZE,
                      rows, width, count, shift, todo)  # fmt: skip
                if last and args[G.EPILOGUE] != 0:
                    T.call_epilogue(args[G.EPILOGUE], bases, args[G.EPILOGUE_ARGS], c, ld, i, i + rows, j, j + width)


def kernel(bases, args, rows, lo, hi):
    define()
    m = rows * -args[G.M] if args[G.M] < 0 else args[G.M]
    n = args[G.N]
    k = rows * -args[G.K] if args[G.K] < 0 else args[G.K]
    mb, nb = args[G.MB], args[G.NB]
    down = (m + mb - 1) // mb
    # What is kept in scratch while more than one K-block is added to it. More rows at once: B is packed less often.
    most = max(1, G.TALL // mb) if args[G.FLAGS] & G.KEEP and k > G.K_BLOCK else down
    block = lo
    while block < hi:
        j = block // down
        i = block - j * down
        span = min(hi - block, down - i)
        span = (span + (span + most - 1) // most - 1) // ((span + most - 1) // most)
        column(bases, args, m, k, i * mb, min((i + span) * mb, m), j * nb, min((j + 1) * nb, n))
        block += span
