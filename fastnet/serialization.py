"""Describes objects as plain data, and makes objects from descriptions. A model's file holds JSON and never code."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from fastnet._kernels.errors import quoted
from fastnet._kernels.registry import unknown

#: The only modules in which classes are looked up: a file cannot name another one.
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
    "fastnet.random",
)

#: The modules in which functions of ``x``, or of ``y_true`` and ``y_pred``, are looked up.
_OF_FUNCTIONS = ("fastnet.activations", "fastnet.losses", "fastnet.metrics")

_registered: dict[str, Any] = {}
_mentioned: ContextVar[dict[str, Any] | None] = ContextVar("mentioned", default=None)
#: of a description that is being written or read: id of a layer → its description, or number → the layer
_written: ContextVar[dict[int, dict[str, Any]] | None] = ContextVar("written", default=None)
_read: ContextVar[dict[int, Any] | None] = ContextVar("read", default=None)
_scope: ContextVar[dict[str, Any]] = ContextVar("custom_objects", default={})  # noqa: B039  (never changed in place)


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """A decorator that registers a class or a function under the name ``package>name``, by which files refer to it.

    Args:
        package: a prefix that keeps the names of different authors apart.
        name: the name; by default that of the class or function.

    Raises:
        ValueError: the class has no ``get_config``, and therefore no description.

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
    """Use these names for these classes and functions within the ``with`` block, in this thread.

    Args:
        custom_objects: classes and functions by name.

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
    """Collect the user's classes and functions that are described in the ``with`` block, by name.

    A copy or a pickle carries them beside its description, and `custom_object_scope` takes them. Each gets a unique
    name in these descriptions, even where two share a name, or one has the name of a class of fastnet.
    """
    found: dict[str, Any] = {}
    token = _mentioned.set(found)
    try:
        yield found
    finally:
        _mentioned.reset(token)


def get_custom_objects() -> dict[str, Any]:
    """The dictionary of registered classes and functions by name; it may be changed.

    Example:
        >>> "mine>Gate" in saving.get_custom_objects()
        False
    """
    return _registered


def get_registered_name(obj: Any) -> str:
    """The registered name of a class or function, else its own name.

    Example:
        >>> saving.get_registered_name(regularizers.L2)
        'L2'
    """
    return next((name for name, item in _registered.items() if item is obj), getattr(obj, "__name__", str(obj)))


def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: dict[str, Any] | None = None
) -> Any:
    """Look a name up in the scope, ``custom_objects``, the registered names and ``module_objects``; None if unknown.

    Example:
        >>> saving.get_registered_object("mine>Unknown") is None
        True
    """
    for names in (_scope.get(), custom_objects or {}, _registered, module_objects or {}):
        if name in names:
            return names[name]
    return None


def serialize_keras_object(obj: Any) -> Any:
    """Describe an object as plain data for JSON, from which `deserialize_keras_object` makes an equal one.

    Numbers, strings, None, lists and dictionaries are returned as they are; bytes must be UTF-8. An object becomes
    ``{"module", "class_name", "config", "registered_name"}``, where the config is that of its ``get_config()``, as in
    Keras. A compiled model has ``"compile_config"`` too.

    Raises:
        TypeError: a part has no ``get_config``, or is a lambda; the error names the object and the argument.

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
        if any(obj is description for description in (_written.get() or {}).values()):
            return obj  # no copy: it gets a number where its layer is met again
        return {str(key): serialize_part(str(key), value) for key, value in obj.items()}
    if isinstance(obj, np.ndarray):
        return {"class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name}}
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": _text(obj)}}
    if isinstance(obj, slice):
        parts = {"start": obj.start, "stop": obj.stop, "step": obj.step}
        return {"class_name": "__slice__", "config": serialize_keras_object(parts)}
    if obj is ...:
        return {"class_name": "__ellipsis__", "config": {}}
    if hasattr(obj, "get_config") and not isinstance(obj, type):
        with _within(getattr(obj, "_owner", type(obj).__name__)):
            return _described(obj)
    if callable(obj) and hasattr(obj, "__name__"):
        return {"module": "builtins", "class_name": "function", "config": _name(obj), "registered_name": _name(obj)}
    raise _NoDescriptionError(f"{quoted(obj)} cannot be written to a file: {type(obj).__name__} has no get_config().")


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _NoDescriptionError(
            f"{quoted(value)} cannot be written to a file: bytes must be UTF-8; an array of uint8 can hold others."
        ) from None


def _described(obj: Any) -> dict[str, Any]:
    """An object by its ``get_config()``. A layer that was described before is named by its number."""
    if not hasattr(obj, "leaves"):
        return {**class_entry(type(obj)), "config": serialize_keras_object(obj.get_config())}
    outermost = _written.get() is None
    with _one_description(_written) as known:
        if id(obj) in known:
            number = known[id(obj)].setdefault(
                "shared_object_id", 1 + sum("shared_object_id" in d for d in known.values())
            )
            return {"class_name": "__shared__", "shared_object_id": number}
        description = known[id(obj)] = class_entry(type(obj))
        description["config"] = serialize_keras_object(obj.get_config())
        if outermost and (compiled := getattr(obj, "get_compile_config", lambda: None)()) is not None:
            description["compile_config"] = compiled
        return description


@contextlib.contextmanager
def _one_description(memory: ContextVar[Any]) -> Iterator[dict[int, Any]]:
    """The layers of one description, from its outermost object on."""
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
    """Make one description of all objects in the ``with`` block; a layer may be in it twice."""
    return _one_description(_written)


def serialize_part(name: str, value: Any) -> Any:
    """Describe the part ``name`` of an object; an error names the part."""
    with _within(name):
        return serialize_keras_object(value)


class _NoDescriptionError(TypeError):
    """An object that has no description."""


@contextlib.contextmanager
def _within(what: str) -> Iterator[None]:
    """Prefix errors with the object that they concern."""
    try:
        yield
    except _NoDescriptionError as error:
        raise _NoDescriptionError(f"{what}: {error}") from None


def deserialize_keras_object(config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True) -> Any:
    """Make the object that `serialize_keras_object` described.

    Args:
        config: the description; plain values are returned as they are.
        custom_objects: your own classes and functions that ``config`` mentions, by name.
        safe_mode: accepted; ``config`` never holds code.

    Raises:
        ValueError: a class or function is not registered, or the description is malformed.

    Example:
        >>> saving.deserialize_keras_object(saving.serialize_keras_object(regularizers.L2(0.5)))
        L2(l2=0.5)
    """
    with custom_object_scope(custom_objects), _one_description(_read):
        return _deserialize(config)


def _deserialize(config: Any) -> Any:
    if isinstance(config, list):
        return [_deserialize(item) for item in config]
    if not isinstance(config, dict):
        return config
    if "class_name" not in config:
        return {key: _deserialize(value) for key, value in config.items()}
    name = config["class_name"]
    _check_entries(config)
    if name == "__tuple__":
        return tuple(_deserialize(item) for item in config["items"])
    if name == "__shared__":
        if (number := config["shared_object_id"]) not in (known := _read.get() or {}):
            raise ValueError(f"A description names the shared layer {number}, which it does not describe before.")
        return known[number]
    if name == "__numpy__":
        if not {"value", "dtype"} <= set(values := config["config"]):
            raise ValueError(
                f"The description of an array has the entries 'value' and 'dtype', received {quoted(values)}."
            )
        return np.array(values["value"], values["dtype"])
    if name == "__bytes__":
        if not isinstance(text := (given := config["config"]).get("value"), str):
            raise ValueError(f"The description of bytes has the entry 'value', a text, received {quoted(given)}.")
        return text.encode()
    if name == "__slice__":
        if not {"start", "stop", "step"} <= set(parts := config["config"]):
            raise ValueError(
                f"The description of a slice has the entries 'start', 'stop' and 'step', received {quoted(parts)}."
            )
        return slice(*(_deserialize(parts[part]) for part in ("start", "stop", "step")))
    if name == "__ellipsis__":
        return ...
    if name == "function":
        return _function(config)
    cls = _lookup(config.get("registered_name"), name, config.get("module"))
    if not hasattr(cls, "get_config"):
        raise ValueError(f"{quoted(name)} cannot be made from a description.")
    arguments = config.get("config") or {}
    # A class of its own making (a Sequential, a wrapper) reads its parts itself.
    obj = cls.from_config(arguments) if "from_config" in dir(cls) else cls(**_deserialize(arguments))
    if (number := config.get("shared_object_id")) is not None and (described := _read.get()) is not None:
        described[number] = obj
    if (compiled := config.get("compile_config")) is not None and hasattr(obj, "compile_from_config"):
        obj.compile_from_config(compiled)
    return obj


#: Kinds of descriptions that are not those of a class → the entry that each needs.
_NEEDED: dict[str, tuple[str, type]] = {
    "__tuple__": ("items", list),
    "__shared__": ("shared_object_id", int),
    "__numpy__": ("config", dict),
    "__bytes__": ("config", dict),
    "__slice__": ("config", dict),
    "function": ("config", str),
}


def _check_entries(config: dict[str, Any]) -> None:
    """Check the entries by which a description names a class."""
    kinds: dict[str, Any] = {"class_name": str, "module": (str, type(None)), "registered_name": (str, type(None))}
    if isinstance(config["class_name"], str) and config["class_name"] in _NEEDED:
        name, kind = _NEEDED[config["class_name"]]
        kinds[name] = kind
    for name, kind in kinds.items():
        if not isinstance(config.get(name), kind):
            raise ValueError(
                f"A description's {name!r} must be of {getattr(kind, '__name__', 'str or None')}, received "
                f"{quoted(config.get(name))} in {quoted(config)}."
            )


def arguments(cls: type, config: Any) -> dict[str, Any]:
    """A copy of what ``from_config`` of a class received.

    Raises:
        ValueError: it is not a dictionary of arguments.
    """
    if not isinstance(config, dict) or not all(isinstance(name, str) for name in config):
        raise ValueError(
            f"{cls.__name__}.from_config takes a dictionary {{argument: value}}, as get_config gives it; received "
            f"{quoted(config)}."
        )
    return dict(config)


def _function(config: dict[str, Any]) -> Any:
    """The function that a description names: a registered one, else an activation, a loss or a metric of this name."""
    name = config["config"]
    for key in (config.get("registered_name"), name):  # Keras writes the registered name "function"
        if key is not None and (found := get_registered_object(key)) is not None:
            return found
    # Keras 3.6 and earlier leave out the package of a registered name.
    named = [item for key, item in _registered.items() if key.endswith(f">{name}") and inspect.isfunction(item)]
    if len(named) == 1:
        return named[0]
    for module in _OF_FUNCTIONS:
        found = vars(importlib.import_module(module)).get(name)
        if callable(found) and next(iter(inspect.signature(found).parameters), None) in ("x", "y_true"):
            return found
    return _lookup(name, name, None)  # a class, or the error that offers names


def class_entry(cls: type) -> dict[str, Any]:
    """The entries by which a description names a class."""
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
    module_name = f"fastnet{module[5:]}" if module and (module == "keras" or module.startswith("keras.")) else module
    modules = (module_name,) if module_name in MODULES else MODULES if module is None else ()
    for candidate in modules:
        if (found := _public(candidate).get(name)) is not None:
            return found
    known = [key for candidate in modules or MODULES for key in _public(candidate)]
    raise ValueError(
        f"Where {quoted(name)} is yours, register it with "
        f"@fastnet.saving.register_keras_serializable(), or give custom_objects={{{quoted(name)}: ...}}. "
        f"{unknown('class or function', name, known)}"
    )


def _public(module: str) -> dict[str, Any]:
    """The classes of a module that a description may name: those that have a ``get_config``."""
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError:
        return {}
    return {
        key: item
        for key, item in vars(found).items()
        if isinstance(item, type) and hasattr(item, "get_config") and not key.startswith("_")
    }
