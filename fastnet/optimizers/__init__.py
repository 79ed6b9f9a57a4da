"""Optimizers, with Keras's definitions and names, and PyTorch's for Rprop and RAdam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnet._kernels import registry
from fastnet.optimizers import schedules as schedules
from fastnet.optimizers.base import Optimizer as Optimizer
from fastnet.optimizers.classes import CLASSES as CLASSES
from fastnet.optimizers.classes import SGD as SGD
from fastnet.optimizers.classes import Adadelta as Adadelta
from fastnet.optimizers.classes import Adagrad as Adagrad
from fastnet.optimizers.classes import Adam as Adam
from fastnet.optimizers.classes import Adamax as Adamax
from fastnet.optimizers.classes import AdamW as AdamW
from fastnet.optimizers.classes import Ftrl as Ftrl
from fastnet.optimizers.classes import Lion as Lion
from fastnet.optimizers.classes import Nadam as Nadam
from fastnet.optimizers.classes import RAdam as RAdam
from fastnet.optimizers.classes import RMSprop as RMSprop
from fastnet.optimizers.classes import Rprop as Rprop


def get(identifier: Any) -> Optimizer:
    """The optimizer of a name (upper or lower case), a class, a description, or an optimizer itself.

    Raises:
        ValueError: an unknown name; offers the nearest known ones.

    Example:
        >>> import fastnet
        >>> fastnet.optimizers.get("adam").learning_rate
        0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        made: Callable[[], Optimizer] = identifier
        return made()
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        if identifier.lower() in CLASSES:
            return CLASSES[identifier.lower()]()
        if identifier in registry.updates:
            row = registry.updates[identifier]
            return Optimizer(row, row.parameters.get("learning_rate", 0.01))
        raise ValueError(registry.unknown("optimizer", identifier, {**CLASSES, **registry.updates}))
    raise ValueError(f"An optimizer is a name or one of fastnet.optimizers, received {identifier!r}.")


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """A description of an optimizer as plain data: its class and `Optimizer.get_config`."""
    from fastnet.saving.serialization import serialize_keras_object

    return serialize_keras_object(optimizer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
    """The optimizer of a description, Keras's included; its class's name may be in lower case.

    Raises:
        ValueError: an unknown class, or arguments it does not take.
    """
    from fastnet.saving.serialization import deserialize_keras_object

    cls = CLASSES.get(str(config.get("class_name")).lower())
    if cls is not None and not custom_objects:
        return cls.from_config(config.get("config") or {})
    return deserialize_keras_object(config, custom_objects)
