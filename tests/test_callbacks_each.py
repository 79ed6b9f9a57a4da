"""Each callback by itself; `parity/test_parity_callbacks.py` compares what they decide with Keras's."""

import time

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, layers
from fastnet.callbacks import Callback, CallbackList, History
from fastnet.callbacks.step_counter import StepCounter
from fastnet.saving.archive import Packed


def tiny():
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def rows(n=24):
    x = np.random.default_rng(0).normal(size=(n, 2))
    return x, x.sum(1)


def fit(*group, model=None, epochs=3, **more):
    model = model or tiny()
    more = {"batch_size": 4, "verbose": 0, **more}
    return model.fit(*rows(), epochs=epochs, callbacks=list(group), **more)


def test_steps_wanted_are_granted_and_no_more():
    class Every(Callback):
        def __init__(self, count):
            self.count, self.seen = count, []

        def steps_wanted(self):
            return self.count

        def on_progress(self, step, logs=None):
            self.seen.append(step)

    five, four = Every(5), Every(None)
    fit(five, four, epochs=1)
    assert five.seen == four.seen == [5, 6]


def test_everything_is_closed_after_an_error():
    closed = []

    class Mine(Callback):
        def __init__(self, name):
            self.name = name

        def close(self):
            closed.append(self.name)
            raise OSError(self.name)

        def on_epoch_begin(self, epoch, logs=None):
            raise KeyError

    with pytest.raises(OSError):
        fit(Mine("a"), Mine("b"))
    assert sorted(closed) == ["a", "b"]


def test_a_list_of_callbacks_may_be_given_made():
    history = History()
    model = tiny()
    model.fit(*rows(), verbose=0, callbacks=CallbackList([history]))
    assert model.history is history and len(history.history["loss"]) == 1


def test_csv(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("old\n" * 1000)
    history = fit(callbacks.CSVLogger(path)).history
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,loss,mae,val_loss,val_mae"
    assert lines[1] == f"0,{history['loss'][0]},{history['mae'][0]},NA,NA" and len(lines) == 4
    fit(callbacks.CSVLogger(path, append=True), initial_epoch=2, epochs=4)
    assert [line.split(",")[0] for line in path.read_text().splitlines()] == ["epoch", "0", "1", "2", "2", "3"]
    fit(callbacks.CSVLogger(path), epochs=0)
    assert path.read_text() == ""
    fit(callbacks.CSVLogger(tmp_path / "new" / "er" / "log.csv"), epochs=1)
    assert len((tmp_path / "new" / "er" / "log.csv").read_text().splitlines()) == 2


def test_csv_is_on_disk_when_an_epoch_ends_and_a_new_file_has_a_heading(tmp_path):
    path, lengths = tmp_path / "log.csv", []
    look = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: lengths.append(len(path.read_text().splitlines())))
    fit(callbacks.CSVLogger(path, append=True), look)
    assert lengths == [2, 3, 4]
    assert path.read_text().startswith("epoch,loss,mae,val_loss,val_mae\n0,")


def test_csv_of_values_that_are_no_numbers(tmp_path):
    class Adds(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs.clear()
            logs.update(list=[1, 2], array=np.arange(2), text="a,b", zero=np.array(3.0))

    fit(Adds(), callbacks.CSVLogger(tmp_path / "log.csv", ";"), epochs=1)
    row = (tmp_path / "log.csv").read_text().splitlines()[1]
    assert row == '0;"""[0, 1]""";"""[1, 2]""";a,b;3.0;NA;NA;NA;NA'


def test_lambda_callback():
    calls = []
    hooks = {name: lambda *args, name=name: calls.append(name) for name in ("on_test_begin", "on_epoch_begin")}
    fit(callbacks.LambdaCallback(**hooks), epochs=1, validation_split=0.5)
    assert calls == ["on_epoch_begin", "on_test_begin"]
    with pytest.raises(TypeError, match="'on_epoch' is not a hook. The hooks are .*on_epoch_begin"):
        callbacks.LambdaCallback(on_epoch=print)
    with pytest.raises(TypeError, match="on_epoch_end must be a function, received 3"):
        callbacks.LambdaCallback(on_epoch_end=3)
    group = CallbackList(callbacks.LambdaCallback(on_epoch_end=print))
    assert not group.wants_batches


def test_early_stopping_restores_also_where_nothing_stopped_it():
    model, weights = tiny(), []
    remember = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(model.get_weights()))
    worse = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(val_loss=float(epoch)))
    stopping = callbacks.EarlyStopping(patience=10, restore_best_weights=True)
    fit(remember, worse, stopping, model=model)
    assert stopping.stopped_epoch == 0
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), weights[0]))


def test_what_is_not_in_the_logs():
    with pytest.raises(ValueError, match="EarlyStopping: there is no 'val_los' in the logs, which have: loss"):
        fit(callbacks.EarlyStopping("val_los"), epochs=1)
    with pytest.warns(UserWarning, match="ReduceLROnPlateau: .* 'val_loss'"):
        fit(callbacks.ReduceLROnPlateau(), epochs=1)


def test_learning_rate_scheduler_needs_a_float():
    with pytest.raises(ValueError, match="schedule must give a float, received None"):
        fit(callbacks.LearningRateScheduler(lambda epoch, rate: None))


def test_terminate_on_nan_costs_no_step():
    assert not CallbackList(callbacks.TerminateOnNaN()).wants_batches


def test_terminate_on_nan_leaves_good_weights(capsys):
    model = tiny()
    x, y = rows()
    x[9] = np.nan
    before = []
    watch = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: before.append(model.get_weights()))
    model.fit(x, y, 4, 3, verbose=0, shuffle=False, callbacks=[callbacks.TerminateOnNaN(), watch])
    assert "Batch 2: Invalid loss, terminating training. Step 3: the loss is nan. The data" in capsys.readouterr().out
    assert len(before) == 3 and all(np.array_equal(a, b) for a, b in zip(before[1], model.get_weights()))
    with pytest.raises(RuntimeError, match="at batch 2") as caught:
        model.fit(x, y, 4, 3, verbose=0, shuffle=False, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])
    assert isinstance(caught.value.__cause__, fastnet.NonFiniteError)


def test_checkpoints_are_models(tmp_path):
    model = tiny()
    fit(callbacks.ModelCheckpoint(tmp_path / "new" / "{epoch:02d}-{loss:.3f}.model"), model=model)
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == [f"{i + 1:02d}-{loss:.3f}.model" for i, loss in enumerate(model.history.history["loss"])]
    last = fastnet.saving.load_model(tmp_path / "new" / names[-1])
    assert all(np.array_equal(a, b) for a, b in zip(last.get_weights(), model.get_weights()))
    assert last.optimizer.iterations == model.optimizer.iterations == 18


@pytest.mark.parametrize("weights_only", [False, True])
def test_a_checkpoint_is_a_copy(weights_only, tmp_path, monkeypatch):
    """Training goes on while the file is written; what is in it are the weights of the step it is named after."""
    write, model, weights = Packed.write, tiny(), {}

    def late(packed, path):
        time.sleep(0.02)
        write(packed, path)

    monkeypatch.setattr(Packed, "write", late)
    remember = callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: weights.setdefault(batch + 1, model.get_weights())
    )
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "{batch}", save_freq=2, save_weights_only=weights_only)
    fit(remember, checkpoint, model=model, epochs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "4", "6"]
    for step in (2, 4, 6):
        other = tiny()
        other.load_weights(tmp_path / str(step))
        assert all(np.array_equal(a, b) for a, b in zip(other.get_weights(), weights[step], strict=True))


def test_steps_are_counted_over_epochs():
    steps = StepCounter(5, "Test")
    assert [steps.steps_left(), steps.reach(3), steps.steps_left(), steps.reach(5), steps.steps_left()] == [
        5,
        False,
        2,
        True,
        5,
    ]
    steps.begin_epoch()
    assert [steps.reach(4), steps.steps_left(), steps.reach(17), steps.steps_left()] == [
        False,
        1,
        True,
        5,
    ]  # late: counted anew
    steps.begin_epoch()
    assert [steps.reach(4), steps.reach(5)] == [False, True]


def test_checkpoints_of_a_log_that_is_not_there(tmp_path):
    with pytest.raises(KeyError, match="asks for 'accuracy', and there are only epoch, loss, mae"):
        fit(callbacks.ModelCheckpoint(tmp_path / "{accuracy}"))
    with pytest.raises(KeyError, match="asks for 'epcoh', .*Did you mean 'epoch'"):
        fit(callbacks.ModelCheckpoint(tmp_path / "{epcoh}"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        fit(callbacks.ModelCheckpoint(tmp_path / "folder"))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_checkpoint_that_cannot_be_written(tmp_path, monkeypatch):
    def fail(*args, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="No space left"):
        fit(callbacks.ModelCheckpoint(tmp_path / "a"))
    assert list(tmp_path.iterdir()) == []


def test_a_model_no_file_can_describe_is_refused_before_training(tmp_path):
    model = fastnet.Sequential(
        [layers.Input((2,)), layers.Dense(1, kernel_initializer=lambda shape, dtype: np.ones(shape))]
    )
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=r"Layer 'dense\w*' \(Dense\): kernel_initializer: A lambda"):
        fit(callbacks.ModelCheckpoint(tmp_path / "a"), model=model)
    assert model.optimizer.iterations == 0
    fit(callbacks.ModelCheckpoint(tmp_path / "a", save_weights_only=True), model=model)


def test_swapping_needs_averages():
    with pytest.raises(ValueError, match="needs an optimizer with use_ema=True, this model has <optimizer sgd"):
        fit(callbacks.SwapEMAWeights(), validation_split=0.5)


def test_predictions_and_evaluations_with_averages():
    model = tiny()
    model.compile(fastnet.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    x, y = rows()
    for _ in range(2):  # the first average is the weight itself
        model.train_on_batch(x, y)
    weights = model.get_weights()
    averages = [model.optimizer.average(v).numpy() for v in model.trainable_weights]
    swap = callbacks.SwapEMAWeights()
    expected = x.astype(np.float32) @ averages[0] + averages[1]
    np.testing.assert_allclose(model.predict(x, verbose=0, callbacks=[swap]), expected, rtol=1e-5, atol=1e-6)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights()))
    loss = model.evaluate(x, y, verbose=0, callbacks=[swap])
    np.testing.assert_allclose(loss, np.mean((expected[:, 0] - y) ** 2), rtol=1e-5)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights()))
