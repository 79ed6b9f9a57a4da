"""Random arrays: in the functions of `fastnet.random`, and within the calls of layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks, config
from fastnet._kernels.errors import quoted
from fastnet.random.seeds import SeedGenerator, generator_of
from fastnet.symbolic.functions import DRAWN


def normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int | SeedGenerator | None = None
) -> np.ndarray:
    """Draw from a normal distribution.

    Args:
        shape: of the array; within a layer's call that of data, ``ops.shape(x)``, for numbers that are drawn anew in
            each step, and follow from the model's seed or from an integer.
        mean, stddev: of the distribution.
        dtype: "float32" or "float64"; None for `config.floatx`.
        seed: an integer, which gives the same numbers at each call, or a `SeedGenerator`; None for other numbers.

    Raises:
        ValueError: the dtype or the seed is another one.

    Example:
        >>> fastnet.random.normal((1000,), seed=1).std().round(1)
        np.float32(1.0)
    """
    if _is_of_batch(shape):
        return DRAWN["normal"](shape, mean, stddev, seed)
    return generator_of(seed).normal(mean, stddev, shape).astype(float_dtype("normal", dtype))


def uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: int | SeedGenerator | None = None
) -> np.ndarray:
    """Draw from a uniform distribution over [minval, maxval).

    Args:
        shape: as of `normal`.
        minval, maxval: the limits.
        dtype, seed: as of `normal`.

    Raises:
        ValueError: the dtype or the seed is another one.

    Example:
        >>> fastnet.random.uniform((1000,), seed=1).mean().round(1)
        np.float32(0.5)
    """
    if _is_of_batch(shape):
        return DRAWN["uniform"](shape, minval, maxval, seed)
    drawn: np.ndarray = generator_of(seed).uniform(minval, maxval, shape).astype(float_dtype("uniform", dtype))
    if minval < maxval:  # rounding to the dtype may reach the upper limit
        np.minimum(drawn, np.nextafter(drawn.dtype.type(maxval), drawn.dtype.type(minval)), out=drawn)
    return drawn


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: int | SeedGenerator | None = None) -> Any:
    """Set a share of the elements to 0, and divide the others by 1 - rate.

    Args:
        inputs: numbers.
        rate: the share, from 0 to 1; within a layer's call below 1.
        noise_shape: of the draws, which are shared along axes of size 1; None for those of all elements, and in it for
            the size of ``inputs``.
        seed: as of `normal`.

    Raises:
        ValueError: the rate or ``noise_shape`` is another one.

    Example:
        >>> fastnet.random.dropout(np.ones(4), 0.0).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    if getattr(inputs, "is_symbolic", False):
        return DRAWN["dropout"](inputs, rate, noise_shape, seed)
    rate = checks.number("random.dropout: rate", rate, checks.CLOSED_UNIT)
    x = np.asarray(inputs)
    shape = (None,) * x.ndim if noise_shape is None else tuple(noise_shape)
    if len(shape) != x.ndim or any(given not in (None, 1, size) for given, size in zip(shape, x.shape)):
        raise ValueError(
            f"random.dropout: noise_shape must have, for each axis of the shape {x.shape}, its size, 1 or None; "
            f"received {quoted(noise_shape)}."
        )
    drawn = generator_of(seed).random([size if given is None else given for given, size in zip(shape, x.shape)])
    scaled = x / (1 - rate) if rate < 1 else x  # of which none stays
    return np.where(drawn >= rate, scaled, 0).astype(x.dtype if x.dtype.kind == "f" else config.floatx())


def _is_of_batch(shape: Any) -> bool:
    """Whether a shape begins with the batch of a formula that is traced."""
    return isinstance(shape, (tuple, list)) and len(shape) > 0 and shape[0] is None


def float_dtype(owner: str, dtype: Any) -> str:
    """The dtype of random numbers: `config.floatx` by default."""
    return config.floatx() if dtype is None else config.check_dtype(dtype, f"random.{owner}")
