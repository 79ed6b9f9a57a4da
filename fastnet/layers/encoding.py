"""Categories as rows of zeros and ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.templates import one_hot
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.layer import Layer, refuse

_MODES = ("one_hot", "multi_hot", "count")


class CategoryEncoding(Layer):
    """Whole numbers from 0 to num_tokens - 1 as rows of num_tokens entries.

    With "one_hot" each number i becomes a row that is 1 at i and 0 elsewhere; with "multi_hot" a sample (n,) becomes
    one row, 1 at every number it holds; with "count" that row says how often it holds them.

    Data are looked at before anything runs. Where other layers compute the numbers, their fractions are cut off, and
    one out of range makes its row NaN, which training reports.

    Args:
        num_tokens: how many numbers there are, at most 16,777,216.
        output_mode: "one_hot", "multi_hot" or "count".
        sparse: must be False: rows are dense.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    The result of "one_hot" has one more axis than the sample, (..., n) → (..., n, num_tokens), unless its last one has
    one entry, (..., 1) → (..., num_tokens). The others take samples (n,).

    Raises:
        ValueError: no num_tokens, an unknown output_mode, samples of a shape that the mode does not take, data that are
            no whole numbers or are out of range, trained layers before it: no gradient passes through.

    Example:
        >>> layers.CategoryEncoding(4, output_mode="count")([[0, 1], [2, 2]]).tolist()
        [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]
    """

    _fixed = ("num_tokens", "output_mode", "sparse")

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **more: Any
    ):
        super().__init__(**more)
        refuse(self._owner, sparse=sparse)
        if output_mode not in _MODES:
            raise ValueError(
                f"{self._owner}: output_mode must be one of {', '.join(map(repr, _MODES))}, received {output_mode!r}."
            )
        # All of these are float32 numbers, which data become.
        self.num_tokens = checks.whole(f"{self._owner}: num_tokens", num_tokens, 1, 2**24)
        self.output_mode, self.sparse = output_mode, False

    def sample_output_shape(self, input_shape):
        if self.output_mode == "one_hot":
            kept = input_shape[:-1] if input_shape[-1:] == (1,) else input_shape
            return (*kept, self.num_tokens)
        if len(input_shape) != 1:
            raise ValueError(
                f"{self._owner} with output_mode={self.output_mode!r} takes samples of one axis, (n,); received "
                f"samples of shape {input_shape}. Put Flatten() or Reshape((-1,)) before it, or use 'one_hot'."
            )
        return (self.num_tokens,)

    def check_data(self, x: np.ndarray) -> None:
        """Data are whole numbers of the range.

        Raises:
            ValueError: one is not; tells the first one.
        """
        if not x.size or (x.dtype.kind in "iub" and x.min() >= 0 and x.max() < self.num_tokens):
            return
        good = (x >= 0) & (x < self.num_tokens)
        if x.dtype.kind == "f":
            good &= x == np.floor(x)
        if not good.all():
            place = tuple(np.argwhere(~good)[0])
            raise ValueError(
                f"{self._owner} encodes whole numbers from 0 to {self.num_tokens - 1} (num_tokens={self.num_tokens}); "
                f"received {x[place]} in row {place[0]} of x."
            )

    def forward(self, plan: Plan, x: View) -> View:
        if x.needs_gradient:
            raise ValueError(
                f"{self._owner} passes no gradient on, so that layers before it cannot be trained; set their "
                "trainable=False, or put it first."
            )
        y = plan.buffer(self.sample_output_shape(x.shape), self.dtype)
        samples = y.width // self.num_tokens
        numbers = plan.reshaped(x, (samples, x.width // samples))
        rows = y.view((samples, self.num_tokens))
        counted = float(self.output_mode == "count")
        plan.call(one_hot.encode, x=numbers, y=rows, counted=counted, outside=math.nan)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> None:
        """Whole numbers have no gradient."""

    def __call__(self, x: Any, training: bool | None = None, count_weights: None = None) -> np.ndarray:
        """The result of the layer for these numbers.

        Args:
            x: (n, ...), whole numbers.
            training: must not be True.
            count_weights: must be None.
        """
        refuse(self._owner, count_weights=count_weights)
        return super().__call__(x, training)
