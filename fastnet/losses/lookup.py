"""Losses by name, and as plain data."""

from __future__ import annotations

import inspect
import math
from typing import Any

from fastnet._kernels import registry
from fastnet.losses import classes, functions
from fastnet.losses.base import FunctionLoss, Loss

_OWN = [cls for cls in vars(classes).values() if isinstance(cls, type) and issubclass(cls, Loss) and cls is not Loss]
CLASSES: dict[str, type[Loss]] = {name: cls for cls in _OWN for name in (cls.__name__, cls._row or "")}
CLASSES.update({name: CLASSES[row.name] for name, row in registry.losses.items() if row.name in CLASSES})
_FUNCTIONS = {f: name for name, f in vars(functions).items() if inspect.isfunction(f)}


def get(identifier: Any, gradient: bool = True, **parameters: Any) -> Loss:
    """The loss of a name, a class, a description, one of this module's functions, or a function of two numbers.

    Args:
        identifier: what to look up.
        gradient: False for a metric, whose function need have no derivative.
        parameters: arguments for a class or a function.

    Raises:
        ValueError: an unknown name, which offers the nearest known ones; a function that cannot become a kernel.

    Example:
        >>> import fastnet
        >>> fastnet.losses.get("mse")([[1.0, 2.0]], [[1.0, 4.0]])
        2.0
    """
    from fastnet.saving import serialization

    if isinstance(identifier, str):
        found = serialization.get_registered_object(identifier)
        if found is None and identifier in CLASSES:
            found = CLASSES[identifier]
        if found is None and identifier in registry.losses:
            found = registry.losses[identifier]
        if found is None:
            raise ValueError(registry.unknown("loss", identifier, {**CLASSES, **registry.losses}))
        identifier = found
    if isinstance(identifier, dict):
        identifier = deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier(**parameters)
    if isinstance(identifier, Loss):
        return identifier
    if inspect.isfunction(identifier) and identifier in _FUNCTIONS:
        return CLASSES[_FUNCTIONS[identifier]](**parameters)
    if isinstance(identifier, registry.Loss) or inspect.isfunction(identifier):
        return FunctionLoss(identifier, gradient=gradient, **parameters)
    raise ValueError(
        "A loss is a name, one of fastnet.losses, a subclass of fastnet.losses.Loss or a function of two numbers "
        f"f(y_true, y_pred), received {identifier!r}. fastnet.register_loss(name, function) gives yours a name."
    )


def loss_weight(given: Any) -> float:
    """``loss_weights`` of a model with one output as a factor; 1 where None.

    Raises:
        ValueError: no finite number, nor a list of one.
    """
    if isinstance(given, (list, tuple)) and len(given) == 1:
        given = given[0]
    if given is None:
        return 1.0
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        raise ValueError(f"loss_weights must be a finite number, as a Sequential has one output; received {given!r}.")
    return float(given)


def serialize(loss: Any) -> Any:
    """A description of a loss as plain data; a name or None stays.

    Args:
        loss: a `Loss`, or a function.
    """
    from fastnet.saving import serialization

    return serialization.serialize_keras_object(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Loss:
    """The loss that `serialize` described.

    Args:
        name: a description or a name.
        custom_objects: name → class or function of yours that it mentions.

    Raises:
        ValueError: nothing of that name is known.
    """
    from fastnet.saving import serialization

    with serialization.custom_object_scope(custom_objects):
        return get(serialization.deserialize_keras_object(name))
