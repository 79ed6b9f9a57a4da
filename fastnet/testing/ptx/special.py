"""Special registers: where a thread is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet.testing.ptx.faults import Fault
from fastnet.testing.ptx.types import Type

_AXES = {"x": 0, "y": 1, "z": 2}
_REFUSED = (
    "clock",
    "clock64",
    "clock_hi",
    "globaltimer",
    "globaltimer_lo",
    "globaltimer_hi",
    "smid",
    "nsmid",
    "gridid",
)


def _mask(lane: Any, name: str) -> Any:
    bit = np.uint64(1) << lane.astype(np.uint64)
    below = bit - np.uint64(1)
    ge = np.uint64(0xFFFFFFFF) & ~below
    return {"eq": bit, "lt": below, "le": below | bit, "ge": ge, "gt": ge & ~bit}[name]


def register(name: str, kind: Type) -> Callable[[Any, Any], Any]:
    """A function that returns a special register's values."""
    word, _, part = name[1:].partition(".")
    if word in _REFUSED:
        raise Fault(f"{name} differs from run to run: what it decides cannot be proved")
    value: Callable[[Any], Any]
    if word in ("tid", "ctaid") and part in _AXES:
        axis = _AXES[part]
        value = (lambda frame: frame.tid[axis]) if word == "tid" else (lambda frame: frame.ctaid[axis])
    elif word in ("ntid", "nctaid") and part in _AXES:
        axis = _AXES[part]
        value = (lambda frame: frame.launch.block[axis]) if word == "ntid" else (lambda frame: frame.launch.grid[axis])
    elif word == "laneid":
        value = lambda frame: frame.lane  # noqa: E731
    elif word == "warpid":
        value = lambda frame: frame.warp_in_block  # noqa: E731
    elif word == "nwarpid":
        value = lambda frame: frame.launch.warps  # noqa: E731
    elif word.startswith("lanemask_") and word[9:] in ("eq", "lt", "le", "ge", "gt"):
        value = lambda frame: _mask(frame.lane, word[9:])  # noqa: E731
    elif word in ("dynamic_smem_size", "total_smem_size"):
        total = word == "total_smem_size"
        value = lambda frame: frame.launch.shared if total else frame.launch.dynamic  # noqa: E731
    else:
        raise Fault(f"the machine does not know the special register {name}")

    def read(frame: Any, active: Any) -> Any:
        found = value(frame)
        if isinstance(found, np.ndarray):
            return found[active].astype(kind.dtype)
        return kind.dtype.type(found)

    return read
