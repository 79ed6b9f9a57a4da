"""The tile of this machine: the fastest of `blocking.candidates`, measured once and kept beside the kernels.

All tiles give the same bits; the choice shows in the time only. A tile's speed is measured as the product uses it, over
a block of C, with A and B in the second-level cache.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import time
from dataclasses import astuple
from pathlib import Path

import numpy as np

from fastnet._kernels import cache, machine_code
from fastnet._kernels import compile as compiler
from fastnet._kernels.chunks import KC
from fastnet._kernels.cpu import blocking, processor
from fastnet._kernels.cpu.blocking import Tile
from fastnet._kernels.cpu.processor import LINE, SIZES

ROWS = 168  # of C: full tiles of 6, 8, 12 and 14 rows
COLUMN_BYTES = 512  # of a row of C: full tiles of all widths
ROUNDS = 25  # in turns, of about 0.15 ms; the best counts, as other programs run too
MARGIN = 0.97  # of the first candidate's time: what a tile that takes longer to compile must stay below
_NAMES = ("tuning.py", "micro_kernel.py", "blocking.py", "emit.py", "processor.py")
_FILES = tuple(str(Path(__file__).with_name(name)) for name in _NAMES)


@functools.lru_cache(maxsize=2)
def tile(dtype: str) -> Tile:
    """The tile of a dtype: of this process, from the kernel cache, or measured now."""
    with compiler.lock:
        name = compiler.named(f"tile_{dtype}", (dtype, str(processor.cache(1)), str(processor.cache(2))), _FILES)
        data = cache.load(
            name,
            lambda: json.dumps(astuple(_choose(dtype))).encode(),
            "json",
            is_valid=lambda data: _parsed(data) is not None,
        )
        chosen = _parsed(data)
        assert chosen is not None
        return chosen


def _choose(dtype: str) -> Tile:
    """The fastest candidate. ``FASTNET_TARGET`` may name another processor than this one: then the first."""
    candidates = blocking.candidates(processor.target())
    if len(candidates) == 1 or os.environ.get("FASTNET_TARGET"):
        return candidates[0]
    return fastest(candidates, measure(dtype, candidates))


def fastest(candidates: tuple[Tile, ...], seconds: list[float]) -> Tile:
    """The first candidate, unless another is clearly faster."""
    best = min(range(len(candidates)), key=seconds.__getitem__)
    return candidates[best if seconds[best] < MARGIN * seconds[0] else 0]


def measure(dtype: str, candidates: tuple[Tile, ...]) -> list[float]:
    """Seconds that each candidate takes for the same block of C, best of rounds in turns."""
    size = SIZES[dtype]
    a_row = KC * size + LINE  # an odd number of cache lines
    a, b, c = (_zeros(count) for count in (ROWS * a_row, COLUMN_BYTES * KC, ROWS * (COLUMN_BYTES + LINE)))
    runs = [
        functools.partial(_block(dtype, candidate), a.ctypes.data, a_row, b.ctypes.data, c.ctypes.data)
        for candidate in candidates
    ]
    best = [float("inf")] * len(runs)
    for _ in range(ROUNDS):
        for i, run in enumerate(runs):
            start = time.perf_counter()
            run()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def _block(dtype: str, candidate: Tile):
    """A C function (a, bytes between rows of A, packed b, c) that computes the block from full tiles."""
    from llvmlite import ir

    from fastnet._kernels.cpu.emit import I64, PTR
    from fastnet._kernels.cpu.micro_kernel import FULL, MicroKernel

    module = ir.Module()
    kernel = MicroKernel(module, dtype, candidate)
    name = f"fastnet_block_{dtype}_{candidate.width}_{candidate.rows}"
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [PTR, I64, PTR, PTR]), name)
    a, a_row, packed, c = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    step, c_row = blocking.VECTORS * candidate.width, I64(COLUMN_BYTES + LINE)
    null = ir.Constant(PTR, None)

    def panel(values):
        left, right, out = values

        def one(values):
            left, to = values
            operands = [left, a_row, I64(kernel.size), right, I64(step), I64(KC), null]
            b.call(kernel.tile(candidate.rows, FULL), [*operands, to, c_row, I64(0), null, I64(0)])
            return [kernel.at(b, p, b.mul(row, I64(candidate.rows))) for p, row in ((left, a_row), (to, c_row))]

        kernel.loop(b, I64(ROWS // candidate.rows), [left, out], one)
        return [left, kernel.at(b, right, step * KC), kernel.at(b, out, step)]

    kernel.loop(b, I64(COLUMN_BYTES // step), [a, packed, c], panel)
    b.ret_void()
    types = ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p
    return ctypes.CFUNCTYPE(None, *types)(machine_code.load_ir(str(module), name))


def _zeros(count: int) -> np.ndarray:
    """Bytes that begin at a cache line."""
    raw = np.zeros(count + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + count]


def _parsed(data: bytes) -> Tile | None:
    """The tile in the contents of a file; None if they do not describe one."""
    try:
        width, rows, single_rows = json.loads(data)
        return Tile(int(width), int(rows), int(single_rows))
    except (ValueError, TypeError):
        return None
