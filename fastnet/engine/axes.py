"""The axes of a sample in another order, so that kernels which work along rows find theirs last."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnet._kernels.templates import indexed
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View

Order = tuple[int, ...]


def order_with_last(axes: Sequence[int], rank: int) -> Order | None:
    """The order of a sample's axes that puts some behind the others; None where they stand there.

    Args:
        axes: their numbers in the sample, from 0, rising.
        rank: the number of the sample's axes.
    """
    order = (*(axis for axis in range(rank) if axis not in axes), *axes)
    return None if order == tuple(range(rank)) else order


def inverse(order: Order | None) -> Order | None:
    """The order that undoes another one."""
    return None if order is None else tuple(map(int, np.argsort(order)))


def permuted(plan: Plan, x: View, order: Order | None) -> View:
    """Add the launch that puts the axes of each sample in another order; the result, which has no mask.

    There is no launch, and the result is another view, where no element moves: only axes of size 1 do.

    Args:
        plan: gets the launch.
        x: a view with an entry for each row.
        order: the numbers of its axes, from 0, in the new order; None for ``x`` itself.
    """
    if order is None:
        return x
    index = np.arange(x.width, dtype=np.int32).reshape(x.shape).transpose(order)
    flat = index.ravel()
    if (flat[1:] > flat[:-1]).all():
        return plan.reshaped(x, index.shape)
    y = plan.buffer(index.shape, x.dtype)
    plan.call(indexed.take, x=plan.reshaped(x, (x.width,)), index=Variable(flat, "index"), y=y.flat)
    y.needs_gradient = x.needs_gradient
    return y
