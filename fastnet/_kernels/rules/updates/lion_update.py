"""Lion: steps of one length, along the sign of an average."""

from fastnet._kernels.ranges import OPEN_UNIT, UNIT
from fastnet._kernels.registry import Update, updates
from fastnet._kernels.rules.sign import sign


def lion_scalars(rate, t, beta_1: OPEN_UNIT = 0.9, beta_2: UNIT = 0.99):
    return rate, beta_1, beta_2


def lion(w, g, m, rate, beta_1, beta_2):
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
    c = m * beta_1 + g * (1 - beta_1)
    return w - rate * sign(c), m * beta_2 + g * (1 - beta_2)


updates.add(Update("lion", lion, lion_scalars, ("momentum",), public="Lion"))
