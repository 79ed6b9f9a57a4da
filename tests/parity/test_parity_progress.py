"""The lines of `verbose=2` are Keras's, but for the times and the digits."""

import re

import numpy as np
import pytest

import fastnet

keras = pytest.importorskip("keras")


def lines(lib, capsys):
    model = lib.Sequential([lib.layers.Input((3,)), lib.layers.Dense(1, "sigmoid", kernel_initializer="zeros")])
    model.compile("sgd", "binary_crossentropy", metrics=["mse", "accuracy"])
    x, y = np.ones((10, 3), "float32"), np.arange(10)[:, None] % 2
    model.fit(x, y, batch_size=4, epochs=2, verbose=2, validation_data=(x, y))
    model.evaluate(x, y, verbose=2)
    model.predict(np.ones((300, 3), "float32"), batch_size=150, verbose=2)
    text = capsys.readouterr().out
    text = re.sub(r"\d+s - \d+[mu]?s/step", "TIME", text)
    return re.sub(r"\d\.\d{4}(e[+-]\d\d)?", "NUMBER", text).splitlines()


def test_lines(capsys):
    ours, theirs = lines(fastnet, capsys), lines(keras, capsys)
    assert ours == theirs
    assert ours[1] == "3/3 - TIME - accuracy: NUMBER - loss: NUMBER - mse: NUMBER" + "".join(
        f" - val_{name}: NUMBER" for name in ("accuracy", "loss", "mse")
    )
