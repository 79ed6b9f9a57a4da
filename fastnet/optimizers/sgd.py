"""Gradient descent, with momentum and with Nesterov's."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet.optimizers.optimizer import Optimizer


class SGD(Optimizer):
    """Gradient descent: w -= lr g; with momentum m: v = m v - lr g, w += v; Nesterov's: w += m v - lr g.

    Args:
        learning_rate: lr.
        momentum: m, from 0 to 1.
        nesterov: whether the gradient is looked at where momentum leads.
        common: see `Optimizer`.

    Raises:
        ValueError: a momentum outside [0, 1].

    Example:
        >>> import fastnet
        >>> fastnet.optimizers.SGD(0.1, momentum=0.9).parameters
        {'momentum': 0.9}
    """

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **common: Any):
        self.momentum = checks.number("SGD: momentum", momentum, checks.CLOSED_UNIT)
        self.nesterov = checks.flag("SGD: nesterov", nesterov)
        row = ("nesterov" if nesterov else "momentum") if momentum else "sgd"
        parameters: dict[str, Any] = {"momentum": self.momentum} if momentum else {}
        super().__init__(row, learning_rate, **common, **parameters)
