"""Ranges of an optimizer's arguments."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastnet.checks import (
    CLOSED_UNIT,
    FINITE,
    NOT_NEGATIVE,
    NOT_POSITIVE,
    POSITIVE,
    UNIT,
    is_whole,
    number,
    takes,
    whole,
)
from fastnet.optimizers.schedules import LearningRateSchedule

_PARAMETERS = {
    "momentum": CLOSED_UNIT,
    "rho": UNIT,
    "beta_1": UNIT,
    "beta_2": UNIT,
    "epsilon": POSITIVE,
    "initial_accumulator_value": NOT_NEGATIVE,
    "learning_rate_power": NOT_POSITIVE,
    "l1_regularization_strength": NOT_NEGATIVE,
    "l2_regularization_strength": NOT_NEGATIVE,
    "l2_shrinkage_regularization_strength": NOT_NEGATIVE,
    "beta": NOT_NEGATIVE,
    "eta_minus": (lambda x: 0 < x < 1, "between 0 and 1"),
    "eta_plus": (lambda x: 1 < x < math.inf, "above 1 and finite"),
    "step_min": POSITIVE,
    "step_max": POSITIVE,
    "warmup_steps": NOT_NEGATIVE,
    "beta_2_decay": NOT_POSITIVE,
    "epsilon_1": POSITIVE,
    "epsilon_2": NOT_NEGATIVE,
    "clip_threshold": POSITIVE,
    "adam_beta_1": UNIT,
    "adam_beta_2": UNIT,
    "adam_lr_ratio": NOT_NEGATIVE,
    "adam_weight_decay": NOT_NEGATIVE,
    "muon_a": FINITE,
    "muon_b": FINITE,
    "muon_c": FINITE,
    "rms_rate": NOT_NEGATIVE,
}
_COMMON = {
    "weight_decay": NOT_NEGATIVE,
    "clipnorm": NOT_NEGATIVE,
    "clipvalue": NOT_NEGATIVE,
    "global_clipnorm": NOT_NEGATIVE,
    "ema_momentum": CLOSED_UNIT,
    "loss_scale_factor": POSITIVE,
}


def parameters(owner: str, values: Mapping[str, Any]) -> None:
    """The numbers of one of fastnet's own rules."""
    for argument, value in values.items():
        number(f"{owner}: {argument}", value, _PARAMETERS[argument])


def rate(owner: str, value: Any) -> float:
    """A learning rate that is a number."""
    return number(f"{owner}: learning_rate", value, NOT_NEGATIVE)


def common(optimizer: Any) -> None:
    """The arguments all optimizers take."""
    owner = type(optimizer).__name__
    for argument, allowed in _COMMON.items():
        if getattr(optimizer, argument) is not None:
            number(f"{owner}: {argument}", getattr(optimizer, argument), allowed)
    given = [a for a in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(optimizer, a) is not None]
    if len(given) > 1:
        raise ValueError(
            f"{owner}: only one of clipnorm, clipvalue and global_clipnorm may be given, received {given}."
        )
    for argument, least in (("ema_overwrite_frequency", 1), ("gradient_accumulation_steps", 2)):
        value = getattr(optimizer, argument)
        if value is not None and not (is_whole(value) and value == 0):  # 0 is None, as in Keras
            whole(f"{owner}: {argument}", value, least)


def takes_iteration(schedule: Callable[..., Any]) -> bool:
    """Whether a function that gives the learning rate is to be told the iteration; Keras calls it without."""
    return takes(schedule, 1)


def schedule_rates(owner: str, schedule: Any, steps: np.ndarray) -> np.ndarray:
    """What a schedule, or a function, gives for these steps: finite numbers that are not negative.

    Raises:
        ValueError: it gives something else; names it and the first step.
    """
    own = type(schedule)
    name = getattr(schedule, "__name__", own.__name__)
    if isinstance(schedule, LearningRateSchedule) and own.at is not LearningRateSchedule.at:
        given: Any = schedule.at(steps)
        if np.shape(given) != steps.shape:
            raise ValueError(
                f"{owner}: the schedule {name} must give one learning rate for each of {len(steps)} steps; at(steps) "
                f"gave the shape {np.shape(given)}."
            )
        rates = np.asarray(given, float)
    else:
        asked = takes_iteration(schedule)
        given = [schedule(int(step)) if asked else schedule() for step in steps]
        rates = np.array([_rate_or_nan(value) for value in given])
    wrong = ~(np.isfinite(rates) & (rates >= 0))
    if wrong.any():
        place = int(wrong.argmax())
        raise ValueError(
            f"{owner}: {name}, the schedule of the learning rate, gives {given[place]} at iteration {steps[place]}; a "
            "learning rate is a finite number that is not negative."
        )
    return rates


def _rate_or_nan(value: Any) -> float:
    """A number, or what becomes one, as an array of one element does; texts and the like do not."""
    try:
        return math.nan if isinstance(value, (str, bytes, bool)) else float(value)
    except (TypeError, ValueError):
        return math.nan


def pair(owner: str, argument: str, value: Any) -> tuple[float, float]:
    """Two numbers; their ranges are the rule's."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{owner}: {argument} must be a pair of numbers, received {value!r}.")
    return value[0], value[1]


def expressions(owner: str, argument: str, value: Any) -> list[str]:
    """Regular expressions; None for none."""
    given = [] if value is None else value
    if not isinstance(given, (list, tuple)) or not all(isinstance(each, str) for each in given):
        raise ValueError(f"{owner}: {argument} must be a list of regular expressions, received {value!r}.")
    for each in given:
        try:
            re.compile(each)
        except re.error as error:
            raise ValueError(f"{owner}: {argument}: {each!r} is no regular expression: {error}.") from None
    return list(given)
