"""A layer as a tree: the layers in it, of all depths, and the weights of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnet._kernels.errors import quoted
from fastnet.engine.variable import Variable
from fastnet.layers.trace import Use, trace
from fastnet.sparse import SparseRows

if TYPE_CHECKING:
    from fastnet.layers.layer import Layer


class LayerTree:
    """The layers in a layer, and their weights."""

    _variables: list[Variable]
    _owner: Any
    composite: Any
    trainable: Any
    _losses_of_call: Sequence[float] = ()

    @property
    def sublayers(self) -> list[Layer]:
        """Its sublayers: attributes that are layers, or lists, tuples and dictionaries of them, in any depth."""
        if not self.composite and type(self).__module__.startswith("fastnet."):
            return []  # read often
        return _once(*(list(parts_of(value)) for value in list(vars(self).values())))

    def uses(self, input_shape: tuple[int, ...]) -> list[Use]:
        """The layers that its forward applies to samples of this shape, in order; a shared one as often as applied."""
        return trace(self, input_shape).uses if self.composite else []

    def multiply_adds(self, input_shape: tuple[int, ...]) -> int:
        """The multiply-adds of its products and convolutions for one sample, forward; its weights exist.

        By default the sum over the layers that it applies; 0 for others. May be overridden.
        """
        return sum(use.layer.multiply_adds(use.input_shape) for use in self.uses(input_shape))

    def check_data(self, x: Any) -> None:
        """Check data, of any dtype, before anything runs; raise an error if it cannot read them. May be overridden.

        By default the layers that it applies to the data check them.
        """
        if not self.composite:
            return
        readers = self.data_readers
        if readers and isinstance(x, SparseRows):
            raise ValueError(f"{readers[0]._owner} does not read sparse matrices: give x.toarray().")
        for use in self.uses(x.shape[1:]) if readers else ():
            if use.reads_data:
                use.layer.check_data(x)

    @property
    def data_readers(self) -> list[Layer]:
        """Its leaves that check data."""
        return [leaf for leaf in self.leaves if type(leaf).check_data is not LayerTree.check_data]

    @property
    def leaves(self) -> list[Layer]:
        """The layers of all depths without sublayers, in order; also itself if it has weights of its own."""
        parts = self.sublayers
        direct = [self] if self._variables or not parts else []
        return _once(direct, *(part.leaves for part in parts))

    def _check_sublayers(self) -> None:
        """Check that the sublayers of a layer with a backward, which the plan does not build, are built."""
        missing = [] if self.composite else [part for part in self.sublayers if not part.built]
        if missing:
            raise ValueError(
                f"{self._owner} defines backward, and holds {missing[0]._owner}, which is not built. Leave backward "
                "out, and apply the layer with plan.apply(layer, x): the plan builds it, and goes back through it. If "
                "backward itself calls the layer's backward, build the layer in make_weights(input_shape)."
            )

    @property
    def variables(self) -> list[Variable]:
        """All weights, each once, in the order in which they were made; those of its sublayers follow its own."""
        return _once(self._variables, *(part.variables for part in self.sublayers))

    @property
    def weights(self) -> list[Variable]:
        """All weights: its own, the trainable ones first, as Keras orders them; then those of its sublayers."""
        direct = sorted(self._variables, key=lambda v: not v.trainable)
        return _once(direct, *(part.weights for part in self.sublayers))

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that an optimizer changes; empty if ``trainable`` is False."""
        if not self.trainable:
            return []
        direct = [v for v in self._variables if v.trainable]
        return _once(direct, *(part.trainable_weights for part in self.sublayers))

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that an optimizer does not change."""
        trainable = set(map(id, self.trainable_weights))
        return [v for v in self.weights if id(v) not in trainable]

    trainable_variables, non_trainable_variables = trainable_weights, non_trainable_weights

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights' values."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        """Set the weights' values.

        Raises:
            ValueError: the number of arrays or a shape differs; the weights are unchanged.
        """
        assign_all(self.weights, weights, self._owner)

    @property
    def losses(self) -> list[float]:
        """The penalties of its trained weights, with their current values, and what the last call of a layer on arrays
        added: penalties of results (``activity_regularizer``) and numbers of `add_loss`. `Sequential.predict`, and a
        model called without ``training=True``, add none."""
        weights = [float(v.regularizer(v.numpy())) for v in self.trainable_weights if v.regularizer is not None]
        return weights + [number for part in all_parts(self) for number in part._losses_of_call]

    def count_params(self) -> int:
        """The number of elements of its weights."""
        return sum(v.size for v in self.variables)


def parts_of(value: Any) -> Iterator[Layer]:
    """The layers that an attribute holds: itself, or those in lists, tuples and dictionaries, in any depth."""
    if isinstance(value, LayerTree):
        yield value  # type: ignore[misc]
    elif isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from parts_of(each)


def all_parts(layer: Any) -> list[Layer]:
    """A layer and the layers in it, of all depths, each once."""
    return _once([layer], *(all_parts(part) for part in layer.sublayers))


def _once(*lists: list[Any]) -> list[Any]:
    """The items of several lists, each once."""
    if len(lists) == 1:
        return list(lists[0])
    return list({id(item): item for one in lists for item in one}.values())


def assign_all(variables: list[Variable], values: Any, owner: str) -> None:
    """Set several weights; if one does not fit, set none."""
    if isinstance(values, (str, bytes)) or not np.iterable(values):
        raise ValueError(
            f"{owner}: weights must be a list of arrays, as get_weights gives it; received {quoted(values)}."
        )
    values = list(values)
    if len(values) != len(variables):
        raise ValueError(
            f"{owner} has {len(variables)} weights ({', '.join(v.name for v in variables)}); "
            f"received {len(values)} arrays."
        )
    arrays = []
    for index, (variable, value) in enumerate(zip(variables, values, strict=True)):
        try:
            arrays.append(variable.check(value))
        except ValueError as error:
            raise ValueError(f"{owner}: weight {index}: {error}") from None
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
