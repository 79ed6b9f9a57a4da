"""What a loss written as array code gives: a number for each row, for each element, or one for the batch."""

from __future__ import annotations

from collections.abc import Iterable

from fastnet.symbolic import folds, formulas
from fastnet.symbolic.added_losses import parts_of_batch
from fastnet.symbolic.array import Shape, ShapeError, SymbolicArray, shown
from fastnet.symbolic.combinations import Terms, linear_combination
from fastnet.symbolic.order import ordered
from fastnet.symbolic.rearrange import repeated
from fastnet.symbolic.reshape import reshaped


def mean_of_batch(y: SymbolicArray) -> SymbolicArray:
    """The numbers of rows whose mean over the batch a number is, or several of these added up; any other array."""
    terms = linear_combination(y, parts_of_batch) if y.shape == () else None
    if not terms or not all(is_mean and rows.per_row for _, (rows, is_mean) in terms):
        return y
    total = None
    for factor, (rows, _) in terms:
        scaled = rows if factor == 1.0 else formulas.multiply(rows, factor)
        total = scaled if total is None else formulas.add(total, scaled)
    return y if total is None else total


def is_linear(y: SymbolicArray, means: Iterable[SymbolicArray]) -> bool:
    """Whether an array is a sum of multiples of others, and of what does not read these.

    The mean of the batch then commutes with the formula, and the others may be numbers of rows instead of their means.
    """
    known = {id(x) for x in means}

    def part(x: SymbolicArray) -> Terms[SymbolicArray] | None:
        is_part = id(x) in known or not any(id(each) in known for each in ordered([x]))
        return [(1.0, x)] if is_part else None

    return linear_combination(y, part) is not None


def of_rows(y: SymbolicArray, rows: Shape) -> SymbolicArray:
    """What a loss gives for each row: their mean where it gives elements; each row has its sample's number."""
    if y.per_row and y.ndim == len(rows) + 1 and y.shape[:-1] == rows:
        return formulas.divide(folds.total(y, -1), float(y.shape[-1] or 1))
    if y.per_row and y.ndim < len(rows) and y.shape == rows[: y.ndim]:
        return repeated(reshaped(y, (*y.shape, *(1,) * (len(rows) - y.ndim))), rows)
    return y


def numbers_of_a_row(y: SymbolicArray, rows: Shape) -> int:
    """How many numbers a loss gives for a row: `of_rows` gives their mean, but Keras may sum them all."""
    return (y.shape[-1] or 1) if y.ndim > len(rows) else 1


def check_rows(what: str, y: SymbolicArray, true_shape: Shape, shape: Shape) -> None:
    """Check that there is a number for each row of predictions.

    Raises:
        ShapeError: there is something else.
    """
    rows = shape[:-1]
    if y.shape != rows:
        raise ShapeError(
            f"{what} gives an array of shape {shown(y.shape)} for targets of shape {shown(true_shape)} and "
            f"predictions of shape {shown(shape)}; it must give one number for each row, {shown(rows)}, or "
            "for each element: fold along axis=-1."
        )
