"""What is said of a file that cannot be read or written: its name, what it is and what is wanted; no temporary name."""

import errno
import io
import os
import re
import sys
import time
import zipfile

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.saving import SavedFileError

RAW = re.compile(r"allow_pickle|KeyError|not a file in|Errno|BadZipFile|str or an os\.PathLike|[.-][0-9a-f]{16}")


def network(units=4, name="hidden"):
    given = [layers.Input((3,)), layers.Dense(units, name=name), layers.BatchNormalization(name="norm")]
    return fastnet.Sequential([*given, layers.Dense(2, name="top")], name="net")


def refuses(call, *parts, error=SavedFileError):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    for part in parts:
        assert part in message, message
    assert not RAW.search(message), message
    return message


READ = [lambda path: network().load_weights(path), fastnet.saving.load_model]
BYTES = {
    "text": (b"epoch,loss\n1,0.5\n", ["b'epoch,loss"]),
    "empty": (b"", ["empty"]),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), ["HDF5", "Keras", "set_weights"]),
    "pickle": (b"\x80\x04\x95" + bytes(100), ["pickle", "never"]),
    "npy": (b"\x93NUMPY" + bytes(100), ["one numpy array"]),
}


@pytest.mark.parametrize("read", READ, ids=["load_weights", "load_model"])
@pytest.mark.parametrize("kind", BYTES)
def test_foreign_bytes(kind, read, tmp_path):
    content, parts = BYTES[kind]
    (tmp_path / "file").write_bytes(content)
    refuses(lambda: read(tmp_path / "file"), str(tmp_path / "file"), "not a file of fastnet", *parts)


@pytest.mark.parametrize("read", READ, ids=["load_weights", "load_model"])
def test_foreign_zips(read, tmp_path):
    np.savez(tmp_path / "a.npz", a=np.ones(3))
    refuses(lambda: read(tmp_path / "a.npz"), "a.npz", "not a file of fastnet", "'a'")
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        file.writestr("config.json", "{}")
        file.writestr("model.weights.h5", b"\x89HDF")
    refuses(lambda: read(tmp_path / "m.keras"), "m.keras", "not a file of fastnet", "Keras", "to_json", "set_weights")


@pytest.mark.parametrize("read", READ, ids=["load_weights", "load_model"])
def test_folders_and_missing_files(read, tmp_path):
    refuses(lambda: read(tmp_path), str(tmp_path), "folder")
    network().save_weights(tmp_path / "weights.npz")
    missing = tmp_path / "wieghts.npz"
    refuses(lambda: read(missing), str(missing), "does not exist", "'weights.npz'", error=FileNotFoundError)
    missing = tmp_path / "none" / "w"
    refuses(lambda: read(missing), str(missing), "does not exist", str(tmp_path / "none"), error=FileNotFoundError)
    for wrong in (None, 3, ["w"]):
        refuses(lambda wrong=wrong: read(wrong), "filepath", repr(wrong), error=TypeError)


@pytest.mark.parametrize("write", ["save", "save_weights"])
def test_places_that_cannot_be_written_to(write, tmp_path, monkeypatch):
    def save(path):
        return getattr(network(), write)(path)

    refuses(lambda: save(tmp_path), str(tmp_path), "folder", "name of a file", error=IsADirectoryError)
    missing = tmp_path / "none" / "w"
    refuses(lambda: save(missing), str(tmp_path / "none"), "does not exist", error=FileNotFoundError)
    refuses(lambda: save(None), "filepath", "None", error=TypeError)
    save(tmp_path / ("w" * 250))  # a name as long as the file system takes, or nearly

    def refused(*paths):
        raise PermissionError(13, "Permission denied", *map(str, paths[:1]), None, *map(str, paths[1:]))

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(PermissionError, match=re.escape(repr(str(tmp_path / "w")))) as caught:
        save(tmp_path / "w")
    assert not re.search(r"[.-][0-9a-f]{16}|None", str(caught.value))
    assert [p.name for p in tmp_path.iterdir()] == ["w" * 250]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="no such permissions")
def test_a_folder_nobody_may_write_to(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match=re.escape(repr(str(tmp_path / "w")))):
        network().save_weights(tmp_path / "w")
    tmp_path.chmod(0o700)


def test_the_first_weight_that_differs_is_named(tmp_path):
    network(4).save_weights(tmp_path / "w")
    refuses(
        lambda: network(5).load_weights(tmp_path / "w"),
        "another model", "weight 0", "'hidden/kernel' of shape (3, 4)", "'hidden/kernel' of shape (3, 5)",
    )  # fmt: skip
    other = fastnet.Sequential([layers.Input((3,)), layers.Dense(4, name="first"), layers.Dense(2, name="second")])
    before = other.get_weights()
    refuses(
        lambda: other.load_weights(tmp_path / "w"),
        "another model", "8 weights", "has 4", "weight 2", "'norm/gamma' of shape (4,)",
        "'second/kernel' of shape (4, 2)", "skip_mismatch",
    )  # fmt: skip
    assert all(np.array_equal(a, b) for a, b in zip(before, other.get_weights(), strict=True))
    longer = network(4)
    longer.add(layers.Dense(7, name="more"))
    refuses(lambda: longer.load_weights(tmp_path / "w"), "8 weights", "has 10", "weight 8", "'more/kernel'", "nothing")


def test_a_full_disk_names_the_file(monkeypatch, tmp_path):
    """What the system says of a write names no file; nothing is left of it."""

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    checkpoint = fastnet.callbacks.ModelCheckpoint(tmp_path / "best")
    model = network()
    model.compile("sgd", "mse")
    for write in (
        lambda: model.save(tmp_path / "best"),
        lambda: model.save_weights(tmp_path / "best"),
        lambda: model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0, callbacks=[checkpoint]),
    ):
        with pytest.raises(OSError, match="No space left on device.*best") as caught:
            write()
        assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(tmp_path / "best")
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk_and_a_log_of_epochs(tmp_path):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    logger = fastnet.callbacks.CSVLogger(tmp_path / "log.csv")
    logger.on_train_begin()
    logger._file.close()
    logger._file = Full()
    with pytest.raises(OSError, match="No space left on device.*log.csv"):
        logger.on_epoch_end(0, {"loss": 1.0})
    logger.close()


def test_what_killed_processes_left_is_removed(tmp_path):
    """By the next file that is written there; what another process is writing stays."""
    names = [".best.0123456789abcdef.fastnet-part", ".other.fedcba9876543210.fastnet-part", ".mine"]
    for name in names:
        (tmp_path / name).write_bytes(b"part")
    for old in (names[0], names[2]):
        os.utime(tmp_path / old, (time.time() - 7200,) * 2)
    network().save_weights(tmp_path / "w")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([names[1], names[2], "w"])


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.hdf5"])
def test_names_of_the_formats_of_keras(name, tmp_path):
    """The line outside fastnet is the one that is warned of."""
    for write in (fastnet.Sequential.save, fastnet.saving.save_model, fastnet.saving.save_weights):
        with pytest.warns(UserWarning, match=f"{name} is written in fastnet's format") as caught:
            write(network(), tmp_path / name)
        assert [warning.filename for warning in caught] == [__file__]
    network().load_weights(tmp_path / name)
    with pytest.warns(UserWarning, match="written in fastnet's format"):
        fastnet.callbacks.ModelCheckpoint(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows")
def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    path = tmp_path / "pipe.fastnet"
    os.mkfifo(path)
    with pytest.raises(OSError, match="a device or a pipe, which would be replaced by a file") as error:
        fastnet.Sequential([fastnet.layers.Input((3,)), fastnet.layers.Dense(1)]).save(path)
    assert error.value.filename == str(path) and path.is_fifo()
