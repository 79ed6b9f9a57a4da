"""Joins elementwise launches to each other, and to the matrix product or the gather in front of them.

A chain of formulas is one loop. Behind a matrix product it is handed each tile while that lies in cache: an activation
follows its layer's product, the mask of a derivative the gradient it multiplies, an optimizer's update the gradient of
its weight (which saves 8 of Adam's 36 bytes a weight). What no other launch reads is never written to memory.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from fastnet._kernels import abi, gathered
from fastnet._kernels.chain import Chain, Operand, Step
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import data
from fastnet.engine.launch import Launch, Product, chain_launch, natural_shape
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View, axes_of, storage

_LONG = 64  # columns


def fuse(plan: Plan) -> None:
    """Join what can be joined."""
    uses = _Uses(plan)
    for consumer in list(plan.launches):
        if not _is_chain(consumer) or consumer not in uses.position:
            continue
        while (producer := _producer(consumer, uses)) is not None:
            at = uses.meeting(producer, consumer)
            joined = _join(producer, consumer, _Later(uses, at, producer, consumer)) if at is not None else None
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


class _Uses:
    """Which launches touch what, and in which order they run; looked up, since a deep network has thousands."""

    def __init__(self, plan: Plan):
        self.rows = plan.rows
        self.position = {launch: at for at, launch in enumerate(plan.launches)}
        self.results = {view.buffer for view in plan.results}
        self.touching: dict[Any, dict[Launch, str]] = {}
        #: where the step ends if the loss is not finite
        self.checks = [at for at, launch in enumerate(plan.launches) if launch.flags & abi.CHECK]
        for launch in plan.launches:
            self._add(launch)

    def _add(self, launch: Launch) -> None:
        for operand, mode in launch.access:
            modes = self.touching.setdefault(storage(operand), {})
            modes[launch] = modes.get(launch, "") + mode

    def of(self, view: Any) -> list[Launch]:
        """The launches that touch a view's memory, in order."""
        return sorted(self.touching[storage(view)], key=self.position.__getitem__)

    def meeting(self, producer: Launch, consumer: Launch) -> Launch | None:
        """The one of two launches in whose place both may stand as one; None where they may not be joined.

        Beside the producer where nothing in between touches what the consumer writes, else where the consumer stands,
        if nothing in between writes what the producer reads. What comes after the look at the loss stays there.
        """
        begin, end = self.position[producer], self.position[consumer]
        crosses = any(begin < at <= end for at in self.checks)
        if not crosses and self.may_move(consumer, producer, consumer):
            return producer
        if not producer.flags and self.may_move(producer, producer, consumer):
            return consumer
        return None

    def may_move(self, launch: Launch, first: Launch, last: Launch) -> bool:
        """Whether no launch between two others writes what this one touches, or touches what this one writes."""
        begin, end = self.position[first], self.position[last]
        for operand, mode in launch.access:
            for other, modes in self.touching[storage(operand)].items():
                if begin < self.position[other] < end and "w" in mode + modes:
                    return False
        return True

    def replace(self, producer: Launch, consumer: Launch, joined: Launch, at: Launch) -> None:
        """Put a launch in the place of two."""
        self.position[joined] = self.position[at]
        for launch in (producer, consumer):
            del self.position[launch]
            for operand, _ in launch.access:
                self.touching[storage(operand)].pop(launch, None)
        self._add(joined)

    def in_order(self) -> list[Launch]:
        """All launches."""
        return sorted(self.position, key=self.position.__getitem__)


@dataclasses.dataclass(frozen=True)
class _Later:
    """What happens after two launches that are joined.

    Attributes:
        at: the one in whose place both stand.
    """

    uses: _Uses
    at: Launch
    producer: Launch
    consumer: Launch

    def needs(self, view: Any) -> bool:
        """Whether what the two write to a view is read by a later launch, or after the step."""
        if not isinstance(view, View) or view.buffer in self.uses.results:
            return True
        position, inside = self.uses.position, (self.producer, self.consumer)
        users = self.uses.touching[view.buffer]
        return any(launch not in inside and position[launch] > position[self.at] for launch in users)


def _producer(consumer: Launch, uses: _Uses) -> Launch | None:
    """The last launch that wrote an operand which a chain reads element by element, if they may be joined."""
    found: Launch | None = None
    for operand in consumer.kernel.template.operands:
        view: Any = consumer.operands.get(operand.name)
        if operand.index != "element" or "r" not in operand.kind.access:
            continue
        before = [u for u in uses.of(view) if uses.position[u] < uses.position[consumer]]
        writers = [u for u in before if "w" in uses.touching[storage(view)][u]]
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
        written = _written(producer)
        fits = elements == producer.kernel.m * producer.kernel.n and any(_same(c, view) for c, _, _ in written)
        return fits and _apart(written, _touched(consumer))
    if _is_gather(producer):
        y = producer.operands["y"]
        fits = math.prod(axes_of(y)[0]) == elements and consumer.kernel.template.form == "flat"
        return fits and _same(y, view) and _apart([(y, "element", "w")], _touched(consumer))
    if not _is_chain(producer) or producer.shape[0] * producer.shape[1] != elements:
        return False
    grids = {launch.shape for launch in (producer, consumer) if launch.kernel.template.form == "grid"}
    return len(grids) < 2 and _apart(_touched(producer), _touched(consumer))


def _written(launch: Launch) -> list[tuple[Any, str, str]]:
    """(operand, index, mode) of what a product and its epilogue touch element by element."""
    own = [(launch.operands["c"], "element", "w")] if launch.operands["c"] is not None else []
    return own if launch.epilogue is None else [*own, *_touched(launch.epilogue)]


def _touched(launch: Launch) -> list[tuple[Any, str, str]]:
    """(operand, index, mode) of a chain."""
    operands = launch.kernel.template.operands
    return [
        (launch.operands[o.name], o.index, o.kind.access)
        for o in operands
        if o.kind.access and o.name in launch.operands
    ]


def _apart(first: Iterable[tuple[Any, str, str]], second: Iterable[tuple[Any, str, str]]) -> bool:
    """Whether what one loop writes is, for the other one, the same element at the same time, or other memory."""
    return all(
        storage(a) is not storage(b) or "w" not in mode + other or (i == j == "element" and _same(a, b))
        for a, i, mode in first
        for b, j, other in second
    )


def _same(a: Any, b: Any) -> bool:
    """Whether two operands are the same elements, each of them in the same order."""
    if not (isinstance(a, View) and isinstance(b, View)):
        return a is b
    if a.buffer is not b.buffer or a.offset != b.offset or a.width != b.width:
        return False
    return (a.packed and b.packed) or (a.shape == b.shape and a.strides == b.strides)


def _join(producer: Launch, consumer: Launch, later: _Later) -> Launch | None:
    if isinstance(producer.kernel, Product):
        return _behind_product(producer, consumer, later)
    if _is_gather(producer):
        return _behind_gather(producer, consumer, later)
    return _joined(producer, consumer, later)


# ---- chains


def _joined(first: Launch, second: Launch, later: _Later) -> Launch:
    """One chain of two."""
    merged = _Merge()
    for launch in (first, second):
        merged.add(launch)
    operands = [_storing(o, _stored(o, merged, later)) for o in merged.operands]
    grids = [launch.shape for launch in (first, second) if launch.kernel.template.form == "grid"]
    chain = Chain(tuple(merged.steps), tuple(operands), "grid" if grids else "flat")
    kernel = Kernel(chain, tuple(merged.rules), second.kernel.dtype)
    access = _access(operands, merged.values)
    joined = chain_launch(kernel, {**merged.values, **merged.distances}, access, grids[0] if grids else second.shape)
    joined.label, joined.phase, joined.period = first.label, first.phase, first.period
    joined.flags = first.flags | second.flags
    return joined


def _stored(operand: Operand, merged: _Merge, later: _Later) -> bool:
    """Whether what a chain writes must be in memory: not where the chain alone reads it."""
    if "w" not in operand.kind.access or not operand.stored:
        return "w" not in operand.kind.access
    return operand.name not in merged.read_later or later.needs(merged.values[operand.name])


def _access(operands: Iterable[Operand], values: dict[str, Any]) -> list[tuple[Any, str]]:
    """What a chain touches in memory."""
    return [
        (values[o.name], (o.kind.access if o.stored else "r") or "r")
        for o in operands
        if (o.kind.access and (o.stored or o.kind.access != "w")) or o.kind.name in ("value", "count")
    ]


class _Merge:
    """The steps and operands of several chains, as those of one: an operand that several have is one.

    Attributes:
        values: name → view, weight, slot or number.
        distances: row distances of views whose rows lie apart.
        read_later: names of operands that a later chain reads.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.rules: list[tuple[str, Any]] = []
        self.operands: list[Operand] = []
        self.values: dict[str, Any] = {}
        self.distances: dict[str, int] = {}
        self.read_later: set[str] = set()

    def add(self, launch: Launch) -> None:
        """Append the steps of a chain."""
        chain, offset = launch.kernel.template, len(self.steps)
        names = {operand.name: self._named(operand, launch) for operand in chain.operands}
        for step in chain.steps:
            binding = tuple((parameter, tuple([names[n] for n in bound])) for parameter, bound in step.binding)
            self.steps.append(Step(step.template, binding))
        for name, rule in launch.kernel.rules:
            number, _, parameter = name.partition(".")
            self.rules.append((f"{int(number) + offset}.{parameter}", rule))

    def _named(self, operand: Operand, launch: Launch) -> str:
        """The name that a chain's operand has from now on."""
        value = launch.operands[operand.name]
        for position, known in enumerate(self.operands):
            if self._is(known, operand, value):
                self.operands[position] = _both(known, operand)
                if "r" in operand.kind.access:
                    self.read_later.add(known.name)
                return known.name
        name, number = operand.name, 1
        while name in self.values:
            number += 1
            name = f"{operand.name}_{number}"
        renamed = Operand(name, operand.kind, operand.index, operand.strided, operand.stored)
        self.operands.append(operand if name == operand.name else renamed)
        self.values[name] = value
        if operand.strided:
            self.distances[f"{name}_ld"] = launch.operands[f"{operand.name}_ld"]
        return name

    def _is(self, known: Operand, operand: Operand, value: Any) -> bool:
        """Whether an operand is one that is known. Numbers never are: a kernel would follow from their values."""
        mine = self.values[known.name]
        if operand.kind.access and known.kind.access:
            return known.index == operand.index and _same(mine, value)
        return operand.kind == known.kind and isinstance(value, Slot) and mine == value


def _both(known: Operand, operand: Operand) -> Operand:
    """An operand as two chains touch it, one after the other: what was written first is not loaded."""
    if not known.kind.access:
        return known
    modes = known.kind.access + operand.kind.access
    access = "w" if known.kind.access == "w" else "".join(mode for mode in "rw" if mode in modes)
    stored = known.stored or "w" in operand.kind.access
    return Operand(known.name, known.kind.touched(access), known.index, known.strided, stored)


def _storing(operand: Operand, stored: bool) -> Operand:
    """An operand that is stored or not."""
    if operand.stored == stored:
        return operand
    return Operand(operand.name, operand.kind, operand.index, operand.strided, stored)


# ---- behind a gather


def _is_gather(launch: Launch) -> bool:
    return getattr(launch.kernel, "template", None) is data.gather


def _behind_gather(producer: Launch, consumer: Launch, later: _Later) -> Launch:
    """A chain whose first operand is fetched from the data."""
    merged, y = _Merge(), producer.operands["y"]
    merged.add(consumer)
    operands = []
    for o in merged.operands:
        if o.index == "element" and o.kind.access and _same(merged.values[o.name], y):
            tile, stored = o.name, later.needs(y) or "w" in o.kind.access
            o = Operand(o.name, o.kind.touched("w"), o.index, o.strided, stored)
        operands.append(o)
    parameters = data.gather.parameters
    source = {f"{gathered.PREFIX}{name}": name for name in gathered.ARGUMENTS}
    operands += [Operand(name, parameters[given], "source") for name, given in source.items()]
    values = {**merged.values, **{name: producer.operands[given] for name, given in source.items()}}
    chain = Chain(tuple(merged.steps), tuple(operands), "gather", tile)
    kernel = Kernel(chain, tuple(merged.rules), consumer.kernel.dtype, functions=producer.kernel.functions)
    shape = natural_shape(y.flat)
    joined = chain_launch(kernel, values, _access(operands, values), shape)
    joined.label, joined.phase, joined.flags = producer.label, producer.phase, producer.flags | consumer.flags
    return joined


# ---- behind a product


def _behind_product(producer: Launch, consumer: Launch, later: _Later) -> Launch | None:
    """A product with a chain as its epilogue; of batches of one, the chain with the product in its loop."""
    product, shape = producer.kernel, (producer.kernel.m, producer.kernel.n)
    if consumer.kernel.template.form == "grid" and consumer.shape != shape:
        return None
    merged = _Merge()
    behind = producer.epilogue
    c = producer.operands["c"] if behind is None else behind.operands[behind.kernel.template.tile]
    for launch in (behind, consumer):
        if launch is not None:
            merged.add(launch)
    tile = next((o for o in merged.operands if o.index == "element" and _same(merged.values[o.name], c)), None)
    needed = later.needs(c)
    if tile is None or tile.strided or (needed and "w" in tile.kind.access):
        return None
    if _is_copy(merged.steps) and not needed and consumer.shape == shape:
        return _in_place(producer, consumer)
    operands = tuple(
        Operand(o.name, o.kind.touched("r"), o.index, o.strided, False)
        if o is tile
        else _storing(o, _stored(o, merged, later))
        for o in merged.operands
    )
    outer = behind is None and _is_outer(producer, later.uses.rows) and not needed
    kernel = Kernel(
        Chain(tuple(merged.steps), operands, "outer" if outer else "tile", tile.name),
        tuple(merged.rules),
        product.dtype,
    )
    access = _access((o for o in operands if o.name != tile.name), merged.values)
    values = {name: value for name, value in merged.values.items() if name != tile.name} | merged.distances
    if outer:
        launch = _outer(producer, kernel, values, access, tile.name)
    else:
        epilogue = chain_launch(kernel, values, access, shape)
        epilogue.operands = {**epilogue.operands, tile.name: c}
        epilogue.cost = max(1, epilogue.cost // abs(shape[1]))
        own = [pair for pair in producer.access[:4] if pair[0] in _factors(producer) or (needed and pair[0] is c)]
        launch = Launch(product, {**producer.operands, "c": c if needed else None}, [*own, *access], epilogue=epilogue)
    launch.flops, launch.label, launch.phase = producer.flops, producer.label, producer.phase
    launch.flags, launch.period = producer.flags | consumer.flags, producer.period
    return launch


def _factors(producer: Launch) -> list[Any]:
    return [producer.operands[name] for name in ("a", "b", "bias") if producer.operands[name] is not None]


def _outer(producer: Launch, kernel: Kernel, values: dict[str, Any], access: list, tile: str) -> Launch:
    """A chain over rows of the product of a column and a row."""
    a, b = producer.operands["a"], producer.operands["b"]
    values = {**values, f"{tile}_of_row": a, f"{tile}_of_column": b}
    shape = (producer.kernel.m, producer.kernel.n)
    launch = chain_launch(kernel, values, [(a, "r"), (b, "r"), *access], shape)
    launch.grain = 1
    return launch


def _is_copy(steps: Iterable[Step]) -> bool:
    return [step.template.name for step in steps] == ["copy"]


def _in_place(producer: Launch, consumer: Launch) -> Launch:
    """A product that writes where its result was copied to."""
    c, target = producer.operands["c"], consumer.operands["y"]
    distance = consumer.operands.get("y_ld", producer.kernel.n)
    access = [(target, "w") if operand is c else (operand, mode) for operand, mode in producer.access]
    operands = {**producer.operands, "c": target, "c_ld": distance}
    return dataclasses.replace(producer, operands=operands, access=access, flags=producer.flags | consumer.flags)


def _is_outer(producer: Launch, rows: int) -> bool:
    """Whether a product is that of a column and a row: a weight's gradient for batches of one.

    Not where the row is short, since its loop would be over before it has filled vectors: 64x4 and Adam take 0.7 µs
    as an outer product, 0.3 as a tile, whose rows the update goes through as one. As epilogues SGD and Adam of 10
    million weights take 5.3 and 12.1 ms on one thread, as outer products 2.0 and 6.1.
    """
    product = producer.kernel
    alone = product.k < 0 and -product.k * rows == 1 and product.n >= _LONG
    return alone and product.transpose_a and not (product.transpose_b or product.relu)
