"""Products over batches of few rows, cut along k: each thread reads those rows of a weight that it also updates.

The result of few rows is small, and the weight is large. Threads that divide the result by columns all read each row of
the weight. The update divides the weight by rows, and must then take the lines back from the other core. 784x128 with
32 rows and Adam on two cores of Zen 4: the update takes 67 µs, and 47 if no line is shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnet._kernels.chunks import KC, k_blocks
from fastnet._kernels.registry import activations
from fastnet._kernels.templates import elementwise
from fastnet.engine.launch import Launch, Product
from fastnet.engine.variable import Variable
from fastnet.engine.view import View

if TYPE_CHECKING:
    from fastnet.engine.plan import Plan

# More rows cost more sums that are written and read again. Larger weights do not stay in the second-level caches, from
# which no core must then take lines: 784x512 is as fast either way, and 1024x512 loses 3 %.
_ROWS, _WEIGHTS = 64, 2**18  # at most
_COLUMNS = 64  # at least


def splits(plan: Plan, b: View | Variable, c: View) -> bool:
    """Whether the product a b is cut along k, where ``b`` is a weight that this plan updates."""
    if not (plan.training and isinstance(b, Variable) and plan.trains(b) and b.ndim == 2 and c.per_row):
        return False
    k, columns = b.shape
    rows = c.width // max(1, columns) * plan.rows
    count = k_blocks(k)
    uneven = abs(k - count * KC)  # half of it is the difference between the threads' work, for two threads
    return count > 1 and uneven <= k // 8 and columns >= _COLUMNS and b.size <= _WEIGHTS and rows <= _ROWS


def split_product(
    plan: Plan, a: View | Variable, b: View | Variable, c: View, bias: Variable | None, relu: bool
) -> Launch:
    """Append c = a b + bias as the sums of the K-blocks side by side, and their sum in order; the first launch."""
    count = k_blocks(b.shape[0])
    sums = plan.buffer((*c.shape[:-1], count, c.shape[-1]), c.dtype)
    parts = [sums.slice(-2, block, block + 1) for block in range(count)]
    product = plan.append(Product.launch(a, b, sums, split=True))
    total = parts[0]
    for position, part in enumerate(parts[1:], 2):
        y = c if position == count and bias is None and not relu else plan.like(c)
        plan.call(elementwise.add, a=total, b=part, y=y)
        total = y
    if bias is not None:
        y = plan.like(c) if relu else c
        plan.call(elementwise.add_row, x=total, row=bias, y=y)
        total = y
    if relu:
        plan.call(elementwise.apply, f=activations.find("relu").f, x=total, y=c, p=())
    return product
