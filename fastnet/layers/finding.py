"""Finds a layer of a network."""

from __future__ import annotations

from typing import Any

from fastnet import checks
from fastnet._kernels.errors import quoted
from fastnet._kernels.registry import unknown


def find_layer(network: Any, name: Any, index: Any) -> Any:
    """The layer of a name or an index; see `Network.get_layer`."""
    if (name is None) == (index is None):
        raise ValueError(f"get_layer takes a name or an index, received name={quoted(name)}, index={quoted(index)}.")
    if index is not None:
        if not checks.is_integer(index):
            hint = " For a layer by its name: get_layer(name)." if isinstance(index, str) else ""
            raise ValueError(
                f"The model {network.name!r}: get_layer: index must be an integer, received {quoted(index)}.{hint}"
            )
        if not -len(network.layers) <= index < len(network.layers):
            count = len(network.layers)
            raise ValueError(f"The model {network.name!r} has {count} layers; there is none of index={quoted(index)}.")
        return network.layers[index]
    for layer in network.layers:
        if layer.name == name:
            return layer
    hint = f" For a layer by its index: get_layer(index={name})." if checks.is_integer(name) else ""
    raise ValueError(unknown("layer", name, [layer.name for layer in network.layers]) + hint)
