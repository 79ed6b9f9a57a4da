"""The learning rates of a schedule, or of a plain function, for an array of steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet.checks import takes
from fastnet.optimizers.schedules.formula import LearningRateSchedule


def takes_iteration(schedule: Callable[..., Any]) -> bool:
    """Whether a function that returns the learning rate takes the iteration; Keras calls it without."""
    return takes(schedule, 1)


def schedule_rates(owner: str, schedule: Any, steps: np.ndarray) -> np.ndarray:
    """The learning rates of these steps: finite numbers that are not negative.

    Raises:
        ValueError: a result is something else; the error names it and its step.
    """
    cls = type(schedule)
    name = getattr(schedule, "__name__", cls.__name__)
    if isinstance(schedule, LearningRateSchedule) and cls.at is not LearningRateSchedule.at:
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
        first = int(wrong.argmax())
        raise ValueError(
            f"{owner}: {name}, the schedule of the learning rate, gives {given[first]} at iteration {steps[first]}; a "
            "learning rate is a finite number that is not negative."
        )
    return rates


def _rate_or_nan(value: Any) -> float:
    """A number, or the number of an array of one element; NaN for other values, such as texts."""
    try:
        return math.nan if isinstance(value, (str, bytes, bool)) else float(value)
    except (TypeError, ValueError):
        return math.nan
