"""Checks of what users declare: names, numbers, and rules with their arguments and results."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from fastnet._kernels import pasting
from fastnet._kernels.errors import quoted
from fastnet._kernels.registry import Pass


def parameter_names(rule: Callable, leading: int) -> list[str]:
    """The names of a rule's parameters after the first ``leading`` ones."""
    return list(inspect.signature(rule).parameters)[leading:]


def check_rules(rule: Callable, df: Callable | None = None, results: int | None = 1) -> None:
    """Check rules now, not in the middle of training."""
    pasting.check_rule(rule, results)
    if df is not None:
        pasting.check_rule(df)


def check_name(kind: str, name: object) -> None:
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"The name of the {kind} must be an identifier, received {quoted(name)}.")


def check_numbers(kind: str, name: str, parameters: Mapping[str, object]) -> None:
    for parameter, value in parameters.items():
        if not isinstance(value, numbers.Real):
            raise ValueError(f"The {kind} {name!r}: {parameter} must be a number, received {quoted(value)}.")


def check_parameters(kind: str, name: str, rule: Callable, leading: int, parameters: Mapping[str, float]) -> None:
    names = parameter_names(rule, leading)
    if len(inspect.signature(rule).parameters) < leading:
        wanted = f"{leading} argument{'s' * (leading > 1)}"
        raise ValueError(f"The {kind} {name!r}: {rule.__name__!r} must take at least {wanted}, it takes fewer.")
    if names != list(parameters):
        raise ValueError(
            f"The {kind} {name!r}: the parameters of {rule.__name__!r} behind the first {leading} are {names}, but "
            f"defaults are given for {list(parameters)}. The rule and its derivative take the same parameters in the "
            "same order, and the rule gives each one a default."
        )


def defaults(rule: Callable, leading: int) -> dict[str, float]:
    """Defaults written in a rule's own signature."""
    parameters = list(inspect.signature(rule).parameters.values())[leading:]
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def checked_passes(name: str, passes: Any) -> tuple[Pass, ...]:
    """The passes of a user's row rule, each with tuples of numbers."""
    if not isinstance(passes, (tuple, list)) or not passes or not all(isinstance(each, Pass) for each in passes):
        raise ValueError(
            f"The loss {name!r}: passes must be a tuple of at least one extend.Pass, received {quoted(passes)}."
        )
    for each in passes:
        start, sums = each.start, each.sums
        if not isinstance(start, (tuple, list)) or not start or not all(isinstance(v, numbers.Real) for v in start):
            raise ValueError(
                f"The loss {name!r}: the start of a pass must be a tuple of its accumulators' first values, such as "
                f"(0.0,), received {quoted(start)}."
            )
        known = isinstance(sums, (tuple, list)) and all(isinstance(p, int) and 0 <= p < len(start) for p in sums)
        if not known or len(set(sums)) < len(sums):
            raise ValueError(
                f"The loss {name!r}: the sums of a pass must be a tuple of positions of its accumulators, from 0 to "
                f"{len(start) - 1}, each once, received {quoted(sums)}."
            )
    return tuple(dataclasses.replace(each, start=tuple(each.start), sums=tuple(each.sums)) for each in passes)


def check_arguments(name: str, rule: Callable, leading: int, parameters: Mapping[str, float], results: int) -> None:
    """Check a rule of a row loss, whose parameters follow so many arguments."""
    pasting.check_rule(rule, results)
    given = parameter_names(rule, 0)
    if len(given) < leading or given[leading:] != list(parameters):
        last = f", of which the last are the parameters ({', '.join(parameters)})" if parameters else ""
        raise ValueError(
            f"The loss {name!r}: the rule {rule.__name__!r} must take {leading + len(parameters)} arguments{last}; it "
            f"takes ({', '.join(given)})."
        )


def check_scalars(name: str, scalars: Callable, parameters: Mapping[str, float]) -> int | None:
    """Check a rule of scalars; the number of its results, None where its text does not show it."""
    pasting.check_rule(scalars, None)
    taken = list(inspect.signature(scalars).parameters.values())
    if len(taken) < 2 or any(p.default is inspect.Parameter.empty for p in taken[2:]):
        raise ValueError(
            f"The optimizer {name!r}: {scalars.__name__!r} must take (rate, t) and then the parameters, each with its "
            f"default; it takes {inspect.signature(scalars)}."
        )
    if parameters:
        raise ValueError(
            f"The optimizer {name!r}: {list(parameters)} are given, but the parameters and their defaults are those of "
            f"{scalars.__name__!r}."
        )
    returned = [node.value for node in ast.walk(pasting.function_tree(scalars)) if isinstance(node, ast.Return)]
    counts = {len(value.elts) if isinstance(value, ast.Tuple) else None for value in returned}
    if counts == {None} and all(isinstance(value, (ast.BinOp, ast.Constant, ast.UnaryOp)) for value in returned):
        return 1
    return counts.pop() if len(counts) == 1 else None
