"""The text of a chain of formulas: its statements, and the loops around them."""

from __future__ import annotations

import ast
import copy
import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnet._kernels import fold_text, neighbours_text
from fastnet._kernels.chunks import LANES
from fastnet._kernels.gathered import gathered
from fastnet._kernels.generate import Kernel
from fastnet._kernels.pasting import function_tree
from fastnet._kernels.rewriting import Rewriter, default
from fastnet._kernels.syntax import expression, loop, parsed, value_of
from fastnet._kernels.template import SHAPE, Template
from fastnet._kernels.templates.data import gather, gather_elements

if TYPE_CHECKING:
    from fastnet._kernels.chain import Chain, ChainOperand, ChainStep

AHEAD = 2  # rows that an epilogue prefetches; 1024x1024x256 and Adam: 72 GF/s with 0, 79 with 1 to 4, 69 with 8


class _Statements(Rewriter):
    """The statements of one step, with the names of the chain's operands."""

    def __init__(self, writer: Writer, number: int, step: ChainStep):
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
        return self.literal(node) if number else node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        kind = self.step.template.parameters.get(node.id)
        if kind is None:
            if isinstance(node.ctx, ast.Store) or node.id in self._locals:
                return ast.Name(value_of(f"{node.id}_{self.number}_"), node.ctx)
            return self.outside(node)
        bound = self.binding.get(node.id, ())
        if isinstance(node.ctx, ast.Store) and "w" not in kind.access:
            raise self.error(node, f"{node.id!r} is assigned, but is a {kind.name}; annotate it with write or update")
        if bound:
            return ast.Name(value_of(bound[0]), node.ctx)
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

    def one_of(self, element: ast.Subscript | ast.Name, copied: str) -> ast.AST:
        return self.visit(element) if isinstance(element, ast.Subscript) else ast.Name(value_of(copied), ast.Load())

    def is_absent(self, target: ast.expr) -> bool:
        kind = self.step.template.parameters.get(target.id) if isinstance(target, ast.Name) else None
        return kind is not None and bool(kind.access) and not self.binding.get(target.id)  # type: ignore[attr-defined]


class Writer:
    """Writes a chain for one kernel.

    Attributes:
        views: the operands that are memory.
    """

    def __init__(self, chain: Chain, kernel: Kernel, names: dict[str, str], pasted: dict[str, str]):
        self.chain, self.kernel, self.names, self.pasted = chain, kernel, names, pasted
        self.views = [o for o in chain.operands if o.kind.access]

    def written(self, device: str) -> tuple[ast.FunctionDef, str, list[str]]:
        """(body, parameters of the kernel, further arguments of the body); a form may differ by device."""
        form = getattr(self, f"_{self.chain.form}_{device}", None) or getattr(self, f"_{self.chain.form}")
        body = form()
        parameters = self.parameters()
        head, extra = "bases, args, rows, lo, hi", ["lo", "hi"]
        if self.chain.form == "tile":
            head = "bases, args, tile, ld, i0, i1, j0, j1"
            extra = [f"address_pointer_{self.kernel.dtype}(tile)", "ld", "i0", "i1", "j0", "j1"]
            parameters += [f"{self.chain.tile}_at", "ld", "i0", "i1", "j0", "j1"]
        else:
            parameters += extra
        return _function("body", parameters, body), head, extra

    def cell(self) -> ast.FunctionDef:
        """A function of one element of a product's result: its value, its row ``r`` and column ``c``, and operands."""
        index, of_row = self.indices(self.views)
        index[self.chain.tile] = "tile"
        return _function("cell", ["tile", "r", "c", *self.parameters()], [*of_row, *self.element(index)])

    def parameters(self) -> list[str]:
        """The names of the operands in the body's text."""
        names = {
            o.name: f"{o.name}_at" if o.kind.access else value_of(o.name)
            for o in self.chain.operands
            if o.index != "source"
        }
        return [names.get(name, name) for name, _ in self.chain.signature_of(self.kernel)]

    def statements(self) -> list[ast.stmt]:
        """The statements of one element, whose values have the names of their operands."""
        steps = self.chain.steps
        return [s for number, step in enumerate(steps) for s in _Statements(self, number, step).written()]

    def element(self, index: dict[str, str]) -> list[ast.stmt]:
        """Loads, statements and stores of one element; ``index`` has the element of each operand, by its name."""
        loads = [
            f"{value_of(o.name)} = {index[o.name]}" for o in self.views if "r" in o.kind.access and o.name in index
        ]
        stores = [
            f"{index[o.name]} = {value_of(o.name)}"
            for o in self.views
            if "w" in o.kind.access and o.stored and o.name in index and o.index == "element"
        ]
        return [*parsed(loads), *self.statements(), *parsed(stores)]

    def _flat(self) -> list[ast.stmt]:
        index = {o.name: f"{o.name}_at[i]" for o in self.views}
        return [loop("i", "range(lo, hi)", self.element(index))]

    def _flat_cuda(self) -> list[ast.stmt]:
        if self.chain.together == 1:
            return self._flat()
        return neighbours_text.flat(self)

    def _rows(self, span: str, columns: str, tile: str | None = None, ask: Sequence[str] = ()) -> ast.stmt:
        """A loop over rows and columns; operands with one number for each row are loaded once."""
        index, of_row = self.indices(self.views)
        if tile is not None:
            index[self.chain.tile] = tile
        column_loop = loop("c", columns, self.element(index))
        return loop("r", span, [*of_row, *parsed(ask), column_loop])

    def indices(self, views: Iterable[ChainOperand], column: str = "c") -> tuple[dict[str, str], list[ast.stmt]]:
        """The elements of operands at row ``r`` and a column; the loads of operands with one number for each row."""
        places, of_row = self.places(views, column)
        return {name: f"{name}_at[{place}]" for name, place in places.items()}, of_row

    def places(self, views: Iterable[ChainOperand], column: str = "c") -> tuple[dict[str, str], list[ast.stmt]]:
        """The same, as the indices of elements."""
        places, of_row = {}, []
        for o in views:
            if o.index == "row":
                of_row.append(f"{value_of(o.name)} = {o.name}_at[r]")
            elif o.index == "column":
                places[o.name] = column
            elif o.index == "element":
                places[o.name] = f"r * {o.name + '_ld' if o.strided else 'column_count'} + {column}"
        return places, parsed(of_row)

    def _fold(self) -> list[ast.stmt]:
        return fold_text.body(self, LANES)

    def _fold_cuda(self) -> list[ast.stmt]:
        """A thread has one column, a warp one chunk of elements."""
        over_all = any(o.index == "total" for o in self.views)
        return fold_text.total_by_warp(self) if over_all else fold_text.body(self, 1)

    def _grid(self) -> list[ast.stmt]:
        return [self._rows("range(lo, hi)", "range(column_count)")]

    def _grid_cuda(self) -> list[ast.stmt]:
        return self._cells() if self.chain.together == 1 else neighbours_text.grid(self)

    def _gather(self, template: Template = gather) -> list[ast.stmt]:
        index, of_row = self.indices(self.views)
        statements, tile = [*of_row, *self.element(index)], value_of(self.chain.tile)
        return gathered(self.kernel, self.names, self.pasted, tile, statements, template)

    def _gather_cuda(self) -> list[ast.stmt]:
        return self._gather(gather_elements)

    def _outer(self) -> list[ast.stmt]:
        return [self._rows("range(lo, hi)", "range(column_count)", self._of_outer_product())]

    def _outer_cuda(self) -> list[ast.stmt]:
        return self._cells(self._of_outer_product())

    def _of_outer_product(self) -> str:
        return f"{self.chain.tile}_of_row[r] * {self.chain.tile}_of_column[c]"

    def _cells(self, tile: str | None = None) -> list[ast.stmt]:
        """A loop over elements of rows and columns: neighbouring threads have neighbouring elements."""
        index, of_row = self.indices(self.views)
        if tile is not None:
            index[self.chain.tile] = tile
        place = parsed(["r = int64(uint32(i) // uint32(column_count))", "c = i - r * column_count"])
        return [loop("i", "range(lo, hi)", [*place, *of_row, *self.element(index)])]

    def _tile(self) -> list[ast.stmt]:
        """One loop over a tile if its rows lie back to back in every operand (four columns would not fill a vector).
        Otherwise row by row: the pieces are too short for the processor to see a stream in them, and the next rows are
        therefore prefetched."""
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
        flat_loop = loop("i", "range(i0 * column_count, i1 * column_count)", self.element(index))
        test = expression("j1 - j0 == column_count and ld == column_count")
        return [ast.If(test, [flat_loop], [by_row])]


def _function(name: str, parameters: Iterable[str], body: list[ast.stmt]) -> ast.FunctionDef:
    (node,) = ast.parse(f"def {name}({', '.join(parameters)}):\n    pass").body
    assert isinstance(node, ast.FunctionDef)
    node.body = body
    return ast.fix_missing_locations(node)
