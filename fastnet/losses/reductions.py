"""What loss objects give within formulas of array code: their reduction, as training does it for arrays."""

from __future__ import annotations

from typing import Any

from fastnet.engine.variable import tracing
from fastnet.symbolic.array import SymbolicArray
from fastnet.symbolic.formulas import like
from fastnet.symbolic.functions import FUNCTIONS as ops
from fastnet.symbolic.leaves import constant


def reduced(values: Any, sample_weight: Any, reduction: str | None, counted: SymbolicArray | None) -> SymbolicArray:
    """The number of the batch, as in Keras.

    In a formula of rows a mean stays the numbers of rows: `symbolic.losses` looks whether their mean, taken later, is
    the same.

    Args:
        values: of each row, or of the batch.
        sample_weight: of each row, or a number; None where all count the same.
        reduction: of `Loss`.
        counted: says of each row whether it counts; None where all do.
    """
    each: Any = counted
    weighted = values
    if tracing.joining is not None and tracing.is_whole:
        tracing.joining.append(values)
    if sample_weight is not None:
        weights: Any = constant(sample_weight)
        weights = like(_beside(weights, values), values) if values.ndim else weights
        weighted, each = values * weights, weights if counted is None else weights * counted
    if reduction in ("none", None) or not weighted.ndim:
        return weighted
    if reduction == "sum":
        return ops["sum"](weighted)
    divisor = each if reduction == "mean_with_sample_weight" else counted
    if divisor is not None:
        return _quotient(ops["sum"](weighted), ops["sum"](divisor))
    if tracing.joining is not None and not tracing.is_whole:
        tracing.joining.append(weighted)
        return weighted
    # where nothing folds the batch, as in an activation, it is the numbers of rows
    return ops["mean"](weighted) if tracing.is_whole or tracing.rows is not None else weighted


def _beside(weights: SymbolicArray, values: SymbolicArray) -> SymbolicArray:
    """Weights with as many axes as values: (n, 1) for values (n,), or (n,) for values (n, steps)."""
    if weights.ndim == values.ndim + 1 and weights.shape[-1] == 1:
        return ops["squeeze"](weights, -1)
    if weights.per_row and weights.ndim < values.ndim:
        return ops["reshape"](weights, (-1, *weights.shape[1:], *(1,) * (values.ndim - weights.ndim)))
    return weights


def _quotient(total: SymbolicArray, count: SymbolicArray) -> SymbolicArray:
    """0 where nothing counts."""
    is_none = ops["equal"](count, 0.0)
    return ops["where"](is_none, 0.0, total / ops["where"](is_none, 1.0, count))
