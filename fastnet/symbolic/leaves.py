"""Leaves of formulas: arguments, constants, and the weights of a layer's call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnet._kernels.errors import quoted
from fastnet.engine.variable import Variable, tracing
from fastnet.symbolic.array import Shape, SymbolicArray, TracingError, refusal


def constant(value: Any) -> SymbolicArray:
    """A number, an array or a weight as a symbolic array; one that is symbolic stays.

    Raises:
        TracingError: it is neither.
    """
    if isinstance(value, SymbolicArray):
        return value
    if isinstance(value, Variable) and tracing.leaf is not None:
        return tracing.leaf(value)
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise refusal(f"{type(value).__name__} {quoted(value)} is no array of numbers", "give numbers or arrays")
    if array.dtype.kind != "b":
        array = array.astype(np.float64)
    return SymbolicArray(None, (), array.shape, array.dtype.kind == "b", value=array)


def returned(value: Any) -> SymbolicArray:
    """What a user's function returned, as a symbolic array.

    Raises:
        TracingError: it is not one array.
    """
    several = isinstance(value, (tuple, list, dict)) and any(
        isinstance(x, SymbolicArray) for x in (value.values() if isinstance(value, dict) else value)
    )
    if value is None or several:
        kind = "None" if value is None else f"a {type(value).__name__} of arrays"
        raise TracingError(f"it returns {kind}, and must return one array.")
    return constant(value)


def argument(shape: Shape) -> SymbolicArray:
    """A new argument of a formula."""
    return SymbolicArray(None, (), shape)


def whole_arrays(rows: SymbolicArray) -> contextlib.AbstractContextManager[None]:
    """A context in which formulas may fold the batch, whose number of rows ``rows`` stands for, and weights alone."""
    return tracing.within(rows=rows, is_whole=True)


Weights = dict[int, tuple[Variable, SymbolicArray]]


@contextlib.contextmanager
def tracing_weights(take_part: bool = True) -> Iterator[Weights]:
    """A context in which this thread traces a formula; gives the weights that took part, by their ids.

    Args:
        take_part: whether they may, as in a layer's call.
    """
    found: Weights = {}

    def leaf(variable: Variable) -> SymbolicArray:
        if not take_part:
            raise refusal(
                f"the weight {variable.path!r} takes part in a formula outside a layer's call",
                "write a layer with call(self, x), or read its value before: weight.numpy()",
            )
        return found.setdefault(id(variable), (variable, SymbolicArray(None, (), variable.shape)))[1]

    with tracing.within(leaf=leaf, refuse=_refuse, assign=None, check_fold=None):
        yield found


def not_tracing() -> contextlib.AbstractContextManager[None]:
    """A context in which weights are arrays again."""
    return tracing.within(
        leaf=None, assign=None, check_fold=None, add_loss=None, rows=None, is_whole=False, is_update=False
    )


def _refuse(variable: Variable) -> None:
    raise refusal(
        f"the elements of the weight {variable.path!r} are read or set in a formula",
        "use it as it is, with operators and functions of fastnet.ops",
    )


def leaf_of(value: Any) -> Any:
    """The leaf of a weight in a formula that is traced; any other value."""
    return tracing.leaf(value) if isinstance(value, Variable) and tracing.leaf is not None else value
