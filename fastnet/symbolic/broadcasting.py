"""Operands of several shapes in a formula of elements: which are repeated in memory, so that loops over rows take them.

A loop reads a number for each row, a row along the last axis, or all elements. An array of the batch whose other axes
are of size 1 is repeated along these. Where weights and constants have several axes of a sample, and the data all of
them, the formula is one of samples as single rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fastnet.symbolic.array import Shape, SymbolicArray
from fastnet.symbolic.rearrange import expanded, repeated
from fastnet.symbolic.reshape import reshaped
from fastnet.symbolic.weight_formulas import under_shape


def aligned(operands: Sequence[SymbolicArray], shape: Shape) -> tuple[tuple[SymbolicArray, ...], Shape]:
    """Operands of a formula whose result has a shape, as loops take them, and the shape that they give."""
    if shape[:1] != (None,) or len(shape) < 3:
        return tuple(operands), shape
    several = [x for x in operands if not x.per_row and math.prod(size or 1 for size in x.shape[:-1]) > 1]
    if several:
        data = [x for x in operands if x.per_row]
        if all(x.shape == shape for x in data) and all(x.per_row or _fits_flat(x, shape) for x in operands):
            flat = (None, math.prod(size or 0 for size in shape[1:]))
            return tuple(_flat(x, flat, shape) for x in operands), flat
        operands = [expanded(_of_sample(x, shape)) if any(x is y for y in several) else x for x in operands]
    wanted = (repeated(x, (*shape[:-1], x.shape[-1])) if x.per_row else x for x in operands)
    return tuple(wanted), shape


def aligned_whole(operands: Sequence[SymbolicArray], shape: Shape) -> tuple[SymbolicArray, ...]:
    """The same in a formula of whole arrays, whose loops also take the last axes of any number."""
    return tuple(repeated(x, shape) if x.per_row and not _has_first_axes(x.shape, shape) else x for x in operands)


def _has_first_axes(sizes: Shape, shape: Shape) -> bool:
    """Whether an array has the first axes of a shape, and behind them axes of size 1."""
    count = next((axis for axis, (size, whole) in enumerate(zip(sizes, shape)) if size != whole), len(sizes))
    return all(size == 1 for size in sizes[count:])


def _fits_flat(x: SymbolicArray, shape: Shape) -> bool:
    """Whether an array without a batch is a number, a constant, or a weight of the shape of a sample."""
    return x.value is not None or x.shape == shape[1:] or math.prod(size or 1 for size in x.shape) == 1


def _flat(x: SymbolicArray, flat: Shape, shape: Shape) -> SymbolicArray:
    if x.per_row:
        return reshaped(x, flat)
    if x.value is not None and x.value.size > 1:
        value = np.broadcast_to(x.value, [1, *(size or 0 for size in shape[1:])]).reshape(-1)
        return SymbolicArray(None, (), value.shape, x.is_bool, value=value)
    return x if x.shape != shape[1:] else under_shape(x, flat[1:])


def _of_sample(x: SymbolicArray, shape: Shape) -> SymbolicArray:
    """An array without a batch under as many axes as a sample has."""
    axes = (*(1,) * (len(shape) - 1 - x.ndim), *x.shape)
    return under_shape(x, axes[len(axes) - len(shape) + 1 :])
