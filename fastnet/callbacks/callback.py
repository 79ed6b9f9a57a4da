"""The base class of callbacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks

Logs = dict[str, Any]


def verbosity(owner: str, value: Any) -> int:
    """Check the amount that a callback prints: 0 or more; True is 1.

    Raises:
        ValueError: it is not such a number.
    """
    return int(value) if isinstance(value, (bool, np.bool_)) else checks.integer(f"{owner}: verbose", value, 0)


class Callback:
    """Base class of callbacks: hooks that `fit`, `evaluate` and `predict` call.

    Override the hooks you need. ``logs`` maps names to floats: in batch hooks and `on_progress` the means so far, in
    `on_epoch_end` the epoch's results (with ``val_`` names). Set ``self.model.stop_training = True`` to end training.

    Many steps run in one compiled call, a chunk; Python runs only between chunks. Overriding a per-batch hook makes
    every chunk one step long; `on_progress` does not slow steps down.

    A callback whose decisions depend on earlier epochs returns its state from `get_state`. A resumed training then
    continues as if it had never stopped.

    Attributes:
        params: dict with ``verbose``, ``epochs`` and ``steps`` (per epoch).
        model: the `Sequential` at work.

    Example:
        >>> class Patience(fastnet.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         self.model.stop_training = logs["loss"] < 0.01
    """

    # On the class: a subclass need not call super().__init__().
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
        """Called between chunks, about ten times a second, after ``step`` steps of the epoch (not in Keras)."""

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
        """The number of steps before `on_progress` is called next: at least 1, or None for as many as fit."""

    def accepts_nonfinite(self, batch: int, error: ArithmeticError) -> bool:
        """Called when the loss of this batch is not finite: whether to end training instead of raising ``error``."""
        return False

    def diverged(self, error: Exception) -> None:
        """Called when `fit` ends with ``error``, since a loss or a weight is not finite; `on_train_end` is not."""

    def resume(self, position: Any) -> None:
        """Restore a saved training. Called after `on_train_begin` of all callbacks, and again after `on_epoch_begin` if
        an epoch continues in its middle: changes by these hooks are thus overwritten.
        """

    def safe_point(self, position: Any) -> None:
        """Called after `on_progress` and `on_epoch_end` of all callbacks: ``position``, that of the training, can be
        saved now."""

    def get_state(self) -> dict[str, Any]:
        """Its state in a training: numbers, strings, arrays, in lists and dictionaries."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the state that `get_state` returned when the training was saved."""

    def settle(self) -> None:
        """Return when its files are complete; another thread calls this before it writes a backup that knows them."""

    def close(self) -> None:
        """Called last, also after an error and Ctrl-C: release files and the terminal."""
