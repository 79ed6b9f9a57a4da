"""Small models for measurements, through the public interface alone.

Fresh processes of this and of other installations run these functions (`race.py`). They import only what users of
fastnet import.
"""

import re
import signal
import sys
import time
from pathlib import Path

import numpy as np

import fastnet
from fastnet import layers


def small_model(units=(64, 64), inputs=16, classes=4):
    """Make and compile the network `tiny`, or another one with ReLU layers."""
    model = fastnet.Sequential(
        [layers.Input((inputs,))] + [layers.Dense(n, activation="relu") for n in units] + [layers.Dense(classes)]
    )
    loss = fastnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=fastnet.optimizers.Adam(1e-3), loss=loss)
    return model


def batch(rows=32, inputs=16, classes=4):
    """Make x (rows, inputs) float32 and y (rows,) int32."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, inputs), dtype=np.float32), rng.integers(0, classes, rows).astype(np.int32)


def best_seconds(call, repeats):
    """The least seconds of `repeats` calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def build_train_drop(seed):
    """Build, train and drop a small model, whose size depends on the seed."""
    x, y = batch()
    small_model(units=(4 + seed % 13,)).fit(x, y, batch_size=8, epochs=1, verbose=0)


def new_architectures(count=8):
    """The least seconds to build, compile and fit a network of new sizes on one batch, with cached kernels."""
    x, y = batch()
    times = []
    for k in range(count):
        start = time.perf_counter()
        small_model(units=(37 + k, 53 + k, 29 + k)).fit(x, y, batch_size=32, epochs=1, verbose=0)
        times.append(time.perf_counter() - start)
    return min(times)


def peak_main():
    """Train 784-128-10 on 10,000 rows of uint8, and print the peak memory in MB."""
    x = np.random.default_rng(0).integers(0, 255, (10_000, 784), dtype=np.uint8)
    y = (x[:, 0] % 10).astype(np.int32)
    small_model(units=(128,), inputs=784, classes=10).fit(x, y, batch_size=32, epochs=1, verbose=0)
    print(peak_bytes() / 1e6)


def peak_bytes():
    """The peak resident memory of this process. On Linux, ru_maxrss includes that of the parent before exec."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="ascii"))[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def interrupted_main():
    """Train with steps of tens of milliseconds until Ctrl-C, and print the time at which `fit` raises."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in background jobs
    x, y = batch(20_000, 1024, 10)
    model = small_model(units=(1024, 1024, 1024), inputs=1024, classes=10)
    model.fit(x[:256], y[:256], batch_size=256, verbose=0)
    print("trains from now on", flush=True)
    try:
        model.fit(x, y, batch_size=256, epochs=1_000_000, verbose=0)
    except KeyboardInterrupt:
        print(time.monotonic())  # one clock for all processes
