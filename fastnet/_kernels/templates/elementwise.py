"""Loops over elements and over weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from fastnet._kernels.kinds import hi, lo, read, reals, write


def forward(x: read, y: write, p: reals, lo: lo, hi: hi):
    # x (n,)  y (n,)
    for i in range(lo, hi):
        y[i] = f(x[i], *p)


def backward(kept: read, dy: read, dx: write, p: reals, lo: lo, hi: hi):
    # kept (n,)  dy (n,)  dx (n,)
    for i in range(lo, hi):
        dx[i] = dy[i] * df(kept[i], *p)


@dataclass(frozen=True)
class UpdateTemplate:
    """The update of a weight, written out: w[i], *states[i] = f(w[i], g[i], *states[i], *s).

    What a regularizer, a clip, a decay or an average adds are rules before and after it in the same pass.

    Args:
        before: rules of `rules/weights.py`, done in order before the optimizer's own.
        after: rules done after it.
        own: whether the optimizer's rule ``f`` stands between them. Where it does not, and the last rule gives a
            gradient, the gradient is written back.
    """

    before: tuple[Callable, ...] = ()
    after: tuple[Callable, ...] = ()
    own: bool = True
    __name__ = "update_weights"

    @property
    def tile(self) -> str | None:
        """The buffer that a tile of a product can stand for."""
        return "g" if self.parameters().get("g") == "read" else None

    @property
    def __globals__(self) -> dict:
        return globals()

    def parameters(self) -> dict[str, str]:
        """Its parameters and their kinds."""
        return dict(_parameters(self))

    def rules(self) -> tuple[tuple[str, Callable], ...]:
        """(name in the text, rule) pairs, the optimizer's own left out."""
        return tuple((rule.__name__, rule) for rule in (*self.before, *self.after))

    def text(self) -> str:
        """The template's source."""
        return _text(self)


def _names(rule: Callable) -> tuple[str, ...]:
    return rule.__code__.co_varnames[: rule.__code__.co_argcount]


def _stores_gradient(template: UpdateTemplate) -> bool:
    return not template.own and _names((*template.before, *template.after)[-1])[0] == "g"


@cache
def _parameters(template: UpdateTemplate) -> tuple[tuple[str, str], ...]:
    rules = (*template.before, *template.after)
    touched, changed = {n for rule in rules for n in _names(rule)}, {_names(rule)[0] for rule in rules}
    kinds = {}
    if template.own or "w" in touched:
        kinds["w"] = "update" if template.own or "w" in changed else "read"
    if template.own or "g" in touched:
        kinds["g"] = "update" if _stores_gradient(template) else "read"
    if template.own:
        kinds["states"] = "updates"
    for rule in rules:
        kinds |= rule.__annotations__
    return (*kinds.items(), *([("s", "values")] if template.own else []), ("lo", "lo"), ("hi", "hi"))


@cache
def _text(template: UpdateTemplate) -> str:
    kinds = template.parameters()
    places = {name: f"{name}[i]" for name, kind in kinds.items() if kind in ("update", "read")}
    statements = []
    for rule in (*template.before, None, *template.after):
        if rule is None:
            if template.own:
                statements.append(f"w[i], *states[i] = f(w[i], {places['g']}, *states[i], *s)")
            continue
        names = _names(rule)
        arguments = ", ".join(places.get(name, name) for name in names)
        if names[0] == "g" and not _stores_gradient(template):
            places["g"] = "gradient"
        statements.append(f"{places[names[0]]} = {rule.__name__}({arguments})")
    loop = "\n".join(f"        {statement}" for statement in statements)
    return f"def update_weights({', '.join(kinds)}):\n    for i in range(lo, hi):\n{loop}\n"


update_weights = UpdateTemplate()  # nothing but the optimizer's own rule
