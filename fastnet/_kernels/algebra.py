"""Small algebra on syntax trees: expressions with zeros and ones left out. A zero is None."""

from __future__ import annotations

import ast


def _is(a, number) -> bool:
    return isinstance(a, ast.Constant) and a.value == number


def add(a, b):
    if a is None or b is None:
        return a if b is None else b
    return ast.BinOp(a, ast.Add(), b)


def subtract(a, b):
    return ast.BinOp(a, ast.Sub(), b) if a and b else a or negate(b)


def negate(a):
    if isinstance(a, ast.Constant):
        return ast.Constant(-a.value)
    if isinstance(a, ast.UnaryOp) and isinstance(a.op, ast.USub):
        return a.operand
    return a and ast.UnaryOp(ast.USub(), a)


def multiply(a, b):
    if a is None or b is None:
        return None
    if _is(a, 1) or _is(b, 1):
        return b if _is(a, 1) else a
    if _is(a, -1) or _is(b, -1):
        return negate(b if _is(a, -1) else a)
    return ast.BinOp(a, ast.Mult(), b)


def divide(a, b):
    return a and ast.BinOp(a, ast.Div(), b)


def written(a) -> ast.expr:
    return ast.Constant(0) if a is None else a


def same(a, b) -> bool:
    return ast.dump(written(a)) == ast.dump(written(b))


def load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value, lineno=0)


def without_unused(statements: list[ast.stmt]) -> list[ast.stmt]:
    """The same without assignments to names that are never read."""

    class Clean(ast.NodeTransformer):
        def visit_Assign(self, node):
            return node if node.targets[0].id in used else None

        def visit_If(self, node):
            self.generic_visit(node)
            if not node.body and not node.orelse:
                return None
            node.body = node.body or [ast.Pass()]
            return node

    size = None
    module = ast.Module(statements, [])
    while size != (size := len(list(ast.walk(module)))):
        used = {n.id for n in ast.walk(module) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        module = Clean().visit(module)
    return module.body
