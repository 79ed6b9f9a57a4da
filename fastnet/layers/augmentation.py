"""Layers that change images at random in training: their base, flips and crops."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.rules.transforms import scaled
from fastnet._kernels.templates import warps, windows
from fastnet.arrays import as_array
from fastnet.engine.draws import draws
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.layers.images import ImageLayer


def of_name(*names: str) -> Callable[[str, Any], Any]:
    """A check of an argument that is one of these names."""
    return lambda what, value: checks.one_of(what, value, *names)


def factor(least: float, most: float, above: bool = False) -> Callable[[str, Any], Any]:
    """A check of an argument that is a number, or a pair (lower, upper), between two bounds.

    Args:
        least, most: the bounds.
        above: whether the numbers must be above ``least``.
    """
    words = f"{'above' if above else 'at least'} {least:g} and at most {most:g}"
    allowed = checks.Range(lambda x: least <= x <= most and not (above and x == least), words)

    def check(what: str, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return checks.number(f"{what}, a number or a pair (lower, upper),", value, allowed)
        if len(value) != 2:
            raise ValueError(f"{what} must be a number or a pair (lower, upper), received {quoted(value)}.")
        return tuple(sorted(checks.number(f"{what}: a bound", bound, allowed) for bound in value))

    return check


def bounds(value: Any, least: float = -math.inf) -> tuple[float, float]:
    """The lower and the upper bound that a `factor` stands for: a number f for -f and f, but at least ``least``."""
    return value if isinstance(value, tuple) else (max(-abs(value), least), abs(value))


FILLS = ("constant", "nearest", "reflect", "wrap")  # as `transforms.filled` numbers them
_NEAREST = {"fill": 1, "nearest": 0, "outside": 0.0}


def drawn_transforms(plan: Plan, rule: Any, numbers: Sequence[float], drawn_from: dict[str, Any]) -> View:
    """Add the launch that draws the transform of each sample, six numbers; see `rules.transforms`."""
    transforms = plan.buffer((6,))
    plan.call(warps.draw_transforms, f=rule, transforms=transforms, p=list(numbers), **drawn_from)
    return transforms


def warp(plan: Plan, x: View, transforms: View, y: View, options: dict[str, Any]) -> None:
    """Add the launch that reads images at the places of a transform."""
    plan.call(
        warps.warp, x=plan.reshaped(x, (x.width,)), transforms=transforms, y=y.flat, source_height=x.shape[0],
        source_width=x.shape[1], height=y.shape[0], width=y.shape[1], channels=y.shape[2], **options,
    )  # fmt: skip


def warp_back(plan: Plan, dy: View, transforms: View, dx: View, options: dict[str, Any]) -> None:
    """Add the launch of the gradient of `warp`."""
    plan.call(
        warps.warp_gradient, dy=plan.reshaped(dy, (dy.width,)), transforms=transforms, dx=dx.flat,
        source_height=dx.shape[0], source_width=dx.shape[1], height=dy.shape[0], width=dy.shape[1],
        channels=dy.shape[2], **{name: value for name, value in options.items() if name != "outside"},
    )  # fmt: skip


class Augmentation(ImageLayer):
    """A layer that changes images (height, width, channels) at random in training, and passes them on otherwise.

    What is drawn follows only from (seed, step, layer, sample): it is the same on any number of threads and on any
    device. As in Keras a call of the layer itself, ``layer(x)``, is one of training, and ``x`` may be one image.
    """

    rank = 2
    seed: int | None
    data_format: Any
    _fixed: ClassVar[tuple[str, ...]] = ("seed", "data_format")
    _checks: ClassVar = {
        "seed": lambda what, value: checks.seed(what, value, 2**31 - 1),
    }

    def __init__(self, *, seed: int | None = None, data_format: str | None = None, **more: Any):
        super().__init__(**more)
        self.seed, self.data_format = seed, data_format

    def sample_output_shape(self, input_shape):
        self.check_rank(input_shape)
        return input_shape

    def forward(self, plan: Plan, x: View) -> View:
        if not plan.training:
            return self._pass(plan, x)
        drawn = self._draw(plan, x, draws(plan, self.seed))
        plan.save(drawn=drawn)
        y = plan.buffer(self.sample_output_shape(x.shape), self.dtype)
        self._act(plan, x, drawn, y)
        return y

    def backward(self, plan: Plan, dy: View, x: View, y: View) -> View | None:
        if not x.needs_gradient:
            return None
        dx = plan.like(x)
        self._go_back(plan, dy, plan.saved("drawn"), y, dx)
        return dx

    def _pass(self, plan: Plan, x: View) -> View:
        """The result outside of training."""
        return x

    def _draw(self, plan: Plan, x: View, drawn_from: dict[str, Any]) -> View:
        """Add the launch that draws numbers for each sample."""
        raise NotImplementedError

    def _act(self, plan: Plan, x: View, drawn: View, y: View) -> None:
        """Add the launches that compute y."""
        raise NotImplementedError

    def _go_back(self, plan: Plan, dy: View, drawn: View, y: View, dx: View) -> None:
        """Add the launches that compute the gradient."""
        raise NotImplementedError

    def __call__(self, inputs: Any, training: bool | None = True, mask: Any = None) -> Any:
        """The images changed at random, as in training.

        Args:
            inputs: (n, height, width, channels), or one image (height, width, channels).
            training: False for the result outside of training.
            mask: see `Layer`.
        """
        images = as_array(inputs, f"{self._owner}: inputs")
        if images.ndim == 3:
            return super().__call__(images[None], training, None if mask is None else np.asarray(mask)[None])[0]
        return super().__call__(images, training, mask)


class _Window(Augmentation):
    """A layer whose result is a rectangle of the image, upright or mirrored."""

    def _act(self, plan: Plan, x: View, drawn: View, y: View) -> None:
        height, width, channels = y.shape
        plan.call(
            windows.take_window, x=plan.reshaped(x, (x.width,)), windows=drawn, y=y.flat, source_width=x.shape[1],
            height=height, width=width, channels=channels,
        )  # fmt: skip

    def _go_back(self, plan: Plan, dy: View, drawn: View, y: View, dx: View) -> None:
        height, width, channels = y.shape
        plan.call(
            windows.put_window, dy=plan.reshaped(dy, (dy.width,)), windows=drawn, dx=dx.flat,
            source_height=dx.shape[0], source_width=dx.shape[1], height=height, width=width, channels=channels,
        )  # fmt: skip


class RandomFlip(_Window):
    """Mirrors half of the images in training.

    An image is mirrored in all directions of ``mode`` or in none, as in Keras.

    Args:
        mode: "horizontal" (left and right change places), "vertical" or "horizontal_and_vertical".
        seed: of its draws, which then do not follow from the model's seed.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: mode is unknown, or samples are not images (height, width, channels).

    Example:
        >>> image = np.arange(3.0).reshape(1, 3, 1)
        >>> layers.RandomFlip("horizontal", seed=0)(image)[0, :, 0].tolist() in ([0, 1, 2], [2, 1, 0])
        True
    """

    keeps_values = True
    _fixed: ClassVar[tuple[str, ...]] = ("seed", "data_format", "mode")
    _checks: ClassVar = {
        **Augmentation._checks,
        "mode": of_name("horizontal", "vertical", "horizontal_and_vertical"),
    }

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **more: Any,
    ):
        super().__init__(seed=seed, data_format=data_format, **more)
        self.mode = mode

    def _draw(self, plan: Plan, x: View, drawn_from: dict[str, Any]) -> View:
        drawn = plan.buffer((4,), "int32")
        height, width, _ = x.shape
        plan.call(
            windows.draw_flips, windows=drawn, rows="vertical" in self.mode, columns="horizontal" in self.mode,
            height=height, width=width, **drawn_from,
        )  # fmt: skip
        return drawn


class RandomCrop(_Window):
    """A rectangle of the image, at a random place in training and in the middle otherwise.

    Each image has a place of its own. Outside of training, and for images that are smaller than the rectangle, the
    result is the largest rectangle of these proportions in the middle of the image, scaled to the size.

    Args:
        height: rows of the result.
        width: columns of the result.
        seed: of its draws, which then do not follow from the model's seed.
        data_format: None or "channels_last".
        **more: ``name``, ``dtype``, ``activity_regularizer``, ``input_shape``.

    Raises:
        ValueError: a size is not a positive integer, or samples are not images (height, width, channels).

    Example:
        >>> layers.RandomCrop(24, 20)(np.zeros((2, 32, 32, 3))).shape
        (2, 24, 20, 3)
    """

    _fixed: ClassVar[tuple[str, ...]] = ("seed", "data_format", "height", "width")
    _checks: ClassVar = {**Augmentation._checks, "height": checks.integer, "width": checks.integer}

    def __init__(self, height: int, width: int, seed: int | None = None, data_format: str | None = None, **more: Any):
        super().__init__(seed=seed, data_format=data_format, **more)
        self.height, self.width = height, width

    def sample_output_shape(self, input_shape):
        return (self.height, self.width, super().sample_output_shape(input_shape)[2])

    def forward(self, plan: Plan, x: View) -> View:
        if x.shape[0] < self.height or x.shape[1] < self.width:
            return self._pass(plan, x)
        if plan.training:
            plan.save(transforms=None)
        return super().forward(plan, x)

    def _draw(self, plan: Plan, x: View, drawn_from: dict[str, Any]) -> View:
        return self._corner(plan, drawn_from, 0, 0, x.shape[0] - self.height + 1, x.shape[1] - self.width + 1)

    def _corner(self, plan: Plan, drawn_from: dict[str, Any], top: int, left: int, rows: int, columns: int) -> View:
        """A window whose first row is one of ``rows`` from ``top`` on."""
        drawn = plan.buffer((4,), "int32")
        plan.call(
            windows.draw_corners, windows=drawn, top=top, left=left, rows=rows, columns=columns, **drawn_from
        )  # fmt: skip
        return drawn

    def _pass(self, plan: Plan, x: View) -> View:
        rows, columns, channels = x.shape
        height = max(1, min(rows, columns * self.height // self.width))
        width = max(1, min(columns, rows * self.width // self.height))
        middle = self._corner(plan, draws(plan, 0), (rows - height) // 2, (columns - width) // 2, 1, 1)
        part = plan.buffer((height, width, channels), self.dtype)
        self._act(plan, x, middle, part)
        if (height, width) == (self.height, self.width):
            plan.save(drawn=middle, transforms=None)
            return part
        factors = [height / self.height, width / self.width]
        transforms = drawn_transforms(plan, scaled, factors, draws(plan, 0))
        y = plan.buffer((self.height, self.width, channels), self.dtype)
        warp(plan, part, transforms, y, _NEAREST)
        plan.save(drawn=middle, transforms=transforms, part=part)
        return y

    def _go_back(self, plan: Plan, dy: View, drawn: View, y: View, dx: View) -> None:
        if plan.saved("transforms") is not None:
            part = plan.like(plan.saved("part"))
            warp_back(plan, dy, plan.saved("transforms"), part, _NEAREST)
            dy = y = part
        super()._go_back(plan, dy, drawn, y, dx)
