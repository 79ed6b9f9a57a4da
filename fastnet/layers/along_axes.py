"""Layers that work along some axes of a sample, whichever these are."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet.engine.axes import inverse, order_with_last, permuted
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.layer import Layer


class AlongAxes(Layer):
    """A layer whose launches work along the last axes; other axes are put last before them, and back behind them.

    The last axes cost nothing more; other ones cost a permutation before and one behind the launches, in each
    direction. A subclass defines `forward_along` and `backward_along`.
    """

    axis: Any  # as in Keras, with the batch as axis 0; one, or a list of several

    @property
    def reads_vectors(self) -> bool:  # type: ignore[override]
        """Along the last axis only."""
        return self.axis in (-1, [-1])

    def axes_of(self, shape: tuple[int, ...]) -> list[int]:
        """The numbers of its axes in samples of this shape, from 0, rising.

        Raises:
            ValueError: samples lack one of them.
        """
        return checks.sample_axes(f"{self._owner}: axis", self.axis, shape)

    def sizes_along(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The sizes of its axes in samples of this shape."""
        return tuple(shape[axis] for axis in self.axes_of(shape))

    def forward_along(self, plan: Plan, x: View) -> View:
        """Add the launches that compute y from x, whose last axes are those of the layer."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward_along(plan, x).")

    def backward_along(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        """Add the launches of the gradients; the views' last axes are those of the layer."""
        raise NotImplementedError(f"{type(self).__name__} defines no backward_along(plan, dy, x, y).")

    def forward(self, plan: Plan, x: View) -> View:
        order = order_with_last(self.axes_of(x.shape), len(x.shape))
        moved = permuted(plan, x, order)
        result = self.forward_along(plan, moved)
        plan.save(order=order, moved=moved, result=result)
        return permuted(plan, result, inverse(order))

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        order = plan.saved("order")
        dx = self.backward_along(plan, permuted(plan, dy, order), plan.saved("moved"), plan.saved("result"))
        return None if dx is None else permuted(plan, dx, inverse(order))
