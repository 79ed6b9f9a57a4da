"""Formulas of weights alone: each is computed once a step, as a formula of one sample that holds the weight.

`lifted` gives the weight as such a sample, on which all operations work, and `grounded` takes the result as a weight
again, which formulas of data and products read. Sums over the batch and values that were assigned take part as weights
do. In an update (`whole_updates`) both are operations of their own, since most others take arrays without a batch as
they are.
"""

from __future__ import annotations

from fastnet.engine.variable import tracing
from fastnet.symbolic.array import Operation, Shape, SymbolicArray, refusal
from fastnet.symbolic.leaves import argument
from fastnet.symbolic.order import ordered, signature
from fastnet.symbolic.rearrange import transposed
from fastnet.symbolic.reshape import FLAT, GROUND, OF_SAMPLE, SAMPLE, TURNED, reshaped

BATCH_SUM, ROWS = Operation("sum over the batch"), Operation("rows of the batch")
ASSIGNED = Operation("assigned")  # what a weight is from an assignment on (`assigned_weights`)
#: what is there once a step beside weights
ONCE_A_STEP = (BATCH_SUM, ROWS, ASSIGNED)


class OfWeights:
    """A formula of lifted weights.

    Args:
        root: its result, an array of one sample.
    """

    def __init__(self, root: SymbolicArray):
        self.root = root
        self.arguments = [x for x in ordered([root]) if x.operation is None and x.value is None]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OfWeights) and signature(self.arguments, self.root) == signature(
            other.arguments, other.root
        )

    __hash__ = object.__hash__


def is_of_weights(x: SymbolicArray) -> bool:
    """Whether an array is a weight, or a formula of what is there once a step, within a layer's call or an update."""
    if x.per_row or x.value is not None:
        return False
    return tracing.is_update or (not tracing.is_whole and tracing.check_fold is None)


def lifted(x: SymbolicArray) -> SymbolicArray:
    """A formula of weights as one of a sample.

    Raises:
        TracingError: in a formula of whole arrays, whose loops are others (`whole`).
    """
    if tracing.is_update:
        if x.operation is OF_SAMPLE:
            return x.inputs[0]
        if x.lifted is None:
            x.lifted = SymbolicArray(SAMPLE, (x,), (None, *x.shape), x.is_bool)
        return x.lifted
    if tracing.is_whole:
        raise refusal("a transposition of what has no batch", "fold the batch, or multiply")
    if x.operation is None or x.operation in ONCE_A_STEP:
        if x.lifted is None:
            x.lifted = argument((None, *x.shape))
            x.lifted.lifted = x
        return x.lifted
    if x.operation is GROUND:
        return x.settings[0].root
    if x.operation is FLAT:
        return reshaped(lifted(x.inputs[0]), (None, *x.shape))
    if x.operation is TURNED:
        return transposed(lifted(x.inputs[0]), (0, 2, 1))
    if x.lifted is None:
        operands = (y if y.value is not None else _of_axes(lifted(y), x.ndim + 1) for y in x.inputs)
        x.lifted = x.operation(*operands)  # type: ignore[operator]
    return x.lifted


def _of_axes(x: SymbolicArray, count: int) -> SymbolicArray:
    return reshaped(x, (None, *(1,) * (count - x.ndim), *x.shape[1:]))


def grounded(y: SymbolicArray) -> SymbolicArray:
    """A formula of lifted weights as a weight: its result is computed once."""
    if tracing.is_update:
        return y.inputs[0] if y.operation is SAMPLE else SymbolicArray(OF_SAMPLE, (y,), y.shape[1:], y.is_bool)
    formula = OfWeights(y)
    weights = tuple(x.lifted for x in formula.arguments if x.lifted is not None)
    return SymbolicArray(GROUND, weights, y.shape[1:], settings=(formula,))


def in_memory(x: SymbolicArray) -> SymbolicArray:
    """An array that formulas of elements read: a transposed weight, which products alone take, is computed once."""
    return grounded(lifted(x)) if x.operation is TURNED and is_of_weights(x) and not tracing.is_update else x


def under_shape(x: SymbolicArray, shape: Shape) -> SymbolicArray:
    """An array under another shape, of data, weights or constants."""
    if not is_of_weights(x) or tracing.is_update or x.operation in (None, FLAT, GROUND) or x.shape == shape:
        return reshaped(x, shape)
    return grounded(reshaped(lifted(x), (None, *shape)))
