"""Loops over rows.

Up to 64 rows are worked on as lanes: every row is folded in order of its columns by one lane. The bits therefore depend
neither on the vector width nor on how rows are shared out, and ten columns vectorise as well as a thousand. (Sixteen
lanes are too few: LLVM unrolls a loop of a known 16 before it vectorises, and one of an unknown number only enters
its vector form from 32 on.) `COLUMNS` columns at a time are copied to the stack, and results back from there: LLVM does
not vectorise around loads that are a row apart.

Sums over more than 64 columns are added in parts of 64, to a pair (`rules.scalars.added`): in one run the mean of 10⁵
columns of float32 near 1000 was off by 5e-4, and their variance was wrong.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastnet._kernels import kinds
from fastnet._kernels.chunks import LANES
from fastnet._kernels.kinds import Kind, read, reads, reals, rule, size, write
from fastnet._kernels.pasting import typed
from fastnet._kernels.registry import RowRule
from fastnet._kernels.rules.scalars import added, sum_of_pair
from fastnet._kernels.template import elementwise, template

COLUMNS = 16  # that are copied together: of float32 a cache line of each row


class RowLoop:
    """What the loops over rows that are written here, and not by a user, have in common."""

    form = "loop"
    axis = "n"
    grain = 16
    built_in = True
    namespace = {"added": added, "sum_of_pair": sum_of_pair}
    rule_calls = ()  # its rules are checked when they are registered
    locals = frozenset[str]()

    @property
    def file(self) -> str:
        return __file__

    @property
    def identity(self) -> str:
        return self.text()

    def text(self) -> str:
        """The template's source."""
        raise NotImplementedError


@dataclass(frozen=True)
class RowTemplate(RowLoop):
    """A loop written for one `RowRule`: its passes one after another, then what is asked for.

    Args:
        name: of the generated kernel.
        rule: the rule.
        targets: what ``t`` is: 0 ("none"), an element of a second array ("raw"), of a distribution with label
            smoothing ("dense"), of the one-hot row of a class index ("sparse"), or that index itself ("label").
        value: write ``value(*folded)`` of each row to ``loss``.
        element: write ``element(x, t, *folded)`` to ``y``.
        gradient: ``y`` is the gradient of the batch's loss: times ``row_weight`` of the row, which by default is 1 over
            the number of rows.
        scalars: how many follow the other arguments of every one of its rules.
    """

    name: str
    rule: RowRule
    targets: str = "none"
    value: bool = False
    element: bool = True
    gradient: bool = False
    scalars: int = 0

    cost = "20 * width"

    @property
    def parameters(self) -> dict[str, Kind]:
        """Its parameters and their kinds."""
        return _kinds_of(self)

    def call(self, plan: Any, **operands: Any) -> None:
        """Append a launch of it, with its rules."""
        plan.call(self, **self.rules(), **operands)

    def rules(self) -> dict[str, Callable]:
        """Name in the text → rule."""
        passes = self.rule.passes
        named: dict[str, Any] = {f"accumulate_{i}": p.accumulate for i, p in enumerate(passes)}
        named |= {f"finish_{i}": p.finish for i, p in enumerate(passes) if p.finish}
        if self.value:
            named["value"] = self.rule.value
        if self.element:
            named["element"] = self.rule.element
        return named

    def text(self) -> str:
        """The template's source."""
        return _text(self)


@cache
def _kinds_of(template: RowTemplate) -> dict[str, Kind]:
    parameters = dict.fromkeys(template.rules(), "rule")
    parameters["x"] = "read['n, width']"
    parameters |= {
        "none": {},
        "raw": {"t": "read['n, width']"},
        "dense": {"t": "read['n, width']", "smoothing": "real"},
        "sparse": {"labels": "read_int32['n']"},
        "label": {"labels": "read_int32['n']"},
    }[template.targets]
    parameters |= {"row_weight": "read['n'] | 'inverse_count'"} if template.gradient else {}
    parameters |= {"p": "reals"} if template.scalars else {}
    parameters |= {"loss": "write['n']"} if template.value else {}
    parameters |= {"y": "write['n, width']"} if template.element else {}
    parameters |= {"n": "size", "width": "size", "lo": "lo", "hi": "hi"}
    return {name: kinds.parse(kind) for name, kind in parameters.items()}


@cache
def _text(template: RowTemplate) -> str:
    return RowText(template).written()


class RowText:
    """Writes the loop of a `RowTemplate`.

    Args:
        template: the template.

    Attributes:
        stacks: rows that have a place on the stack.
        depth: spaces in front of the statements for rows.
        value, target_value: an element of row k, and its target.
    """

    stacks, depth = LANES, 8
    value = "v[at + k]"

    @property
    def target_value(self) -> str:
        return self.target("u[at + k]") or "u[k]"

    def __init__(self, template: RowTemplate):
        self.template = template
        self.out: list[str] = []

    def written(self) -> str:
        """The function that is the template's source."""
        template, stack = self.template, f"stack({self.stacks})"
        self.out = [f"def {template.name}():", *self.element_stacks()]
        for p, row_pass in enumerate(template.rule.passes):
            self.out += [f"    a{p}_{q} = {stack}" for q in range(len(row_pass.start))]
            self.out += [f"    {part}{p}_{q} = {stack}" for q in row_pass.sums for part in ("high", "low")]
        if template.gradient:
            self.out.append("    inverse_count = 1.0 / T(n)")
        self.head()
        self._block()
        return "\n".join(self.out) + "\n"

    def head(self) -> None:
        """Lines in front of the rows' statements."""
        self.out += [f"    for first in range(lo, hi, {LANES}):", f"        lanes = min({LANES}, hi - first)"]

    def add(self, indent: int, *lines: str) -> None:
        """Append lines."""
        self.out.extend(" " * (self.depth + indent) + line for line in lines)

    def lanes(self, *statements: str, indent: int = 0) -> None:
        """Statements for each row ``first + k``."""
        self.add(indent, "for k in range(lanes):", *(f"    {statement}" for statement in statements))

    def element_stacks(self) -> list[str]:
        """Lines that make room for v and u."""
        block = f"stack({COLUMNS * LANES})"
        return [f"    v, u = {block}, {block if self.target('t') else f'stack({LANES})'}"]

    def elements(self, statement: str, store: str = "", begin: str = "0", end: str = "width", indent: int = 0) -> None:
        """A statement for the elements of each column j, whose result may be stored."""
        loads = ["v, x, x_ld", *(["u, t, t_ld"] if self.target("t") else [])]
        self.add(
            indent,
            f"for left in range({begin}, {end}, {COLUMNS}):",
            f"    columns = min({COLUMNS}, width - left)",
            f"    load_columns(lanes, first, left, columns, {', '.join(loads)})",
            "    for j in range(left, left + columns):",
            f"        at = (j - left) * {LANES}",
        )
        self.lanes(statement, indent=indent + 8)
        if store:
            self.add(indent + 4, f"store_columns(lanes, first, left, columns, v, {store}, {store}_ld)")

    def target(self, element: str) -> str | None:
        """The expression of a dense target, made of an element of t."""
        dense = f"{element} * (1.0 - smoothing) + smoothing / T(width)"
        return {"raw": element, "dense": dense}.get(self.template.targets)

    def _block(self) -> None:
        """The statements for all rows."""
        template, lanes = self.template, self.lanes
        if template.targets in ("sparse", "label"):
            lanes("u[k] = labels[first + k]")
        target = {"none": "0.0", "sparse": "1.0 if u[k] == T(j) else 0.0"}.get(template.targets, self.target_value)
        earlier, scalars = "", ", *p" * bool(template.scalars)
        for p, row_pass in enumerate(template.rule.passes):
            names = [f"a{p}_{q}[k]" for q in range(len(row_pass.start))]
            sums = [(f"a{p}_{q}[k]", f"high{p}_{q}[k], low{p}_{q}[k]") for q in row_pass.sums]
            starts = [f"{name} = {start_of(start)}" for name, start in zip(names, row_pass.start, strict=True)]
            lanes(*starts, *(f"{pair} = 0.0, 0.0" for _, pair in sums))
            accumulators = ", ".join(names)
            accumulated = f"{accumulators} = accumulate_{p}({accumulators}, {self.value}, {target}{earlier}{scalars})"
            if sums:
                # A condition that is the same in all parts would make LLVM write the loop twice.
                self.add(0, "for part in range(0, width, 64):")
                self.elements(accumulated, begin="part", end="min(part + 64, width)", indent=4)
                self.add(4, "if part + 64 < width:")
                lanes(*(f"{pair} = added({pair}, {total}); {total} = 0.0" for total, pair in sums), indent=8)
                self.add(0, "if width > 64:")
                summed = (f"{pair} = added({pair}, {total}); {total} = sum_of_pair({pair})" for total, pair in sums)
                lanes(*summed, indent=4)
            else:
                self.elements(accumulated)
            if row_pass.finish:
                lanes(f"{accumulators} = finish_{p}({accumulators}{earlier}{scalars})")
            earlier += f", {accumulators}"
        if template.value:
            lanes(f"loss[first + k] = value({earlier[2:]}{scalars})")
        if template.element:
            weight = " * row_weight[first + k]" * template.gradient
            self.elements(f"{self.value} = element({self.value}, {target}{earlier}{scalars}){weight}", "y")


def start_of(start: float) -> str:
    return repr(float(start)) if math.isfinite(start) else ast.unparse(typed(start))


@template("n", grain=16, cost="10 * width", aligned=False)
def mean_of_row(
    f: rule,
    y_true: read[n, width],
    y_pred: read[n, width],
    weights: read[n, width] | 1.0,
    loss: write[n],
    p: reals,
    width: size,
    lo,
    hi,
):  # y_true, y_pred, weights (n, width)  loss (n,)
    total, high, low, t, v = stack(64), stack(64), stack(64), stack(1024), stack(1024)
    for first in range(lo, hi, 64):
        lanes = min(64, hi - first)
        for k in range(lanes):
            high[k] = 0.0
            low[k] = 0.0
        for part in range(0, width, 64):
            for k in range(lanes):
                total[k] = 0.0
            for left in range(part, min(part + 64, width), 16):
                columns = min(16, width - left)
                load_columns(lanes, first, left, columns, t, y_true, y_true_ld, v, y_pred, y_pred_ld)
                for j in range(columns):
                    for k in range(lanes):
                        element = f(t[64 * j + k], v[64 * j + k], *p)
                        total[k] = total[k] + element * weights[first + k, left + j]
            for k in range(lanes):
                high[k], low[k] = added(high[k], low[k], total[k])
        for k in range(lanes):
            loss[first + k] = sum_of_pair(high[k], low[k]) / T(width)


@template("n", grain=16, cost="10 * width", aligned=False)
def mean_of_outputs(
    f: rule, y_true: read[n, width], predictions: reads[n, width], loss: write[n], p: reals, width: size, lo, hi
):  # y_true (n, width)  predictions (n, width) each  loss (n,)
    for r in range(lo, hi):
        high, low = 0.0, 0.0
        for left in range(0, width, 64):
            total = 0.0
            for j in range(left, min(left + 64, width)):
                total = total + f(y_true[r, j], *predictions[r, j], *p)
            high, low = added(high, low, total)
        loss[r] = sum_of_pair(high, low) / T(width)


@elementwise
def gradient_of_output(
    df: rule, y_true: read, predictions: reads, row_weight: read[row] | 1.0 / T(rows), dx: write, p: reals, rows: size,
    columns: size,
):  # fmt: skip
    dx = df(y_true, *predictions, *p) * (row_weight / T(columns))


@elementwise
def gradient_of_mean(
    df: rule, y_true: read, y_pred: read, weights: read | 1.0, row_weight: read[row] | 1.0 / T(rows), dx: write,
    p: reals, rows: size, columns: size,
):  # fmt: skip
    dx = df(y_true, y_pred, *p) * weights * (row_weight / T(columns))


@template("n", grain=16, cost="40 * width", aligned=False)
def sparsemax(x: read[n, width], y: write[n, width], width: size, lo, hi):
    # The projection of each row onto the simplex: y = max(x - threshold, 0) with the sum 1, by Michelot's iteration:
    # the threshold follows from the elements above the last one, until none leaves them.
    for r in range(lo, hi):
        largest = x[r, 0]
        for j in range(width):
            largest = x[r, j] if x[r, j] > largest or x[r, j] != x[r, j] else largest
        threshold = -math.inf
        count, before = width + 1, width + 2
        while count < before:
            before, count = count, 0
            high, low = 0.0, 0.0
            for left in range(0, width, 64):
                total = 0.0
                for j in range(left, min(left + 64, width)):
                    shifted = x[r, j] - largest
                    if shifted > threshold:
                        total = total + shifted
                        count = count + 1
                high, low = added(high, low, total)
            threshold = (sum_of_pair(high, low) - 1.0) / T(count)
        for j in range(width):
            above = x[r, j] - largest - threshold
            y[r, j] = 0.0 if above < 0.0 else above
