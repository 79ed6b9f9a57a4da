"""The weights of layers: made with initial values, while a layer is built."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnet import checks, config, constraints, initializers, regularizers
from fastnet._kernels.errors import quoted
from fastnet.engine.variable import Variable


class AddsWeights:
    """The methods of a layer that make its weights."""

    _variables: list[Variable]
    _owner: Any
    _in_use: Any

    def add_weight(
        self,
        name: str | None = None,
        shape: Any = (),
        initializer: Any = "glorot_uniform",
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        dtype: Any = None,
        autocast: bool = True,
        aggregation: Any = "none",
    ) -> Variable:
        """Make a weight with initial values.

        Args:
            name: by default "variable", with a number from the second one on.
            shape: a tuple of sizes, or one size; ``()`` or None for one number.
            initializer: of its values; None for "glorot_uniform".
            trainable: whether an optimizer changes it.
            regularizer, constraint: see `fastnet.regularizers`, `fastnet.constraints`.
            dtype: None, or the layer's, which all its weights have.
            autocast, aggregation: accepted, without effect.

        Raises:
            TypeError: the name is not a string; Keras's ``add_weight`` takes the shape first.
            ValueError: the initializer does not return an array of this shape; ``dtype`` is another one; the layer is
                built.
        """
        if self._in_use:
            what = "it" if name is None else repr(name)
            raise ValueError(f"{self._owner}: its weights are made; add {what} in __init__, build or make_weights.")
        variable = _new_weight(self, name, shape, initializer, trainable, regularizer, constraint, dtype)
        self._variables.append(variable)
        return variable

    def add_named_weight(self, name: str, shape: tuple[int, ...]) -> Variable:
        """A new weight, made with the arguments that begin with its name: ``kernel_initializer`` and the like."""
        kinds = ("initializer", "regularizer", "constraint")
        initializer, regularizer, constraint = (getattr(self, f"{name}_{kind}") for kind in kinds)
        return self.add_weight(name, shape, initializer, regularizer=regularizer, constraint=constraint)


def _new_weight(
    layer: Any, name: Any, shape: Any, initializer: Any, trainable: bool, regularizer: Any, constraint: Any, dtype: Any
) -> Variable:
    """A weight with initial values; see `AddsWeights.add_weight`."""
    if not (name is None or isinstance(name, str)):
        raise TypeError(
            f"{layer._owner}: add_weight takes the name first, then the shape, received {quoted(name)}; in another "
            "order name the arguments: add_weight(shape=..., name=...)."
        )
    if dtype is not None and config.check_dtype(dtype, layer._owner) != layer.dtype:
        raise ValueError(
            f"{layer._owner}: its weights have its dtype, {layer.dtype}, received {quoted(dtype)}; make the layer with "
            "dtype=..., or keep numbers that are not weights in an attribute."
        )
    if name is None:
        number = sum(variable.name.startswith("variable") for variable in layer._variables)
        name = f"variable_{number}" if number else "variable"
    shape = () if shape is None else (shape,) if checks.is_integer(shape) else tuple(shape)
    if not all(checks.is_integer(size) and size >= 0 for size in shape):
        raise ValueError(f"{layer._owner}: the shape of {name!r} must be a tuple of sizes, received {quoted(shape)}.")
    value = _first_value(layer, name, shape, "glorot_uniform" if initializer is None else initializer)
    penalty, projection = regularizers.get(regularizer), constraints.get(constraint)
    return Variable(value, name, trainable, penalty, projection, f"{layer.name}/{name}")


def _first_value(layer: Any, name: str, shape: tuple[int, ...], initializer: Any) -> np.ndarray:
    """The values that an initializer gives."""
    if layer._on_trial:
        initializer = "zeros"  # no random numbers are drawn for a shape
    try:
        value = np.asarray(initializers.get(initializer)(shape, dtype=layer.dtype), layer.dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{layer._owner}: the initializer {quoted(initializer)} of {name!r} cannot fill the shape {shape}: {error}"
        ) from error
    if value.shape != shape:
        raise ValueError(f"{layer._owner}: the initializer of {name!r} gave shape {value.shape} instead of {shape}.")
    return value
