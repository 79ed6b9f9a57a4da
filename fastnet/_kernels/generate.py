"""From a template, its rules and a dtype to the source of a complete module.

The rules are pasted into the module, with every literal typed. The module's text therefore determines the machine code.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastnet._kernels import abi
from fastnet._kernels import compile as compiler
from fastnet._kernels.kinds import Kind, parse
from fastnet._kernels.pasting import function_tree, paste
from fastnet._kernels.rewriting import Rewriter, default

_HEADER = """import numpy as np
from fastnet._kernels.cpu.column_intrinsics import *
from fastnet._kernels.cpu.depthwise_intrinsics import *
from fastnet._kernels.cpu.stream_intrinsics import *
from fastnet._kernels.intrinsics import *
from fastnet._kernels.lane_intrinsics import *
from fastnet._kernels.memory_intrinsics import *
from numpy import float64, int32, int64, uint32, uint64
"""
CUDA_IMPORTS = "from fastnet._kernels.cuda.intrinsics import *\n"
_INTEGER = parse("integer")
_ROWS = abi.reference(abi.STEP, 8 * abi.ROWS)  # an epilogue does not receive the rows of the batch, and reads them here
#: the conversions of an argument's integer to the value in a kernel's body, by functions of `entry`
_DECODED = {
    "integer": "@",
    "size": "size(rows, @)",
    "real": "T(real(@))",
    "value": "settled(T(pointer_float64(bases, @)[0]))",
    "count": "pointer_int64(bases, @)[0]",
}


#: of a number of the step, which a GPU has as float32 beside the float64
_NARROWED = "pointer_float32(bases, @)[0]"


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
    call = [*decoded(signature(kernel), kernel.dtype, rows, device), *extra]
    imports = CUDA_IMPORTS if device == "cuda" else ""
    text = f"@body\n{ast.unparse(body)}"
    return module(kernel.template.name, kernel.dtype, pasted.values(), text, call, head, imports)


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
            *(f"@rule\n{text}" for text in rules),
            body,
            f"def kernel({head}):\n    body({', '.join(call)})\n",
        ]
    )


def is_narrowed(kind: Kind, dtype: str) -> bool:
    """Whether a kernel of a GPU reads an argument as float32 that is float64 on the CPU."""
    return kind.name == "value" and dtype == "float32"


def decoded(parameters: tuple[tuple[str, Kind], ...], dtype: str, rows: str, device: str = "cpu") -> list[str]:
    """The expressions of a body's arguments: element after element of the argument block."""
    out, position = [], 0
    for name, kind in parameters:
        form = f"pointer_{kind.dtype or dtype}(bases, @)" if kind.access else _DECODED.get(kind.name, name)
        if device == "cuda" and is_narrowed(kind, dtype):
            form = _NARROWED
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
