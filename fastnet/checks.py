"""Checks of arguments: numbers in a range, integers, shapes, flags, names, paths; and the errors they raise."""

from __future__ import annotations

import inspect
import math
import numbers
import os
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import numpy as np

from fastnet._kernels.errors import quoted
from fastnet._kernels.ranges import AT_LEAST_0 as AT_LEAST_0
from fastnet._kernels.ranges import CLOSED_UNIT as CLOSED_UNIT
from fastnet._kernels.ranges import FINITE as FINITE
from fastnet._kernels.ranges import NO_NAN as NO_NAN
from fastnet._kernels.ranges import NOT_NEGATIVE as NOT_NEGATIVE
from fastnet._kernels.ranges import NOT_POSITIVE as NOT_POSITIVE
from fastnet._kernels.ranges import POSITIVE as POSITIVE
from fastnet._kernels.ranges import UNIT as UNIT
from fastnet._kernels.ranges import Range as Range


def plain(value: Any) -> Any:
    """The number that an array without axes holds, of any library; other values, and weights, are returned."""
    is_scalar = getattr(value, "shape", None) == () and hasattr(value, "item") and not hasattr(value, "assign")
    return value.item() if is_scalar else value


def is_number(value: Any) -> TypeGuard[float]:
    """Whether the value is a real number: Python's, numpy's, or an array without axes; True and False are not."""
    value = plain(value)
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether the value is an integer: Python's, numpy's, or an array without axes; True and False are not."""
    value = plain(value)
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def number(what: str, value: Any, allowed: Range = FINITE) -> float:
    """``value`` as a number.

    Args:
        what: the owner and the name of the argument: "Layer 'dropout' (Dropout): rate".
        value: the value received.
        allowed: the range it must lie in.

    Raises:
        ValueError: the value is not a number, or is outside the range.
    """
    value = plain(value)
    converted = _as_float(value) if is_number(value) else math.nan
    if not is_number(value) or not allowed[0](converted):
        raise ValueError(f"{what} must be a number that is {allowed[1]}, received {quoted(value)}.")
    return converted


def _as_float(value: Any) -> float:
    """A number as a float, which is infinite where it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def integer(what: str, value: Any, least: int | None = 1, most: int | None = None) -> int:
    """``value`` as an integer.

    Args:
        what: as for `number`.
        value: the value received.
        least, most: its range; None for no bound.

    Raises:
        ValueError: the value is not an integer, or is outside the range.
    """
    value = plain(value)
    low, high = -math.inf if least is None else least, math.inf if most is None else most
    if not is_integer(value) or not low <= value <= high:
        bounds = f" of at least {least}" if most is None and least is not None else ""
        bounds = bounds if most is None else f" from {least} to {most}"
        raise ValueError(f"{what} must be an integer{bounds}, received {quoted(value)}.")
    return int(value)


def label(what: str, value: Any) -> int | None:
    """``value`` as a label that is ignored, which kernels compare as int32; None stays.

    Raises:
        ValueError: it is not an integer of 32 bits.
    """
    return None if value is None else integer(f"{what}, which may be None,", value, -(2**31), 2**31 - 1)


def integers(what: str, value: Any) -> int | list[int]:
    """``value`` as an integer, or as a list of integers: axes.

    Raises:
        ValueError: it is neither.
    """
    if is_integer(value):
        return int(value)
    items: list[Any] = list(value) if isinstance(value, (list, tuple)) or np.ndim(value) == 1 else [None]
    if not all(map(is_integer, items)):
        raise ValueError(f"{what} must be an integer or a list of integers, received {quoted(value)}.")
    return [int(item) for item in items]


def sample_axes(what: str, axis: int | Sequence[int], shape: Sequence[Any]) -> list[int]:
    """The numbers of axes of a sample, from 0, rising.

    Args:
        what: as for `number`.
        axis: one, or several, as Keras numbers them: the batch is axis 0, and the last one is -1.
        shape: of a sample.

    Raises:
        ValueError: none is named, the sample lacks one, one is that of the batch, or one is named twice.
    """
    given = [axis] if is_integer(axis) else list(axis)  # type: ignore[arg-type, list-item]
    axes = sorted({(a + len(shape) + 1 if a < 0 else a) - 1 for a in given})
    if len(axes) < max(len(given), 1) or axes[0] < 0 or axes[-1] >= len(shape):
        raise ValueError(
            f"{what} must name axes of the sample, from 1 to {len(shape)} for samples of shape {tuple(shape)}, each "
            f"once; received {quoted(axis)}."
        )
    return axes


def sample_shape(what: str, value: Any, may_be_open: bool = False) -> tuple[Any, ...]:
    """The shape of one sample: a tuple of positive sizes.

    Args:
        what: as for `number`.
        value: the value received.
        may_be_open: whether a size may be unknown, None.

    Raises:
        ValueError: the value is not such a tuple.
    """
    sizes = _positive_sizes(value)
    if sizes is None or (None in sizes and not may_be_open):
        kind = "positive sizes, None for any," if may_be_open else "positive sizes"
        raise ValueError(f"{what} must be a tuple of {kind} such as (784,), received {quoted(value)}.")
    return sizes


def batch_shape(what: str, value: Any) -> tuple[Any, ...]:
    """The shape of one sample, whose sizes may be unknown, None; from one with the batch first.

    Raises:
        ValueError: the value is not such a tuple.
    """
    given = tuple(value) if np.iterable(value) else ()
    sizes = _positive_sizes(given[1:])
    if not given or sizes is None:
        raise ValueError(
            f"{what} must be a tuple of the batch and positive sizes, None for any, such as (None, 784); received "
            f"{quoted(value)}."
        )
    return sizes


def _positive_sizes(shape: Any) -> tuple[Any, ...] | None:
    """A tuple of positive integers and None; None for anything else."""
    if not np.iterable(shape) or not all(size is None or (is_integer(size) and size > 0) for size in shape):
        return None
    return tuple(None if size is None else int(size) for size in shape)


def seed(what: str, value: Any, most: int | None = None) -> int | None:
    """``value`` as the seed of random numbers; None for none.

    Raises:
        ValueError: it is neither None nor an integer from 0.
    """
    return None if value is None else integer(what, value, 0, most)


def flag(what: str, value: Any) -> bool:
    """``value`` as True or False, Python's or numpy's.

    Raises:
        ValueError: it is neither; 1 and 0 are numbers.
    """
    value = plain(value)
    if not isinstance(value, bool):
        raise ValueError(f"{what} must be True or False, received {quoted(value)}.")
    return value


def one_of(what: str, value: Any, *names: str | None) -> Any:
    """``value``, which is one of these names.

    Raises:
        ValueError: the value is not one of them.
    """
    if not isinstance(value, (str, type(None))) or value not in names:
        *others, last = map(repr, names)
        allowed = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(f"{what} must be {allowed}, received {quoted(value)}.")
    return value


def path_name(what: str, value: Any) -> str:
    """The name of a file or folder: a string, or an object that is a path.

    Raises:
        TypeError: the value is not a path.
        ValueError: the name is empty.
    """
    name = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(name, str):
        raise TypeError(f"{what} must be a string or a path, received {quoted(value)}.")
    if not name:
        raise ValueError(f"{what} must be the name of a file or folder, received an empty one.")
    return name


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a function may be called with so many arguments; one that tells nothing of itself is said to."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a builtin
        return True
    return True


def channels_last(what: str, value: Any, remedy: str) -> Any:
    """The value of an argument ``data_format``, None or "channels_last".

    Args:
        what: the argument, for errors.
        value: of the argument.
        remedy: a sentence on how channels are put last.

    Raises:
        ValueError: it has another value.
    """
    if value == "channels_first":
        raise ValueError(f"{what}='channels_first' is not supported: channels are the last axis. {remedy}")
    return one_of(what, value, None, "channels_last")


class Met:
    """Objects that were met before, by identity: those of users need have no hash."""

    def __init__(self) -> None:
        self._objects: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

    def __contains__(self, given: Any) -> bool:
        return self._objects.get(id(given)) is given

    def add(self, given: Any) -> None:
        """Meet an object."""
        self._objects[id(given)] = given


def warn(message: str) -> None:
    """Warn at the line outside fastnet that called it."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("fastnet."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
