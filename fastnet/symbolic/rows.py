"""Traced formulas of rows as loops: which numbers are of a row, which of an element, in which pass each is known."""

from __future__ import annotations

import functools
import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet._kernels.chunks import LANES
from fastnet._kernels.tangents import rule_from_source
from fastnet._kernels.templates.row_programs import Results, RowFold, RowPass, RowProgram
from fastnet.symbolic.array import Shape, ShapeError, SymbolicArray, shown
from fastnet.symbolic.folds import Fold
from fastnet.symbolic.formulas import CONDITIONS, Formula
from fastnet.symbolic.order import ordered
from fastnet.symbolic.reshape import FLAT, RESHAPE
from fastnet.symbolic.rule_formulas import LETTERS, RuleFormula
from fastnet.symbolic.slices import SLICE

CONSTANT, ROW, ELEMENT = "constant", "row", "element"  # levels: the same everywhere, one a row, one an element
PARTS = (SLICE, FLAT)  # operations that only read a leaf otherwise
MODULE = "formula"  # of the rules, whose text is not fastnet's


def level_of(x: SymbolicArray, axes: int) -> str:
    """The level of a number in formulas of arrays of up to so many axes (at least 2).

    Raises:
        ShapeError: it is neither of a row nor of its elements.
    """
    others = x.shape[:-1]
    if not x.per_row:
        if is_number(x):
            return CONSTANT
        if math.prod(size or 1 for size in others) == 1:
            return ELEMENT
    elif x.ndim == axes:
        return ROW if x.shape[-1] == 1 else ELEMENT
    elif x.ndim == axes - 1:
        return ROW
    raise ShapeError(
        f"An array of shape {shown(x.shape)} beside others of {axes} axes is neither one number a row nor a row along "
        "the last axis: fold along axis=-1, and keep the other axes as they are."
    )


def is_number(x: SymbolicArray) -> bool:
    """Whether an array is one number, the same everywhere."""
    return not x.per_row and math.prod(size or 1 for size in x.shape) == 1


def drops_axes(x: SymbolicArray) -> bool:
    """Whether an operation only drops or adds axes of size 1."""
    if isinstance(x.operation, Fold):
        return all(x.inputs[0].shape[axis] == 1 for axis in x.settings[0])
    return x.operation is RESHAPE


def is_same(x: SymbolicArray) -> bool:
    """Whether an operation leaves the numbers as they are."""
    return drops_axes(x) or (isinstance(x.operation, Formula) and x.operation.text == "a")


def row_shapes(nodes: Sequence[SymbolicArray], axes: int) -> list[Shape]:
    """The shapes of the rows of arrays of up to so many axes; a formula has one."""
    return list(dict.fromkeys(x.shape[:-1] if x.ndim == axes else x.shape for x in nodes if x.per_row))


@dataclass
class Lowered:
    """A loop over rows, and what its operands stand for.

    Attributes:
        program: the loop.
        operands: the arguments, slices and constants that are read, by the names of operands.
        results: the names of the results, in order.
    """

    program: RowProgram
    operands: dict[str, SymbolicArray]
    results: list[str]


class Scheduler:
    """Puts the numbers of formulas in order: folds in the first pass that has all they need, then the results.

    Args:
        name: of the kernel.
        roots: what is stored.
        row_weight: the argument that by default is 1 over the number of rows, or None.
        saved: results of other formulas, which are read.
    """

    def __init__(
        self, name: str, roots: Sequence[SymbolicArray], row_weight: SymbolicArray | None = None,
        saved: Sequence[SymbolicArray] = (),
    ):  # fmt: skip
        self.name, self.roots, self.row_weight = name, roots, row_weight
        self.saved = {id(x): x for x in saved}
        found = ordered(roots, self.saved)
        used = {id(x) for node in found if node.operation not in PARTS for x in node.inputs} | {id(x) for x in roots}
        found = [x for x in found if x.operation is not None or id(x) in used]  # not those of which only parts are read
        self.nodes = [*(x for x in saved if id(x) in used), *found]
        self.axes = max([2, *(x.ndim for x in self.nodes if x.per_row)])
        self.levels = {id(x): level_of(x, self.axes) for x in self.nodes}
        self._check_levels()
        self.names: dict[int, str] = {}
        self.widths: dict[int, str] = {}
        self.kinds: dict[str, str] = {}
        self.operands: dict[str, SymbolicArray] = {}
        self.steps: list[Any] = []
        self.rule_count = self.cost = 0

    def lowered(self) -> Lowered:
        """The loop.

        Raises:
            ShapeError: a fold of other axes than the last one.
        """
        for x in self.nodes:
            if x.operation is None or x.operation in PARTS or id(x) in self.saved:
                self._add_operand(x)
        depths: dict[int, int] = {}
        groups: dict[tuple[int, int], list[SymbolicArray]] = {}
        for x in self.nodes:
            if id(x) in self.saved:
                depths[id(x)] = 0
                continue
            folds = self._folds(x)
            depths[id(x)] = max((depths.get(id(y), 0) for y in x.inputs), default=0) + folds
            if folds:
                groups.setdefault((depths[id(x)], x.inputs[0].shape[-1] or 0), []).append(x)
        for (_, width), members in sorted(groups.items(), key=lambda item: item[0]):
            self._add_rows_within([x.inputs[0] for x in members])
            self._add_folds(self._width(width), members, in_parts=width > LANES)
        results = self._add_results()
        program = RowProgram(self.name, tuple(self.steps), tuple(self.kinds.items()), self._cost())
        return Lowered(program, self.operands, results)

    def _check_levels(self) -> None:
        """Check that no number of a row is made of elements, but by a fold.

        Raises:
            ShapeError: one is, since formulas of arrays of several ranks are mixed.
        """
        rows = row_shapes(self.nodes, self.axes)
        if len(rows) > 1:
            raise ShapeError(
                f"Arrays whose rows are of shapes {' and '.join(map(shown, rows))} meet in a formula: only the last "
                "axis may differ."
            )
        for x in self.nodes:
            if id(x) in self.saved or x.operation is None or x.operation in PARTS or isinstance(x.operation, Fold):
                continue
            inputs = x.inputs[:1] if is_same(x) else x.inputs
            if self.levels[id(x)] == ROW and any(self.levels[id(y)] == ELEMENT for y in inputs):
                raise ShapeError(
                    f"ops.{x.operation.name} gives an array of shape {shown(x.shape)} beside others of {self.axes} "
                    "axes: keep the axis with keepdims=True where numbers of rows meet rows."
                )

    def _cost(self) -> str:
        passes = [f"{max(4, self.cost)} * {step.width}" for step in self.steps if isinstance(step, RowPass)]
        return " + ".join([*passes, str(20 + self.cost)])

    # ---- operands

    def _add_operand(self, x: SymbolicArray) -> None:
        level = self.levels[id(x)]
        if level == CONSTANT:
            if x.value is None:  # a weight of one number
                self._name(x, f"n{len(self.operands)}", "read['one']")
            return
        if x is self.row_weight:
            self._name(x, "row_weight", "read['n, one'] | 'inverse_count'")
        elif level == ROW:
            self._name(x, f"r{len(self.operands)}", "read['n, one']")
        elif x.per_row:
            self._name(x, f"x{len(self.operands)}", f"read['n, {self._width(x.shape[-1])}']")
        else:
            self._name(x, f"c{len(self.operands)}", f"read['{self._width(x.shape[-1])}']")

    def _name(self, x: SymbolicArray, name: str, kind: str) -> None:
        self.names[id(x)], self.kinds[name], self.operands[name] = name, kind, x

    def _width(self, size: int | None) -> str:
        assert size is not None
        return self.widths.setdefault(size, f"width_{len(self.widths)}")

    # ---- steps

    def _folds(self, x: SymbolicArray) -> bool:
        """Whether an operation folds the elements of a row.

        Raises:
            ShapeError: it folds other axes.
        """
        if not isinstance(x.operation, Fold) or drops_axes(x):
            return False
        source = x.inputs[0]
        if x.settings[0] != (source.ndim - 1,) or self.levels[id(source)] != ELEMENT:
            raise ShapeError(
                f"ops.{x.operation.name} over the axes {x.settings[0]} of an array of shape {shown(source.shape)}: "
                "formulas fold along the last axis, axis=-1."
            )
        return True

    def _add_folds(self, width: str, members: Sequence[SymbolicArray], in_parts: bool) -> None:
        """Fold elements in one pass, by one rule."""
        rule, used = self._rule("folds", members)
        names = tuple(f"f{self.rule_count}_{i}" for i in range(len(members)))
        operations = [x.operation for x in members if isinstance(x.operation, Fold)]
        folds = tuple(
            RowFold(name, fold.start, fold.name == "sum") for name, fold in zip(names, operations, strict=True)
        )
        self.steps.append(RowPass(width, Results(names, rule, (*names, *used)), folds, in_parts))
        self.names |= {id(x): name for x, name in zip(members, names, strict=True)}

    def _add_rows_within(self, elements: Sequence[SymbolicArray]) -> None:
        """Compute the numbers of rows from which formulas of elements start."""
        wanted: dict[int, SymbolicArray] = {}
        for x in ordered(elements, self.names):
            if self.levels[id(x)] == ELEMENT:
                wanted |= {id(y): y for y in x.inputs if self.levels[id(y)] == ROW and not self._has_name(y)}
        if wanted:
            rule, used = self._rule("rows", list(wanted.values()))
            names = [f"q{self.rule_count}_{i}" for i in range(len(wanted))]
            self.steps.append(Results(tuple(names), rule, used))
            self.names |= dict(zip(wanted, names, strict=True))

    def _has_name(self, x: SymbolicArray) -> bool:
        """Whether a number has a name, or is the same as one that has."""
        if id(x) not in self.names and is_same(x) and self._has_name(x.inputs[0]):
            self.names[id(x)] = self.names[id(x.inputs[0])]
        return id(x) in self.names

    def _add_results(self) -> list[str]:
        """Store the roots; the names of their operands."""
        names = [f"y{i}" for i in range(len(self.roots))]
        of_rows = [i for i, x in enumerate(self.roots) if self.levels[id(x)] != ELEMENT]
        by_width: dict[int, list[int]] = {}
        for i, x in enumerate(self.roots):
            if i not in of_rows:
                by_width.setdefault(x.shape[-1] or 0, []).append(i)
        for width, members in by_width.items():
            self._add_rows_within([self.roots[i] for i in members])
            rule, used = self._rule("elements", [self.roots[i] for i in members])
            self.steps.append(RowPass(self._width(width), Results(tuple(names[i] for i in members), rule, used)))
            self.kinds |= {names[i]: f"write['n, {self._width(width)}']" for i in members}
        if of_rows:
            rule, used = self._rule("values", [self.roots[i] for i in of_rows])
            self.steps.append(Results(tuple(names[i] for i in of_rows), rule, used))
            self.kinds |= {names[i]: "write['n, one']" for i in of_rows}
        return names

    # ---- rules

    def _rule(self, what: str, roots: Sequence[SymbolicArray]) -> tuple[Callable, tuple[str, ...]]:
        """The rule that computes formulas of what has a name, and the names that it takes.

        Folds are computed from their last values, which the rule takes first.
        """
        self.rule_count += 1
        text = RuleText(self.names)
        totals: list[str] = []
        results: list[str] = []
        for x in roots:
            if what != "folds":
                results.append(text.number(x))
                continue
            assert isinstance(x.operation, Fold)
            totals.append(f"total_{len(totals)}")
            results.append(inserted(x.operation.text, {"a": text.number(x.inputs[0]), "total": totals[-1]}))
        text.drop_unused(results)
        self.cost += len(text.lines) + len(totals)
        return text.rule(f"{self.name}_{what}_{self.rule_count}", totals, results), tuple(text.used)


@functools.lru_cache(maxsize=1024)
def _rule(text: str, called: tuple[tuple[str, Callable], ...]) -> Callable:
    """The rule of a text: the same one each time, whose kernels are then found without generating text."""
    rule = rule_from_source(text, {"np": np, **dict(called)})
    rule.__module__ = MODULE
    return rule


class RuleText:
    """The text of a rule: a line for each operation.

    Args:
        names: of the numbers that are known, by the ids of their arrays.
    """

    def __init__(self, names: dict[int, str]):
        self.lines: list[str] = []
        self.used: dict[str, None] = {}
        self.texts = dict(names)
        self.outside = frozenset(names.values())
        self.called: dict[str, Any] = {}

    def number(self, x: SymbolicArray) -> str:
        """The expression of an array's element; a truth value is 1 or 0."""
        for node in ordered([x], self.texts):
            self.texts[id(node)] = self._text(node)
        return self._as_number(x)

    def drop_unused(self, results: list[str]) -> None:
        """Leave out what results do not need: an operand may have given only its shape."""
        needed = set(re.findall(r"\w+", " ".join(results)))
        kept: list[str] = []
        for line in reversed(self.lines):
            name, text = line.split("=", 1)
            if name.strip() in needed:
                kept.insert(0, line)
                needed |= set(re.findall(r"\w+", text))
        self.lines = kept
        self.used = {name: None for name in self.used if name in needed}

    def rule(self, name: str, first: list[str], results: list[str]) -> Callable:
        """The function of the names that are used, behind other arguments."""
        lines = [f"({', '.join([*first, *self.used])}):", *self.lines, f"    return {', '.join(results)}"]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8]  # rules that meet in a kernel differ by name
        lines[0] = f"def {name}_{digest}{lines[0]}"
        return _rule("\n".join(lines) + "\n", tuple(self.called.items()))

    def _text(self, x: SymbolicArray) -> str:
        if x.value is not None:
            return literal(x)
        if is_same(x):
            source = x.inputs[0]
            return self._as_number(source) if source.is_bool and not x.is_bool else self.texts[id(source)]
        assert isinstance(x.operation, Formula)
        name = f"v{len(self.lines)}"
        operands = {}
        for i, (letter, operand) in enumerate(zip(LETTERS, x.inputs)):
            is_test = x.operation.name in CONDITIONS or (x.operation.name == "where" and i == 0)
            operands[letter] = self._as_test(operand) if is_test else self._as_number(operand)
        text = x.operation.text
        if isinstance(x.operation, RuleFormula):
            text = self._calling(x.operation)
        self.lines.append(f"    {name} = {inserted(text, operands)}")
        return name

    def _calling(self, operation: RuleFormula) -> str:
        """The text of a call of a rule, under a name that no other one has."""
        rule, name = operation.rule, f"r_{operation.name}"
        while self.called.get(name, rule) is not rule:
            name += "_"
        self.called[name] = rule
        return name + operation.text[len(operation.name) :]

    def _as_number(self, x: SymbolicArray) -> str:
        text = self._taken(x)
        return f"(1.0 if {text} else 0.0)" if x.is_bool else text

    def _as_test(self, x: SymbolicArray) -> str:
        text = self._taken(x)
        return text if x.is_bool else f"({text} != 0.0)"

    def _taken(self, x: SymbolicArray) -> str:
        """The text of an operand; a name from outside becomes an argument."""
        text = self.texts[id(x)]
        if text in self.outside:
            self.used[text] = None
        return text


def element_rule(name: str, root: SymbolicArray, names: dict[int, str]) -> Callable:
    """The rule of a formula of elements, which takes all these names."""
    text = RuleText(names)
    result = text.number(root)
    text.used = dict.fromkeys(names.values())
    return text.rule(name, [], [result])


@functools.cache
def fold_rule(fold: Fold) -> Callable:
    """The rule of the next value of a fold: of the last one, and an element."""
    return rule_from_source(f"def {fold.name}_of_two(total, a):\n    return {fold.text}\n")


def literal(x: SymbolicArray) -> str:
    """A constant as text."""
    assert x.value is not None
    value = x.value.reshape(-1)[0]
    if x.is_bool:
        return str(bool(value))
    number = float(value)
    text = repr(number) if math.isfinite(number) else "math.nan" if math.isnan(number) else "math.inf"
    return f"(-{text.lstrip('-')})" if number < 0 else text


def inserted(text: str, operands: dict[str, str]) -> str:
    """A formula's text with operands for its letters."""
    return re.sub(r"\b(?:[a-p]|total)\b", lambda match: operands.get(match[0], match[0]), text)
