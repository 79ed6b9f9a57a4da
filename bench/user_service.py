"""A prediction service, as `examples/service.py` is one: the start of its process and a prediction, beside others."""

import json
import os
import pickle
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastnet
from fastnet import layers

from . import peers, report
from .bench_start import fresh

ROUNDS = 9
SECONDS = 0.3  # of predictions
# Each prints the seconds from the first line to the first prediction, and those of a later prediction of one row.
FASTNET = """
import time; start = time.perf_counter()
import json, numpy as np, fastnet
fastnet.set_num_threads(1)
model, x = fastnet.models.load_model({path!r}), np.ones((1, 64), np.float32)
predict = lambda: model.predict(x, verbose=0)
"""
TORCH = """
import time; start = time.perf_counter()
import json, torch
torch.set_num_threads(1)
model, x = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)), torch.ones(1, 64)
model.load_state_dict(torch.load({path!r}))
def predict():
    with torch.inference_mode():
        return model(x).softmax(1).numpy()
"""
SKLEARN = """
import time; start = time.perf_counter()
import json, pickle, numpy as np
model, x = pickle.load(open({path!r}, "rb")), np.ones((1, 64), np.float32)
predict = lambda: model.predict_proba(x)
"""
MEASURE = f"""
predict()
begun, best = time.perf_counter() - start, 1.0
until = time.perf_counter() + {SECONDS}
while time.perf_counter() < until:
    start = time.perf_counter()
    predict()
    best = min(best, time.perf_counter() - start)
print(json.dumps([begun, best]))
"""


def save_fastnet(path):
    model = fastnet.Sequential([layers.Input((64,)), layers.Dense(64, "relu"), layers.Dense(10, "softmax")])
    model.save(path)


def save_torch(path):
    import torch

    torch.save(
        torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)).state_dict(), path
    )


def save_sklearn(path):
    from sklearn.neural_network import MLPClassifier

    net = MLPClassifier((64,))
    net.partial_fit(np.ones((10, 64), np.float32), np.arange(10), classes=np.arange(10))
    with open(path, "wb") as file:
        pickle.dump(net, file)


CONTENDERS = {"fastnet": (save_fastnet, FASTNET), "torch": (save_torch, TORCH), "sklearn": (save_sklearn, SKLEARN)}


def unprivileged():
    """The start of a command that may write only where permissions say so; None where root cannot give more up."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        return []
    program = shutil.which("setpriv")
    return program and [program, "--bounding-set=-dac_override,-dac_read_search"]


def rows(quick=False):
    """Table rows: process starts with a writable and a read-only cache, and predictions of one row."""
    found, rounds = [], 2 if quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        programs = {}
        for name, (save, code) in CONTENDERS.items():
            if peers.installed(name):
                path = f"{folder}/{name}.fastnet"  # the suffix is fastnet's; the others take any
                save(path)
                programs[name] = code.format(path=path) + MEASURE
        times = {name: [] for name in programs}
        read_only, prefix = [], unprivileged()
        fresh(programs["fastnet"], cache)  # compiles
        for _ in range(rounds):
            for name, code in programs.items():
                times[name].append(json.loads(fresh(code, cache)[1]))
            if prefix is not None:
                (cache / "kernels").chmod(0o555)
                read_only.append(json.loads(fresh(programs["fastnet"], cache, [*prefix, sys.executable])[1]))
                (cache / "kernels").chmod(0o755)
        start = {name: min(begun for begun, _ in values) for name, values in times.items()}
        for name, values in times.items():
            found.append(report.figure(f"{name}: import, load, first prediction", start[name], "s"))
            found.append(report.figure(f"{name}: predict one row", min(each for _, each in values) * 1e6, "µs"))
        if read_only:
            extra = min(begun for begun, _ in read_only) - start["fastnet"]
            found.append(report.figure("fastnet: start with a read-only cache, above a writable one", extra, "s", 0.1))
    return found
