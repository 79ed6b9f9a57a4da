"""Loops over rows.

Sixteen rows are worked on as lanes: every row is folded in order of its columns by one lane, so the bits depend
neither on the vector width nor on how rows are shared out, and ten columns vectorise as well as a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fastnet._kernels.registry import RowRule
from fastnet._kernels.templates.kinds import hi, integer, lo, read, read_int32, real, reals, rows, write


@dataclass(frozen=True)
class RowTemplate:
    """A loop written for one `RowRule`: its passes one after another, then what is asked for.

    Args:
        name: of the generated kernel.
        rule: the rule.
        targets: what ``t`` is: 0 ("none"), an element of a second array ("raw"), of a distribution with label
            smoothing ("dense"), or of the one-hot row of a class index ("sparse").
        value: write ``value(*folded)`` of each row to ``loss``.
        element: write ``element(x, t, *folded)`` to ``y``; the gradient of a mean loss where ``value`` is also asked
            for or ``mean`` is set, then divided by the number of rows.
    """

    name: str
    rule: RowRule
    targets: str = "none"
    value: bool = False
    element: bool = True
    mean: bool = False

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def __globals__(self) -> dict:
        return {}

    def rules(self) -> tuple:
        """(name in the text, rule) pairs."""
        passes = self.rule.passes
        named = [(f"accumulate_{i}", p.accumulate) for i, p in enumerate(passes)]
        named += [(f"finish_{i}", p.finish) for i, p in enumerate(passes)]
        if self.value:
            named.append(("value", self.rule.value))
        if self.element:
            named.append(("element", self.rule.element))
        return tuple(named)

    def text(self) -> str:
        """The template's source."""
        return _text(self)


@lru_cache(maxsize=None)
def _text(template: RowTemplate) -> str:
    count = len(template.rule.passes)
    target = {
        "none": "0.0",
        "raw": "t[i]",
        "dense": "t[i] * (1.0 - smoothing) + smoothing / T(width)",
        "sparse": "1.0 if labels[first + k] == j else 0.0",
    }[template.targets]
    parameters = ["x: read"]
    parameters += {
        "none": [],
        "raw": ["t: read"],
        "dense": ["t: read", "smoothing: real"],
        "sparse": ["labels: read_int32"],
    }[template.targets]
    parameters += ["loss: write"] * template.value + ["y: write"] * template.element
    parameters += ["width: integer"] + ["inner: integer", "rows: rows"] * template.mean + ["lo: lo", "hi: hi"]
    out = [f"def {template.name}({', '.join(parameters)}):"]
    out += [f"    a{p} = stack(16)" for p in range(count)]
    if template.mean:
        out.append("    share = 1.0 / T(rows * inner)")
    out += [f"    for first in range(lo, hi, 16):", f"        lanes = min(16, hi - first)"]

    def elements(statement: str) -> list[str]:
        lines = ["for j in range(width):", "    for k in range(lanes):", "        i = (first + k) * width + j"]
        return ["        " + line for line in [*lines, f"        {statement}"]]

    def lanes(statement: str) -> list[str]:
        return ["        for k in range(lanes):", f"            {statement}"]

    for p, row_pass in enumerate(template.rule.passes):
        earlier = "".join(f", a{q}[k]" for q in range(p))
        out += lanes(f"a{p}[k] = {_start(row_pass.start)}")
        out += elements(f"a{p}[k] = accumulate_{p}(a{p}[k], x[i], {target}{earlier})")
        out += lanes(f"a{p}[k] = finish_{p}(a{p}[k]{earlier})")
    folded = ", ".join(f"a{p}[k]" for p in range(count))
    if template.value:
        out += lanes(f"loss[first + k] = value({folded})")
    if template.element:
        share = " * share" * template.mean
        out += elements(f"y[i] = element(x[i], {target}, {folded}){share}")
    return "\n".join(out) + "\n"


def _start(start: float) -> str:
    return "-np.inf" if start == float("-inf") else repr(float(start))


def elements_loss(
    y_true: read, y_pred: read, loss: write, p: reals, width: integer, lo: lo, hi: hi
):  # y_true (rows, width)  y_pred (rows, width)  loss (rows,)
    total = stack(16)
    for first in range(lo, hi, 16):
        lanes = min(16, hi - first)
        for k in range(lanes):
            total[k] = 0.0
        for j in range(width):
            for k in range(lanes):
                i = (first + k) * width + j
                total[k] = total[k] + f(y_true[i], y_pred[i], *p)
        for k in range(lanes):
            loss[first + k] = total[k] / T(width)


def elements_gradient(
    y_true: read, y_pred: read, dx: write, p: reals, width: integer, inner: integer, rows: rows, lo: lo, hi: hi
):  # y_true (n,)  y_pred (n,)  dx (n,), n = rows * inner * width
    share = 1.0 / T(rows * inner * width)
    for i in range(lo, hi):
        dx[i] = df(y_true[i], y_pred[i], *p) * share


def binary_matches(y_true: read, y_pred: read, matches: write, width: integer, threshold: real, lo: lo, hi: hi):
    # y_true (rows, width)  y_pred (rows, width)  matches (rows,): the share of elements on the right side
    for r in range(lo, hi):
        total = 0.0
        for j in range(width):
            i = r * width + j
            guess = 1.0 if y_pred[i] > threshold else 0.0
            total += 1.0 if guess == y_true[i] else 0.0
        matches[r] = total / T(width)


def sparse_matches(labels: read_int32, y_pred: read, matches: write, width: integer, lo: lo, hi: hi):
    # labels (rows,)  y_pred (rows, width)  matches (rows,)
    for r in range(lo, hi):
        best = 0
        for j in range(1, width):
            if y_pred[r * width + j] > y_pred[r * width + best]:
                best = j
        matches[r] = 1.0 if labels[r] == best else 0.0


def dense_matches(y_true: read, y_pred: read, matches: write, width: integer, lo: lo, hi: hi):
    # y_true (rows, width)  y_pred (rows, width)  matches (rows,)
    for r in range(lo, hi):
        best = 0
        label = 0
        for j in range(1, width):
            if y_pred[r * width + j] > y_pred[r * width + best]:
                best = j
            if y_true[r * width + j] > y_true[r * width + label]:
                label = j
        matches[r] = 1.0 if label == best else 0.0
