"""Images scaled as `tf.image.resize` and `jax.image.resize` scale them, without smoothing first."""

from __future__ import annotations

import functools
import operator

import numpy as np

from fastnet.engine import resampling
from fastnet.utils.images import middle

INTERPOLATIONS = ("nearest", "area", *resampling.KERNELS)


@functools.lru_cache(maxsize=256)
def _sources(n: int, size: int, interpolation: str) -> tuple[np.ndarray, np.ndarray]:
    """For each of ``size`` pixels those of ``n`` that it is made of, (size, k), and their weights."""
    if interpolation == "nearest":
        return resampling.nearest(n, size)[:, None], np.ones((size, 1), "f")
    if interpolation == "area":
        first, weights = _covered(n, size)
    else:
        first, _, weights = resampling.interpolated(n, size, interpolation)
    index = first[:, None] + np.arange(weights.shape[1])
    return np.clip(index, 0, n - 1), weights.astype("f")


def _covered(n: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The first of the pixels that a pixel of the result covers, and their shares of it."""
    step = n / size
    start, end = np.arange(size)[:, None] * step, (np.arange(size)[:, None] + 1) * step
    index = np.floor(start).astype(int) + np.arange(int(step) + 2)
    weights = np.clip(np.minimum(index + 1, end) - np.maximum(index, start), 0, None)
    weights = np.where(index < n, weights, 0)
    return index[:, 0], weights / weights.sum(1, keepdims=True)


def resized(image: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    """An image (h, w, channels) of bytes or float32 with another height and width, float32."""
    for axis, size in ((0, height), (1, width)):
        if image.shape[axis] == size and interpolation not in ("gaussian", "mitchellcubic"):
            continue
        index, weights = _sources(image.shape[axis], size, interpolation)
        shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
        parts = (image.take(i, axis) * w.reshape(shape) for i, w in zip(index.T, weights.T, strict=True))
        image = functools.reduce(operator.iadd, parts)  # in place: 375x500 to 224x224 6.1 → 2.7 ms, as reading a JPEG
    return image.astype("f", copy=False)


def cropped(image: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    """The largest rectangle of these proportions in the middle of the image, scaled."""
    top, left, rows, columns = middle(image.shape[0], image.shape[1], height, width)
    return resized(image[top : top + rows, left : left + columns], height, width, interpolation)


def padded(image: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    """The whole image, scaled to fit, with zeros on two sides."""
    ratio = max(image.shape[0] / height, image.shape[1] / width)
    rows, columns = (
        int(size / ratio + 1e-6) for size in image.shape[:2]
    )  # what is whole may come out a little smaller
    top, left = (int((size - n / ratio) / 2 + 1e-6) for size, n in zip((height, width), image.shape))
    inner = resized(image, max(1, rows), max(1, columns), interpolation)
    result = np.zeros((height, width, image.shape[2]), "f")
    result[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return result
