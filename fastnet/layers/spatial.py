"""What layers over images share: arguments with a number for each axis, and where a window stands."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted

AXES = ("depth", "height", "width")
SMALLEST_SIDE = 8  # of what `is_channels_first` takes for an image


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


def is_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether samples look like images whose channels come first: of one or three channels and equal, larger sides."""
    return len(shape) > 2 and shape[0] in (1, 3) and len(set(shape[1:])) == 1 and shape[-1] >= SMALLEST_SIDE


def channels_hint(shape: tuple[int, ...]) -> str:
    """The end of an error about samples that look like channels-first data; empty for others."""
    if not is_channels_first(shape):
        return ""
    order = (*range(2, len(shape) + 1), 1)
    return f" Their channels seem to come first, and must come last: put Permute({order}) in front."


def advise_on_channels(owner: str, shape: tuple[int, ...]) -> None:
    """Warn of samples that look like channels-first data, which are images of another form."""
    if hint := channels_hint(shape):
        warnings.warn(f"Probably a mistake: {owner} received samples of shape {shape}.{hint}", stacklevel=2)


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
    owner: str,
    image: tuple[int, ...],
    extent: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
    hint: str = "",
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
        hint: the end of the error.

    Raises:
        ValueError: the image is smaller than the window, and the padding is "valid".
    """
    counts, before = [], []
    for pixels, size, stride in zip(image, extent, strides, strict=True):
        if padding == "valid":
            if pixels < size:
                raise ValueError(
                    f"{owner}: a window of {_by(extent)} pixels does not fit into images of {_by(image)}; take a "
                    f"smaller one, or padding='same'.{hint}"
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
