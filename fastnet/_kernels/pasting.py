"""The text of a rule in a generated module: literals are typed, and rules that it calls are pasted in before it."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnet._kernels import unknown_calls
from fastnet._kernels.errors import RuleError, quoted
from fastnet._kernels.rules import derived, elementary, primitives
from fastnet._kernels.snapshots import source
from fastnet._kernels.syntax import expression

_PRIMITIVES = frozenset(primitives.NAMES)


def function_tree(function: Callable, what: str = "rule") -> ast.FunctionDef:
    """The syntax tree of a function's source, without its docstring and decorators.

    Raises:
        RuleError: the source cannot be read, or is not a `def`; ``what`` says what the function is in the message.
    """
    text = function.text() if hasattr(function, "text") else source(function, what)
    node = ast.parse(text).body[0]
    if not isinstance(node, ast.FunctionDef):
        raise RuleError(
            f"The {what} {getattr(function, '__name__', function)!r} is not a function written with def: write "
            "`def name(x): return ...` instead of a lambda or a class."
        )
    node.decorator_list = []
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:]
    return node


def rule_tree(rule: Callable) -> ast.FunctionDef:
    """The tree of a rule, whose arguments are all given by position, without defaults.

    Of the annotations only the constant "u32" stays, which says something to the kernel.
    """
    node = function_tree(rule)
    arguments = node.args
    arguments.args = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    arguments.posonlyargs, arguments.kwonlyargs, arguments.defaults, arguments.kw_defaults = [], [], [], []
    for argument in arguments.args:
        if not (isinstance(argument.annotation, ast.Constant) and argument.annotation.value == "u32"):
            argument.annotation = None
    node.returns = None
    return node


def all_defaults(rule: Callable) -> tuple[Any, ...]:
    """The defaults of a rule's last arguments, also of those that are given by name alone."""
    parameters = inspect.signature(rule).parameters.values()
    return tuple([p.default for p in parameters if p.default is not inspect.Parameter.empty])


def check_rule(rule: Callable, results: int | None = 1) -> None:
    """Check a rule before it is used.

    Args:
        rule: the rule.
        results: the number of results; None for any.

    Raises:
        RuleError: the rule cannot become a kernel.
    """
    for dtype in ("float32", "float64"):
        paste(rule, dtype, {})
    for node in ast.walk(function_tree(rule)):
        if results is None or not isinstance(node, ast.Return):
            continue
        value = node.value
        given = 0 if value is None else len(value.elts) if isinstance(value, ast.Tuple) else 1
        unseen = isinstance(value, (ast.Call, ast.IfExp, ast.Name))  # the text does not show what these are
        other = isinstance(value, ast.List) or (
            isinstance(value, ast.Constant) and not isinstance(value.value, (int, float))
        )
        if other or (given != results and not (unseen and results > 1)):
            raise RuleError(
                f"The rule {rule.__name__!r} cannot become a kernel: it must return {results} "
                f"number{'s' * (results > 1)}, and has `{ast.unparse(node)}` (line {node.lineno} of its source)."
            )


def paste(rule: Callable, dtype: str, pasted: dict[str, str]) -> str:
    """Add a rule, and the rules that it calls, to ``pasted``; return its name there."""
    if not inspect.isfunction(rule):
        raise RuleError(
            f"A rule is a plain Python function of scalars; received {quoted(rule)} ({type(rule).__name__})."
        )
    module = rule.__module__ or ""  # None: made by exec
    elementary_rule = module == elementary.__name__ or module.startswith(elementary.__name__ + "_")
    name = rule.__name__ if elementary_rule else f"{rule.__name__}_{dtype}"
    path = " ".join([f"{rule.__module__}.{rule.__qualname__}", *filter(None, [getattr(rule, "digest", None)])])
    while name in pasted and pasted[name].split("\n", 1)[0] != f"# {path}":
        name += "_"
    if pasted.get(name) == f"# {path}\n":
        raise RuleError(f"The rule {rule.__name__!r} calls itself; write it without recursion.")
    if name not in pasted:
        pasted[name] = f"# {path}\n"  # taken from now on: a rule `tanh` may call math.tanh
        node = rule_tree(rule)
        integer = bool(node.args.args) and all(argument.annotation is not None for argument in node.args.args)
        for argument in node.args.args:
            argument.annotation = None
        transformer = _Rule(rule, dtype, pasted, "np.uint32" if integer else "T")
        node = transformer.visit(node)
        node.name = name
        del pasted[name]  # again, after the rules that it calls
        pasted[name] = f"# {path}\n{ast.unparse(ast.fix_missing_locations(node))}"
    return name


def library_name(target: ast.expr, names: Mapping[str, Any]) -> str | None:
    """The name of a called function of `math` or `numpy`; None for another function."""
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        return target.attr if names.get(target.value.id) in (math, np) else None
    value = names.get(target.id) if isinstance(target, ast.Name) else None
    of_numpy = value is not None and value is getattr(np, _name(value), None)
    known = of_numpy or getattr(value, "__module__", None) == "math"
    return _name(value) if known else None


def _name(value: Any) -> str:
    return str(getattr(value, "__name__", ""))


def rewritten_call(node: ast.Call, names: Mapping[str, Any]) -> ast.expr | None:
    """``where(c, a, b)``, ``isnan(x)`` and the like as expressions; None for other calls."""
    name, arguments = library_name(node.func, names), node.args
    if name == "where" and len(arguments) == 3:
        return ast.copy_location(ast.IfExp(*arguments), node)
    if name in _TESTS and len(arguments) == 1:
        return ast.copy_location(expression(_TESTS[name], x=arguments[0]), node)
    return None


_TESTS = {"isnan": "x != x", "isfinite": "x - x == 0", "isinf": "abs(x) == 1e999"}


def called(target: ast.expr, names: Mapping[str, Any], dtype: str) -> Callable | str | None:
    """The function behind a called name: a rule, or the name of a primitive; None if it is neither."""
    value: Any = None
    if (library := library_name(target, names)) is not None:
        return _elementary(library, dtype)
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        owner = names.get(target.value.id)
        value = getattr(owner, target.attr, None) if inspect.ismodule(owner) else None
    elif isinstance(target, ast.Name):
        value = names.get(target.id)
    if not inspect.isfunction(value):
        return None
    return value.__name__ if value.__module__ == primitives.__name__ and value.__name__ in _PRIMITIVES else value


def _elementary(attribute: str, dtype: str) -> Callable | str | None:
    """The rule or primitive for a function of ``math`` or ``numpy``."""
    attribute = derived.ALIASES.get(attribute, attribute)
    if attribute in _PRIMITIVES:
        return attribute
    return derived.FUNCTIONS.get(attribute) or getattr(elementary, f"{attribute}_{dtype}", None)


def left_out(function: Callable, given: int) -> list[Any] | str:
    """The defaults of the arguments after the first ``given``; if one has none, or no number, the text of the error."""
    parameters = list(inspect.signature(function).parameters.values())
    defaults = [p.default for p in parameters[given:]]
    if given > len(parameters) or inspect.Parameter.empty in defaults:
        return f"{function.__name__!r} takes {len(parameters)} arguments and gets {given}"
    if not all(isinstance(value, (int, float)) for value in defaults):
        return f"{function.__name__!r} has arguments whose defaults are not numbers"
    return defaults


def number(node: ast.expr, names: Mapping[str, Any]) -> int | float | None:
    """The number of a name from outside, or of an attribute of a module such as ``math.inf``."""
    value: Any = None
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        value = getattr(names.get(node.value.id), node.attr, None)
    elif isinstance(node, ast.Name):
        value = names.get(node.id)
    if isinstance(value, np.number):
        value = value.item()
    return value if isinstance(value, (int, float)) else None


def is_cut(value: int | float, dtype: str) -> bool:
    """Whether a kernel of integers cannot hold a number."""
    return not dtype.startswith("float") and not float(value).is_integer()


def repeated_product(base: ast.expr, exponent: ast.expr) -> ast.expr | None:
    """A power with an exponent from 1 to 4 as a product; None for other exponents."""
    count = exponent.value if isinstance(exponent, ast.Constant) else None
    if not isinstance(count, (int, float)) or count not in (1, 2, 3, 4):
        return None
    text = f"({ast.unparse(ast.fix_missing_locations(base))})"
    return expression("*".join([text] * int(count)))


def power(base: ast.expr, exponent: ast.expr, dtype: str, pasted: dict[str, str]) -> ast.expr:
    """A power as a call of the rule for it."""
    name = paste(getattr(elementary, f"pow_{dtype}"), dtype, pasted)
    return ast.Call(ast.Name(name, ast.Load()), [base, exponent], [])


def typed(value: int | float, literal: str = "T") -> ast.expr:
    """A number as an expression of the kernel's dtype."""
    text = repr(value) if math.isfinite(value) else "np.nan" if math.isnan(value) else f"{'-' * (value < 0)}np.inf"
    return ast.parse(f"{literal}({text})", mode="eval").body


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
        if is_cut(node.value, self.dtype):
            raise self._error(
                node, f"{node.value!r} is not a number of {self.dtype}, the dtype of the views it is used on"
            )
        return self._typed(node.value)

    def _typed(self, value):
        return typed(value, self.literal)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return self.visit_Constant(ast.copy_location(ast.Constant(-node.operand.value), node))
        return self.generic_visit(node)

    def visit_BinOp(self, node):
        if isinstance(node.op, ast.Pow):
            return self._power(node)
        return self.generic_visit(node)

    def _power(self, node):
        """Write a small integer power as a product; other powers call the rule ``pow``."""
        base = self.visit(node.left)
        if (product := repeated_product(base, node.right)) is not None:
            return product
        return power(base, self.visit(node.right), self.dtype, self.pasted)

    def visit_Attribute(self, node):
        value = number(node, self.names)
        if value is None:
            raise self._error(node, f"{ast.unparse(node)!r} is not known in a rule")
        return self.visit_Constant(ast.copy_location(ast.Constant(value), node))

    def visit_Name(self, node):
        if not isinstance(node.ctx, ast.Load) or node.id in self.locals:
            return node
        value = number(node, self.names)
        if value is None:
            raise self._error(node, f"the name {node.id!r} stands for no number")
        return self.visit_Constant(ast.copy_location(ast.Constant(value), node))

    def visit_AnnAssign(self, node):
        return None if node.value is None else ast.Assign([node.target], self.visit(node.value))

    def visit_Call(self, node):
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            raise self._error(node, f"{ast.unparse(node)!r} passes arguments by name or by *; write them in order")
        if (rewritten := rewritten_call(node, self.names)) is not None:
            return self.visit(rewritten)
        node.args = [self.visit(a) for a in node.args]
        target = node.func
        name = target.id if isinstance(target, ast.Name) else ""
        function = called(target, self.names, self.dtype)
        if function is None and name in ("abs", "float", "T"):
            function = {"abs": "fabs", "float": "T", "T": "T"}[name]
        if function is None:
            raise self._error(node, unknown_calls.sentence(target))
        node.func = ast.Name(function if isinstance(function, str) else self._pasted(function, node), ast.Load())
        return node

    def _pasted(self, function, node) -> str:
        """The name of a rule that is called; arguments that are left out take their defaults."""
        defaults = left_out(function, len(node.args))
        if isinstance(defaults, str):
            raise self._error(node, defaults)
        node.args += map(self._typed, defaults)
        return paste(function, self.dtype, self.pasted)

    def _error(self, node, problem: str) -> RuleError:
        return RuleError(
            f"The rule {self.rule.__name__!r} cannot become a kernel: {problem} (line {getattr(node, 'lineno', '?')} "
            "of its source). docs/extending.md lists what a rule may use."
        )
