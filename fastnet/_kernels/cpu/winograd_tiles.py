"""Tiles of images at the points of Winograd's convolution, for its kernels."""

from __future__ import annotations

from fastnet._kernels.cpu import gemm_intrinsics, winograd_intrinsics
from fastnet._kernels.cpu.blocking import Tile
from fastnet._kernels.cpu.processor import LINE, SIZES
from fastnet._kernels.target import compiled as local


def make(dtype: str, shape: Tile):
    """The functions ``spread_inputs``, ``spread_gradients`` and ``plane_bytes``.

    The first two bring the tiles ``first`` to ``first + count`` of images to the points: 36 planes (tiles, channels).

        (images, pixel, height, width, before, beside, down, across, channels, first, count, planes, plane, patch)

    Args of the functions:
        images, pixel: address of the first channel, bytes from one pixel to the next.
        height, width: of an image.
        before, beside: pixels by which the first tile begins above, and left of, the image.
        down, across: tiles of an image.
        channels: that are taken.
        first, count: tiles.
        planes, plane: address of the result, bytes from one plane to the next (`plane_bytes`).
        patch: address of scratch for the pixels of a tile.

    Args:
        dtype: of the elements.
        shape: the processor's tile.
    """
    size, lanes = SIZES[dtype], shape.lanes(dtype)
    _, _, copy_rows, fill_rows, *_ = gemm_intrinsics.copies(dtype, shape)
    spread_input, spread_gradient = winograd_intrinsics.spreads(dtype, shape.width)

    @local
    def plane_bytes(tiles, channels):
        """Not a multiple of a page, so that the planes do not share sets of the cache."""
        return tiles * channels * size + LINE

    def spreads(side, spread):
        @local
        def copy_patch(image, pixel, height, width, top, left, channels, out):
            """The pixels of a tile from (top, left) on, side by side; 0 outside of the image."""
            first, last = min(side, max(0, -left)), max(0, min(side, width - left))
            for i in range(side):
                target = out + i * side * channels * size
                y = top + i
                if y < 0 or y >= height or last <= first:
                    fill_rows(1, side * channels, target, 0)
                    continue
                fill_rows(1, first * channels, target, 0)
                fill_rows(1, (side - last) * channels, target + last * channels * size, 0)
                source = image + (y * width + left + first) * pixel
                copy_rows(source, pixel, last - first, channels, target + first * channels * size, channels * size)

        @local
        def spread_tiles(
            images, pixel, height, width, before, beside, down, across, channels, first, count, planes, plane, patch
        ):
            for number in range(count):
                place = first + number
                image = images + place // (down * across) * height * width * pixel
                top, left = place // across % down * 4 - before, place % across * 4 - beside
                target = planes + number * channels * size
                if top >= 0 and left >= 0 and top + side <= height and left + side <= width:
                    source = image + (top * width + left) * pixel
                    spread(source, width * pixel, pixel, target, plane, channels // lanes)
                else:
                    copy_patch(image, pixel, height, width, top, left, channels, patch)
                    spread(patch, side * channels * size, channels * size, target, plane, channels // lanes)

        return spread_tiles

    return spreads(6, spread_input), spreads(4, spread_gradient), plane_bytes


def fetching(dtype: str):
    """The function ``fetch_tiles``: sets a range that products fetch (`micro_kernel`) to the rows of tiles of images.

        (ranges, number, images, pixel, height, width, down, across, channels, first, count)

    Args of the function:
        ranges, number: address of the table, and 0 or 1, which range.
        images and all others: as of `make`. A range is empty where pixels lie apart.

    Args:
        dtype: of the elements.
    """
    size, fetch = SIZES[dtype], gemm_intrinsics.fetch

    @local
    def fetch_tiles(ranges, number, images, pixel, height, width, down, across, channels, first, count):
        row = first // (down * across) * height + first // across % down * 4
        rows = (count + across - 1) // across * 4 if pixel == channels * size else 0
        fetch(ranges, number, images + row * width * pixel, rows * width * pixel)

    return fetch_tiles
