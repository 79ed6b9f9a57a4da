"""The stages that all optimizers share, and their states: weight decay, moving averages, sums of gradients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastnet.engine.variable import Variable

AVERAGE, SUM = "moving average", "gradient sum"  # states beside the rule's own, whose names have no spaces


class SharedStages:
    """The methods of an optimizer for what is not its rule."""

    states: dict[Variable, list[Variable]]
    undecayed: tuple[Sequence[Variable], str | None]
    weight_decay: float | None
    use_ema: bool
    gradient_accumulation_steps: int | None
    variable_of: Any

    @property
    def extra_names(self) -> list[str]:
        """The names of these states of each weight."""
        return [AVERAGE] * bool(self.use_ema) + [SUM] * bool(self.gradient_accumulation_steps)

    def extra_states(self, variable: Variable) -> list[Variable]:
        """New states of a weight beside those of the rule."""
        return [Variable(np.zeros(variable.shape, variable.dtype), name) for name in self.extra_names]

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Keep weights from decaying; to be called before training.

        Args:
            var_list: these weights.
            var_names: weights whose name has one of these in it: ``["bias"]``.

        Raises:
            ValueError: training has begun.
        """
        if self.states:
            raise ValueError(
                f"{type(self).__name__}: exclude_from_weight_decay must be called before the optimizer has states "
                "of weights, that is before fit."
            )
        self.undecayed = (tuple(map(self.variable_of, var_list or ())), "|".join(var_names or ()) or None)

    def decay_of(self, variable: Variable) -> float:
        """The share of a weight, times the learning rate, that it loses in a step in which it decays."""
        return self.weight_decay or 0.0

    def decays(self, variable: Variable) -> bool:
        """Whether a weight decays in front of the rule."""
        return bool(self.decay_of(variable)) and self._use_weight_decay(variable)

    def _use_weight_decay(self, variable: Variable) -> bool:
        """Whether a weight is not excluded from decay."""
        variables, pattern = self.undecayed
        if any(variable is v for v in variables):
            return False
        return pattern is None or re.search(pattern, variable.name) is None

    def average(self, variable: Variable) -> Variable | None:
        """The moving average of a weight; None without ``use_ema``, or before its first step."""
        return self._state_of(variable, AVERAGE)

    def gradient_sum(self, variable: Variable) -> Variable | None:
        """The sum of the gradients since the last update; None where every step is an update."""
        return self._state_of(variable, SUM)

    def _state_of(self, variable: Variable, name: str) -> Variable | None:
        return next((v for v in self.states.get(variable, ()) if v.name == name), None)

    def finalize_variable_values(self, variables: Iterable[Variable]) -> None:
        """Give weights the values of their moving averages, as Keras does at the end of `fit`."""
        for variable in variables:
            average = self.average(variable)
            if average is not None:
                variable.assign(average.current)
