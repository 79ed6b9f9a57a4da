"""Windows of images: for each index of a result the indices of the input that it reads, along each axis.

Pooling, its gradients, repetition and resizing are sums over such windows; the loops are those of `templates.pooling`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet._kernels.template import Template
from fastnet._kernels.window import axis_positions
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View

#: Windows of more pixels are not written out: their kernels would be long, and each size has one of its own.
MOST_WRITTEN_OUT = 9


@dataclass(frozen=True, eq=False)
class AxisWindows:
    """Windows along one axis, which begin and end in rising order.

    Attributes:
        start, stop: (outputs,): a window is ``start`` to ``stop``, which is not in it.
        inputs: the size of the axis that is read.
        weights: (outputs, longest) float64: the factor of each index in its window; None where they are 1.
    """

    start: np.ndarray
    stop: np.ndarray
    inputs: int
    weights: np.ndarray | None = None

    @classmethod
    def of_pool(cls, inputs: int, window: int, stride: int, same: bool) -> AxisWindows:
        """Windows of one size, ``stride`` apart; with ``same`` padding, which is not in them, at each stride."""
        outputs, before = axis_positions(inputs, window, stride, "same" if same else "valid")
        start = np.arange(outputs) * stride - before
        return cls(start.clip(0), (start + window).clip(max=inputs), inputs)

    @classmethod
    def adaptive(cls, inputs: int, outputs: int) -> AxisWindows:
        """``outputs`` windows that cover the axis: from floor(i n / outputs) to ceil((i + 1) n / outputs)."""
        index = np.arange(outputs)
        return cls(index * inputs // outputs, -(-(index + 1) * inputs // outputs), inputs)

    @classmethod
    def of_single(cls, source: np.ndarray, inputs: int) -> AxisWindows:
        """Windows of one index each."""
        return cls(source, source + 1, inputs)

    @property
    def outputs(self) -> int:
        return len(self.start)

    @functools.cached_property
    def longest(self) -> int:
        return int((self.stop - self.start).max(initial=0))

    @property
    def tiled(self) -> bool:
        """Whether each window begins where the one before it ends, the first one at 0."""
        return bool(self.start[0] == 0 and (self.start[1:] == self.stop[:-1]).all())

    @property
    def averaging(self) -> AxisWindows:
        """The same windows, whose weights are 1 over their sizes."""
        sizes = self.stop - self.start
        return AxisWindows(self.start, self.stop, self.inputs, np.repeat(1 / sizes[:, None], self.longest, axis=1))

    @functools.cached_property
    def transposed(self) -> AxisWindows:
        """For each index of the input the results that read it, with the same weights."""
        index = np.arange(self.inputs)
        first = np.searchsorted(self.stop, index, "right")
        last = np.maximum(np.searchsorted(self.start, index, "right"), first)
        found = AxisWindows(first, last, self.outputs)
        if self.weights is None:
            return found
        reader = first[:, None] + np.arange(max(found.longest, 1))
        inside = reader < last[:, None]
        reader = np.where(inside, reader, 0)
        place = np.where(inside, index[:, None] - self.start[reader], 0)
        return AxisWindows(first, last, self.outputs, np.where(inside, self.weights[reader, place], 0.0))

    def table(self) -> Variable:
        """(outputs, 2) int32: where windows begin and end."""
        return Variable(np.stack([self.start, self.stop], axis=1).astype(np.int32), "windows", trainable=False)

    def weight_table(self, dtype: str) -> Variable:
        weights = np.ones((self.outputs, max(self.longest, 1))) if self.weights is None else self.weights
        return Variable(weights.astype(dtype), "weights", trainable=False)


class ImageWindows:
    """Windows of depth, height and width; images of fewer axes have the size 1 along the first ones.

    Args:
        axes: those of a layer's one, two or three axes.
    """

    def __init__(self, axes: Sequence[AxisWindows]):
        one = [AxisWindows.of_single(np.zeros(1, int), 1)] * (3 - len(axes))
        self.axes: tuple[AxisWindows, ...] = (*one, *axes)

    @property
    def inputs(self) -> tuple[int, ...]:
        return tuple(axis.inputs for axis in self.axes)

    @property
    def outputs(self) -> tuple[int, ...]:
        return tuple(axis.outputs for axis in self.axes)

    @property
    def longest(self) -> tuple[int, ...]:
        """The sizes of the largest window."""
        return tuple(axis.longest for axis in self.axes)

    @property
    def pixels(self) -> int:
        """The pixels of the largest window."""
        return math.prod(self.longest)

    @property
    def tiled(self) -> bool:
        """Whether the windows follow each other along all axes."""
        return all(axis.tiled for axis in self.axes)

    @functools.cached_property
    def transposed(self) -> ImageWindows:
        return ImageWindows([axis.transposed for axis in self.axes])

    @property
    def averaging(self) -> ImageWindows:
        return ImageWindows([axis.averaging for axis in self.axes])

    @functools.cached_property
    def tables(self) -> dict[str, Variable]:
        """Operands of templates: where the windows along each axis begin and end."""
        return dict(zip(("depths", "heights", "widths"), (axis.table() for axis in self.axes)))

    def written_out(self, template: Template, **constants: int) -> Template:
        """A template whose kernel has the sizes of the windows as constants, where they are small, and other ones."""
        sizes = self.longest if self.pixels <= MOST_WRITTEN_OUT else (0, 0, 0)
        return template.having(**dict(zip(("DEPTH", "HEIGHT", "WIDTH"), sizes)), **constants)

    def rows_of_input(self, plan: Plan, x: View) -> View:
        """Images as their rows, all columns and channels of each in one."""
        return _rows(plan, x, self.inputs)

    def rows_of_output(self, plan: Plan, y: View) -> View:
        """Results as their rows."""
        return _rows(plan, y, self.outputs)

    def weight_tables(self, dtype: str) -> dict[str, Variable]:
        """Operands of `templates.pooling.window_sums`; none where all weights are 1."""
        if all(axis.weights is None for axis in self.axes):
            return {}
        names = ("depth_weights", "height_weights", "width_weights")
        return {name: axis.weight_table(dtype) for name, axis in zip(names, self.axes)}


def _rows(plan: Plan, x: View, sizes: tuple[int, ...]) -> View:
    depth, height, width = sizes
    return plan.reshaped(x, (depth * height, width * channels_of(x, sizes)))


def channels_of(x: View, sizes: Sequence[Any]) -> int:
    """The channels of images of these sizes."""
    return x.width // math.prod(sizes)
