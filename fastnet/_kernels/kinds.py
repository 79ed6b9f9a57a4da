"""The kinds of a template's parameters, which say how an argument reaches the kernel.

===========================  =========================================================================================
kind                         argument
===========================  =========================================================================================
read, write, update          a view that is read, written, or both; of the kernel's dtype
read_X, write_X, update_X    the same with dtype X
reads, writes, updates       several such views in a sequence; ``*name`` stands for all of them
rule                         a scalar function that is pasted in
function                     the name of an intrinsic
integer, real                a number fixed when the plan is made; ``real`` has the kernel's dtype, and among views of
                             integers it must be one of these
reals                        any number of them
value, values                float64 slots of the step block, converted to the kernel's dtype
count                        an int64 slot of the step block
size                         the size of the dimension of this name, or one given in the call; in an elementwise
                             template ``rows`` and ``columns`` are those of the loop
lo, hi                       the part of the parallel axis (named, not annotated)
===========================  =========================================================================================

A view's kind may name its dimensions: ``x: read[n, width]`` (in quotes, ``read["n, width"]``, in a module whose
annotations are evaluated). The last ones are the view's last axes, the first one is
all axes before them; equal names have equal sizes. ``x[r, j]`` is an element of a view of two dimensions, whose rows
may lie apart, ``x[i]`` one of a view of one dimension, which is contiguous. In an elementwise template a view without
dimensions is indexed by the element, ``read[row]`` by its row and ``read[column]`` by its column.

``gamma: read[width] | 1.0`` is optional: without an operand each element is 1, or the value of an expression,
``row_weight: read[n] | 1.0 / T(n)``. ``dx: write[n] | None`` is written only if it is given.
"""

from __future__ import annotations

import ast
import dataclasses
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

DTYPES = ("float32", "float64", "int32", "int64", "uint8")


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes:
        name: as in the table above, without the dtype.
        access: "r", "w" or "rw" for a view, "" for everything else.
        dtype: of a view's elements; None for the kernel's.
        several: whether it takes any number of arguments.
        dims: names of a view's dimensions.
        optional: whether the argument may be missing.
        default: the value of a missing argument, or of its elements: a number or an expression; None for a missing
            result.
    """

    name: str
    access: str = ""
    dtype: str | None = None
    several: bool = False
    dims: tuple[str, ...] = ()
    optional: bool = False
    default: float | str | None = None

    def __getitem__(self, dims: str) -> Kind:
        return dataclasses.replace(self, dims=tuple(name.strip() for name in dims.split(",")))

    def __or__(self, default: float | str | None) -> Kind:
        return dataclasses.replace(self, optional=True, default=default)

    def touched(self, access: str) -> Kind:
        """The same kind with another access."""
        return self if access == self.access else dataclasses.replace(self, access=access)

    @cached_property
    def one(self) -> Kind:
        """The kind of one of several arguments."""
        return dataclasses.replace(self, name=self.name.rstrip("s"), several=False)


def _kinds() -> dict[str, Kind]:
    table = {}
    for name, access in (("read", "r"), ("write", "w"), ("update", "rw")):
        table[name] = Kind(name, access)
        table[f"{name}s"] = Kind(f"{name}s", access, several=True)
        table |= {f"{name}_{dtype}": Kind(name, access, dtype) for dtype in DTYPES}
    names = ("rule", "function", "integer", "real", "value", "count", "size", "lo", "hi")
    table |= {name: Kind(name) for name in names}
    return table | {name: Kind(name, several=True) for name in ("reals", "values")}


_TABLE = _kinds()
globals().update(_TABLE)


if TYPE_CHECKING:

    def __getattr__(name: str) -> Kind: ...


@cache
def parse(annotation: str) -> Kind:
    """Parse an annotation such as ``read[n, width] | 1.0``; dimensions and defaults may be quoted.

    Raises:
        ValueError: the text is not that of a kind.
    """
    return _parsed(ast.parse(annotation, mode="eval").body, annotation)


def _parsed(node: ast.expr, annotation: str) -> Kind:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _parsed(node.left, annotation) | _written(node.right)
    if isinstance(node, ast.Subscript):
        return _parsed(node.value, annotation)[_written(node.slice)]
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    if name not in _TABLE:
        raise ValueError(f"{annotation!r} is not a kind of a parameter; the kinds are {', '.join(_TABLE)}")
    return _TABLE[name]


def _written(node: ast.expr) -> Any:
    """A constant's value, or the text of an expression without quotes."""
    if isinstance(node, ast.Constant):
        return node.value
    return ast.unparse(node).strip("()") if isinstance(node, ast.Tuple) else ast.unparse(node)
