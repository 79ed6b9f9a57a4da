"""Lays a plan's buffers out in one arena: buffers that are never alive together share memory."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

import numpy as np

from fastnet._arrays import places
from fastnet.engine.launch import Launch
from fastnet.engine.view import Buffer, View

ALIGNMENT = 64


def lifetimes(launches: Iterable[Launch], pinned: Iterable[View]) -> dict[Buffer, tuple[int, int]]:
    """(first, last) launch that touches each buffer; pinned ones live from the start to the end."""
    launches = list(launches)
    spans: dict[Buffer, tuple[int, int]] = {}
    for index, launch in enumerate(launches):
        for operand, _ in launch.access:
            if isinstance(operand, View):
                first, _ = spans.get(operand.buffer, (index, index))
                spans[operand.buffer] = (first, index)
    for view in pinned:
        spans[view.buffer] = (0, len(launches))
    return spans


def layout(launches: Iterable[Launch], rows: int, pinned: Iterable[View] = (), reuse: bool = True):
    """Give every buffer an offset.

    The largest come first, each at the lowest offset where it meets no buffer alive at the same time.

    Returns:
        ({buffer: offset in bytes}, bytes in all)
    """
    spans = lifetimes(launches, pinned)
    buffers = sorted(spans, key=lambda buffer: -buffer.size(rows))
    sizes = [-(-max(buffer.size(rows), 1) // ALIGNMENT) * ALIGNMENT for buffer in buffers]
    alive = [spans[buffer] if reuse else (0, 0) for buffer in buffers]
    columns = np.array([(size, *span) for size, span in zip(sizes, alive)], np.int64).reshape(-1, 3).T.copy()
    offsets = places(*columns).tolist()
    return dict(zip(buffers, offsets)), max(map(sum, zip(offsets, sizes)), default=0)


class Spans:
    """Intervals of bytes, [start, end), each of which is asked for in logarithmic time."""

    def __init__(self) -> None:
        self._starts: list[int] = []  # of their union, in order
        self._ends: list[int] = []

    def clear(self) -> None:
        """Forget all intervals."""
        self._starts.clear()
        self._ends.clear()

    def meets(self, start: int, end: int) -> bool:
        """Whether an interval has a byte in common with this one."""
        at = bisect.bisect_right(self._ends, start)
        return at < len(self._starts) and self._starts[at] < end

    def add(self, start: int, end: int) -> None:
        """Add an interval."""
        first, last = bisect.bisect_left(self._ends, start), bisect.bisect_right(self._starts, end)
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last], self._ends[first:last] = [start], [end]
