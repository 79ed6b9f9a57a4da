"""The cost of callbacks: MNIST's network with and without them, epoch by epoch in turns."""

import statistics
import tempfile
import time
from pathlib import Path

from . import bench_mnist, machine, report

EPOCHS = 4  # in a training: files are written while the next epoch runs, and fit waits for the last one
COST = 0.02  # the largest share of an epoch's time for all callbacks together
GROUPS = ("plain", "progress", "csv", "stopping", "checkpoint", "backup", "all but backup", "all")


def group(name, folder):
    """The callbacks of a row, and the `verbose` of fit."""
    from fastnet import callbacks

    made = {
        "csv": lambda: callbacks.CSVLogger(folder / "log.csv"),
        "stopping": lambda: callbacks.EarlyStopping(patience=1000, restore_best_weights=True),
        "checkpoint": lambda: callbacks.ModelCheckpoint(folder / "model{epoch}"),
        "backup": lambda: callbacks.BackupAndRestore(folder / "backup", seconds=1.0),
    }
    if name.startswith("all"):
        return [make() for part, make in made.items() if part != "backup" or name == "all"], 1
    return [made[name]()] if name in made else [], int(name == "progress")


def epoch(model, data, callbacks, verbose):
    """Seconds of an epoch of `fit` with validation, until the last file is written."""
    (x, y), _ = data
    start = time.perf_counter()
    more = {"epochs": EPOCHS, "verbose": verbose, "callbacks": callbacks}
    model.fit(x, y, batch_size=bench_mnist.BATCH, validation_split=0.1, **more)
    return (time.perf_counter() - start) / EPOCHS


def run(quick=False):
    """Report the median ratio to a plain epoch. The epochs take turns, since other programs then disturb all alike."""
    if bench_mnist.data_folder() is None:
        print("callbacks: skipped, no data (set FASTNET_DATA to a folder with mnist/*.gz)")
        return []
    import fastnet
    from fastnet import layers

    data = bench_mnist.load()
    model = fastnet.Sequential([
        layers.Input((28, 28)), layers.Rescaling(1 / 255), layers.Flatten(),
        layers.Dense(512, activation="relu"), layers.Dropout(0.2),
        layers.Dense(10),
    ])  # fmt: skip
    loss = fastnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    seconds = {name: [] for name in GROUPS}
    with tempfile.TemporaryDirectory() as folder:
        epoch(model, data, *group("plain", Path(folder)))
        for _ in range(1 if quick else 7):
            for name in GROUPS:
                seconds[name].append(epoch(model, data, *group(name, Path(folder))))
    rows = []
    for name in GROUPS[1:]:
        ratio = statistics.median(with_it / without for with_it, without in zip(seconds[name], seconds["plain"]))
        floor = COST if name == "all but backup" else None
        rows.append(report.figure(f"{name}: share of a plain epoch", ratio - 1, "", floor))
    rows.append(report.figure("a plain epoch", statistics.median(seconds["plain"]), "s"))
    report.show("callbacks", rows, machine.describe())
    report.margins("callbacks", rows)
    return rows


if __name__ == "__main__":
    run()
