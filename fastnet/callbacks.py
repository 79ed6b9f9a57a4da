"""Callbacks: hooks that `fit`, `evaluate` and `predict` call, with Keras's names and log keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .progress import Progress

Logs = dict[str, Any]


class Callback:
    """Base class of what `fit`, `evaluate` and `predict` call while they work.

    Override the hooks you need.  ``logs`` maps names to floats: the means so far in batch hooks and `on_progress`, the
    epoch's results (with ``val_`` names) in `on_epoch_end`.  Set ``self.model.stop_training = True`` to end training.

    Many steps run in one compiled call, and Python looks in between such chunks only.  A per-batch hook that someone
    overrides makes every chunk one step long; `on_progress` costs no step anything.

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


class History(Callback):
    """What happened in each epoch; `fit` adds one and returns it.

    Attributes:
        epoch: the epochs done, counted from 0.
        history: maps each log name to the list of its values, one for each epoch.
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


class ProgbarLogger(Callback):
    """Shows progress; `fit`, `evaluate` and `predict` add one that follows their ``verbose``."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._in_fit = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._in_fit = True
        self._open("Epoch")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self._progress:
            self._progress.epoch_begin(epoch)

    def on_progress(self, step: int, logs: Logs | None = None) -> None:
        if self._progress:
            self._progress.update(step, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._progress:
            self._progress.epoch_end(logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.close()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._begin_alone("Evaluate")

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._end_alone(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._begin_alone("Predict")

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._end_alone(None)

    def close(self) -> None:
        """Give the terminal back; safe to call at any time."""
        self._in_fit = False
        if self._progress:
            self._progress.close()
            self._progress = None

    def _begin_alone(self, label: str) -> None:
        if not self._in_fit:  # a validation within fit is silent, as in Keras
            self._open(label)
            assert self._progress is not None
            self._progress.epoch_begin(0)

    def _end_alone(self, logs: Logs | None) -> None:
        if not self._in_fit and self._progress:
            self._progress.epoch_end(logs)
            self.close()

    def _open(self, label: str) -> None:
        params = self.params or {}
        epochs = params.get("epochs") or 1
        self._progress = Progress(epochs, params.get("steps"), params.get("verbose", "auto"), label=label)


def _is_overridden(callback: Callback, hook: str) -> bool:
    """Whether a subclass, or an assignment to the instance, gave the hook a body."""
    return getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)


def _flatten(callbacks: Any) -> Iterator[Callback]:
    if callbacks is None:
        return
    if isinstance(callbacks, (list, tuple)):
        for item in callbacks:
            yield from _flatten(item)
    elif isinstance(callbacks, Callback):
        yield callbacks
    else:
        hint = " Did you forget the parentheses?" if isinstance(callbacks, type) else ""
        raise TypeError(
            f"callbacks must be instances of fastnet.callbacks.Callback, but {callbacks!r} was received.{hint}"
        )


class CallbackList:
    """Several callbacks called as one, in the order given, `History` and `ProgbarLogger` last.

    Args:
        callbacks: a `Callback`, or a (nested) list of them.
        add_history, add_progbar: whether to add one where the list has none.
        model: the model at work; its ``history`` becomes the `History`.
        **params: what each callback gets by `set_params`: ``verbose``, ``epochs``, ``steps``.

    Raises:
        TypeError: something in ``callbacks`` is no `Callback`.

    As a context manager it gives the terminal back at the end, also after an error or Ctrl-C.

    Attributes:
        wants_batches: whether someone overrides a per-batch training hook, so that chunks must be one step long.
        wants_test_batches, wants_predict_batches: the same for `evaluate` and validation, and for `predict`.
        history: the `History`, or None.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        self.callbacks = list(_flatten(callbacks))
        if add_history and not any(isinstance(c, History) for c in self.callbacks):
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        self.history = next((c for c in self.callbacks if isinstance(c, History)), None)
        self.wants_batches = self._wants("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
        self.wants_test_batches = self._wants("on_test_batch_begin", "on_test_batch_end")
        self.wants_predict_batches = self._wants("on_predict_batch_begin", "on_predict_batch_end")
        if params:
            self.set_params(params)
        if model is not None:
            self.set_model(model)

    def __enter__(self) -> CallbackList:
        return self

    def __exit__(self, *error: object) -> None:
        for callback in self.callbacks:
            if isinstance(callback, ProgbarLogger):
                callback.close()

    def _wants(self, *hooks: str) -> bool:
        return any(_is_overridden(callback, hook) for callback in self.callbacks for hook in hooks)

    def set_params(self, params: dict[str, Any]) -> None:
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        if self.history is not None:
            model.history = self.history
        for callback in self.callbacks:
            callback.set_model(model)

    def _call(self, hook: str, *position: int, logs: Logs | None) -> None:
        # One dict for all: what a callback adds (a learning rate, say), those after it and History see, as in Keras.
        shared = dict(logs) if logs else {}
        for callback in self.callbacks:
            getattr(callback, hook)(*position, shared)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", logs=logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", logs=logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_end", epoch, logs=logs)

    def on_progress(self, step: int, logs: Logs | None = None) -> None:
        self._call("on_progress", step, logs=logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_begin", batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_end", batch, logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._call("on_test_begin", logs=logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._call("on_test_end", logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_begin", batch, logs=logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_end", batch, logs=logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._call("on_predict_begin", logs=logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._call("on_predict_end", logs=logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_begin", batch, logs=logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_end", batch, logs=logs)
