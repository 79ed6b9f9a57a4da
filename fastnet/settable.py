"""Arguments: the signature that a class and its parents make together, and attributes that may be set later.

Layers, losses, optimizers and `Sequential` keep each argument under its name. One that is set again is checked as in
``__init__``, counts from the next step on, and voids the plans that were made before.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import cut, quoted
from fastnet._kernels.registry import nearest
from fastnet.tracebacks import trimmed

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@functools.cache
def signature(cls: Any) -> inspect.Signature:
    """The arguments of a class; where ``__init__`` passes ``**more`` on, behind its own those of the parent's.

    As in Keras ``name`` is the last of a parent's. A parent lists in ``_supplied`` the arguments that its children give
    it; of a user's class they are found in its source.
    """
    found: dict[str, inspect.Parameter] = {}
    variadic: list[inspect.Parameter] = []
    supplied: set[str] = set()
    for number, owner in enumerate(_with_init(cls)):
        parameters = list(inspect.signature(vars(owner)["__init__"]).parameters.values())[1:]
        new = [p for p in parameters if p.kind not in _VARIADIC and p.name not in found]
        if number:
            hidden = supplied.union(vars(owner).get("_supplied", ()))
            new = [_inherited(p) for p in new if p.name not in hidden]
            new.sort(key=lambda p: p.name == "name")
            variadic = [] if new else variadic
        else:
            variadic = [p for p in parameters if p.kind in _VARIADIC]
        found |= {p.name: p for p in new}
        supplied |= _supplied_by(owner)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return inspect.Signature(sorted([*found.values(), *variadic], key=lambda p: p.kind))


def _with_init(cls: type) -> list[type]:
    return [owner for owner in cls.__mro__ if owner is not object and "__init__" in vars(owner)]


def _supplied_by(cls: type) -> set[str]:
    """The arguments that a user's class itself gives to its parent's ``__init__``."""
    init = vars(cls)["__init__"]
    if cls.__module__.startswith("fastnet.") or not inspect.isfunction(init):
        return set()
    try:
        source = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, SyntaxError):  # typed into an interpreter: there is no source
        return set()
    parent = next((owner for owner in _with_init(cls)[1:]), object)
    by_position = [p.name for p in inspect.signature(parent).parameters.values() if p.kind not in _VARIADIC]
    found: set[str] = set()
    for call in (node for node in ast.walk(source) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "__init__":
            first = 0 if isinstance(call.func.value, ast.Call) else 1  # behind ``self`` in Parent.__init__(self, ...)
            given = [argument for argument in call.args[first:] if not isinstance(argument, ast.Starred)]
            found.update(by_position[: len(given)], (keyword.arg for keyword in call.keywords if keyword.arg))
    return found


def _inherited(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter without a default cannot stand behind one that has a default."""
    return parameter.replace(kind=parameter.KEYWORD_ONLY) if parameter.default is parameter.empty else parameter


def argument_names(cls: Any) -> tuple[str, ...]:
    """The names in `signature`."""
    return _argument_names(cls)


@functools.cache
def _argument_names(cls: Any) -> tuple[str, ...]:
    return tuple(p.name for p in signature(cls).parameters.values() if p.kind not in _VARIADIC)


@functools.cache
def settable_names(cls: Any) -> frozenset[str]:
    """The arguments of a class and of all its parents, which a subclass's ``__init__`` need not take."""
    parents = [parent for parent in _with_init(cls) if issubclass(parent, SettableArguments)]
    return frozenset(name for parent in parents for name in argument_names(parent))


@functools.cache
def _names_by_position(cls: Any) -> tuple[str, ...] | None:
    """The names of arguments given by position, in order; None where ``__init__`` takes ``*args``."""
    parameters = inspect.signature(_with_init(cls)[0].__init__).parameters.values()  # type: ignore[misc]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return tuple(p.name for p in signature(cls).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD)


def unknown_argument(owner: str, name: str, known: Collection[str], instead: Mapping[str, str] | None = None) -> str:
    """The sentence for an argument or an attribute that a class does not have.

    Args:
        owner: the class's name.
        name: the unknown one.
        known: the arguments it has.
        instead: names that Keras has → the sentence that says what to do instead.
    """
    if instead and name in instead:
        return f"{owner} has no {name}: {instead[name]}."
    near = nearest(name, known)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"{owner} has no argument {quoted(name)}.{hint} It takes {cut(', '.join(known), 400)}."


def init_of(arguments: Sequence[inspect.Parameter], body: Callable[[Any, dict[str, Any]], None]) -> Callable[..., None]:
    """An ``__init__`` with these arguments.

    Args:
        arguments: those behind ``self``.
        body: is called with the object and the values of all arguments.
    """
    full_signature = inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *arguments])

    def __init__(self: Any, *args: Any, **named: Any) -> None:
        bound = full_signature.bind(self, *args, **named)
        bound.apply_defaults()
        given = dict(bound.arguments)
        del given["self"]
        body(self, given)

    __init__.__signature__ = full_signature  # type: ignore[attr-defined]
    return __init__


class Completed(type):
    """The metaclass of classes that look at an object once its ``__init__`` is done, whatever subclass defined that.

    Arguments may be given by position in the order of the whole `signature`, a parent's too.
    """

    @property
    def __signature__(cls) -> inspect.Signature:
        found: Any = cls
        return signature(found)

    def __call__(cls, *args: Any, **named: Any) -> Any:
        with trimmed:
            if args and (names := _names_by_position(cls)) is not None:
                if len(args) > len(names):
                    raise TypeError(f"{cls.__name__} takes {len(names)} arguments, received too many: {len(args)}.")
                if twice := set(names[: len(args)]) & set(named):
                    raise TypeError(f"{cls.__name__} received {sorted(twice)} by position and by name.")
                args, named = (), dict(zip(names, args)) | named
            created = super().__call__(*args, **{name: checks.plain(value) for name, value in named.items()})
            created.completed()
            return created


class ReadOnly(dict):
    """Values that are read; to change one, an attribute is set instead."""

    def _refuse(self, *given: Any, **named: Any) -> Any:
        raise TypeError("These values are to be read: a change here would be in no step. Set the attribute instead.")

    __setitem__ = __delitem__ = __ior__ = update = pop = popitem = setdefault = clear = _refuse  # type: ignore[assignment]


class SettableArguments:
    """An object whose arguments are attributes that may be set again.

    Attributes:
        changes: how often an argument was replaced; plans from before are void.
    """

    #: arguments that stay as they are
    _fixed: ClassVar[tuple[str, ...]] = ()
    #: arguments that are numbers, with their ranges
    _ranges: ClassVar[dict[str, checks.Range]] = {}
    #: arguments with another check: of their name in errors and a value, which gives what is kept
    _checks: ClassVar[dict[str, Callable[[str, Any], Any]]] = {}
    #: arguments that plans do not depend on
    _outside_plans: ClassVar[tuple[str, ...]] = ()
    changes = 0

    def __setattr__(self, name: str, value: Any) -> None:
        if self.is_argument(name):
            with trimmed:
                self.set_argument(name, checks.plain(value))
        else:
            super().__setattr__(name, value)

    def is_argument(self, name: str) -> bool:
        """Whether an attribute is an argument, which is checked when it is set."""
        cls: Any = type(self)
        return name in settable_names(cls)

    def set_argument(self, name: str, value: Any) -> None:
        """Check an argument's value and keep it; ``changes`` counts where it replaces another."""
        value = self.checked_argument(name, value)
        replaced = name in vars(self) and name not in self._outside_plans
        super().__setattr__(name, value)
        super().__setattr__("changes", self.changes + replaced)

    def checked_argument(self, name: str, value: Any) -> Any:
        """The value that an argument gets.

        Raises:
            ValueError: it is outside its range, or the argument stays as it is.
        """
        if name in vars(self) and self.is_fixed(name):
            present = vars(self)[name]
            if value is not present and not np.array_equal(value, present):
                raise ValueError(
                    f"{self._owner}: {name} is {quoted(present)} and stays so, received {quoted(value)}; make "
                    "another one."
                )
        what = f"{self._owner}: {name}"
        if name in self._ranges:
            return checks.number(what, value, self._ranges[name])
        return self._checks[name](what, value) if name in self._checks else value

    def is_fixed(self, name: str) -> bool:
        """Whether an argument stays as it is: weights or shapes follow from it."""
        return name in self._fixed

    @property
    def _owner(self) -> str:
        """The object's name in errors."""
        return type(self).__name__
