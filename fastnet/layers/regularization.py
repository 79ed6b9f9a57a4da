"""Dropout."""

from __future__ import annotations

from typing import Any

from fastnet._kernels import abi
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import dropout
from fastnet.engine.plan import Buffer, Plan, Slot
from fastnet.layers.base import Layer


class Dropout(Layer):
    """Sets a share of the elements to 0 while training, and divides the others by (1 - rate).

    The mask follows from (seed, step, layer, element) alone: it is the same on any number of threads and on any device,
    and is drawn again for the backward pass instead of being kept.  Srivastava et al. 2014.

    Args:
        rate: the share, 0 <= rate < 1.
        noise_shape: only None: every element has a draw of its own.
        seed: for a mask that does not follow from the model's seed.
        **more: ``name``, ``dtype``, ``input_shape``.

    Raises:
        ValueError: a rate outside [0, 1).
    """

    def __init__(self, rate: float, noise_shape: None = None, seed: int | None = None, **more: Any):
        super().__init__(**more)
        owner = f"Layer {self.name!r} (Dropout)"
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
            raise ValueError(f"{owner}: rate must be at least 0 and below 1, received {rate!r}.")
        if noise_shape is not None:
            raise ValueError(f"{owner}: noise_shape is not supported, received {noise_shape!r}; leave it out.")
        if seed is not None and (not isinstance(seed, int) or not 0 <= seed < 2**31):
            raise ValueError(f"{owner}: seed must be an integer from 0 to 2**31 - 1, received {seed!r}.")
        self.rate, self.seed = float(rate), seed

    def forward(self, plan: Plan, x: Buffer) -> Buffer:
        if not plan.training or self.rate == 0:
            return x
        plan.layer_count += 1
        # A layer's own seed takes the place of its number: numbers stay below 2**31.
        plan.keep(self, stream=plan.layer_count if self.seed is None else self.seed + 2**31)
        y = plan.buffer(x.shape, self.dtype, needs_gradient=x.needs_gradient)
        self._launch(plan, x, y)
        return y

    def backward(self, plan: Plan, dy: Buffer, x: Buffer, y: Buffer) -> Buffer | None:
        if x is y:
            return dy
        if not x.needs_gradient:
            return None
        dx = plan.buffer(x.shape, self.dtype)
        self._launch(plan, dy, dx)
        return dx

    def _launch(self, plan: Plan, x: Buffer, y: Buffer) -> None:
        plan.elements(
            Kernel(dropout.dropout, dtype=self.dtype),
            x,
            700,
            x=x,
            y=y,
            seed=Slot(abi.SEED),
            iteration=Slot(abi.ITERATION),
            layer=plan.recall(self, "stream"),
            threshold=round(self.rate * 2**32),
            scale=1 / (1 - self.rate),
        )
