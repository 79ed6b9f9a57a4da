"""A template: a kernel without its rules, and how it is launched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fastnet._kernels import kinds
from fastnet._kernels.kinds import Kind


@dataclass(frozen=True, eq=False)
class Template:
    """A loop, or the body of one, with named operands; made by `template`, `elementwise` and `fold`.

    Attributes:
        function: a plain function, never called: the generator reads its source.
        form: "loop" for one that has its loops, "elementwise" or "fold" for the body of a loop over elements.
        axis: the length of the parallel axis, an expression over sizes.
        grain: parts of the axis begin at multiples of it.
        cost: scalar operations of a unit of the axis, an expression over sizes.
    """

    function: Callable[..., Any]
    form: str = "loop"
    axis: str = "1"
    grain: int = 1
    cost: str = "1"
    _parameters: dict[str, Kind] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def identity(self) -> str:
        """What it is told apart by, besides the contents of its file."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @property
    def built_in(self) -> bool:
        """Whether it is one of fastnet's."""
        return (self.function.__module__ or "").startswith("fastnet.")

    @property
    def file(self) -> str:
        return self.function.__code__.co_filename

    @property
    def namespace(self) -> dict[str, Any]:
        """The globals of the function: where the rules that it calls by name are found."""
        return self.function.__globals__

    @cached_property
    def locals(self) -> frozenset[str]:
        """Its parameters and local variables."""
        return frozenset(self.function.__code__.co_varnames)

    @cached_property
    def parameters(self) -> dict[str, Kind]:
        """Its parameters and their kinds, in order.

        Raises:
            TypeError: a parameter without a kind.
        """
        code, annotations = self.function.__code__, self.function.__annotations__
        found = {}
        for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            kind = annotations.get(name, name if name in ("lo", "hi") else None)
            try:
                kind = kinds.parse(kind) if isinstance(kind, str) else kind
            except (ValueError, SyntaxError) as error:
                raise TypeError(f"The template {self.name!r}: the parameter {name!r}: {error}.") from None
            if not isinstance(kind, Kind):
                raise TypeError(f"The template {self.name!r}: the parameter {name!r} has no kind (fastnet.extend).")
            found[name] = kind
        return found

    def __repr__(self) -> str:
        return f"<template {self.name}>"


def template(axis: str = "1", *, grain: int = 1, cost: str | int = 1) -> Callable[[Callable[..., Any]], Template]:
    """Declare a function as a kernel's template: a loop over ``[lo, hi)`` of its parallel axis.

    Args:
        axis: how long the parallel axis is, an expression over the names of dimensions, such as "n" or
            "chunks(n, 64) * width"; "1" for a kernel that runs on one thread.
        grain: parts of the axis that threads work on begin at multiples of it.
        cost: scalar operations of a unit of the axis, an expression over sizes.
    """
    return lambda function: Template(function, "loop", axis, grain, str(cost))


def elementwise(function: Callable[..., Any]) -> Template:
    """Declare a function as the body of a loop over elements: ``y = f(x)``, where each name stands for an element.

    Chains of them, and a matrix product in front, are joined into one loop.
    """
    return Template(function, "elementwise")


def fold(function: Callable[..., Any]) -> Template:
    """Declare a function as the body of a sum over rows: what it assigns to ``write["column"]`` operands is summed over
    the rows of each column, and what it assigns to a ``write_float64["total"]`` operand over all elements.

    Rows are cut into chunks of a fixed size; the sums of the chunks are added in order.
    """
    return Template(function, "fold")
