"""Calls of a user's function with symbolic arrays."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastnet.symbolic.array import Shape, SymbolicArray, TracingError, foreign
from fastnet.symbolic.boundaries import IMAGE, LAYER
from fastnet.symbolic.leaves import Weights, argument, returned, tracing_weights
from fastnet.symbolic.order import ordered, signature


def check_arguments(function: Callable[..., Any], count: int, what: str) -> None:
    """Check that a function can be called with so many arrays.

    Raises:
        TracingError: it takes more or fewer.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a function without one
        return
    try:
        signature.bind(*range(count))
    except TypeError:
        raise TracingError(
            f"{what} cannot be compiled: it takes {signature}, and is called with {count} array{'s' * (count > 1)}."
        ) from None


@contextlib.contextmanager
def compiling(what: str) -> Iterator[None]:
    """A context whose errors say what cannot be compiled."""
    try:
        yield
    except TracingError as error:
        raise type(error)(f"{what} cannot be compiled: {error}") from None
    except (TypeError, ValueError) as error:
        if not any(text in str(error) for text in ("SymbolicArray", "not Variable", "__jax_array__")):
            raise
        raise TracingError(f"{what} cannot be compiled: {foreign(error)}") from error


def traced(
    function: Callable[..., Any], shapes: Sequence[Shape], what: str, in_layer: bool = False
) -> tuple[list[SymbolicArray], SymbolicArray, Weights]:
    """The arguments and the result of a function of arrays of these shapes, and the weights that take part.

    Args:
        function: it is called twice: a formula gives the same operations each time.
        shapes: of its arguments, the rows of the batch None.
        what: it is, for errors.
        in_layer: whether weights, products and layers may take part.

    Raises:
        TracingError: it does what cannot be compiled, or gives another formula when it is called again.
    """
    check_arguments(function, len(shapes), what)
    calls = []
    for _ in range(2):
        arguments = [argument(shape) for shape in shapes]
        with compiling(what), tracing_weights(in_layer) as weights:
            result = returned(function(*arguments))
        if not in_layer and any(x.operation in (LAYER, IMAGE) for x in ordered([result])):
            raise TracingError(
                f"{what} cannot be compiled: a layer, a convolution or pooling is there, which only a "
                "layer's call(self, x) can have."
            )
        calls.append((arguments, result, weights))
    first, second = (weights for *_, weights in calls)
    if made := [variable for number, (variable, _) in first.items() if number not in second]:
        raise TracingError(
            f"{what} makes a variable of shape {made[0].shape} each time it is called, which would not be trained. "
            "Make weights in build, with self.add_weight; a number or an array of NumPy is a constant."
        )
    if signature(*calls[0][:2]) != signature(*calls[1][:2]):
        raise TracingError(
            f"{what} gives another formula when it is called again: a counter, random numbers of NumPy or a new layer "
            "would be fixed in the compiled one. Make it depend on its arguments alone."
        )
    return calls[0]
