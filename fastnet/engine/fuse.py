"""Joins an elementwise launch to the matrix product whose result it alone reads.

The product then hands over each tile while it lies in cache, and its result is never written to memory: an activation
follows its layer's product, the mask of a derivative the gradient it multiplies, an optimizer's update the gradient of
its weight (which saves 8 of Adam's 36 bytes a weight). For batches of one that gradient is a column times a row, and
the update computes it by itself.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fastnet._kernels.templates import elementwise
from fastnet.engine.plan import ROWS, Buffer, Extent, Launch, Plan, Product

_LONG = 64  # elements
_TILE = {elementwise.forward: "x", elementwise.backward: "dy"}  # template: the parameter a tile can stand for


def fuse(plan: Plan) -> None:
    """Join what can be joined."""
    uses = _Uses(plan.launches)
    for consumer in plan.launches:
        producer = _producer(consumer, uses)
        if producer is None:
            continue
        # Beside the product where nothing in between touches what the consumer writes, else where the consumer stood,
        # if nothing in between writes what the product reads.
        if uses.may_move(consumer, producer, consumer):
            at = producer
        elif uses.may_move(producer, producer, consumer):
            at = consumer
        else:
            continue
        join = _join_outer if _is_outer(producer, plan) else _join
        uses.replace(producer, consumer, join(producer, consumer), at)
    plan.launches[:] = uses.in_order()


class _Uses:
    """Which launches touch what, and in which order they run; looked up, since a deep network has thousands."""

    def __init__(self, launches: list[Launch]):
        self.place = {launch: at for at, launch in enumerate(launches)}
        self.touching: dict[Any, dict[Launch, str]] = {}
        for launch in launches:
            self._add(launch)

    def _add(self, launch: Launch) -> None:
        for operand, mode in launch.access:
            modes = self.touching.setdefault(_storage(operand), {})
            modes[launch] = modes.get(launch, "") + mode

    def of(self, buffer: Buffer) -> list[Launch]:
        """The launches that touch a buffer, in order."""
        return sorted(self.touching[_storage(buffer)], key=self.place.__getitem__)

    def may_move(self, launch: Launch, first: Launch, last: Launch) -> bool:
        """Whether no launch between two others writes what this one touches, or touches what this one writes."""
        for operand, mode in launch.access:
            for other, modes in self.touching[_storage(operand)].items():
                if self.place[first] < self.place[other] < self.place[last] and "w" in mode + modes:
                    return False
        return True

    def replace(self, producer: Launch, consumer: Launch, joined: Launch, at: Launch) -> None:
        """Put a launch in place of two."""
        self.place[joined] = self.place[at]
        for launch in (producer, consumer):
            del self.place[launch]
            for operand, _ in launch.access:
                self.touching[_storage(operand)].pop(launch, None)
        self._add(joined)

    def in_order(self) -> list[Launch]:
        """All launches."""
        return sorted(self.place, key=self.place.__getitem__)


def _producer(consumer: Launch, uses: _Uses) -> Launch | None:
    """The product whose result a launch reads, if no other launch does."""
    tile = _tile(consumer)
    if tile is None or consumer.period > 1:  # in other steps nothing would take the product's result
        return None
    buffer = consumer.arguments[[name for name, _ in consumer.kernel.parameters()].index(tile)]
    if not isinstance(buffer, Buffer) or buffer.root is not None:
        return None
    users = uses.of(buffer)
    if len(users) != 2 or users[1] is not consumer:
        return None
    producer = users[0]
    if not isinstance(producer.kernel, Product) or producer.epilogue is not None:
        return None
    return producer if producer.arguments[2] is buffer and producer.kernel.dtype == consumer.kernel.dtype else None


def _tile(consumer: Launch) -> str | None:
    """The parameter of an elementwise kernel that a tile can stand for."""
    template: Any = getattr(consumer.kernel, "template", None)
    return template.tile if isinstance(template, elementwise.UpdateTemplate) else _TILE.get(template)


def _join(producer: Launch, consumer: Launch) -> Launch:
    tile = _tile(consumer)
    names = [name for name, _ in consumer.kernel.parameters()]
    at = names.index(tile)
    buffer = consumer.arguments[at]
    epilogue = dataclasses.replace(
        consumer,
        kernel=dataclasses.replace(consumer.kernel, tile=tile),
        arguments=(*consumer.arguments[:at], *consumer.arguments[at + 1 :]),
    )
    access = [(operand, mode) for operand, mode in (*producer.access, *consumer.access) if operand is not buffer]
    a, b, _, bias = producer.arguments
    return dataclasses.replace(
        producer,
        arguments=(a, b, None, bias),
        access=tuple(access),
        flags=producer.flags | consumer.flags,
        epilogue=epilogue,
    )


def _is_outer(producer: Launch, plan: Plan) -> bool:
    """Whether a product is that of a column and a row: a weight's gradient for batches of one.

    Not where the row is short, since its loop would be over before it has filled vectors: 64x4 and Adam take 0.7 µs
    as an outer product, 0.3 as a tile, whose rows the update goes through as one.
    """
    product = producer.kernel
    alone = product.k == ROWS and product.inner * plan.typical_rows == 1 and product.n >= _LONG
    return alone and product.transpose_a and not (product.transpose_b or product.relu)


def _join_outer(producer: Launch, consumer: Launch) -> Launch:
    """The consumer with the product in its loop: whole rows of the weight go by as a stream, where a tile's are short.

    10 million weights on one thread: SGD 2.0 ms and Adam 6.1, as epilogues 5.3 and 12.1.
    """
    tile = _tile(consumer)
    at = [name for name, _ in consumer.kernel.parameters()].index(tile)
    a, b, c, _ = producer.arguments
    rows, width = producer.kernel.m, producer.kernel.n
    access = [*producer.access, *consumer.access]
    return dataclasses.replace(
        consumer,
        kernel=dataclasses.replace(consumer.kernel, tile=tile, outer=True),
        arguments=(*consumer.arguments[:at], a, b, *consumer.arguments[at + 1 :], width),
        access=tuple((operand, mode) for operand, mode in access if operand is not c),
        extent=Extent(fixed=rows),
        grain=1,
        cost=consumer.cost * width,
        label=producer.label,
        phase=producer.phase,
        flops=producer.flops,
        flags=producer.flags | consumer.flags,
    )


def _storage(operand: Any) -> Any:
    return operand.storage if isinstance(operand, Buffer) else operand
