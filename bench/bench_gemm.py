"""The matrix product against OpenBLAS and against the machine, one thread and two.

``python -m bench gemm`` prints the table; ``pytest bench/bench_gemm.py`` runs the same cases under pytest-benchmark.
OpenBLAS is a private copy of scipy-openblas32 with its best kernels for this processor.  All calls are made from
compiled loops, in short rounds that take turns; the best round counts, as the machine is shared. The time of a round is
that of its thread on a core, where the system measures it finely.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import time
from pathlib import Path

import numpy as np
import pytest

from fastnet._kernels import compile as compiler
from fastnet._kernels.cpu import gemm
from fastnet.engine import machine_peak as engine
from fastnet.engine.plan import Plan
from fastnet.testing.running import Run

from . import machine, report

SQUARE = [(f"{n}^3 {t}", n, n, n, *op) for n in (256, 512, 1024) for t, op in
          (("nn", (False, False)), ("nt", (False, True)), ("tn", (True, False)))]  # fmt: skip
# Rows of A at powers of two of elements, which may share a set of the first-level cache, and at their neighbours.
STRIDES = [(f"256x1024x{k} nn", 256, 1024, k, False, False)
           for k in (496, 512, 528, 1008, 1024, 1040, 2032, 2048, 2064)]  # fmt: skip
SQUARE_FLOOR, THIN_FLOOR, TWO_THREADS_FLOOR = 0.95, 1.0, 1.85
NETWORKS = {
    "tiny": (32, [(16, 64), (64, 64), (64, 4)]),
    "mnist32": (32, [(784, 128), (128, 10)]),
    "mlp512": (128, [(784, 512), (512, 512), (512, 10)]),
    "wide": (256, [(1024, 1024), (1024, 10)]),
}


def cases() -> list[tuple]:
    """(name, m, n, k, trans_a, trans_b): squares, strides, then every product of a step of the dense networks."""
    thin = []
    for name, (rows, sizes) in NETWORKS.items():
        for i, (inputs, units) in enumerate(sizes):
            thin.append((f"{name} y {rows}x{units}x{inputs}", rows, units, inputs, False, False))
            if i:
                thin.append((f"{name} dx {rows}x{inputs}x{units}", rows, inputs, units, False, True))
            thin.append((f"{name} dw {inputs}x{units}x{rows}", inputs, units, rows, True, False))
    return SQUARE + STRIDES + thin


class Product:
    """One product, found equal, ready to run here and in OpenBLAS: ``ours(count)`` and ``theirs(count)`` repeat it."""

    def __init__(
        self, dtype: str, m: int, n: int, k: int, trans_a: bool, trans_b: bool, shift: bool = False, **options
    ):
        random = np.random.default_rng(0)
        self.operations = 2 * m * n * k
        self.dtype = np.dtype(dtype)

        def buffer(*shape):  # 64-byte aligned, as the planner's buffers are
            size = int(np.prod(shape)) * self.dtype.itemsize
            raw = np.zeros(size + 64, np.uint8)
            start = -raw.ctypes.data % 64
            return raw[start : start + size].view(dtype).reshape(shape)

        self.a, self.b = buffer(*((k, m) if trans_a else (m, k))), buffer(*((n, k) if trans_b else (k, n)))
        self.a[:], self.b[:] = random.standard_normal(self.a.shape), random.standard_normal(self.b.shape)
        self.c, self.d, self.bias = buffer(m, n), buffer(m, n), buffer(n)
        self.bias[:] = random.standard_normal(n)
        scratch = np.zeros(gemm.scratch_bytes(), np.uint8)
        self.bases = np.array([0, 0, 0, scratch.ctypes.data])
        a, b, c, bias = (x.ctypes.data << 3 for x in (self.a, self.b, self.c, self.bias))
        extra = {"bias": bias, "relu": True} if shift else {}
        block = gemm.arguments(
            a, b, c, m=m, n=n, k=k, dtype=dtype, trans_a=trans_a, trans_b=trans_b, **extra, **options
        )
        self.args = np.array(block)
        self.extent = gemm.extent(block)[3]
        self.keep = scratch
        ours, theirs = our_driver(dtype), their_driver(dtype)
        self.ours = lambda count: ours(self.bases.ctypes.data, self.args.ctypes.data, self.extent, count)
        bias_at = self.bias.ctypes.data if shift else 0
        self.theirs = lambda count: theirs(
            self.a.ctypes.data, self.b.ctypes.data, self.d.ctypes.data, m, n, k, trans_a, trans_b, bias_at, count
        )
        self.ours(1)
        self.theirs(1)
        np.testing.assert_allclose(self.c, self.d, rtol=0, atol=np.abs(self.d).max() * 1e-4)


@functools.cache
def our_driver(dtype: str):
    """A compiled loop around the kernel."""
    import numba

    kernel = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 5)(compiler.load(gemm.source(dtype)))

    @numba.njit(nogil=True)
    def ours(bases, args, extent, count):
        for _ in range(count):
            kernel(bases, args, 0, 0, extent)

    return ours


@functools.cache
def their_driver(dtype: str):
    """A compiled loop around OpenBLAS, with a pass for bias and ReLU behind it where ``bias`` is not 0."""
    import numba

    i64, real = ctypes.c_int64, ctypes.c_float if dtype == "float32" else ctypes.c_double
    blas = getattr(openblas(), "scipy_cblas_sgemm" if dtype == "float32" else "scipy_cblas_dgemm")
    integer = ctypes.c_int32
    blas.argtypes = [integer] * 6 + [real, i64, integer, i64, integer, real, i64, integer]
    blas.restype = None
    activate = activation_pass(dtype)

    @numba.njit(nogil=True)
    def theirs(a, b, c, m, n, k, trans_a, trans_b, bias, count):
        for _ in range(count):
            blas(101, 112 if trans_a else 111, 112 if trans_b else 111, m, n, k, 1.0, a, m if trans_a else k,
                 b, k if trans_b else n, 0.0, c, n)  # fmt: skip
            if bias != 0:
                activate(c, bias, m, n)

    return theirs


def activation_pass(dtype: str):
    """max(c + bias, 0) over c (m, n), vectorised by numba."""
    import numba

    size, zero = np.dtype(dtype).itemsize, np.dtype(dtype).type(0)

    @numba.extending.intrinsic
    def array(typing, address):
        pointer = numba.types.CPointer(numba.from_dtype(np.dtype(dtype)))
        return pointer(address), lambda context, b, s, args: b.inttoptr(args[0], context.get_value_type(pointer))

    @numba.njit(nogil=True, error_model="numpy")
    def activate(c, bias, m, n):
        for i in range(m):
            row = numba.carray(array(c + i * n * size), n)
            shift = numba.carray(array(bias), n)
            for j in range(n):
                x = row[j] + shift[j]
                row[j] = zero if x < zero else x

    return activate


@functools.cache
def openblas() -> ctypes.CDLL:
    """A private copy of OpenBLAS on one thread, with AVX-512 kernels where the processor has them."""
    import llvmlite.binding as llvm
    import scipy_openblas32

    if llvm.get_host_cpu_features().get("avx512f"):
        os.environ["OPENBLAS_CORETYPE"] = "SkylakeX"
    folder = Path(scipy_openblas32.get_lib_dir())
    library = ctypes.CDLL(
        str(next(p for p in folder.iterdir() if scipy_openblas32.get_library() in p.stem and p.suffix != ".a"))
    )
    library.scipy_openblas_set_num_threads(1)
    library.scipy_openblas_get_corename.restype = ctypes.c_char_p
    return library


def clock():
    """Seconds this thread has spent on a core; on Windows, which counts them in steps of 16 ms, seconds."""
    return time.thread_time() if time.get_clock_info("thread_time").resolution < 1e-5 else time.perf_counter()


def best(runs: dict, rounds: int = 15, seconds: float = 0.002) -> dict:
    """Seconds of one call of each, best of short rounds that take turns."""
    counts, least = {}, {}
    for name, run in runs.items():
        run(1)
        start = clock()
        run(1)
        counts[name] = max(1, int(seconds / max(1e-7, clock() - start)))
        least[name] = float("inf")
    for _ in range(rounds):
        for name, run in runs.items():
            start = clock()
            run(counts[name])
            least[name] = min(least[name], (clock() - start) / counts[name])
    return least


def measure(dtype: str, case: tuple, rounds: int) -> dict:
    """One row: the product alone, and with bias and ReLU, beside OpenBLAS and the machine's peak."""
    name, *shape = case
    product, shifted = Product(dtype, *shape), Product(dtype, *shape, shift=True)
    peak = engine.multiply_adds(dtype)
    t = best(
        {
            "peak": lambda count: peak.bound.execution.run(0, count, 1, count, float("inf")),
            "ours": product.ours,
            "theirs": product.theirs,
            "ours with epilogue": shifted.ours,
            "theirs with epilogue": shifted.theirs,
        },
        rounds,
    )
    ratio, with_epilogue = t["theirs"] / t["ours"], t["theirs with epilogue"] / t["ours with epilogue"]
    judged, floor = (ratio, SQUARE_FLOOR) if case in SQUARE + STRIDES else (with_epilogue, THIN_FLOOR)
    figures = {
        "GF/s": round(product.operations / t["ours"] / 1e9, 1),
        "of peak": f"{product.operations / t['ours'] * t['peak'] / peak.amount:.0%}",
        "OpenBLAS": round(product.operations / t["theirs"] / 1e9, 1),
        "ratio": round(ratio, 3),
        "+bias, relu": round(with_epilogue, 3),
    }
    return row(f"{name} {dtype}", figures, judged, floor)


def row(product: str, figures: dict, ratio: float, floor: float | None) -> dict:
    """A row with its verdict; ratios are better where they are larger."""
    verdict = report.verdict(round(ratio, 3), floor, at_least=True)
    return {"product": product, **figures, "floor": floor, "verdict": verdict}


def on_two_threads(n: int, rounds: int) -> dict:
    """One row: how much faster two threads of fastnet's own team make a square product.

    The runner takes the times: from the barrier before the product to the one behind it, so that waking a thread does
    not count, and waiting for the slower one does.
    """
    plan = Plan(False, "float32", n)
    a, b, c = (plan.buffer((n, n), per_row=False) for _ in range(3))
    plan.product(a, b, c)
    product, least = Run(plan, 1, [a, b, c]), {1: float("inf"), 2: float("inf")}
    for buffer in (a, b):
        product.set(buffer, np.random.default_rng(0).standard_normal((n, n)))
    for _ in range(rounds):
        for threads in least:
            times = np.zeros(1)
            with machine.on_threads(threads):
                product.steps(times=times)
            least[threads] = min(least[threads], times[0])
    ratio = least[1] / least[2]
    figures = {"GF/s": round(2 * n**3 / least[2] / 1e9, 1), "ratio": round(ratio, 3)}
    return row(f"{n}^3 nn float32: 2 threads / 1", figures, ratio, TWO_THREADS_FLOOR)


def run(quick: bool = False) -> list[dict]:
    """Measure every case and report it."""
    if importlib.util.find_spec("scipy_openblas32") is None:
        print("gemm: skipped, nothing to compare with (pip install scipy-openblas32)")
        return []
    rounds, core = 2 if quick else 15, openblas().scipy_openblas_get_corename().decode()
    with machine.on_threads(1):
        rows = [measure(dtype, case, rounds) for dtype in ("float32", "float64") for case in cases()]
    if machine.cores() > 1:
        rows += [on_two_threads(n, 2 if quick else 60) for n in (512, 1024)]
    notes = f"ratio: OpenBLAS's time / fastnet's; OpenBLAS {core}; one thread, best of {rounds} rounds in turns"
    notes += "\nthe floor of a square and of 256x1024xK is that of its ratio, of another shape that with bias and ReLU"
    report.show("gemm", rows, machine.describe(), notes)
    report.strips("gemm", rows, ["product"], "ratio", "speed / OpenBLAS's")
    return rows


@pytest.mark.parametrize("case", cases(), ids=lambda case: case[0].replace(" ", "-"))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gemm(benchmark, dtype, case):
    product = Product(dtype, *case[1:])
    benchmark.extra_info["operations"] = product.operations
    benchmark(product.ours, 1)
