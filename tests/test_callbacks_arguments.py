"""What callbacks are given is looked at when they are made: errors name the callback, the argument and the remedy."""

from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, layers

NAN = float("nan")
BAD = [  # callback, its arguments, parts of the message
    *(
        (name, {argument: value}, [f"{name}: {argument} must be", repr(value)])
        for name in ("EarlyStopping", "ReduceLROnPlateau")
        for argument, values in {
            "patience": ["a", NAN, -1, 1.5, None, True],
            "min_delta": ["a", NAN, float("inf"), None],
            "monitor": [None, "", 3],
            "mode": ["up", None, ["min"]],
            "verbose": ["a", -1, None, 0.5],
        }.items()
        for value in values
    ),
    ("EarlyStopping", {"baseline": "a"}, ["EarlyStopping: baseline must be a number", "'a'"]),
    ("EarlyStopping", {"baseline": NAN}, ["EarlyStopping: baseline", "not NaN"]),
    ("EarlyStopping", {"start_from_epoch": "x"}, ["EarlyStopping: start_from_epoch must be an integer", "'x'"]),
    ("EarlyStopping", {"start_from_epoch": -1}, ["EarlyStopping: start_from_epoch", "at least 0"]),
    ("EarlyStopping", {"restore_best_weights": "no"}, ["restore_best_weights must be True or False", "'no'"]),
    ("ReduceLROnPlateau", {"factor": "a"}, ["ReduceLROnPlateau: factor", "at least 0 and below 1", "'a'"]),
    ("ReduceLROnPlateau", {"factor": 1.0}, ["ReduceLROnPlateau: factor", "at least 0 and below 1", "1.0"]),
    ("ReduceLROnPlateau", {"factor": NAN}, ["ReduceLROnPlateau: factor"]),
    ("ReduceLROnPlateau", {"factor": 0}, ["factor=0 with min_lr=0", "give a factor above 0, or a min_lr"]),
    ("ReduceLROnPlateau", {"min_lr": NAN}, ["ReduceLROnPlateau: min_lr", "nan"]),
    ("ReduceLROnPlateau", {"min_lr": -1}, ["ReduceLROnPlateau: min_lr", "not negative"]),
    ("ReduceLROnPlateau", {"cooldown": -1}, ["ReduceLROnPlateau: cooldown must be an integer of at least 0"]),
    ("LearningRateScheduler", {"schedule": "a"}, ["LearningRateScheduler: schedule must be a function", "'a'"]),
    ("LearningRateScheduler", {"schedule": 3}, ["LearningRateScheduler: schedule must be a function", "received 3"]),
    ("LearningRateScheduler", {"schedule": lambda: 0.1}, ["function of (epoch, learning_rate)"]),
    ("LearningRateScheduler", {"schedule": lambda e, r, *, k: 0.1}, ["function of (epoch, learning_rate)"]),
    ("LearningRateScheduler", {"schedule": abs, "verbose": "x"}, ["LearningRateScheduler: verbose"]),
    ("ModelCheckpoint", {"filepath": ""}, ["ModelCheckpoint: filepath", "empty"]),
    ("ModelCheckpoint", {"filepath": "{epoch"}, ["ModelCheckpoint: filepath '{epoch'", "not a format", "expected '}'"]),
    ("ModelCheckpoint", {"filepath": "epoch}"}, ["ModelCheckpoint: filepath", "not a format"]),
    ("ModelCheckpoint", {"filepath": "a{epoch:q}"}, ["{epoch:q}", "'epoch', which is an integer"]),
    ("ModelCheckpoint", {"filepath": "a{epoch!q}"}, ["ModelCheckpoint: filepath 'a{epoch!q}'"]),
    ("ModelCheckpoint", {"filepath": "a{epoch.first}"}, ["{epoch.first:}", "'epoch'"]),
    ("ModelCheckpoint", {"filepath": "a{val_loss:d}"}, ["{val_loss:d}", "'val_loss', which is a number"]),
    ("ModelCheckpoint", {"filepath": "a{}"}, ["a field without a name", "{epoch}"]),
    ("ModelCheckpoint", {"filepath": "a{0}"}, ["a field without a name"]),
    ("ModelCheckpoint", {"filepath": "a{batch}"}, ["asks for {batch}", "save_freq"]),
    ("ModelCheckpoint", {"filepath": "a{val_mae}", "save_freq": 5}, ["asks for {val_mae}", "save_freq='epoch'"]),
    ("ModelCheckpoint", {"filepath": "a", "initial_value_threshold": "x"}, ["initial_value_threshold", "'x'"]),
    ("ModelCheckpoint", {"filepath": "a", "save_freq": 0}, ["save_freq must be 'epoch' or a positive number"]),
    ("ModelCheckpoint", {"filepath": "a", "save_freq": np.arange(2)}, ["save_freq must be 'epoch' or a positive"]),
    ("ModelCheckpoint", {"filepath": "a", "save_best_only": 1}, ["save_best_only must be True or False", "received 1"]),
    ("ModelCheckpoint", {"filepath": "a", "save_weights_only": None}, ["save_weights_only must be True or False"]),
    ("ModelCheckpoint", {"filepath": "a", "monitor": None}, ["ModelCheckpoint: monitor"]),
    ("CSVLogger", {"filename": ""}, ["CSVLogger: filename", "empty"]),
    *(("CSVLogger", {"filename": "a", "separator": s}, ["CSVLogger: separator", repr(s)]) for s in (3, "", ", ", '"')),
    ("CSVLogger", {"filename": "a", "append": "x"}, ["CSVLogger: append must be True or False", "'x'"]),
    ("TerminateOnNaN", {"raise_error": "x"}, ["TerminateOnNaN: raise_error must be True or False"]),
    ("SwapEMAWeights", {"swap_on_epoch": 1}, ["SwapEMAWeights: swap_on_epoch must be True or False"]),
    ("BackupAndRestore", {"backup_dir": "b", "seconds": "x"}, ["BackupAndRestore: seconds must be a number", "'x'"]),
    ("BackupAndRestore", {"backup_dir": "b", "seconds": NAN}, ["BackupAndRestore: seconds"]),
    ("BackupAndRestore", {"backup_dir": "b", "double_checkpoint": 1}, ["double_checkpoint must be True or False"]),
    ("BackupAndRestore", {"backup_dir": "b", "delete_checkpoint": 0}, ["delete_checkpoint must be True or False"]),
]


@pytest.mark.parametrize(("name", "arguments", "parts"), BAD)
def test_bad_arguments(name, arguments, parts):
    with pytest.raises(ValueError) as caught:
        getattr(callbacks, name)(**arguments)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "argument"),
    [("ModelCheckpoint", "filepath"), ("CSVLogger", "filename"), ("BackupAndRestore", "backup_dir")],
)
def test_what_is_no_path(name, argument):
    for wrong in (None, 3, b"a"):
        with pytest.raises(TypeError, match=f"{name}: {argument} must be a string or a path, received {wrong!r}"):
            getattr(callbacks, name)(**{argument: wrong})


def test_good_arguments():
    """numpy's numbers and truths are numbers and truths."""
    yes = np.bool_(True)
    stopping = callbacks.EarlyStopping("loss", np.float32(0.5), np.int64(3), yes, "min", np.inf, yes, np.int8(2))
    assert (stopping.patience, stopping.min_delta, stopping.verbose, stopping.baseline) == (3, 0.5, 1, np.inf)
    assert stopping.restore_best_weights is True and stopping.start_from_epoch == 2
    assert callbacks.ReduceLROnPlateau(factor=0, min_lr=0.25).factor == 0
    assert callbacks.EarlyStopping(min_delta=-0.5).min_delta == 0.5
    for path in ("{epoch:02d}-{val_loss:.2f}-{any:q}", "{{literal}}", "{epoch!r:>5}", "{loss:.{epoch}f}", Path("a")):
        callbacks.ModelCheckpoint(path)
    callbacks.ModelCheckpoint("{epoch}-{batch}-{loss:.2f}", save_freq=np.int64(5))
    callbacks.CSVLogger("a", "\t", np.bool_(False))
    callbacks.BackupAndRestore("b", np.int32(5), seconds=np.float64(2.5))


def fit(*group, epochs=1, **more):
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((4, 2))
    return model.fit(x, x[:, :1], epochs=epochs, verbose=0, callbacks=list(group), **more)


def test_an_error_of_the_schedule_is_its_own():
    def broken(epoch, rate):
        return rate + None

    with pytest.raises(TypeError, match="unsupported operand") as caught:
        fit(callbacks.LearningRateScheduler(broken))
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("schedule", "rate"),
    [
        (lambda epoch: 0.5, 0.5),
        (lambda epoch, rate=None: 0.5 if rate is None else rate * 2, 0.02),
        (lambda *given: float(len(given)), 2.0),
        (fastnet.optimizers.schedules.ExponentialDecay(0.125, 1, 0.5), 0.125),
        (max, None),  # of (0, 0.01)
    ],
)
def test_schedules_of_every_form(schedule, rate):
    history = fit(callbacks.LearningRateScheduler(schedule)).history
    assert history["learning_rate"] == [pytest.approx(rate or 0.01)]


def test_a_log_that_does_not_fit_the_name_of_the_file(tmp_path):
    adds = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(text="a"))
    with pytest.raises(ValueError, match=r"ModelCheckpoint: the file name .*\{text:d\}' does not fit the logs"):
        fit(adds, callbacks.ModelCheckpoint(f"{tmp_path}/{{text:d}}"))


def test_a_state_no_file_can_hold_is_found_before_training(tmp_path):
    class Mine(callbacks.Callback):
        epochs = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.epochs += 1

        def get_state(self):
            return {"it": [object()]}

    mine = Mine()
    with pytest.raises(
        TypeError, match=r"BackupAndRestore: the state of the callback Mine, from get_state\(\): <object"
    ):
        fit(callbacks.BackupAndRestore(tmp_path / "b"), mine)
    assert mine.epochs == 0


def test_a_training_within_a_training():
    again = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    again.on_epoch_end = lambda epoch, logs: again.model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    with pytest.raises(RuntimeError, match="trained already: by another thread, or by the fit that this callback"):
        fit(again)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.compile("sgd", "mae"),
        lambda model: setattr(model, "optimizer", "sgd"),
        lambda model: setattr(model, "loss", "mae"),
        lambda model: model.add(layers.Dense(1)),
        lambda model: model.pop(),
        lambda model: model.layers[0].pop(),
    ],
    ids=["compile", "optimizer", "loss", "add", "pop", "pop of an inner network"],
)
def test_a_model_stays_what_it_is_while_it_trains(change):
    inner = fastnet.Sequential([layers.Input((2,)), layers.Dense(3), layers.Dense(2)])
    model = fastnet.Sequential([inner, layers.Dense(1)])
    model.compile("adam", "mse")
    x, y = np.ones((4, 2)), np.ones((4, 1))
    callback = callbacks.Callback()
    callback.on_epoch_begin = lambda epoch, logs: change(model)
    with pytest.raises(RuntimeError, match="is being trained: by another thread, or by the fit that this callback"):
        model.fit(x, y, verbose=0, callbacks=[callback])
    assert len(model.layers) == len(inner.layers) == 2 and type(model.optimizer) is fastnet.optimizers.Adam
    model.fit(x, y, verbose=0)  # nothing was changed or is held
    change(model)
