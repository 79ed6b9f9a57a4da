"""Joins an elementwise launch to the matrix product whose result it alone reads.

The product then hands over each tile while it lies in cache, and its result is never written to memory: an activation
follows its layer's product, the mask of a derivative the gradient it multiplies, an optimizer's update the gradient of
its weight (which saves 8 of Adam's 36 bytes a weight).
"""

from __future__ import annotations

import dataclasses

from fastnet._kernels.templates import elementwise
from fastnet.engine.plan import Buffer, Launch, Plan, Product

_TILE = {  # template: the parameter a tile can stand for
    elementwise.forward: "x",
    elementwise.backward: "dy",
    elementwise.update_weights: "g",
}


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
        joined = _join(producer, consumer)
        # Beside the product where nothing in between touches what the consumer writes, else where the consumer stood.
        between = plan.launches[found + 1 : place]
        early = not _conflict(consumer, between)
        plan.launches[place : place + 1] = [] if early else [joined]
        plan.launches[found : found + 1] = [joined] if early else []
        place += early


def _producer(plan: Plan, place: int) -> int | None:
    """The product whose result the launch at ``place`` reads, if no other launch does."""
    consumer = plan.launches[place]
    template = getattr(consumer.kernel, "template", None)
    tile = _TILE.get(template) if template is not None else None
    if tile is None:
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


def _join(producer: Launch, consumer: Launch) -> Launch:
    tile = _TILE[consumer.kernel.template]
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
