"""Folds: operations that make one number of an axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet.engine.variable import tracing
from fastnet.symbolic import formulas
from fastnet.symbolic.array import (
    Operation,
    Shape,
    ShapeError,
    SymbolicArray,
    TracingError,
    name_of_call,
    refusal,
    shown,
    user_line,
)
from fastnet.symbolic.leaves import leaf_of
from fastnet.symbolic.rearrange import transposed
from fastnet.symbolic.reshape import reshaped, unflattened
from fastnet.symbolic.weight_formulas import BATCH_SUM, grounded, is_of_weights, lifted

OF_ONE_AXIS = ("argmax", "cumsum")


@dataclass(frozen=True)
class Fold(Operation):
    """An operation that folds axes.

    Attributes:
        start: the first value.
        text: the next value as an expression of a rule, of the last one, ``total``, and an element ``a``.
        on_arrays: the same for arrays.
    """

    start: float = 0.0
    text: str = ""
    on_arrays: Callable[..., Any] | None = None

    def __call__(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """The symbolic result over axes; of an array, the array."""
        x = leaf_of(x)
        if not isinstance(x, SymbolicArray):
            assert self.on_arrays is not None
            return self.on_arrays(formulas.as_floats(x), axis=of_numpy(axis), keepdims=keepdims)
        axes, x = fold_axes(self.name, x, axis, self.name == "sum"), unflattened(x)
        if not axes:
            return x
        if x.per_row and 0 in axes and not tracing.is_whole:
            return self._over_batch(x, axes, keepdims)
        if tracing.check_fold is not None:
            tracing.check_fold(self.name, x, axes)
        elif is_of_weights(x) and not tracing.is_update:
            return grounded(self(lifted(x), [axis + 1 for axis in axes], keepdims))
        if x.per_row and axes[0] == 0 and axes != tuple(range(len(axes))) and len(axes) < x.ndim:
            return reshaped(self._along_first(x, axes), folded(x.shape, axes, keepdims))
        if axes == (x.ndim - 1,) or not x.per_row or 0 in axes:
            return SymbolicArray(self, (x,), folded(x.shape, axes, keepdims), settings=(axes, bool(keepdims)))
        return reshaped(self._along_last(x, axes), folded(x.shape, axes, keepdims))

    def _over_batch(self, x: SymbolicArray, axes: tuple[int, ...], keepdims: bool) -> SymbolicArray:
        """The sum over the batch, and over other axes, which a layer may add to the loss (`added_losses`) or assign to
        a weight (`assigned_weights`)."""
        if len(axes) != x.ndim and tracing.assign is None:
            raise refusal(
                f"{name_of_call(self.name)} over the batch (axis 0) mixes samples",
                "fold along axis=-1; only a sum or a mean over all axes may fold the batch",
            )
        rows = formulas.where(x, 1.0, 0.0) if x.is_bool else x
        rows = self(rows, axes[1:]) if len(axes) > 1 else rows
        return SymbolicArray(BATCH_SUM, (rows,), folded(x.shape, axes, keepdims), settings=(user_line(),))

    def _along_first(self, x: SymbolicArray, axes: tuple[int, ...]) -> SymbolicArray:
        """The fold over the batch and axes that do not follow it, which are put there; without these."""
        kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
        first, sizes = tuple(range(len(axes))), tuple(x.shape[axis] for axis in kept)
        return SymbolicArray(self, (transposed(x, axes + kept),), sizes, settings=(first, False))

    def _along_last(self, x: SymbolicArray, axes: tuple[int, ...]) -> SymbolicArray:
        """The fold over several axes, or others than the last one, which are put there as one; without these."""
        axes = tuple(axis for axis in axes if x.shape[axis] != 1)
        if not axes:
            return x
        kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
        if kept + axes != tuple(range(x.ndim)):
            x = transposed(x, kept + axes)
        sizes = x.shape[: len(kept)]
        x = reshaped(x, (*sizes, math.prod(size or 0 for size in x.shape[len(kept) :])))
        return SymbolicArray(self, (x,), sizes, settings=((len(kept),), False))


def in_float64(function: Callable[..., Any], x: np.ndarray, **given: Any) -> Any:
    """A sum, a mean or the like of numpy's, in the dtype of x; it adds in float64, since numpy adds float32 numbers
    of the first axes one after another, and a million of them keep two digits."""
    if x.dtype not in (np.float16, np.float32):
        return function(x, **given)
    return function(x, dtype=np.float64, **given).astype(x.dtype)


def of_numpy(axis: Any) -> Any:
    """Axes as NumPy takes them: no list."""
    return tuple(axis) if isinstance(axis, list) else axis


def fold_axes(name: str, x: SymbolicArray, axis: Any, over_batch: bool = False) -> tuple[int, ...]:
    """The numbers of axes, from the front; that of the batch only where it may be among them (`added_losses`).

    Raises:
        TracingError: x lacks one, or it is that of the batch.
    """
    if x.is_flat and (name in OF_ONE_AXIS or axis not in (None, 0, -1, (0,), (-1,))):
        raise refusal(
            f"{name} along axis {axis!r} of all elements of the batch in a row",
            "there are sums and means of all of them", ShapeError,
        )  # fmt: skip
    if axis is None or x.is_flat:
        axes = tuple(range(x.ndim))
    else:
        given = axis if isinstance(axis, (tuple, list)) else (axis,)
        if not all(isinstance(a, (int, np.integer)) and -x.ndim <= a < x.ndim for a in given):
            raise refusal(
                f"{name}: an array of shape {shown(x.shape)} has no axis {axis!r}", "give axes that it has", ShapeError
            )
        axes = tuple(sorted(int(a) % x.ndim for a in given))
        if len(set(axes)) < len(axes):
            raise refusal(f"{name}: axis {axis!r} names an axis of {x!r} twice", "name each axis once", ShapeError)
    joins_rows = x.per_row and 0 in axes and not tracing.is_whole
    if joins_rows and tracing.joining is not None:
        tracing.joining.append(None)
    if joins_rows and (tracing.rows is None or not over_batch):
        raise refusal(
            f"{name_of_call(name)} over the batch (axis 0) mixes samples",
            "fold along axis=-1; " + ("the loss's reduction joins the rows" if tracing.rows is None else
                                      "of the batch there are sums and means"),
            ShapeError if axis is not None and 0 not in given else TracingError,  # with more axes it may be another one
        )  # fmt: skip
    return axes


def folded(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """A shape without these axes, or with 1 instead."""
    if keepdims:
        return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def spread(y: Any, x: SymbolicArray, axes: tuple[int, ...], keepdims: bool) -> Any:
    """A folded array with its axes again, of size 1."""
    return y if keepdims else reshaped(y, folded(x.shape, axes, True))


def _sum_adjoint(dy: Any, y: SymbolicArray, x: SymbolicArray) -> tuple:
    return (formulas.like(spread(dy, x, *y.settings), x),)


def _extreme_adjoint(dy: Any, y: SymbolicArray, x: SymbolicArray) -> tuple:
    """The gradient is shared by the elements that are equal to the extreme one, as in JAX."""
    at = formulas.where(formulas.equal(x, spread(y, x, *y.settings)), 1.0, 0.0)
    axes, _ = y.settings
    return (spread(dy, x, *y.settings) * at / total(at, axes, keepdims=True),)


def _product_adjoint(dy: Any, y: SymbolicArray, x: SymbolicArray) -> tuple:
    """The product of the other factors: that of all over the factor, unless factors are 0."""
    axes, _ = y.settings
    is_zero = formulas.equal(x, 0.0)
    zeros = total(formulas.where(is_zero, 1.0, 0.0), axes, keepdims=True)
    factors = formulas.where(is_zero, 1.0, x)
    others = prod(factors, axes, keepdims=True)
    at_zero = formulas.where(formulas.equal(zeros, 1.0), others, 0.0)
    elsewhere = formulas.where(formulas.equal(zeros, 0.0), others / factors, 0.0)
    return (spread(dy, x, *y.settings) * formulas.where(is_zero, at_zero, elsewhere),)


total = Fold("sum", _sum_adjoint, 0.0, "total + a", lambda x, **axes: in_float64(np.sum, x, **axes))
largest = Fold("max", _extreme_adjoint, -math.inf, "total if a < total or total != total else a", np.max)
smallest = Fold("min", _extreme_adjoint, math.inf, "total if a > total or total != total else a", np.min)
prod = Fold("prod", _product_adjoint, 1.0, "total * a", np.prod)
FOLDS = {fold.name: fold for fold in (total, largest, smallest, prod)}
