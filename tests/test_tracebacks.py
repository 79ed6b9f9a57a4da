"""Tracebacks show the user's lines and where they called fastnet, not fastnet's calls among themselves."""

import traceback

import numpy as np
import pytest

import fastnet
from fastnet import layers

X, Y = np.ones((4, 3)), np.ones((4, 1))


def model():
    net = fastnet.Sequential([layers.Input((3,)), layers.Dense(1)])
    net.compile("sgd", "mse")
    return net


class Broken(fastnet.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        {}["missing"]


def broken_batches():
    yield X, Y
    raise OSError("disk on fire")


def rounded(y_true, y_pred):
    return max(y_true, y_pred)


class Forgetful(layers.Layer):
    def call(self, x):
        return x * self.factor


def misspelt(x):
    return x.squared()


CALLS = {
    "fit": lambda: model().fit(np.ones((4, 5)), Y),
    "evaluate": lambda: model().evaluate(np.ones((4, 5)), Y),
    "predict": lambda: model().predict(np.ones((4, 5))),
    "predict_on_batch": lambda: model().predict_on_batch(np.ones((4, 5))),
    "call": lambda: model()(np.ones((4, 5))),
    "train_on_batch": lambda: model().train_on_batch(np.ones((4, 5)), Y),
    "compile": lambda: model().compile("sgd", rounded),
    "nan": lambda: model().fit(X * np.nan, Y, verbose=0),
    "callback": lambda: model().fit(X, Y, callbacks=[Broken()], verbose=0),
    "generator": lambda: model().fit(broken_batches(), verbose=0),
    "loss": lambda: fastnet.losses.Huber(delta=-1.0),
    "optimizer": lambda: fastnet.optimizers.Adam("fast"),
    "layer": lambda: layers.Dense(1, activation="rellu"),
    "network": lambda: fastnet.Sequential([layers.Input((3,)), Forgetful()]),
    "call of a layer": lambda: Forgetful()(X),
    "function of a layer": lambda: layers.Lambda(misspelt),
}
USERS = {
    "callback": "on_epoch_end", "generator": "broken_batches", "network": "call", "call of a layer": "call",
    "function of a layer": "misspelt",
}  # fmt: skip


def frames(call, full, monkeypatch):
    """(name of the module, function) of each frame of the call's error, and of its reasons."""
    monkeypatch.setattr(fastnet.config, "full_tracebacks", full)
    with pytest.raises(Exception) as caught:
        call()
    found, error = [], caught.value
    while error is not None:
        found += [(f.f_globals["__name__"], f.f_code.co_name) for f, _ in traceback.walk_tb(error.__traceback__)]
        error = error.__cause__ or error.__context__
    return found


@pytest.mark.parametrize("name", CALLS)
def test_a_traceback_shows_the_users_lines(name, monkeypatch):
    shown = frames(CALLS[name], False, monkeypatch)
    ours = [frame for frame in shown if frame[0].startswith("fastnet.")]
    users = [function for module, function in shown if module == __name__]
    assert len(ours) == (1 if name != "layer" else 3), shown  # the method that was called; three of an argument
    assert users == ["frames", "<lambda>", *([USERS[name]] if name in USERS else [])]
    whole = frames(CALLS[name], True, monkeypatch)
    rest = iter(whole)
    assert all(frame in rest for frame in shown), "the shown frames, in order, are among all"
    assert len(whole) > len(shown)


@pytest.mark.parametrize("kind", ["KeyError", "IndexError", "ValueError"])
def test_a_bug_of_fastnets_keeps_its_traceback(kind, monkeypatch):
    space = {"__name__": "fastnet.somewhere", "trimmed": fastnet.tracebacks.trimmed}
    exec(f"def outer():\n with trimmed: middle()\ndef middle(): raise {kind}('x')", space)
    shown = [function for _, function in frames(space["outer"], False, monkeypatch)]
    assert shown == ["frames", "outer"] + ["middle"] * (kind != "ValueError")
