"""Derivatives of rules, written out as source: forward mode, once, when a kernel is generated.

Every value v of a rule gets a tangent dv/dx, by the chain rule; a tangent that is zero is not written. A conditional
becomes an ``if`` whose branches have their own tangents: the branch that is not taken cannot become ``inf * 0``. The
result is again a rule: the generator pastes it, and it can be differentiated again.
"""

from __future__ import annotations

import ast
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from fastnet._kernels import algebra
from fastnet._kernels.errors import DifferentiationError, RuleError
from fastnet._kernels.pasting import all_defaults
from fastnet._kernels.snapshots import snapshot, source
from fastnet._kernels.tangents import Tangents, describe, rule_from_source

Gradients = Mapping[Callable, Mapping[str, Callable]]  # {rule: {parameter: derivative}}


def derivative(rule: Callable, wrt: str, gradients: Gradients | None = None) -> str:
    """Source of the function that computes ``d rule / d wrt`` from the same parameters.

    Args:
        rule: a plain function of scalars with readable source: assignments, if/else, conditionals, arithmetic, ``**``,
            calls of math functions and of other rules.
        wrt: the parameter.
        gradients: known derivatives of rules that ``rule`` calls, ``{called: {parameter: derivative}}``; others are
            differentiated in turn.

    Raises:
        DifferentiationError: the rule uses something else, or its source cannot be read.

    Example:
        >>> from fastnet._kernels.differentiate import derivative
        >>> def square_distance(x, y):
        ...     return (x - y) ** 2
        >>> print(derivative(square_distance, "y"))
        def square_distance_by_y(x, y):
            v1 = x - y
            return -(2 * v1)
    """
    return _Differentiator(rule, wrt, gradients or {}).text


def derivative_rule(rule: Callable, wrt: str, gradients: Gradients | None = None) -> Callable:
    """The same as a function that can be called and pasted: ``inspect`` finds its source."""
    rule = snapshot(rule)
    result = _Differentiator(rule, wrt, {snapshot(called): known for called, known in (gradients or {}).items()})
    function: Any = rule_from_source(result.text, result.names)
    function.__defaults__ = all_defaults(rule)
    function.__module__ = rule.__module__
    function.digest = getattr(rule, "digest", "")
    return function


@functools.lru_cache(maxsize=512)
def vanishes(rule: Callable | None) -> bool:
    """Whether a derivative that was written here, or in `symbolic.rows`, is 0 everywhere: it returns the constant 0."""
    tree = ast.parse(getattr(rule, "source", ""))
    results = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
    return bool(results) and all(isinstance(x, ast.Constant) and x.value == 0 for x in results)


class _Differentiator(Tangents):
    """Walks a rule statement by statement; ``tangents`` holds d(name)/d(wrt) of every local name with one."""

    def __init__(
        self, rule: Callable, wrt: str, gradients: Mapping[Callable, Mapping[str, Callable]], outer: tuple = ()
    ):
        self.rule, self.gradients, self.outer = rule, gradients, (*outer, rule)
        node = self._tree()
        parameters = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        if wrt not in parameters:
            raise DifferentiationError(
                f"The rule {rule.__name__!r} has no parameter {wrt!r}; it has {', '.join(map(repr, parameters))}."
            )
        closure = inspect.getclosurevars(rule)
        self.names = {"math": math, **closure.builtins, **closure.globals, **closure.nonlocals}
        self.taken = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | set(parameters) | set(self.names)
        self.local = set(parameters)
        self.tangents: dict[str, ast.expr | None] = {wrt: ast.Constant(1)}
        self.out: list[ast.stmt] = []
        self.tangent_names: dict[str, str] = {}
        self.count = 0
        if not self._block(node.body):
            raise self._error(node, "a way through it ends without `return`")
        arguments = ast.arguments([], [ast.arg(p) for p in parameters], None, [], [], None, [])
        body = algebra.without_unused(self.out)
        definition = ast.FunctionDef(f"{rule.__name__}_by_{wrt}", arguments, body, [], lineno=0)
        if "type_params" in ast.FunctionDef._fields:  # Python 3.12
            definition.type_params = []  # type: ignore[attr-defined,unused-ignore]
        self.text = ast.unparse(ast.fix_missing_locations(definition)) + "\n"

    def _tree(self) -> ast.FunctionDef:
        name = getattr(self.rule, "__name__", repr(self.rule))
        try:
            node = ast.parse(source(self.rule)).body[0]
        except RuleError as error:
            raise DifferentiationError(f"{error} Or write its gradient yourself.") from error
        if not isinstance(node, ast.FunctionDef):
            raise DifferentiationError(
                f"The rule {name!r} is not a function written with def: write `def name(x): return ...`, or write its "
                "gradient yourself."
            )
        return node

    # ---- statements ------------------------------------------------------------------------------------------------

    def _block(self, statements: list[ast.stmt]) -> bool:
        """Differentiate statements in order; return whether they always return."""
        for statement in statements:
            if self._statement(statement):
                return True
        return False

    def _statement(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.Return) and node.value is not None:
            if isinstance(node.value, ast.Tuple):
                raise self._error(node, "it returns several values")
            self.out.append(ast.Return(algebra.written(self._visit(node.value)[1])))
            return True
        if isinstance(node, ast.If):
            return self._if(node)
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            self._assignment(node.targets[0], node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assignment(node.target, node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            value = ast.copy_location(ast.BinOp(algebra.load(node.target.id), node.op, node.value), node)
            self._assignment(node.target, value)
        elif not (isinstance(node, ast.Pass) or isinstance(node, ast.AnnAssign) or self._is_text(node)):
            raise self._error(node, f"it contains {describe(node)}")
        return False

    @staticmethod
    def _is_text(node: ast.stmt) -> bool:
        return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)

    def _assignment(self, target: ast.expr, value: ast.expr):
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            # Copies, for one of the targets may stand in another's value or tangent: a, b = b, a.
            held = [[self._copied(part) for part in self._visit(element)] for element in value.elts]
            for name, (v, d) in zip(target.elts, held, strict=True):
                self._store(name, v, d)
        else:
            self._store(target, *self._visit(value))

    def _store(self, target: ast.expr, value: ast.expr, tangent: ast.expr | None):
        if not isinstance(target, ast.Name):
            raise self._error(target, f"it assigns to {describe(target)}")
        self.local.add(target.id)
        if tangent is not None and not isinstance(tangent, ast.Constant):
            name = self._tangent_name(target.id)
            if not algebra.same(tangent, algebra.load(name)):
                self.out.append(algebra.assign(name, tangent))  # before the value, which the tangent may still read
            tangent = algebra.load(name)
        self.tangents[target.id] = tangent
        self.out.append(algebra.assign(target.id, value))

    def _tangent_name(self, name: str) -> str:
        if name not in self.tangent_names:
            self.tangent_names[name] = self._fresh(f"d_{name}")
        return self.tangent_names[name]

    def _if(self, node: ast.If) -> bool:
        self._check_condition(node.test)
        outer, incoming = self.out, dict(self.tangents)
        branches = []
        for statements in (node.body, node.orelse):
            self.out, self.tangents = [], dict(incoming)
            returns = self._block(statements)
            branches.append((self.out, self.tangents, returns))
        self.out = outer
        going_on = [(out, tangents) for out, tangents, returns in branches if not returns]
        self.tangents = self._merged(going_on)
        self.out.append(ast.If(node.test, branches[0][0] or [ast.Pass()], branches[1][0]))
        return not going_on

    def _merged(self, branches: list) -> dict:
        if len(branches) < 2:
            return branches[0][1] if branches else {}
        (out_a, a), (out_b, b) = branches
        merged = {}
        for name in sorted(a.keys() | b.keys()):
            merged[name] = a.get(name)
            if not algebra.same(a.get(name), b.get(name)):
                tangent = self._tangent_name(name)
                for out, tangents in branches:
                    value = algebra.written(tangents.get(name))
                    if not (isinstance(value, ast.Name) and value.id == tangent):
                        out.append(algebra.assign(tangent, value))
                merged[name] = algebra.load(tangent)
        return merged
