"""Axes of size 1, added and dropped."""

from __future__ import annotations

from typing import Any

from fastnet.symbolic.array import Operation, Shape, ShapeError, SymbolicArray, refusal, shown


def _reshape_adjoint(dy: Any, y: SymbolicArray, x: SymbolicArray) -> tuple:
    return (reshaped(dy, x.shape),)


RESHAPE = Operation("reshape", _reshape_adjoint)


def reshaped(x: SymbolicArray, shape: Shape) -> SymbolicArray:
    """An array under a shape that has the same axes but for those of size 1.

    Raises:
        TracingError: other axes differ.
    """
    if x.shape == shape:
        return x
    if x.value is not None:
        return SymbolicArray(None, (), shape, x.is_bool, value=x.value.reshape([size or 1 for size in shape]))
    if [size for size in x.shape if size != 1] != [size for size in shape if size != 1]:
        raise refusal(
            f"reshape from {shown(x.shape)} to {shown(shape)} changes other axes than those of size 1",
            "put layers.Reshape in front",
            ShapeError,
        )
    return SymbolicArray(RESHAPE, (x,), shape, x.is_bool)
