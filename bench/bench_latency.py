"""What a small net costs beside its arithmetic: one call, one new model, a thousand models, the memory of a process."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from . import machine, report

fastnet = pytest.importorskip("fastnet")


def small_model(units=(64, 64), inputs=16, classes=4):
    """The `tiny` network of PERFORMANCE.md, or another of its kind, compiled for training."""
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


def peak_megabytes():
    """Peak RSS of a fresh process that trains 784-128-10 on 10,000 rows of uint8 (8 MB of it)."""
    code = "from bench.bench_latency import peak_main; peak_main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def peak_main():
    """What the fresh process of `peak_megabytes` does."""
    import resource

    x = np.random.default_rng(0).integers(0, 255, (10_000, 784), dtype=np.uint8)
    y = (x[:, 0] % 10).astype(np.int32)
    small_model(units=(128,), inputs=784, classes=10).fit(x, y, batch_size=32, epochs=1, verbose=0)
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


def run(quick=False):
    """Measure all of it and report it against the floors of PERFORMANCE.md."""
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
        rows.append(report.figure("peak memory, 784-128-10 trained, kernels compiled or not", peak_megabytes(), "MB"))
        rows.append(report.figure("peak memory, 784-128-10 trained, kernels cached", peak_megabytes(), "MB", 200))
    report.show("latency", rows, machine.describe({"fastnet": fastnet.__version__}))
    return rows


def test_train_on_batch(benchmark):
    model, (x, y) = small_model(), batch()
    assert np.isfinite(benchmark(model.train_on_batch, x, y))


def test_predict_one_row(benchmark):
    model, (x, _) = small_model(), batch(1)
    assert benchmark(model.predict, x, verbose=0).shape == (1, 4)


def test_new_model(benchmark):
    benchmark(build_train_drop, 3)
