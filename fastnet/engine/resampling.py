"""Axes of images with another number of pixels: the pixels that each one is made of, and their weights.

Pixels are squares: the middle of pixel o of ``outputs`` lies at (o + 1/2) inputs / outputs - 1/2. It is a sum of the
pixels around that place, each times a function of its distance; the weights that lie within the image sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Kernel = Callable[[np.ndarray], np.ndarray]


def _cubic(b: float, c: float) -> Kernel:
    """Mitchell and Netravali 1988, doi:10.1145/54852.378514; b = 0 and c = 1/2 are Keys 1981."""

    def kernel(x: np.ndarray) -> np.ndarray:
        near = ((12 - 9 * b - 6 * c) * x**3 + (-18 + 12 * b + 6 * c) * x**2 + 6 - 2 * b) / 6
        far = ((-b - 6 * c) * x**3 + (6 * b + 30 * c) * x**2 + (-12 * b - 48 * c) * x + 8 * b + 24 * c) / 6
        return np.where(x < 1, near, np.where(x < 2, far, 0.0))

    return kernel


def _lanczos(radius: float) -> Kernel:
    def kernel(x: np.ndarray) -> np.ndarray:  # 1 up to a distance of 0.001, as in JAX
        return np.where(x > radius, 0.0, np.where(x > 1e-3, np.sinc(x) * np.sinc(x / radius), 1.0))

    return kernel


#: interpolation → its function of a distance, and the distance at which it ends
KERNELS: dict[str, tuple[Kernel, float]] = {
    "bilinear": (lambda x: np.maximum(0, 1 - x), 1),
    "bicubic": (_cubic(0, 1 / 2), 2),
    "mitchellcubic": (_cubic(1 / 3, 1 / 3), 2),
    "lanczos3": (_lanczos(3.0), 3),
    "lanczos5": (_lanczos(5.0), 5),
    "gaussian": (lambda x: np.where(x < 1.5, np.exp(-2 * x * x), 0.0), 1.5),
}


def nearest(inputs: int, outputs: int) -> np.ndarray:
    """The nearest pixel of ``inputs`` for each of ``outputs``."""
    # in float32, as in Keras: this decides between two that are equally near
    middle = (np.arange(outputs, dtype=np.float32) + np.float32(0.5)) * np.float32(inputs) / np.float32(outputs)
    return np.floor(middle).astype(int).clip(max=inputs - 1)


def interpolated(
    inputs: int, outputs: int, interpolation: str, antialias: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of ``outputs`` pixels the first of ``inputs``, the end, and the weights (outputs, the most of a pixel).

    Args:
        inputs, outputs: the sizes.
        interpolation: one of `KERNELS`.
        antialias: whether the function is as wide as a pixel of a smaller result.
    """
    kernel, radius = KERNELS[interpolation]
    width = max(inputs / outputs, 1.0) if antialias else 1.0
    middle = (np.arange(outputs) + 0.5) / (outputs / inputs) - 0.5
    start = (np.floor(middle - radius * width).astype(int) + 1).clip(0)
    stop = np.ceil(middle + radius * width).astype(int).clip(max=inputs)
    index = start[:, None] + np.arange((stop - start).max())
    weights = np.where(index < stop[:, None], kernel(np.abs(middle[:, None] - index) / width), 0.0)
    return start, stop, weights / weights.sum(axis=1, keepdims=True)
