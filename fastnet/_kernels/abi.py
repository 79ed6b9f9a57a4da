"""The binary contract between kernels, plans and the runner: all numbers that they share.

A CPU kernel is a C function

    void kernel(int64_t *bases, int64_t *args, int64_t rows, int64_t lo, int64_t hi)

It works on ``[lo, hi)`` of its parallel axis, and writes only there. ``args`` does not change after a plan is bound. An
argument is an integer, the bits of a float64, or a *reference* to a buffer: ``offset << 3 | space``, whose address is
``bases[space] + offset``.

An epilogue is a C function called by a matrix product on a finished tile while it lies in the first-level cache:

    void epilogue(int64_t *bases, int64_t *args, int64_t tile, int64_t ld,
                  int64_t i0, int64_t i1, int64_t j0, int64_t j1)

``tile`` is the address of element (i0, j0), ``ld`` the distance of two rows in elements.
"""

# Memory spaces: the low three bits of a reference.
PERSISTENT = 0  # base 0: the offset is an address. Weights and optimizer state, each in its own allocation
ACTIVATIONS = 1  # one arena for each execution
STEP = 2  # the step block
SCRATCH = 3  # private to a thread
SPACES = 4

# Step block: 8-byte slots the runner and the kernels share; a plan adds its own behind them.
ROWS = 0  # int64: rows in this batch
FIRST = 1  # int64: position of the batch's first row in the permutation
ITERATION = 2  # int64: steps done before this one (over the life of the optimizer)
SEED = 3  # int64: seed of the counter-based random numbers
ORDER = 4  # int64: address of the int64 permutation of the rows; 0 = in order
NONFINITE = 5  # int64: set to 1 by the loss kernel when the loss of this batch is NaN or inf
LOSS = 6  # float64: mean loss of this batch
RATE = 7  # float64: learning rate of this step
RATES = 8  # int64: address of float64 learning rates of the next steps; 0 = RATE is constant
RATES_COUNT = 9  # int64: their number
# Held by the runner on the CPU; on a GPU by the kernel at the end of a step (`templates/turn.py`):
STOPPED = 10  # int64: status of the run when it has ended; no launch does anything from then on
DONE = 11  # int64: steps of the run that happened
BATCH = 12  # int64: rows of a full batch
TOTAL = 13  # int64: position behind the last row of the run
HEADER = 16  # first slot a plan may use

# Columns of the int64 launch table.  extent = times * ceil(rows * per_row / unit) + fixed
FN = 0  # address of the kernel
ARGS = 1  # address of its argument block
PER_ROW = 2
UNIT = 3
TIMES = 4
FIXED = 5
GRAIN = 6  # lo and hi are multiples of it, except the last hi
COST = 7  # estimated picoseconds for each unit of extent
FLAGS = 8
PERIOD = 9  # runs only in steps whose (ITERATION + 1) % PERIOD == 0
COLUMNS = 10

# Flags.
BARRIER = 1  # every thread must have finished the launches before
CHECK = 2  # stop the chunk before this launch if NONFINITE is set


def reference(space: int, offset: int) -> int:
    """Encode the position of a buffer as a kernel argument."""
    return offset << 3 | space
