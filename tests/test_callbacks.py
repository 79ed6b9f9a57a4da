"""Callbacks: which hooks are called, when, with what."""

from types import SimpleNamespace

import pytest

from fastnet.callbacks import Callback, CallbackList, History, ProgbarLogger

HOOKS = [name for name in dir(Callback) if name.startswith("on_")]


@pytest.mark.peers
def test_hooks_are_keras_hooks():
    import inspect

    import keras

    theirs = {name for name in dir(keras.callbacks.Callback) if name.startswith("on_")}
    assert set(HOOKS) - theirs == {"on_progress"}
    assert theirs - set(HOOKS) == set()
    for name in [*theirs, "set_model", "set_params"]:
        expected = inspect.signature(getattr(keras.callbacks.Callback, name)).parameters
        got = inspect.signature(getattr(Callback, name)).parameters
        assert list(got) == list(expected), name
        assert [p.default for p in got.values()] == [p.default for p in expected.values()], name


class Recorder(Callback):
    def __init__(self, calls):
        self.calls = calls

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append((epoch, dict(logs)))
        logs["added"] = 7.0


def test_list_calls_in_order_and_history_sees_what_was_added():
    first, second = [], []
    model = SimpleNamespace()
    logs = {"loss": 0.5}
    params = {"epochs": 1, "steps": 3, "verbose": 0}
    group = CallbackList([Recorder(first), [Recorder(second)]], add_history=True, model=model, **params)
    group.on_train_begin()
    group.on_epoch_begin(0)
    group.on_epoch_end(0, logs)
    group.on_train_end(logs)
    assert first == [(0, {"loss": 0.5})]
    assert second == [(0, {"loss": 0.5, "added": 7.0})]
    assert logs == {"loss": 0.5}
    assert model.history is group.history
    assert group.history.history == {"loss": [0.5], "added": [7.0]}
    assert group.history.params == params
    assert group.history.model is model


@pytest.mark.peers
def test_history_is_keras_history_over_two_fits():
    import keras

    results = []
    for cls in (keras.callbacks.History, History):
        history = cls()
        history.set_model(SimpleNamespace())
        for epochs in (range(2), range(2, 4)):
            history.on_train_begin()
            for epoch in epochs:
                history.on_epoch_end(epoch, {"loss": 1 / (1 + epoch), "val_loss": epoch})
            history.on_train_end()
        results.append((history.epoch, history.history))
    assert results[0] == results[1]


def test_logs_are_never_none_for_a_callback():
    class Strict(Callback):
        def on_train_begin(self, logs=None):
            assert logs == {}

        def on_predict_batch_end(self, batch, logs=None):
            assert (batch, logs) == (3, {})

    group = CallbackList(Strict())
    group.on_train_begin()
    group.on_predict_batch_end(3)


@pytest.mark.parametrize("hook", [h for h in HOOKS if "batch" not in h])
def test_hooks_that_are_not_per_batch_cost_no_batch(hook):
    cls = type("Mine", (Callback,), {hook: lambda self, *args, **kwargs: None})
    group = CallbackList([cls(), History(), ProgbarLogger()])
    assert not (group.wants_batches or group.wants_test_batches or group.wants_predict_batches)


@pytest.mark.parametrize("hook", [h for h in HOOKS if "batch" in h])
@pytest.mark.parametrize("where", ["class", "parent", "instance"])
def test_per_batch_hooks_are_wanted_where_overridden(hook, where):
    def body(*args, **kwargs):
        pass

    cls = Callback
    if where != "instance":
        cls = type("Mine", (Callback,), {hook: body})
    if where == "parent":
        cls = type("Child", (cls,), {})
    callback = cls()
    if where == "instance":
        setattr(callback, hook, body)
    group = CallbackList([History(), callback])
    kind = "test" if "test" in hook else "predict" if "predict" in hook else "train"
    wanted = (group.wants_batches, group.wants_test_batches, group.wants_predict_batches)
    assert wanted == (kind == "train", kind == "test", kind == "predict")


def test_old_batch_hooks_are_called():
    calls = []

    class Old(Callback):
        def on_batch_begin(self, batch, logs=None):
            calls.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            calls.append(("end", batch, logs["loss"]))

    group = CallbackList(Old())
    group.on_train_batch_begin(4)
    group.on_train_batch_end(4, {"loss": 2.0})
    assert calls == [("begin", 4), ("end", 4, 2.0)]


def test_every_hook_reaches_every_callback():
    calls = []

    def record(name):
        return lambda self, *args: calls.append((name, args))

    cls = type("All", (Callback,), {name: record(name) for name in HOOKS})
    group = CallbackList([cls(), cls()])
    public = [h for h in HOOKS if h not in ("on_batch_begin", "on_batch_end")]
    for name in public:
        position = (5,) if "batch" in name or "epoch" in name or name == "on_progress" else ()
        getattr(group, name)(*position, {"loss": 1.0})
        assert calls == [(name, (*position, {"loss": 1.0}))] * 2
        calls.clear()


def test_given_history_and_progress_bar_are_used():
    history, bar = History(), ProgbarLogger()
    group = CallbackList([history, bar], add_history=True, add_progbar=True, epochs=1, steps=1, verbose=0)
    assert group.callbacks == [history, bar]
    assert group.history is history


@pytest.mark.parametrize(
    ("bad", "message"),
    [(History, "Did you forget the parentheses"), (3, "3 was received"), ([object()], "must be instances of")],
)
def test_what_is_no_callback(bad, message):
    with pytest.raises(TypeError, match=message):
        CallbackList(bad)


def test_callback_may_forget_super_init():
    class Mine(Callback):
        def __init__(self):
            pass

    assert Mine().model is None
    assert Mine().params is None


def test_progbar_logger_shows_fit_not_its_validation(capsys):
    with CallbackList(None, add_progbar=True, epochs=2, steps=4, verbose=2) as group:
        group.on_train_begin()
        for epoch in range(2):
            group.on_epoch_begin(epoch)
            group.on_progress(4, {"loss": 1.0})
            group.on_test_begin()
            group.on_test_end({"loss": 9.0})
            group.on_epoch_end(epoch, {"loss": 0.5, "val_loss": 0.25})
        group.on_train_end()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[2] == "Epoch 2/2"
    assert lines[3].startswith("4/4 - 0s - ")
    assert lines[3].endswith("loss: 0.5000 - val_loss: 0.2500")


@pytest.mark.parametrize("kind", ["test", "predict"])
def test_progbar_logger_alone(capsys, kind):
    with CallbackList(None, add_progbar=True, epochs=1, steps=4, verbose=1) as group:
        getattr(group, f"on_{kind}_begin")()
        group.on_progress(2)
        getattr(group, f"on_{kind}_end")({"loss": 0.5})
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("4/4 - 0s - ")
    assert line.endswith("loss: 0.5000") == (kind == "test")


def test_error_in_training_closes_the_progress():
    bar = ProgbarLogger()
    with pytest.raises(KeyboardInterrupt), CallbackList(bar, epochs=1, steps=4, verbose=2) as group:
        group.on_train_begin()
        group.on_epoch_begin(0)
        raise KeyboardInterrupt
    assert bar._progress is None
