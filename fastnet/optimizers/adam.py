"""Adam, with and without decoupled weight decay."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet.optimizers.optimizer import Optimizer


class Adam(Optimizer):
    """Gradients' averages: m += (1 - beta_1)(g - m); v += (1 - beta_2)(g² - v); w -= alpha m / (sqrt(v) + epsilon).

    With alpha = lr sqrt(1 - beta_2ᵗ) / (1 - beta_1ᵗ), t the number of the update from 1.

    Kingma and Ba 2014, arXiv:1412.6980.

    Args:
        learning_rate: lr.
        beta_1: decay of the gradients' average.
        beta_2: decay of the squares' average.
        epsilon: Keras's: added to the square root of the uncorrected v.
        amsgrad: whether v's maximum over time is used; Reddi et al. 2018, arXiv:1904.09237.
        common: see `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), an epsilon that is not positive.

    Example:
        >>> optimizers.Adam().parameters
        {'beta_1': 0.9, 'beta_2': 0.999, 'epsilon': 1e-07}
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Any,
    ):
        self.amsgrad = checks.flag(f"{type(self).__name__}: amsgrad", amsgrad)
        row = "amsgrad" if amsgrad else "adam"
        super().__init__(row, learning_rate, **common, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


class AdamW(Adam):
    """`Adam` with decoupled weight decay: w -= lr weight_decay w.  Loshchilov and Hutter 2017, arXiv:1711.05101.

    Args:
        learning_rate, beta_1, beta_2, epsilon, amsgrad: as in `Adam`.
        weight_decay: share of a weight that it loses in a step, times the learning rate.
        common: see `Optimizer`.

    Raises:
        ValueError: ``weight_decay=None``; and as `Adam`.

    Example:
        >>> optimizers.AdamW().weight_decay
        0.004
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Any,
    ):
        if weight_decay is None:
            raise ValueError("AdamW: weight_decay must be a number, received None; Adam has none.")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **common)
