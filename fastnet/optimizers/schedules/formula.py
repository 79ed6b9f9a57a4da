"""The base of schedules, and of those that are a formula over an array of steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnet import checks
from fastnet.descriptions import Configurable

_STEPS = checks.Range(lambda x: 0 < x < math.inf, "positive, as it counts steps")


class LearningRateSchedule(Configurable):
    """A learning rate as a function of the step; subclasses define ``__call__(step)``, or `at` for whole arrays.

    Example:
        >>> from fastnet.optimizers import SGD, schedules
        >>> class Halving(schedules.LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.1 * 0.5**step
        >>> SGD(Halving()).rates(3).tolist()
        [0.1, 0.05, 0.025]
    """

    def __call__(self, step: Any) -> float:
        """The learning rate of a step, counted from 0."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step).")

    def at(self, steps: np.ndarray) -> np.ndarray:
        """The learning rates of an array of steps."""
        return np.array([float(self(int(step))) for step in steps])


class Formula(LearningRateSchedule):
    """A schedule whose `at` is the formula. A subclass that defines ``__call__`` is asked step by step."""

    _formula: Any = None  # the `at` that the ``__call__`` of a subclass stands in for

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__call__" in cls.__dict__ and "at" not in cls.__dict__:
            cls._formula, cls.at = cls._formula or cls.at, LearningRateSchedule.at  # type: ignore[method-assign]

    def __call__(self, step: Any) -> float:
        formula = type(self)._formula or type(self).at
        return float(formula(self, np.asarray(step, float).reshape(1))[0])

    def _check(self, **values: Any) -> None:
        """Numbers that are not negative; steps are above 0, ``alpha`` lies in [0, 1], conditions are True or False."""
        for argument, value in values.items():
            what = f"{type(self).__name__}: {argument}"
            if argument in ("staircase", "cycle", "three_phase"):
                checks.flag(what, value)
            elif "step" in argument:
                checks.number(what, value, _STEPS)
            else:
                checks.number(what, value, checks.CLOSED_UNIT if argument == "alpha" else checks.NOT_NEGATIVE)
