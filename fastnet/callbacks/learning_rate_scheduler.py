"""The learning rate as a function of the epoch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.callbacks.callback import Callback, Logs, verbosity
from fastnet.callbacks.learning_rates import optimizers_by_log


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch; adds it to the logs as ``learning_rate``.

    With a `MultiOptimizer` it sets that of each optimizer, whose log is ``learning_rate_`` and the optimizer's name.

    Args:
        schedule: called with the epoch's number, from 0, and the current learning rate; returns the new one, a float.
            It may also be a function of the epoch alone.
        verbose: 1 to print each learning rate.

    Raises:
        ValueError: ``schedule`` is not such a function; before an epoch, its result is not a float.

    Example:
        >>> import fastnet
        >>> def halved(epoch, rate):
        ...     return rate / 2 if epoch else rate
        >>> scheduler = fastnet.callbacks.LearningRateScheduler(halved)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        # By its signature: a TypeError that it raises is its own.
        self._takes_rate = callable(schedule) and checks.takes(schedule, 2)
        if not self._takes_rate and not (callable(schedule) and checks.takes(schedule, 1)):
            raise ValueError(
                "LearningRateScheduler: schedule must be a function of (epoch, learning_rate), or of the epoch alone, "
                f"received {quoted(schedule)}."
            )
        self.schedule, self.verbose = schedule, verbosity("LearningRateScheduler", verbose)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        found = optimizers_by_log(self.model.optimizer)
        for optimizer in found.values():
            rate = self.schedule(epoch, optimizer.learning_rate) if self._takes_rate else self.schedule(epoch)
            if not isinstance(checks.plain(rate), (float, np.floating)):
                raise ValueError(f"LearningRateScheduler: schedule must give a float, received {quoted(rate)}.")
            optimizer.learning_rate = float(rate)
            if self.verbose > 0:
                of = f"{optimizer.name} " if len(found) > 1 else ""
                print(f"Epoch {epoch + 1}: LearningRateScheduler setting {of}learning rate to {float(rate)}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs |= {log: each.learning_rate for log, each in optimizers_by_log(self.model.optimizer).items()}
