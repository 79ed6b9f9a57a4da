"""Muon: momentum made orthogonal."""

from __future__ import annotations

import math
import re
from typing import Any

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.registry import Update
from fastnet._kernels.rules import update_stages as stages
from fastnet._kernels.rules.updates import muon_update as rules
from fastnet._kernels.templates import matrices, step_scalars, update
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.optimizers import lowering
from fastnet.optimizers.optimizer import Optimizer


class Muon(Optimizer):
    """Momentum made orthogonal: m = momentum m + g, u ≈ U Vᵀ where U S Vᵀ = g + momentum m, for matrices.

    u comes from the matrix X = (g + momentum m) / |g + momentum m| by ``ns_steps`` times
    A = X Xᵀ, X = muon_a X + (muon_b A + muon_c A A) X; w -= lr rms_rate sqrt(the larger side) u. Every other weight is
    changed by `Adam`, with the learning rate adam_lr_ratio lr: weights that are not matrices, and excluded ones.

    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; the factor of Liu et al. 2025,
    arXiv:2502.16982, equation 4. The last layer is better left to Adam: ``exclude_layers=["output"]``.

    Args:
        learning_rate: lr.
        adam_beta_1, adam_beta_2, epsilon: as in `Adam`.
        adam_weight_decay: `Adam`'s, of the weights that it changes; None for none.
        weight_decay: share of the other weights that they lose in a step, times the learning rate; None for none.
        exclude_layers: regular expressions; a weight whose path, "dense/kernel", matches one is `Adam`'s.
        exclude_embeddings: whether a weight with "embedding" in its path is `Adam`'s.
        muon_a, muon_b, muon_c: the polynomial's coefficients.
        adam_lr_ratio: `Adam`'s learning rate divided by lr.
        momentum: from 0 to 1.
        ns_steps: steps of the iteration, of Newton and Schulz, at least 1.
        nesterov: whether u is computed from g + momentum m, or from m.
        rms_rate: factor of the step; None for 1 without the root.
        common: see `Optimizer`.

    Raises:
        ValueError: a number is out of its range, or an expression is not a regular expression.

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
        for name, coefficient in (("muon_a", muon_a), ("muon_b", muon_b), ("muon_c", muon_c)):
            checks.number(f"Muon: {name}", coefficient)
        for name, optional in (("adam_weight_decay", adam_weight_decay), ("rms_rate", rms_rate)):
            if optional is not None:
                checks.number(f"Muon: {name}", optional, checks.NOT_NEGATIVE)
        self.adam_weight_decay, self.rms_rate = adam_weight_decay, rms_rate
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.exclude_layers = _expressions(exclude_layers)
        self.exclude_embeddings = checks.flag("Muon: exclude_embeddings", exclude_embeddings)
        self.ns_steps = checks.integer("Muon: ns_steps", ns_steps)
        self.nesterov = checks.flag("Muon: nesterov", nesterov)
        parameters: dict[str, Any] = {"adam_beta_1": adam_beta_1, "adam_beta_2": adam_beta_2, "epsilon": epsilon}
        parameters |= {"adam_lr_ratio": adam_lr_ratio, "momentum": momentum}
        super().__init__("muon", learning_rate, weight_decay=weight_decay, **common, **parameters)

    def _orthogonal(self, variable: Variable) -> bool:
        """Whether a weight's direction is made orthogonal; otherwise it is Adam's."""
        embedding = self.exclude_embeddings and "embedding" in variable.path.lower()
        excluded = embedding or any(re.search(pattern, variable.path) for pattern in self.exclude_layers)
        return variable.ndim == 2 and not excluded

    def row_of(self, variable: Variable) -> Update:
        """The row of Adam, or of momentum."""
        if not self._orthogonal(variable):
            return self.row
        return rules.NESTEROV if self.nesterov else rules.MATRIX

    def decay_of(self, variable: Variable) -> float:
        """The decay of a weight: Adam's weights have their own."""
        return (self.weight_decay if self._orthogonal(variable) else self.adam_weight_decay) or 0.0

    def redirect(self, plan: Plan, variable: Variable, direction: View, scalars: lowering.StepScalars) -> View:
        """Add the launches of the iteration."""
        period = self.gradient_accumulation_steps or 1
        squares = lowering.norm_squares(plan, [(plan.label, direction)], period)
        factor = plan.slot()
        operands = {"squares": squares, "factor": factor, "first": 0, "count": 1, "p": [1e-7]}
        plan.call(step_scalars.norm_factor, f=stages.inverse_norm, period=period, **operands)
        plan.call(update.scale_gradient, g=direction, factor=factor, period=period)
        for _ in range(self.ns_steps - 1):
            direction = self._step(plan, direction, 1.0, period)
        # The factor of the result is multiplied into the last polynomial.
        scale = 1.0 if self.rms_rate is None else math.sqrt(max(variable.shape)) * self.rms_rate
        return self._step(plan, direction, scale, period)

    def _step(self, plan: Plan, x: View, scale: float, period: int) -> View:
        """Add a step of the iteration, times ``scale``: P x with P = a I + b A + c A A, A = x xᵀ; or x P, A = xᵀ x.

        Both give the same result; the one with the smaller A is used.
        """
        (rows, columns), dtype = x.shape, x.dtype
        tall, size = rows > columns, min(rows, columns)
        gram, square = (plan.buffer((size, size), dtype, per_row=False) for _ in range(2))
        result = plan.buffer(x.shape, dtype, per_row=False)
        plan.product(x, x, gram, transpose_a=tall, transpose_b=not tall, period=period)
        plan.product(gram, gram, square, period=period)
        a, b, c = (scale * coefficient for coefficient in (self.muon_a, self.muon_b, self.muon_c))
        plan.call(matrices.quintic, gram=gram, square=square, a=a, b=b, c=c, period=period)
        left, right = (x, square) if tall else (square, x)
        plan.product(left, right, result, period=period)
        return result


def _expressions(value: Any) -> list[str]:
    """Regular expressions; None for none."""
    given = [] if value is None else value
    if not isinstance(given, (list, tuple)) or not all(isinstance(each, str) for each in given):
        raise ValueError(f"Muon: exclude_layers must be a list of regular expressions, received {quoted(value)}.")
    for each in given:
        try:
            re.compile(each)
        except re.error as error:
            raise ValueError(f"Muon: exclude_layers: {quoted(each)} is not a regular expression: {error}.") from None
    return list(given)
