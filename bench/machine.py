"""The machine: its description, its peak GF/s of multiply-adds and its GB/s of `a += 3*b`.

The loops are those of `fastnet.engine.machine_peak`, to which `model.profile` compares layers.
"""

import platform
import time

import numpy as np

from fastnet._kernels.cpu import processor
from fastnet.engine import machine_peak as engine
from fastnet.engine.threads import usable_cores as cores
from fastnet.testing.running import threads as on_threads


def cpu_name():
    """The processor's name as the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def describe(versions=None):
    """Make a line of processor, vector width, cores, system, and versions of Python, numpy and named libraries."""
    parts = [cpu_name(), f"{vector_lanes()}-lane float32", f"{cores()} cores", platform.system()]
    named = {"python": platform.python_version(), "numpy": np.__version__, **(versions or {})}
    return ", ".join(parts) + "; " + ", ".join(f"{name} {version}" for name, version in named.items())


def vector_lanes():
    """float32 elements in a vector of this CPU."""
    return processor.target().width // processor.SIZES["float32"]


def best_rate(loop, rounds):
    """The best of `rounds` runs, which stand apart: another program beside them takes some milliseconds."""
    rates = [loop.run()]
    for _ in range(rounds - 1):
        time.sleep(engine.PAUSE)
        rates.append(loop.run())
    return max(rates)


def peak_gflops(threads=1, rounds=7):
    """GF/s of float32 multiply-adds that stay in registers."""
    with on_threads(threads):
        return best_rate(engine.multiply_adds("float32"), rounds)


def bandwidth(size, threads=1, rounds=7):
    """GB/s of `a += 3*b` in place (12 bytes an element) where both arrays together take `size` bytes."""
    with on_threads(threads):
        return best_rate(engine.triad("float32", size), rounds)


def cache_sizes():
    """Bytes of the second-level cache of a core and of the third-level cache; common values where they are unknown."""
    sizes = {2: 512 << 10, 3: 16 << 20}
    for level in sizes:
        try:
            with open(f"/sys/devices/system/cpu/cpu0/cache/index{level}/size", encoding="ascii") as file:
                text = file.read().strip()
        except OSError:
            continue
        sizes[level] = int(text.rstrip("KM")) << (20 if text.endswith("M") else 10)
    return sizes


def run(quick=False):
    """Measure the machine and report it."""
    from . import report

    rounds = 2 if quick else 7
    caches = cache_sizes()
    sizes = {"L2": caches[2] // 2, "L3": caches[3] // 4, "memory": 8 * caches[3]}
    rows = []
    for threads in sorted({1, cores()}):
        rows.append(report.figure(f"multiply-adds, {threads} threads", peak_gflops(threads, rounds), "GF/s"))
        for name, size in sizes.items():
            size *= threads if name == "L2" else 1
            what = f"a += 3*b in {name} ({size >> 10} KiB), {threads} threads"
            rows.append(report.figure(what, bandwidth(size, threads, rounds), "GB/s"))
    report.show("machine", rows, describe())
    return rows
