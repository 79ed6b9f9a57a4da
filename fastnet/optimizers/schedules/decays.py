"""Learning rates that fall: Keras's schedules."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.optimizers.schedules.formula import Formula


class ExponentialDecay(Formula):
    """lr decay_rate^(step / decay_steps).

    Args:
        initial_learning_rate: lr.
        decay_steps: steps in which the rate falls by ``decay_rate``.
        decay_rate: the factor.
        staircase: whether the exponent is rounded down to an integer.
        name: as shown.

    Raises:
        ValueError: a number of steps is not positive, another number is negative, or a value is not a number.

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


class InverseTimeDecay(Formula):
    """lr / (1 + decay_rate step / decay_steps).

    Args:
        initial_learning_rate: lr.
        decay_steps: steps in which ``decay_rate`` is added to the divisor.
        decay_rate: the addend.
        staircase: whether step / decay_steps is rounded down.
        name: as shown.

    Raises:
        ValueError: a number of steps is not positive, another number is negative, or a value is not a number.

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


class PiecewiseConstantDecay(Formula):
    """values[0] up to and including step boundaries[0], values[1] up to boundaries[1], and so on.

    Args:
        boundaries: steps, rising.
        values: learning rates, one more than boundaries.
        name: as shown.

    Raises:
        ValueError: the lengths do not fit, boundaries are not rising numbers, or a value is negative.

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
        self.boundaries, self.values = list(map(checks.plain, boundaries)), list(map(checks.plain, values))
        self.name = name

    def at(self, steps: np.ndarray) -> np.ndarray:
        return np.asarray(self.values, float)[np.searchsorted(self.boundaries, steps, side="left")]


class PolynomialDecay(Formula):
    """(lr - end)(1 - step / decay_steps)^power + end, and the end afterwards.

    Args:
        initial_learning_rate: lr.
        decay_steps: steps until the end.
        end_learning_rate: end.
        power: of the polynomial.
        cycle: whether, instead of staying at the end, the decay is stretched to the next multiple of ``decay_steps``.
        name: as shown.

    Raises:
        ValueError: a number of steps is not positive, another number is negative, or a value is not a number.

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


class CosineDecay(Formula):
    """lr ((1 - alpha)(1 + cos(π step / decay_steps)) / 2 + alpha), after an optional linear warm-up.

    Loshchilov and Hutter 2016, arXiv:1608.03983; Goyal et al. 2017, arXiv:1706.02677, for the warm-up.

    Args:
        initial_learning_rate: lr, or the beginning of the warm-up.
        decay_steps: steps of the decay, after the warm-up.
        alpha: share of lr that remains at the end.
        name: as shown.
        warmup_target: lr after the warm-up; None for no warm-up.
        warmup_steps: steps of the warm-up.

    Raises:
        ValueError: a number of steps is not positive (warmup_steps may be 0), another number is negative, or ``alpha``
            is above 1.

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


class CosineDecayRestarts(Formula):
    """`CosineDecay` that restarts: period i takes first_decay_steps t_mulⁱ steps, from lr m_mulⁱ.

    Loshchilov and Hutter 2016, arXiv:1608.03983.

    Args:
        initial_learning_rate: lr.
        first_decay_steps: steps of the first period.
        t_mul: factor of the length of each next period, at least 1.
        m_mul: factor of the first rate of each next period.
        alpha: share of lr that remains at the end of a period.
        name: as shown.

    Raises:
        ValueError: a number of steps is not positive, ``t_mul`` is below 1, another number is negative, or ``alpha`` is
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
            raise ValueError(f"CosineDecayRestarts: t_mul must be at least 1, received {quoted(t_mul)}.")
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def at(self, steps: np.ndarray) -> np.ndarray:
        times, t = steps / self.first_decay_steps, self.t_mul
        if t == 1:
            period, done = np.floor(times), times % 1
        else:
            periods = np.log1p(times * (t - 1)) / np.log(t)
            nearest = np.rint(periods)  # rounding must not make the first step of a period the last one
            periods = np.where(np.abs(periods - nearest) < 1e-12 * (1 + nearest), nearest, periods)
            period = np.floor(periods)
            done = np.expm1((periods - period) * np.log(t)) / (t - 1)
        height = 0.5 * self.m_mul**period * (1 + np.cos(np.pi * done))
        return self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha)
