"""Layers that change the brightness and the contrast of images at random in training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import colours
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.augmentation import Augmentation, bounds, factor


def checked_range(what: str, value: Any) -> tuple[float, float]:
    """A pair of numbers, the smaller one first."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError(f"{what} must be a pair of numbers such as (0, 255), received {quoted(value)}.")
    lower, upper = sorted(checks.number(f"{what}: a bound", bound) for bound in value)
    return lower, upper


class _Colour(Augmentation):
    """A layer that draws a number for each image, and cuts its result to the range of values."""

    factor: Any
    value_range: tuple[float, float]

    def _limits(self) -> dict[str, float]:
        return dict(zip(("lower", "upper"), self.value_range))

    def _number_bounds(self) -> tuple[float, float]:
        """The bounds of the number that is drawn."""
        raise NotImplementedError

    def _draw(self, plan: Plan, x: View, drawn_from: dict[str, Any]) -> View:
        drawn = plan.buffer(())
        lower, upper = self._number_bounds()
        plan.call(colours.draw_uniform, numbers=drawn, lower=lower, upper=upper, **drawn_from)
        return drawn


class RandomBrightness(_Colour):
    """Adds a random number to all values of an image in training.

    y = min(max(x + f (high - low), low), high).

    Args:
        factor: f, drawn from [lower, upper) for a pair (lower, upper) between -1 and 1; a number f stands for (-f, f).
        value_range: (low, high), the range of the values.
        seed: of its draws, which then do not follow from the model's seed.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: factor is out of its range, value_range is not a pair of numbers, or samples are not images.

    Example:
        >>> layers.RandomBrightness((0.5, 0.5), value_range=(0, 1))(np.array([0.25, 0.75]).reshape(1, 1, 2)).tolist()
        [[[0.75, 1.0]]]
    """

    _checks: ClassVar = {**Augmentation._checks, "factor": factor(-1, 1), "value_range": checked_range}

    def __init__(self, factor: Any, value_range: Sequence[float] = (0, 255), seed: int | None = None, **more: Any):
        super().__init__(seed=seed, **more)
        self.factor, self.value_range = factor, value_range  # type: ignore[assignment]

    def _number_bounds(self) -> tuple[float, float]:
        low, high = self.value_range
        lower, upper = bounds(self.factor)
        return lower * (high - low), upper * (high - low)

    def _act(self, plan: Plan, x: View, drawn: View, y: View) -> None:
        flat = plan.reshaped(x, (x.width,))
        plan.call(colours.brighten, x=flat, delta=drawn, y=y.flat, **self._limits())

    def _go_back(self, plan: Plan, dy: View, drawn: View, y: View, dx: View) -> None:
        plan.call(colours.within, y=y, dy=dy, dx=dx, **self._limits())


class RandomContrast(_Colour):
    """Changes the distances of an image's values from their mean in training, by a random factor.

    y = min(max((x - m) f + m, low), high), where m is the mean of the image's channel.

    Args:
        factor: f is drawn from [1 - lower, 1 + upper) for a pair (lower, upper) between 0 and 1. As in Keras a number u
            stands for (0, u): the contrast only grows. (u, u) takes both directions.
        value_range: (low, high), the range of the values.
        seed: of its draws, which then do not follow from the model's seed.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: factor is out of its range, value_range is not a pair of numbers, or samples are not images.

    Example:
        >>> image = np.array([10.0, 30.0]).reshape(1, 2, 1)
        >>> layers.RandomContrast((0.0, 0.0))(image).ravel().tolist()
        [10.0, 30.0]
    """

    _checks: ClassVar = {**Augmentation._checks, "factor": factor(0, 1), "value_range": checked_range}

    def __init__(self, factor: Any, value_range: Sequence[float] = (0, 255), seed: int | None = None, **more: Any):
        super().__init__(seed=seed, **more)
        self.factor, self.value_range = factor, value_range  # type: ignore[assignment]

    def _number_bounds(self) -> tuple[float, float]:
        lower, upper = bounds(self.factor, 0.0)
        return 1 - lower, 1 + upper

    def _act(self, plan: Plan, x: View, drawn: View, y: View) -> None:
        self._spread(plan, x, drawn, y, **self._limits())

    def _go_back(self, plan: Plan, dy: View, drawn: View, y: View, dx: View) -> None:
        # The gradient of (x - m) f + m by x is its own: (g - mean of g) f + mean of g.
        inside = plan.like(y)
        plan.call(colours.within, y=y, dy=dy, dx=inside, **self._limits())
        self._spread(plan, inside, drawn, dx, lower=-math.inf, upper=math.inf)

    def _spread(self, plan: Plan, x: View, drawn: View, y: View, **limits: float) -> None:
        height, width, channels = x.shape
        flat, means = plan.reshaped(x, (x.width,)), plan.buffer((channels,))
        plan.call(colours.channel_means, x=flat, means=means, height=height, width=width, channels=channels)
        plan.call(
            colours.spread, x=flat, means=means, factor=drawn, y=y.flat, pixels=height * width, channels=channels,
            **limits,
        )  # fmt: skip
