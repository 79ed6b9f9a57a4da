"""Optimizers that look at a whole weight before they change it: at norms, means of rows and columns, products.

Their rows of `_kernels/rules/updates.py` give a direction first; `updating` adds the norms and the step along it.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from fastnet._kernels import registry
from fastnet._kernels.rules import updates
from fastnet._kernels.rules import weights as rules
from fastnet._kernels.templates import matrices, step, update
from fastnet.checks import flag, whole
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.optimizers import checks, updating
from fastnet.optimizers.base import Common, Optimizer

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Lamb(Optimizer):
    """`Adam` whose step is as long as the weight: u = m̂ / (sqrt(v̂) + epsilon), w -= lr |w| / |u| u, for large batches.

    m̂ and v̂ are Adam's averages divided by 1 - beta_1ᵗ and 1 - beta_2ᵗ. Where a norm is 0, w -= lr u.

    You et al. 2020, arXiv:1904.00962, algorithm 2; ``weight_decay`` is decoupled, as in Keras.

    Args:
        learning_rate: lr.
        beta_1: decay of the gradients' average.
        beta_2: decay of the squares' average.
        epsilon: added to the square root of the corrected v.
        common: see `Optimizer`.

    Raises:
        ValueError: a beta outside [0, 1), an epsilon that is not positive.

    Example:
        >>> optimizers.Lamb().parameters
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
        super().__init__("lamb", learning_rate, **common, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


class Adafactor(Optimizer):
    """`RMSprop` that keeps of a matrix's squares their means over rows and over columns: r and c instead of v.

    With s = t^beta_2_decay: r = (1 - s) r + s mean(g² + epsilon_1) over each row, c the same over each column,
    v = r c / mean(r); u = g / sqrt(v) is scaled down to an RMS of ``clip_threshold``, and
    w -= max(epsilon_2, RMS(w)) min(lr, 1 / sqrt(t)) u. A weight of one axis keeps v itself; of one with more than two
    axes, each matrix of the last two has its means.

    Shazeer and Stern 2018, arXiv:1804.04235, algorithms 4 and 5. Where a whole row and a whole column of a gradient
    have always been 0, v in float32 is 0 in Keras, and the weight becomes NaN; here it stays.

    Args:
        learning_rate: lr, the largest relative step.
        beta_2_decay: the power of t, 0 or less.
        epsilon_1: added to the squares.
        epsilon_2: the least that a weight's RMS counts.
        clip_threshold: the largest RMS of u.
        relative_step: accepted; the step is at most 1 / sqrt(t) in any case, as in Keras.
        common: see `Optimizer`.

    Raises:
        ValueError: a beta_2_decay above 0, an epsilon_1 or a clip_threshold that is not positive, a negative epsilon_2.

    Example:
        >>> optimizers.Adafactor().parameters["clip_threshold"]
        1.0
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **common: Unpack[Common],
    ):
        self.relative_step = flag("Adafactor: relative_step", relative_step)
        own = {"beta_2_decay": beta_2_decay, "epsilon_1": epsilon_1, "epsilon_2": epsilon_2}
        super().__init__("adafactor", learning_rate, **common, **own, clip_threshold=clip_threshold)

    def row_of(self, variable: Variable) -> registry.Update:
        """Matrices keep means of rows and columns."""
        return self.row if variable.ndim < 2 else updates.ADAFACTOR_MATRIX

    def redirect(self, plan: Plan, variable: Variable, direction: View, scalars: updating.Scalars) -> View:
        """Add the launches that divide a matrix's gradient by the root of the squares that its means stand for."""
        if variable.ndim < 2:
            return direction
        period, epsilon = self.gradient_accumulation_steps or 1, [self.parameters["epsilon_1"]]
        *_, height, width = variable.shape
        outer, dtype = variable.size // (height * width), variable.dtype
        r, c = self.states[variable][:2]
        row_sums, column_sums, totals = (
            plan.buffer((n,), dtype, per_row=False) for n in (r.size, c.size, outer)
        )
        matrix = {"height": height, "width": width, "period": period}
        squares = {"f": updates.regular_square, "x": direction, "p": epsilon, **matrix}
        plan.call(matrices.row_sums, sums=row_sums, rows=r.size, **squares)
        plan.call(matrices.column_sums, sums=column_sums, outer=outer, **squares)
        one_minus_beta = scalars.rule[1]
        for sums, mean, count in ((row_sums, r, width), (column_sums, c, height)):
            plan.call(matrices.follow_mean, sums=sums, mean=mean, share=one_minus_beta, count=count, period=period)
        plan.call(
            matrices.row_sums, f=rules.itself, x=r, p=[], sums=totals, rows=outer, height=1, width=height, period=period
        )
        plan.call(matrices.divide_by_roots, u=direction, r=r, totals=totals, c=c, rows=r.size, **matrix)
        return direction


class Muon(Optimizer):
    """Momentum made orthogonal: m = momentum m + g, u ≈ U Vᵀ where U S Vᵀ = g + momentum m, for matrices.

    u comes from the matrix X = (g + momentum m) / |g + momentum m| by ``ns_steps`` times
    A = X Xᵀ, X = muon_a X + (muon_b A + muon_c A A) X; w -= lr rms_rate sqrt(the larger side) u. Every other weight is
    changed by `Adam`, with the learning rate adam_lr_ratio lr: one that is no matrix, and one that is excluded.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; the factor of Liu et al. 2025,
    arXiv:2502.16982, equation 4. The last layer is better left to Adam: ``exclude_layers=["output"]``.

    Args:
        learning_rate: lr.
        adam_beta_1, adam_beta_2, epsilon: as in `Adam`.
        adam_weight_decay: `Adam`'s, of the weights that it changes; None for none.
        weight_decay: share of the other weights that they lose in a step, times the learning rate; None for none.
        exclude_layers: regular expressions; what finds one in its path, "dense/kernel", is `Adam`'s.
        exclude_embeddings: whether what has "embedding" in its path is `Adam`'s.
        muon_a, muon_b, muon_c: the polynomial's coefficients.
        adam_lr_ratio: `Adam`'s learning rate divided by lr.
        momentum: from 0 to 1.
        ns_steps: steps of the iteration, of Newton and Schulz, at least 1.
        nesterov: whether u is made of g + momentum m; else of m.
        rms_rate: factor of the step; None for 1 without the root.
        common: see `Optimizer`.

    Raises:
        ValueError: a number out of its range, an expression that is none.

    Example:
        >>> optimizers.Muon(0.01, exclude_layers=["output"]).ns_steps
        5
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        exclude_layers: list[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **common: Any,
    ):
        optional = {"adam_weight_decay": adam_weight_decay, "rms_rate": rms_rate}
        given = {name: value for name, value in optional.items() if value is not None}
        checks.parameters("Muon", {"muon_a": muon_a, "muon_b": muon_b, "muon_c": muon_c, **given})
        self.adam_weight_decay, self.rms_rate = adam_weight_decay, rms_rate
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.exclude_layers = checks.expressions("Muon", "exclude_layers", exclude_layers)
        self.exclude_embeddings = flag("Muon: exclude_embeddings", exclude_embeddings)
        self.ns_steps, self.nesterov = whole("Muon: ns_steps", ns_steps), flag("Muon: nesterov", nesterov)
        own: dict[str, Any] = {"adam_beta_1": adam_beta_1, "adam_beta_2": adam_beta_2, "epsilon": epsilon}
        own |= {"adam_lr_ratio": adam_lr_ratio, "momentum": momentum}
        super().__init__("muon", learning_rate, weight_decay=weight_decay, **common, **own)

    def _orthogonal(self, variable: Variable) -> bool:
        """Whether a weight's direction is made orthogonal; else it is Adam's."""
        embedding = self.exclude_embeddings and "embedding" in variable.path.lower()
        excluded = embedding or any(re.search(pattern, variable.path) for pattern in self.exclude_layers)
        return variable.ndim == 2 and not excluded

    def row_of(self, variable: Variable) -> registry.Update:
        """Adam's, or momentum's."""
        if not self._orthogonal(variable):
            return self.row
        return updates.MUON_NESTEROV if self.nesterov else updates.MUON_MATRIX

    def decay_of(self, variable: Variable) -> float:
        """Adam's weights have a decay of their own."""
        return (self.weight_decay if self._orthogonal(variable) else self.adam_weight_decay) or 0.0

    def redirect(self, plan: Plan, variable: Variable, direction: View, scalars: updating.Scalars) -> View:
        """Add the launches of the iteration."""
        period = self.gradient_accumulation_steps or 1
        squares = updating.norm_squares(plan, [(plan.label, direction)], period)
        factor = plan.slot()
        operands = {"squares": squares, "factor": factor, "first": 0, "count": 1, "p": [1e-7]}
        plan.call(step.norm_factor, f=rules.inverse_norm, period=period, **operands)
        plan.call(update.scale_gradient, g=direction, factor=factor, period=period)
        for _ in range(self.ns_steps - 1):
            direction = self._step(plan, direction, 1.0, period)
        # What the result is multiplied with is multiplied into the last polynomial.
        scale = 1.0 if self.rms_rate is None else math.sqrt(max(variable.shape)) * self.rms_rate
        return self._step(plan, direction, scale, period)

    def _step(self, plan: Plan, x: View, scale: float, period: int) -> View:
        """Add a step of the iteration, times ``scale``: P x with P = a I + b A + c A A, A = x xᵀ; or x P, A = xᵀ x.

        Of the two A's the smaller is taken: both give the same.
        """
        (rows, columns), dtype = x.shape, x.dtype
        tall, size = rows > columns, min(rows, columns)
        gram, square = (plan.buffer((size, size), dtype, per_row=False) for _ in range(2))
        result = plan.buffer(x.shape, dtype, per_row=False)
        plan.product(x, x, gram, transpose_a=tall, transpose_b=not tall, period=period)
        plan.product(gram, gram, square, period=period)
        a, b, c = (scale * number for number in (self.muon_a, self.muon_b, self.muon_c))
        plan.call(matrices.quintic, gram=gram, square=square, a=a, b=b, c=c, period=period)
        left, right = (x, square) if tall else (square, x)
        plan.product(left, right, result, period=period)
        return result


CLASSES = {cls.__name__.lower(): cls for cls in (Lamb, Adafactor, Muon)}
