"""Whole trainings of MNIST: 784-512-10 with dropout and validation, against Keras on JAX and scikit-learn; a convnet.

`python -m bench.bench_mnist NAME SEED` trains one contender once.
"""

import gzip
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from . import ROOT, machine, peers, report

EPOCHS, BATCH = 5, 128
SPEEDUPS = {"keras": 1.8, "sklearn": 3.0}  # the least ratios of their time to fastnet's
OWN = ("fastnet", "convnet")  # fastnet's networks; the peers train the first one
ACCURACIES = {"fastnet": 0.978, "convnet": 0.99}
SECONDS = {"convnet": 60}  # at most


def data_folder():
    """The folder with mnist/*.gz: FASTNET_DATA, else ../shared/data beside the checkout; None if it does not exist."""
    folder = Path(os.environ.get("FASTNET_DATA") or ROOT.parent / "shared" / "data") / "mnist"
    return folder if (folder / "train-images-idx3-ubyte.gz").exists() else None


def load():
    """Read (x, y), (x_test, y_test): uint8 images (n, 28, 28) and labels (n,), the same way for all contenders."""

    def read(name, offset):
        with gzip.open(data_folder() / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=offset)

    return [
        (read(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28), read(f"{part}-labels-idx1-ubyte.gz", 8))
        for part in ("train", "t10k")
    ]


def dense(layers):
    """The layers of 784-512-10."""
    return [layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dropout(0.2), layers.Dense(10)]


def convnet(layers):
    """The layers of the network of Keras's example "Simple MNIST convnet"."""
    return [
        layers.Reshape((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Flatten(), layers.Dropout(0.5), layers.Dense(10),
    ]  # fmt: skip


def model(library, network=dense, rate=1e-3, **options):
    """The network of Keras or fastnet, compiled."""
    layers = library.layers
    model = library.Sequential([layers.Input((28, 28)), layers.Rescaling(1 / 255), *network(layers)])
    model.compile(
        optimizer=library.optimizers.Adam(rate),
        loss=library.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **options,
    )
    return model


def train_sequential(library, seed, network=dense, rate=1e-3):
    """Train with Keras or fastnet by the same lines: seconds of `fit` and test accuracy."""
    (x, y), (x_test, y_test) = load()
    library.utils.set_random_seed(seed)
    trained = model(library, network, rate)
    start = time.perf_counter()
    trained.fit(x, y, epochs=EPOCHS, batch_size=BATCH, validation_split=0.1, verbose=0)
    return time.perf_counter() - start, trained.evaluate(x_test, y_test, verbose=0)[1]


def train_fastnet(seed):
    import fastnet

    return train_sequential(fastnet, seed)


def train_convnet(seed):
    """With a rate that falls to 0: 0.9916, from 4e-3 on 0.9908; 0.987 with 1e-3 all along (means of 4 to 9 seeds)."""
    import fastnet

    steps = EPOCHS * -(-54_000 // BATCH)
    return train_sequential(fastnet, seed, convnet, fastnet.optimizers.schedules.CosineDecay(8e-3, steps))


def train_keras(seed):
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    return train_sequential(keras, seed)


def train_sklearn(seed):
    """Train the nearest network of scikit-learn: it has no dropout, and a validation split would stop early."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore", ConvergenceWarning)  # five epochs are measured
    (x, y), (x_test, y_test) = load()
    x, x_test = [a.reshape(len(a), -1).astype(np.float32) / 255 for a in (x[:54_000], x_test)]
    net = MLPClassifier((512,), batch_size=BATCH, max_iter=EPOCHS, alpha=0.0, random_state=seed)
    start = time.perf_counter()
    net.fit(x, y[:54_000])
    return time.perf_counter() - start, net.score(x_test, y_test)


TRAINERS = {"fastnet": train_fastnet, "convnet": train_convnet, "keras": train_keras, "sklearn": train_sklearn}


def in_process(name, seed):
    """Train in a fresh process: (seconds of fit, test accuracy)."""
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.bench_mnist", name, str(seed)], cwd=ROOT,
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def run(quick=False, only=None):
    """Train three seeds of every installed contender in turns, and report fastnet's accuracy and speed."""
    if data_folder() is None:
        print("mnist: skipped, no data (set FASTNET_DATA to a folder with mnist/*.gz)")
        return []
    names = only or [name for name in TRAINERS if name in OWN or peers.installed(name)]
    seeds = range(1 if quick else 3)
    results = {name: [] for name in names}
    for name in OWN:
        if name in names:
            in_process(name, 0)  # fills the kernel cache (bench_start.py measures that)
    for seed in seeds:
        for name in names:
            results[name].append(in_process(name, seed))
    best = {name: min(seconds for seconds, _ in runs) for name, runs in results.items()}
    rows = []
    for name, runs in results.items():
        rows.append(report.figure(f"{name}: fit, best", best[name], "s", SECONDS.get(name)))
        accuracy = statistics.mean(accuracy for _, accuracy in runs)
        floor = ACCURACIES.get(name)
        rows.append(report.figure(f"{name}: test accuracy, mean", accuracy, "", floor, at_least=True))
    for name, floor in SPEEDUPS.items():
        if name in best and "fastnet" in best:
            rows.append(report.figure(f"{name} / fastnet", best[name] / best["fastnet"], "x", floor, at_least=True))
    notes = f"784-512-10, dropout 0.2, batch {BATCH}, {EPOCHS} epochs, {len(seeds)} seeds, 10 % for validation"
    notes += "\nconvnet: fastnet's conv32-pool-conv64-pool, dropout 0.5, as many epochs, cosine decay from 8e-3"
    notes += "\nfastnet's kernels are cached; Keras compiles in every process, and that is part of its time"
    report.show("mnist", rows, machine.describe(), notes=notes)
    report.margins("mnist", rows)
    return rows


@pytest.mark.skipif(data_folder() is None, reason="no MNIST: set FASTNET_DATA")
def test_mnist(benchmark):
    pytest.importorskip("fastnet")
    _, accuracy = benchmark.pedantic(in_process, ("fastnet", 0), rounds=1)
    assert accuracy > 0.97


if __name__ == "__main__":
    print(json.dumps(TRAINERS[sys.argv[1]](int(sys.argv[2]))))
