"""Models, and models from descriptions and files."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fastnet import saving, serialization
from fastnet._kernels.errors import quoted
from fastnet.layers import InputLayer, Layer
from fastnet.layers.refused_arguments import refuse
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
    if not isinstance(json_string, (str, bytes)):
        raise ValueError(f"model_from_json takes a text, as to_json gives it; received {quoted(json_string)}.")
    try:
        description = json.loads(json_string)
    except json.JSONDecodeError as error:
        raise ValueError(f"model_from_json: the text is not JSON: {error}.") from None
    model = saving.deserialize_keras_object(description, custom_objects)
    if not isinstance(model, Sequential):
        raise ValueError(f"model_from_json: the text describes {type(model).__name__}, and not a Sequential.")
    return model


def clone_model(
    model: Sequential,
    input_tensors: None = None,
    clone_function: Callable[[Layer], Layer] | None = None,
    call_function: None = None,
    recursive: bool = False,
) -> Any:
    """Make a model of the same layers and names, with new weights; compiled alike, with a new optimizer, if it was.

    Your own classes and functions in it need not be registered.

    Args:
        model: the model.
        input_tensors, call_function: must be None: there are no symbolic tensors.
        clone_function: makes the new layer of each layer but `Input`; by default from its description.
        recursive: whether the layers of networks among the layers are cloned by ``clone_function`` one by one.

    Raises:
        ValueError: ``clone_function`` does not return a layer.
        TypeError: a part of the model, such as a lambda, cannot be described; the error names the layer and argument.

    Example:
        >>> import fastnet
        >>> model = fastnet.Sequential([fastnet.layers.Input((2,)), fastnet.layers.Dense(1)])
        >>> fastnet.models.clone_model(model).output_shape
        (None, 1)
    """
    refuse("clone_model", input_tensors=input_tensors, call_function=call_function)
    if not isinstance(model, Sequential):
        raise ValueError(f"clone_model takes a Sequential, received {quoted(model)}.")
    with serialization.mentioned() as custom_objects:
        config, compiled = {} if clone_function else model.get_config(), model.get_compile_config()
    with serialization.custom_object_scope(custom_objects):
        if clone_function is None:
            clone = type(model).from_config(config)
        else:
            clone = _cloned_by(clone_function, model, recursive)
        if compiled is not None:
            clone.compile_from_config(compiled)
    return clone


def _cloned_by(clone_function: Callable[[Layer], Layer], model: Sequential, recursive: bool) -> Sequential:
    """A model of the layers that a function makes of a model's."""

    def clone_of(layer: Layer) -> Layer:
        if isinstance(layer, InputLayer):
            return InputLayer.from_config(layer.get_config())
        if recursive and isinstance(layer, Sequential):
            return clone_model(layer, clone_function=clone_function, recursive=True)
        return clone_function(layer)

    clone = Sequential([clone_of(layer) for layer in model._layers], model.trainable, model.name)
    if model.built and not clone.built:
        clone.build(model.input_shape)
    return clone


def feature_maps(model: Sequential, x: Any, layer: Layer | str | int, batch_size: int | None = None) -> Any:
    """The result of one of a model's layers for these data.

    Args:
        model: built.
        x: data (n, ...), as for ``model.predict``.
        layer: one of ``model.layers``, its name or its index.
        batch_size: rows that are computed at once.

    Returns:
        An array (n, ...), of the shape of the layer's result.

    Raises:
        ValueError: the model is not built, or has no such layer.

    Example:
        >>> import fastnet
        >>> model = fastnet.Sequential([fastnet.layers.Input((2,)), fastnet.layers.Dense(3), fastnet.layers.Dense(1)])
        >>> fastnet.models.feature_maps(model, [[1.0, 2.0]], 0).shape
        (1, 3)
    """
    if not isinstance(model, Sequential) or not model.built:
        raise ValueError(
            f"feature_maps takes a model that is built, received {quoted(model)}; put an Input first, or call build."
        )
    if isinstance(layer, Layer):
        at = next((k for k, one in enumerate(model.layers) if one is layer), None)
    elif isinstance(layer, str):
        at = model.layers.index(model.get_layer(layer))
    else:
        at = model.layers.index(model.get_layer(index=layer))
    if at is None:
        names = ", ".join(one.name for one in model.layers)
        raise ValueError(f"The model {model.name!r} has no layer {quoted(layer)}; its layers are {names}.")
    first = [each for each in model._layers[:1] if isinstance(each, InputLayer)]  # which knows the shape of a sample
    part = Sequential([*first, *model.layers[: at + 1]], name=model.name)
    return part.predict(x, batch_size=batch_size, verbose=0)
