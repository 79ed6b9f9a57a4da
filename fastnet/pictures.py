"""Draws pictures of a training with matplotlib, without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np


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
    images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, which: Sequence[int], path: Path
) -> Path:
    """Draw images with their predicted classes, and with their labels where these differ.

    Args:
        images: (n, height, width).
        labels, predicted: classes (n,).
        which: indices of the images to draw, ten in a row.
        path: the file to write; its suffix decides the format.

    Raises:
        ImportError: matplotlib is not installed.
    """
    rows = -(-len(which) // 10)
    figure = _figure(10, 1.25 * rows)
    cells = figure.subplots(rows, 10, squeeze=False).ravel()
    for axes in cells:
        axes.axis("off")
    for axes, i in zip(cells, which):
        right = predicted[i] == labels[i]
        axes.imshow(images[i], cmap="gray_r")
        title = f"{predicted[i]}" if right else f"{predicted[i]}, is {labels[i]}"
        axes.set_title(title, fontsize=9, color="black" if right else "crimson")
    return _save(figure, path)


def _figure(width: float, height: float):
    # pyplot would choose a display's toolkit for the whole process.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure, path: Path) -> Path:
    figure.savefig(path, dpi=120)
    return path
