"""The files of backups: damaged, foreign, in the way; when they are written and when they are deleted."""

import time

import numpy as np
import pytest

from fastnet import callbacks
from fastnet.saving import SavedFileError
from fastnet.saving.archive import Packed
from fastnet.saving.writer import Writer

from .trainings import EPOCHS, Interrupt, Interrupted, Slow, data, interrupted, make, run


def test_a_backup_waits_for_the_files_it_knows_of(tmp_path, monkeypatch):
    order, write = [], Packed.write

    def slow(packed, path):
        time.sleep(0.1 if path.name == "best" else 0)
        write(packed, path)
        order.append(path.name)

    monkeypatch.setattr(Packed, "write", slow)
    best = callbacks.ModelCheckpoint(tmp_path / "best", save_weights_only=True)
    make().fit(*data(), epochs=3, verbose=0, callbacks=[best, callbacks.BackupAndRestore(tmp_path / "b")])
    assert order == ["best", "latest.backup"] * 3


@pytest.mark.parametrize("name", ["file", "file/folder"])
def test_a_file_in_the_place_of_the_folder(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    model = make()
    with pytest.raises(NotADirectoryError, match="BackupAndRestore: backup_dir .*file.* give the name of a folder"):
        model.fit(*data(), verbose=0, callbacks=[callbacks.BackupAndRestore(tmp_path / name)])
    assert model.optimizer.iterations == 0 and (tmp_path / "file").read_text() == "in the way"


def test_a_callback_of_the_users_remembers(tmp_path):
    class Sum(callbacks.Callback):
        total, array = 0.0, None

        def on_progress(self, step, logs=None):
            self.total += logs["loss"]
            self.array = np.array([self.total])

        def get_state(self):
            return {"total": self.total, "nested": [self.array]}

        def set_state(self, state):
            self.total, self.array = state["total"], state["nested"][0]

    first, second, alone = Sum(), Sum(), Sum()
    interrupted_at = [first, Interrupt("on_progress", 20)]
    with pytest.raises(Interrupted):
        run(tmp_path / "b", interrupted_at, save_freq=1)
    run(tmp_path / "b", [second], save_freq=1)
    run(tmp_path / "c", [alone], save_freq=1)
    assert second.total == alone.total == alone.array[0] and first.total < alone.total


def backup_of(folder, **more):
    interrupted(folder, "on_progress", 20, save_freq=1, **more)
    return folder / "latest.backup"


def test_a_damaged_backup(whole, tmp_path):
    path = backup_of(tmp_path / "b")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SavedFileError, match=r"latest.backup .*damaged.*Delete .* to train from the start"):
        run(tmp_path / "b", save_freq=1)
    assert path.exists()


def test_a_resumed_training_is_saved_at_the_same_steps(tmp_path, monkeypatch):
    """Every 33 steps of all epochs together, wherever training was broken off; 322 rows are 41 steps."""
    monkeypatch.setattr(Writer, "is_busy", property(Writer.wait))
    saved, save = [], callbacks.BackupAndRestore._save

    def note(backup):
        saved.append(backup._position.model.optimizer.iterations)
        save(backup)

    monkeypatch.setattr(callbacks.BackupAndRestore, "_save", note)
    interrupted(tmp_path / "b", "on_progress", 100, save_freq=33)
    first = saved.copy()
    run(tmp_path / "b", save_freq=33)
    assert saved == list(range(33, 33 * len(saved) + 1, 33)) and 0 < len(first) < len(saved)


def test_the_backup_before_stands_in(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(Writer, "is_busy", property(Writer.wait))  # so that none of the 20 is left out
    path = backup_of(tmp_path / "b", double_checkpoint=True)
    assert sorted(p.name for p in path.parent.iterdir()) == ["latest.backup", "previous.backup"]
    path.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="backup before it is used"):
        assert run(tmp_path / "b", save_freq=1, double_checkpoint=True) == whole[0]


def test_a_backup_of_something_else(tmp_path):
    backup_of(tmp_path / "b")

    def fit(model, *args, group=()):
        before = model.get_weights()
        backup = callbacks.BackupAndRestore(tmp_path / "b")
        stopping = callbacks.EarlyStopping("val_accuracy", mode="max")
        group = group or [stopping, Slow(), callbacks.CSVLogger(tmp_path / "log.csv")]
        with pytest.raises(SavedFileError) as caught:
            model.fit(*args, verbose=0, callbacks=[backup, *group], epochs=EPOCHS, validation_split=0.2)
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
        return str(caught.value)

    x, y = data()
    assert "322 rows in batches of 8; fit was given 322 rows in batches of 16" in fit(make(), x, y, 16)
    assert "fit was given 160 rows" in fit(make(), x[:200], y[:200], 8)
    assert "another model" in fit(make(units=31), x, y, 8)
    assert "callbacks ['EarlyStopping', 'CSVLogger', 'History']" in fit(make(), x, y, 8, group=[Slow()])
    other = make()
    other.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert "optimizer Adam, which does not fit this model's (SGD)" in fit(other, x, y, 8)


def test_a_backup_that_cannot_be_written(tmp_path, monkeypatch):
    def fail(*args, **arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path / "b", save_freq=1)
    assert list((tmp_path / "b").iterdir()) == []


def test_the_good_backup_stays_while_a_newer_one_is_written(whole, tmp_path, monkeypatch):
    path = backup_of(tmp_path / "b")
    good, savez = path.read_bytes(), np.savez

    def half(file, **arrays):
        file.write(b"half")
        assert path.read_bytes() == good
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path / "b", save_freq=1)
    assert path.read_bytes() == good
    monkeypatch.setattr(np, "savez", savez)
    assert run(tmp_path / "b", save_freq=1) == whole[0]


@pytest.mark.parametrize("delete", [True, False])
def test_what_is_deleted_at_the_end(delete, tmp_path):
    (tmp_path / "b").mkdir()
    mine = tmp_path / "b" / "mine"
    mine.write_text("mine")
    run(tmp_path / "b", save_freq=5, double_checkpoint=True, delete_checkpoint=delete)
    left = {"mine"} if delete else {"mine", "latest.backup", "previous.backup"}
    assert {path.name for path in (tmp_path / "b").iterdir()} == left


def test_a_training_that_has_ended_ends_at_once(whole, tmp_path):
    assert run(tmp_path / "b", save_freq="epoch", delete_checkpoint=False) == whole[0]
    steps = []
    again = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    assert run(tmp_path / "b", [again], save_freq="epoch", delete_checkpoint=False) == whole[0]
    assert steps == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"backup_dir": ""}, "empty"),
        ({"backup_dir": "b", "save_freq": 0}, "save_freq .* received 0"),
        ({"backup_dir": "b", "save_freq": "step"}, "save_freq .* received 'step'"),
        ({"backup_dir": "b", "save_freq": True}, "save_freq"),
        ({"backup_dir": "b", "seconds": 0}, "seconds must be a number that is positive"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        callbacks.BackupAndRestore(**arguments)
