"""Learning rates that rise and fall: PyTorch's one-cycle and cyclic schedules."""

from __future__ import annotations

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.optimizers.schedules.formula import Formula


class OneCycle(Formula):
    """Up from max / div_factor to max, then down to that start / final_div_factor, as PyTorch's ``OneCycleLR``.

    Smith and Topin 2017, arXiv:1708.07120. Momentum is not cycled; after the last step the rate is constant.

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
        ValueError: the share is outside [0, 1], the strategy is another one, or a number is not positive.

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
            raise ValueError(f"OneCycle: pct_start must lie in [0, 1], received {quoted(pct_start)}.")
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


class Cyclic(Formula):
    """From base to max and back, repeatedly, as PyTorch's ``CyclicLR``.  Smith 2015, arXiv:1506.01186.

    Args:
        base_learning_rate: base.
        max_learning_rate: max.
        step_size_up: steps upwards.
        step_size_down: steps downwards; None for as many.
        mode: "triangular", "triangular2" (half as high in each cycle) or "exp_range" (gamma^step as high).
        gamma: of "exp_range".
        name: as shown.

    Raises:
        ValueError: the mode is another one, or a number of steps is not positive.

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
        rising, phase = self.step_size_up / total, steps / total % 1
        height = np.where(phase <= rising, phase / rising, (phase - 1) / (rising - 1))
        if self.mode == "triangular2":
            height = height * 0.5 ** np.floor(steps / total)
        elif self.mode == "exp_range":
            height = height * self.gamma**steps
        return self.base_learning_rate + (self.max_learning_rate - self.base_learning_rate) * height
