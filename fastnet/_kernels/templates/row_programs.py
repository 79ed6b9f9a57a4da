"""Loops over rows for traced formulas: any number of operands, folds and results, in as few passes as they need.

As in `rows`, up to 64 rows are worked on as lanes, each folded in order of its columns, and sums over more than 64
columns are added in parts, to a pair.
"""

from __future__ import annotations

from collections.abc import Callable
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
        rule: ``(number, *used) -> number``, for each column.
        used: operands and earlier numbers that the rule takes.
        start: the number before the first column.
        is_sum: whether each column only adds something.
    """

    name: str
    rule: Callable
    used: tuple[str, ...]
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
        folds: what it folds.
        elements: what it stores for each element, or None.
        in_parts: whether sums are added in parts, as those of more than 64 columns must be.
    """

    width: str
    folds: tuple[RowFold, ...] = ()
    elements: Results | None = None
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
        found: dict[str, Callable] = {}
        for i, step in enumerate(self.steps):
            if isinstance(step, Results):
                found[f"rows_{i}"] = step.rule
                continue
            found |= {f"fold_{i}_{k}": fold.rule for k, fold in enumerate(step.folds)}
            if step.elements is not None:
                found[f"elements_{i}"] = step.elements.rule
        return found

    def text(self) -> str:
        """The template's source."""
        return _text(self)


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
        numbers = [n for step in program.steps if isinstance(step, Results) for n in step.names]
        folds = [fold for step in program.steps if isinstance(step, RowPass) for fold in step.folds]
        stacks = [f"{name}_" for name in dict.fromkeys([*stored, *numbers, *(fold.name for fold in folds)])]
        stacks += [
            f"{part}_{fold.name}"
            for step in program.steps if isinstance(step, RowPass) and step.in_parts
            for fold in step.folds if fold.is_sum
            for part in ("high", "low")
        ]  # fmt: skip
        self.out = [f"def {program.name}():", *(f"    {name} = stack({LANES})" for name in stacks)]
        if "row_weight" in self.kinds:
            self.out.append("    inverse_count = 1.0 / T(n)")
        self.out += [f"    for first in range(lo, hi, {LANES}):", f"        lanes = min({LANES}, hi - first)"]
        rows = [name for name in stored if self._is_row(name) and self.kinds[name].access == "r"]
        self._lanes(8, *(f"{name}_[k] = {name}[first + k, 0]" for name in rows))
        for i, step in enumerate(program.steps):
            if isinstance(step, Results):
                self._rows(i, step)
            else:
                self._pass(i, step)
        return "\n".join(self.out) + "\n"

    def _is_row(self, name: str) -> bool:
        return self.kinds[name].dims == ("n", "one")

    def _lanes(self, indent: int, *statements: str) -> None:
        if statements:
            self.out.append(" " * indent + "for k in range(lanes):")
            self.out += [" " * indent + f"    {statement}" for statement in statements]

    def _value(self, name: str) -> str:
        """An operand or a number of the row ``first + k``, column j."""
        dims = self.kinds[name].dims if name in self.kinds else ("n",)
        if dims[0] == "n":
            return f"{name}_[k]"
        return f"{name}[0]" if dims == ("one",) else f"{name}[j]"

    def _assigned(self, rule: str, results: Results) -> str:
        names = ", ".join(f"{name}_[k]" for name in results.names)
        return f"{names} = {rule}({', '.join(map(self._value, results.used))})"

    def _rows(self, i: int, step: Results) -> None:
        stored = (f"{name}[first + k, 0] = {name}_[k]" for name in step.names if name in self.kinds)
        self._lanes(8, self._assigned(f"rows_{i}", step))
        self._lanes(8, *stored)

    def _pass(self, i: int, step: RowPass) -> None:
        sums = [fold.name for fold in step.folds if fold.is_sum and step.in_parts]
        starts = [f"{fold.name}_[k] = {start_of(fold.start)}" for fold in step.folds]
        self._lanes(8, *starts, *(f"high_{name}[k], low_{name}[k] = 0.0, 0.0" for name in sums))
        folded = [
            f"{f.name}_[k] = fold_{i}_{k}({', '.join([f'{f.name}_[k]', *map(self._value, f.used)])})"
            for k, f in enumerate(step.folds)
        ]
        used = {name for results in (*step.folds, step.elements) if results is not None for name in results.used}
        statements, stores = folded, ()
        if step.elements is not None:
            statements = [*folded, self._assigned(f"elements_{i}", step.elements)]
            stores = tuple(f"{name}[first + k, j] = {name}_[k]" for name in step.elements.names)
        if not sums:
            self._columns(8, f"range({step.width})", used, statements, stores)
            return
        pairs = {name: f"high_{name}[k], low_{name}[k]" for name in sums}
        self.out.append(f"        for left in range(0, {step.width}, 64):")
        self._columns(12, f"range(left, min(left + 64, {step.width}))", used, statements, stores)
        self.out.append(f"            if left + 64 < {step.width}:")
        self._lanes(16, *(f"{pair} = added({pair}, {name}_[k]); {name}_[k] = 0.0" for name, pair in pairs.items()))
        self.out.append(f"        if {step.width} > 64:")
        self._lanes(
            12,
            *(f"{pair} = added({pair}, {name}_[k]); {name}_[k] = sum_of_pair({pair})" for name, pair in pairs.items()),
        )

    def _columns(self, indent: int, columns: str, used: set[str], statements: list[str], stores: tuple) -> None:
        """The statements for each column, whose elements are first copied to the stack (see `rows`)."""
        self.out.append(" " * indent + f"for j in {columns}:")
        loaded = [name for name in self.kinds if name in used and len(self.kinds[name].dims) == 2]
        loads = [f"{name}_[k] = {name}[first + k, j]" for name in loaded if not self._is_row(name)]
        for lines in (loads, statements, stores):
            self._lanes(indent + 4, *lines)
