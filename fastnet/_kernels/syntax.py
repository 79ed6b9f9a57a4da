"""Parts of a kernel's text as syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterable


def expression(text: str, **names: ast.expr) -> ast.expr:
    """The syntax tree of an expression, with other expressions in the place of names."""

    class Fill(ast.NodeTransformer):
        def visit_Name(self, node):
            return names.get(node.id, node)

    return Fill().visit(ast.parse(text, mode="eval").body)


def parsed(lines: Iterable[str]) -> list[ast.stmt]:
    """The statements of some lines."""
    return ast.parse("\n".join(lines)).body


def loop(name: str, span: str, body: list[ast.stmt]) -> ast.For:
    """``for name in span``."""
    return ast.For(ast.Name(name, ast.Store()), expression(span), body, [])


def value_of(name: str) -> str:
    """The name of an operand's value in the loop, which differs from the loop's own names."""
    return f"{name}_"
