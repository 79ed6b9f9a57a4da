"""Random arrays of further distributions, drawn by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.arrays import as_array
from fastnet.random.arrays import float_dtype
from fastnet.random.seeds import SeedGenerator, generator_of
from fastnet.symbolic.array import SymbolicArray, refusal

Seed = int | SeedGenerator | None


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Seed = None
) -> np.ndarray:
    """Draw from a normal distribution, anew where a number is beyond two standard deviations from the mean.

    Args:
        shape: of the array.
        mean, stddev: of the distribution before it is cut.
        dtype, seed: as of `normal`.

    Raises:
        ValueError: the shape, the dtype or the seed is another one.

    Example:
        >>> bool(abs(fastnet.random.truncated_normal((1000,), seed=1)).max() <= 2)
        True
    """
    sizes, dtype = _sizes("truncated_normal", shape), float_dtype("truncated_normal", dtype)
    return (mean + stddev * within_two_deviations(generator_of(seed), sizes)).astype(dtype)


def within_two_deviations(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal values, drawn again where they are beyond two standard deviations."""
    values = np.asarray(generator.standard_normal(shape))
    while (outside := np.abs(values) > 2).any():
        values[outside] = generator.standard_normal(int(outside.sum()))
    return values


def randint(shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: Seed = None) -> np.ndarray:
    """Draw integers from minval to below maxval, each as often.

    Args:
        shape: of the array.
        minval, maxval: the limits.
        dtype: of integers.
        seed: as of `normal`.

    Raises:
        ValueError: the limits are not integers of the dtype, or there is none between them; or another argument is
            wrong.

    Example:
        >>> sorted(set(fastnet.random.randint((1000,), 1, 4, seed=1).tolist()))
        [1, 2, 3]
    """
    kind = _integer_dtype("randint", dtype)
    low = checks.integer("random.randint: minval", minval, int(np.iinfo(kind).min))
    high = checks.integer("random.randint: maxval", maxval, low + 1, int(np.iinfo(kind).max) + 1)
    return np.asarray(generator_of(seed).integers(low, high, _sizes("randint", shape), dtype=kind.type))


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Seed = None) -> np.ndarray:
    """Draw classes: class k of a row with the probability softmax(logits)ₖ.

    Args:
        logits: (n, classes).
        num_samples: classes for each row.
        dtype: of integers.
        seed: as of `normal`.

    Returns:
        (n, num_samples).

    Raises:
        ValueError: logits have another number of axes, or NaN or no finite number in a row; or another argument is
            wrong.

    Example:
        >>> fastnet.random.categorical([[0.0, 100.0], [100.0, 0.0]], 3, seed=1).tolist()
        [[1, 1, 1], [0, 0, 0]]
    """
    kind, rows = _integer_dtype("categorical", dtype), _array("categorical: logits", logits)
    if rows.ndim != 2:
        raise ValueError(f"random.categorical: logits must have two axes, (n, classes), received shape {rows.shape}.")
    count = checks.integer("random.categorical: num_samples", num_samples, 0)
    largest = rows.max(-1, keepdims=True, initial=-np.inf)
    if not np.isfinite(largest).all():
        raise ValueError("random.categorical: a row of logits must have a finite number, and neither NaN nor inf.")
    limits = np.exp(rows.astype(np.float64) - largest).cumsum(-1)
    limits /= limits[:, -1:]
    drawn = generator_of(seed).random((len(rows), count))
    found = [np.searchsorted(limit, numbers, side="right") for limit, numbers in zip(limits, drawn, strict=True)]
    return np.array(found, kind).reshape(drawn.shape)


def shuffle(x: Any, axis: int = 0, seed: Seed = None) -> np.ndarray:
    """A copy of an array, whose parts along an axis are in another order.

    Args:
        x: numbers.
        axis: the axis; the others keep their order.
        seed: as of `normal`.

    Raises:
        ValueError: the array lacks the axis, or the seed is another one.

    Example:
        >>> fastnet.random.shuffle([[1, 2], [3, 4], [5, 6]], seed=1).sum(-1).tolist()
        [7, 11, 3]
    """
    array = _array("shuffle: x", x)
    axis = checks.integer("random.shuffle: axis", axis, -array.ndim, array.ndim - 1)
    return generator_of(seed).permutation(array, axis=axis)


def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Seed = None) -> np.ndarray:
    """Draw from the gamma distribution, whose density is proportional to xᵅ⁻¹ e⁻ˣ.

    Args:
        shape: of the array.
        alpha: positive; a number, or an array that broadcasts to the shape.
        dtype, seed: as of `normal`.

    Raises:
        ValueError: alpha is not positive, or another argument is wrong.

    Example:
        >>> fastnet.random.gamma((100_000,), 3.0, seed=1).mean().round(1)
        np.float32(3.0)
    """
    sizes, dtype = _sizes("gamma", shape), float_dtype("gamma", dtype)
    return np.asarray(generator_of(seed).standard_gamma(_positive("gamma: alpha", alpha, sizes), sizes)).astype(dtype)


def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Seed = None) -> np.ndarray:
    """Draw from the beta distribution, whose density is proportional to xᵅ⁻¹ (1 - x)ᵝ⁻¹.

    Args:
        shape: of the array.
        alpha, beta: positive; numbers, or arrays that broadcast to the shape.
        dtype, seed: as of `normal`.

    Raises:
        ValueError: alpha or beta is not positive, or another argument is wrong.

    Example:
        >>> fastnet.random.beta((100_000,), 3.0, 2.0, seed=1).mean().round(1)
        np.float32(0.6)
    """
    sizes, dtype = _sizes("beta", shape), float_dtype("beta", dtype)
    a, b = _positive("beta: alpha", alpha, sizes), _positive("beta: beta", beta, sizes)
    return np.asarray(generator_of(seed).beta(a, b, sizes)).astype(dtype)


def binomial(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Seed = None) -> np.ndarray:
    """Draw how often an event happens in ``counts`` trials.

    Args:
        shape: of the array.
        counts: whole numbers of at least 0; one, or an array that broadcasts to the shape.
        probabilities: of the event in each trial, as ``counts``.
        dtype, seed: as of `normal`.

    Raises:
        ValueError: a number of trials or a probability is another one, or another argument is wrong.

    Example:
        >>> fastnet.random.binomial((3,), 5, [0.0, 0.5, 1.0], seed=1)[[0, 2]].tolist()
        [0.0, 5.0]
    """
    sizes, dtype = _sizes("binomial", shape), float_dtype("binomial", dtype)
    trials = _numbers("binomial: counts", counts, sizes)
    chances = _numbers("binomial: probabilities", probabilities, sizes)
    if not ((trials >= 0) & (trials < 2.0**63) & (trials == np.floor(trials))).all():
        raise ValueError(f"random.binomial: counts must be whole numbers of at least 0, received {quoted(counts)}.")
    if not ((chances >= 0) & (chances <= 1)).all():
        raise ValueError(f"random.binomial: probabilities must lie in [0, 1], received {quoted(probabilities)}.")
    return np.asarray(generator_of(seed).binomial(trials.astype(np.int64), chances, sizes)).astype(dtype)


def _sizes(owner: str, shape: Any) -> tuple[int, ...]:
    """A shape of sizes alone: within a layer's call there are `normal`, `uniform` and `dropout`."""
    sizes = (shape,) if checks.is_integer(shape) else shape
    if not isinstance(sizes, (tuple, list)) or not all(checks.is_integer(size) and size >= 0 for size in sizes):
        raise ValueError(
            f"random.{owner}: shape must be a tuple of sizes, received {quoted(shape)}. Numbers for each row of a "
            "layer's call are those of random.normal, uniform and dropout."
        )
    return tuple(int(size) for size in sizes)


def _integer_dtype(owner: str, dtype: Any) -> np.dtype:
    try:
        kind = np.dtype(getattr(dtype, "name", dtype))
    except TypeError:
        kind = None
    if dtype is None or kind is None or kind.kind not in "iu":
        raise ValueError(f"random.{owner}: dtype must be one of integers, such as 'int32', received {quoted(dtype)}.")
    return kind


def _array(what: str, values: Any) -> np.ndarray:
    """Values as an array; those of a formula have no numbers."""
    if isinstance(values, SymbolicArray):
        raise refusal(f"random.{what} of {values!r}", "draw with random.normal, uniform or dropout")
    return as_array(values, f"random.{what}")


def _numbers(what: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that broadcast to a shape."""
    array = _array(what, values).astype(np.float64)
    if array.ndim > len(shape) or any(a not in (1, b) for a, b in zip(array.shape[::-1], shape[::-1])):
        raise ValueError(f"random.{what} must broadcast to the shape {shape}, received shape {array.shape}.")
    return array


def _positive(what: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = _numbers(what, values, shape)
    if not ((array > 0) & np.isfinite(array)).all():
        raise ValueError(f"random.{what} must be positive and finite, received {quoted(values)}.")
    return array
