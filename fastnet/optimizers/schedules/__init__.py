"""Learning rates that follow from the step: Keras's schedules, and PyTorch's one-cycle and cyclic ones.

A schedule is a formula over a whole array of steps, so that the rates of an epoch are one call.
"""

from __future__ import annotations

from typing import Any

from fastnet.descriptions import Family as _Family
from fastnet.optimizers.schedules.cycles import Cyclic as Cyclic
from fastnet.optimizers.schedules.cycles import OneCycle as OneCycle
from fastnet.optimizers.schedules.decays import CosineDecay as CosineDecay
from fastnet.optimizers.schedules.decays import CosineDecayRestarts as CosineDecayRestarts
from fastnet.optimizers.schedules.decays import ExponentialDecay as ExponentialDecay
from fastnet.optimizers.schedules.decays import InverseTimeDecay as InverseTimeDecay
from fastnet.optimizers.schedules.decays import PiecewiseConstantDecay as PiecewiseConstantDecay
from fastnet.optimizers.schedules.decays import PolynomialDecay as PolynomialDecay
from fastnet.optimizers.schedules.formula import Formula as _Formula
from fastnet.optimizers.schedules.formula import LearningRateSchedule as LearningRateSchedule

_family = _Family(
    "a schedule",
    LearningRateSchedule,
    _Formula.__subclasses__(),
    wanted="a name or a LearningRateSchedule",
)


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """A description of a schedule as plain data: its class and ``get_config``.

    Example:
        >>> optimizers.schedules.serialize(optimizers.schedules.CosineDecay(1.0, 3))["class_name"]
        'CosineDecay'
    """
    return _family.serialize(learning_rate_schedule)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> LearningRateSchedule:
    """The schedule of a description, Keras's included.

    Raises:
        ValueError: an unknown class.

    Example:
        >>> config = optimizers.schedules.serialize(optimizers.schedules.CosineDecay(1.0, 3))
        >>> optimizers.schedules.deserialize(config).decay_steps
        3
    """
    return _family.deserialize(config, custom_objects)
