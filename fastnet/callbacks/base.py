"""What every callback is, and the history of a training."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks

Logs = dict[str, Any]


def verbosity(owner: str, value: Any) -> int:
    """How much a callback prints: 0 or more; True is 1.

    Raises:
        ValueError: it is no such number.
    """
    return int(value) if isinstance(value, (bool, np.bool_)) else checks.whole(f"{owner}: verbose", value, 0)


class Callback:
    """Base class of what `fit`, `evaluate` and `predict` call while they work.

    Override the hooks you need.  ``logs`` maps names to floats: the means so far in batch hooks and `on_progress`, the
    epoch's results (with ``val_`` names) in `on_epoch_end`.  Set ``self.model.stop_training = True`` to end training.

    Many steps run in one compiled call, and Python looks in between such chunks only.  A per-batch hook that someone
    overrides makes every chunk one step long; `on_progress` costs no step anything.

    A callback that decides by what it remembers gives that in `get_state`, so that a resumed training goes on as if it
    had never stopped.

    Attributes:
        params: dict with ``verbose``, ``epochs`` and ``steps`` (per epoch).
        model: the `Sequential` at work.

    Example:
        >>> class Patience(fastnet.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         self.model.stop_training = logs["loss"] < 0.01
    """

    # On the class, so that a subclass may forget super().__init__().
    params: dict[str, Any] | None = None
    _model: Any = None

    @property
    def model(self) -> Any:
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self._model = model

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called when `fit` starts."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called when `fit` ends, with the last epoch's logs."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before each epoch; ``epoch`` counts from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after each epoch and its validation, with the results of both."""

    def on_progress(self, step: int, logs: Logs | None = None) -> None:
        """Called between chunks of steps, about ten times a second; ``step`` of this epoch are done (not in Keras)."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Older name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each training step."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each training step, with the means over the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called when `evaluate`, or the validation within `fit`, starts."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called when `evaluate`, or the validation within `fit`, ends, with its results."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch of `evaluate` or of a validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch of `evaluate` or of a validation, with the means so far."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called when `predict` starts."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called when `predict` ends."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch of `predict`; ``logs["outputs"]`` are its predictions."""

    # ---- not in Keras

    def steps_wanted(self) -> int | None:
        """How many more steps may be done before `on_progress` is called: at least 1, or None for as many as fit."""

    def accepts_nonfinite(self, batch: int, error: ArithmeticError) -> bool:
        """Called when the loss of this batch is not finite: whether to end training instead of raising ``error``."""
        return False

    def resume(self, place: Any) -> None:
        """Put a saved training back: called after `on_train_begin` of all, and once more after `on_epoch_begin` where
        an epoch goes on in its middle, so that nothing these hooks changed remains.
        """

    def safe_point(self, place: Any) -> None:
        """Called after `on_progress` and `on_epoch_end` of all; ``place`` is a `fastnet.training.resume.Place`."""

    def get_state(self) -> dict[str, Any]:
        """What it remembers of a training: numbers, strings, arrays, in lists and dictionaries."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Remember what `get_state` gave when the training that is now resumed was saved."""

    def settle(self) -> None:
        """Return when its files are whole; called by another thread, before a backup that knows of them is written."""

    def close(self) -> None:
        """Called last, after an error and Ctrl-C too: give files and the terminal back."""


class History(Callback):
    """What happened in each epoch; `fit` adds one and returns it.

    A pickle or a copy of it holds these numbers and ``params``, and no model.

    Attributes:
        epoch: the epochs done, counted from 0.
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
            self.history.setdefault(name, []).append(value)
        self.model.history = self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_model"}

    def get_state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "history": self.history}

    def set_state(self, state: dict[str, Any]) -> None:
        self.epoch, self.history = state["epoch"], state["history"]
