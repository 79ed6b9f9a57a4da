"""Initial values that are not random."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet._kernels.errors import quoted
from fastnet.arrays import as_array
from fastnet.initializers.initializer import Initializer


class Constant(Initializer):
    """Every element is ``value``, a number or an array that is broadcast to the shape.

    Raises:
        ValueError: ``value`` is neither a real number nor an array of real numbers.

    Example:
        >>> initializers.Constant(0.5)((2,)).tolist()
        [0.5, 0.5]
    """

    def __init__(self, value: Any = 0.0):
        try:
            array = as_array(value, "value")
        except ValueError as error:
            raise ValueError(
                f"Constant: value must be a number, or an array of numbers, received {quoted(value)}: {error}"
            ) from None
        self.value = float(array) if array.ndim == 0 else np.array(array)

    def __call__(self, shape, dtype="float32"):
        return np.full(shape, self.value, dtype)


class Zeros(Initializer):
    """Every element is 0.

    Example:
        >>> initializers.Zeros()((2,)).tolist()
        [0.0, 0.0]
    """

    def __call__(self, shape, dtype="float32"):
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """Every element is 1.

    Example:
        >>> initializers.Ones()((2,)).tolist()
        [1.0, 1.0]
    """

    def __call__(self, shape, dtype="float32"):
        return np.ones(shape, dtype)


class Identity(Initializer):
    """``gain`` on the diagonal of a matrix, 0 elsewhere.

    Raises:
        ValueError: the gain is not finite; when called, the shape is not that of a matrix.

    Example:
        >>> initializers.Identity()((2, 2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, gain: float = 1.0):
        self.gain = self._number("gain", gain)

    def __call__(self, shape, dtype="float32"):
        if len(shape) != 2:
            raise ValueError(f"Identity fills matrices, received the shape {tuple(shape)}.")
        return (self.gain * np.eye(*shape)).astype(dtype)
