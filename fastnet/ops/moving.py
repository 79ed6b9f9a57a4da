"""Functions that move elements: axes in another order, repetition, padding, parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnet._kernels.errors import quoted
from fastnet.ops import shaping
from fastnet.symbolic import folds, formulas
from fastnet.symbolic.array import ShapeError, SymbolicArray, refusal, shown
from fastnet.symbolic.leaves import constant, leaf_of
from fastnet.symbolic.products import turned
from fastnet.symbolic.rearrange import TAKE_ROWS, expanded, numbered, rearranged, repeated, taken, transposed
from fastnet.symbolic.reshape import GROUND, reshaped
from fastnet.symbolic.slices import sliced
from fastnet.symbolic.weight_formulas import grounded, in_memory, is_of_weights, lifted, under_shape


def transpose(x: Any, axes: Any = None) -> Any:
    """x with its axes in another order, which in a formula begins with that of the batch.

    Example:
        >>> ops.transpose([[1.0, 2.0]]).tolist()
        [[1.0], [2.0]]
    """
    if not isinstance(x, SymbolicArray):
        return np.transpose(formulas.as_floats(x), axes)
    given = [*(range(x.ndim)[::-1] if axes is None else axes)]
    order = [a % x.ndim for a in given]
    if any(not -x.ndim <= a < x.ndim for a in given) or sorted(order) != list(range(x.ndim)):
        raise refusal(f"ops.transpose: axes {axes!r} of {x!r}", "name each axis once", ShapeError)
    if not x.per_row:
        return turned(x) if order == [1, 0] else _of_weights(transpose, x, [0, *(a + 1 for a in order)])
    if order[0] != 0:
        raise refusal(
            "ops.transpose moves the axis of the batch",
            "begin with axis 0: axes=(0, 2, 1); in a loss ops.einsum('bi,bj->ij', x, y) is a product over the batch",
        )
    return transposed(x, order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """x with two axes exchanged.

    Example:
        >>> ops.swapaxes([[1.0, 2.0]], 0, 1).tolist()
        [[1.0], [2.0]]
    """
    order = list(range(shaping.ndim(x)))
    _check_axes("swapaxes", x, (axis1, axis2), len(order))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, order)


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """x with axes at other places, the others in their order.

    Example:
        >>> ops.moveaxis(np.zeros((2, 3, 4)), 1, -1).shape
        (2, 4, 3)
    """
    sizes = range(1, shaping.ndim(x) + 1)  # all different, so that the moved shape tells the order
    _check_axes("moveaxis", x, (*np.ravel(source).tolist(), *np.ravel(destination).tolist()), len(sizes))
    order = np.moveaxis(np.empty(tuple(sizes)), source, destination).shape
    return transpose(x, [size - 1 for size in order])


def broadcast_to(x: Any, shape: Any) -> Any:
    """x repeated to a shape; in a formula None or -1 stands for the batch.

    Example:
        >>> ops.broadcast_to([1.0, 2.0], (2, 2)).tolist()
        [[1.0, 2.0], [1.0, 2.0]]
    """
    if not isinstance(x, SymbolicArray):
        if not isinstance(shape, (tuple, list)) or not shape or shape[0] is not None:
            return np.broadcast_to(formulas.as_floats(x), shape)
        x = constant(x)
    wanted = (None, *shape[1:])
    if is_of_weights(x) or x.value is not None:
        if shape[0] not in (None, -1):
            return _of_weights(broadcast_to, x, (None, *shape))
        x = expanded(in_memory(x if x.ndim < len(wanted) or x.shape[0] != 1 else under_shape(x, x.shape[1:])))
    if not x.per_row or shape[0] not in (None, -1) or x.ndim > len(wanted):
        raise refusal(f"ops.broadcast_to of {x!r} to {shape!r}", "give data, and (None, ...)", ShapeError)
    if any(size not in (1, new) for size, new in zip(x.shape[:0:-1], wanted[:0:-1])):
        raise refusal(
            f"shape {shown(x.shape)} does not broadcast to {shown(wanted)}", "repeat axes of size 1", ShapeError
        )
    return repeated(reshaped(x, (None, *(1,) * (len(wanted) - x.ndim), *x.shape[1:])), wanted)


def _for_each_row(name: str, x: SymbolicArray, axis: int | None) -> SymbolicArray:
    """An array without the batch, whose axis 0 becomes the batch's."""
    if x.per_row or x.shape[:1] != (1,) or axis not in (0, -x.ndim):
        raise refusal(
            f"ops.{name} of {x!r} along axis {axis}, as often as there are rows in the batch",
            "give a weight or an array of shape (1, ...), and axis 0", ShapeError,
        )  # fmt: skip
    return broadcast_to(x, (None, *x.shape[1:]))


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each entry of an axis so many times, one behind the other; in a formula a weight or an array whose axis 0 is of
    size 1 also as often as there are rows in the batch.

    Example:
        >>> ops.repeat([1.0, 2.0], 2, axis=0).tolist()
        [1.0, 1.0, 2.0, 2.0]
    """
    if repeats is None:  # as `ops.shape` has the rows of the batch
        return _for_each_row("repeat", constant(x), axis)
    if not isinstance(x, SymbolicArray):
        return np.repeat(formulas.as_floats(x), repeats, axis)
    if is_of_weights(x):
        return _of_weights(repeat, x, repeats, axis=_next(x, axis))
    at = _axis("repeat", x, axis)
    if np.size(repeats) not in (1, x.shape[at]):
        raise refusal(
            f"ops.repeat by {quoted(repeats)} of {x!r}", "give a number for each entry of the axis", ShapeError
        )
    return taken(x, np.repeat(np.arange(x.shape[at] or 0), repeats), at)


def tile(x: Any, repeats: Any) -> Any:
    """x so many times along each axis; in a formula once along the batch, and a weight or an array whose axis 0 is of
    size 1 also as often as there are rows in the batch.

    Example:
        >>> ops.tile([1.0, 2.0], 2).tolist()
        [1.0, 2.0, 1.0, 2.0]
    """
    times = [*repeats] if isinstance(repeats, (tuple, list)) else None
    if times and times[0] is None:
        x = constant(x)
        x = x if x.per_row or x.ndim >= len(times) else under_shape(x, (*(1,) * (len(times) - x.ndim), *x.shape))
        return tile(_for_each_row("tile", x, 0), (1, *times[1:]))
    if not isinstance(x, SymbolicArray):
        return np.tile(formulas.as_floats(x), repeats)
    times = [repeats] if isinstance(repeats, (int, np.integer)) else list(repeats)
    if is_of_weights(x):
        return _of_weights(tile, x, (1, *(1,) * (x.ndim - len(times)), *times))
    times = [1] * (x.ndim - len(times)) + times
    if len(times) != x.ndim or times[0] != 1:
        raise refusal(f"ops.tile of {x!r} by {repeats!r}", "repeat the axes of samples: (1, ...)", ShapeError)
    return rearranged(x, np.tile(numbered(x), times[1:]))


def flip(x: Any, axis: Any = None) -> Any:
    """x from its end, along axes.

    Example:
        >>> ops.flip([1.0, 2.0], axis=0).tolist()
        [2.0, 1.0]
    """
    if not isinstance(x, SymbolicArray):
        return np.flip(formulas.as_floats(x), axis)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    if is_of_weights(x):
        return _of_weights(
            flip, x, tuple(_next(x, a) for a in axes) if axis is not None else tuple(range(1, x.ndim + 1))
        )
    return rearranged(x, np.flip(numbered(x), tuple(_axis("flip", x, a) - 1 for a in axes)))


def roll(x: Any, shift: int, axis: int | None = None) -> Any:
    """x with entries of an axis moved, the last ones to the front.

    Example:
        >>> ops.roll([1.0, 2.0, 3.0], 1, axis=0).tolist()
        [3.0, 1.0, 2.0]
    """
    if not isinstance(x, SymbolicArray):
        return np.roll(formulas.as_floats(x), shift, axis)
    if is_of_weights(x):
        return _of_weights(roll, x, shift, _next(x, axis))
    return rearranged(x, np.roll(numbered(x), shift, _axis("roll", x, axis) - 1))


def pad(x: Any, pad_width: Any, mode: Any = "constant", constant_values: float | None = None) -> Any:
    """x with entries before and behind those of each axis; in a formula none along the batch.

    Args:
        x: numbers.
        pad_width: (before, behind) of each axis, or of all.
        mode: "constant", "reflect", "symmetric", "edge" or "wrap", as NumPy has them.
        constant_values: what is added, by default 0.

    Example:
        >>> ops.pad([1.0, 2.0], (1, 0)).tolist()
        [0.0, 1.0, 2.0]
    """
    value = 0.0 if constant_values is None else constant_values
    if not isinstance(x, SymbolicArray):
        more: dict[str, Any] = {"constant_values": value} if mode == "constant" else {}
        return np.pad(formulas.as_floats(x), pad_width, mode, **more)
    if np.shape(pad_width) not in ((), (1,), (2,), (1, 2), (x.ndim, 2)) or np.min(pad_width) < 0:
        raise refusal(f"ops.pad by {quoted(pad_width)} of {x!r}", "give (before, behind) for each axis", ShapeError)
    widths = [tuple(map(int, pair)) for pair in np.broadcast_to(np.asarray(pad_width, int), (x.ndim, 2))]
    if is_of_weights(x):
        return _of_weights(pad, x, [(0, 0), *widths], mode, constant_values)
    if any(widths[0]):
        raise refusal(f"ops.pad by {quoted(pad_width)} adds samples to the batch", "begin with (0, 0)")
    if mode == "constant":
        index = np.pad(numbered(x), widths[1:], constant_values=-1)
        padded = rearranged(x, index)
        return padded if value == 0 else formulas.where(constant(index >= 0), padded, value)
    return rearranged(x, np.pad(numbered(x), widths[1:], mode))


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The entries of an axis at integers, which count from the end where they are negative.

    Args:
        x: numbers; in a formula data, a weight, a formula of weights or an array.
        indices: integers; in a formula those that are known when it is traced, or a symbolic array: a formula of
            weights, or, for x without the batch, of data. The entry of a computed index outside is NaN.
        axis: of x; None for the elements of all axes. The first one where indices are data.

    Example:
        >>> ops.take([1.0, 2.0, 3.0], [0, 2], axis=0).tolist()
        [1.0, 3.0]
    """
    if isinstance(indices, SymbolicArray) and indices.value is None:
        return _taken_at(constant(x), indices, axis)
    indices = indices.value if isinstance(indices, SymbolicArray) else indices
    if not isinstance(x, SymbolicArray):
        return np.take(formulas.as_floats(x), indices, axis)
    if is_of_weights(x):
        if axis is None:
            x, axis = under_shape(x, (math.prod(size or 0 for size in x.shape),)), 0
        return _of_weights(take, x, indices, _next(x, axis))
    at = _axis("take", x, axis)
    found = taken(x, np.asarray(indices, np.int64).reshape(-1), at)
    if np.ndim(indices) == 1:
        return found
    return reshaped(found, (*x.shape[:at], *np.shape(indices), *x.shape[at + 1 :]))


def _taken_at(x: SymbolicArray, indices: SymbolicArray, axis: int | None) -> SymbolicArray:
    """The entries of an array at computed indices: of data and weights those of weights, of weights also the batch's.

    Raises:
        TracingError: the batch would not be the first axis of the result, or be there twice.
    """
    if indices.is_bool:
        indices = formulas.where(indices, 1.0, 0.0)
    if x.per_row:
        if indices.per_row:
            raise refusal(
                f"ops.take of {x!r} at indices of the batch takes from each sample at those of all others",
                "write ops.take_along_axis, which keeps samples apart",
            )
        return _within_samples(x, indices, _axis("take", x, axis))
    if axis is None:
        x, axis = under_shape(x, (math.prod(size or 0 for size in x.shape),)), 0
    if not indices.per_row:
        sample = expanded(x) if x.value is not None else lifted(x)
        return grounded(_within_samples(sample, lifted(indices), _next(x, axis)))
    if not x.ndim or axis not in (0, -x.ndim):
        raise refusal(
            f"ops.take of {x!r} along axis {axis} at indices of the batch would put another axis in front of the batch",
            "take along axis 0, to which ops.moveaxis brings it",
        )
    if x.value is None and x.operation not in (None, GROUND):
        x = grounded(lifted(x))
    return SymbolicArray(TAKE_ROWS, (indices, x), (*indices.shape, *x.shape[1:]))


def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Any:
    """For each entry of ``indices`` the element of x there along an axis; in a formula an axis of samples, and NaN
    where the index is outside, as in `take`.

    Example:
        >>> ops.take_along_axis(np.array([[1.0, 2.0]]), np.array([[1]]), axis=-1).tolist()
        [[2.0]]
    """
    if not isinstance(x, SymbolicArray) and not isinstance(indices, SymbolicArray):
        return np.take_along_axis(formulas.as_floats(x), np.asarray(indices), axis)
    x, indices = constant(x), constant(indices)
    if indices.ndim != x.ndim:
        raise refusal(
            f"ops.take_along_axis of arrays of shape {shown(x.shape)} and {shown(indices.shape)}",
            "give indices of as many axes", ShapeError,
        )  # fmt: skip
    at = _axis("take_along_axis", x, axis)
    if at < x.ndim - 1:
        return moveaxis(take_along_axis(moveaxis(x, at, -1), moveaxis(indices, at, -1), axis=-1), -1, at)
    return _last_at(x, indices)


def _within_samples(x: SymbolicArray, indices: SymbolicArray, axis: int) -> SymbolicArray:
    """The entries of each sample along an axis at computed indices, which are those of the sample or of weights."""
    batch, shape = indices.shape[: indices.per_row], indices.shape[indices.per_row :]
    count = math.prod(size or 0 for size in shape)
    flat = under_shape(indices, (*batch, *(1,) * (x.ndim - 2), count))
    found = moveaxis(_last_at(moveaxis(x, axis, -1), flat), -1, axis)
    return reshaped(found, (*x.shape[:axis], *shape, *x.shape[axis + 1 :]))


def _last_at(x: SymbolicArray, indices: SymbolicArray) -> SymbolicArray:
    """The elements of x at computed indices along its last axis: each is compared with the number of each element."""
    size = float(x.shape[-1] or 0)
    places = formulas.trunc(indices)
    places = formulas.where(formulas.less(places, 0.0), places + size, places)
    at = formulas.equal(shaping.expand_dims(places, -1), np.arange(size))
    found = folds.total(formulas.where(at, shaping.expand_dims(x, -2), 0.0), -1)
    is_inside = formulas.logical_and(formulas.greater_equal(places, 0.0), formulas.less(places, size))
    return formulas.where(is_inside, found, math.nan)


def stack(x: Any, axis: int = 0) -> Any:
    """Arrays of one shape along a new axis.

    Example:
        >>> ops.stack([[1.0, 2.0], [3.0, 4.0]], axis=-1).tolist()
        [[1.0, 3.0], [2.0, 4.0]]
    """
    x = [leaf_of(each) for each in x]
    if not any(isinstance(each, SymbolicArray) for each in x):
        return np.stack([formulas.as_floats(each) for each in x], axis)
    return shaping.concatenate([shaping.expand_dims(each, axis) for each in x], axis)


def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    """The differences of neighbours along an axis, n times.

    Example:
        >>> ops.diff([1.0, 3.0, 6.0]).tolist()
        [2.0, 3.0]
    """
    if not isinstance(a, SymbolicArray):
        return np.diff(formulas.as_floats(a), n, axis)
    if is_of_weights(a):
        return _of_weights(diff, a, n, _next(a, axis))
    at = _axis("diff", a, axis)
    for _ in range(n):
        size = a.shape[at] or 0
        a = formulas.subtract(sliced(a, at, 1, size), sliced(a, at, 0, max(0, size - 1)))
    return a


def _of_weights(function: Any, x: SymbolicArray, *more: Any, **named: Any) -> SymbolicArray:
    """A function of weights alone, as that of one sample which holds them; its axes count from 1."""
    return grounded(function(lifted(x), *more, **named))


def _next(x: SymbolicArray, axis: int | None) -> int:
    """An axis of a weight as that of the sample which holds it."""
    if not isinstance(axis, (int, np.integer)) or not -x.ndim <= axis < x.ndim:
        raise refusal(f"axis {axis} of a weight of shape {shown(x.shape)}", "give an axis that it has", ShapeError)
    return axis % x.ndim + 1


def _check_axes(name: str, x: Any, axes: Any, ndim: int) -> None:
    """Check that an array has these axes.

    Raises:
        TracingError: it lacks one.
    """
    if isinstance(x, SymbolicArray) and any(not -ndim <= axis < ndim for axis in axes):
        raise refusal(f"ops.{name}: axes {[*axes]} of {x!r}", "give axes that it has", ShapeError)


def _axis(name: str, x: SymbolicArray, axis: int | None) -> int:
    """The number of an axis of samples, from the front."""
    if not isinstance(axis, (int, np.integer)) or not -x.ndim <= axis < x.ndim or axis % x.ndim == 0:
        raise refusal(f"ops.{name} along axis {axis} of {x!r}", "give an axis of the samples: 1, or -1", ShapeError)
    return axis % x.ndim


FUNCTIONS = {
    f.__name__: f
    for f in (
        transpose, swapaxes, moveaxis, broadcast_to, repeat, tile, flip, roll, pad, take, take_along_axis, stack, diff,
    )
}  # fmt: skip
