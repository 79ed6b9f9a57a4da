"""Operations between results, each with its adjoint, as they stand on a tape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fastnet._kernels.templates import elementwise, step_masks
from fastnet.engine.view import View

if TYPE_CHECKING:
    from fastnet.engine.plan import Plan


@dataclass(frozen=True)
class Cast:
    """The same numbers in another dtype."""

    dtype: str
    keeps_values = True

    def forward(self, plan: Plan, x: View) -> View:
        return cast(plan, x, self.dtype)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        return cast(plan, dy, x.dtype)


def cast(plan: Plan, x: View, dtype: str) -> View:
    """Add the launch that converts to a dtype, where it is another one; of indices the mask has the layer's dtype."""
    if x.dtype == dtype:
        return x
    y = View.of(x.shape, dtype, x.buffer.entries)
    plan.call(getattr(elementwise, f"cast_{x.dtype}"), x=x, y=y)
    if x.mask is not None:
        y.mask = cast(plan, x.mask, dtype if dtype.startswith("float") else plan.dtype)
    return y


@dataclass(frozen=True, eq=False)
class Penalty:
    """What a layer adds to the loss.

    Attributes:
        name: of the layer.
        regularizer: gives the number of a view.
        view: what is penalized.
        is_mean: whether the number is divided by the rows of the batch.
    """

    name: str
    regularizer: Any
    view: View
    is_mean: bool = True


@dataclass(frozen=True, eq=False)
class Penalized:
    """y = x, whose penalty is added to the loss."""

    regularizer: Any
    adds_gradient: ClassVar = True

    def forward(self, plan: Plan, x: View) -> View:
        return x

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        return self.regularizer.activity_gradient(plan, dy, y)


class Merge:
    """An operation on results of one shape, element by element.

    As in Keras, a step of the result counts if it counts in one of the inputs. If one of them has no mask, the result
    has none.
    """

    keeps_values = False  # whether all numbers of the result are numbers of the inputs

    def forward(self, plan: Plan, *inputs: View) -> View:
        y = self.merge(plan, *inputs)
        y.mask = either_mask(plan, [x.mask for x in inputs])
        return y

    def merge(self, plan: Plan, *inputs: View) -> View:
        """Add the launches of the result."""
        raise NotImplementedError(f"{type(self).__name__} defines no merge(plan, *inputs).")


class Add(Merge):
    """y = a + b + …

    Example:
        >>> plan = extend.Plan(training=False, dtype="float32")
        >>> plan.combine(extend.Add(), plan.buffer((2,)), plan.buffer((2,))).shape
        (2,)
    """

    def merge(self, plan: Plan, *inputs: View) -> View:
        return total(plan, inputs)

    def backward(self, plan: Plan, dy: View, *inputs: View) -> tuple[View, ...]:
        return tuple(dy for _ in inputs[:-1])


class Average(Merge):
    """y = (a + b + …) / n.

    Example:
        >>> plan = extend.Plan(training=False, dtype="float32")
        >>> plan.combine(extend.Average(), plan.buffer((2,)), plan.buffer((2,))).shape
        (2,)
    """

    def merge(self, plan: Plan, *inputs: View) -> View:
        return _scaled(plan, total(plan, inputs), 1 / len(inputs))

    def backward(self, plan: Plan, dy: View, *inputs: View) -> tuple[View, ...]:
        count = len(inputs) - 1
        return (_scaled(plan, dy, 1 / count),) * count


class Multiply(Merge):
    """y = a · b · …, without the factors that a mask leaves out; 0 where all masks leave them out, as in Keras.

    Example:
        >>> plan = extend.Plan(training=False, dtype="float32")
        >>> plan.combine(extend.Multiply(), plan.buffer((2,)), plan.buffer((2,))).shape
        (2,)
    """

    def forward(self, plan: Plan, *inputs: View) -> View:
        y = super().forward(plan, *inputs)
        return _counted(plan, y, y.mask)

    def merge(self, plan: Plan, *inputs: View) -> View:
        return self._product(plan, inputs[0], inputs[1:], inputs[0].mask)

    def backward(self, plan: Plan, dy: View, *inputs: View) -> tuple[View | None, ...]:
        factors, out = inputs[:-1], []
        dy = _counted(plan, dy, inputs[-1].mask)
        for position, factor in enumerate(factors):
            others = [x for i, x in enumerate(factors) if i != position]
            gradient = self._product(plan, dy, others) if factor.needs_gradient else None
            out.append(gradient and _counted(plan, gradient, factor.mask))
        return tuple(out)

    def _product(self, plan: Plan, total: View, factors: Sequence[View], mask: View | None = None) -> View:
        for x in factors:
            y = plan.like(total)
            plan.call(elementwise.multiply, a=total, b=x, counts_a=mask, counts_b=x.mask, y=y)
            total, mask = y, None
        return total


class Maximum(Merge):
    """y = max(a, b, …), from the first one on; where two are equal, each gets half of the gradient, as in JAX.

    As in Keras, elements that a mask leaves out are ignored: if it leaves out one of two, the other is the result.

    Example:
        >>> plan = extend.Plan(training=False, dtype="float32")
        >>> plan.combine(extend.Maximum(), plan.buffer((2,)), plan.buffer((2,))).shape
        (2,)
    """

    keeps_values = True

    def merge(self, plan: Plan, *inputs: View) -> View:
        largest, calls = inputs[0], []
        counts = largest.mask
        for x in inputs[1:]:
            y, operands = plan.like(x), {"a": largest, "b": x, "counts_a": counts, "counts_b": x.mask}
            plan.call(elementwise.maximum, **operands, y=y)
            calls.append(operands)
            largest, counts = y, either_mask(plan, [counts, x.mask])
        plan.save(calls=calls)
        return largest

    def backward(self, plan: Plan, dy: View, *inputs: View) -> tuple[View, ...]:
        out = []
        for operands in reversed(plan.saved("calls")):
            da, db = plan.like(dy), plan.like(dy)
            plan.call(elementwise.maximum_gradient, **operands, dy=dy, da=da, db=db)
            out.append(db)
            dy = da
        return (dy, *reversed(out))


class Concatenate:
    """The inputs side by side along the last axis; each is written in place.

    A step of the result counts where it counts in one of the inputs; all steps of an input without a mask count.

    Example:
        >>> plan = extend.Plan(training=False, dtype="float32")
        >>> plan.combine(extend.Concatenate(), plan.buffer((2,)), plan.buffer((2,))).shape
        (4,)
    """

    keeps_values = True

    def forward(self, plan: Plan, *inputs: View) -> View:
        y = plan.buffer((*inputs[0].shape[:-1], sum(x.shape[-1] for x in inputs)), inputs[0].dtype, inputs[0].per_row)
        for x, part in zip(inputs, _parts(y, inputs), strict=True):
            plan.call(elementwise.copy, x=x, y=part)
        masks = [x.mask for x in inputs]
        known = next((mask for mask in masks if mask is not None), None)
        if known is not None and None in masks:
            y.mask = plan.like(known)
            plan.call(elementwise.fill, y=y.mask, number=1.0)
        else:
            y.mask = either_mask(plan, masks)
        return y

    def backward(self, plan: Plan, dy: View, *inputs: View) -> tuple[View, ...]:
        return tuple(_parts(dy, inputs[:-1]))


def either_mask(plan: Plan, masks: Sequence[View | None]) -> View | None:
    """The mask of the steps that count in one of several masks; None if one of them is None."""
    mask = masks[0]
    for other in masks[1:]:
        if mask is None or other is None:
            return None
        if other is not mask:
            both = plan.like(mask)
            plan.call(step_masks.either, a=mask, b=other, y=both)
            mask = both
    return mask


def _counted(plan: Plan, x: View, mask: View | None) -> View:
    """``x``, with 0 for the steps that the mask leaves out."""
    if mask is None:
        return x
    y = plan.like(x)
    plan.call(step_masks.zero_masked, x=x, mask=mask, y=y)
    y.mask = x.mask
    return y


def _parts(y: View, like: Sequence[View]) -> list[View]:
    parts, start = [], 0
    for x in like:
        parts.append(y.slice(-1, start, start + x.shape[-1]))
        start += x.shape[-1]
    return parts


def total(plan: Plan, inputs: Sequence[View]) -> View:
    """Add the launches that sum inputs in order; their sum."""
    found = inputs[0]
    for x in inputs[1:]:
        y = plan.like(found)
        plan.call(elementwise.add, a=found, b=x, y=y)
        found = y
    return found


def _scaled(plan: Plan, x: View, factor: float) -> View:
    y = plan.like(x)
    plan.call(elementwise.scale, x=x, y=y, factor=factor)
    return y
