"""Parts of formulas with a gradient of the user's own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from fastnet._kernels.errors import quoted
from fastnet.engine.variable import Variable, tracing
from fastnet.symbolic import formulas
from fastnet.symbolic.array import ShapeError, SymbolicArray, TracingError, broadcast, refusal, shown
from fastnet.symbolic.boundaries import LAYER
from fastnet.symbolic.formulas import Formula
from fastnet.symbolic.leaves import argument, constant
from fastnet.symbolic.order import ordered


class CustomGradient(Formula):
    """The result of a function, its first operand, with a gradient of its own for each argument, the other operands."""

    @property
    def is_elementwise(self) -> bool:
        """A formula under another shape is that of its operands under it; the gradient here has one shape."""
        return False


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose gradient is the user's own.

    Args:
        f: ``f(*arrays) -> (y, grad)``, with ``grad(dy)`` the gradient of the array, or of all arrays as a tuple.
    """

    @functools.wraps(f)
    def function(*arrays: Any, **more: Any) -> Any:
        if not any(isinstance(x, SymbolicArray) or (isinstance(x, Variable) and tracing.leaf) for x in arrays):
            return _result(f, f(*arrays, **more))[0]
        return _called(f, arrays, more)

    return function


def _called(f: Callable[..., Any], arrays: Sequence[Any], more: dict[str, Any]) -> SymbolicArray:
    what = f"The custom gradient of {getattr(f, '__name__', 'a function')!r}"
    if any(isinstance(x, Variable) for x in arrays):
        raise refusal(f"{what} has a weight as an argument", "give it data, and use the weight outside")
    inputs = tuple(map(constant, arrays))
    y, grad = _result(f, f(*inputs, **more))
    y = constant(y)
    _check_operands(what, "f", y, inputs, [x for x in ordered([y], leaves=set(map(id, inputs))) if _is_open(x)])
    dy = argument(y.shape)
    found = grad(dy)
    found = tuple(found) if isinstance(found, (tuple, list)) else (found,)
    if len(found) != len(inputs):
        raise TracingError(f"{what}: grad gives {len(found)} gradients, and the function has {len(inputs)} arguments.")
    slopes = tuple(
        None if dx is None or x.value is not None else _as_gradient(what, dx, x) for dx, x in zip(found, inputs)
    )
    known = {id(dy), *map(id, inputs)}
    for slope in slopes:
        nodes = [] if slope is None else ordered([slope], leaves=known)
        _check_operands(what, "grad", slope, (dy, *inputs), [x for x in nodes if x.per_row and _is_open(x)])

    def adjoint(upstream: SymbolicArray, *_: Any) -> tuple:
        upstream = upstream if upstream.shape == y.shape else formulas.like(upstream, y)
        return (None, *(None if slope is None else _with_leaf(slope, dy, upstream) for slope in slopes))

    operation = CustomGradient(f"custom_gradient of {getattr(f, '__name__', '')}", adjoint, "a")
    return SymbolicArray(operation, (y, *inputs), y.shape, y.is_bool)


def _result(f: Callable[..., Any], given: Any) -> tuple[Any, Callable[..., Any]]:
    """What a function gives: a result and the function of its gradient.

    Raises:
        TypeError: it gives something else.
    """
    if not (isinstance(given, tuple) and len(given) == 2 and callable(given[1])):
        raise TypeError(
            f"custom_gradient: {getattr(f, '__name__', 'the function')!r} must return (y, grad), an array and a "
            f"function of the gradient of y; received {quoted(given)}."
        )
    return given


def _is_open(x: SymbolicArray) -> bool:
    """Whether a part of a formula is an argument, a weight, or the result of a layer."""
    if x.operation is not None:
        return x.operation is LAYER
    return x.value is None and x is not tracing.rows


def _check_operands(
    what: str, part: str, y: Any, inputs: Sequence[SymbolicArray], others: Sequence[SymbolicArray]
) -> None:
    """Check that a formula depends on its arguments alone, through which its gradient goes.

    Raises:
        TracingError: it does not.
    """
    others = [x for x in others if all(x is not given for given in inputs)]
    if others:
        raise refusal(
            f"{what}: {part} reads an array of shape {shown(others[0].shape)} that is none of its arguments",
            "make it an argument; weights and layers stand outside",
        )


def _as_gradient(what: str, dx: Any, x: SymbolicArray) -> SymbolicArray:
    """A gradient with the shape of its argument.

    Raises:
        ShapeError: it does not fit.
    """
    dx = constant(dx)
    if dx.shape != x.shape and (dx.ndim > x.ndim or broadcast(what, dx.shape, x.shape) != x.shape):
        raise ShapeError(
            f"{what}: grad gives an array of shape {shown(dx.shape)} for an argument of shape {shown(x.shape)}."
        )
    return dx if dx.shape == x.shape else formulas.like(dx, x)


def _with_leaf(root: SymbolicArray, leaf: SymbolicArray, value: SymbolicArray) -> SymbolicArray:
    """A formula with another array instead of a leaf."""
    found = {id(leaf): value}
    for x in ordered([root]):
        inputs = tuple(found.get(id(each), each) for each in x.inputs)
        if any(a is not b for a, b in zip(inputs, x.inputs)):
            found[id(x)] = SymbolicArray(x.operation, inputs, x.shape, x.is_bool, x.settings, x.value)
    return found.get(id(root), root)
