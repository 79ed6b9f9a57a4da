"""All that training changes in a model, as a tree of plain data and arrays: weights, optimizer, random counters."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fastnet.saving.archive import SavedFileError


def weight_names(model: Any) -> list[str]:
    """``layer/weight`` of each of the model's weights, in order."""
    return [f"{layer.name}/{v.name}" for layer in model.layers for v in layer.weights]


def model_state(model: Any) -> dict[str, Any]:
    """The weights, what the optimizer remembers, the seed of masks and permutations and how often it was used.

    Raises:
        ValueError: the model has no weights yet.
    """
    if not model.built:
        raise ValueError(f"The model {model.name!r} has no weights yet: build it, or give it an Input layer, first.")
    return {
        "names": weight_names(model),
        "weights": [v.array for v in model.weights],
        "optimizer": _optimizer_state(model),
        "seed": model._trainer.seed,
        "epochs_done": model._trainer.epochs_done,
    }


def _optimizer_state(model: Any) -> dict[str, Any] | None:
    optimizer = model.optimizer
    if optimizer is None:
        return None
    return {"class_name": type(optimizer).__name__, **optimizer.state(model.weights)}


def restore(model: Any, tree: dict[str, Any], path: Path, skip_mismatch: bool = False, everything: bool = True) -> None:
    """Give a model the state that `model_state` told; all of it or nothing.

    Args:
        model: built, of the same architecture.
        tree: from the file ``path``.
        skip_mismatch: whether weights that do not fit are left as they are, with a warning.
        everything: whether the optimizer must fit too, and the random counters are set; else one that does not fit is
            left as it is, with a warning.

    Raises:
        SavedFileError: it is that of another model; nothing has changed then.
    """
    if not model.built:
        raise SavedFileError(f"The model {model.name!r} is not built yet: build it, then load {path}.")
    pairs = _matching_weights(model, tree, path, skip_mismatch)
    saved, seed, epochs_done = tree["optimizer"], int(tree["seed"]), int(tree["epochs_done"])
    if model.optimizer is not None and saved is not None and not skip_mismatch:
        try:
            _load_optimizer(model, saved, path)
        except SavedFileError as error:
            if everything:
                raise
            warnings.warn(f"Only the weights are loaded. {error}", stacklevel=3)
    for variable, value in pairs:
        variable.assign(value)
    if everything:
        model._trainer.seed, model._trainer.epochs_done = seed, epochs_done


def _matching_weights(model: Any, tree: dict[str, Any], path: Path, skip: bool) -> list[tuple[Any, np.ndarray]]:
    """(weight, value) of each; where ``skip``, without those that do not fit."""
    variables, arrays = model.weights, tree["weights"]
    if any(a.dtype.kind != "f" for a in arrays):
        raise SavedFileError(f"{path} holds arrays that are no weights.")
    if [a.shape for a in arrays] == [v.shape for v in variables]:
        return list(zip(variables, arrays, strict=True))
    if not skip:
        held = ", ".join(f"{n} {a.shape}" for n, a in zip(tree["names"], arrays, strict=True))
        wanted = ", ".join(f"{v.name} {v.shape}" for v in variables)
        raise SavedFileError(f"{path} holds the weights of another model: {held}. This model has: {wanted}.")
    pairs, left = _by_layer(model, tree)
    if left:
        warnings.warn(f"{path} has no fitting weights for {', '.join(left)}; these stay as they are.", stacklevel=4)
    return pairs


def _by_layer(model: Any, tree: dict[str, Any]) -> tuple[list[tuple[Any, np.ndarray]], list[str]]:
    """(weight, value) of the layers whose weights the file has, in order of both; names of the other layers."""
    saved: dict[str, list[np.ndarray]] = {}
    for name, array in zip(tree["names"], tree["weights"], strict=True):
        saved.setdefault(name.rsplit("/", 1)[0], []).append(array)
    queue, pairs, left = list(saved.values()), [], []
    for layer in (layer for layer in model.layers if layer.weights):
        arrays = queue.pop(0) if queue else []
        if [a.shape for a in arrays] == [v.shape for v in layer.weights]:
            pairs += list(zip(layer.weights, arrays, strict=True))
        else:
            left.append(layer.name)
    return pairs, left


def _load_optimizer(model: Any, saved: dict[str, Any], path: Path) -> None:
    optimizer = model.optimizer
    if saved["class_name"] != type(optimizer).__name__:
        raise SavedFileError(
            f"{path} holds the state of the optimizer {saved['class_name']}, which does not fit this model's "
            f"({type(optimizer).__name__})."
        )
    try:
        optimizer.load_state({name: value for name, value in saved.items() if name != "class_name"}, model.weights)
    except ValueError as error:
        raise SavedFileError(f"{path} holds the state of another optimizer. {error}") from None
