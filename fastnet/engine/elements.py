"""Launches of formulas: loops over elements, and sums over rows."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastnet._kernels.chain import Chain, ChainOperand, ChainStep
from fastnet._kernels.chunks import CHUNK_ELEMENTS, CHUNK_ROWS, LANES
from fastnet._kernels.generate import Kernel
from fastnet._kernels.kinds import Kind
from fastnet._kernels.template import Template
from fastnet._kernels.templates import folds
from fastnet.engine.call import Call, as_text
from fastnet.engine.launch import Launch
from fastnet.engine.sizes import Extent, chunks, extent_of, size_at
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View, axes_of, collapsed, describe

if TYPE_CHECKING:
    from fastnet.engine.plan import Plan

ELEMENT_GRAIN, ROW_GRAIN = 64, 16


def chain_launch(
    kernel: Kernel, operands: Mapping[str, Any], access: Sequence[tuple[Any, str]], shape: tuple[int, int]
):
    """The launch of a chain over elements of a shape (rows, columns)."""
    chain = kernel.template
    calls = 2 * len(kernel.rules) + sum(bool(o.kind.access) for o in chain.operands)
    flat = chain.form == "flat"
    operands = {**operands, "row_count": shape[0], "column_count": shape[1]}
    extent, grain = extent_of(shape[0] * shape[1] if flat else shape[0]), ELEMENT_GRAIN if flat else ROW_GRAIN
    cost = max(1, calls * (1 if flat else shape[1]))
    return Launch(kernel, operands, access, extent, grain, cost, shape=shape)


def elementwise_launch(template: Any, operands: Mapping[str, Any]) -> Launch:
    """The launch of a formula."""
    return _chain_launch(Call(template, operands), "flat")


def _chain_launch(call: Call, form: str) -> Launch:
    """The launch of one elementwise template: a chain of one step."""
    rows, columns, strided = _element_shape(call)
    grid = bool(strided) or any(_index(call.parameters, name) in ("row", "column") for name, _, _ in call.views)
    sizes = tuple([name for name, kind in call.parameters.items() if kind.name == "size" and name in call.operands])
    kernel = _chain_kernel(
        call.template, tuple(call.rules), tuple(call.counts), tuple(call.absent), sizes, tuple(strided),
        "grid" if grid and form == "flat" else form, call.dtype(None),
    )  # fmt: skip
    launch = chain_launch(kernel, call.operands, call.access, (rows, columns))
    launch.operands = {**launch.operands, **{f"{name}_ld": ld for name, ld in strided.items()}}
    return launch


@functools.cache
def _chain_kernel(
    template: Template, rules: tuple, counts: tuple, absent: tuple[str, ...], sizes: tuple[str, ...],
    strided: tuple[str, ...], form: str, dtype: str,
) -> Kernel:  # fmt: skip
    """The kernel of a chain of one step."""
    parameters, many = template.parameters, dict(counts)
    operands, binding = [], []
    for name, kind in parameters.items():
        if kind.name in ("rule", "function") or (kind.name == "size" and name not in sizes):
            continue
        names = [f"{name}_{i}" for i in range(many[name])] if kind.several else [name]
        names = [] if name in absent else names
        binding.append((name, tuple(names)))
        one = kind.one if kind.several else kind
        operands += [ChainOperand(n, one, _index(parameters, n) if one.access else "", n in strided) for n in names]
    chain = Chain((ChainStep(template, tuple(binding)),), tuple(operands), form)
    return Kernel(chain, tuple((f"0.{name}", rule) for name, rule in rules), dtype)


def _index(parameters: Mapping[str, Kind], name: str) -> str:
    """The index of a view: element, row, column or total, as its kind says."""
    kind = parameters.get(name) or parameters[name.rpartition("_")[0]]
    return kind.dims[0] if kind.dims else "element"


def _element_shape(call: Call) -> tuple[int, int, dict[str, int]]:
    """(rows, columns, row distances of the operands whose rows lie apart) of an elementwise template's operands."""
    found: dict[str, list[tuple[str, Any]]] = {"element": [], "row": [], "column": [], "total": []}
    for name, operand, _ in call.views:
        if not isinstance(operand, Slot):
            found[_index(call.parameters, name)].append((name, operand))
    if not found["element"]:
        raise call.error("it has no operand that says how many elements there are")
    first = found["element"][0][1]
    rows, columns = natural_shape(first)
    total = rows * columns
    if found["column"]:
        columns = _size_of(found["column"][0][1])
        rows = total // columns
    elif found["row"]:
        rows = _size_of(found["row"][0][1])
        columns = total // rows
    for name, operand in (found["column"] or found["row"])[:1]:
        axes = [axes_of(operand)[0] for _, operand in found["element"]]
        if columns not in {math.prod(sizes[axis:]) for sizes in axes for axis in range(len(sizes) + 1)}:
            raise ValueError(
                f"The template {call.template.name!r}: {name} {describe(operand)} has {as_text(_size_of(operand))} "
                f"elements, but {describe(first)} has no axes of which these are the "
                f"{'last' if found['column'] else 'first'} ones."
            )
    strided = {}
    for index, wanted in (("element", total), ("row", rows), ("column", columns)):
        for name, operand in found[index]:
            size = _size_of(operand)
            if size != wanted:
                raise ValueError(
                    f"The template {call.template.name!r}: {name} {describe(operand)} has {as_text(size)} elements, "
                    f"but {'another operand' if index == 'element' else f'the {index}'} of {describe(first)} has "
                    f"{as_text(wanted)}."
                )
            try:
                collapsed(operand, 1)
            except ValueError:
                strided[name] = _row_distance(call, name, operand, columns)
    return rows, columns, strided


def natural_shape(operand: View | Variable) -> tuple[int, int]:
    """(rows, columns) of an operand: its last axis has the columns, unless it is the batch."""
    sizes, _ = axes_of(operand)
    if not sizes or sizes[-1] < 0:
        return math.prod(sizes), 1
    return math.prod(sizes[:-1]), sizes[-1]


def _size_of(operand: View | Variable) -> int:
    """The number of elements of an operand; for sums of chunks, of one chunk."""
    if isinstance(operand, View) and (operand.buffer.entries.unit > 1 or operand.buffer.entries.fixed > 1):
        return operand.width
    return math.prod(axes_of(operand)[0])


def _row_distance(call: Call, name: str, operand: View, columns: int) -> int:
    try:
        (_, width), distance = collapsed(operand, 2)
    except ValueError as error:
        raise ValueError(f"The template {call.template.name!r}: {name} {describe(operand)}: {error}.") from None
    if width != columns or _index(call.parameters, name) != "element":
        raise ValueError(f"The template {call.template.name!r}: the elements of {name} {describe(operand)} lie apart.")
    return distance


# ---- sums over rows


def fold(plan: Plan, template: Any, operands: Mapping[str, Any], period: int, flags: int) -> Launch:
    """Append a fold: the sums of chunks, and if there are several, the launch that adds them in order."""
    call = Call(template, operands)
    rows, columns, _ = _element_shape(call)
    sums = {name: operand for name, operand, mode in call.views if "w" in mode}
    if template.sums_all:
        entries = chunk_entries(rows * columns, CHUNK_ELEMENTS)
        for name, total in sums.items():
            _check_total(template, name, total, entries)
        launch = _chain_launch(call, "fold")
        launch.extent, launch.grain = entries, 1
        launch.cost *= max(1, CHUNK_ELEMENTS // max(1, columns))
        return plan.append(launch, period, flags)
    if columns < 0:
        total, view = next(iter(sums.items()))
        raise ValueError(
            f"The template {template.name!r}: {total!r} must have one number for each column, without the rows of the "
            f"batch, received {describe(view)}: make it with plan.buffer(shape, per_row=False)."
        )
    chunk_sums = sums_of_chunks(plan, sums, columns, rows)
    if chunk_sums is not sums:
        call = Call(template, {**operands, **chunk_sums})
    launch = _chain_launch(call, "fold")
    launch.extent, launch.grain = chunk_entries(rows, CHUNK_ROWS) * -(-columns // LANES), 1
    launch.cost = max(1, launch.cost * min(CHUNK_ROWS, size_at(rows, plan.rows)) // max(1, -(-columns // LANES)))
    plan.append(launch, period, flags)
    add_chunks(plan, chunk_sums, sums, rows, period=period, flags=flags)
    return launch


def sums_of_chunks(plan: Plan, sums: Mapping[str, View], columns: int, rows: int) -> Mapping[str, View]:
    """The views for the sums of chunks of rows; those for the sums of all rows where these are one chunk."""
    if size_at(rows, plan.rows) <= CHUNK_ROWS:
        return sums
    return {name: View.of((columns,), total.dtype, chunk_entries(rows, CHUNK_ROWS)) for name, total in sums.items()}


def add_chunks(plan: Plan, chunk_sums: Mapping[str, View], sums: Mapping[str, View], rows: int, **how: int) -> None:
    """Add the launches that add the sums of chunks in order, if there are several."""
    for name, total in sums.items() if chunk_sums is not sums else ():
        plan.call(folds.add_chunks, chunk_sums=chunk_sums[name], total=total, count=rows, **how)


def _check_total(template: Any, name: str, total: Any, entries: Extent) -> None:
    """Check the memory for the sums of so many chunks."""
    if not isinstance(total, View) or (total.buffer.entries, total.width) != (entries, 1):
        raise ValueError(
            f"The template {template.name!r}: {name!r} must have a number for each of {entries} chunks of elements, "
            f"received {describe(total)}: call it with plan.sums, or make it with plan.chunk_sums(count)."
        )


def chunk_entries(size: int, unit: int) -> Extent:
    """The number of chunks of ``unit`` in a size."""
    length = chunks(extent_of(size) if size < 0 else size, unit)
    return length if isinstance(length, Extent) else extent_of(length)
