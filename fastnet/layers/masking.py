"""A layer that masks steps."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastnet import checks
from fastnet._kernels.templates import step_masks
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.layer import Layer


class Masking(Layer):
    """Leaves out the steps whose features all equal ``mask_value``: y = 0 there, elsewhere y = x.

    A step is an index of every axis but the last: (n, steps, features) has n · steps of them. The mask goes with the
    data through all layers that pass it on (`Layer.supports_masking`). Steps that are left out do not count in the
    loss, in metrics that are means of rows, and in the statistics of `BatchNormalization`.

    Args:
        mask_value: a number. NaN in the data is a value like any other, and never equals it.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: mask_value is not a number, or is NaN, or samples are single numbers.

    Example:
        >>> layers.Masking(mask_value=-1.0)([[[1.0, -1.0], [-1.0, -1.0]]]).tolist()
        [[[1.0, -1.0], [0.0, 0.0]]]
    """

    supports_masking = True
    _ranges: ClassVar = {"mask_value": checks.NO_NAN}

    def __init__(self, mask_value: float = 0.0, **more: Any):
        super().__init__(**more)
        self.mask_value = mask_value

    def sample_output_shape(self, input_shape):
        if not input_shape:
            raise ValueError(f"{self._owner} needs samples with at least one axis, the features; received numbers.")
        return input_shape

    def forward(self, plan: Plan, x: View) -> View:
        y, mask = plan.like(x), plan.buffer(x.shape[:-1])
        plan.call(step_masks.steps_that_count, x=x, mask_value=self.mask_value, mask=mask)
        plan.call(step_masks.zero_masked, x=x, mask=mask, y=y)
        plan.save(mask=mask)
        y.mask = mask
        return y

    def compute_mask(self, plan: Any, x: Any = None, y: View | None = None) -> Any:
        return super().compute_mask(plan, x) if y is None else y.mask

    def mask_of_arrays(self, inputs: Any, previous_mask: Any) -> np.ndarray:
        return (np.asarray(inputs) != self.mask_value).any(axis=-1)

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        dx = plan.like(x)
        plan.call(step_masks.zero_masked, x=dy, mask=plan.saved("mask"), y=dx)
        return dx
