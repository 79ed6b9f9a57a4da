"""A smaller learning rate when a log no longer improves."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet.callbacks.callback import Logs, verbosity
from fastnet.callbacks.learning_rates import optimizers_by_log
from fastnet.callbacks.monitor_callback import MonitorCallback


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by ``factor`` when a log has not improved for ``patience`` epochs.

    It adds the learning rate of the epoch to the logs as ``learning_rate``. With a `MultiOptimizer` it reduces that of
    each optimizer, whose log is ``learning_rate_`` and the optimizer's name.

    Args:
        monitor: the log's name.
        factor: below 1; 0 only with a min_lr.
        patience: epochs without improvement after which the rate is reduced.
        verbose: 1 to print when it acts.
        mode: "min", "max", or "auto": the loss or metric decides.
        min_delta: an improvement is larger than this.
        cooldown: the number of epochs after a reduction that do not count.
        min_lr: the lowest rate.

    Attributes:
        best: the best value so far.
        wait: epochs since then.
        cooldown_counter: remaining epochs of the cooldown.

    Raises:
        ValueError: an argument has another value; when `fit` starts, the learning rate follows a schedule.

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
        owner = "ReduceLROnPlateau"
        self.factor = checks.number(f"{owner}: factor", factor, checks.UNIT)
        self.min_lr = checks.number(f"{owner}: min_lr", min_lr, checks.NOT_NEGATIVE)
        if self.factor == self.min_lr == 0:
            raise ValueError(
                f"{owner}: factor=0 with min_lr=0 would leave a learning rate of 0, with which nothing is learnt; give "
                "a factor above 0, or a min_lr."
            )
        self.patience = checks.integer(f"{owner}: patience", patience, 0)
        self.cooldown = checks.integer(f"{owner}: cooldown", cooldown, 0)
        self.verbose = verbosity(owner, verbose)
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.cooldown_counter = self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        for optimizer in optimizers_by_log(self.model.optimizer).values():
            if optimizer.scheduled:
                raise ValueError(
                    f"ReduceLROnPlateau: the learning rate of {type(optimizer).__name__} follows a schedule, which it "
                    "cannot reduce; compile with a number as learning rate, or leave the callback out."
                )
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        found = optimizers_by_log(self.model.optimizer)
        if logs is not None:
            logs |= {log: each.learning_rate for log, each in found.items()}
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
            reducible = [each for each in found.values() if each.learning_rate > self.min_lr]
            if self.wait >= self.patience and reducible:
                for each in reducible:
                    each.learning_rate = max(each.learning_rate * self.factor, self.min_lr)
                    if self.verbose > 0:
                        what = f"{each.name} learning rate" if len(found) > 1 else "learning rate"
                        print(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing {what} to {each.learning_rate}.")
                self.cooldown_counter, self.wait = self.cooldown, 0

    def in_cooldown(self) -> bool:
        """Whether epochs do not count now."""
        return self.cooldown_counter > 0

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def set_state(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
