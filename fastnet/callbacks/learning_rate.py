"""Callbacks that set the learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet.callbacks.base import Callback, Logs
from fastnet.callbacks.monitor import MonitorCallback


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch; adds it to the logs as ``learning_rate``.

    Args:
        schedule: called with the epoch's number, from 0, and the learning rate so far; gives the new one, a float. A
            function of the epoch alone does too.
        verbose: 1 to print each.

    Raises:
        ValueError: before an epoch, what ``schedule`` gives is no float.

    Example:
        >>> import fastnet
        >>> def halved(epoch, rate):
        ...     return rate / 2 if epoch else rate
        >>> scheduler = fastnet.callbacks.LearningRateScheduler(halved)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        try:
            rate = self.schedule(epoch, optimizer.learning_rate)
        except TypeError:  # Keras's older form
            rate = self.schedule(epoch)
        if not isinstance(rate, (float, np.floating)):
            raise ValueError(f"LearningRateScheduler: schedule must give a float, received {rate!r}.")
        optimizer.learning_rate = float(rate)
        if self.verbose > 0:
            print(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {float(rate)}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by ``factor`` when a log has not improved for ``patience`` epochs.

    It adds the learning rate of the epoch to the logs as ``learning_rate``.

    Args:
        monitor: the log's name.
        factor: below 1.
        patience: epochs without improvement after which the rate is reduced.
        verbose: 1 to print when it acts.
        mode: "min", "max", or "auto": which of them is better follows from the loss or metric.
        min_delta: an improvement is larger than this.
        cooldown: epochs after a reduction in which none is counted.
        min_lr: the rate is not reduced below.

    Attributes:
        best: the best value so far.
        wait: epochs since then.
        cooldown_counter: epochs of the cooldown that are left.

    Raises:
        ValueError: a factor of 1 or more, an unknown mode.

    Example:
        >>> import fastnet
        >>> reduce = fastnet.callbacks.ReduceLROnPlateau("val_loss", factor=0.2, patience=5, min_lr=1e-3)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be at least 0 and below 1, received {factor!r}.")
        self.factor, self.min_lr, self.patience, self.verbose = factor, min_lr, patience, verbose
        self.cooldown = cooldown
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.cooldown_counter = self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        if logs is not None:
            logs["learning_rate"] = optimizer.learning_rate
        current = self.value(logs, "the reduction follows")
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_improvement(current, self.best):
            self.best, self.wait = current, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and optimizer.learning_rate > self.min_lr:
                optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                if self.verbose > 0:
                    print(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {optimizer.learning_rate}.")
                self.cooldown_counter, self.wait = self.cooldown, 0

    def in_cooldown(self) -> bool:
        """Whether epochs are not counted now."""
        return self.cooldown_counter > 0

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def set_state(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
