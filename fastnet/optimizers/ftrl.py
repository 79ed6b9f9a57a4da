"""FTRL, whose weights are sparse."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet.optimizers.optimizer import Optimizer


class Ftrl(Optimizer):
    """Follow the regularized leader: sparse weights.  McMahan et al. 2013, algorithm 1, in Keras's form.

    With b = a + g² and p = -learning_rate_power: z += g + 2 shrinkage w - (bᵖ - aᵖ) w / lr; a = b;
    w = (clip(z, -l1, l1) - z) / (bᵖ / lr + 2 l2 + beta / lr).

    Args:
        learning_rate: lr, above 0.
        learning_rate_power: how the learning rate falls; 0 or less.
        initial_accumulator_value: a's first value.
        l1_regularization_strength: l1.
        l2_regularization_strength: l2.
        l2_shrinkage_regularization_strength: a penalty on the weight that does not pass into a.
        beta: of the paper.
        common: see `Optimizer`.

    Raises:
        ValueError: a power above 0, or another negative number.

    Example:
        >>> optimizers.Ftrl(l1_regularization_strength=0.01).parameters["l1_regularization_strength"]
        0.01
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **common: Any,
    ):
        parameters: dict[str, Any] = {
            "learning_rate_power": learning_rate_power,
            "initial_accumulator_value": initial_accumulator_value,
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
            "beta": beta,
        }
        row = "ftrl" if checks.is_number(learning_rate_power) and learning_rate_power == -0.5 else "ftrl_power"
        super().__init__(row, learning_rate, **common, **parameters)
