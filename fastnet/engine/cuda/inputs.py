"""What the steps of a run read: data that lie on the device, or that pass through it in chunks.

Data that do not fit are gathered by the host, in the order of the epoch, into page-locked memory. While the steps of a
chunk run, the next chunk is gathered and copied to the other one of two buffers. The kernels are the same: a chunk's
address is that at which row 0 would lie, and its rows have no other order.
"""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet.engine.cuda.driver import Driver
from fastnet.engine.cuda.memory import DeviceArray, copied
from fastnet.engine.sources import Batches, Source
from fastnet.sparse import SparseRows

LARGE = 64 << 20  # bytes of data from which the device is asked whether they fit
SHARE = 0.9  # of the free memory that data may take; batches of other sizes, and other models, need some too
CHUNK = 32 << 20  # bytes: about 1 ms of copying by PCIe, a hundred times what starting it costs. An estimate
_ALIGNMENT = 256  # of the parts of a buffer


class Inputs:
    """The data that an executable reads.

    Args:
        driver: of the device.
    """

    def __init__(self, driver: Driver):
        self._driver = driver
        self._sources: dict[int, weakref.ref[Source]] = {}  # by the first slot of the inlet; the data are the user's
        self._order: np.ndarray | None = None
        self._placed_order: DeviceArray | None = None
        self._placed: weakref.WeakKeyDictionary[Source, PlacedSource] = weakref.WeakKeyDictionary()
        self._streams: weakref.WeakKeyDictionary[Source, Stream] = weakref.WeakKeyDictionary()  # one, or none
        self._is_open = False

    def connect(self, slot: int, source: Source) -> None:
        """Let the inlet whose first slot this is read from a source."""
        known = self._sources.get(slot)
        if known is None or known() is not source:
            self._sources[slot], self._is_open = weakref.ref(source), False

    def set_order(self, order: np.ndarray | None) -> None:
        """Let rows be read in this order."""
        self._order = order
        if (stream := self._stream) is None:
            self._is_open = False
        else:  # keeps its page-locked memory from epoch to epoch
            stream.set_order(order)

    def open(self, step: np.ndarray, total: int, batch: int) -> None:
        """Make ready for a run of the rows before ``total``, in batches of ``batch``; write where they are to a step
        block."""
        sources = {slot: source for slot, found in self._sources.items() if (source := found()) is not None}
        if not sources:
            return
        stream = self._streams.get(next(iter(sources.values())))
        if self._is_open and (stream is None or batch <= stream.rows):
            if stream is not None:
                stream.total = total
            return
        self._streams.clear()
        self._placed_order = None
        room = self._missing_room(list(sources.values()))
        if room is None:
            for slot, source in sources.items():
                step[slot : slot + 4] = self._place(source).numbers
            if self._order is not None:
                self._placed_order = copied(self._driver, self._order)
            step[abi.ORDER] = 0 if self._placed_order is None else self._placed_order.address
        else:
            step[abi.ORDER] = 0
            stream = Stream(self._driver, sources, self._order, total, batch, room)
            self._streams[next(iter(sources.values()))] = stream
        self._is_open = True

    def enter(self, step: np.ndarray, first: int, rows: int, total: int) -> tuple[int, bool]:
        """Make the rows of the next step readable.

        Args:
            step: the step block, to which their place is written.
            first, rows: of the step.
            total: position behind the last row of the run.

        Returns:
            The position up to which steps can go on, and whether the step block has changed.
        """
        stream = self._stream
        return (total, False) if stream is None else stream.enter(step, first, rows)

    def prefetch(self) -> None:
        """Bring the rows behind those that can be read to the device, while steps run there."""
        if (stream := self._stream) is not None:
            stream.prefetch()

    @property
    def _stream(self) -> Stream | None:
        return next(iter(self._streams.values()), None)

    def _place(self, source: Source) -> PlacedSource:
        placed = self._placed.get(source)
        if placed is None:
            placed = self._placed[source] = PlacedSource(self._driver, source)
        return placed

    def _missing_room(self, sources: Sequence[Source]) -> int | None:
        """None where the sources can lie on the device; else the bytes that are free there."""
        if not all(map(_can_stream, sources)):
            return None
        size = sum(_bytes_at_most(source.array) for source in sources if source not in self._placed)
        size += 0 if self._order is None else self._order.nbytes
        if size < LARGE:
            return None
        free, _ = self._driver.memory()
        if size > SHARE * free:
            gc.collect()  # models that nobody has any more hold memory until then
            free, _ = self._driver.memory()
        return None if size <= SHARE * free else free


def _can_stream(source: Source) -> bool:
    """Whether the host can gather rows: batches of a stream come in small parts, and sparse rows differ in size."""
    return not isinstance(source, Batches) and not isinstance(source.array, SparseRows)


class Stream:
    """Two buffers through which the rows of sources pass, in the order in which a run reads them.

    Args:
        driver: of the device.
        sources: by the first slot of their inlets; somebody else keeps them.
        order: of their rows, or None.
        total: position behind the last row of the run.
        batch: rows of a step.
        room: bytes that are free on the device.

    Attributes:
        rows: of a chunk.
    """

    def __init__(
        self, driver: Driver, sources: dict[int, Source], order: np.ndarray | None, total: int, batch: int, room: int
    ):
        self._driver, self._order, self.total = driver, order, total
        self._parts: list[Part] = []
        of_row = sum(_row_bytes(source.array) for source in sources.values())
        steps = max(1, min(CHUNK, room // 4) // (of_row * batch))
        self.rows = min(steps * batch, -(-total // batch) * batch)
        size = 0
        for slot, source in sources.items():
            self._parts.append(Part(driver, slot, source, size))
            size += -(-self.rows * self._parts[-1].row_bytes // _ALIGNMENT) * _ALIGNMENT
        self._host = [driver.page_locked(size) for _ in range(2)]
        self._device = [DeviceArray(driver, size) for _ in range(2)]
        driver.synchronize()  # the device has them for copies that go beside its work, too
        self._spans = [(0, 0), (0, 0)]  # positions of the first row in each buffer, and behind the last one
        self._now = 0  # the buffer that is read

    def set_order(self, order: np.ndarray | None) -> None:
        """Let rows be read in this order; none of those that lie in the buffers are."""
        self._order, self._spans = order, [(0, 0), (0, 0)]

    def enter(self, step: np.ndarray, first: int, rows: int) -> tuple[int, bool]:
        """See `Inputs.enter`."""
        inside = [start <= first and first + rows <= end for start, end in self._spans]
        if not inside[self._now]:
            self._now = 1 - self._now
            self._driver.synchronize()  # with the copies to the other buffer
            if not inside[self._now]:
                self._load(self._now, first)
                self._driver.synchronize()
        (start, end), base, has_moved = self._spans[self._now], self._device[self._now].address, False
        for part in self._parts:
            place = base + part.offset - start * part.row_bytes
            if step[part.slot] != place:
                step[part.slot : part.slot + 4] = place, part.row_bytes, part.layout, 0
                has_moved = True
        return end, has_moved

    def prefetch(self) -> None:
        """See `Inputs.prefetch`."""
        start = self._spans[self._now][1]
        if start < self.total and self._spans[1 - self._now][0] != start:
            self._load(1 - self._now, start)

    def _load(self, number: int, first: int) -> None:
        """Gather the rows from ``first`` on, and start to copy them to a buffer, which nothing reads now."""
        self._spans[number] = 0, 0
        last = min(first + self.rows, self.total)
        chosen = slice(first, last) if self._order is None else self._order[first:last]
        parts = [part.gather(self._host[number], chosen) for part in self._parts]
        for part, gathered in zip(self._parts, parts, strict=True):
            self._driver.upload_beside(self._device[number].address + part.offset, gathered)
        self._spans[number] = first, last


class Part:
    """The rows of one source in a buffer, one after the other.

    Args:
        driver: of the device.
        slot: the first one of the inlet.
        source: somebody else keeps it.
        offset: bytes from the start of a buffer.

    Attributes:
        row_bytes: bytes of a row.
        layout: the address of the sizes and strides of a row on the device, 0 where its elements lie side by side.
    """

    def __init__(self, driver: Driver, slot: int, source: Source, offset: int):
        self.slot, self.offset, self._source = slot, offset, weakref.ref(source)
        shape, dtype = source.array.shape[1:], source.array.dtype
        self.row_bytes = _row_bytes(source.array)
        self._table: DeviceArray | None = None
        if source.layout is not None:  # the kernel reads rows by a table: that of rows whose elements lie side by side
            strides = [math.prod(shape[axis + 1 :]) * dtype.itemsize for axis in range(len(shape))]
            self._table = copied(driver, np.array([len(shape), *shape, *strides], np.int64))
        self.layout = 0 if self._table is None else self._table.address

    def gather(self, buffer: np.ndarray, chosen: Any) -> np.ndarray:
        """Copy rows to a buffer of the host; its part that has them."""
        source = self._source()
        assert source is not None
        rows = source.array[chosen]
        part = buffer[self.offset : self.offset + rows.nbytes]
        part.view(rows.dtype).reshape(rows.shape)[...] = rows
        return part


def _row_bytes(array: np.ndarray) -> int:
    return math.prod(array.shape[1:]) * array.itemsize


class PlacedSource:
    """The rows of a source on the device.

    Args:
        driver: of the device.
        source: rows on the host.

    Attributes:
        numbers: what an inlet writes to the step block: address, stride, layout and rows of a part.
    """

    def __init__(self, driver: Driver, source: Source):
        self._driver = driver
        self._kept: list[DeviceArray] = []
        self.numbers = source.numbers(self._place)
        driver.synchronize()  # page-locked memory, which another library may give, is copied after `upload` returns

    def _place(self, array: np.ndarray) -> int:
        """The address of an array's first element on the device, in a copy of the memory that it spans."""
        if not array.size:
            return 0
        low, high = _span(array)
        span = np.asarray(_Memory(low, high - low, array))
        self._kept.append(copied(self._driver, span))
        return self._kept[-1].address + array.__array_interface__["data"][0] - low


def _span(array: np.ndarray) -> tuple[int, int]:
    """The addresses of the first byte of an array's elements, and behind the last one."""
    start = array.__array_interface__["data"][0]
    reach = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    return start + sum(r for r in reach if r < 0), start + sum(r for r in reach if r > 0) + array.itemsize


def _bytes_at_most(array: np.ndarray) -> int:
    """Bytes that an array takes on the device, at most: those that it spans, up to twice its own (`Source.numbers`)."""
    low, high = _span(array) if array.size else (0, 0)
    return min(high - low, 2 * array.nbytes)


class _Memory:
    """Bytes at an address, for NumPy."""

    def __init__(self, address: int, size: int, owner: Any):
        self._owner = owner
        self.__array_interface__ = {"data": (address, True), "shape": (size,), "typestr": "|u1", "version": 3}
