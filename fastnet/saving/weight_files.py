"""Saves and loads the weights of models."""

from __future__ import annotations

from typing import Any

from fastnet._kernels.errors import quoted
from fastnet.saving import archive
from fastnet.saving.state import model_state, restore


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: None = None, objects_to_skip: None = None
) -> None:
    """Save a model's weights and its optimizer's state to a file, completely or not at all.

    Args:
        model: a built `Sequential`.
        filepath: the file; no suffix is added to its name. Or a file that is open for writing bytes.
        overwrite: whether an existing file may be replaced.
        max_shard_size: None, since the weights are one file.
        objects_to_skip: None, since a file holds all weights.

    Raises:
        ValueError: the model has no weights yet, or one of the last two arguments is given.
        TypeError: ``filepath`` is not a path.
        OSError: the file cannot be written, for example because its folder does not exist.
        FileExistsError: the file exists and ``overwrite`` is False.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
        >>> saving.save_weights(model, "model.weights.npz")
    """
    if max_shard_size is not None:
        raise ValueError(f"save_weights writes one file: leave out max_shard_size, received {quoted(max_shard_size)}.")
    _refuse("save_weights", objects_to_skip)
    target = archive.target(filepath)
    archive.save(archive.Packed("weights", model_state(model)), target, overwrite)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, objects_to_skip: None = None) -> None:
    """Load a model's weights from a file of `save_weights` or `save_model`, or from a backup.

    Layers are matched in order. Where shapes differ and ``skip_mismatch`` is True, layers are matched by name, and then
    those that are left in order. Default names count within their class: "dense_4" is the first Dense of a model whose
    second one is "dense_5".

    The optimizer's state is loaded too, if the model is compiled with an optimizer of the same class.

    Args:
        model: a built `Sequential`.
        filepath: the file, or one that is open for reading bytes.
        skip_mismatch: whether to keep the weights of layers that do not fit, with a warning, instead of raising.
        objects_to_skip: None, since all layers that fit are loaded.

    Raises:
        SavedFileError: the file is damaged, of another kind, or of another model; the model is unchanged.
        FileNotFoundError: the file does not exist.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
        >>> saving.save_weights(model, "model.weights.npz")
        >>> saving.load_weights(models.clone_model(model), "model.weights.npz")
    """
    _refuse("load_weights", objects_to_skip)
    path, tree = archive.load(filepath, ("weights", "model", "checkpoint"))
    with archive.explained(path, "is damaged"):
        restore(model, tree, path, skip_mismatch, everything=False)


def _refuse(caller: str, objects_to_skip: Any) -> None:
    if objects_to_skip is not None:
        raise ValueError(
            f"{caller}: objects_to_skip is not supported: leave it out. For a model of other layers "
            "load_weights(skip_mismatch=True) keeps what does not fit; a layer keeps its weights by "
            "layer.set_weights(layer.get_weights()) around load_weights."
        )
