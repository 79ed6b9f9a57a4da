"""Calls of a user's function with symbolic arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnet.symbolic.array import Shape, SymbolicArray, TracingError
from fastnet.symbolic.leaves import argument, constant
from fastnet.symbolic.order import ordered


def traced(
    function: Callable[..., Any], shapes: Sequence[Shape], what: str
) -> tuple[list[SymbolicArray], SymbolicArray]:
    """The arguments and the result of a function of arrays of these shapes.

    Args:
        function: it is called twice: a formula gives the same operations each time.
        shapes: of its arguments, the rows of the batch None.
        what: it is, for errors.

    Raises:
        TracingError: it does what cannot be compiled, or gives another formula when it is called again.
    """
    calls = []
    for _ in range(2):
        arguments = [argument(shape) for shape in shapes]
        try:
            result = constant(function(*arguments))
        except TracingError as error:
            raise type(error)(f"{what} cannot be compiled: {error}") from None
        found = next((x for x in ordered([result]) if x.operation is not None and x.operation.is_boundary), None)
        if found is not None:
            raise TracingError(
                f"{what} cannot be compiled: ops.{getattr(found.operation, 'name', '')} is there in a layer's "
                "call(self, x), and not in a formula of rows."
            )
        calls.append((arguments, result))
    if signature(*calls[0]) != signature(*calls[1]):
        raise TracingError(
            f"{what} gives another formula when it is called again: a counter, or random numbers of NumPy, would be "
            "fixed in the compiled one. Make it depend on its arguments alone."
        )
    return calls[0]


def signature(arguments: Sequence[SymbolicArray], result: SymbolicArray) -> list[tuple]:
    """What a formula is, equal for equal ones."""
    numbers = {id(x): i for i, x in enumerate(arguments)}
    found = []
    for x in ordered([result]):
        numbers.setdefault(id(x), len(numbers))
        name = "" if x.operation is None else x.operation.name
        value = None if x.value is None else x.value.tobytes()
        found.append((name, tuple(numbers[id(y)] for y in x.inputs), x.shape, x.settings, value, numbers[id(x)]))
    return found
