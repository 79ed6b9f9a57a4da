"""Loops over rows for traced formulas: any number of operands, folds and results, in as few passes as they need.

As in `rows`, up to 64 rows are worked on as lanes, each folded in order of its columns, and sums over more than 64
columns are added in parts, to a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from fastnet._kernels import kinds
from fastnet._kernels.kinds import Kind
from fastnet._kernels.templates.rows import RowLoop, start_of

LANES = 64


@dataclass(frozen=True)
class RowFold:
    """A number for each row, folded from its columns.

    Args:
        name: of the number.
        start: the number before the first column.
        is_sum: whether each column only adds something.
    """

    name: str
    start: float
    is_sum: bool


@dataclass(frozen=True)
class Results:
    """Numbers of each row, or of each element where they stand in a pass.

    Args:
        names: of the numbers; those of operands are stored.
        rule: ``(*used) -> numbers``.
        used: operands and earlier numbers that the rule takes.
    """

    names: tuple[str, ...]
    rule: Callable
    used: tuple[str, ...]


@dataclass(frozen=True)
class RowPass:
    """One run over the columns.

    Args:
        width: the name of the size.
        results: the folds as they are after each column, or elements, which are stored.
        folds: what it folds.
        in_parts: whether sums are added in parts, as those of more than 64 columns must be.
    """

    width: str
    results: Results
    folds: tuple[RowFold, ...] = ()
    in_parts: bool = True


@dataclass(frozen=True)
class RowProgram(RowLoop):
    """A loop over rows: numbers of a row and passes, in order.

    Args:
        name: of the generated kernel.
        steps: `Results` of rows and `RowPass`.
        operands: (name, kind) of the views: ``read['n, width']`` for elements, ``read['n, one']`` for rows,
            ``read['width']`` for columns, ``read['one']`` for a number; and what is written.
        cost: operations of a row.
    """

    name: str
    steps: tuple[Results | RowPass, ...]
    operands: tuple[tuple[str, str], ...]
    cost: str

    @property
    def file(self) -> str:
        return __file__

    @property
    def parameters(self) -> dict[str, Kind]:
        """Its parameters and their kinds."""
        return _kinds_of(self)

    def rules(self) -> dict[str, Callable]:
        """Name in the text → rule."""
        return {f"rule_{i}": _results_of(step).rule for i, step in enumerate(self.steps)}

    def text(self) -> str:
        """The template's source."""
        return _text(self)


def _results_of(step: Results | RowPass) -> Results:
    return step.results if isinstance(step, RowPass) else step


@cache
def _kinds_of(program: RowProgram) -> dict[str, Kind]:
    parameters = dict.fromkeys(program.rules(), "rule") | dict(program.operands)
    sizes = {dim for _, kind in program.operands for dim in kinds.parse(kind).dims}
    parameters |= dict.fromkeys(["n", *sorted(sizes - {"n"})], "size") | {"lo": "lo", "hi": "hi"}
    return {name: kinds.parse(kind) for name, kind in parameters.items()}


@cache
def _text(program: RowProgram) -> str:
    return _Text(program).written()


class _Text:
    """Writes the loop of a `RowProgram`."""

    def __init__(self, program: RowProgram):
        self.program = program
        self.kinds = {name: kinds.parse(kind) for name, kind in program.operands}
        self.out: list[str] = []

    def written(self) -> str:
        program = self.program
        stored = [name for name, kind in self.kinds.items() if kind.dims[0] == "n"]
        numbers = [name for step in program.steps for name in _results_of(step).names]
        stacks = [f"{name}_" for name in dict.fromkeys([*stored, *numbers])]
        stacks += [
            f"{part}_{fold.name}"
            for step in program.steps if isinstance(step, RowPass) and step.in_parts
            for fold in step.folds if fold.is_sum
            for part in ("high", "low")
        ]  # fmt: skip
        self.out = [f"def {program.name}():", *(f"    {name} = stack({LANES})" for name in stacks)]
        if "row_weight" in self.kinds:
            self.out.append("    inverse_count = 1.0 / T(n)")
        self._add(4, f"for first in range(lo, hi, {LANES}):")
        self._add(8, f"lanes = min({LANES}, hi - first)")
        rows = [name for name in stored if self._is_row(name) and self.kinds[name].access == "r"]
        if "row_weight" in rows:  # which may be absent, and is then a number
            rows.remove("row_weight")
            self._copy(8, "load", ["row_weight"], "0")
        self._copy(8, "load", rows, "0")
        for i, step in enumerate(program.steps):
            if isinstance(step, Results):
                self._rule(8, i, step)
                self._store(8, step, "0")
            else:
                self._pass(i, step)
        return "\n".join(self.out) + "\n"

    def _add(self, indent: int, *lines: str) -> None:
        self.out += [" " * indent + line for line in lines]

    def _is_row(self, name: str) -> bool:
        return self.kinds[name].dims == ("n", "one")

    def _value(self, name: str) -> str:
        """An operand or a number: of each lane, of the column j, or one."""
        dims = self.kinds[name].dims if name in self.kinds else ("n",)
        if dims[0] == "n":
            return f"{name}_"
        return f"{name}[0]" if dims == ("one",) else f"{name}[j]"

    def _rule(self, indent: int, i: int, results: Results) -> None:
        operands = [*(f"{name}_" for name in results.names), *map(self._value, results.used)]
        self._add(indent, f"over_lanes({', '.join(['lanes', f'rule_{i}', *operands])})")

    def _copy(self, indent: int, what: str, names: Sequence[str], column: str) -> None:
        """Load or store elements of a column of operands."""
        if names:
            operands = ", ".join(f"{x}_, {x}, {x}_ld" for x in names)
            self._add(indent, f"{what}_lanes(lanes, first, {column}, {operands})")

    def _fill(self, indent: int, pairs: Sequence[str]) -> None:
        if pairs:
            self._add(indent, f"fill_lanes({', '.join(['lanes', *pairs])})")

    def _store(self, indent: int, results: Results, column: str) -> None:
        self._copy(indent, "store", [name for name in results.names if name in self.kinds], column)

    def _pass(self, i: int, step: RowPass) -> None:
        sums = [fold.name for fold in step.folds if fold.is_sum and step.in_parts]
        starts = [f"{fold.name}_, {start_of(fold.start)}" for fold in step.folds]
        self._fill(8, starts + [f"{part}_{name}, 0.0" for name in sums for part in ("high", "low")])
        if not sums:
            self._columns(8, f"range({step.width})", i, step)
            return
        pairs = {f"{name}_": f"high_{name}, low_{name}" for name in sums}
        self._add(8, f"for left in range(0, {step.width}, 64):")
        self._columns(12, f"range(left, min(left + 64, {step.width}))", i, step)
        self._add(12, f"if left + 64 < {step.width}:")
        for total, pair in pairs.items():
            self._add(16, f"over_lanes(lanes, added, {pair}, {pair}, {total})", f"fill_lanes(lanes, {total}, 0.0)")
        self._add(8, f"if {step.width} > 64:")
        for total, pair in pairs.items():
            self._add(
                12,
                f"over_lanes(lanes, added, {pair}, {pair}, {total})",
                f"over_lanes(lanes, sum_of_pair, {total}, {pair})",
            )

    def _columns(self, indent: int, columns: str, i: int, step: RowPass) -> None:
        """The rule for each column, whose elements are first copied to the stack (see `rows`)."""
        self._add(indent, f"for j in {columns}:")
        loaded = [name for name in dict.fromkeys(step.results.used) if name in self.kinds and not self._is_row(name)]
        self._copy(indent + 4, "load", [name for name in loaded if len(self.kinds[name].dims) == 2], "j")
        self._rule(indent + 4, i, step.results)
        self._store(indent + 4, step.results, "j")
