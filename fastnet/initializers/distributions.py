"""Random initial values of a given spread, and random orthonormal ones."""

from __future__ import annotations

import math

import numpy as np

from fastnet import checks
from fastnet.initializers.initializer import Initializer, Seed
from fastnet.random import generator_of, uniform
from fastnet.random.distributions import within_two_deviations


class RandomUniform(Initializer):
    """Uniform in [minval, maxval).

    Raises:
        ValueError: a limit is not finite, or minval is above maxval.

    Example:
        >>> round(float(initializers.RandomUniform(-0.1, 0.1)((100, 100)).max()), 2)
        0.1
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Seed = None):
        self.minval, self.maxval = self._number("minval", minval), self._number("maxval", maxval)
        if self.minval > self.maxval:
            raise ValueError(f"RandomUniform: minval {minval!r} must not be above maxval {maxval!r}.")
        self.seed = self._seed(seed)

    def __call__(self, shape, dtype="float32"):
        return uniform(shape, self.minval, self.maxval, dtype, self.seed)


class RandomNormal(Initializer):
    """Normal with this mean and standard deviation.

    Raises:
        ValueError: mean or stddev is not finite, or stddev is negative.

    Example:
        >>> round(float(initializers.RandomNormal(stddev=0.1)((100, 100)).std()), 2)
        0.1
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None):
        self.mean, self.stddev = self._number("mean", mean), self._number("stddev", stddev, checks.NOT_NEGATIVE)
        self.seed = self._seed(seed)

    def __call__(self, shape, dtype="float32"):
        return generator_of(self.seed).normal(self.mean, self.stddev, shape).astype(dtype)


class TruncatedNormal(Initializer):
    """Normal, where values more than two standard deviations from the mean are drawn again.

    Raises:
        ValueError: mean or stddev is not finite, or stddev is negative.

    Example:
        >>> round(float(initializers.TruncatedNormal(stddev=0.05)((100, 100)).max()), 2)
        0.1
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None):
        self.mean, self.stddev = self._number("mean", mean), self._number("stddev", stddev, checks.NOT_NEGATIVE)
        self.seed = self._seed(seed)

    def __call__(self, shape, dtype="float32"):
        return (self.mean + self.stddev * within_two_deviations(generator_of(self.seed), shape)).astype(dtype)


class Orthogonal(Initializer):
    """``gain`` times a matrix whose rows or columns, the fewer, are orthonormal; Saxe et al. 2014, arXiv:1312.6120.

    A tensor of more axes is filled like a matrix whose rows are all axes but the last.

    Raises:
        ValueError: the gain is not finite; when called, the shape has fewer than two axes.

    Example:
        >>> w = initializers.Orthogonal()((3, 3), "float64")
        >>> bool(np.allclose(w.T @ w, np.eye(3)))
        True
    """

    def __init__(self, gain: float = 1.0, seed: Seed = None):
        self.gain, self.seed = self._number("gain", gain), self._seed(seed)

    def __call__(self, shape, dtype="float32"):
        if len(shape) < 2:
            raise ValueError(f"Orthogonal fills shapes of at least two axes, received {tuple(shape)}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        normal = generator_of(self.seed).standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        q *= np.sign(np.diag(r))  # makes the distribution uniform over the orthogonal matrices
        return (self.gain * (q.T if rows < columns else q)).reshape(shape).astype(dtype)
