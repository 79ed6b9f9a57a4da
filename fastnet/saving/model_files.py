"""Whole models in files: architecture, weights, how they are trained, and how far they are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from fastnet import serialization
from fastnet.saving import archive
from fastnet.saving.state import model_state, restore, state_so_far


def describe(model: Any) -> dict[str, Any]:
    """The architecture and what `compile` was given, as plain data.

    Raises:
        TypeError, NotImplementedError: something no file can describe; says what.
    """
    return {
        "model": serialization.serialize_keras_object(model),
        "compile": model.get_compile_config(),
    }


def pack(model: Any, kind: str, copy: bool = False) -> archive.Packed:
    """A model ready to be written, as a whole (``kind`` "model") or its state alone ("weights")."""
    state = model_state(model)
    return archive.Packed(kind, {**describe(model), **state} if kind == "model" else state, copy)


def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None) -> None:
    """Write a model to one file, whole or not at all: layers, weights, compile's arguments, the optimizer's state.

    `load_model` gives a model that predicts the same bits, and goes on training with the same bits.

    Args:
        model: a built `Sequential`.
        filepath: where to; the name is taken as it is.
        overwrite: whether a file that is there may be replaced.
        zipped: only None or True: it is one file.

    Raises:
        ValueError: the model has no weights yet.
        TypeError: a part of it that no file can describe, a lambda say.
        FileExistsError: the file is there and ``overwrite`` is False.

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
    path = archive.as_path(filepath)
    packed = pack(model, "model")
    archive.check_overwrite(path, overwrite)
    packed.write(path)


def load_model(
    filepath: Any, custom_objects: dict[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """The model that `save_model` wrote.

    Args:
        filepath: the file. No code is read from it: it can name classes of fastnet's and such as you registered.
        custom_objects: name → class or function of yours that the model uses, where it is not registered.
        compile: whether the model is compiled as it was.
        safe_mode: accepted; every load is safe.

    Raises:
        SavedFileError: the file is damaged, foreign, of another version, holds weights only, or names a class that
            nobody registered.
        FileNotFoundError: there is no such file.

    Example:
        >>> model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
        >>> saving.save_model(model, "model.fastnet")
        >>> saving.load_model("model.fastnet").output_shape
        (None, 1)
    """
    path = archive.as_path(filepath)
    _, tree = archive.read(path, ("model",))
    with (
        archive.explained(path, "holds no model that can be made here"),
        serialization.custom_object_scope(custom_objects),
    ):
        return _made(tree, path, compile)


def _made(tree: dict[str, Any], path: Path, compile: bool = True) -> Any:
    """The model of a file's tree."""
    model = serialization.deserialize_keras_object(tree["model"])
    if compile and tree["compile"] is not None:
        model.compile_from_config(tree["compile"])
    for leaf, shape in zip(model.leaves, tree.get("built", ())):
        if shape is not None and not leaf.built:
            leaf.connect(tuple(shape))
    restore(model, tree, path)
    return model


def to_bytes(model: Any) -> tuple[bytes, dict[str, Any]]:
    """What `save_model` would write, for copies and pickles, and by name what of the user's is in it.

    A model that is not built is written too, with the weights of those of its layers that are.

    Raises:
        TypeError: a part of it that nothing can describe, a lambda say.
    """
    with serialization.mentioned() as custom_objects:
        tree = {**describe(model), **state_so_far(model)}
    if not model.built:
        tree["built"] = [leaf.input_shape if leaf.built else None for leaf in model.leaves]
    return archive.Packed("model", tree).to_bytes(), custom_objects


def from_bytes(content: bytes, custom_objects: dict[str, Any]) -> Any:
    """The model that `to_bytes` told of."""
    name = Path("The copy of a model")  # what errors call it
    _, tree = archive.parse(io.BytesIO(content), name, ("model",))
    with serialization.custom_object_scope(custom_objects):
        return _made(tree, name)
