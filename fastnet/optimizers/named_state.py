"""The state of an optimizer as named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet.engine.variable import Variable

if TYPE_CHECKING:
    from fastnet.optimizers.optimizer import Optimizer


def arrays(optimizer: Optimizer, variables: Sequence[Variable] | None) -> dict[str, np.ndarray]:
    """See `Optimizer.state`."""
    found = {"iterations": np.array(optimizer.iterations)}
    if not optimizer.scheduled:
        found["learning_rate"] = np.array(optimizer.fixed_rate)
    return found | {name: v.numpy() for name, v in _named(optimizer, variables).items()}


def load(optimizer: Optimizer, state: Mapping[str, Any], variables: Sequence[Variable] | None) -> None:
    """See `Optimizer.load_state`."""
    owner = type(optimizer).__name__
    positions = {name.split("/")[0] for name in state}
    optimizer.build(v for i, v in enumerate(variables or ()) if str(i) in positions)
    named = _named(optimizer, variables)
    wanted, given = {"iterations", *named}, set(state) - {"learning_rate"}
    if given != wanted:
        raise ValueError(
            f"{owner}: the state does not fit; missing {sorted(wanted - given)}, unknown {sorted(given - wanted)}."
        )
    for name, variable in named.items():
        if np.shape(state[name]) != variable.shape:
            raise ValueError(f"{owner}: {name!r} has shape {variable.shape}; received {np.shape(state[name])}.")
    if "learning_rate" in state and not optimizer.scheduled:
        optimizer.learning_rate = float(state["learning_rate"])
    for name, variable in named.items():
        variable.assign(state[name])
    optimizer.iterations = int(state["iterations"])


def _named(optimizer: Optimizer, variables: Sequence[Variable] | None) -> dict[str, Variable]:
    """The state by names: that of weights by their position, such as "0/momentum", then the memory."""
    weights = list(optimizer.states) if variables is None else variables
    named = {f"{i}/{v.name}": v for i, w in enumerate(weights) for v in optimizer.states.get(w, ())}
    return named | {v.name: v for v in optimizer.memory}
