"""Elements of each sample in other places: permuted axes, repeated ones, padding, what an index takes.

All are one operation: ``y[j] = x[index[j]]`` over the elements of a sample, 0 where the index is negative. Its adjoint
sums, for each element of x, the gradients of the places that hold it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet._kernels.errors import quoted
from fastnet._kernels.rules.scalars import unchanged
from fastnet._kernels.templates import elementwise, indexed
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.symbolic.array import Shape, ShapeError, SymbolicArray, refusal
from fastnet.symbolic.boundaries import Boundary, sample_shape
from fastnet.symbolic.leaves import constant
from fastnet.symbolic.reshape import reshaped


class _Rearrange(Boundary):
    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        source, index, y = lowering.view(x.inputs[0]), index_of(x), lowering.buffer(x)
        template = indexed.take if (index >= 0).all() else indexed.take_present
        operands = {"x": lowering.plan.reshaped(source, (source.width,)), "y": y.flat}
        lowering.plan.call(template, index=Variable(index.ravel(), "index"), **operands)
        return y


class _SumMembers(Boundary):
    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        source, y = lowering.view(x.inputs[0]), lowering.buffer(x)
        members = _members(index_of(x).ravel(), y.width)
        template = indexed.sum_members if (members >= 0).all() else indexed.sum_present_members
        operands = {"x": lowering.plan.reshaped(source, (source.width,)), "y": y.flat}
        lowering.plan.call(template, members=Variable(members, "members"), **operands)
        return y


class _Expand(Boundary):
    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        y = lowering.buffer(x)
        lowering.plan.call(elementwise.formula, f=unchanged, x=[], r=[], c=[lowering.weight(x.inputs[0])], y=y.flat)
        return y


class _TakeRows(Boundary):
    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        return rows_at(lowering.plan, lowering.view(x.inputs[0]), lowering.weight(x.inputs[1]))


def rows_at(plan: Plan, index: View, w: View | Variable) -> View:
    """Add the launch of the rows of w at indices (n, ...): (n, ..., *those of a row)."""
    y, width = plan.buffer((*index.shape, *w.shape[1:]), plan.dtype), math.prod(w.shape[1:])
    operands = {"index": plan.reshaped(index, (index.width,)), "w": w, "y": y.flat}
    plan.call(indexed.take_rows, **operands, outside=math.nan, entries=w.shape[0], width=width)
    return y


def add_rows_at(plan: Plan, index: View, dy: View, dw: View) -> None:
    """Add the launch of the gradient of w in `rows_at`: for each row the sum of those that were taken from it."""
    operands = {"index": plan.reshaped(index, (index.width,)), "dy": plan.reshaped(dy, (dy.width,)), "dw": dw.flat}
    plan.call(indexed.add_rows, **operands, entries=dw.shape[0], width=math.prod(dw.shape[1:]))


def _sum_of_places(dy: SymbolicArray, y: SymbolicArray, x: SymbolicArray) -> tuple:
    index, width = index_of(y).ravel(), math.prod(sample_shape(x))
    used = index[index >= 0]
    if len(np.unique(used)) < len(used):
        return (SymbolicArray(SUM_MEMBERS, (dy,), x.shape, settings=y.settings),)
    inverse = np.full(width, -1, np.int32)
    inverse[used] = np.flatnonzero(index >= 0)
    return (rearranged(dy, inverse.reshape(sample_shape(x))),)


REARRANGE = _Rearrange("rearrange", _sum_of_places)
SUM_MEMBERS = _SumMembers("sum_members", lambda dy, y, x: (rearranged(dy, index_of(y)),))
TAKE_ROWS = _TakeRows("take")  # of a weight or a constant, at indices of the batch
EXPAND = _Expand("expand", lambda dy, y, x: (dy,))  # a weight or a constant for each row of the batch


def rearranged(x: SymbolicArray, index: np.ndarray) -> SymbolicArray:
    """The elements of each sample that an index takes.

    Args:
        x: an array of the batch, with axes of a sample.
        index: in the shape of a sample of the result: numbers of elements, in row-major order; negative for 0.
    """
    index = np.asarray(index, np.int32, order="C")  # ascontiguousarray would add an axis to a number
    shape: Shape = (None, *index.shape)
    if x.operation is REARRANGE:
        first = index_of(x).ravel()
        return rearranged(x.inputs[0], np.where(index >= 0, first[np.maximum(index, 0)], -1))
    if index.size == math.prod(sample_shape(x)) and np.array_equal(index.ravel(), np.arange(index.size)):
        return reshaped(x, shape)
    return SymbolicArray(REARRANGE, (x,), shape, settings=(index.tobytes(), index.shape))


def index_of(x: SymbolicArray) -> np.ndarray:
    """The index of a rearranged array, or of the places that are summed."""
    data, shape = x.settings
    return np.frombuffer(data, np.int32).reshape(shape)


def numbered(x: SymbolicArray) -> np.ndarray:
    """The number of each element of a sample, in the shape of a sample."""
    return np.arange(math.prod(sample_shape(x)), dtype=np.int32).reshape(sample_shape(x))


def transposed(x: SymbolicArray, order: Sequence[int]) -> SymbolicArray:
    """The axes in another order, that of the batch first.

    Raises:
        TracingError: another axis is first, as of an array without a batch.
    """
    if order[0] != 0:
        raise refusal("axis 0 of an array is moved, which is not the batch's", "move the other axes")
    return rearranged(x, numbered(x).transpose([axis - 1 for axis in order[1:]]))


def repeated(x: SymbolicArray, shape: Shape) -> SymbolicArray:
    """An array of the batch, repeated along axes of size 1 to a shape of as many axes."""
    if x.shape == shape:
        return x
    return rearranged(x, np.broadcast_to(numbered(x), [size or 0 for size in shape[1:]]))


def taken(x: SymbolicArray, indices: np.ndarray, axis: int) -> SymbolicArray:
    """The elements at numbers along an axis, which count from its end where they are negative.

    Raises:
        TracingError: the axis is that of the batch, or has no such element.
    """
    size = x.shape[axis]
    if size is None:
        raise refusal("an index of the batch (axis 0) takes single samples", "write x[:, ...] for all of them")
    if indices.size and not -size <= indices.min() <= indices.max() < size:
        raise refusal(f"indices {quoted(indices)} of an axis of size {size}", "count from 0", ShapeError)
    if x.value is not None:
        return constant(np.take(x.value, indices, axis))
    return rearranged(x, np.take(numbered(x), indices, axis - 1))


def expanded(x: SymbolicArray) -> SymbolicArray:
    """A weight, a constant or a formula of them as an array of the batch, the same for each row."""
    if x.operation is not None and x.operation.is_elementwise:
        inputs = (reshaped(y, (*(1,) * (x.ndim - y.ndim), *y.shape)) for y in x.inputs)
        whole = (repeated(expanded(y), (None, *x.shape)) for y in inputs)
        return SymbolicArray(x.operation, tuple(whole), (None, *x.shape), x.is_bool, x.settings)
    return SymbolicArray(EXPAND, (x,), (None, *x.shape))


def _members(index: np.ndarray, count: int) -> np.ndarray:
    """The places of each element, in order: (count, of the most frequent one), negative behind the last one."""
    places = np.flatnonzero(index >= 0)
    order = places[np.argsort(index[places], kind="stable")]
    sizes = np.bincount(index[places], minlength=count)
    members = np.full((count, max(1, sizes.max(initial=0))), -1, np.int32)
    members[np.arange(members.shape[1]) < sizes[:, None]] = order
    return members
