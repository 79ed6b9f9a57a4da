"""The axis of a loss or a metric: predictions and targets with this axis last, where rows are read along it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet.engine.axes import Order, inverse, order_with_last, permuted
from fastnet.engine.plan import Plan
from fastnet.engine.view import View


class Along(NamedTuple):
    """Samples of a shape, as rows along an axis.

    Attributes:
        order: of the sample's axes; None where they stay.
        ordered: their sizes in this order.
        shape: the same, with several axes of rows as one, the last.
    """

    order: Order | None
    ordered: tuple[int, ...]
    shape: tuple[int, ...]


class AlongAxis:
    """A loss or a metric that reads rows along an axis of predictions and targets.

    Attributes:
        axis: its number, the batch being axis 0; those of several that are read as one; None for all elements.
        sparse: whether a target is a class, so that targets lack the axis.
    """

    axis: Any = -1
    sparse: Any

    @property
    def row_axis(self) -> Any:
        """The axis along which rows are read."""
        return self.axis

    def along(self, shape: tuple[int, ...]) -> Along:
        """How samples of this shape become rows.

        Raises:
            ValueError: they lack the axis.
        """
        axis = self.row_axis
        if axis is None or axis == -1:
            return Along(None, shape, shape)
        axes = checks.sample_axes(f"{type(self).__name__}: axis", axis, shape)
        order = order_with_last(axes, len(shape))
        ordered = shape if order is None else tuple(shape[a] for a in order)
        count = len(axes)
        return Along(order, ordered, (*ordered[:-count], math.prod(ordered[-count:])))

    def moved(self, plan: Plan, y_pred: View, y_true: View) -> tuple[View, View]:
        """Add the launches that put the axis of predictions and targets last; both as they are, where it is.

        Raises:
            ValueError: predictions lack the axis, or have a mask, which says what counts along the last axis.
        """
        if not self.moves(y_pred.shape):
            return y_pred, y_true
        along = self.along(y_pred.shape)
        if y_pred.mask is not None:
            raise ValueError(
                f"{type(self).__name__}: axis must be the last one, -1, of predictions with a mask, which says of each "
                f"index of the axes before it whether it counts; received {quoted(self.axis)}. Permute the axes before "
                "layers.Masking: layers.Permute."
            )
        views = (y_pred,) if self.sparse else (y_pred, y_true)
        moved = [plan.reshaped(permuted(plan, view, along.order), along.shape) for view in views]
        return moved[0], y_true if self.sparse else moved[1]

    def moved_back(self, plan: Plan, dy: View, shape: tuple[int, ...]) -> View:
        """Add the launch that undoes `moved`, of a gradient by predictions of this shape."""
        if not self.moves(shape):
            return dy
        along = self.along(shape)
        return permuted(plan, plan.reshaped(dy, along.ordered), inverse(along.order))

    def moves(self, shape: tuple[int, ...]) -> bool:
        """Whether samples of this shape are not read as rows along their last axis."""
        along = self.along(shape)
        return along.order is not None or along.shape != shape

    def moved_arrays(self, y_pred: np.ndarray, y_true: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Predictions and targets (n, ...) as `moved` gives them; views if possible.

        Raises:
            ValueError: targets that are rows have another shape than predictions.
        """
        shape = y_pred.shape[1:]
        if self.sparse:
            return self._moved_array(y_pred), self.squeezed(y_true, shape)
        y_true = y_true[..., None] if y_true.shape == y_pred.shape[:-1] and shape[-1] == 1 else y_true
        if y_true.shape[1:] != shape:
            raise ValueError(
                f"{name!r} with axis={quoted(self.axis)} needs targets of the predictions' shape, {y_pred.shape}; "
                f"received {y_true.shape}."
            )
        return self._moved_array(y_pred), self._moved_array(y_true)

    def squeezed(self, labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Labels without the axis, where they have it with size 1, of predictions of this shape a sample."""
        order = self.along(shape).order if self.sparse else None
        if order is None or labels.ndim != len(shape) + 1 or labels.shape[order[-1] + 1] != 1:
            return labels
        return labels.squeeze(order[-1] + 1)

    def _moved_array(self, array: np.ndarray) -> np.ndarray:
        order, _, shape = self.along(array.shape[1:])
        if order is not None:
            array = array.transpose(0, *(a + 1 for a in order))
        return array.reshape(len(array), *shape)


def check_axis(what: str, value: Any) -> int:
    """``value`` as the number of an axis of predictions, the batch being axis 0.

    Raises:
        ValueError: it is not an integer, or it is 0.
    """
    axis = checks.integer(what, value, None)
    if axis == 0:
        raise ValueError(f"{what} must be an axis of a sample, such as 1 or -1; axis 0 is that of the batch.")
    return axis
