"""Chains behind a matrix product, as its epilogue, and behind a gather."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from fastnet._kernels import gathered
from fastnet._kernels.chain import Chain, ChainOperand, ChainStep
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import data
from fastnet.engine.elements import chain_launch, natural_shape
from fastnet.engine.launch import Launch
from fastnet.engine.merge import ChainMerge, Liveness, access_of, is_stored, same_elements, storing

_LONG = 64  # columns


def is_gather(launch: Launch) -> bool:
    """Whether a launch fetches rows of contiguous data."""
    return getattr(launch.kernel, "template", None) is data.gather


def behind_gather(producer: Launch, consumer: Launch, liveness: Liveness) -> Launch:
    """A chain whose first operand is fetched from the data."""
    merged, y = ChainMerge(), producer.operands["y"]
    merged.add(consumer)
    operands = []
    for o in merged.operands:
        if o.index == "element" and o.kind.access and same_elements(merged.values[o.name], y):
            tile, stored = o.name, liveness.is_live(y) or "w" in o.kind.access
            o = ChainOperand(o.name, o.kind.touched("w"), o.index, o.strided, stored)
        operands.append(o)
    parameters = data.gather.parameters
    source = {f"{gathered.PREFIX}{name}": name for name in gathered.ARGUMENTS}
    operands += [ChainOperand(name, parameters[given], "source") for name, given in source.items()]
    values = {**merged.values, **{name: producer.operands[given] for name, given in source.items()}}
    chain = Chain(tuple(merged.steps), tuple(operands), "gather", tile)
    kernel = Kernel(chain, tuple(merged.rules), consumer.kernel.dtype, functions=producer.kernel.functions)
    shape = natural_shape(y.flat)
    joined = chain_launch(kernel, values, access_of(operands, values), shape)
    joined.label, joined.phase, joined.flags = producer.label, producer.phase, producer.flags | consumer.flags
    return joined


def behind_product(producer: Launch, consumer: Launch, liveness: Liveness) -> Launch | None:
    """A product with a chain as its epilogue; for batches of one, the chain with the product in its loop."""
    product, shape = producer.kernel, (producer.kernel.m, producer.kernel.n)
    if consumer.kernel.template.form == "grid" and consumer.shape != shape:
        return None
    if not product.takes_chain:
        return None
    merged = ChainMerge()
    behind = producer.epilogue
    c = producer.operands["c"] if behind is None else behind.operands[behind.kernel.template.tile]
    for launch in (behind, consumer):
        if launch is not None:
            merged.add(launch)
    tile = next((o for o in merged.operands if o.index == "element" and same_elements(merged.values[o.name], c)), None)
    needed = liveness.is_live(c)
    if tile is None or tile.strided or (needed and "w" in tile.kind.access):
        return None
    if _is_copy(merged.steps) and not needed and consumer.shape == shape:
        return _without_copy(producer, consumer)
    operands = tuple(
        ChainOperand(o.name, o.kind.touched("r"), o.index, o.strided, False)
        if o is tile
        else storing(o, is_stored(o, merged, liveness))
        for o in merged.operands
    )
    outer = behind is None and _is_outer(producer, liveness.uses.rows) and not needed
    kernel = Kernel(
        Chain(tuple(merged.steps), operands, "outer" if outer else "tile", tile.name),
        tuple(merged.rules),
        product.dtype,
    )
    access = access_of((o for o in operands if o.name != tile.name), merged.values)
    values = {name: value for name, value in merged.values.items() if name != tile.name} | merged.distances
    if outer:
        launch = _outer(producer, kernel, values, access, tile.name)
    else:
        epilogue = chain_launch(kernel, values, access, shape)
        epilogue.operands = {**epilogue.operands, tile.name: c}
        epilogue.cost = max(1, epilogue.cost // abs(shape[1]))
        operands_read = list(map(id, [*factors_of(producer), *([c] if needed else [])]))
        product_access = [pair for pair in producer.access[:4] if id(pair[0]) in operands_read]
        launch = Launch(
            product, {**producer.operands, "c": c if needed else None}, [*product_access, *access], epilogue=epilogue
        )
    launch.flops, launch.label, launch.phase = producer.flops, producer.label, producer.phase
    launch.flags, launch.period = producer.flags | consumer.flags, producer.period
    return launch


def factors_of(producer: Launch) -> list[Any]:
    """The operands that a product reads, not element by element: a chain behind it may not write to them."""
    return [producer.operands[name] for name in ("a", "b", "bias") if producer.operands[name] is not None]


def _outer(producer: Launch, kernel: Kernel, values: dict[str, Any], access: list, tile: str) -> Launch:
    """A chain over rows of the product of a column and a row."""
    a, b = producer.operands["a"], producer.operands["b"]
    values = {**values, f"{tile}_of_row": a, f"{tile}_of_column": b}
    shape = (producer.kernel.m, producer.kernel.n)
    launch = chain_launch(kernel, values, [(a, "r"), (b, "r"), *access], shape)
    launch.grain = 1
    return launch


def _is_copy(steps: Iterable[ChainStep]) -> bool:
    return [step.template.name for step in steps] == ["copy"]


def _without_copy(producer: Launch, consumer: Launch) -> Launch:
    """A product that writes to the view to which its result was copied."""
    c, target = producer.operands["c"], consumer.operands["y"]
    distance = consumer.operands.get("y_ld", producer.kernel.n)
    access = [(target, "w") if operand is c else (operand, mode) for operand, mode in producer.access]
    operands = {**producer.operands, "c": target, "c_ld": distance}
    return dataclasses.replace(producer, operands=operands, access=access, flags=producer.flags | consumer.flags)


def _is_outer(producer: Launch, rows: int) -> bool:
    """Whether a product is that of a column and a row: a weight's gradient for batches of one.

    False if the row is short, since its loop would end before it has filled vectors: 64x4 and Adam take 0.7 µs as an
    outer product, and 0.3 as a tile, through which the update goes in one loop. As epilogues SGD and Adam of 10
    million weights take 5.3 and 12.1 ms on one thread, as outer products 2.0 and 6.1.
    """
    product = producer.kernel
    alone = product.k < 0 and -product.k * rows == 1 and product.n >= _LONG and product.window is None
    return alone and product.transpose_a and not (product.transpose_b or product.relu)
