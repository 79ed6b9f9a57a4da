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
    place = 0
    while place < len(plan.launches):
        consumer = plan.launches[place]
        found = _producer(plan, place)
        if found is None:
            place += 1
            continue
        producer = plan.launches[found]
        joined = _join_outer(producer, consumer) if _is_outer(producer, plan) else _join(producer, consumer)
        # Beside the product where nothing in between touches what the consumer writes, else where the consumer stood.
        between = plan.launches[found + 1 : place]
        early = not _conflict(consumer, between)
        plan.launches[place : place + 1] = [] if early else [joined]
        plan.launches[found : found + 1] = [joined] if early else []
        place += early


def _producer(plan: Plan, place: int) -> int | None:
    """The product whose result the launch at ``place`` reads, if no other launch does."""
    consumer = plan.launches[place]
    tile = _tile(consumer)
    if tile is None or consumer.period > 1:  # in other steps nothing would take the product's result
        return None
    buffer = consumer.arguments[[name for name, _ in consumer.kernel.parameters()].index(tile)]
    if not isinstance(buffer, Buffer) or buffer.root is not None:
        return None
    users = [
        i
        for i, launch in enumerate(plan.launches)
        if any(isinstance(b, Buffer) and b.storage is buffer for b, _ in launch.access)
    ]
    if len(users) != 2 or users[1] != place:
        return None
    producer = plan.launches[users[0]]
    if not isinstance(producer.kernel, Product) or producer.epilogue is not None:
        return None
    return users[0] if producer.arguments[2] is buffer and producer.kernel.dtype == consumer.kernel.dtype else None


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
    return alone and product.transpose_a and not (product.transpose_b or product.bias or product.relu)


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


def _conflict(consumer: Launch, between: list[Launch]) -> bool:
    written = {id(_storage(operand)) for operand, mode in consumer.access if "w" in mode}
    read = {id(_storage(operand)) for operand, _ in consumer.access}
    for launch in between:
        for operand, mode in launch.access:
            if id(_storage(operand)) in written or ("w" in mode and id(_storage(operand)) in read):
                return True
    return False


def _storage(operand: object) -> object:
    return operand.storage if isinstance(operand, Buffer) else operand
