"""Initial values that are not random."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
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
        if np.asarray(value).dtype.kind not in "fiub":
            raise ValueError(f"Constant: value must be a number, or an array of numbers, received {quoted(value)}.")
        self.value = float(value) if checks.is_number(value) else value

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
