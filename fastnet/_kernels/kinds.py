"""What a template's parameter is: the annotations that decide how an argument reaches the loop.

======================  ==============================================================================
kind                    argument
======================  ==============================================================================
read, write, update     a buffer of the kernel's dtype that is read, written, or both
read_X, write_X, …      the same with dtype X
reads, writes, updates  any number of such buffers; ``*name[i]`` stands for their elements
integer, real           a number fixed when the plan is bound; ``real`` has the kernel's dtype
reals                   any number of them; ``*name`` stands for all
value, values           float64 slots of the step block, converted to the kernel's dtype
count                   an int64 slot of the step block
rows, lo, hi            of the call
======================  ==============================================================================
"""

read = write = update = reads = writes = updates = "buffer"
read_int32 = read_float32 = read_float64 = write_int32 = write_int64 = update_int64 = write_float64 = update_float64 = (
    "buffer"
)
integer = real = reals = value = values = count = "number"  # each an argument of its own
rows = lo = hi = "range"
ACCESS = {"read": "r", "write": "w", "update": "rw"}


def buffer_access(kind: str) -> str | None:
    """How a kind touches its buffer: "r", "w" or "rw"; None for a kind that is no buffer."""
    return ACCESS.get(kind.split("_")[0].rstrip("s"))


def buffer_dtype(kind: str, dtype: str) -> str:
    """The dtype of a kind's buffer in a kernel of ``dtype``."""
    return kind.split("_", 1)[1] if "_" in kind else dtype
