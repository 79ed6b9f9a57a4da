"""What a net costs beside its arithmetic: a call, a new model, a thousand models, a process's memory, Ctrl-C."""

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from . import machine, report

fastnet = pytest.importorskip("fastnet")


def small_model(units=(64, 64), inputs=16, classes=4):
    """The network `tiny`, or another of its kind, compiled for training."""
    from fastnet import layers

    model = fastnet.Sequential(
        [layers.Input((inputs,))] + [layers.Dense(n, activation="relu") for n in units] + [layers.Dense(classes)]
    )
    loss = fastnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=fastnet.optimizers.Adam(1e-3), loss=loss)
    return model


def batch(rows=32, inputs=16, classes=4):
    """x (rows, inputs) float32 and y (rows,) int32."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, inputs), dtype=np.float32), rng.integers(0, classes, rows).astype(np.int32)


def best_seconds(call, repeats):
    """Least time of one call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def build_train_drop(seed):
    """One short life of a small model."""
    x, y = batch()
    small_model(units=(4 + seed % 13,)).fit(x, y, batch_size=8, epochs=1, verbose=0)


def new_architectures(count=8):
    """Least time to build, compile and fit one batch of a net whose sizes were never seen, kernels cached."""
    x, y = batch()
    times = []
    for k in range(count):
        start = time.perf_counter()
        small_model(units=(37 + k, 53 + k, 29 + k)).fit(x, y, batch_size=32, epochs=1, verbose=0)
        times.append(time.perf_counter() - start)
    return min(times)


def resident_bytes():
    """Memory of this process that is in RAM now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def thousand_models(count=1000):
    """Bytes by which the process grows over `count` models, and the mean seconds of one."""
    for seed in range(50):
        build_train_drop(seed)
    before, start = resident_bytes(), time.perf_counter()
    for seed in range(count):
        build_train_drop(seed)
    return resident_bytes() - before, (time.perf_counter() - start) / count


def child(main, **options):
    """A fresh process that runs a function of this module."""
    code = f"from bench.bench_latency import {main.__name__} as main; main()"
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True, **options)


def peak_megabytes(cache):
    """Peak RSS of a fresh process that trains 784-128-10 on 10,000 rows of uint8 (8 MB of it)."""
    with child(peak_main, env={**os.environ, "FASTNET_CACHE_DIR": cache}) as process:
        return float(process.stdout.read())


def peak_main():
    """What the fresh process of `peak_megabytes` does."""
    x = np.random.default_rng(0).integers(0, 255, (10_000, 784), dtype=np.uint8)
    y = (x[:, 0] % 10).astype(np.int32)
    small_model(units=(128,), inputs=784, classes=10).fit(x, y, batch_size=32, epochs=1, verbose=0)
    print(peak_bytes() / 1e6)


def peak_bytes():
    """The most memory this process has had in RAM. Linux's ru_maxrss may be that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="ascii"))[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def interrupted(wait):
    """Seconds from a SIGINT, ``wait`` seconds after training began, to the KeyboardInterrupt that `fit` raises."""
    with child(interrupted_main) as process:
        process.stdout.readline()
        time.sleep(wait)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        return float(process.stdout.readline()) - sent


def interrupted_main():
    """What the fresh process of `interrupted` does: steps of tens of milliseconds, until it is told to stop."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the shell started us in the background
    x, y = batch(20_000, 1024, 10)
    model = small_model(units=(1024, 1024, 1024), inputs=1024, classes=10)
    model.fit(x[:256], y[:256], batch_size=256, verbose=0)
    print("trains from now on", flush=True)
    try:
        model.fit(x, y, batch_size=256, epochs=1_000_000, verbose=0)
    except KeyboardInterrupt:
        print(time.monotonic())  # one clock for all processes


def run(quick=False):
    """Measure all of it and report it against what is aimed at."""
    repeats = 300 if quick else 5000
    model, (x, y) = small_model(), batch()
    best_seconds(lambda: model.train_on_batch(x, y), 20)
    best_seconds(lambda: model.predict(x[:1], verbose=0), 20)
    step = best_seconds(lambda: model.train_on_batch(x, y), repeats)
    predict = best_seconds(lambda: model.predict(x[:1], verbose=0), repeats)
    rows = [
        report.figure("train_on_batch, tiny, 32 rows", step * 1e6, "µs", 40),
        report.figure("predict, tiny, 1 row", predict * 1e6, "µs", 25),
        report.figure("new architecture, cached kernels", new_architectures() * 1e3, "ms", 30),
    ]
    count = 100 if quick else 1000
    if Path("/proc/self/statm").exists():
        growth, seconds = thousand_models(count)
        rows.append(report.figure(f"{count} small models: growth", growth / 1e6, "MB", 20))
        rows.append(report.figure(f"{count} small models: each", seconds * 1e3, "ms", 5))
    if sys.platform != "win32":
        with tempfile.TemporaryDirectory() as cache:
            rows.append(report.figure("peak memory, 784-128-10 trained, kernels compiled", peak_megabytes(cache), "MB"))
            rows.append(
                report.figure("peak memory, 784-128-10 trained, kernels cached", peak_megabytes(cache), "MB", 200)
            )
        # At other places in the tenth of a second for which the runner does not look.
        seconds = statistics.median(interrupted(0.5 + 0.03 * k) for k in range(2 if quick else 5))
        rows.append(report.figure("Ctrl-C answered, 1024-1024-1024-1024-10, median", seconds * 1e3, "ms", 200))
    report.show("latency", rows, machine.describe({"fastnet": fastnet.__version__}))
    report.margins("latency", rows)
    return rows


def test_train_on_batch(benchmark):
    model, (x, y) = small_model(), batch()
    assert np.isfinite(benchmark(model.train_on_batch, x, y))


def test_predict_one_row(benchmark):
    model, (x, _) = small_model(), batch(1)
    assert benchmark(model.predict, x, verbose=0).shape == (1, 4)


def test_new_model(benchmark):
    benchmark(build_train_drop, 3)
