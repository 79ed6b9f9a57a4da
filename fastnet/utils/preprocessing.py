"""Prepares arrays for training: one-hot rows, norms, padding, splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnet import checks
from fastnet._kernels.errors import quoted

Arrays = Any  # an array, or a tuple or list of arrays with the same number of rows


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Turn class numbers into rows of a one-hot matrix: ``y[i, x[i]] = 1``, everything else 0.

    Args:
        x: Class numbers, anything `numpy.asarray` takes, of any shape; a last axis of size 1 is dropped.  Fractions
            are cut off, as in Keras.
        num_classes: Number of classes C; ``None`` (the default) means ``max(x) + 1``.

    Returns:
        float64 array of shape ``x.shape + (C,)``.

    Raises:
        ValueError: a class number lies outside [0, C) or is not finite, or ``x`` is empty and ``num_classes`` missing.

    Unlike Keras, which counts a negative number from the last class, a negative class number is an error.

    Example:
        >>> fastnet.utils.to_categorical([0, 2], num_classes=3)
        array([[1., 0., 0.],
               [0., 0., 1.]])
    """
    values = np.asarray(x)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("to_categorical: x holds NaN or inf, which are not class numbers.")
    labels = values.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if not num_classes:
        if labels.size == 0:
            raise ValueError("to_categorical: x is empty and leaves the number of classes open; give num_classes.")
        num_classes = int(labels.max()) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(
            f"to_categorical: class numbers must lie in [0, {num_classes}), "
            f"but x goes from {labels.min()} to {labels.max()}."
        )
    one_hot = np.zeros((labels.size, num_classes))
    one_hot[np.arange(labels.size), labels.ravel()] = 1
    return one_hot.reshape(*labels.shape, num_classes)


def normalize(x: Any, axis: int | None = -1, order: Any = 2) -> np.ndarray:
    """Divide by the norm: ``x / ‖x‖``, along an axis; zeros stay zeros.

    Args:
        x: Numbers, anything `numpy.asarray` takes.
        axis: Axis along which each norm is taken; ``None`` for one norm of all numbers.
        order: Of the norm, as in `numpy.linalg.norm`: 2 is Euclid's, 1 the sum of absolute values.

    Returns:
        Array of the shape of ``x``; float64 if ``x`` holds integers.

    Unlike Keras, whose ``axis=0`` divides along the last axis, 0 is the first axis here.

    Example:
        >>> fastnet.utils.normalize([[3.0, 4.0], [0.0, 0.0]])
        array([[0.6, 0.8],
               [0. , 0. ]])
    """
    x = np.asarray(x)
    if axis is None:
        norm = np.asarray(np.linalg.norm(x.ravel(), order))
    else:
        norm = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norm == 0, np.ones_like(norm), norm)


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Make one array of sequences of several lengths.

    Args:
        sequences: A list of n sequences, whose items all have one shape.
        maxlen: Length L of the result; by default the longest sequence's.
        dtype: Dtype of the result; ``object`` or a string type for texts.
        padding: "pre" or "post": the side at which short sequences are padded with ``value``.
        truncating: "pre" or "post": the side at which long sequences are cut.
        value: The padding.

    Returns:
        Array of shape (n, L, ...).

    Raises:
        ValueError: an item of ``sequences`` is not a sequence, shapes differ, or an argument has another value.

    Example:
        >>> fastnet.utils.pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
        array([[0, 1],
               [2, 3],
               [5, 6]], dtype=int32)
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        checks.one_of(f"pad_sequences: {name}", side, "pre", "post")
    if not hasattr(sequences, "__len__") or not all(hasattr(s, "__len__") for s in sequences):
        raise ValueError("pad_sequences: sequences must be a list of sequences.")
    text = np.dtype(dtype).kind in "USO"
    if isinstance(value, str) and not text:
        raise ValueError(f"pad_sequences: the value {quoted(value)} is not a {dtype}; give dtype=object for texts.")
    if maxlen is None:
        maxlen = max(map(len, sequences), default=0)
    shape = next((np.asarray(s).shape[1:] for s in sequences if len(s)), ())
    padded = np.full((len(sequences), maxlen, *shape), value, dtype)
    for k, sequence in enumerate(sequences):
        excess = max(0, len(sequence) - maxlen)
        items = np.asarray(sequence[excess:] if truncating == "pre" else sequence[: len(sequence) - excess], dtype)
        if len(items) == 0:
            continue
        if items.shape[1:] != shape:
            raise ValueError(
                f"pad_sequences: the items of all sequences must have one shape; sequence {k} has {items.shape[1:]}, "
                f"the first {shape}."
            )
        padded[k, (maxlen - len(items) if padding == "pre" else 0) :][: len(items)] = items
    return padded


def split_dataset(
    dataset: Arrays,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Arrays, Arrays]:
    """Divide arrays into a left and a right part, for example for training and testing.

    Args:
        dataset: An array, or a tuple or list of arrays with the same number of rows.
        left_size: Rows of the left part: an integer, or a share between 0 and 1; by default all but the right part.
        right_size: The same for the right part. Rows in neither part are dropped.
        shuffle: Whether to take the rows in random order.
        seed: Seed of that order.
        preferred_backend: Accepted as in Keras, and ignored.

    Returns:
        (left, right), each of the form of ``dataset``: ``model.fit(*left, validation_data=right)``. Without ``shuffle``
        they are views. (Keras gives datasets of its backend instead.)

    Raises:
        TypeError: ``dataset`` is neither an array nor a tuple or list of arrays.
        ValueError: a size is impossible, or both are missing.

    Example:
        >>> x, y = np.zeros((10, 3)), np.zeros(10)
        >>> left, right = fastnet.utils.split_dataset((x, y), left_size=0.8)
        >>> left[0].shape, right[1].shape
        ((8, 3), (2,))
    """
    arrays = dataset if isinstance(dataset, (tuple, list)) else [dataset]
    if not arrays or not all(hasattr(a, "__array__") and np.ndim(a) for a in arrays):
        raise TypeError(
            f"split_dataset: an array, or a tuple or list of arrays is needed; received {type(dataset).__name__}."
        )
    arrays = [np.asarray(a) for a in arrays]
    rows = {len(a) for a in arrays}
    if len(rows) > 1:
        raise ValueError(f"split_dataset: the arrays must have the same number of rows; received {sorted(rows)}.")
    (total,) = rows
    left, right = _rows_of("left_size", left_size, total), _rows_of("right_size", right_size, total)
    if left is None and right is None:
        raise ValueError("split_dataset: give left_size or right_size.")
    left = total - (right or 0) if left is None else left
    right = total - left if right is None else right
    if left + right > total or left == 0 or right == 0:
        raise ValueError(f"split_dataset: {left} and {right} rows cannot be taken of {total}.")
    if shuffle:
        order = np.random.default_rng(seed).permutation(total)
        arrays = [a[order] for a in arrays]
    halves = [[a[:left] for a in arrays], [a[left : left + right] for a in arrays]]
    if not isinstance(dataset, (tuple, list)):
        return halves[0][0], halves[1][0]
    return type(dataset)(halves[0]), type(dataset)(halves[1])


def _rows_of(name: str, size: Any, total: int) -> int | None:
    if size is None:
        return None
    is_count = checks.is_integer(size)
    if not checks.is_number(size) or not 0 < size < (total if is_count else 1):
        raise ValueError(
            f"split_dataset: {name} must be a whole number below {total}, or a share of 1; received {quoted(size)}."
        )
    return int(size) if is_count else round(size * total)
