"""A rule as it stands in a generated module: every literal typed, every rule it calls pasted in before it."""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
from collections.abc import Callable

import numpy as np

from fastnet._kernels.errors import RuleError
from fastnet._kernels.rules import elementary, primitives

_PRIMITIVES = frozenset(primitives.NAMES)


def function_tree(function: Callable) -> ast.FunctionDef:
    """The syntax tree of a function's source, without its docstring and decorators."""
    try:
        text = function.text() if hasattr(function, "text") else inspect.getsource(function)
        tree = ast.parse(textwrap.dedent(text))
    except (OSError, TypeError, SyntaxError) as error:
        raise RuleError(
            f"The source of the rule {getattr(function, '__name__', function)!r} cannot be read ({error}). A rule is "
            "pasted into a generated kernel, so write it as a named function (def) in a file or a notebook cell."
        ) from error
    node = tree.body[0]
    if not isinstance(node, ast.FunctionDef):
        raise RuleError(
            f"The rule {getattr(function, '__name__', function)!r} is not a function written with def: write "
            "`def name(x): return ...` instead of a lambda or a class."
        )
    node.decorator_list = []
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:]
    return node


def check_rule(rule: Callable, results: int | None = 1) -> None:
    """Look at a rule before anything is made of it.

    Args:
        rule: the rule.
        results: how many numbers it must return; None for any.

    Raises:
        RuleError: it cannot become a kernel.
    """
    for dtype in ("float32", "float64"):
        paste(rule, dtype, {})
    for node in ast.walk(function_tree(rule)):
        if results is None or not isinstance(node, ast.Return):
            continue
        value = node.value
        given = 0 if value is None else len(value.elts) if isinstance(value, ast.Tuple) else 1
        unseen = isinstance(value, (ast.Call, ast.IfExp, ast.Name))  # what these are is not written here
        other = isinstance(value, ast.List) or (
            isinstance(value, ast.Constant) and not isinstance(value.value, (int, float))
        )
        if other or (given != results and not (unseen and results > 1)):
            raise RuleError(
                f"The rule {rule.__name__!r} cannot become a kernel: it must return {results} "
                f"number{'s' * (results > 1)}, and has `{ast.unparse(node)}` (line {node.lineno} of its source)."
            )


def paste(rule: Callable, dtype: str, pasted: dict[str, str]) -> str:
    """Add a rule, and the rules it calls, to ``pasted``; the name it has there."""
    if not inspect.isfunction(rule):
        raise RuleError(f"A rule is a plain Python function of scalars; received {rule!r} ({type(rule).__name__}).")
    module = rule.__module__ or ""  # None: made by exec
    elementary_rule = module == elementary.__name__ or module.startswith(elementary.__name__ + "_")
    name = rule.__name__ if elementary_rule else f"{rule.__name__}_{dtype}"
    own = f"{rule.__module__}.{rule.__qualname__}"
    while name in pasted and pasted[name].split("\n", 1)[0] != f"# {own}":
        name += "_"
    if pasted.get(name) == f"# {own}\n":
        raise RuleError(f"The rule {rule.__name__!r} calls itself; write it without recursion.")
    if name not in pasted:
        pasted[name] = f"# {own}\n"  # taken from now on: a rule `tanh` may call math.tanh
        node = function_tree(rule)
        integer = bool(node.args.args) and all(
            isinstance(a.annotation, ast.Constant) and a.annotation.value == "u32" for a in node.args.args
        )
        for argument in node.args.args:
            argument.annotation = None
        transformer = _Rule(rule, dtype, pasted, "np.uint32" if integer else "T")
        node = transformer.visit(node)
        node.name, node.returns = name, None
        node.args.defaults = []
        del pasted[name]  # again, behind what it calls
        pasted[name] = f"# {own}\n{ast.unparse(ast.fix_missing_locations(node))}"
    return name


class _Rule(ast.NodeTransformer):
    """Types literals, resolves names, and pastes the rules a rule calls."""

    def __init__(self, rule: Callable, dtype: str, pasted: dict[str, str], literal: str):
        self.rule, self.dtype, self.pasted, self.literal = rule, dtype, pasted, literal
        closure = inspect.getclosurevars(rule)
        self.names = {**closure.globals, **closure.nonlocals}
        self.locals = frozenset(rule.__code__.co_varnames)

    def visit_Constant(self, node):
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            return node
        return self._typed(node.value)

    def _typed(self, number):
        if isinstance(number, float) and not math.isfinite(number):
            return (
                ast.parse(f"{self.literal}(np.{'nan' if math.isnan(number) else 'inf'})").body[0].value
                if (math.isnan(number) or number > 0)
                else ast.parse(f"{self.literal}(-np.inf)").body[0].value
            )
        return ast.parse(f"{self.literal}({number!r})", mode="eval").body

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return self._typed(-node.operand.value)
        return self.generic_visit(node)

    def visit_BinOp(self, node):
        if isinstance(node.op, ast.Pow):
            return self._power(node)
        return self.generic_visit(node)

    def _power(self, node):
        """A whole power is written out as a product; others go through the rule ``pow``."""
        exponent = node.right
        if isinstance(exponent, ast.Constant) and exponent.value in (1, 2, 3, 4):
            base = f"({ast.unparse(ast.fix_missing_locations(self.visit(node.left)))})"
            return ast.parse("*".join([base] * int(exponent.value)), mode="eval").body
        arguments = [self.visit(node.left), self.visit(node.right)]
        return ast.Call(ast.Name(self._math("pow", node), ast.Load()), arguments, [])

    def visit_Attribute(self, node):
        owner = self.names.get(node.value.id) if isinstance(node.value, ast.Name) else None
        if owner is math and node.attr in ("pi", "e", "tau", "inf", "nan"):
            return self._typed(getattr(math, node.attr))
        value = getattr(owner, node.attr, None)
        if isinstance(value, (int, float)):
            return self._typed(value)
        raise self._error(node, f"{ast.unparse(node)!r} is not known in a rule")

    def visit_Name(self, node):
        if not isinstance(node.ctx, ast.Load) or node.id in self.locals:
            return node
        value = self.names.get(node.id)
        if isinstance(value, np.number):
            value = value.item()
        if isinstance(value, (int, float)):
            return self._typed(value)
        raise self._error(node, f"the name {node.id!r} stands for no number")

    def visit_AnnAssign(self, node):
        return ast.Assign([node.target], self.visit(node.value))

    def visit_Call(self, node):
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            raise self._error(node, f"{ast.unparse(node)!r} passes arguments by name or by *")
        node.args = [self.visit(a) for a in node.args]
        target, name = node.func, None
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            owner = self.names.get(target.value.id)
            if owner is not None and getattr(owner, "__name__", "") in ("math", "numpy"):
                name = self._math(target.attr, node)
            elif inspect.ismodule(owner) and inspect.isfunction(getattr(owner, target.attr, None)):
                name = self._function(getattr(owner, target.attr), node)
        elif isinstance(target, ast.Name):
            value = self.names.get(target.id)
            if inspect.isfunction(value):
                name = self._function(value, node)
            elif target.id in ("abs", "float", "T"):
                name = {"abs": "fabs", "float": "T", "T": "T"}[target.id]
            elif getattr(value, "__module__", "") == "math":
                name = self._math(value.__name__, node)
            elif target.id in ("min", "max"):
                raise self._error(node, f"{target.id}() loses NaN; write a conditional such as `0 if x < 0 else x`")
        if name is None:
            raise self._error(node, f"the call of {ast.unparse(target)!r} is not known in a rule")
        node.func = ast.Name(name, ast.Load())
        return node

    def _function(self, function, node):
        if function.__module__ == primitives.__name__ and function.__name__ in _PRIMITIVES:
            return function.__name__
        parameters = list(inspect.signature(function).parameters.values())
        left = parameters[len(node.args) :]
        if len(node.args) > len(parameters) or any(p.default is inspect.Parameter.empty for p in left):
            problem = f"{function.__name__!r} takes {len(parameters)} arguments and gets {len(node.args)}"
            raise self._error(node, problem)
        node.args += [self._typed(p.default) for p in left]
        return paste(function, self.dtype, self.pasted)

    def _math(self, attribute: str, node) -> str:
        attribute = {"fabs": "fabs", "abs": "fabs", "power": "pow"}.get(attribute, attribute)
        if attribute in _PRIMITIVES:
            return attribute
        rule = getattr(elementary, f"{attribute}_{self.dtype}", None)
        if rule is None:
            raise self._error(node, f"{ast.unparse(node.func)} is not among the functions a rule may use")
        return paste(rule, self.dtype, self.pasted)

    def _error(self, node, problem: str) -> RuleError:
        return RuleError(
            f"The rule {self.rule.__name__!r} cannot become a kernel: {problem} (line {getattr(node, 'lineno', '?')} "
            "of its source). docs/extending.md lists what a rule may use."
        )
