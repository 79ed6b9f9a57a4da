"""Operations between results, each with its adjoint, as they stand on a tape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastnet._kernels.templates import elementwise
from fastnet.engine.view import View

if TYPE_CHECKING:
    from fastnet.engine.plan import Plan


@dataclass(frozen=True)
class Cast:
    """The same numbers in another dtype."""

    dtype: str

    def forward(self, plan: Plan, x: View) -> View:
        return cast(plan, x, self.dtype)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        return cast(plan, dy, x.dtype)


def cast(plan: Plan, x: View, dtype: str) -> View:
    """Add the launch that converts to a dtype, where it is another one."""
    if x.dtype == dtype:
        return x
    y = View.of(x.shape, dtype, x.buffer.entries)
    plan.call(getattr(elementwise, f"cast_{x.dtype}"), x=x, y=y)
    if x.mask is not None:
        y.mask = cast(plan, x.mask, dtype)
    return y


@dataclass(frozen=True, eq=False)
class Penalized:
    """y = x, whose penalty is added to the loss."""

    regularizer: Any

    def forward(self, plan: Plan, x: View) -> View:
        return x

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        return self.regularizer.activity_gradient(plan, dy, y)


class Add:
    """y = a + b + …"""

    def forward(self, plan: Plan, *inputs: View) -> View:
        return fold_pairs(plan, elementwise.add, inputs)

    def backward(self, plan: Plan, dy: View, *inputs: View) -> tuple[View, ...]:
        return tuple(dy for _ in inputs[:-1])


class Average:
    """y = (a + b + …) / n."""

    def forward(self, plan: Plan, *inputs: View) -> View:
        return _scaled(plan, fold_pairs(plan, elementwise.add, inputs), 1 / len(inputs))

    def backward(self, plan: Plan, dy: View, *inputs: View) -> tuple[View, ...]:
        count = len(inputs) - 1
        return (_scaled(plan, dy, 1 / count),) * count


class Multiply:
    """y = a · b · …"""

    def forward(self, plan: Plan, *inputs: View) -> View:
        return fold_pairs(plan, elementwise.multiply, inputs)

    def backward(self, plan: Plan, dy: View, *inputs: View) -> tuple[View, ...]:
        factors, out = inputs[:-1], []
        for position in range(len(factors)):
            others = [x for i, x in enumerate(factors) if i != position]
            out.append(fold_pairs(plan, elementwise.multiply, (dy, *others)))
        return tuple(out)


class Maximum:
    """y = max(a, b, …); the gradient goes to the first of the largest."""

    def forward(self, plan: Plan, *inputs: View) -> View:
        largest = [inputs[0]]
        for x in inputs[1:]:
            y = plan.like(x)
            plan.call(elementwise.maximum, a=largest[-1], b=x, y=y)
            largest.append(y)
        plan.save(largest=largest)
        return largest[-1]

    def backward(self, plan: Plan, dy: View, *inputs: View) -> tuple[View, ...]:
        largest, out = plan.saved("largest"), []
        for position in range(len(inputs) - 2, 0, -1):
            da, db = plan.like(dy), plan.like(dy)
            plan.call(elementwise.maximum_gradient, a=largest[position - 1], b=inputs[position], dy=dy, da=da, db=db)
            out.append(db)
            dy = da
        return (dy, *reversed(out))


class Concatenate:
    """The inputs side by side along the last axis; each is written in place."""

    def forward(self, plan: Plan, *inputs: View) -> View:
        y = plan.buffer((*inputs[0].shape[:-1], sum(x.shape[-1] for x in inputs)), inputs[0].dtype)
        for x, part in zip(inputs, _parts(y, inputs), strict=True):
            plan.call(elementwise.copy, x=x, y=part)
        return y

    def backward(self, plan: Plan, dy: View, *inputs: View) -> tuple[View, ...]:
        return tuple(_parts(dy, inputs[:-1]))


def _parts(y: View, like: Sequence[View]) -> list[View]:
    parts, start = [], 0
    for x in like:
        parts.append(y.slice(-1, start, start + x.shape[-1]))
        start += x.shape[-1]
    return parts


def fold_pairs(plan: Plan, template: Any, inputs: Sequence[View]) -> View:
    """Add the launches that join inputs two by two, from the first one on."""
    total = inputs[0]
    for x in inputs[1:]:
        y = plan.like(total)
        plan.call(template, a=total, b=x, y=y)
        total = y
    return total


def _scaled(plan: Plan, x: View, factor: float) -> View:
    y = plan.like(x)
    plan.call(elementwise.scale, x=x, y=y, factor=factor)
    return y
