"""What this machine can do, measured beside every benchmark: peak GF/s of multiply-adds and GB/s of `a += 3*b`.

The loops are written as LLVM vector code, so that neither a BLAS nor a compiler's idea of vectorisation stands
between the figure and the hardware.
"""

import ctypes
import functools
import os
import platform
import threading
import time

import numpy as np

ACCUMULATORS = 12  # two units of latency 4 need 8; 12 and their two operands fit AVX2's 16 registers


def cores():
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def cpu_name():
    """The processor's name as the system gives it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def describe(versions=None):
    """One line: processor, vector width, cores, system, versions of Python, numpy and the libraries named."""
    parts = [cpu_name(), f"{vector_lanes()}-lane float32", f"{cores()} cores", platform.system()]
    named = {"python": platform.python_version(), "numpy": np.__version__, **(versions or {})}
    return ", ".join(parts) + "; " + ", ".join(f"{name} {version}" for name, version in named.items())


@functools.cache
def vector_lanes():
    """float32 elements in the widest vector of this CPU."""
    try:
        from llvmlite import binding
    except ImportError:
        return "?"
    features = binding.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


def _fma_source(lanes):
    vector = f"<{lanes} x float>"
    names = range(ACCUMULATORS)
    start = "\n".join(f"  %s{k} = load {vector}, ptr %p, align 4" for k in names)
    phi = "\n".join(f"  %a{k} = phi {vector} [ %s{k}, %entry ], [ %b{k}, %loop ]" for k in names)
    step = "\n".join(
        f"  %b{k} = call {vector} @llvm.fmuladd.v{lanes}f32({vector} %a{k}, {vector} %x, {vector} %y)" for k in names
    )
    store = "\n".join(
        f"  %q{k} = getelementptr {vector}, ptr %p, i64 {k}\n  store {vector} %b{k}, ptr %q{k}, align 4" for k in names
    )
    return f"""
declare {vector} @llvm.fmuladd.v{lanes}f32({vector}, {vector}, {vector})
define void @fma_peak(ptr %p, i64 %n) {{
entry:
  %x = load {vector}, ptr %p, align 4
  %y0 = getelementptr {vector}, ptr %p, i64 1
  %y = load {vector}, ptr %y0, align 4
{start}
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{phi}
{step}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
{store}
  ret void
}}
"""


def _axpy_source(lanes, unroll=4):
    """`repeats` passes of a += 3 * b over n blocks of lanes * unroll elements."""
    vector = f"<{lanes} x float>"
    body = "\n".join(
        f"""  %j{k} = add i64 %base, {k}
  %pa{k} = getelementptr {vector}, ptr %a, i64 %j{k}
  %pb{k} = getelementptr {vector}, ptr %b, i64 %j{k}
  %a{k} = load {vector}, ptr %pa{k}, align 4
  %b{k} = load {vector}, ptr %pb{k}, align 4
  %m{k} = fmul {vector} %b{k}, splat (float 3.0)
  %r{k} = fadd {vector} %a{k}, %m{k}
  store {vector} %r{k}, ptr %pa{k}, align 4"""
        for k in range(unroll)
    )
    return f"""
define void @axpy(ptr %a, ptr %b, i64 %n, i64 %repeats) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ], [ 0, %again ]
  %pass = phi i64 [ 1, %entry ], [ %pass, %loop ], [ %passes, %again ]
  %base = mul i64 %i, {unroll}
{body}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %turn
turn:
  %finished = icmp sge i64 %pass, %repeats
  br i1 %finished, label %done, label %again
again:
  %passes = add i64 %pass, 1
  br label %loop
done:
  ret void
}}
"""


@functools.cache
def _loops():
    """(fma_peak, axpy) as C functions and the engine that owns their code; ctypes releases the GIL around a call."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    lanes = vector_lanes()
    module = binding.parse_assembly(_fma_source(lanes) + _axpy_source(lanes))
    features = binding.get_host_cpu_features().flatten()
    target = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=features, opt=3
    )
    engine = binding.create_mcjit_compiler(module, target)
    engine.finalize_object()
    fma = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(engine.get_function_address("fma_peak"))
    axpy = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    return fma, axpy(engine.get_function_address("axpy")), engine


def _seconds(calls, rounds):
    """Least time of `rounds` in which all calls run at once, each on its own thread."""
    best = float("inf")
    for _ in range(rounds):
        threads = [threading.Thread(target=call) for call in calls[1:]]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        calls[0]()
        for thread in threads:
            thread.join()
        best = min(best, time.perf_counter() - start)
    return best


def peak_gflops(threads=1, rounds=5):
    """GF/s of float32 multiply-adds that stay in registers."""
    fma, lanes, n = _loops()[0], vector_lanes(), 4_000_000
    arrays = [np.full(lanes * ACCUMULATORS, 0.5, np.float32) for _ in range(threads)]
    seconds = _seconds([functools.partial(fma, a.ctypes.data, n) for a in arrays], rounds)
    return threads * n * ACCUMULATORS * lanes * 2 / seconds / 1e9


def bandwidth(size, threads=1, rounds=5):
    """GB/s of `a += 3*b` in place (12 bytes an element) where both arrays together take `size` bytes."""
    axpy, block = _loops()[1], vector_lanes() * 4
    blocks = size // 8 // threads // block
    repeats = max(1, 200_000_000 // size)
    pairs = [np.zeros((2, blocks * block), np.float32) for _ in range(threads)]
    calls = [functools.partial(axpy, a.ctypes.data, b.ctypes.data, blocks, repeats) for a, b in pairs]
    seconds = _seconds(calls, rounds)
    return threads * blocks * block * 12 * repeats / seconds / 1e9


def cache_sizes():
    """Bytes of a core's second-level and of the third-level cache; common values where the system does not say."""
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
