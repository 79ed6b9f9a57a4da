"""Converts and checks arrays, targets, labels and sample weights: for data, layers, losses and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastnet import frames
from fastnet._arrays import all_below
from fastnet._kernels.errors import RuleError
from fastnet.sparse import SparseRows, csr_parts, is_sparse

_DTYPES = {
    "float32": "float32",
    "float64": "float64",
    "float16": "float16",
    "bool": "uint8",
    **{name: name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
}
#: Dtype of an array → its name in kernels; a dictionary, since numpy computes a dtype's `name` in microseconds.
READABLE = {np.dtype(name): dtype for name, dtype in _DTYPES.items()}


def is_array(value: Any) -> bool:
    """Whether a value is an array, a frame, a column or a sparse matrix, with at least one axis."""
    is_dense = hasattr(value, "__array__") or hasattr(value, "__dlpack__")
    return (is_dense or is_sparse(value)) and getattr(value, "shape", None) != ()


def one_item(value: Any, name: str, kind: str) -> Any:
    """The one value of a dictionary, or the one array of a list; None for anything else.

    Raises:
        ValueError: a dictionary of several.
    """
    if isinstance(value, dict) and not is_sparse(value):
        if len(value) != 1:
            raise ValueError(
                f"{name} must be the data of one {kind}; received a dictionary of {len(value)}: {list(value)[:3]}."
            )
        return next(iter(value.values()))
    if isinstance(value, (list, tuple)) and len(value) == 1 and is_array(value[0]):
        return value[0] if hasattr(value[0], "shape") else as_array(value[0], name)
    return None


def as_rows(value: Any, argument: str) -> Any:
    """`as_array`, but the `SparseRows` of a sparse matrix, which does not become dense."""
    if not is_sparse(value):
        return as_array(value, argument)
    values, columns, starts, width = csr_parts(value, argument)
    return SparseRows(np.ascontiguousarray(as_array(values, argument)), columns, starts, width)


def as_array(value: Any, argument: str) -> np.ndarray:
    """``value`` as an array of real numbers in a dtype that kernels read; a view if possible.

    Args:
        value: an array, a frame or a column of pandas or polars, a sparse matrix, or anything else that numpy can
            convert to one.
        argument: its name, for errors.

    Raises:
        ValueError: ``value`` holds complex numbers, objects or texts, is a ragged list, or lacks values.
    """
    if type(value) is np.ndarray and value.dtype in READABLE:
        return value
    if frames.is_lazy(value):
        raise ValueError(f"{argument} is a {type(value).__name__}, a query without data: {argument}.collect() runs it.")
    if frames.is_frame(value):
        array = frames.frame_array(value, argument)
    elif frames.is_column(value):
        array = frames.column_array(value, argument)
    elif is_sparse(value):
        array = value.toarray()
    else:
        array = _converted(value, argument)
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"{argument} must hold real numbers; received {_kind(array)}.{_remedy(value, array, argument)}"
        )
    if array.dtype not in READABLE:
        array = array.astype(np.float64 if array.dtype.kind == "f" else array.dtype.newbyteorder("="))
    return array


def _converted(value: Any, argument: str) -> np.ndarray:
    if isinstance(value, np.ma.MaskedArray) and value.mask.any():
        raise ValueError(
            f"{argument} is a masked array, {np.count_nonzero(value.mask)} of whose values are left out: fill them, "
            f"{argument}.filled(...), or leave their rows out."
        )
    try:
        bare = hasattr(value, "__dlpack__") and not hasattr(value, "__array__")
        return np.from_dlpack(value) if bare else np.asarray(value)
    except RuleError:  # of a symbolic array, whose sentence says what to write
        raise
    except ValueError as error:
        if isinstance(value, (list, tuple)) and (shapes := _different_shapes(value, argument)):
            raise ValueError(f"{argument} cannot become an array: {shapes}") from None
        raise ValueError(f"{argument} cannot become an array: {error}. Give rows of equal length.") from None


def _different_shapes(rows: Iterable[Any], argument: str) -> str:
    """The sentences about rows that are arrays of different shapes; empty for others."""
    shapes = [getattr(row, "shape", None) for row in rows]
    other = next((k for k, shape in enumerate(shapes) if shape != shapes[0]), None)
    if other is None or None in shapes:
        return ""
    remedy = "Give rows of one shape."
    if isinstance(shapes[0], tuple) and len(shapes[0]) == 3:
        remedy = f"{remedy} Images of different sizes are scaled by `fastnet.utils.load_img(path, target_size=...)`."
    return f"{argument}[0] has the shape {shapes[0]}, and {argument}[{other}] {shapes[other]}. {remedy}"


def _kind(array: np.ndarray) -> str:
    kinds = {"c": "complex numbers", "O": "objects", "U": "strings", "S": "bytes", "M": "dates", "m": "durations"}
    return f"{kinds.get(array.dtype.kind, 'records')} (dtype {array.dtype})"


def _remedy(value: Any, array: np.ndarray, argument: str) -> str:
    """The sentence that says how values that are not numbers become numbers."""
    if array.dtype.kind == "c":
        return f" Give their parts as columns, {argument}.real and {argument}.imag, or one of them."
    if array.dtype.kind in "Mm":
        return f" Days as numbers: ({argument} - {argument}.min()) / np.timedelta64(1, 'D')."
    if array.dtype.kind == "O" and (shapes := _different_shapes(np.atleast_1d(array), argument)):
        return f" {shapes}"
    if argument == "y":
        return " Class labels become numbers by classes, y = np.unique(y, return_inverse=True)."
    return " If they are numbers all the same: .astype('float32')." if hasattr(value, "astype") else ""


def match_targets(
    y: np.ndarray, shape: tuple[int, ...], rows: int, sparse: bool, loss: str, ignored: int | None = None,
    wanted: tuple[int, ...] | None = None, classes: Callable[[int], int | None] = int,
) -> np.ndarray:  # fmt: skip
    """Targets in the shape that a loss reads; a view.

    Args:
        y: (rows, ...).
        shape: of one prediction.
        rows: of the predictions.
        sparse: whether the loss reads labels.
        loss: its name, for errors.
        ignored: a label that is allowed besides the classes.
        wanted: the shape of one target, by default that of a prediction, without its last axis where ``sparse``.
        classes: from the last axis of a prediction to the number of classes that labels name; None stands for any.

    Raises:
        ValueError: the number of rows or the shape does not fit, or a label is not a class.
    """
    if len(y) != rows:
        raise ValueError(f"x and y must have the same number of samples; received {rows} and {len(y)}.")
    if wanted is None:
        wanted = shape[:-1] if sparse else shape
    received = y.shape[1:]
    if received != wanted:
        if received == (*wanted, 1):
            y = y[..., 0]
        elif (*received, 1) == wanted:
            y = y[..., None]
        else:
            remedy = " Is layers.Flatten() missing?" if len(wanted) > len(received) and len(shape) > 1 else ""
            if sparse and received == shape:
                remedy = " For one-hot rows use categorical_crossentropy."
                remedy = remedy if classes(shape[-1]) else " Labels of one-hot rows: y.argmax(-1)."
            elif not sparse and received in (shape[:-1], (*shape[:-1], 1)):
                remedy = " For class indices use sparse_categorical_crossentropy, or fastnet.utils.to_categorical."
            raise ValueError(
                f"The loss {loss!r} needs targets of shape {('n', *wanted)} for predictions of shape {('n', *shape)}; "
                f"received targets of shape {('n', *received)}.{remedy}".replace("'n'", "n")
            )
    if sparse and y.size:
        check_labels(y if ignored is None else y[y != ignored], classes(shape[-1]), loss)
    return y


def match_weights(weights: Any, rows: int, shape: tuple[int, ...], row_wise: str = "") -> np.ndarray:
    """Sample weights as (rows, *shape[:-1]), or (rows, *shape) where each element has one; a view.

    Args:
        weights: of the target's shape, of its first axes, or with axes of size 1 where all have the same weight.
        rows: of the data.
        shape: of one prediction.
        row_wise: the name of a loss or a metric that gives one number for each row, whose elements cannot be weighted.

    Raises:
        ValueError: a weight is not a finite number, or the number of rows or the shape does not fit.
    """
    array = as_array(weights, "sample_weight")
    received = array.shape
    if array.ndim == 0 or len(array) != rows:
        raise ValueError(
            f"sample_weight must have one weight for each of the {rows} samples; received shape {received}."
        )
    if array.ndim == len(shape) + 1 and received[-1] == 1:
        array = array[..., 0]
    elif array.ndim < len(shape):
        array = array.reshape(*received, *(1 for _ in range(len(shape) - array.ndim)))
    wanted = shape if array.ndim > len(shape) else shape[:-1]
    if array.ndim != len(wanted) + 1 or any(a not in (1, s) for a, s in zip(array.shape[1:], wanted)):
        known = " or ".join(str((rows, *shape[:k])) for k in range(len(shape) + (not row_wise)))
        raise ValueError(f"sample_weight must have shape {known}, received {received}.")
    if row_wise and wanted is shape:
        raise ValueError(
            f"{row_wise!r} gives one number for each row, whose elements cannot be weighted: sample_weight must have "
            f"shape {(rows, *shape[:-1])}, received {received}. Their mean is a weight: sample_weight.mean(-1)."
        )
    check_weights(array)
    return array if array.shape == (rows, *wanted) else np.broadcast_to(array, (rows, *wanted))  # which takes 2 µs


def check_weights(array: np.ndarray) -> None:
    """Check that sample weights are finite.

    Raises:
        ValueError: one is not.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        index = tuple(np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"sample_weight must be finite; it is {array[index]} in row {index[0]}.")


def check_range(y: np.ndarray, limits: tuple[float, float], loss: str) -> None:
    """Check that targets lie within the limits, up to rounding in float32; the step itself finds NaN.

    Raises:
        ValueError: a target lies outside.
    """
    least, most = limits[0] - 1e-6, limits[1] + 1e-6
    if y.size and (y.min() < least or y.max() > most):
        row = np.argwhere((y < least) | (y > most))[0]
        raise ValueError(
            f"The loss {loss!r} needs targets from {limits[0]:g} to {limits[1]:g}; received {y[tuple(row)]} "
            f"(row {row[0]})."
        )


def check_labels(y: np.ndarray, classes: int | None, loss: str) -> None:
    """Check that labels are integers from 0 to classes - 1; where ``classes`` is None, integers of 32 bits.

    Raises:
        ValueError: a label is not.
    """
    if y.size == 0:
        return
    if classes is None:
        outside = ~((y >= -(2**31)) & (y < 2**31))
        if outside.any():
            raise ValueError(f"The loss {loss!r} needs integers of 32 bits as labels; received {y[outside][0]}.")
    elif y.ndim == 1 and y.dtype.kind in "iu" and all_below(y, classes):
        return  # the usual case, in one pass
    elif not (y.min() >= 0 and y.max() < classes):
        bad = y.min() if not y.min() >= 0 else y.max()
        row = np.argwhere(~((y >= 0) & (y < classes)))[0][0]
        raise ValueError(
            f"The loss {loss!r} needs labels from 0 to {classes - 1}, as the last layer has {classes} units; received "
            f"{bad} (first bad label in row {row})."
        )
    if y.dtype.kind == "f" and not (y == np.floor(y)).all():
        index = tuple(np.argwhere(y != np.floor(y))[0])
        raise ValueError(f"The loss {loss!r} needs whole numbers as labels; received {y[index]} (row {index[0]}).")
