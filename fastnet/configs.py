"""What an object is made of, as plain data, and classes found by name: for layers, initializers and their like."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastnet._kernels.registry import unknown

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Configurable:
    """`get_config` and `from_config` for a class that keeps each argument of ``__init__`` under the argument's name."""

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it, as plain data that JSON can hold.

        Raises:
            NotImplementedError: a class that does not keep an argument under its name.
        """
        return self.kept_arguments(argument_names(type(self)))

    def kept_arguments(self, names: Iterable[str]) -> dict[str, Any]:
        """The arguments of these names as plain data."""
        return {name: _plain(_kept(self, name)) for name in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """An object from what `get_config` gave."""
        from fastnet.saving import serialization  # it imports layers, which import this

        return cls(**serialization.deserialize_keras_object(dict(config)))


def argument_names(cls: type) -> list[str]:
    """The arguments of ``cls.__init__``; where it passes ``**more`` on, also those of the class that takes them."""
    names: list[str] = []
    for owner in cls.__mro__:
        if "__init__" not in vars(owner) or owner is object:
            continue
        parameters = list(inspect.signature(vars(owner)["__init__"]).parameters.values())[1:]
        names += [p.name for p in parameters if p.kind not in _VARIADIC and p.name not in names]
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
            break
    return names


def _kept(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        raise NotImplementedError(
            f"{type(owner).__name__} does not keep its argument {name!r} as self.{name}: do so, or define get_config()."
        ) from None


def _plain(value: Any) -> Any:
    """Objects and functions as their descriptions; numbers, texts and tuples stay."""
    from fastnet.saving import serialization

    if hasattr(value, "as_config"):  # an activation
        return value.as_config()
    if hasattr(value, "get_config") or callable(value):
        return serialization.serialize_keras_object(value)
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def snake_case(name: str) -> str:
    """``LecunNormal`` as ``lecun_normal``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Family:
    """The classes of one kind, and what names and descriptions of them mean.

    Args:
        kind: "an initializer", for errors.
        base: the class that all share.
        classes: all of them; each is known by its name and by its name in snake case.
        aliases: further names.
        functions: whether any callable is one too.
    """

    def __init__(
        self, kind: str, base: type, classes: Iterable[type], functions: bool = False, **aliases: Callable[..., Any]
    ):
        self.kind, self.base, self.functions = kind, base, functions
        self.names = {name: cls for cls in classes for name in (cls.__name__, snake_case(cls.__name__))} | aliases

    def get(self, identifier: Any) -> Any:
        """The object of a name, a description, a class or an object; None for None."""
        from fastnet.saving import serialization

        if identifier is None:
            return None
        if isinstance(identifier, str):
            found = serialization.get_registered_object(identifier, module_objects=self.names)
            if found is None:
                raise ValueError(unknown(self.kind.split(" ", 1)[1], identifier, self.names))
            identifier = found
        elif isinstance(identifier, dict):
            identifier = serialization.deserialize_keras_object(identifier)
        if isinstance(identifier, type) and issubclass(identifier, self.base):
            identifier = identifier()
        if isinstance(identifier, self.base) or (self.functions and callable(identifier)):
            return identifier
        article, _, noun = self.kind.partition(" ")
        raise ValueError(
            f"{article.capitalize()} {noun} is a name, {article} {self.base.__name__}"
            f"{', a function of (shape, dtype)' if self.functions else ''} or None, received {identifier!r}."
        )

    def serialize(self, item: Any) -> Any:
        """A description of an object as plain data; None for None."""
        return _plain(item)

    def deserialize(self, config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
        """The object of a description or a name."""
        from fastnet.saving import serialization

        with serialization.custom_object_scope(custom_objects):
            return self.get(config)
