"""The check that a template assigns what it says it writes: memory and registers keep what they held before."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fastnet._kernels.errors import RuleError, template_error
from fastnet._kernels.pasting import function_tree

if TYPE_CHECKING:
    from fastnet._kernels.template import Template


def check_assignments(template: Template) -> None:
    """Check the `write` operands of a template, and the local variables of a formula.

    Raises:
        RuleError: one is never assigned, is not assigned on every path of a formula, or is read before.
    """
    written = [name for name, kind in template.parameters.items() if kind.access == "w"]
    try:
        tree = function_tree(template.function, "template")
    except RuleError:  # its call tells
        return
    nodes = [node for statement in tree.body for node in ast.walk(statement)]
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    stored |= {name for node in nodes if isinstance(node, ast.stmt) for name in _stored_elements(node)}
    reads = {name for name, kind in template.parameters.items() if kind.access == "r"}
    if stored & reads or any(isinstance(node, ast.Return) for node in nodes):  # its call names a better reason
        return
    if template.form == "loop":
        _check_loop(template, nodes, written)
        return
    for name in written:
        if name not in stored:
            raise template.error(f"{name!r} is a write operand and is never assigned; assign it, or leave it out")
    formula = _Formula(template, written, stored)
    assigned = formula.block(tree.body, set())
    for name in written:
        if name not in assigned:
            raise template.error(
                f"{name!r} is not assigned on every path, and would keep what it held before; assign it in both "
                "branches; to leave old values alone declare it `update`"
            )


class _Formula:
    """Goes through the statements of a formula in order, and knows which names have certainly been assigned."""

    def __init__(self, template: Template, written: Sequence[str], stored: set[str]):
        self.template, self.written = template, written
        self.tracked = set(written) | (stored - set(template.parameters))

    def block(self, statements: Sequence[ast.stmt], assigned: set[str]) -> set[str]:
        """The names that are assigned after these statements, of those that were ``assigned`` before or are in them."""
        for statement in statements:
            assigned = self._assigned_after(statement, assigned)
        return assigned

    def _assigned_after(self, statement: ast.stmt, assigned: set[str]) -> set[str]:
        if isinstance(statement, ast.If):
            self._read(statement.test, assigned)
            return self.block(statement.body, assigned) & self.block(statement.orelse, assigned)
        if isinstance(statement, (ast.For, ast.While)):
            self._read(statement.iter if isinstance(statement, ast.For) else statement.test, assigned)
            inside = assigned | (_stored(statement.target) if isinstance(statement, ast.For) else set())
            self.block(statement.body, inside)
            return self.block(statement.orelse, assigned)  # the body may run no time
        if isinstance(statement, ast.AugAssign):
            self._check(statement.target, assigned)
        self._read(statement, assigned)
        return assigned | _stored(statement)

    def _read(self, node: ast.AST, assigned: set[str]) -> None:
        for child in ast.walk(node):
            if isinstance(getattr(child, "ctx", None), ast.Load):
                self._check(child, assigned)

    def _check(self, node: ast.AST, assigned: set[str]) -> None:
        if isinstance(node, ast.Name) and node.id in self.tracked - assigned:
            remedy = "; to read old values declare it `update`" if node.id in self.written else ""
            raise template_error(
                self.template.name,
                f"{node.id!r} is read where it may not be assigned yet; assign it before, in both branches of an if"
                f"{remedy}",
                node.lineno,
            )


def _check_loop(template: Template, nodes: Sequence[ast.AST], written: Sequence[str]) -> None:
    """Refuse operands none of whose assignments could come before the first time that they are read.

    An operand stays where one of its assignments does not read it: the text does not tell which runs first.
    """
    for name in written:
        named = sum(isinstance(node, ast.Name) and node.id == name for node in nodes)
        if template.parameters[name].several or named > sum(_is_element(node, name) for node in nodes):
            continue  # a function receives the whole operand
        statements = [node for node in nodes if isinstance(node, ast.stmt) and name in _stored_elements(node)]
        if not statements:
            raise template.error(f"{name!r} is a write operand and is never assigned; assign it, or leave it out")
        if all(_reads_first(statement, name) for statement in statements):
            raise template_error(
                template.name,
                f"`{ast.unparse(statements[0])}` reads {name!r}, which nothing assigns before, and a write operand "
                "holds no values; declare it `update`",
                statements[0].lineno,
            )


def _stored(node: ast.AST) -> set[str]:
    """The names that a statement or a target assigns."""
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)}


def _stored_elements(statement: ast.stmt) -> set[str]:
    """The operands of which an assignment or the head of a loop sets elements."""
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return {
        child.value.id
        for target in targets
        if target is not None
        for child in ast.walk(target)
        if isinstance(child, ast.Subscript) and isinstance(child.ctx, ast.Store) and isinstance(child.value, ast.Name)
    }


def _reads_first(statement: ast.stmt, name: str) -> bool:
    """Whether an assignment certainly reads the operand that it sets."""
    if isinstance(statement, ast.AugAssign):
        return True
    value = getattr(statement, "value", None)
    return value is not None and any(_is_element(node, name) for node in _certain(value))


def _certain(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of an expression that are always computed."""
    yield node
    always = {ast.IfExp: "test", ast.BoolOp: "values"}.get(type(node))
    if always is None:
        for child in ast.iter_child_nodes(node):
            yield from _certain(child)
    else:
        part = getattr(node, always)
        yield from _certain(part[0] if isinstance(part, list) else part)


def _is_element(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == name
