"""The progress of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

from fastnet.callbacks.callback import Callback, Logs
from fastnet.progress import Progress


class ProgbarLogger(Callback):
    """Shows progress; `fit`, `evaluate` and `predict` add one that follows their ``verbose``.

    Example:
        >>> model = fastnet.Sequential([layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> history = model.fit(np.ones((8, 2)), np.ones(8), callbacks=[callbacks.ProgbarLogger()], verbose=0)
    """

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._in_fit = False

    def on_compile(self) -> None:
        """Show that kernels are being compiled; the next drawing replaces the line."""
        if self._progress is None:
            self._open("Epoch")
        assert self._progress is not None
        self._progress.notice("Compiling kernels", "some seconds, once for this kind of network")

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
        """Release the terminal; may be called at any time."""
        self._in_fit = False
        self._close_progress()

    def _close_progress(self) -> None:
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
        self._close_progress()
        params = self.params or {}
        epochs = params.get("epochs") or 1
        self._progress = Progress(epochs, params.get("steps"), params.get("verbose", "auto"), label=label)
