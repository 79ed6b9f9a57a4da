"""Frames and columns of pandas and polars as arrays. Neither library is imported."""

from __future__ import annotations

from typing import Any

import numpy as np

_NAMED = 3  # columns that an error names


def is_lazy(value: Any) -> bool:
    """Whether the value is a query of polars, which has no data before it is computed."""
    return hasattr(value, "collect") and hasattr(value, "lazy")


def is_frame(value: Any) -> bool:
    """Whether the value is a table, whose columns may have several dtypes."""
    return not is_lazy(value) and hasattr(value, "dtypes") and hasattr(value, "columns")


def is_column(value: Any) -> bool:
    """Whether the value is one column of a table."""
    return hasattr(value, "dtype") and hasattr(value, "to_numpy")


def column_names(frame: Any) -> tuple[str, ...] | None:
    """The names of a frame's columns; None if it is not a frame, or its names do not tell its columns apart."""
    if not is_frame(frame):
        return None
    names = tuple(frame.columns)
    return names if all(isinstance(n, str) for n in names) and len(set(names)) == len(names) else None


def frame_array(frame: Any, argument: str) -> np.ndarray:
    """The columns of a frame side by side (rows, columns), in the dtype that holds them all; a view if possible.

    Args:
        frame: columns of bools or numbers, also nullable or sparse ones, or objects that are numbers.
        argument: its name, for errors.

    Raises:
        ValueError: a column holds something else, several values a row, or integers or bools with missing values; the
            error names it.
    """
    columns = list(frame.items()) if hasattr(frame, "items") else [(c.name, c) for c in frame.get_columns()]
    kinds = {c.dtype.kind if isinstance(c.dtype, np.dtype) else "" for _, c in columns}
    if kinds <= set("fiu") or kinds == {"b"}:
        return np.asarray(frame)
    arrays = [column_array(column, f"{argument}: column {name!r}") for name, column in columns]
    for (name, column), array in zip(columns, arrays):
        if array.ndim != 1:
            raise ValueError(_several_a_row(f"{argument}: column {name!r}", column.dtype))
    others = [column for column, array in zip(columns, arrays) if array.dtype.kind not in "fiub"]
    if others:
        raise ValueError(_message(argument, others))
    result = np.empty((len(frame), len(arrays)), np.result_type(*arrays))
    for k, array in enumerate(arrays):
        result[:, k] = array
    return result


def column_array(column: Any, argument: str) -> np.ndarray:
    """A column as an array, of objects if it does not hold bools or numbers.

    Raises:
        ValueError: integers or bools with missing values (those of floats become NaN), or lists of several lengths.
    """
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "fiub":
        return np.asarray(column)
    if hasattr(dtype, "categories"):  # their codes, or their values: the user chooses
        return np.asarray(column, object)
    missing = np.asarray(column.isna() if _is_pandas(column) else column.is_null())
    in_numpy = not str(dtype).endswith("Int128")  # of polars, whose integers of 128 bits numpy lacks
    if in_numpy and not missing.any() and (array := np.asarray(column)).dtype.kind in "fiub":
        return array
    if hasattr(dtype, "is_nested") and dtype.is_nested():
        raise ValueError(_several_a_row(argument, dtype))
    array = np.empty(len(missing), object)
    array[:] = list(column)
    try:
        present = np.array(array[~missing].tolist())  # objects that are numbers all the same become numbers
    except ValueError:  # lists of several lengths
        return array
    if not len(present):
        present = np.empty(0, _kind(dtype))
    if present.ndim != 1 or present.dtype.kind not in "fiub":
        return array
    if not missing.any():
        return present
    if present.dtype.kind != "f":
        remedy = "fillna(...), dropna()" if _is_pandas(column) else "fill_null(...), drop_nulls()"
        raise ValueError(f"{argument} ({dtype}) has no value in row {missing.argmax()}. Fill or drop it: {remedy}.")
    result = np.full(len(array), np.nan)
    result[~missing] = present
    return result


def _kind(dtype: Any) -> str:
    """The kind of numbers that a nullable column holds, as numpy's letter; "O" for something else."""
    if hasattr(dtype, "is_float"):  # polars
        return "f" if dtype.is_float() else "i" if dtype.is_integer() or str(dtype) == "Boolean" else "O"
    kind = getattr(dtype, "kind", "O")
    return kind if kind in "fiub" else "O"


def _several_a_row(argument: str, dtype: Any) -> str:
    return (
        f"{argument} ({dtype}) has several values a row. Give each a column of its own: column.arr.to_struct() (after "
        "column.list.to_array(width) of lists), then frame.unnest(name)."
    )


def _is_pandas(column: Any) -> bool:
    return hasattr(column, "isna")


def _message(argument: str, others: list[tuple[Any, Any]]) -> str:
    """The sentence about columns that hold neither bools nor numbers."""
    named = [f"{name!r} ({'category' if hasattr(c.dtype, 'categories') else c.dtype})" for name, c in others]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    dummies, codes, values = (
        (f"pd.get_dummies({argument})", "pd.factorize(column)[0]", "column.astype('float32')")
        if _is_pandas(others[0][1])
        else (f"{argument}.to_dummies(names)", "column.cast(pl.Categorical).to_physical()", "column.cast(pl.Float32)")
    )
    return (
        f"{argument} must hold real numbers; these columns do not: {', '.join(named[:_NAMED])}{more}. For categories "
        f"{dummies} gives columns of 0 and 1, {codes} gives their numbers. Numbers written as text: {values}. Drop "
        "other columns."
    )
