"""Data sets as the gather kernels see them: an address, strides and a dtype. Only what needs conversion is copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnet._arrays import Rows, address_of
from fastnet._kernels import abi
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import data
from fastnet.arrays import READABLE
from fastnet.engine.cpu import call
from fastnet.engine.plan import Plan
from fastnet.engine.variable import aligned
from fastnet.engine.view import Slot, View
from fastnet.sparse import SparseRows


class Source(Rows):
    """Rows of an array, of any supported dtype and any strides, or of a sparse matrix.

    Args:
        array: (n, ...); kept alive and not copied.

    Attributes:
        rows: their number.
        address, stride, layout, per: the numbers by which the kernel finds a row: of row 0, bytes to the next, sizes
            and strides within a row or None, rows of each part or 0.
    """

    rows: int
    address: int
    stride: int

    @property
    def signature(self) -> tuple:
        """Shape and dtype of a row, and how it lies in memory, which decide the kernel that reads it.

        The last is whether its elements are contiguous, or the dtype of a sparse matrix's indices.
        """
        array = self.array
        order: bool | str = READABLE[self.layout.dtype] if isinstance(array, SparseRows) else self.together
        return array.shape[1:], READABLE[array.dtype], order

    def numbers(self, place: Callable[[np.ndarray], int]) -> list[int]:
        """The integers that an `Inlet` writes to the step block, in order, where ``place`` copies arrays to a device.

        Args:
            place: gives the address of an array's first element on the device.
        """
        layout = 0 if self.layout is None else place(self.layout)
        if isinstance(self.array, SparseRows):
            return [place(self.array.values), place(self.array.columns), layout, 0]
        if not _spans_much(self.array):
            return [place(self.array), self.stride, layout, 0]
        packed = np.ascontiguousarray(self.array)  # the same kernel reads it: its rows only lie closer
        if self.layout is not None:
            layout = place(np.array([packed.ndim - 1, *packed.shape[1:], *packed.strides[1:]], np.int64))
        return [place(packed), packed.strides[0], layout, 0]


def _spans_much(array: np.ndarray) -> bool:
    """Whether an array spans much more memory than it has elements, such as a few columns of a large one."""
    reach = sum((size - 1) * abs(stride) for size, stride in zip(array.shape, array.strides, strict=True))
    return reach > 2 * array.nbytes


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
            self.table = np.array([(part.address, part.stride) for part in map(Source, arrays)], np.int64)
            self.address, self.stride = address_of(self.table), 0

    def numbers(self, place: Callable[[np.ndarray], int]) -> list[int]:
        """See `Source.numbers`."""
        if not self.per:
            return super().numbers(place)
        table = self.table.copy()
        table[:, 0] = [place(array) for array in self.arrays]
        return [place(table), 0, 0, self.per]

    def part(self, number: int) -> Source:
        """One of the arrays."""
        return Source(self.arrays[number])


class Inlet:
    """The launch by which the rows of a source enter a plan.

    Args:
        plan: gets the launch.
        signature: of the sources it takes.
        target: the buffer to fill.
    """

    def __init__(self, plan: Plan, signature: tuple, target: View):
        _, dtype, order_in_row = signature
        self.slots = plan.slot(4)
        address, stride, layout, per = (Slot(self.slots.index + i) for i in range(4))
        checked = plan.training and dtype.startswith("float") and target.dtype.startswith("float")
        arguments: dict[str, Any] = {
            "address_source": f"address_pointer_{'uint16' if dtype == 'float16' else dtype}",
            "convert": "half" if dtype == "float16" else "T",
            "flag_nonfinite": "flag_nonfinite" if checked else "flag_nothing",
            "bits": "int64" if target.dtype in ("float64", "int64") else "int32",
            "address": address,
            "order": Slot(abi.ORDER),
            "first": Slot(abi.FIRST),
            "nonfinite": Slot(abi.NONFINITE),
            "y": target.view((target.width,)),
        }
        if order_in_row is True:
            plan.call(data.gather, stride=stride, per=per, **arguments)
        elif order_in_row is False:
            plan.call(data.gather_strided, stride=stride, layout=layout, **arguments)
        else:
            index = f"address_pointer_{order_in_row}"
            plan.call(data.gather_sparse, address_index=index, columns=stride, starts=layout, **arguments)


def outlet(plan: Plan, y: View) -> Slot:
    """Add the launch that copies a batch's result to its rows of an array; return the slot of the array's address."""
    address = plan.slot()
    rows = plan.reshaped(y, (y.width,))
    plan.call(data.scatter, address_target=f"address_pointer_{y.dtype}", y=rows, address=address, first=Slot(abi.FIRST))
    return address


def permutation(rows: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch's rows, which depends only on (seed, epoch)."""
    if rows >= 2**32:
        raise ValueError(f"{rows} rows cannot be shuffled: the draws have 32 bits. Give shuffle=False.")
    order = aligned((rows,), "int64")
    call(Kernel(data.permutation), [order.ctypes.data << 3, seed, epoch, rows])
    return order
