"""Gaussian blur of images at random in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import blurs, colours
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.augmentation import Augmentation, bounds, factor
from fastnet.layers.random_colours import checked_range


def _kernel_size(what: str, value: Any) -> Any:
    """An odd number, or a pair of them."""
    pair = value if isinstance(value, (list, tuple)) else (value, value)
    if len(pair) != 2 or not all(checks.is_integer(size) and size > 0 and size % 2 for size in pair):
        raise ValueError(f"{what} must be an odd number or a pair (width, height) of them, received {quoted(value)}.")
    return int(value) if checks.is_integer(value) else tuple(map(int, pair))


class RandomGaussianBlur(Augmentation):
    """Blurs some of the images in training.

    A blurred pixel is the mean of those around it, weighted by exp(-d² / 2 s²) of their distances d in each direction;
    beyond the image lie zeros. The result is cut to the range of values.

    Args:
        factor: the chance that an image is blurred, drawn from [lower, upper) for a pair (lower, upper) between 0 and
            1; a number f stands for (0, f).
        kernel_size: how many pixels are weighted along a row and along a column: an odd number, or a pair (width,
            height) of them.
        sigma: s, drawn from [lower, upper) for each image and direction; a number f stands for (0, f).
        value_range: (low, high), the range of the values.
        data_format: None or "channels_last".
        seed: of its draws, which then do not follow from the model's seed.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: factor or sigma is not between 0 and 1, kernel_size is not odd, value_range is not a pair of
            numbers, or samples are not images (height, width, channels).

    Example:
        >>> point = np.array([0.0, 9.0, 0.0]).reshape(1, 3, 1)
        >>> blur = layers.RandomGaussianBlur((1.0, 1.0), sigma=(1.0, 1.0), dtype="float64")
        >>> blur(point).ravel().round(2).tolist()
        [1.11, 1.84, 1.11]
    """

    factor: Any
    kernel_size: Any
    sigma: Any
    value_range: tuple[float, float]
    _fixed: ClassVar[tuple[str, ...]] = ("seed", "data_format", "kernel_size")
    _checks: ClassVar = {
        **Augmentation._checks,
        "factor": factor(0, 1),
        "sigma": factor(0, 1),
        "kernel_size": _kernel_size,
        "value_range": checked_range,
    }

    def __init__(
        self,
        factor: Any = 1.0,
        kernel_size: Any = 3,
        sigma: Any = 1.0,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **more: Any,
    ):
        super().__init__(seed=seed, data_format=data_format, **more)
        self.factor, self.kernel_size, self.sigma = factor, kernel_size, sigma
        self.value_range = value_range  # type: ignore[assignment]

    def _draw(self, plan: Plan, x: View, drawn_from: dict[str, Any]) -> View:
        across, down = self._sizes()
        weights = plan.buffer((across + down,))
        (least, most), (narrow, broad) = bounds(self.factor, 0.0), bounds(self.sigma, 0.0)
        plan.call(
            blurs.draw_blurs, weights=weights, least=least, most=most, narrow=narrow, broad=broad, across=across,
            **drawn_from,
        )  # fmt: skip
        return weights

    def _sizes(self) -> tuple[int, int]:
        """Pixels along a row and along a column."""
        return self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size, self.kernel_size)

    def _act(self, plan: Plan, x: View, drawn: View, y: View) -> None:
        blurred = plan.like(y)
        self._blur(plan, x, drawn, blurred)
        lower, upper = self.value_range
        plan.call(colours.brighten, x=blurred.flat, y=y.flat, lower=lower, upper=upper)

    def _go_back(self, plan: Plan, dy: View, drawn: View, y: View, dx: View) -> None:
        # The weights are the same to the left and to the right: the blur is its own transpose.
        inside = plan.like(y)
        lower, upper = self.value_range
        plan.call(colours.within, y=y, dy=dy, dx=inside, lower=lower, upper=upper)
        self._blur(plan, inside, drawn, dx)

    def _blur(self, plan: Plan, x: View, weights: View, y: View) -> None:
        height, width, channels = x.shape
        across, down = self._sizes()
        along_rows = plan.like(y)
        plan.call(
            blurs.blur, x=plan.reshaped(x, (x.width,)), weights=weights, y=along_rows.flat, first=0, count_of=across,
            outer=height, length=width, inner=channels,
        )  # fmt: skip
        plan.call(
            blurs.blur, x=along_rows.flat, weights=weights, y=y.flat, first=across, count_of=down, outer=1,
            length=height, inner=width * channels,
        )  # fmt: skip
