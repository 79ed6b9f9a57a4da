"""Users' rules for another process, which has neither the file nor the notebook cell that they were written in.

A kernel is generated from the text of rules. A pickle therefore carries registered rows as text, and functions that it
holds by value with their source.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from types import BuiltinFunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from fastnet._kernels import registry
from fastnet._kernels.pasting import all_defaults, rule_tree
from fastnet._kernels.snapshots import SOURCE
from fastnet._kernels.tangents import rule_from_source

_TABLES = {"activations": registry.activations, "losses": registry.losses, "updates": registry.updates}


@dataclasses.dataclass(frozen=True)
class RuleText:
    """A rule as text.

    Args:
        text: its ``def``, without defaults.
        module, name: where it was written; kernels that contain it are named by them.
        defaults: of its last arguments.
        names: its global names: numbers, rules, and namespaces of these.
        digest: of its snapshot, by which kernels that contain it are found.
    """

    text: str
    module: str
    name: str
    defaults: tuple[float, ...]
    names: dict[str, Any]
    digest: str = ""

    @classmethod
    def of(cls, rule: Callable[..., Any]) -> RuleText:
        """The text of a rule, and of the rules that it calls.

        Raises:
            RuleError: the source cannot be read.
        """
        node = rule_tree(rule)
        closure = inspect.getclosurevars(rule)
        names = _packed({**closure.globals, **closure.nonlocals})
        text = ast.unparse(ast.fix_missing_locations(node)) + "\n"
        return cls(text, rule.__module__, rule.__qualname__, all_defaults(rule), names, getattr(rule, "digest", ""))

    def rule(self) -> Callable[..., Any]:
        """The rule again."""
        rule = rule_from_source(self.text, _unpacked(self.names))
        rule.__module__, rule.__qualname__, rule.__defaults__ = self.module, self.name, self.defaults
        rule.digest = self.digest  # type: ignore[attr-defined]
        return rule


@dataclasses.dataclass(frozen=True)
class _Members:
    """An object by its members; of a module, whose kind is None, with its name."""

    kind: type | None
    members: dict[str, Any]
    name: str = ""


def _packed(value: Any) -> Any:
    """A value as a pickle takes it: functions as text, objects by their members; None for what no rule reads."""
    if isinstance(value, (str, int, float, np.number, BuiltinFunctionType)) or _is_of_library(value):
        return value
    if inspect.isfunction(value):
        return RuleText.of(value)
    if isinstance(value, tuple):
        return tuple(map(_packed, value))
    if isinstance(value, Mapping):
        return {name: _packed(item) for name, item in value.items()}
    if isinstance(value, (registry.Pass, registry.RowRule, SimpleNamespace)):
        return _Members(type(value), _packed(vars(value)))
    if isinstance(value, ModuleType) and _is_library(value.__name__):
        return _Members(None, {}, value.__name__)
    if isinstance(value, ModuleType) and sys.modules.get(value.__name__) is not value:  # of others nothing is read
        members = {name: item for name, item in vars(value).items() if not name.startswith("__")}
        return _Members(None, _packed(members), value.__name__)
    return None


def _unpacked(value: Any) -> Any:
    if isinstance(value, RuleText):
        return value.rule()
    if isinstance(value, tuple):
        return tuple(map(_unpacked, value))
    if isinstance(value, dict):
        return {name: _unpacked(item) for name, item in value.items()}
    if not isinstance(value, _Members):
        return value
    if _is_library(value.name):
        return importlib.import_module(value.name)
    members = _unpacked(value.members)
    if value.kind is not None:
        return value.kind(**members)
    module = ModuleType(value.name)
    vars(module).update(members)
    return module


def _is_library(module: str) -> bool:
    """Whether a module is the same in each process."""
    return module in ("math", "numpy") or module.startswith("fastnet.")


def _is_of_library(value: Any) -> bool:
    """Whether another process finds a function of numpy's or fastnet's by its name."""
    module = sys.modules.get(getattr(value, "__module__", None) or "numpy")  # functions of numpy 1 name no module
    known = module is not None and _is_library(module.__name__)
    return known and getattr(module, getattr(value, "__name__", ""), None) is value


def registered_rows(names: Container[str] | None = None) -> list[tuple[str, type, dict[str, Any]]]:
    """The users' rows of these names, or all, as (table, class, fields) for `adopt`."""
    return [
        (kind, type(row), _fields(row))
        for kind, table in _TABLES.items()
        for name, row in table.items()
        if name not in table.built_in and (names is None or name in names)
    ]


def _fields(row: Any) -> dict[str, Any]:
    """The fields of a row but for its declaration, which is this process's."""
    names = [f.name for f in dataclasses.fields(row) if f.name != "declared"]
    return {name: _packed(getattr(row, name)) for name in names}


def adopt(rows: Iterable[tuple[str, type, dict[str, Any]]]) -> None:
    """Register rows that came with a pickle; a row that this process registered by itself stays."""
    for kind, cls, fields in rows:
        _TABLES[kind].adopt(cls(**_unpacked(fields)))


def note_sources(items: Iterable[Any]) -> None:
    """Note the source of functions that a pickle holds by value, and of those that they call, where it can be read.

    cloudpickle, and with it joblib, takes functions and classes of ``__main__`` by value. It keeps a function's
    attributes, but not the name of its file.
    """
    for function in _by_value(items, set()):
        with contextlib.suppress(OSError):  # a function whose source cannot be read is not a rule here either
            vars(function).setdefault(SOURCE, inspect.getsource(function))


def _by_value(items: Iterable[Any], seen: set[int]) -> Iterator[Any]:
    for item in items:
        item = getattr(item, "__func__", item)
        if id(item) in seen or not (inspect.isfunction(item) or isinstance(item, type)):
            continue
        seen.add(id(item))
        if item.__module__ != "__main__" and "<locals>" not in item.__qualname__:
            continue
        if isinstance(item, type):
            yield from _by_value(vars(item).values(), seen)
            continue
        yield item
        closure = inspect.getclosurevars(item)
        yield from _by_value([*closure.globals.values(), *closure.nonlocals.values()], seen)
