"""The cost of a network besides its arithmetic: calls, new models, memory, the answer to Ctrl-C."""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import fastnet

from . import ROOT, machine, report, small_models
from .image_peers import stack
from .image_workloads import WORKLOADS
from .small_models import batch, best_seconds, build_train_drop, new_architectures, small_model


def resident_bytes():
    """The resident memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def thousand_models(count=1000):
    """Measure the bytes by which the process grows over `count` models, and the mean seconds of one."""
    for seed in range(50):
        build_train_drop(seed)
    before, start = resident_bytes(), time.perf_counter()
    for seed in range(count):
        build_train_drop(seed)
    return resident_bytes() - before, (time.perf_counter() - start) / count


def child(main, **options):
    """Start a fresh process that runs a function of `small_models`."""
    code = f"from {__package__}.small_models import {main.__name__} as main; main()"
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)


def peak_megabytes(cache):
    """The peak resident memory of a fresh process that trains 784-128-10 on 10,000 rows of uint8 (8 MB)."""
    with child(small_models.peak_main, env={**os.environ, "FASTNET_CACHE_DIR": cache}) as process:
        return float(process.stdout.read())


def interrupted(wait):
    """Seconds from SIGINT, sent ``wait`` seconds after training began, to the KeyboardInterrupt of `fit`."""
    with child(small_models.interrupted_main) as process:
        process.stdout.readline()
        time.sleep(wait)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        return float(process.stdout.readline()) - sent


def run(quick=False):
    """Measure everything, and report it with its floors."""
    repeats = 300 if quick else 5000
    model, (x, y) = small_model(), batch()
    best_seconds(lambda: model.train_on_batch(x, y), 20)
    best_seconds(lambda: model.predict(x[:1], verbose=0), 20)
    step = best_seconds(lambda: model.train_on_batch(x, y), repeats)
    predict = best_seconds(lambda: model.predict(x[:1], verbose=0), repeats)
    images = WORKLOADS["convnet"]
    convnet, image = fastnet.Sequential(stack(fastnet.layers, images)), images.data()[0][:1]
    best_seconds(lambda: convnet.predict(image, verbose=0), 20)
    predict_image = best_seconds(lambda: convnet.predict(image, verbose=0), repeats)
    rows = [
        report.figure("train_on_batch, tiny, 32 rows", step * 1e6, "µs", 40),
        report.figure("predict, tiny, 1 row", predict * 1e6, "µs", 25),
        report.figure("predict, convnet, 1 image of 28×28", predict_image * 1e6, "µs", 100),
        report.figure("new architecture, cached kernels", new_architectures() * 1e3, "ms", 30),
    ]
    count = 100 if quick else 1000
    if Path("/proc/self/statm").exists():
        growth, seconds = thousand_models(count)
        rows.append(report.figure(f"{count} small models: growth", growth / 1e6, "MB", 20))
        rows.append(report.figure(f"{count} small models: each", seconds * 1e3, "ms", 5))
    if sys.platform != "win32":
        with tempfile.TemporaryDirectory() as cache:
            for state in ("compiled", "cached"):
                what = f"peak memory, 784-128-10 trained, kernels {state}"
                rows.append(report.figure(what, peak_megabytes(cache), "MB", 200))
        # At different points of the 0.1 s between two looks of the runner.
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
