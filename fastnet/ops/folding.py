"""Functions that fold axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnet.engine.variable import tracing
from fastnet.symbolic import folds, formulas
from fastnet.symbolic.array import ShapeError, SymbolicArray, refusal
from fastnet.symbolic.products import running_sum
from fastnet.symbolic.rearrange import transposed
from fastnet.symbolic.weight_formulas import grounded, is_of_weights, lifted


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum along axes.

    Args:
        x: numbers.
        axis: one or several; in a formula the last one.
        keepdims: whether the axes stay, with size 1.

    Example:
        >>> ops.sum([[1.0, 2.0]], axis=-1).tolist()
        [3.0]
    """
    return folds.total(x, axis, keepdims)


def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product along axes.

    Example:
        >>> ops.prod([[2.0, 3.0]], axis=-1).tolist()
        [6.0]
    """
    return folds.prod(x, axis, keepdims)


def max(x: Any, axis: Any = None, keepdims: bool = False, initial: float | None = None) -> Any:
    """The largest number along axes; equal ones share its gradient.

    Example:
        >>> ops.max([[2.0, 3.0]], axis=-1).tolist()
        [3.0]
    """
    y = folds.largest(x, axis, keepdims)
    return y if initial is None else formulas.maximum(y, initial)


def min(x: Any, axis: Any = None, keepdims: bool = False, initial: float | None = None) -> Any:
    """The smallest number along axes; equal ones share its gradient.

    Example:
        >>> ops.min([[2.0, 3.0]], axis=-1).tolist()
        [2.0]
    """
    y = folds.smallest(x, axis, keepdims)
    return y if initial is None else formulas.minimum(y, initial)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean along axes.

    Example:
        >>> ops.mean([[1.0, 2.0]], axis=-1).tolist()
        [1.5]
    """
    if not isinstance(x, SymbolicArray):
        return folds.in_float64(np.mean, formulas.as_real(x), axis=folds.of_numpy(axis), keepdims=keepdims)
    sizes = [x.shape[a] for a in folds.fold_axes("mean", x, axis, over_batch=True)]
    total = folds.total(x, axis, keepdims) / float(math.prod(size or 1 for size in sizes))
    return total / tracing.rows if None in sizes else total


def var(x: Any, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """The variance along axes, of the distances from the mean: Σ (x - mean)² / (n - ddof).

    Example:
        >>> ops.var([[1.0, 3.0]], axis=-1).tolist()
        [1.0]
    """
    if not isinstance(x, SymbolicArray):
        axes = folds.of_numpy(axis)
        return folds.in_float64(np.var, formulas.as_real(x), axis=axes, keepdims=keepdims, ddof=ddof)
    y = mean(formulas.square(x - mean(x, axis, True)), axis, keepdims)
    if ddof == 0:
        return y
    sizes = [x.shape[a] for a in folds.fold_axes("var", x, axis)]
    if None in sizes:
        raise refusal(f"var with ddof={ddof} over the batch", "leave ddof out, or give axis=-1")
    count = math.prod(size or 0 for size in sizes)
    return y * (count / (count - ddof) if count != ddof else math.nan)


def std(x: Any, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """The standard deviation along axes.

    Example:
        >>> ops.std([[1.0, 3.0]], axis=-1).tolist()
        [1.0]
    """
    return formulas.sqrt(var(x, axis, keepdims, ddof))


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether a number along axes is true, or not 0.

    Example:
        >>> ops.any([[0.0, 3.0]], axis=-1).tolist()
        [True]
    """
    return formulas.greater(folds.total(_truth(x), axis, keepdims), 0.0)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether all numbers along axes are true, or not 0.

    Example:
        >>> ops.all([[0.0, 3.0]], axis=-1).tolist()
        [False]
    """
    return formulas.equal(folds.total(1.0 - _truth(x), axis, keepdims), 0.0)


def count_nonzero(x: Any, axis: Any = None) -> Any:
    """How many numbers along axes are true, or not 0.

    Example:
        >>> int(ops.count_nonzero([0.0, 3.0]))
        1
    """
    if not isinstance(x, SymbolicArray):
        return np.sum(np.not_equal(x, 0), axis=folds.of_numpy(axis), dtype="int32")
    return folds.total(_truth(x), axis)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(Σ e^x) along axes, without overflow.

    Example:
        >>> ops.logsumexp([[1000.0, 1000.0]], axis=-1).round(3).tolist()
        [1000.6929931640625]
    """
    x = x if isinstance(x, SymbolicArray) else formulas.as_real(x)
    largest = folds.largest(x, axis, True)
    largest = formulas.stop_gradient(formulas.where(formulas.isfinite(largest), largest, 0.0))
    kept = formulas.log(folds.total(formulas.exp(x - largest), axis, True)) + largest
    return kept if keepdims else folds.total(kept, axis)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The length along axes: √Σ x² (ord None or 2), Σ |x| (1), the largest |x| (infinity), or (Σ |x|^ord)^(1/ord).

    Over several axes there is √Σ x² alone.

    Example:
        >>> ops.norm([[3.0, 4.0]], axis=-1).tolist()
        [5.0]
    """
    x = x if isinstance(x, SymbolicArray) else formulas.as_real(x)
    several = (isinstance(axis, (tuple, list)) and len(axis) > 1) or (axis is None and np.ndim(x) > 1)
    if several and ord not in (None, "fro"):
        raise refusal(
            f"ops.norm of order {ord!r} over several axes is one of matrices", "leave ord out, or give axis=-1"
        )
    if ord in (None, 2, "euclidean") or (ord == "fro" and several):
        return formulas.sqrt(folds.total(formulas.square(x), axis, keepdims))
    if ord == 1:
        return folds.total(formulas.absolute(x), axis, keepdims)
    if ord in (math.inf, np.inf):
        return folds.largest(formulas.absolute(x), axis, keepdims)
    if isinstance(ord, (int, float)) and not isinstance(ord, bool) and ord > 0:
        return folds.total(formulas.absolute(x) ** float(ord), axis, keepdims) ** (1.0 / ord)
    raise ValueError(f"ops.norm: ord must be None, a number above 0 or infinity, received {ord!r}.")


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index of the first largest number along an axis; no gradient flows.

    Example:
        >>> ops.argmax([[2.0, 3.0]], axis=-1).tolist()
        [1]
    """
    return _first(x, axis, keepdims, np.argmax, folds.largest)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index of the first smallest number along an axis; no gradient flows.

    Example:
        >>> ops.argmin([[2.0, 3.0]], axis=-1).tolist()
        [0]
    """
    return _first(x, axis, keepdims, np.argmin, folds.smallest)


def _first(x: Any, axis: int | None, keepdims: bool, on_arrays: Any, fold: folds.Fold) -> Any:
    """The index of the first element that is the fold of all, or NaN."""
    if not isinstance(x, SymbolicArray):
        return on_arrays(formulas.as_floats(x), axis=axis, keepdims=keepdims)
    if axis is None:
        raise refusal("argmax and argmin without an axis mix samples", "give axis=-1", ShapeError)
    (at,) = folds.fold_axes(on_arrays.__name__, x, axis)
    if x.per_row and at == 0:
        raise refusal(f"{on_arrays.__name__} over the batch (axis 0) mixes samples", "give axis=-1", ShapeError)
    size = x.shape[at] or 0
    numbers = np.arange(float(size)).reshape(-1, *(1,) * (x.ndim - 1 - at))
    x = formulas.stop_gradient(x)
    is_wanted = formulas.logical_or(formulas.equal(x, fold(x, at, True)), formulas.isnan(x))
    return folds.smallest(formulas.where(is_wanted, numbers, float(size)), at, keepdims)


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """The sum of the numbers up to each one, along an axis.

    Example:
        >>> ops.cumsum([1.0, 2.0, 3.0]).tolist()
        [1.0, 3.0, 6.0]
    """
    if not isinstance(x, SymbolicArray):
        array = formulas.as_floats(x)
        return folds.in_float64(np.cumsum, array, axis=axis) if dtype is None else np.cumsum(array, axis, dtype)
    if axis is None:
        raise refusal("cumsum without an axis mixes samples", "give axis=-1", ShapeError)
    (at,) = folds.fold_axes("cumsum", x, axis)
    if x.per_row and at == 0:
        raise refusal("cumsum over the batch (axis 0) mixes samples", "sum along axis=-1", ShapeError)
    if is_of_weights(x):
        return grounded(cumsum(lifted(x), at + 1))
    if at == x.ndim - 1:
        return running_sum(x)
    order = (*(a for a in range(x.ndim) if a != at), at)
    return transposed(running_sum(transposed(x, order)), [order.index(a) for a in range(x.ndim)])


def _truth(x: Any) -> Any:
    is_bool = x.is_bool if isinstance(x, SymbolicArray) else np.asarray(x).dtype.kind == "b"
    return formulas.where(x if is_bool else formulas.not_equal(x, 0.0), 1.0, 0.0)


FUNCTIONS = {
    **{
        f.__name__: f
        for f in (sum, prod, max, min, mean, var, std, any, all, count_nonzero, logsumexp, norm, argmax, argmin, cumsum)
    },
    "amax": max,
    "amin": min,
}
