"""Where a window over images stands, and what samples look like whose channels come first."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet._kernels.window import axis_positions

AXES = {1: "(steps, features)", 2: "(height, width, channels)", 3: "(depth, height, width, channels)"}
_TURNED = {1: (2, 1), 2: (2, 3, 1), 3: (2, 3, 4, 1)}
SMALLEST_SIDE = 8  # of what `is_channels_first` takes for an image


def channels_last(owner: str, value: Any, rank: int | None = None) -> Any:
    """The argument ``data_format`` of a layer, None or "channels_last".

    Args:
        owner: the layer, for errors.
        value: of the argument.
        rank: the axes in space; None for any number.

    Raises:
        ValueError: it has another value.
    """
    axes = f"such as {AXES[2]}" if rank is None else AXES[rank]
    remedy = f"layers.Permute({_TURNED[rank or 2]}) in front of the first layer of images makes samples {axes}."
    return checks.channels_last(f"{owner}: data_format", value, remedy)


def is_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether samples look like images whose channels come first: of one or three channels and equal, larger sides."""
    sides = set(shape[1:])
    return len(shape) > 2 and shape[0] in (1, 3) and len(sides) == 1 and (shape[-1] or 0) >= SMALLEST_SIDE


def channels_hint(shape: tuple[int, ...]) -> str:
    """The end of an error about samples that look like channels-first data; empty for others."""
    if not is_channels_first(shape):
        return ""
    order = (*range(2, len(shape) + 1), 1)
    return f" Their channels seem to come first, and must come last: put Permute({order}) in front."


def in_three(numbers: tuple[int, ...], first: int = 1) -> tuple[int, int, int]:
    """Numbers of one to three axes as those of three; the axes in front have the number ``first``."""
    three = (*[first] * (3 - len(numbers)), *numbers)
    return three[0], three[1], three[2]


def positions(
    owner: str,
    image: tuple[int, ...],
    extent: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
    hint: str = "",
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The positions of a window along each axis, and the pixels by which the first begins in front of the image
    (`window.axis_positions`).

    Args:
        owner: of the window, for errors.
        image: pixels along each axis.
        extent: pixels from the first tap of the window to behind the last one.
        strides: pixels from one position to the next.
        padding: "valid", "same" or "causal".
        hint: the end of the error.

    Raises:
        ValueError: the image is smaller than the window, and the padding is "valid".
    """
    counts, before = [], []
    for pixels, size, stride in zip(image, extent, strides, strict=True):
        if padding == "valid" and pixels < size:
            unit, samples = ("steps", "samples") if len(image) == 1 else ("pixels", "images")
            raise ValueError(
                f"{owner}: a window of {_by(extent)} {unit} does not fit into {samples} of {_by(image)}; take a "
                f"smaller one, or padding='same'.{hint}"
            )
        count, in_front = axis_positions(pixels, size, stride, padding)
        counts.append(count)
        before.append(in_front)
    return tuple(counts), tuple(before)


def _by(numbers: tuple[int, ...]) -> str:
    return "×".join(map(str, numbers))
