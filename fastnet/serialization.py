"""Objects as plain data and back: what goes into a model's file is JSON, and no code is ever read from one."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from fastnet._kernels.registry import unknown

#: Where classes are looked for, and nowhere else: a file can name no other module.
MODULES = (
    "fastnet",
    "fastnet.layers",
    "fastnet.losses",
    "fastnet.metrics",
    "fastnet.optimizers",
    "fastnet.optimizers.schedules",
    "fastnet.initializers",
    "fastnet.regularizers",
    "fastnet.constraints",
)

_registered: dict[str, Any] = {}
_mentioned: ContextVar[dict[str, Any] | None] = ContextVar("mentioned", default=None)
#: of a description that is being written or read: id of a layer → its description, or number → the layer
_written: ContextVar[dict[int, dict[str, Any]] | None] = ContextVar("written", default=None)
_read: ContextVar[dict[int, Any] | None] = ContextVar("read", default=None)
_scope: ContextVar[dict[str, Any]] = ContextVar("custom_objects", default={})  # noqa: B039  (never changed in place)


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """A decorator that lets files name a class or a function of yours, as ``package>name``.

    Args:
        package: tells apart what different people register.
        name: by default the name of the class or function.

    Raises:
        ValueError: a class without ``get_config``, which no file could describe.

    Example:
        >>> import fastnet
        >>> @fastnet.saving.register_keras_serializable("mine")
        ... def double(x):
        ...     return 2 * x
        >>> fastnet.saving.get_registered_name(double)
        'mine>double'
    """

    def register(item: Any) -> Any:
        if isinstance(item, type) and not hasattr(item, "get_config"):
            raise ValueError(f"{item.__name__} needs a method get_config() before it can be registered.")
        _registered[f"{package}>{name or item.__name__}"] = item
        return item

    return register


@contextlib.contextmanager
def custom_object_scope(custom_objects: dict[str, Any] | None) -> Iterator[None]:
    """Within the ``with`` block these names stand for these classes and functions, in this thread.

    Args:
        custom_objects: name → class or function.

    Example:
        >>> class Mine(regularizers.L2):
        ...     pass
        >>> with saving.custom_object_scope({"Mine": Mine}):
        ...     saving.deserialize_keras_object(saving.serialize_keras_object(Mine(0.5)))
        Mine(l2=0.5)
    """
    token = _scope.set({**_scope.get(), **(custom_objects or {})})
    try:
        yield
    finally:
        _scope.reset(token)


CustomObjectScope = custom_object_scope  # Keras has both names


@contextlib.contextmanager
def mentioned() -> Iterator[dict[str, Any]]:
    """Collects the users' classes and functions that are described in the ``with`` block.

    As `custom_object_scope` takes them: what a copy or a pickle needs beside the descriptions, registered or not. Each
    has a name of its own in these descriptions, also where two have one name, or the name of a class of fastnet's.
    """
    found: dict[str, Any] = {}
    token = _mentioned.set(found)
    try:
        yield found
    finally:
        _mentioned.reset(token)


def get_custom_objects() -> dict[str, Any]:
    """The names that `register_keras_serializable` has given; may be changed.

    Example:
        >>> "mine>Gate" in saving.get_custom_objects()
        False
    """
    return _registered


def get_registered_name(obj: Any) -> str:
    """The name a class or function was registered by, else its own.

    Example:
        >>> saving.get_registered_name(regularizers.L2)
        'L2'
    """
    return next((name for name, item in _registered.items() if item is obj), getattr(obj, "__name__", str(obj)))


def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: dict[str, Any] | None = None
) -> Any:
    """What a name stands for: in the scope, in ``custom_objects``, registered, in ``module_objects``; else None.

    Example:
        >>> saving.get_registered_object("mine>Unknown") is None
        True
    """
    for names in (_scope.get(), custom_objects or {}, _registered, module_objects or {}):
        if name in names:
            return names[name]
    return None


def serialize_keras_object(obj: Any) -> Any:
    """Plain data that JSON can hold, from which `deserialize_keras_object` makes the object again.

    Numbers, strings, None, lists and dictionaries are kept; an object becomes ``{"module", "class_name", "config",
    "registered_name"}`` by its ``get_config()``, as in Keras.

    Raises:
        TypeError: an object without ``get_config``, or a lambda; says in what object and which argument it is.

    Example:
        >>> saving.serialize_keras_object(regularizers.L2(0.5))["class_name"]
        'L2'
    """
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, list):
        return [serialize_keras_object(item) for item in obj]
    if isinstance(obj, tuple):
        return {"class_name": "__tuple__", "items": [serialize_keras_object(item) for item in obj]}
    if isinstance(obj, dict):
        return {str(key): serialize_part(str(key), value) for key, value in obj.items()}
    if isinstance(obj, np.ndarray):
        return {"class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name}}
    if hasattr(obj, "get_config") and not isinstance(obj, type):
        with _within(getattr(obj, "_owner", type(obj).__name__)):
            return _described(obj)
    if callable(obj) and hasattr(obj, "__name__"):
        return {"module": "builtins", "class_name": "function", "config": _name(obj), "registered_name": _name(obj)}
    raise _NoDescriptionError(f"{obj!r} cannot be written to a file: {type(obj).__name__} has no get_config().")


def _described(obj: Any) -> dict[str, Any]:
    """An object by its ``get_config()``. A layer that was described before is named by its number."""
    if not hasattr(obj, "leaves"):
        return {**place(type(obj)), "config": serialize_keras_object(obj.get_config())}
    with _within_one(_written) as known:
        if id(obj) in known:
            number = known[id(obj)].setdefault(
                "shared_object_id", 1 + sum("shared_object_id" in d for d in known.values())
            )
            return {"class_name": "__shared__", "shared_object_id": number}
        description = known[id(obj)] = place(type(obj))
        description["config"] = serialize_keras_object(obj.get_config())
        return description


@contextlib.contextmanager
def _within_one(memory: ContextVar[Any]) -> Iterator[dict[int, Any]]:
    """What is known of the layers of one description, from its outermost object on."""
    known = memory.get()
    if known is not None:
        yield known
        return
    token = memory.set({})
    try:
        yield memory.get()
    finally:
        memory.reset(token)


def sharing() -> contextlib.AbstractContextManager[Any]:
    """Within the ``with`` block all that is described is one description, in which a layer may stand twice."""
    return _within_one(_written)


def serialize_part(name: str, value: Any) -> Any:
    """`serialize_keras_object` of what is called ``name`` in something larger; an error names it."""
    with _within(name):
        return serialize_keras_object(value)


class _NoDescriptionError(TypeError):
    """What no file can hold."""


@contextlib.contextmanager
def _within(what: str) -> Iterator[None]:
    """Says in an error what it is a part of."""
    try:
        yield
    except _NoDescriptionError as error:
        raise _NoDescriptionError(f"{what}: {error}") from None


def deserialize_keras_object(config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True) -> Any:
    """The object that `serialize_keras_object` described.

    Args:
        config: what it gave; plain values are returned as they are.
        custom_objects: name → class or function of yours that ``config`` mentions.
        safe_mode: accepted; no code is ever read from ``config``.

    Raises:
        ValueError: a class or function that nobody registered, or a description that makes no sense.

    Example:
        >>> saving.deserialize_keras_object(saving.serialize_keras_object(regularizers.L2(0.5)))
        L2(l2=0.5)
    """
    with custom_object_scope(custom_objects), _within_one(_read):
        return _deserialize(config)


def _deserialize(config: Any) -> Any:
    if isinstance(config, list):
        return [_deserialize(item) for item in config]
    if not isinstance(config, dict):
        return config
    if "class_name" not in config:
        return {key: _deserialize(value) for key, value in config.items()}
    name = config["class_name"]
    if name == "__tuple__":
        return tuple(_deserialize(item) for item in config["items"])
    if name == "__shared__":
        return (_read.get() or {})[config["shared_object_id"]]
    if name == "__numpy__":
        return np.array(config["config"]["value"], config["config"]["dtype"])
    if name == "function":
        return _lookup(config.get("registered_name") or config["config"], config["config"], None)
    cls = _lookup(config.get("registered_name"), name, config.get("module"))
    if not hasattr(cls, "get_config"):
        raise ValueError(f"{name!r} is nothing that can be made from a description.")
    inner = config.get("config") or {}
    # A class of its own making (a Sequential, a wrapper) reads its parts itself.
    made = cls.from_config(inner) if "from_config" in dir(cls) else cls(**_deserialize(inner))
    if (number := config.get("shared_object_id")) is not None and (known := _read.get()) is not None:
        known[number] = made
    return made


def place(cls: type) -> dict[str, Any]:
    """How a file names a class."""
    for module in MODULES:
        if _public(module).get(cls.__name__) is cls:
            return {"module": module, "class_name": cls.__name__, "registered_name": None}
    return {"module": None, "class_name": cls.__name__, "registered_name": _mention(cls)}


def _mention(item: Any) -> str:
    name = get_registered_name(item)
    if (found := _mentioned.get()) is None:
        return name
    known = next((key for key, other in found.items() if other is item), f"{name}#{len(found)}")
    found[known] = item
    return known


def _name(obj: Any) -> str:
    if get_registered_name(obj) == "<lambda>":
        raise _NoDescriptionError("A lambda has no name that a file could hold: write a function with def instead.")
    return _mention(obj)


def _lookup(registered: str | None, name: str, module: str | None) -> Any:
    found = get_registered_object(registered or name) or get_registered_object(name)
    if found is not None:
        return found
    # Keras's descriptions name keras.layers, ours fastnet.layers.
    place = f"fastnet{module[5:]}" if module and (module == "keras" or module.startswith("keras.")) else module
    modules = (place,) if place in MODULES else MODULES if module is None else ()
    for candidate in modules:
        if (found := _public(candidate).get(name)) is not None:
            return found
    known = [key for candidate in modules or MODULES for key in _public(candidate)]
    raise ValueError(
        f"Where {name!r} is yours, register it with "
        f"@fastnet.saving.register_keras_serializable(), or give custom_objects={{{name!r}: ...}}. "
        f"{unknown('class or function', name, known)}"
    )


def _public(module: str) -> dict[str, Any]:
    """The classes of a module that a file may name: those that fastnet defines there or below, with a description."""
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError:
        return {}
    return {
        key: item
        for key, item in vars(found).items()
        if isinstance(item, type) and hasattr(item, "get_config") and not key.startswith("_")
    }
