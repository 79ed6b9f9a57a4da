"""Matrices whose rows are patches of an image: the operand A of a convolution's products."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

Axes = tuple[int, int, int]  # a number for each axis of an image: depth, height, width

# Positions of the numbers that kernels get, three for each axis of the image but the last two (`Window.numbers`).
IMAGE, POSITIONS, TAPS, STRIDES, DILATIONS, BEFORE, TARGET, SPACING, FIRST = range(0, 27, 3)
CHANNELS, GROUPS = 27, 28
PANEL = 32  # results side by side in the transformed taps of Winograd's convolution: a multiple of any tile's columns
GRADIENT_TILES = 32  # whose products with Winograd's points are summed from zero: decides the bits


def axis_positions(pixels: int, extent: int, stride: int, padding: str) -> tuple[int, int]:
    """The positions of a window along an axis, and the pixels by which the first begins in front of the image.

    With "valid" the window stays within the image. With "same" there are ``pixels / stride`` positions, rounded up, and
    the window protrudes equally on both sides, or by one pixel more behind. With "causal" it ends at each position.

    Args:
        pixels: of the image.
        extent: pixels from the first tap of the window to behind the last one.
        stride: pixels from one position to the next.
        padding: "valid", "same" or "causal".
    """
    if padding == "valid":
        return max((pixels - extent) // stride + 1, 0), 0
    count = -(-pixels // stride)
    missing = max((count - 1) * stride + extent - pixels, 0)
    return count, missing // 2 if padding == "same" else extent - 1


@dataclass(frozen=True)
class TapGroups:
    """How the gradient of the taps of Winograd's convolution is divided: each part has memory of its own.

    Attributes:
        chunk_count: of the tiles of the batch; their sums are added in order.
        down, across: groups of channels, and of columns.
        channels, columns: of a group.
    """

    chunk_count: int
    down: int
    across: int
    channels: int
    columns: int

    @property
    def count(self) -> int:
        """Of the parts."""
        return self.chunk_count * self.down * self.across


@dataclass(frozen=True)
class Window:
    """How a window moves over an image, and where the results of its positions lie.

    The patch matrix P of images x has a row for each position p of the window, and a column for each tap t and channel
    c::

        P[(n, p), (t, c)] = x[n, p * strides + t * dilations - before, c]       0 outside the image

    where p, t and the pixel have three numbers each, the last of which runs fastest. The results of P[m, k] @ W[k, n]
    are images too: that of position p is the pixel ``p * spacing + first`` of an image of ``target`` pixels.

    Args:
        image: pixels of the image along each axis.
        positions: of the window, along each axis.
        taps: pixels that the window reads, along each axis.
        strides: pixels from one position to the next.
        dilations: pixels from one tap to the next.
        before: pixels by which the first position begins in front of the image.
        channels: of a group, which are read together.
        groups: of channels; each has its own columns of W and of the result.
        target, spacing, first: of the results; by default they are as many as the positions.
    """

    image: Axes
    positions: Axes
    taps: Axes
    channels: int
    strides: Axes = (1, 1, 1)
    dilations: Axes = (1, 1, 1)
    before: Axes = (0, 0, 0)
    groups: int = 1
    target: Axes = (0, 0, 0)
    spacing: Axes = (1, 1, 1)
    first: Axes = (0, 0, 0)

    def __post_init__(self) -> None:
        if not any(self.target):
            object.__setattr__(self, "target", self.positions)

    @property
    def rows(self) -> int:
        """Of the patch matrix, for each image."""
        return math.prod(self.positions)

    @property
    def columns(self) -> int:
        """Of the patch matrix of a group."""
        return math.prod(self.taps) * self.channels

    @property
    def is_scattered(self) -> bool:
        """Whether there are pixels between the results, which other windows write."""
        return self.target != self.positions

    def has_winograd(self, columns: int) -> bool:
        """Whether Winograd's form of the convolution (`rules.winograd`) applies, and needs fewer products by far.

        Args:
            columns: of the result.
        """
        is_plain = self.strides == self.dilations == (1, 1, 1) and self.groups == 1 and not self.is_scattered
        is_square = self.taps == (1, 3, 3) and self.image[0] == 1
        fills = 9 * self.rows > 1.5 * 36 * self.tiles  # products of the direct form and of this one
        fits = self.channels >= 32 and self.channels % 16 == 0 and columns % PANEL == 0
        return is_plain and is_square and fills and fits

    def tap_groups(self, columns: int, tiles: int) -> TapGroups:
        """The division of the gradient of the taps: about 16 parts, of up to 64 by 64 channels and columns.

        Args:
            columns: of the results.
            tiles: of a batch. Chunks have as many `GRADIENT_TILES` of them each: none is empty, and threads get equal
                parts.
        """
        high, wide = (next(size for size in (64, 32, 16) if count % size == 0) for count in (self.channels, columns))
        down, across = self.channels // high, columns // wide
        sums = max(1, -(-tiles // GRADIENT_TILES))
        of_chunk = -(-sums // -(-16 // (down * across)))
        return TapGroups(-(-sums // of_chunk), down, across, high, wide)

    @property
    def tiles(self) -> int:
        """Tiles of 4 by 4 results of an image."""
        return -(-self.positions[1] // 4) * -(-self.positions[2] // 4)

    @property
    def is_reshape(self) -> bool:
        """Whether the patch matrix has the elements of the images in their order, so that no patch need be walked.

        That of a 1×1 convolution has, and that of patches side by side along the first axis that has several taps,
        which hold all pixels of the axes behind it.
        """
        if self.groups > 1 or any(self.before) or self.is_scattered:
            return False
        behind_taps = False
        for axis in range(3):
            taps, positions = self.taps[axis], self.positions[axis]
            if taps * positions != self.image[axis] or (taps > 1 and self.dilations[axis] > 1):
                return False
            if positions > 1 and (self.strides[axis] != taps or behind_taps):
                return False
            behind_taps = behind_taps or taps > 1
        return True

    def numbers(self) -> list[int]:
        """The numbers that kernels get, at the positions above."""
        axes = (self.image, self.positions, self.taps, self.strides, self.dilations, self.before)
        target = (self.target, self.spacing, self.first)
        return [*(number for axis in (*axes, *target) for number in axis), self.channels, self.groups]


@dataclass(frozen=True)
class Phase:
    """A part of an input gradient: the pixels that the same taps reach.

    Attributes:
        window: over the gradient of the results; its results are the phase's pixels.
        taps: numbers of the taps of the forward window, in the order in which ``window`` reads them.
    """

    window: Window
    taps: tuple[int, ...]


def phases(window: Window, filters: int) -> list[Phase]:
    """The input gradient of a convolution as convolutions of the gradient dy of its results.

    The pixel x = p * stride + t * dilation - before takes part in the results p of those taps t for which
    (x + before - t * dilation) is a multiple of the stride. These taps are the same for all pixels of one remainder of
    x by the stride: their gradients are a convolution with stride 1.

    Args:
        window: of the forward pass.
        filters: channels of a group of dy.

    Returns:
        The phases that have taps. If they do not cover the image, the gradient of the other pixels is 0.
    """
    found = []
    for parts in itertools.product(*(_axis_phases(window, axis) for axis in range(3))):
        depth, height, width = parts
        taps = tuple(
            (z * window.taps[1] + y) * window.taps[2] + x for z in depth.taps for y in height.taps for x in width.taps
        )
        phase = Window(
            window.positions, _of_axes(part.pixels for part in parts), _of_axes(len(part.taps) for part in parts),
            filters, dilations=_of_axes(part.dilation for part in parts),
            before=_of_axes(part.before for part in parts), groups=window.groups, target=window.image,
            spacing=window.strides, first=_of_axes(part.first for part in parts),
        )  # fmt: skip
        found.append(Phase(phase, taps))
    return found


class _AxisPhase(NamedTuple):
    """A phase along an axis: pixels from the first one on, and taps from the last one on, in the order of pixels."""

    first: int
    pixels: int
    before: int
    dilation: int
    taps: list[int]


def _of_axes(numbers: Iterable[int]) -> Axes:
    depth, height, width = numbers
    return depth, height, width


def _axis_phases(window: Window, axis: int) -> list[_AxisPhase]:
    """The phases along an axis that have taps."""
    stride, dilation, before = window.strides[axis], window.dilations[axis], window.before[axis]
    found = []
    for first in range(min(stride, window.image[axis])):
        taps = [t for t in reversed(range(window.taps[axis])) if (first + before - t * dilation) % stride == 0]
        if taps:
            # Position q is the pixel q * stride + first. Its first tap reads result q + start.
            start = (first + before - taps[0] * dilation) // stride
            pixels = -(-(window.image[axis] - first) // stride)
            found.append(_AxisPhase(first, pixels, -start, dilation // math.gcd(stride, dilation), taps))
    return found
