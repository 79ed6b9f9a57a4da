"""The text of a fold: sums of formulas over rows, or over all elements."""

from __future__ import annotations

import ast
import copy
import itertools
from typing import TYPE_CHECKING

from fastnet._kernels.chunks import CHUNK_ELEMENTS, CHUNK_ROWS, LANES
from fastnet._kernels.cuda.entry import WARP
from fastnet._kernels.syntax import expression, loop, parsed, value_of

if TYPE_CHECKING:
    from fastnet._kernels.chain_text import Writer


def body(writer: Writer, columns: int) -> list[ast.stmt]:
    """The statements of a fold, a unit of which has so many columns; its sums are the operands that are written."""
    operands = [o for o in writer.views if o.index in ("column", "total") and "w" in o.kind.access]
    sums, over_all = [o.name for o in operands], any(o.index == "total" for o in operands)
    parts = ("lane",) if over_all else ("lane", "high", "low")
    length = LANES if over_all else columns
    stacks = [f"{name}_{part} = stack('{writer.kernel.dtype}', {length})" for name in sums for part in parts]
    return [*parsed(stacks), _total(writer, sums) if over_all else _columns(writer, sums, columns)]


def _columns(writer: Writer, sums: list[str], columns: int) -> ast.stmt:
    """A unit is a chunk of rows and up to ``columns`` columns. 64 rows are added in order. Their sum is added to a pair
    of numbers, of which the second keeps what the first one rounds away (Knuth's two-sum)."""
    index, of_row = writer.indices([o for o in writer.views if o.name not in sums], "first + k")
    add = parsed([f"{name}_lane[k] = {name}_lane[k] + {value_of(name)}" for name in sums])
    one = loop("k", "range(lanes)", [*writer.element(index), *add])
    rows = loop("r", "range(start, min(start + 64, last))", [*of_row, one])
    text = "\n".join(
        [
            "for unit in range(lo, hi):",
            f"    chunk = unit // ((column_count + {columns - 1}) // {columns})",
            f"    first = unit % ((column_count + {columns - 1}) // {columns}) * {columns}",
            f"    lanes = min({columns}, column_count - first)",
            f"    last = min(row_count, (chunk + 1) * {CHUNK_ROWS})",
            _lanes(4, *(f"{name}_{part}[k] = 0.0" for name in sums for part in ("high", "low"))),
            f"    for start in range(chunk * {CHUNK_ROWS}, last, 64):",
            _lanes(8, *(f"{name}_lane[k] = 0.0" for name in sums)),
            "        ROWS",
            _lanes(8, *itertools.chain.from_iterable(_two_sum(name) for name in sums)),
            _lanes(4, *(f"{n}_at[chunk * column_count + first + k] = {n}_high[k] + {n}_low[k]" for n in sums)),
        ]
    )
    return _filled(text, ROWS=rows)


def _total(writer: Writer, sums: list[str]) -> ast.stmt:
    """A unit is a chunk of elements, which are added in 64 lanes."""
    index = {o.name: f"{o.name}_at[i]" for o in writer.views if o.name not in sums}
    add = [*writer.element(index), *parsed([f"{name}_lane[k] = {name}_lane[k] + {value_of(name)}" for name in sums])]
    step = loop("k", f"range({LANES})", [*parsed(["i = start + k"]), *copy.deepcopy(add)])
    tail = loop("k", "range(last - tail)", [*parsed(["i = tail + k"]), *copy.deepcopy(add)])
    text = "\n".join(
        [
            "for unit in range(lo, hi):",
            *_chunk(),
            f"    for k in range({LANES}):",
            *(f"        {name}_lane[k] = 0.0" for name in sums),
            f"    for start in range(first, tail, {LANES}):",
            "        STEP",
            "    TAIL",
            *(line for name in sums for line in _added(name, f"{name}_lane[k]")),
        ]
    )
    return _filled(text, STEP=step, TAIL=tail)


def total_by_warp(writer: Writer) -> list[ast.stmt]:
    """The same on a GPU: each thread of a warp has two of the 64 lanes; the first thread adds all of them in order."""
    sums = [o.name for o in writer.views if "w" in o.kind.access]
    index = {o.name: f"{o.name}_at[i]" for o in writer.views if o.name not in sums}
    add = [*writer.element(index), *parsed([f"{name}_lane[k] = {name}_lane[k] + {value_of(name)}" for name in sums])]
    step = loop("k", "range(2)", [*parsed([f"i = start + lane + k * {WARP}"]), *copy.deepcopy(add)])
    some = ast.If(expression("i < last"), copy.deepcopy(add), [])
    tail = loop("k", "range(2)", [*parsed([f"i = tail + lane + k * {WARP}"]), some])
    place = {name: f"own + {LANES * number} + " for number, name in enumerate(sums)}
    text = "\n".join(
        [
            "for unit in range(lo, hi):",
            *_chunk(),
            "    for k in range(2):",
            *(f"        {name}_lane[k] = 0.0" for name in sums),
            f"    for start in range(first, tail, {LANES}):",
            "        STEP",
            "    TAIL",
            "    warp_barrier()",
            *(f"    lanes[{place[name]}lane + {k * WARP}] = {name}_lane[{k}]" for name in sums for k in range(2)),
            "    warp_barrier()",
            "    if lane == 0:",
            *(f"    {line}" for name in sums for line in _added(name, f"lanes[{place[name]}k]")),
        ]
    )
    dtype = repr(writer.kernel.dtype)
    head = [
        *(f"{name}_lane = stack({dtype}, 2)" for name in sums),
        f"lanes, lane, own = shared({dtype}, 0), thread() % {WARP}, thread() // {WARP} * {LANES * len(sums)}",
    ]
    return [*parsed(head), _filled(text, STEP=step, TAIL=tail)]


def _chunk() -> list[str]:
    """Lines for the bounds of a chunk of elements."""
    return [
        f"    first = unit * {CHUNK_ELEMENTS}",
        f"    last = min(row_count * column_count, first + {CHUNK_ELEMENTS})",
        f"    tail = first + (last - first) // {LANES} * {LANES}",
    ]


def _two_sum(name: str) -> list[str]:
    high, low, lane = (f"{name}_{part}[k]" for part in ("high", "low", "lane"))
    return [
        f"both = {high} + {lane}",
        f"part = both - {high}",
        f"{low} = {low} + (({high} - (both - part)) + ({lane} - part))",
        f"{high} = both",
    ]


def _added(name: str, lane: str) -> list[str]:
    return [
        f"    {name}_sum = float64(0.0)",
        f"    for k in range({LANES}):",
        f"        {name}_sum += {lane}",
        f"    {name}_at[unit] = {name}_sum",
    ]


def _lanes(indent: int, *statements: str) -> str:
    return "\n".join([" " * indent + "for k in range(lanes):", *(" " * (indent + 4) + s for s in statements)])


def _filled(text: str, **marks: ast.stmt) -> ast.stmt:
    """The statement that a text stands for, with typed literals, and statements in the place of names."""

    class Fill(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> ast.AST:
            return marks[node.value.id] if isinstance(node.value, ast.Name) else node

        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            return expression(f"T({node.value!r})") if isinstance(node.value, float) else node

        def visit_Call(self, node: ast.Call) -> ast.AST:
            return node  # float64(0.0)

    return Fill().visit(ast.parse(text).body[0])
