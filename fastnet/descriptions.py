"""Objects as plain data, and classes found by name, class or description: layers, initializers and their like."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from fastnet import checks, hooks, serialization
from fastnet._kernels import pasting, registration
from fastnet._kernels.errors import quoted
from fastnet._kernels.registry import nearest, unknown
from fastnet._kernels.snapshots import snapshot
from fastnet.engine import changes
from fastnet.settable import Completed, argument_names

_MISSING = object()


def rule_parameters(owner: Any, rule: Callable[..., Any], leading: int) -> dict[str, float]:
    """The parameters of a rule behind its first ``leading`` ones: the owner's attributes of their names.

    Raises:
        ValueError: the owner lacks such an attribute, or its value is not a number.
    """
    parameters = {}
    for name in list(inspect.signature(rule).parameters)[leading:]:
        value = getattr(owner, name, _MISSING)
        what = f"{type(owner).__name__}.{rule.__name__} takes {name!r}, which is the attribute self.{name}"
        if value is _MISSING:
            near = nearest(name, [key for key in vars(owner) if not key.startswith("_")])
            hint = f" There is self.{near[0]}: give both the same name." if near else ""
            raise ValueError(f"{what}; __init__ does not set it.{hint}")
        if not checks.is_number(value) and not isinstance(value, (bool, np.bool_)):
            raise ValueError(f"{what}; it must be a number, received {quoted(value)}.")
        parameters[name] = float(value)
    return parameters


class Configurable:
    """`get_config` and `from_config` for a class that keeps each argument of ``__init__`` under the argument's name."""

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it, as plain data that JSON can hold.

        Raises:
            NotImplementedError: a class that does not keep an argument under its name.
        """
        return self.described_arguments(argument_names(type(self)))

    def described_arguments(self, names: Iterable[str]) -> dict[str, Any]:
        """The arguments of these names as plain data; a class with a `get_config` adds those it keeps elsewhere."""
        if hooks.overrides(type(self), "get_config"):
            names = [name for name in names if hasattr(self, name)]
        return {name: _plain(_attribute(self, name), name) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """An object from what `get_config` gave."""
        return cls(**serialization.deserialize_keras_object(serialization.arguments(cls, config)))


class OfElements(Configurable, metaclass=Completed):
    """An object with a rule of one element, or with array code: the method ``__call__``.

    The rule is a static method, whose further arguments are the object's attributes. A subclass's rule is checked when
    the class is defined, and its arguments when an object is made. An attribute that is set again counts from the next
    step on.

    Attributes:
        changes: how often an attribute was set again.
    """

    _rule: ClassVar[str]  # the method's name
    _is_made = False
    changes = 0

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        rule = vars(cls).get(cls._rule)
        if rule is not None and not cls.__module__.startswith("fastnet."):
            if "__call__" in vars(cls):
                raise TypeError(
                    f"{cls.__name__} defines __call__, array code, and {cls._rule}, a rule of one element: leave one "
                    "of them out."
                )
            if not isinstance(rule, staticmethod):
                raise TypeError(f"{cls.__name__}.{cls._rule} must be a @staticmethod of an element and numbers.")
            pasting.check_rule(rule.__func__)

    @property
    def is_array_code(self) -> bool:
        """Whether its class, or the nearest parent that defines one of the two, defines `__call__` and no rule."""
        for cls in type(self).__mro__:
            if self._rule in vars(cls) or OfElements in cls.__bases__:
                return False
            if "__call__" in vars(cls):
                return True
        return False

    @property
    def _label(self) -> str:
        """Its name in errors."""
        return type(self).__name__

    def completed(self) -> None:
        """Read its rule, and check that the attributes for the rule's arguments are there."""
        if hasattr(type(self), self._rule):
            self._scalars()
            _ = self._formula
        vars(self)["_is_made"] = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_made and name in argument_names(type(self)):
            value = getattr(type(self)(**{**self._arguments(), name: value}), name)  # checks it
        super().__setattr__(name, value)
        if self._is_made:
            vars(self)["changes"] = self.changes + 1
            changes.arguments.mark()

    def _arguments(self) -> dict[str, Any]:
        return {name: _attribute(self, name) for name in argument_names(type(self))}

    @property
    def _formula(self) -> Callable[..., Any]:
        """Its rule as it was when the object was made."""
        if "_read" not in vars(self):
            vars(self)["_read"] = snapshot(getattr(type(self), self._rule))
        return vars(self)["_read"]

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which read the rule anew."""
        return {name: value for name, value in vars(self).items() if name != "_read"}

    def _scalars(self) -> list[float]:
        """The further arguments of the rule."""
        return list(rule_parameters(self, getattr(type(self), self._rule), 1).values())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class OfFunction:
    """An object that is a function of an array, ``fn``: a mixin in front of a subclass of `OfElements`."""

    _noun: ClassVar[str]  # what it is

    def __init__(self, fn: Callable[[Any], Any]):
        if not callable(fn):
            raise TypeError(f"{type(self).__name__} takes a function of an array, received {quoted(fn)}.")
        self.fn = fn

    def __call__(self, x: Any) -> Any:
        return self.fn(x)

    def as_config(self) -> Any:
        """Its function's description."""
        return serialization.serialize_keras_object(self.fn)

    @property
    def _label(self) -> str:
        return registration.name_of(self.fn)

    def __repr__(self) -> str:
        return f"<{self._noun} {self._label}>"


def _attribute(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        raise NotImplementedError(
            f"{type(owner).__name__} does not keep its argument {name!r} as self.{name}: do so, or define get_config()."
        ) from None


def _plain(value: Any, argument: str | None = None) -> Any:
    """Objects and functions as their descriptions; numbers, texts and tuples stay. Errors name the argument."""
    value = checks.plain(value)
    if hasattr(value, "as_config"):  # an activation
        return value.as_config()
    if hasattr(value, "get_config") or callable(value):
        serialize = serialization.serialize_keras_object
        return serialize(value) if argument is None else serialization.serialize_part(argument, value)
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def classes_below(package: str, path: Iterable[str], base: type) -> dict[str, type]:
    """The classes that the modules of a package define, by their names: those below ``base``, private ones left out.

    Args:
        package, path: its ``__name__`` and ``__path__``.
        base: the class that all share; it is not among them.
    """
    modules = [importlib.import_module(f"{package}.{module.name}") for module in pkgutil.iter_modules(path)]
    return {
        name: item
        for module in modules
        for name, item in vars(module).items()
        if isinstance(item, type) and issubclass(item, base) and item.__module__ == module.__name__
        if item is not base and not name.startswith("_")
    }


def snake_case(name: str) -> str:
    """``LecunNormal`` as ``lecun_normal``; where digits stand, as Keras has it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])", "_", name).lower()


def _spelled(cls: type) -> tuple[str, ...]:
    return cls.__name__, snake_case(cls.__name__)


class Family:
    """The classes of one kind, found by names and descriptions.

    A name is looked up among the user's registrations, then among classes, then among rows of the table, as it is and
    in lower case.

    Args:
        kind: "an initializer", for errors.
        base: the class that all share.
        classes: all of them.
        functions: whether any callable is one too.
        table: of the registry, whose rows are of this kind too. The further names of a row that has a class are names
            of the class.
        hidden: rows of the table that are not names: the classes are made of them.
        twins: functions that stand for the classes of their names, by name.
        spelled: the names of a class; by default its own and that in snake case.
        wanted: the arguments that `get` takes, for errors.
        of_function: makes an object of a function; None where none is taken.
        aliases: further names.
    """

    def __init__(
        self,
        kind: str,
        base: type,
        classes: Iterable[type],
        functions: bool = False,
        *,
        table: Mapping[str, Any] | None = None,
        hidden: Collection[str] = (),
        twins: Mapping[str, Any] | None = None,
        spelled: Callable[[type], Iterable[str]] = _spelled,
        wanted: str | None = None,
        of_function: Callable[[Any], Any] | None = None,
        **aliases: Callable[..., Any],
    ):
        self.kind, self.base, self.functions, self.twins = kind, base, functions, twins or {}
        self.of_function = of_function
        self.table, self.hidden = {} if table is None else table, hidden
        self.names = {name: cls for cls in classes for name in spelled(cls)} | aliases
        for name, row in self.table.items():
            if row.name in self.names:
                self.names.setdefault(name, self.names[row.name])
        article = kind.split(" ", 1)[0]
        self.wanted = wanted or (
            f"a name, {article} {base.__name__}{', a function of (shape, dtype)' if functions else ''}"
            f"{', a function of an array' if of_function else ''} or None"
        )

    @property
    def rows(self) -> dict[str, Any]:
        """The rows of the table that are names."""
        return {name: row for name, row in self.table.items() if name not in self.hidden}

    def get(self, identifier: Any) -> Any:
        """The object of a name, a description, a class or an object; None for None."""
        return None if identifier is None else self.create(self.look_up(identifier))

    def look_up(self, identifier: Any) -> Any:
        """Resolve a name to a class or a row of the table, or a description to its object; other values are returned.

        Raises:
            ValueError: the name is unknown; the error offers the nearest ones.
        """
        if isinstance(identifier, str):
            return self._named(identifier)
        if isinstance(identifier, dict):
            return self._described(identifier)
        name = getattr(identifier, "__name__", "")
        if inspect.isfunction(identifier) and self.twins.get(name) is identifier:
            return self.names.get(name, identifier)
        return identifier

    def create(self, found: Any, **arguments: Any) -> Any:
        """The object of a class, made with these arguments, or an object itself.

        Raises:
            ValueError: the object is of another kind.
        """
        if isinstance(found, type) and issubclass(found, self.base):
            found = found(**arguments)
        if isinstance(found, self.base) or (self.functions and callable(found)):
            return found
        if self.of_function is not None and callable(found) and not isinstance(found, type):
            return self.of_function(found)
        raise ValueError(f"{self.kind.capitalize()} is {self.wanted}; received {quoted(found)}.")

    def serialize(self, item: Any) -> Any:
        """A description of an object as plain data; None for None."""
        return _plain(item)

    def deserialize(
        self, config: Any, custom_objects: dict[str, Any] | None = None, get: Callable[[Any], Any] | None = None
    ) -> Any:
        """The object of a description or a name.

        Args:
            config: a description by `serialize`, or Keras's.
            custom_objects: name → class or function of yours that it mentions.
            get: makes the object of it; by default `Family.get`.
        """
        with serialization.custom_object_scope(custom_objects):
            return (get or self.get)(config)

    def _known(self, name: str) -> Any:
        """The object of fastnet itself that has a name, or None."""
        for spelling in (name, name.lower()):
            if spelling in self.names:
                return self.names[spelling]
            if spelling in self.rows:
                return self.table[spelling]
        return None

    def _named(self, name: str) -> Any:
        found = serialization.get_registered_object(name)
        if found is None:
            found = self._known(name)
        if found is None:
            raise ValueError(unknown(self.kind.split(" ", 1)[1], name, [*self.names, *self.rows]))
        return found

    def _described(self, config: dict[str, Any]) -> Any:
        """Keras's descriptions may call a class "adam", and leave out the module where several have the name."""
        name = config.get("class_name")
        if not isinstance(name, str):
            raise ValueError(
                f"{self.kind.capitalize()} is {self.wanted}, or a description with a class_name, as `serialize` gives; "
                f"received {quoted(config)}."
            )
        if name == "function":
            named: Any = config.get("config")
            found = serialization.get_registered_object(config.get("registered_name") or "")
            if found is None and not isinstance(named, str):
                raise ValueError(
                    f"{self.kind.capitalize()}: a function's 'config' is its name, received {quoted(config)}."
                )
            return self._named(named) if found is None else found
        registered = serialization.get_registered_object(config.get("registered_name") or name)
        known = self._known(name)
        if registered is None and isinstance(known, type):
            config = {**config, **serialization.class_entry(known)}
        return serialization.deserialize_keras_object(config)
