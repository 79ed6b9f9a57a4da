"""Joins chains to one: their steps follow each other, and a common operand becomes one operand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastnet._kernels.chain import Chain, ChainOperand, ChainStep
from fastnet._kernels.generate import Kernel
from fastnet.engine.elements import chain_launch
from fastnet.engine.launch import Launch
from fastnet.engine.view import Slot, View

if TYPE_CHECKING:
    from fastnet.engine.fuse import Uses


@dataclass(frozen=True)
class Liveness:
    """The plan after two launches that are joined.

    Attributes:
        at: the launch whose position the joined one takes.
    """

    uses: Uses
    at: Launch
    producer: Launch
    consumer: Launch

    def is_live(self, view: Any) -> bool:
        """Whether a later launch, or the program after the step, reads the view that the two write."""
        if not isinstance(view, View) or view.buffer in self.uses.results:
            return True
        position, inside = self.uses.position, (self.producer, self.consumer)
        users = self.uses.touching[view.buffer]
        return any(launch not in inside and position[launch] > position[self.at] for launch in users)


def joined_chain(first: Launch, second: Launch, liveness: Liveness) -> Launch:
    """One chain of two."""
    merged = ChainMerge()
    for launch in (first, second):
        merged.add(launch)
    operands = [storing(o, is_stored(o, merged, liveness)) for o in merged.operands]
    grids = [launch.shape for launch in (first, second) if launch.kernel.template.form == "grid"]
    chain = Chain(tuple(merged.steps), tuple(operands), "grid" if grids else "flat")
    kernel = Kernel(chain, tuple(merged.rules), second.kernel.dtype)
    access = access_of(operands, merged.values)
    joined = chain_launch(kernel, {**merged.values, **merged.distances}, access, grids[0] if grids else second.shape)
    joined.label, joined.phase, joined.period = first.label, first.phase, first.period
    joined.flags = first.flags | second.flags
    return joined


def is_stored(operand: ChainOperand, merged: ChainMerge, liveness: Liveness) -> bool:
    """Whether a result of a chain must be in memory: not if only the chain reads it."""
    if "w" not in operand.kind.access or not operand.stored:
        return "w" not in operand.kind.access
    return operand.name not in merged.consumed or liveness.is_live(merged.values[operand.name])


def access_of(operands: Iterable[ChainOperand], values: dict[str, Any]) -> list[tuple[Any, str]]:
    """The memory that a chain touches, with modes."""
    return [
        (values[o.name], (o.kind.access if o.stored else "r") or "r")
        for o in operands
        if (o.kind.access and (o.stored or o.kind.access != "w")) or o.kind.name in ("value", "count")
    ]


class ChainMerge:
    """The steps and operands of several chains, as those of one chain; a common operand becomes one operand.

    Attributes:
        values: name → view, weight, slot or number.
        distances: row distances of views whose rows lie apart.
        consumed: names of operands that a later chain reads.
    """

    def __init__(self) -> None:
        self.steps: list[ChainStep] = []
        self.rules: list[tuple[str, Any]] = []
        self.operands: list[ChainOperand] = []
        self.values: dict[str, Any] = {}
        self.distances: dict[str, int] = {}
        self.consumed: set[str] = set()

    def add(self, launch: Launch) -> None:
        """Append the steps of a chain."""
        chain, offset = launch.kernel.template, len(self.steps)
        names = {operand.name: self._named(operand, launch) for operand in chain.operands}
        for step in chain.steps:
            binding = tuple((parameter, tuple([names[n] for n in bound])) for parameter, bound in step.binding)
            self.steps.append(ChainStep(step.template, binding))
        for name, rule in launch.kernel.rules:
            number, _, parameter = name.partition(".")
            self.rules.append((f"{int(number) + offset}.{parameter}", rule))

    def _named(self, operand: ChainOperand, launch: Launch) -> str:
        """The name of a chain's operand in the joined chain."""
        value = launch.operands[operand.name]
        for position, known in enumerate(self.operands):
            if self._is(known, operand, value):
                self.operands[position] = _both(known, operand)
                if "r" in operand.kind.access:
                    self.consumed.add(known.name)
                return known.name
        name, number = operand.name, 1
        while name in self.values:
            number += 1
            name = f"{operand.name}_{number}"
        renamed = ChainOperand(name, operand.kind, operand.index, operand.strided, operand.stored)
        self.operands.append(operand if name == operand.name else renamed)
        self.values[name] = value
        if operand.strided:
            self.distances[f"{name}_ld"] = launch.operands[f"{operand.name}_ld"]
        return name

    def _is(self, known: ChainOperand, operand: ChainOperand, value: Any) -> bool:
        """Whether an operand is a known one. Numbers never are: the kernel would depend on their values."""
        mine = self.values[known.name]
        if operand.kind.access and known.kind.access:
            return known.index == operand.index and same_elements(mine, value)
        return operand.kind == known.kind and isinstance(value, Slot) and mine == value


def _both(known: ChainOperand, operand: ChainOperand) -> ChainOperand:
    """The operand of two chains that touch it one after the other; an operand that is first written is not loaded."""
    if not known.kind.access:
        return known
    modes = known.kind.access + operand.kind.access
    access = "w" if known.kind.access == "w" else "".join(mode for mode in "rw" if mode in modes)
    stored = known.stored or "w" in operand.kind.access
    return ChainOperand(known.name, known.kind.touched(access), known.index, known.strided, stored)


def storing(operand: ChainOperand, stored: bool) -> ChainOperand:
    """The operand, with ``stored`` set."""
    if operand.stored == stored:
        return operand
    return ChainOperand(operand.name, operand.kind, operand.index, operand.strided, stored)


def same_elements(a: Any, b: Any) -> bool:
    """Whether two operands are the same elements in the same order."""
    if not (isinstance(a, View) and isinstance(b, View)):
        return a is b
    if a.buffer is not b.buffer or a.offset != b.offset or a.width != b.width:
        return False
    return (a.packed and b.packed) or (a.shape == b.shape and a.strides == b.strides)
