"""The race detector: for each place of a memory, the threads that touched it last.

Two accesses of different threads to one place, at least one of which writes, race unless a barrier lies between them.
Barriers of the block order the threads of a block, `bar.warp.sync` those of a warp that take part; nothing orders
threads of different blocks within a launch. Shuffles and votes order no memory, as in CUDA.

A shadow keeps for each place (of as many bytes as the kernel's narrowest access) the last write and the last read as
one number: time, thread, level, atomic. The level says who else did the same since the last barrier: 0 nobody, 1 other
threads of the warp, 2 of the block, 3 of other blocks. Times rise through all launches, so that a shadow is never
cleared: what is older than the launch is as if it never were.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_TIME, _THREAD, _LEVEL = 28, 3, 1  # the lowest bits of the parts
_THREADS = (1 << (_TIME - _THREAD)) - 1  # 33 million threads in a launch


def _time(entry: Any) -> Any:
    return entry >> _TIME


def _thread(entry: Any) -> Any:
    return (entry >> _THREAD) & _THREADS


def _level(entry: Any) -> Any:
    return (entry >> _LEVEL) & 3


class Shadow:
    """The last write and the last read of each place of a memory."""

    def __init__(self, bytes: int, granule: int):
        self.granule = granule
        self.writes, self.reads = (np.zeros(bytes // granule + 1, np.int64) for _ in range(2))


class _Access:
    """Places that threads touch in one instruction: both flat arrays."""

    def __init__(self, frame: Any, places: np.ndarray, lanes: np.ndarray, start: int):
        self.frame, self.places, self.lanes, self.start = frame, places, lanes, start << _TIME
        self.threads = frame.thread[lanes]
        self.entry = (frame.launch.machine.time << _TIME) | (self.threads << _THREAD)

    def distance(self, others: np.ndarray) -> np.ndarray:
        """0 the thread itself, 1 one of its warp, 2 of its block, 3 of another block."""
        size = self.frame.launch.threads
        block, thread = np.divmod(others, size)
        mine = self.frame.block[self.lanes] + self.frame.first
        same_warp = (thread >> 5) == self.frame.warp_in_block[self.lanes]
        return np.where(block != mine, 3, np.where(same_warp, np.where(others == self.threads, 0, 1), 2))

    def unordered(self, entries: np.ndarray) -> np.ndarray:
        """The level of entries that no barrier lies behind, for these threads; 0 where there is nothing to fear."""
        level = np.where(entries >= self.start, 1, 0)
        if not level.any():
            return level
        frame, others = self.frame, _thread(entries)
        level *= np.maximum(_level(entries), self.distance(others))
        times = _time(entries)
        ordered = (level < 3) & (times < frame.block_times[frame.block[self.lanes]])
        if frame.synchronized is not None:
            other = others % frame.launch.threads & 31
            pair = frame.synchronized[frame.warp[self.lanes], other, frame.lane[self.lanes]]
            ordered |= (level == 1) & (times < pair)
        level[ordered] = 0
        return level

    def mark(self, table: np.ndarray, levels: np.ndarray, atomic: Any) -> np.ndarray:
        """Write the entries; returns where another thread of this instruction touched the same place, and won."""
        entry = self.entry | (levels << _LEVEL) | atomic
        table[self.places] = entry
        winner = table[self.places]
        lost = _thread(winner) != self.threads
        if lost.any():
            raised = np.maximum(np.maximum(_level(winner), levels), self.distance(_thread(winner)))
            for level in (1, 2, 3):
                those = lost & (raised == level)
                if those.any():
                    entries = winner[those] & ~np.int64(3 << _LEVEL) | np.int64(level << _LEVEL)
                    table[self.places[those]] = entries
        return lost


def check(
    frame: Any, space: Any, offsets: np.ndarray, size: int, lanes: np.ndarray, write: bool, strong: bool, final: bool
) -> np.ndarray | None:
    """Look for a race, and remember the access.

    Args:
        offsets, lanes: one for each element of `size` bytes.
        strong: atomic or volatile operations, which do not race with each other.
        final: a read that takes for granted that this launch writes the place never (ld.global.nc).

    Returns:
        For writes: which elements another thread wrote in the same instruction, or None.
    """
    shadow, granule = space.shadow, frame.program.granule
    if shadow is None or shadow.granule != granule:
        shadow = space.shadow = Shadow(len(space.bytes), granule)
    places, parts = offsets // granule, size // granule
    if parts > 1:
        places = (places[:, None] + np.arange(parts)).ravel()
        lanes = np.repeat(lanes, parts)
    access = _Access(frame, places, lanes, frame.launch.start)
    written, read = shadow.writes[places], shadow.reads[places]
    _look(access, space, written, strong, "write", write)
    if final and (late := written >= access.start).any():
        frame.fault("a read through the read-only cache of what this launch wrote", lanes, late)
    if write:
        _look(access, space, read, strong, "read", write)
        levels = access.unordered(written) if strong else np.zeros(len(places), np.int64)
        lost = access.mark(shadow.writes, levels, int(strong))
        return np.asarray(lost.reshape(-1, parts).any(1)) if parts > 1 else lost
    levels = access.unordered(read)
    plain = (levels > 0) & (read & 1 == 0)
    access.mark(shadow.reads, levels, np.where(plain, 0, int(strong)))
    return None


def _look(access: _Access, space: Any, entries: np.ndarray, strong: bool, did: str, write: bool) -> None:
    clash = access.unordered(entries)
    if strong:
        clash = np.where(entries & 1 == 1, 0, clash)
    if clash.any():
        frame, index = access.frame, int(np.flatnonzero(clash)[0])
        other = frame.thread_name(int(_thread(entries[index])))
        verb = "writes" if write else "reads"
        frame.fault(
            f"race in {space.name} memory: this thread {verb} what {other} {'wrote' if did == 'write' else 'read'}, "
            "and no barrier lies between",
            access.lanes[index : index + 1],
        )
