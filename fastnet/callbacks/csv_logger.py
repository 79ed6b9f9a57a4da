"""A table of the epochs."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.callbacks.callback import Callback, Logs


class CSVLogger(Callback):
    """Writes the logs of each epoch to a CSV file: a column ``epoch``, and one for each log in order of its name.

    If the first epoch has no validation, each of its logs has a second column, ``val_...``, as in Keras. "NA" stands
    for a log that an epoch does not have. Each row is on the disk when its epoch ends.

    Args:
        filename: the file; missing folders are created.
        separator: between columns: one character.
        append: whether to append rows to an existing file, instead of replacing it.

    Raises:
        ValueError: the separator is not one character, ``append`` is neither True nor False, or the name is empty.
        TypeError: ``filename`` is not a path.
        OSError: when `fit` starts, the file cannot be written.

    Example:
        >>> import fastnet
        >>> logger = fastnet.callbacks.CSVLogger("training.csv", append=True)
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False):
        self.filename = checks.path_name("CSVLogger: filename", filename)
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise ValueError(
                "CSVLogger: separator must be one character, such as ',' or ';', and neither a quote nor the end of a "
                f"line, received {quoted(separator)}."
            )
        self.sep, self.append = separator, checks.flag("CSVLogger: append", append)
        self.keys: list[str] | None = None
        self._file: Any = None
        self._position = 0  # size of the file up to this training's last row
        self._cut = False  # whether to drop the rest of the file

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.close()
        self.keys = None
        # Opened now: a file that cannot be written is found before training. Cut only with the first row, since a
        # resumed training continues after the rows in the file.
        os.makedirs(os.path.dirname(self.filename) or ".", exist_ok=True)
        self._file = open(self.filename, "a", newline="")
        self._position, self._cut = os.path.getsize(self.filename) if self.append else 0, True

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self._cut:
            self._file.truncate(self._position)
            self._cut = False
        rows: list[list[Any]] = []
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
            if self._position == 0:
                rows.append(["epoch", *self.keys])
        import csv  # here, for the few programs that write one

        rows.append([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])
        try:
            csv.writer(self._file, delimiter=self.sep).writerows(rows)
            self._file.flush()
        except OSError as error:
            raise type(error)(error.errno, error.strerror, self.filename) from error
        self._position = os.path.getsize(self.filename)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._file is not None and self._cut:
            self._file.truncate(self._position)
        self.close()

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # a full disk was an error when the row was written
                file.close()

    def get_state(self) -> dict[str, Any]:
        return {"keys": self.keys, "position": self._position}

    def set_state(self, state: dict[str, Any]) -> None:
        # Later rows are of epochs that will be repeated. If the file is gone, the new one begins with a heading.
        if os.path.getsize(self.filename) >= state["position"]:
            self.keys, self._position = state["keys"], state["position"]


def _cell(value: Any) -> Any:
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim):
        return f'"[{", ".join(map(str, value))}]"'
    return value
