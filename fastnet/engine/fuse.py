"""Joins elementwise launches to each other, and to the matrix product or the gather in front of them.

A chain of formulas is one loop. Behind a matrix product it gets each tile while the tile lies in cache: an activation
follows its layer's product, the mask of a derivative follows the gradient that it multiplies, and an optimizer's update
follows the gradient of its weight (which saves 8 of Adam's 36 bytes a weight). A result that no other launch reads is
not written to memory.
"""

from __future__ import annotations

import math
from typing import Any

from fastnet._kernels import abi
from fastnet._kernels.chain import Chain
from fastnet.engine.fuse_behind import behind_gather, behind_product, factors_of, is_gather
from fastnet.engine.launch import Launch, Product
from fastnet.engine.merge import Liveness, joined_chain, same_elements
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View, axes_of, storage


def fuse(plan: Plan) -> None:
    """Join the launches of a plan where possible.

    Args:
        plan: gets fewer launches, and loses the views that only one loop reads, except ``plan.results``.

    Example:
        >>> plan = extend.Plan(training=False, dtype="float32")
        >>> y = plan.apply(layers.Dense(2, activation="tanh"), plan.buffer((3,)))
        >>> plan.results.append(y)
        >>> before = len(plan.launches)
        >>> extend.fuse(plan)
        >>> before, len(plan.launches)
        (2, 1)
    """
    uses = Uses(plan)
    for consumer in list(plan.launches):
        if not _is_chain(consumer) or consumer not in uses.position:
            continue
        while (producer := _producer(consumer, uses)) is not None:
            at = uses.meeting(producer, consumer)
            joined = _join(producer, consumer, Liveness(uses, at, producer, consumer)) if at is not None else None
            if at is None or joined is None:
                break
            uses.replace(producer, consumer, joined, at)
            consumer = joined
            if not _is_chain(joined):
                break
    plan.launches[:] = uses.in_order()


def _is_chain(launch: Launch) -> bool:
    template = getattr(launch.kernel, "template", None)
    return isinstance(template, Chain) and template.form in ("flat", "grid")


class Uses:
    """The launches that touch each operand, and their order; tables, since a deep network has thousands of launches."""

    def __init__(self, plan: Plan):
        self.rows = plan.rows
        self.position = {launch: at for at, launch in enumerate(plan.launches)}
        self.results = {view.buffer for view in plan.results}
        self.touching: dict[Any, dict[Launch, str]] = {}
        self.writing: dict[Any, dict[Launch, None]] = {}  # those of them that write: one, where all updates read a rate
        #: positions at which the step ends if the loss is not finite
        self.checks = [at for at, launch in enumerate(plan.launches) if launch.flags & abi.CHECK]
        for launch in plan.launches:
            self._add(launch)

    def _add(self, launch: Launch) -> None:
        for operand, mode in launch.access:
            modes = self.touching.setdefault(storage(operand), {})
            modes[launch] = modes.get(launch, "") + mode
            writers = self.writing.setdefault(storage(operand), {})
            if "w" in mode:
                writers[launch] = None

    def of(self, view: Any) -> list[Launch]:
        """The launches that touch a view's memory, in order."""
        return sorted(self.touching[storage(view)], key=self.position.__getitem__)

    def meeting(self, producer: Launch, consumer: Launch) -> Launch | None:
        """The one of two launches whose position their join may take; None if they may not be joined.

        This is the producer if no launch in between conflicts with the consumer, otherwise the consumer if none
        conflicts with the producer. Launches after the check of the loss stay after it, and launches before it that
        change weights or slots stay before it.
        """
        begin, end = self.position[producer], self.position[consumer]
        crosses = any(begin < at <= end for at in self.checks)
        if not crosses and self.may_move(consumer, producer, consumer):
            return producer
        lasts = any("w" in mode and not isinstance(operand, View) for operand, mode in producer.access)
        if not producer.flags and not (crosses and lasts) and self.may_move(producer, producer, consumer):
            return consumer
        return None

    def may_move(self, launch: Launch, first: Launch, last: Launch) -> bool:
        """Whether no launch between two others writes what this one touches, or touches what this one writes."""
        begin, end = self.position[first], self.position[last]
        for operand, mode in launch.access:
            for other in (self.touching if "w" in mode else self.writing)[storage(operand)]:
                if begin < self.position[other] < end:
                    return False
        return True

    def replace(self, producer: Launch, consumer: Launch, joined: Launch, at: Launch) -> None:
        """Replace two launches by one."""
        self.position[joined] = self.position[at]
        for launch in (producer, consumer):
            del self.position[launch]
            for operand, _ in launch.access:
                self.touching[storage(operand)].pop(launch, None)
                self.writing[storage(operand)].pop(launch, None)
        self._add(joined)

    def in_order(self) -> list[Launch]:
        """All launches."""
        return sorted(self.position, key=self.position.__getitem__)


def _producer(consumer: Launch, uses: Uses) -> Launch | None:
    """The last launch that wrote an operand that a chain reads element by element, if they may be joined."""
    found: Launch | None = None
    for operand in consumer.kernel.template.operands:
        view: Any = consumer.operands.get(operand.name)
        if operand.index != "element" or "r" not in operand.kind.access:
            continue
        earlier = [u for u in uses.of(view) if uses.position[u] < uses.position[consumer]]
        writers = [u for u in earlier if "w" in uses.touching[storage(view)][u]]
        if not writers or not _joins(writers[-1], consumer, view):
            continue
        if found is None or uses.position[writers[-1]] > uses.position[found]:
            found = writers[-1]
    return found


def _joins(producer: Launch, consumer: Launch, view: View | Variable) -> bool:
    """Whether a consumer may follow the launch that wrote an operand it reads, element by element."""
    if producer.period != consumer.period or producer.kernel.dtype != consumer.kernel.dtype:
        return False
    elements = consumer.shape[0] * consumer.shape[1]
    if isinstance(producer.kernel, Product):
        given = _given(producer)
        fits = elements == producer.kernel.m * producer.kernel.n and any(same_elements(c, view) for c, _, _ in given)
        factors = [(operand, "factor", "r") for operand in factors_of(producer)]
        return fits and _disjoint_or_aligned([*given, *factors], _touched(consumer))
    if is_gather(producer):
        y = producer.operands["y"]
        fits = math.prod(axes_of(y)[0]) == elements and consumer.kernel.template.form == "flat"
        return fits and same_elements(y, view) and _disjoint_or_aligned([(y, "element", "w")], _touched(consumer))
    if not _is_chain(producer) or producer.shape[0] * producer.shape[1] != elements:
        return False
    grids = {launch.shape for launch in (producer, consumer) if launch.kernel.template.form == "grid"}
    return len(grids) < 2 and _disjoint_or_aligned(_touched(producer), _touched(consumer))


def _given(launch: Launch) -> list[tuple[Any, str, str]]:
    """(operand, index, mode) of the operands that a product and its epilogue touch element by element."""
    result = [(launch.operands["c"], "element", "w")] if launch.operands["c"] is not None else []
    return result if launch.epilogue is None else [*result, *_touched(launch.epilogue)]


def _touched(launch: Launch) -> list[tuple[Any, str, str]]:
    """(operand, index, mode) of a chain."""
    operands = launch.kernel.template.operands
    return [
        (launch.operands[o.name], o.index, o.kind.access)
        for o in operands
        if o.kind.access and o.name in launch.operands
    ]


def _disjoint_or_aligned(first: list[tuple[Any, str, str]], second: list[tuple[Any, str, str]]) -> bool:
    """Whether elements that one loop writes are the same ones at the same time in the other loop, or other memory."""
    if {storage(a) for a, _, _ in first}.isdisjoint([storage(b) for b, _, _ in second]):
        return True
    return all(
        storage(a) is not storage(b) or "w" not in mode + other or (i == j == "element" and same_elements(a, b))
        for a, i, mode in first
        for b, j, other in second
    )


def _join(producer: Launch, consumer: Launch, liveness: Liveness) -> Launch | None:
    if isinstance(producer.kernel, Product):
        return behind_product(producer, consumer, liveness)
    if is_gather(producer):
        return behind_gather(producer, consumer, liveness)
    return joined_chain(producer, consumer, liveness)
