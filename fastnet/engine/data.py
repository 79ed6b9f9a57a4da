"""Data sets as the gather kernels see them: an address, strides and a dtype. Nothing is copied that need not be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import data
from fastnet.engine._arrays import all_below, rows_of
from fastnet.engine.cpu import call
from fastnet.engine.plan import Buffer, Plan, Slot
from fastnet.engine.variable import aligned

_DTYPES = {
    "float32": "float32",
    "float64": "float64",
    "float16": "float16",
    "bool": "uint8",
    **{name: name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
}
_READ = {np.dtype(name): dtype for name, dtype in _DTYPES.items()}  # by dtype: its `name` takes numpy microseconds
_GATHER_COST = 250  # picoseconds an element


class Source:
    """Rows of an array, of any supported dtype and any strides.

    Args:
        array: (n, ...); kept alive and not copied.
    """

    def __init__(self, array: np.ndarray):
        self.array = array
        self.rows = len(array)
        dtype = _READ[array.dtype]
        self.address, self.stride, contiguous = rows_of(array)
        self.layout = None
        if not contiguous:
            self.layout = np.array([array.ndim - 1, *array.shape[1:], *array.strides[1:]], np.int64)
        #: what decides the kernel that reads it
        self.signature = array.shape[1:], dtype, contiguous
        self.per = 0  # rows of each part where there are several


class Batches(Source):
    """The rows of several arrays, one after the other: batches of one size, the last perhaps shorter.

    Args:
        arrays: (n, ...) each, C-contiguous, of one dtype; kept alive and not copied.
    """

    def __init__(self, arrays: Sequence[np.ndarray]):
        super().__init__(arrays[0])
        self.arrays = arrays
        if len(arrays) > 1:
            self.per, self.rows = self.rows, sum(len(array) for array in arrays)
            self.table = np.array([rows_of(a)[:2] for a in arrays], np.int64)
            self.address, self.stride = self.table.ctypes.data, 0

    def part(self, number: int) -> Source:
        """One of the arrays."""
        return Source(self.arrays[number])


class Inlet:
    """The place in a plan where the rows of a source enter.

    Args:
        plan: gets the launch.
        signature: of the sources it takes.
        target: the buffer to fill.
    """

    def __init__(self, plan: Plan, signature: tuple, target: Buffer):
        _, dtype, self.contiguous = signature
        self.slots = plan.slot(4)
        address, stride, layout, per = (Slot(self.slots.index + i) for i in range(4))
        watched = plan.training and dtype.startswith("float") and target.dtype.startswith("float")
        names = (
            ("address_source", f"address_pointer_{'uint16' if dtype == 'float16' else dtype}"),
            ("convert", "half" if dtype == "float16" else "T"),
            ("watch", "watch" if watched else "unwatched"),
            ("bits", "int64" if target.dtype in ("float64", "int64") else "int32"),
        )
        arguments: dict[str, Any] = {
            "address": address,
            "stride": stride,
            "per": per,
            "order": Slot(abi.ORDER),
            "first": Slot(abi.FIRST),
            "nonfinite": Slot(abi.NONFINITE),
        }
        arguments |= {"y": target, "width": target.width}
        template = data.gather if self.contiguous else data.gather_strided
        if not self.contiguous:
            arguments["layout"] = layout
        plan.rows(Kernel(template, dtype=target.dtype, names=names), 1, _GATHER_COST * target.width, **arguments)

    def connect(self, step: np.ndarray, source: Source) -> None:
        """Let the plan read from ``source`` from now on."""
        start = self.slots.index
        step[start], step[start + 1], step[start + 3] = source.address, source.stride, source.per
        if source.layout is not None:
            step[start + 2] = source.layout.ctypes.data


def outlet(plan: Plan, y: Buffer) -> Slot:
    """Add the launch that copies a batch's result to its place in an array; the slot of that array's address."""
    address = plan.slot()
    names = (("address_target", f"address_pointer_{y.dtype}"),)
    arguments = {"y": y, "address": address, "first": Slot(abi.FIRST), "width": y.width}
    plan.rows(Kernel(data.scatter, dtype=y.dtype, names=names), 1, _GATHER_COST * y.width, **arguments)
    return address


def permutation(rows: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch's rows: depends on (seed, epoch) alone."""
    if rows >= 2**32:
        raise ValueError(f"{rows} rows cannot be shuffled: the draws have 32 bits. Give shuffle=False.")
    order = aligned((rows,), "int64")
    call(Kernel(data.permutation), [order.ctypes.data << 3, seed, epoch, rows])
    return order


def as_array(value: Any, argument: str) -> np.ndarray:
    """``value`` as an array of real numbers in a dtype the kernels read; a view wherever that is possible.

    Raises:
        ValueError: no numbers, complex numbers, objects, ragged lists.
    """
    if type(value) is np.ndarray and value.dtype in _READ:
        return value
    try:
        bare = hasattr(value, "__dlpack__") and not hasattr(value, "__array__")
        array = np.from_dlpack(value) if bare else np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{argument} cannot become an array: {error}. Give rows of equal length.") from None
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{argument} must hold real numbers; received {_what(array)}.{_how(value)}")
    if array.dtype not in _READ:
        array = array.astype(np.float64 if array.dtype.kind == "f" else array.dtype.newbyteorder("="))
    return array


def _what(array: np.ndarray) -> str:
    kinds = {"c": "complex numbers", "O": "objects", "U": "strings", "S": "bytes", "M": "dates", "m": "durations"}
    return f"{kinds.get(array.dtype.kind, 'records')} (dtype {array.dtype})"


def _how(value: Any) -> str:
    """What to do about a table whose columns are not all numbers (`pandas`), or an array of objects."""
    dtypes: Any = getattr(value, "dtypes", None)
    if not hasattr(dtypes, "items"):
        return " If they are numbers all the same: .astype('float32')." if hasattr(value, "astype") else ""
    others = [f"{name!r} ({dtype})" for name, dtype in dtypes.items() if getattr(dtype, "kind", "O") not in "fiu"]
    return f" Convert or drop {', '.join(others[:5])}, then .to_numpy('float32')."


def match_targets(
    y: np.ndarray, shape: tuple[int, ...], rows: int, sparse: bool, loss: str, ignored: int | None = None
) -> np.ndarray:
    """Targets in the shape a loss reads for predictions of ``shape`` a sample; a view. ``ignored`` is a label too.

    Raises:
        ValueError: another number of rows, a shape that does not fit, labels that are no classes.
    """
    if len(y) != rows:
        raise ValueError(f"x and y must have the same number of samples; received {rows} and {len(y)}.")
    wanted = shape[:-1] if sparse else shape
    given = y.shape[1:]
    if given != wanted:
        if given == (*wanted, 1):
            y = y[..., 0]
        elif (*given, 1) == wanted:
            y = y[..., None]
        else:
            remedy = ""
            if sparse and given == shape:
                remedy = " For one-hot rows use categorical_crossentropy."
            elif not sparse and given in (shape[:-1], (*shape[:-1], 1)):
                remedy = " For class indices use sparse_categorical_crossentropy, or fastnet.utils.to_categorical."
            raise ValueError(
                f"The loss {loss!r} needs targets of shape {('n', *wanted)} for predictions of shape {('n', *shape)}; "
                f"received targets of shape {('n', *given)}.{remedy}".replace("'n'", "n")
            )
    if sparse and y.size:
        check_labels(y if ignored is None else y[y != ignored], shape[-1], loss)
    return y


def match_weights(weights: Any, rows: int, shape: tuple[int, ...]) -> np.ndarray:
    """Sample weights as (rows, *shape), ``shape`` that of a sample's targets without the last axis; a view.

    Raises:
        ValueError: what is no number, NaN or infinity, another number of rows, a shape that does not fit.
    """
    array = as_array(weights, "sample_weight")
    given = array.shape
    if array.ndim == 0 or len(array) != rows:
        raise ValueError(f"sample_weight must have one weight for each of the {rows} samples; received shape {given}.")
    if array.ndim == len(shape) + 2 and given[-1] == 1:
        array = array[..., 0]
    elif array.ndim == 1:
        array = array.reshape(rows, *(1 for _ in shape))
    if array.ndim != len(shape) + 1 or any(a not in (1, s) for a, s in zip(array.shape[1:], shape)):
        raise ValueError(
            f"sample_weight must have shape {(rows,)}{f' or {(rows, *shape)}' if shape else ''}, received {given}."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(f"sample_weight must be finite; it is {array[tuple(place)]} in row {place[0]}.")
    return np.broadcast_to(array, (rows, *shape))


def check_range(y: np.ndarray, limits: tuple[float, float], loss: str) -> None:
    """Targets lie within the limits, but for what rounding in float32 may do; NaN is left to the step that finds it.

    Raises:
        ValueError: one does not.
    """
    least, most = limits[0] - 1e-6, limits[1] + 1e-6
    if y.size and (y.min() < least or y.max() > most):
        row = np.argwhere((y < least) | (y > most))[0]
        raise ValueError(
            f"The loss {loss!r} needs targets from {limits[0]:g} to {limits[1]:g}; received {y[tuple(row)]} "
            f"(row {row[0]})."
        )


def check_labels(y: np.ndarray, classes: int, loss: str) -> None:
    """Labels are whole numbers from 0 to classes - 1.

    Raises:
        ValueError: one is not.
    """
    if y.size == 0:
        return
    if y.ndim == 1 and y.dtype.kind in "iu" and all_below(y, classes):
        return  # the usual case, in one pass
    low, high = y.min(), y.max()
    if not (low >= 0 and high < classes):
        bad = low if not low >= 0 else high
        place = np.argwhere(~((y >= 0) & (y < classes)))[0]
        raise ValueError(
            f"The loss {loss!r} needs labels from 0 to {classes - 1}, as the last layer has {classes} units; received "
            f"{bad} (first bad label in row {place[0]})."
        )
    if y.dtype.kind == "f" and not (y == np.floor(y)).all():
        place = tuple(np.argwhere(y != np.floor(y))[0])
        raise ValueError(f"The loss {loss!r} needs whole numbers as labels; received {y[place]} (row {place[0]}).")
