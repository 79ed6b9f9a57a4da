"""A chain behind a gather: elements go through its statements as they are fetched from the data."""

from __future__ import annotations

import ast
from typing import Any

from fastnet._kernels.generate import Rewriter
from fastnet._kernels.pasting import function_tree
from fastnet._kernels.templates.data import gather

PREFIX = "gather_"  # of the gather's parameters and variables, which then differ from the chain's
FUNCTIONS = tuple(name for name, kind in gather.parameters.items() if kind.name == "function")
ARGUMENTS = tuple(
    name for name, kind in gather.parameters.items() if kind.name == "count" or (kind.access and name != "y")
)


class _Gather(Rewriter):
    """Replaces the statement of the gather's loops that fetches an element.

    Args:
        element: the statements of an element; its value is called ``tile``, its column ``c``.
    """

    def __init__(self, kernel: Any, names: dict[str, str], pasted: dict[str, str], tile: str, element: list[ast.stmt]):
        super().__init__(kernel, gather, names, pasted)
        self.tile, self.element, self.found = tile, element, False

    def copies(self, name: str) -> list[str] | None:
        return None

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in gather.locals and node.id not in ("lo", "hi", "r", *FUNCTIONS):
            return ast.Name("column_count" if node.id == "width" else PREFIX + node.id, node.ctx)
        return node

    def visit_For(self, node: ast.For) -> ast.AST | None:
        if not (isinstance(node.target, ast.Name) and node.target.id == "j"):
            self.generic_visit(node)
            return node if node.body else None
        if self.found:  # the loop that checks elements, which the first loop does here
            return None
        self.found = True
        (fetch,) = node.body
        assert isinstance(fetch, ast.Assign)
        value = ast.Assign([ast.Name(self.tile, ast.Store())], self.visit(fetch.value))
        statements = f"{PREFIX}flag = {self.names['flag_nonfinite']}({PREFIX}flag, {self.tile})\nc = {PREFIX}j"
        node.target, node.iter = ast.Name(PREFIX + "j", ast.Store()), self.visit(node.iter)
        node.body = [value, *ast.parse(statements).body, *self.element]
        return node


def gathered(kernel: Any, names: dict[str, str], pasted: dict[str, str], tile: str, element: list[ast.stmt]):
    """The body of a gather whose elements go through these statements."""
    functions = {name: names[name] for name in FUNCTIONS}
    rewriter = _Gather(kernel, functions, pasted, tile, element)
    return [node for node in map(rewriter.visit, function_tree(gather.function).body) if node is not None]
