"""Images scaled as `tf.image.resize` and `jax.image.resize` scale them, without smoothing first.

Pixels are squares: pixel i of the result lies at (i + 1/2) n / size - 1/2 of n pixels. It is a weighted sum of the
pixels around that place; weights of pixels that there are not are left out, and the others sum to 1.
"""

from __future__ import annotations

import functools
import operator

import numpy as np

from fastnet.utils.images import middle


def _cubic(x: np.ndarray, b: float, c: float) -> np.ndarray:
    """Mitchell and Netravali 1988, doi:10.1145/54852.378514."""
    near = ((12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + 6 - 2 * b) / 6
    far = ((-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + 8 * b + 24 * c) / 6
    return np.where(x < 1, near, np.where(x < 2, far, 0))


#: By interpolation: how far a pixel reaches, and its weight by its distance.
_KERNELS = {
    "bilinear": (1, lambda x: np.maximum(1 - x, 0)),
    "bicubic": (2, lambda x: _cubic(x, 0, 0.5)),
    "mitchellcubic": (2, lambda x: _cubic(x, 1 / 3, 1 / 3)),
    "lanczos3": (3, lambda x: np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)),
    "lanczos5": (5, lambda x: np.where(x < 5, np.sinc(x) * np.sinc(x / 5), 0)),
    "gaussian": (2, lambda x: np.where(x < 1.5, np.exp(-2 * x * x), 0)),
}
INTERPOLATIONS = ("nearest", "area", *_KERNELS)


@functools.lru_cache(maxsize=256)
def _sources(n: int, size: int, interpolation: str) -> tuple[np.ndarray, np.ndarray]:
    """For each of ``size`` pixels those of ``n`` that it is made of, (size, k), and their weights."""
    step = n / size
    if interpolation == "nearest":
        return np.minimum(((np.arange(size) + 0.5) * step).astype(int), n - 1)[:, None], np.ones((size, 1), "f")
    if interpolation == "area":  # what a pixel of the result covers
        start, end = np.arange(size)[:, None] * step, (np.arange(size)[:, None] + 1) * step
        index = np.floor(start).astype(int) + np.arange(int(step) + 2)
        weights = np.clip(np.minimum(index + 1, end) - np.maximum(index, start), 0, None)
    else:
        reach, kernel = _KERNELS[interpolation]
        place = (np.arange(size)[:, None] + 0.5) * step - 0.5
        index = np.floor(place).astype(int) + np.arange(1 - reach, 1 + reach)
        weights = kernel(abs(place - index))
    weights = np.where((index >= 0) & (index < n), weights, 0)
    weights = weights / weights.sum(1, keepdims=True)
    return np.clip(index, 0, n - 1), weights.astype("f")


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
