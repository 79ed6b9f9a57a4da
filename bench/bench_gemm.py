"""The matrix product against OpenBLAS and against the machine, one thread and two.

``python bench/bench_gemm.py [float32|float64]`` prints the table; ``pytest bench/bench_gemm.py`` runs the same cases
under pytest-benchmark.  OpenBLAS is a private copy of scipy-openblas32 with its best kernels for this processor.  All
calls are made from compiled loops, in short rounds that take turns; the best round counts, as the machine is shared.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fastnet._kernels import compile as compiler
from fastnet._kernels.cpu import gemm

SQUARE = [(f"{n}^3 {t}", n, n, n, *op) for n in (256, 512, 1024) for t, op in
          (("nn", (False, False)), ("nt", (False, True)), ("tn", (True, False)))]  # fmt: skip
NETWORKS = {
    "tiny": (32, [(16, 64), (64, 64), (64, 4)]),
    "mnist32": (32, [(784, 128), (128, 10)]),
    "mlp512": (128, [(784, 512), (512, 512), (512, 10)]),
    "wide": (256, [(1024, 1024), (1024, 10)]),
}


def cases() -> list[tuple]:
    """(name, m, n, k, trans_a, trans_b): squares, then every product of a training step of the dense networks."""
    thin = []
    for name, (rows, sizes) in NETWORKS.items():
        for i, (inputs, units) in enumerate(sizes):
            thin.append((f"{name} y {rows}x{units}x{inputs}", rows, units, inputs, False, False))
            if i:
                thin.append((f"{name} dx {rows}x{inputs}x{units}", rows, inputs, units, False, True))
            thin.append((f"{name} dw {inputs}x{units}x{rows}", inputs, units, rows, True, False))
    return SQUARE + thin


class Product:
    """One product, ready to run here and in OpenBLAS: ``ours(count)`` and ``theirs(count)`` repeat it."""

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
        ours, theirs = drivers(dtype)
        pointers = self.bases.ctypes.data, self.args.ctypes.data
        self.part = lambda lo, hi, count: ours(*pointers, lo, hi, count)
        self.ours = lambda count: ours(*pointers, 0, self.extent, count)
        bias_at = self.bias.ctypes.data if shift else 0
        self.theirs = lambda count: theirs(
            self.a.ctypes.data, self.b.ctypes.data, self.d.ctypes.data, m, n, k, trans_a, trans_b, bias_at, count
        )


_drivers: dict = {}


def drivers(dtype: str):
    """Compiled loops around the kernel and around OpenBLAS (with a pass for bias and ReLU behind it)."""
    if dtype in _drivers:
        return _drivers[dtype]
    import numba

    i64, real = ctypes.c_int64, ctypes.c_float if dtype == "float32" else ctypes.c_double
    kernel = ctypes.CFUNCTYPE(None, *[i64] * 5)(compiler.load(gemm.source(dtype)))
    blas = getattr(openblas(), "scipy_cblas_sgemm" if dtype == "float32" else "scipy_cblas_dgemm")
    whole = ctypes.c_int32
    blas.argtypes = [whole] * 6 + [real, i64, whole, i64, whole, real, i64, whole]
    blas.restype = None
    kind = np.dtype(dtype).type
    zero = kind(0)

    @numba.njit(nogil=True)
    def ours(bases, args, lo, hi, count):
        for _ in range(count):
            kernel(bases, args, 0, lo, hi)

    @numba.extending.intrinsic
    def array(typing, address):
        pointer = numba.types.CPointer(numba.from_dtype(np.dtype(dtype)))
        return pointer(address), lambda context, b, s, args: b.inttoptr(args[0], context.get_value_type(pointer))

    @numba.njit(nogil=True, error_model="numpy")
    def activate(c, bias, m, n):
        for i in range(m):
            row = numba.carray(array(c + i * n * SIZE), n)
            shift = numba.carray(array(bias), n)
            for j in range(n):
                x = row[j] + shift[j]
                row[j] = zero if x < zero else x

    SIZE = np.dtype(dtype).itemsize

    @numba.njit(nogil=True)
    def theirs(a, b, c, m, n, k, trans_a, trans_b, bias, count):
        for _ in range(count):
            blas(101, 112 if trans_a else 111, 112 if trans_b else 111, m, n, k, 1.0, a, m if trans_a else k,
                 b, k if trans_b else n, 0.0, c, n)  # fmt: skip
            if bias != 0:
                activate(c, bias, m, n)

    _drivers[dtype] = ours, theirs
    return ours, theirs


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


def peak(dtype: str):
    """``(operations of one turn, run(count))``: multiply-adds on registers alone."""
    import numba
    from llvmlite import ir

    from fastnet._kernels.cpu import emit

    sums, turns = (24, 1000) if emit.target().width != 32 else (12, 1000)

    @numba.extending.intrinsic
    def spin(typing, count):
        def generate(context, b, _signature, args):
            emitter = emit.Emitter(b.module, dtype)
            fma = emitter.declare(f"llvm.fmuladd.{emitter.suffix}", emitter.vector, [emitter.vector] * 3)
            x = emitter.splat(b, b.sitofp(args[0], emitter.scalar))
            start = [b.fadd(x, ir.Constant(emitter.vector, [float(i)] * emitter.lanes)) for i in range(sums)]
            ends = emitter.loop(b, args[0], start, lambda values: [b.call(fma, [v, x, x]) for v in values])
            total = ends[0]
            for value in ends[1:]:
                total = b.fadd(total, value)
            return b.bitcast(b.fptosi(b.extract_element(total, ir.IntType(32)(0)), ir.IntType(64)), ir.IntType(64))

        return numba.types.int64(numba.types.int64), generate

    @numba.njit(nogil=True)
    def run(count):
        total = 0
        for _ in range(count):
            total += spin(turns)
        return total

    run(1)
    return 2 * sums * turns * emit.target().lanes(dtype), run


def best(runs: dict, rounds: int = 15, seconds: float = 0.002) -> dict:
    """Seconds of one call of each, best of short rounds that take turns."""
    counts, least = {}, {}
    for name, run in runs.items():
        run(1)
        start = time.perf_counter()
        run(1)
        counts[name] = max(1, int(seconds / max(1e-7, time.perf_counter() - start)))
        least[name] = float("inf")
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run(counts[name])
            least[name] = min(least[name], (time.perf_counter() - start) / counts[name])
    return least


def two_threads(product: Product, rounds: int = 40) -> float:
    """Seconds of the product split over two Python threads, each its half of the blocks; the best of short rounds.

    Every thread takes its own time, as their start differs by what waking a Python thread takes.
    """
    middle = product.extent // 2
    spare = np.zeros(gemm.scratch_bytes(), np.uint8)
    ours, _ = drivers(product.dtype.name)
    bases = np.array([0, 0, 0, spare.ctypes.data])
    count = max(4, int(0.008 * 80e9 / product.operations))
    ready, took = threading.Barrier(2), {}

    def half(lo, hi, own):
        for turn in range(rounds):
            ready.wait()
            start = time.perf_counter()
            ours(own.ctypes.data, product.args.ctypes.data, lo, hi, count)
            took[turn, lo] = (time.perf_counter() - start) / count

    other = threading.Thread(target=half, args=(middle, product.extent, bases))
    other.start()
    half(0, middle, product.bases)
    other.join()
    return min(max(took[turn, 0], took[turn, middle]) for turn in range(rounds))


def main(dtype: str = "float32", pattern: str = "") -> None:
    """Print the table."""
    operations, spin = peak(dtype)
    most = operations / best({"peak": spin})["peak"]
    core = openblas().scipy_openblas_get_corename().decode()
    print(f"{dtype}; multiply-adds on registers {most / 1e9:.0f} GF/s; OpenBLAS {core}")
    print(f"{'':32}{'GF/s':>7}{'OpenBLAS':>10}{'ratio':>8}{'of peak':>9}{'+bias,relu':>12}")
    for name, *shape in cases():
        if pattern not in name:
            continue
        product, shifted = Product(dtype, *shape), Product(dtype, *shape, shift=True)
        t = best({"peak": spin, "ours": product.ours, "theirs": product.theirs,
                  "ours2": shifted.ours, "theirs2": shifted.theirs})  # fmt: skip
        speed = product.operations / t["ours"]
        top = operations / t["peak"]
        print(f"{name:32}{speed / 1e9:7.1f}{product.operations / t['theirs'] / 1e9:10.1f}{t['theirs'] / t['ours']:8.2f}"
              f"{speed / top:9.0%}{t['theirs2'] / t['ours2']:12.2f}", flush=True)  # fmt: skip
    for n in (512, 1024):
        if pattern:
            break
        product = Product(dtype, n, n, n, False, False)
        one = min(best({"one": product.ours}, seconds=0.008)["one"] for _ in range(2))
        print(f"{n}^3 on two threads: {one / two_threads(product):.2f} times as fast as on one")


@pytest.mark.parametrize("case", cases(), ids=lambda case: case[0].replace(" ", "-"))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gemm(benchmark, dtype, case):
    product = Product(dtype, *case[1:])
    product.ours(1)
    product.theirs(1)
    np.testing.assert_allclose(product.c, product.d, rtol=0, atol=np.abs(product.d).max() * 1e-4)
    benchmark.extra_info["operations"] = product.operations
    benchmark(product.ours, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
