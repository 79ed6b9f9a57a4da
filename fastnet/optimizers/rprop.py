"""Rprop: a step of its own for each weight."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.optimizers.optimizer import Optimizer


class Rprop(Optimizer):
    """Each weight has a step of its own, which grows while its gradient keeps its sign; for full batches.

    PyTorch's form: after a change of sign a weight waits for a step.

    Riedmiller and Braun 1993, "A direct adaptive method for faster backpropagation learning".

    Args:
        learning_rate: the first step of every weight; changing it later has no effect.
        etas: factors of a step after a change of sign, and after none.
        step_sizes: the smallest and the largest step.
        common: see `Optimizer`.

    Raises:
        ValueError: etas that are not below and above 1, step sizes that are not positive or do not rise.

    Example:
        >>> optimizers.Rprop().parameters
        {'eta_minus': 0.5, 'eta_plus': 1.2, 'step_min': 1e-06, 'step_max': 50.0}
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        **common: Any,
    ):
        self.etas, self.step_sizes = _pair("etas", etas), _pair("step_sizes", step_sizes)
        (eta_minus, eta_plus), (step_min, step_max) = self.etas, self.step_sizes
        if checks.is_number(step_min) and checks.is_number(step_max) and step_min > step_max:
            raise ValueError(f"Rprop: step_sizes must be (the smallest, the largest), received {quoted(step_sizes)}.")
        parameters: dict[str, Any] = {
            "eta_minus": eta_minus,
            "eta_plus": eta_plus,
            "step_min": step_min,
            "step_max": step_max,
        }
        super().__init__("rprop", learning_rate, **common, **parameters)


def _pair(argument: str, value: Any) -> tuple[float, float]:
    """Two numbers; their ranges are the rule's."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"Rprop: {argument} must be a pair of numbers, received {quoted(value)}.")
    return value[0], value[1]
