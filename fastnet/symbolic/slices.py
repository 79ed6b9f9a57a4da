"""Slices of arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnet.symbolic.array import Operation, ShapeError, SymbolicArray, refusal, shown
from fastnet.symbolic.boundaries import CUT
from fastnet.symbolic.custom import CustomGradient
from fastnet.symbolic.folds import Fold
from fastnet.symbolic.formulas import Formula
from fastnet.symbolic.order import ordered
from fastnet.symbolic.rearrange import numbered, rearranged, taken
from fastnet.symbolic.weight_formulas import grounded, is_of_weights, lifted, under_shape

SLICE = Operation("get_item", lambda dy, y, x: (padded(dy, x, y.settings),))  # of what is in memory


def sliced(x: SymbolicArray, axis: int, start: int, stop: int) -> SymbolicArray:
    """The elements of a part of an axis. A slice of a formula is the formula of slices, down to its arguments."""
    size = x.shape[axis]
    if (start, stop) == (0, size):
        return x
    shape = (*x.shape[:axis], stop - start, *x.shape[axis + 1 :])
    if x.value is not None:
        value = x.value[(slice(None),) * axis + (slice(start, stop),)]
        return SymbolicArray(None, (), shape, x.is_bool, value=value)
    if is_of_weights(x):
        return grounded(sliced(lifted(x), axis + 1, start, stop))
    if not x.per_row:
        raise refusal("a slice of a weight", "slice what is computed with it, or make several weights")
    if x.operation is None or x.operation.is_boundary:
        parts = tuple((0, n) for n in x.shape)
        return _part(x, (*parts[:axis], (start, stop), *parts[axis + 1 :]))
    if x.operation is SLICE:
        first = x.settings[axis][0]
        return _part(x.inputs[0], (*x.settings[:axis], (first + start, first + stop), *x.settings[axis + 1 :]))
    if isinstance(x.operation, CustomGradient) or _reads_weights(x):
        return sliced(SymbolicArray(CUT, (x,), x.shape, x.is_bool), axis, start, stop)
    if isinstance(x.operation, Formula):
        inputs = tuple(_sliced_operand(each, x.ndim, axis, start, stop) for each in x.inputs)
        return SymbolicArray(x.operation, inputs, shape, x.is_bool, x.settings)
    if isinstance(x.operation, Fold):
        axes, keepdims = x.settings
        kept = axis if keepdims else [a for a in range(x.inputs[0].ndim) if a not in axes][axis]
        return SymbolicArray(x.operation, (sliced(x.inputs[0], kept, start, stop),), shape, False, x.settings)
    source = _axis_of_source(x, axis)
    return SymbolicArray(x.operation, (sliced(x.inputs[0], source, start, stop),), shape, x.is_bool)


def padded(x: SymbolicArray, like: SymbolicArray, parts: tuple) -> SymbolicArray:
    """An array at a part of another one's places, 0 elsewhere."""
    index = np.full([size or 0 for size in like.shape[1:]], -1)
    index[tuple(slice(start, stop) for start, stop in parts[1:])] = numbered(x)
    return rearranged(x, index)


def _reads_weights(x: SymbolicArray) -> bool:
    """Whether a formula reads weights of more than one number, which have no slices."""
    leaves = (y for y in ordered([x]) if y.operation is None and y.value is None and not y.per_row)
    return any(math.prod(size or 1 for size in y.shape) > 1 for y in leaves)


def _part(x: SymbolicArray, parts: tuple) -> SymbolicArray:
    shape = tuple(size if size is None else stop - start for size, (start, stop) in zip(x.shape, parts, strict=True))
    return SymbolicArray(SLICE, (x,), shape, x.is_bool, parts)


def _sliced_operand(x: SymbolicArray, ndim: int, axis: int, start: int, stop: int) -> SymbolicArray:
    own = axis - (ndim - x.ndim)  # shapes are aligned at their ends
    return x if own < 0 or x.shape[own] == 1 else sliced(x, own, start, stop)


def _axis_of_source(x: SymbolicArray, axis: int) -> int:
    """The axis of a reshaped array's operand that is an axis of the result, whose size is not 1."""
    position = sum(size != 1 for size in x.shape[:axis])
    return [a for a, size in enumerate(x.inputs[0].shape) if size != 1][position]


def item(x: Any, key: Any) -> Any:
    """x[key]: slices, integers, lists of integers for one axis, None and an ellipsis; all of the batch.

    Raises:
        TracingError: something else, or x lacks an axis.
    """
    if not isinstance(x, SymbolicArray):
        return np.asarray(x)[key]
    keys = list(key) if isinstance(key, tuple) else [key]
    count = sum(each is not None and each is not Ellipsis for each in keys)
    if sum(each is Ellipsis for each in keys) > 1 or count > x.ndim:
        raise refusal(
            f"an index of {count} axes of an array of shape {shown(x.shape)}", "index axes that it has", ShapeError
        )
    at = next((i for i, each in enumerate(keys) if each is Ellipsis), len(keys))
    keys[at : at + 1] = [slice(None)] * (x.ndim - count)
    shape: list[int | None] = []
    axis = 0
    for each in keys:
        if each is None:
            shape.append(1)
            continue
        x, keeps = _along(x, axis, each)
        if keeps:
            shape.append(x.shape[axis])
        axis += 1
    if x.per_row and shape[:1] != [None]:
        raise refusal("an index in front of the batch moves its axis", "write x[:, None] for a new axis")
    return under_shape(x, tuple(shape))


def _taken(x: SymbolicArray, indices: np.ndarray, axis: int) -> SymbolicArray:
    return grounded(taken(lifted(x), indices, axis + 1)) if is_of_weights(x) else taken(x, indices, axis)


def _along(x: SymbolicArray, axis: int, key: Any) -> tuple[SymbolicArray, bool]:
    """x with an axis cut by a key, and whether the axis stays."""
    size = x.shape[axis]
    if isinstance(key, slice) and key == slice(None):
        return x, True
    if size is None:
        raise refusal("an index of the batch (axis 0) takes single samples", "write x[:, ...] for all of them")
    if isinstance(key, slice):
        if not all(v is None or isinstance(v, (int, np.integer)) for v in (key.start, key.stop, key.step)):
            raise refusal(f"the slice {key!r} is none of integers", "give integers")
        start, stop, step = key.indices(size)
        if step != 1:
            return _taken(x, np.arange(start, stop, step), axis), True
        return sliced(x, axis, start, max(start, stop)), True
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        if not -size <= key < size:
            raise refusal(
                f"index {key} of an axis of size {size}, of an array of shape {shown(x.shape)}",
                "count from 0",
                ShapeError,
            )
        return sliced(x, axis, int(key) % size, int(key) % size + 1), False
    if isinstance(key, (list, np.ndarray)) and np.asarray(key).dtype.kind in "iu" and np.ndim(key) == 1:
        return _taken(x, np.asarray(key), axis), True
    raise refusal(
        f"an index of type {type(key).__name__}",
        "use integers, slices, a list of integers, None, or ops.where for conditions",
    )
