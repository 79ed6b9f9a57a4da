"""The table of instructions: opcode → the function that turns an instruction into a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnet.testing.ptx.faults import Fault
from fastnet.testing.ptx.text import Instruction
from fastnet.testing.ptx.types import TYPES, Type

if TYPE_CHECKING:
    from fastnet.testing.ptx.program import Decoder

#: A step runs one instruction for the active threads of a frame.
Step = Callable[[Any, Any], None]


class Control(NamedTuple):
    """A step after which threads may go on elsewhere, or wait.

    `control(frame, op, active, at, stop)` returns the index of the next op, or -1 where threads part. `target` is what
    it needs to know; for branches, the names of labels.
    """

    control: Callable[..., int]
    target: Any = None
    run: Step | None = None


Builder = Callable[["Decoder", Instruction], "Step | Control"]

TABLE: dict[tuple[str, str], Builder] = {}


def builds(names: str, family: str = "") -> Callable[[Builder], Builder]:
    """Registers the builder of these opcodes; `family` "float" or "integer" leaves the other one to another builder."""

    def register(builder: Builder) -> Builder:
        for name in names.split():
            TABLE[name, family] = builder
        return builder

    return register


def type_of(step: Instruction, position: int = -1) -> Type:
    """The type that a word of the instruction names."""
    found = TYPES.get(step.words[position])
    if found is None:
        raise unknown(step, f"type .{step.words[position]}")
    return found


def unknown(step: Instruction, part: str = "") -> Fault:
    """The fault of an instruction that the machine does not know."""
    name = ".".join(step.words)
    return Fault(f"the machine does not know {part} of {name}" if part else f"the machine does not know {name}")


def flags(step: Instruction, allowed: str, types: int = 1) -> set[str]:
    """The words between the opcode and the types, each of which must be among those that the machine knows."""
    words = step.words[1 : len(step.words) - types]
    for word in words:
        if word not in allowed.split():
            raise unknown(step, f".{word}")
    return set(words)


def find(step: Instruction) -> Builder:
    """The builder of an instruction."""
    kind = TYPES.get(step.words[-1])
    family = "float" if kind is not None and kind.is_float else "integer"
    builder = TABLE.get((step.opcode, family)) or TABLE.get((step.opcode, ""))
    if builder is None:
        raise unknown(step)
    return builder
