"""What layers over images share: arguments with a number for each axis, and where a window stands."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted

AXES = ("depth", "height", "width")


def sizes(what: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """An argument of one number for each axis, or of one for all.

    Raises:
        ValueError: it is neither, or a number is less than ``least``.
    """
    given = [value] * rank if checks.is_integer(value) or isinstance(value, str) else value
    if not np.iterable(given) or len(given := list(given)) != rank or not all(map(checks.is_integer, given)):
        expected = "an integer" if rank == 1 else f"an integer or {rank} integers"
        raise ValueError(f"{what} must be {expected}, received {quoted(value)}.")
    return tuple(checks.integer(what, number, least) for number in given)


def channels_last(what: str, value: Any) -> str:
    """The argument ``data_format``.

    Raises:
        ValueError: it is "channels_first", or unknown.
    """
    if value == "channels_first":
        raise ValueError(
            f"{what} must be 'channels_last', received 'channels_first'; put a Permute layer in front, such as "
            "Permute((2, 3, 1)) for images of shape (channels, height, width)."
        )
    checks.one_of(what, value, None, "channels_last")
    return "channels_last"


def check_rank(owner: str, shape: tuple[Any, ...], rank: int) -> None:
    """Check that samples have ``rank`` axes and one of channels.

    Raises:
        ValueError: they have another number.
    """
    if len(shape) != rank + 1:
        expected = (*AXES[3 - rank :], "channels") if rank > 1 else ("steps", "channels")
        raise ValueError(
            f"{owner} needs samples of shape ({', '.join(expected)}), received {shape}"
            f"{'; images without an axis of channels get one by Reshape' if len(shape) == rank else ''}."
        )


def in_three(numbers: tuple[int, ...], first: int = 1) -> tuple[int, int, int]:
    """Numbers of one to three axes as those of three; the axes in front have the number ``first``."""
    three = (*[first] * (3 - len(numbers)), *numbers)
    return three[0], three[1], three[2]


def positions(
    owner: str, image: tuple[int, ...], extent: tuple[int, ...], strides: tuple[int, ...], padding: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The positions of a window along each axis, and the pixels by which the first begins in front of the image.

    With "valid" the window stays within the image. With "same" there are ``image / strides`` positions, rounded up, and
    the window protrudes equally on both sides, or by one pixel more behind. With "causal" it ends at each position.

    Args:
        owner: of the window, for errors.
        image: pixels along each axis.
        extent: pixels from the first tap of the window to behind the last one.
        strides: pixels from one position to the next.
        padding: "valid", "same" or "causal".

    Raises:
        ValueError: the image is smaller than the window, and the padding is "valid".
    """
    counts, before = [], []
    for pixels, size, stride in zip(image, extent, strides, strict=True):
        if padding == "valid":
            if pixels < size:
                raise ValueError(
                    f"{owner}: a window of {_by(extent)} pixels does not fit into images of {_by(image)}; take a "
                    "smaller one or padding='same'."
                )
            counts.append((pixels - size) // stride + 1)
            before.append(0)
            continue
        count = -(-pixels // stride)
        counts.append(count)
        missing = max((count - 1) * stride + size - pixels, 0)
        before.append(missing // 2 if padding == "same" else size - 1)
    return tuple(counts), tuple(before)


def _by(numbers: tuple[int, ...]) -> str:
    return "×".join(map(str, numbers))
