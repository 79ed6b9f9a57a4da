"""Loops over rows.

Up to 64 rows are worked on as lanes: every row is folded in order of its columns by one lane, so the bits depend
neither on the vector width nor on how rows are shared out, and ten columns vectorise as well as a thousand.  (Sixteen
lanes are too few: LLVM unrolls a loop of a known 16 before it vectorises, and one of an unknown number only enters
its vector form from 32 on.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from fastnet._kernels.kinds import hi, integer, lo, read, reals, rows, write
from fastnet._kernels.registry import RowRule


@dataclass(frozen=True)
class RowTemplate:
    """A loop written for one `RowRule`: its passes one after another, then what is asked for.

    Args:
        name: of the generated kernel.
        rule: the rule.
        targets: what ``t`` is: 0 ("none"), an element of a second array ("raw"), of a distribution with label
            smoothing ("dense"), of the one-hot row of a class index ("sparse"), or that index itself ("label").
        value: write ``value(*folded)`` of each row to ``loss``.
        element: write ``element(x, t, *folded)`` to ``y``; divided by the number of rows where ``mean`` is set (the
            gradient of a mean loss), or times ``shares[row]`` where ``shared`` is.
        numbers: how many follow the other arguments of every one of its rules.
    """

    name: str
    rule: RowRule
    targets: str = "none"
    value: bool = False
    element: bool = True
    mean: bool = False
    shared: bool = False
    numbers: int = 0

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def __globals__(self) -> dict:
        return globals()

    def parameters(self) -> dict[str, str]:
        """Its parameters and their kinds."""
        return dict(parameter.split(": ") for parameter in _parameters(self))

    def rules(self) -> tuple:
        """(name in the text, rule) pairs."""
        passes = self.rule.passes
        named = [(f"accumulate_{i}", p.accumulate) for i, p in enumerate(passes)]
        named += [(f"finish_{i}", p.finish) for i, p in enumerate(passes) if p.finish]
        if self.value:
            named.append(("value", self.rule.value))
        if self.element:
            named.append(("element", self.rule.element))
        return tuple(named)

    def text(self) -> str:
        """The template's source."""
        return _text(self)


def _parameters(template: RowTemplate) -> list[str]:
    parameters = ["x: read"]
    parameters += {
        "none": [],
        "raw": ["t: read"],
        "dense": ["t: read", "smoothing: real"],
        "sparse": ["labels: read_int32"],
        "label": ["labels: read_int32"],
    }[template.targets]
    parameters += ["shares: read"] * template.shared + ["p: reals"] * bool(template.numbers)
    parameters += ["loss: write"] * template.value + ["y: write"] * template.element
    return [*parameters, "width: integer", *["inner: integer", "rows: rows"] * template.mean, "lo: lo", "hi: hi"]


@cache
def _text(template: RowTemplate) -> str:
    out = [f"def {template.name}({', '.join(_parameters(template))}):", "    v, u = stack(64), stack(64)"]
    for p, row_pass in enumerate(template.rule.passes):
        out += [f"    a{p}_{q} = stack(64)" for q in range(len(row_pass.start))]
    if template.mean:
        out.append("    share = 1.0 / T(rows * inner)")
    out += ["    for first in range(lo, hi, 64):", "        lanes = min(64, hi - first)", *_block(template)]
    return "\n".join(out) + "\n"


def _block(template: RowTemplate) -> list[str]:
    """The statements for rows ``first`` to ``first + lanes``."""
    out: list[str] = []

    def lanes(*statements: str) -> None:
        out.extend(["        for k in range(lanes):", *(f"            {statement}" for statement in statements)])

    def elements(statement: str, after: str = "") -> None:
        # A column is copied to the stack first: LLVM does not vectorise around loads that are `width` apart.
        out.append("        for j in range(width):")
        for lines in (_load(template), [statement], [after]):
            if lines[0]:
                out.append("            for k in range(lanes):")
                out.extend(f"                {line}" for line in lines)

    if template.targets in ("sparse", "label"):
        lanes("u[k] = labels[first + k]")
    target = {"none": "0.0", "sparse": "1.0 if u[k] == T(j) else 0.0"}.get(template.targets, "u[k]")
    earlier, numbers = "", ", *p" * bool(template.numbers)
    for p, row_pass in enumerate(template.rule.passes):
        names = [f"a{p}_{q}[k]" for q in range(len(row_pass.start))]
        lanes(*(f"{name} = {_start(start)}" for name, start in zip(names, row_pass.start, strict=True)))
        own = ", ".join(names)
        elements(f"{own} = accumulate_{p}({own}, v[k], {target}{earlier}{numbers})")
        if row_pass.finish:
            lanes(f"{own} = finish_{p}({own}{earlier}{numbers})")
        earlier += f", {own}"
    if template.value:
        lanes(f"loss[first + k] = value({earlier[2:]}{numbers})")
    if template.element:
        share = " * share" * template.mean + " * shares[first + k]" * template.shared
        elements(f"v[k] = element(v[k], {target}{earlier}{numbers}){share}", "y[(first + k) * width + j] = v[k]")
    return out


def _load(template: RowTemplate) -> list[str]:
    """The statements that fetch an element of x, and of a dense target."""
    target = {"raw": "t[i]", "dense": "t[i] * (1.0 - smoothing) + smoothing / T(width)"}.get(template.targets)
    return ["i = (first + k) * width + j", "v[k] = x[i]", *([f"u[k] = {target}"] if target else [])]


def _start(start: float) -> str:
    return "-np.inf" if start == float("-inf") else repr(float(start))


def elements_loss(
    y_true: read, y_pred: read, loss: write, p: reals, width: integer, lo: lo, hi: hi
):  # y_true (rows, width)  y_pred (rows, width)  loss (rows,)
    total, t, v = stack(64), stack(64), stack(64)
    for first in range(lo, hi, 64):
        lanes = min(64, hi - first)
        for k in range(lanes):
            total[k] = 0.0
        for j in range(width):
            for k in range(lanes):
                t[k] = y_true[(first + k) * width + j]
                v[k] = y_pred[(first + k) * width + j]
            for k in range(lanes):
                total[k] = total[k] + f(t[k], v[k], *p)
        for k in range(lanes):
            loss[first + k] = total[k] / T(width)


def elements_gradient(
    y_true: read, y_pred: read, dx: write, p: reals, width: integer, inner: integer, rows: rows, lo: lo, hi: hi
):  # y_true (n,)  y_pred (n,)  dx (n,), n = rows * inner * width
    share = 1.0 / T(rows * inner * width)
    for i in range(lo, hi):
        dx[i] = df(y_true[i], y_pred[i], *p) * share


def elements_gradient_shared(
    y_true: read, y_pred: read, shares: read, dx: write, p: reals, width: integer, lo: lo, hi: hi
):  # y_true (rows, width)  y_pred (rows, width)  shares (rows,)  dx (rows, width)
    for r in range(lo, hi):
        share = shares[r] / T(width)
        for i in range(r * width, (r + 1) * width):
            dx[i] = df(y_true[i], y_pred[i], *p) * share
