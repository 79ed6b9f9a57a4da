"""RMSprop: a gradient divided by the root of its squares' average."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet.optimizers.optimizer import Optimizer


class RMSprop(Optimizer):
    """v = rho v + (1 - rho) g²; w -= lr g / sqrt(v + epsilon).  Tieleman and Hinton 2012.

    Args:
        learning_rate: lr.
        rho: decay of the squares' average.
        momentum: m: u = m u + lr g / sqrt(v + epsilon), w -= u; 0 for none.
        epsilon: inside the square root, as in Keras.
        centered: whether the squared average gradient is taken from v: Graves 2013, arXiv:1308.0850, equation 38.
        common: see `Optimizer`.

    Raises:
        ValueError: rho outside [0, 1), a momentum outside [0, 1], an epsilon that is not positive.

    Example:
        >>> optimizers.RMSprop().parameters
        {'rho': 0.9, 'epsilon': 1e-07}
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **common: Any,
    ):
        self.momentum = checks.number("RMSprop: momentum", momentum, checks.CLOSED_UNIT)
        self.centered = checks.flag("RMSprop: centered", centered)
        row = "rmsprop" + "_centered" * self.centered + "_momentum" * (self.momentum > 0)
        parameters: dict[str, Any] = {
            "rho": rho,
            "epsilon": epsilon,
            **({"momentum": self.momentum} if momentum else {}),
        }
        super().__init__(row, learning_rate, **common, **parameters)
