"""Expressions of a rule and their tangents: the chain rule, one node of the syntax tree at a time."""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
import math
from collections.abc import Callable, Mapping
from typing import Any

from fastnet._kernels import algebra, pasting, unknown_calls
from fastnet._kernels.errors import DifferentiationError
from fastnet._kernels.rules import derived, primitives
from fastnet._kernels.syntax import expression

# d f(x) / dx by x and v = f(x); None: zero almost everywhere.
_DERIVATIVES = {
    "exp": "v",
    "expm1": "math.exp(x)",  # v + 1 would lose the digits of a small v
    "log": "1 / x",
    "log1p": "1 / (1 + x)",
    "sqrt": "0.5 / v",
    "tanh": "1 - v * v",
    "erf": "1.1283791670955126 * math.exp(-x * x)",  # 2 / sqrt(pi)
    "sin": "math.cos(x)",
    "cos": "-math.sin(x)",
    "fabs": "-1 if x < 0 else 1 if x > 0 else x",  # 0 at 0, NaN at NaN
    "atan": "1 / (1 + x * x)",
    "asin": "1 / math.sqrt((1 - x) * (1 + x))",
    "acos": "-1 / math.sqrt((1 - x) * (1 + x))",
    "sinh": "math.cosh(x)",
    "cosh": "math.sinh(x)",
    "tan": "1 + v * v",
    "asinh": "1 / math.sqrt(x * x + 1)",
    "acosh": "1 / (math.sqrt(x - 1) * math.sqrt(x + 1))",
    "atanh": "1 / ((1 - x) * (1 + x))",
    "log2": "1 / (x * 0.6931471805599453)",
    "log10": "1 / (x * 2.302585092994046)",
    "sign": None,
    "floor": None,
    "ceil": None,
    "trunc": None,
    "rint": None,
}


def rule_from_source(text: str, names: Mapping[str, object] | None = None) -> Callable:
    """Make a rule from the text of one ``def``; ``names`` are its globals besides ``math``."""
    filename = f"<fastnet rule {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {"math": math, "__name__": __name__, **(names or {})}
    exec(compile(text, filename, "exec"), namespace)
    (definition,) = ast.parse(text).body
    assert isinstance(definition, ast.FunctionDef)
    rule: Any = namespace[definition.name]
    rule.source = text
    return rule


class Tangents:
    """The differentiation of one rule: its names, and the derivatives of its expressions.

    Attributes:
        names: the values of the rule's global names.
        local: its local names; ``tangents`` holds d(name)/d(wrt) of each that has one.
        out: the statements written so far.
        gradients: known derivatives of the rules it calls.
        outer: the rules being differentiated, this one last.
    """

    rule: Callable
    gradients: Mapping[Callable, Mapping[str, Callable]]
    outer: tuple[Callable, ...]
    names: dict[str, Any]
    taken: set[str]
    local: set[str]
    tangents: dict[str, ast.expr | None]
    out: list[ast.stmt]
    count: int
    text: str

    def __init__(self, rule: Callable, wrt: str, gradients: Mapping, outer: tuple = ()):
        raise NotImplementedError

    def _error(self, node: ast.AST, problem: str) -> DifferentiationError:
        line = self.rule.__code__.co_firstlineno + getattr(node, "lineno", 1) - 1
        return DifferentiationError(
            f"The rule {self.rule.__name__!r} cannot be differentiated: {problem} (line {line}). Write its gradient "
            "yourself (`df=`), or use assignments, if/else, arithmetic and the functions docs/extending.md lists."
        )

    def _fresh(self, stem: str) -> str:
        while stem in self.taken:
            stem += "_"
        self.taken.add(stem)
        return stem

    def _atom(self, value: ast.expr) -> ast.expr:
        """A name or constant for a value that is used more than once."""
        if isinstance(value, (ast.Name, ast.Constant)):
            return value
        return self._copied(value)

    def _copied(self, value: Any) -> Any:
        """A name for an expression; None (no tangent) and constants stay."""
        if value is None or isinstance(value, ast.Constant):
            return value
        self.count += 1
        name = self._fresh(f"v{self.count}")
        self.out.append(algebra.assign(name, value))
        return algebra.load(name)

    # ---- expressions: (value, tangent) -----------------------------------------------------------------------------

    def _visit(self, node: ast.expr) -> tuple[ast.expr, ast.expr | None]:
        if isinstance(node, ast.Constant):
            return node, None
        if isinstance(node, ast.Name):
            return node, self.tangents.get(node.id)
        if isinstance(node, (ast.Compare, ast.BoolOp)):
            self._check_condition(node)
            return node, None
        method = getattr(self, f"_visit_{type(node).__name__}", None)
        if method is None:
            raise self._error(node, f"it contains {describe(node)}")
        return method(node)

    def _check_condition(self, node: ast.expr):
        for child in ast.walk(node):
            if isinstance(child, (ast.Subscript, ast.Lambda, ast.NamedExpr, ast.ListComp, ast.GeneratorExp)):
                raise self._error(child, f"it contains {describe(child)}")

    def _visit_Attribute(self, node):
        if isinstance(node.value, ast.Name) and node.value.id not in self.local:
            return node, None
        raise self._error(node, f"it contains {ast.unparse(node)!r}")

    def _visit_UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            self._check_condition(node)
            return node, None
        value, tangent = self._visit(node.operand)
        if isinstance(node.op, ast.USub):
            return ast.UnaryOp(ast.USub(), value), algebra.negate(tangent)
        if isinstance(node.op, ast.UAdd):
            return value, tangent
        raise self._error(node, f"it contains {ast.unparse(node)!r}")

    def _visit_BinOp(self, node):
        if isinstance(node.op, ast.Pow):
            return self._power(node, node.left, node.right)
        (a, da), (b, db) = self._visit(node.left), self._visit(node.right)
        if isinstance(node.op, ast.Add):
            return ast.BinOp(a, ast.Add(), b), algebra.add(da, db)
        if isinstance(node.op, ast.Sub):
            return ast.BinOp(a, ast.Sub(), b), algebra.subtract(da, db)
        if isinstance(node.op, ast.Mult):
            a, b = self._atom(a) if db else a, self._atom(b) if da else b
            return ast.BinOp(a, ast.Mult(), b), algebra.add(algebra.multiply(da, b), algebra.multiply(a, db))
        if isinstance(node.op, ast.Div):
            return self._quotient(a, da, b, db)
        raise self._error(node, f"it contains the operator of {ast.unparse(node)!r}")

    def _quotient(self, a, da, b, db):
        if not (da or db):
            return ast.BinOp(a, ast.Div(), b), None
        b = self._atom(b)
        value = ast.BinOp(a, ast.Div(), b)
        if db:
            value = self._atom(value)
            da = algebra.subtract(da, algebra.multiply(value, db))
        return value, algebra.divide(da, b)

    def _power(self, node, base, exponent):
        (a, da), (n, dn) = self._visit(base), self._visit(exponent)
        a, n = (self._atom(a), self._atom(n)) if da or dn else (a, n)
        value = ast.BinOp(a, ast.Pow(), n)
        by_base = None
        if da and isinstance(n, ast.Constant):
            less = n.value - 1
            power = ast.Constant(1) if less == 0 else a if less == 1 else ast.BinOp(a, ast.Pow(), ast.Constant(less))
            by_base = None if n.value == 0 else algebra.multiply(n, power)
        elif da:
            by_base = expression("n * a ** (n - 1)", a=a, n=n)
        by_exponent = None
        if dn:
            value = self._atom(value)
            by_exponent = expression("v if v == 0 else v * math.log(a)", v=value, a=a)  # 0 * -inf where a is 0
        return value, algebra.add(algebra.multiply(by_base, da), algebra.multiply(by_exponent, dn))

    def _visit_IfExp(self, node):
        self._check_condition(node.test)
        outer, branches = self.out, []
        for side in (node.body, node.orelse):
            self.out = []
            branches.append((*self._visit(side), self.out))
        self.out = outer
        (a, da, out_a), (b, db, out_b) = branches
        if not (out_a or out_b):
            tangent = da if algebra.same(da, db) else ast.IfExp(node.test, algebra.written(da), algebra.written(db))
            return ast.IfExp(node.test, a, b), tangent
        self.count += 1
        value, tangent = self._fresh(f"v{self.count}"), self._fresh(f"d{self.count}")
        out_a += [algebra.assign(value, a), algebra.assign(tangent, algebra.written(da))]
        out_b += [algebra.assign(value, b), algebra.assign(tangent, algebra.written(db))]
        self.out.append(ast.If(node.test, out_a, out_b))
        return algebra.load(value), None if da is None and db is None else algebra.load(tangent)

    # ---- calls -----------------------------------------------------------------------------------------------------

    def _visit_Call(self, node):
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            raise self._error(node, f"{ast.unparse(node)!r} passes arguments by name or by *")
        if (rewritten := pasting.rewritten_call(node, self.names)) is not None:
            return self._visit(rewritten)
        name, function = self._callee(node)
        if name == "pow":
            return self._power(node, *node.args)
        visited = [self._visit(a) for a in node.args]
        if not any(d for _, d in visited):
            return ast.Call(node.func, [v for v, _ in visited], []), None
        values = [self._atom(v) for v, _ in visited]
        tangents = [d for _, d in visited]
        call = ast.Call(node.func, values, [])
        if name in _DERIVATIVES:
            return self._elementary(name, call, values[0], tangents[0])
        if name in ("float", "T"):
            return call, tangents[0]
        if name in ("fma", "product"):
            tangent = algebra.add(algebra.multiply(tangents[0], values[1]), algebra.multiply(values[0], tangents[1]))
            return call, algebra.add(tangent, tangents[2] if name == "fma" else None)
        if name in ("at_most", "at_least"):
            relation = ">" if name == "at_most" else "<"
            dx, limited = algebra.written(tangents[0]), algebra.written(tangents[1])
            return call, expression(f"b if x {relation} limit else a", x=values[0], limit=values[1], a=dx, b=limited)
        if name == "copysign":
            sign = expression("math.copysign(1, a) * math.copysign(1, b)", a=values[0], b=values[1])
            return call, algebra.multiply(sign, tangents[0])
        return call, self._rule_tangent(node, function, values, tangents)

    def _callee(self, node: ast.Call) -> tuple[str | None, Callable | None]:
        """The name of a known scalar function, or the rule that is called."""
        target, function = node.func, None
        if isinstance(target, ast.Name) and target.id not in self.local:
            function = self.names.get(target.id)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            function = getattr(self.names.get(target.value.id), target.attr, None)
        name = str(getattr(function, "__name__", ""))
        name = derived.ALIASES.get(name, name)
        known = {*_DERIVATIVES, "pow", "float", "fma", "product", "at_most", "at_least", "copysign"}
        library = pasting.library_name(target, self.names)
        if library is not None and name not in known and name in derived.FUNCTIONS:
            return None, derived.FUNCTIONS[name]
        module = getattr(function, "__module__", None)
        if name in known and (module in ("math", "builtins", primitives.__name__) or not inspect.isfunction(function)):
            return name, None
        if inspect.isfunction(function) and module != primitives.__name__:
            return None, function
        if name in ("min", "max"):
            raise self._error(node, unknown_calls.sentence(target))
        raise self._error(node, f"the derivative of {ast.unparse(target)!r} is not known")

    def _elementary(self, name, call, x, dx):
        text = _DERIVATIVES[name]
        if dx is None or text is None:
            return call, None
        if text.startswith("1 / "):
            return call, algebra.divide(dx, expression(text[4:], x=x))
        v = self._atom(call) if "v" in text else call
        return v, algebra.multiply(expression(text, x=x, v=v), dx)

    def _rule_tangent(self, node, function, values, tangents):
        if function in self.outer:
            raise self._error(node, f"it calls itself through {ast.unparse(node.func)!r}")
        signature = inspect.signature(function).parameters
        parameters = list(signature)
        left = [signature[p].default for p in parameters[len(values) :]]
        if inspect.Parameter.empty not in left:
            values, tangents = [*values, *map(ast.Constant, left)], [*tangents, *[None] * len(left)]
        if len(parameters) != len(values):
            raise self._error(
                node, f"{ast.unparse(node.func)!r} takes {len(parameters)} arguments and gets {len(values)}"
            )
        total = None
        for parameter, tangent in zip(parameters, tangents, strict=True):
            if tangent is None:
                continue
            gradient = {**self.gradients.get(function, {}), **derived.GRADIENTS.get(function, {})}.get(parameter)
            if gradient is None:
                nested = type(self)(function, parameter, self.gradients, self.outer)
                gradient = rule_from_source(nested.text, nested.names)
                gradient.__module__ = function.__module__
            name = gradient.__name__
            while self.names.get(name, gradient) is not gradient or name in self.local:
                name += "_"
            self.names[name] = gradient
            total = algebra.add(total, algebra.multiply(ast.Call(algebra.load(name), values, []), tangent))
        return total


def describe(node: ast.AST) -> str:
    """A syntax node in words, for errors."""
    words = {
        ast.For: "a loop",
        ast.While: "a loop",
        ast.Subscript: "a subscript",
        ast.ListComp: "a comprehension",
        ast.GeneratorExp: "a comprehension",
        ast.Lambda: "a lambda",
    }
    text = ast.unparse(node).splitlines()[0]
    return f"{words.get(type(node), 'a construct it does not know')}, {text!r}"
