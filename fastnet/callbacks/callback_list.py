"""Several callbacks called as one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from fastnet._kernels.compile import watchers
from fastnet._kernels.errors import quoted
from fastnet.callbacks.callback import Callback, Logs
from fastnet.callbacks.history import History
from fastnet.callbacks.progbar_logger import ProgbarLogger


def _is_overridden(callback: Callback, hook: str) -> bool:
    """Whether a subclass, or an assignment to the instance, gave the hook a body."""
    return getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)


def _flatten(callbacks: Any) -> Iterator[Callback]:
    if callbacks is None:
        return
    if isinstance(callbacks, CallbackList):
        yield from callbacks.callbacks
    elif isinstance(callbacks, (list, tuple)):
        for item in callbacks:
            yield from _flatten(item)
    elif isinstance(callbacks, Callback):
        yield callbacks
    else:
        hint = " Did you forget the parentheses?" if isinstance(callbacks, type) else ""
        raise TypeError(
            f"callbacks must be instances of fastnet.callbacks.Callback, but {quoted(callbacks)} was received.{hint}"
        )


class CallbackList:
    """Several callbacks called as one, in the order given; `History` and `ProgbarLogger` come last.

    Args:
        callbacks: a `Callback`, or a (nested) list of them.
        add_history, add_progbar: whether to add one if the list lacks it.
        model: the model at work; its ``history`` becomes the `History`.
        **params: passed to `set_params` of each callback: ``verbose``, ``epochs``, ``steps``.

    Raises:
        TypeError: an item of ``callbacks`` is not a `Callback`.

    As a context manager, it closes the callbacks at the end, also after an error or Ctrl-C.

    Attributes:
        wants_batches: whether a callback overrides a per-batch training hook; chunks are then one step long.
        wants_progress: whether a callback overrides `on_progress`.
        wants_test_batches, wants_predict_batches: the same for `evaluate` and validation, and for `predict`.
        history: the `History`, or None.

    Example:
        >>> with callbacks.CallbackList([callbacks.TerminateOnNaN()], add_history=True) as both:
        ...     [type(callback).__name__ for callback in both.callbacks]
        ['TerminateOnNaN', 'History']
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
        self._showing = [c for c in self.callbacks if isinstance(c, ProgbarLogger)]
        self.history = next((c for c in self.callbacks if isinstance(c, History)), None)
        self.wants_batches = self._wants("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
        self.wants_test_batches = self._wants("on_test_batch_begin", "on_test_batch_end")
        self.wants_predict_batches = self._wants("on_predict_batch_begin", "on_predict_batch_end")
        self.wants_progress = self._wants("on_progress")
        self._counting = [c for c in self.callbacks if _is_overridden(c, "steps_wanted")]
        self._saving = [c for c in self.callbacks if _is_overridden(c, "safe_point")]
        if params:
            self.set_params(params)
        if model is not None:
            self.set_model(model)

    def __enter__(self) -> CallbackList:
        watchers.functions.append(self.on_compile)
        return self

    def __exit__(self, *error: object) -> None:
        watchers.functions.remove(self.on_compile)
        with contextlib.ExitStack() as stack:  # closes all, even if one raises
            for callback in self.callbacks:
                stack.callback(callback.close)

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
        # One dict for all, sorted, as in Keras: later callbacks and History see an item that one adds, such as a
        # learning rate.
        shared = dict(sorted(logs.items())) if logs else {}
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

    def on_compile(self) -> None:
        """Called before a kernel is compiled."""
        for callback in self._showing:
            callback.on_compile()

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

    def steps_wanted(self) -> int | None:
        """The number of steps before `on_progress` is called next; None for any number."""
        wanted = [n for n in (callback.steps_wanted() for callback in self._counting) if n is not None]
        return min(wanted, default=None)

    def accepts_nonfinite(self, batch: int, error: ArithmeticError) -> bool:
        """Whether a callback ends the training at a loss that is not finite."""
        answers = [callback.accepts_nonfinite(batch, error) for callback in self.callbacks]  # asks all of them
        return any(answers)

    def diverged(self, error: Exception) -> None:
        """Tell the callbacks that training ends, since a loss or a weight is not finite."""
        for callback in self.callbacks:
            callback.diverged(error)

    def resume(self, position: Any) -> None:
        """Let a callback restore a saved training."""
        for callback in self.callbacks:
            callback.resume(position)

    def safe_point(self, position: Any) -> None:
        """Call the callbacks that save, after all hooks of these steps, or of this epoch."""
        for callback in self._saving:
            callback.safe_point(position)

    def settle(self) -> None:
        """Return when all files that callbacks write in the background are complete."""
        for callback in self.callbacks:
            callback.settle()

    def get_state(self) -> list[Any]:
        """The states of the callbacks: (class, state) of those that have one."""
        return [[type(c).__name__, c.get_state()] for c in self._with_state()]

    def set_state(self, states: list[Any]) -> None:
        """Restore the states that `get_state` returned.

        Raises:
            ValueError: the states are those of other callbacks; no callback has changed.
        """
        callbacks = self._with_state()
        saved, given = [name for name, _ in states], [type(c).__name__ for c in callbacks]
        if saved != given:
            raise ValueError(f"was saved by a training with the callbacks {saved}; this one has {given}")
        for callback, (_, state) in zip(callbacks, states, strict=True):
            callback.set_state(state)

    def _with_state(self) -> list[Callback]:
        return [c for c in self.callbacks if _is_overridden(c, "get_state")]
