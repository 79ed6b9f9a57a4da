"""Loops of formulas in a plan: their operands, and where results are written."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from fastnet._kernels.templates import elementwise
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.symbolic.array import SymbolicArray
from fastnet.symbolic.formulas import Formula
from fastnet.symbolic.gradient import Parts
from fastnet.symbolic.order import ordered
from fastnet.symbolic.rows import CONSTANT, ELEMENT, PARTS, ROW, Lowered, element_rule, is_same, level_of, row_shapes
from fastnet.symbolic.slices import SLICE


def launch(plan: Plan, lowered: Lowered, given: Mapping[int, View | None], results: Sequence[View], dtype: str) -> None:
    """Add the launch of a loop.

    Args:
        plan: gets it.
        lowered: the loop.
        given: the views of arguments, by the ids of these.
        results: where the results are written.
        dtype: of constants.
    """
    kinds = dict(lowered.program.operands)
    operands = {name: _operand(x, given, dtype) for name, x in lowered.operands.items()}
    operands |= dict(zip(lowered.results, results, strict=True))
    present = {name: _as_kind(view, kinds[name]) for name, view in operands.items() if view is not None}
    sizes = {"one": 1} if len(present) < len(operands) else {}  # which follows from no operand
    plan.call(lowered.program, **lowered.program.rules(), **present, **sizes)


def launch_elements(
    plan: Plan, name: str, root: SymbolicArray, result: View, given: Mapping[int, Any], leaves: Container[int]
) -> bool:
    """Add the launch of a formula of elements, which joins with others (`fuse`); whether it is one.

    Args:
        plan: gets it.
        name: of the rule.
        root: the formula.
        result: where it is written.
        given: the views and weights of leaves, by the ids of these.
        leaves: ids of results of other formulas.
    """
    nodes = ordered([root], leaves=leaves)
    used = {id(x) for node in nodes if _reads(node, leaves) for x in node.inputs} | {id(root)}
    nodes = [x for x in nodes if id(x) in used]  # not those of which only parts are read
    axes = max([2, *(x.ndim for x in nodes if x.per_row)])
    if root.ndim != axes or len(row_shapes(nodes, axes)) > 1 or level_of(root, axes) != ELEMENT:
        return False
    names: dict[int, str] = {}
    operands: dict[str, list[Any]] = {"x": [], "r": [], "c": []}
    for x in nodes:
        level = level_of(x, axes)
        if not (x.operation is None or x.operation in PARTS or id(x) in leaves):
            if isinstance(x.operation, Formula) or is_same(x):
                continue
            return False
        if level == CONSTANT and x.value is not None:
            continue
        if level == CONSTANT or (level == ELEMENT and x.shape[-1] != root.shape[-1]):
            return False
        kind = "r" if level == ROW else "x" if x.per_row else "c"
        names[id(x)] = f"{kind}{len(operands[kind])}"
        operands[kind].append(_operand(x, given, result.dtype))
    in_order = {key: names[key] for key in sorted(names, key=lambda key: "xrc".index(names[key][0]))}  # x10 behind x9
    plan.call(elementwise.formula, f=element_rule(name, root, in_order), **operands, y=result)
    return True


def _reads(x: SymbolicArray, leaves: Container[int]) -> bool:
    return x.operation not in PARTS and id(x) not in leaves


def part_results(plan: Plan, dx: View, parts: Parts) -> list[View]:
    """Where the gradients of an argument's parts are written: in its own, or beside it where parts overlap."""
    if _tile(parts):
        return [part_of(dx, part) for part, _ in parts]
    return [plan.buffer([size or 0 for size in part.shape[1:]], dx.dtype, dx.per_row) for part, _ in parts]


def add_parts(plan: Plan, dx: View, parts: Parts, results: Sequence[View]) -> None:
    """Add the launches that add the gradients of parts that were written beside that of their argument."""
    if _tile(parts):
        return
    plan.call(elementwise.fill, y=dx, number=0.0)
    for (part, _), slope in zip(parts, results, strict=True):
        plan.call(elementwise.accumulate, x=slope, y=part_of(dx, part))


def part_of(view: View, part: SymbolicArray) -> View:
    """The view of an argument, or of a slice of it."""
    if part.operation is SLICE:
        for axis, (start, stop) in enumerate(part.settings[1:]):
            view = view.slice(axis, start, stop)
    return view


def _tile(parts: Parts) -> bool:
    """Whether the parts of an argument are cut along its last axis, and cover it without an overlap."""
    end: Any = 0
    size, cuts = None, []
    for part, _ in parts:
        whole = part.inputs[0] if part.operation is SLICE else part
        settings = part.settings if part.operation is SLICE else tuple((0, n) for n in whole.shape)
        if any(cut != (0, n) for cut, n in zip(settings[:-1], whole.shape)):
            return False
        cuts.append(settings[-1])
        size = whole.shape[-1]
    for start, stop in sorted(cuts):
        if start != end:
            return False
        end = stop
    return end == size


def _operand(x: SymbolicArray, given: Mapping[int, View | None], dtype: str) -> View | Variable | None:
    """What an operand of a loop is in a plan."""
    if x.value is not None:
        return Variable(np.ascontiguousarray(x.value.reshape(-1), dtype), "constant")
    if id(x) in given:
        return given[id(x)]
    view = given[id(x.inputs[0] if x.operation in PARTS else x)]
    return None if view is None else part_of(view, x)


def _as_kind(view: Any, kind: str) -> Any:
    """A view as an operand of a kind: numbers of rows have a last axis of size 1."""
    return view.view((*view.shape, 1)) if "n, one" in kind and view.shape[-1:] != (1,) else view
