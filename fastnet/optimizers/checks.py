"""Ranges of an optimizer's arguments."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# range: (whether a number is in it, what it is called)
_UNIT = (lambda x: 0 <= x < 1, "at least 0 and below 1")
_CLOSED_UNIT = (lambda x: 0 <= x <= 1, "at least 0 and at most 1")
_POSITIVE = (lambda x: 0 < x < math.inf, "positive and finite")
_NOT_NEGATIVE = (lambda x: 0 <= x < math.inf, "finite and not negative")
_NOT_POSITIVE = (lambda x: -math.inf < x <= 0, "finite and not positive")

_PARAMETERS = {
    "momentum": _CLOSED_UNIT,
    "rho": _UNIT,
    "beta_1": _UNIT,
    "beta_2": _UNIT,
    "epsilon": _POSITIVE,
    "initial_accumulator_value": _NOT_NEGATIVE,
    "learning_rate_power": _NOT_POSITIVE,
    "l1_regularization_strength": _NOT_NEGATIVE,
    "l2_regularization_strength": _NOT_NEGATIVE,
    "l2_shrinkage_regularization_strength": _NOT_NEGATIVE,
    "beta": _NOT_NEGATIVE,
    "eta_minus": (lambda x: 0 < x < 1, "between 0 and 1"),
    "eta_plus": (lambda x: 1 < x < math.inf, "above 1 and finite"),
    "step_min": _POSITIVE,
    "step_max": _POSITIVE,
}
_COMMON = {
    "weight_decay": _NOT_NEGATIVE,
    "clipnorm": _NOT_NEGATIVE,
    "clipvalue": _NOT_NEGATIVE,
    "global_clipnorm": _NOT_NEGATIVE,
    "ema_momentum": _CLOSED_UNIT,
    "loss_scale_factor": _POSITIVE,
}


def number(owner: str, argument: str, value: Any, allowed: tuple[Callable[[Any], bool], str]) -> float:
    """``value`` as a number within a range."""
    real = isinstance(value, (int, float, np.floating, np.integer)) and not isinstance(value, bool)
    if not real or not allowed[0](value):
        raise ValueError(f"{owner}: {argument} must be a number that is {allowed[1]}, received {value!r}.")
    return float(value)


def parameters(owner: str, values: Mapping[str, Any]) -> None:
    """The numbers of one of fastnet's own rules."""
    for argument, value in values.items():
        number(owner, argument, value, _PARAMETERS[argument])


def rate(owner: str, value: Any) -> float:
    """A learning rate that is a number."""
    return number(owner, "learning_rate", value, _NOT_NEGATIVE)


def common(optimizer: Any) -> None:
    """The arguments all optimizers take."""
    owner = type(optimizer).__name__
    for argument, allowed in _COMMON.items():
        if getattr(optimizer, argument) is not None:
            number(owner, argument, getattr(optimizer, argument), allowed)
    given = [a for a in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(optimizer, a) is not None]
    if len(given) > 1:
        raise ValueError(
            f"{owner}: only one of clipnorm, clipvalue and global_clipnorm may be given, received {given}."
        )
    for argument, least in (("ema_overwrite_frequency", 1), ("gradient_accumulation_steps", 2)):
        value = getattr(optimizer, argument)
        if value and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least):
            raise ValueError(f"{owner}: {argument} must be None or an integer of at least {least}, received {value!r}.")


def takes_iteration(schedule: Callable[..., Any]) -> bool:
    """Whether a function that gives the learning rate is to be told the iteration; Keras calls it without."""
    try:
        inspect.signature(schedule).bind(0)
    except TypeError:
        return False
    except ValueError:  # a builtin that tells nothing of itself
        return True
    return True


def pair(owner: str, argument: str, value: Any) -> tuple[float, float]:
    """Two numbers; their ranges are the rule's."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{owner}: {argument} must be a pair of numbers, received {value!r}.")
    return value[0], value[1]
