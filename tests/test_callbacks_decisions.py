"""What callbacks that follow a log decide, epoch by epoch, worked out by hand; on a model that only takes notes.

`parity/test_parity_callbacks.py` has many more series, and lets Keras say what is right.
"""

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, layers


class Notes:
    """A model whose weights are the number of the last epoch."""

    def __init__(self):
        self.stop_training, self.weights, self.built = False, 0.0, False
        self.optimizer = type("Optimizer", (), {"learning_rate": 1.0, "scheduled": False})()

    def get_weights(self):
        return [np.array([self.weights])]

    def set_weights(self, values):
        self.weights = float(values[0][0])


def follow(callback, values, name="val_loss"):
    """Let the log have these values; (the model, the learning rates after each epoch, epochs that were done)."""
    model, rates = Notes(), []
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch)
        model.weights = float(epoch)
        callback.on_epoch_end(epoch, {name: value})
        rates.append(model.optimizer.learning_rate)
        if model.stop_training:
            break
    callback.on_train_end()
    return model, rates, len(rates)


# ---- stopping

NAN = float("nan")
STOPPING = [  # arguments, values, epochs done, best, best epoch, epoch whose weights the model has
    ({}, [3, 2, 2, 1], 3, 2, 1, 2),  # the same is no improvement
    ({}, [3, 4, 5], 2, 3, 0, 1),
    ({"patience": 2}, [3, 4, 5, 6], 3, 3, 0, 2),
    ({"patience": 2}, [3, 4, 2, 4, 5, 6], 5, 2, 2, 4),
    ({"patience": 2, "restore_best_weights": True}, [3, 4, 2, 4, 5, 6], 5, 2, 2, 2),
    ({"patience": 9, "restore_best_weights": True}, [3, 4, 2, 4], 4, 2, 2, 2),  # it ended by itself
    ({"mode": "max"}, [1, 2, 3, 3, 4], 4, 3, 2, 3),
    ({"mode": "max", "min_delta": 0.5}, [1, 1.5, 2, 3], 2, 1, 0, 1),  # by exactly min_delta is not by more
    ({"min_delta": 0.5, "patience": 2}, [4, 3.5, 3.25, 2.5, 2.25, 2.125], 6, 2.5, 3, 5),
    ({"min_delta": -0.5, "patience": 1}, [4, 3.75, 3, 2], 2, 4, 0, 1),  # its sign does not matter
    ({"baseline": 2.0, "patience": 2}, [5, 4, 3, 2.5, 2.5, 1], 5, 2.5, 3, 4),  # better, and never below the baseline
    ({"baseline": 2.0, "patience": 2}, [5, 4, 1, 1, 1, 1], 5, 1, 2, 4),
    ({"start_from_epoch": 2}, [1, 1, 9, 9, 9], 4, 9, 2, 3),
    ({"start_from_epoch": 2, "patience": 1}, [1, 1, 9, 8, 7, 7], 6, 7, 4, 5),
    ({"patience": 0, "baseline": 0.5}, [2, 1, 3], 3, 1, 1, 2),
    ({"patience": 1, "restore_best_weights": True}, [NAN] * 4, 2, None, 0, 0),  # never the best; the first one stays
    ({"patience": 2, "restore_best_weights": True}, [NAN, 2, NAN, 3], 4, 2, 1, 1),
    ({"patience": 2, "mode": "max"}, [NAN, 1, 2, NAN, NAN], 5, 2, 2, 4),
]


@pytest.mark.parametrize(("arguments", "values", "epochs", "best", "best_epoch", "kept"), STOPPING)
def test_early_stopping(arguments, values, epochs, best, best_epoch, kept):
    stopping = callbacks.EarlyStopping(**arguments)
    model, _, done = follow(stopping, values)
    assert (done, stopping.best, stopping.best_epoch, model.weights) == (epochs, best, best_epoch, kept)
    assert stopping.stopped_epoch == (done - 1 if model.stop_training else 0)


def test_the_first_epoch_never_stops():
    """Also where no value can beat what is there: NaN is never better."""
    stopping = callbacks.EarlyStopping(start_from_epoch=0)
    stopping.on_train_begin()
    model = Notes()
    stopping.set_model(model)
    stopping.best = 0.0
    stopping.on_epoch_end(0, {"val_loss": 1.0})
    assert not model.stop_training
    stopping.on_epoch_end(1, {"val_loss": 1.0})
    assert model.stop_training


def test_early_stopping_begins_anew_with_each_training():
    stopping = callbacks.EarlyStopping(patience=2)
    follow(stopping, [1, 2, 3])
    assert (stopping.best, stopping.wait) == (1, 2)
    _, _, done = follow(stopping, [9, 8, 7, 6])
    assert (done, stopping.best, stopping.stopped_epoch) == (4, 6, 0)


def test_early_stopping_says_so_when_asked(capsys):
    follow(callbacks.EarlyStopping(restore_best_weights=True), [1, 2])
    assert capsys.readouterr().out == ""
    follow(callbacks.EarlyStopping(verbose=1, restore_best_weights=True), [1, 2])
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 2: early stopping",
        "Restoring model weights from the end of the best epoch: 1.",
    ]


# ---- the learning rate

PLATEAUS = [  # arguments, values, learning rates after the epochs; it begins with 1
    ({"patience": 1, "factor": 0.5}, [3, 2, 2, 2, 1], [1, 1, 0.5, 0.25, 0.25]),
    ({"patience": 2, "factor": 0.5}, [3, 3, 3, 3, 3], [1, 1, 0.5, 0.5, 0.25]),
    ({"patience": 2, "factor": 0.5}, [3, 3, 2, 3, 3], [1, 1, 1, 1, 0.5]),
    ({"patience": 1, "factor": 0.5, "cooldown": 2}, [3, 3, 3, 3, 3, 3], [1, 0.5, 0.5, 0.25, 0.25, 0.125]),
    ({"patience": 2, "factor": 0.5, "cooldown": 2}, [3, 3, 3, 3, 3, 3], [1, 1, 0.5, 0.5, 0.5, 0.25]),
    ({"patience": 1, "factor": 0.25, "min_lr": 0.2}, [3, 3, 3, 3], [1, 0.25, 0.2, 0.2]),
    ({"patience": 1, "factor": 0.5, "min_delta": 1.0}, [3, 2, 1.5, 0.9], [1, 0.5, 0.5, 0.25]),
    ({"patience": 1, "factor": 0.5, "mode": "max"}, [1, 2, 2, 3], [1, 1, 0.5, 0.5]),
    ({"patience": 1, "factor": 0.0, "min_lr": 0.125}, [3, 3, 3], [1, 0.125, 0.125]),
    ({"patience": 1, "factor": 0.5}, [NAN, 3, 2, NAN, 1], [0.5, 0.5, 0.5, 0.25, 0.25]),
]


@pytest.mark.parametrize(("arguments", "values", "rates"), PLATEAUS)
def test_reduce_on_plateau(arguments, values, rates):
    assert follow(callbacks.ReduceLROnPlateau(**arguments), values)[1] == rates


def test_a_wait_from_before_does_not_count_after_the_cooldown():
    """As in Keras, the last epoch of the cooldown counts already, as the first one after it."""
    reduce = callbacks.ReduceLROnPlateau(patience=3, factor=0.5, cooldown=1)
    assert follow(reduce, [3] * 8)[1] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert (reduce.wait, reduce.cooldown_counter) == (1, 0)


@pytest.mark.parametrize("rate", [fastnet.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), lambda step: 0.1])
def test_a_schedule_is_not_reduced(rate):
    """Refused before the first step, whatever the patience."""
    model, x = fastnet.Sequential([layers.Input((1,)), layers.Dense(1)]), np.ones((4, 1))
    model.compile(fastnet.optimizers.SGD(rate), "mse")
    before = model.get_weights()
    with pytest.raises(ValueError, match="ReduceLROnPlateau: the learning rate of SGD follows a schedule"):
        model.fit(x, x, epochs=1, verbose=0, callbacks=[callbacks.ReduceLROnPlateau("loss")])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_learning_rates_are_in_the_logs():
    model, x = fastnet.Sequential([layers.Input((1,)), layers.Dense(1)]), np.zeros((4, 1))
    model.compile("sgd", "mse")
    model.optimizer.learning_rate = 0.5
    reduce = callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1)
    assert model.fit(x, x, epochs=3, verbose=0, callbacks=[reduce]).history["learning_rate"] == [0.5, 0.5, 0.25]
    given = []

    def schedule(epoch, rate):
        given.append((epoch, rate))
        return rate * 0.5

    scheduler = callbacks.LearningRateScheduler(schedule)
    assert model.fit(x, x, epochs=2, verbose=0, callbacks=[scheduler]).history["learning_rate"] == [0.0625, 0.03125]
    assert given == [(0, 0.125), (1, 0.0625)]
    older = callbacks.LearningRateScheduler(lambda epoch: 1.0 + epoch)
    assert model.fit(x, x, epochs=2, verbose=0, callbacks=[older]).history["learning_rate"] == [1.0, 2.0]


# ---- which is better


@pytest.mark.parametrize(
    ("name", "larger"),
    [("loss", False), ("val_loss", False), ("accuracy", True), ("val_accuracy", True), ("val_mae", False)],
)
def test_the_direction_follows_from_the_metric(name, larger):
    model = fastnet.Sequential([layers.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["accuracy", "mae"])
    stopping = callbacks.EarlyStopping(name)
    stopping.set_model(model)
    assert stopping.is_improvement(2.0, 1.0) is larger
    assert stopping.is_improvement(1.0, 2.0) is not larger


@pytest.mark.parametrize("kind", ["EarlyStopping", "ReduceLROnPlateau"])
def test_a_log_that_does_not_exist_is_an_error_where_its_direction_is_asked(kind):
    """As in Keras; with mode="min", or for a loss, it is a warning an epoch."""
    model, x = fastnet.Sequential([layers.Input((1,)), layers.Dense(1)]), np.zeros((4, 1))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=f"{kind}: there is no 'val_auc' in the logs, which have: loss"):
        model.fit(x, x, epochs=2, verbose=0, callbacks=[getattr(callbacks, kind)("val_auc")])
    with pytest.warns(UserWarning, match="'val_auc', which is not in the logs"):
        model.fit(x, x, epochs=1, verbose=0, callbacks=[getattr(callbacks, kind)("val_auc", mode="min")])


def test_an_array_has_no_best():
    model, x = fastnet.Sequential([layers.Input((2,)), layers.Dense(2)]), np.zeros((4, 2))
    model.compile("sgd", "mse", metrics=[fastnet.metrics.F1Score(threshold=0.5)])
    stopping = callbacks.EarlyStopping("f1_score")
    with pytest.raises(ValueError, match=r"'f1_score' is an array of shape \(2,\)"):
        model.fit(x, x, epochs=1, verbose=0, callbacks=[stopping])


# ---- a training that diverges


@pytest.mark.parametrize("terminate", [None, False, True], ids=["error", "TerminateOnNaN", "raise_error"])
def test_a_training_that_diverges_leaves_the_best_weights(terminate):
    """The second epoch is the best; the fourth has a rate that overflows."""
    x = np.ones((8, 1), "float32")
    model = fastnet.Sequential([layers.Input((1,)), layers.Dense(1)])
    model.compile(fastnet.optimizers.SGD(0.1), "mse")
    seen, values = [], iter([2.0, 1.0, 3.0, NAN])

    def note(epoch, logs):
        seen.append(model.get_weights())
        logs["val_loss"] = next(values)
        model.optimizer.learning_rate = 1e30 if epoch == 2 else 0.1

    stopping = callbacks.EarlyStopping(patience=9, restore_best_weights=True)
    ends = [] if terminate is None else [callbacks.TerminateOnNaN(terminate)]
    calls = [callbacks.LambdaCallback(on_epoch_end=note), stopping, *ends]
    try:
        model.fit(x, x, 1, 4, verbose=0, callbacks=calls)
        raised = None
    except (fastnet.NonFiniteError, RuntimeError) as error:
        raised = error
    assert all(np.array_equal(a, b) for a, b in zip(seen[1], model.get_weights()))
    assert (raised is None) == (terminate is False)
    if raised is not None:
        assert "set the weights of the best epoch, 2." in str(raised)


# ---- what is saved


@pytest.mark.parametrize(
    ("arguments", "saved"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"save_best_only": True}, [1, 3, 5]),
        ({"save_best_only": True, "mode": "max"}, [1, 2]),
        ({"save_best_only": True, "initial_value_threshold": 2.0}, [5]),
    ],
)
def test_which_epochs_are_saved(arguments, saved, tmp_path):
    model, x = fastnet.Sequential([layers.Input((1,)), layers.Dense(1)]), np.zeros((4, 1))
    model.compile("sgd", "mse")
    values = iter([3.0, 4.0, 2.0, 2.0, 1.0])
    script = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(val_loss=next(values)))
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "{epoch}", **arguments)
    model.fit(x, x, epochs=5, verbose=0, callbacks=[script, checkpoint])
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == saved


@pytest.mark.parametrize("weights_only", [False, True])
def test_what_is_saved_after_so_many_steps(weights_only, tmp_path):
    """Steps are counted over epochs of three; a file of weights is no model."""
    model, x = fastnet.Sequential([layers.Input((1,)), layers.Dense(1)]), np.zeros((6, 1))
    model.compile("sgd", "mse")
    path = tmp_path / "{epoch}-{batch}"
    often = callbacks.ModelCheckpoint(path, save_freq=4, save_weights_only=weights_only)
    model.fit(x, x, 2, 3, verbose=0, callbacks=[often])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["2-1", "3-2"]
    if weights_only:
        with pytest.raises(fastnet.saving.SavedFileError, match="is a file of fastnet weights"):
            fastnet.saving.load_model(tmp_path / "2-1")
    else:
        assert fastnet.saving.load_model(tmp_path / "2-1").optimizer.iterations == 4


def test_a_checkpoint_goes_by_the_best_so_far_and_the_epoch_alone(tmp_path):
    """Not by the last: 2 is worse than 1 that came before, though better than 3; and an epoch's end saves nothing where
    steps are counted."""
    model, x = fastnet.Sequential([layers.Input((1,)), layers.Dense(1)]), np.zeros((4, 1))
    model.compile("sgd", "mse")
    values = iter([1.0, 3.0, 2.0])
    script = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(val_loss=next(values)))
    best = callbacks.ModelCheckpoint(tmp_path / "best{epoch}", save_best_only=True)
    seldom = callbacks.ModelCheckpoint(tmp_path / "seldom{epoch}", save_freq=1000)
    model.fit(x, x, epochs=3, verbose=0, callbacks=[script, best, seldom])
    assert [path.name for path in tmp_path.iterdir()] == ["best1"] and best.best == 1.0


def test_nan_is_never_saved_as_the_best(tmp_path):
    model, x = fastnet.Sequential([layers.Input((1,)), layers.Dense(1)]), np.zeros((4, 1))
    model.compile("sgd", "mse")
    values = iter([NAN, 2.0, NAN, 1.0])
    script = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(val_loss=next(values)))
    best = callbacks.ModelCheckpoint(tmp_path / "{epoch}", save_best_only=True)
    model.fit(x, x, epochs=4, verbose=0, callbacks=[script, best])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "4"]


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin"])
def test_an_epoch_that_begins_has_a_step_when_it_is_to_stop(hook):
    """As in Keras, so that there are logs; without hooks of batches too, where a chunk is many steps."""
    model, x = fastnet.Sequential([layers.Input((1,)), layers.Dense(1)]), np.zeros((64, 1))
    model.compile("sgd", "mse")

    def stop(*position, logs=None):
        model.stop_training = True

    history = model.fit(x, x, 2, epochs=3, verbose=0, callbacks=[callbacks.LambdaCallback(**{hook: stop})])
    assert model.optimizer.iterations == 1 and list(history.history) == ["loss"] and history.epoch == [0]


# ---- averages of weights


def averaged():
    """A model of one weight, and Keras's averages of it: mean = 0.5 mean + 0.5 w, the first one w itself."""
    model = fastnet.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
    model.compile(fastnet.optimizers.SGD(0.25, use_ema=True, ema_momentum=0.5), "mse")
    model.set_weights([np.zeros((1, 1))])
    return model


@pytest.mark.parametrize("on_epoch", [False, True])
def test_averages_where_the_model_is_looked_at(on_epoch):
    """x = y = 1, so that w ← w + (1 - w) / 2: 0.5, 0.75, 0.875; their averages are 0.5, 0.625, 0.75."""
    w, means = np.array([0.5, 0.75, 0.875]), np.array([0.5, 0.625, 0.75])
    model, x = averaged(), np.ones((1, 1))
    begun, ended = [], []
    see = callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: begun.append(model.get_weights()[0].item()),
        on_epoch_end=lambda epoch, logs: ended.append(model.get_weights()[0].item()),
    )
    swap = callbacks.SwapEMAWeights(on_epoch)
    history = model.fit(x, x, epochs=3, verbose=0, callbacks=[swap, see], validation_data=(x, x)).history
    assert begun == [0.0, 0.5, 0.75]
    assert ended == [*(means if on_epoch else w)]
    np.testing.assert_allclose(history["val_loss"], (1 - means) ** 2, rtol=1e-6)
    assert model.get_weights()[0].item() == means[-1]


class Failing(callbacks.Callback):
    """Raises in one of its hooks, at a certain call."""

    def __init__(self, hook, call=0, error=RuntimeError):
        self.left, self.error = call, error
        setattr(self, hook, self.fail)

    def fail(self, *args):
        self.left -= 1
        if self.left < 0:
            raise self.error("asked for")


@pytest.mark.parametrize(
    ("on_epoch", "hook", "call", "w"),
    [
        (False, "on_test_begin", 1, 0.75),
        (False, "on_test_end", 1, 0.75),
        (True, "on_test_end", 1, 0.75),
        (True, "on_epoch_end", 1, 0.75),
        (True, "on_epoch_end", 2, 0.875),  # after the last epoch, when the averages stand in both places
        (True, "on_train_end", 0, 0.875),
    ],
)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_training_has_its_weights_and_averages(on_epoch, hook, call, w, error):
    """And the callback may be used again, with another model too: see the weights and averages worked out above."""
    model, x = averaged(), np.ones((1, 1))
    swap, fails = callbacks.SwapEMAWeights(on_epoch), Failing(hook, call, error)
    given = [fails, swap] if hook == "on_train_end" else [swap, fails]
    with pytest.raises(error, match="asked for"):
        model.fit(x, x, epochs=3, verbose=0, callbacks=given, validation_data=(x, x))
    assert model.get_weights()[0].item() == w
    assert model.optimizer.average(model.trainable_weights[0]).numpy().item() == {0.75: 0.625, 0.875: 0.75}[w]
    other = averaged()
    history = other.fit(x, x, epochs=3, verbose=0, callbacks=[swap], validation_data=(x, x)).history
    np.testing.assert_allclose(history["val_loss"], [0.25, 0.375**2, 0.0625], rtol=1e-6)


@pytest.mark.parametrize("call", ["evaluate", "predict"])
def test_a_failed_look_at_the_averages_leaves_the_weights(call):
    model, x = averaged(), np.ones((1, 1))
    model.fit(x, x, epochs=2, verbose=0)
    model.set_weights([np.full((1, 1), 7.0)])
    swap = callbacks.SwapEMAWeights()

    def batches():
        yield x, x
        assert model.get_weights()[0].item() == 0.625
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        getattr(model, call)(batches(), verbose=0, callbacks=[swap])
    assert model.get_weights()[0].item() == 7.0


def test_weights_that_overflowed_are_not_swapped_once_they_were_put_back():
    """The averages of the last epoch are infinite as well: what `fit` restores must stay."""
    model, x = averaged(), np.ones((1, 1))
    model.fit(x, x, epochs=1, verbose=0)
    model.optimizer.learning_rate = 3e38
    with pytest.raises(fastnet.NonFiniteError):
        model.fit(10 * x, x, verbose=0, callbacks=[callbacks.SwapEMAWeights(True)])
    assert model.get_weights()[0].item() == 0.5
    assert model.optimizer.average(model.trainable_weights[0]).numpy().item() == 0.5


@pytest.mark.parametrize(("on_epoch", "kept"), [(False, 0.625), (True, 0.75)])
def test_what_a_training_that_stops_early_keeps(on_epoch, kept):
    """As in Keras, whose `fit` takes what stands in the place of the averages."""
    model, x = averaged(), np.ones((1, 1))

    def stop(epoch, logs):
        model.stop_training = epoch == 1

    swap = callbacks.SwapEMAWeights(on_epoch)
    model.fit(x, x, epochs=3, verbose=0, callbacks=[swap, callbacks.LambdaCallback(on_epoch_end=stop)])
    assert model.get_weights()[0].item() == kept
