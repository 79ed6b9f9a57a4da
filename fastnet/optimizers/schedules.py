"""Learning rates that follow from the step: Keras's schedules, and PyTorch's one-cycle and cyclic ones.

A schedule is a formula over a whole array of steps, so that the rates of an epoch are one call.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet import checks
from fastnet.descriptions import Configurable, Family

_STEPS: checks.Range = (lambda x: 0 < x < math.inf, "positive, as it counts steps")


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


class _Formula(LearningRateSchedule):
    """A schedule whose `at` is the formula."""

    def __call__(self, step: Any) -> float:
        return float(self.at(np.asarray(step, float).reshape(1))[0])

    def _check(self, **values: Any) -> None:
        """Numbers that are not negative; steps are above 0, ``alpha`` is a share, what is a condition True or False."""
        for argument, value in values.items():
            what = f"{type(self).__name__}: {argument}"
            if argument in ("staircase", "cycle", "three_phase"):
                checks.flag(what, value)
            elif "step" in argument:
                checks.number(what, value, _STEPS)
            else:
                checks.number(what, value, checks.CLOSED_UNIT if argument == "alpha" else checks.NOT_NEGATIVE)


class ExponentialDecay(_Formula):
    """lr decay_rate^(step / decay_steps).

    Args:
        initial_learning_rate: lr.
        decay_steps: steps in which the rate falls by ``decay_rate``.
        decay_rate: the factor.
        staircase: whether the exponent is a whole number, rounded down.
        name: as shown.

    Raises:
        ValueError: a number of steps that is not positive, another negative number, no number.

    Example:
        >>> optimizers.SGD(optimizers.schedules.ExponentialDecay(0.8, 1, 0.5)).rates(4).round(3).tolist()
        [0.8, 0.4, 0.2, 0.1]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ):
        self._check(initial_learning_rate=initial_learning_rate, decay_steps=decay_steps, decay_rate=decay_rate)
        self._check(staircase=staircase)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def at(self, steps: np.ndarray) -> np.ndarray:
        exponents = steps / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (np.floor(exponents) if self.staircase else exponents)


class InverseTimeDecay(_Formula):
    """lr / (1 + decay_rate step / decay_steps).

    Args:
        initial_learning_rate: lr.
        decay_steps: steps in which ``decay_rate`` is added to the divisor.
        decay_rate: what is added.
        staircase: whether step / decay_steps is rounded down.
        name: as shown.

    Raises:
        ValueError: a number of steps that is not positive, another negative number, no number.

    Example:
        >>> optimizers.SGD(optimizers.schedules.InverseTimeDecay(1.0, 1, 1.0)).rates(4).round(3).tolist()
        [1.0, 0.5, 0.333, 0.25]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ):
        self._check(initial_learning_rate=initial_learning_rate, decay_steps=decay_steps, decay_rate=decay_rate)
        self._check(staircase=staircase)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def at(self, steps: np.ndarray) -> np.ndarray:
        times = steps / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (np.floor(times) if self.staircase else times))


class PiecewiseConstantDecay(_Formula):
    """values[0] up to and including step boundaries[0], values[1] up to boundaries[1], and so on.

    Args:
        boundaries: steps, rising.
        values: learning rates, one more than boundaries.
        name: as shown.

    Raises:
        ValueError: lengths that do not fit, boundaries that are no numbers or do not rise, negative values.

    Example:
        >>> optimizers.SGD(optimizers.schedules.PiecewiseConstantDecay([1], [0.1, 0.01])).rates(4).round(3).tolist()
        [0.1, 0.1, 0.01, 0.01]
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"):
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"PiecewiseConstantDecay: values must be one more than boundaries, received {len(values)} values and "
                f"{len(boundaries)} boundaries."
            )
        for i, boundary in enumerate(boundaries):
            checks.number(f"PiecewiseConstantDecay: boundaries[{i}]", boundary)
        if any(a >= b for a, b in itertools.pairwise(boundaries)):
            raise ValueError(f"PiecewiseConstantDecay: boundaries must rise, received {list(boundaries)}.")
        self._check(**{f"values[{i}]": value for i, value in enumerate(values)})
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def at(self, steps: np.ndarray) -> np.ndarray:
        return np.asarray(self.values, float)[np.searchsorted(self.boundaries, steps, side="left")]


class PolynomialDecay(_Formula):
    """(lr - end)(1 - step / decay_steps)^power + end, and the end afterwards.

    Args:
        initial_learning_rate: lr.
        decay_steps: steps until the end.
        end_learning_rate: end.
        power: of the polynomial.
        cycle: whether, instead of staying at the end, the decay is stretched to the next multiple of ``decay_steps``.
        name: as shown.

    Raises:
        ValueError: a number of steps that is not positive, another negative number, no number.

    Example:
        >>> optimizers.SGD(optimizers.schedules.PolynomialDecay(0.9, 3, 0.0)).rates(4).round(3).tolist()
        [0.9, 0.6, 0.3, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ):
        self._check(initial_learning_rate=initial_learning_rate, decay_steps=decay_steps, power=power)
        self._check(end_learning_rate=end_learning_rate, cycle=cycle)
        self.initial_learning_rate, self.decay_steps, self.end_learning_rate = (
            initial_learning_rate,
            decay_steps,
            end_learning_rate,
        )
        self.power, self.cycle, self.name = power, cycle, name

    def at(self, steps: np.ndarray) -> np.ndarray:
        times = steps / self.decay_steps
        done = times / np.maximum(1, np.ceil(times)) if self.cycle else np.minimum(times, 1)
        return (self.initial_learning_rate - self.end_learning_rate) * (1 - done) ** self.power + self.end_learning_rate


class CosineDecay(_Formula):
    """lr ((1 - alpha)(1 + cos(π step / decay_steps)) / 2 + alpha), after a linear warm-up where one is asked for.

    Loshchilov and Hutter 2016, arXiv:1608.03983; Goyal et al. 2017, arXiv:1706.02677, for the warm-up.

    Args:
        initial_learning_rate: lr, or where the warm-up begins.
        decay_steps: steps of the decay, after the warm-up.
        alpha: share of lr that is left at the end.
        name: as shown.
        warmup_target: lr after the warm-up; None for no warm-up.
        warmup_steps: steps of the warm-up.

    Raises:
        ValueError: a number of steps that is not positive (0 for the warm-up may be), another negative number, an
            ``alpha`` above 1.

    Example:
        >>> optimizers.SGD(optimizers.schedules.CosineDecay(1.0, 3)).rates(4).round(3).tolist()
        [1.0, 0.75, 0.25, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ):
        self._check(initial_learning_rate=initial_learning_rate, decay_steps=decay_steps, alpha=alpha)
        if warmup_target is not None:
            self._check(warmup_target=warmup_target)
        if not checks.is_number(warmup_steps) or warmup_steps != 0:
            self._check(warmup_steps=warmup_steps)
        self.initial_learning_rate, self.decay_steps, self.alpha = initial_learning_rate, decay_steps, alpha
        self.name, self.warmup_target, self.warmup_steps = name, warmup_target, warmup_steps

    def at(self, steps: np.ndarray) -> np.ndarray:
        first, top, warmup = self.initial_learning_rate, self.warmup_target, self.warmup_steps
        if top is None:
            top, warmup = first, 0
        done = np.minimum(np.maximum(steps - warmup, 0), self.decay_steps) / self.decay_steps
        decayed = top * ((1 - self.alpha) * 0.5 * (1 + np.cos(np.pi * done)) + self.alpha)
        return np.where(steps < warmup, (top - first) * (steps / max(warmup, 1)) + first, decayed)


class CosineDecayRestarts(_Formula):
    """`CosineDecay` that begins anew: period i takes first_decay_steps t_mulⁱ steps, from lr m_mulⁱ.

    Loshchilov and Hutter 2016, arXiv:1608.03983.

    Args:
        initial_learning_rate: lr.
        first_decay_steps: steps of the first period.
        t_mul: how much longer each period is, at least 1.
        m_mul: how much higher each period begins.
        alpha: share of lr that is left at the end of a period.
        name: as shown.

    Raises:
        ValueError: a number of steps that is not positive, a ``t_mul`` below 1, another negative number, an ``alpha``
            above 1.

    Example:
        >>> optimizers.SGD(optimizers.schedules.CosineDecayRestarts(1.0, 2)).rates(4).round(3).tolist()
        [1.0, 0.5, 1.0, 0.854]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ):
        self._check(initial_learning_rate=initial_learning_rate, first_decay_steps=first_decay_steps)
        self._check(t_mul=t_mul, m_mul=m_mul, alpha=alpha)
        if t_mul < 1:
            raise ValueError(f"CosineDecayRestarts: t_mul must be at least 1, received {t_mul!r}.")
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def at(self, steps: np.ndarray) -> np.ndarray:
        times, t = steps / self.first_decay_steps, self.t_mul
        if t == 1:
            period, done = np.floor(times), times % 1
        else:
            periods = np.log1p(times * (t - 1)) / np.log(t)
            whole = np.rint(periods)  # what is a period's first step must not be the last one by a rounding
            periods = np.where(np.abs(periods - whole) < 1e-12 * (1 + whole), whole, periods)
            period = np.floor(periods)
            done = np.expm1((periods - period) * np.log(t)) / (t - 1)
        height = 0.5 * self.m_mul**period * (1 + np.cos(np.pi * done))
        return self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha)


class OneCycle(_Formula):
    """Up from max / div_factor to max, then down to that start / final_div_factor, as PyTorch's ``OneCycleLR``.

    Smith and Topin 2017, arXiv:1708.07120. Momentum is not cycled; after the last step the rate stays.

    Args:
        max_learning_rate: max.
        total_steps: steps of the cycle, at least 2.
        pct_start: share of the steps that go up.
        anneal_strategy: "cos" or "linear".
        div_factor: max over the first rate.
        final_div_factor: the first rate over the last.
        three_phase: whether the rate first goes down to the start as fast as it went up.
        name: as shown.

    Raises:
        ValueError: a share outside [0, 1], another strategy, numbers that are not positive.

    Example:
        >>> optimizers.SGD(optimizers.schedules.OneCycle(1.0, 5, 0.4)).rates(5).round(3).tolist()
        [0.04, 1.0, 0.75, 0.25, 0.0]
    """

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        name: str = "OneCycle",
    ):
        self._check(max_learning_rate=max_learning_rate, total_steps=total_steps, pct_start=pct_start)
        self._check(div_factor=div_factor, final_div_factor=final_div_factor, three_phase=three_phase)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycle: pct_start must lie in [0, 1], received {pct_start!r}.")
        checks.one_of("OneCycle: anneal_strategy", anneal_strategy, "cos", "linear")
        self.max_learning_rate, self.total_steps, self.pct_start = max_learning_rate, total_steps, pct_start
        self.anneal_strategy, self.div_factor, self.final_div_factor = anneal_strategy, div_factor, final_div_factor
        self.three_phase, self.name = three_phase, name

    def at(self, steps: np.ndarray) -> np.ndarray:
        top, last = self.max_learning_rate, self.total_steps - 1
        start, up = top / self.div_factor, self.pct_start * self.total_steps - 1
        ends, rates = [0.0, up, last], [start, top, start / self.final_div_factor]
        if self.three_phase:
            ends, rates = [0.0, up, 2 * up, last], [start, top, start, start / self.final_div_factor]
        steps = np.minimum(steps, last)
        # A phase ends with its last step: PyTorch asks for step <= end.
        phase = np.minimum(np.searchsorted(ends[1:], steps, side="left"), len(ends) - 2)
        begin, end = np.asarray(ends)[phase], np.asarray(ends)[phase + 1]
        high, low = np.asarray(rates)[phase], np.asarray(rates)[phase + 1]
        done = (steps - begin) / np.where(end == begin, 1.0, end - begin)
        if self.anneal_strategy == "cos":
            return low + (high - low) / 2 * (np.cos(np.pi * done) + 1)
        return (low - high) * done + high


class Cyclic(_Formula):
    """Up from base to max and down again, over and over, as PyTorch's ``CyclicLR``.  Smith 2015, arXiv:1506.01186.

    Args:
        base_learning_rate: base.
        max_learning_rate: max.
        step_size_up: steps upwards.
        step_size_down: steps downwards; None for as many.
        mode: "triangular", "triangular2" (half as high in each cycle) or "exp_range" (gamma^step as high).
        gamma: of "exp_range".
        name: as shown.

    Raises:
        ValueError: another mode, numbers of steps that are not positive.

    Example:
        >>> optimizers.SGD(optimizers.schedules.Cyclic(0.0, 1.0, 2)).rates(6).tolist()
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """

    def __init__(
        self,
        base_learning_rate: float,
        max_learning_rate: float,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        name: str = "Cyclic",
    ):
        self._check(base_learning_rate=base_learning_rate, max_learning_rate=max_learning_rate, gamma=gamma)
        self._check(step_size_up=step_size_up)
        if step_size_down is not None:
            self._check(step_size_down=step_size_down)
        checks.one_of("Cyclic: mode", mode, "triangular", "triangular2", "exp_range")
        self.base_learning_rate, self.max_learning_rate = base_learning_rate, max_learning_rate
        self.step_size_up, self.step_size_down, self.mode = step_size_up, step_size_down, mode
        self.gamma, self.name = gamma, name

    def at(self, steps: np.ndarray) -> np.ndarray:
        down = self.step_size_up if self.step_size_down is None else self.step_size_down
        total = self.step_size_up + down
        rising, place = self.step_size_up / total, steps / total % 1
        height = np.where(place <= rising, place / rising, (place - 1) / (rising - 1))
        if self.mode == "triangular2":
            height = height * 0.5 ** np.floor(steps / total)
        elif self.mode == "exp_range":
            height = height * self.gamma**steps
        return self.base_learning_rate + (self.max_learning_rate - self.base_learning_rate) * height


_family = Family(
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
