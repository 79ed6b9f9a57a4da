"""A template: a kernel without its rules, and how it is launched."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from fastnet._kernels import kinds
from fastnet._kernels.assignments import check_assignments
from fastnet._kernels.errors import RuleError, quoted, template_error
from fastnet._kernels.kinds import Kind
from fastnet._kernels.pasting import function_tree
from fastnet._kernels.snapshots import snapshot

SHAPE = {"rows": "row_count", "columns": "column_count"}  # sizes of a formula's loop: name in the formula → in the loop


@dataclass(frozen=True, eq=False)
class Template:
    """A loop, or the body of one, with named operands; made by `template`, `elementwise` and `fold`.

    Attributes:
        function: a plain function, never called: the generator reads its source.
        form: "loop" for a function that has its loops, "elementwise" or "fold" for the body of a loop over elements.
        axis: the length of the parallel axis, an expression over sizes.
        grain: parts of the axis begin at multiples of it.
        cost: scalar operations of a unit of the axis, an expression over sizes.
        aligned: whether the loop goes by its grain; if not, a grain only saves time.
        constants: (name, number) of numbers that each of its kernels has as constants (`having`).
    """

    function: Callable[..., Any]
    form: str = "loop"
    axis: str = "1"
    grain: int = 1
    cost: str = "1"
    aligned: bool = True
    constants: tuple[tuple[str, int], ...] = ()

    def having(self, **constants: int) -> Template:
        """The template with these numbers for free names of its function; equal numbers give the same one again.

        A loop over a range of constants is written out by LLVM, which a loop around it needs to be vectorised.
        """
        items = tuple(constants.items())
        return self._having.setdefault(items, replace(self, constants=items))

    @cached_property
    def _having(self) -> dict[tuple[tuple[str, int], ...], Template]:
        """By their constants."""
        return {}

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def identity(self) -> str:
        """Its identity, besides the contents of its file."""
        return f"{self.function.__module__}.{self.function.__qualname__}{self.constants or ''}"

    @property
    def built_in(self) -> bool:
        """Whether it is one of fastnet's."""
        return (self.function.__module__ or "").startswith("fastnet.")

    @property
    def unit(self) -> int:
        """Units of the axis that a thread of a GPU takes."""
        return self.grain if self.aligned else 1

    @property
    def file(self) -> str:
        return self.function.__code__.co_filename

    @property
    def namespace(self) -> Mapping[str, Any]:
        """The names of its rules and numbers: its closure, and its globals."""
        found = {**self.function.__globals__, **dict(self.constants)} if self.constants else self.function.__globals__
        for name, cell in zip(self.function.__code__.co_freevars, self.function.__closure__ or ()):
            try:
                found = {**found, name: cell.cell_contents}
            except ValueError:  # assigned later
                continue
        return found

    def snapshot(self) -> Template:
        """The template as it is now; an unchanged one gives the same one again (`snapshots`).

        Raises:
            RuleError: its source cannot be read, or is that of another function.
        """
        if self.built_in:
            return self
        function = snapshot(self.function, "template")
        return self if function is self.function else self._snapshots.setdefault(function, self._copied(function))

    def _copied(self, function: Callable[..., Any]) -> Template:
        copied = replace(self, function=function)
        vars(copied)["parameters"] = self.parameters
        return copied

    @cached_property
    def _snapshots(self) -> dict[Callable[..., Any], Template]:
        """By the snapshots of its function."""
        return {}

    @cached_property
    def locals(self) -> frozenset[str]:
        """Its parameters and local variables."""
        return frozenset(self.function.__code__.co_varnames)

    @cached_property
    def parameters(self) -> dict[str, Kind]:
        """Its parameters and their kinds, in order.

        Raises:
            RuleError: a parameter has no kind.
        """
        code, annotations = self.function.__code__, self.function.__annotations__
        found = {}
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            kind = annotations.get(name, name if name in ("lo", "hi") else None)
            try:
                kind = kinds.parse(kind) if isinstance(kind, str) else kind
            except (ValueError, SyntaxError) as error:
                raise self.error(f"the parameter {name!r}: {error}") from None
            if not isinstance(kind, Kind):
                raise self.error(
                    f"the parameter {name!r} has no kind; annotate it, as in `{name}: read`, with one of fastnet.extend"
                )
            found[name] = kind
        return found

    @cached_property
    def sums_all(self) -> bool:
        """Whether it is a fold over all elements."""
        return self.form == "fold" and any(kind.dims == ("total",) for kind in self.parameters.values())

    @cached_property
    def rule_calls(self) -> tuple[tuple[str, int, tuple[str, ...]], ...]:
        """Its calls of rules: (the rule's parameter, the number of single arguments, parameters given with a star)."""
        found = []
        for node in ast.walk(function_tree(self.function, "template")):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if isinstance(node, ast.Call) and name in self.parameters and self.parameters[name].name == "rule":
                starred = [argument.value for argument in node.args if isinstance(argument, ast.Starred)]
                several = [each.value if isinstance(each, ast.Subscript) else each for each in starred]
                names = tuple([each.id for each in several if isinstance(each, ast.Name)])
                found.append((name, len(node.args) - len(starred), names))
        return tuple(found)

    def error(self, problem: str) -> RuleError:
        """The error of its declaration."""
        return template_error(self.name, problem)

    def check(self) -> Template:
        """Check the declaration; return the template.

        Raises:
            RuleError: a parameter has no kind, a name in ``axis`` or ``cost`` is not that of a size, dimensions do not
                fit the form, or an operand that is written is not assigned.
        """
        code = self.function.__code__
        if code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
            raise self.error("it takes * or **; name each parameter, and annotate several as `reads` or `reals`")
        if self.function.__defaults__ or self.function.__kwdefaults__:
            raise self.error("a parameter has a default; write it behind the kind, as in `x: read | 0.0`")
        (self._check_loop if self.form == "loop" else self._check_elements)()
        check_assignments(self)
        return self

    def _check_loop(self) -> None:
        if not isinstance(self.axis, str):
            raise self.error(f'its axis must be a string such as "n", received {quoted(self.axis)}')
        if not isinstance(self.grain, int) or isinstance(self.grain, bool) or self.grain < 1:
            raise self.error(f"its grain must be an integer of at least 1, received {quoted(self.grain)}")
        known = {name for name, kind in self.parameters.items() if kind.name in ("size", "integer")}
        known |= {dim for kind in self.parameters.values() for dim in kind.dims}
        for word, text, functions in (("axis", self.axis, {"chunks"}), ("cost", self.cost, {"min", "max"})):
            for name in _names(self, word, text) - functions:
                if name not in known:
                    listed = ", ".join(sorted(known)) or "none"
                    raise self.error(
                        f"its {word} {text!r} names {name!r}, which is not a size; its sizes are: {listed}"
                    )
        try:  # a denominator that a size makes 0 shows at the call
            int(eval(self.cost, {"__builtins__": {}, "min": min, "max": max}, dict.fromkeys(known, 1009)))
        except Exception as error:
            raise self.error(f"its cost {self.cost!r} cannot be computed: {error}") from None
        if not _is_axis(ast.parse(self.axis, mode="eval").body):
            raise self.error(
                f"its axis {self.axis!r} has more than products of sizes and chunks(size, 64): its length could not "
                "be told for every batch"
            )
        given = {"lo", "hi"} & set(self.parameters)
        if self.axis != "1" and len(given) < 2:
            raise self.error(f"its axis is {self.axis!r}; add the parameters lo, hi, and loop over `range(lo, hi)`")
        if self.axis == "1" and given:
            raise self.error('it has lo and hi, but no axis to take a part of; name one, as in `@template("n")`')

    def _check_elements(self) -> None:
        allowed = ("row", "column", "total") if self.form == "fold" else ("row", "column")
        written = []
        for name, kind in self.parameters.items():
            if name in SHAPE.values() or name.endswith(("_at", "_ld")):
                raise self.error(f"{name!r} is a name of the loop; give the parameter another one")
            if not kind.access:
                continue
            if kind.dims and (len(kind.dims) > 1 or kind.dims[0] not in allowed):
                dims = ", ".join(kind.dims)
                raise self.error(f"{name!r} has the dimensions {dims}; here it has {' or '.join(allowed)}")
            if "w" in kind.access:
                written.append((name, kind))
        if not written:
            raise self.error("it writes nothing; annotate what it assigns with `write` or `update`")
        if self.form == "fold":
            for name, kind in written:
                if kind.dims not in (("column",), ("total",)) or (kind.dims == ("total",) and kind.dtype != "float64"):
                    raise self.error(
                        f"{name!r} of a fold is summed: annotate it with `write['column']` or `write_float64['total']`"
                    )
            if len({kind.dims for _, kind in written}) > 1:
                raise self.error("a fold sums either over the rows of each column or over all elements, not both")
            for name, kind in self.parameters.items():
                if self.sums_all and kind.access == "r" and kind.dims:
                    raise self.error(
                        f"{name!r} has the dimensions {kind.dims[0]}, but a sum over all elements knows neither rows "
                        "nor columns"
                    )

    def __repr__(self) -> str:
        return f"<template {self.name}>"


def template(
    axis: str = "1", *, grain: int = 1, cost: str | int = 1, aligned: bool = True
) -> Callable[[Callable[..., Any]], Template]:
    """Declare a function as a kernel's template: a loop over ``[lo, hi)`` of its parallel axis.

    Args:
        axis: the length of the parallel axis, a product of names of dimensions, numbers and chunks of such products,
            such as "n" or "chunks(n, 64) * width"; "1" for a kernel that runs on one thread.
        grain: parts of the axis that threads work on begin at multiples of it.
        cost: scalar operations of a unit of the axis, an expression over sizes.
        aligned: False for a loop whose parts may begin anywhere: its grain then only saves time, and a thread of a GPU
            takes one unit.

    Raises:
        RuleError: see `Template.check`; a mistake in the body shows when it is called.

    Example:
        >>> @extend.template("n")
        ... def one_hot(labels: extend.read_int32["n"], y: extend.write["n, width"], width: extend.size, lo, hi):
        ...     for r in range(lo, hi):
        ...         for j in range(width):
        ...             y[r, j] = 1.0 if j == labels[r] else 0.0
    """
    if inspect.isfunction(axis):
        raise template_error(axis.__name__, 'write `@template("n")` with its axis, or `@template()` where it has none')
    return lambda function: _declared(Template(function, "loop", axis, grain, str(cost), aligned))


def elementwise(function: Callable[..., Any]) -> Template:
    """Declare a function as the body of a loop over elements: ``y = f(x)``, where each name stands for an element.

    Chains of them, and a matrix product in front, are joined into one loop.

    Example:
        >>> @extend.elementwise
        ... def center(x: extend.read, mean: extend.read["column"], y: extend.write):
        ...     y = x - mean
    """
    return _declared(Template(function, "elementwise"))


def fold(function: Callable[..., Any]) -> Template:
    """Declare a function as the body of a sum. Values assigned to ``write["column"]`` operands are summed over the rows
    of each column, and values assigned to a ``write_float64["total"]`` operand over all elements.

    Rows are cut into chunks of a fixed size; the sums of the chunks are added in order.

    Example:
        >>> @extend.fold
        ... def sum_squares(x: extend.read, total: extend.write["column"]):
        ...     total = x * x
    """
    return _declared(Template(function, "fold"))


def _declared(template: Template) -> Template:
    """Make a template. A user's is checked at once; tests check fastnet's own."""
    if not inspect.isfunction(template.function):
        raise RuleError(
            f"A template is declared from a function written with def, received {quoted(template.function)}."
        )
    return template if template.built_in else template.check()


def _is_axis(node: ast.expr, cut: bool = False) -> bool:
    """Whether an expression is a product of sizes, numbers and chunks of such products.

    Args:
        node: the expression.
        cut: whether chunks of it are counted; chunks of chunks are not.
    """
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mult) and _is_axis(node.left, cut) and _is_axis(node.right, cut)
    if isinstance(node, ast.Call):
        arguments = [_is_axis(argument, cut=index == 0) for index, argument in enumerate(node.args)]
        return not cut and not node.keywords and arguments == [True, True]
    return isinstance(node, (ast.Name, ast.Constant))


def _names(template: Template, word: str, text: str) -> set[str]:
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        raise template.error(f"its {word} {text!r} is not an expression") from None
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
