# Multiply-adds that stay in registers: what the processor could do at most.  DTYPE is bound above this line.
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnet._kernels.cpu import emit, processor

SUMS = processor.target().accumulators  # as many as a tile of the matrix product keeps, which hides the latency
LINE = 64  # bytes a part has for its result


@intrinsic
def spin(typing, turns, out):
    """v = v / 2 + 1/2 for each of SUMS vectors v, ``turns`` times; their sum goes to ``out``."""

    def generate(context, b, signature, args):
        emitter = emit.Emitter(b.module, DTYPE)
        half = ir.Constant(emitter.vector, [0.5] * emitter.lanes)
        starts = [ir.Constant(emitter.vector, [float(i)] * emitter.lanes) for i in range(SUMS)]
        ends = emitter.loop(b, args[0], starts, lambda sums: [emitter.fma(b, v, half, half) for v in sums])
        total = ends[0]
        for value in ends[1:]:
            total = b.fadd(total, value)
        emitter.store(b, total, b.inttoptr(args[1], emit.PTR))
        return context.get_dummy_value()

    return types.void(turns, out), generate


def kernel(bases, args, rows, lo, hi):
    # out (parts, 64 bytes); args: out, turns
    for part in range(lo, hi):
        spin(args[1], bases[args[0] & 7] + (args[0] >> 3) + part * LINE)
