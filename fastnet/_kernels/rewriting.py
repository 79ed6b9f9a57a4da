"""Rewrites the statements of templates for a kernel: typed literals, pasted rules, arguments written out."""

from __future__ import annotations

import ast
import copy
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastnet._kernels.errors import RuleError, template_error
from fastnet._kernels.kinds import Kind
from fastnet._kernels.pasting import (
    called,
    is_cut,
    left_out,
    number,
    paste,
    power,
    repeated_product,
    rewritten_call,
    typed,
)
from fastnet._kernels.rules import primitives
from fastnet._kernels.syntax import expression

if TYPE_CHECKING:
    from fastnet._kernels.generate import Kernel

#: names that a template's body may use without an import
_NAMES = frozenset(
    [
        "T",
        "stack",
        "prefetch",
        "float64",
        "int32",
        "int64",
        "uint32",
        "uint64",
        "range",
        "min",
        "max",
        "abs",
        "int",
        *primitives.NAMES,
    ]
)


class Rewriter(ast.NodeTransformer):
    """Rewrites a template's statements: typed literals, pasted names of rules, sequences of arguments written out.

    Args:
        kernel: the kernel.
        template: whose statements they are.
        names: parameter → the name of the rule or intrinsic it stands for.
        pasted: rules that the module has.
    """

    def __init__(self, kernel: Kernel, template: Any, names: Mapping[str, str], pasted: dict[str, str]):
        self.kernel, self.template, self.names, self.pasted = kernel, template, names, pasted
        self.namespace = template.namespace

    def copies(self, name: str) -> list[str] | None:
        """The names that stand for several arguments; None for another name."""
        kind = self.kernel.template.parameters.get(name)
        if kind is None or not kind.several:
            return None
        return [f"{name}_{i}" for i in range(dict(self.kernel.counts).get(name, 0))]

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return self.literal(node) if isinstance(node.value, float) else node

    def literal(self, node: ast.Constant) -> ast.expr:
        """A number of the kernel's dtype."""
        assert isinstance(node.value, (int, float))
        if is_cut(node.value, self.kernel.dtype):
            raise self.error(node, f"{node.value!r} is not a number of {self.kernel.dtype}, the dtype of its views")
        return typed(node.value)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """A power of Python's would be the system's, in double where one of its numbers is an integer."""
        if not isinstance(node.op, ast.Pow):
            return self.generic_visit(node)
        base = self.visit(node.left)
        if (product := repeated_product(base, node.right)) is not None:
            return product
        exponent = self.visit(node.right)
        if isinstance(base, ast.Constant):  # of an index, such as 2 ** level
            return ast.BinOp(base, ast.Pow(), exponent)
        if not self.kernel.dtype.startswith("float"):
            raise self.error(node, f"{ast.unparse(node)} is a power of integers; write a product")
        base, exponent = expression("T(x)", x=base), expression("T(x)", x=exponent)
        return power(base, exponent, self.kernel.dtype, self.pasted)

    def written_out(self, elements: list[ast.expr]) -> list[ast.expr]:
        """Elements of a tuple or a call, with ``*name`` and ``*name[i]`` as one element for each argument."""
        out = []
        for element in elements:
            unpacked = element.value if isinstance(element, ast.Starred) else None
            name = unpacked.value if isinstance(unpacked, ast.Subscript) else unpacked
            copies = self.copies(name.id) if isinstance(name, ast.Name) else None
            if copies is None:
                out.append(self.visit(element))
                continue
            assert isinstance(unpacked, (ast.Subscript, ast.Name))
            out += [self.one_of(unpacked, copied) for copied in copies]
        return out

    def one_of(self, element: ast.Subscript | ast.Name, copied: str) -> ast.AST:
        """``name`` or ``name[i]`` of several as that of one of them."""
        one = copy.deepcopy(element)
        (one.value if isinstance(one, ast.Subscript) else one).id = copied  # type: ignore[attr-defined]
        return self.visit(one)

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        node.elts = self.written_out(node.elts)
        for element in node.elts:
            if isinstance(node.ctx, ast.Store) and hasattr(element, "ctx"):
                element.ctx = ast.Store()
        return node.elts[0] if len(node.elts) == 1 else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if node.keywords:
            raise self.error(node, f"{ast.unparse(node)} passes arguments by name")
        if (rewritten := rewritten_call(node, self.namespace)) is not None:
            return self.visit(rewritten)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "load_columns" and isinstance(node.args[5], ast.Name) and node.args[5].id in self.kernel.absent:
            lanes, _, _, _, x, operand, _ = node.args  # whose default all lanes have
            node.func, node.args = ast.Name("fill_lanes", ast.Load()), [lanes, x, operand]
        node.args = self.written_out(node.args)
        if name == "stack" and len(node.args) == 1:
            node.args.insert(0, ast.Constant(self.kernel.dtype))
        elif name in self.names:
            node.func = ast.Name(self.names[name], ast.Load())
        elif (function := called(node.func, self.namespace, self.kernel.dtype)) is not None:
            node.func = ast.Name(function if isinstance(function, str) else self._pasted(function, node), ast.Load())
        elif not (name in _NAMES or self.template.built_in):
            raise self.error(node, f"{ast.unparse(node.func)} is not among the functions that a kernel may call")
        return node

    def _pasted(self, function: Callable, node: ast.Call) -> str:
        """The name of a rule that is called; arguments that are left out take their defaults."""
        defaults = left_out(function, len(node.args))
        if isinstance(defaults, str):
            raise self.error(node, defaults)
        node.args += map(typed, defaults)
        return paste(function, self.kernel.dtype, self.pasted)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        value = number(node, self.namespace)
        if value is None and not self.template.built_in:
            raise self.error(node, f"{ast.unparse(node)!r} is not known in a kernel")
        return node if value is None else typed(value)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """Leave out an assignment to an absent operand."""
        targets = [element for t in node.targets for element in (t.elts if isinstance(t, ast.Tuple) else [t])]
        absent = [self.is_absent(target) for target in targets]
        if not any(absent):
            return self.generic_visit(node)
        if not all(absent):
            raise self.error(
                node, f"{ast.unparse(node)} assigns several operands, of which one is missing; assign each by itself"
            )
        return None

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST | None:
        return None if self.is_absent(node.target) else self.generic_visit(node)

    def is_absent(self, target: ast.expr) -> bool:
        """Whether the target of an assignment is an absent operand."""
        name = target.value if isinstance(target, ast.Subscript) else None
        return isinstance(name, ast.Name) and name.id in self.kernel.absent

    def visit_Return(self, node: ast.Return) -> ast.AST:
        raise self.error(node, "it returns; a template assigns its results to operands")

    def outside(self, node: ast.Name) -> ast.AST:
        """A name that is neither a parameter nor a local variable: a number of the function's module, or a rule that is
        given to a loop over lanes."""
        if self.template.built_in:
            function = self.names.get(node.id) or called(node, self.namespace, self.kernel.dtype)
            if function is not None:
                name = function if isinstance(function, str) else paste(function, self.kernel.dtype, self.pasted)
                return ast.Name(name, ast.Load())
        value = number(node, self.namespace)
        if value is not None and not isinstance(value, bool):
            return self.visit(ast.Constant(value)) if math.isfinite(value) else typed(value)
        if not (node.id in _NAMES or self.template.built_in):
            raise self.error(node, f"the name {node.id!r} is neither a parameter, a variable nor a number outside")
        return node

    def error(self, node: ast.AST, problem: str) -> RuleError:
        return template_error(self.template.name, problem, getattr(node, "lineno", None))


def default(kind: Kind) -> ast.expr:
    """The expression for a missing argument."""
    return expression(kind.default if isinstance(kind.default, str) else repr(kind.default))
