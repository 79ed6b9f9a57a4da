"""Measures the machine with two kernels: multiply-adds on registers, and ``a += 3·b`` in place."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fastnet._kernels.cpu.peak import MultiplyAdds
from fastnet._kernels.templates import triads as templates
from fastnet.engine.bind import bind
from fastnet.engine.cpu import OPERATION
from fastnet.engine.executable import Executable
from fastnet.engine.launch import Launch
from fastnet.engine.plan import Plan
from fastnet.engine.sizes import extent_of
from fastnet.engine.threads import get_num_threads
from fastnet.engine.view import SIZES, View

TURNS = 300_000  # of multiply-adds, about a millisecond
MOVED = 50_000_000  # bytes for each thread, about a millisecond in the caches
ROUNDS = 9  # of a measurement; the best counts
LOOKS, PAUSE = 5, 0.04  # measurements, seconds between them: another program's turn lasts some milliseconds
SMALLEST, LARGEST = 1 << 16, 1 << 27  # bytes of a and b: one or two first-level caches; more than the last level
_COST = 1_000_000_000  # picoseconds, enough to wake a thread for each part


@dataclass(frozen=True)
class Loop:
    """A plan of one launch that measures the machine.

    Attributes:
        bound: the plan.
        amount: operations or bytes of a run.
    """

    bound: Executable
    amount: float

    def run(self) -> float:
        """Run the plan once: billions of operations or bytes a second."""
        times = np.zeros(1)
        self.bound.run(0, 1, 1, 1, 0.0, times)
        return self.amount / max(times[0], 1e-12) / 1e9


def _bind(plan: Plan, *buffers: View) -> Executable:
    bound = bind(plan, pinned=buffers)
    for buffer in buffers:
        bound.read(buffer, 1)[...] = 0  # memory that was never written is one page of zeros
    return bound


def multiply_adds(dtype: str) -> Loop:
    """Multiply-adds that stay in registers, two operations each, in one part for each thread."""
    plan, parts = Plan(False, dtype, 1), get_num_threads()
    sums = plan.buffer((parts, 64 // SIZES[dtype]))
    operands = {"out": sums, "turns": TURNS}
    plan.append(Launch(MultiplyAdds(dtype), operands, [(sums, "w")], extent_of(parts), cost=_COST // OPERATION))
    bound = _bind(plan, sums)
    bound.run(0, 1, 1, 1, 0.0)
    return Loop(bound, 2.0 * TURNS * float(bound.read(sums, 1).sum()))  # see `MultiplyAdds`


def triad(dtype: str, size: int) -> Loop:
    """``a += 3·b`` where a and b together take about ``size`` bytes; each element takes two reads and a write."""
    plan, count = Plan(False, dtype, 1), max(64, size // (2 * SIZES[dtype]))
    moved = 3 * SIZES[dtype] * count
    passes = max(1, MOVED * get_num_threads() // moved)
    a, b = plan.buffer((count,)), plan.buffer((count,))
    launch = plan.call(templates.triad, a=a, b=b, passes=passes)
    launch.cost = max(1, _COST // OPERATION * get_num_threads() // count)
    return Loop(_bind(plan, a, b), float(moved * passes))


@dataclass(frozen=True)
class Machine:
    """The machine's speed on a number of threads.

    Attributes:
        gflops: billions of operations a second of multiply-adds on registers, by dtype.
        gigabytes: billions of bytes a second of ``a += 3·b`` in place.
        size: bytes of a and b together.
        threads: the number of threads.
    """

    gflops: Mapping[str, float]
    gigabytes: float
    size: int
    threads: int

    def __str__(self) -> str:
        peaks = ", ".join(f"{peak:.0f} GF/s of {dtype} multiply-adds" for dtype, peak in self.gflops.items())
        many = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{peaks}, {self.gigabytes:.1f} GB/s of a += 3·b in {size_text(self.size)}; {many}"


def size_text(size: int) -> str:
    """Format a power of two of bytes."""
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


class Gauge:
    """Measures the machine at each call, between pieces of other work; the best measurement of the process counts.

    While another program runs for some milliseconds, two threads are as slow as one. Only several measurements at
    different times show the machine without it.

    Args:
        dtypes: dtypes of the multiply-adds; the bandwidth is that of the first one.
        size: bytes on which ``a += 3·b`` works; they decide the cache in which the data lie. The size is rounded up to
            a power of two between 64 KiB and 128 MiB.
    """

    def __init__(self, dtypes: Iterable[str], size: int) -> None:
        self.dtypes, self.threads = list(dict.fromkeys(dtypes)), get_num_threads()
        self.size = min(max(1 << (max(size, 1) - 1).bit_length(), SMALLEST), LARGEST)
        self._loops: dict[tuple, Loop] = {(dtype, self.threads): multiply_adds(dtype) for dtype in self.dtypes}
        self._loops[self._moves] = triad(self.dtypes[0], self.size)

    @property
    def _moves(self) -> tuple:
        return self.dtypes[0], self.threads, self.size

    def look(self) -> None:
        """Measure for some milliseconds, on as many threads as were set when the gauge was made."""
        for key, loop in self._loops.items():
            _best[key] = max(_best.get(key, 0.0), *(loop.run() for _ in range(ROUNDS)))

    def machine(self) -> Machine:
        """The best that this process has measured so far."""
        peaks = {dtype: _best[dtype, self.threads] for dtype in self.dtypes}
        return Machine(peaks, _best[self._moves], self.size, self.threads)


def measure(dtypes: Iterable[str], size: int) -> Machine:
    """Measure the machine on the threads that are set, `LOOKS` times within a quarter of a second; see `Gauge`."""
    gauge = Gauge(dtypes, size)
    gauge.look()
    for _ in range(LOOKS - 1):
        time.sleep(PAUSE)
        gauge.look()
    return gauge.machine()


# Billions of operations a second by (dtype, threads), of bytes by (dtype, threads, size).
_best: dict[tuple, float] = {}
