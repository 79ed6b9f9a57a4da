"""Random numbers within a formula: an array of the batch, drawn anew in each step from a seed and the step's number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import random_bits
from fastnet.engine.draws import draws
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.symbolic import formulas
from fastnet.symbolic.array import Shape, SymbolicArray, refusal, shown
from fastnet.symbolic.boundaries import Boundary, sample_shape
from fastnet.symbolic.functions import DRAWN


class _Random(Boundary):
    def launch(self, lowering: Any, x: SymbolicArray) -> View:
        return Draw(x).forward(lowering.plan)


NORMAL, UNIFORM = _Random("random normal"), _Random("random uniform")
_TEMPLATES = {"random normal": random_bits.draw_normal, "random uniform": random_bits.draw_uniform}


class Draw:
    """Random numbers as an operation of a network's tape.

    Args:
        x: what is drawn.
    """

    def __init__(self, x: SymbolicArray):
        assert x.operation is not None
        self.template, self.shape, self.seed = _TEMPLATES[x.operation.name], sample_shape(x), x.settings[0]

    def forward(self, plan: Plan) -> View:
        y = plan.buffer(self.shape, plan.dtype)
        plan.call(self.template, noise=y.flat, **draws(plan, self.seed))
        return y

    def backward(self, plan: Plan, dy: View, y: View) -> tuple[()]:
        return ()


def normal(shape: Sequence[int | None], mean: Any, stddev: Any, seed: Any) -> SymbolicArray:
    """Numbers of a normal distribution for each row of the batch.

    Args:
        shape: the batch first, None.
        mean, stddev: numbers, or arrays that broadcast.
        seed: an integer, of a stream of its own; anything else for one that follows from the model's seed.
    """
    return formulas.add(formulas.multiply(_drawn(NORMAL, shape, seed), stddev), mean)


def uniform(shape: Sequence[int | None], minval: Any, maxval: Any, seed: Any) -> SymbolicArray:
    """Numbers from ``minval`` to ``maxval`` for each row of the batch; other arguments as those of `normal`."""
    return formulas.add(
        formulas.multiply(_drawn(UNIFORM, shape, seed), formulas.subtract(maxval, minval)), formulas.add(minval, 0.0)
    )


def dropout(x: SymbolicArray, rate: float, noise_shape: Any, seed: Any) -> SymbolicArray:
    """x, of whose elements a share is 0, and the others are divided by 1 - rate."""
    shape = x.shape if noise_shape is None else tuple(a if b is None else b for a, b in zip(x.shape, noise_shape))
    if not 0 <= rate < 1 or shape[:1] != (None,) or len(shape) != x.ndim:
        raise refusal(
            f"random.dropout at rate {quoted(rate)} of {x!r} with noise_shape {quoted(noise_shape)}",
            "give a rate from 0 to below 1, and a shape that begins with the batch, None",
        )
    keep = formulas.greater_equal(_drawn(UNIFORM, shape, seed), float(rate))
    return formulas.where(keep, formulas.multiply(x, 1.0 / (1.0 - rate)), 0.0)


def _drawn(operation: Boundary, shape: Sequence[int | None], seed: Any) -> SymbolicArray:
    whole: Shape = tuple(shape)
    if whole[:1] != (None,) or None in whole[1:]:
        raise refusal(
            f"random numbers of shape {shown(whole)}", "give the shape of data, the batch first: ops.shape(x)"
        )
    stream = int(seed) if isinstance(seed, int) and not isinstance(seed, bool) else None
    return SymbolicArray(operation, (), whole, settings=(None if stream is None else stream % 2**31,))


DRAWN.update(normal=normal, uniform=uniform, dropout=dropout)
