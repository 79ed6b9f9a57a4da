"""The description of a network as plain data, and networks from descriptions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastnet import serialization
from fastnet._kernels.errors import quoted
from fastnet.settable import argument_names

if TYPE_CHECKING:
    from fastnet.layers.layer import Layer

#: what a description holds of every network; a subclass of `Sequential` may take other arguments
_OF_EVERY_NETWORK = ("layers", "name", "trainable", "dtype")


class NetworkDescription:
    """The methods of a network that describe it and make it again."""

    name: str
    trainable: Any
    dtype: Any
    built: Any
    input_shape: Any
    build: Any
    described_arguments: Any
    _layers: list[Layer]

    def get_config(self) -> dict[str, Any]:
        """The layers that make another network like it, weights and compile's arguments aside, as plain data."""
        names = argument_names(type(self))
        with serialization.sharing():
            described = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
            if "layers" in names:
                described["layers"] = [serialization.serialize_keras_object(layer) for layer in self._layers]
            described |= self.described_arguments(name for name in names if name not in _OF_EVERY_NETWORK)
        if described.get("seed", 0) is None:
            del described["seed"]  # as Keras describes a model
        return {**described, "build_input_shape": self.input_shape} if self.built else described

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Make a network from the result of `get_config`, or of Keras's method of this name.

        Args:
            config: the description.
            custom_objects: your classes and functions in the description, by name.

        Raises:
            ValueError: the description is not that of a network, or its layers are unknown or do not fit.
        """
        names = argument_names(cls)
        if not isinstance(config, dict) or not {"name", "layers"}.intersection(names) <= set(config):
            raise ValueError(
                f"{cls.__name__}.from_config: a network's description has the entries 'name' and 'layers', received "
                f"{quoted(config)}."
            )
        given = {name: value for name, value in config.items() if name in names}
        network = cls(**serialization.deserialize_keras_object(given, custom_objects))
        if "name" in config and "name" not in names:
            network.name = config["name"]
        if "trainable" not in names and not config.get("trainable", True):
            network.trainable = False
        if not network.built and (shape := config.get("build_input_shape")) is not None:
            network.build((None, *tuple(serialization.deserialize_keras_object(shape))[1:]))
        return network

    def to_json(self, **options: Any) -> str:
        """The description as a JSON text; ``options`` go to `json.dumps`."""
        return json.dumps(serialization.serialize_keras_object(self), **options)
