"""Cold and warm starts, measured in fresh processes that take turns."""

import json
import os
import subprocess
import sys
import tempfile
import time

import pytest

from . import ROOT, machine, report

pytest.importorskip("fastnet")

# Trains 784-128-10 twice for 10 steps; prints the seconds of both fits, and whether numba was imported.
FIT = """
import json, sys, time
import numpy as np, fastnet
from fastnet import layers
x = np.random.default_rng(0).random((320, 784), dtype=np.float32)
y = (np.arange(320) % 10).astype(np.int32)
model = fastnet.Sequential([layers.Input((784,)), layers.Dense(128, activation="relu"), layers.Dense(10)])
model.compile(optimizer="adam", loss=fastnet.losses.SparseCategoricalCrossentropy(from_logits=True))
seconds = []
for _ in range(2):
    start = time.perf_counter()
    model.fit(x, y, batch_size=32, verbose=0)
    seconds.append(time.perf_counter() - start)
print(json.dumps({"first": seconds[0], "later": seconds[1], "numba": "numba" in sys.modules}))
"""


def fresh(code, cache, python=sys.executable, folder=ROOT, environment=os.environ):
    """Run `code` in a new interpreter, or by a command, with the kernel cache `cache`: (seconds, its output)."""
    environment = dict(environment, FASTNET_CACHE_DIR=str(cache))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages have bytecode
    start = time.perf_counter()
    command = [python] if isinstance(python, str) else python
    done = subprocess.run(
        [*command, "-c", code], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return time.perf_counter() - start, done.stdout


def cold_fit():
    """Seconds of the first fit with an empty kernel cache."""
    with tempfile.TemporaryDirectory() as cache:
        return json.loads(fresh(FIT, cache)[1])["first"]


def warm(rounds):
    """Run fresh processes with a filled cache in turns: lists of seconds, and whether one imported numba."""
    times = {"numpy": [], "fastnet": [], "process": [], "first - later": []}
    numba = False
    with tempfile.TemporaryDirectory() as cache:
        fresh(FIT, cache)
        for _ in range(rounds):
            times["numpy"].append(fresh("import numpy", cache)[0])
            times["fastnet"].append(fresh("import fastnet", cache)[0])
            seconds, printed = fresh(FIT, cache)
            answer = json.loads(printed)
            times["process"].append(seconds)
            times["first - later"].append(answer["first"] - answer["later"])
            numba |= answer["numba"]
    return times, numba


def run(quick=False):
    """Measure everything, and report it with its floors."""
    import fastnet

    times, numba = warm(3 if quick else 9)
    extra = min(times["fastnet"]) - min(times["numpy"])
    rows = [
        report.figure("import numpy (whole process)", min(times["numpy"]), "s"),
        report.figure("import fastnet, above numpy", extra, "s", 0.15),
        report.figure("first fit, empty kernel cache", min(cold_fit() for _ in range(1 if quick else 2)), "s", 10),
        report.figure("whole process: import, build, fit; filled cache", min(times["process"]), "s", 0.6),
        report.figure("first fit above a later one; filled cache", min(times["first - later"]), "s", 0.15),
        report.figure("numba imported with a filled cache (1 = yes)", int(numba), "", 0),
    ]
    report.show("start", rows, machine.describe({"fastnet": fastnet.__version__}), notes="best of fresh processes")
    report.margins("start", rows)
    return rows


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    fresh(FIT, folder)
    return folder


def test_import(benchmark, filled_cache):
    benchmark.pedantic(fresh, ("import fastnet", filled_cache), rounds=5)


def test_warm_process(benchmark, filled_cache):
    _, printed = benchmark.pedantic(fresh, (FIT, filled_cache), rounds=5)
    assert json.loads(printed)["numba"] is False
