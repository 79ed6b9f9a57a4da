"""Functions of shapes and indices."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from fastnet.engine.variable import tracing
from fastnet.symbolic import formulas, slices
from fastnet.symbolic.array import ShapeError, SymbolicArray, TracingError, refusal, shown
from fastnet.symbolic.concatenation import concatenated
from fastnet.symbolic.leaves import leaf_of
from fastnet.symbolic.reshape import flattened, reshaped
from fastnet.symbolic.weight_formulas import is_of_weights, under_shape


def get_item(x: Any, key: Any) -> Any:
    """x[key]: integers, slices with step 1, None and an ellipsis.

    Example:
        >>> ops.get_item([[1.0, 2.0]], (0, 1)).tolist()
        2.0
    """
    return slices.item(x, key)


def reshape(x: Any, newshape: Any, *more: Any) -> Any:
    """x under another shape; one size may be -1. A formula keeps the batch, but for ``(-1,)`` in a loss or a metric: a
    fold then takes the elements of all samples.

    Example:
        >>> ops.reshape([[1.0, 2.0]], (2, 1)).tolist()
        [[1.0], [2.0]]
    """
    wanted = [newshape, *more] if more or not isinstance(newshape, (tuple, list)) else list(newshape)
    if not isinstance(x, SymbolicArray):
        return np.reshape(formulas.as_floats(x), wanted)
    if x.is_flat and wanted != [-1]:
        raise refusal("ops.reshape of all elements of the batch in a row", "fold them: ops.sum(x), ops.mean(x)")
    if tracing.is_whole:
        wanted = [-1 if size is tracing.rows else size for size in wanted]
        if x.per_row and wanted == [-1]:
            return flattened(x)
        if not x.per_row:
            return reshaped(x, tuple(_filled(wanted, math.prod(size or 1 for size in x.shape))))
    if x.per_row and wanted[:1] in ([None], [-1]):
        head, wanted = (None,), _filled(wanted[1:], math.prod(size or 1 for size in x.shape[1:]))
        if math.prod(wanted) < math.prod(size or 1 for size in x.shape[1:]):
            if tracing.joining is not None:
                tracing.joining.append(None)
            raise refusal(
                f"ops.reshape from {shown(x.shape)} joins the batch with other axes",
                "keep all elements of a sample, or put those of the batch in a row, (-1,); ops.sum(x, axis=(0, 1)) and "
                "its like fold all axes without it",
                ShapeError if wanted else TracingError,  # a metric that puts all in a row is called with the arrays
            )  # fmt: skip
        return reshaped(x, (*head, *wanted))
    if is_of_weights(x):
        return under_shape(x, tuple(_filled(wanted, math.prod(size or 0 for size in x.shape))))
    raise refusal("ops.reshape moves the axis of the batch", "write ops.reshape(x, (-1, ...)), of the other sizes")


def ravel(x: Any) -> Any:
    """The elements of x in a row: ``reshape(x, (-1,))``. In a formula of the whole batch, a fold takes all of them.

    Example:
        >>> ops.ravel([[1.0, 2.0], [3.0, 4.0]]).tolist()
        [1.0, 2.0, 3.0, 4.0]
    """
    return reshape(x, (-1,))


def _filled(shape: list, size: int) -> list:
    """A shape of so many elements, with the size for which -1 stands."""
    rest = math.prod(each for each in shape if each != -1)
    return [size // rest if each == -1 and rest else each for each in shape]


def expand_dims(x: Any, axis: int) -> Any:
    """x with a new axis of size 1.

    Example:
        >>> ops.expand_dims([1.0, 2.0], -1).shape
        (2, 1)
    """
    if not isinstance(x, SymbolicArray):
        return np.expand_dims(formulas.as_floats(x), axis)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    for each in axes:
        if not -x.ndim - 1 <= each <= x.ndim:
            raise refusal(f"ops.expand_dims at axis {each} of {x!r}", "give an axis of the result", ShapeError)
        at = each % (x.ndim + 1)
        if x.per_row and at == 0:
            raise refusal("ops.expand_dims in front of the batch moves its axis", "give axis=1 or axis=-1", ShapeError)
        x = under_shape(x, (*x.shape[:at], 1, *x.shape[at:]))
    return x


def copy(x: Any) -> Any:
    """A copy of x; in a formula x, since nothing writes to it.

    Example:
        >>> ops.copy([1.0, 2.0]).tolist()
        [1.0, 2.0]
    """
    return x if isinstance(x, SymbolicArray) else np.array(formulas.as_floats(x))


def squeeze(x: Any, axis: Any = None) -> Any:
    """x without axes of size 1, by default all.

    Example:
        >>> ops.squeeze([[1.0, 2.0]]).shape
        (2,)
    """
    if not isinstance(x, SymbolicArray):
        return np.squeeze(formulas.as_floats(x), tuple(axis) if isinstance(axis, list) else axis)
    sizes = list(enumerate(x.shape))
    if axis is None:
        return under_shape(x, tuple(size for _, size in sizes if size != 1))
    axes = [a % x.ndim for a in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    if any(x.shape[a] != 1 for a in axes):
        raise refusal(f"ops.squeeze of axis {axis} of {x!r}, whose size is not 1", "squeeze others", ShapeError)
    return under_shape(x, tuple(size for a, size in sizes if a not in axes))


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Parts of an axis: so many of one size, or cut at these indices.

    Example:
        >>> [part.tolist() for part in ops.split([1.0, 2.0, 3.0, 4.0], 2)]
        [[1.0, 2.0], [3.0, 4.0]]
    """
    if not isinstance(x, SymbolicArray):
        return np.split(formulas.as_floats(x), indices_or_sections, axis)
    axis %= x.ndim
    size = x.shape[axis]
    if size is None:
        raise refusal("ops.split of the batch (axis 0) mixes samples", "split another axis")
    if isinstance(indices_or_sections, (int, np.integer)):
        if size % indices_or_sections:
            raise refusal(
                f"ops.split of an axis of size {size} into {indices_or_sections} parts", "take a divisor", ShapeError
            )
        step = size // int(indices_or_sections)
        cuts = list(range(0, size + 1, step))
    else:
        cuts = [0, *(slice(int(i), None).indices(size)[0] for i in indices_or_sections), size]
    return [slices.sliced(x, axis, start, max(start, stop)) for start, stop in itertools.pairwise(cuts)]


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Any]:
    """The entries of an axis, without it.

    Example:
        >>> [float(each) for each in ops.unstack([1.0, 2.0])]
        [1.0, 2.0]
    """
    if not isinstance(x, SymbolicArray):
        return [np.take(x, i, axis) for i in range(np.shape(x)[axis])]
    return [squeeze(part, axis) for part in split(x, x.shape[axis % x.ndim] or 0, axis)]


def shape(x: Any) -> tuple:
    """The shape; in a formula the rows of the batch are None, in one of a whole batch a symbolic number.

    Example:
        >>> ops.shape([[1.0, 2.0]])
        (1, 2)
    """
    if not isinstance(x, SymbolicArray):
        return np.shape(x)
    if x.is_flat:
        return (formulas.multiply(tracing.rows, float(math.prod(each or 1 for each in x.shape))),)
    return tuple([tracing.rows if size is None and tracing.is_whole else size for size in x.shape])


def ndim(x: Any) -> int:
    """The number of axes.

    Example:
        >>> ops.ndim([[1.0, 2.0]])
        2
    """
    return len(shape(x))


def size(x: Any) -> int | None:
    """The number of elements; None in a formula, where the rows of the batch are not known.

    Example:
        >>> ops.size([[1.0, 2.0]])
        2
    """
    sizes = shape(x)
    return None if any(each is None for each in sizes) else math.prod(sizes)


def zeros_like(x: Any, dtype: Any = None) -> Any:
    """0 for each element.

    Example:
        >>> ops.zeros_like([1.0, 2.0]).tolist()
        [0.0, 0.0]
    """
    return full_like(x, 0.0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Any:
    """1 for each element.

    Example:
        >>> ops.ones_like([1.0, 2.0]).tolist()
        [1.0, 1.0]
    """
    return full_like(x, 1.0, dtype)


def full_like(x: Any, fill_value: float, dtype: Any = None) -> Any:
    """A number for each element.

    Example:
        >>> ops.full_like([1.0, 2.0], 3.0).tolist()
        [3.0, 3.0]
    """
    if isinstance(x, SymbolicArray):
        return formulas.like(fill_value, x)
    return np.full_like(formulas.as_floats(x), fill_value, dtype)


def concatenate(xs: Any, axis: int = 0) -> Any:
    """Arrays side by side along an axis.

    Example:
        >>> ops.concatenate([[[1.0]], [[2.0]]], axis=-1).tolist()
        [[1.0, 2.0]]
    """
    xs = [leaf_of(x) for x in xs]
    if not any(isinstance(x, SymbolicArray) for x in xs):
        return np.concatenate([formulas.as_floats(x) for x in xs], axis)
    return concatenated(xs, axis)


FUNCTIONS = {
    f.__name__: f
    for f in (
        concatenate, copy, get_item, reshape, ravel, expand_dims, squeeze, split, unstack, shape, ndim, size,
        zeros_like, ones_like, full_like,
    )
}  # fmt: skip
