"""Arrays under other shapes."""

from __future__ import annotations

import math
from typing import Any

from fastnet.engine.variable import tracing
from fastnet.engine.view import View
from fastnet.symbolic.array import Operation, Shape, ShapeError, SymbolicArray, refusal, shown
from fastnet.symbolic.boundaries import Boundary, sample_shape
from fastnet.symbolic.order import ordered


class _Flattened(Operation):
    """Of a batch: its elements in a row, in which they keep their shape. A fold takes all of them (`unflattened`)."""

    @property
    def is_elementwise(self) -> bool:
        return True

    @property
    def flattens(self) -> bool:
        return True


class _ReshapeAll(Boundary):
    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        return lowering.plan.reshaped(lowering.view(x.inputs[0]), sample_shape(x))


class _Same(Boundary):
    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        return lowering.under_shape(x)


def _adjoint(dy: Any, y: SymbolicArray, x: SymbolicArray) -> tuple:
    """The gradient of a weight has an entry for each row of the batch."""
    return (reshaped(dy, (None, *x.shape) if dy.per_row and not x.per_row else x.shape),)


RESHAPE = Operation("reshape", _adjoint)  # of last axes of size 1, which come and go within a formula
RESHAPE_ALL = _ReshapeAll("reshape", _adjoint)
FLAT = Operation("flat", _adjoint)  # of a weight: its elements as one row
FLAT_BATCH = _Flattened("reshape")


TURNED = Boundary("transpose")  # of a weight: only a product reads it so
GROUND = Boundary("weight")  # a formula of weights alone (`weight_formulas`)
SAMPLE, OF_SAMPLE = _Same("sample"), _Same("array of a sample")  # in updates: an array as one sample, and back


def reshaped(x: SymbolicArray, shape: Shape) -> SymbolicArray:
    """An array under another shape. That of a formula of elements is the formula of its operands under it.

    Raises:
        TracingError: the number of elements differs.
    """
    if x.shape == shape:
        return x
    if x.value is not None:
        return SymbolicArray(None, (), shape, x.is_bool, value=x.value.reshape([size or 1 for size in shape]))
    if x.operation is RESHAPE_ALL and x.inputs[0].per_row:
        return reshaped(x.inputs[0], shape)
    if x.per_row and _trimmed(x.shape) == _trimmed(shape):
        return SymbolicArray(RESHAPE, (x,), shape, x.is_bool)
    if x.per_row != (shape[:1] == (None,)) or math.prod(map(_known, x.shape)) != math.prod(map(_known, shape)):
        raise refusal(
            f"reshape from {shown(x.shape)} to {shown(shape)}", "keep the batch and the number of elements", ShapeError
        )
    if tracing.is_whole:
        return SymbolicArray(RESHAPE, (x,), shape, x.is_bool)
    if x.operation is not None and x.operation.is_elementwise and all(_moves_with(y, x) for y in x.inputs):
        inputs = tuple(reshaped(y, shape) if y.shape == x.shape else y for y in x.inputs)
        return SymbolicArray(x.operation, inputs, shape, x.is_bool, x.settings)
    if x.per_row:
        return SymbolicArray(RESHAPE_ALL, (x,), shape)
    return _of_weight(x, shape)


def flattened(x: SymbolicArray) -> SymbolicArray:
    """The elements of a batch, a whole array, in a row."""
    return x if x.is_flat else SymbolicArray(FLAT_BATCH, (x,), x.shape, x.is_bool)


def unflattened(x: SymbolicArray) -> SymbolicArray:
    """A formula of elements in a row as one of the arrays that they are from."""
    if not x.is_flat:
        return x
    found: dict[int, SymbolicArray] = {}
    for y in ordered([x]):
        inputs = tuple(found[id(each)] for each in y.inputs)
        if y.operation is FLAT_BATCH:
            found[id(y)] = inputs[0]
        else:
            found[id(y)] = SymbolicArray(y.operation, inputs, y.shape, y.is_bool, y.settings) if y.is_flat else y
    return found[id(x)]


def _of_weight(x: SymbolicArray, shape: Shape) -> SymbolicArray:
    if x.operation not in (None, FLAT, GROUND):
        raise refusal("reshape of a formula of weights", "reshape what is computed with the data")
    weight = x.inputs[0] if x.operation is FLAT else x
    return weight if weight.shape == shape else SymbolicArray(FLAT, (weight,), shape)


def _moves_with(x: SymbolicArray, y: SymbolicArray) -> bool:
    """Whether an operand of a formula y keeps its place in it under another shape."""
    return x.shape == y.shape or (not x.per_row and math.prod(map(_known, x.shape)) == 1)


def _trimmed(shape: Shape) -> Shape:
    """A shape without its last axes of size 1: formulas of rows take them for nothing."""
    while shape[1:] and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _known(size: int | None) -> int:
    return 1 if size is None else size
