"""Loads, stores and atomic operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnet.testing.ptx import races
from fastnet.testing.ptx.exact import flush
from fastnet.testing.ptx.faults import Fault
from fastnet.testing.ptx.instructions import Step, builds, type_of, unknown
from fastnet.testing.ptx.memory import BASE
from fastnet.testing.ptx.module import Variable
from fastnet.testing.ptx.spaces import LOCAL, PARAMETERS, SHARED, WINDOW
from fastnet.testing.ptx.text import Address, Instruction
from fastnet.testing.ptx.types import TYPES, Type

if TYPE_CHECKING:
    from fastnet.testing.ptx.program import Decoder

_SPACES = {"global": "global", "const": "const", "shared": "shared", "shared::cta": "shared", "local": "local"}
_STRONG = ("volatile", "relaxed", "acquire", "release", "acq_rel", "mmio")
_HINTS = "weak ca cg cs lu cv wb wt cta cluster gpu sys nc".split()
_WINDOWS = {"shared": SHARED, "local": LOCAL, "param": PARAMETERS}
_BITS = {1: 0, 2: 1, 4: 2, 8: 3}


class Words(NamedTuple):
    """The modifiers of an access."""

    space: str  # "" is generic
    strong: bool
    final: bool
    length: int  # elements of a vector
    others: list[str]


def _words(step: Instruction) -> Words:
    space, strong, final, count, others = "", False, False, 1, list[str]()
    for word in step.words[1:-1]:
        if word in _SPACES:
            space = _SPACES[word]
        elif word in _STRONG:
            strong = True
        elif word in ("v2", "v4", "v8"):
            count = int(word[1])
        elif word.startswith(("L1::", "L2::")) or word in _HINTS:
            final |= word == "nc"
        else:
            others.append(word)
    return Words(space, strong, final, count, others)


def address_of(decoder: Decoder, operand: Any) -> Callable[[Any, Any], np.ndarray]:
    """A function that returns addresses, one for each active thread, as int64."""
    if not isinstance(operand, Address):
        raise Fault(f"{operand!r} is not an address")
    base, offset = operand
    if decoder.is_register(base):
        kind = TYPES["s64" if decoder.register(base).bits == 64 else "u32"]
        read = decoder.read(base, kind)
        if kind.bits == 64 and offset == 0:
            return read
        return lambda frame, active: read(frame, active).astype(np.int64) + offset
    if base.isdigit():
        return lambda frame, active: np.full(frame.count(active), int(base) + offset, np.int64)
    address = decoder.address(operand)
    return lambda frame, active: np.full(frame.count(active), address(frame), np.int64)


def places(
    frame: Any, active: Any, name: str, addresses: np.ndarray, size: int, verb: str
) -> Iterator[tuple[Any, np.ndarray, Any]]:
    """Where addresses lie: (space, offsets in its bytes, threads), once for each space that is met."""
    if (addresses & (size - 1)).any():
        bad = (addresses & (size - 1)) != 0
        frame.fault(f"misaligned: a {verb} of {size} bytes at {int(addresses[bad][0]):#x}", active, bad)
    if not name and (addresses >= BASE).all():
        name = "global"
    if name:
        yield _inside(frame, active, name, addresses, size, verb)
        return
    lanes, rest = frame.lanes[active], np.ones(len(addresses), bool)
    for space, start in _WINDOWS.items():
        here = (addresses >= start) & (addresses < start + WINDOW)
        if here.any():
            yield _inside(frame, lanes[here], space, addresses[here] - start, size, verb)
            rest &= ~here
    if rest.any():
        yield _inside(frame, lanes[rest], "global", addresses[rest], size, verb)


def _inside(frame: Any, active: Any, name: str, addresses: np.ndarray, size: int, verb: str) -> tuple[Any, Any, Any]:
    space = frame.spaces[name]
    offsets, bad = space.locate(frame, addresses, size, active)
    if bad.any():
        frame.fault(f"out of bounds: {space.reason(int(addresses[bad][0]), size, verb)}", active, bad)
    return space, offsets, active


def _check_defined(
    frame: Any, active: Any, space: Any, offsets: np.ndarray, bytes: int, elements: Sequence[int] = (0,)
) -> None:
    """Every byte of these elements was written before."""
    whole = int.from_bytes(b"\1" * bytes, "little")
    first, shift = space.defined_views[bytes], _BITS[bytes]
    for k in elements:
        missing = first[(offsets >> shift) + k] != whole
        if missing.any():
            at = int(offsets[missing][0]) + k * bytes
            own = at % space.stride if space.name != "global" else at + BASE
            frame.fault(
                f"a read of {bytes} bytes at {own:#x} of {space.name} memory that was never written", active, missing
            )


def _shared_by_threads(space: Any) -> bool:
    return space.name in ("global", "shared")


def _races(frame: Any, active: Any, space: Any, offsets: np.ndarray, bytes: int, write: bool, words: Words) -> Any:
    if not _shared_by_threads(space):
        return None
    lanes = frame.lanes[active]
    return races.check(frame, space, offsets, bytes * words.length, lanes, write, words.strong, words.final)


def _elements(operand: Any, count: int) -> tuple[Any, ...]:
    found = operand if isinstance(operand, tuple) else (operand,)
    if len(found) != count:
        raise Fault(f"an access of {count} elements has {len(found)} registers")
    return found


def _narrow(decoder: Decoder, bytes: int, words: Words) -> None:
    if words.space in ("", "global", "shared"):
        decoder.program.granule = min(decoder.program.granule, bytes)


@builds("ld ldu")
def _load(decoder: Decoder, step: Instruction) -> Step:
    kind = type_of(step)
    if "param" in step.words:
        return _load_parameter(decoder, step, kind)
    return _load_memory(decoder, step, kind)


def _load_memory(decoder: Decoder, step: Instruction, kind: Type) -> Step:
    words = _words(step)
    if words.others:
        raise unknown(step, f".{words.others[0]}")
    _narrow(decoder, kind.bytes, words)
    address, shown = address_of(decoder, step.operands[1]), kind if kind.kind == "s" else kind.raw
    elements = _elements(step.operands[0], words.length)
    puts = [decoder.write(name, shown) for name in elements]
    # compilers load whole vectors, whatever they need of them
    needed = [k for k, name in enumerate(elements) if len(elements) == 1 or decoder.is_needed(name)]
    bytes, shift, size = kind.bytes, _BITS[kind.bytes], kind.bytes * words.length

    def run(frame: Any, active: Any) -> None:
        addresses = address(frame, active)
        for space, offsets, part in places(frame, active, words.space, addresses, size, "read"):
            if frame.launch.machine.check:
                _check_defined(frame, part, space, offsets, bytes, needed)
                _races(frame, part, space, offsets, bytes, False, words)
            frame.launch.count_access(frame, part, space, offsets, size, False)
            values, index = space.views[bytes], offsets >> shift
            for k, put in enumerate(puts):
                put(frame, part, values[index + k].view(shown.dtype))

    return run


def _parameter_place(decoder: Decoder, operand: Any) -> str:
    """Kernel parameters are one for all threads; those of functions and calls lie in local memory."""
    variable = decoder.scope.find(operand.base) if isinstance(operand, Address) else None
    own = isinstance(variable, Variable) and variable not in decoder.function.parameters
    return "local" if own or not decoder.is_entry else "param"


def _load_parameter(decoder: Decoder, step: Instruction, kind: Type) -> Step:
    place = _parameter_place(decoder, step.operands[1])
    words = tuple(word for word in step.words if not word.startswith("param"))
    moved = Instruction((words[0], place, *words[1:]), step.operands, step.guard, step.line, step.scope)
    if place == "local":
        return _load_memory(decoder, moved, kind)
    words_ = _words(moved)
    address, shown = address_of(decoder, step.operands[1]), kind if kind.kind == "s" else kind.raw
    puts = [decoder.write(name, shown) for name in _elements(step.operands[0], words_.length)]
    bytes, shift = kind.bytes, _BITS[kind.bytes]

    def run(frame: Any, active: Any) -> None:
        addresses = address(frame, active)
        for space, offsets, part in places(frame, active, "param", addresses, bytes * words_.length, "read"):
            for k, put in enumerate(puts):
                put(frame, part, space.views[bytes][(offsets >> shift) + k].view(shown.dtype))

    return run


@builds("st")
def _store(decoder: Decoder, step: Instruction) -> Step:
    kind = type_of(step).raw
    if "param" in step.words:
        words_ = tuple("local" if word == "param" else word for word in step.words)
        step = Instruction(words_, step.operands, step.guard, step.line, step.scope)
    words = _words(step)
    if words.others or words.space == "const":
        raise unknown(step, f".{words.others[0] if words.others else 'const'}")
    _narrow(decoder, kind.bytes, words)
    address = address_of(decoder, step.operands[0])
    reads = [decoder.read(operand, kind) for operand in _elements(step.operands[1], words.length)]
    bytes, size = kind.bytes, kind.bytes * words.length

    def run(frame: Any, active: Any) -> None:
        addresses = address(frame, active)
        for space, offsets, part in places(frame, active, words.space, addresses, size, "write"):
            lost = _races(frame, part, space, offsets, bytes, True, words) if frame.launch.machine.check else None
            frame.launch.count_access(frame, part, space, offsets, size, True)
            _write(frame, part, space, offsets, bytes, [read(frame, part) for read in reads], lost, words.strong)

    return run


def _write(
    frame: Any, active: Any, space: Any, offsets: np.ndarray, bytes: int, values: list, lost: Any, strong: bool
) -> None:
    shift, whole = _BITS[bytes], int.from_bytes(b"\1" * bytes, "little")
    for k, value in enumerate(values):
        index = (offsets >> shift) + k
        space.views[bytes][index] = value
        space.defined_views[bytes][index] = whole
        if lost is not None and lost.any():
            _check_writers(frame, active, space, index, value, lost, strong)


def _check_writers(
    frame: Any, active: Any, space: Any, index: np.ndarray, value: Any, lost: np.ndarray, strong: bool
) -> None:
    """Threads of one instruction wrote the same place: right only with the same bits, and if they are of one warp or
    the write is atomic."""
    stored, lanes = space.views[value.dtype.itemsize][index], frame.lanes[active]
    differs = lost & (stored != value)
    if differs.any():
        frame.fault(f"race in {space.name} memory: threads write different values to one place", active, differs)
    if strong:
        return
    order = np.argsort(index, kind="stable")
    same = index[order][1:] == index[order][:-1]
    warps = frame.warp[lanes[order]]
    apart = same & (warps[1:] != warps[:-1])
    if apart.any():
        bad = np.zeros(len(lanes), bool)
        bad[order[1:][apart]] = True
        frame.fault(f"race in {space.name} memory: threads of several warps write one place", active, bad)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "max": np.maximum,
    "min": np.minimum,
    "exch": lambda old, x: x,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "inc": lambda old, x: np.where(old >= x, 0, old + 1).astype(x.dtype),
    "dec": lambda old, x: np.where((old == 0) | (old > x), x, old - 1).astype(x.dtype),
    "cas": lambda old, x, y: np.where(old == x, y, old),
}


@builds("atom red")
def _atomic(decoder: Decoder, step: Instruction) -> Step:
    kind, words = type_of(step), _words(step)
    known = len(words.others) == 1 and words.others[0] in _OPERATIONS and kind.bits >= 32
    if not known or (step.opcode == "red" and words.others[0] in ("exch", "cas")):
        raise unknown(step)
    name, operation = words.others[0], _OPERATIONS[words.others[0]]
    words = words._replace(strong=True)
    operands = list(step.operands)
    put = decoder.write(operands.pop(0), kind) if step.opcode == "atom" else None
    address, reads = address_of(decoder, operands[0]), [decoder.read(x, kind) for x in operands[1:]]
    bytes, shift = kind.bytes, _BITS[kind.bytes]

    def run(frame: Any, active: Any) -> None:
        addresses = address(frame, active)
        for space, offsets, part in places(frame, active, words.space, addresses, bytes, "atomic access"):
            if frame.launch.machine.check:
                _check_defined(frame, part, space, offsets, bytes)
                _races(frame, part, space, offsets, bytes, True, words)
            frame.launch.count_access(frame, part, space, offsets, bytes, True)
            given = [np.broadcast_to(read(frame, part), offsets.shape) for read in reads]
            step_ = operation
            if name == "add" and kind.name == "f32" and space.name == "global":
                step_ = _add_flushed
            memory = space.views[bytes].view(kind.dtype)
            old = _one_after_the_other(memory, offsets >> shift, step_, given)
            if put is not None:
                put(frame, part, old)

    return run


def _add_flushed(old: Any, x: Any) -> Any:
    """atom.add.f32 on global memory takes subnormal numbers as 0, and gives none."""
    return flush(flush(old) + flush(x))


def _one_after_the_other(memory: np.ndarray, index: np.ndarray, operation: Callable, given: list) -> np.ndarray:
    """Threads in their order: the first one at each place, then the second one at each, and on."""
    old = np.empty(len(index), memory.dtype)
    order = np.argsort(index, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], index[order][1:] != index[order][:-1]]))
    rank = np.arange(len(index)) - np.repeat(starts, np.diff(np.append(starts, len(index))))
    for turn in range(int(rank.max()) + 1):
        now = order[rank == turn]
        old[now] = memory[index[now]]
        memory[index[now]] = operation(old[now], *(x[now] for x in given))
    return old


@builds("cvta")
def _convert_address(decoder: Decoder, step: Instruction) -> Step:
    kind = type_of(step)
    words = step.words[1:-1]
    space = next((_SPACES.get(w, w) for w in words if w != "to"), "")
    window = _WINDOWS.get(space, 0)
    operand = step.operands[1]
    put, read = decoder.write(step.operands[0], kind), decoder.read(operand, kind)
    shift = kind.dtype.type(window)
    if "to" in words:
        return lambda frame, active: put(frame, active, read(frame, active) - shift)
    return lambda frame, active: put(frame, active, read(frame, active) + shift)


@builds("isspacep")
def _is_space(decoder: Decoder, step: Instruction) -> Step:
    put, read = decoder.write(step.operands[0], TYPES["pred"]), decoder.read(step.operands[1], TYPES["u64"])
    name = _SPACES.get(step.words[-1], step.words[-1])
    if name in ("global", "const"):
        return lambda frame, active: put(frame, active, read(frame, active) >= BASE)
    if name not in _WINDOWS:
        raise unknown(step)
    start = np.uint64(_WINDOWS[name])

    def run(frame: Any, active: Any) -> None:
        put(frame, active, read(frame, active) - start < WINDOW)

    return run
