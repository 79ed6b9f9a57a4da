"""Categories as rows of zeros and ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.templates import one_hot
from fastnet.arrays import as_array
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.layer import Layer
from fastnet.layers.refused_arguments import refuse


class CategoryEncoding(Layer):
    """Integers from 0 to num_tokens - 1 as rows of num_tokens entries.

    With "one_hot" each number i becomes a row that is 1 at i and 0 elsewhere. With "multi_hot" a sample (n,) becomes
    one row that is 1 at each of its numbers. With "count" this row counts each number.

    Data are checked before anything runs. If other layers compute the numbers, fractions are cut off, and a number out
    of range makes its row NaN, which training reports.

    Args:
        num_tokens: the number of different integers, at most 16,777,216.
        output_mode: "one_hot", "multi_hot" or "count".
        sparse: must be False: rows are dense.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    The result of "one_hot" has one more axis than the sample, (..., n) → (..., n, num_tokens), unless its last one has
    one entry, (..., 1) → (..., num_tokens). The others take samples (n,).

    Raises:
        ValueError: num_tokens is missing, output_mode is unknown, the mode does not take samples of this shape, data
            are not integers or out of range, or trained layers precede it: gradients do not pass through it.

    Example:
        >>> layers.CategoryEncoding(4, output_mode="count")([[0, 1], [2, 2]]).tolist()
        [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]]
    """

    passes_gradient = False
    _fixed = ("num_tokens", "output_mode", "sparse")

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **more: Any
    ):
        super().__init__(**more)
        refuse(self._owner, sparse=sparse)
        # float32 holds all of these integers, and data become float32.
        self.num_tokens = checks.integer(f"{self._owner}: num_tokens", num_tokens, 1, 2**24)
        self.output_mode = checks.one_of(f"{self._owner}: output_mode", output_mode, "one_hot", "multi_hot", "count")
        self.sparse = False

    def sample_output_shape(self, input_shape):
        if self.output_mode == "one_hot":
            leading = input_shape[:-1] if input_shape[-1:] == (1,) else input_shape
            return (*leading, self.num_tokens)
        if len(input_shape) != 1:
            raise ValueError(
                f"{self._owner} with output_mode={self.output_mode!r} takes samples of one axis, (n,); received "
                f"samples of shape {input_shape}. Put Flatten() or Reshape((-1,)) before it, or use 'one_hot'."
            )
        return (self.num_tokens,)

    def check_data(self, x: np.ndarray) -> None:
        """Check that data are integers in the range.

        Raises:
            ValueError: a number is not; the error names the first one.
        """
        if not x.size or (x.dtype.kind in "iub" and x.min() >= 0 and x.max() < self.num_tokens):
            return
        good = (x >= 0) & (x < self.num_tokens)
        if x.dtype.kind == "f":
            good &= x == np.floor(x)
        if not good.all():
            index = tuple(np.argwhere(~good)[0])
            raise ValueError(
                f"{self._owner} encodes whole numbers from 0 to {self.num_tokens - 1} (num_tokens={self.num_tokens}); "
                f"received {x[index]} in row {index[0]} of x."
            )

    def forward(self, plan: Plan, x: View) -> View:
        if x.needs_gradient:
            raise ValueError(
                f"{self._owner} passes no gradient on, so that layers before it cannot be trained; set their "
                "trainable=False, or put it first."
            )
        y = plan.buffer(self.sample_output_shape(x.shape), self.dtype)
        samples = y.width // self.num_tokens
        tokens = plan.reshaped(x, (samples, x.width // samples))
        rows = y.view((samples, self.num_tokens))
        counted = float(self.output_mode == "count")
        plan.call(one_hot.encode, x=tokens, y=rows, counted=counted, outside=math.nan)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> None:
        """Raise, since integers do not have gradients."""

    def __call__(  # type: ignore[override]
        self, inputs: Any, count_weights: None = None, training: bool | None = None, mask: Any = None
    ) -> np.ndarray:
        """The result of the layer for these numbers.

        Args:
            inputs: (n, ...), integers; as in Keras a number, or with "multi_hot" and "count" (n,), is one sample.
            count_weights: must be None.
            training, mask: accepted, without effect.
        """
        refuse(self._owner, count_weights=count_weights)
        numbers = as_array(inputs, f"{self._owner}: inputs")
        if numbers.ndim == 0:
            rows = super().__call__(numbers.reshape(1, 1))
            return rows if self.output_mode == "one_hot" else rows[0]
        if numbers.ndim == 1 and self.output_mode != "one_hot":
            return super().__call__(numbers[None])[0]
        return super().__call__(numbers)
