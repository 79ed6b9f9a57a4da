"""The state of an optimizer: as variables in Keras's order, as named arrays, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fastnet.engine.variable import Variable
from fastnet.optimizers.keras_scalars import StateNumber


class NamedState:
    """The methods of an optimizer that give and take its state."""

    states: dict[Variable, list[Variable]]
    memory: list[Variable]
    iterations: Any
    learning_rate: Any
    scheduled: Any
    fixed_rate: Any
    build: Any

    @property
    def variables(self) -> list[Any]:
        """All state as variables: the iteration, the learning rate where it is a number, the states of each weight,
        then the memory. Before a weight is known these are the first two and the memory.

        Example:
            >>> [v.name for v in optimizers.SGD(momentum=0.9).variables]
            ['iteration', 'learning_rate']
        """
        rate = [] if self.scheduled else [StateNumber(self, "learning_rate")]
        return [StateNumber(self, "iteration"), *rate, *self._arrays_of_state()]

    def _arrays_of_state(self) -> list[Variable]:
        return [*(v for states in self.states.values() for v in states), *self.memory]

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Set all `variables`, which must exist: after `build`, or a step.

        Args:
            weights: an array or a number for each, in their order.

        Raises:
            ValueError: their number or a shape differs, or no weight is known yet; nothing has changed then.

        Example:
            >>> import numpy as np
            >>> optimizer, w = optimizers.SGD(0.5, momentum=0.9), np.zeros(2)
            >>> optimizer.build([w])
            >>> optimizer.set_weights([7, 0.25, [1.0, 2.0]])
            >>> optimizer.iterations, optimizer.learning_rate, optimizer.variables[2].numpy().tolist()
            (7, 0.25, [1.0, 2.0])
        """
        owner, given, variables = type(self).__name__, list(weights), self.variables
        if not self.states:
            raise ValueError(f"{owner}.set_weights: call build(model.trainable_weights) first, which makes the state.")
        if len(given) != len(variables):
            raise ValueError(f"{owner}.set_weights: there are {len(variables)} variables; received {len(given)}.")
        checked = [v.check(value) for v, value in zip(variables, given, strict=True)]
        for variable, value in zip(variables, checked, strict=True):
            variable.assign(value)

    def state(self, variables: Sequence[Variable] | None = None) -> dict[str, np.ndarray]:
        """Copies of all that training changes.

        Args:
            variables: the weights in an order that will be the same when the state is loaded, such as
                ``model.trainable_weights``; by default in the order in which they were met.

        Returns:
            "iterations"; "learning_rate" where it is a number; the names of the memory; "0/momentum" and so on for the
            states of the weights, by their position.
        """
        found = {"iterations": np.array(self.iterations)}
        if not self.scheduled:
            found["learning_rate"] = np.array(self.fixed_rate)
        return found | {name: v.numpy() for name, v in self._named(variables).items()}

    def load_state(self, state: Mapping[str, Any], variables: Sequence[Variable] | None = None) -> None:
        """Take back the arrays of `state`.

        Args:
            state: the named arrays.
            variables: as in `state`; weights without state get theirs first.

        Raises:
            ValueError: names or shapes that do not fit; nothing has changed then.
        """
        owner = type(self).__name__
        positions = {name.split("/")[0] for name in state}
        self.build(v for i, v in enumerate(variables or ()) if str(i) in positions)
        named = self._named(variables)
        wanted, given = {"iterations", *named}, set(state) - {"learning_rate"}
        if given != wanted:
            raise ValueError(
                f"{owner}: the state does not fit; missing {sorted(wanted - given)}, unknown {sorted(given - wanted)}."
            )
        for name, variable in named.items():
            if np.shape(state[name]) != variable.shape:
                raise ValueError(f"{owner}: {name!r} has shape {variable.shape}; received {np.shape(state[name])}.")
        if "learning_rate" in state and not self.scheduled:
            self.learning_rate = float(state["learning_rate"])
        for name, variable in named.items():
            variable.assign(state[name])
        self.iterations = int(state["iterations"])

    def _named(self, variables: Sequence[Variable] | None) -> dict[str, Variable]:
        """The state by names: that of weights by their position, such as "0/momentum", then the memory."""
        weights = list(self.states) if variables is None else variables
        named = {f"{i}/{v.name}": v for i, w in enumerate(weights) for v in self.states.get(w, ())}
        return named | {v.name: v for v in self.memory}
