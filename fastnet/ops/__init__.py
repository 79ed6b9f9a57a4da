"""Functions of arrays, with Keras's names, for formulas that fastnet compiles: losses, metrics, activations.

In a formula they are traced: the function is called with symbolic arrays, and what it does becomes a kernel, with its
derivative. On arrays of NumPy they compute at once.

Example:
    >>> from fastnet import losses, ops
    >>> def heteroscedastic(y_true, y_pred):
    ...     mean, log_variance = y_pred[:, 0], y_pred[:, 1]
    ...     return 0.5 * (log_variance + ops.square(y_true[:, 0] - mean) * ops.exp(-log_variance))
    >>> losses.FunctionLoss(heteroscedastic)([[3.0]], [[1.0, 0.0]])
    2.0
"""

import builtins as _builtins
import functools as _functools
import inspect as _inspect
from collections.abc import Callable as _Callable
from typing import Any as _Any

from fastnet.ops import composites as _composites
from fastnet.ops import elements as _elements
from fastnet.ops import folding as _folding
from fastnet.ops import images as _images
from fastnet.ops import making as _making
from fastnet.ops import moving as _moving
from fastnet.ops import parts as _parts
from fastnet.ops import products as _products
from fastnet.ops import shaping as _shaping
from fastnet.symbolic import functions as _functions
from fastnet.symbolic.array import SymbolicArray as _SymbolicArray
from fastnet.symbolic.array import refusal as _refusal
from fastnet.symbolic.leaves import leaf_of as _leaf_of


def _of_weights(function: _Callable) -> _Callable:
    """A function that takes weights of a layer's call for what stands for them in a formula."""

    @_functools.wraps(function)
    def wrapper(*arguments: _Any, **named: _Any) -> _Any:
        given, more = [*map(_leaf_of, arguments)], {name: _leaf_of(value) for name, value in named.items()}
        try:
            return function(*given, **more)
        except TypeError as error:
            _check_call(function, given, more, error)
            if "not understood" in str(error):  # a dtype that NumPy lacks
                remedy = "give 'float32', 'float64', 'int32' or 'bool'"
                raise _refusal(f"ops.{function.__name__}: {error} by NumPy", remedy) from None
            raise

    return wrapper


def _check_call(function: _Callable, given: list, more: dict, error: TypeError) -> None:
    """Say with the line of the formula what a function takes, where it was called otherwise."""
    if not _builtins.any(isinstance(x, _SymbolicArray) for x in (*given, *more.values())):
        return
    signature = _inspect.signature(function)
    try:
        signature.bind(*given, **more)
    except TypeError:
        names = ", ".join(signature.parameters)
        raise _refusal(f"ops.{function.__name__}: {error}", f"in a formula it takes ({names})") from None


_FUNCTIONS: dict[str, _Callable] = {}
for _module in (_elements, _folding, _shaping, _moving, _parts, _making, _products, _images, _composites):
    _FUNCTIONS |= _module.FUNCTIONS  # type: ignore[attr-defined]
_FUNCTIONS = {name: _of_weights(function) for name, function in _FUNCTIONS.items()}
globals().update(_FUNCTIONS)
_functions.FUNCTIONS.update(_FUNCTIONS)
#: names of the functions
NAMES = sorted(_FUNCTIONS)
