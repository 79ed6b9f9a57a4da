"""Products and layers within a formula: they cut it into segments (`segments`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnet.symbolic.array import Operation, ShapeError, SymbolicArray, refusal, shown
from fastnet.symbolic.leaves import constant, not_tracing


class Boundary(Operation):
    """An operation that cuts a formula into segments."""

    @property
    def is_boundary(self) -> bool:
        return True


LAYER, MATMUL = Boundary("layer"), Boundary("matmul")
CUT = Boundary("cut")  # what is in front of it is computed, and then sliced
RESHAPE_ALL, CONCATENATE = Boundary("reshape"), Boundary("concatenate")


def concatenated(parts: Sequence[Any]) -> SymbolicArray:
    """Arrays of the batch side by side along the last axis.

    Raises:
        TracingError: one is not of the batch, or other axes differ.
    """
    arrays = tuple(map(constant, parts))
    if not all(x.per_row and x.ndim > 1 for x in arrays):
        raise refusal("concatenate of an array without the batch", "add it to data, or make it a weight of a layer")
    if len({x.shape[:-1] for x in arrays}) > 1:
        given = " and ".join(shown(x.shape) for x in arrays)
        raise refusal(f"concatenate: shapes {given} differ in other axes than the last", "reshape them", ShapeError)
    size = sum(x.shape[-1] or 0 for x in arrays)
    return SymbolicArray(CONCATENATE, arrays, (*arrays[0].shape[:-1], size))


def applied(layer: Any, x: SymbolicArray, training: bool | None, mask: Any) -> SymbolicArray:
    """A layer applied within a formula.

    Raises:
        TracingError: the array is not one of a batch; a mask is given.
    """
    if not x.per_row:
        raise refusal(f"the layer {layer.name!r} is applied to an array without the batch", "apply it to data")
    if mask is not None:
        raise refusal(f"the layer {layer.name!r} is given a mask", "leave it out: masks do not take part in formulas")
    with not_tracing():
        shape = layer.sample_output_shape(tuple(size or 0 for size in x.shape[1:]))
    return SymbolicArray(LAYER, (x,), (None, *shape), settings=(layer, training))


def product(x: Any, w: Any) -> SymbolicArray:
    """x @ w of data and a weight, or an array of two axes.

    Raises:
        TracingError: other operands, or sizes that do not fit.
    """
    x, w = constant(x), constant(w)
    if not x.per_row or x.ndim < 2 or w.per_row or w.ndim != 2 or w.operation is not None:
        raise refusal(
            f"matmul of arrays of shape {shown(x.shape)} and {shown(w.shape)}",
            "multiply data (n, ..., k) by a weight or an array (k, m), as it is: ops.matmul(x, w)",
        )
    if x.shape[-1] != w.shape[0]:
        raise refusal(
            f"matmul: {shown(x.shape)} and {shown(w.shape)} differ in the size that is summed", "give fitting sizes",
            ShapeError,
        )  # fmt: skip
    return SymbolicArray(MATMUL, (x, w), (*x.shape[:-1], w.shape[1]))
