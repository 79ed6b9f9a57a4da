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
import time

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, layers
from fastnet.saving import SavedFileError
from fastnet.saving.archive import Packed
from fastnet.saving.writer import Writer

KILLS = int(os.environ.get("FASTNET_KILLS", 5))
EPOCHS = 12


def make(schedule=True, units=32):
    fastnet.utils.set_random_seed(7)
    model = fastnet.Sequential(
        [
            layers.Input((12,)),
            layers.Dense(units, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.25),
            layers.Dense(3, activation="softmax"),
        ]
    )
    optimizer = fastnet.optimizers.Adam(learning_rate=decay if schedule else 0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def decay(step):
    return 0.01 / (1 + 0.001 * step)


def data(rows=403):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, 12)).astype(np.float32)
    return x, (x @ rng.normal(size=(12, 3))).argmax(1)


def everything(model, history, stopping):
    """All that comes out of a training."""
    optimizer = model.optimizer
    states = [v.array for w in model.weights for v in optimizer.states.get(w, ())]
    arrays = [*model.get_weights(), *states, *(stopping.best_weights or [])]
    counts = [stopping.wait, stopping.best_epoch, stopping.stopped_epoch, optimizer.iterations]
    counts += [model._trainer.epochs_done, model._trainer.seed]
    numbers = [history.history, history.epoch, stopping.best, optimizer.learning_rate, counts]
    return [a.tobytes().hex() for a in arrays] + [json.dumps(numbers)]


class Slow(callbacks.Callback):
    """A training of three steps at a time, each of which takes some milliseconds."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def steps_wanted(self):
        return 3

    def on_progress(self, step, logs=None):
        time.sleep(self.seconds)


def run(folder, more=(), pause=0.0, **backup):
    """Train, or go on; what comes out."""
    model = make()
    x, y = data()
    stopping = callbacks.EarlyStopping("val_accuracy", patience=5, mode="max", restore_best_weights=True)
    group = [stopping, Slow(pause), callbacks.CSVLogger(f"{folder}.csv"), *more]
    if backup:
        group.insert(0, callbacks.BackupAndRestore(folder, **backup))
    history = model.fit(x, y, 8, EPOCHS, verbose=0, callbacks=group, validation_split=0.2)
    return everything(model, history, stopping)


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


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What comes out of a training that nothing disturbs, and its CSV file."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return run(folder), (folder.parent / "run.csv").read_text()


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


class Interrupted(Exception):
    pass


class Interrupt(callbacks.Callback):
    """Raises at the n-th call of a hook."""

    def __init__(self, hook, n):
        self.left = n
        setattr(self, hook, self._count)

    def _count(self, *_):
        self.left -= 1
        if self.left == 0:
            raise Interrupted


def interrupted(folder, hook, n, **backup):
    with pytest.raises(Interrupted):
        run(folder, [Interrupt(hook, n)], **backup)


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


class Batches(fastnet.utils.PyDataset if hasattr(fastnet.utils, "PyDataset") else object):
    def __init__(self, x, y):
        super().__init__()
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


INPUTS = {
    "shuffled": lambda x, y: {"x": x, "y": y, "batch_size": 16},
    "in order": lambda x, y: {"x": x, "y": y, "batch_size": 16, "shuffle": False},
    "shuffled in batches": lambda x, y: {"x": x, "y": y, "batch_size": 16, "shuffle": "batch"},
    "over several epochs": lambda x, y: {"x": x, "y": y, "batch_size": 16, "steps_per_epoch": 7},
    "PyDataset": lambda x, y: {"x": Batches(x, y)},
    "PyDataset over several epochs": lambda x, y: {"x": Batches(x, y), "steps_per_epoch": 16},
    "list of batches": lambda x, y: {"x": pairs(x, y)},
    "generator": lambda x, y: {"x": endless(x, y), "steps_per_epoch": 12},
    "validated by a generator": lambda x, y: {
        "x": x,
        "y": y,
        "batch_size": 16,
        "validation_data": endless(x, y),
        "validation_steps": 3,
    },
}


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


def test_a_backup_waits_for_the_files_it_knows_of(tmp_path, monkeypatch):
    order, write = [], Packed.write

    def slow(packed, path):
        time.sleep(0.1 if path.name == "best" else 0)
        write(packed, path)
        order.append(path.name)

    monkeypatch.setattr(Packed, "write", slow)
    best = callbacks.ModelCheckpoint(tmp_path / "best", save_weights_only=True)
    make().fit(*data(), epochs=3, verbose=0, callbacks=[best, callbacks.BackupAndRestore(tmp_path / "b")])
    assert order == ["best", "latest.backup"] * 3


# ---- the backup itself


def test_a_callback_of_the_users_remembers(tmp_path):
    class Sum(callbacks.Callback):
        total, array = 0.0, None

        def on_progress(self, step, logs=None):
            self.total += logs["loss"]
            self.array = np.array([self.total])

        def get_state(self):
            return {"total": self.total, "nested": [self.array]}

        def set_state(self, state):
            self.total, self.array = state["total"], state["nested"][0]

    first, second, alone = Sum(), Sum(), Sum()
    interrupted_at = [first, Interrupt("on_progress", 20)]
    with pytest.raises(Interrupted):
        run(tmp_path / "b", interrupted_at, save_freq=1)
    run(tmp_path / "b", [second], save_freq=1)
    run(tmp_path / "c", [alone], save_freq=1)
    assert second.total == alone.total == alone.array[0] and first.total < alone.total


def backup_of(folder, **more):
    interrupted(folder, "on_progress", 20, save_freq=1, **more)
    return folder / "latest.backup"


def test_a_damaged_backup(whole, tmp_path):
    path = backup_of(tmp_path / "b")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SavedFileError, match=r"latest.backup .*damaged.*Delete .* to train from the start"):
        run(tmp_path / "b", save_freq=1)
    assert path.exists()


def test_the_backup_before_stands_in(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(Writer, "is_busy", property(Writer.wait))  # so that none of the 20 is left out
    path = backup_of(tmp_path / "b", double_checkpoint=True)
    assert sorted(p.name for p in path.parent.iterdir()) == ["latest.backup", "previous.backup"]
    path.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="backup before it is used"):
        assert run(tmp_path / "b", save_freq=1, double_checkpoint=True) == whole[0]


def test_a_backup_of_something_else(tmp_path):
    backup_of(tmp_path / "b")

    def fit(model, *args, group=()):
        before = model.get_weights()
        backup = callbacks.BackupAndRestore(tmp_path / "b")
        stopping = callbacks.EarlyStopping("val_accuracy", mode="max")
        group = group or [stopping, Slow(), callbacks.CSVLogger(tmp_path / "log.csv")]
        with pytest.raises(SavedFileError) as caught:
            model.fit(*args, verbose=0, callbacks=[backup, *group], epochs=EPOCHS, validation_split=0.2)
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
        return str(caught.value)

    x, y = data()
    assert "322 rows in batches of 8; fit was given 322 rows in batches of 16" in fit(make(), x, y, 16)
    assert "fit was given 160 rows" in fit(make(), x[:200], y[:200], 8)
    assert "another model" in fit(make(units=31), x, y, 8)
    assert "callbacks ['EarlyStopping', 'CSVLogger', 'History']" in fit(make(), x, y, 8, group=[Slow()])
    other = make()
    other.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert "optimizer Adam, which does not fit this model's (SGD)" in fit(other, x, y, 8)


def test_a_backup_that_cannot_be_written(tmp_path, monkeypatch):
    def fail(*args, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path / "b", save_freq=1)
    assert list((tmp_path / "b").iterdir()) == []


def test_the_good_backup_stays_while_a_newer_one_is_written(whole, tmp_path, monkeypatch):
    path = backup_of(tmp_path / "b")
    good, savez = path.read_bytes(), np.savez

    def half(file, **arrays):
        file.write(b"half")
        assert path.read_bytes() == good
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path / "b", save_freq=1)
    assert path.read_bytes() == good
    monkeypatch.setattr(np, "savez", savez)
    assert run(tmp_path / "b", save_freq=1) == whole[0]


@pytest.mark.parametrize("delete", [True, False])
def test_what_is_deleted_at_the_end(delete, tmp_path):
    (tmp_path / "b").mkdir()
    mine = tmp_path / "b" / "mine"
    mine.write_text("mine")
    run(tmp_path / "b", save_freq=5, double_checkpoint=True, delete_checkpoint=delete)
    left = {"mine"} if delete else {"mine", "latest.backup", "previous.backup"}
    assert {path.name for path in (tmp_path / "b").iterdir()} == left


def test_a_training_that_has_ended_ends_at_once(whole, tmp_path):
    assert run(tmp_path / "b", save_freq="epoch", delete_checkpoint=False) == whole[0]
    steps = []
    again = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    assert run(tmp_path / "b", [again], save_freq="epoch", delete_checkpoint=False) == whole[0]
    assert steps == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"backup_dir": ""}, "empty"),
        ({"backup_dir": "b", "save_freq": 0}, "save_freq .* received 0"),
        ({"backup_dir": "b", "save_freq": "step"}, "save_freq .* received 'step'"),
        ({"backup_dir": "b", "save_freq": True}, "save_freq"),
        ({"backup_dir": "b", "seconds": 0}, "seconds must be positive"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        callbacks.BackupAndRestore(**arguments)
