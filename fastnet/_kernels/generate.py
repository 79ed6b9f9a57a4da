"""From a template, its rules and a dtype to the source of a complete module.

The rules are pasted into the module, with every literal typed. The module's text therefore determines the machine code.
"""

from __future__ import annotations

import ast
import copy
import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastnet._kernels import abi
from fastnet._kernels import compile as compiler
from fastnet._kernels.errors import RuleError, template_error
from fastnet._kernels.kinds import Kind, parse
from fastnet._kernels.pasting import (
    called,
    function_tree,
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

_HEADER = """import numpy as np
from fastnet._kernels.intrinsics import *
from fastnet._kernels.memory_intrinsics import *
from numpy import float64, int32, int64, uint32, uint64
"""
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
_INTEGER = parse("integer")
_ROWS = abi.reference(abi.STEP, 8 * abi.ROWS)  # an epilogue does not receive the rows of the batch, and reads them here
#: the conversions of an argument's integer to the value in a kernel's body
_DECODED = {
    "integer": "@",
    "size": "size(rows, @)",
    "real": "T(real(@))",
    "value": "settled(T(pointer_float64(bases, @)[0]))",
    "count": "pointer_int64(bases, @)[0]",
}


@dataclass(frozen=True)
class Kernel:
    """A template with its rules, for one dtype.

    Args:
        template: a `Template`, or another object with its attributes that writes its own text (`written`).
        rules: (parameter, rule) pairs.
        dtype: "float32", "float64", "int32" or "int64": of views and literals.
        counts: (parameter, number of arguments) for parameters with several arguments.
        absent: the optional parameters without an argument.
        functions: (parameter, name of an intrinsic) pairs.
    """

    template: Any
    rules: tuple[tuple[str, Callable], ...] = ()
    dtype: str = "float32"
    counts: tuple[tuple[str, int], ...] = ()
    absent: tuple[str, ...] = ()
    functions: tuple[tuple[str, str], ...] = ()

    def source(self, device: str = "cpu") -> compiler.Source:
        """The kernel as a complete module, for a device."""
        return _source(self, device)

    @property
    def parameters(self) -> tuple[tuple[str, Kind], ...]:
        """(name, kind) of the arguments in the argument block, in order."""
        return _parameters(self)

    @property
    def full_name(self) -> str:
        """A name for tables and errors."""
        rules = dict.fromkeys(rule.__name__ for _, rule in self.rules)
        return "_".join([self.template.name, *rules, self.dtype])


@functools.cache
def _source(kernel: Kernel, device: str) -> compiler.Source:
    """Identify fastnet's own rules and templates by their names, and by the contents of their files: a warm start then
    generates no text (5 ms a kernel). Identify a user's by the text itself."""
    template, signature = kernel.template, getattr(kernel.template, "signature", "kernel")
    rules_built_in = all((f.__module__ or "").startswith("fastnet._kernels.") for _, f in kernel.rules)
    if not (template.built_in and rules_built_in):
        text = _text(kernel, device)
        return compiler.Source(kernel.full_name, text, lambda: text, signature=signature)
    rules = [(name, f"{f.__module__}.{f.__qualname__}") for name, f in kernel.rules]
    identity = repr((template.identity, rules, kernel.dtype, kernel.counts, kernel.absent, kernel.functions))
    files = getattr(template, "files", None) or (template.file,)
    return compiler.Source(kernel.full_name, identity, lambda: _text(kernel, device), files, signature=signature)


def _text(kernel: Kernel, device: str) -> str:
    pasted: dict[str, str] = {}
    names = {name: paste(rule, kernel.dtype, pasted) for name, rule in kernel.rules} | dict(kernel.functions)
    if hasattr(kernel.template, "written"):
        body, head, extra = kernel.template.written(kernel, names, pasted, device)
    else:
        body, head, extra = _Loop(kernel, names, pasted).written(), "bases, args, rows, lo, hi", []
    rows = "rows" if "rows" in head else f"pointer_int64(bases, {_ROWS})[0]"
    call = [*decoded(signature(kernel), kernel.dtype, rows), *extra]
    return module(kernel.template.name, kernel.dtype, pasted.values(), f"@body\n{ast.unparse(body)}", call, head)


def module(
    name: str, dtype: str, rules: Iterable[str], body: str, call: Iterable[str], head: str, imports: str = ""
) -> str:
    """The text of a kernel's module.

    Args:
        name: of the template.
        dtype: of its literals.
        rules: the texts of the functions it calls.
        body: the text of its loops.
        call: the expressions of the body's arguments.
        head: the parameters of the kernel.
        imports: lines besides those of every kernel.
    """
    return "\n\n".join(
        [
            f'"""Generated by fastnet: {name} for {dtype}."""',
            f"{_HEADER}{imports}T = np.{dtype}",
            "@rule\ndef size(rows, number):\n    return -number * rows if number < 0 else number",
            *(f"@rule\n{text}" for text in rules),
            body,
            f"def kernel({head}):\n    body({', '.join(call)})\n",
        ]
    )


def decoded(parameters: tuple[tuple[str, Kind], ...], dtype: str, rows: str) -> list[str]:
    """The expressions of a body's arguments: element after element of the argument block."""
    out, position = [], 0
    for name, kind in parameters:
        form = f"pointer_{kind.dtype or dtype}(bases, @)" if kind.access else _DECODED.get(kind.name, name)
        if "@" in form:
            form = form.replace("rows", rows).replace("@", f"args[{position}]")
            position += 1
        out.append(form)
    return out


@functools.cache
def _parameters(kernel: Kernel) -> tuple[tuple[str, Kind], ...]:
    return tuple((name, kind) for name, kind in signature(kernel) if kind.name not in ("lo", "hi"))


@functools.cache
def signature(kernel: Kernel) -> tuple[tuple[str, Kind], ...]:
    """(name, kind) of a body's parameters: several are written out, and a matrix is followed by its row distance."""
    if hasattr(kernel.template, "signature_of"):
        return kernel.template.signature_of(kernel)
    counts, out = dict(kernel.counts), []
    for name, kind in kernel.template.parameters.items():
        if kind.name in ("rule", "function") or name in kernel.absent:
            continue
        copies = [f"{name}_{i}" for i in range(counts.get(name, 0))] if kind.several else [name]
        for copied in copies:
            out.append((copied, kind.one if kind.several else kind))
            if kind.access and len(kind.dims) == 2:
                out.append((f"{copied}_ld", _INTEGER))
    return tuple(out)


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
            raise self.error(node, f"{node.value!r} is no number of {self.kernel.dtype}, the dtype of its views")
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
        node.args = self.written_out(node.args)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
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
        """A name that is neither a parameter nor a local variable: a number of the function's module."""
        value = number(node, self.namespace)
        if value is not None and not isinstance(value, bool):
            return self.visit(ast.Constant(value)) if math.isfinite(value) else typed(value)
        if not (node.id in _NAMES or self.template.built_in):
            raise self.error(node, f"the name {node.id!r} is neither a parameter, a variable nor a number outside")
        return node

    def error(self, node: ast.AST, problem: str) -> RuleError:
        return template_error(self.template.name, problem, getattr(node, "lineno", None))


class _Loop(Rewriter):
    """Rewrites a template of the form "loop"."""

    def __init__(self, kernel: Kernel, names: Mapping[str, str], pasted: dict[str, str]):
        super().__init__(kernel, kernel.template, names, pasted)
        self.kinds = {name: kind for name, kind in signature(kernel) if kind.access}
        self.loaded: set[str] = set()

    def written(self) -> ast.FunctionDef:
        template = self.template
        node = function_tree(template if hasattr(template, "text") else template.function, "template")
        node = self.visit(node)
        if not self.loaded.issuperset({"lo", "hi"} & set(template.parameters)):
            raise self.error(node, "it does not keep to its part of the axis; loop over `range(lo, hi)`")
        node.args.args = [ast.arg(name) for name, _ in signature(self.kernel)]
        node.args.kwonlyargs = node.args.defaults = node.args.kw_defaults = []
        node.name, node.returns = "body", None
        return ast.fix_missing_locations(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.kernel.absent:
            return self._default(node.id)
        if node.id in self.kinds and not self.template.built_in:
            raise self.error(
                node, f"{node.id!r} is a view, and only its elements are numbers: {self._element(node.id)}"
            )
        if not isinstance(node.ctx, ast.Load):
            return node
        self.loaded.add(node.id)
        return node if node.id in self.template.locals else self.outside(node)

    def _element(self, name: str) -> str:
        return f"{name}[{'row, column' if len(self.kinds[name].dims) == 2 else 'i'}]"

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = [s for s in map(self.visit, node.body) if s is not None]
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        name = node.value.id if isinstance(node.value, ast.Name) else ""
        if name in self.kernel.absent:
            return self._default(name)
        if not name:
            node.value = self.visit(node.value)
        node.slice = self.visit(node.slice)
        kind = self.kinds.get(name)
        pair, two = isinstance(node.slice, ast.Tuple), kind is not None and len(kind.dims) == 2
        if kind is not None and (pair != two or (two and len(node.slice.elts) != 2)):  # type: ignore[attr-defined]
            dims = len(kind.dims) or 1
            raise self.error(
                node,
                f"{ast.unparse(node)}: an element of {name!r}, a view of {dims} dimension{'s' * (dims > 1)}, is "
                f"{self._element(name)}",
            )
        if kind is not None and kind.access == "r" and isinstance(node.ctx, ast.Store):
            raise self.error(
                node, f"{ast.unparse(node)} is assigned, but {name!r} is read; annotate it with write or update"
            )
        if two:
            row, column = node.slice.elts  # type: ignore[attr-defined]
            node.slice = ast.BinOp(ast.BinOp(row, ast.Mult(), ast.Name(f"{name}_ld", ast.Load())), ast.Add(), column)
        return node

    def _default(self, name: str) -> ast.AST:
        return self.visit(default(self.template.parameters[name]))

    def visit_For(self, node: ast.For) -> ast.AST:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node


def default(kind: Kind) -> ast.expr:
    """The expression for a missing argument."""
    return expression(kind.default if isinstance(kind.default, str) else repr(kind.default))
