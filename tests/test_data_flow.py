"""Data go one way: the calls within the package that receive x, and the files they stand in."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet import layers

ROOT = Path(fastnet.__file__).parent
X, Y = np.ones((64, 3), np.float32), np.ones((64, 1), np.float32)

CALLS = {
    "fit": lambda model, x: model.fit(x, Y, verbose=0),
    "evaluate": lambda model, x: model.evaluate(x, Y, verbose=0),
    "predict": lambda model, x: model.predict(x, verbose=0),
    "train_on_batch": lambda model, x: model.train_on_batch(x, Y),
    "fit of a stream": lambda model, x: model.fit(x, verbose=0),
}


def received(frame):
    """The arguments of a call."""
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
    return [frame.f_locals.get(name) for name in code.co_varnames[:count]]


def holds(value, x):
    """Whether a value is x, or a tuple, a list or a dictionary that holds x."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return value is x or any(item is x for item in items)


def stops(call, x):
    """(file, function) of each call that receives x, in order."""
    found = []

    def look(frame, event, _):
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(ROOT) and any(holds(value, x) for value in received(frame)):
            found.append((file.relative_to(ROOT).with_suffix("").as_posix(), frame.f_code.co_name))

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(before)
    return found


def files(found):
    """The files in which x stops, each once for as long as it stays."""
    return [file for file, _ in itertools.groupby(found, key=lambda stop: stop[0])]


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_x_goes_one_way(name, built):
    x = [(X, Y)] if name == "fit of a stream" else X
    model = fastnet.Sequential([layers.Dense(4), layers.Dense(1)])
    model.compile("adam", "mse")
    if built:
        CALLS[name](model, x)
    found = stops(lambda: CALLS[name](model, x), x)
    path = files(found)
    assert 2 <= len(found) <= 10, found
    assert len(path) - len(set(path)) <= 3, path  # returns to a file that x had left


def test_the_way_of_fit():
    """As docs/design.md shows it."""
    model = fastnet.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    found = stops(lambda: CALLS["fit"](model, X), X)
    assert files(found) == [
        "sequential", "training/loop", "training/adapters", "arrays", "training/adapters", "training/requirements",
        "layers/tree", "training/samples",
    ]  # fmt: skip


def test_a_stop_is_seen():
    """The trace finds x itself, x in a tuple, and nothing else."""
    requirements = sys.modules["fastnet.training.requirements"]
    model = fastnet.Sequential([layers.Input((3,)), layers.Flatten(), layers.Dense(1)])
    found = stops(lambda: requirements.check_inputs(model, requirements.Batch(X)), X)
    assert [function for _, function in found] == ["check_inputs", "check_data"]
    assert stops(lambda: requirements.check_inputs(model, requirements.Batch(X.copy())), X) == []
