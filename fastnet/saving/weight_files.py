"""Weights in files."""

from __future__ import annotations

from typing import Any

from fastnet.saving import archive
from fastnet.saving.state import model_state, restore


def save_weights(model: Any, filepath: Any, overwrite: bool = True, max_shard_size: None = None) -> None:
    """Write a model's weights, and what its optimizer remembers, to a file, whole or not at all.

    Args:
        model: a built `Sequential`.
        filepath: where to; the name is taken as it is.
        overwrite: whether a file that is there may be replaced.
        max_shard_size: only None: there is one file.

    Raises:
        ValueError: the model has no weights yet, or a ``max_shard_size``.
        TypeError: ``filepath`` is no path.
        OSError: the file cannot be written, into a folder that is not there say.
        FileExistsError: the file is there and ``overwrite`` is False.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
        >>> saving.save_weights(model, "model.weights.npz")
    """
    if max_shard_size is not None:
        raise ValueError(f"save_weights writes one file: leave out max_shard_size, received {max_shard_size!r}.")
    path = archive.as_path(filepath)
    packed = archive.Packed("weights", model_state(model))
    archive.check_overwrite(path, overwrite)
    packed.write(path)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False) -> None:
    """Set a model's weights from a file of `save_weights` or `save_model`, or from a backup; layers match in order.

    Where not all shapes are alike and ``skip_mismatch`` is True, layers match by name first, and those that are left in
    order. Of names that classes gave, the place among the layers of the class counts: "dense_4" is the first of a model
    whose second is "dense_5".

    What the optimizer remembered is set too, where the model is compiled with an optimizer of the same class.

    Args:
        model: a built `Sequential`.
        filepath: the file.
        skip_mismatch: whether layers whose weights do not fit are left as they are, with a warning.

    Raises:
        SavedFileError: the file is damaged, is no such file, or fits another model; nothing has changed then.
        FileNotFoundError: there is no such file.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
        >>> saving.save_weights(model, "model.weights.npz")
        >>> saving.load_weights(models.clone_model(model), "model.weights.npz")
    """
    path = archive.as_path(filepath)
    _, tree = archive.read(path, ("weights", "model", "checkpoint"))
    with archive.explained(path, "is damaged"):
        restore(model, tree, path, skip_mismatch, everything=False)
