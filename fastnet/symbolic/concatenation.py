"""Arrays side by side."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet._kernels.templates import elementwise
from fastnet.engine.variable import tracing
from fastnet.engine.view import View
from fastnet.symbolic import formulas
from fastnet.symbolic.array import ShapeError, SymbolicArray, refusal, shown
from fastnet.symbolic.boundaries import Boundary, sample_shape
from fastnet.symbolic.leaves import constant
from fastnet.symbolic.rearrange import expanded, rearranged
from fastnet.symbolic.reshape import reshaped
from fastnet.symbolic.slices import sliced
from fastnet.symbolic.weight_formulas import grounded, in_memory, is_of_weights, lifted


class _Concatenate(Boundary):
    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        y, end = lowering.buffer(x), 0
        for part in x.inputs:
            start, end = end, end + (part.shape[-1] or 0)
            lowering.plan.call(elementwise.copy, x=lowering.view(part), y=y.slice(-1, start, end))
        return y


def _adjoint(dy: SymbolicArray, y: SymbolicArray, *parts: SymbolicArray) -> tuple:
    ends = itertools.accumulate((x.shape[-1] or 0 for x in parts), initial=0)
    return tuple(sliced(dy, dy.ndim - 1, start, stop) for start, stop in itertools.pairwise(ends))


CONCATENATE = _Concatenate("concatenate", _adjoint)


def concatenated(parts: Sequence[Any], axis: int) -> SymbolicArray:
    """Arrays side by side along an axis of a sample; what has no batch is repeated for each row.

    Raises:
        TracingError: other axes differ, or the axis is that of the batch.
    """
    arrays = list(map(constant, parts))
    ndim = max(x.ndim for x in arrays)
    if not any(x.per_row for x in arrays) and any(map(is_of_weights, arrays)):
        if not -ndim <= axis < ndim or any(x.ndim != ndim for x in arrays):
            given = " and ".join(shown(x.shape) for x in arrays)
            raise refusal(f"concatenate: shapes {given} along axis {axis}", "give as many axes", ShapeError)
        return grounded(
            concatenated(
                [lifted(x) if x.value is None else reshaped(x, (1, *x.shape)) for x in arrays], axis % ndim + 1
            )
        )
    if tracing.is_whole and not tracing.is_update and all(not x.per_row and x.ndim == ndim for x in arrays):
        if -ndim <= axis < ndim and all(x.shape[axis] == 1 for x in arrays):
            return _chosen(arrays, axis % ndim)
    if not -ndim <= axis < ndim or axis % ndim == 0:
        raise refusal(f"concatenate along axis {axis} of arrays of {ndim} axes", "give another axis than the batch's")
    axis %= ndim
    arrays = [x if x.per_row else expanded(in_memory(_without_batch(x, ndim))) for x in arrays]
    if len({(*x.shape[:axis], *x.shape[axis + 1 :]) for x in arrays}) > 1:
        given = " and ".join(shown(x.shape) for x in arrays)
        raise refusal(f"concatenate: shapes {given} differ in other axes than axis {axis}", "reshape them", ShapeError)
    if axis == ndim - 1:
        return _side_by_side(arrays)
    rows = [reshaped(x, (None, math.prod(sample_shape(x)))) for x in arrays]
    ends = itertools.accumulate((math.prod(sample_shape(x)) for x in arrays), initial=0)
    places = [
        np.arange(start, stop).reshape(sample_shape(x)) for x, (start, stop) in zip(arrays, itertools.pairwise(ends))
    ]
    return rearranged(_side_by_side(rows), np.concatenate(places, axis - 1))


def _chosen(arrays: Sequence[SymbolicArray], axis: int) -> SymbolicArray:
    """Arrays without a batch, of size 1 along the axis, such as numbers of losses: each entry is chosen."""
    place = np.arange(len(arrays)).reshape(-1, *(1,) * (arrays[0].ndim - 1 - axis))
    y = arrays[-1]
    for i, x in enumerate(arrays[:-1]):
        y = formulas.where(place == i, x, y)
    return formulas.like(y, place)


def _without_batch(x: SymbolicArray, ndim: int) -> SymbolicArray:
    """An array without a batch as one of a sample; Keras's has an axis of size 1 in the batch's place."""
    if x.ndim == ndim and x.shape[0] == 1:
        return reshaped(x, x.shape[1:])
    raise refusal(
        f"concatenate of an array of shape {shown(x.shape)} without the batch", "give it a first axis of size 1",
        ShapeError,
    )  # fmt: skip


def _side_by_side(arrays: Sequence[SymbolicArray]) -> SymbolicArray:
    size = sum(x.shape[-1] or 0 for x in arrays)
    return SymbolicArray(CONCATENATE, tuple(arrays), (*arrays[0].shape[:-1], size))
