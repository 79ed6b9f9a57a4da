"""Parts of an array at given places: `slice` and `slice_update`."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet.ops import moving
from fastnet.symbolic import formulas
from fastnet.symbolic.array import ShapeError, SymbolicArray, refusal
from fastnet.symbolic.leaves import constant
from fastnet.symbolic.slices import item


def _places(name: str, x: Any, starts: Any, sizes: Sequence[int | None]) -> tuple[builtins.slice, ...]:
    """The slices of each axis; all of the batch in a formula.

    Raises:
        ValueError: they do not fit; `fastnet.RuleError`, a subclass, in a formula.
    """
    first = [int(start) for start in starts]
    of_samples = isinstance(x, SymbolicArray) and x.per_row
    if len(first) != len(x.shape) or len(sizes) != len(x.shape) or (of_samples and first[0] != 0):
        raise refusal(
            f"ops.{name} at {tuple(first)} of {x!r}", "give a start for each axis, 0 for the batch", ShapeError
        )
    places = [builtins.slice(start, start + (size or 0)) for start, size in zip(first, sizes, strict=True)]
    if of_samples:
        places[0] = builtins.slice(None)
    for place, size in list(zip(places, x.shape, strict=True))[of_samples:]:
        if not 0 <= place.start <= place.stop <= size:
            raise refusal(
                f"ops.{name} from {place.start} to {place.stop} of an axis of size {size}", "stay within it", ShapeError
            )
    return tuple(places)


def slice(inputs: Any, start_indices: Any, shape: Any) -> Any:
    """The part of an array that begins at these indices and has this shape.

    Args:
        inputs: numbers.
        start_indices: an integer for each axis; in a formula 0 for the batch.
        shape: of the part; in a formula the batch's size is not read.

    Raises:
        ValueError: they do not fit; `fastnet.RuleError`, a subclass, in a formula.

    Example:
        >>> ops.slice([[1.0, 2.0, 3.0]], (0, 1), (1, 2)).tolist()
        [[2.0, 3.0]]
    """
    x = inputs if isinstance(inputs, SymbolicArray) else formulas.as_floats(inputs)
    return item(x, _places("slice", x, start_indices, list(shape)))


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Any:
    """An array with the part that begins at these indices replaced; ``inputs`` stays as it is.

    Args:
        inputs: numbers.
        start_indices: an integer for each axis; in a formula 0 for the batch.
        updates: the new part, which has the axes of ``inputs``; in a formula data.

    Raises:
        ValueError: they do not fit; `fastnet.RuleError`, a subclass, in a formula.

    Example:
        >>> ops.slice_update([[1.0, 2.0, 3.0]], (0, 1), [[7.0, 8.0]]).tolist()
        [[1.0, 7.0, 8.0]]
    """
    if not isinstance(inputs, SymbolicArray) and not isinstance(updates, SymbolicArray):
        x = np.array(formulas.as_floats(inputs))
        part = formulas.as_floats(updates)
        x[_places("slice_update", x, start_indices, part.shape)] = part
        return x
    if not all(isinstance(x, SymbolicArray) and x.per_row for x in (inputs, updates)):
        raise refusal("ops.slice_update of arrays without the batch", "write ops.where, or ops.concatenate")
    places = _places("slice_update", inputs, start_indices, updates.shape)[1:]
    sizes = inputs.shape[1:]
    is_new = np.zeros(sizes, bool)
    is_new[places] = True
    widths = [(place.start, size - place.stop) for place, size in zip(places, sizes, strict=True)]
    return formulas.where(constant(is_new), moving.pad(updates, [(0, 0), *widths]), inputs)


FUNCTIONS = {f.__name__: f for f in (slice, slice_update)}
