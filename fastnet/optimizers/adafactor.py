"""Adafactor: of a matrix's squares the averages over rows and over columns."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet._kernels.registry import Update
from fastnet._kernels.rules.scalars import unchanged
from fastnet._kernels.rules.updates import adafactor_update as rules
from fastnet._kernels.templates import matrices
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.optimizers.lowering import StepScalars
from fastnet.optimizers.optimizer import Optimizer


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
        **common: Any,
    ):
        self.relative_step = checks.flag("Adafactor: relative_step", relative_step)
        parameters: dict[str, Any] = {"beta_2_decay": beta_2_decay, "epsilon_1": epsilon_1, "epsilon_2": epsilon_2}
        super().__init__("adafactor", learning_rate, **common, **parameters, clip_threshold=clip_threshold)

    def row_of(self, variable: Variable) -> Update:
        """Matrices keep means of rows and columns."""
        return self.row if variable.ndim < 2 else rules.MATRIX

    def redirect(self, plan: Plan, variable: Variable, direction: View, scalars: StepScalars) -> View:
        """Add the launches that divide a matrix's gradient by the root of the squares that its means stand for."""
        if variable.ndim < 2:
            return direction
        period, epsilon = self.gradient_accumulation_steps or 1, [self.parameters["epsilon_1"]]
        *_, height, width = variable.shape
        outer, dtype = variable.size // (height * width), variable.dtype
        r, c = self.states[variable][:2]
        row_sums, column_sums, totals = (plan.buffer((n,), dtype, per_row=False) for n in (r.size, c.size, outer))
        squares = {"f": rules.regular_square, "x": direction, "p": epsilon, "width": width, "period": period}
        plan.call(matrices.row_sums, sums=row_sums, rows=r.size, **squares)
        plan.call(matrices.column_sums, sums=column_sums, outer=outer, height=height, **squares)
        one_minus_beta = scalars.rule[1]
        for sums, mean, count in ((row_sums, r, width), (column_sums, c, height)):
            plan.call(matrices.follow_mean, sums=sums, mean=mean, fraction=one_minus_beta, count=count, period=period)
        plan.call(matrices.row_sums, f=unchanged, x=r, p=[], sums=totals, rows=outer, width=height, period=period)
        plan.call(
            matrices.divide_by_roots, u=direction, r=r, totals=totals, c=c, rows=r.size, height=height, width=width,
            period=period,
        )  # fmt: skip
        return direction
