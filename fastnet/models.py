"""Models, and models from descriptions and files."""

from __future__ import annotations

import json
from typing import Any

from fastnet import saving, serialization
from fastnet.saving import load_model as load_model
from fastnet.saving import save_model as save_model
from fastnet.sequential import Sequential as Sequential


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """Make the model that `Sequential.to_json`, or Keras's method of this name, described; its weights are new.

    Args:
        json_string: the description.
        custom_objects: your classes and functions in the description, by name.

    Raises:
        ValueError: the text does not describe a model, or its layers are unknown or do not fit.

    Example:
        >>> import fastnet
        >>> model = fastnet.Sequential([fastnet.layers.Input((2,)), fastnet.layers.Dense(1)])
        >>> fastnet.models.model_from_json(model.to_json()).output_shape
        (None, 1)
    """
    model = saving.deserialize_keras_object(json.loads(json_string), custom_objects)
    if not isinstance(model, Sequential):
        raise ValueError(f"model_from_json: the text describes {type(model).__name__}, and not a Sequential.")
    return model


def clone_model(model: Sequential) -> Any:
    """Make a model of the same layers and names, with new weights; it is not compiled.

    Your own classes and functions in it need not be registered.

    Raises:
        TypeError: a part of the model, such as a lambda, cannot be described; the error names the layer and argument.

    Example:
        >>> import fastnet
        >>> model = fastnet.Sequential([fastnet.layers.Input((2,)), fastnet.layers.Dense(1)])
        >>> fastnet.models.clone_model(model).output_shape
        (None, 1)
    """
    with serialization.mentioned() as custom_objects:
        config = model.get_config()
    with serialization.custom_object_scope(custom_objects):
        return type(model).from_config(config)
