"""The base class of callbacks that follow one log."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.callbacks.callback import Callback, Logs


class MonitorCallback(Callback):
    """Follows one log, and detects improvements.

    Args:
        monitor: the log's name.
        mode: "min", "max", or "auto": the loss or metric decides.
        baseline: the value to beat at first; None: the first value seen is an improvement.
        min_delta: an improvement is larger than this; its sign does not matter.

    Raises:
        ValueError: the mode is unknown, ``monitor`` is not a name, or ``min_delta`` is not a finite number.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0
    ):
        owner = type(self).__name__
        if not isinstance(monitor, str) or not monitor:
            raise ValueError(
                f"{owner}: monitor must be the name of a log, such as 'val_loss', received {quoted(monitor)}."
            )
        checks.one_of(f"{owner}: mode", mode, "auto", "min", "max")
        self.monitor, self.mode, self.best = monitor, mode, baseline
        self.min_delta = abs(checks.number(f"{owner}: min_delta", min_delta))
        self._sign: int | None = None  # 1: larger is better; -1: smaller is

    @property
    def monitor_op(self) -> Any:
        """`numpy.less` or `numpy.greater`: the comparison of a better log with another one. None until it is known."""
        sign = {"max": 1, "min": -1}.get(self.mode) or self._sign
        return None if sign is None else np.greater if sign > 0 else np.less

    def is_improvement(self, value: float, reference: float | None) -> bool:
        """Whether ``value`` beats ``reference`` by more than ``min_delta``; NaN beats nothing.

        Raises:
            ValueError: mode is "auto", and the direction of the log is unknown; the value is an array.
        """
        if np.ndim(value):
            raise ValueError(
                f"{type(self).__name__}: {quoted(self.monitor)} is an array of shape {np.shape(value)}, none of which "
                "is better as a whole; follow a metric of one number."
            )
        sign = self._direction()
        if value != value:
            return False
        if reference is None or reference != reference:
            return True
        # The margin is added before the comparison, as in Keras: rounding has the same effect.
        delta = sign * self.min_delta
        return value - delta > reference if sign > 0 else value - delta < reference

    def value(self, logs: Logs | None, purpose: str) -> Any:
        """The log that is followed, or None with a warning.

        Raises:
            ValueError: mode is "auto", and the direction of the log is unknown.
        """
        logs = logs or {}
        self._direction(logs)
        if logs.get(self.monitor) is None:
            warnings.warn(
                f"{type(self).__name__}: {purpose} {quoted(self.monitor)}, which is not in the logs. They have: "
                f"{', '.join(logs)}.",
                stacklevel=3,
            )
        return logs.get(self.monitor)

    def _direction(self, logs: Logs | None = None) -> int:
        """1 if larger is better, -1 if smaller is."""
        if self._sign is None:
            self._sign = {"max": 1, "min": -1}.get(self.mode) or self._find_sign(logs)
        return self._sign

    def _find_sign(self, logs: Logs | None) -> int:
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return -1
        model = self.model
        metrics = model.metrics_for(model.output_shape[1:]) if model is not None and model.built else []
        for key, metric, _ in metrics:
            if key == name and metric.direction is not None:
                return 1 if metric.direction == "up" else -1
        if logs is not None and self.monitor not in logs:
            raise ValueError(
                f"{type(self).__name__}: there is no {quoted(self.monitor)} in the logs, which have: "
                f"{', '.join(logs)}. Give one of these as monitor."
            )
        raise ValueError(
            f"{type(self).__name__}: whether a larger {quoted(self.monitor)} is better cannot be told from its name; "
            "give mode='max' or mode='min'."
        )
