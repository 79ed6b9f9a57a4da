"""Saves and loads the weights of models."""

from __future__ import annotations

from typing import Any

from fastnet._kernels.errors import quoted
from fastnet.saving import archive
from fastnet.saving.state import model_state, restore


def save_weights(model: Any, filepath: Any, overwrite: bool = True, max_shard_size: None = None) -> None:
    """Save a model's weights and its optimizer's state to a file, completely or not at all.

    Args:
        model: a built `Sequential`.
        filepath: the file; no suffix is added to its name.
        overwrite: whether an existing file may be replaced.
        max_shard_size: None, since the weights are one file.

    Raises:
        ValueError: the model has no weights yet, or ``max_shard_size`` is given.
        TypeError: ``filepath`` is not a path.
        OSError: the file cannot be written, for example because its folder does not exist.
        FileExistsError: the file exists and ``overwrite`` is False.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
        >>> saving.save_weights(model, "model.weights.npz")
    """
    if max_shard_size is not None:
        raise ValueError(f"save_weights writes one file: leave out max_shard_size, received {quoted(max_shard_size)}.")
    path = archive.as_path(filepath)
    packed = archive.Packed("weights", model_state(model))
    archive.check_overwrite(path, overwrite)
    packed.write(path)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False) -> None:
    """Load a model's weights from a file of `save_weights` or `save_model`, or from a backup.

    Layers are matched in order. Where shapes differ and ``skip_mismatch`` is True, layers are matched by name, and then
    those that are left in order. Default names count within their class: "dense_4" is the first Dense of a model whose
    second one is "dense_5".

    The optimizer's state is loaded too, if the model is compiled with an optimizer of the same class.

    Args:
        model: a built `Sequential`.
        filepath: the file.
        skip_mismatch: whether to keep the weights of layers that do not fit, with a warning, instead of raising.

    Raises:
        SavedFileError: the file is damaged, of another kind, or of another model; the model is unchanged.
        FileNotFoundError: the file does not exist.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
        >>> saving.save_weights(model, "model.weights.npz")
        >>> saving.load_weights(models.clone_model(model), "model.weights.npz")
    """
    path = archive.as_path(filepath)
    _, tree = archive.read(path, ("weights", "model", "checkpoint"))
    with archive.explained(path, "is damaged"):
        restore(model, tree, path, skip_mismatch, everything=False)
