"""Loops over elements, written from chains of elementwise templates, and sums over them.

A chain is one loop: each element is loaded once, goes through all statements in registers, and is stored once. What
only the chain itself reads is never stored. The same statements are written as a loop over all elements, over rows and
columns, over the rows of a sample, over a finished tile of a matrix product, or over the product of a column and a row.
"""

from __future__ import annotations

import ast
import copy
import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet._kernels.gathered import gathered
from fastnet._kernels.generate import Kernel, Rewriter, default, expression
from fastnet._kernels.kinds import Kind, parse
from fastnet._kernels.pasting import function_tree
from fastnet._kernels.template import Template

AHEAD = 2  # rows an epilogue asks for in advance; 1024x1024x256 and Adam: 72 GF/s with 0, 79 with 1 to 4, 69 with 8
CHUNK_ROWS = 256  # rows whose sums a fold keeps apart: 1e6 rows of float32 come within 1e-6 of float64
CHUNK_ELEMENTS = 4096  # elements of a sum over everything
LANES = 64
SHAPE = {"rows": "row_count", "columns": "column_count"}  # sizes of the loop itself, by the names statements have
_INTEGER, _SIZE = parse("integer"), parse("size")


@dataclass(frozen=True)
class Operand:
    """What a chain's statements call by a name.

    Attributes:
        name: in the loop.
        kind: of the argument; its access is that of the whole chain.
        index: "element", "row", "column", "total" (a fold's), or "" for a number.
        strided: whether rows lie apart.
        stored: whether what is written is written to memory.
    """

    name: str
    kind: Kind
    index: str = "element"
    strided: bool = False
    stored: bool = True


@dataclass(frozen=True)
class Step:
    """One template of a chain.

    Attributes:
        template: an elementwise template, or a fold.
        binding: (parameter, names of the operands it stands for) pairs; none for an absent one.
    """

    template: Template
    binding: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Chain:
    """A loop over elements; a kernel's template (`generate.Kernel`) whose rules are named "step.parameter".

    Attributes:
        steps: in order.
        operands: views and numbers that the steps call by name.
        form: "flat" (all elements, each operand contiguous), "grid" (rows and columns), "tile" (a finished tile of a
            matrix product: an epilogue, see `abi`), "outer" (rows of the product of a column and a row), "gather" (rows
            as they are fetched from the data), "fold".
        tile: the operand that the product or the gather gives.
    """

    steps: tuple[Step, ...]
    operands: tuple[Operand, ...]
    form: str = "flat"
    tile: str = ""

    @property
    def name(self) -> str:
        names = dict.fromkeys(step.template.name for step in self.steps)
        return "_".join([*names, *[self.form] * (self.form in ("tile", "outer", "gather"))])

    @property
    def signature(self) -> str:
        return "epilogue" if self.form == "tile" else "kernel"

    @property
    def built_in(self) -> bool:
        return all(step.template.built_in for step in self.steps)

    @property
    def files(self) -> tuple[str, ...]:
        """What its text follows from, besides what every kernel does."""
        return (__file__, *dict.fromkeys(step.template.file for step in self.steps))

    @property
    def identity(self) -> tuple:
        steps = tuple((step.template.identity, step.binding) for step in self.steps)
        return steps, self.operands, self.form, self.tile

    @property
    def parameters(self) -> dict[str, Kind]:
        return {operand.name: operand.kind for operand in self.operands}

    def signature_of(self, kernel: Kernel) -> tuple[tuple[str, Kind], ...]:
        """(name, kind) of the body's parameters."""
        return _signature(self)

    def written(self, kernel: Kernel, names: dict[str, str], pasted: dict[str, str]):
        """(body, parameters of the kernel, further arguments of the body)."""
        return _Writer(self, kernel, names, pasted).written()


@functools.cache
def _signature(chain: Chain) -> tuple[tuple[str, Kind], ...]:
    out: list[tuple[str, Kind]] = []
    for operand in chain.operands:
        if not operand.kind.access:
            out.append((operand.name, operand.kind))
        elif operand.name == chain.tile and chain.form in ("tile", "outer"):
            if chain.form == "outer":
                out += [(f"{operand.name}_of_row", operand.kind), (f"{operand.name}_of_column", operand.kind)]
        elif operand.index == "source":
            out.append((operand.name, operand.kind))
        elif operand.stored or operand.kind.access != "w":
            out.append((f"{operand.name}_at", operand.kind))
            if operand.strided:
                out.append((f"{operand.name}_ld", _INTEGER))
    if chain.form != "flat":
        out += [("row_count", _SIZE), ("column_count", _SIZE)]
    elif uses_sizes(chain.steps):
        out += [("row_count", _SIZE), ("column_count", _SIZE)]
    return tuple(out)


def uses_sizes(steps: Iterable[Step]) -> bool:
    """Whether a statement asks how many rows or columns there are."""
    return any(name in SHAPE and kind.name == "size" for s in steps for name, kind in s.template.parameters.items())


class _Statements(Rewriter):
    """The statements of one step, with the names of the chain's operands."""

    def __init__(self, writer: _Writer, number: int, step: Step):
        prefix = f"{number}."
        names = {k[len(prefix) :]: v for k, v in writer.names.items() if k.startswith(prefix)}
        super().__init__(writer.kernel, step.template, names, writer.pasted)
        self.step, self.number, self.binding = step, number, dict(step.binding)

    def written(self) -> list[ast.stmt]:
        out = []
        for statement in function_tree(self.step.template.function, "template").body:
            node = self.visit(copy.deepcopy(statement))
            if node is not None:
                out.append(node)
        return out

    def copies(self, name: str) -> list[str] | None:
        kind = self.step.template.parameters.get(name)
        return list(self.binding[name]) if kind is not None and kind.several else None

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        number = isinstance(node.value, (int, float)) and not isinstance(node.value, bool)
        return expression(f"T({node.value!r})") if number else node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        kind = self.step.template.parameters.get(node.id)
        if kind is None:
            if isinstance(node.ctx, ast.Store) or node.id in self._locals:
                return ast.Name(f"{node.id}_{self.number}", node.ctx)
            return self.outside(node)
        bound = self.binding.get(node.id, ())
        if isinstance(node.ctx, ast.Store) and "w" not in kind.access:
            raise self.error(node, f"{node.id!r} is assigned, but is a {kind.name}; annotate it with write or update")
        if bound:
            return ast.Name(bound[0], node.ctx)
        if kind.name == "size":
            return ast.Name(SHAPE[node.id], node.ctx)
        return self.visit(default(kind))

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        raise self.error(
            node, f"{ast.unparse(node)}: each name of a formula stands for one element; leave the index out"
        )

    @functools.cached_property
    def _locals(self) -> frozenset[str]:
        code = self.step.template.function.__code__
        return frozenset(code.co_varnames[code.co_argcount + code.co_kwonlyargcount :])

    def written_out(self, elements: list[ast.expr]) -> list[ast.expr]:
        out: list[ast.expr] = []
        for element in elements:
            inner = element.value if isinstance(element, ast.Starred) else None
            copies = self.copies(inner.id) if isinstance(inner, ast.Name) else None
            if copies is None:
                out.append(self.visit(element))
            else:
                out += [ast.Name(name, ast.Load()) for name in copies]
        return out

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        (target,) = node.targets
        if isinstance(target, ast.Name) and self._absent(target.id):
            return None
        return self.generic_visit(node)

    def _absent(self, name: str) -> bool:
        kind = self.step.template.parameters.get(name)
        return kind is not None and bool(kind.access) and not self.binding.get(name)


class _Writer:
    """Writes the text of a chain."""

    def __init__(self, chain: Chain, kernel: Kernel, names: dict[str, str], pasted: dict[str, str]):
        self.chain, self.kernel, self.names, self.pasted = chain, kernel, names, pasted
        self.views = [o for o in chain.operands if o.kind.access]

    def written(self) -> tuple[ast.FunctionDef, str, list[str]]:
        form = {
            "flat": self._flat, "grid": self._grid, "tile": self._tile, "outer": self._outer, "fold": self._fold,
            "gather": self._gather,
        }  # fmt: skip
        body = form[self.chain.form]()
        parameters = [name for name, _ in _signature(self.chain)]
        head, extra = "bases, args, rows, lo, hi", ["lo", "hi"]
        if self.chain.form == "tile":
            head = "bases, args, tile, ld, i0, i1, j0, j1"
            extra = [f"address_pointer_{self.kernel.dtype}(tile)", "ld", "i0", "i1", "j0", "j1"]
            parameters += [f"{self.chain.tile}_at", "ld", "i0", "i1", "j0", "j1"]
        else:
            parameters += extra
        (node,) = ast.parse(f"def body({', '.join(parameters)}):\n    pass").body
        assert isinstance(node, ast.FunctionDef)
        node.body = body
        return ast.fix_missing_locations(node), head, extra

    def _statements(self) -> list[ast.stmt]:
        steps = self.chain.steps
        return [s for number, step in enumerate(steps) for s in _Statements(self, number, step).written()]

    def _element(self, index: dict[str, str]) -> list[ast.stmt]:
        """Loads, statements and stores of one element; ``index`` tells where an operand lies, by its name."""
        loads = [f"{o.name} = {index[o.name]}" for o in self.views if "r" in o.kind.access and o.name in index]
        stores = [
            f"{index[o.name]} = {o.name}"
            for o in self.views
            if "w" in o.kind.access and o.stored and o.name in index and o.index == "element"
        ]
        return [*_parsed(loads), *self._statements(), *_parsed(stores)]

    def _flat(self) -> list[ast.stmt]:
        index = {o.name: f"{o.name}_at[i]" for o in self.views}
        return [_for("i", "range(lo, hi)", self._element(index))]

    def _rows(self, span: str, columns: str, tile: str | None = None, ask: Sequence[str] = ()) -> ast.stmt:
        """Rows, and in each row columns; what a row shares is loaded once."""
        index, of_row = self._indices()
        if tile is not None:
            index[self.chain.tile] = tile
        inner = _for("c", columns, self._element(index))
        return _for("r", span, [*of_row, *_parsed(ask), inner])

    def _indices(self) -> tuple[dict[str, str], list[ast.stmt]]:
        """Where operands lie at row ``r`` and column ``c``; the loads of what a row shares."""
        index, of_row = {}, []
        for o in self.views:
            if o.index == "row":
                of_row.append(f"{o.name} = {o.name}_at[r]")
            elif o.index == "column":
                index[o.name] = f"{o.name}_at[c]"
            elif o.index == "element":
                index[o.name] = f"{o.name}_at[r * {o.name + '_ld' if o.strided else 'column_count'} + c]"
        return index, _parsed(of_row)

    def _grid(self) -> list[ast.stmt]:
        return [self._rows("range(lo, hi)", "range(column_count)")]

    def _gather(self) -> list[ast.stmt]:
        index, of_row = self._indices()
        return gathered(self.kernel, self.names, self.pasted, self.chain.tile, [*of_row, *self._element(index)])

    def _outer(self) -> list[ast.stmt]:
        tile = self.chain.tile
        return [self._rows("range(lo, hi)", "range(column_count)", f"{tile}_of_row[r] * {tile}_of_column[c]")]

    def _tile(self) -> list[ast.stmt]:
        """All of a tile at once where its rows lie back to back in every operand (four columns would not fill a
        vector), else row by row: pieces too short for the processor to see a stream in them, so the rows to come are
        asked for."""
        tile = self.chain.tile
        line = 64 // np.dtype(self.kernel.dtype).itemsize
        streams = [
            o for o in self.views if o.index == "element" and o.name != tile and (o.stored or "r" in o.kind.access)
        ]
        asked = [
            f"prefetch({o.name}_at, (r + {AHEAD}) * {o.name + '_ld' if o.strided else 'column_count'} + c)"
            for o in streams
        ]
        ask = [f"for c in range(j0, j1, {line}):\n" + "\n".join(f"    {call}" for call in asked)] * bool(asked)
        by_row = self._rows("range(i0, i1)", "range(j0, j1)", f"{tile}_at[(r - i0) * ld + (c - j0)]", ask)
        if any(o.strided or o.index in ("row", "column") for o in self.views):
            return [by_row]
        index = {o.name: f"{o.name}_at[i]" for o in self.views} | {tile: f"{tile}_at[i - i0 * column_count]"}
        whole = _for("i", "range(i0 * column_count, i1 * column_count)", self._element(index))
        test = expression("j1 - j0 == column_count and ld == column_count")
        return [ast.If(test, [whole], [by_row])]

    # ---- sums

    @property
    def _sums(self) -> list[Operand]:
        return [o for o in self.views if o.index in ("column", "total") and "w" in o.kind.access]

    def _fold(self) -> list[ast.stmt]:
        sums = [o.name for o in self._sums]
        stacks = [f"{name}_{part} = stack('{self.kernel.dtype}', {LANES})" for name in sums for part in ("lane",)]
        if any(o.index == "total" for o in self._sums):
            return [*_parsed(stacks), self._total(sums)]
        more = [f"{name}_{part} = stack('{self.kernel.dtype}', {LANES})" for name in sums for part in ("high", "low")]
        return [*_parsed([*stacks, *more]), self._columns(sums)]

    def _columns(self, sums: list[str]) -> ast.stmt:
        """A unit is a chunk of rows and up to 64 columns. 64 rows are added in order, and their sum to a sum of two
        numbers, whose second one keeps what the first one rounds away (Knuth's two-sum)."""
        index, of_row = {}, []
        for o in self.views:
            if o.name in sums:
                continue
            if o.index == "row":
                of_row.append(f"{o.name} = {o.name}_at[r]")
            elif o.index == "column":
                index[o.name] = f"{o.name}_at[first + k]"
            else:
                index[o.name] = f"{o.name}_at[r * {o.name + '_ld' if o.strided else 'column_count'} + first + k]"
        add = _parsed([f"{name}_lane[k] = {name}_lane[k] + {name}" for name in sums])
        one = _for("k", "range(lanes)", [*self._element(index), *add])
        rows = _for("r", "range(start, min(start + 64, last))", [*_parsed(of_row), one])
        text = "\n".join(
            [
                "for unit in range(lo, hi):",
                f"    chunk = unit // ((column_count + {LANES - 1}) // {LANES})",
                f"    first = unit % ((column_count + {LANES - 1}) // {LANES}) * {LANES}",
                f"    lanes = min({LANES}, column_count - first)",
                f"    last = min(row_count, (chunk + 1) * {CHUNK_ROWS})",
                _lanes(4, *(f"{name}_{part}[k] = 0.0" for name in sums for part in ("high", "low"))),
                f"    for start in range(chunk * {CHUNK_ROWS}, last, 64):",
                _lanes(8, *(f"{name}_lane[k] = 0.0" for name in sums)),
                "        ROWS",
                _lanes(8, *itertools.chain.from_iterable(_two_sum(name) for name in sums)),
                _lanes(4, *(f"{n}_at[chunk * column_count + first + k] = {n}_high[k] + {n}_low[k]" for n in sums)),
            ]
        )
        return _filled(text, "ROWS", rows)

    def _total(self, sums: list[str]) -> ast.stmt:
        """A unit is a chunk of elements, which are added in 64 lanes."""
        index = {o.name: f"{o.name}_at[i]" for o in self.views if o.name not in sums}
        add = [*self._element(index), *_parsed([f"{name}_lane[k] = {name}_lane[k] + {name}" for name in sums])]
        step = _for("k", f"range({LANES})", [*_parsed(["i = start + k"]), *copy.deepcopy(add)])
        rest = _for("k", "range(last - whole)", [*_parsed(["i = whole + k"]), *copy.deepcopy(add)])
        text = "\n".join(
            [
                "for unit in range(lo, hi):",
                f"    first = unit * {CHUNK_ELEMENTS}",
                f"    last = min(row_count * column_count, first + {CHUNK_ELEMENTS})",
                f"    whole = first + (last - first) // {LANES} * {LANES}",
                f"    for k in range({LANES}):",
                *(f"        {name}_lane[k] = 0.0" for name in sums),
                f"    for start in range(first, whole, {LANES}):",
                "        STEP",
                "    REST",
                *(line for name in sums for line in _added(name)),
            ]
        )
        return _filled(text, "STEP", step, "REST", rest)


def _two_sum(name: str) -> list[str]:
    high, low, lane = (f"{name}_{part}[k]" for part in ("high", "low", "lane"))
    return [
        f"both = {high} + {lane}",
        f"part = both - {high}",
        f"{low} = {low} + (({high} - (both - part)) + ({lane} - part))",
        f"{high} = both",
    ]


def _added(name: str) -> list[str]:
    return [
        f"    {name}_sum = float64(0.0)",
        f"    for k in range({LANES}):",
        f"        {name}_sum += {name}_lane[k]",
        f"    {name}_at[unit] = {name}_sum",
    ]


def _lanes(indent: int, *statements: str) -> str:
    return "\n".join([" " * indent + "for k in range(lanes):", *(" " * (indent + 4) + s for s in statements)])


class _TypedLiterals(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return expression(f"T({node.value!r})") if isinstance(node.value, float) else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return node  # float64(0.0)


def _filled(text: str, *marked: Any) -> ast.stmt:
    """The statement that a text stands for, with trees in the place of names."""
    marks = dict(zip(marked[::2], marked[1::2], strict=True))

    class Fill(_TypedLiterals):
        def visit_Expr(self, node: ast.Expr) -> ast.AST:
            return marks[node.value.id] if isinstance(node.value, ast.Name) and node.value.id in marks else node

    return Fill().visit(ast.parse(text).body[0])


def _parsed(lines: Iterable[str]) -> list[ast.stmt]:
    return ast.parse("\n".join(lines)).body


def _for(name: str, span: str, body: list[ast.stmt]) -> ast.For:
    return ast.For(ast.Name(name, ast.Store()), expression(span), body, [])
