"""Global memory: allocations, bounds, and which bytes were written."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet.testing.ptx.faults import Fault
from fastnet.testing.ptx.spaces import Space

BASE = 1 << 44  # far from 0 and from the windows of other spaces
_UNIT = 256  # allocations begin at its multiples, and no two are in one unit


class GlobalMemory(Space):
    """Bytes of global memory in units of 256, each of which knows where its allocation ends."""

    name = "global"

    def __init__(self, size: int):
        super().__init__(-(-size // _UNIT) * _UNIT)
        self.ends = np.zeros(len(self.bytes) // _UNIT, np.int64)  # of each unit; 0 where none is
        self.sizes: dict[int, int] = {}
        self.freed: dict[int, int] = {}
        self.used = 0

    def allocate(self, size: int) -> int:
        if size < 0:
            raise ValueError(f"allocate takes a number of bytes, not {size}")
        span = -(-max(size, 1) // _UNIT) * _UNIT + _UNIT  # with a gap behind it
        start = self.used
        if start + span > len(self.bytes):
            start = next((a for a, n in self.freed.items() if n >= span), start)
            self._forget(start)
        if start == self.used:
            self.used += span
            self._grow()
        self.sizes[start] = size
        self.ends[start // _UNIT : (start + span - _UNIT) // _UNIT] = start + size
        return BASE + start

    def _forget(self, start: int) -> None:
        """Memory that was freed is used again only when memory would grow otherwise: until then its use is found."""
        if span := self.freed.pop(start, 0):
            self.defined[start : start + span] = False

    def _grow(self) -> None:
        size = len(self.bytes)
        if self.used > size:
            more = max(size, self.used - size)
            self.ends = np.concatenate([self.ends, np.zeros(-(-more // _UNIT), np.int64)])
            more = -(-more // _UNIT) * _UNIT
            self.replace(
                np.concatenate([self.bytes, np.zeros(more, np.uint8)]),
                np.concatenate([self.defined, np.zeros(more, bool)]),
            )

    def free(self, address: int) -> None:
        start = address - BASE
        if start not in self.sizes:
            state = "was freed before" if start in self.freed else "is not the start of an allocation"
            raise Fault(f"free: {address:#x} {state}")
        size = self.sizes.pop(start)
        span = -(-max(size, 1) // _UNIT) * _UNIT + _UNIT
        self.freed[start] = span
        self.ends[start // _UNIT : (start + span) // _UNIT] = 0

    def part(self, address: int, size: int, verb: str) -> np.ndarray:
        """Bytes of one allocation."""
        if size and (reason := self.reason(address, size, verb)):
            raise Fault(reason)
        return self.bytes[address - BASE : address - BASE + size]

    def defined_part(self, address: int, size: int) -> np.ndarray:
        return self.defined[address - BASE : address - BASE + size]

    def locate(self, frame: Any, addresses: np.ndarray, size: int, active: Any) -> tuple[np.ndarray, np.ndarray]:
        offsets = addresses - BASE
        inside = offsets.view(np.uint64) < len(self.bytes)
        ends = self.ends[np.where(inside, offsets, 0) >> 8]
        return offsets, ~inside | (offsets + size > ends)

    def reason(self, address: int, size: int, verb: str) -> str:
        """Why an access is out of bounds, or nothing."""
        start, what = address - BASE, f"a {verb} of {size} bytes at {address:#x}"
        for freed, span in self.freed.items():
            if freed <= start < freed + span - _UNIT:
                return f"{what} lies in memory that was freed, {start - freed} bytes from its start"
        before = max((a for a in self.sizes if a <= start), default=None)
        if before is None or start >= before + self.sizes[before] + _UNIT:
            return f"{what} lies in no allocation"
        end = before + self.sizes[before]
        if start + size > end:
            past, own = start + size - end, self.sizes[before]
            return f"{what} ends {past} bytes behind the allocation of {own} bytes at {BASE + before:#x}"
        return ""
