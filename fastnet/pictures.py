"""Draws pictures of a training, of images and of what a model makes of them, with matplotlib, without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastnet.arrays import as_array
from fastnet.saving.archive import named_errors


def learning_curves(history: Mapping[str, Sequence[float]], path: Path) -> Path:
    """Draw each quantity of a `History` over the epochs, with its validation if there is one.

    Args:
        history: values for each epoch by name, as in ``History.history``.
        path: the file to write; its suffix decides the format.

    Raises:
        ImportError: matplotlib is not installed.
    """
    names = [name for name in history if not name.startswith("val_")]
    figure = _figure(4.5 * len(names), 3.2)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        for label, key in (("training", name), ("test", f"val_{name}")):
            if key in history:
                axes.plot(range(1, len(history[key]) + 1), history[key], label=label)
        axes.set(xlabel="epoch", ylabel=name)
        if name == "loss":
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
        axes.legend()
    return _save(figure, path)


def labelled_images(
    images: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    which: Sequence[int],
    path: Path,
    class_names: Sequence[str] | None = None,
) -> Path:
    """Draw images with their predicted classes, and with their labels where these differ.

    Args:
        images: (n, height, width), or with a last axis of 1 or 3 channels: numbers in [0, 1], or up to 255 with one
            above 127; others, such as those of the digits, are drawn from their smallest to their largest.
        labels, predicted: classes (n,).
        which: indices of the images to draw, ten in a row.
        path: the file to write; its suffix decides the format.
        class_names: the classes' names; by default their numbers.

    Raises:
        ImportError: matplotlib is not installed.
    """
    names = _Names(class_names)
    low, high = _range(images)
    cells, figure = _cells(len(which), 10, 1.0, 1.25)
    for axes, i in zip(cells, which):
        right = predicted[i] == labels[i]
        _draw(axes, images[i], low, high)
        title = names[predicted[i]] if right else f"{names[predicted[i]]}, is {names[labels[i]]}"
        axes.set_title(title, fontsize=9 if class_names is None else 6, color="black" if right else "crimson")
    return _save(figure, path)


def misclassified(
    images: Any, labels: Any, predictions: Any, path: Path, class_names: Sequence[str] | None = None, limit: int = 40
) -> Path:
    """Draw the images whose class was predicted wrongly, those first of which the model was surest.

    Args:
        images: (n, height, width), or with a last axis of 1 or 3 channels: numbers in [0, 1], or up to 255 with one
            above 127; others, such as those of the digits, are drawn from their smallest to their largest.
        labels: classes (n,) or (n, 1).
        predictions: of a model, (n, classes), or (n, 1) probabilities of class 1.
        path: the file to write; its suffix decides the format.
        class_names: the classes' names; by default their numbers.
        limit: the largest number of images.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the numbers of rows differ.

    Example:
        >>> from fastnet import pictures
        >>> def errors(model, x, y):
        ...     return pictures.misclassified(x, y, model.predict(x), "errors.png")
    """
    labels, predicted, sureness = _compared(labels, predictions)
    if len(images) != len(labels):
        raise ValueError(f"misclassified: there are {len(images)} images and {len(labels)} labels.")
    wrong = np.flatnonzero(predicted != labels)
    which = wrong[np.argsort(-sureness[wrong], kind="stable")][:limit]
    return labelled_images(np.asarray(images), labels, predicted, which.tolist(), path, class_names)


def confusion_counts(labels: Any, predictions: Any, classes: int | None = None) -> np.ndarray:
    """How often each class was taken for each other one: row i and column j count those of class i taken for j.

    Args:
        labels: classes (n,) or (n, 1).
        predictions: of a model, (n, classes), or (n, 1) probabilities of class 1; or classes (n,).
        classes: their number; by default the smallest that has all of them.

    Raises:
        ValueError: the numbers of rows differ, or a label is not a class.

    Example:
        >>> from fastnet import pictures
        >>> pictures.confusion_counts([0, 1, 1], [0, 1, 0]).tolist()
        [[1, 0], [1, 1]]
    """
    labels, predicted, _ = _compared(labels, predictions)
    shape = np.shape(predictions)
    known = max([int(labels.max(initial=-1)), int(predicted.max(initial=-1)), shape[1] - 1 if len(shape) > 1 else -1])
    count = known + 1 if classes is None else classes
    if known >= count or min(labels.min(initial=0), predicted.min(initial=0)) < 0:
        raise ValueError(f"confusion_counts: labels and predictions must be classes from 0 to {count - 1}.")
    counts = np.zeros((count, count), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def confusion_matrix(labels: Any, predictions: Any, path: Path, class_names: Sequence[str] | None = None) -> Path:
    """Draw how often each class was taken for each other one; the shade is the share of the class's samples.

    Args:
        labels, predictions: see `confusion_counts`.
        path: the file to write; its suffix decides the format.
        class_names: the classes' names; by default their numbers.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the numbers of rows differ, or a label is not a class.

    Example:
        >>> from fastnet import pictures
        >>> def errors(model, x, y):
        ...     return pictures.confusion_matrix(y, model.predict(x), "confusion.png")
    """
    counts = confusion_counts(labels, predictions, None if class_names is None else len(class_names))
    names = _Names(class_names)
    ticks = range(len(counts))
    side = max(3.0, 0.4 * len(counts) + 1)
    figure = _figure(side, side)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="is", xticks=ticks, yticks=ticks)
    axes.set_xticklabels([names[k] for k in ticks], rotation=0 if class_names is None else 90)
    axes.set_yticklabels([names[k] for k in ticks])
    for i, j in np.argwhere(counts) if len(counts) <= 30 else ():
        colour = "white" if shares[i, j] > 0.5 else "black"
        axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=7, color=colour)
    return _save(figure, path)


def filters(kernel: Any, path: Path, limit: int = 64) -> Path:
    """Draw the filters of a convolution, each on its own scale from the smallest weight to the largest.

    Args:
        kernel: (height, width, inputs, filters), such as ``layer.kernel``. A filter of 1 or 3 inputs is one picture, in
            colours where there are 3; of others each input is one.
        path: the file to write; its suffix decides the format.
        limit: the largest number of pictures.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the kernel has another number of axes, or is None.

    Example:
        >>> from fastnet import pictures
        >>> def first_filters(model):
        ...     return pictures.filters(model.layers[0].kernel, "filters.png")
    """
    if kernel is None:
        raise ValueError("filters draws the kernel of a layer that is built, received None; build its model first.")
    weights = as_array(kernel, "kernel")
    if weights.ndim != 4:
        raise ValueError(f"filters draws kernels (height, width, inputs, filters), received {weights.shape}.")
    height, width, inputs, count = weights.shape
    if inputs in (1, 3):
        parts = weights.transpose(3, 0, 1, 2)
    else:
        parts = weights.transpose(3, 2, 0, 1).reshape(count * inputs, height, width)
    return _tiles(parts[:limit], path)


def feature_maps(maps: Any, path: Path, limit: int = 64) -> Path:
    """Draw the channels of a layer's result for one image, each on its own scale.

    Args:
        maps: (height, width, channels), such as ``fastnet.models.feature_maps(model, x, layer)[0]``.
        path: the file to write; its suffix decides the format.
        limit: the largest number of channels.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is another number of axes.

    Example:
        >>> from fastnet import pictures
        >>> def first_maps(model, x):
        ...     return pictures.feature_maps(fastnet.models.feature_maps(model, x[:1], 0)[0], "maps.png")
    """
    array = as_array(maps, "maps")
    if array.ndim != 3:
        raise ValueError(
            f"feature_maps draws the result for one image, (height, width, channels); received {array.shape}."
        )
    return _tiles(array.transpose(2, 0, 1)[:limit], path)


class _Names:
    """The names of classes, or their numbers."""

    def __init__(self, names: Sequence[str] | None):
        self.names = names

    def __getitem__(self, label: int) -> str:
        if self.names is None:
            return str(label)
        if not 0 <= label < len(self.names):
            raise ValueError(f"class_names has {len(self.names)} names, but there is a class {label}.")
        return str(self.names[label])


def _compared(labels: Any, predictions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and predicted classes (n,), and how sure each prediction is.

    Predictions are classes (n,), probabilities of class 1 (n, 1), or a number for each class.
    """
    known, given = as_array(labels, "labels").ravel(), as_array(predictions, "predictions")
    if len(known) != len(given):
        raise ValueError(f"There are {len(known)} labels and {len(given)} predictions.")
    if given.ndim > 2:
        raise ValueError(f"Predictions must have one or two axes, received an array of shape {given.shape}.")
    classes = (known,) if given.ndim > 1 else (known, given)
    if any((np.rint(each) != each).any() for each in classes):
        raise ValueError("Classes must be whole numbers; probabilities of class 1 must have the shape (n, 1).")
    known = known.astype(int)
    if given.ndim == 1:
        return known, given.astype(int), np.zeros(len(given))
    if given.shape[1] > 1:
        return known, given.argmax(1), given.max(1)
    column = given[:, 0]
    if ((column < 0) | (column > 1)).any():
        raise ValueError(
            "Predictions (n, 1) must be probabilities; of logits, give (predictions > 0)[:, 0].astype(int)."
        )
    return known, (column > 0.5).astype(int), abs(column - 0.5)


def _tiles(images: np.ndarray, path: Path) -> Path:
    """Draw small pictures side by side."""
    cells, figure = _cells(len(images), 8, 0.8, 0.8)
    for axes, image in zip(cells, images):
        low, high = image.min(), image.max()
        _draw(axes, (image - low) / (high - low if high > low else 1), 0, 1)
    return _save(figure, path)


def _cells(count: int, columns: int, width: float, height: float) -> tuple[np.ndarray, Any]:
    """Places for pictures, in rows, and their figure."""
    rows = max(1, -(-count // columns))
    figure = _figure(columns * width, rows * height)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.axis("off")
    return cells, figure


def _range(images: np.ndarray) -> tuple[float, float]:
    """The numbers of black and white, for all images."""
    low, high = images.min(initial=0), images.max(initial=0)
    if low == 0 and 127 < high <= 255:  # bytes up to 16, those of the digits, would all be nearly white
        return 0, 255
    return (0, 1) if low == 0 and high <= 1 else (low, high)


def _draw(axes: Any, image: np.ndarray, low: float, high: float) -> None:
    """Draw an image: in colours where it has 3 channels, otherwise in grey."""
    image = image[..., 0] if image.shape[2:] == (1,) else image
    if image.shape[2:] not in ((), (3,)):
        raise ValueError(f"Images must have 1 or 3 channels, received one of shape {image.shape}.")
    if image.ndim == 3:
        axes.imshow(np.clip((image - low) / (high - low if high > low else 1), 0, 1))
    else:
        axes.imshow(image, cmap="gray_r", vmin=low, vmax=high)


def _figure(width: float, height: float):
    # pyplot would choose a display's toolkit for the whole process.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure, path: Path) -> Path:
    with named_errors(path):
        figure.savefig(path, dpi=120)
    return path
