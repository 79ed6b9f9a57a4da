"""Loops over rows for traced formulas: any number of operands, folds and results, in as few passes as they need.

As in `rows`, up to 64 rows are worked on as lanes, each folded in order of its columns, and sums over more than 64
columns are added in parts, to a pair. Sixteen columns at a time are copied to the stack, or fewer of many operands. A
program of one lane, as a thread of a GPU has it, takes its elements one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from fastnet._kernels import kinds
from fastnet._kernels.chunks import LANES
from fastnet._kernels.kinds import Kind
from fastnet._kernels.templates.rows import COLUMNS, RowLoop, start_of

MOST_COLUMNS = 256  # on the stack, of all operands: 128 KiB of float64, where a thread may have 512


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
        lanes: rows at a time: `LANES` or 1.
    """

    name: str
    steps: tuple[Results | RowPass, ...]
    operands: tuple[tuple[str, str], ...]
    cost: str
    lanes: int = LANES

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
        self.program, self.lanes = program, program.lanes
        self.kinds = {name: kinds.parse(kind) for name, kind in program.operands}
        self.columns = COLUMNS if program.lanes > 1 else 1
        while self.columns > 1 and self.columns * sum(map(self._is_element, self.kinds)) > MOST_COLUMNS:
            self.columns //= 2
        self.out: list[str] = []

    def written(self) -> str:
        program = self.program
        stored = [name for name, kind in self.kinds.items() if kind.dims[0] == "n"]
        numbers = [name for step in program.steps for name in _results_of(step).names]
        stacks = [f"{name}_" for name in dict.fromkeys([*stored, *numbers]) if not self._is_element(name)]
        stacks += [
            f"{part}_{fold.name}"
            for step in program.steps if isinstance(step, RowPass) and step.in_parts
            for fold in step.folds if fold.is_sum
            for part in ("high", "low")
        ]  # fmt: skip
        self.out = [f"def {program.name}():", *(f"    {name} = stack({self.lanes})" for name in stacks)]
        self.out += [f"    {name}_ = stack({self.columns * self.lanes})" for name in stored if self._is_element(name)]
        if "row_weight" in self.kinds:
            self.out.append("    inverse_count = 1.0 / T(n)")
        self._add(4, f"for first in range(lo, hi, {self.lanes}):")
        self._add(8, f"lanes = min({self.lanes}, hi - first)")
        rows = [name for name in stored if self._is_row(name) and self.kinds[name].access == "r"]
        if "row_weight" in rows:  # which may be absent, and is then a number
            rows.remove("row_weight")
            self._copy_rows(8, "load", ["row_weight"])
        self._copy_rows(8, "load", rows)
        for i, step in enumerate(program.steps):
            if isinstance(step, Results):
                self._rule(8, i, step)
                self._copy_rows(8, "store", self._stored(step))
            else:
                self._pass(i, step)
        return "\n".join(self.out) + "\n"

    def _add(self, indent: int, *lines: str) -> None:
        self.out += [" " * indent + line for line in lines]

    def _is_row(self, name: str) -> bool:
        return self.kinds[name].dims == ("n", "one")

    def _is_element(self, name: str) -> bool:
        return name in self.kinds and self.kinds[name].dims[0] == "n" and not self._is_row(name)

    def _value(self, name: str) -> str:
        """An operand or a number: of each lane, of a column, or one."""
        dims = self.kinds[name].dims if name in self.kinds else ("n",)
        if dims[0] == "n":
            return f"column_of({name}_, j)" if self._is_element(name) else f"{name}_"
        return f"{name}[0]" if dims == ("one",) else f"{name}[left + j]"

    def _rule(self, indent: int, i: int, results: Results) -> None:
        operands = map(self._value, [*results.names, *results.used])
        self._add(indent, f"over_lanes({', '.join(['lanes', f'rule_{i}', *operands])})")

    def _copy_rows(self, indent: int, what: str, names: Sequence[str]) -> None:
        """Load or store numbers of rows."""
        self._copy(indent, what, "0, 1", names)

    def _copy(self, indent: int, what: str, columns: str, names: Sequence[str]) -> None:
        if names:
            operands = ", ".join(f"{x}_, {x}, {x}_ld" for x in names)
            self._add(indent, f"{what}_columns(lanes, first, {columns}, {operands})")

    def _stored(self, results: Results) -> list[str]:
        return [name for name in results.names if name in self.kinds]

    def _fill(self, indent: int, pairs: Sequence[str]) -> None:
        if pairs:
            self._add(indent, f"fill_lanes({', '.join(['lanes', *pairs])})")

    def _pass(self, i: int, step: RowPass) -> None:
        sums = [fold.name for fold in step.folds if fold.is_sum and step.in_parts]
        starts = [f"{fold.name}_, {start_of(fold.start)}" for fold in step.folds]
        self._fill(8, starts + [f"{part}_{name}, 0.0" for name in sums for part in ("high", "low")])
        if not sums:
            self._columns(8, "0", step.width, i, step)
            return
        pairs = {f"{name}_": f"high_{name}, low_{name}" for name in sums}
        self._add(8, f"for part in range(0, {step.width}, 64):")
        self._columns(12, "part", f"min(part + 64, {step.width})", i, step)
        self._add(12, f"if part + 64 < {step.width}:")
        for total, pair in pairs.items():
            self._add(16, f"over_lanes(lanes, added, {pair}, {pair}, {total})", f"fill_lanes(lanes, {total}, 0.0)")
        self._add(8, f"if {step.width} > 64:")
        for total, pair in pairs.items():
            self._add(
                12,
                f"over_lanes(lanes, added, {pair}, {pair}, {total})",
                f"over_lanes(lanes, sum_of_pair, {total}, {pair})",
            )

    def _columns(self, indent: int, begin: str, end: str, i: int, step: RowPass) -> None:
        """The rule for each column, whose elements are first copied to the stack (see `rows`)."""
        loaded = [name for name in dict.fromkeys(step.results.used) if self._is_element(name)]
        self._add(indent, f"for left in range({begin}, {end}, {self.columns}):")
        self._add(indent + 4, f"columns = min({self.columns}, {step.width} - left)")
        self._copy(indent + 4, "load", "left, columns", loaded)
        self._add(indent + 4, "for j in range(columns):")
        self._rule(indent + 8, i, step.results)
        self._copy(indent + 4, "store", "left, columns", self._stored(step.results))
