"""Saving the model while it is trained."""

from __future__ import annotations

import os
import re
import string
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.registry import nearest
from fastnet.callbacks.callback import Logs, verbosity
from fastnet.callbacks.monitor_callback import MonitorCallback
from fastnet.callbacks.step_counter import StepCounter
from fastnet.saving.archive import warn_of_other_format
from fastnet.saving.model_files import describe, pack
from fastnet.saving.writer import Writer

#: names in a file name that are known before the first logs, with examples of their values
_KNOWN = {"epoch": 1, "batch": 1, "loss": 0.5, "val_loss": 0.5}


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, after every epoch or every so many steps.

    A background thread writes a file from a copy, completely or not at all. The next file waits for it, and `fit`
    returns when all are on the disk.

    Args:
        filepath: the file. It may contain ``{epoch}``, counted from 1, ``{batch}`` and every name of the logs:
            ``"{epoch:02d}-{val_loss:.2f}.fastnet"``. Any suffix is possible. Missing folders are created.
        monitor: the log that ``save_best_only`` follows.
        verbose: 1 to print a line for each file.
        save_best_only: whether to save only improvements.
        save_weights_only: `save_weights` instead of `save_model`.
        mode: "min", "max", or "auto": the loss or metric decides.
        save_freq: "epoch", or a number of steps; the logs are then the means over the epoch so far.
        initial_value_threshold: with ``save_best_only``, the value to beat at first.

    Raises:
        ValueError: ``filepath`` cannot be formatted, or asks for an absent log (``{batch}`` when saving epochs,
            ``{val_loss}`` when saving steps), or another argument has another value.
        TypeError: ``filepath`` is not a path; when `fit` starts, a file cannot describe a part of the model.
        KeyError: when saving, the logs lack a name in ``filepath``.
        OSError: the file cannot be written.

    Example:
        >>> import fastnet
        >>> best = fastnet.callbacks.ModelCheckpoint("best.fastnet", "val_accuracy", mode="max", save_best_only=True)
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: int | str = "epoch",
        initial_value_threshold: float | None = None,
    ):
        owner = "ModelCheckpoint"
        if initial_value_threshold is not None:
            what = f"{owner}: initial_value_threshold"
            initial_value_threshold = checks.number(what, initial_value_threshold, checks.NO_NAN)
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath, self.verbose = checks.path_name(f"{owner}: filepath", filepath), verbosity(owner, verbose)
        self.save_best_only = checks.flag(f"{owner}: save_best_only", save_best_only)
        self.save_weights_only = checks.flag(f"{owner}: save_weights_only", save_weights_only)
        self.save_freq = save_freq
        self._counter = StepCounter(save_freq, owner)
        _check_template(self.filepath, self._counter.count is None)
        self._epoch = 0
        warn_of_other_format(Path(self.filepath))
        self._writer = Writer()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if not self.save_weights_only:
            describe(self.model)  # finds a part that a file cannot describe now, not after an epoch

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        self._counter.begin_epoch()

    def steps_wanted(self) -> int | None:
        return self._counter.steps_left()

    def on_progress(self, step: int, logs: Logs | None = None) -> None:
        if self._counter.reach(step):
            self._save(self._epoch, logs or {}, batch=step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs or {})

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._writer.wait()

    def settle(self) -> None:
        self._writer.settle()

    def close(self) -> None:
        self._writer.wait()

    def _save(self, epoch: int, logs: Logs, **batch: int) -> None:
        path = self._path(epoch, {**batch, **logs})
        if not self._is_wanted(epoch, logs, path):
            return
        if path.is_dir():
            raise IsADirectoryError(f"ModelCheckpoint: {path} is a folder; give the name of a file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer.start(pack(self.model, "weights" if self.save_weights_only else "model", copy=True), path)

    def _path(self, epoch: int, logs: Logs) -> Path:
        try:
            return Path(self.filepath.format(**{"epoch": epoch + 1, **logs}))
        except KeyError as error:
            known = ["epoch", *logs]
            near = nearest(error.args[0], known)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise KeyError(
                f"ModelCheckpoint: the file name {quoted(self.filepath)} asks for {error}, and there are only "
                f"{', '.join(known)}.{hint}"
            ) from None
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(
                f"ModelCheckpoint: the file name {quoted(self.filepath)} does not fit the logs: {error}."
            ) from None

    def _is_wanted(self, epoch: int, logs: Logs, path: Path) -> bool:
        say = print if self.verbose > 0 else _nothing
        if not self.save_best_only:
            say(f"Epoch {epoch + 1}: saving model to {path}")
            return True
        current = self.value(logs, "the best model follows")
        if current is None:
            return True
        if np.ndim(current) > 0:
            warnings.warn(
                f"ModelCheckpoint: {quoted(self.monitor)} is not a single number; every model is saved.", stacklevel=2
            )
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self.is_improvement(current, self.best):
            say(f"Epoch {epoch + 1}: {self.monitor} did not improve from {best}")
            return False
        say(f"Epoch {epoch + 1}: {self.monitor} improved from {best} to {current:.5f}, saving model to {path}")
        self.best = current
        return True

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "seen": self._counter.seen, "step": self._counter.step}

    def set_state(self, state: dict[str, Any]) -> None:
        self.best, self._counter.seen, self._counter.step = state["best"], state["seen"], state["step"]


def _check_template(filepath: str, by_epoch: bool) -> None:
    """Check a file name before the first logs.

    Raises:
        ValueError: the name cannot be formatted, or asks for a log that will be absent.
    """
    what = f"ModelCheckpoint: filepath {quoted(filepath)}"
    try:
        fields = [part for part in string.Formatter().parse(filepath) if part[1] is not None]
    except ValueError as error:
        raise ValueError(f"{what} is not a format such as '{{epoch:02d}}-{{val_loss:.2f}}.fastnet': {error}.") from None
    for _, field, code, conversion in fields:
        name = re.split(r"[.\[]", field or "")[0]
        if not name or name.isdigit():
            raise ValueError(f"{what} has a field without a name; write {{epoch}}, {{batch}} or the name of a log.")
        if by_epoch and name == "batch":
            raise ValueError(f"{what} asks for {{batch}}, which there is only where save_freq is a number of steps.")
        if not by_epoch and name.startswith("val_"):
            raise ValueError(
                f"{what} asks for {{{name}}}, which there is only after an epoch; leave save_freq='epoch'."
            )
        if name not in _KNOWN:
            continue
        placeholder = f"{{{field}{f'!{conversion}' if conversion else ''}:{code}}}"
        try:
            placeholder.format(**_KNOWN)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            kind = "an integer" if isinstance(_KNOWN[name], int) else "a number"
            raise ValueError(f"{what}: {{{field}:{code}}} does not fit {name!r}, which is {kind}: {error}.") from None


def _nothing(text: str) -> None:
    pass
