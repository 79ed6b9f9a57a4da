"""The learning rate and the step count as they are read: numbers with the methods of Keras's variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastnet.optimizers.optimizer import Optimizer


class Rate(float):
    """A learning rate as it was read: a number, with the two methods that Keras's has."""

    __slots__ = ("_optimizer",)
    _optimizer: Optimizer

    def __new__(cls, value: float, optimizer: Optimizer) -> Rate:
        rate = super().__new__(cls, value)
        rate._optimizer = optimizer
        return rate

    def assign(self, value: Any) -> None:
        """Set the optimizer's learning rate."""
        self._optimizer.learning_rate = value

    def numpy(self) -> np.ndarray:
        """As an array without axes."""
        return np.array(float(self))

    def __reduce__(self) -> tuple:
        return float, (float(self),)


class Count(int):
    """A number of steps."""

    def numpy(self) -> np.ndarray:
        """As an array without axes."""
        return np.array(int(self))

    def __reduce__(self) -> tuple:
        return int, (int(self),)
