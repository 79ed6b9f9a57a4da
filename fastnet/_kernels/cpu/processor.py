"""The processor that kernels are compiled for: its vectors and its caches."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastnet._kernels import machine_code

SIZES = {"float32": 4, "float64": 8}
LINE = 64  # bytes of a cache line
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class Target:
    """The processor's vectors."""

    width: int  # bytes of a vector
    accumulators: int  # vectors that stay in registers beside the operands of a multiply-add
    masks: bool  # a masked load is one instruction
    stores: bool  # a masked store is one, too


@lru_cache(maxsize=1)
def target() -> Target:
    """The processor kernels are compiled for, found by compiling 16 multiply-adds and reading the result:
    a processor's name does not tell its features, and a list of names would be out of date with the next one."""
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(
        "declare <16 x float> @llvm.fmuladd.v16f32(<16 x float>, <16 x float>, <16 x float>)\n"
        "define <16 x float> @f(<16 x float> %a, <16 x float> %b, <16 x float> %c) {\n"
        "  %r = call <16 x float> @llvm.fmuladd.v16f32(<16 x float> %a, <16 x float> %b, <16 x float> %c)\n"
        "  ret <16 x float> %r\n}\n"
    )
    machine = machine_code.target_machine()
    text = machine.emit_assembly(module)
    if "zmm" in text:
        return Target(64, 28, True, True)
    if "ymm" in text:
        return Target(32, 12, True, False)
    if machine.triple.startswith(("aarch64", "arm64")):
        return Target(16, 24, False, False)
    return Target(16, 12, False, False)


@dataclass(frozen=True)
class Cache:
    """One level of a core's caches."""

    bytes: int
    ways: int


@lru_cache(maxsize=3)
def cache(level: int) -> Cache:
    """The data cache of a level, 1 to 3; common sizes where the system does not tell.

    Also with ``FASTNET_TARGET``: kernels then fit every machine, and their names must not follow from the one that
    compiled them.
    """
    default = {1: Cache(32 << 10, 8), 2: Cache(512 << 10, 8), 3: Cache(32 << 20, 16)}[level]
    if os.environ.get("FASTNET_TARGET"):
        return default
    try:
        for folder in sorted(CACHES.glob("index*")):
            values = {name: (folder / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size")}
            if values["level"] == str(level) and values["type"] != "Instruction":
                ways = int((folder / "ways_of_associativity").read_text(encoding="ascii"))
                return Cache(int(values["size"].rstrip("K")) << 10, ways) if ways > 0 else default
    except (OSError, ValueError):
        pass
    return default


def shared_set(distance: int, rows: int) -> int:
    """The number of rows that share a set of the first-level cache, of ``rows`` that lie ``distance`` bytes apart."""
    first = cache(1)
    sets = [row * distance % (first.bytes // first.ways) // LINE for row in range(rows)]
    return max(sets.count(s) for s in sets)
