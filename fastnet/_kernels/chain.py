"""Loops over elements, written from chains of elementwise templates, and sums over them.

A chain is one loop: each element is loaded once, goes through all statements in registers, and is stored once. Results
that only the chain reads are not stored. The same statements are written as a loop over all elements, over rows and
columns, over the rows of a sample, over a finished tile of a matrix product, or over the product of a column and a row.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from fastnet._kernels import chain_text
from fastnet._kernels.generate import Kernel
from fastnet._kernels.kinds import Kind, parse
from fastnet._kernels.template import SHAPE, Template

_INTEGER, _SIZE = parse("integer"), parse("size")
_WRITERS = ("chain.py", "chain_text.py", "fold_text.py", "gathered.py", "neighbours_text.py", "templates/data.py")
_FILES = tuple(str(Path(__file__).parent / name) for name in _WRITERS)


@dataclass(frozen=True)
class ChainOperand:
    """An operand of a chain: memory or a number that its statements name.

    Attributes:
        name: in the loop.
        kind: of the argument; its access is that of the whole chain.
        index: "element", "row", "column", "total" (a fold's), or "" for a number.
        strided: whether rows lie apart.
        stored: whether results are written to memory.
    """

    name: str
    kind: Kind
    index: str = "element"
    strided: bool = False
    stored: bool = True


@dataclass(frozen=True)
class ChainStep:
    """One template of a chain.

    Attributes:
        template: an elementwise template, or a fold.
        binding: (parameter, names of its operands) pairs; absent parameters have none.
    """

    template: Template
    binding: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Chain:
    """A loop over elements; a kernel's template (`generate.Kernel`) whose rules are named "step.parameter".

    Attributes:
        steps: in order.
        operands: views and numbers that the steps call by name.
        form: "flat" (all elements, each operand contiguous), "grid" (rows and columns), "tile" (a finished tile of a
            matrix product: an epilogue, see `abi`), "outer" (rows of the product of a column and a row), "gather" (rows
            as they are fetched from the data), "fold".
        tile: the operand that the product or the gather computes.
        together: neighbouring elements that a thread of a GPU takes, with accesses of up to 16 bytes.
    """

    steps: tuple[ChainStep, ...]
    operands: tuple[ChainOperand, ...]
    form: str = "flat"
    tile: str = ""
    together: int = 1

    @property
    def name(self) -> str:
        names = dict.fromkeys(step.template.name for step in self.steps)
        return "_".join([*names, *[self.form] * (self.form in ("tile", "outer", "gather"))])

    @property
    def signature(self) -> str:
        return "epilogue" if self.form == "tile" else "kernel"

    @property
    def built_in(self) -> bool:
        return all(step.template.built_in for step in self.steps)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that decide its text, besides those of every kernel."""
        return tuple(dict.fromkeys([*_FILES, *(step.template.file for step in self.steps)]))

    @property
    def identity(self) -> tuple:
        steps = tuple((step.template.identity, step.binding) for step in self.steps)
        return steps, self.operands, self.form, self.tile, self.together

    @property
    def parameters(self) -> dict[str, Kind]:
        return {operand.name: operand.kind for operand in self.operands}

    def signature_of(self, kernel: Kernel) -> tuple[tuple[str, Kind], ...]:
        """(name, kind) of the body's parameters."""
        return _signature(self)

    def written(self, kernel: Kernel, names: dict[str, str], pasted: dict[str, str], device: str):
        """(body, parameters of the kernel, further arguments of the body)."""
        return chain_text.Writer(self, kernel, names, pasted).written(device)


@functools.cache
def _signature(chain: Chain) -> tuple[tuple[str, Kind], ...]:
    out: list[tuple[str, Kind]] = []
    for operand in chain.operands:
        if operand.name == chain.tile and chain.form == "outer":
            out += [(f"{operand.name}_of_row", operand.kind), (f"{operand.name}_of_column", operand.kind)]
        elif operand.name != chain.tile or chain.form != "tile":
            if operand.stored or operand.kind.access != "w":
                out.append((operand.name, operand.kind))
                out += [(f"{operand.name}_ld", _INTEGER)] * operand.strided
    named = [item for step in chain.steps for item in step.template.parameters.items()]
    if chain.form != "flat" or any(name in SHAPE and kind.name == "size" for name, kind in named):
        out += [("row_count", _SIZE), ("column_count", _SIZE)]
    return tuple(out)
