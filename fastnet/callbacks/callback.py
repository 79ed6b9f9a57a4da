"""The base class of callbacks."""

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
    """Base class of callbacks: hooks that `fit`, `evaluate` and `predict` call.

    Override the hooks you need.  ``logs`` maps names to floats: the means so far in batch hooks and `on_progress`, the
    epoch's results (with ``val_`` names) in `on_epoch_end`.  Set ``self.model.stop_training = True`` to end training.

    Many steps run in one compiled call, a chunk; Python runs between chunks only.  Overriding a per-batch hook makes
    every chunk one step long; `on_progress` slows no step down.

    A callback whose decisions depend on earlier epochs gives its memory in `get_state`, so that a resumed training goes
    on as if it had never stopped.

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

    def resume(self, position: Any) -> None:
        """Put a saved training back: called after `on_train_begin` of all, and once more after `on_epoch_begin` where
        an epoch goes on in its middle, so that no change by these hooks remains.
        """

    def safe_point(self, position: Any) -> None:
        """Called after `on_progress` and `on_epoch_end` of all; ``position`` is that of the training, which
        can be saved now."""

    def get_state(self) -> dict[str, Any]:
        """Its memory of a training: numbers, strings, arrays, in lists and dictionaries."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back the memory that `get_state` gave when the training was saved."""

    def settle(self) -> None:
        """Return when its files are whole; called by another thread, before a backup that knows of them is written."""

    def close(self) -> None:
        """Called last, after an error and Ctrl-C too: give files and the terminal back."""
