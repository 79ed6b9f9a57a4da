"""The optimizers by name: which rule of `_kernels/rules/updates.py`, with which numbers.

Every class also takes the arguments that all share (`Optimizer` describes them), by name; signatures and defaults are
Keras's, for Rprop and RAdam PyTorch's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnet.checks import flag, is_number
from fastnet.optimizers import checks
from fastnet.optimizers.base import Common, Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SGD(Optimizer):
    """Gradient descent: w -= lr g; with momentum m: v = m v - lr g, w += v; Nesterov's: w += m v - lr g.

    Args:
        learning_rate: lr.
        momentum: m, from 0 to 1.
        nesterov: whether the gradient is looked at where momentum leads.
        common: see `Optimizer`.

    Raises:
        ValueError: a momentum outside [0, 1].

    Example:
        >>> import fastnet
        >>> fastnet.optimizers.SGD(0.1, momentum=0.9).parameters
        {'momentum': 0.9}
    """

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **common: Unpack[Common]
    ):
        checks.parameters("SGD", {"momentum": momentum})
        self.momentum, self.nesterov = float(momentum), flag("SGD: nesterov", nesterov)
        row = ("nesterov" if nesterov else "momentum") if momentum else "sgd"
        super().__init__(row, learning_rate, **common, **({"momentum": self.momentum} if momentum else {}))


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
        **common: Unpack[Common],
    ):
        checks.parameters("RMSprop", {"momentum": momentum})
        self.momentum, self.centered = float(momentum), flag("RMSprop: centered", centered)
        row = "rmsprop" + "_centered" * self.centered + "_momentum" * (self.momentum > 0)
        more = {"momentum": self.momentum} if momentum else {}
        super().__init__(row, learning_rate, **common, rho=rho, epsilon=epsilon, **more)


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
        **common: Unpack[Common],
    ):
        self.amsgrad = flag(f"{type(self).__name__}: amsgrad", amsgrad)
        row = "amsgrad" if amsgrad else "adam"
        super().__init__(row, learning_rate, **common, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


class AdamW(Adam):
    """`Adam` with decoupled weight decay: w -= lr weight_decay w.  Loshchilov and Hutter 2017, arXiv:1711.05101.

    Args:
        learning_rate, beta_1, beta_2, epsilon, amsgrad: as in `Adam`.
        weight_decay: share of a weight that it loses in a step, times the learning rate.
        common: see `Optimizer`.

    Raises:
        ValueError: ``weight_decay=None``, and what `Adam` raises.

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


class Adamax(Optimizer):
    """m += (1 - beta_1)(g - m); u = max(beta_2 u, |g|); w -= lr m / ((1 - beta_1ᵗ)(u + epsilon)).

    Kingma and Ba 2014, arXiv:1412.6980, section 7.1.

    Args:
        learning_rate: lr.
        beta_1: decay of the gradients' average.
        beta_2: decay of the largest absolute gradient.
        epsilon: added to u.
        common: see `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), an epsilon that is not positive.

    Example:
        >>> optimizers.Adamax().parameters
        {'beta_1': 0.9, 'beta_2': 0.999, 'epsilon': 1e-07}
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ):
        super().__init__("adamax", learning_rate, **common, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


class Nadam(Optimizer):
    """`Adam` with Nesterov's momentum: m is looked at one step ahead, with μₜ = beta_1 (1 - 0.96ᵗ / 2) for beta_1.

    w -= lr (μₜ₊₁ m / (1 - μ₁ ⋯ μₜ₊₁) + (1 - μₜ) g / (1 - μ₁ ⋯ μₜ)) / (sqrt(v / (1 - beta_2ᵗ)) + epsilon).
    Dozat 2016, "Incorporating Nesterov momentum into Adam", algorithm 2.

    Args:
        learning_rate: lr.
        beta_1: decay of the gradients' average.
        beta_2: decay of the squares' average.
        epsilon: added to the square root of the corrected v.
        common: see `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), an epsilon that is not positive.

    Example:
        >>> optimizers.Nadam().parameters
        {'beta_1': 0.9, 'beta_2': 0.999, 'epsilon': 1e-07}
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ):
        super().__init__("nadam", learning_rate, **common, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


class RAdam(Optimizer):
    """`Adam` whose first steps are not divided by sqrt(v), and later ones rectified for its variance, as in PyTorch.

    Liu et al. 2019, arXiv:1908.03265, algorithm 2; ``weight_decay`` is decoupled.

    Args:
        learning_rate: lr.
        beta_1: decay of the gradients' average.
        beta_2: decay of the squares' average.
        epsilon: added to sqrt(v).
        common: see `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), an epsilon that is not positive.

    Example:
        >>> optimizers.RAdam().parameters
        {'beta_1': 0.9, 'beta_2': 0.999, 'epsilon': 1e-08}
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        **common: Unpack[Common],
    ):
        super().__init__("radam", learning_rate, **common, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


class Adagrad(Optimizer):
    """a += g²; w -= lr g / sqrt(a + epsilon).  Duchi et al. 2011.

    Args:
        learning_rate: lr.
        initial_accumulator_value: a's first value.
        epsilon: inside the square root, as in Keras.
        common: see `Optimizer`.

    Raises:
        ValueError: a negative first value, an epsilon that is not positive.

    Example:
        >>> optimizers.Adagrad().parameters
        {'initial_accumulator_value': 0.1, 'epsilon': 1e-07}
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ):
        own = {"initial_accumulator_value": initial_accumulator_value, "epsilon": epsilon}
        super().__init__("adagrad", learning_rate, **common, **own)


class Adadelta(Optimizer):
    """a = rho a + (1 - rho) g²; s = g sqrt((d + epsilon) / (a + epsilon)); d = rho d + (1 - rho) s²; w -= lr s.

    Zeiler 2012, arXiv:1212.5701; its learning rate is 1.

    Args:
        learning_rate: lr.
        rho: decay of both averages.
        epsilon: inside the square roots.
        common: see `Optimizer`.

    Raises:
        ValueError: rho outside [0, 1), an epsilon that is not positive.

    Example:
        >>> optimizers.Adadelta().parameters
        {'rho': 0.95, 'epsilon': 1e-07}
    """

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **common: Unpack[Common]):
        super().__init__("adadelta", learning_rate, **common, rho=rho, epsilon=epsilon)


class Lion(Optimizer):
    """w -= lr sign(beta_1 m + (1 - beta_1) g); m = beta_2 m + (1 - beta_2) g.  Chen et al. 2023, arXiv:2302.06675.

    Args:
        learning_rate: lr; three to ten times smaller than Adam's.
        beta_1: share of the average in the step.
        beta_2: decay of the gradients' average.
        common: see `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), or a beta_1 of 0, which leaves the sign of the gradient alone.

    Example:
        >>> optimizers.Lion().parameters
        {'beta_1': 0.9, 'beta_2': 0.99}
    """

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **common: Unpack[Common]):
        super().__init__("lion", learning_rate, **common, beta_1=beta_1, beta_2=beta_2)
        if beta_1 == 0:
            raise ValueError(
                "Lion: beta_1 must be positive, received 0; with it the steps do not depend on the average."
            )


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
        **common: Unpack[Common],
    ):
        own = {
            "learning_rate_power": learning_rate_power,
            "initial_accumulator_value": initial_accumulator_value,
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
            "beta": beta,
        }
        row = "ftrl" if is_number(learning_rate_power) and learning_rate_power == -0.5 else "ftrl_power"
        super().__init__(row, learning_rate, **common, **own)


class Rprop(Optimizer):
    """Each weight has a step of its own, which grows while its gradient keeps its sign; for full batches.

    PyTorch's form: after a change of sign a weight waits for a step.

    Riedmiller and Braun 1993, "A direct adaptive method for faster backpropagation learning".

    Args:
        learning_rate: the first step of every weight; changing it later has no effect.
        etas: what a step is multiplied with after a change of sign, and after none.
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
        **common: Unpack[Common],
    ):
        self.etas, self.step_sizes = checks.pair("Rprop", "etas", etas), checks.pair("Rprop", "step_sizes", step_sizes)
        (minus, plus), (least, most) = self.etas, self.step_sizes
        own = {"eta_minus": minus, "eta_plus": plus, "step_min": least, "step_max": most}
        if is_number(least) and is_number(most) and least > most:
            raise ValueError(f"Rprop: step_sizes must be (the smallest, the largest), received {step_sizes!r}.")
        super().__init__("rprop", learning_rate, **common, **own)


CLASSES = {
    cls.__name__.lower(): cls
    for cls in (SGD, RMSprop, Adam, AdamW, Adamax, Nadam, RAdam, Adagrad, Adadelta, Lion, Ftrl, Rprop)
}
