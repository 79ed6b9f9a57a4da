"""Trainings that are broken off and go on: what tests of resuming and of backups share."""

import json
import time

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, layers

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
