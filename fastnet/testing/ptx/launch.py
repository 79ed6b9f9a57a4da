"""A launch: arguments checked, blocks run in groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.testing.ptx.frame import Frame
from fastnet.testing.ptx.module import Module, Parameter
from fastnet.testing.ptx.program import Program

if TYPE_CHECKING:
    from fastnet.testing.ptx.machine import Machine

_GROUP = 8192  # threads that run together


@dataclass
class Counts:
    """The counts of a launch.

    Attributes:
        instructions: instructions executed, one for each warp with an active thread.
        by_kind: opcode → instructions.
        accesses: accesses of warps to global memory.
        sectors: sectors of 32 bytes that these touched, each counted once an access: the sum of the next two.
        sectors_read, sectors_written: the same for reads and for writes; an atomic operation is a write.
        bank_conflicts: turns that accesses to shared memory took beyond the first because lanes met in a bank.
    """

    instructions: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    accesses: int = 0
    sectors_read: int = 0
    sectors_written: int = 0
    bank_conflicts: int = 0

    @property
    def sectors(self) -> int:
        return self.sectors_read + self.sectors_written


class Launch:
    """One launch of an entry."""

    def __init__(
        self, machine: Machine, module: Module, name: str, grid: Any, block: Any, arguments: Sequence[Any], dynamic: int
    ):
        if name not in module.entries:
            raise ValueError(f"the module has no entry {name!r}; it has {', '.join(module.entries) or 'none'}")
        self.machine, self.entry = machine, module.entries[name]
        self.grid, self.block = _three("grid", grid), _three("block", block)
        self.threads = int(np.prod(self.block))
        self.warps = -(-self.threads // 32)
        self._check_size(name)
        if self.entry.program is None:
            self.entry.program = Program(module, self.entry)
        self.program: Program = self.entry.program
        self.dynamic, self.shared = dynamic, self.entry.shared + dynamic
        self.parameters = _pack(name, self.entry.parameters, arguments)
        self.symbols = machine.load(module)
        self.executed = [0] * len(self.program.ops)
        self.counts = Counts()
        machine.time += 1
        self.start = machine.time  # accesses before this time are those of other launches

    def _check_size(self, name: str) -> None:
        entry, threads = self.entry, self.threads
        if threads > (limit := min(1024, entry.maxntid or 1024)):
            raise ValueError(f"kernel {name!r}: a block of {self.block} has {threads} threads; at most {limit} may be")
        if entry.reqntid not in (None, threads):
            raise ValueError(f"kernel {name!r}: a block must have {entry.reqntid} threads, not {threads}")

    def count_access(self, frame: Frame, active: Any, space: Any, offsets: np.ndarray, size: int, write: bool) -> None:
        """Count what an access of warps costs: sectors of global memory, turns of shared memory."""
        if space.name == "global":
            warps, sectors = _distinct(frame.warp[active], offsets >> 5)
            self.counts.accesses += warps
            if write:
                self.counts.sectors_written += sectors
            else:
                self.counts.sectors_read += sectors
        elif space.name == "shared":
            self.counts.bank_conflicts += _turns(frame, active, offsets, size)

    def run(self) -> Counts:
        blocks, group = int(np.prod(self.grid)), max(1, _GROUP // self.threads)
        with np.errstate(all="ignore"):
            for first in range(0, blocks, group):
                Frame(self, first, min(group, blocks - first)).run()
        by_kind: Counter[str] = Counter()
        for op, count in zip(self.program.ops, self.executed):
            if count:
                by_kind[op.kind] += count
        self.counts.by_kind, self.counts.instructions = dict(by_kind), by_kind.total()
        return self.counts


def _distinct(groups: np.ndarray, places: np.ndarray) -> tuple[int, int]:
    """The number of groups, and of different places in all groups together. Groups ascend."""
    keys = groups << 40 | places
    if (keys[1:] < keys[:-1]).any():
        keys = np.sort(keys)
    different = int(np.count_nonzero(keys[1:] != keys[:-1])) + 1
    return int(np.count_nonzero(groups[1:] != groups[:-1])) + 1, different


def _turns(frame: Frame, active: Any, offsets: np.ndarray, size: int) -> int:
    """Turns beyond the first: 32 words of different banks at a time, so that wide accesses go in halves or quarters."""
    parts = max(1, size // 4)
    group = frame.lane_slot[active] // (32 // parts)
    words = (offsets >> 2)[:, None] + np.arange(parts)
    keys = np.unique(np.repeat(group, parts) << 40 | words.ravel())
    banks = np.bincount((keys >> 40) * 32 + (keys & 31))
    banks = np.concatenate([banks, np.zeros(-len(banks) % 32, banks.dtype)]).reshape(-1, 32)
    worst = banks.max(1)
    return int(worst.sum() - np.count_nonzero(worst))


def _three(name: str, size: Any) -> tuple[int, int, int]:
    numbers = tuple(int(n) for n in size) if isinstance(size, (tuple, list)) else (int(size),)
    if not 1 <= len(numbers) <= 3 or min(numbers) < 1:
        raise ValueError(f"{name} is {size!r}; it must be one to three numbers of at least 1")
    return (*numbers, 1, 1)[:3]  # type: ignore[return-value]


def _pack(name: str, parameters: tuple[Parameter, ...], arguments: Sequence[Any]) -> np.ndarray:
    """The arguments as bytes, laid out as the parameters are."""
    if len(arguments) != len(parameters):
        wanted = ", ".join(f".{p.type.name} {p.name}" for p in parameters)
        raise ValueError(f"kernel {name!r} takes {len(parameters)} arguments ({wanted}), not {len(arguments)}")
    end = parameters[-1].offset + parameters[-1].size if parameters else 0
    packed = np.zeros(-(-end // 16) * 16, np.uint8)
    for parameter, argument in zip(parameters, arguments):
        data = _argument(name, parameter, argument)
        packed[parameter.offset : parameter.offset + parameter.size] = np.frombuffer(data, np.uint8)
    return packed


def _argument(name: str, parameter: Parameter, argument: Any) -> bytes:
    kind, what = parameter.type, f"kernel {name!r}: argument {parameter.name!r} (.{parameter.type.name})"
    if parameter.size != kind.bytes:
        data = bytes(argument) if isinstance(argument, bytes) else np.ascontiguousarray(argument).tobytes()
        if len(data) != parameter.size:
            raise ValueError(f"{what} takes {parameter.size} bytes, not {len(data)}")
        return data
    if isinstance(argument, (float, np.floating)) or kind.kind == "f":
        if kind.kind not in ("f", "b") or kind.bits < 16:
            raise ValueError(f"{what} takes an integer, not {argument!r}")
        return np.asarray(argument, f"f{kind.bytes}").tobytes()
    number = int(argument)
    if not -(1 << (kind.bits - 1)) <= number < 1 << kind.bits:
        raise ValueError(f"{what} takes {kind.bits} bits, which {number} does not fit")
    return (number % (1 << kind.bits)).to_bytes(kind.bytes, "little")
