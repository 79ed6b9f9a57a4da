"""Lays a plan's buffers out in one arena: buffers that are never alive together share memory."""

from __future__ import annotations

from collections.abc import Iterable

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
    taken: list[tuple[int, int, int, int]] = []  # offset, end, first, last
    offsets: dict[Buffer, int] = {}
    for buffer, (first, last) in sorted(spans.items(), key=lambda item: -item[0].size(rows)):
        size = -(-max(buffer.size(rows), 1) // ALIGNMENT) * ALIGNMENT
        offset = 0
        for other_start, other_end, other_first, other_last in sorted(taken):
            together = not reuse or (first <= other_last and other_first <= last)
            if together and other_start < offset + size and offset < other_end:
                offset = other_end
        offsets[buffer] = offset
        taken.append((offset, offset + size, first, last))
    return offsets, max((end for _, end, _, _ in taken), default=0)
