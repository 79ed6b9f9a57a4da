"""Layers applied to arrays: a plan for one batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnet import checks, random
from fastnet._kernels import abi
from fastnet._kernels.errors import quoted
from fastnet._kernels.templates import elementwise
from fastnet.arrays import as_array
from fastnet.engine.bind import read_once
from fastnet.engine.plan import Plan
from fastnet.engine.variable import tracing
from fastnet.engine.view import View
from fastnet.layers.tree import LayerTree, all_parts


def refuse_layer(owner: str, x: Any) -> None:
    """Check that a layer or a model is not called with another one, as in Keras's functional interface.

    Raises:
        TypeError: it is.
    """
    if isinstance(x, LayerTree):
        raise TypeError(
            f"{owner} was called with {quoted(x)}: there are no graphs of layers here; list the layers in a row: "
            "fastnet.Sequential([Input(...), Dense(...), ...])."
        )


def run(layer: Any, x: Any, training: Any, mask: Any) -> np.ndarray:
    """The result of a layer for arrays; see `Layer.__call__`."""
    owner = layer._owner
    refuse_layer(owner, x)
    training = training is not None and checks.flag(f"{owner}: training", training)
    rows = as_array(x, f"{owner}: inputs")
    if not rows.ndim:
        raise ValueError(f"{owner} takes rows, an array (n, ...), received one number.")
    if rows.ndim == 1 and layer.reads_vectors and layer.input_shape != ():
        return run(layer, rows[None], training, mask)[0]
    layer.check_data(rows)
    rows = np.asarray(rows, layer.dtype, order="C")
    # A layer of a model must keep the model's shapes.
    is_connected = layer.built and layer.output_shape is not None
    with tracing.within(alone=layer):
        (layer.sample_output_shape if is_connected else layer.connect)(rows.shape[1:])
    plan = Plan(training, layer.dtype, max(1, len(rows)), frozenset())
    source = plan.buffer(rows.shape[1:])
    inputs = {source: rows}
    if mask is not None:
        source.mask = plan.buffer(rows.shape[1:-1])
        inputs[source.mask] = _steps_of(owner, mask, rows).astype(layer.dtype)
    with tracing.within(alone=layer):
        result = plan.apply(layer, source)
    moving = [part for part in all_parts(layer) if training and part.updates_own_weights]
    if moving:
        _go_back(plan, source, result)
    else:
        plan.store_assigned()
    for part in all_parts(layer):
        vars(part)["_losses_of_call"] = ()  # no change from which plans follow
    if not len(rows):
        vars(layer)["_losses_of_call"] = (0.0,) * len(plan.penalized)
        return np.zeros((0, *result.shape), layer.dtype)
    views = [result, *(penalty.view for penalty in plan.penalized)]
    y, *penalized = read_once(plan, inputs, views, _random_numbers(layer) if training else {})
    vars(layer)["_losses_of_call"] = [
        float(penalty.regularizer(array)) / (len(rows) if penalty.is_mean else 1)
        for penalty, array in zip(plan.penalized, penalized, strict=True)
    ]
    for weight in (*(v for part in moving for v in part.variables), *plan.assigned):
        weight.assign(weight.array)  # trainings that go on see that it has changed
    return y


def _steps_of(owner: str, mask: Any, rows: np.ndarray) -> np.ndarray:
    """Which steps count, as the mask of these rows says."""
    array = as_array(mask, f"{owner}: mask")
    if array.ndim == rows.ndim - 1 and all(size in (1, of) for size, of in zip(array.shape, rows.shape)):
        array = np.broadcast_to(array, rows.shape[:-1])
    if array.shape != rows.shape[:-1]:
        raise ValueError(
            f"{owner}: mask must say of each step of the inputs, of shape {rows.shape}, whether it counts: shape "
            f"{rows.shape[:-1]}, received {array.shape}."
        )
    return array != 0


def _go_back(plan: Plan, source: View, result: View) -> None:
    """Add the backward of a gradient of 0: the averages of batch normalization move there."""
    dy = plan.like(result)
    plan.call(elementwise.fill, y=dy, number=0.0)
    plan.tape.backward(result, dy, source)


def _random_numbers(layer: Any) -> Mapping[int, int]:
    """The entries of the step block from which a layer's masks follow: other ones in each call."""
    calls = vars(layer)["_training_calls"] = layer._training_calls + 1  # no change from which plans follow
    return {abi.SEED: random.next_seed(), abi.ITERATION: calls}
