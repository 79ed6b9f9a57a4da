"""Optimizers, with Keras's definitions and names, and PyTorch's for Rprop and RAdam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnet._kernels import registry
from fastnet.descriptions import Family as _Family
from fastnet.descriptions import classes_below as _classes_below
from fastnet.optimizers import schedules as schedules
from fastnet.optimizers.multi_optimizer import OptimizerMap as OptimizerMap
from fastnet.optimizers.optimizer import Optimizer as Optimizer

# Each module of this package is read: a class that is written in one, or follows from a rule, is public by being there.
_classes = _classes_below(__name__, __path__, Optimizer)
globals().update(_classes)
if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


_family = _Family(
    "an optimizer",
    Optimizer,
    _classes.values(),
    table=registry.updates,
    hidden=registry.updates.built_in,
    spelled=lambda cls: (cls.__name__.lower(),),
    wanted="a name or one of fastnet.optimizers",
)


def get(identifier: Any) -> Any:
    """The optimizer of a name (upper or lower case), a class, a description, or an optimizer itself; None for None.

    Raises:
        ValueError: an unknown name; offers the nearest known ones.

    Example:
        >>> import fastnet
        >>> fastnet.optimizers.get("adam").learning_rate
        0.001
    """
    if identifier is None:
        return None
    found = _family.look_up(identifier)
    if isinstance(found, registry.Update):
        return Optimizer(found, found.learning_rate)
    return _family.create(found)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """A description of an optimizer as plain data: its class and `Optimizer.get_config`.

    Example:
        >>> optimizers.serialize(optimizers.SGD(0.5))["class_name"]
        'SGD'
    """
    return _family.serialize(optimizer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Optimizer:
    """The optimizer of a description, Keras's included; its class's name may be in lower case.

    Raises:
        ValueError: an unknown class, or arguments it does not take.

    Example:
        >>> optimizers.deserialize({"class_name": "adam", "config": {"learning_rate": 0.5}}).learning_rate
        0.5
    """
    return _family.deserialize(config, custom_objects, get)
