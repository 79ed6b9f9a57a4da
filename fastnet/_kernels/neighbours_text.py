"""The text of chains for a GPU whose threads take neighbouring elements together, with accesses of up to 16 bytes.

The statements of an element are a function, which numba compiles once; LLVM inlines it for each element.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from fastnet._kernels.syntax import parsed, value_of

if TYPE_CHECKING:
    from fastnet._kernels.chain import ChainOperand
    from fastnet._kernels.chain_text import Writer

FUNCTION = "of_element"


def flat(writer: Writer) -> list[ast.stmt]:
    """A loop over all elements; the last thread may have fewer."""
    elements = Neighbours(writer)
    places = {o.name: "i" for o in writer.views}
    one = [f"        {line}" for line in elements.one(places)]
    several = [f"    {line}" for line in elements.several(dict.fromkeys(places, "lo"))]
    return parsed([f"if hi - lo == {elements.count}:", *several, "else:", "    for i in range(lo, hi):", *one])


def grid(writer: Writer) -> list[ast.stmt]:
    """A loop over elements of rows and columns; neighbours are in one row."""
    elements = Neighbours(writer)
    places, of_row = writer.places(writer.views)
    place = ["r = int64(uint32(lo) // uint32(column_count))", "c = lo - r * column_count"]
    return [*parsed(place), *of_row, *parsed(elements.several(places))]


def cells(writer: Writer) -> ast.FunctionDef:
    """A function of neighbouring elements of a product's result: their values, row ``r``, first column ``c``, and
    operands."""
    elements = Neighbours(writer)
    places, of_row = writer.places([o for o in writer.views if o.name != writer.chain.tile])
    values = [f"{value_of(writer.chain.tile)}{k}" for k in range(elements.count)]
    head = f"def cells({', '.join([*values, 'r', 'c', *writer.parameters()])}):\n    pass"
    (function,) = parsed([head])
    assert isinstance(function, ast.FunctionDef)
    function.body = [*of_row, *parsed(elements.several(places))]
    return function


class Neighbours:
    """The statements of neighbouring elements.

    Args:
        writer: of the chain; its module gets the function of an element.

    Attributes:
        count: elements of a thread.
    """

    def __init__(self, writer: Writer):
        self.count = writer.chain.together
        self.read = [o for o in writer.views if "r" in o.kind.access]
        self.stored = [o for o in writer.views if "w" in o.kind.access and o.stored and o.index == "element"]
        memory = {f"{o.name}{end}" for o in writer.views for end in ("_at", "_ld")}
        self.numbers = [name for name in writer.parameters() if name not in memory]
        head = f"def {FUNCTION}({', '.join([*(value_of(o.name) for o in self.read), *self.numbers])}):\n    pass"
        (function,) = parsed([head])
        assert isinstance(function, ast.FunctionDef)
        results = ", ".join(value_of(o.name) for o in self.stored)
        function.body = [*writer.statements(), *parsed([f"return {results}"])]
        writer.pasted[FUNCTION] = ast.unparse(ast.fix_missing_locations(function))

    def one(self, places: dict[str, str]) -> list[str]:
        """Lines of one element; ``places`` has its index in each operand, by its name."""
        at = {name: f"{name}_at[{place}]" for name, place in places.items()}
        results = ", ".join(at[o.name] for o in self.stored)
        return [f"{results} = {self._call([at[o.name] for o in self.read])}"]

    def several(self, places: dict[str, str]) -> list[str]:
        """Lines of all elements; ``places`` has the index of the first one in each operand that is loaded or stored."""
        lines = []
        for o in self.read:
            if o.name in places:
                lines.append(f"{', '.join(self._values(o))} = neighbours({o.name}_at, {places[o.name]}, {self.count})")
        for k in range(self.count):
            given = [value_of(o.name) if o.index == "row" else self._values(o)[k] for o in self.read]
            lines.append(f"{', '.join(self._values(o)[k] for o in self.stored)} = {self._call(given)}")
        for o in self.stored:
            lines.append(f"put_neighbours({o.name}_at, {places[o.name]}, ({', '.join(self._values(o))}))")
        return lines

    def _values(self, operand: ChainOperand) -> list[str]:
        return [f"{value_of(operand.name)}{k}" for k in range(self.count)]

    def _call(self, given: list[str]) -> str:
        return f"{FUNCTION}({', '.join([*given, *self.numbers])})"
