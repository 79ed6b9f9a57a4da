"""Launch tables made by hand, of small kernels that note what happens to them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

import numpy as np
from numba import cfunc, types
from numba.extending import intrinsic

from fastnet._kernels import abi
from fastnet.engine import _runner

HUGE = 10**9  # picoseconds: a launch of this cost is worth every thread
FOREVER = float("inf")
TIMEOUT = 120  # seconds until a hang counts as one

INTS = types.CPointer(types.int64)


@intrinsic
def at(typingctx, address):
    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(INTS))

    return INTS(types.int64), generate


@functools.cache
def compiled(function):
    return cfunc(types.void(INTS, INTS, types.int64, types.int64, types.int64))(function)


def count(bases, args, rows, lo, hi):
    # args: counts (extent), grain, errors (1), extent
    counts = at(args[0])
    if lo % args[1] or (hi % args[1] and hi != args[3]):
        at(args[2])[0] += 1
    for i in range(lo, hi):
        counts[i] += 1


def record(bases, args, rows, lo, hi):
    # args: log of four int64 a call, its length so far
    step = at(bases[abi.STEP])
    log, length = at(args[0]), at(args[1])
    o = 4 * length[0]
    log[o], log[o + 1], log[o + 2], log[o + 3] = rows, step[abi.FIRST], step[abi.ITERATION], step[abi.RATE]
    length[0] += 1


def produce(bases, args, rows, lo, hi):
    # args: p (extent), delay: p[i] = ITERATION, written late by a part that changes from step to step
    iteration = at(bases[abi.STEP])[abi.ITERATION]
    p = at(args[0])
    for i in range(lo, hi):
        if (i + iteration) % 7 == 0:
            for _ in range(args[1]):
                p[i] = -1 - p[i]
        p[i] = iteration


def consume(bases, args, rows, lo, hi):
    # args: p (extent), errors (extent), extent: what the other end's thread wrote must be there
    iteration = at(bases[abi.STEP])[abi.ITERATION]
    p, errors, extent = at(args[0]), at(args[1]), args[2]
    for i in range(lo, hi):
        if p[extent - 1 - i] != iteration:
            errors[i] += 1


def overwrite(bases, args, rows, lo, hi):
    p = at(args[0])
    for i in range(lo, hi):
        p[i] = -5


def spoil(bases, args, rows, lo, hi):
    # args: the iteration whose loss is not finite
    step = at(bases[abi.STEP])
    if step[abi.ITERATION] == args[0] and lo == 0:
        step[abi.NONFINITE] = 1


def use_scratch(bases, args, rows, lo, hi):
    # args: addresses (extent), bytes / 8: fills the thread's scratch and says where it was
    scratch = at(bases[abi.SCRATCH])
    for i in range(lo, hi):
        at(args[0])[i] = bases[abi.SCRATCH]
        for j in range(args[1]):
            scratch[j] = i


def work(bases, args, rows, lo, hi):
    # args: out (extent), rounds
    out = at(args[0])
    for i in range(lo, hi):
        for _ in range(args[1]):
            out[i] = out[i] * 3 + 1


def work_last(bases, args, rows, lo, hi):
    # args: places (2), rounds: all of the work is in the second of two units; says whose scratch each has seen
    for i in range(lo, hi):
        at(args[0])[i] = bases[abi.SCRATCH]
        value = 1
        for _ in range(i * args[1]):
            value = value * 3 + at(args[0])[1]
        at(bases[abi.SCRATCH])[0] = value


def launch(function, *args, per_row=0, unit=1, times=1, fixed=0, grain=1, cost=HUGE, flags=0, period=1):
    return function, args, (per_row, unit, times, fixed, grain, cost, flags, period)


class Bound:
    """A launch table in memory; a function may be an address, args arrays (their address is passed) or numbers."""

    def __init__(self, *launches, scratch=0):
        self.table = np.zeros((len(launches), abi.COLUMNS), np.int64)
        self.step = np.zeros(abi.HEADER + 4, np.int64)
        keep = [launches]
        for row, (function, args, numbers) in zip(self.table, launches, strict=True):
            block = np.array([a.ctypes.data if isinstance(a, np.ndarray) else a for a in args] or [0], np.int64)
            keep.append(block)
            address = function if isinstance(function, int) else compiled(function).address
            row[:] = address, block.ctypes.data, *numbers
        self.execution = _runner.Execution(self.table, [0, 0, self.step.ctypes.data, 0], self.step, scratch, keep)

    def run(self, first=0, total=1, batch=1, max_steps=10**9, seconds=FOREVER, times=None):
        return self.execution.run(first, total, batch, max_steps, seconds, times)


def zeros(n=1):
    return np.zeros(n, np.int64)


def in_process(function, **environment):
    """Run a function of a test module in a process of its own."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", f"from {function.__module__} import {function.__name__} as run; run()"]
    environment = {**os.environ, "PYTHONPATH": path, **environment}
    return subprocess.run(command, timeout=TIMEOUT, capture_output=True, text=True, env=environment)


def succeed(function, **environment):
    """What it prints."""
    done = in_process(function, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout
