"""The state that training changes (weights, optimizer, random counters) as a tree of plain data and arrays."""

from __future__ import annotations

import itertools
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fastnet._kernels.errors import cut
from fastnet.descriptions import snake_case
from fastnet.saving.archive import SavedFileError


def weight_names(model: Any) -> list[str]:
    """The names ``layer/weight`` of the model's weights, in order."""
    return [f"{layer.name}/{v.name}" for layer, weights in _weights_by_layer(model) for v in weights]


def _weights_by_layer(model: Any) -> list[tuple[Any, list[Any]]]:
    """(layer, its weights) in order; a weight that several layers share is that of the first one."""
    seen: set[Any] = set()
    pairs = []
    for layer in model.layers:
        pairs.append((layer, [v for v in layer.weights if v not in seen]))
        seen.update(layer.weights)
    return [(layer, weights) for layer, weights in pairs if weights]


def model_state(model: Any) -> dict[str, Any]:
    """Collect the weights, the optimizer's state, the seed of masks and permutations and its counters.

    Raises:
        ValueError: the model has no weights yet.
    """
    if not model.built:
        raise ValueError(f"The model {model.name!r} has no weights yet: build it, or give it an Input layer, first.")
    return state_so_far(model)


def state_so_far(model: Any) -> dict[str, Any]:
    """Collect the `model_state` of a model that may be built in part."""
    return {
        "names": weight_names(model),
        "weights": [v.current for v in model.weights],
        "optimizer": _optimizer_state(model),
        "columns": model.columns,
        **model.random_counters,
    }


def _optimizer_state(model: Any) -> dict[str, Any] | None:
    optimizer = model.optimizer
    if optimizer is None:
        return None
    return {
        "class_name": type(optimizer).__name__,
        "undecayed": _undecayed(model),
        **optimizer.state(model.weights),
    }


def _undecayed(model: Any) -> dict[str, Any]:
    """The weights that are excluded from weight decay: their indices, and the pattern of names."""
    variables, pattern = model.optimizer.undecayed
    ids = set(map(id, variables))
    return {"places": [i for i, v in enumerate(model.weights) if id(v) in ids], "pattern": pattern}


def restore(model: Any, tree: dict[str, Any], path: Path, skip_mismatch: bool = False, everything: bool = True) -> None:
    """Set a model's state to one that `model_state` collected, completely or not at all.

    Args:
        model: a built model of the same architecture.
        tree: the contents of the file ``path``.
        path: for errors.
        skip_mismatch: whether to keep weights that do not fit, with a warning, instead of raising.
        everything: whether the optimizer must fit too and the random counters are set. Otherwise the state of another
            optimizer is ignored, with a warning.

    Raises:
        SavedFileError: the state is that of another model; the model is unchanged.
    """
    if not model.built and len(model.weights) != len(tree["weights"]):
        raise SavedFileError(f"The model {model.name!r} is not built yet: build it, then load {path}.")
    pairs = _matching_weights(model, tree, path, skip_mismatch)
    saved, counters = tree["optimizer"], {name: int(tree[name]) for name in ("seed", "epochs_done")}
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
        model.random_counters = counters
        columns = tree.get("columns")
        model.columns = None if columns is None else tuple(map(str, columns))


def _matching_weights(model: Any, tree: dict[str, Any], path: Path, skip: bool) -> list[tuple[Any, np.ndarray]]:
    """Pair each weight with its value; ``skip`` leaves out those that do not fit."""
    variables, arrays = model.weights, tree["weights"]
    if any(a.dtype.kind != "f" for a in arrays):
        raise SavedFileError(f"{path} holds arrays that are not weights.")
    if [a.shape for a in arrays] == [v.shape for v in variables]:
        return list(zip(variables, arrays, strict=True))
    if not skip:
        raise SavedFileError(f"{path} holds the weights of another model: {_first_mismatch(model, tree)}.")
    pairs, left = _by_layer(model, tree)
    if left:
        warnings.warn(
            f"{path} has no fitting weights for {cut(', '.join(left))}; these stay as they are.", stacklevel=4
        )
    return pairs


def _first_mismatch(model: Any, tree: dict[str, Any]) -> str:
    """Describe the first weight whose shape differs."""

    def described(names: list[str], arrays: list[Any]) -> list[str]:
        return [f"{name!r} of shape {tuple(array.shape)}" for name, array in zip(names, arrays, strict=True)]

    held, wanted = described(tree["names"], tree["weights"]), described(weight_names(model), model.weights)
    shapes = ([array.shape for array in arrays] for arrays in (tree["weights"], model.weights))
    index = next(i for i, (a, b) in enumerate(itertools.zip_longest(*shapes)) if a != b)
    here, there = ((names[index] if index < len(names) else "nothing") for names in (wanted, held))
    return (
        f"{len(held)} weights, where this one has {len(wanted)}; the first that differs is weight {index}, "
        f"{cut(there)} in the file and {here} in the model {model.name!r}. With skip_mismatch=True load_weights leaves "
        "such layers out"
    )


def _by_layer(model: Any, tree: dict[str, Any]) -> tuple[list[tuple[Any, np.ndarray]], list[str]]:
    """Pair weights and values layer by layer: by name first, then the layers that are left in order.

    Returns:
        (weight, value) of the layers that the file has, and the names of the other layers.
    """
    saved: dict[str, list[np.ndarray]] = {}
    for name, array in zip(tree["names"], tree["weights"], strict=True):
        saved.setdefault(name.rsplit("/", 1)[0], []).append(array)
    given = {snake_case(type(layer).__name__) for layer in model.layers}
    held = dict(zip(_keys(saved, given), saved.values(), strict=True))
    layers = _weights_by_layer(model)
    keys = _keys([layer.name for layer, _ in layers], given)
    found = {key: held.pop(key) for key, (_, weights) in zip(keys, layers) if _fits(weights, held.get(key))}
    remaining, pairs, left = iter(held.values()), [], []
    for key, (layer, weights) in zip(keys, layers, strict=True):
        arrays = found[key] if key in found else next(remaining, None)
        if arrays is not None and _fits(weights, arrays):
            pairs += list(zip(weights, arrays, strict=True))
        else:
            left.append(layer.name)
    return pairs, left


def _keys(names: Iterable[str], given: set[str]) -> list[tuple[str, int]]:
    """Keys by which layers of two models are compared. Default names, whose bases are in ``given``, are counted within
    each model, as in Keras's files: the first Dense is "dense" in one process and may be "dense_7" in the next."""
    seen: Counter[str] = Counter()
    keys = []
    for name in names:
        base = re.sub(r"_\d+$", "", name)
        keys.append((base, seen[base]) if base in given else (name, -1))
        seen[base] += 1
    return keys


def _fits(weights: list[Any], arrays: list[np.ndarray] | None) -> bool:
    return arrays is not None and [a.shape for a in arrays] == [v.shape for v in weights]


def _load_optimizer(model: Any, saved: dict[str, Any], path: Path) -> None:
    optimizer = model.optimizer
    if saved["class_name"] != type(optimizer).__name__:
        raise SavedFileError(
            f"{path} holds the state of the optimizer {cut(str(saved['class_name']))}, which does not fit this model's "
            f"({type(optimizer).__name__})."
        )
    try:
        arrays = {name: value for name, value in saved.items() if name not in ("class_name", "undecayed")}
        optimizer.load_state(arrays, model.weights)
    except ValueError as error:
        raise SavedFileError(f"{path} holds the state of another optimizer. {cut(str(error), 600)}") from None
    if (undecayed := saved.get("undecayed")) and (undecayed["places"] or undecayed["pattern"]):
        optimizer.undecayed = (tuple(model.weights[index] for index in undecayed["places"]), undecayed["pattern"])
