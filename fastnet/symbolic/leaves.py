"""Leaves of formulas: arguments, constants, and the weights of a layer's call."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnet._kernels.errors import quoted
from fastnet.engine.variable import Variable
from fastnet.symbolic.array import Shape, SymbolicArray, refusal


def constant(value: Any) -> SymbolicArray:
    """A number, an array or a weight as a symbolic array; one that is symbolic stays.

    Raises:
        TracingError: it is neither.
    """
    if isinstance(value, SymbolicArray):
        return value
    if isinstance(value, Variable):
        return weight_leaf(value)
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise refusal(f"{type(value).__name__} {quoted(value)} is no array of numbers", "give numbers or arrays")
    if array.dtype.kind != "b":
        array = array.astype(np.float64)
    return SymbolicArray(None, (), array.shape, array.dtype.kind == "b", value=array)


def argument(shape: Shape) -> SymbolicArray:
    """A new argument of a formula."""
    return SymbolicArray(None, (), shape)


class _Tracing(threading.local):
    """The weights of the formula that a thread traces: id → (weight, leaf); None outside a layer's call."""

    weights: dict[int, tuple[Variable, SymbolicArray]] | None = None


_tracing = _Tracing()


@contextlib.contextmanager
def tracing_weights() -> Iterator[dict[int, tuple[Variable, SymbolicArray]]]:
    """A context in which weights take part in formulas; gives those that did, by their ids."""
    outer, _tracing.weights = _tracing.weights, {}
    try:
        yield _tracing.weights
    finally:
        _tracing.weights = outer


def weight_leaf(variable: Variable) -> SymbolicArray:
    """The leaf of a weight, the same each time.

    Raises:
        TracingError: a loss or an activation reads a weight.
    """
    known = _tracing.weights
    if known is None:
        raise refusal(
            f"the weight {variable.path!r} takes part in a formula outside a layer's call",
            "write a layer with call(self, x), or read its value: weight.numpy()",
        )
    return known.setdefault(id(variable), (variable, SymbolicArray(None, (), variable.shape)))[1]
