"""A chain behind a gather: elements go through its statements as they are fetched from the data."""

from __future__ import annotations

import ast
from typing import Any

from fastnet._kernels.pasting import function_tree
from fastnet._kernels.rewriting import Rewriter
from fastnet._kernels.template import Template
from fastnet._kernels.templates.data import gather

PREFIX = "gather_"  # of the gather's parameters and variables, which then differ from the chain's
FUNCTIONS = tuple(name for name, kind in gather.parameters.items() if kind.name == "function")
ARGUMENTS = tuple(
    name for name, kind in gather.parameters.items() if kind.name == "count" or (kind.access and name != "y")
)


class _Gather(Rewriter):
    """Replaces the statement of a gather that fetches an element, and leaves out the one that checks it.

    Args:
        element: the statements of an element; its value is called ``tile``, its column ``c``.
        template: the gather.
    """

    def __init__(
        self, kernel: Any, names: dict[str, str], pasted: dict[str, str], tile: str, element: list[ast.stmt],
        template: Template,
    ):  # fmt: skip
        super().__init__(kernel, template, names, pasted)
        self.tile, self.element = tile, element

    def copies(self, name: str) -> list[str] | None:
        return None

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.template.locals and node.id not in ("lo", "hi", "r", *FUNCTIONS):
            return ast.Name("column_count" if node.id == "width" else PREFIX + node.id, node.ctx)
        return node

    def visit_For(self, node: ast.For) -> ast.AST | None:
        self.generic_visit(node)
        return node if node.body else None

    def visit_Assign(self, node: ast.Assign) -> Any:
        (target,) = node.targets
        if isinstance(target, ast.Name) and target.id == "flag":  # not that which begins it, a tuple
            return None
        if not (isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id == "y"):
            return self.generic_visit(node)
        value = ast.Assign([ast.Name(self.tile, ast.Store())], self.visit(node.value))
        check = f"{PREFIX}flag = {self.names['flag_nonfinite']}({PREFIX}flag, {self.tile})\nc = {PREFIX}j"
        return [value, *ast.parse(check).body, *self.element]


def gathered(
    kernel: Any, names: dict[str, str], pasted: dict[str, str], tile: str, element: list[ast.stmt],
    template: Template = gather,
):  # fmt: skip
    """The body of a gather whose elements go through these statements."""
    functions = {name: names[name] for name in FUNCTIONS}
    rewriter = _Gather(kernel, functions, pasted, tile, element, template)
    return [node for node in map(rewriter.visit, function_tree(template.function).body) if node is not None]
