"""Small helpers with Keras's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import random


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Turn class numbers into rows of a one-hot matrix: ``y[i, x[i]] = 1``, everything else 0.

    Args:
        x: Class numbers, anything `numpy.asarray` takes, of any shape; a last axis of size 1 is dropped.  Numbers that
            are no integers are cut to integers, as in Keras.
        num_classes: Number of classes C; ``None`` (the default) takes ``max(x) + 1``.

    Returns:
        float64 array of shape ``x.shape + (C,)``.

    Raises:
        ValueError: a class number lies outside [0, C), is not finite, or ``x`` is empty and ``num_classes`` not given.

    Unlike Keras, which counts a negative number from the last class, a negative class number is an error.

    Example:
        >>> fastnet.utils.to_categorical([0, 2], num_classes=3)
        array([[1., 0., 0.],
               [0., 0., 1.]])
    """
    given = np.asarray(x)
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        raise ValueError("to_categorical: x holds NaN or inf, which is no class number.")
    labels = given.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if not num_classes:
        if labels.size == 0:
            raise ValueError("to_categorical: x is empty, so the number of classes is unknown; give num_classes.")
        num_classes = int(labels.max()) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(
            f"to_categorical: class numbers must lie in [0, {num_classes}), "
            f"but x goes from {labels.min()} to {labels.max()}."
        )
    one_hot = np.zeros((labels.size, num_classes))
    one_hot[np.arange(labels.size), labels.ravel()] = 1
    return one_hot.reshape(*labels.shape, num_classes)


def set_random_seed(seed: int) -> None:
    """Make what follows repeatable: initial weights, shuffling and dropout of models built and trained after this.

    Args:
        seed: An integer >= 0.

    Raises:
        ValueError: ``seed`` is no integer, or negative.

    Keras's function of this name also seeds Python's ``random``, NumPy and its backend.  fastnet changes no other
    library's state: seed those yourself where your own code draws from them.

    Example:
        >>> fastnet.utils.set_random_seed(1)
    """
    if seed is None:
        raise ValueError("set_random_seed: an integer >= 0 is needed, but None was received.")
    random.set_seed(seed)
