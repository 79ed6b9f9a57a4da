"""The end of training when a log no longer improves."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet.callbacks.callback import Logs, verbosity
from fastnet.callbacks.monitor_callback import MonitorCallback


class EarlyStopping(MonitorCallback):
    """Ends training when a log has not improved for ``patience`` epochs.

    Args:
        monitor: the log's name.
        min_delta: an improvement is larger than this.
        patience: the number of epochs to wait for an improvement.
        verbose: 1 to print when it acts.
        mode: "min", "max", or "auto": the loss or metric decides.
        baseline: a value that must be beaten for ``patience`` to start again.
        restore_best_weights: whether the model gets the weights of its best epoch at the end of training, even if
            training did not stop early, or diverges and raises an error.
        start_from_epoch: number of the first epoch that counts, from 0.

    Attributes:
        best, best_epoch, best_weights: of the best epoch so far.
        wait: epochs since the last improvement.
        stopped_epoch: number of the epoch after which training stopped early, from 0; 0 if it did not.

    Raises:
        ValueError: an argument has another value; at the first epoch's end, mode is "auto" and the direction of the log
            is unknown.

    Example:
        >>> import numpy as np, fastnet
        >>> stopping = fastnet.callbacks.EarlyStopping("loss", patience=3)
        >>> model = fastnet.Sequential([fastnet.layers.Dense(10)])
        >>> model.compile("sgd", "mse")
        >>> x = np.arange(100.0).reshape(5, 20) / 100
        >>> history = model.fit(x, np.zeros((5, 10)), epochs=4, callbacks=[stopping], verbose=0)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = checks.integer("EarlyStopping: patience", patience, 0)
        self.verbose = verbosity("EarlyStopping", verbose)
        self.baseline = None if baseline is None else checks.number("EarlyStopping: baseline", baseline, checks.NO_NAN)
        self.restore_best_weights = checks.flag("EarlyStopping: restore_best_weights", restore_best_weights)
        self.start_from_epoch = checks.integer("EarlyStopping: start_from_epoch", start_from_epoch, 0)
        self._forget()

    def _forget(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best: float | None = None
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        current = self.value(logs, "stopping follows")
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.is_improvement(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)

    def diverged(self, error: Exception) -> None:
        if self.restore_best_weights and self.best_weights is not None and self.best is not None:
            self.model.set_weights(self.best_weights)
            error.args = (f"{error} EarlyStopping has then set the weights of the best epoch, {self.best_epoch + 1}.",)

    def get_state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")}

    def set_state(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
