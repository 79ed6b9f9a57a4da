"""Layers that act only in training: dropout, noise, a penalty on activities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import elementwise, random_bits
from fastnet.engine.draws import draws
from fastnet.engine.index_map import IndexMap
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.layer import Layer
from fastnet.regularizers import L1L2


class _Noise(Layer):
    """A layer whose noise follows only from (seed, step, layer, element).

    The noise is the same on any number of threads and on any device. It is drawn once, into a buffer; forward and
    backward read it in formulas that are joined to the launch in front of them.
    """

    supports_masking = True
    seed: int | None
    _fixed = ("seed", "noise_shape")

    @property
    def strength(self) -> float:
        """0 where nothing is done."""
        raise NotImplementedError

    def _check_seed(self, seed: Any) -> int | None:
        return checks.seed(f"{self._owner}: seed", seed, 2**31 - 1)

    def forward(self, plan: Plan, x: View) -> View:
        if not plan.training or self.strength == 0:
            plan.save(noise=None)
            return x
        noise = self._draw(plan, x, draws(plan, self.seed))
        plan.save(noise=noise)
        y = plan.like(x)
        self._act(plan, x, noise, y, backward=False)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        noise = plan.saved("noise")
        if noise is None or not x.needs_gradient:
            return dy if noise is None else None
        dx = plan.like(x)
        self._act(plan, dy, noise, dx, backward=True)
        return dx

    def _draw(self, plan: Plan, x: View, draws: dict[str, Any]) -> View:
        """Add the launch that draws the noise of ``x``."""
        raise NotImplementedError

    def _act(self, plan: Plan, x: View, noise: View, y: View, backward: bool) -> None:
        """Add the launch of the formula, or of its gradient."""
        raise NotImplementedError


class Dropout(_Noise):
    """Sets a share of the elements to 0 in training, and divides the others by (1 - rate).

    The mask follows only from (seed, step, layer, element); Srivastava et al. 2014. Without ``noise_shape`` the share
    is rounded to a multiple of 1/65,536.

    Args:
        rate: the share, 0 <= rate < 1.
        noise_shape: shape of the mask, with the batch first. Along an axis of size 1 the mask is the same; None is the
            axis's own size. By default each element has its own draw.
        seed: of its mask, which then does not follow from the model's seed.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: rate is outside [0, 1), or noise_shape does not fit the sample.

    Example:
        >>> from fastnet import layers
        >>> layer = layers.Dropout(0.2, noise_shape=(None, 1, 8))  # the same for all steps of a sequence
    """

    _ranges: ClassVar = {"rate": checks.UNIT}

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **more: Any
    ):
        super().__init__(**more)
        self.rate = rate
        self.noise_shape = self._check_noise_shape(noise_shape)
        self.seed = self._check_seed(seed)

    @property
    def strength(self) -> float:
        return self.rate

    def sample_output_shape(self, input_shape):
        sizes = (self.noise_shape or (None,))[1:]
        fits = len(sizes) == len(input_shape) and all(s in (None, 1, n) for s, n in zip(sizes, input_shape))
        if self.noise_shape is not None and not fits:
            raise ValueError(
                f"{self._owner}: noise_shape names the batch and {len(input_shape)} more "
                f"axes, each None, 1 or the size of the sample {input_shape}; received {self.noise_shape}."
            )
        return input_shape

    def _check_noise_shape(self, shape: Any) -> tuple[int | None, ...] | None:
        if shape is None:
            return None
        sizes = tuple(shape) if isinstance(shape, (list, tuple)) else ("?",)
        if not sizes or not all(s is None or (checks.is_integer(s) and s > 0) for s in sizes):
            raise ValueError(
                f"{self._owner}: noise_shape must be a tuple of positive sizes or None, received {quoted(shape)}."
            )
        return tuple(s if s is None else int(s) for s in sizes)

    def _scalars(self, backward: bool) -> dict[str, float]:
        """The numbers of the formula: of elements that stay, and of those that are dropped."""
        return {"factor": 1 / (1 - self.rate), "offset": 0.0, "dropped": 0.0}

    def _draw(self, plan: Plan, x: View, draws: dict[str, Any]) -> View:
        keep = plan.buffer(x.shape, "uint8")
        if self.noise_shape is None:
            threshold = min(round(self.rate * 2**16), 2**16 - 1)
            plan.call(random_bits.draw_mask, keep=keep, threshold=threshold, **draws)
            return keep
        index_map = IndexMap.shared(x.shape, [a for a, size in enumerate(self.noise_shape[1:]) if size == 1])
        count = 0 if self.noise_shape[0] == 1 else len(index_map.members)
        threshold = min(round(self.rate * 2**32), 2**32 - 1)
        plan.call(
            random_bits.draw_shared_mask,
            keep=keep.flat,
            index=index_map.index,
            threshold=threshold,
            row_draws=count,
            **draws,
        )
        return keep

    def _act(self, plan: Plan, x: View, noise: View, y: View, backward: bool) -> None:
        plan.call(elementwise.keep_or_drop, x=x, keep=noise, y=y, **self._scalars(backward))


class AlphaDropout(Dropout):
    """Sets a share of the elements to selu's lowest value in training, and keeps mean and variance.

    y = a x + b for elements that stay, a α' + b for others; α' = -1.7581, a = 1 / sqrt((1 - rate)(1 + rate α'²)),
    b = -a α' rate.  Klambauer et al. 2017, arXiv:1706.02515, section 3.

    Args:
        rate, noise_shape, seed: see `Dropout`.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Example:
        >>> layers.AlphaDropout(0.1)([[1.0, 2.0]]).tolist()  # without training=True: as it is
        [[1.0, 2.0]]
    """

    def _scalars(self, backward: bool) -> dict[str, float]:
        lowest = -1.6732632423543772 * 1.0507009873554805
        a = ((1 - self.rate) * (1 + self.rate * lowest**2)) ** -0.5
        if backward:
            return {"factor": a, "offset": 0.0, "dropped": 0.0}
        return {"factor": a, "offset": -a * lowest * self.rate, "dropped": a * lowest * (1 - self.rate)}


class _Gaussian(_Noise):
    """A formula of x, a standard normal number and the layer's strength."""

    _formula: Any

    def _draw(self, plan: Plan, x: View, draws: dict[str, Any]) -> View:
        noise = plan.like(x)
        plan.call(random_bits.draw_normal, noise=noise, **draws)
        return noise

    def _act(self, plan: Plan, x: View, noise: View, y: View, backward: bool) -> None:
        plan.call(self._formula, x=x, noise=noise, y=y, strength=self.strength)


class GaussianNoise(_Gaussian):
    """y = x + stddev n while training, n standard normal.

    Args:
        stddev: standard deviation of the noise, from 0 to 1.
        seed: of its noise, which then does not follow from the model's seed.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: stddev is outside [0, 1].

    Example:
        >>> layers.GaussianNoise(0.1)([[1.0, 2.0]]).tolist()  # without training=True: as it is
        [[1.0, 2.0]]
    """

    _formula = elementwise.add_noise
    _ranges: ClassVar = {"stddev": checks.CLOSED_UNIT}

    def __init__(self, stddev: float, seed: int | None = None, **more: Any):
        super().__init__(**more)
        self.stddev = stddev
        self.seed = self._check_seed(seed)

    @property
    def strength(self) -> float:
        return self.stddev

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        return dy


class GaussianDropout(_Gaussian):
    """y = x (1 + sqrt(rate / (1 - rate)) n) while training, n standard normal; Srivastava et al. 2014, section 10.

    Args:
        rate: 0 <= rate < 1: the noise has the variance of `Dropout`'s.
        seed: of its noise, which then does not follow from the model's seed.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: rate is outside [0, 1).

    Example:
        >>> layers.GaussianDropout(0.1)([[1.0, 2.0]]).tolist()  # without training=True: as it is
        [[1.0, 2.0]]
    """

    _formula = elementwise.multiply_noise
    _ranges: ClassVar = {"rate": checks.UNIT}

    def __init__(self, rate: float, seed: int | None = None, **more: Any):
        super().__init__(**more)
        self.rate = rate
        self.seed = self._check_seed(seed)

    @property
    def strength(self) -> float:
        return math.sqrt(self.rate / (1 - self.rate))


class ActivityRegularization(Layer):
    """Passes x on and adds l1 Σ|x| + l2 Σx², divided by the rows of the batch, to the loss.

    Args:
        l1: factor of the sum of absolute values.
        l2: factor of the sum of squares.
        **more: ``name``, ``dtype``, ``input_shape``.

    Raises:
        ValueError: a factor is not a finite number of at least 0.

    Example:
        >>> layer = layers.ActivityRegularization(l2=0.01)
        >>> layer([[1.0, 2.0]]).tolist()
        [[1.0, 2.0]]
    """

    supports_masking = True
    _fixed = ("l1", "l2")
    _ranges: ClassVar = {"l1": checks.NOT_NEGATIVE, "l2": checks.NOT_NEGATIVE}

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **more: Any):
        super().__init__(**more)
        self.l1, self.l2 = l1, l2
        self.activity_regularizer = L1L2(self.l1, self.l2)

    def forward(self, plan: Plan, x: View) -> View:
        return x

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View:
        return dy

    def get_config(self) -> dict[str, Any]:
        """``l1`` and ``l2`` with the arguments of every layer."""
        config = super().get_config()
        del config["activity_regularizer"]
        return config
