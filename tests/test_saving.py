"""Weights in files: whole or not at all, and nothing is believed that a file says."""

import _thread
import io
import json
import os
import pickle
import re
import stat
import sys
import threading
import time
import zipfile

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.saving import SavedFileError
from fastnet.saving.archive import Packed, read
from fastnet.saving.writer import Writer

from .oracles import same


def network(units=4, dtype=None):
    return fastnet.Sequential(
        [
            layers.Input((3,), dtype=dtype),
            layers.Dense(units, dtype=dtype),
            layers.BatchNormalization(dtype=dtype),
            layers.Dense(2, dtype=dtype),
        ]
    )


def refuses(model, path, part):
    """Loading fails with our error, and the model is as it was."""
    before = model.get_weights()
    with pytest.raises(SavedFileError) as caught:
        model.load_weights(path)
    assert re.search(part, str(caught.value))
    assert str(path) in str(caught.value)
    assert same(model.get_weights(), before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["w.weights.npz", "no-suffix", "a b ü.bin"])
def test_round_trip(dtype, name, tmp_path):
    model, other = network(dtype=dtype), network(dtype=dtype)
    model.compile("adam", "mse")
    model.fit(np.ones((8, 3)), np.zeros((8, 2)), verbose=0)
    model.save_weights(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    other.load_weights(str(tmp_path / name))
    assert same(model.get_weights(), other.get_weights())
    x = np.random.default_rng(0).normal(size=(5, 3))
    assert np.array_equal(model.predict(x), other.predict(x))


def test_special_values_come_back(tmp_path):
    model = network()
    weights = model.get_weights()
    weights[0].ravel()[:5] = [-0.0, 1e-45, 3.4e38, np.inf, np.nan]
    model.set_weights(weights)
    model.save_weights(tmp_path / "w")
    other = network()
    other.load_weights(tmp_path / "w")
    assert other.get_weights()[0].tobytes() == weights[0].tobytes()


def test_the_file_is_plain_numpy(tmp_path):
    model = network()
    model.save_weights(tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz", allow_pickle=False) as file:
        names = json.loads(bytes(file["about"]))["content"]["names"]
        assert [name.split("/")[1] for name in names[:4]] == ["kernel", "bias", "gamma", "beta"]
        assert np.array_equal(file["0000"], model.get_weights()[0])


def test_what_is_there_is_kept_where_asked(tmp_path):
    path = tmp_path / "w"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite"):
        network().save_weights(path, overwrite=False)
    assert path.read_text() == "mine"
    network().save_weights(path)
    network().load_weights(path)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    model, path = network(), tmp_path / "w"
    model.save_weights(path)
    old = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="No space"):
        network().save_weights(path)
    assert path.read_bytes() == old and list(tmp_path.iterdir()) == [path]


def test_the_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    order = []
    for name in ("fsync", "replace"):
        done = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, done=done: (order.append(name), done(*args)))
    network().save_weights(tmp_path / "w")
    assert order == ["fsync", "replace"]


def test_an_error_beside_the_training_is_raised_once(tmp_path):
    """By `wait`, or the next `start`; `settle`, which other threads call, leaves it there."""
    writer, packed = Writer(), Packed("weights", {})
    for last in (writer.wait, lambda: writer.start(packed, tmp_path / "good")):
        writer.start(packed, tmp_path / "none" / "file")
        with pytest.raises(FileNotFoundError):
            writer.settle()
        with pytest.raises(FileNotFoundError):
            last()
        writer.settle()
        writer.wait()
    assert list(tmp_path.iterdir()) == []
    writer.start(packed, tmp_path / "good", before=lambda: (tmp_path / "before").touch())
    writer.settle()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before", "good"]


def test_another_thread_may_wait_for_a_file_before_its_writing_begins(tmp_path, monkeypatch):
    writer, begin = Writer(), threading.Thread.start

    def settle_then_begin(thread):
        writer.settle()
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", settle_then_begin)
    writer.start(Packed("weights", {}), tmp_path / "file")
    writer.wait()
    assert (tmp_path / "file").exists()


def test_a_file_is_waited_for_although_ctrl_c_ended_a_wait(tmp_path, monkeypatch):
    may_write, writer = threading.Event(), Writer()
    writer.start(Packed("weights", {"a": 1}), tmp_path / "file", may_write.wait)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", lambda self: _thread.interrupt_main() or time.sleep(1))
        with pytest.raises(KeyboardInterrupt):
            writer.wait()
    assert writer.is_busy
    may_write.set()
    writer.start(Packed("weights", {"a": 2}), tmp_path / "file")
    writer.wait()
    assert read(tmp_path / "file", ["weights"])[1] == {"a": 2}


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_the_file_may_be_read_by_whom_the_user_lets(tmp_path):
    umask = os.umask(0o022)
    try:
        network().save_weights(tmp_path / "w")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "w").stat().st_mode) == 0o644


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_a_link_stays_one_and_a_file_keeps_its_mode(tmp_path):
    (tmp_path / "to").mkdir()
    network().save_weights(tmp_path / "to" / "w")
    (tmp_path / "to" / "w").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "to" / "w")
    model = network()
    model.save_weights(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and stat.S_IMODE((tmp_path / "to" / "w").stat().st_mode) == 0o600
    other = network()
    other.load_weights(tmp_path / "to" / "w")
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_a_file_that_may_not_be_written_stays(tmp_path, monkeypatch):
    network().save_weights(tmp_path / "w")
    before = (tmp_path / "w").read_bytes()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the administrator may write all files
    with pytest.raises(PermissionError, match=r"may not be written: '.*w'$"):
        network().save_weights(tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == before


def test_missing_folder_and_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        network().save_weights(tmp_path / "none" / "w")
    with pytest.raises(FileNotFoundError):
        network().load_weights(tmp_path / "none")


def test_models_that_are_not_built(tmp_path):
    deferred = fastnet.Sequential([layers.Dense(2)])
    with pytest.raises(ValueError, match=r"no weights yet.*Input"):
        deferred.save_weights(tmp_path / "w")
    network().save_weights(tmp_path / "w")
    refuses(deferred, tmp_path / "w", "not built")


def test_weights_of_another_model(tmp_path):
    network(5).save_weights(tmp_path / "w")
    refuses(network(4), tmp_path / "w", r"another model.*kernel' of shape \(3, 5\).*kernel' of shape \(3, 4\)")
    fastnet.Sequential([layers.Input((3,)), layers.Dense(4)]).save_weights(tmp_path / "few")
    refuses(network(), tmp_path / "few", "another model")


def test_every_truncation_is_refused(tmp_path):
    model, path = network(), tmp_path / "w"
    model.save_weights(path)
    whole = path.read_bytes()
    for length in [0, 1, 3, 4, 30, 100, *range(200, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refuses(model, path, "damaged")


def test_every_flipped_byte_is_refused_or_harmless(tmp_path):
    model, path = network(), tmp_path / "w"
    model.save_weights(path)
    whole, expected = path.read_bytes(), model.get_weights()
    refused = 0
    for place in range(0, len(whole), 5):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            model.load_weights(path)
        except SavedFileError:
            refused += 1
        assert same(model.get_weights(), expected), place  # a checksum stands over each array
    assert refused > 100


def archive(path, about, **arrays):
    """A weights file with any contents."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in {"about": about, **arrays}.items():
            buffer = io.BytesIO()
            np.save(buffer, content, allow_pickle=True)
            file.writestr(f"{name}.npy", buffer.getvalue())


def described(format="fastnet", version=1, kind="weights", **content):
    """The description of a weights file with this content."""
    if isinstance(content.get("names"), list):
        content["weights"] = [{"__array__": i} for i in range(len(content["names"]))]
    content = {"optimizer": None, "seed": 0, "epochs_done": 0, **content}
    about = {"format": format, "version": version, "kind": kind, "content": content}
    return np.frombuffer(json.dumps(about).encode(), np.uint8)


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_foreign_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, path = network(), tmp_path / "file"
    path.write_text("just text")
    refuses(model, path, "not a file of fastnet")
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    refuses(model, path, "not a file of fastnet")
    np.save(path.with_suffix(".npy"), np.ones(3))
    refuses(model, path.with_suffix(".npy"), "not a file of fastnet")
    np.savez(path.with_suffix(".npz"), a=np.ones(3))
    refuses(model, path.with_suffix(".npz"), "not a file of fastnet")
    (tmp_path / "folder").mkdir()
    refuses(model, tmp_path / "folder", "not a file of fastnet")


def test_pickles_are_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, path = network(), tmp_path / "file"
    path.write_bytes(pickle.dumps(Harmful()))
    refuses(model, path, "not a file of fastnet")
    archive(path, described(names=["a"]), **{"0000": np.array([Harmful()], object)})
    refuses(model, path, "not a file of fastnet")
    archive(path, np.array([Harmful()], object))
    refuses(model, path, "not a file of fastnet")
    assert not (tmp_path / "harm").exists()


ODD = [
    np.frombuffer(b"{", np.uint8),
    np.frombuffer(b"\xff\xfe", np.uint8),
    np.frombuffer(b"[1, 2]", np.uint8),
    np.frombuffer(b"null", np.uint8),
    np.zeros(0, np.uint8),
    described(format="fastnet weights 2"),
    described(version=2),
    described(kind="something"),
    described(names=["a"], seed="x"),
    described(),
    described(names=3, weights=[]),
    described(names=["a", "b"]),
    described(names=list("abcdefghij")),
]


@pytest.mark.parametrize("about", ODD, ids=range(len(ODD)))
def test_odd_descriptions(about, tmp_path):
    archive(tmp_path / "w", about, **{"0000": np.ones((3, 4), np.float32)})
    refuses(network(), tmp_path / "w", "damaged|format|another model|not of fastnet weights")


def test_arrays_that_are_no_weights(tmp_path):
    model = network()
    values = [np.full(w.shape, "x") for w in model.get_weights()]
    names = [f"{i}" for i in range(len(values))]
    archive(tmp_path / "w", described(names=names), **{f"{i:04d}": v for i, v in enumerate(values)})
    refuses(model, tmp_path / "w", "not numbers")
    for dtype in (bool, np.int32):  # numbers, but none that a weight could have
        values = [np.ones(w.shape, dtype) for w in model.get_weights()]
        archive(tmp_path / "w", described(names=names), **{f"{i:04d}": v for i, v in enumerate(values)})
        refuses(model, tmp_path / "w", "holds arrays that are not weights")


def test_a_size_nobody_has(tmp_path):
    # 12 bytes of a header that promises 4 TB.
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    archive(tmp_path / "w", described(names=["a"]))
    with zipfile.ZipFile(tmp_path / "w", "a") as file:
        file.writestr("0000.npy", content)
    refuses(network(), tmp_path / "w", "not a file of fastnet")
