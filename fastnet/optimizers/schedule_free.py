"""Adam whose averages stand in for a schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnet.checks import whole
from fastnet.optimizers.base import Common, Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class ScheduleFreeAdamW(Optimizer):
    """`Adam` without a schedule: its step moves z, x is the mean of all z, the weight lies between them.

    v += (1 - beta_2)(g² - v); z -= lr g / (sqrt(v / (1 - beta_2ᵗ)) + epsilon); x += (z - x) / t;
    w = (1 - beta_1) z + beta_1 x. z begins as the weight and is called "momentum", as in Keras; x follows from both.

    Defazio et al. 2024, arXiv:2405.15682.

    Args:
        learning_rate: lr.
        beta_1: share of x in the weight.
        beta_2: decay of the squares' average.
        epsilon: added to the square root of the corrected v.
        warmup_steps: steps in which lr rises from 0 to its value.
        common: see `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), a beta_1 of 0, of which x does not follow, an epsilon that is not positive.

    Example:
        >>> optimizers.ScheduleFreeAdamW(warmup_steps=100).beta_1
        0.9
    """

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **common: Unpack[Common],
    ):
        if beta_1 == 0:
            raise ValueError("ScheduleFreeAdamW: beta_1 must be positive, received 0; with it the mean is not known.")
        own = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
        own["warmup_steps"] = whole("ScheduleFreeAdamW: warmup_steps", warmup_steps, 0)
        super().__init__("schedule_free", learning_rate, **common, **own)


CLASSES = {"schedulefreeadamw": ScheduleFreeAdamW}
