"""The results of each epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet.callbacks.callback import Callback, Logs


class History(Callback):
    """The logs of each epoch; `fit` adds one and returns it.

    A pickle or a copy of it holds these numbers and ``params``, but not the model.

    Attributes:
        epoch: the numbers of the epochs that are done, from 0.
        history: maps each log name to the list of its values, one for each epoch.

    Example:
        >>> model = fastnet.Sequential([layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=3, verbose=0)
        >>> history.epoch, len(history.history["loss"])
        ([0, 1, 2], 3)
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(_plain(value))
        self.model.history = self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_model"}

    def get_state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "history": self.history}

    def set_state(self, state: dict[str, Any]) -> None:
        self.epoch, self.history = state["epoch"], state["history"]


def _plain(value: Any) -> Any:
    """A number as Python's own: numpy's, and those of an optimizer's arguments, are others."""
    if isinstance(value, (np.ndarray, np.generic)) and value.ndim == 0:
        return value.item()
    return float(value) if isinstance(value, float) else value
