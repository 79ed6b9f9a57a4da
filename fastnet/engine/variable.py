"""Weights and optimizer state: arrays with an address that stays."""

from __future__ import annotations

from typing import Any

import numpy as np


def aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Zeros on a cache line's boundary, in memory of their own."""
    count = int(np.prod(shape, dtype=np.int64))
    size = count * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


class Variable:
    """A weight.

    Args:
        value: its first value; copied.
        name: as shown in errors and files, "kernel" or "moving_mean".
        trainable: False for what an optimizer must not touch.
        regularizer: what adds a penalty of its value to the loss (`fastnet.regularizers`), or None.
        constraint: what changes it after each update (`fastnet.constraints`), or None.
    """

    __slots__ = ("_array", "assignments", "constraint", "name", "regularizer", "trainable")

    def __init__(
        self, value: np.ndarray, name: str, trainable: bool = True, regularizer: Any = None, constraint: Any = None
    ):
        self._array = aligned(value.shape, value.dtype.name)
        self._array[...] = value
        self.name = name
        self.trainable = trainable
        self.regularizer, self.constraint = regularizer, constraint
        self.assignments = 0  # how often the value was set from outside

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> str:
        return self._array.dtype.name

    @property
    def size(self) -> int:
        return self._array.size

    @property
    def address(self) -> int:
        return self._array.ctypes.data

    @property
    def array(self) -> np.ndarray:
        """The memory itself: what the kernels see."""
        return self._array

    def numpy(self) -> np.ndarray:
        """A copy of the value."""
        return self._array.copy()

    def assign(self, value) -> None:
        """Set the value; its shape must be the same.

        Raises:
            ValueError: another shape.
        """
        value = np.asarray(value)
        if value.shape != self.shape:
            raise ValueError(
                f"The weight {self.name!r} has shape {self.shape}; received a value of shape {value.shape}."
            )
        self._array[...] = value
        self.assignments += 1

    def __repr__(self) -> str:
        return f"<Variable {self.name} {self.shape} {self.dtype}{'' if self.trainable else ', not trainable'}>"
