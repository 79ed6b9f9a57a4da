"""Backups of a training, from which it continues as if it had never stopped."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import Any

from fastnet import checks
from fastnet.callbacks.callback import Callback, Logs
from fastnet.callbacks.step_counter import StepCounter
from fastnet.saving import archive
from fastnet.saving.writer import Writer


class BackupAndRestore(Callback):
    """Saves the state of a training regularly; the same `fit`, called again, continues from there.

    The backup holds everything on which the rest of the training depends: the weights, the state of the optimizer,
    the counters of masks and permutations, the position in the epoch with the sums of its loss and metrics, and the
    state of the other callbacks (`Callback.get_state`). A training that was killed at any moment, and is resumed with
    the same arguments on the same data, ends with the same bits as one that was not killed. In Keras the epoch starts
    again.

    A background thread writes the backup from a copy. The new backup replaces the last one when all of it is on the
    disk. If a backup is due while another is being written, one after an epoch waits for it, and others are made when
    it is done.

    Args:
        backup_dir: a folder for this training alone; it is created if necessary.
        save_freq: "epoch": after every epoch; or a number of steps.
        double_checkpoint: also keep the backup before the last, in case the last one is damaged on the disk.
        delete_checkpoint: delete the backups when the training has ended.
        seconds: also save when so many seconds have passed since the last backup (not in Keras).

    Raises:
        ValueError: backup_dir is empty, save_freq is neither "epoch" nor a positive integer, seconds is not positive,
            or a flag is neither True nor False.
        TypeError: backup_dir is not a path; when `fit` starts, another callback has a state that a file cannot hold.
        fastnet.saving.SavedFileError: when `fit` starts, the backup is damaged, of another model, of other callbacks,
            or, in the middle of an epoch, of another number of rows or batch size.
        OSError: when `fit` starts, backup_dir is a file; at the next backup, or at the end of `fit`, a backup cannot be
            written.

    Example:
        >>> import tempfile, numpy as np, fastnet
        >>> model = fastnet.Sequential([fastnet.layers.Input((2,)), fastnet.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     backup = fastnet.callbacks.BackupAndRestore(folder, save_freq=100)
        ...     history = model.fit(np.ones((8, 2)), np.ones(8), epochs=3, callbacks=[backup], verbose=0)
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: int | str = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        seconds: float | None = None,
    ):
        owner = "BackupAndRestore"
        self.backup_dir, self.save_freq = Path(checks.path_name(f"{owner}: backup_dir", backup_dir)), save_freq
        self.seconds = None if seconds is None else checks.number(f"{owner}: seconds", seconds, checks.POSITIVE)
        self.double_checkpoint = checks.flag(f"{owner}: double_checkpoint", double_checkpoint)
        self.delete_checkpoint = checks.flag(f"{owner}: delete_checkpoint", delete_checkpoint)
        self._latest, self._previous = self.backup_dir / "latest.backup", self.backup_dir / "previous.backup"
        self._counter = StepCounter(save_freq, owner)
        self._writer = Writer()
        self._found: tuple[Path, dict[str, Any]] | None = None
        self._position: Any = None
        self._is_due = False
        self._next = float("inf")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        try:
            self.backup_dir.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise NotADirectoryError(
                f"BackupAndRestore: backup_dir {self.backup_dir} is a file, or lies in one; give the name of a folder."
            ) from None
        for left in self.backup_dir.glob(".*.backup.*"):  # of a process that was killed while it wrote
            left.unlink(missing_ok=True)
        self._found = self._find()
        self._is_due = False
        self._next = time.monotonic() + self.seconds if self.seconds is not None else float("inf")

    def resume(self, position: Any) -> None:
        if self._found is not None:
            path, tree = self._found
            with archive.explained(path, "cannot be resumed here"):
                position.restore(tree, path)
            self._counter.seen, self._counter.step = tree["backup"]["seen"], position.step
            return
        for name, state in position.calls.get_state():  # finds a state that a file cannot hold now, not after an epoch
            try:
                archive.Packed("checkpoint", {"state": state})
            except TypeError as error:
                raise TypeError(
                    f"BackupAndRestore: the state of the callback {name}, from get_state(): {error}"
                ) from None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._counter.begin_epoch()

    def steps_wanted(self) -> int | None:
        return self._counter.steps_left()

    def safe_point(self, position: Any) -> None:
        self._found = None
        whole_epoch = position.step == 0
        after_epoch = whole_epoch and self.save_freq == "epoch"
        due = not whole_epoch and self._counter.reach(position.step)
        self._is_due = self._is_due or due or time.monotonic() >= self._next
        self._position = position
        if after_epoch or (self._is_due and not self._writer.is_busy):
            self._save()

    def _save(self) -> None:
        tree = {**self._position.state(), "backup": {"seen": self._counter.seen}}
        calls = self._position.calls

        def before() -> None:
            calls.settle()  # since a resumed training does not write again a file that this backup knows
            self._keep_previous()

        self._writer.start(archive.Packed("checkpoint", tree, copy=True), self._latest, before)
        self._is_due = False
        if self.seconds is not None:
            self._next = time.monotonic() + self.seconds

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._is_due and not self.delete_checkpoint:
            self._save()
        self._writer.wait()
        if self.delete_checkpoint:
            for path in (self._previous, self._latest):
                path.unlink(missing_ok=True)
            if not any(self.backup_dir.iterdir()):
                self.backup_dir.rmdir()

    def close(self) -> None:
        self._position = self._found = None  # frees the data
        self._writer.wait()

    def _keep_previous(self) -> None:
        """Copy the latest backup to the other name, through a third one: at every moment a good backup exists."""
        if self.double_checkpoint and self._latest.exists():
            import shutil  # here: 1 ms, with its compressors

            temporary = self.backup_dir / f".{self._previous.name}.copy"
            shutil.copyfile(self._latest, temporary)
            os.replace(temporary, self._previous)

    def _find(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest complete backup; None if there are no files."""
        paths = [path for path in (self._latest, self._previous) if path.exists()]
        for path in paths:
            try:
                return path, archive.read(path, ("checkpoint",))[1]
            except archive.SavedFileError as error:
                if path == paths[-1]:
                    raise archive.SavedFileError(f"{error} Delete {self.backup_dir} to train from the start.") from None
                warnings.warn(f"{error} The backup before it is used.", stacklevel=4)
        return None
