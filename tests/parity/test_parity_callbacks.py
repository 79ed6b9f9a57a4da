"""Callbacks do what Keras's do: the order of calls, the logs, when training stops, what is saved and restored.

One model of each library serves all tests: Keras compiles a step once. What a callback follows is scripted: `Script`
puts the values of a case into the logs, and the epoch's number into the weights.
"""

import csv
from dataclasses import dataclass, field

import numpy as np
import pytest

import fastnet

keras = pytest.importorskip("keras")
# Where an epoch has no value of what is followed, both say so.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is not available|.*not in the logs|Can save best model only:UserWarning"),
    # Keras asks for the suffix .weights.h5; fastnet warns that its format is another one.
    pytest.mark.filterwarnings("ignore:.* is written in fastnet's format:UserWarning"),
]

LIBRARIES = [keras, fastnet]
ROWS, BATCH = 13, 5


def build(lib):
    model = lib.Sequential([lib.layers.Input((3,)), lib.layers.Dense(2, use_bias=True), lib.layers.Dense(1)])
    model.compile(lib.optimizers.SGD(0.1), "mse", metrics=["mae", "binary_accuracy"])
    return model


MODELS = {}


@pytest.fixture
def models():
    """Both models, with the same weights and learning rates."""
    if not MODELS:
        MODELS.update({lib: build(lib) for lib in LIBRARIES})
    rng = np.random.default_rng(0)
    values = [rng.normal(size=w.shape) / 4 for w in MODELS[fastnet].get_weights()]
    for model in MODELS.values():
        model.set_weights(values)
        model.optimizer.learning_rate = 0.1
    return MODELS


def data():
    rng = np.random.default_rng(1)
    return rng.normal(size=(ROWS, 3)).astype(np.float32), rng.normal(size=(ROWS, 1)).astype(np.float32)


# ---- the order of calls

HOOKS = [name for name in dir(keras.callbacks.Callback) if name.startswith("on_")]


def recorder(lib, calls, stop=None):
    """A callback of all hooks, which stops training at the call ``stop``."""

    def record(name):
        def hook(self, *args, **more):
            *position, logs = [*args, *more.values()]
            calls.append((name, *position, sorted(logs)))
            if calls[-1][:-1] == stop:
                self.model.stop_training = True

        return hook

    return type("Recorder", (lib.callbacks.Callback,), {name: record(name) for name in HOOKS})()


CALLS = {
    "fit": lambda m, x, y, **k: m.fit(x, y, batch_size=BATCH, epochs=2, verbose=0, shuffle=False, **k),
    "validation": lambda m, x, y, **k: m.fit(x, y, batch_size=BATCH, epochs=2, verbose=0, validation_data=(x, y), **k),
    "seldom": lambda m, x, y, **k: m.fit(
        x, y, batch_size=BATCH, epochs=4, verbose=0, validation_data=(x, y), validation_freq=2, **k
    ),
    "later": lambda m, x, y, **k: m.fit(x, y, batch_size=BATCH, epochs=4, initial_epoch=2, verbose=0, **k),
    "never": lambda m, x, y, **k: m.fit(x, y, batch_size=BATCH, epochs=0, verbose=0, **k),
    "evaluate": lambda m, x, y, **k: m.evaluate(x, y, batch_size=BATCH, verbose=0, **k),
    "predict": lambda m, x, y, **k: m.predict(x, batch_size=BATCH, verbose=0, **k),
}


STOPS = [None, ("on_train_batch_end", 1), ("on_epoch_end", 0), ("on_epoch_begin", 0), ("on_train_begin",)]


@pytest.mark.parametrize("stop", STOPS, ids=str)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_order_of_calls(call, stop, models):
    recorded = []
    for lib, model in models.items():
        calls = []
        call(model, *data(), callbacks=[recorder(lib, calls, stop)])
        recorded.append(calls)
    assert recorded[0]
    assert recorded[1] == recorded[0]


def test_logs_of_batches_are_means_so_far(models):
    losses = []
    for lib, model in models.items():
        seen = []
        watch = lib.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs, seen=seen: seen.append(dict(logs)))
        model.fit(*data(), batch_size=BATCH, verbose=0, shuffle=False, callbacks=[watch])
        losses.append([[logs[name] for name in ("loss", "mae", "binary_accuracy")] for logs in seen])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


# ---- callbacks that follow a log


def script(lib, name, values):
    """A callback, to be the first, that lets the log ``name`` have these values, the last bias the epoch's number."""

    class Script(lib.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch < len(values) and values[epoch] is not None:
                logs[name] = values[epoch]
            weights = self.model.get_weights()
            weights[-1][:] = epoch
            self.model.set_weights(weights)

    return Script()


@dataclass
class Case:
    """A callback with its arguments, and the values it sees."""

    callback: str
    values: list
    options: dict = field(default_factory=dict)
    monitor: str = "val_loss"

    def __str__(self):
        return f"{self.callback} {self.monitor} {self.options} {self.values}"


NAN, INF = float("nan"), float("inf")
SERIES = [  # without NaN in front, which stays the best in Keras
    [5, 4, 3, 2, 1, 1],
    [1, 2, 3, 4, 5, 6],
    [3, 2, 2.5, 2.4, 1, 1.5, 1.5, 1.5],
    [1, 1, 1, 1, 1],
    [2, NAN, NAN, 1, 3],
    [3, INF, 2, -INF, 1],
    [None, 3, None, 2, 4, 4],
    [0.5, 0.495, 0.49, 0.44, 0.43, 0.42, 0.41],
]
OPTIONS = {
    "EarlyStopping": [
        {},
        {"patience": 2, "restore_best_weights": True},
        {"patience": 1, "min_delta": 0.03, "restore_best_weights": True},
        {"patience": 2, "baseline": 2.2, "restore_best_weights": True},
        {"patience": 1, "start_from_epoch": 3, "restore_best_weights": True},
        {"patience": 2, "mode": "max"},
        {"patience": 100, "restore_best_weights": True},
    ],
    "ReduceLROnPlateau": [
        {"patience": 1},
        {"patience": 2, "factor": 0.5, "cooldown": 1},
        {"patience": 1, "factor": 0.5, "cooldown": 2, "min_delta": 0.1},
        {"patience": 1, "factor": 0.25, "min_lr": 0.03, "mode": "max"},
    ],
    "ModelCheckpoint": [
        {"save_best_only": True},
        {"save_best_only": True, "mode": "max"},
        {"save_best_only": True, "initial_value_threshold": 2.2},
        {"save_freq": 2},
        {"save_freq": 7},
        {},
    ],
}
CASES = [Case(name, values, options) for name, rows in OPTIONS.items() for options in rows for values in SERIES]
CASES += [
    Case("EarlyStopping", [1, 2, 3, 2, 1], {"patience": 1}, "val_binary_accuracy"),
    Case("EarlyStopping", [1, 2, 3, 2, 1], {"patience": 1}, "binary_accuracy"),
    Case("EarlyStopping", [1, 2, 3, 2, 1], {"patience": 1}, "mae"),
    Case("EarlyStopping", [1, 2, 3, 2, 1], {"patience": 1}, "loss"),
    Case("ReduceLROnPlateau", [1, 2, 3, 2, 1], {"patience": 1}, "binary_accuracy"),
]


def outcome(lib, model, case, folder):
    """What the callback did: epochs, best values, files; learning rates, what is saved and what the model has."""
    folder.mkdir()
    options = dict(case.options)
    if case.callback == "ModelCheckpoint":
        # val_loss is only in the logs of epochs, so names of files saved after steps have the loss's place alone.
        name = "{epoch}-{batch}" if isinstance(options.get("save_freq"), int) else "{epoch:02d}"
        options |= {"filepath": str(folder / f"{name}.weights.h5"), "save_weights_only": True}
    callback = getattr(lib.callbacks, case.callback)(monitor=case.monitor, **options)
    group = [script(lib, case.monitor, case.values), callback]
    history = model.fit(*data(), BATCH, len(case.values), verbose=0, callbacks=group, shuffle=False)
    names = ("best", "best_epoch", "wait", "stopped_epoch", "cooldown_counter")
    numbers = {name: getattr(callback, name) for name in names if hasattr(callback, name)}
    saved = {}
    for path in sorted(folder.iterdir()):
        model.load_weights(path)
        saved[path.name] = float(model.get_weights()[-1][0])
    rates = history.history.get("learning_rate", [])
    close = [*rates, *saved.values(), float(model.get_weights()[-1][0])]
    return {"epochs": history.epoch, **numbers, "saved": list(saved)}, close


@pytest.mark.parametrize("case", CASES, ids=str)
def test_callbacks_that_follow_a_log(case, models, tmp_path):
    (theirs, their_numbers), (ours, our_numbers) = (
        outcome(lib, model, case, tmp_path / lib.__name__) for lib, model in models.items()
    )
    np.testing.assert_equal(ours, theirs)
    np.testing.assert_allclose(our_numbers, their_numbers, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint"])
def test_a_direction_that_nobody_knows(name, models, tmp_path):
    options = {"filepath": str(tmp_path / "a.weights.h5"), "save_weights_only": True, "save_best_only": True}
    for lib, model in models.items():
        callback = getattr(lib.callbacks, name)(monitor="own", **(options if name == "ModelCheckpoint" else {}))
        with pytest.raises(ValueError, match="mode='max'"):
            model.fit(*data(), BATCH, 2, verbose=0, callbacks=[script(lib, "own", [1, 2]), callback])


# ---- the others


@pytest.mark.parametrize("schedule", [lambda epoch, rate: rate * 0.5, lambda epoch: 0.1 / (1 + epoch)])
def test_learning_rate_scheduler(schedule, models):
    histories = []
    for lib, model in models.items():
        scheduler = lib.callbacks.LearningRateScheduler(schedule)
        histories.append(model.fit(*data(), BATCH, 4, verbose=0, shuffle=False, callbacks=[scheduler]).history)
    assert sorted(histories[1]) == sorted(histories[0])
    for name in histories[0]:
        np.testing.assert_allclose(histories[1][name], histories[0][name], rtol=1e-4)


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize("separator", [",", ";"])
def test_csv_logger(validation, separator, models, tmp_path):
    tables = []
    for lib, model in models.items():
        path = tmp_path / f"{lib.__name__}.csv"
        for append in (False, True):
            logger = lib.callbacks.CSVLogger(str(path), separator, append)
            more = {"validation_data": data(), "validation_freq": 2} if validation else {}
            model.fit(*data(), BATCH, 4, verbose=0, shuffle=False, initial_epoch=1, callbacks=[logger], **more)
        with open(path, newline="") as file:
            tables.append(list(csv.reader(file, delimiter=separator)))
    theirs, ours = tables
    assert [len(row) for row in ours] == [len(row) for row in theirs]
    assert ours[0] == theirs[0]
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        numbers = [np.array([NAN if cell in ("NA", "") else float(cell) for cell in row]) for row in (mine, other)]
        np.testing.assert_allclose(*numbers, rtol=1e-4)
        assert [cell == "NA" for cell in mine] == [cell == "NA" for cell in other]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("row", [0, 7])
def test_terminate_on_nan(row, models, capsys):
    recorded = []
    for lib, model in models.items():
        x, y = data()
        x[row] = NAN
        calls = []
        group = [recorder(lib, calls), lib.callbacks.TerminateOnNaN()]
        history = model.fit(x, y, BATCH, 3, verbose=0, shuffle=False, callbacks=group)
        assert np.isnan(history.history["loss"]).all()
        recorded.append(calls)
        assert f"Batch {row // BATCH}: Invalid loss, terminating training" in capsys.readouterr().out
        model.set_weights([np.zeros(w.shape) for w in model.get_weights()])  # Keras's are NaN now
        with pytest.raises(RuntimeError, match=f"NaN or Inf loss encountered at batch {row // BATCH}"):
            model.fit(x, y, BATCH, 3, verbose=0, shuffle=False, callbacks=[lib.callbacks.TerminateOnNaN(True)])
    assert recorded[1] == recorded[0]


def test_backup_and_restore(models, tmp_path):
    results = []
    for lib, model in models.items():
        epochs = []

        def train(lib=lib, model=model, epochs=epochs, hooks=()):
            backup = lib.callbacks.BackupAndRestore(str(tmp_path / lib.__name__))
            seen = lib.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
            model.fit(*data(), BATCH, 5, verbose=0, shuffle=False, callbacks=[backup, seen, *hooks])

        class Break(lib.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 3:
                    raise KeyError

        with pytest.raises(KeyError):
            train(hooks=[Break()])
        assert (tmp_path / lib.__name__).exists()
        model.set_weights([np.zeros(w.shape) for w in model.get_weights()])
        train()
        assert not (tmp_path / lib.__name__).exists()
        results.append((epochs, model.get_weights()))
    assert results[1][0] == results[0][0] == [0, 1, 2, 3, 3, 4]
    for ours, theirs in zip(results[1][1], results[0][1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("on_epoch", [False, True])
def test_swap_ema_weights(on_epoch, models):
    values, results = models[fastnet].get_weights(), []
    for lib in LIBRARIES:
        model = lib.Sequential([lib.layers.Input((3,)), lib.layers.Dense(2), lib.layers.Dense(1)])
        model.compile(lib.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7), "mse")
        model.set_weights(values)
        seen = []

        class See(lib.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None, seen=seen):
                seen.append(np.concatenate([w.ravel() for w in self.model.get_weights()]))

        group = [lib.callbacks.SwapEMAWeights(on_epoch), See()]
        history = model.fit(
            *data(), BATCH, 3, verbose=0, shuffle=False, callbacks=group, validation_data=data()
        ).history
        results.append([history["loss"], history["val_loss"], *seen, *model.get_weights()])
    for ours, theirs in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_signatures_are_keras_signatures():
    import inspect

    extra = {"BackupAndRestore": {"seconds"}}
    left_out = {"ReduceLROnPlateau": {"kwargs"}}
    for name in (
        "EarlyStopping", "ModelCheckpoint", "LearningRateScheduler", "ReduceLROnPlateau", "CSVLogger", "TerminateOnNaN",
        "LambdaCallback", "BackupAndRestore", "SwapEMAWeights", "CallbackList", "History", "ProgbarLogger",
    ):  # fmt: skip
        theirs, ours = (inspect.signature(getattr(lib.callbacks, name)).parameters for lib in LIBRARIES)
        wanted = [p for p in theirs if p not in left_out.get(name, ())]
        given = [p for p in ours if p not in extra.get(name, ())]
        if name == "LambdaCallback":
            wanted, given = wanted[:-1], given[:-1]  # kwargs
        if name == "CallbackList":
            assert wanted == given
        else:
            assert given == wanted, name
        for p in given:
            if theirs[p].kind is not inspect.Parameter.VAR_KEYWORD:
                assert ours[p].default == theirs[p].default, (name, p)
