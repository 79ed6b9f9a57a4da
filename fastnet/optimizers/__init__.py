"""Optimizers, with Keras's definitions and names, and PyTorch's for Rprop and RAdam."""

from __future__ import annotations

from typing import Any

from fastnet._kernels import registry
from fastnet.descriptions import Family as _Family
from fastnet.optimizers import classes as _classes
from fastnet.optimizers import schedule_free as _schedule_free
from fastnet.optimizers import schedules as schedules
from fastnet.optimizers import whole as _whole
from fastnet.optimizers.base import Optimizer as Optimizer
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
from fastnet.optimizers.schedule_free import ScheduleFreeAdamW as ScheduleFreeAdamW
from fastnet.optimizers.whole import Adafactor as Adafactor
from fastnet.optimizers.whole import Lamb as Lamb
from fastnet.optimizers.whole import Muon as Muon

CLASSES = {**_classes.CLASSES, **_schedule_free.CLASSES, **_whole.CLASSES}

_family = _Family(
    "an optimizer",
    Optimizer,
    CLASSES.values(),
    table=registry.updates,
    hidden=registry.updates.own,
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
        return Optimizer(found, found.parameters.get("learning_rate", 0.01))
    return _family.made(found)


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
