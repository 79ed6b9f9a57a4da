"""Layers that move, turn, zoom and shear images at random in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from fastnet import checks
from fastnet._kernels.rules import transforms
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.augmentation import (
    FILLS,
    Augmentation,
    bounds,
    drawn_transforms,
    factor,
    of_name,
    warp,
    warp_back,
)


class _Warp(Augmentation):
    """A layer that reads images at the places of a transform, which is drawn for each sample."""

    fill_mode: str
    interpolation: str
    fill_value: float
    _fixed: ClassVar[tuple[str, ...]] = ("seed", "data_format", "fill_mode", "interpolation")
    _ranges: ClassVar = {"fill_value": checks.FINITE}
    _checks: ClassVar = {
        **Augmentation._checks,
        "fill_mode": of_name(*FILLS),
        "interpolation": of_name("nearest", "bilinear"),
    }
    _rule: Any  # of `rules.transforms`

    def __init__(self, *, fill_mode: str, interpolation: str, fill_value: float, **more: Any):
        super().__init__(**more)
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation, fill_value

    def _numbers(self, height: int, width: int) -> Sequence[float]:
        """The numbers from which, with those that are drawn, the rule makes a transform."""
        raise NotImplementedError

    def _options(self) -> dict[str, Any]:
        return {
            "fill": FILLS.index(self.fill_mode),
            "nearest": self.interpolation == "nearest",
            "outside": self.fill_value,
        }

    def _draw(self, plan: Plan, x: View, drawn_from: dict[str, Any]) -> View:
        numbers = self._numbers(*x.shape[:2])
        return drawn_transforms(plan, getattr(transforms, self._rule), numbers, drawn_from)

    def _act(self, plan: Plan, x: View, drawn: View, y: View) -> None:
        warp(plan, x, drawn, y, self._options())

    def _go_back(self, plan: Plan, dy: View, drawn: View, y: View, dx: View) -> None:
        warp_back(plan, dy, drawn, dx, self._options())


class RandomTranslation(_Warp):
    """Moves images down and right by random shares of their size in training.

    Args:
        height_factor: the share of the height, drawn from [lower, upper) for a pair (lower, upper) between -1 and 1;
            a number f stands for (-f, f). Negative shares move the image up.
        width_factor: the share of the width.
        fill_mode: what lies outside of the image a b c: "reflect" (b a | a b c | c b), "constant" (``fill_value``),
            "wrap" (b c | a b c | a b) or "nearest" (a a | a b c | c c).
        interpolation: "bilinear" or "nearest".
        seed: of its draws, which then do not follow from the model's seed.
        fill_value: the constant.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a factor is out of its range, a name is unknown, or samples are not images (height, width,
            channels).

    Example:
        >>> layers.RandomTranslation((0.5, 0.5), 0.0, "constant")(np.ones((1, 2, 1, 1))).ravel().tolist()
        [0.0, 1.0]
    """

    _checks: ClassVar = {**_Warp._checks, "height_factor": factor(-1, 1), "width_factor": factor(-1, 1)}
    _rule = "translated"

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **more: Any,
    ):
        super().__init__(
            fill_mode=fill_mode, interpolation=interpolation, fill_value=fill_value, seed=seed, data_format=data_format,
            **more,
        )  # fmt: skip
        self.height_factor, self.width_factor = height_factor, width_factor

    def _numbers(self, height: int, width: int) -> Sequence[float]:
        return [height, width, *bounds(self.height_factor), *bounds(self.width_factor)]


class RandomRotation(_Warp):
    """Turns images about their centre by a random angle in training.

    Args:
        factor: the share of a full circle, drawn from [lower, upper) for a pair (lower, upper) between -1 and 1; a
            number f stands for (-f, f). Positive angles turn the image counter-clockwise.
        fill_mode, interpolation, seed, fill_value, data_format: see `RandomTranslation`.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: factor is out of its range, a name is unknown, or samples are not images (height, width, channels).

    Example:
        >>> image = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
        >>> layers.RandomRotation((0.25, 0.25))(image)[0, :, :, 0].round(3).tolist()
        [[2.0, 4.0], [1.0, 3.0]]
    """

    _checks: ClassVar = {**_Warp._checks, "factor": factor(-1, 1)}
    _rule = "rotated"

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **more: Any,
    ):
        super().__init__(
            fill_mode=fill_mode, interpolation=interpolation, fill_value=fill_value, seed=seed, data_format=data_format,
            **more,
        )  # fmt: skip
        self.factor = factor

    def _numbers(self, height: int, width: int) -> Sequence[float]:
        return [height, width, *bounds(self.factor)]


class RandomZoom(_Warp):
    """Shows images from further away or from nearer in training, by random factors.

    Args:
        height_factor: a number z, drawn from [lower, upper) for a pair (lower, upper) above -1 and up to 1; a number f
            stands for (-f, f). The result shows 1 + z heights of the image: it is smaller for a positive z.
        width_factor: the same of the width; None for the number of the height, which keeps proportions.
        fill_mode, interpolation, seed, fill_value, data_format: see `RandomTranslation`.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a factor is out of its range, a name is unknown, or samples are not images (height, width,
            channels).

    Example:
        >>> row = np.arange(4.0).reshape(1, 1, 4, 1)
        >>> layers.RandomZoom(0.0, (-0.5, -0.5))(row)[0, 0, :, 0].tolist()
        [0.75, 1.25, 1.75, 2.25]
    """

    _checks: ClassVar = {
        **_Warp._checks,
        "height_factor": factor(-1, 1, above=True),
        "width_factor": lambda what, value: None if value is None else factor(-1, 1, above=True)(what, value),
    }
    _rule = "zoomed"

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **more: Any,
    ):
        super().__init__(
            fill_mode=fill_mode, interpolation=interpolation, fill_value=fill_value, seed=seed, data_format=data_format,
            **more,
        )  # fmt: skip
        self.height_factor, self.width_factor = height_factor, width_factor

    def _numbers(self, height: int, width: int) -> Sequence[float]:
        apart = self.width_factor is not None
        across = bounds(self.width_factor if apart else self.height_factor)
        return [height, width, *bounds(self.height_factor), *across, apart]


class RandomShear(_Warp):
    """Shears images in training: pixels move along x by a random share of y, and along y by one of x.

    Both shares are negative in half of the images.

    Args:
        x_factor: the share of y, drawn from [lower, upper) for a pair (lower, upper) up to 1; a number f stands for
            (-f, f).
        y_factor: the share of x.
        interpolation, fill_mode, fill_value, data_format, seed: see `RandomTranslation`.
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a factor is out of its range, a name is unknown, or samples are not images (height, width,
            channels).

    Example:
        >>> layers.RandomShear(0.2, 0.1)(np.zeros((2, 8, 8, 3))).shape
        (2, 8, 8, 3)
    """

    _checks: ClassVar = {**_Warp._checks, "x_factor": factor(-1, 1), "y_factor": factor(-1, 1)}
    _rule = "sheared"

    def __init__(
        self,
        x_factor: Any = 0.0,
        y_factor: Any = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **more: Any,
    ):
        super().__init__(
            fill_mode=fill_mode, interpolation=interpolation, fill_value=fill_value, seed=seed, data_format=data_format,
            **more,
        )  # fmt: skip
        self.x_factor, self.y_factor = x_factor, y_factor

    def _numbers(self, height: int, width: int) -> Sequence[float]:
        return [*bounds(self.x_factor), *bounds(self.y_factor)]
