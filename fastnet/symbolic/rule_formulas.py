"""Rules of numbers as operations of formulas: activations and losses that fastnet has."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastnet._kernels.differentiate import derivative_rule
from fastnet._kernels.registry import Activation
from fastnet._kernels.tangents import rule_from_source
from fastnet.symbolic.array import SymbolicArray
from fastnet.symbolic.formulas import Formula
from fastnet.symbolic.leaves import constant

LETTERS = "abcdefghijklmnop"  # the operands of a rule in its text


@dataclass(frozen=True)
class RuleFormula(Formula):
    """A rule applied to elements.

    Attributes:
        rule: the rule.
        slopes: known derivatives, by the number of the argument; others are found by differentiation.
    """

    rule: Callable | None = None
    slopes: tuple[tuple[int, Callable], ...] = ()


def of_activation(row: Activation, x: SymbolicArray, parameters: tuple[float, ...] = ()) -> SymbolicArray:
    """An activation of elements, with the derivative that its row has, of x or of the result."""
    if row.keeps == "x":
        return of_rule(row.f, (x,), parameters, {0: row.df})
    nodes = tuple(map(constant, (x, *parameters)))
    return _operation(row.f, len(nodes), (), row.df)(*nodes)


def of_rule(
    rule: Callable, operands: tuple[Any, ...], parameters: tuple[float, ...] = (),
    slopes: Mapping[int, Callable] | None = None,
) -> SymbolicArray:  # fmt: skip
    """A rule applied to symbolic arrays, then numbers."""
    nodes = tuple(map(constant, (*operands, *parameters)))
    return _operation(rule, len(nodes), tuple((slopes or {}).items()))(*nodes)


@functools.lru_cache(maxsize=256)
def result_of(rule: Callable, number: int, count: int) -> Callable:
    """The rule that gives one of so many results of another rule."""
    if count == 1:
        return rule
    taken = ", ".join(inspect.signature(rule).parameters)
    results = [f"result_{i}" for i in range(count)]
    name = f"{rule.__name__}_{number}"
    text = f"def {name}({taken}):\n    {', '.join(results)} = rule({taken})\n    return result_{number}\n"
    return rule_from_source(text, {"rule": rule})


@functools.lru_cache(maxsize=256)
def _slope(rule: Callable, name: str) -> Callable:
    return derivative_rule(rule, name)


@functools.lru_cache(maxsize=256)
def _operation(
    rule: Callable, count: int, slopes: tuple[tuple[int, Callable], ...], slope_of_result: Callable | None = None
) -> RuleFormula:
    """A rule as an operation; the derivative by its first argument may be a function of the result and the others."""
    names = list(inspect.signature(rule).parameters)[:count]
    letters = ", ".join(LETTERS[:count])

    def adjoint(dy: Any, y: SymbolicArray, *inputs: SymbolicArray) -> tuple:
        known = dict(slopes)
        out: list[Any] = []
        for i, x in enumerate(inputs):
            if x.value is not None:
                out.append(None)
                continue
            if i == 0 and slope_of_result is not None:
                out.append(dy * _operation(slope_of_result, count, ())(y, *inputs[1:]))
                continue
            slope = known.get(i) or _slope(rule, names[i])
            out.append(dy * _operation(slope, count, ())(*inputs))
        return tuple(out)

    name = rule.__name__
    return RuleFormula(name, adjoint, f"{name}({letters})", None, False, rule, slopes)
