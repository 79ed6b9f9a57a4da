"""Functions of elements."""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet import activations
from fastnet._kernels import registry
from fastnet._kernels.errors import quoted
from fastnet.engine.variable import tracing
from fastnet.symbolic import formulas
from fastnet.symbolic.array import SymbolicArray, refusal
from fastnet.symbolic.rule_formulas import of_activation

_OTHER_NAMES = {"absolute": "abs", "true_divide": "divide"}
_NAMES = {"where": ["condition", "x1", "x2"], "stop_gradient": ["variable"]}  # of arguments, in Keras
_NOT_KERAS = ("like", "positive", "clipped_relu", "approximate_gelu", "exponential", "linear", "mish")


def _function(name: str, operation: formulas.Formula) -> Callable[..., Any]:
    names = _NAMES.get(name) or (["x1", "x2"] if "b" in operation.letters else ["x"])

    def function(*arguments: Any, **named: Any) -> Any:
        given = [*arguments, *(named.pop(each) for each in names[len(arguments) :] if each in named)]
        if named or len(given) != len(names):
            wanted = f"ops.{name} takes {', '.join(names)}"
            received = f"{len(given)} arguments{f' and {quoted([*named])}' if named else ''}"
            if any(isinstance(x, SymbolicArray) for x in (*given, *named.values())):
                raise refusal(f"ops.{name} of {received}", wanted)
            raise TypeError(f"{wanted}; received {received}.")
        return operation(*given)

    function.__name__ = function.__qualname__ = name
    parameters = [inspect.Parameter(each, inspect.Parameter.POSITIONAL_OR_KEYWORD) for each in names]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__doc__ = f"""{name}({", ".join(names)}), element by element: {operation.text}, of a, b, c in this order.

    Example:
        >>> {_example(name, operation, len(names))}
    """
    return function


def _example(name: str, operation: formulas.Formula, count: int) -> str:
    given = {"where": (True, 2.0, 0.5), "arccosh": (2.0,)}.get(name, (0.5, 2.0)[:count])
    result = operation.of_arrays(*given)
    shown = f"ops.{name}({', '.join(map(repr, given))})"
    if result.dtype.kind == "b":
        return f"bool({shown})\n        {bool(result)}"
    return f"round(float({shown}), 4)\n        {builtins.round(float(result), 4)}"


def clip(x: Any, x_min: Any = None, x_max: Any = None) -> Any:
    """x, at least ``x_min`` and at most ``x_max``; None is no limit.

    Example:
        >>> ops.clip([-1.0, 0.5, 3.0], 0.0, 1.0).tolist()
        [0.0, 0.5, 1.0]
    """
    x = x if x_min is None else formulas.maximum(x, x_min)
    return x if x_max is None else formulas.minimum(x, x_max)


def round(x: Any, decimals: int = 0) -> Any:
    """x rounded to so many digits behind the point, halves to the even one; no gradient flows.

    Example:
        >>> ops.round([0.5, 1.26], 1).tolist()
        [0.5, 1.2999999523162842]
    """
    if not isinstance(x, SymbolicArray):
        return np.round(formulas.as_floats(x), decimals)
    return formulas.rint(x) if decimals == 0 else formulas.rint(formulas.multiply(x, 10.0**decimals)) / 10.0**decimals


def cast(x: Any, dtype: Any) -> Any:
    """x in another dtype; in a formula truth values become 0 and 1, and numbers keep the dtype of the model.

    Example:
        >>> ops.cast([True, False], "float32").tolist()
        [1.0, 0.0]
    """
    if x is None and tracing.leaf is not None:  # as `ops.shape` has the rows of the batch
        if tracing.assign is None or tracing.rows is None:
            if tracing.joining is not None:
                tracing.joining.append(None)
            raise refusal("the rows of the batch are not known in a formula", "fold the batch: ops.mean")
        return tracing.rows
    if not isinstance(x, SymbolicArray):
        is_number = isinstance(x, (int, float)) and _kind("cast", dtype) == "f"
        return float(x) if is_number and tracing.leaf is not None else np.asarray(x).astype(dtype)
    kind = _kind("cast", dtype)
    if kind == "b":
        return formulas.not_equal(x, 0.0)
    if kind in "iu":
        return x if x.is_bool else formulas.trunc(x)
    return formulas.where(x, 1.0, 0.0) if x.is_bool else x


def _kind(name: str, dtype: Any) -> str:
    """Which numbers a dtype has: "b", "i", "u" or "f".

    Raises:
        TracingError: it is none of numbers.
    """
    try:
        kind = "f" if dtype in ("bfloat16", "float") else np.dtype(dtype).kind
    except TypeError:
        kind = ""
    if not kind or kind not in "biuf":
        raise refusal(f"ops.{name}: {quoted(dtype)} is no dtype of numbers", "give 'float32', 'int32' or 'bool'")
    return kind


def convert_to_tensor(x: Any, dtype: Any = None, sparse: None = None) -> Any:
    """x as an array; in a formula as it is.

    Example:
        >>> ops.convert_to_tensor([1, 2]).dtype.name
        'float32'
    """
    return x if isinstance(x, SymbolicArray) else formulas.as_floats(x) if dtype is None else np.asarray(x, dtype)


def logaddexp(x1: Any, x2: Any) -> Any:
    """log(e^x1 + e^x2), without overflow.

    Example:
        >>> round(float(ops.logaddexp(0.0, 0.0)), 4)
        0.6931
    """
    if not isinstance(x1, SymbolicArray) and not isinstance(x2, SymbolicArray):
        x1, x2 = formulas.of_one_kind([formulas.as_floats(x1), formulas.as_floats(x2)], keeps_integers=False)
    x1, x2 = convert_to_tensor(x1), convert_to_tensor(x2)
    largest = formulas.maximum(x1, x2)
    distance = formulas.where(formulas.isinf(largest), 0.0, x1 - x2)  # inf - inf would make the gradient NaN
    rest = formulas.log1p(formulas.exp(-formulas.absolute(distance)))
    return formulas.where(formulas.isinf(largest), largest, largest + rest)


def _activation(row: registry.Activation) -> Callable[..., Any]:
    """An activation of elements, in formulas by its rule."""

    def function(x: Any, *numbers: float, **parameters: float) -> Any:
        parameters = {**dict(zip(row.parameters, numbers, strict=False)), **parameters}
        if len(numbers) > len(row.parameters):
            raise TypeError(
                f"ops.{row.name} takes x, {', '.join(row.parameters)}; received {len(numbers) + 1} arguments."
            )
        if not isinstance(x, SymbolicArray):
            return getattr(activations, row.name)(x, **parameters)
        values = {**row.parameters, **parameters}
        if unknown := set(parameters) - set(row.parameters):
            raise refusal(f"ops.{row.name} has no argument {sorted(unknown)}", f"it has {list(row.parameters)}")
        return of_activation(row, x, tuple(values.values()))

    function.__name__ = function.__qualname__ = row.name
    function.__doc__ = f"""{row.f.__doc__}

    Example:
        >>> ops.{row.name}([0.0, 1.0]).shape
        (2,)
    """
    return function


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """max(x, 0), with the arguments of `fastnet.activations.relu`.

    Example:
        >>> ops.relu([-1.0, 2.0]).tolist()
        [0.0, 2.0]
    """
    if not isinstance(x, SymbolicArray):
        return activations.relu(x, negative_slope, max_value, threshold)
    found = activations.relu_with(negative_slope, max_value, threshold)
    return of_activation(found.row, x, tuple(found.parameters.values()))


def gelu(x: Any, approximate: bool = True) -> Any:
    """x Φ(x), by default in its tanh form, as in Keras's ops.

    Example:
        >>> ops.gelu([0.0, 1.0]).round(3).tolist()
        [0.0, 0.841]
    """
    if not isinstance(x, SymbolicArray):
        return activations.gelu(x, approximate)
    return of_activation(registry.activations.find("approximate_gelu" if approximate else "gelu"), x)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _function(name, row) for name, row in formulas.FORMULAS.items() if name not in _NOT_KERAS},
    **{
        name: _activation(row)
        for name, row in registry.activations.items()
        if name.isidentifier() and name not in (*formulas.FORMULAS, *_NOT_KERAS) and not row.declared
    },
    **{f.__name__: f for f in (clip, round, cast, convert_to_tensor, logaddexp, relu, gelu)},
}
FUNCTIONS |= {name: FUNCTIONS[other] for name, other in _OTHER_NAMES.items()}
