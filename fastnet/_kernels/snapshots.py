"""Functions as they are when they are read: later changes of what they refer to do not reach their kernels.

A rule or a template refers to numbers and to other rules: by globals, by variables of the function around it, by
attributes of modules, by defaults. A notebook changes them from cell to cell. `snapshot` copies a function with all of
these. An unchanged function gives the same copy again, whose kernels are then found without generating text.
"""

from __future__ import annotations
import __future__

import ast
import contextlib
import dis
import functools
import hashlib
import inspect
import linecache
import math
import os
import textwrap
import types
import weakref
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

from fastnet._kernels.errors import RuleError

#: of `from __future__ import ...`, in the flags of a code
_FUTURES = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})
_MISSING = object()
#: the attribute of a function from another process that holds its source; `portable` sets it
SOURCE = "__fastnet_source__"
_CALLS = ("CALL", "PRECALL", "PUSH_NULL", "CACHE", "NOP", "RESUME", "EXTENDED_ARG")
_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs])


class _Value(NamedTuple):
    """The value for which a name stands.

    Attributes:
        key: equal for equal values.
        value: the value; of a rule its snapshot.
        text: for the digest, the same in every process.
    """

    key: Hashable
    value: Any
    text: str


#: what a function was when it was read → its snapshot
_known: weakref.WeakValueDictionary[Hashable, types.FunctionType] = weakref.WeakValueDictionary()


def is_fixed(function: Any) -> bool:
    """Whether a function never changes: one of fastnet's, a snapshot, or a function made from text."""
    return hasattr(function, "source") or (getattr(function, "__module__", None) or "").startswith("fastnet.")


def snapshot(function: Any, what: str = "rule") -> Any:
    """The function as it is now, with the numbers and the rules that it refers to; other objects are returned.

    Args:
        function: a user's; one that never changes is returned.
        what: it is, for errors.

    Raises:
        RuleError: its source cannot be read, or is that of another function.
    """
    if not isinstance(function, types.FunctionType) or is_fixed(function):
        return function
    return _snapshot(function, (), what)


def _snapshot(function: types.FunctionType, outer: tuple, what: str = "rule") -> types.FunctionType:
    if function in outer:
        raise RuleError(f"The rule {function.__name__!r} calls itself; write it without recursion.")
    code, cells = function.__code__, dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
    found = {}
    for name, attributes in _names(code):
        value = _content(cells[name]) if name in cells else function.__globals__.get(name, _MISSING)
        found[name] = _value(value, attributes, (*outer, function))
    defaults = [*(function.__defaults__ or ()), *sorted((function.__kwdefaults__ or {}).items())]
    identity = function.__module__, function.__qualname__, repr(defaults)
    notes = ((name, _value(note, (), outer).key) for name, note in _annotations(function).items())
    key = (code, *identity, *notes, *((name, item.key) for name, item in found.items()))
    known = _known.get(key)
    return known if known is not None else _known.setdefault(key, _copied(function, found, identity, what))


def _copied(function: types.FunctionType, found: dict[str, _Value], identity: tuple, what: str) -> types.FunctionType:
    """The function with the values that it refers to, its text, and a digest of both."""
    names = {"__builtins__": __builtins__, "__name__": function.__module__}
    names |= {name: item.value for name, item in found.items() if item.value is not _MISSING}
    free = function.__code__.co_freevars
    closure = tuple(types.CellType(names[name]) if name in names else types.CellType() for name in free)
    copied: Any = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, closure)
    copied.__kwdefaults__, copied.__module__ = function.__kwdefaults__, function.__module__
    copied.__qualname__, copied.__doc__ = function.__qualname__, function.__doc__
    copied.__annotations__ = _annotations(function)
    copied.source = source(function, what)
    meaning = [copied.source, *map(str, identity), *(f"{name}={item.text}" for name, item in found.items())]
    copied.digest = hashlib.sha256("\n".join(meaning).encode()).hexdigest()[:12]
    return copied


def _annotations(function: types.FunctionType) -> dict[str, Any]:
    try:
        return dict(function.__annotations__)
    except Exception:  # from Python 3.14 on they are evaluated here, and may name what does not exist
        return {}


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a variable of the function around it that is assigned later
        return _MISSING


def _value(value: Any, attributes: tuple[str, ...], outer: tuple) -> _Value:
    """A value from outside, of which these attributes are read."""
    if isinstance(value, (int, float, str, np.number)) or value is _MISSING:
        text = "" if value is _MISSING else repr(value)
        return _Value((type(value), text), value, text)  # as text: NaN equals itself, and 0.0 is not -0.0
    if isinstance(value, types.FunctionType):
        with contextlib.suppress(RuleError):  # not every function is a rule; where one is called, its error is raised
            value = value if is_fixed(value) else _snapshot(value, outer)
        return _Value(value, value, f"{value.__module__}.{value.__qualname__} {getattr(value, 'digest', '')}")
    module = inspect.ismodule(value)
    if not attributes or (module and (value in (math, np) or value.__name__.startswith("fastnet."))):
        return _Value(id(value), value, getattr(value, "__name__", type(value).__name__))
    members = {name: _value(_attribute(value, name), (), outer) for name in attributes}
    copied = types.ModuleType(value.__name__) if module else types.SimpleNamespace()
    vars(copied).update({name: item.value for name, item in members.items() if item.value is not _MISSING})
    key = (id(value), *((name, item.key) for name, item in members.items()))
    return _Value(key, copied, repr({name: item.text for name, item in members.items()}))


def _attribute(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name, _MISSING)
    except Exception:  # a property of a user's object
        return _MISSING


@functools.lru_cache(maxsize=1024)
def _names(code: types.CodeType) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The names from outside that a function reads, each with the attributes that it reads of it."""
    found: dict[str, list[str]] = {}
    last = None
    for step in dis.get_instructions(code):
        free = step.opname == "LOAD_DEREF" and step.argval in code.co_freevars
        if free or step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            last = step.argval
            found.setdefault(last, [])
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and last is not None:
            found[last].append(step.argval)
            last = None
        elif step.opname != "CACHE":
            last = None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            for name, attributes in _names(constant):
                found.setdefault(name, []).extend(attributes)
    return tuple((name, tuple(dict.fromkeys(attributes))) for name, attributes in found.items())


# ---- the source


def source(function: Callable[..., Any], what: str = "rule") -> str:
    """The text of a function, which is that of its code.

    Raises:
        RuleError: the text cannot be read, or a later definition stands in its place.
    """
    if hasattr(function, "source"):
        return function.source
    name = getattr(function, "__name__", repr(function))
    if (getattr(function, "__module__", None) or "").startswith("fastnet.ops."):
        raise RuleError(
            f"ops.{name} is a function of arrays, and a {what} gets numbers: write operators, and functions that "
            "docs/extending.md lists."
        )
    for attempt in range(2):
        try:
            text = textwrap.dedent(getattr(function, SOURCE, None) or inspect.getsource(function))
            tree = ast.parse(text)
        except (OSError, TypeError, SyntaxError) as error:
            raise RuleError(
                f"The source of the {what} {name!r} cannot be read ({error}). A {what} is pasted into a generated "
                "kernel: write it as a named function (def) in a file or a notebook cell."
            ) from error
        if not isinstance(tree.body[0], ast.FunctionDef) or _compiles_to(tree.body[0], function.__code__):
            return text
        file = function.__code__.co_filename
        if attempt == 0 and os.path.isfile(file):  # it may have changed within the resolution of its time
            linecache.cache.pop(file, None)
    raise RuleError(
        f"The source of the {what} {name!r} in {function.__code__.co_filename} is not that of this function: it was "
        "changed after the function was defined, or a decorator put another function in its place. Define it again "
        "(run its cell again, or reload its module), without a decorator, and give the new one."
    )


def _compiles_to(node: ast.FunctionDef, code: types.CodeType) -> bool:
    """Whether a definition gives this code."""
    node.decorator_list, body = [], [node]
    if code.co_freevars:  # variables of a function around it
        around = ast.parse(f"def around():\n    {' = '.join(code.co_freevars)} = None").body[0]
        assert isinstance(around, ast.FunctionDef)
        around.body.append(node)
        body = [around]
    module = ast.fix_missing_locations(ast.Module([*body], []))
    compiled = compile(module, code.co_filename, "exec", code.co_flags & _FUTURES, dont_inherit=True)
    compiled = _inside(compiled, "around") if code.co_freevars else compiled
    return _operations(_inside(compiled, node.name)) == _operations(code)


def _inside(code: types.CodeType, name: str) -> types.CodeType:
    return next(c for c in code.co_consts if isinstance(c, types.CodeType) and c.co_name == name)


def _operations(code: types.CodeType) -> list[tuple[str, str]]:
    """The operations of a code with their arguments, without those that depend on the text around the function.

    Where a module's name was imported in that text, its functions are called by other operations.
    """
    found = []
    for step in dis.get_instructions(code):
        if isinstance(step.argval, types.CodeType):
            found += _operations(step.argval)
        elif not step.opname.startswith(_CALLS):
            argument = "" if step.opcode in _JUMPS else repr(step.argval)
            found.append(("LOAD_ATTR" if step.opname == "LOAD_METHOD" else step.opname, argument))
    return found
