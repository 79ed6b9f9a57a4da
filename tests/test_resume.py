"""A training that was killed and goes on ends with the same bits as one that was not.

`FASTNET_KILLS=50 pytest tests/test_resume.py -k random -s` kills at that many random moments, and tells where training
went on.
"""

import inspect
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import fastnet
from fastnet import callbacks

from .trainings import EPOCHS, Interrupt, Interrupted, Slow, data, decay, everything, interrupted, make, run

KILLS = int(os.environ.get("FASTNET_KILLS", 5))


# ---- killed


def die(seconds):
    """Kill this process some time after its first steps, when all kernels are there."""

    class Die(callbacks.Callback):
        begun = False

        def safe_point(self, place):
            if not self.begun:
                print(f"went on to epoch {place.epoch}, step {place.step}", flush=True)
                timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
                timer.daemon = True
                timer.start()
                self.begun = True

    return Die()


CHILD = "\n".join(
    [
        "import json, os, signal, sys, threading, time, numpy as np, fastnet",
        "from fastnet import callbacks, layers",
        f"EPOCHS = {EPOCHS}",
        *map(inspect.getsource, (make, decay, data, everything, Slow, run, die)),
        "folder, seconds, backup = sys.argv[1:]",
        "out = run(folder + '/backup', [die(float(seconds))], 0.002, **json.loads(backup))",
        "with open(folder + '/part', 'w') as file:",
        "    json.dump(out, file)",
        "os.replace(folder + '/part', folder + '/result')",
    ]
)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_killed_at_random_moments(whole, tmp_path):
    draw, kills, resumed = random.Random(11), 0, 0
    while kills < KILLS or not (tmp_path / "result").exists():
        if (tmp_path / "result").exists():  # ended before it was killed often enough: once more
            check(tmp_path, whole)
        frequency = draw.choice([{"save_freq": 7}, {"save_freq": "epoch", "seconds": 0.01}, {"save_freq": 1}])
        backup = {**frequency, "double_checkpoint": draw.random() < 0.5}
        seconds = draw.uniform(0, 0.3) if kills < KILLS else 1000
        child = subprocess.run(
            [sys.executable, "-c", CHILD, str(tmp_path), str(seconds), json.dumps(backup)],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert child.returncode in (0, -signal.SIGKILL), child.stderr
        kills += child.returncode != 0
        place = [int(number) for number in re.findall(r"\d+", child.stdout)]
        resumed += place > [0, 3]
        print(
            f"{backup}: {child.stdout.strip()}, {'ended' if child.returncode == 0 else f'killed {seconds:.3f} s later'}"
        )
    check(tmp_path, whole)
    assert resumed > KILLS // 2


def check(folder, whole):
    """The training that has ended did as one that was not killed; make ready for another."""
    assert json.loads((folder / "result").read_text()) == whole[0]
    assert (folder / "backup.csv").read_text() == whole[1]
    assert not (folder / "backup").exists()
    (folder / "result").unlink()


# ---- interrupted, in this process


@pytest.mark.parametrize("backup", [{"save_freq": 1}, {"save_freq": 5}, {"save_freq": 1000, "seconds": 1e-9}, {}])
@pytest.mark.parametrize(
    "hook, n",
    [("on_progress", 1), ("on_progress", 14), ("on_progress", 15), ("on_progress", 90), ("on_epoch_end", 1),
     ("on_epoch_end", 5), ("on_epoch_begin", 1), ("on_epoch_begin", 6), ("on_test_begin", 4), ("on_train_end", 1),
     ("on_train_batch_end", 77), ("on_train_batch_begin", 42)],
)  # fmt: skip
def test_interrupted_in_a_hook(hook, n, backup, whole, tmp_path):
    backup = backup or {"save_freq": "epoch"}
    interrupted(tmp_path / "b", hook, n, **backup)
    assert run(tmp_path / "b", **backup) == whole[0]
    assert (tmp_path / "b.csv").read_text() == whole[1]


def test_resumed_with_another_frequency(whole, tmp_path):
    interrupted(tmp_path / "b", "on_progress", 33, save_freq="epoch")
    interrupted(tmp_path / "b", "on_progress", 33, save_freq=2)
    assert run(tmp_path / "b", save_freq=5) == whole[0]


def test_interrupted_again_and_again(whole, tmp_path):
    for n in (5, 1, 20, 3, 2, 31, 8):
        interrupted(tmp_path / "b", "on_progress", n, save_freq=4)
    assert run(tmp_path / "b", save_freq=4) == whole[0]


def plateau():
    return callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.05, cooldown=1)


def faded():
    return callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9)


class Batches(fastnet.utils.PyDataset):
    def __init__(self, x, y, **options):
        super().__init__(**options)
        self.x, self.y = x, y

    def __len__(self):
        return 40

    def __getitem__(self, index):
        return self.x[10 * index : 10 * index + 10], self.y[10 * index : 10 * index + 10]


def pairs(x, y):
    return [(x[i : i + 10], y[i : i + 10]) for i in range(0, 400, 10)]


def endless(x, y):
    while True:
        yield from pairs(x, y)


def weighted(x, y):
    """Batches of growing sizes, with weights, in arrays that are used again."""
    space, weights = np.empty((39, 12), np.float32), np.empty(39, np.float32)
    while True:
        for first in range(10):
            rows = slice(first, first + 4 * first + 3)
            size = rows.stop - rows.start
            space[:size], weights[:size] = x[rows], np.arange(size) % 3
            yield space[:size], y[rows], weights[:size]


INPUTS = {
    "shuffled": lambda x, y: {"x": x, "y": y, "batch_size": 16},
    "in order": lambda x, y: {"x": x, "y": y, "batch_size": 16, "shuffle": False},
    "shuffled in batches": lambda x, y: {"x": x, "y": y, "batch_size": 16, "shuffle": "batch"},
    "over several epochs": lambda x, y: {"x": x, "y": y, "batch_size": 16, "steps_per_epoch": 7},
    "PyDataset": lambda x, y: {"x": Batches(x, y)},
    "PyDataset over several epochs": lambda x, y: {"x": Batches(x, y), "steps_per_epoch": 16},
    "PyDataset with workers": lambda x, y: {"x": Batches(x, y, workers=3), "class_weight": {0: 3.0, 2: 0.5}},
    "list of batches": lambda x, y: {"x": pairs(x, y)},
    "generator": lambda x, y: {"x": endless(x, y), "steps_per_epoch": 12},
    "generator of weighted batches": lambda x, y: {"x": weighted(x, y), "steps_per_epoch": 13},
    "validated by a generator": lambda x, y: {
        "x": x,
        "y": y,
        "batch_size": 16,
        "validation_data": endless(x, y),
        "validation_steps": 3,
    },
}


@pytest.mark.parametrize("inputs", INPUTS.values(), ids=INPUTS)
@pytest.mark.filterwarnings("ignore:The data ran out")
def test_between_epochs(inputs, tmp_path):
    """The order of the coming epoch is not that of the one before."""

    def train(name, more=()):
        model = make(schedule=False)
        group = [callbacks.BackupAndRestore(tmp_path / name), plateau(), faded(), *more]
        history = model.fit(**inputs(*data()), epochs=4, verbose=0, callbacks=group)
        return everything(model, history, callbacks.EarlyStopping())

    with pytest.raises(Interrupted):
        train("b", [Interrupt("on_epoch_begin", 3)])
    for thread in threading.enumerate():
        if thread.name == "fastnet-writer":
            thread.join()
    assert train("b") == train("whole")


@pytest.mark.parametrize("n", [1, 9, 16, 23])
@pytest.mark.parametrize("inputs", INPUTS.values(), ids=INPUTS)
@pytest.mark.filterwarnings("ignore:The data ran out")
def test_every_kind_of_input(inputs, n, tmp_path):
    def train(name, more=()):
        model = make(schedule=False)
        group = [callbacks.BackupAndRestore(tmp_path / name, save_freq=2), Slow(), plateau(), faded(), *more]
        history = model.fit(**inputs(*data()), epochs=6, verbose=0, callbacks=group)
        return everything(model, history, callbacks.EarlyStopping())

    with pytest.raises(Interrupted):
        train("b", [Interrupt("on_progress", n)])
    assert train("b") == train("whole")


def test_checkpoints_go_on(tmp_path):
    def train(folder, more=()):
        best = callbacks.ModelCheckpoint(
            folder / "best{epoch}-{accuracy:.3f}", "accuracy", save_best_only=True, save_weights_only=True, mode="max"
        )
        often = callbacks.ModelCheckpoint(folder / "step{epoch}-{batch}", save_freq=9, save_weights_only=True)
        backup = callbacks.BackupAndRestore(folder / "b", save_freq=4)
        make().fit(*data(), 16, 5, verbose=0, callbacks=[best, often, backup, *more])
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", [Interrupt("on_train_batch_end", 60)])
    parts, whole = train(tmp_path / "parts"), train(tmp_path / "whole")
    assert len([name for name in whole if name.startswith("step")]) == 130 // 9
    assert sorted(parts) == sorted(whole)
    for name in whole:
        a, b = make(), make()
        a.load_weights(tmp_path / "whole" / name)
        b.load_weights(tmp_path / "parts" / name)
        assert all(np.array_equal(p, q) for p, q in zip(a.get_weights(), b.get_weights(), strict=True))
