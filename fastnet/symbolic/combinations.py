"""Linear combinations: which numbers, times which factors, an array is the sum of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fastnet.symbolic.array import SymbolicArray

T = TypeVar("T")
Terms = list[tuple[float, T]]


def linear_combination(y: SymbolicArray, part: Callable[[SymbolicArray], Terms[T] | None]) -> Terms[T] | None:
    """Factors and parts whose products add up to an array; None if it is not such a sum.

    Args:
        y: the array; sums, differences, negatives, multiples and quotients by a number are looked into.
        part: the terms of an array that is a part; None for another one.
    """
    if (found := part(y)) is not None or y.operation is None:
        return found
    name = y.operation.name
    if name in ("add", "subtract"):
        first, second = (linear_combination(x, part) for x in y.inputs)
        return None if first is None or second is None else [*first, *_scaled(second, 1.0 if name == "add" else -1.0)]
    if name in ("negative", "positive"):
        source, factor = y.inputs[0], -1.0 if name == "negative" else 1.0
    elif name in ("multiply", "divide") and (number := _number(y.inputs[1])) is not None:
        if name == "divide" and number == 0:
            return None
        source, factor = y.inputs[0], number if name == "multiply" else 1 / number
    elif name == "multiply" and (number := _number(y.inputs[0])) is not None:
        source, factor = y.inputs[1], number
    else:
        return None
    found = linear_combination(source, part)
    return None if found is None else _scaled(found, factor)


def _scaled(terms: Terms[T], factor: float) -> Terms[T]:
    return [(factor * each, x) for each, x in terms]


def _number(x: SymbolicArray) -> float | None:
    return float(x.value.reshape(-1)[0]) if x.value is not None and x.value.size == 1 else None
