"""Functions that make arrays: constants of a formula."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import config
from fastnet.ops.moving import broadcast_to
from fastnet.ops.shaping import expand_dims
from fastnet.symbolic import formulas
from fastnet.symbolic.array import ShapeError, SymbolicArray, refusal
from fastnet.symbolic.leaves import constant


def zeros(shape: Any, dtype: Any = None) -> Any:
    """An array of zeros; in a formula the first size may be the rows of the batch.

    Example:
        >>> ops.zeros((2,)).tolist()
        [0.0, 0.0]
    """
    return _made(np.zeros, shape, dtype)


def ones(shape: Any, dtype: Any = None) -> Any:
    """An array of ones; in a formula the first size may be the rows of the batch.

    Example:
        >>> ops.ones((2,)).tolist()
        [1.0, 1.0]
    """
    return _made(np.ones, shape, dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """An array of one number; in a formula the first size may be the rows of the batch.

    Example:
        >>> ops.full((2,), 3.0).tolist()
        [3.0, 3.0]
    """
    return _made(np.full, shape, dtype, fill_value)


def _made(function: Any, shape: Any, dtype: Any, *numbers: Any) -> Any:
    """An array of NumPy; of the batch, repeated for each row, where its first size is None, as in `ops.shape`."""
    dtype = dtype or config.floatx()
    if isinstance(shape, (tuple, list)) and None in shape[1:]:
        raise refusal(f"ops.{function.__name__} of shape {shape!r}", "the rows of the batch come first", ShapeError)
    if not isinstance(shape, (tuple, list)) or not shape or shape[0] is not None:
        return function(shape, *numbers, dtype=dtype)
    return broadcast_to(constant(function((1, *shape[1:]), *numbers, dtype=dtype)), shape)


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> np.ndarray:
    """Numbers from ``start``, by default 0, to ``stop``, which is not among them.

    Example:
        >>> ops.arange(3).tolist()
        [0, 1, 2]
    """
    limits = (0, start) if stop is None else (start, stop)
    return np.arange(*limits, step or 1, dtype=dtype)  # type: ignore[call-overload]


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None) -> np.ndarray:
    """Numbers at equal distances.

    Example:
        >>> ops.linspace(0.0, 1.0, 3).tolist()
        [0.0, 0.5, 1.0]
    """
    return np.linspace(start, stop, num, endpoint, dtype=dtype or config.floatx())


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> np.ndarray:
    """A matrix with ones on a diagonal.

    Example:
        >>> ops.eye(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return np.eye(N, M, k, dtype or config.floatx())


def tril(x: Any, k: int = 0) -> Any:
    """Matrices with 0 above a diagonal.

    Example:
        >>> ops.tril([[1.0, 2.0], [3.0, 4.0]]).tolist()
        [[1.0, 0.0], [3.0, 4.0]]
    """
    return _triangle(np.tril, x, k)


def triu(x: Any, k: int = 0) -> Any:
    """Matrices with 0 below a diagonal.

    Example:
        >>> ops.triu([[1.0, 2.0], [3.0, 4.0]]).tolist()
        [[1.0, 2.0], [0.0, 4.0]]
    """
    return _triangle(np.triu, x, k)


def _triangle(function: Any, x: Any, k: int) -> Any:
    if not isinstance(x, SymbolicArray):
        return function(formulas.as_floats(x), k)
    return formulas.where(constant(function(np.ones([size or 0 for size in x.shape[-2:]]), k) == 1), x, 0.0)


def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """1 at the index of each integer, 0 elsewhere, along a new axis; 0 everywhere for an integer outside.

    Example:
        >>> ops.one_hot([0, 2], 3).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    ndim = x.ndim if isinstance(x, SymbolicArray) else np.ndim(x)
    if not isinstance(axis, (int, np.integer)) or not -ndim - 1 <= axis <= ndim or sparse:
        raise ValueError(
            f"ops.one_hot: axis must be one of the {ndim + 1} axes of the result, and sparse False; received {axis!r} "
            f"and {sparse!r}."
        )
    at = axis % (ndim + 1)
    classes = np.arange(num_classes).reshape(-1, *(1,) * (ndim - at))
    if isinstance(x, SymbolicArray):
        return formulas.where(formulas.equal(expand_dims(x, at), classes), 1.0, 0.0)
    return (np.expand_dims(np.asarray(x), at) == classes).astype(dtype or config.floatx())


FUNCTIONS = {f.__name__: f for f in (zeros, ones, full, arange, linspace, eye, tril, triu, one_hot)}
