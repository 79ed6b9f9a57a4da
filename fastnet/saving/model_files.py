"""Saves and loads whole models: architecture, weights, the arguments of `compile`, the optimizer's state."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fastnet import serialization
from fastnet._kernels import portable
from fastnet.saving import archive
from fastnet.saving.state import model_state, restore, state_so_far
from fastnet.tracebacks import trimmed


def describe(model: Any) -> dict[str, Any]:
    """Describe the architecture and the arguments of `compile` as plain data.

    Raises:
        TypeError, NotImplementedError: a part cannot be described; the error names it.
    """
    described = serialization.serialize_keras_object(model)
    compiled = described.pop("compile_config", None)  # an entry of the file, since `load_model` may leave it out
    return {"model": described, "compile": compiled}


def pack(model: Any, kind: str, copy: bool = False) -> archive.Packed:
    """Pack a model for a file: the whole of it (``kind`` "model"), or its state alone ("weights")."""
    state = model_state(model)
    return archive.Packed(kind, {**describe(model), **state} if kind == "model" else state, copy)


def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None) -> None:
    """Save a model to one file: layers, weights, compile's arguments, the optimizer's state.

    The file is written completely or not at all. The model that `load_model` returns predicts and trains on with the
    same bits.

    Args:
        model: a built `Sequential`.
        filepath: the file; no suffix is added to its name. Or a file that is open for writing bytes.
        overwrite: whether an existing file may be replaced.
        zipped: None or True, since the model is one file.

    Raises:
        ValueError: the model has no weights yet.
        TypeError: a part of the model cannot be described, such as a lambda.
        FileExistsError: the file exists and ``overwrite`` is False.

    Example:
        >>> import os, tempfile, fastnet
        >>> model = fastnet.Sequential([fastnet.layers.Input((2,)), fastnet.layers.Dense(1)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(os.path.join(folder, "model.fastnet"))
        ...     same = fastnet.saving.load_model(os.path.join(folder, "model.fastnet"))
        >>> same.output_shape
        (None, 1)
    """
    if zipped is False:
        raise ValueError("save_model writes one file: leave out zipped=False.")
    target = archive.target(filepath)
    archive.save(pack(model, "model"), target, overwrite)


def load_model(
    filepath: Any, custom_objects: dict[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """Load a model that `save_model` saved.

    Args:
        filepath: the file, or one that is open for reading bytes. It holds no code: it can name fastnet's classes, and
            your own that you registered.
        custom_objects: your own classes and functions that the model uses and that are not registered, by name.
        compile: whether to compile the model with the arguments it was saved with.
        safe_mode: accepted; every load is safe.

    Raises:
        SavedFileError: the file is damaged, of another program or version, holds weights only, or names a class that
            is not registered.
        FileNotFoundError: the file does not exist.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
        >>> saving.save_model(model, "model.fastnet")
        >>> saving.load_model("model.fastnet").output_shape
        (None, 1)
    """
    with trimmed:
        path, tree = archive.load(filepath, ("model",))
    with (
        trimmed,
        archive.explained(path, "does not hold a model that can be made here"),
        serialization.custom_object_scope(custom_objects),
    ):
        return _model_from(tree, path, compile)


def _model_from(tree: dict[str, Any], path: Path, compile: bool = True) -> Any:
    """Make the model that a file's tree describes."""
    model = serialization.deserialize_keras_object(tree["model"])
    if compile and tree["compile"] is not None:
        model.compile_from_config(tree["compile"])
    for leaf, shape in zip(model.leaves, tree.get("built", ())):
        if shape is not None and not leaf.built:
            leaf.build((None, *shape))
    restore(model, tree, path)
    return model


def to_bytes(model: Any) -> tuple[bytes, dict[str, Any], list[Any]]:
    """Pack a model for copies and pickles.

    A model that is not built is packed with the weights of those of its layers that are.

    Returns:
        The bytes that `save_model` would write; the user's classes and functions in them by name; and the registered
        rows that they name (`_kernels.portable`).

    Raises:
        TypeError: a part of the model cannot be described, such as a lambda.
    """
    with serialization.mentioned() as custom_objects:
        tree = {**describe(model), **state_so_far(model)}
    if not model.built:
        tree["built"] = [leaf.input_shape if leaf.built else None for leaf in model.leaves]
    rows = portable.registered_rows(frozenset(_texts(tree["model"])) | frozenset(_texts(tree["compile"])))
    portable.note_sources(custom_objects.values())
    return archive.Packed("model", tree).to_bytes(), custom_objects, rows


def _texts(item: Any) -> Iterator[str]:
    """All strings in a description."""
    if isinstance(item, str):
        yield item
    elif isinstance(item, (dict, list)):
        for value in item.values() if isinstance(item, dict) else item:
            yield from _texts(value)


def from_bytes(content: bytes, custom_objects: dict[str, Any], rows: Sequence[Any] = ()) -> Any:
    """Make the model that `to_bytes` packed."""
    portable.adopt(rows)
    name = Path("The copy of a model")  # for errors
    _, tree = archive.parse(io.BytesIO(content), name, ("model",))
    with serialization.custom_object_scope(custom_objects):
        return _model_from(tree, name)
