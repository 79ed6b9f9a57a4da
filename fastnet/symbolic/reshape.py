"""Arrays under other shapes: last axes of size 1 come and go within a formula; everything else cuts it."""

from __future__ import annotations

import math
from typing import Any

from fastnet.symbolic.array import Operation, Shape, ShapeError, SymbolicArray, refusal, shown
from fastnet.symbolic.boundaries import RESHAPE_ALL


def _reshape_adjoint(dy: Any, y: SymbolicArray, x: SymbolicArray) -> tuple:
    return (reshaped(dy, x.shape),)


RESHAPE = Operation("reshape", _reshape_adjoint)


def reshaped(x: SymbolicArray, shape: Shape) -> SymbolicArray:
    """An array under another shape; where more than axes of size 1 differ, a view of what is computed.

    Raises:
        TracingError: the number of elements differs.
    """
    if x.shape == shape:
        return x
    if x.value is not None:
        return SymbolicArray(None, (), shape, x.is_bool, value=x.value.reshape([size or 1 for size in shape]))
    if _trimmed(x.shape) != _trimmed(shape):
        if not x.per_row or shape[:1] != (None,) or math.prod(map(_known, x.shape)) != math.prod(map(_known, shape)):
            raise refusal(
                f"reshape from {shown(x.shape)} to {shown(shape)}",
                "keep the batch and the number of elements",
                ShapeError,
            )
        return SymbolicArray(RESHAPE_ALL, (x,), shape, x.is_bool)
    return SymbolicArray(RESHAPE, (x,), shape, x.is_bool)


def _trimmed(shape: Shape) -> Shape:
    """A shape without its last axes of size 1: formulas of rows take them for nothing."""
    while shape[1:] and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _known(size: int | None) -> int:
    return 1 if size is None else size
