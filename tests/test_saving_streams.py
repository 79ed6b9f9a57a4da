"""Models and weights written into open files, and read from them."""

import io

import numpy as np
import pytest

import fastnet
from fastnet import layers, saving

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


def model():
    net = fastnet.Sequential([layers.Input((3,)), layers.Dense(2, "relu"), layers.Dense(1)])
    net.compile("adam", "mse")
    net.fit(X, X[:, :1], verbose=0)
    return net


def test_a_model_in_memory_and_in_an_open_file(tmp_path):
    net, stream = model(), io.BytesIO()
    net.save(stream)
    stream.seek(0)
    loaded = saving.load_model(stream)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), net.predict(X, verbose=0))
    assert loaded.compiled and loaded.optimizer.iterations == net.optimizer.iterations
    with open(tmp_path / "m", "w+b") as file:
        file.write(b"before")
        net.save(file)
        file.seek(6)
        np.testing.assert_array_equal(saving.load_model(file).get_weights()[0], net.get_weights()[0])


def test_weights_in_memory(tmp_path):
    net, other, stream = model(), model(), io.BytesIO()
    net.save_weights(stream)
    stream.seek(0)
    other.load_weights(stream)
    np.testing.assert_array_equal(other.get_weights()[0], net.get_weights()[0])
    net.save_weights(tmp_path / "w")
    assert (tmp_path / "w").read_bytes()[:2] == b"PK" == stream.getvalue()[:2]


def test_what_an_open_file_must_be(tmp_path):
    net = model()
    before = net.get_weights()
    with pytest.raises(saving.SavedFileError, match="the open file is not a file of fastnet .*: it is empty"):
        net.load_weights(io.BytesIO())
    (tmp_path / "text").write_text("weights")
    with open(tmp_path / "text", "rb") as file, pytest.raises(saving.SavedFileError, match="text is not a file of"):
        net.load_weights(file)
    with open(tmp_path / "text") as file, pytest.raises(TypeError, match="text must be open for reading bytes.*str"):
        saving.load_model(file)
    np.testing.assert_array_equal(net.get_weights()[0], before[0])


def test_objects_to_skip_have_a_reason():
    net = model()
    for call in (lambda: saving.save_weights(net, io.BytesIO(), objects_to_skip=net.layers),
                 lambda: net.save_weights(io.BytesIO(), objects_to_skip=net.layers),
                 lambda: net.load_weights(io.BytesIO(), objects_to_skip=[])):  # fmt: skip
        with pytest.raises(ValueError, match=r"objects_to_skip is not supported: leave it out.*skip_mismatch=True"):
            call()
