"""Weights and optimizer state: arrays with an address that stays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnet.engine import changes


def aligned(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Zeros on a cache line's boundary, in memory of their own."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


class Variable:
    """A weight.

    Args:
        value: its first value; copied.
        name: as shown in errors and files, "kernel" or "moving_mean".
        trainable: False for a weight that an optimizer must not touch.
        regularizer: adds a penalty of its value to the loss (`fastnet.regularizers`), or None.
        constraint: changes it after each update (`fastnet.constraints`), or None.
        path: its layer's name and its own, "dense/kernel"; by default its own.

    Attributes:
        address: of its memory, which stays.
    """

    __slots__ = (
        "_array", "address", "assignments", "constraint", "dtype", "name", "path", "regularizer", "shape", "trainable",
    )  # fmt: skip

    def __init__(
        self,
        value: np.ndarray,
        name: str,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        path: str | None = None,
    ):
        # read often; numpy takes 0.7 µs for each
        self.shape, self.dtype = value.shape, value.dtype.name
        self._array = aligned(self.shape, self.dtype)
        self._array[...] = value
        self.address = self._array.ctypes.data
        self.name, self.path = name, path or name
        self.trainable = trainable
        self.regularizer, self.constraint = regularizer, constraint
        self.assignments = 0  # by users

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def size(self) -> int:
        return self._array.size

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError(f"The weight {self.name!r} is one number: it has no axis whose length could be told.")
        return len(self._array)

    def __bool__(self) -> bool:
        return True  # without this, bool would call len

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The value for numpy: a copy, as from `numpy`.

        Args:
            dtype: by default the weight's own.
            copy: False for a read-only view, which shows the changes of training.

        Raises:
            ValueError: ``copy`` is False, and the dtype is another one.
        """
        if copy is not False:
            return np.array(self._array, dtype)
        if dtype is not None and np.dtype(dtype) != self._array.dtype:
            raise ValueError(
                f"The weight {self.name!r} ({self.dtype}) as {np.dtype(dtype)} is a copy; leave copy=False out."
            )
        view = self._array.view()
        view.flags.writeable = False
        return view

    @property
    def array(self) -> np.ndarray:
        """The memory itself, which the kernels use."""
        return self._array

    def numpy(self) -> np.ndarray:
        """A copy of the value."""
        return self._array.copy()

    def check(self, value: Any) -> np.ndarray:
        """``value`` as an array that can be assigned.

        Raises:
            ValueError: the value has another shape, or is not of real numbers.
        """
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"The weight {self.name!r} of shape {self.shape} takes an array: {error}") from None
        if array.dtype.kind not in "fiub":
            raise ValueError(
                f"The weight {self.name!r} of shape {self.shape} takes real numbers, received {array.dtype}."
            )
        if array.shape != self.shape:
            raise ValueError(
                f"The weight {self.name!r} has shape {self.shape}; received a value of shape {array.shape}."
            )
        return array

    def assign(self, value: Any) -> None:
        """Set the value; its shape must be the same.

        Raises:
            ValueError: the value has another shape, or is not of real numbers.
        """
        self._array[...] = self.check(value)
        self.assignments += 1
        changes.weights.mark()

    def __reduce__(self) -> tuple:
        """For copies and pickles: they make a new weight, since kernels need aligned memory."""
        return type(self), (self.numpy(), self.name, self.trainable, self.regularizer, self.constraint, self.path)

    def __repr__(self) -> str:
        return f"<Variable {self.name} {self.shape} {self.dtype}{'' if self.trainable else ', not trainable'}>"
